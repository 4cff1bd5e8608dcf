//! Three processes, one log, one disk, and everything that goes wrong between them.
use crate::{
    Bug,
    disk::{Answer, Disk, Request, Way, coalesce, refusals},
    history::{Expected, History, Log},
    rng::Rng,
};
use consumers::{
    engine::{Action, Engine, Event, Standing, Ticket},
    handler::Handler,
    handlers::inventory::{Inventory, Settings},
    policy::{OnRefusal, Policy},
    source::{Bounds, Headers, Record},
};
use debezium::Decoder;
use sinks::{Batch, Key, Letter, Partition, Receipt, SinkError};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const NODES: usize = 3;
const CHAOS: u64 = 1_200;

/// What one run went through: equal for equal seeds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    pub counts: BTreeMap<&'static str, u64>,
    pub trace: u64,
}
impl Story {
    fn add(&mut self, what: &'static str, n: u64) {
        *self.counts.entry(what).or_default() += n;
    }
    fn note(&mut self, what: impl std::fmt::Debug) {
        for byte in format!("{what:?}").bytes() {
            self.trace = (self.trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

enum Step {
    Open,
    Fetch(Vec<Key>),
    Scan(Key),
    /// Dead letters, then sink writes one by one, then the state.
    Commit {
        batch: Arc<Batch>,
        letters: Arc<[Letter]>,
        stage: Stage,
    },
    Publish,
}
enum Stage {
    Letters,
    Writes {
        left: Vec<Request>,
        refused: BTreeSet<i64>,
    },
    State,
    /// [`Bug::StateBeforeWrites`], [`Bug::LettersAfterState`]: what should have come before.
    Late(Vec<Request>),
}
struct Job {
    node: usize,
    born: u64,
    ticket: Ticket,
    /// Of the lane when it asked: what a stale owner's request carries along.
    epoch: u64,
    step: Step,
}

struct Node {
    engine: Engine<Inventory>,
    born: u64,
    holds: BTreeSet<Partition>,
    cursor: BTreeMap<Partition, i64>,
    flowing: BTreeSet<Partition>,
    /// The epoch of each open lane, by life.
    epochs: BTreeMap<u64, u64>,
}

pub struct World {
    rng: Rng,
    way: Way,
    bug: Bug,
    policy: Policy,
    now: u64,
    calm: bool,
    log: Log,
    expected: Expected,
    disk: Disk,
    nodes: Vec<Node>,
    jobs: Vec<Job>,
    births: u64,
    story: Story,
}

pub fn simulate(seed: u64, way: Way, bug: Bug) -> Result<Story, String> {
    let mut rng = Rng(seed);
    let refuses = rng.one_in(2) || bug == Bug::RefusedSkipsRecord || bug == Bug::LettersAfterState;
    let truncates = rng.one_in(4);
    let history = History::new(&mut rng, 50, truncates);
    let by_sql = (!refuses).then(|| history.by_sql());
    let handler = Inventory::new(Settings::default(), "");
    let skip_record = way == Way::Transactional;
    let expected = Expected::of(&history.log, &handler, refuses, skip_record);
    if by_sql.as_ref().is_some_and(|view| *view != expected.view) {
        return Err(format!("the handler says {:?}, SQL says {by_sql:?}", expected.view));
    }
    let policy = Policy {
        batch_records_max: 1 + rng.pick(12),
        linger_ms: 1 + rng.below(20),
        backoff_base_ms: 2,
        backoff_ms_max: 40,
        buffer_bytes_max: 1 << (11 + rng.below(5)),
        cache_bytes_max: if rng.one_in(2) { 200 } else { 1 << 20 },
        letters_in_a_row_max: 1_000,
        letters_percent_max: 100,
        publish_every_ms: rng.one_in(2).then_some(50),
        on_refusal: match (way, bug) {
            (Way::Transactional, _) | (_, Bug::RefusedSkipsRecord) => OnRefusal::SkipRecord,
            (Way::Keyed, _) => OnRefusal::SkipWrite,
        },
        seed,
        ..Policy::default()
    };
    let mut world = World {
        rng,
        way,
        bug,
        policy,
        now: 0,
        calm: false,
        log: history.log,
        expected,
        disk: Disk { refuses, ..Disk::default() },
        nodes: vec![],
        jobs: vec![],
        births: 0,
        story: Story::default(),
    };
    for _ in 0..NODES {
        let node = world.node();
        world.nodes.push(node);
    }
    world.run()
}

impl World {
    fn node(&mut self) -> Node {
        self.births += 1;
        let handler = Inventory::new(Settings::default(), "");
        Node {
            engine: Engine::new(handler, Decoder::default(), self.policy.clone()),
            born: self.births,
            holds: BTreeSet::new(),
            cursor: BTreeMap::new(),
            flowing: BTreeSet::new(),
            epochs: BTreeMap::new(),
        }
    }

    fn run(mut self) -> Result<Story, String> {
        let partitions: Vec<Partition> = self.log.keys().cloned().collect();
        for (n, partition) in partitions.iter().enumerate() {
            self.assign(n % NODES, partition);
        }
        for step in 0..60_000 {
            self.now += 1 + self.rng.below(3);
            if step == CHAOS {
                self.settle(&partitions);
            }
            if !self.calm {
                self.chaos(&partitions);
            }
            let n = self.rng.pick(NODES);
            self.feed(n)?;
            if !self.jobs.is_empty() {
                let job = self.rng.pick(self.jobs.len());
                self.work(job)?;
            }
            if self.calm && self.is_over() {
                self.check()?;
                return Ok(self.story);
            }
        }
        Err(self.stuck())
    }

    fn stuck(&self) -> String {
        let one = |(partition, log): (&Partition, &Vec<crate::history::Logged>)| {
            let end = log.last().map_or(0, |record| record.offset + 1);
            format!("{partition} at {} of {end}", self.disk.next(partition))
        };
        let at: Vec<String> = self.log.iter().map(one).collect();
        let idle: Vec<bool> = self.nodes.iter().map(|node| node.engine.is_idle(true)).collect();
        format!("did not finish: {}; {} jobs; idle {idle:?}", at.join(", "), self.jobs.len())
    }

    // ------------------------------------------------------------ what goes wrong

    fn assign(&mut self, n: usize, partition: &Partition) {
        let node = &mut self.nodes[n];
        if node.holds.insert(partition.clone()) {
            node.flowing.remove(partition);
            node.engine.handle(self.now, Event::Assigned(partition.clone()));
        }
    }
    fn revoke(&mut self, n: usize, partition: &Partition) {
        let node = &mut self.nodes[n];
        if node.holds.remove(partition) {
            node.engine.handle(self.now, Event::Revoked(partition.clone()));
        }
    }
    fn chaos(&mut self, partitions: &[Partition]) {
        if self.rng.one_in(60) {
            // A rebalance; the old owner may not hear of it for a while, or ever.
            let partition = &partitions[self.rng.pick(partitions.len())];
            let to = self.rng.pick(NODES);
            self.story.add("moves", 1);
            for n in (0..NODES).filter(|n| *n != to) {
                if self.rng.one_in(2) {
                    self.revoke(n, partition);
                }
            }
            self.assign(to, partition);
        }
        if self.rng.one_in(120) {
            // A crash; what it sent may still arrive, or not, up to any point.
            let n = self.rng.pick(NODES);
            self.story.add("crashes", 1);
            let held = std::mem::take(&mut self.nodes[n].holds);
            self.nodes[n] = self.node();
            for partition in held {
                self.assign(n, &partition);
            }
            if self.rng.one_in(2) {
                let rng = &mut self.rng;
                self.jobs.retain(|job| job.node != n || rng.one_in(2));
            }
        }
    }
    /// One owner a partition from now on; nothing fails any more.
    fn settle(&mut self, partitions: &[Partition]) {
        self.calm = true;
        for partition in partitions {
            let keep = self.rng.pick(NODES);
            for n in (0..NODES).filter(|n| *n != keep) {
                self.revoke(n, partition);
            }
            self.assign(keep, partition);
        }
    }

    // ------------------------------------------------------------ a process takes a turn

    fn feed(&mut self, n: usize) -> Result<(), String> {
        let node = &mut self.nodes[n];
        let flowing: Vec<Partition> = node.flowing.intersection(&node.holds).cloned().collect();
        for partition in flowing {
            let take = self.rng.pick(5);
            let at = node.cursor.get(&partition).copied().unwrap_or(0);
            let new = self.log[&partition].iter().filter(|record| record.offset >= at).take(take);
            for record in new {
                node.cursor.insert(partition.clone(), record.offset + 1);
                let record = Record {
                    partition: &partition,
                    offset: record.offset,
                    timestamp_ms: record.timestamp_ms,
                    key: Some(record.key.as_bytes()),
                    value: record.value.as_deref().map(str::as_bytes),
                    headers: Headers(&()),
                };
                node.engine.handle(self.now, Event::Record(record));
            }
        }
        let ended = self.calm && self.rng.one_in(4);
        node.engine.handle(self.now, if ended { Event::Drain } else { Event::Tick });
        while let Some(action) = self.nodes[n].engine.poll() {
            self.carry_out(n, action)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, n: usize, action: Action) -> Result<(), String> {
        if let (Action::Commit(_, batch, _), Bug::AcknowledgeEarly) = (&action, self.bug) {
            self.acknowledged(&batch.partition, batch.span.end)?;
        }
        let node = &mut self.nodes[n];
        let (ticket, step) = match action {
            Action::Open(ticket) => (ticket, Step::Open),
            Action::Fetch(ticket, keys) => (ticket, Step::Fetch(keys)),
            Action::Scan(ticket, prefix) => (ticket, Step::Scan(prefix)),
            Action::Publish(ticket, _) => (ticket, Step::Publish),
            Action::Commit(ticket, batch, letters) => {
                (ticket, Step::Commit { batch, letters, stage: Stage::Letters })
            }
            Action::Seek(partition, next) => {
                let skip = i64::from(self.bug == Bug::SeekTooFar && self.rng.one_in(4));
                node.cursor.insert(partition, next + skip);
                return Ok(());
            }
            Action::Pause(partition) => {
                node.flowing.remove(&partition);
                return Ok(());
            }
            Action::Resume(partition) => {
                node.flowing.insert(partition);
                return Ok(());
            }
            Action::Acknowledge(partition, next) => return self.acknowledged(&partition, next),
            Action::Halt(why) => return Err(format!("halted: {why}")),
            Action::Close(_) | Action::Alert(_) | Action::Warn(_) => return Ok(()),
        };
        let born = node.born;
        let epoch = node.epochs.get(&ticket.life).copied().unwrap_or(0);
        self.jobs.push(Job { node: n, born, ticket, epoch, step });
        Ok(())
    }

    /// Kafka hears that everything below `next` is done: is it?
    fn acknowledged(&self, partition: &Partition, next: i64) -> Result<(), String> {
        let durable = self.disk.next(partition);
        if next > durable {
            return Err(format!("{partition}: acknowledged {next}, durable is {durable}"));
        }
        let dead = &self.expected.letters;
        let missing = dead.iter().find(|(of, offset)| {
            of == partition
                && *offset < next
                && !self.disk.letters.contains_key(&(of.clone(), *offset))
        });
        missing.map_or(Ok(()), |letter| Err(format!("acknowledged past dead letter {letter:?}")))
    }

    // ------------------------------------------------------------ the outside works, or does not

    fn work(&mut self, job: usize) -> Result<(), String> {
        let fate = if self.calm { 9 } else { self.rng.below(10) };
        let mut job = self.jobs.swap_remove(job);
        if fate == 0 {
            // The request never arrives, or the process that carries it out dies here.
            self.answer(&job, Err(lost()), 1);
            return Ok(());
        }
        let Some(done) = self.advance(&mut job) else {
            self.jobs.push(job);
            return Ok(());
        };
        self.story.note((self.now, &job.ticket, done.is_ok()));
        match fate {
            1 => self.answer(&job, Err(lost()), 1), // it took effect and nobody knows
            2 => {
                self.story.add("doubled", 1);
                self.answer(&job, done, 2);
            }
            _ => self.answer(&job, done, 1),
        }
        Ok(())
    }

    /// One durable step further; `Some`: the answer.
    fn advance(&mut self, job: &mut Job) -> Option<Result<Told, SinkError>> {
        let partition = job.ticket.partition.clone();
        match &mut job.step {
            Step::Open => {
                let (epoch, checkpoint) = self.disk.open(&partition);
                let end = self.log[&partition].last().map_or(0, |record| record.offset + 1);
                let of_topic = |other: &&Partition| other.topic == partition.topic;
                let partitions = self.log.keys().filter(of_topic).count() as i32;
                let bounds = Bounds { begin: 0, end, partitions };
                Some(Ok(Told::Opened(epoch, Standing { checkpoint, bounds })))
            }
            Step::Fetch(keys) => {
                let rows = &self.disk.stored[&partition].rows;
                Some(Ok(Told::Rows(keys.iter().map(|key| rows.get(key).cloned()).collect())))
            }
            Step::Scan(prefix) => {
                let rows = self.disk.stored[&partition].rows.iter();
                let found = rows.filter(|(key, _)| key.starts_with(prefix));
                Some(Ok(Told::Scanned(
                    found.map(|(key, row)| (key.clone(), row.clone())).collect(),
                )))
            }
            Step::Publish => {
                let stored = self.disk.stored.get_mut(&partition)?;
                stored.published =
                    stored.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next);
                self.story.add("published", 1);
                Some(Ok(Told::Published))
            }
            Step::Commit { batch, letters, stage } => {
                let (epoch, way, bug) = (job.epoch, self.way, self.bug);
                commit_step(&mut self.disk, batch, letters, stage, epoch, way, bug, &mut self.rng)
            }
        }
    }

    /// Tells the process that asked, if it still lives.
    fn answer(&mut self, job: &Job, told: Result<Told, SinkError>, times: u32) {
        let node = &mut self.nodes[job.node];
        if node.born != job.born {
            return;
        }
        if let Ok(Told::Opened(epoch, _)) = &told {
            node.epochs.insert(job.ticket.life, *epoch);
        }
        let again = (times == 2).then(|| copy(&told));
        for told in std::iter::once(told).chain(again) {
            let ticket = job.ticket.clone();
            let event = match (&job.step, told) {
                (_, Ok(Told::Opened(_, standing))) => Event::Opened(ticket, Ok(standing)),
                (_, Ok(Told::Rows(rows))) => Event::Fetched(ticket, Ok(rows)),
                (_, Ok(Told::Scanned(rows))) => Event::Scanned(ticket, Ok(rows)),
                (_, Ok(Told::Committed)) => Event::Committed(ticket, Ok(Receipt::default())),
                (_, Ok(Told::Published)) => Event::Published(ticket, Ok(())),
                (Step::Open, Err(error)) => Event::Opened(ticket, Err(error)),
                (Step::Fetch(_), Err(error)) => Event::Fetched(ticket, Err(error)),
                (Step::Scan(_), Err(error)) => Event::Scanned(ticket, Err(error)),
                (Step::Commit { .. }, Err(error)) => Event::Committed(ticket, Err(error)),
                (Step::Publish, Err(error)) => Event::Published(ticket, Err(error)),
            };
            node.engine.handle(self.now, event);
        }
    }

    // ------------------------------------------------------------ the end

    fn is_over(&self) -> bool {
        let reached = |(partition, log): (&Partition, &Vec<_>)| {
            let end = log.last().map_or(0, |record: &crate::history::Logged| record.offset + 1);
            self.disk.next(partition) >= end
        };
        self.jobs.is_empty()
            && self.log.iter().all(reached)
            && self.nodes.iter().all(|node| node.engine.is_idle(true))
    }

    fn check(&mut self) -> Result<(), String> {
        let view = &Inventory::new(Settings::default(), "").views()[0];
        let seen = self.disk.view(view);
        let want = &self.expected.view;
        for id in want.keys().chain(seen.keys()) {
            if want.get(id) != seen.get(id) {
                return Err(format!("product {id}: {:?}, not {:?}", seen.get(id), want.get(id)));
            }
        }
        let letters: BTreeSet<_> = self.disk.letters.keys().cloned().collect();
        if letters != self.expected.letters {
            return Err(format!("letters {letters:?}, not {:?}", self.expected.letters));
        }
        for (partition, stored) in &self.disk.stored {
            let next = self.disk.next(partition);
            if self.policy.publish_every_ms.is_some() && stored.published != next {
                return Err(format!(
                    "{partition}: published {}, committed {next}",
                    stored.published
                ));
            }
        }
        self.story.add("fenced", self.disk.fenced);
        self.story.add("repeats", self.disk.repeats);
        self.story.add("dropped", self.disk.dropped);
        self.story.add("letters", letters.len() as u64);
        self.story.add("reloads", self.nodes.iter().map(|node| node.engine.tally().reloads).sum());
        self.story.note((&seen, letters));
        Ok(())
    }
}

enum Told {
    Opened(u64, Standing),
    Rows(Vec<Option<Vec<u8>>>),
    Scanned(Vec<(Key, Vec<u8>)>),
    Committed,
    Published,
}

fn copy(told: &Result<Told, SinkError>) -> Result<Told, SinkError> {
    match told {
        Ok(Told::Opened(epoch, standing)) => Ok(Told::Opened(*epoch, standing.clone())),
        Ok(Told::Rows(rows)) => Ok(Told::Rows(rows.clone())),
        Ok(Told::Scanned(rows)) => Ok(Told::Scanned(rows.clone())),
        Ok(Told::Committed) => Ok(Told::Committed),
        Ok(Told::Published) => Ok(Told::Published),
        Err(SinkError::Fenced) => Err(SinkError::Fenced),
        Err(SinkError::Refused(list)) => Err(SinkError::Refused(list.clone())),
        Err(_) => Err(lost()),
    }
}

fn lost() -> SinkError {
    SinkError::Transient(anyhow::anyhow!("the connection broke"))
}

/// The commit promise, one durable step a call: letters -> writes -> state.
#[allow(clippy::too_many_arguments, reason = "the parts of a world that borrowing keeps apart")]
fn commit_step(
    disk: &mut Disk,
    batch: &Batch,
    letters: &[Letter],
    stage: &mut Stage,
    epoch: u64,
    way: Way,
    bug: Bug,
    rng: &mut Rng,
) -> Option<Result<Told, SinkError>> {
    let publish = |disk: &mut Disk| {
        for letter in letters {
            disk.letters.insert((letter.partition.clone(), letter.offset), letter.clone());
        }
    };
    match stage {
        Stage::Letters => {
            if bug != Bug::LettersAfterState && bug != Bug::NoLetters {
                publish(disk);
            }
            let left = if way == Way::Keyed { coalesce(batch) } else { vec![] };
            *stage = match bug {
                Bug::StateBeforeWrites => Stage::Late(left),
                _ if left.is_empty() => Stage::State,
                _ => Stage::Writes { left, refused: BTreeSet::new() },
            };
            None
        }
        Stage::Writes { left, refused } => {
            let n = rng.pick(left.len());
            match disk.update(&mut left[n], bug) {
                Answer::Again => return None,
                Answer::Done => drop(left.swap_remove(n)),
                Answer::Refused(parts) => {
                    refused.extend(parts.into_iter().filter(|part| !batch.forgiven.contains(part)));
                    left.swap_remove(n);
                }
            }
            if !left.is_empty() {
                return None;
            }
            if !refused.is_empty() {
                return Some(Err(refusals(std::mem::take(refused))));
            }
            *stage = Stage::State;
            None
        }
        Stage::State => {
            let result = disk.commit(batch, epoch, way, bug);
            if bug == Bug::LettersAfterState && result.is_ok() {
                *stage = Stage::Late(vec![]);
                return None;
            }
            Some(result.map(|()| Told::Committed))
        }
        Stage::Late(left) => {
            if bug == Bug::LettersAfterState {
                publish(disk);
                return Some(Ok(Told::Committed));
            }
            if let Err(error) = disk.commit(batch, epoch, way, bug) {
                return Some(Err(error));
            }
            if left.is_empty() {
                return Some(Ok(Told::Committed));
            }
            let left = std::mem::take(left);
            *stage = Stage::Writes { left, refused: BTreeSet::new() };
            None
        }
    }
}
