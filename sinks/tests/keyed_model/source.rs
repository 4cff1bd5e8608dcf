//! The shop, its topics, and what SQL and the handlers make of them.
use sinks::{
    AlertWhen, Cell, Column, Condition, Decimal, Direction, Expr, First, List, Merge, Op, Type,
    View,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

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
    /// What is known of a product: its row, and sums, a greatest and a smallest value of its order items.
    Card(u8),
    /// What its order items alone add up to.
    Tally(u8),
}
impl Key {
    /// The view of an item of merged shares.
    pub fn merged(self) -> Option<&'static View> {
        match self {
            Key::Card(_) => Some(&CARDS),
            Key::Tally(_) => Some(&TALLIES),
            Key::Stock(_) | Key::Token(..) => None,
        }
    }
}

pub static CARDS: LazyLock<View> = LazyLock::new(cards);
pub static TALLIES: LazyLock<View> = LazyLock::new(tallies);

const fn int(name: &'static str) -> Column {
    Column::new(name, Type::Int)
}
/// The two largest quantities that differ.
const LARGEST: First = First { limit: 2, order: &[Direction::Descending] };
const MERGE: &[Merge] =
    &[Merge::Sum, Merge::Sum, Merge::Sum, Merge::Max, Merge::Min, Merge::First(LARGEST)];
const TOP: Column = Column::new("largest", Type::List);
const WORTH: Column = Column::new("worth", Type::Decimal);

/// Several sums, one of them of decimals, a greatest and a smallest value, and an alert, beside an owner's columns.
fn cards() -> View {
    const OWN: &[Column] = &[int("base"), int("words")];
    const SHOWN: &[Column] = &[
        int("base"),
        int("lines"),
        int("left"),
        WORTH,
        int("most"),
        int("least"),
        TOP,
        int("low"),
    ];
    let left = Expr::Own(0).minus(Expr::Total(1).or_zero());
    let shows = vec![
        Expr::Own(0),
        Expr::Total(0).or_zero(),
        left.clone(),
        Expr::Total(2),
        Expr::Total(3),
        Expr::Total(4),
        Expr::Total(5).tuple_texts(0),
        left.flag_below(LOW_BELOW),
    ];
    View::rows("cards", const { &[int("id")] }, OWN)
        .with_totals(MERGE)
        .showing(SHOWN, shows)
        .existing(Condition::NotZero(Expr::Own(1)))
        .alerting(AlertWhen { flag: "low", value: "left", table: "low_cards" })
}

