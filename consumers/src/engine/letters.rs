//! Dead letters are said aloud: the first of a kind with its place, then one each time their number has doubled.
use sinks::{
    Letter,
    dlq::{Outcome, Replayed},
};
use std::{collections::BTreeMap, sync::Arc};

/// How many of each kind there were: topic, reason, and whether it was a replay that is dead again.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<(Arc<str>, &'static str, bool), u64>);

impl Told {
    /// Counts a letter that is durable; the sentence, if it is time for one.
    pub fn note(&mut self, letter: &Letter) -> Option<String> {
        let again = match &letter.replayed {
            None => false,
            Some(Replayed { outcome: Outcome::FailedAgain, .. }) => true,
            Some(_) => return None,
        };
        let reason = letter.reason.as_str();
        let kind = (letter.partition.topic.clone(), reason, again);
        let count = self.0.entry(kind).or_default();
        *count += 1;
        let what = if again { "a replayed letter is dead again" } else { "dead letter" };
        let which = match *count {
            1 => reason.to_owned(),
            n if n.is_power_of_two() => {
                format!("{reason}, number {n} of this reason and topic in this run")
            }
            _ => return None,
        };
        Some(format!("{what} ({which}): {}", letter.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sinks::{Partition, dlq::Reason};

    fn letter(topic: &str, offset: i64, reason: Reason) -> Letter {
        Letter {
            partition: Partition::new(topic, 0),
            offset,
            timestamp_ms: 0,
            key: None,
            value: Some(b"secret".to_vec()),
            headers: Vec::new(),
            reason,
            error: format!("topic {topic}, partition 0, offset {offset}: why"),
            replayed: None,
        }
    }

    #[test]
    fn the_first_of_each_kind_and_then_the_doublings() {
        let mut told = Told::default();
        let said: Vec<String> =
            (0..1_000).filter_map(|at| told.note(&letter("a", at, Reason::Invalid))).collect();
        assert_eq!(said.len(), 10, "{said:?}");
        assert_eq!(said[0], "dead letter (invalid): topic a, partition 0, offset 0: why");
        assert!(said[9].contains("number 512 of this reason and topic"), "{}", said[9]);
        for (topic, reason) in [("a", Reason::Malformed), ("b", Reason::Invalid)] {
            let text = told.note(&letter(topic, 7, reason)).expect("the first of its kind");
            assert!(text.contains("offset 7") && !text.contains("secret"), "{text}");
        }
    }

    #[test]
    fn a_replay_counts_by_itself_and_one_that_moved_on_is_no_letter() {
        let mut told = Told::default();
        assert!(told.note(&letter("a", 1, Reason::Invalid)).is_some());
        let replay = |outcome| Letter {
            replayed: Some(Replayed { of: 1, outcome }),
            ..letter("a", 9, Reason::Invalid)
        };
        let text = told.note(&replay(Outcome::FailedAgain)).expect("the first");
        assert!(text.starts_with("a replayed letter is dead again (invalid): topic a"), "{text}");
        assert_eq!(told.note(&replay(Outcome::MovedOn)), None);
    }
}
