//! Letters that come back: a replay of our own takes effect at its new offset, unless its key has moved on; everybody
//! else's is passed over. Failing again marks the letter, and counts towards no limit of dead letters, nor ends one: replays are an
//! operator's doing, and must not stop a service.
use super::{
    Action, Engine, Millis, Phase, Ticket,
    lane::{Asked, Round},
};
use crate::{
    handler::Handler,
    removal,
    replay::{LogCheck, Reading, Replay, Verdict, Whose},
    source::Record,
};
use sinks::{
    Letter, Partition, SinkError,
    dlq::{Outcome, Reason, Replayed},
};

/// Why a record is no ordinary one: what it was sent for.
pub(super) enum Returned {
    /// The letter of another service or generation: it applied, or judged, the original.
    Foreign,
    Own(Replay),
    /// A row that the source no longer has, looked for in the log up to here.
    Removal(i64),
}
impl Returned {
    /// A record between which and the command's look others may have come must be looked for.
    /// Keys are read as the record itself is.
    pub fn log_check(
        &self,
        record: &Record<'_>,
        whose: Option<&Whose>,
        reading: impl FnOnce() -> Reading,
    ) -> Option<LogCheck> {
        let (whose, offset, from) = match self {
            Self::Own(replay) => (Some(whose?.clone()), replay.offset, replay.clean_to),
            Self::Removal(clean_to) => (None, clean_to - 1, *clean_to),
            Self::Foreign => return None,
        };
        (record.offset > from).then(|| LogCheck {
            whose,
            reading: reading(),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            offset,
            from,
            to: record.offset,
        })
    }
    /// What to say of its letter if it is dead again.
    pub fn failed(&self) -> Option<Replayed> {
        match self {
            Self::Own(replay) => {
                Some(Replayed { of: replay.offset, outcome: Outcome::FailedAgain })
            }
            _ => None,
        }
    }
}

impl<H: Handler> Engine<H> {
    /// Whose letters' replays take effect here. Without it none do.
    #[must_use]
    pub fn replaying_as(mut self, service: &str, generation: u64) -> Self {
        self.whose = Some(Whose { service: service.to_owned(), generation });
        self
    }

    /// What a record asks for that is no ordinary one. Depends on the record alone.
    pub(super) fn read_returned(
        &mut self,
        record: &Record<'_>,
        returned: &Returned,
    ) -> Asked<H::Fact> {
        match returned {
            Returned::Foreign => {
                self.counters.skipped += 1;
                self.forget_deleted(record.partition);
                Asked::Nothing
            }
            Returned::Own(_) => match self.read(record) {
                Asked::Truncate(table, _) => {
                    let why = format!("a truncate of {table} is not replayed");
                    Asked::Dead(Reason::Invalid, why)
                }
                asked => asked,
            },
            Returned::Removal(_) => self.read_removal(record),
        }
    }

    /// The record before was a delete; this one is not the tombstone that follows it.
    pub(super) fn forget_deleted(&mut self, partition: &Partition) {
        if let Some(lane) = self.lanes.get_mut(partition) {
            lane.deleted = None;
        }
    }

    /// What the record says that it was sent for; `None`: it is an ordinary one. `Err`: it says what cannot be.
    pub(super) fn returned(&self, record: &Record<'_>) -> Result<Option<Returned>, String> {
        let Some((service, replay)) = Replay::of(record.headers) else {
            return removal::clean_to(record)
                .map(|clean_to| clean_to.map(Returned::Removal))
                .transpose();
        };
        let Some(whose) = self.whose.as_ref().filter(|whose| whose.service == service) else {
            return Ok(Some(Returned::Foreign));
        };
        let replay = replay?;
        if replay.generation != whose.generation {
            return Ok(Some(Returned::Foreign));
        }
        if replay.offset >= replay.clean_to || replay.clean_to > record.offset {
            return Err(format!(
                "it says that it replays offset {}, clean to {}: neither can be",
                replay.offset, replay.clean_to
            ));
        }
        Ok(Some(Returned::Own(replay)))
    }

    pub(super) fn on_log_checked(
        &mut self,
        now: Millis,
        ticket: &Ticket,
        result: Result<Verdict, SinkError>,
    ) {
        let Some(lane) = self.live(ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::CheckingLog { mut pending, check } = phase else {
            lane.phase = phase;
            return;
        };
        let (of, at) = (check.offset, check.to);
        let verdict = match result {
            Ok(verdict) => verdict,
            Err(error) => {
                return self.react(now, ticket, Phase::CheckingLog { pending, check }, error);
            }
        };
        self.worked(now, ticket);
        if check.whose.is_none() {
            return self.on_removal_checked(&ticket.partition, pending, &check, verdict);
        }
        let why = match verdict {
            Verdict::Clean => return self.fetch(&ticket.partition, pending, Round::First),
            // An earlier life may have judged it, and written: to leave it out now would not take that back.
            Verdict::Unknown => {
                let why = format!(
                    "offset {at} replays the letter of offset {of}, and the log no longer reaches back to offset {}: \
                     nobody can tell whether its row was changed since; start with a new GENERATION, which passes it \
                     over, and let the topic keep its records longer",
                    check.from
                );
                return self.halt(&ticket.partition, &why);
            }
            Verdict::MovedOn { at: newer } => format!("a newer record at offset {newer}"),
            Verdict::Replayed { at: earlier } => format!("replayed already at offset {earlier}"),
        };
        pending.entries.clear();
        pending.dead_lettered.clear();
        pending.letters.clear();
        if !matches!(verdict, Verdict::Replayed { .. }) {
            pending.letters.push(moved_on(&ticket.partition, at, of, &why));
        }
        self.counters.skipped += 1;
        let text = format!(
            "{}: the letter of offset {of}, replayed at {at}, is left out: {why}",
            ticket.partition
        );
        self.actions.push_back(Action::Warn(text));
        self.fetch(&ticket.partition, pending, Round::First);
    }
}

/// Never a letter: the word that marks one.
fn moved_on(partition: &Partition, at: i64, of: i64, why: &str) -> Letter {
    Letter {
        partition: partition.clone(),
        offset: at,
        timestamp_ms: -1,
        key: None,
        value: None,
        headers: Vec::new(),
        reason: Reason::Invalid,
        error: why.to_owned(),
        replayed: Some(Replayed { of, outcome: Outcome::MovedOn }),
    }
}
