//! Services that do not know of each other, their states, and everything that can go wrong between them and the table.
mod chaos;

use super::{
    bugs::{Bug, planted},
    source::*,
    table::{Failure, Table, due, entries, hidden, int, shown},
};
use sinks::{
    Write,
    dynamodb::{
        keyed::{self, AT, Ask, GEN, Merged, OWN, OWN_PART, Shape, Sight, Step, Sum, Writer},
        request::{Item, Request, Value},
    },
};
use std::collections::{BTreeMap, BTreeSet};

/// Steps an owner may write after its last proof of ownership (state load or compare-and-swap).
const LEASE: u64 = 150;
/// Steps that a request may be in flight before it counts as expired.
const LIFE: u64 = 100;
const CHAOS: u64 = 1500;

#[derive(Clone, Debug, Default)]
struct State {
    next: i64,
    rows: BTreeMap<u8, Row>,
}
#[derive(Clone, Default)]
struct Store {
    now: State,
    checkpoints: Vec<State>,
    /// Step, position, oldest restorable position from then on.
    marks: Vec<(u64, i64, i64)>,
}
impl Store {
    fn mark(&mut self, step: u64) {
        let restorable = self.checkpoints.iter().chain([&self.now]);
        let oldest = restorable.map(|s| s.next).min().unwrap_or(0);
        self.marks.push((step, self.now.next, oldest));
    }
}

struct Pending {
    /// Of the last attempt.
    id: u64,
    key: Key,
    ask: Ask,
    first: i64,
    last: i64,
    /// An answer showed the item; without it the protocol aims at what the lane remembers.
    answered: bool,
    /// The last answer was a success.
    mine: bool,
    sent: bool,
}
#[derive(Default)]
struct Lane {
    life: u64,
    generation: u32,
    src: Src,
    rules: Rules,
    state: State,
    /// The stored position this lane stands on.
    base: i64,
    proof: u64,
    changed: BTreeSet<u8>,
    pending: Vec<Pending>,
    seen: BTreeMap<Key, Item>,
    /// Alerts to publish when the state has moved.
    owed: BTreeSet<(Key, String)>,
}
#[derive(Clone)]
enum Call {
    /// And the name of the alert that it would raise.
    Write(Request, String),
    Mark(String),
    /// Publishes, then takes the names off the item.
    Tell(BTreeSet<String>, Request),
}
#[derive(Clone)]
struct Flight {
    life: u64,
    id: u64,
    generation: i64,
    key: Key,
    call: Call,
    born: u64,
    /// Delivered when everything else is over, if it does not expire.
    late: bool,
}

/// What the items look like.
struct Shapes {
    stock: Shape,
    tokens: Shape,
    cards: Shape,
    tallies: Shape,
}
impl Shapes {
    fn of(&self, key: Key) -> &Shape {
        match key {
            Key::Stock(_) => &self.stock,
            Key::Token(..) => &self.tokens,
            Key::Card(_) => &self.cards,
            Key::Tally(_) => &self.tallies,
        }
    }
}

