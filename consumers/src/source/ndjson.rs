//! Records from files, one JSON object a line:
//! `{"topic","partition","offset","timestamp","key","value","headers"}`. A `value` of null is a tombstone; bytes that
//! are not UTF-8 come as `key_base64` and `value_base64`; `headers` is an object of text or null.
//!
//! The path is a file, a folder (its `*.ndjson` and `*.ndjson.gz`, by name) or `-`, standard input. A first pass checks
//! every line and notes where each record stands, 32 bytes a record, so that any position of any partition can be
//! read without holding the records. Compressed files and standard input are copied to unnamed temporary files for
//! that, and standard input is read to its end first. Partitions are interleaved by timestamp; each keeps its order.
//!
//! Absent on purpose: dead letters. A line that is not such a record is a wrong file, not a bad record of a good one.
use super::{Bounds, Flow, Headers, Probe, Record, Signal, Source};
use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use sinks::Partition;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Records handed over by one poll, at most: between polls the engine acts.
const RECORDS_MAX: usize = 1_024;
/// A line beyond this is not a record.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Where a record stands.
struct Entry {
    offset: i64,
    timestamp_ms: i64,
    at: u64,
    bytes: u32,
    file: u32,
}

/// A partition and how far it was delivered.
struct Lane {
    partition: Partition,
    /// In offset order.
    entries: Arc<Vec<Entry>>,
    /// Index into `entries`; `None` until the first seek.
    next: Option<usize>,
    paused: bool,
}

pub struct Ndjson {
    /// By name, for messages.
    files: Arc<Vec<(String, File)>>,
    lanes: Vec<Lane>,
    bounds: Arc<BTreeMap<Partition, Bounds>>,
    skipped: BTreeMap<String, u64>,
    assigned: bool,
    /// Reused for every line.
    line: Vec<u8>,
}

impl Ndjson {
    /// Checks everything under `path` and notes the records of the topics that `reads` accepts.
    pub fn open(path: &str, reads: impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        let mut index = Index { reads, found: BTreeMap::new(), skipped: BTreeMap::new() };
        for (name, file) in inputs(path)? {
            let number = u32::try_from(files.len()).context("too many files")?;
            index.read(&name, &file, number)?;
            files.push((name, file));
        }
        let lanes = index.found.into_iter().map(|(partition, entries)| lane(partition, entries));
        let lanes = lanes.collect::<anyhow::Result<Vec<_>>>()?;
        let bounds = Arc::new(bounds(&lanes));
        let skipped = index.skipped;
        if lanes.is_empty() {
            let topics: Vec<&str> = skipped.keys().map(String::as_str).collect();
            tracing::warn!(
                path,
                topics = topics.join(" "),
                "no record of a topic that is read here"
            );
        }
        let files = Arc::new(files);
        Ok(Self { files, lanes, bounds, skipped, assigned: false, line: Vec::new() })
    }

    /// How many records of topics that nobody reads here, by topic.
    pub fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    fn lane(&mut self, partition: &Partition) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|l| l.partition == *partition)
    }

    /// The oldest record that may be delivered.
    fn oldest(&self) -> Option<usize> {
        let ready = self.lanes.iter().enumerate().filter(|(_, lane)| !lane.paused);
        let next = ready.filter_map(|(number, lane)| {
            let entry = lane.entries.get(lane.next?)?;
            Some((entry.timestamp_ms, entry.file, entry.at, number))
        });
        next.min().map(|(.., number)| number)
    }

    fn deliver(&mut self, at: usize, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<()> {
        let lane = &mut self.lanes[at];
        let Some(entry) = lane.next.and_then(|next| lane.entries.get(next)) else { return Ok(()) };
        let line = fetch(&self.files, entry, &mut self.line)?;
        let timestamp_ms = entry.timestamp_ms;
        lane.next = lane.next.map(|next| next + 1);
        let headers = line.headers.0;
        visit(Signal::Record(Record {
            partition: &lane.partition,
            offset: line.offset,
            timestamp_ms,
            key: line.key.as_deref(),
            value: line.value.as_deref(),
            headers: Headers(&headers),
        }));
        Ok(())
    }
}

impl Source for Ndjson {
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<Flow> {
        if !self.assigned {
            self.assigned = true;
            self.lanes.iter().for_each(|l| visit(Signal::Assigned(l.partition.clone())));
            return Ok(Flow::More);
        }
        let mut records = 0;
        while records < RECORDS_MAX
            && let Some(at) = self.oldest()
        {
            self.deliver(at, visit)?;
            records += 1;
        }
        if records > 0 {
            return Ok(Flow::More);
        }
        // Only the caller can change anything now, and it said how long it has.
        std::thread::sleep(wait);
        let ended = |l: &Lane| l.next.is_some_and(|next| next >= l.entries.len());
        Ok(if self.lanes.iter().all(ended) { Flow::End } else { Flow::Idle })
    }

