//! Every decision, without I/O: events in, actions out, time as an argument. So every interleaving of crashes,
//! rebalances, zombies, lost and doubled answers can be simulated by seed.
//!
//! A partition is a lane with one thing in flight at a time:
//! open -> (verify the log) -> read records into pending batches -> fetch the rows a pending batch needs -> apply -> commit ->
//! acknowledge. A lane that is revoked is forgotten; whatever it still has in flight does no harm, because the
//! state refuses a stale owner and the sink recognises what it has seen.
//!
//! A record's way: `intake` reads it (`whose`: which row it is about; `replays`, `removals`: side doors), `lane` holds
//! it, `batches` fetches rows, applies, commits and acknowledges, `gate` asks the outside, `publication` shows what is
//! committed. `stopping` ends a run; `placement`, `snapshots`, `notices`, `letters` watch for what has to be said.
//!
//! Absent on purpose: clocks, randomness, I/O, and any path that acknowledges or drops a record whose effect, or
//! dead letter, is not durable.
#![deny(clippy::disallowed_methods)]

mod ahead;
mod batches;
mod counters;
mod gate;
mod intake;
mod lane;
mod letters;
pub mod notices;
pub mod placement;
mod publication;
mod removals;
mod replays;
pub mod snapshots;
mod stopping;
mod whose;

use crate::{
    fingerprint::with_target,
    handler::Handler,
    policy::{
        Millis, OnRefusal, Policy, Reaction, Start,
        breaker::{Breaker, State},
        react,
    },
    replay::{LogCheck, Verdict, Whose},
    source::{Bounds, Record},
    source_table::{self, SourceTable},
};
pub use counters::Counters;
use debezium::Decoder;
use lane::{Lane, Phase, Placement, digest};
use notices::Notices;
use sinks::{Alert, Batch, Checkpoint, Key, Letter, Mark, Partition, Receipt, SinkError};
use snapshots::Snapshots;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use stopping::Stopping;
pub use whose::{Exceptions, changes_key};

/// Names one question of one life of a lane: an answer to an earlier life, or a second answer, is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub partition: Partition,
    pub life: u64,
    pub question: u64,
}

/// What a lane finds when it is opened.
#[derive(Debug, Clone)]
pub struct OpenedPartition {
    pub checkpoint: Option<Checkpoint>,
    pub bounds: Bounds,
    /// The first offset at or after [`Start::At`], where a partition begins by that.
    pub start: Option<i64>,
}

#[derive(Debug)]
pub enum Event<'a> {
    Assigned(Partition),
    Revoked(Partition),
    Broken(Partition, String),
    Record(Record<'a>),
    Opened(Ticket, Result<OpenedPartition, SinkError>),
    Fetched(Ticket, Result<Vec<Option<Vec<u8>>>, SinkError>),
    Scanned(Ticket, Result<Vec<(Key, Vec<u8>)>, SinkError>),
    LogChecked(Ticket, Result<Verdict, SinkError>),
    Committed(Ticket, Result<Receipt, SinkError>),
    Published(Ticket, Result<(), SinkError>),
    Tick,
    /// The source has ended: what was read becomes durable at once.
    Drain,
    /// The process is to end: what is in flight becomes durable, what was read ahead is given back.
    Stop,
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
    /// Has the key of a replayed letter moved on, in this part of the log?
    CheckLog(Ticket, LogCheck),
    Commit(Ticket, Arc<Batch>, Arc<[Letter]>),
    /// With what is committed now.
    Publish(Ticket, Checkpoint),
    /// Tell Kafka that everything below is done.
    Acknowledge(Partition, i64),
    Alert(Alert),
    Warn(String),
    /// Stop for good; the sentence says what to do. What was read before its reason is durable.
    Halt(String),
}

pub struct Engine<H: Handler> {
    handler: H,
    decoder: Decoder,
    policy: Policy,
    breaker: Breaker,
    fingerprint: String,
    whose: Option<Whose>,
    exceptions: Exceptions,
    snapshots: Snapshots,
    lanes: BTreeMap<Partition, Lane<H::Fact>>,
    actions: VecDeque<Action>,
    counters: Counters,
    notices: Notices,
    told: letters::Told,
    lives: u64,
    draining: bool,
    stopping: Option<Stopping>,
    /// When the event that is being handled came.
    now: Millis,
}

/// What a lane that finds this would do, asked beforehand: where it would begin, with a warning if there is one, or
/// why it would halt.
pub fn foresee(
    opened: OpenedPartition,
    fingerprint: &str,
    policy: &Policy,
) -> Result<(i64, Option<String>), String> {
    let table = Arc::new(SourceTable::new("", ' '));
    Lane::<()>::new(0, table, BTreeMap::new(), 0).stand_on(opened, fingerprint, policy, 0)
}

