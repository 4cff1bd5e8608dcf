//! What is committed is published, for sinks that are derived from the state: by the clock, between two commits.
use super::{
    Engine, Millis, Ticket,
    lane::{Lane, Phase},
};
use crate::{handler::Handler, policy::Reaction};
use sinks::{Partition, SinkError};

impl<H: Handler> Engine<H> {
    pub(super) fn publication_at(&self, lane: &Lane<H::Fact>, every: Millis) -> Millis {
        let at = if self.is_draining() { 0 } else { lane.published.0.saturating_add(every) };
        at.max(lane.publish_not_before)
    }

    pub(super) fn is_publication_due(&self, lane: &Lane<H::Fact>, now: Millis) -> bool {
        self.policy.publish_every_ms.is_some_and(|every| {
            lane.published.1 < lane.checkpoint.next
                && lane.checkpoint.next > 0
                && now >= self.publication_at(lane, every)
        })
    }

    pub(super) fn publish_if_due(&mut self, now: Millis, partition: &Partition) {
        if self.is_publication_due(&self.lanes[partition], now) {
            self.begin(partition, Phase::Publishing);
        }
    }

    pub(super) fn on_published(
        &mut self,
        now: Millis,
        ticket: &Ticket,
        result: Result<(), SinkError>,
    ) {
        let Some(lane) = self.live(ticket) else { return };
        if !matches!(lane.phase, Phase::Publishing) {
            return;
        }
        lane.phase = Phase::Open;
        match result {
            Ok(()) => {
                lane.published = (now, lane.checkpoint.next);
                lane.attempt = 0;
            }
            Err(error) => match self.reaction(error) {
                Reaction::Retry(cause) => {
                    let pause = self.retry(&ticket.partition, &cause);
                    if let Some(lane) = self.lanes.get_mut(&ticket.partition) {
                        lane.publish_not_before = now + pause;
                    }
                }
                Reaction::Halt(why) => return self.halt(&ticket.partition, &why),
                _ => return self.reload(now, &ticket.partition, Vec::new()),
            },
        }
        self.advance(now, &ticket.partition);
    }
}