    fn seek(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()> {
        if let Some(lane) = self.lane(partition) {
            lane.next = Some(lane.entries.partition_point(|e| e.offset < next));
        }
        Ok(())
    }

    fn pause(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(lane) = self.lane(partition) {
            lane.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(lane) = self.lane(partition) {
            lane.paused = false;
        }
        Ok(())
    }

    /// Nobody to tell.
    fn acknowledge(&mut self, _partition: &Partition, _next: i64) -> anyhow::Result<()> {
        Ok(())
    }
    fn flush(&mut self, _wait: Duration) -> anyhow::Result<()> {
        Ok(())
    }

    fn probe(&self) -> Arc<dyn Probe> {
        let lanes = self.lanes.iter().map(|l| (l.partition.clone(), l.entries.clone()));
        let (bounds, files) = (self.bounds.clone(), self.files.clone());
        Arc::new(Known { bounds, files, lanes: lanes.collect() })
    }
}

/// A record's line, read where the first pass found it. Moves no cursor: others may read the same file.
fn fetch(files: &[(String, File)], entry: &Entry, text: &mut Vec<u8>) -> anyhow::Result<Line> {
    let (name, file) = &files[entry.file as usize];
    let changed = || format!("{name} changed while it was read: start again");
    text.resize(entry.bytes as usize, 0);
    file.read_exact_at(text, entry.at).with_context(changed)?;
    let line = Line::parse(text).map_err(anyhow::Error::msg).with_context(changed)?;
    ensure!(line.offset == entry.offset, changed());
    Ok(line)
}

/// What the first pass found.
struct Known {
    bounds: Arc<BTreeMap<Partition, Bounds>>,
    files: Arc<Vec<(String, File)>>,
    lanes: BTreeMap<Partition, Arc<Vec<Entry>>>,
}
impl Probe for Known {
    fn bounds(&self, partition: &Partition) -> anyhow::Result<Bounds> {
        let found = self.bounds.get(partition).copied();
        found.with_context(|| format!("the files hold no record of {partition}"))
    }

    fn offset_at(&self, partition: &Partition, ms: i64) -> anyhow::Result<Option<i64>> {
        let entries = self.lanes.get(partition).into_iter().flat_map(|entries| entries.iter());
        Ok(entries.into_iter().find(|entry| entry.timestamp_ms >= ms).map(|entry| entry.offset))
    }

    fn read(
        &self,
        partition: &Partition,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        if self.bounds(partition)?.begin > from {
            return Ok(false);
        }
        let (entries, mut text) = (self.lanes.get(partition), Vec::new());
        let entries = entries.into_iter().flat_map(|entries| entries.iter());
        for entry in entries.filter(|entry| (from..to).contains(&entry.offset)) {
            let line = fetch(&self.files, entry, &mut text)?;
            let record = Record {
                partition,
                offset: line.offset,
                timestamp_ms: entry.timestamp_ms,
                key: line.key.as_deref(),
                value: line.value.as_deref(),
                headers: Headers(&line.headers.0),
            };
            if visit(&record).is_break() {
                break;
            }
        }
        Ok(true)
    }
}

/// The first pass, over one file after the other.
struct Index<F> {
    reads: F,
    found: BTreeMap<Partition, Vec<Entry>>,
    skipped: BTreeMap<String, u64>,
}
impl<F: Fn(&str) -> bool> Index<F> {
    fn read(&mut self, name: &str, file: &File, number: u32) -> anyhow::Result<()> {
        let mut reader = BufReader::with_capacity(1 << 16, file);
        reader.seek(SeekFrom::Start(0)).with_context(|| format!("{name} cannot be read"))?;
        let (mut text, mut at) = (Vec::new(), 0_u64);
        for number_of_line in 1_u64.. {
            text.clear();
            let got = (&mut reader)
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut text)
                .with_context(|| format!("{name} cannot be read"))?;
            if got == 0 {
                break;
            }
            let wrong =
                |why: &str| anyhow::anyhow!("{name}, line {number_of_line}: {why}. {FORMAT}");
            let bytes = u32::try_from(got).ok().filter(|b| u64::from(*b) <= LINE_BYTES_MAX);
            let bytes = bytes.ok_or_else(|| wrong("longer than 256 MB"))?;
            if !text.iter().all(u8::is_ascii_whitespace) {
                let line = Line::parse(&text).map_err(|why| wrong(&why))?;
                let timestamp_ms = line.timestamp_ms;
                self.note(
                    &line,
                    Entry { offset: line.offset, timestamp_ms, at, bytes, file: number },
                );
            }
            at += u64::from(bytes);
        }
        Ok(())
    }

    fn note(&mut self, line: &Line, entry: Entry) {
        if !(self.reads)(&line.topic) {
            *self.skipped.entry(line.topic.clone()).or_default() += 1;
            return;
        }
        self.found.entry(Partition::new(&line.topic, line.partition)).or_default().push(entry);
    }
}

const FORMAT: &str = "A line is {\"topic\",\"partition\",\"offset\",\"timestamp\",\"key\",\"value\",\"headers\"}; \
                      a tombstone says \"value\":null.";

fn lane(partition: Partition, mut entries: Vec<Entry>) -> anyhow::Result<Lane> {
    entries.sort_by_key(|e| e.offset);
    if let Some(two) = entries.windows(2).find(|two| two[0].offset == two[1].offset) {
        bail!(
            "{partition}: offset {} occurs twice. A log holds it once: take the copy away (a folder is read as a whole).",
            two[0].offset
        );
    }
    Ok(Lane { partition, entries: Arc::new(entries), next: None, paused: true })
}

fn bounds(lanes: &[Lane]) -> BTreeMap<Partition, Bounds> {
    let count = |topic: &str| {
        let same = lanes.iter().filter(|l| &*l.partition.topic == topic);
        same.map(|l| l.partition.index).max().map_or(0, |index| index.saturating_add(1))
    };
    let one = |lane: &Lane| {
        let begin = lane.entries.first()?.offset;
        let end = lane.entries.last()?.offset.saturating_add(1);
        let partitions = count(&lane.partition.topic);
        Some((lane.partition.clone(), Bounds { begin, end, partitions }))
    };
    lanes.iter().filter_map(one).collect()
}

/// The files behind `path`, each one to seek in.
fn inputs(path: &str) -> anyhow::Result<Vec<(String, File)>> {
    if path == "-" {
        return Ok(vec![("standard input".to_owned(), spool(io::stdin().lock())?)]);
    }
    let root = Path::new(path);
    let about = |p: &Path| format!("{} cannot be read", p.display());
    if !root.metadata().with_context(|| about(root))?.is_dir() {
        return Ok(vec![(path.to_owned(), input(root)?)]);
    }
    let is_ours = |p: &PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".ndjson") || name.ends_with(".ndjson.gz")
    };
    let entries = root.read_dir().with_context(|| about(root))?;
    let paths = entries.map(|e| e.map(|e| e.path())).collect::<io::Result<BTreeSet<_>>>();
    let paths: Vec<PathBuf> =
        paths.with_context(|| about(root))?.into_iter().filter(is_ours).collect();
    ensure!(!paths.is_empty(), "{path} holds no *.ndjson or *.ndjson.gz file");
    paths.iter().map(|p| Ok((p.display().to_string(), input(p)?))).collect()
}

