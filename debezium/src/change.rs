//! A row's change, as Debezium tells it.
use crate::Row;
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Create,
    Update,
    Delete,
    /// A row read by a snapshot (`r`).
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// Streamed, not from a snapshot.
    No,
    First,
    FirstInCollection,
    Middle,
    LastInCollection,
    Last,
    Incremental,
}

/// Where a change comes from.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    pub connector: Cow<'a, str>,
    pub db: Cow<'a, str>,
    pub schema: Cow<'a, str>,
    pub table: Cow<'a, str>,
    /// Commit time at the source, ms since 1970.
    pub ts_ms: i64,
    pub snapshot: Snapshot,
    pub tx_id: Option<i64>,
    /// Not monotone in emission order; null for incremental snapshots. Never decide by it.
    pub lsn: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub op: Op,
    pub source: Source<'a>,
    /// The record's key, where it has one.
    pub key: Option<Row<'a>>,
    /// Under REPLICA IDENTITY DEFAULT: null for updates, fabricated beyond the key for deletes. Never compute from it.
    pub before: Option<Row<'a>>,
    pub after: Option<Row<'a>>,
    /// When Debezium made the event, ms since 1970.
    pub ts_ms: Option<i64>,
}
