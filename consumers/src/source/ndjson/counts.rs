//! How many partitions a topic has, as far as its records' places show it: a file says nothing of partitions without a
//! record.
use crate::{config::Placement, engine::placement::home};
use sinks::state::{Basis, Shown};
use std::collections::BTreeMap;

/// Counts beyond it have to be told.
const FOUND_MAX: i32 = 1_024;

/// The counts of one topic that nothing read so far speaks against.
pub(super) struct Counts {
    basis: Basis,
    placement: Placement,
    /// Ascending.
    left: Vec<i32>,
    highest: i32,
    /// Partition and offset of the record that no count was left for.
    broken: Option<(i32, i64)>,
    /// Keys were JSON in the file, and perhaps not these bytes in Kafka.
    rewritten: bool,
}

impl Counts {
    pub fn new(told: Option<i32>, placement: Placement) -> Self {
        let basis = match (told, placement) {
            (Some(_), placement) => Basis::Told { placed: placement == Placement::Default },
            (None, Placement::Default) => Basis::Keys,
            (None, Placement::Custom) => Basis::Nothing,
        };
        let left = told.map_or_else(|| (1..=FOUND_MAX).collect(), |n| vec![n]);
        Self { basis, placement, left, highest: 0, broken: None, rewritten: false }
    }

    pub fn see(&mut self, index: i32, offset: i64, key: Option<&[u8]>, rewritten: bool) {
        self.highest = self.highest.max(index);
        self.rewritten |= rewritten;
        if let (Some(key), Placement::Default) = (key, self.placement) {
            self.left.retain(|n| home(key, *n) == index);
            if self.left.is_empty() {
                self.broken.get_or_insert((index, offset));
            }
        }
    }

    /// What the files show of `topic`, or why nothing of it may be applied. `is_apart` looks whether no key is in two
    /// partitions, which is asked where no count fits.
    pub fn finish(
        mut self,
        topic: &str,
        spans: BTreeMap<i32, (i64, i64)>,
        is_apart: impl FnOnce() -> Result<(), String>,
    ) -> Result<Shown, String> {
        let highest = self.highest;
        let told = self.left.first().copied().filter(|_| matches!(self.basis, Basis::Told { .. }));
        if let Some(told) = told
            && told <= highest
        {
            return Err(format!(
                "TOPIC_PARTITIONS says that {topic} has {told} partitions, and the files have records of partition \
                 {highest}: partitions count from 0, so it has {} or more",
                highest.saturating_add(1)
            ));
        }
        self.left.retain(|n| *n > highest);
        match (self.left.is_empty(), self.broken) {
            (false, _) => {}
            // No key speaks against any count; it is only a large one.
            (true, None) if self.placement == Placement::Custom || highest >= FOUND_MAX => {
                self.left.push(highest.saturating_add(1));
            }
            (true, broken) => {
                if self.basis != Basis::Keys {
                    return Err(self.misplaced(topic, broken, ""));
                }
                is_apart().map_err(|both| self.misplaced(topic, broken, &both))?;
                tracing::warn!(
                    topic,
                    "keys are not where Kafka's default partitioner puts them. None is in two partitions, so nothing \
                     counts twice. From now on only files with the whole log can be gone on with, unless \
                     PLACEMENT=custom says that a key never changes its partition"
                );
                self.basis = Basis::Apart;
                self.left.push(highest.saturating_add(1));
            }
        }
        Ok(Shown { basis: self.basis, counts: self.left, spans })
    }

