//! What became of a letter that was replayed: an object beside it, replaced only by a later word.
use super::{Letter, ObjectDlq};
use crate::{
    SinkError,
    objects::{Objects, Put, Tag, When},
};
use anyhow::anyhow;
use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Names of marks end so; such an object is never a letter.
pub const MARK_SUFFIX: &str = ".mark.json";

/// Others may write the same mark: how often to look again before it is tried later.
const TRIES: usize = 8;

/// What a service found when it met the replay of a letter of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The letter's offset, in the same partition.
    pub of: i64,
    pub outcome: Outcome,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    FailedAgain,
    /// A newer record of the same key came between: left out.
    MovedOn,
}

/// A letter without a mark is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplayStatus {
    /// In the log again; the service was not seen past it yet.
    Sent,
    Applied,
    FailedAgain,
    MovedOn,
}
impl ReplayStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            ReplayStatus::Sent => "sent",
            ReplayStatus::Applied => "applied",
            ReplayStatus::FailedAgain => "failed-again",
            ReplayStatus::MovedOn => "moved-on",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayMark {
    pub state: ReplayStatus,
    /// Where the replay is in the log; of a letter that was not sent because its key had moved on: the newer record.
    pub at: i64,
    /// How many replays failed.
    #[serde(default)]
    pub failures: u32,
    /// The last of them.
    #[serde(default)]
    pub failed_at: Option<i64>,
    /// Of the last failure, as in a letter.
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub error: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
}
impl ReplayMark {
    /// Goes on from what was known.
    pub fn next(known: Option<&Self>, state: ReplayStatus, at: i64) -> Self {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        match known {
            Some(known) => Self { state, at, time, ..known.clone() },
            None => {
                Self { state, at, failures: 0, failed_at: None, reason: None, error: None, time }
            }
        }
    }
}

/// The mark of the letter of this name.
pub fn mark_name(letter: &str) -> String {
    format!("{}{MARK_SUFFIX}", letter.strip_suffix(".json").unwrap_or(letter))
}

/// `None`: new. What cannot be read counts as nothing: the next mark replaces it.
pub async fn read_mark(
    objects: &dyn Objects,
    letter: &str,
) -> Result<Option<ReplayMark>, SinkError> {
    Ok(look(objects, letter).await?.0)
}

async fn look(
    objects: &dyn Objects,
    letter: &str,
) -> Result<(Option<ReplayMark>, Option<Tag>), SinkError> {
    let Some(object) = objects.get(&mark_name(letter)).await? else { return Ok((None, None)) };
    Ok((serde_json::from_slice(&object.bytes).ok(), Some(object.tag)))
}

/// Replaces the mark by what `change` makes of it; `None`: it stays. Gives the mark that stands then. Whoever writes
/// at the same time is not overwritten: `change` is asked again.
pub async fn write_mark(
    objects: &dyn Objects,
    letter: &str,
    change: impl Fn(Option<&ReplayMark>) -> Option<ReplayMark>,
) -> Result<Option<ReplayMark>, SinkError> {
    let name = mark_name(letter);
    for _ in 0..TRIES {
        let (known, tag) = look(objects, letter).await?;
        let Some(mark) = change(known.as_ref()) else { return Ok(known) };
        let bytes = Bytes::from(serde_json::to_vec_pretty(&mark).map_err(SinkError::fatal)?);
        let when = tag.map_or(When::IfAbsent, When::IfMatch);
        if let Put::Done(_) = objects.put(&name, bytes, when).await? {
            return Ok(Some(mark));
        }
    }
    Err(SinkError::transient(anyhow!("others keep changing {}", objects.address(&name))))
}

impl ObjectDlq {
    /// A service's word on a replay. Said again it changes nothing; a later replay's word stays.
    pub(super) async fn mark(
        &self,
        name: &str,
        record: &Letter,
        replayed: &Replayed,
    ) -> Result<(), SinkError> {
        let at = record.offset;
        let change = |known: Option<&ReplayMark>| {
            let state = match replayed.outcome {
                Outcome::FailedAgain => ReplayStatus::FailedAgain,
                Outcome::MovedOn => ReplayStatus::MovedOn,
            };
            if known.is_some_and(|known| known.at > at || (known.at, known.state) == (at, state)) {
                return None;
            }
            let mut mark = ReplayMark::next(known, state, at);
            if state == ReplayStatus::FailedAgain {
                mark.failures = mark.failures.saturating_add(1);
                mark.failed_at = Some(at);
                mark.reason = Some(record.reason.as_str().to_owned());
                mark.error = Some(record.error.clone());
            }
            Some(mark)
        };
        write_mark(&*self.objects, name, change).await?;
        Ok(())
    }
}
