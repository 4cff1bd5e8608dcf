//! One partition's shares as an object: lines of JSON, so that parts are merged without being parsed whole.
//!
//! First `{"topic","partition","next","newest_ms","lines"}`, then `lines` of `["view",[key],[share]]`, ordered by view
//! name and then by the key's JSON text: the order of the state's keys.
use crate::{Cell, Checkpoint, Partition, decode_row};
use anyhow::Context as _;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    pub topic: String,
    pub partition: i32,
    pub next: i64,
    /// Timestamp of the last record applied, ms since 1970; -1 if there is none.
    pub newest_ms: i64,
    lines: u64,
}

pub struct Writer {
    head: Head,
    body: Vec<u8>,
}

impl Writer {
    pub fn new(partition: &Partition, at: &Checkpoint) -> Self {
        let newest_ms = at.last.as_ref().map_or(-1, |mark| mark.timestamp_ms);
        let (topic, partition) = (partition.topic.to_string(), partition.index);
        let head = Head { topic, partition, next: at.next, newest_ms, lines: 0 };
        Self { head, body: Vec::new() }
    }

    /// `key`: JSON of a list of cells, and `share`: a row of cells, both as the state keeps them.
    pub fn line(&mut self, view: &str, key: &[u8], share: &[u8]) -> Result<(), &'static str> {
        const UNREADABLE: &str = "cannot be read";
        let share = decode_row(share).ok_or(UNREADABLE)?;
        if !key.starts_with(b"[") || key.contains(&b'\n') {
            return Err(UNREADABLE);
        }
        self.body.push(b'[');
        serde_json::to_writer(&mut self.body, view).map_err(|_| "has a view without a name")?;
        self.body.push(b',');
        self.body.extend_from_slice(key);
        self.body.push(b',');
        serde_json::to_writer(&mut self.body, &share).map_err(|_| UNREADABLE)?;
        self.body.extend_from_slice(b"]\n");
        self.head.lines += 1;
        Ok(())
    }

    pub fn finish(self) -> anyhow::Result<Bytes> {
        let mut out = serde_json::to_vec(&self.head).context("a part's first line")?;
        out.push(b'\n');
        out.extend_from_slice(&self.body);
        Ok(out.into())
    }
}

#[derive(Debug)]
pub struct Part {
    pub head: Head,
    bytes: Bytes,
    body: usize,
}

impl Part {
    /// Reads the first line and counts the others.
    pub fn read(bytes: Bytes) -> Result<Self, &'static str> {
        let end = bytes.iter().position(|b| *b == b'\n').ok_or("is no part of a report")?;
        let head: Head =
            serde_json::from_slice(&bytes[..end]).map_err(|_| "is no part of a report")?;
        let body = end + 1;
        let lines = bytes[body..].iter().filter(|b| **b == b'\n').count() as u64;
        if lines != head.lines || bytes.last() != Some(&b'\n') {
            return Err("is cut short");
        }
        Ok(Self { head, bytes, body })
    }

    pub fn next(&self) -> i64 {
        self.head.next
    }

    /// As in every message and report: `topic/partition`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.head.topic, self.head.partition)
    }

    pub fn lines(&self) -> impl Iterator<Item = anyhow::Result<Line<'_>>> {
        let body = &self.bytes[self.body..];
        body.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(|line| {
            let text = std::str::from_utf8(line).ok();
            let read = text.and_then(|text| serde_json::from_str(text).ok());
            read.with_context(|| format!("a line of the part of {} cannot be read", self.name()))
        })
    }
}

#[derive(Debug, Deserialize)]
pub struct Line<'a>(#[serde(borrow)] pub &'a str, #[serde(borrow)] pub &'a RawValue, pub Vec<Cell>);
