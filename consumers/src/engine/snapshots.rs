//! Another snapshot in a log that was read before. Rows that were deleted while the connector was away are in no
//! snapshot, and no delete of them was ever sent: nothing in the log says that they are gone. So it is said aloud.
//!
//! Told from the records alone: after a restart the record that was applied last is read again, and says whether it
//! was part of a snapshot. Records of an incremental snapshot carry no marks of its begin and end and lie among
//! streamed ones: those that come soon after another are taken for the same one, and a restart amid one says it again.
#![deny(clippy::disallowed_methods)]

use super::{Action, Counters};
use crate::{
    replay::{Replay, Whose},
    source::Record,
};
use chrono::{DateTime, SecondsFormat};
use debezium::{Change, Decoder, Envelope, Snapshot, Source};
use sinks::Partition;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Records of incremental snapshots, further apart than this by the source's clock, are of two.
const PAUSE_MS_MAX: i64 = 15 * 60 * 1_000;

/// What kinds there are, as the metric's label says it.
pub const WHOLE: &str = "whole";
pub const INCREMENTAL: &str = "incremental";

/// What a partition's newest change was part of.
#[derive(Debug, Default)]
enum Last {
    /// Nothing was read, and nothing applied.
    #[default]
    Nothing,
    /// Something was applied; what, cannot be told any more.
    Something,
    Streamed,
    Snapshot(Whole),
}

/// A whole snapshot that is being read.
#[derive(Debug)]
struct Whole {
    /// The transaction and the place in the source's log that it was taken at: the same in all of its records, where
    /// the connector says them.
    taken_at: Option<(i64, u64)>,
    /// Tables whose first row was marked: several may be routed into one topic.
    begun: BTreeSet<String>,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Seen {
    last: Last,
    incremental_ms: Option<i64>,
    /// Said already: up to this offset.
    noticed_to: Option<i64>,
}

/// Of every partition that this process had.
#[derive(Debug, Default)]
pub(super) struct Snapshots(BTreeMap<Partition, Seen>);

impl Snapshots {
    /// A lane begins; `applied`: the stored state has applied records of it.
    pub fn opened(&mut self, partition: &Partition, applied: bool) {
        let seen = self.0.entry(partition.clone()).or_default();
        seen.last = if applied { Last::Something } else { Last::Nothing };
    }

    /// The record that was applied last, read again.
    pub fn verified(&mut self, decoder: &mut Decoder, record: &Record<'_>) {
        let envelope = decoder.decode(&record.partition.topic, record.key, record.value);
        if let Ok(Envelope::Change(change)) = envelope
            && Replay::of(record.headers).is_none()
            && let Some(seen) = self.0.get_mut(record.partition)
        {
            seen.see(&change.source);
        }
    }

    /// A change, before anything is decided about it: says so if another snapshot begins with it.
    pub fn notice(
        &mut self,
        record: &Record<'_>,
        change: &Change<'_>,
        whose: Option<&Whose>,
        counters: &mut Counters,
        actions: &mut VecDeque<Action>,
    ) {
        let Some(seen) = self.0.get_mut(record.partition) else { return };
        let source = &change.source;
        let is_nothing_new = source.snapshot == Snapshot::No && matches!(seen.last, Last::Streamed);
        // A letter that comes back says when its record was written, not when it came back.
        if is_nothing_new || Replay::of(record.headers).is_some() {
            return;
        }
        let Some(kind) = seen.see(source) else { return };
        if seen.noticed_to.is_some_and(|offset| record.offset <= offset) {
            return;
        }
        seen.noticed_to = Some(record.offset);
        *counters.snapshots.entry(kind).or_default() += 1;
        actions.push_back(Action::Warn(sentence(record, &source.table, kind, whose)));
    }
}

impl Seen {
    /// The kind of the snapshot that begins here, over what was read before.
    fn see(&mut self, source: &Source<'_>) -> Option<&'static str> {
        let begins = match source.snapshot {
            Snapshot::No => {
                self.last = Last::Streamed;
                return None;
            }
            Snapshot::Incremental => {
                let goes_on = self
                    .incremental_ms
                    .is_some_and(|ms| source.ts_ms.saturating_sub(ms) <= PAUSE_MS_MAX);
                self.incremental_ms = Some(source.ts_ms);
                let is_first = matches!(self.last, Last::Nothing);
                self.last = Last::Streamed;
                return (!goes_on && !is_first).then_some(INCREMENTAL);
            }
            _ => match &self.last {
                Last::Nothing => false,
                Last::Something | Last::Streamed => true,
                Last::Snapshot(whole) => !whole.goes_on_with(source),
            },
        };
        let mut whole = match std::mem::take(&mut self.last) {
            Last::Snapshot(whole) if !begins => whole,
            _ => Whole { taken_at: taken_at(source), begun: BTreeSet::new(), is_over: false },
        };
        if is_marked_first(source) {
            whole.begun.insert(source.table.clone().into_owned());
        }
        whole.is_over |= source.snapshot == Snapshot::Last;
        self.last = Last::Snapshot(whole);
        begins.then_some(WHOLE)
    }
}

impl Whole {
    fn goes_on_with(&self, source: &Source<'_>) -> bool {
        let elsewhere = match (self.taken_at, taken_at(source)) {
            (Some(ours), Some(theirs)) => ours != theirs,
            _ => false,
        };
        let again = source.snapshot == Snapshot::First
            || is_marked_first(source) && self.begun.contains(&*source.table);
        !self.is_over && !elsewhere && !again
    }
}

fn is_marked_first(source: &Source<'_>) -> bool {
    matches!(source.snapshot, Snapshot::First | Snapshot::FirstInCollection)
}
fn taken_at(source: &Source<'_>) -> Option<(i64, u64)> {
    source.tx_id.zip(source.lsn)
}

fn sentence(record: &Record<'_>, table: &str, kind: &str, whose: Option<&Whose>) -> String {
    let service = whose.map_or("SERVICE", |whose| whose.service.as_str());
    let time =
        DateTime::from_timestamp_millis(record.timestamp_ms).filter(|_| record.timestamp_ms >= 0);
    let time = time.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true));
    let start = time.map_or_else(
        || "START at a time before it".to_owned(),
        |time| format!("START at a time before it (this record is of {time})"),
    );
    let a_kind = if kind == WHOLE { "a whole" } else { "an incremental" };
    format!(
        "{}: another snapshot of table {table} begins at offset {}, {a_kind} one, over changes that were applied before. \
         Its rows come again, which changes nothing. But if changes were lost before it (a lost replication slot, a \
         connector made anew), rows that were deleted meanwhile are not in it, and stay in the views: `cdc verify \
         {service}` finds them, and with --repair mends them; a new GENERATION is rid of them with {start}",
        record.partition, record.offset
    )
}
