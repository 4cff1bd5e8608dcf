//! Where records come from. Brokers, files and simulations look alike from here.
pub mod kafka;
pub mod ndjson;

use sinks::Partition;
use std::{sync::Arc, time::Duration};

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
    /// How many partitions the topic has.
    pub partitions: i32,
}

/// Asks the broker, from any thread; may block for seconds.
pub trait Probe: Send + Sync {
    fn bounds(&self, partition: &Partition) -> anyhow::Result<Bounds>;
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
