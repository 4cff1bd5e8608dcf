//! Counts, for those who watch; nothing is decided by them.
use std::collections::BTreeMap;

/// What was seen so far, for people to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    pub records: u64,
    /// Of these: forgotten before they were durable, by a stop, a rebalance or a new load. Whoever has the partition next
    /// reads them again.
    pub given_back: u64,
    pub bytes: u64,
    /// Heartbeats, transaction markers, messages, and replays of other services' letters.
    pub skipped: u64,
    pub tombstones: u64,
    /// Durable ones, by reason.
    pub letters: BTreeMap<&'static str, u64>,
    /// Replays of letters that were dead again: no letters of their own.
    pub failed_again: u64,
    /// Snapshots that began over changes applied before, by kind: one of a partition each.
    pub snapshots: BTreeMap<&'static str, u64>,
    pub writes: u64,
    pub batches: u64,
    pub retries: u64,
    pub reloads: u64,
    pub alerts: u64,
    /// What the outside answered with, by what is done about it.
    pub errors: BTreeMap<&'static str, u64>,
}
