//! A halt keeps what was safe. Whatever stops one partition, everything that was read before it becomes durable first,
//! in all partitions; then the engine says [`Action::Halt`], once. A restart goes on from there.
//!
//! Two ways to stop a lane: *behind* what it has read (the record at hand is the reason, and is not taken), or *at
//! once* (its state or sink is the reason: what it had in hand cannot become durable). The others finish either way,
//! for [`crate::policy::Policy::halt_grace_ms`] at most: a sink that is down must not hide the reason.
use super::{Action, Engine, Millis, lane::Phase};
use crate::handler::Handler;
use sinks::Partition;

/// Why the engine is about to halt, and how long it may still take.
#[derive(Debug)]
pub(super) struct Stopping {
    why: String,
    partition: Partition,
    until: Millis,
    /// [`Action::Halt`] was given.
    is_said: bool,
}

impl<H: Handler> Engine<H> {
    /// Stops the partition at once: what it had in hand is read again after a restart.
    pub(super) fn halt(&mut self, partition: &Partition, why: &str) {
        if let Some(lane) = self.lanes.get_mut(partition) {
            self.counters.given_back += lane.unsettled;
            lane.drop_queue();
            lane.unsettled = 0;
            lane.phase = Phase::Halted;
            lane.stopped = Some(why.to_owned());
        }
        self.stop(partition, why);
    }

    /// Stops the partition behind everything that was read of it so far.
    pub(super) fn halt_behind(&mut self, partition: &Partition, why: &str) {
        if let Some(lane) = self.lanes.get_mut(partition) {
            lane.stopped = Some(why.to_owned());
        }
        self.stop(partition, why);
    }

    fn stop(&mut self, partition: &Partition, why: &str) {
        let why = format!("{partition}: {why}");
        if let Some(stopping) = &self.stopping {
            // One reason ends the process; another one is not passed over.
            if stopping.why != why {
                self.actions.push_back(Action::Warn(why));
            }
            return;
        }
        let until = self.now.saturating_add(self.policy.halt_grace_ms);
        let partition = partition.clone();
        self.stopping = Some(Stopping { why, partition, until, is_said: false });
        self.actions.extend(self.lanes.keys().cloned().map(Action::Pause));
    }

    /// Whether what was read becomes durable without waiting for more.
    pub(super) fn is_draining(&self) -> bool {
        self.draining || self.stopping.is_some()
    }
    /// Whether partitions are to be read on.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }
    pub(super) fn stopping_until(&self) -> Option<Millis> {
        self.stopping.as_ref().filter(|stopping| !stopping.is_said).map(|stopping| stopping.until)
    }

    /// After every event: says the halt when nothing is left to become durable, or the grace is over.
    pub(super) fn finish_stopping(&mut self) {
        if self.stopping_until().is_none() {
            return;
        }
        let partitions: Vec<Partition> = self.lanes.keys().cloned().collect();
        for partition in partitions {
            self.advance(self.now, &partition);
        }
        let is_settled = self.is_idle(false);
        let now = self.now;
        let Some(stopping) = &mut self.stopping else { return };
        if is_settled || now >= stopping.until {
            stopping.is_said = true;
            self.actions.push_back(Action::Halt(stopping.why.clone()));
        }
    }

    /// The partition is gone, or is read again from its stored position: its reason to halt will be met again, here or
    /// by its next owner. The others go on, unless one of them has a reason of its own.
    pub(super) fn call_off(&mut self, partition: &Partition) {
        let is_its = |stopping: &Stopping| stopping.partition == *partition && !stopping.is_said;
        if !self.stopping.as_ref().is_some_and(is_its) {
            return;
        }
        self.stopping = None;
        let other = self.lanes.iter().find_map(|(partition, lane)| {
            lane.stopped.as_ref().map(|why| (partition.clone(), why.clone()))
        });
        if let Some((partition, why)) = other {
            return self.stop(&partition, &why);
        }
        if self.breaker.is_closed() {
            let flowing = self.lanes.iter().filter(|(_, lane)| !lane.paused);
            self.actions.extend(flowing.map(|(partition, _)| Action::Resume(partition.clone())));
        }
    }
}
