//! The shop, its topics, and what SQL and the handlers make of them.
use sinks::{Cell, Op};
use std::collections::{BTreeMap, BTreeSet};

/// The flag is on below this.
pub const LOW_BELOW: i64 = 3;
/// Attributes of the items that hold a row and a sum.
pub const BASE: &str = "base_stock";
pub const SOLD: &str = "sold";
pub const STOCK: &str = "stock_quantity";
pub const LOW: &str = "low_stock";
/// The sink refuses the inventory item of this product for good.
pub const POISON: u8 = 4;
pub const PRODUCTS: char = 'p';
pub const ORDER_ITEMS: char = 'o';

/// Topic and partition.
pub type Src = (char, u8);
/// Key, and the row: c, u and r carry one, d does not.
pub type Record = (u8, Option<Row>);
/// Offset = index; `None`: compacted away.
pub type Log = BTreeMap<Src, Vec<Option<Record>>>;

pub struct Rng(pub u64);
impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub fn pick(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Row {
    Product { base: i64, words: u8 },
    OrderItem { product: u8, quantity: i64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    Stock(u8),
    Token(u8, u8),
}

#[derive(Default)]
pub struct Source {
    pub rows: BTreeMap<(char, u8), Row>,
    sent: Vec<(char, u8, Option<Row>)>,
    /// Of products, of order_items.
    pub partitions: [u8; 2],
    pub log: Log,
    /// A product that the producer does not place by its key: each record is somewhere.
    pub astray: Option<(u8, Rng)>,
}
impl Source {
    pub fn topics(&mut self, rng: &mut Rng) {
        self.partitions = [1 + rng.below(2) as u8, 2 + rng.below(2) as u8];
        self.sent.clear();
        self.log = Log::new();
        for (topic, n) in [(PRODUCTS, self.partitions[0]), (ORDER_ITEMS, 3)] {
            self.log.extend((0..n).map(|i| ((topic, i), vec![])));
        }
    }
    fn emit(&mut self, topic: char, key: u8, row: Option<Row>) {
        let n = self.partitions[usize::from(topic == ORDER_ITEMS)];
        let index = match &mut self.astray {
            Some((product, rng)) if topic == PRODUCTS && key == *product => {
                rng.below(n.into()) as u8
            }
            _ => key % n,
        };
        self.log.get_mut(&(topic, index)).expect("partition").push(Some((key, row)));
        self.sent.push((topic, key, row));
    }
    fn set(&mut self, topic: char, key: u8, row: Option<Row>) {
        match row {
            Some(row) => self.rows.insert((topic, key), row),
            None => self.rows.remove(&(topic, key)),
        };
        self.emit(topic, key, row);
    }
    pub fn snapshot(&mut self) {
        for ((topic, key), row) in self.rows.clone() {
            self.emit(topic, key, Some(row));
        }
    }
    pub fn change(&mut self, rng: &mut Rng) {
        let (product, id) = (rng.below(5) as u8, rng.below(6) as u8);
        let quantity = rng.below(5) as i64 - 1;
        match rng.below(20) {
            0..=5 => {
                let row = Row::Product { base: rng.below(9) as i64, words: rng.below(16) as u8 };
                self.set(PRODUCTS, product, Some(row));
            }
            6..=8 => self.set(PRODUCTS, product, None),
            9..=14 => self.set(ORDER_ITEMS, id, Some(Row::OrderItem { product, quantity })),
            15..=16 => self.set(ORDER_ITEMS, id, None),
            17 => {
                // A primary-key change: d in one partition, c perhaps in another.
                let new = rng.below(6) as u8;
                if let Some(row) = self.rows.get(&(ORDER_ITEMS, id)).copied() {
                    self.set(ORDER_ITEMS, id, None);
                    self.set(ORDER_ITEMS, new, Some(row));
                }
            }
            18 => self.snapshot(),
            _ => {
                // The connector restarts and sends its last changes again, at new offsets.
                let from = self.sent.len().saturating_sub(rng.below(6) as usize);
                for (topic, key, row) in self.sent.split_off(from) {
                    self.emit(topic, key, row);
                }
            }
        }
    }
}

/// What people should see: base, sold, low.
pub type Shown = BTreeMap<Key, (i64, i64, bool)>;

/// The views as SQL would give them.
pub fn oracle(rows: &BTreeMap<(char, u8), Row>, version: u32, derived: bool) -> Shown {
    let mut view = Shown::new();
    for (&(_, id), row) in rows {
        let Row::Product { base, words } = *row else { continue };
        let sold = sold_in(rows.values(), id);
        let low = base - if derived { sold } else { 0 } < LOW_BELOW;
        view.extend((id != POISON).then_some((Key::Stock(id), (base, sold, low))));
        view.extend(tokens(words, version).into_iter().map(|t| (Key::Token(t, id), (1, 0, false))));
    }
    view
}
fn sold_in<'a>(rows: impl Iterator<Item = &'a Row>, id: u8) -> i64 {
    rows.map(|r| match r {
        Row::OrderItem { product, quantity } if *product == id => *quantity,
        _ => 0,
    })
    .sum()
}
fn tokens(words: u8, version: u32) -> BTreeSet<u8> {
    let bits = (0..4).filter(|t| words >> t & 1 == 1);
    bits.map(|t| if t < 2 { t } else { t + 2 * version as u8 }).collect()
}

/// A value that a record changed, of a row (`share`: of this partition's share); `None`: there is no row.
#[derive(Clone, Copy, Debug)]
pub struct Effect {
    pub share: bool,
    pub was: Option<i64>,
    pub now: Option<i64>,
}
impl Effect {
    pub fn op(&self, key: Key) -> Op {
        match (self.share, self.now, key) {
            (true, now, _) => Op::Share(vec![Cell::Int(now.unwrap_or(0))]),
            (_, None, _) => Op::Delete,
            (_, Some(base), Key::Stock(_)) => Op::Put(vec![Cell::Int(base)]),
            (_, Some(_), Key::Token(..)) => Op::Put(vec![]),
        }
    }
}

/// How the service reads its log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Of the tokenizer.
    pub version: u32,
    /// The producer places records by rules of its own, the operator says. Then a row that this partition does not know
    /// may be known to another, so that its delete is written all the same: it shows that the row has two owners.
    pub placed: bool,
}