/// The record that was applied last, as far as one can tell.
pub fn is_record(mark: &Mark, timestamp_ms: i64, key: Option<&[u8]>) -> bool {
    mark.timestamp_ms == timestamp_ms && mark.key_digest == digest(key)
}

/// Why nothing may be applied when another record has its offset.
pub fn made_anew(offset: i64) -> String {
    format!(
        "the record at offset {offset} is not the one that was applied: the topic was made anew; start with a new \
         GENERATION, which builds its views anew"
    )
}

impl<H: Handler> Engine<H> {
    pub fn new(handler: H, decoder: Decoder, policy: Policy) -> Self {
        Self {
            fingerprint: handler.fingerprint(),
            handler,
            decoder,
            policy,
            breaker: Breaker::default(),
            whose: None,
            exceptions: Exceptions::default(),
            snapshots: Snapshots::default(),
            lanes: BTreeMap::new(),
            actions: VecDeque::new(),
            counters: Counters::default(),
            notices: Notices::default(),
            told: letters::Told::default(),
            lives: 0,
            draining: false,
            stopping: None,
            now: 0,
        }
    }

    /// Names what the views are written to, where that is not the state itself: another target halts, as other rules
    /// do.
    #[must_use]
    pub fn writing_to(mut self, target: &str) -> Self {
        self.fingerprint = with_target(&self.fingerprint, target);
        self
    }

