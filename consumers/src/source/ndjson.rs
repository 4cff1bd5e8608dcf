//! Records from files, one JSON object a line:
//! `{"topic","partition","offset","timestamp","key","value","headers"}`. A `value` of null is a tombstone; bytes that
//! are not UTF-8 come as `key_base64` and `value_base64`; `headers` is an object of text or null.
//! What `kcat -J` and `kafka-console-consumer` print is read too: see the files `record` and `console`.
//!
//! The path is a file, a folder (its `*.ndjson` and `*.jsonl`, also with `.gz` or `.zst`, by name) or `-`, standard
//! input. A first pass checks every line and notes where each record stands, 32 bytes a record, so that any position of
//! any partition can be read without holding the records. Compressed files and standard input are copied to unnamed
//! temporary files for that, and standard input is read to its end first. Partitions are interleaved by timestamp; each
//! keeps its order.
//!
//! Absent on purpose: dead letters. A line that is not such a record is a wrong file, not a bad record of a good one.
mod console;
mod counts;
mod index;
mod inputs;
mod record;

use super::{Bounds, Flow, Headers, Probe, Record, Signal, Source};
use crate::{config::Placement, source_table::before_name};
use anyhow::{Context, bail, ensure};
use index::{Content, Entry, Form, Index};
use sinks::{Partition, state::Shown};
use std::{
    collections::BTreeMap, fs::File, ops::ControlFlow, os::unix::fs::FileExt as _, sync::Arc,
    time::Duration,
};

/// Records handed over by one poll, at most: between polls the engine acts.
const RECORDS_MAX: usize = 1_024;

/// What files do not say.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The topics that are read, as they are set: a table's topic, for lines that name their table only.
    pub topics: Vec<String>,
    /// How many partitions a topic has, where an operator told.
    pub told: BTreeMap<String, i32>,
    pub placement: Placement,
}
impl Rules {
    fn topic_of(&self, table: &str) -> Option<String> {
        self.topics.iter().find(|topic| before_name(topic, table).is_some()).cloned()
    }
}

/// A file whose lines were all read once.
struct Lines {
    /// For messages.
    name: String,
    file: File,
    form: Form,
}

/// A partition and how far it was delivered.
struct Cursor {
    partition: Partition,
    /// In offset order.
    entries: Arc<Vec<Entry>>,
    /// Index into `entries`; `None` until the first seek.
    next: Option<usize>,
    paused: bool,
}

pub struct Ndjson {
    files: Arc<Vec<Lines>>,
    lanes: Vec<Cursor>,
    bounds: Arc<BTreeMap<Partition, Bounds>>,
    shown: Arc<BTreeMap<String, Shown>>,
    skipped: BTreeMap<String, u64>,
    assigned: bool,
    /// Reused for every line.
    line: Vec<u8>,
}

impl Ndjson {
    /// Checks everything under `path` and notes the records of the topics that `reads` accepts.
    pub fn open(path: &str, reads: impl Fn(&str) -> bool) -> anyhow::Result<Self> {
        Self::open_by(&Rules::default(), path, reads)
    }

    /// The same, with what is known beside the files. An error where a topic's keys are not where its count of
    /// partitions has them, whichever that is.
    pub fn open_by(
        rules: &Rules,
        path: &str,
        reads: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Self> {
        let mut files = Vec::new();
        let mut index = Index::new(rules, reads);
        for input in inputs::inputs(path)? {
            let number = u32::try_from(files.len()).context("too many files")?;
            let form = index.read(&input, number)?;
            if let Form::Console(console) = &form
                && !console.has_offsets()
            {
                tracing::warn!(
                    file = input.name,
                    "its lines say no offsets: line numbers are taken. A state goes on only with files that begin with \
                     the same lines in the same order: print offsets (print.partition, print.offset), or use kcat -J"
                );
            }
            files.push(Lines { name: input.name, file: input.file, form });
        }
        let shown = index.counts(&files)?;
        let lanes = index.found.into_iter().map(|(partition, entries)| lane(partition, entries));
        let lanes = lanes.collect::<anyhow::Result<Vec<_>>>()?;
        let bounds = Arc::new(bounds(&lanes, &shown));
        let (shown, skipped) = (Arc::new(shown), index.skipped);
        let files = Arc::new(files);
        Ok(Self { files, lanes, bounds, shown, skipped, assigned: false, line: Vec::new() })
    }

    /// How many records of topics that nobody reads here, by topic.
    pub fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    fn lane(&mut self, partition: &Partition) -> Option<&mut Cursor> {
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
        let (offset, timestamp_ms) = (entry.offset, entry.timestamp_ms);
        lane.next = lane.next.map(|next| next + 1);
        let headers = line.headers.0;
        visit(Signal::Record(Record {
            partition: &lane.partition,
            offset,
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
        let ended = |l: &Cursor| l.next.is_some_and(|next| next >= l.entries.len());
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
        let (bounds, shown, files) = (self.bounds.clone(), self.shown.clone(), self.files.clone());
        Arc::new(Known { bounds, shown, files, lanes: lanes.collect() })
    }
}

/// A record's line, read where the first pass found it. Moves no cursor: others may read the same file.
fn fetch(files: &[Lines], entry: &Entry, text: &mut Vec<u8>) -> anyhow::Result<Content> {
    let Lines { name, file, form } = &files[entry.file as usize];
    let changed = || format!("{name} changed while it was read: start again");
    text.resize(entry.bytes as usize, 0);
    file.read_exact_at(text, entry.at).with_context(changed)?;
    let line = form.read(text).map_err(anyhow::Error::msg).with_context(changed)?;
    ensure!(line.offset.is_none_or(|offset| offset == entry.offset), changed());
    Ok(line)
}

/// What the first pass found.
struct Known {
    bounds: Arc<BTreeMap<Partition, Bounds>>,
    shown: Arc<BTreeMap<String, Shown>>,
    files: Arc<Vec<Lines>>,
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

    fn shown(&self, topic: &str) -> Option<Shown> {
        self.shown.get(topic).cloned()
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
                offset: entry.offset,
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

fn lane(partition: Partition, mut entries: Vec<Entry>) -> anyhow::Result<Cursor> {
    entries.sort_by_key(|e| e.offset);
    if let Some(two) = entries.windows(2).find(|two| two[0].offset == two[1].offset) {
        bail!(
            "{partition}: offset {} occurs twice. A log holds it once: take the copy away (a folder is read as a whole).",
            two[0].offset
        );
    }
    Ok(Cursor { partition, entries: Arc::new(entries), next: None, paused: true })
}

fn bounds(lanes: &[Cursor], shown: &BTreeMap<String, Shown>) -> BTreeMap<Partition, Bounds> {
    let one = |lane: &Cursor| {
        let begin = lane.entries.first()?.offset;
        let end = lane.entries.last()?.offset.saturating_add(1);
        let partitions = *shown.get(&*lane.partition.topic)?.counts.first()?;
        Some((lane.partition.clone(), Bounds { begin, end, partitions }))
    };
    lanes.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests;
