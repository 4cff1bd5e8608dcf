//! Pending batches become batches: the rows that one needs are fetched, the handler is run over it, the batch is committed,
//! and what is durable is acknowledged.
use super::{
    Action, Engine, Millis, Ticket,
    ahead::{Fetched, missing},
    lane::{Entry, PendingBatch, Phase, Round},
};
use crate::handler::{Handler, Step, Unstorable};
use sinks::{
    Batch, Checkpoint, Key, Letter, Partition, Receipt, SinkError,
    dlq::{Outcome, Replayed},
};
use std::sync::Arc;

impl<H: Handler> Engine<H> {
    /// Starts whatever an open lane has to do: the next pending batch if it is due, else a publication.
    pub(super) fn advance(&mut self, now: Millis, partition: &Partition) {
        let (linger, draining) = (self.policy.linger_ms, self.is_draining());
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        match lane.phase {
            Phase::Open if self.breaker.is_closed() => {}
            Phase::Committing { .. } => return self.fetch_ahead(partition),
            _ => return,
        }
        // Between two pending batches, or a busy partition would never publish; at the end only once.
        if !draining && self.is_publication_due(&self.lanes[partition], now) {
            return self.publish_if_due(now, partition);
        }
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        let due = |pending: &PendingBatch<_>| {
            pending.closed || draining || now >= pending.opened + linger
        };
        let Some(pending) =
            lane.queue.front().is_some_and(due).then(|| lane.queue.pop_front()).flatten()
        else {
            return self.publish_if_due(now, partition);
        };
        if let Some((table, _)) = &pending.truncate {
            let Some(prefix) = self.handler.truncated(table) else {
                let why =
                    format!("offset {}: this service cannot truncate {table}", pending.end - 1);
                return self.halt(partition, &why);
            };
            return self.begin(partition, Phase::Scanning { pending, prefix });
        }
        self.start_pending(partition, pending);
    }

    /// The first step of a pending batch that is due: its rows are fetched, unless something has to be looked for before.
    fn start_pending(&mut self, partition: &Partition, mut pending: PendingBatch<H::Fact>) {
        match pending.check.take() {
            Some(check) => self.begin(partition, Phase::CheckingLog { pending, check }),
            None => {
                if let Some(pending) = self.wait_for_ahead(partition, pending) {
                    self.fetch(partition, pending, Round::First);
                }
            }
        }
    }

    /// Asks for the rows that the pending batch needs and the lane does not hold; applies it when it holds them all.
    /// `from`: the first round that is to be looked at.
    pub(super) fn fetch(
        &mut self,
        partition: &Partition,
        pending: PendingBatch<H::Fact>,
        from: Round,
    ) {
        let lane = self.lanes.get_mut(partition).expect("the caller holds it");
        match missing(&self.handler, &mut lane.rows, &pending, from) {
            Some((keys, round)) => self.begin(partition, Phase::Fetching { pending, keys, round }),
            None => self.apply(partition, pending),
        }
    }

