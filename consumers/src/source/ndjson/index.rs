//! The first pass: checks every line of every file, and notes where each record stands.
use super::{
    Lines, Rules,
    console::{self, Console},
    counts::Counts,
    fetch,
    inputs::Input,
    record::{FORMAT, HeaderList, Line},
};
use anyhow::{Context, ensure};
use sinks::Partition;
use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
};

/// A line beyond this is not a record.
const LINE_BYTES_MAX: u64 = 256 << 20;

/// Where a record stands.
pub(super) struct Entry {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub at: u64,
    pub bytes: u32,
    pub file: u32,
}

/// What the lines of a file are.
pub(super) enum Form {
    Records,
    Console(Console),
}

/// What a line holds, whatever its form.
pub(super) struct Content {
    /// Where the line says it.
    pub offset: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: HeaderList,
}
impl Form {
    pub fn read(&self, text: &[u8]) -> Result<Content, String> {
        match self {
            Self::Records => {
                let Line { offset, key, value, headers, .. } = Line::parse(text)?;
                Ok(Content { offset: Some(offset), key, value, headers })
            }
            Self::Console(console) => {
                let printed = console.parse(trim(text))?;
                let own = |bytes: &[u8]| bytes.to_vec();
                let (key, value) = (printed.key.map(own), printed.value.map(own));
                Ok(Content { offset: printed.offset, key, value, headers: HeaderList::default() })
            }
        }
    }
}

/// Without the line's end.
fn trim(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

pub(super) struct Index<'a, F> {
    reads: F,
    rules: &'a Rules,
    pub found: BTreeMap<Partition, Vec<Entry>>,
    pub skipped: BTreeMap<String, u64>,
    counts: BTreeMap<String, Counts>,
    /// Topics of files whose lines say no partition or no offset, and that file.
    alone: BTreeMap<String, u32>,
}

impl<'a, F: Fn(&str) -> bool> Index<'a, F> {
    pub fn new(rules: &'a Rules, reads: F) -> Self {
        let (found, skipped, counts, alone) = Default::default();
        Self { reads, rules, found, skipped, counts, alone }
    }

    pub fn read(&mut self, input: &Input, number: u32) -> anyhow::Result<Form> {
        let name = &input.name;
        let unreadable = || format!("{name} cannot be read");
        let mut reader = BufReader::with_capacity(1 << 16, &input.file);
        reader.seek(SeekFrom::Start(input.start)).with_context(unreadable)?;
        let (mut text, mut at, mut form) = (Vec::new(), input.start, None);
        let mut pending = Pending::default();
        for line in 1_i64.. {
            text.clear();
            let got = (&mut reader)
                .take(LINE_BYTES_MAX + 1)
                .read_until(b'\n', &mut text)
                .with_context(unreadable)?;
            if got == 0 {
                break;
            }
            let wrong = |why: &str| anyhow::anyhow!("{name}, line {line}: {why}");
            let bytes = u32::try_from(got).ok().filter(|b| u64::from(*b) <= LINE_BYTES_MAX);
            let bytes = bytes.ok_or_else(|| wrong("longer than 256 MB"))?;
            if !text.iter().all(u8::is_ascii_whitespace) {
                let entry = Entry { offset: line - 1, timestamp_ms: -1, at, bytes, file: number };
                if form.is_none() {
                    form = Some(form_of(&text));
                }
                let noted = match form.as_ref().unwrap_or(&Form::Records) {
                    Form::Records => self.record(&text, entry),
                    Form::Console(console) => pending.note(console, self.rules, trim(&text), entry),
                };
                if let Err(why) = noted {
                    let is_last = reader
                        .fill_buf()
                        .with_context(unreadable)?
                        .iter()
                        .all(u8::is_ascii_whitespace);
                    return Err(wrong(&broken(&text, is_last).unwrap_or(why)));
                }
            }
            at += u64::from(bytes);
        }
        let form = form.unwrap_or(Form::Records);
        if let Form::Console(console) = &form {
            self.settle(console, pending, number)
                .map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
        }
        Ok(form)
    }

    fn record(&mut self, text: &[u8], entry: Entry) -> Result<(), String> {
        let line = Line::parse(text).map_err(|why| format!("{why}. {FORMAT}"))?;
        let entry = Entry { offset: line.offset, timestamp_ms: line.timestamp_ms, ..entry };
        let key = line.key.as_deref().map(|key| (key, line.is_key_rewritten));
        self.note(&line.topic, line.partition, key, entry);
        Ok(())
    }

    fn note(&mut self, topic: &str, index: i32, key: Option<(&[u8], bool)>, entry: Entry) {
        if !(self.reads)(topic) {
            *self.skipped.entry(topic.to_owned()).or_default() += 1;
            return;
        }
        if !self.counts.contains_key(topic) {
            let told = self.rules.told.get(topic).copied();
            self.counts.insert(topic.to_owned(), Counts::new(told, self.rules.placement));
        }
        if let Some(counts) = self.counts.get_mut(topic) {
            let (key, is_rewritten) = key.unzip();
            counts.see(index, entry.offset, key, is_rewritten.unwrap_or(false));
        }
        self.found.entry(Partition::new(topic, index)).or_default().push(entry);
    }

