//! Three processes, one log, one disk, and everything that goes wrong between them.
#[path = "late.rs"]
mod late;

use crate::{
    Bug,
    disk::{Answer, Disk, Request, Way, coalesce, refusals},
    history::{Expected, Growth, History, Log, Logged},
    node::Node,
    rng::Rng,
};
use consumers::{
    engine::{Action, Event, OpenedPartition, Ticket},
    handler::Handler,
    handlers::inventory::{self, Settings},
    policy::{OnRefusal, Policy, breaker::State},
    replay::{LogCheck, Verdict},
    source::{Bounds, Headers, Record},
};
use late::Late;
use sinks::{Batch, Key, Letter, Partition, Receipt, SinkError, dlq::Outcome};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const NODES: usize = 3;
const CHAOS: u64 = 1_200;
/// How long a lane waits before it asks for the count again; every broker knows of new partitions sooner.
const DOUBT_MS: u64 = 30;
/// Steps that a story with more partitions goes on after the chaos.
const AFTER: u64 = 800;

/// So many times a halted process is started again with what it held.
const HALTS: u64 = 6;

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
    CheckLog(LogCheck),
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

pub struct World {
    rng: Rng,
    way: Way,
    bug: Bug,
    policy: Policy,
    now: u64,
    calm: bool,
    /// Until when this share (percent) of all calls of all processes fails.
    outage: (u64, u64),
    log: Log,
    expected: Expected,
    disk: Disk,
    nodes: Vec<Node>,
    jobs: Vec<Job>,
    late: Vec<Late>,
    births: u64,
    growing: Option<Growing>,
    barrier: Option<Barrier>,
    story: Story,
}

/// A record that must not be applied, nor what follows it.
struct Barrier {
    partition: Partition,
    offset: i64,
    /// One past the last record before it.
    before: i64,
    /// Enough processes have halted there: nobody gets the partition any more.
    is_retired: bool,
}

/// A topic gets more partitions while the services run.
struct Growing {
    growth: Growth,
    /// From then on the producer writes by the new count.
    at: u64,
    /// From then on every broker tells the new count.
    known: u64,
    /// From then on the new partitions are given to somebody; not before `known`.
    assigned: u64,
    is_assigned: bool,
}

pub fn simulate(seed: u64, way: Way, bug: Bug) -> Result<Story, String> {
    story(seed, way, bug, Kind::Plain)
}
/// With a topic that gets more partitions.
pub fn simulate_growth(seed: u64, way: Way, bug: Bug) -> Result<Story, String> {
    story(seed, way, bug, Kind::Grows)
}
/// With a record that halts whoever meets it.
pub fn simulate_halts(seed: u64, way: Way, bug: Bug) -> Result<Story, String> {
    story(seed, way, bug, Kind::Halts)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Grows,
    Halts,
}