    pub(super) fn on_fetched(&mut self, now: Millis, ticket: &Ticket, result: Fetched) {
        let Err(result) = self.on_fetched_ahead(ticket, result) else { return };
        let Some(lane) = self.live(ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::Fetching { pending, keys, round } = phase else {
            lane.phase = phase;
            return;
        };
        match result {
            Ok(rows) if rows.len() == keys.len() => {
                self.worked(now, ticket);
                let Some(lane) = self.live(ticket) else { return };
                let rows = keys.into_iter().zip(rows);
                match round {
                    // Looked at once more before they are used.
                    Round::Again => lane.rows.learn_ahead(rows),
                    _ => rows.for_each(|(key, row)| lane.rows.learn(key, row)),
                }
                match round {
                    Round::First => self.fetch(&ticket.partition, pending, Round::Second),
                    Round::Second => self.apply(&ticket.partition, pending),
                    Round::Again => self.fetch(&ticket.partition, pending, Round::First),
                }
            }
            Ok(rows) => {
                let why = format!("the state gave {} rows for {} keys", rows.len(), keys.len());
                self.halt(&ticket.partition, &why);
            }
            Err(error) => {
                self.react(now, ticket, Phase::Fetching { pending, keys, round }, error);
            }
        }
    }

    pub(super) fn on_scanned(
        &mut self,
        now: Millis,
        ticket: &Ticket,
        result: Result<Vec<(Key, Vec<u8>)>, SinkError>,
    ) {
        let Some(lane) = self.live(ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::Scanning { mut pending, prefix } = phase else {
            lane.phase = phase;
            return;
        };
        match result {
            Ok(rows) => {
                self.worked(now, ticket);
                let Some((_, source_ts_ms)) = pending.truncate.take() else {
                    // The second scan: which table the rows were of, where that is kept.
                    pending.owners_gone.extend(rows.into_iter().map(|(key, _)| key));
                    return self.fetch(&ticket.partition, pending, Round::First);
                };
                let offset = pending.end - 1;
                let gone = rows.iter().filter_map(|(key, _)| self.handler.gone(key));
                pending.entries.extend(gone.map(|fact| Entry {
                    offset,
                    source_ts_ms,
                    fact,
                    owner: None,
                }));
                let prefix = self.lanes.get(&ticket.partition).and_then(|lane| lane.owners());
                match prefix {
                    Some(prefix) => {
                        self.begin(&ticket.partition, Phase::Scanning { pending, prefix });
                    }
                    None => self.fetch(&ticket.partition, pending, Round::First),
                }
            }
            Err(error) => self.react(now, ticket, Phase::Scanning { pending, prefix }, error),
        }
    }

    /// Runs the handler over the pending batch and sends the batch off.
    fn apply(&mut self, partition: &Partition, pending: PendingBatch<H::Fact>) {
        let lane = self.lanes.get_mut(partition).expect("the caller holds it");
        let mark = pending.mark();
        let source_ts_ms = pending.entries.iter().map(|entry| entry.source_ts_ms).max();
        let mut writes = Vec::new();
        for key in pending.owners_gone {
            lane.rows.learn(key.clone(), None);
            lane.rows.set_text(key, None);
        }
        for Entry { offset, source_ts_ms, fact, owner } in pending.entries {
            if let Some(Err(why)) = owner.map(|owner| owner.applied(&mut lane.rows)) {
                return self.halt_at(partition, offset, &format!("offset {offset}: {why}"));
            }
            let mut step = Step::new(&mut lane.rows, &mut writes, offset, source_ts_ms);
            self.handler.apply(fact, &mut step);
            if let Some(why) = lane.rows.take_fault() {
                return self.halt_at(partition, offset, &format!("offset {offset}: {why}"));
            }
        }
        let checkpoint = Checkpoint {
            next: pending.end,
            last: Some(mark),
            bad_run: pending.bad_run,
            // Not those of later pending batches: a truncate is judged by what came before it.
            origins: lane.origins[..pending.origins].to_vec(),
            ..lane.checkpoint.clone()
        };
        let (start, tag) = (lane.checkpoint.next, lane.table.tag);
        let rows = match lane.rows.take_changed() {
            Ok(rows) => rows,
            Err(Unstorable { offset, why }) => {
                return self.halt_at(partition, offset, &format!("offset {offset}: {why}"));
            }
        };
        let (name, dead_lettered) = (partition.clone(), pending.dead_lettered);
        let mut batch = Batch::new(name, tag, start, writes, rows, checkpoint, dead_lettered);
        batch.source_ts_ms = source_ts_ms;
        let letters: Arc<[Letter]> = pending.letters.into();
        self.begin(partition, Phase::Committing { batch: Arc::new(batch), letters });
        self.fetch_ahead(partition);
    }

    pub(super) fn on_committed(
        &mut self,
        now: Millis,
        ticket: Ticket,
        result: Result<Receipt, SinkError>,
    ) {
        let lanes = self.lanes.len().max(1);
        let (buffer, cache) =
            (self.policy.buffer_bytes_max / lanes, self.policy.cache_bytes_max / lanes);
        let Some(lane) = self.live(&ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::Committing { batch, letters } = phase else {
            lane.phase = phase;
            return;
        };
        let receipt = match result {
            Ok(receipt) => receipt,
            Err(error) => {
                return self.react(now, &ticket, Phase::Committing { batch, letters }, error);
            }
        };
        self.worked(now, &ticket);
        let Some(lane) = self.live(&ticket) else { return };
        let next = batch.span.end;
        lane.checkpoint = batch.checkpoint.clone();
        lane.attempt = 0;
        lane.refused.retain(|offset, _| *offset >= next);
        lane.settle();
        lane.rows.shrink(cache);
        let resume = lane.paused && lane.buffered <= buffer / 2;
        lane.paused &= !resume;
        self.counters.batches += 1;
        self.counters.writes += batch.writes.len() as u64;
        for letter in &*letters {
            match &letter.replayed {
                None => *self.counters.letters.entry(letter.reason.as_str()).or_default() += 1,
                Some(Replayed { outcome: Outcome::FailedAgain, .. }) => {
                    self.counters.failed_again += 1;
                }
                Some(_) => {}
            }
            self.actions.extend(self.told.note(letter).map(Action::Warn));
        }
        self.counters.alerts += receipt.alerts.len() as u64;
        self.actions.extend(receipt.alerts.into_iter().map(Action::Alert));
        self.actions.push_back(Action::Acknowledge(ticket.partition.clone(), next));
        if resume {
            self.resume(&ticket.partition);
        }
        self.advance(now, &ticket.partition);
    }
}
