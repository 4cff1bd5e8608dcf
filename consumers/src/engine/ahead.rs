//! While a batch is being committed, the rows that the next pending batch needs are fetched. So a lane does not wait for the
//! state's answers and for the sink's in turn, but for the slower of both.
//!
//! No row that is asked for is changed by the batch in flight, since the lane holds all rows that this one changes. What
//! comes back is learned while nothing is applied, and only as the answer to the question that its pending batch still
//! waits for; an answer that comes later, or again, is ignored as any other. An error is left to the next try, which the
//! pending batch makes when its turn comes.
use super::{
    Action, Engine, Ticket,
    lane::{Ahead, PendingBatch, Phase, Round},
};
use crate::handler::{Handler, Keys, Rows};
use sinks::{Key, Partition, SinkError};

/// The rows of the keys that were asked for, in their order.
pub(super) type Fetched = Result<Vec<Option<Vec<u8>>>, SinkError>;

impl<H: Handler> Engine<H> {
    /// Asks for rows of the next pending batch, if it is complete and a batch is being committed.
    pub(super) fn fetch_ahead(&mut self, partition: &Partition) {
        let cache = self.policy.cache_bytes_max / self.lanes.len().max(1);
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        if !matches!(lane.phase, Phase::Committing { .. }) || !self.breaker.is_closed() {
            return;
        }
        if lane.rows.bytes() > cache {
            return; // What is known has to be forgotten first, when the batch is durable.
        }
        let Some(pending) = lane.queue.front_mut().filter(|pending| pending.only_needs_rows())
        else {
            return;
        };
        let round = match pending.ahead {
            Ahead::Nothing => Round::First,
            Ahead::First => Round::Second,
            Ahead::Asked { .. } | Ahead::Done => return,
        };
        match missing(&self.handler, &mut lane.rows, pending, round) {
            None => pending.ahead = Ahead::Done,
            Some((keys, round)) => {
                lane.asked += 1;
                let question = lane.asked;
                pending.ahead = Ahead::Asked { question, keys: keys.clone(), round };
                let ticket = Ticket { partition: partition.clone(), life: lane.life, question };
                self.actions.push_back(Action::Fetch(ticket, keys));
            }
        }
    }

    /// Takes rows that were fetched ahead. `Err`: it is no answer to such a question.
    pub(super) fn on_fetched_ahead(
        &mut self,
        ticket: &Ticket,
        result: Fetched,
    ) -> Result<(), Fetched> {
        let lane = self.lanes.get_mut(&ticket.partition).filter(|lane| lane.life == ticket.life);
        let Some(lane) = lane else { return Err(result) };
        let Some(pending) = lane.queue.front_mut() else { return Err(result) };
        let (keys, round) = match std::mem::take(&mut pending.ahead) {
            Ahead::Asked { question, keys, round } if question == ticket.question => (keys, round),
            other => {
                pending.ahead = other;
                return Err(result);
            }
        };
        match result {
            Ok(rows) if rows.len() == keys.len() => {
                lane.rows.learn_ahead(keys.into_iter().zip(rows));
                pending.ahead = match round {
                    Round::First => Ahead::First,
                    Round::Second | Round::Again => Ahead::Done,
                };
                self.fetch_ahead(&ticket.partition);
            }
            _ => pending.ahead = Ahead::Done,
        }
        Ok(())
    }

    /// Makes the question that was asked ahead of this pending batch's turn the one that the lane waits for. Gives the
    /// pending batch back where there is none.
    pub(super) fn wait_for_ahead(
        &mut self,
        partition: &Partition,
        mut pending: PendingBatch<H::Fact>,
    ) -> Option<PendingBatch<H::Fact>> {
        let asked = std::mem::replace(&mut pending.ahead, Ahead::Done);
        match (asked, self.lanes.get_mut(partition)) {
            (Ahead::Asked { question, keys, .. }, Some(lane)) if self.breaker.is_closed() => {
                lane.question = question;
                // Rows may be forgotten meanwhile that it was not asked for, because they were known.
                lane.phase = Phase::Fetching { pending, keys, round: Round::Again };
                None
            }
            _ => Some(pending),
        }
    }
}

/// The rows that a pending batch needs and the lane does not hold, and in which round that shows; `None`: it holds all.
/// `from`: the first of the rounds to look at.
pub(super) fn missing<H: Handler>(
    handler: &H,
    rows: &mut Rows,
    pending: &PendingBatch<H::Fact>,
    from: Round,
) -> Option<(Vec<Key>, Round)> {
    let mut needs = Keys::default();
    for entry in &pending.entries {
        handler.needs(&entry.fact, &mut needs);
        if let Some(owner) = &entry.owner {
            needs.row(owner.key.clone());
        }
    }
    if from != Round::Second {
        let keys = rows.unknown(needs.unordered());
        if !keys.is_empty() {
            return Some((keys, Round::First));
        }
    }
    let mut more = Keys::default();
    for key in needs.unordered() {
        if let Some(row) = rows.peek(key) {
            handler.follow(key, &row, &mut more);
        }
    }
    let mut facts = pending.entries.iter().map(|entry| &entry.fact);
    handler.follow_all(&mut facts, rows, &mut more);
    let keys = rows.unknown(more.unordered());
    (!keys.is_empty()).then_some((keys, Round::Second))
}
