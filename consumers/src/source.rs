//! Where records come from. Brokers, files and simulations look alike from here.
pub mod kafka;
pub mod ndjson;
pub mod prefix;

use sinks::{Partition, state::Shown};
use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

/// A record, borrowed from the source's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub partition: &'a Partition,
    pub offset: i64,
    /// ms since 1970; -1 if the record has none.
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// Record headers, read only when somebody asks (reading them costs as much as half a parse).
#[derive(Clone, Copy)]
pub struct Headers<'a>(pub &'a dyn ListHeaders);
pub trait ListHeaders {
    fn list(&self) -> Vec<(String, Option<Vec<u8>>)>;
    /// Those whose names begin so; no others are copied. Costs next to nothing where the record has no headers.
    fn list_with(&self, prefix: &str) -> Vec<(String, Option<Vec<u8>>)> {
        self.list().into_iter().filter(|(name, _)| name.starts_with(prefix)).collect()
    }
}
impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers")
    }
}
/// No headers.
impl ListHeaders for () {
    fn list(&self) -> Vec<(String, Option<Vec<u8>>)> {
        Vec::new()
    }
}
impl ListHeaders for Vec<(String, Option<Vec<u8>>)> {
    fn list(&self) -> Vec<(String, Option<Vec<u8>>)> {
        self.clone()
    }
    fn list_with(&self, prefix: &str) -> Vec<(String, Option<Vec<u8>>)> {
        self.iter().filter(|(name, _)| name.starts_with(prefix)).cloned().collect()
    }
}

pub enum Signal<'a> {
    /// Ours from now on, paused until [`Source::seek`] and [`Source::resume`].
    Assigned(Partition),
    Revoked(Partition),
    Record(Record<'a>),
    /// The partition cannot be read on (its position is out of range, say); the text says what to do.
    Broken(Partition, String),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    /// There may be more at once.
    More,
    /// Nothing now.
    Idle,
    /// Nothing will ever come again, unless a seek goes back (files read to their end; Kafka with `--until-end`).
    End,
}

/// What the log of a partition holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// First offset still there.
    pub begin: i64,
    /// One past the last.
    pub end: i64,
    /// How many partitions the topic has; files show only how many there are at least.
    pub partitions: i32,
}

/// What a source tells of itself for people to look at; nothing is decided by it.
#[derive(Debug, Default)]
pub struct Link {
    /// Whether somebody has said which partitions are ours; they may be none.
    pub joined: AtomicBool,
    ends: Mutex<HashMap<Partition, End>>,
}
/// The end of a partition's log, as the broker said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub offset: i64,
    /// Everything up to there was fetched and handed over: what is left holds no records (transaction markers).
    pub is_reached: bool,
}
impl Link {
    pub fn end(&self, partition: &Partition) -> Option<End> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied()
    }
    pub fn set_ends(&self, ends: impl Iterator<Item = (Partition, End)>) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).extend(ends);
    }
}

/// Asks the broker, from any thread; may block for seconds.
pub trait Probe: Send + Sync {
    fn bounds(&self, partition: &Partition) -> anyhow::Result<Bounds>;
    /// The first offset whose record is of this time or later, ms since 1970. `None`: no record is.
    fn offset_at(&self, partition: &Partition, ms: i64) -> anyhow::Result<Option<i64>>;

    /// What is known of the topic's count of partitions where it is only shown, by files. `None`: the count of the
    /// bounds is the broker's own.
    fn shown(&self, _topic: &str) -> Option<Shown> {
        None
    }

    /// Shows the log's records from `from` up to `to`, in order, until `visit` has seen enough.
    /// `false`: the log does not reach back to `from` any more.
    fn read(
        &self,
        partition: &Partition,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<bool>;
}

/// Used by one thread, the only one that polls.
pub trait Source {
    /// Waits at most `wait`, then calls `visit` with whatever arrived; borrowed data dies with the call.
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<Flow>;
    /// Never blocks: takes effect with a later poll. Records already buffered are not delivered any more.
    fn seek(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()>;
    fn pause(&mut self, partition: &Partition) -> anyhow::Result<()>;
    fn resume(&mut self, partition: &Partition) -> anyhow::Result<()>;
    /// Advisory: shows operators the lag. The state's position is the truth. Never blocks; `flush` makes it so.
    fn acknowledge(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()>;
    /// Sends what was acknowledged and waits for the broker's answer, at most `wait`.
    fn flush(&mut self, wait: Duration) -> anyhow::Result<()>;
    fn probe(&self) -> Arc<dyn Probe>;
}
