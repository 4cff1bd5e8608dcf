//! Rows that the source no longer has, taken out through the log: see [`crate::removal`].
use super::{
    Action, Engine,
    lane::{Asked, PendingBatch, Round},
};
use crate::{
    handler::Handler,
    replay::{LogCheck, Verdict},
    source::Record,
};
use sinks::Partition;
use std::sync::Arc;

impl<H: Handler> Engine<H> {
    /// The delete of the row that its key names, as any tombstone's.
    pub(super) fn read_removal(&mut self, record: &Record<'_>) -> Asked<H::Fact> {
        self.counters.tombstones += 1;
        let Some(lane) = self.lanes.get_mut(record.partition) else { return Asked::Nothing };
        lane.deleted = None;
        let table = Arc::clone(&lane.table);
        self.read_tombstone(record, &table, false)
    }

    pub(super) fn on_removal_checked(
        &mut self,
        partition: &Partition,
        mut pending: PendingBatch<H::Fact>,
        check: &LogCheck,
        verdict: Verdict,
    ) {
        let at = check.to;
        let newer = match verdict {
            Verdict::Clean => return self.fetch(partition, pending, Round::First),
            // An earlier life may have judged it, and written: to leave it out now would not take that back.
            Verdict::Unknown => {
                let why = format!(
                    "offset {at} removes a row that the source no longer had, and the log no longer reaches back to \
                     offset {}: nobody can tell whether the row was made anew since; start with a new GENERATION, and \
                     let the topic keep its records longer",
                    check.from
                );
                return self.halt(partition, &why);
            }
            Verdict::MovedOn { at } | Verdict::Replayed { at } => at,
        };
        pending.entries.clear();
        pending.dead_lettered.clear();
        pending.letters.clear();
        self.counters.skipped += 1;
        let text = format!(
            "{partition}: the removal at offset {at} is left out: a newer record of its row is at offset {newer}"
        );
        self.actions.push_back(Action::Warn(text));
        self.fetch(partition, pending, Round::First);
    }
}
