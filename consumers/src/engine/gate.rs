//! Every question to the outside passes here. While the breaker is not closed a lane's step is held back, as if it had
//! failed and waited, and no partition is read; all but the one that tries.
use super::{
    Action, Engine, Millis, Ticket,
    lane::{Lane, Phase},
};
use crate::{handler::Handler, policy::breaker::Turn};
use sinks::Partition;

impl<H: Handler> Engine<H> {
    /// Takes the step, at once or when the breaker lets it through.
    pub(super) fn begin(&mut self, partition: &Partition, step: Phase<H::Fact>) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        if self.breaker.is_closed() {
            self.send(partition, step);
        } else {
            lane.phase = Phase::Waiting { until: lane.not_before, then: Box::new(step) };
        }
    }

    fn send(&mut self, partition: &Partition, step: Phase<H::Fact>) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        let ticket = lane.ask(partition);
        let action = match &step {
            Phase::Opening => Action::Open(ticket),
            Phase::Fetching { keys, .. } => Action::Fetch(ticket, keys.clone()),
            Phase::Scanning { prefix, .. } => Action::Scan(ticket, prefix.clone()),
            Phase::CheckingLog { check, .. } => Action::CheckLog(ticket, check.clone()),
            Phase::Committing { batch, letters } => {
                Action::Commit(ticket, batch.clone(), letters.clone())
            }
            Phase::Publishing => Action::Publish(ticket, lane.checkpoint.clone()),
            // Nothing is asked for in these.
            Phase::Verifying(_) | Phase::Open | Phase::Waiting { .. } | Phase::Halted => return,
        };
        lane.phase = step;
        self.actions.push_back(action);
    }

    /// Tries again what failed or was held back, when its pause is over.
    pub(super) fn wake(&mut self, now: Millis, partition: &Partition) {
        let due =
            |lane: &Lane<_>| matches!(lane.phase, Phase::Waiting { until, .. } if until <= now);
        if self.breaker.is_closed() && self.lanes.get(partition).is_some_and(due) {
            self.send_waiting(partition);
        }
    }

    fn send_waiting(&mut self, partition: &Partition) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        match std::mem::replace(&mut lane.phase, Phase::Open) {
            Phase::Waiting { then, .. } => self.send(partition, *then),
            phase => lane.phase = phase,
        }
    }

    /// When the breaker's pause is over, one lane tries.
    pub(super) fn probe(&mut self, now: Millis) {
        let lanes = &self.lanes;
        let waits = |partition: &Partition| {
            let phase = lanes.get(partition).map(|lane| &lane.phase);
            matches!(phase, Some(Phase::Waiting { .. }))
        };
        match self.breaker.turn(now, lanes.len(), waits) {
            Some(Turn::Probe(partition)) => self.send_waiting(&partition),
            Some(Turn::Closed) => self.let_all_through(),
            None => {}
        }
    }

    /// A call of this lane worked.
    pub(super) fn worked(&mut self, now: Millis, ticket: &Ticket) {
        if self.breaker.succeeded(now, &ticket.partition) {
            self.let_all_through();
        }
    }

    /// A call of this lane failed for now.
    pub(super) fn failed(&mut self, now: Millis, ticket: &Ticket, cause: &str) {
        let lanes = self.lanes.len();
        if self.breaker.failed(now, &ticket.partition, cause, lanes, &self.policy) {
            let flowing = self.lanes.iter().filter(|(_, lane)| !lane.paused);
            self.actions.extend(flowing.map(|(partition, _)| Action::Pause(partition.clone())));
        }
    }

    /// Reads on, unless the breaker is in the way (then when it closes) or the engine is about to halt.
    pub(super) fn resume(&mut self, partition: &Partition) {
        if self.breaker.is_closed() && !self.is_stopping() {
            self.actions.push_back(Action::Resume(partition.clone()));
        }
    }

    fn let_all_through(&mut self) {
        let reads_on = !self.is_stopping();
        for (partition, lane) in &mut self.lanes {
            if let Phase::Waiting { until, .. } = &mut lane.phase {
                *until = lane.not_before;
            }
            if reads_on && !lane.paused {
                self.actions.push_back(Action::Resume(partition.clone()));
            }
        }
    }
}
