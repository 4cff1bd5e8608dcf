//! Every decision, without I/O: events in, actions out, time as an argument. So every interleaving of crashes,
//! rebalances, zombies, lost and doubled answers can be simulated by seed.
//!
//! A partition is a lane with one thing in flight at a time:
//! open -> (verify the log) -> read records into chunks -> fetch the rows a chunk needs -> apply -> commit ->
//! acknowledge. A lane that is revoked is forgotten; whatever it still has in flight does no harm, because the
//! state refuses a stale owner and the sink recognises what it has seen.
//!
//! Absent on purpose: clocks, randomness, I/O, and any path that acknowledges or drops a record whose effect, or
//! dead letter, is not durable.
#![deny(clippy::disallowed_methods)]

mod lane;

use crate::{
    handler::{Handler, Keys, Step},
    policy::{OnRefusal, Policy, Reaction, react},
    source::{Bounds, Record},
};
use debezium::{Decoder, Envelope};
use lane::{Chunk, Entry, Lane, Phase, digest};
use sinks::{Alert, Batch, Checkpoint, Key, Letter, Partition, Receipt, SinkError, dlq::Reason};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Time since some start, in ms; never goes back.
pub type Millis = u64;

/// Names one question of one life of a lane: an answer to an earlier life, or a second answer, is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub partition: Partition,
    pub life: u64,
    pub question: u64,
}

/// What a lane finds when it is opened.
#[derive(Debug, Clone)]
pub struct Standing {
    pub checkpoint: Option<Checkpoint>,
    pub bounds: Bounds,
}

#[derive(Debug)]
pub enum Event<'a> {
    Assigned(Partition),
    Revoked(Partition),
    Broken(Partition, String),
    Record(Record<'a>),
    Opened(Ticket, Result<Standing, SinkError>),
    Fetched(Ticket, Result<Vec<Option<Vec<u8>>>, SinkError>),
    Scanned(Ticket, Result<Vec<(Key, Vec<u8>)>, SinkError>),
    Committed(Ticket, Result<Receipt, SinkError>),
    Published(Ticket, Result<(), SinkError>),
    Tick,
    /// No more records are wanted: what was read becomes durable at once.
    Drain,
}

#[derive(Debug)]
pub enum Action {
    /// Take the partition over in the state and ask the source for its bounds.
    Open(Ticket),
    /// This lane is over: nothing of it is asked for any more.
    Close(Ticket),
    Seek(Partition, i64),
    Pause(Partition),
    Resume(Partition),
    Fetch(Ticket, Vec<Key>),
    Scan(Ticket, Key),
    Commit(Ticket, Arc<Batch>, Arc<[Letter]>),
    /// With what is committed now.
    Publish(Ticket, Checkpoint),
    /// Tell Kafka that everything below is done.
    Acknowledge(Partition, i64),
    Alert(Alert),
    Warn(String),
    /// Stop for good; the sentence says what to do.
    Halt(String),
}

/// What was seen so far, for people to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub bytes: u64,
    /// Records of other tables, heartbeats, transaction markers, messages.
    pub skipped: u64,
    pub tombstones: u64,
    pub letters: BTreeMap<&'static str, u64>,
    pub writes: u64,
    pub batches: u64,
    pub retries: u64,
    pub reloads: u64,
    pub alerts: u64,
}

pub struct Engine<H: Handler> {
    handler: H,
    decoder: Decoder,
    policy: Policy,
    fingerprint: String,
    lanes: BTreeMap<Partition, Lane<H::Fact>>,
    actions: VecDeque<Action>,
    tally: Tally,
    lives: u64,
    draining: bool,
}

/// What reading one record came to.
enum Asked<F> {
    Nothing,
    Fact(F, i64),
    Truncate(String, i64),
    Dead(Reason, String),
}

impl<H: Handler> Engine<H> {
    pub fn new(handler: H, decoder: Decoder, policy: Policy) -> Self {
        Self {
            fingerprint: handler.fingerprint(),
            handler,
            decoder,
            policy,
            lanes: BTreeMap::new(),
            actions: VecDeque::new(),
            tally: Tally::default(),
            lives: 0,
            draining: false,
        }
    }

