//! How many partitions a topic has, where nobody knows: files show only those that hold a record.
use super::State;
use crate::{Checkpoint, SinkError, state::refuse_count};
use anyhow::anyhow;
use std::collections::BTreeMap;

/// Why a count of [`Shown`] is taken to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// An operator said it. `placed`: and each key is where the default partitioner puts it.
    Told { placed: bool },
    /// Each key is where the default partitioner puts it under this count.
    Keys,
    /// No count has all keys where the default partitioner puts them; but none is in two partitions.
    Apart,
    /// Nothing: an operator said that producers place records by rules of their own.
    Nothing,
}

/// What files show of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub basis: Basis,
    /// The counts that nothing in the files speaks against, ascending; never empty.
    pub counts: Vec<i32>,
    /// First offset and one past the last, by partition; only those that hold a record.
    pub spans: BTreeMap<i32, (i64, i64)>,
}

/// The count to open the topic's lanes with. The first is kept, the smallest that the files allow; later ones agree
/// with it wherever they can. It is raised, for good, if an operator told the larger one, or if the files show
/// everything that the state was made of, and each key of it lies where the larger count has it: then the topic had
/// that many partitions from the start, and the earlier files held no record of some. Where keys lie by rules that are
/// not known, only files that show everything can be gone on with: that no key is in two partitions is seen there.
/// Everything else is refused as [`State::keep_count`] does, and nothing changes.
pub async fn find_count(state: &dyn State, topic: &str, shown: &Shown) -> Result<i32, SinkError> {
    let smallest = *shown.counts.first().ok_or_else(|| {
        SinkError::fatal(anyhow!("the topic {topic}: no count of partitions fits its records"))
    })?;
    let kept = state.count(topic).await?;
    let is_placed = matches!(shown.basis, Basis::Keys | Basis::Told { placed: true });
    let is_known = is_placed && kept.is_none_or(|kept| kept > 0);
    let asks_for_all = !is_known && (is_placed || shown.basis == Basis::Apart);
    let count = match kept.map(i32::abs) {
        None => smallest,
        Some(kept) if asks_for_all => {
            if !shows_all(shown, &state.checkpoints(topic).await?) {
                return Err(hidden(topic));
            }
            if matches!(shown.basis, Basis::Told { .. }) && smallest < kept {
                refuse_count(topic, kept, smallest)?;
            }
            smallest.max(kept)
        }
        Some(kept) if shown.counts.contains(&kept) => kept,
        Some(kept) => {
            let larger = shown.counts.iter().copied().find(|n| *n > kept);
            let Some(larger) = larger else {
                refuse_count(topic, kept, smallest)?;
                return Ok(kept);
            };
            let is_sure = match shown.basis {
                Basis::Told { .. } => true,
                Basis::Keys => shows_all(shown, &state.checkpoints(topic).await?),
                Basis::Apart | Basis::Nothing => false,
            };
            if !is_sure {
                return Err(unsure(topic, kept, larger));
            }
            larger
        }
    };
    let count_kept = if is_known { count } else { -count };
    if kept.is_some_and(|kept| kept != count_kept) {
        state.raise_count(topic, count_kept).await?;
    }
    state.keep_count(topic, count_kept).await?;
    Ok(count)
}

/// From where each lane began to where it stands.
fn shows_all(shown: &Shown, lanes: &[(i32, Checkpoint)]) -> bool {
    lanes.iter().all(|(index, at)| {
        let began = at.trimmed.unwrap_or(0);
        let span = shown.spans.get(index);
        at.next <= began || span.is_some_and(|(begin, end)| *begin <= began && *end >= at.next)
    })
}

fn unsure(topic: &str, kept: i32, now: i32) -> SinkError {
    SinkError::fatal(anyhow!(
        "the topic {topic} has {now} partitions by these files and the state was made with {kept}. If it had {now} \
         from the start and the earlier files held no record of some of them, say so: \
         TOPIC_PARTITIONS={topic}={now} (or give files that go back to where the state began). If partitions were \
         added, keys have moved, and their older records are still where they were, so they would count twice: have \
         Debezium write a new snapshot to topics made anew (or under another topic.prefix), then start with a new \
         GENERATION"
    ))
}

fn hidden(topic: &str) -> SinkError {
    SinkError::fatal(anyhow!(
        "{topic}: keys are not where Kafka's default partitioner puts them, and these files do not go back to where \
         the state began, so a key that was in another partition before would not be seen, and would count twice. Give \
         files with the whole log. Or, if the producer places records by rules of its own and a key never changes its \
         partition, set PLACEMENT=custom"
    ))
}