fn input(path: &Path) -> anyhow::Result<File> {
    let about = || format!("{} cannot be read", path.display());
    let file = File::open(path).with_context(about)?;
    if path.extension().is_some_and(|e| e == "gz") {
        return spool(MultiGzDecoder::new(BufReader::new(file))).with_context(about);
    }
    ensure!(
        file.metadata().with_context(about)?.is_file(),
        "{} is not a file: pipe it in and say ndjson:-",
        path.display()
    );
    Ok(file)
}

/// What cannot be sought in, as a file without a name: it goes with the process.
fn spool(mut from: impl Read) -> anyhow::Result<File> {
    let mut file = tempfile::tempfile().context("no temporary file can be made")?;
    io::copy(&mut from, &mut file).context("reading to the end failed")?;
    Ok(file)
}

/// A line as it is written.
#[derive(Deserialize)]
struct Written {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    key_base64: Option<String>,
    /// Must be there: a misspelt name must not make a tombstone.
    #[serde(default, deserialize_with = "there")]
    value: Option<Option<String>>,
    #[serde(default)]
    value_base64: Option<String>,
    #[serde(default)]
    headers: Option<HeaderList>,
}

fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// In the order of the line; names may repeat.
#[derive(Default)]
struct HeaderList(Vec<(String, Option<Vec<u8>>)>);
impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = HeaderList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of text or null")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
                let mut found = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    found.push((name, value.map(String::into_bytes)));
                }
                Ok(HeaderList(found))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// A line as it is meant.
struct Line {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: HeaderList,
}

impl Line {
    /// The text of an error names fields and columns, never values.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let line: Written = serde_json::from_slice(text).map_err(|e| {
            let kind = match e.classify() {
                serde_json::error::Category::Data => "a field is missing or of the wrong type",
                _ => "not one JSON object",
            };
            format!("{kind} (column {})", e.column())
        })?;
        if line.partition < 0 || line.offset < 0 {
            return Err("`partition` and `offset` must not be negative".to_owned());
        }
        let value = match (line.value, &line.value_base64) {
            (None, None) => return Err("there is neither `value` nor `value_base64`".to_owned()),
            (value, _) => bytes(value.flatten(), line.value_base64, "value")?,
        };
        Ok(Self {
            topic: line.topic,
            partition: line.partition,
            offset: line.offset,
            timestamp_ms: line.timestamp.unwrap_or(-1),
            key: bytes(line.key, line.key_base64, "key")?,
            value,
            headers: line.headers.unwrap_or_default(),
        })
    }
}

fn bytes(
    text: Option<String>,
    base64: Option<String>,
    name: &str,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("`{name}` and `{name}_base64` exclude each other")),
        (text, None) => Ok(text.map(String::into_bytes)),
        (None, Some(base64)) => match STANDARD.decode(base64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(format!("`{name}_base64` is not base64")),
        },
    }
}

#[cfg(test)]
mod tests;