    /// Names what the views are written to, where that is not the state itself: another target halts, as other rules
    /// do.
    #[must_use]
    pub fn writing_to(mut self, target: &str) -> Self {
        if !target.is_empty() {
            self.fingerprint = format!("{}; {target}", self.fingerprint);
        }
        self
    }

    /// The next thing to do, in order.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
    /// The lane that this ticket speaks of is still held.
    pub fn is_held(&self, ticket: &Ticket) -> bool {
        self.lanes.get(&ticket.partition).is_some_and(|lane| lane.life == ticket.life)
    }
    /// Alerts that were shown before their batch was durable.
    pub fn count_alerts(&mut self, count: usize) {
        self.tally.alerts += count as u64;
    }
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
    /// Where each partition stands, durably.
    pub fn positions(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.lanes.iter().map(|(partition, lane)| (partition, lane.checkpoint.next))
    }
    /// Something was asked of the outside and not answered yet.
    pub fn is_waiting_for_answers(&self) -> bool {
        let silent = |phase: &Phase<H::Fact>| {
            matches!(phase, Phase::Open | Phase::Verifying(_) | Phase::Waiting { .. })
        };
        self.lanes.values().any(|lane| !silent(&lane.phase))
    }
    /// Everything read is durable and published. `opening`: whether lanes still being opened count as work.
    pub fn is_idle(&self, opening: bool) -> bool {
        self.lanes.values().all(|lane| match &lane.phase {
            Phase::Opening => !opening,
            Phase::Waiting { then, .. } => !opening && matches!(**then, Phase::Opening),
            Phase::Verifying(_) => !opening,
            Phase::Open => lane.chunks.is_empty() && !self.is_publication_due(lane, Millis::MAX),
            _ => false,
        })
    }
    /// When the engine wants to be asked again, at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        let of = |lane: &Lane<H::Fact>| match &lane.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Open => {
                let linger = lane.chunks.front().map(|chunk| chunk.opened + self.policy.linger_ms);
                let publish = self
                    .is_publication_due(lane, Millis::MAX)
                    .then(|| {
                        self.policy.publish_every_ms.map(|every| self.publication_at(lane, every))
                    })
                    .flatten();
                linger.into_iter().chain(publish).min()
            }
            _ => None,
        };
        self.lanes.values().filter_map(of).min()
    }

    pub fn handle(&mut self, now: Millis, event: Event<'_>) {
        match event {
            Event::Assigned(partition) => self.assigned(partition),
            Event::Revoked(partition) => self.forget(&partition),
            Event::Broken(partition, why) => self.on_broken(now, &partition, &why),
            Event::Record(record) => self.on_record(now, &record),
            Event::Opened(ticket, result) => self.on_opened(now, ticket, result),
            Event::Fetched(ticket, result) => self.on_fetched(now, &ticket, result),
            Event::Scanned(ticket, result) => self.on_scanned(now, &ticket, result),
            Event::Committed(ticket, result) => self.on_committed(now, ticket, result),
            Event::Published(ticket, result) => self.on_published(now, &ticket, result),
            Event::Tick => self.on_tick(now),
            Event::Drain => {
                self.draining = true;
                self.on_tick(now);
            }
        }
    }

    // ------------------------------------------------------------ lanes come and go

    fn assigned(&mut self, partition: Partition) {
        self.forget(&partition);
        let tables = self.handler.tables();
        let of_topic = |name: &str| {
            partition
                .topic
                .strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let Some(table) = tables.iter().find(|table| of_topic(&table.name)) else {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            let why =
                format!("no table of this service is in this topic; it reads {}", names.join(", "));
            return self.halt(&partition, &why);
        };
        self.open(partition, table.tag, BTreeMap::new(), 0);
    }

    /// Starts a lane over, after a pause if it was tried before.
    fn open(
        &mut self,
        partition: Partition,
        tag: char,
        refused: BTreeMap<i64, String>,
        attempt: u32,
    ) {
        self.lives += 1;
        let mut lane = Lane::new(self.lives, tag, refused, attempt);
        let ticket = lane.ask(&partition);
        self.actions.push_back(Action::Pause(partition.clone()));
        self.actions.push_back(Action::Open(ticket));
        self.lanes.insert(partition, lane);
    }

    fn forget(&mut self, partition: &Partition) {
        if let Some(mut lane) = self.lanes.remove(partition) {
            self.actions.push_back(Action::Close(lane.ask(partition)));
        }
    }

    fn reload(&mut self, now: Millis, partition: &Partition, mut refusals: Vec<sinks::Refusal>) {
        if self.policy.on_refusal == OnRefusal::SkipRecord {
            // What later records ask for was worked out as if this one were there: only the first is certain.
            refusals.sort_by_key(|refusal| refusal.offset);
            refusals.truncate(1);
        }
        let Some(mut lane) = self.lanes.remove(partition) else { return };
        self.tally.reloads += 1;
        self.actions.push_back(Action::Close(lane.ask(partition)));
        let pause = refusals.is_empty();
        let mut refused = lane.refused;
        refused.extend(refusals.into_iter().map(|refusal| (refusal.offset, refusal.reason)));
        self.lives += 1;
        let attempt = lane.attempt.saturating_add(1);
        let mut fresh = Lane::new(self.lives, lane.tag, refused, attempt);
        self.actions.push_back(Action::Pause(partition.clone()));
        if pause {
            // Somebody else owns the partition, perhaps: do not take it back and forth without a breath.
            let until = now + self.policy.backoff(attempt, fresh.life);
            if attempt.is_power_of_two() {
                let text = format!(
                    "{partition}: another owner took it over; loading it again (attempt {attempt})"
                );
                self.actions.push_back(Action::Warn(text));
            }
            fresh.phase = Phase::Waiting { until, then: Box::new(Phase::Opening) };
        } else {
            self.actions.push_back(Action::Open(fresh.ask(partition)));
        }
        self.lanes.insert(partition.clone(), fresh);
    }

    fn halt(&mut self, partition: &Partition, why: &str) {
        self.actions.push_back(Action::Halt(format!("{partition}: {why}")));
    }

    fn on_broken(&mut self, now: Millis, partition: &Partition, why: &str) {
        match self.lanes.get(partition).map(|lane| &lane.phase) {
            // The record applied last has left the log meanwhile; whether anything is missing shows at the next load.
            Some(Phase::Verifying(_)) => self.reload(now, partition, Vec::new()),
            _ => self.halt(partition, why),
        }
    }

    fn live(&mut self, ticket: &Ticket) -> Option<&mut Lane<H::Fact>> {
        self.lanes
            .get_mut(&ticket.partition)
            .filter(|lane| lane.life == ticket.life && lane.question == ticket.question)
    }

    /// One place reacts to errors: waits and tries the same step again, starts the lane over, or stops.
    fn react(&mut self, now: Millis, ticket: &Ticket, then: Phase<H::Fact>, error: SinkError) {
        match react(error) {
            Reaction::Retry(cause) => {
                let pause = self.retry(&ticket.partition, &cause);
                let Some(lane) = self.lanes.get_mut(&ticket.partition) else { return };
                lane.phase = Phase::Waiting { until: now + pause, then: Box::new(then) };
            }
            Reaction::Reload => self.reload(now, &ticket.partition, Vec::new()),
            Reaction::Isolate(refusals) => self.reload(now, &ticket.partition, refusals),
            Reaction::Halt(why) => self.halt(&ticket.partition, &why),
        }
    }

    /// Counts a failed attempt, says why (each time the number of attempts has doubled), gives the pause.
    fn retry(&mut self, partition: &Partition, cause: &str) -> Millis {
        self.tally.retries += 1;
        let Some(lane) = self.lanes.get_mut(partition) else { return 0 };
        lane.attempt = lane.attempt.saturating_add(1);
        let pause = self.policy.backoff(lane.attempt, lane.life);
        if lane.attempt.is_power_of_two() {
            let n = lane.attempt;
            let text =
                format!("{partition}: {cause}; trying again in {pause} ms (attempt {n} failed)");
            self.actions.push_back(Action::Warn(text));
        }
        pause
    }

    fn on_opened(&mut self, now: Millis, ticket: Ticket, result: Result<Standing, SinkError>) {
        let (fingerprint, policy) = (self.fingerprint.clone(), self.policy.clone());
        let Some(lane) = self.live(&ticket) else { return };
        if !matches!(lane.phase, Phase::Opening) {
            return;
        }
        let standing = match result {
            Ok(standing) => standing,
            Err(error) => return self.react(now, &ticket, Phase::Opening, error),
        };
        let is_first = standing.checkpoint.is_none();
        match lane.stand_on(standing, &fingerprint, &policy, now) {
            Ok((from, warning)) => {
                lane.paused = is_first;
                if let Some(text) = warning {
                    self.actions.push_back(Action::Warn(format!("{}: {text}", ticket.partition)));
                }
                self.actions.push_back(Action::Seek(ticket.partition.clone(), from));
                if is_first {
                    return self.store_start(&ticket.partition);
                }
                self.actions.push_back(Action::Resume(ticket.partition));
            }
            Err(why) => self.halt(&ticket.partition, &why),
        }
    }

    /// Where a partition begins is durable before its first record is read: the log may have moved on by the next
    /// load. Reading starts when this empty batch is committed.
    fn store_start(&mut self, partition: &Partition) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        let checkpoint = lane.checkpoint.clone();
        let (tag, next) = (lane.tag, checkpoint.next);
        let none = (Vec::new(), Vec::new());
        let batch =
            Batch::new(partition.clone(), tag, next, none.0, none.1, checkpoint, BTreeSet::new());
        let (batch, letters): (_, Arc<[Letter]>) = (Arc::new(batch), Arc::new([]));
        lane.phase = Phase::Committing { batch: batch.clone(), letters: letters.clone() };
        let ticket = lane.ask(partition);
        self.actions.push_back(Action::Commit(ticket, batch, letters));
    }

    // ------------------------------------------------------------ records come in

    fn on_record(&mut self, now: Millis, record: &Record<'_>) {
        let Some(lane) = self.lanes.get_mut(record.partition) else { return };
        if let Phase::Verifying(mark) = &lane.phase {
            if record.offset < mark.offset {
                return;
            }
            let same =
                mark.timestamp_ms == record.timestamp_ms && mark.key_digest == digest(record.key);
            if record.offset == mark.offset && !same {
                let why = format!(
                    "the record at offset {} is not the one that was applied: the topic was made anew; \
                     start with a new GENERATION, which builds its views anew",
                    mark.offset
                );
                return self.halt(record.partition, &why);
            }
            lane.phase = Phase::Open;
        }
        let opening = |phase: &Phase<H::Fact>| matches!(phase, Phase::Opening);
        let closed = match &lane.phase {
            Phase::Waiting { then, .. } => opening(then),
            phase => opening(phase),
        };
        if closed || record.offset < lane.expected() {
            return;
        }
        self.tally.records += 1;
        self.tally.bytes += record.value.map_or(0, <[u8]>::len) as u64;
        let asked = self.read(record);
        self.add(now, record, asked);
    }

    /// What the record asks for: depends on the record alone.
    fn read(&mut self, record: &Record<'_>) -> Asked<H::Fact> {
        let envelope = self.decoder.decode(&record.partition.topic, record.key, record.value);
        let change = match envelope {
            Ok(Envelope::Change(change)) => change,
            Ok(Envelope::Tombstone) => {
                self.tally.tombstones += 1;
                return Asked::Nothing;
            }
            Ok(Envelope::Truncate(source)) => {
                let ours = self.handler.tables().iter().any(|table| table.name == source.table);
                if ours {
                    return Asked::Truncate(source.table.into_owned(), source.ts_ms);
                }
                self.tally.skipped += 1;
                return Asked::Nothing;
            }
            Ok(_) => {
                self.tally.skipped += 1;
                return Asked::Nothing;
            }
            Err(error) => return Asked::Dead(Reason::Malformed, error.to_string()),
        };
        let source_ts_ms = change.source.ts_ms;
        match self.handler.read(&change) {
            Ok(Some(fact)) => Asked::Fact(fact, source_ts_ms),
            Ok(None) => {
                self.tally.skipped += 1;
                Asked::Nothing
            }
            Err(reject) => Asked::Dead(Reason::Invalid, reject.to_string()),
        }
    }

    /// Puts the record into the lane's last chunk.
    fn add(&mut self, now: Millis, record: &Record<'_>, asked: Asked<H::Fact>) {
        let lanes = self.lanes.len().max(1);
        let policy = &self.policy;
        let lane = self.lanes.get_mut(record.partition).expect("on_record found it");
        let truncate = matches!(asked, Asked::Truncate(..));
        if truncate && lane.partitions != 1 {
            let why = format!(
                "offset {} truncates a table whose topic has {} partitions: it has no order against the others; \
                 take a new Debezium snapshot and start with a new GENERATION, or leave `skipped.operations` at `t`",
                record.offset, lane.partitions
            );
            return self.halt(record.partition, &why);
        }
        let expected = lane.expected();
        if truncate && let Some(last) = lane.chunks.back_mut() {
            last.closed = true;
        }
        if lane.chunks.back().is_none_or(|chunk| chunk.closed) {
            lane.chunks.push_back(Chunk::new(now, expected));
        }
        let chunk = lane.chunks.back_mut().expect("just made");
        chunk.count(record);
        let mut dead = None;
        let refused = lane.refused.get(&record.offset);
        if let (Asked::Fact(..) | Asked::Truncate(..), Some(text)) = (&asked, refused) {
            dead = Some((Reason::Refused, text.clone()));
            chunk.forgiven.insert(record.offset);
        }
        let wanted = refused.is_none() || policy.on_refusal == OnRefusal::SkipWrite;
        match asked {
            Asked::Dead(reason, text) => dead = Some((reason, text)),
            Asked::Truncate(table, source_ts_ms) if wanted => {
                chunk.truncate = Some((table, source_ts_ms));
                chunk.closed = true;
            }
            Asked::Fact(fact, source_ts_ms) if wanted => {
                let bytes = record.value.map_or(0, <[u8]>::len);
                chunk.bytes += bytes;
                lane.buffered += bytes;
                chunk.entries.push(Entry { offset: record.offset, source_ts_ms, fact });
            }
            _ => {}
        }
        let flood = lane.flood.count(dead.is_some(), policy).map(|why| {
            let last = dead.as_ref().map_or("", |(_, text)| text.as_str());
            format!("{why}. The last, at offset {}: {last}", record.offset)
        });
        chunk.bad_run = lane.flood.in_a_row();
        if let Some((reason, text)) = dead {
            *self.tally.letters.entry(reason.as_str()).or_default() += 1;
            let letter = letter(record, reason, &text);
            let bytes = letter.value.as_ref().map_or(0, Vec::len);
            chunk.bytes += bytes;
            lane.buffered += bytes;
            chunk.letters.push(letter);
        }
        if chunk.records >= policy.batch_records_max || chunk.bytes >= policy.batch_bytes_max {
            chunk.closed = true;
        }
        if lane.buffered > policy.buffer_bytes_max / lanes && !lane.paused {
            lane.paused = true;
            self.actions.push_back(Action::Pause(record.partition.clone()));
        }
        if let Some(why) = flood {
            return self.halt(record.partition, &why);
        }
        self.advance(now, record.partition);
    }

    // ------------------------------------------------------------ chunks become batches

    fn on_tick(&mut self, now: Millis) {
        let partitions: Vec<Partition> = self.lanes.keys().cloned().collect();
        for partition in partitions {
            self.wake(now, &partition);
            self.advance(now, &partition);
        }
    }

    /// Tries again what failed, when its pause is over.
    fn wake(&mut self, now: Millis, partition: &Partition) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        if !matches!(&lane.phase, Phase::Waiting { until, .. } if *until <= now) {
            return;
        }
        let Phase::Waiting { then, .. } = std::mem::replace(&mut lane.phase, Phase::Open) else {
            return;
        };
        let ticket = lane.ask(partition);
        let action = match &*then {
            Phase::Opening => Action::Open(ticket),
            Phase::Fetching { keys, .. } => Action::Fetch(ticket, keys.clone()),
            Phase::Scanning { prefix, .. } => Action::Scan(ticket, prefix.clone()),
            Phase::Committing { batch, letters } => {
                Action::Commit(ticket, batch.clone(), letters.clone())
            }
            // Nothing else waits: a failed publication is tried again by the clock.
            _ => return,
        };
        lane.phase = *then;
        self.actions.push_back(action);
    }

    /// Starts whatever an open lane has to do: the next chunk if it is due, else a publication.
    fn advance(&mut self, now: Millis, partition: &Partition) {
        let (linger, draining) = (self.policy.linger_ms, self.draining);
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        if !matches!(lane.phase, Phase::Open) {
            return;
        }
        // Between two chunks, or a busy partition would never publish; at the end only once.
        if !draining && self.is_publication_due(&self.lanes[partition], now) {
            return self.publish_if_due(now, partition);
        }
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        let due = |chunk: &Chunk<_>| chunk.closed || draining || now >= chunk.opened + linger;
        let Some(chunk) =
            lane.chunks.front().is_some_and(due).then(|| lane.chunks.pop_front()).flatten()
        else {
            return self.publish_if_due(now, partition);
        };
        if let Some((table, _)) = &chunk.truncate {
            let Some(prefix) = self.handler.truncated(table) else {
                let why = format!("offset {}: this service cannot truncate {table}", chunk.end - 1);
                return self.halt(partition, &why);
            };
            let ticket = lane.ask(partition);
            lane.phase = Phase::Scanning { chunk, prefix: prefix.clone() };
            return self.actions.push_back(Action::Scan(ticket, prefix));
        }
        self.fetch(partition, chunk, false);
    }

    /// Asks for the rows that the chunk needs and the lane does not hold; applies it when it holds them all.
    fn fetch(&mut self, partition: &Partition, chunk: Chunk<H::Fact>, followed: bool) {
        let lane = self.lanes.get_mut(partition).expect("the caller holds it");
        let mut needs = Keys::default();
        for entry in &chunk.entries {
            self.handler.needs(&entry.fact, &mut needs);
        }
        let mut round = followed;
        loop {
            if round {
                let mut more = Keys::default();
                for key in &needs.0 {
                    if let Some(row) = lane.rows.peek(key) {
                        self.handler.follow(key, row, &mut more);
                    }
                }
                needs = more;
            }
            let keys: Vec<Key> =
                needs.0.iter().filter(|key| !lane.rows.knows(key)).cloned().collect();
            if !keys.is_empty() {
                let ticket = lane.ask(partition);
                lane.phase = Phase::Fetching { chunk, keys: keys.clone(), followed: round };
                return self.actions.push_back(Action::Fetch(ticket, keys));
            }
            if round {
                break;
            }
            round = true;
        }
        self.apply(partition, chunk);
    }

    fn on_fetched(
        &mut self,
        now: Millis,
        ticket: &Ticket,
        result: Result<Vec<Option<Vec<u8>>>, SinkError>,
    ) {
        let Some(lane) = self.live(ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::Fetching { chunk, keys, followed } = phase else {
            lane.phase = phase;
            return;
        };
        match result {
            Ok(rows) if rows.len() == keys.len() => {
                for (key, row) in keys.into_iter().zip(rows) {
                    lane.rows.learn(key, row);
                }
                if followed {
                    self.apply(&ticket.partition, chunk);
                } else {
                    self.fetch(&ticket.partition, chunk, true);
                }
            }
            Ok(rows) => {
                let why = format!("the state gave {} rows for {} keys", rows.len(), keys.len());
                self.halt(&ticket.partition, &why);
            }
            Err(error) => self.react(now, ticket, Phase::Fetching { chunk, keys, followed }, error),
        }
    }

    fn on_scanned(
        &mut self,
        now: Millis,
        ticket: &Ticket,
        result: Result<Vec<(Key, Vec<u8>)>, SinkError>,
    ) {
        let Some(lane) = self.live(ticket) else { return };
        let phase = std::mem::replace(&mut lane.phase, Phase::Open);
        let Phase::Scanning { mut chunk, prefix } = phase else {
            lane.phase = phase;
            return;
        };
        match result {
            Ok(rows) => {
                let (offset, source_ts_ms) =
                    (chunk.end - 1, chunk.truncate.take().map_or(0, |t| t.1));
                let gone = rows.iter().filter_map(|(key, _)| self.handler.gone(key));
                chunk.entries.extend(gone.map(|fact| Entry { offset, source_ts_ms, fact }));
                self.fetch(&ticket.partition, chunk, false);
            }
            Err(error) => self.react(now, ticket, Phase::Scanning { chunk, prefix }, error),
        }
    }

    /// Runs the handler over the chunk and sends the batch off.
    fn apply(&mut self, partition: &Partition, chunk: Chunk<H::Fact>) {
        let lane = self.lanes.get_mut(partition).expect("the caller holds it");
        let mark = chunk.mark();
        let mut writes = Vec::new();
        for Entry { offset, source_ts_ms, fact } in chunk.entries {
            let mut step = Step::new(&mut lane.rows, &mut writes, offset, source_ts_ms);
            self.handler.apply(fact, &mut step);
            if let Some(why) = lane.rows.take_fault() {
                return self.halt(partition, &format!("offset {offset}: {why}"));
            }
        }
        let checkpoint = Checkpoint {
            next: chunk.end,
            last: Some(mark),
            bad_run: chunk.bad_run,
            ..lane.checkpoint.clone()
        };
        let (start, tag) = (lane.checkpoint.next, lane.tag);
        let rows = lane.rows.take_changed();
        self.tally.writes += writes.len() as u64;
        let batch = Arc::new(Batch::new(
            partition.clone(),
            tag,
            start,
            writes,
            rows,
            checkpoint,
            chunk.forgiven,
        ));
        let letters: Arc<[Letter]> = chunk.letters.into();
        lane.phase = Phase::Committing { batch: batch.clone(), letters: letters.clone() };
        let ticket = lane.ask(partition);
        self.actions.push_back(Action::Commit(ticket, batch, letters));
    }

    fn on_committed(&mut self, now: Millis, ticket: Ticket, result: Result<Receipt, SinkError>) {
        let (lanes, buffer, cache) =
            (self.lanes.len().max(1), self.policy.buffer_bytes_max, self.policy.cache_bytes_max);
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
        let next = batch.span.end;
        lane.checkpoint = batch.checkpoint.clone();
        lane.attempt = 0;
        lane.refused.retain(|offset, _| *offset >= next);
        lane.buffered = lane.chunks.iter().map(|chunk| chunk.bytes).sum();
        lane.trim_rows(cache);
        let resume = lane.paused && lane.buffered <= buffer / lanes / 2;
        lane.paused &= !resume;
        self.tally.batches += 1;
        self.tally.alerts += receipt.alerts.len() as u64;
        self.actions.extend(receipt.alerts.into_iter().map(Action::Alert));
        self.actions.push_back(Action::Acknowledge(ticket.partition.clone(), next));
        if resume {
            self.actions.push_back(Action::Resume(ticket.partition.clone()));
        }
        self.advance(now, &ticket.partition);
    }

    // ------------------------------------------------------------ what is committed is published

    fn publication_at(&self, lane: &Lane<H::Fact>, every: Millis) -> Millis {
        let at = if self.draining { 0 } else { lane.published.0.saturating_add(every) };
        at.max(lane.publish_not_before)
    }

    fn is_publication_due(&self, lane: &Lane<H::Fact>, now: Millis) -> bool {
        self.policy.publish_every_ms.is_some_and(|every| {
            lane.published.1 < lane.checkpoint.next
                && lane.checkpoint.next > 0
                && now >= self.publication_at(lane, every)
        })
    }

    fn publish_if_due(&mut self, now: Millis, partition: &Partition) {
        if !self.is_publication_due(&self.lanes[partition], now) {
            return;
        }
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        lane.phase = Phase::Publishing;
        let (ticket, at) = (lane.ask(partition), lane.checkpoint.clone());
        self.actions.push_back(Action::Publish(ticket, at));
    }

    fn on_published(&mut self, now: Millis, ticket: &Ticket, result: Result<(), SinkError>) {
        let Some(lane) =
            self.lanes.get_mut(&ticket.partition).filter(|lane| lane.life == ticket.life)
        else {
            return;
        };
        if !matches!(lane.phase, Phase::Publishing) {
            return;
        }
        lane.phase = Phase::Open;
        match result.map_err(react) {
            Ok(()) => {
                lane.published = (now, lane.checkpoint.next);
                lane.attempt = 0;
            }
            Err(Reaction::Retry(cause)) => {
                let pause = self.retry(&ticket.partition, &cause);
                if let Some(lane) = self.lanes.get_mut(&ticket.partition) {
                    lane.publish_not_before = now + pause;
                }
            }
            Err(Reaction::Halt(why)) => return self.halt(&ticket.partition, &why),
            Err(_) => return self.reload(now, &ticket.partition, Vec::new()),
        }
        self.advance(now, &ticket.partition);
    }
}

/// The record as it goes to the DLQ, byte for byte, with a sentence that says where it was.
fn letter(record: &Record<'_>, reason: Reason, text: &str) -> Letter {
    Letter {
        partition: record.partition.clone(),
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.0.list(),
        reason,
        error: format!(
            "topic {}, partition {}, offset {}: {text}",
            record.partition.topic, record.partition.index, record.offset
        ),
    }
}