/// Old row -> new row. What a record asks for depends on nothing but the log before it.
pub fn apply(
    src: Src,
    rows: &mut BTreeMap<u8, Row>,
    record: Record,
    rules: Rules,
) -> Vec<(Key, Effect)> {
    let (key, new) = record;
    let old = rows.get(&key).copied();
    let before: Vec<i64> = (0..5).map(|id| sold_in(rows.values(), id)).collect();
    match new {
        Some(row) => drop(rows.insert(key, row)),
        None => drop(rows.remove(&key)),
    }
    let mut out = vec![];
    if src.0 == PRODUCTS {
        let read = |r: Option<Row>| match r {
            Some(Row::Product { base, words }) => (Some(base), tokens(words, rules.version)),
            _ => (None, BTreeSet::new()),
        };
        let ((was, before), (now, after)) = (read(old), read(new));
        let differs = was != now || rules.placed && now.is_none();
        out.extend(differs.then_some((Key::Stock(key), Effect { share: false, was, now })));
        for t in before.symmetric_difference(&after) {
            let [was, now] = [&before, &after].map(|s| s.contains(t).then_some(1));
            out.push((Key::Token(*t, key), Effect { share: false, was, now }));
        }
    } else {
        for (id, was) in before.into_iter().enumerate() {
            let now = sold_in(rows.values(), id as u8);
            let effect = Effect { share: true, was: Some(was), now: Some(now) };
            out.extend((was != now).then_some((Key::Stock(id as u8), effect)));
        }
    }
    out
}

/// Rows whose owner's part is written by two partitions.
pub fn with_two_owners(log: &Log, rules: Rules) -> BTreeSet<Key> {
    let mut owners: BTreeMap<Key, BTreeSet<Src>> = BTreeMap::new();
    for (src, records) in log {
        let mut rows = BTreeMap::new();
        for record in records.iter().flatten() {
            let effects = apply(*src, &mut rows, *record, rules);
            for (key, _) in effects.iter().filter(|(key, e)| !e.share && *key != Key::Stock(POISON))
            {
                owners.entry(*key).or_default().insert(*src);
            }
        }
    }
    owners.into_iter().filter(|(_, owners)| owners.len() > 1).map(|(key, _)| key).collect()
}

/// The parts that the sink refuses, by generation (the tokenizer's version), partition, offset.
pub fn poisoned(log: &Log, rules: Rules) -> BTreeSet<(u32, Src, i64)> {
    let mut out = BTreeSet::new();
    for (src, records) in log {
        let mut rows = BTreeMap::new();
        for (offset, record) in records.iter().enumerate() {
            let effects = record.map_or(vec![], |r| apply(*src, &mut rows, r, rules));
            let hit = effects.iter().any(|(key, _)| *key == Key::Stock(POISON));
            out.extend(hit.then_some((rules.version, *src, offset as i64)));
        }
    }
    out
}