    fn misplaced(&self, topic: &str, broken: Option<(i32, i64)>, both: &str) -> String {
        let seen = broken.map_or(String::new(), |(index, offset)| {
            format!(" (seen at partition {index}, offset {offset})")
        });
        let among = match self.basis {
            Basis::Told { .. } => "among as many partitions as TOPIC_PARTITIONS says".to_owned(),
            _ => format!("whatever its count of partitions, up to {FOUND_MAX}"),
        };
        let bytes = if self.rewritten {
            " Keys are JSON values here, not text: perhaps their bytes are not those that were in Kafka; export keys \
             as text then."
        } else {
            ""
        };
        format!(
            "{topic}: keys are not where Kafka's default partitioner puts them, {among}{seen}{both}. Either partitions were \
             added while the log was written: then older records of a key are in another partition than newer ones, \
             and nothing is applied; have Debezium write a new snapshot to a topic made anew, and export that. Or the \
             producer places records by rules of its own, so that a key never changes its partition: then set \
             PLACEMENT=custom.{bytes}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(
        told: Option<i32>,
        placement: Placement,
        records: &[(&str, i32)],
    ) -> Result<Vec<i32>, String> {
        let mut counts = Counts::new(told, placement);
        for ((key, index), offset) in records.iter().zip(0..) {
            counts.see(*index, offset, Some(key.as_bytes()), false);
        }
        let both = || Err(", and one is in two".to_owned());
        counts.finish("t", BTreeMap::new(), both).map(|shown| shown.counts)
    }
    /// Enough keys to leave few counts.
    fn keys() -> Vec<String> {
        (0..200).map(|id| format!("{{\"id\":{id}}}")).collect()
    }
    fn placed(n: i32) -> Vec<(String, i32)> {
        keys().into_iter().map(|key| (key.clone(), home(&key.into_bytes(), n))).collect()
    }
    fn of(records: &[(String, i32)]) -> Vec<(&str, i32)> {
        records.iter().map(|(key, index)| (key.as_str(), *index)).collect()
    }

    #[test]
    fn keys_show_how_many_partitions_there_are() {
        for n in [1, 2, 3, 6, 50, 1_000] {
            let records = placed(n);
            let found = counts(None, Placement::Default, &of(&records)).expect("a count");
            assert_eq!(found.first(), Some(&n), "all of {n} partitions");
            // The last partitions hold no record yet.
            let early: Vec<_> = of(&records).into_iter().filter(|(_, index)| *index == 0).collect();
            let found = counts(None, Placement::Default, &early).expect("a count");
            assert!(found.contains(&n), "{n} is among {found:?}");
        }
    }

    #[test]
    fn partitions_added_while_the_log_was_written_are_refused_before_anything_is_applied() {
        let (old, new) = (placed(2), placed(3));
        let grown = [&old[..50], &new[50..]].concat();
        let why = counts(None, Placement::Default, &of(&grown)).expect_err("keys have moved");
        assert!(why.contains("PLACEMENT=custom") && why.contains("were added"), "{why}");
        assert!(why.contains("one is in two"), "{why}");
        assert!(why.contains("partition ") && why.contains("offset "), "{why}");
        assert_eq!(counts(None, Placement::Custom, &of(&grown)).expect("taken")[0], 3);
        let why = counts(Some(4), Placement::Default, &of(&old)).expect_err("told wrongly");
        assert!(why.contains("TOPIC_PARTITIONS"), "{why}");
        assert_eq!(counts(Some(2), Placement::Default, &of(&old)), Ok(vec![2]));
        let why = counts(Some(2), Placement::Custom, &of(&new)).expect_err("fewer than there are");
        assert!(why.contains("partition 2") && why.contains("has 3 or more"), "{why}");
    }

    #[test]
    fn records_without_keys_show_the_highest_partition_only() {
        let mut counts = Counts::new(None, Placement::Default);
        counts.see(4, 0, None, false);
        assert_eq!(counts.finish("t", BTreeMap::new(), || Ok(())).expect("fine").counts[0], 5);
        let mut counts = Counts::new(None, Placement::Default);
        counts.see(5_000, 0, None, false);
        assert_eq!(counts.finish("t", BTreeMap::new(), || Ok(())).expect("fine").counts, [5_001]);
    }
}
