//! The files behind a path, each one to seek in, as UTF-8: what is compressed is copied out, what is something else
//! altogether is named.
use anyhow::{Context, bail, ensure};
use flate2::read::MultiGzDecoder;
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

/// One file of records.
pub(super) struct Input {
    /// For messages.
    pub name: String,
    pub file: File,
    /// Where its text begins: behind a byte order mark.
    pub start: u64,
}

const ENDINGS: [&str; 2] = [".ndjson", ".jsonl"];
const PACKED: [&str; 3] = ["", ".gz", ".zst"];

pub(super) fn inputs(path: &str) -> anyhow::Result<Vec<Input>> {
    if path == "-" {
        let name = "standard input";
        return Ok(vec![ready(name.to_owned(), spool(name, io::stdin().lock())?)?]);
    }
    let root = Path::new(path);
    let about = |p: &Path| format!("{} cannot be read", p.display());
    if !root.metadata().with_context(|| about(root))?.is_dir() {
        return Ok(vec![input(root)?]);
    }
    let entries = root.read_dir().with_context(|| about(root))?;
    let paths = entries.map(|e| e.map(|e| e.path())).collect::<io::Result<BTreeSet<_>>>();
    let paths = paths.with_context(|| about(root))?;
    let (ours, others): (Vec<PathBuf>, Vec<PathBuf>) = paths.into_iter().partition(|p| is_ours(p));
    let others = names(&others);
    if ours.is_empty() {
        let there = if others.is_empty() { "nothing".to_owned() } else { others };
        bail!("{path} holds no *.ndjson or *.jsonl file (nor one with .gz or .zst), but {there}");
    }
    if !others.is_empty() {
        tracing::warn!(
            path,
            "not read, since their names do not end with .ndjson or .jsonl (or these and .gz or .zst): {others}"
        );
    }
    ours.iter().map(|p| input(p)).collect()
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let has = |ending: &str, packed: &str| {
        name.strip_suffix(packed).is_some_and(|name| name.ends_with(ending))
    };
    ENDINGS.iter().any(|ending| PACKED.iter().any(|packed| has(ending, packed)))
}

/// The first of them, for a message.
fn names(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 10;
    let name = |p: &PathBuf| p.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut text = paths.iter().take(SHOWN).map(name).collect::<Vec<_>>().join(", ");
    if paths.len() > SHOWN {
        text.push_str(&format!(" and {} more", paths.len() - SHOWN));
    }
    text
}

fn input(path: &Path) -> anyhow::Result<Input> {
    let about = || format!("{} cannot be read", path.display());
    let file = File::open(path).with_context(about)?;
    ensure!(
        file.metadata().with_context(about)?.is_file(),
        "{} is not a file: pipe it in and say ndjson:-",
        path.display()
    );
    ready(path.display().to_string(), file)
}

/// Goes by what the file begins with, whatever its name.
fn ready(name: String, file: File) -> anyhow::Result<Input> {
    let about = || format!("{name} cannot be read");
    let mut head = head(&file).with_context(about)?;
    let file = match head.as_slice() {
        [0x1f, 0x8b, ..] => spool(&name, MultiGzDecoder::new(BufReader::new(file)))?,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            spool(&name, zstd::Decoder::new(file).with_context(about)?)?
        }
        _ => file,
    };
    head = self::head(&file).with_context(about)?;
    if let Some(what) = other_form(&head) {
        bail!("{name} is {what}");
    }
    let start = if head.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
    Ok(Input { name, file, start })
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 64];
    let got = file.read_at(&mut head, 0)?;
    head.truncate(got);
    Ok(head)
}

/// What a file is that holds no lines of UTF-8, and how to make them of it.
fn other_form(head: &[u8]) -> Option<String> {
    let known: [(&[u8], &str); 10] = [
        (b"\x1f\x8b", "compressed twice: unpack it once"),
        (b"BZh", "compressed with bzip2: `bzip2 -dc FILE | cdc run ... --source ndjson:-`"),
        (b"\xfd7zXZ\0", "compressed with xz: `xz -dc FILE | cdc run ... --source ndjson:-`"),
        (
            b"\x04\x22\x4d\x18",
            "compressed with lz4: `lz4 -dc FILE | cdc run ... --source ndjson:-`",
        ),
        (b"PK\x03\x04", "a zip archive: unpack it"),
        (b"PAR1", "Parquet, not lines of JSON: export the records as JSON"),
        (b"Obj\x01", "an Avro file, not lines of JSON: export the records as JSON"),
        (b"SQLite format 3\0", "an SQLite database, not lines of JSON"),
        (
            b"\xff\xfe\0\0",
            "UTF-32: `iconv -f UTF-32 -t UTF-8 FILE | cdc run ... --source ndjson:-`",
        ),
        (
            b"\0\0\xfe\xff",
            "UTF-32: `iconv -f UTF-32 -t UTF-8 FILE | cdc run ... --source ndjson:-`",
        ),
    ];
    if let Some((_, what)) = known.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some((*what).to_owned());
    }
    let form = match head {
        [0xff, 0xfe, ..] | [b'{' | b'[', 0, ..] => "UTF-16LE",
        [0xfe, 0xff, ..] | [0, b'{' | b'[', ..] => "UTF-16BE",
        _ if head.contains(&0) => {
            return Some("binary (its first bytes hold a zero), not lines of JSON".to_owned());
        }
        _ => return None,
    };
    let from = if head[0] >= 0xfe { "UTF-16" } else { form };
    Some(format!(
        "UTF-16, not UTF-8: `iconv -f {from} -t UTF-8 FILE | cdc run ... --source ndjson:-`"
    ))
}

/// What cannot be sought in, as a file without a name: it goes with the process.
fn spool(name: &str, mut from: impl Read) -> anyhow::Result<File> {
    let mut file = tempfile::tempfile().context("no temporary file can be made")?;
    match io::copy(&mut from, &mut file) {
        Ok(_) => Ok(file),
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
            bail!("{name} ends in the middle of what is compressed: it was cut; copy it again")
        }
        Err(cause) => Err(cause).with_context(|| format!("{name} cannot be read to its end")),
    }
}