    /// A file of the console consumer's is read: now its topic is known.
    fn settle(&mut self, console: &Console, pending: Pending, number: u32) -> Result<(), String> {
        let Some((topic, _)) = pending.topic else {
            return Err(format!(
                "these are values without their topic, and none is a change that names its table (a `source` with \
                 `name`, `schema` and `table`). Export whole records, with `kcat -J`. {FORMAT}"
            ));
        };
        for seen in pending.seen {
            let key = seen.key.as_deref().map(|key| (key, false));
            self.note(&topic, seen.partition, key, seen.entry);
        }
        if !(console.has_offsets() && console.has_partitions()) {
            self.alone.insert(topic, number);
        }
        Ok(())
    }

    /// What the files show of each topic. Nothing may be applied if it is an error.
    pub fn counts(
        &mut self,
        files: &[Lines],
    ) -> anyhow::Result<BTreeMap<String, sinks::state::Shown>> {
        for (topic, file) in &self.alone {
            let all = self.found.iter().filter(|(at, _)| &*at.topic == topic);
            ensure!(
                all.flat_map(|(_, entries)| entries).all(|entry| entry.file == *file),
                "{topic} is in more than one file, and the lines of one say no partition or no offset: such a file must \
                 be all of its topic. Join them, or export whole records, with `kcat -J`"
            );
        }
        let mut shown = BTreeMap::new();
        for (topic, counts) in std::mem::take(&mut self.counts) {
            let of_topic = self.found.iter().filter(|(at, _)| *at.topic == *topic);
            let span = |(at, entries): (&Partition, &Vec<Entry>)| {
                let offsets = || entries.iter().map(|entry| entry.offset);
                Some((at.index, (offsets().min()?, offsets().max()?.saturating_add(1))))
            };
            let spans = of_topic.filter_map(span).collect();
            shown.insert(
                topic.clone(),
                counts
                    .finish(&topic, spans, || self.apart(files, &topic))
                    .map_err(anyhow::Error::msg)?,
            );
        }
        Ok(shown)
    }
}

impl<F> Index<'_, F> {
    /// Whether each key of the topic is in one partition only; if not, where one is in two.
    fn apart(&self, files: &[Lines], topic: &str) -> Result<(), String> {
        let (mut homes, mut text) = (HashMap::new(), Vec::new());
        for (at, entries) in self.found.iter().filter(|(at, _)| &*at.topic == topic) {
            for entry in entries {
                let line = fetch(files, entry, &mut text).map_err(|e| format!("; {e:#}"))?;
                let Some(key) = line.key else { continue };
                // Two keys with one hash would be refused for nothing: as likely as never.
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                let home = *homes.entry(hasher.finish()).or_insert(at.index);
                if home != at.index {
                    return Err(format!(
                        ", and the key of offset {} of partition {} is in partition {home}, too",
                        entry.offset, at.index
                    ));
                }
            }
        }
        Ok(())
    }
}

/// The lines of a file of the console consumer's, until its topic is known.
#[derive(Default)]
struct Pending {
    /// And the line that said it.
    topic: Option<(String, i64)>,
    seen: Vec<Seen>,
}
struct Seen {
    partition: i32,
    /// Only where it shows anything: in files that say partitions.
    key: Option<Vec<u8>>,
    entry: Entry,
}
impl Pending {
    fn note(
        &mut self,
        console: &Console,
        rules: &Rules,
        text: &[u8],
        mut entry: Entry,
    ) -> Result<(), String> {
        let line = entry.offset + 1;
        let printed = console.parse(text)?;
        let origin = printed.value.and_then(console::origin);
        let said = origin.as_ref().and_then(|origin| origin.timestamp_ms);
        entry.timestamp_ms = printed.timestamp_ms.or(said).unwrap_or(-1);
        entry.offset = printed.offset.unwrap_or(entry.offset);
        if let Some(origin) = origin {
            let topic = rules.topic_of(&origin.table).unwrap_or(origin.topic);
            match &self.topic {
                None => self.topic = Some((topic, line)),
                Some((first, at)) if *first != topic => {
                    return Err(format!(
                        "this is a change of {topic}, and line {at} is one of {first}: lines that do not say their \
                         topic must all be of one. Export each topic to a file of its own, or whole records, with \
                         `kcat -J`"
                    ));
                }
                Some(_) => {}
            }
        }
        let key = printed.key.filter(|_| console.has_partitions()).map(<[u8]>::to_vec);
        self.seen.push(Seen { partition: printed.partition.unwrap_or(0), key, entry });
        Ok(())
    }
}

fn form_of(first: &[u8]) -> Form {
    if Line::parse(first).is_ok() {
        return Form::Records;
    }
    Console::of(trim(first)).map_or(Form::Records, Form::Console)
}

/// What is wrong with a line that is no whole JSON, where that can be told.
fn broken(text: &[u8], is_last: bool) -> Option<String> {
    let text = text.trim_ascii();
    if text.starts_with(b"[") {
        return Some(
            "the file is one JSON list, not a record a line: `jq -c '.[]' FILE | cdc run ... --source ndjson:-`".to_owned(),
        );
    }
    let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(text);
    if !parsed.err()?.is_eof() || !text.starts_with(b"{") {
        return None;
    }
    if !is_last && (text == b"{" || text.ends_with(b",") || text.ends_with(b"{")) {
        return Some(
            "a record goes on over several lines, and must be one line: `jq -c . FILE | cdc run ... --source ndjson:-`"
                .to_owned(),
        );
    }
    Some(match is_last {
        true => "the file ends in the middle of this line: it was cut, or is still being written. Export it again, or \
                 take the line out"
            .to_owned(),
        false => format!("the line ends in the middle of its JSON. {FORMAT}"),
    })
}