    /// What an operator vouches for, of which the records themselves do not tell enough.
    #[must_use]
    pub fn trusting(mut self, exceptions: Exceptions) -> Self {
        self.exceptions = exceptions;
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
        self.counters.alerts += count as u64;
    }
    /// Where a partition without a stored position begins.
    pub fn start(&self) -> Start {
        self.policy.start
    }
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
    /// Whether the outside is taken to answer.
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }
    /// Where each partition stands, durably.
    pub fn positions(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.lanes.iter().map(|(partition, lane)| (partition, lane.checkpoint.next))
    }
    /// Bytes of what was read and is not durable yet.
    pub fn buffered(&self) -> usize {
        self.lanes.values().map(|lane| lane.buffered).sum()
    }
    /// Whether anything of this partition was read and is not durable yet.
    pub fn has_in_hand(&self, partition: &Partition) -> bool {
        self.lanes.get(partition).is_some_and(|lane| lane.unsettled > 0)
    }
    /// How many lanes wait for their state.
    pub fn opening(&self) -> usize {
        self.lanes.values().filter(|lane| lane.is_opening()).count()
    }
    /// Something was asked of the outside and not answered yet.
    pub fn is_waiting_for_answers(&self) -> bool {
        let silent = |phase: &Phase<H::Fact>| {
            matches!(
                phase,
                Phase::Open | Phase::Verifying(_) | Phase::Waiting { .. } | Phase::Halted
            )
        };
        self.lanes.values().any(|lane| !silent(&lane.phase))
    }
    /// Everything read is durable and published. `opening`: whether lanes still being opened count as work.
    pub fn is_idle(&self, opening: bool) -> bool {
        // A partition that the breaker holds back may have records that were not read.
        (!opening || self.breaker.is_closed())
            && self.lanes.values().all(|lane| match &lane.phase {
                Phase::Opening => !opening,
                Phase::Waiting { then, .. } => !opening && matches!(**then, Phase::Opening),
                Phase::Verifying(_) => !opening,
                Phase::Halted => true,
                Phase::Open => lane.queue.is_empty() && !self.is_publication_due(lane, Millis::MAX),
                _ => false,
            })
    }
    /// When the engine wants to be asked again, at the latest.
    pub fn deadline(&self) -> Option<Millis> {
        match self.breaker.state() {
            State::Closed => {}
            State::Open { until } => {
                return self.stopping_until().into_iter().chain([*until]).min();
            }
            State::HalfOpen { .. } => return self.stopping_until(),
        }
        let of = |lane: &Lane<H::Fact>| match &lane.phase {
            Phase::Waiting { until, .. } => Some(*until),
            Phase::Open => {
                let linger =
                    lane.queue.front().map(|pending| pending.opened + self.policy.linger_ms);
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
        self.lanes.values().filter_map(of).chain(self.stopping_until()).min()
    }

    pub fn handle(&mut self, now: Millis, event: Event<'_>) {
        self.now = now;
        match event {
            Event::Assigned(partition) => self.assigned(partition),
            Event::Revoked(partition) => drop(self.take_down(&partition)),
            Event::Broken(partition, why) => self.on_broken(now, &partition, &why),
            Event::Record(record) => self.on_record(now, &record),
            Event::Opened(ticket, result) => self.on_opened(now, ticket, result),
            Event::Fetched(ticket, result) => self.on_fetched(now, &ticket, result),
            Event::Scanned(ticket, result) => self.on_scanned(now, &ticket, result),
            Event::LogChecked(ticket, result) => self.on_log_checked(now, &ticket, result),
            Event::Committed(ticket, result) => self.on_committed(now, ticket, result),
            Event::Published(ticket, result) => self.on_published(now, &ticket, result),
            Event::Tick => self.on_tick(now),
            Event::Drain => {
                self.draining = true;
                self.on_tick(now);
            }
            Event::Stop => {
                self.draining = true;
                // A halt that is under way finishes what was read before its reason.
                if !self.is_stopping() {
                    for lane in self.lanes.values_mut() {
                        self.counters.given_back += lane.drop_queue();
                    }
                }
                self.on_tick(now);
            }
        }
        self.finish_stopping();
    }

    fn on_tick(&mut self, now: Millis) {
        self.probe(now);
        let partitions: Vec<Partition> = self.lanes.keys().cloned().collect();
        for partition in partitions {
            self.wake(now, &partition);
            self.advance(now, &partition);
        }
    }

    // ------------------------------------------------------------ lanes come and go

    fn assigned(&mut self, partition: Partition) {
        self.take_down(&partition);
        let tables = self.handler.tables();
        let Some(table) = source_table::of_topic(&tables, &partition.topic).cloned() else {
            let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
            let why =
                format!("no table of this service is in this topic; it reads {}", names.join(", "));
            return self.halt(&partition, &why);
        };
        self.open(partition, Arc::new(table), BTreeMap::new(), 0);
    }

    /// Starts a lane over, after a pause if it was tried before.
    fn open(
        &mut self,
        partition: Partition,
        table: Arc<SourceTable>,
        refused: BTreeMap<i64, String>,
        attempt: u32,
    ) {
        self.lives += 1;
        let lane = Lane::new(self.lives, table, refused, attempt);
        self.actions.push_back(Action::Pause(partition.clone()));
        self.lanes.insert(partition.clone(), lane);
        self.begin(&partition, Phase::Opening);
    }

    /// The lane as it was; what it had in hand is read again by whoever comes next.
    fn take_down(&mut self, partition: &Partition) -> Option<Lane<H::Fact>> {
        let mut lane = self.lanes.remove(partition)?;
        self.call_off(partition);
        self.counters.given_back += lane.unsettled;
        self.breaker.gone(partition);
        self.actions.push_back(Action::Close(lane.ask(partition)));
        Some(lane)
    }

    /// A lane of the same partition in the old one's place, not opened yet: what is known of the partition stays. The
    /// caller inserts it.
    fn renewed(&mut self, partition: &Partition) -> Option<Lane<H::Fact>> {
        let lane = self.take_down(partition)?;
        self.counters.reloads += 1;
        self.lives += 1;
        self.actions.push_back(Action::Pause(partition.clone()));
        let (placement, halt_at, key_is_told) = (lane.placement, lane.halt_at, lane.key_is_told);
        let fresh = Lane::new(self.lives, lane.table, lane.refused, lane.attempt);
        Some(Lane { placement, halt_at, key_is_told, ..fresh })
    }

    fn reload(&mut self, now: Millis, partition: &Partition, mut refusals: Vec<sinks::Refusal>) {
        if self.policy.on_refusal == OnRefusal::SkipRecord {
            // What later records ask for was worked out as if this one were there: only the first is certain.
            refusals.sort_by_key(|refusal| refusal.offset);
            refusals.truncate(1);
        }
        let Some(mut fresh) = self.renewed(partition) else { return };
        let pause = refusals.is_empty();
        let refused = refusals.into_iter().map(|refusal| (refusal.offset, refusal.reason));
        fresh.refused.extend(refused);
        fresh.attempt = fresh.attempt.saturating_add(1);
        let attempt = fresh.attempt;
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
            fresh.not_before = until;
            self.lanes.insert(partition.clone(), fresh);
        } else {
            self.lanes.insert(partition.clone(), fresh);
            self.begin(partition, Phase::Opening);
        }
    }

    /// The record at `offset` is not where its key puts it: opens the lane again before that record is applied, and
    /// so asks for the count of partitions, after a pause in which all brokers learn of a new one.
    fn doubt(&mut self, now: Millis, partition: &Partition, offset: i64, pause: Millis) {
        let Some(mut fresh) = self.renewed(partition) else { return };
        fresh.placement = Placement::Doubted(offset);
        fresh.not_before = now + pause;
        fresh.phase = Phase::Waiting { until: fresh.not_before, then: Box::new(Phase::Opening) };
        self.lanes.insert(partition.clone(), fresh);
    }

    /// The record at `offset` must not be applied, which showed when what came before it was in hand with it: the lane
    /// is read again, and stops behind that.
    fn halt_at(&mut self, partition: &Partition, offset: i64, why: &str) {
        let Some(mut fresh) = self.renewed(partition) else { return };
        fresh.halt_at = Some((offset, why.to_owned()));
        self.lanes.insert(partition.clone(), fresh);
        self.begin(partition, Phase::Opening);
    }

    fn on_broken(&mut self, now: Millis, partition: &Partition, why: &str) {
        match self.lanes.get(partition).map(|lane| &lane.phase) {
            // The record applied last has left the log meanwhile; whether anything is missing shows at the next load.
            Some(Phase::Verifying(_)) => self.reload(now, partition, Vec::new()),
            _ => self.halt_behind(partition, why),
        }
    }

    fn live(&mut self, ticket: &Ticket) -> Option<&mut Lane<H::Fact>> {
        self.lanes
            .get_mut(&ticket.partition)
            .filter(|lane| lane.life == ticket.life && lane.question == ticket.question)
    }

    /// One place reacts to errors: waits and tries the same step again, starts the lane over, or stops.
    fn react(&mut self, now: Millis, ticket: &Ticket, then: Phase<H::Fact>, error: SinkError) {
        match self.reaction(error) {
            Reaction::Retry(cause) => {
                self.failed(now, ticket, &cause);
                let pause = self.retry(&ticket.partition, &cause);
                let Some(lane) = self.lanes.get_mut(&ticket.partition) else { return };
                lane.phase = Phase::Waiting { until: now + pause, then: Box::new(then) };
            }
            Reaction::Reload => self.reload(now, &ticket.partition, Vec::new()),
            Reaction::Isolate(refusals) => self.reload(now, &ticket.partition, refusals),
            Reaction::Halt(why) => self.halt(&ticket.partition, &why),
            Reaction::HaltAt(offset, why) => self.halt_at(&ticket.partition, offset, &why),
        }
    }

    fn reaction(&mut self, error: SinkError) -> Reaction {
        *self.counters.errors.entry(error.class()).or_default() += 1;
        react(error)
    }

    /// Counts a failed attempt, says why (each time the number of attempts has doubled), gives the pause.
    fn retry(&mut self, partition: &Partition, cause: &str) -> Millis {
        self.counters.retries += 1;
        let Some(lane) = self.lanes.get_mut(partition) else { return 0 };
        lane.attempt = lane.attempt.saturating_add(1);
        let pause = self.policy.backoff(lane.attempt, lane.life);
        if lane.attempt.is_power_of_two() {
            let n = lane.attempt;
            let when = match self.breaker.is_closed() {
                true => format!("in {pause} ms"),
                false => "when it is this partition's turn, or another one's try works".into(),
            };
            let text = format!("{partition}: {cause}; trying again {when} (attempt {n} failed)");
            self.actions.push_back(Action::Warn(text));
        }
        pause
    }

    fn on_opened(
        &mut self,
        now: Millis,
        ticket: Ticket,
        result: Result<OpenedPartition, SinkError>,
    ) {
        let (fingerprint, policy) = (self.fingerprint.clone(), self.policy.clone());
        let Some(lane) = self.live(&ticket) else { return };
        if !matches!(lane.phase, Phase::Opening) {
            return;
        }
        let opened = match result {
            Ok(opened) => opened,
            Err(error) => return self.react(now, &ticket, Phase::Opening, error),
        };
        self.worked(now, &ticket);
        let Some(lane) = self.live(&ticket) else { return };
        let is_first = opened.checkpoint.is_none();
        let applied = opened.checkpoint.as_ref().is_some_and(|stored| stored.last.is_some());
        match lane.stand_on(opened, &fingerprint, &policy, now) {
            Ok((from, warning)) => {
                lane.paused = is_first;
                lane.settle_placement();
                self.snapshots.opened(&ticket.partition, applied);
                if let Some(text) = warning {
                    self.actions.push_back(Action::Warn(format!("{}: {text}", ticket.partition)));
                }
                self.actions.push_back(Action::Seek(ticket.partition.clone(), from));
                if is_first {
                    return self.store_start(&ticket.partition);
                }
                self.resume(&ticket.partition);
            }
            Err(why) => self.halt(&ticket.partition, &why),
        }
    }

    /// Where a partition begins is durable before its first record is read: the log may have moved on by the next
    /// load. Reading starts when this empty batch is committed.
    fn store_start(&mut self, partition: &Partition) {
        let Some(lane) = self.lanes.get_mut(partition) else { return };
        let checkpoint = lane.checkpoint.clone();
        let (tag, next) = (lane.table.tag, checkpoint.next);
        let none = (Vec::new(), Vec::new());
        let batch =
            Batch::new(partition.clone(), tag, next, none.0, none.1, checkpoint, BTreeSet::new());
        let step = Phase::Committing { batch: Arc::new(batch), letters: Arc::new([]) };
        self.begin(partition, step);
    }
}
