//! What the records of one partition, from one offset to another, ask for.
mod identity;

use crate::{Cell, canonical_key, state::keys::SHARE};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeSet, fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub index: i32,
}
impl Partition {
    pub fn new(topic: &str, index: i32) -> Self {
        Self { topic: topic.into(), index }
    }
}
/// `topic/partition`, as in every message and report.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

/// Half-open range of Kafka offsets. `start` is where the state stands, not the first record seen, so gaps in the
/// offsets (transactions, compaction) never break the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub start: i64,
    pub end: i64,
}

/// What a [`Write`] does to its key in its view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The owner's part becomes this.
    Put(Vec<Cell>),
    /// The owner's part is gone.
    Delete,
    /// This partition's share of the key becomes this (not: grows by this); empty: none any more.
    Share(Vec<Cell>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The record that asked.
    pub offset: i64,
    /// Source commit time of that record, ms since 1970.
    pub source_ts_ms: i64,
    pub view: &'static str,
    pub key: Vec<Cell>,
    pub op: Op,
}

/// Key of a state row: chosen by the handler, unique within a partition's lane.
pub type Key = Vec<u8>;

/// Which record was applied last: a topic that was deleted and made again shows another one at that offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub offset: i64,
    /// Record timestamp, ms since 1970; -1 if the record has none.
    pub timestamp_ms: i64,
    /// First 8 bytes of SHA-256 of the record's key; 0 without a key.
    pub key_digest: u64,
    /// It deleted a row: a tombstone with its key says nothing new.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_delete: bool,
}

/// What stands in the state beside the rows. Moves with them, in the same atomic write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The next offset to apply.
    pub next: i64,
    pub last: Option<Mark>,
    /// Of the code and settings that shape effects; another one halts.
    pub fingerprint: String,
    /// Of the topic; another count halts.
    pub partitions: i32,
    /// The log began here, above 0, when this state was first made: older changes were never seen.
    pub trimmed: Option<i64>,
    /// Dead letters in a row up to here: a restart does not reset the flood limit.
    pub bad_run: u32,
    /// The source tables whose rows came through this partition, in the order in which they came; a new one is judged
    /// by them. Absent in states of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
}

/// Where rows come from, as their events say it; empty where they do not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub connector: String,
    pub database: String,
    pub schema: String,
    pub table: String,
}
impl Origin {
    /// The schema, or the database where there are no schemas.
    pub fn schema_or_database(&self) -> &str {
        if self.schema.is_empty() { &self.database } else { &self.schema }
    }
}
impl std::fmt::Display for Origin {
    /// `schema.table`, with the database in place of a schema where there is none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema_or_database(), self.table)
    }
}

#[derive(Debug, Clone)]
pub struct Batch {
    pub partition: Partition,
    /// Which table the partition carries, one letter: names this partition inside items (`p0`, `o63`).
    pub tag: char,
    pub span: Span,
    /// In offset order.
    pub writes: Vec<Write>,
    /// State rows as they are after the batch; `None`: removed. Keys are unique.
    pub rows: Vec<(Key, Option<Vec<u8>>)>,
    /// As it is after the batch: `checkpoint.next == span.end`.
    pub checkpoint: Checkpoint,
    /// Offsets whose refused writes are in the DLQ already: their refusal is no error any more.
    pub dead_lettered: BTreeSet<i64>,
    /// When the newest change of the batch was committed in the source, also one that asked for no write. The engine
    /// says it, for those who watch; it is no part of what is kept.
    pub source_ts_ms: Option<i64>,
    digest: [u8; 16],
}
impl Batch {
    /// Keys are in their [canonical form](canonical_key) from here on: every store and sink sees one key as one.
    pub fn new(
        partition: Partition,
        tag: char,
        start: i64,
        mut writes: Vec<Write>,
        rows: Vec<(Key, Option<Vec<u8>>)>,
        checkpoint: Checkpoint,
        dead_lettered: BTreeSet<i64>,
    ) -> Self {
        for write in &mut writes {
            if let Cow::Owned(key) = canonical_key(&write.key) {
                write.key = key;
            }
        }
        let span = Span { start, end: checkpoint.next };
        let digest = identity::of(&partition, span, &writes, &rows, &checkpoint);
        Self {
            partition,
            tag,
            span,
            writes,
            rows,
            checkpoint,
            dead_lettered,
            source_ts_ms: None,
            digest,
        }
    }
    /// Of the content: tells a repeat from another batch over the same offsets. The same content has another digest in
    /// another process: a repeat only ever comes from the same one.
    pub fn digest(&self) -> [u8; 16] {
        self.digest
    }
}

/// A row came to be one that its view raises an alert for ([`crate::AlertWhen`]). Raised once each time, under a name
/// that a repeat raises again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alert {
    /// `topic/partition/offset` of the record that crossed (the last one, where writes were coalesced), `/` and key: made
    /// by [`Alert::name`].
    pub name: String,
    pub key: Vec<Cell>,
    /// What the view tells with it, as it was when it was raised, where the sink knows.
    pub value: Option<i64>,
}
impl Alert {
    /// `topic/partition/offset` of the record that crossed; `source` is its partition as text.
    pub fn cause(source: &str, offset: i64) -> String {
        format!("{source}/{offset}")
    }
    /// The name of the alert that this record raised for this key. Every sink names alerts by this function: names are
    /// kept, and tell a repeat.
    pub fn name(cause: &str, key: &[Cell]) -> String {
        format!("{cause}/{}", key_text(key))
    }
}

/// A key as people read it: its columns between `/`. In a key of several columns `\` and `/` have a `\` before them, and
/// null is `\N`: no two keys of one view have one text. Null alone is nothing, as the empty text is.
pub fn key_text(key: &[Cell]) -> String {
    match key {
        [only] => only.to_string(),
        several => joined(several),
    }
}
/// Cells between `/`, each told from every other one of its type.
pub(crate) fn joined(cells: &[Cell]) -> String {
    cells.iter().map(escaped).collect::<Vec<_>>().join("/")
}
fn escaped(cell: &Cell) -> String {
    match cell {
        Cell::Null => "\\N".to_owned(),
        cell => cell.to_string().replace('\\', "\\\\").replace('/', "\\/"),
    }
}

/// What a durable batch has to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    pub alerts: Vec<Alert>,
}

/// The state key under which a partition keeps its share of a view's row. All of a view's: prefix [`share_prefix`].
pub fn share_key(view: &str, key: &[Cell]) -> Key {
    let mut at = Key::with_capacity(SHARE_KEY_BYTES);
    write_share_key(&mut at, view, key);
    at
}
/// Writes the key of a share, as [`share_key`] makes it, behind what is in `at`.
pub fn write_share_key(at: &mut Key, view: &str, key: &[Cell]) {
    write_share_prefix(at, view);
    serde_json::to_writer(at, &*canonical_key(key)).expect("cells are JSON");
}
/// [`SHARE`], the view and a zero byte: no other key begins so.
pub fn share_prefix(view: &str) -> Key {
    let mut at = Key::with_capacity(SHARE_KEY_BYTES);
    write_share_prefix(&mut at, view);
    at
}
fn write_share_prefix(at: &mut Key, view: &str) {
    at.push(SHARE);
    at.extend_from_slice(view.as_bytes());
    at.push(0);
}
/// What most keys of shares fit into.
const SHARE_KEY_BYTES: usize = 48;