fn story(seed: u64, way: Way, bug: Bug, kind: Kind) -> Result<Story, String> {
    let (grows, halts) = (kind == Kind::Grows, kind == Kind::Halts);
    let mut rng = Rng(seed);
    let refuses = rng.one_in(2) || bug == Bug::RefusedSkipsRecord || bug == Bug::LettersAfterState;
    let truncates = rng.one_in(4) && !grows;
    let mut history = History::new(&mut rng, 50, truncates, grows);
    if grows {
        history.grow(&mut rng);
        history.go_on(&mut rng, 50);
    }
    if halts {
        history.stray(&mut rng);
        history.go_on(&mut rng, 20);
    }
    let barrier = history.log.iter().find_map(|(partition, log)| {
        let at = log.iter().position(|record| record.strange)?;
        let before = log[..at].last().map_or(0, |record| record.offset + 1);
        let (partition, offset) = (partition.clone(), log[at].offset);
        Some(Barrier { partition, offset, before, is_retired: false })
    });
    let growing = history.growth.take().map(|growth| {
        // Every partition was opened once by then, or the first count would be the later one.
        let at = 300 + rng.below(1_200);
        let known = at + rng.below(DOUBT_MS);
        let assigned = known + rng.below(600);
        Growing { growth, at, known, assigned, is_assigned: false }
    });
    let by_sql = (!refuses && kind == Kind::Plain).then(|| history.by_sql());
    let handler = inventory::handler(&Settings::default(), "");
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
        breaker_failures: 2 + rng.below(5) as u32,
        buffer_bytes_max: 1 << (11 + rng.below(5)),
        cache_bytes_max: [200, 4_000, 1 << 20][rng.pick(3)],
        letters_in_a_row_max: 1_000,
        letters_percent_max: 100,
        publish_every_ms: rng.one_in(2).then_some(50),
        // Elsewhere keys are written in several ways, and so placed by other rules than the default partitioner's.
        doubt_ms: (grows && bug != Bug::PlacementNotLookedAt).then_some(DOUBT_MS),
        on_refusal: match (way, bug) {
            (Way::Transactional, _) | (_, Bug::RefusedSkipsRecord) => OnRefusal::SkipRecord,
            (Way::Keyed, _) => OnRefusal::SkipWrite,
        },
        halt_grace_ms: if bug == Bug::HaltsAtOnce { 0 } else { 1_000_000 },
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
        outage: (0, 0),
        log: history.log,
        expected,
        disk: Disk { refuses, ..Disk::default() },
        nodes: vec![],
        jobs: vec![],
        late: vec![],
        births: 0,
        growing,
        barrier,
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
        Node::new(self.policy.clone(), self.births, self.bug)
    }

    fn run(mut self) -> Result<Story, String> {
        let mut partitions: Vec<Partition> = self.log.keys().cloned().collect();
        if let Some(growing) = &self.growing {
            partitions.retain(|partition| !growing.growth.is_new(partition));
        }
        for (n, partition) in partitions.iter().enumerate() {
            self.assign(n % NODES, partition)?;
        }
        for step in 0..60_000 {
            self.now += 1 + self.rng.below(3);
            if step == CHAOS {
                self.settle(&partitions)?;
            }
            if !self.calm {
                self.chaos(&partitions)?;
            }
            self.assign_new(&mut partitions)?;
            let n = self.rng.pick(NODES);
            self.feed(n)?;
            if !self.jobs.is_empty() {
                let job = self.rng.pick(self.jobs.len());
                self.work(job)?;
            }
            self.deliver_late()?;
            if self.growing.is_some() {
                if step == CHAOS + AFTER {
                    self.check_growth()?;
                    return Ok(self.story);
                }
            } else if self.calm && self.is_over() {
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

    fn assign(&mut self, n: usize, partition: &Partition) -> Result<(), String> {
        let is_retired = |b: &Barrier| b.is_retired && b.partition == *partition;
        if self.barrier.as_ref().is_some_and(is_retired) {
            return Ok(());
        }
        let node = &mut self.nodes[n];
        if !node.holds.insert(partition.clone()) {
            return Ok(());
        }
        node.flowing.remove(partition);
        node.tell(self.now, Event::Assigned(partition.clone()))
    }
    fn revoke(&mut self, n: usize, partition: &Partition) -> Result<(), String> {
        let node = &mut self.nodes[n];
        if !node.holds.remove(partition) {
            return Ok(());
        }
        node.tell(self.now, Event::Revoked(partition.clone()))
    }
    fn chaos(&mut self, partitions: &[Partition]) -> Result<(), String> {
        if self.rng.one_in(60) {
            // A rebalance; the old owner may not hear of it for a while, or ever.
            let partition = &partitions[self.rng.pick(partitions.len())];
            let to = self.rng.pick(NODES);
            self.story.add("moves", 1);
            for n in (0..NODES).filter(|n| *n != to) {
                if self.rng.one_in(2) {
                    self.revoke(n, partition)?;
                }
            }
            self.assign(to, partition)?;
        }
        if self.rng.one_in(120) {
            // A crash; what it sent may still arrive, or not, up to any point.
            let n = self.rng.pick(NODES);
            self.story.add("crashes", 1);
            self.restart(n)?;
            if self.rng.one_in(2) {
                let rng = &mut self.rng;
                self.jobs.retain(|job| job.node != n || rng.one_in(2));
            }
        }
        if self.rng.one_in(150) {
            let n = self.rng.pick(NODES);
            self.nodes[n].stopping = true;
        }
        if self.now >= self.outage.0 && self.rng.one_in(200) {
            // State, sink and dead letters are down, or throttled, for everybody.
            let percent = [100, 100, 60, 30][self.rng.pick(4)];
            self.outage = (self.now + 20 + self.rng.below(400), percent);
            self.story.add(if percent == 100 { "outages" } else { "throttled" }, 1);
        }
        Ok(())
    }
    /// One owner a partition from now on; nothing fails any more.
    fn settle(&mut self, partitions: &[Partition]) -> Result<(), String> {
        self.calm = true;
        for partition in partitions {
            let keep = self.rng.pick(NODES);
            for n in (0..NODES).filter(|n| *n != keep) {
                self.revoke(n, partition)?;
            }
            self.assign(keep, partition)?;
        }
        Ok(())
    }

    /// The group hears of the new partitions at last.
    fn assign_new(&mut self, partitions: &mut Vec<Partition>) -> Result<(), String> {
        let now = self.now;
        let due = |growing: &&mut Growing| !growing.is_assigned && now >= growing.assigned;
        let Some(growing) = self.growing.as_mut().filter(due) else { return Ok(()) };
        growing.is_assigned = true;
        let new = self.log.keys().filter(|partition| growing.growth.is_new(partition));
        let new: Vec<Partition> = new.cloned().collect();
        for partition in new {
            let n = self.rng.pick(NODES);
            self.assign(n, &partition)?;
            partitions.push(partition);
        }
        Ok(())
    }
    /// A process ends and is started again with what it held.
    fn restart(&mut self, n: usize) -> Result<(), String> {
        let held = std::mem::take(&mut self.nodes[n].holds);
        self.nodes[n] = self.node();
        held.iter().try_for_each(|partition| self.assign(n, partition))
    }
    fn is_written(&self, record: &Logged) -> bool {
        !record.late || self.growing.as_ref().is_none_or(|growing| self.now >= growing.at)
    }
    /// As a broker tells it now.
    fn count(&self, partition: &Partition) -> i32 {
        let all = self.log.keys().filter(|other| other.topic == partition.topic).count() as i32;
        match &self.growing {
            Some(growing) if growing.growth.is_of(partition) => {
                let known = self.now >= growing.known && self.bug != Bug::CountNeverKnown;
                if known { growing.growth.now } else { growing.growth.was }
            }
            _ => all,
        }
    }

    // ------------------------------------------------------------ a process takes a turn

    fn feed(&mut self, n: usize) -> Result<(), String> {
        if self.nodes[n].stopping {
            return self.stop(n);
        }
        let node = &self.nodes[n];
        let flowing: Vec<Partition> = node.flowing.intersection(&node.holds).cloned().collect();
        for partition in flowing {
            let take = self.rng.pick(5);
            let at = self.nodes[n].cursor.get(&partition).copied().unwrap_or(0);
            let written = self.log[&partition].iter().filter(|record| self.is_written(record));
            let new: Vec<&Logged> =
                written.filter(|record| record.offset >= at).take(take).collect();
            let node = &mut self.nodes[n];
            for record in new {
                node.cursor.insert(partition.clone(), record.offset + 1);
                node.tell(self.now, Event::Record(shown(&partition, record)))?;
            }
        }
        let ended = self.calm && self.growing.is_none() && self.rng.one_in(4);
        let node = &mut self.nodes[n];
        node.tell(self.now, if ended { Event::Drain } else { Event::Tick })?;
        self.carry_out_all(n)?;
        self.nodes[n].check_paused()
    }

    /// SIGTERM: when nothing is in flight any more the process ends, and another one takes its place.
    fn stop(&mut self, n: usize) -> Result<(), String> {
        self.nodes[n].tell(self.now, Event::Stop)?;
        self.carry_out_all(n)?;
        if !self.nodes[n].engine.is_idle(false) {
            return Ok(());
        }
        let born = self.nodes[n].born;
        let in_flight = |job: &&Job| job.node == n && job.born == born;
        let left = self.jobs.iter().filter(in_flight).find(|job| {
            matches!(job.step, Step::Commit { .. } | Step::Publish)
                && self.nodes[n].engine.is_held(&job.ticket)
        });
        if let Some(job) = left {
            let what = if matches!(job.step, Step::Publish) { "publication" } else { "batch" };
            return Err(format!("{}: ended with a {what} in flight", job.ticket.partition));
        }
        self.story.add("stops", 1);
        self.restart(n)
    }

    fn carry_out_all(&mut self, n: usize) -> Result<(), String> {
        while let Some(action) = self.nodes[n].pending.pop_front() {
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
            Action::CheckLog(ticket, check) => (ticket, Step::CheckLog(check)),
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
                if self.bug != Bug::ReadsOn || node.engine.breaker().is_closed() {
                    node.flowing.remove(&partition);
                }
                return Ok(());
            }
            Action::Resume(partition) => {
                node.flowing.insert(partition);
                return Ok(());
            }
            Action::Acknowledge(partition, next) => return self.acknowledged(&partition, next),
            Action::Halt(why) if self.growing.is_some() && why.contains("keys have moved") => {
                let at = self.growing.as_ref().map_or(0, |growing| growing.at);
                if self.now < at {
                    return Err(format!("halted before there were more partitions: {why}"));
                }
                self.story.add("halts", 1);
                if self.story.counts["halts"] > HALTS {
                    self.nodes[n].holds.clear(); // Left as it is, until the group gives it something.
                }
                self.restart(n)?;
                return Ok(());
            }
            Action::Halt(why) if self.barrier.is_some() && why.contains("SOURCE_TABLES") => {
                return self.halted(n);
            }
            Action::Halt(why) => return Err(format!("halted: {why}")),
            Action::Close(_) | Action::Alert(_) | Action::Warn(_) => return Ok(()),
        };
        self.check_answered(n, &ticket)?;
        let is_ahead = self.nodes[n].ahead.contains(&ticket);
        self.story.add("fetched ahead", is_ahead.into());
        let node = &self.nodes[n];
        let born = node.born;
        let epoch = node.epochs.get(&ticket.life).copied().unwrap_or(0);
        self.jobs.push(Job { node: n, born, ticket, epoch, step });
        Ok(())
    }

    /// A process met the record that must not be applied: what it had read before is durable, of all partitions.
    fn halted(&mut self, n: usize) -> Result<(), String> {
        let Some(barrier) = &mut self.barrier else { return Ok(()) };
        let next = self.disk.next(&barrier.partition);
        if next < barrier.before {
            return Err(format!("{}: halted at {next}, not {}", barrier.partition, barrier.before));
        }
        self.story.add("halts", 1);
        if self.story.counts["halts"] >= HALTS {
            barrier.is_retired = true;
            let partition = barrier.partition.clone();
            for n in 0..NODES {
                self.revoke(n, &partition)?;
            }
        }
        self.restart(n)
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
        if let Some(letter) = missing {
            return Err(format!("acknowledged past dead letter {letter:?}"));
        }
        let marks = &self.expected.marks;
        let owed = |mark: &&(Partition, i64, i64, _)| {
            mark.0 == *partition && mark.1 < next && !self.disk.marks.contains(*mark)
        };
        let unmarked = marks.iter().find(owed);
        unmarked.map_or(Ok(()), |mark| Err(format!("acknowledged past unmarked replay {mark:?}")))
    }

    // ------------------------------------------------------------ the outside works, or does not

    fn work(&mut self, job: usize) -> Result<(), String> {
        let fate = if self.calm { 9 } else { self.rng.below(10) };
        let (until, percent) = self.outage;
        let down = !self.calm && self.now < until && self.rng.below(100) < percent;
        let mut job = self.jobs.swap_remove(job);
        if down || fate == 0 {
            // The request never arrives, or the process that carries it out dies here.
            return self.answer(&job, Err(lost()));
        }
        let Some(done) = self.advance(&mut job) else {
            self.jobs.push(job);
            return Ok(());
        };
        self.story.note((self.now, &job.ticket, done.is_ok()));
        match fate {
            // It took effect and nobody knows; nor does it help to hear it when something else was asked.
            1 => self.answer_twice(job, done, Some(lost())),
            2 => self.answer_twice(job, done, None),
            _ => self.answer(&job, done),
        }
    }

    /// One durable step further; `Some`: the answer.
    fn advance(&mut self, job: &mut Job) -> Option<Result<Told, SinkError>> {
        let partition = job.ticket.partition.clone();
        match &mut job.step {
            Step::Open => {
                let partitions = self.count(&partition);
                let kept = self.disk.keep_count(&partition.topic, partitions);
                if let (Err(refused), true) = (kept, self.bug != Bug::AnyCount) {
                    return Some(Err(refused));
                }
                let (epoch, checkpoint) = self.disk.open(&partition);
                let mut written =
                    self.log[&partition].iter().filter(|record| self.is_written(record));
                let end = written.next_back().map_or(0, |record| record.offset + 1);
                let bounds = Bounds { begin: 0, end, partitions };
                Some(Ok(Told::Opened(epoch, OpenedPartition { checkpoint, bounds, start: None })))
            }
            Step::Fetch(keys) => {
                let rows = self.disk.rows(&partition, job.epoch);
                Some(Ok(Told::Rows(keys.iter().map(|key| rows.get(key).cloned()).collect())))
            }
            Step::Scan(prefix) => {
                let rows = self.disk.rows(&partition, job.epoch).iter();
                let found = rows.filter(|(key, _)| key.starts_with(prefix));
                Some(Ok(Told::Scanned(
                    found.map(|(key, row)| (key.clone(), row.clone())).collect(),
                )))
            }
            Step::CheckLog(check) => {
                self.story.add("looks", 1);
                let blind = check.whose.is_none() && self.bug == Bug::BlindRemoval;
                if check.whose.is_none() {
                    self.story.add("looks for removals", 1);
                }
                if blind || self.bug == Bug::NoLook {
                    return Some(Ok(Told::LogChecked(Verdict::Clean)));
                }
                let mut checker = check.checker(&partition.topic);
                let range = check.from..check.to;
                let records = self.log[&partition].iter().filter(|r| range.contains(&r.offset));
                records.for_each(|record| checker.see(&shown(&partition, record)));
                Some(Ok(Told::LogChecked(check.verdict(&checker))))
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
    fn answer(&mut self, job: &Job, told: Result<Told, SinkError>) -> Result<(), String> {
        let node = &mut self.nodes[job.node];
        if node.born != job.born {
            return Ok(());
        }
        let breaker = node.engine.breaker();
        let probes =
            matches!(breaker.state(), State::HalfOpen { probe } if *probe == job.ticket.partition);
        let told = match (self.bug, told) {
            (Bug::NeverCloses, Ok(_)) if probes => Err(lost()),
            (Bug::MovesOnWhileOpen, Err(SinkError::Transient(_)))
                if !breaker.is_closed() && matches!(job.step, Step::Commit { .. }) =>
            {
                Ok(Told::Committed)
            }
            (_, told) => told,
        };
        if let Ok(Told::Opened(epoch, _)) = &told {
            let known = node.epochs.entry(job.ticket.life).or_default();
            *known = (*known).max(*epoch);
        }
        let ticket = job.ticket.clone();
        let event = match (&job.step, told) {
            (_, Ok(Told::Opened(_, opened))) => Event::Opened(ticket, Ok(opened)),
            (_, Ok(Told::Rows(rows))) => Event::Fetched(ticket, Ok(rows)),
            (_, Ok(Told::Scanned(rows))) => Event::Scanned(ticket, Ok(rows)),
            (_, Ok(Told::LogChecked(verdict))) => Event::LogChecked(ticket, Ok(verdict)),
            (_, Ok(Told::Committed)) => Event::Committed(ticket, Ok(Receipt::default())),
            (_, Ok(Told::Published)) => Event::Published(ticket, Ok(())),
            (Step::Open, Err(error)) => Event::Opened(ticket, Err(error)),
            (Step::Fetch(_), Err(error)) => Event::Fetched(ticket, Err(error)),
            (Step::Scan(_), Err(error)) => Event::Scanned(ticket, Err(error)),
            (Step::CheckLog(_), Err(error)) => Event::LogChecked(ticket, Err(error)),
            (Step::Commit { .. }, Err(error)) => Event::Committed(ticket, Err(error)),
            (Step::Publish, Err(error)) => Event::Published(ticket, Err(error)),
        };
        node.tell(self.now, event)
    }

    // ------------------------------------------------------------ the end

    fn is_over(&self) -> bool {
        let reached = |(partition, log): (&Partition, &Vec<_>)| {
            let end = log.last().map_or(0, |record: &crate::history::Logged| record.offset + 1);
            match &self.barrier {
                Some(barrier) if barrier.partition == *partition => barrier.is_retired,
                _ => self.disk.next(partition) >= end,
            }
        };
        self.jobs.is_empty()
            && self.log.iter().all(reached)
            && self.nodes.iter().all(|node| node.engine.is_idle(true))
    }

    /// Nothing was applied whose row another partition may hold, and somebody said so.
    fn check_growth(&mut self) -> Result<(), String> {
        let Some(growing) = &self.growing else { return Ok(()) };
        for (partition, log) in &self.log {
            let new = growing.growth.is_new(partition);
            let astray = |record: &&Logged| new || growing.growth.is_misplaced(partition, record);
            let Some(first) = log.iter().find(astray) else { continue };
            let (next, newest) = (self.disk.next(partition), self.disk.newest(partition));
            if next > first.offset || newest.is_some_and(|newest| newest >= first.offset) {
                return Err(format!(
                    "{partition}: offset {} moved here; durable {next}, shown {newest:?}",
                    first.offset
                ));
            }
        }
        let halts = self.story.counts.get("halts").copied().unwrap_or(0);
        if halts == 0 {
            return Err("nobody halted".into());
        }
        let doubts = self.nodes.iter().map(|node| node.engine.counters().reloads).sum();
        self.story.add("reloads", doubts);
        self.story.add("fenced", self.disk.fenced);
        Ok(())
    }

    fn check(&mut self) -> Result<(), String> {
        let view = &inventory::handler(&Settings::default(), "").views()[0];
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
        if self.disk.marks != self.expected.marks {
            return Err(format!("marks {:?}, not {:?}", self.disk.marks, self.expected.marks));
        }
        for (partition, stored) in &self.disk.stored {
            let next = self.disk.next(partition);
            if let Some(barrier) = self.barrier.as_ref().filter(|b| b.partition == *partition) {
                let newest = self.disk.newest(partition);
                if next > barrier.offset || newest.is_some_and(|newest| newest >= barrier.offset) {
                    return Err(format!(
                        "{partition}: {next}, {newest:?} is past {}",
                        barrier.offset
                    ));
                }
                continue;
            }
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
        for (.., outcome) in &self.disk.marks {
            let what = match outcome {
                Outcome::FailedAgain => "failed again",
                Outcome::MovedOn => "moved on",
            };
            self.story.add(what, 1);
        }
        for node in &self.nodes {
            self.story.add("opened", node.engine.breaker().opened());
            self.story.add("probes", node.engine.breaker().probes());
            self.story.add("probes lost", node.probes_lost);
        }
        self.story
            .add("reloads", self.nodes.iter().map(|node| node.engine.counters().reloads).sum());
        self.story.note((&seen, letters));
        Ok(())
    }
}

enum Told {
    Opened(u64, OpenedPartition),
    Rows(Vec<Option<Vec<u8>>>),
    Scanned(Vec<(Key, Vec<u8>)>),
    LogChecked(Verdict),
    Committed,
    Published,
}

fn shown<'l>(partition: &'l Partition, record: &'l Logged) -> Record<'l> {
    Record {
        partition,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: Some(record.key.as_bytes()),
        value: record.value.as_deref().map(str::as_bytes),
        headers: Headers(&record.headers),
    }
}

fn copy(told: &Result<Told, SinkError>) -> Result<Told, SinkError> {
    match told {
        Ok(Told::Opened(epoch, opened)) => Ok(Told::Opened(*epoch, opened.clone())),
        Ok(Told::Rows(rows)) => Ok(Told::Rows(rows.clone())),
        Ok(Told::Scanned(rows)) => Ok(Told::Scanned(rows.clone())),
        Ok(Told::LogChecked(verdict)) => Ok(Told::LogChecked(*verdict)),
        Ok(Told::Committed) => Ok(Told::Committed),
        Ok(Told::Published) => Ok(Told::Published),
        Err(SinkError::Fenced) => Err(SinkError::Fenced),
        Err(SinkError::Refused(list)) => Err(SinkError::Refused(list.clone())),
        Err(SinkError::Fatal(why)) => Err(SinkError::Fatal(anyhow::anyhow!("{why:#}"))),
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
    let publish = |disk: &mut Disk| disk.publish(letters);
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
                    refused.extend(
                        parts.into_iter().filter(|part| !batch.dead_lettered.contains(part)),
                    );
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
