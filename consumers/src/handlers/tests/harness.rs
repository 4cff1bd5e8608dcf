//! Lanes and views in memory: what the engine and the sinks do, without them.
use crate::handler::{Handler, Keys, Rows, Step};
use sinks::{Cell, Key, Op, View, Write};
use std::collections::{BTreeMap, BTreeSet};

/// SplitMix64.
pub struct Rng(pub u64);
impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A partition of a table.
pub type LaneId = (char, i64);
pub type ShownView = BTreeMap<Vec<Cell>, Vec<Cell>>;

struct Lane<F> {
    log: Vec<F>,
    next: usize,
    rows: BTreeMap<Key, Vec<u8>>,
    checkpoints: Vec<(usize, BTreeMap<Key, Vec<u8>>)>,
    /// What each record asked for when it was first applied.
    asked: Vec<Vec<Write>>,
}
impl<F> Default for Lane<F> {
    fn default() -> Self {
        let (log, next, rows, asked) = (vec![], 0, BTreeMap::new(), vec![]);
        Self { log, next, rows, checkpoints: vec![(0, BTreeMap::new())], asked }
    }
}

#[derive(Default)]
struct Held {
    own: Option<(LaneId, Vec<Cell>)>,
    shares: BTreeMap<LaneId, Vec<Cell>>,
}

/// A record that wrote a row twice would show what is between: a sink may raise an alert for it.
fn assert_each_once(writes: &[Write]) {
    let mut seen = BTreeSet::new();
    for Write { view, key, op, .. } in writes {
        let is_share = matches!(op, Op::Share(_));
        assert!(seen.insert((view, key, is_share)), "{view}: one record wrote a row twice");
    }
}

pub struct World<H: Handler> {
    pub handler: H,
    lanes: BTreeMap<LaneId, Lane<H::Fact>>,
    held: BTreeMap<(&'static str, Vec<Cell>), Held>,
}

impl<H: Handler> World<H>
where
    H::Fact: Clone,
{
    pub fn new(handler: H) -> Self {
        Self { handler, lanes: BTreeMap::new(), held: BTreeMap::new() }
    }

    pub fn append(&mut self, lane: LaneId, fact: H::Fact) {
        self.lanes.entry(lane).or_default().log.push(fact);
    }

    /// Applies everything, in batches of random size, lanes interleaved at random; lanes fall back to an earlier
    /// state now and then.
    pub fn run(&mut self, rng: &mut Rng, mut rollbacks: usize) {
        loop {
            let behind: Vec<LaneId> = self
                .lanes
                .iter()
                .filter(|(_, l)| l.next < l.log.len())
                .map(|(id, _)| *id)
                .collect();
            if behind.is_empty() {
                return;
            }
            let id = behind[rng.below(behind.len())];
            let records = 1 + rng.below(6);
            self.batch(id, records);
            if rng.chance(25) {
                let lane = self.lanes.get_mut(&id).expect("known lane");
                lane.checkpoints.push((lane.next, lane.rows.clone()));
            }
            if rollbacks > 0 && rng.chance(10) {
                rollbacks -= 1;
                let lane = self.lanes.get_mut(&id).expect("known lane");
                let at = rng.below(lane.checkpoints.len());
                lane.checkpoints.truncate(at + 1);
                (lane.next, lane.rows) = lane.checkpoints[at].clone();
            }
        }
    }

    /// The next `records` of a lane, loaded together and committed together. Returns what they asked for.
    pub fn batch(&mut self, id: LaneId, records: usize) -> Vec<Write> {
        let handler = &self.handler;
        let lane = self.lanes.get_mut(&id).expect("known lane");
        let end = (lane.next + records).min(lane.log.len());
        let facts = &lane.log[lane.next..end];
        let mut keys = Keys::default();
        facts.iter().for_each(|fact| handler.needs(fact, &mut keys));
        let mut more = Keys::default();
        for key in keys.iter() {
            if let Some(row) = lane.rows.get(key) {
                handler.follow(key, row, &mut more);
            }
        }
        let mut rows = Rows::default();
        keys.iter().for_each(|key| rows.learn(key.clone(), lane.rows.get(key).cloned()));
        handler.follow_all(&mut facts.iter(), &rows, &mut more);
        more.iter().for_each(|key| rows.learn(key.clone(), lane.rows.get(key).cloned()));
        let mut all = vec![];
        for (offset, fact) in (lane.next..).zip(facts) {
            let mut writes = vec![];
            handler.apply(fact.clone(), &mut Step::new(&mut rows, &mut writes, offset as i64, 0));
            assert_eq!(rows.take_fault(), None, "{id:?} at {offset}");
            assert_each_once(&writes);
            match lane.asked.get(offset) {
                Some(asked) => {
                    assert_eq!(
                        *asked, writes,
                        "{id:?} at {offset}: a replay asks for other writes"
                    );
                }
                None => lane.asked.push(writes.clone()),
            }
            all.append(&mut writes);
        }
        for (key, row) in rows.take_changed().expect("rows that can be stored") {
            match row {
                Some(row) => lane.rows.insert(key, row),
                None => lane.rows.remove(&key),
            };
        }
        lane.next = end;
        for write in &all {
            self.land(id, write);
        }
        all
    }

    /// One fact, alone.
    pub fn feed(&mut self, lane: LaneId, fact: H::Fact) -> Vec<Write> {
        self.append(lane, fact);
        self.batch(lane, 1)
    }

    fn land(&mut self, id: LaneId, write: &Write) {
        let held = self.held.entry((write.view, write.key.clone())).or_default();
        match &write.op {
            Op::Put(row) => {
                if let Some((owner, _)) = &held.own {
                    assert_eq!(*owner, id, "{}: a row has one owner", write.view);
                }
                held.own = Some((id, row.clone()));
            }
            Op::Delete => held.own = None,
            Op::Share(share) if share.is_empty() => {
                held.shares.remove(&id);
            }
            Op::Share(share) => {
                held.shares.insert(id, share.clone());
            }
        }
    }

    pub fn shown(&self) -> BTreeMap<&'static str, ShownView> {
        let views: BTreeMap<&str, View> =
            self.handler.views().into_iter().map(|view| (view.name, view)).collect();
        let mut shown: BTreeMap<&str, ShownView> =
            views.keys().map(|name| (*name, BTreeMap::new())).collect();
        for ((name, key), held) in &self.held {
            let view = &views[name];
            assert_eq!(key.len(), view.key.len(), "{name}: key columns");
            let total = view.total(held.shares.values().map(Vec::as_slice));
            let own = held.own.as_ref().map(|(_, row)| row.as_slice());
            if let Some(row) = view.show(own, &total).expect("a row or none") {
                assert_eq!(row.len(), view.columns.len(), "{name}: columns");
                shown.entry(name).or_default().insert(key.clone(), row);
            }
        }
        shown
    }

    /// Every row that the table's lanes keep, gone, as a truncate does.
    pub fn truncate(&mut self, table: &str, tag: char) {
        let prefix = self.handler.truncated(table).expect("a table of this handler");
        let mut gone = vec![];
        for (id, lane) in self.lanes.iter().filter(|(id, _)| id.0 == tag) {
            for key in lane.rows.keys().filter(|key| key.starts_with(&prefix)) {
                gone.push((*id, self.handler.gone(key).expect("a kept row names what is gone")));
            }
        }
        for (id, fact) in gone {
            self.feed(id, fact);
        }
    }

    /// State rows left, over all lanes.
    pub fn rows_kept(&self) -> usize {
        self.lanes.values().map(|lane| lane.rows.len()).sum()
    }
}
