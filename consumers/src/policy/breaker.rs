//! The circuit breaker: when calls fail one after another, nothing is sent any more until a single try has worked.
//!
//! One for a process, not one for each kind of step: all lanes share the state, the sink and the dead letters, a
//! commit needs all three of them, and its error does not say which one failed. Publication is left out of the count:
//! it repeats what is durable already, and must not hold commits up; it waits, too, while the breaker is open.
//!
//! It never opens, nor stays open, on the word of one lane while others are held: a partition can be ill by itself
//! (no leader, an object that cannot be read), and waits by itself then. Tries go round the lanes whose calls failed,
//! for the same reason.
//!
//! Absent on purpose: clocks, and any way to stay half-open when the lane that tries goes away.
use super::{Millis, Policy};
use sinks::Partition;
use std::{
    collections::BTreeSet,
    ops::Bound::{Excluded, Unbounded},
};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Every lane sends what it has to.
    #[default]
    Closed,
    /// Nobody sends anything before this time.
    Open { until: Millis },
    /// This lane tries; all others wait for what comes of it.
    HalfOpen { probe: Partition },
}
impl State {
    /// For logs and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

/// What the end of a pause comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    /// This lane does what it was waiting to do, alone.
    Probe(Partition),
    /// Too few lanes are left that speak for an outage: closed, everybody goes on.
    Closed,
}

#[derive(Debug, Default)]
pub struct Breaker {
    state: State,
    /// Failures since the last success.
    run: u32,
    /// The lanes whose last call failed, since the last success.
    failing: BTreeSet<Partition>,
    last_probe: Option<Partition>,
    /// Pauses since it opened.
    pauses: u32,
    opened: u64,
    probes: u64,
    since: Millis,
    cause: String,
}

impl Breaker {
    pub fn state(&self) -> &State {
        &self.state
    }
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }
    /// How often it opened; a failed probe does not count again.
    pub fn opened(&self) -> u64 {
        self.opened
    }
    /// Tries while it was not closed, of its whole life.
    pub fn probes(&self) -> u64 {
        self.probes
    }
    /// When it opened, or closed, last; 0: never opened.
    pub fn since(&self) -> Millis {
        self.since
    }
    /// The failure seen last, with its partition; empty: none yet. It stays when the breaker closes.
    pub fn cause(&self) -> &str {
        &self.cause
    }
    /// Failures since the last success, of all lanes.
    pub fn failures_in_a_row(&self) -> u32 {
        self.run
    }

    /// One call failed for now. `lanes`: how many are held. `true`: it opens with this.
    pub fn failed(
        &mut self,
        now: Millis,
        partition: &Partition,
        cause: &str,
        lanes: usize,
        policy: &Policy,
    ) -> bool {
        self.cause = format!("{partition}: {cause}");
        self.run = self.run.saturating_add(1);
        self.failing.insert(partition.clone());
        match &self.state {
            State::Closed if self.run >= policy.breaker_failures && self.is_certain(lanes) => {
                self.opened += 1;
                (self.pauses, self.since, self.last_probe) = (0, now, None);
                self.pause(now, policy);
                true
            }
            State::HalfOpen { probe } if probe == partition => {
                self.pause(now, policy);
                false
            }
            // Sent before it opened, or counted while it is closed.
            _ => false,
        }
    }

    /// One call worked. `true`: it closes with this. A call that was sent before it opened tells nothing of now.
    pub fn succeeded(&mut self, now: Millis, partition: &Partition) -> bool {
        match &self.state {
            State::Closed => {
                self.run = 0;
                self.failing.clear();
                false
            }
            State::HalfOpen { probe } if probe == partition => {
                self.close(now);
                true
            }
            _ => {
                self.failing.remove(partition);
                false
            }
        }
    }

    /// The lane is forgotten, or loaded again: whatever it was asked, no answer of it counts. When it was the one that
    /// tries, the next one does at once.
    pub fn gone(&mut self, partition: &Partition) {
        self.failing.remove(partition);
        if matches!(&self.state, State::HalfOpen { probe } if probe == partition) {
            self.state = State::Open { until: 0 };
        }
    }

    /// When the pause is over: who tries. `waits` tells the lanes that have a step ready; a lane whose call, sent
    /// before the breaker opened, is still under way serves if no other does: its answer decides.
    pub fn turn(
        &mut self,
        now: Millis,
        lanes: usize,
        waits: impl Fn(&Partition) -> bool,
    ) -> Option<Turn> {
        if !matches!(self.state, State::Open { until } if until <= now) {
            return None;
        }
        let after = self.last_probe.as_ref().map_or(Unbounded, Excluded);
        let behind = self.failing.range((after, Unbounded));
        let round: Vec<&Partition> = behind.chain(&self.failing).collect();
        let next = round.iter().find(|partition| waits(partition)).or(round.first());
        let probe = next.map(|partition| (*partition).clone());
        let Some(probe) = probe.filter(|_| self.is_certain(lanes)) else {
            self.close(now);
            return Some(Turn::Closed);
        };
        self.probes += 1;
        self.last_probe = Some(probe.clone());
        self.state = State::HalfOpen { probe: probe.clone() };
        Some(Turn::Probe(probe))
    }

    /// Two lanes failed, or the only one there is.
    fn is_certain(&self, lanes: usize) -> bool {
        self.failing.len() >= lanes.clamp(1, 2)
    }

    fn pause(&mut self, now: Millis, policy: &Policy) {
        self.pauses = self.pauses.saturating_add(1);
        // Lanes are salted with their life, counted from 1: this stays clear of them.
        let until = now.saturating_add(policy.backoff(self.pauses, u64::MAX - self.opened));
        self.state = State::Open { until };
    }

    fn close(&mut self, now: Millis) {
        (self.state, self.run, self.since) = (State::Closed, 0, now);
        self.failing.clear();
    }
}

#[cfg(test)]
mod tests;