/// By generation and partition.
type Stores = BTreeMap<(u32, Src), Store>;
pub struct World {
    rng: Rng,
    bug: Bug,
    shapes: Shapes,
    collecting: bool,
    /// Alerts are published before the state moves; else after, and a crash in between leaves them on the item.
    prompt: bool,
    step: u64,
    ids: u64,
    generation: u32,
    logs: Vec<Log>,
    /// First offset retained, of generation 1.
    begins: BTreeMap<Src, i64>,
    table: Table,
    backup: Option<(Table, Stores)>,
    stores: Stores,
    lanes: Vec<Lane>,
    flights: Vec<Flight>,
    letters: BTreeSet<(u32, Src, i64)>,
    rules: Rules,
    /// Of each generation, the rows that are in two partitions.
    twice: Vec<BTreeSet<Key>>,
    /// The last generation found a row with two owners.
    halted: bool,
    tally: Tally,
}
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub counts: BTreeMap<&'static str, u64>,
    pub trace: u64,
}
impl Tally {
    fn add(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

fn entry_name(src: Src) -> String {
    format!("{}{}", src.0, src.1)
}
impl World {
    fn note(&mut self, what: impl std::fmt::Debug) {
        for b in format!("{what:?}").bytes() {
            self.tally.trace = (self.tally.trace ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    fn sources(&self, generation: u32) -> Vec<Src> {
        self.logs[generation as usize - 1].keys().copied().collect()
    }
    fn end(&self, lane: &Lane) -> i64 {
        self.logs[lane.generation as usize - 1][&lane.src].len() as i64
    }
    fn store(&mut self, generation: u32, src: Src) -> &mut Store {
        self.stores.entry((generation, src)).or_default()
    }
    /// Calls `f` with the protocol as this partition of this generation uses it for this item.
    fn writing<T>(
        &self,
        generation: u32,
        src: Src,
        key: Key,
        f: impl FnOnce(&Writer<'_>) -> T,
    ) -> T {
        let shape = self.shapes.of(key);
        let entry = entry_name(src);
        let source = format!("{}/{}", src.0, src.1);
        let now_ms = self.step as i64 * 1000;
        f(&Writer { shape, generation: generation.into(), entry: &entry, source: &source, now_ms })
    }
    fn sight(&self, generation: u32, src: Src, key: Key, item: &Item) -> Sight {
        let mut item = item.clone();
        if self.bug == Bug::OwnerNotLookedAt {
            item.remove(OWN);
        }
        self.writing(generation, src, key, |w| w.sight(&item)).expect("an item that we wrote")
    }

    /// A new owner. It does not ask whether there is one already.
    fn start(&mut self, generation: u32, src: Src) {
        let mut state = self.store(generation, src).now.clone();
        let (base, begin) = (state.next, self.begins[&src] * i64::from(generation == 1));
        if state.next < begin {
            if self.bug != Bug::SkipGap {
                return self.switch(); // halt; the operator sets a new GENERATION
            }
            state.next = begin;
        }
        self.ids += 1;
        let other = self.bug == Bug::CodeDiffers && self.step < CHAOS && self.ids & 1 == 0;
        let rules = Rules { version: generation + u32::from(other), ..self.rules };
        let (life, proof) = (self.ids, self.step);
        let lane = Lane { life, generation, src, rules, state, base, proof, ..Lane::default() };
        self.lanes.push(lane);
    }
    /// The topics were made anew: offsets restart, a snapshot comes first.
    fn switch(&mut self) {
        if self.generation as usize == self.logs.len() {
            return;
        }
        self.generation += 1;
        self.tally.add("switches");
        if self.bug == Bug::MergeGenerations {
            let generation = i64::from(self.generation);
            for item in self.table.items.values_mut() {
                item.insert(GEN.into(), generation.into());
            }
        }
        for src in self.sources(self.generation) {
            self.begins.entry(src).or_insert(0);
            self.start(self.generation, src);
        }
    }
    fn reload(&mut self, i: usize) {
        let lane = self.lanes.swap_remove(i);
        self.start(lane.generation, lane.src);
    }
    fn work(&mut self, i: usize) {
        let end = self.end(&self.lanes[i]);
        let lane = &mut self.lanes[i];
        if self.collecting && self.step > lane.proof + LEASE {
            return self.reload(i);
        }
        if !lane.pending.is_empty() && self.rng.below(8) > 0 {
            let n = self.rng.pick(lane.pending.len());
            if lane.pending[n].sent {
                // A timeout: the answer is given up, the request may still arrive.
                lane.pending[n].sent = !self.rng.one_in(8);
            } else {
                self.go_on(i, n);
            }
        } else if lane.pending.is_empty()
            && lane.state.next > lane.base
            && (lane.state.next == end || self.rng.one_in(2))
        {
            self.commit(i);
        } else if lane.state.next < end {
            self.read(i);
        }
    }
    /// Reads a few records, coalesces their effects by item.
    fn read(&mut self, i: usize) {
        let (bug, take) = (self.bug, 1 + self.rng.below(6));
        let lane = &mut self.lanes[i];
        let log = &self.logs[lane.generation as usize - 1][&lane.src];
        let mut parts = BTreeMap::<Key, Vec<(i64, Effect)>>::new();
        for _ in 0..take {
            let offset = lane.state.next;
            let Some(slot) = log.get(offset as usize) else { break };
            lane.state.next += 1;
            let refused = self.letters.contains(&(lane.generation, lane.src, offset));
            let skip = refused && bug == Bug::RefusedSkipsRecord;
            let Some(record) = slot.filter(|_| !skip) else { continue };
            lane.changed.insert(record.0);
            for (key, effect) in apply(lane.src, &mut lane.state.rows, record, lane.rules) {
                parts.entry(key).or_default().push((offset, effect));
            }
        }
        for (key, parts) in parts {
            let ends = (&parts[0], &parts[parts.len() - 1]);
            if bug == Bug::ZeroNotWritten && ends.0.1.was == ends.1.1.now {
                continue;
            }
            let mut ask = Ask::default();
            for (offset, effect) in &parts {
                let op = effect.op();
                let write = Write { offset: *offset, source_ts_ms: 0, view: "", key: vec![], op };
                ask.add(self.shapes.of(key), &write).expect("whole numbers");
            }
            let (first, last) = (ends.0.0, ends.1.0);
            let (id, answered, mine, sent) = (0, false, false, false);
            lane.pending.push(Pending { id, key, ask, first, last, answered, mine, sent });
        }
        if bug == Bug::StateFirst {
            self.commit(i);
        }
    }
    /// What the protocol says is next for a pending ask.
    fn go_on(&mut self, i: usize, n: usize) {
        let lane = &self.lanes[i];
        let (generation, src, p) = (lane.generation, lane.src, &lane.pending[n]);
        let (key, mine) = (p.key, p.mine);
        let seen = lane.seen.get(&key).cloned();
        let sight = seen.as_ref().map(|item| self.sight(generation, src, key, item));
        let overlap = |s: &Sight| {
            s.generation == i64::from(generation) && at(key, src, seen.as_ref()) >= p.first
        };
        let whole = self.bug == Bug::FailedMeansApplied
            && p.answered
            && sight.as_ref().is_some_and(overlap);
        let mut ask = p.ask.clone();
        let is_older = match key {
            Key::Token(..) => false,
            Key::Stock(_) => true,
            Key::Card(_) | Key::Tally(_) => !p.ask.offsets.is_empty(),
        };
        let step = self.writing(generation, src, key, |w| match w.next(&mut ask, sight.as_ref()) {
            Step::Done if self.bug == Bug::ShareGoesBack && !mine && is_older => {
                w.aim(&p.ask, sight.as_ref()).map_or_else(Step::from, Step::Send)
            }
            step => step,
        });
        match step {
            Step::Superseded(_) => {
                self.tally.add("superseded");
                self.lanes.swap_remove(i); // an older generation: stop
            }
            Step::TwoOwners { owner, .. } => self.two_owners(i, key, &owner),
            Step::Refused(why) => panic!("{key:?} was refused: {why}"),
            Step::Send(request) if !whole => {
                let parts = self.lanes[i].pending[n].ask.offsets.len();
                if ask.offsets.len() < parts {
                    self.tally.add("dropped");
                }
                let p = &mut self.lanes[i].pending[n];
                // What an answer showed stays dropped; what was only remembered may be out of date after a crash.
                p.ask = ask;
                let name = format!("{}/{}/{}", src.0, src.1, p.last);
                let request = planted(self.bug, key, &entry_name(src), request);
                self.send(i, n, Call::Write(request, name));
            }
            _ => self.landed(i, n, seen),
        }
    }
    /// The deployment halts; the operator sets a new GENERATION, if there are topics made anew.
    fn two_owners(&mut self, i: usize, key: Key, owner: &str) {
        let lane = self.lanes.swap_remove(i);
        self.tally.add("two owners");
        let twice = self.twice[lane.generation as usize - 1].contains(&key);
        if !twice || !owner.starts_with(PRODUCTS) || owner == entry_name(lane.src) {
            let wrong = format!("{key:?}: {:?} halted for {owner}", lane.src);
            self.table.wrong.get_or_insert(wrong);
        }
        if lane.generation as usize == self.logs.len() {
            self.halted = true;
        } else if lane.generation == self.generation {
            self.switch();
        }
    }
    fn send(&mut self, i: usize, n: usize, call: Call) {
        self.ids += 1;
        let late = self.step < CHAOS && self.rng.one_in(8);
        let (id, born, lane) = (self.ids, self.step, &mut self.lanes[i]);
        let p = &mut lane.pending[n];
        (p.id, p.sent) = (id, true);
        let (life, generation, key) = (lane.life, lane.generation.into(), p.key);
        self.flights.push(Flight { life, id, generation, key, call, born, late });
    }
    /// The write is in the table, through us or another: see to the alerts before moving on.
    fn landed(&mut self, i: usize, n: usize, item: Option<Item>) {
        let lane = &self.lanes[i];
        let (generation, src, p) = (lane.generation, lane.src, &lane.pending[n]);
        let (key, mine) = (p.key, p.mine);
        let item = item.expect("an item that holds the entry");
        // Those of others only when they seem to be forgotten: nobody knows, so the dice decide.
        let long = self.rng.one_in(4);
        let own = |name: &String| self.writing(generation, src, key, |w| w.is_own(name));
        let names: BTreeSet<String> = due(&item).into_iter().filter(|n| long || own(n)).collect();
        if self.bug == Bug::FlagInSecondUpdate
            && matches!(key, Key::Stock(_))
            && !self.table.is_marked_right(&item)
        {
            let name = format!("{}/{}/{}", src.0, src.1, at(key, src, Some(&item)));
            return self.send(i, n, Call::Mark(name));
        }
        let silent = names.is_empty() || self.bug == Bug::ToldByWriterOnly && !mine;
        if self.prompt && !silent {
            let request = self.writing(generation, src, key, |w| w.told(&names));
            return self.send(i, n, Call::Tell(names, request));
        }
        let lane = &mut self.lanes[i];
        if !silent {
            lane.owed.extend(names.into_iter().map(|name| (key, name)));
        }
        lane.pending.remove(n);
    }
    fn commit(&mut self, i: usize) {
        let (step, bug, keep) = (self.step, self.bug, self.collecting);
        let lane = &mut self.lanes[i];
        let store = self.stores.entry((lane.generation, lane.src)).or_default();
        if bug == Bug::RowsWithoutCas {
            for key in std::mem::take(&mut lane.changed) {
                match lane.state.rows.get(&key) {
                    Some(row) => drop(store.now.rows.insert(key, *row)),
                    None => drop(store.now.rows.remove(&key)),
                }
            }
            store.now.next = store.now.next.max(lane.state.next);
        } else if store.now.next != lane.base {
            self.tally.add("fenced");
            return self.reload(i);
        } else {
            let old = std::mem::replace(&mut store.now, lane.state.clone());
            store.checkpoints.push(old);
        }
        if keep && store.checkpoints.len() > 3 {
            store.checkpoints.remove(0);
        }
        store.mark(step);
        (lane.base, lane.proof) = (lane.state.next, step);
        self.tell_owed(i);
    }
    /// Publishes what the state's move has settled, and takes it off the items; nobody waits for that.
    fn tell_owed(&mut self, i: usize) {
        let lane = &mut self.lanes[i];
        let (life, generation, src) = (lane.life, lane.generation, lane.src);
        let owed = std::mem::take(&mut lane.owed);
        if owed.is_empty() {
            return;
        }
        self.tally.add("told late");
        for (key, name) in &owed {
            self.table.alerts.insert((generation.into(), *key, name.clone()));
        }
        for (key, name) in owed {
            let names = BTreeSet::from([name]);
            let request = self.writing(generation, src, key, |w| w.told(&names));
            let (generation, born, late) = (generation.into(), self.step, self.rng.one_in(8));
            let call = Call::Tell(names, request);
            self.flights.push(Flight { life, id: 0, generation, key, call, born, late });
        }
    }
    fn deliver(&mut self, n: usize, calm: bool) {
        let fate = if calm { 7 } else { self.rng.below(8) };
        let f = self.flights[n].clone();
        if fate != 2 {
            self.flights.swap_remove(n); // 2: it arrives, and once more later
        }
        if fate == 0 || self.collecting && self.step > f.born + LIFE {
            return;
        }
        let torn = !calm && self.rng.one_in(8);
        let answer = match &f.call {
            Call::Write(request, name) => self.table.carry_out(f.key, request, name),
            Call::Mark(name) => self.table.mark(f.key, f.generation, name),
            Call::Tell(names, request) => {
                if self.bug != Bug::ForgottenFirst || !torn {
                    let told = names.iter().map(|name| (f.generation, f.key, name.clone()));
                    self.table.alerts.extend(told);
                }
                if torn && self.bug != Bug::ForgottenFirst {
                    Err(Failure::Condition(self.table.items.get(&f.key).cloned()))
                } else {
                    self.table.carry_out(f.key, request, "")
                }
            }
        };
        self.tally.add("writes");
        self.note((self.step, f.life, f.key, answer.is_ok()));
        if fate == 1 {
            return; // the answer is lost
        }
        let Some(i) = self.lanes.iter().position(|l| l.life == f.life) else { return };
        let asked = |p: &Pending| p.id == f.id && p.sent;
        if let Some(n) = self.lanes[i].pending.iter().position(asked) {
            self.answered(i, n, answer);
        }
    }
    fn answered(&mut self, i: usize, n: usize, answer: Result<Item, Failure>) {
        let lane = &mut self.lanes[i];
        let p = &mut lane.pending[n];
        let key = p.key;
        (p.sent, p.answered, p.mine) = (false, true, answer.is_ok());
        match answer {
            Ok(item) | Err(Failure::Condition(Some(item))) => drop(lane.seen.insert(key, item)),
            Err(Failure::Condition(None)) => drop(lane.seen.remove(&key)),
            Err(Failure::Refused) => {
                // The write is refused, not the record: a letter for each part, and the row moves on.
                for offset in &p.ask.offsets {
                    self.letters.insert((lane.generation, lane.src, *offset));
                }
                lane.pending.remove(n);
                if self.bug == Bug::RefusedSkipsRecord {
                    self.reload(i);
                }
                return;
            }
        }
        self.go_on(i, n);
    }

    fn check(
        &mut self,
        source: &Source,
        refused: &BTreeSet<(u32, Src, i64)>,
    ) -> Result<(), String> {
        if let Some(wrong) = self.table.wrong.take() {
            return Err(wrong);
        }
        if let Some(key) = self.twice.last().and_then(BTreeSet::first) {
            return Err(format!("{key:?} is in two partitions, and nobody noticed"));
        }
        let want = {
            let rules = Rules { version: self.generation, ..self.rules };
            oracle(&source.rows, rules, self.table.derived)
        };
        let mut got = Shown::new();
        for (key, item) in self.table.items.iter().filter(|(key, item)| !hidden(**key, item)) {
            got.insert(*key, shown(*key, item));
        }
        for key in want.keys().chain(got.keys()) {
            if want.get(key) != got.get(key) {
                return Err(format!("{key:?}: {:?}, not {:?}", got.get(key), want.get(key)));
            }
        }
        self.check_alerts()?;
        let current = |l: &&(u32, Src, i64)| l.0 == self.generation;
        let letters: BTreeSet<_> = self.letters.iter().filter(current).copied().collect();
        if self.bug == Bug::None && letters != *refused {
            return Err(format!("letters {letters:?}, not {refused:?}"));
        }
        self.note((self.table.items.len(), got));
        Ok(())
    }
    /// Each crossing is published under its name, or, where a crash came between state and publication, still due.
    fn check_alerts(&self) -> Result<(), String> {
        let generation = i64::from(self.generation);
        let current = |a: &&(i64, Key, String)| a.0 == generation;
        let crossed: BTreeSet<_> = self.table.crossed.iter().filter(current).cloned().collect();
        let mut told: BTreeSet<_> = self.table.alerts.iter().filter(current).cloned().collect();
        if !self.prompt {
            for (key, item) in &self.table.items {
                told.extend(due(item).into_iter().map(|name| (generation, *key, name)));
            }
        }
        if crossed != told {
            return Err("alerts differ from crossings".into());
        }
        Ok(())
    }
}

/// The last offset of this partition that the item holds.
fn at(key: Key, src: Src, item: Option<&Item>) -> i64 {
    let Some(item) = item else { return -1 };
    match key {
        Key::Stock(_) | Key::Card(_) | Key::Tally(_) => {
            entries(key, item).get(&src).map_or(-1, |entry| entry.0)
        }
        Key::Token(..) => item.get(AT).and_then(Value::int).map_or(-1, |at| at as i64),
    }
}

/// `merged`: what is known of products is in items of merged shares; else in items of one sum.
pub fn simulate(seed: u64, bug: Bug, merged: bool) -> Result<Tally, String> {
    let mut rng = Rng(seed);
    let collecting = rng.one_in(3) || format!("{bug:?}").starts_with("Col");
    let two = !collecting && bug != Bug::SkipGap && rng.one_in(2);
    let (mut source, mut logs) = (Source::default(), vec![]);
    let mut astray = Rng(seed ^ 0xA57A);
    use Bug::{OwnerNotInCondition, OwnerNotLookedAt, UnknownNotDeleted};
    let sought = matches!(bug, OwnerNotLookedAt | OwnerNotInCondition | UnknownNotDeleted);
    if !collecting && (sought || bug == Bug::None && astray.one_in(6)) {
        let product = astray.below(u64::from(POISON)) as u8; // what is refused shows nothing
        source.astray = Some((product, Rng(astray.below(u64::MAX))));
    }
    let placed = source.astray.is_some() && bug != UnknownNotDeleted;
    for n in 0..1 + usize::from(two) {
        if n == 1 && astray.one_in(2) {
            source.astray = None; // the producer was mended
        }
        source.topics(&mut rng);
        source.snapshot();
        for n in 0..60 {
            if n == 30 && bug == Bug::PartitionsGrow {
                source.partitions[1] = 3;
            }
            source.change(&mut rng);
        }
        logs.push(source.log.clone());
    }
    let sources: Vec<Src> = logs[0].keys().copied().collect();
    let rules = |version| Rules { version, merged, placed };
    let refused = poisoned(&source.log, rules(logs.len() as u32));
    let derived = !rng.one_in(4);
    let stock = Sum {
        columns: vec![BASE],
        base: 0,
        sum: SOLD,
        quantity: STOCK,
        is_less_sum: derived,
        flag: LOW,
        below: LOW_BELOW,
    };
    let prompt = rng.one_in(2);
    let real_delete = bug == Bug::RealDelete;
    let mut w = World {
        rng,
        bug,
        shapes: Shapes {
            stock: Shape::Sum(stock),
            tokens: Shape::Row(keyed::Row::default()),
            cards: Shape::Merged(Box::new(Merged::of(&CARDS).expect("few columns"))),
            tallies: Shape::Merged(Box::new(Merged::of(&TALLIES).expect("few columns"))),
        },
        collecting,
        prompt,
        step: 0,
        ids: 0,
        generation: 1,
        begins: sources.iter().map(|s| (*s, 0)).collect(),
        rules: rules(0),
        twice: (1..).zip(&logs).map(|(n, log)| with_two_owners(log, rules(n))).collect(),
        halted: false,
        logs,
        table: Table { derived, real_delete, ..Table::default() },
        backup: None,
        stores: BTreeMap::new(),
        lanes: vec![],
        flights: vec![],
        letters: BTreeSet::new(),
        tally: Tally::default(),
    };
    sources.iter().for_each(|s| w.start(1, *s));
    while w.step < CHAOS && !w.halted {
        w.step += 1;
        w.chaos();
    }
    while w.generation < w.logs.len() as u32 {
        w.switch();
    }
    w.settle()?;
    if w.halted {
        w.tally.add("halted");
        return w.table.wrong.take().map_or(Ok(w.tally), Err);
    }
    if bug == Bug::SweepOnce {
        w.sweep();
    }
    while !w.flights.is_empty() {
        w.step += 1;
        let n = w.rng.pick(w.flights.len());
        w.deliver(n, true);
    }
    if bug != Bug::NoSweep && bug != Bug::SweepOnce {
        w.sweep(); // now that no older generation's write can arrive
    }
    w.check(&source, &refused)?;
    Ok(w.tally)
}