/// The same of order items alone; few of them raise an alert.
fn tallies() -> View {
    const SHOWN: &[Column] =
        &[int("lines"), int("sold"), WORTH, int("most"), int("least"), TOP, int("few")];
    let last = [Expr::Total(5).tuple_texts(0), Expr::Total(1).flag_below(LOW_BELOW)];
    let shows = (0..5).map(Expr::Total).chain(last).collect();
    View::totals("tallies", const { &[int("id")] }, MERGE, SHOWN)
        .showing(SHOWN, shows)
        .alerting(AlertWhen { flag: "few", value: "sold", table: "few_sold" })
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

/// What people should see: of stock base, sold, low.
pub type Shown = BTreeMap<Key, Vec<Cell>>;

/// The views as SQL would give them.
pub fn oracle(rows: &BTreeMap<(char, u8), Row>, rules: Rules, derived: bool) -> Shown {
    let mut view = Shown::new();
    for (&(_, id), row) in rows {
        let Row::Product { base, words } = *row else { continue };
        let sold = sold_in(rows.values(), id);
        let low = base - if derived { sold } else { 0 } < LOW_BELOW;
        let flag = |low: bool| Cell::from(low.then_some(1));
        view.extend(
            (id != POISON).then(|| (Key::Stock(id), vec![base.into(), sold.into(), flag(low)])),
        );
        view.extend(tokens(words, rules.version).into_iter().map(|t| (Key::Token(t, id), vec![])));
        if words != 0 {
            let [lines, sold, worth, most, least, largest] = summed(rows.values(), id);
            let left = base - sold.int().unwrap_or(0);
            let lines = Cell::from(lines.int().unwrap_or(0));
            let (base, left, low) = (base.into(), left.into(), flag(left < LOW_BELOW));
            let row = vec![base, lines, left, worth, most, least, texts(&largest), low];
            view.insert(Key::Card(id), row);
        }
    }
    for id in 0..5 {
        let mut row = summed(rows.values(), id).to_vec();
        if let Some(sold) = row[1].int() {
            row[5] = texts(&row[5]);
            row.push(Cell::from((sold < LOW_BELOW).then_some(1)));
            view.insert(Key::Tally(id), row);
        }
    }
    view.retain(|key, _| rules.has(*key));
    view
}
/// What is shown of tuples of one value.
fn texts(tuples: &Cell) -> Cell {
    let text = |tuple: &Vec<Cell>| Some(tuple[0].to_string());
    let texts: Vec<Option<String>> = tuples.tuples().iter().map(text).collect();
    if texts.is_empty() { Cell::Null } else { Cell::List(List(texts)) }
}
/// Of a product's order items: how many, what of it, what it is worth, the most and the least of one, and the largest;
/// null without any.
fn summed<'a>(rows: impl Iterator<Item = &'a Row>, id: u8) -> [Cell; 6] {
    let of_product = |row: &Row| match row {
        Row::OrderItem { product, quantity } if *product == id => Some(*quantity),
        _ => None,
    };
    let quantities: Vec<i64> = rows.filter_map(of_product).collect();
    if quantities.is_empty() {
        return [const { Cell::Null }; 6];
    }
    let (lines, sold) = (quantities.len() as i64, quantities.iter().sum::<i64>());
    let worth = Decimal::from_parts((sold * 25).into(), 2);
    let (most, least) = (quantities.iter().max(), quantities.iter().min());
    let sizes: BTreeSet<i64> = quantities.iter().copied().collect();
    let largest = sizes.iter().rev().take(LARGEST.limit).map(|size| vec![Cell::Int(*size)]);
    let largest = Cell::Tuples(largest.collect());
    let [most, least] = [most, least].map(|of| of.copied().into());
    [lines.into(), sold.into(), worth.into(), most, least, largest]
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

/// What a record changed, of a row (`share`: of this partition's share); `None`: there is no row.
#[derive(Clone, Debug)]
pub struct Effect {
    pub share: bool,
    pub was: Option<Vec<Cell>>,
    pub now: Option<Vec<Cell>>,
}
impl Effect {
    pub fn op(&self) -> Op {
        match (self.share, self.now.clone()) {
            (true, now) => Op::Share(now.unwrap_or_default()),
            (false, None) => Op::Delete,
            (false, Some(row)) => Op::Put(row),
        }
    }
}

/// How the service reads its log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Of the tokenizer.
    pub version: u32,
    /// What is known of a product is in items of merged shares; else in items of one sum.
    pub merged: bool,
    /// The producer places records by rules of its own, the operator says. Then a row that this partition does not know
    /// may be known to another, so that its delete is written all the same: it shows that the row has two owners.
    pub placed: bool,
}
impl Rules {
    fn has(&self, key: Key) -> bool {
        match key {
            Key::Stock(_) => !self.merged,
            Key::Token(..) => true,
            Key::Card(_) | Key::Tally(_) => self.merged,
        }
    }
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
    let shares = |rows: &BTreeMap<u8, Row>| {
        let of =
            |id| (vec![Cell::Int(sold_in(rows.values(), id))], summed(rows.values(), id).to_vec());
        (0..5).map(of).collect::<Vec<_>>()
    };
    let before = shares(rows);
    match new {
        Some(row) => drop(rows.insert(key, row)),
        None => drop(rows.remove(&key)),
    }
    let mut out = vec![];
    if src.0 == PRODUCTS {
        let read = |r: Option<Row>| match r {
            Some(Row::Product { base, words }) => {
                let card = vec![base.into(), i64::from(words).into()];
                ([Some(vec![base.into()]), Some(card)], tokens(words, rules.version))
            }
            _ => ([None, None], BTreeSet::new()),
        };
        let ((was, before), (now, after)) = (read(old), read(new));
        for ((at, was), now) in [Key::Stock(key), Key::Card(key)].into_iter().zip(was).zip(now) {
            let differs = was != now || rules.placed && now.is_none();
            out.extend(differs.then_some((at, Effect { share: false, was, now })));
        }
        for t in before.symmetric_difference(&after) {
            let [was, now] = [&before, &after].map(|s| s.contains(t).then(Vec::new));
            out.push((Key::Token(*t, key), Effect { share: false, was, now }));
        }
    } else {
        for (id, (was, now)) in (0..).zip(before.into_iter().zip(shares(rows))) {
            let mut of = |key: Key, was: &Vec<Cell>, now: &Vec<Cell>| {
                let effect = Effect { share: true, was: Some(was.clone()), now: Some(now.clone()) };
                out.extend((was != now).then_some((key, effect)));
            };
            of(Key::Stock(id), &was.0, &now.0);
            of(Key::Card(id), &was.1, &now.1);
            of(Key::Tally(id), &was.1, &now.1);
        }
    }
    out.retain(|(key, _)| rules.has(*key));
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
