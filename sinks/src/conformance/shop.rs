//! A small made-up shop: its views, its partitions' logs as writes, and what the views must show in the end.
mod firsts;
pub(super) mod merged;
mod types;

use crate::{
    AlertWhen, Batch, Cell, Checkpoint, Column, Condition, Expr, Index, IndexKey, Key, Mark, Merge,
    Op, Partition, Rules, Type, View, Write, canonical::Text, encode_row, share_key,
};
use std::collections::{BTreeMap, BTreeSet};
use views::Decimal;

/// A view's rows by key, as shown.
pub type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// Which kinds of views a backend shows, and how large its values may be.
#[derive(Debug, Clone)]
pub struct Supports {
    pub stock: bool,
    pub rows: bool,
    pub totals: bool,
    /// Rows that are merged of several sums, greatest and smallest values.
    pub merged: bool,
    /// Whether the key of a view of totals may hold nulls, and begin with an empty text.
    pub null_keys: bool,
    /// Bytes of a text that it must take, and of one that it must refuse; `None`: nothing is refused.
    pub text_bytes: Option<(usize, usize)>,
    /// How many random runs of each kind: fewer for slow backends.
    pub seeds: u64,
}
impl Default for Supports {
    fn default() -> Self {
        Self {
            stock: true,
            rows: true,
            totals: true,
            merged: false,
            null_keys: true,
            text_bytes: None,
            seeds: 10,
        }
    }
}

/// Names of the sample views.
pub struct Shop;
impl Shop {
    pub const STOCK: &'static str = "inventory_realtime";
    pub const INDEX: &'static str = "product_search_index";
    pub const TOKENS: &'static str = "product_search_tokens";
    pub const DAILY: &'static str = "daily_sales";
    pub const BINS: &'static str = "bin_stock";
    pub const MEMBERS: &'static str = "tenant_members";
    pub const REGIONS: &'static str = "regional_sales";
    pub const SHELVES: &'static str = "shelf_stock";
    pub const CARDS: &'static str = "product_cards";
    pub const TALLIES: &'static str = "unit_tallies";

    /// The sample views of the kinds that a backend supports.
    pub fn views(supports: &Supports) -> Vec<View> {
        let mut views = vec![];
        if supports.stock {
            views.push(stock(true, 10));
        }
        if supports.rows {
            views.extend([index(), tokens()]);
        }
        if supports.totals {
            views.push(daily());
        }
        // Under keys of several columns.
        if supports.stock {
            views.push(bins());
        }
        if supports.rows {
            views.push(members());
            views.extend(types::rows());
        }
        if supports.totals {
            views.extend([regions(), types::totals(), firsts::view()]);
        }
        if supports.merged {
            views.extend(merged::views());
        }
        views
    }
}

const PRODUCT_ID: Column = Column::new("product_id", Type::Int);
const NAME: Column = Column::new("name", Type::Text);
const PRICE: Column = Column::new("price", Type::Decimal);
const BASE_STOCK: Column = Column::new("base_stock", Type::Int);

/// A row and a sum, with an alert: a product's stock is its base stock less what was sold (`derived`), or the base
/// stock itself, and is low below a threshold.
pub fn stock(derived: bool, low_below: i64) -> View {
    const COLUMNS: &[Column] = &[
        NAME,
        PRICE,
        BASE_STOCK,
        Column::new("sold", Type::Int),
        Column::new("stock_quantity", Type::Int),
        Column::new("low_stock", Type::Int),
    ];
    let (base, sold) = (Expr::Own(2), Expr::Total(0).or_zero());
    let quantity = if derived { base.clone().minus(sold.clone()) } else { base.clone() };
    let shows = vec![
        Expr::Own(0),
        Expr::Own(1),
        base.clone(),
        sold,
        quantity.clone(),
        quantity.flag_below(low_below),
    ];
    View::rows(Shop::STOCK, &[PRODUCT_ID], const { &[NAME, PRICE, BASE_STOCK] })
        .with_totals(&[Merge::Sum])
        .showing(COLUMNS, shows)
        .existing(Condition::Known(base))
        .alerting(AlertWhen {
            flag: "low_stock",
            value: "stock_quantity",
            table: "low_stock_alerts",
        })
        .indexed(&[Index {
            name: "low-stock-index",
            key: &[IndexKey::Column("low_stock"), IndexKey::Column("stock_quantity")],
            shows: &["name", "price", "base_stock", "sold", "updated_at"],
        }])
        .ruled(Rules { text: stock_rules(derived, low_below), earlier: stock_rules_of_earlier })
}
fn stock_rules(derived: bool, low_below: i64) -> Text {
    let mode = if derived { "derived" } else { "source" };
    Text::new("stock").with("stock_mode", mode).with("low_stock_threshold", low_below)
}
fn stock_rules_of_earlier(text: &str) -> Option<Text> {
    let low_below = text.strip_prefix("stock Derived, low below ")?;
    Some(stock_rules(true, low_below.parse().ok()?))
}

/// Rows with every type of value, found also by name and by price.
pub fn index() -> View {
    const COLUMNS: &[Column] = &[
        NAME,
        Column::new("description", Type::Text),
        PRICE,
        Column::new("category", Type::Text),
        Column::new("search_tokens", Type::Words),
    ];
    View::rows(Shop::INDEX, &[PRODUCT_ID], COLUMNS).indexed(&[
        Index {
            name: "name-index",
            key: &[IndexKey::Lower { name: "name_lower", of: "name" }],
            shows: &["name", "description", "price", "category"],
        },
        Index {
            name: "price-index",
            key: &[IndexKey::Same { name: "catalog", text: "all" }, IndexKey::Column("price")],
            shows: &["name", "description", "category"],
        },
    ])
}

/// Rows with a key of two columns and no others.
pub fn tokens() -> View {
    View::rows(Shop::TOKENS, const { &[Column::new("token", Type::Text), PRODUCT_ID] }, &[])
}

fn daily() -> View {
    View::totals(
        Shop::DAILY,
        const { &[Column::new("day", Type::Text)] },
        &[Merge::Sum, Merge::Sum],
        const { &[Column::new("orders", Type::Int), Column::new("revenue", Type::Decimal)] },
    )
}

/// A row and a sum, with an alert, under a key of three columns: what is in a bin.
pub fn bins() -> View {
    const KEY: &[Column] = &[
        Column::new("site", Type::Text),
        Column::new("bay", Type::Int),
        Column::new("shelf", Type::Text),
    ];
    const COLUMNS: &[Column] = &[
        BASE_STOCK,
        Column::new("sold", Type::Int),
        Column::new("stock_quantity", Type::Int),
        Column::new("low_stock", Type::Int),
    ];
    let (base, sold) = (Expr::Own(0), Expr::Total(0).or_zero());
    let quantity = base.clone().minus(sold.clone());
    let flag = quantity.clone().flag_below(10);
    View::rows(Shop::BINS, KEY, const { &[BASE_STOCK] })
        .with_totals(&[Merge::Sum])
        .showing(COLUMNS, vec![base.clone(), sold, quantity, flag])
        .existing(Condition::Known(base))
        .alerting(AlertWhen { flag: "low_stock", value: "stock_quantity", table: "bin_alerts" })
        .indexed(&[Index { name: "bay-index", key: &[IndexKey::Column("bay")], shows: &["sold"] }])
}

/// Rows under a key of two texts, of which one is a UUID.
pub fn members() -> View {
    const KEY: &[Column] = &[Column::new("tenant", Type::Text), Column::new("member", Type::Text)];
    View::rows(Shop::MEMBERS, KEY, &[NAME])
}

/// Sums under a key of three columns, any of which may be null: what SQL's `group by` makes of them.
fn regions() -> View {
    const KEY: &[Column] = &[
        Column::new("region", Type::Text),
        Column::new("channel", Type::Int),
        Column::new("rate", Type::Decimal),
    ];
    View::totals(Shop::REGIONS, KEY, &[Merge::Sum], const { &[Column::new("orders", Type::Int)] })
}

/// Every partition that the suite writes to, so that a derived sink knows which lanes to publish.
pub fn partitions() -> Vec<Partition> {
    let topics = ["shop.public.products", "shop.public.order_items", "shop.public.orders"];
    topics.iter().flat_map(|topic| [0, 1].map(|index| Partition::new(topic, index))).collect()
}

/// xorshift64*: the same seed gives the same shop on every machine.
pub(super) struct Dice(u64);
impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    /// From 0 to `below` - 1.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }
}

pub(super) struct Record {
    pub offset: i64,
    pub writes: Vec<Write>,
}

fn source_ts_ms(offset: i64) -> i64 {
    1_700_000_000_000 + offset * 1_000
}

/// What one partition's records ask for, in order.
pub(super) struct Log {
    pub partition: Partition,
    pub tag: char,
    pub begin: i64,
    pub records: Vec<Record>,
}

impl Log {
    pub fn new(partition: Partition, tag: char, begin: i64) -> Self {
        Self { partition, tag, begin, records: vec![] }
    }

    /// Adds a record `gap` offsets after the one before.
    pub fn push(&mut self, gap: i64, writes: Vec<(&'static str, Vec<Cell>, Op)>) {
        let offset = self.place(self.records.len()) + gap;
        let source_ts_ms = source_ts_ms(offset);
        let writes = writes
            .into_iter()
            .map(|(view, key, op)| Write { offset, source_ts_ms, view, key, op })
            .collect();
        self.records.push(Record { offset, writes });
    }

    /// The position before record number `at`.
    pub fn place(&self, at: usize) -> i64 {
        if at == 0 { self.begin } else { self.records[at - 1].offset + 1 }
    }

    /// The number of the record at a position.
    pub fn number(&self, next: Option<i64>) -> usize {
        let Some(next) = next else { return 0 };
        (0..=self.records.len()).find(|at| self.place(*at) == next).unwrap_or_else(|| {
            panic!("{}: the state stands at {next}, where no batch ended", self.partition)
        })
    }

    /// Records `from` to `to` - 1 as a batch.
    pub fn cut(&self, from: usize, to: usize, dead_lettered: &[i64]) -> Batch {
        let writes: Vec<Write> =
            self.records[from..to].iter().flat_map(|r| r.writes.clone()).collect();
        let mut rows: BTreeMap<Key, Option<Vec<u8>>> = BTreeMap::new();
        for write in &writes {
            if let Op::Share(share) = &write.op {
                let kept = !share.iter().all(Cell::is_zero);
                let value = kept.then(|| encode_row(share));
                rows.insert(share_key(write.view, &write.key), value);
            }
        }
        rows.insert(b"records".to_vec(), Some(to.to_string().into_bytes()));
        let last = to.checked_sub(1).map(|at| self.records[at].offset);
        let checkpoint = Checkpoint {
            next: self.place(to),
            last: last.map(|offset| Mark {
                offset,
                timestamp_ms: offset,
                key_digest: 7,
                is_delete: false,
            }),
            fingerprint: "v1".into(),
            partitions: 2,
            ..Checkpoint::default()
        };
        let dead_lettered: BTreeSet<i64> = dead_lettered.iter().copied().collect();
        let (partition, start) = (self.partition.clone(), self.place(from));
        Batch::new(
            partition,
            self.tag,
            start,
            writes,
            rows.into_iter().collect(),
            checkpoint,
            dead_lettered,
        )
    }
}

/// One log for each of [`partitions`]; empty where no supported view needs it.
pub(super) fn logs(seed: u64, supports: &Supports, length: u64) -> Vec<Log> {
    let mut dice = Dice::new(seed);
    let mut more = Dice::new(seed ^ 0x2c0d);
    let mut most = Dice::new(seed ^ 0x3e26);
    let mut typed = Dice::new(seed ^ 0x7e5d);
    let mut first = Dice::new(seed ^ 0xf125);
    let mut logs: Vec<Log> = partitions()
        .into_iter()
        .zip(['p', 'p', 'o', 'o', 'd', 'd'])
        .map(|(partition, tag)| Log::new(partition, tag, 0))
        .collect();
    for log in &mut logs {
        log.begin = dice.roll(3) as i64;
        match log.tag {
            'p' => products(log, &mut dice, supports, length),
            'o' if supports.stock => order_items(log, &mut dice, length),
            'o' if supports.merged => (0..length).for_each(|_| log.push(1, vec![])),
            'd' if supports.totals => orders(log, &mut dice, length),
            _ => {}
        }
        wide_keys(log, &mut more, supports);
        merged::writes(log, &mut most, supports);
        types::fill(log, &mut typed, supports);
        firsts::fill(log, &mut first, supports);
    }
    logs
}

const WORDS: [&str; 6] = ["blue", "kettle", "größe", "tea", "xl", "茶"];

/// A product lives in the partition of its parity.
fn products(log: &mut Log, dice: &mut Dice, supports: &Supports, length: u64) {
    let mut known: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..length {
        let id = dice.roll(6) as i64 * 2 + i64::from(log.partition.index);
        let gap = dice.roll(3) as i64;
        let key = vec![Cell::Int(id)];
        let old = known.remove(&id).unwrap_or_default();
        let mut writes = vec![];
        if dice.roll(5) == 0 {
            writes.push((Shop::STOCK, key.clone(), Op::Delete));
            writes.push((Shop::INDEX, key, Op::Delete));
            writes.extend(
                old.into_iter()
                    .map(|token| (Shop::TOKENS, vec![token.into(), id.into()], Op::Delete)),
            );
        } else {
            let words: BTreeSet<String> =
                (0..3).map(|_| WORDS[dice.roll(6) as usize].to_owned()).collect();
            let name = Cell::Text(words.iter().cloned().collect::<Vec<_>>().join(" "));
            let price = Cell::Decimal(Decimal::from_parts((dice.roll(100_000) as i64).into(), 2));
            let category = if dice.roll(3) == 0 { Cell::Null } else { Cell::from("home") };
            let base = Cell::Int(dice.roll(30) as i64);
            writes.push((
                Shop::STOCK,
                key.clone(),
                Op::Put(vec![name.clone(), price.clone(), base]),
            ));
            let row = vec![name, Cell::from(""), price, category, Cell::Words(words.clone())];
            writes.push((Shop::INDEX, key, Op::Put(row)));
            let token_key = |token: &String| vec![token.clone().into(), id.into()];
            writes.extend(
                old.difference(&words).map(|token| (Shop::TOKENS, token_key(token), Op::Delete)),
            );
            writes.extend(
                words.iter().map(|token| (Shop::TOKENS, token_key(token), Op::Put(vec![]))),
            );
            known.insert(id, words);
        }
        writes.retain(|write| if write.0 == Shop::STOCK { supports.stock } else { supports.rows });
        log.push(gap, writes);
    }
}

/// Lines of any product may lie in any partition, and come before their product.
fn order_items(log: &mut Log, dice: &mut Dice, length: u64) {
    let mut sold: BTreeMap<i64, i64> = BTreeMap::new();
    for _ in 0..length {
        let id = dice.roll(12) as i64;
        let share = sold.entry(id).or_default();
        *share = if dice.roll(4) == 0 { 0 } else { *share + dice.roll(5) as i64 };
        log.push(
            dice.roll(3) as i64,
            vec![(Shop::STOCK, vec![id.into()], Op::Share(vec![(*share).into()]))],
        );
    }
}

fn orders(log: &mut Log, dice: &mut Dice, length: u64) {
    let mut days: BTreeMap<String, (i64, Decimal)> = BTreeMap::new();
    for _ in 0..length {
        let day = format!("2026-03-0{}", 1 + dice.roll(5));
        let (count, revenue) = days.entry(day.clone()).or_default();
        if dice.roll(4) == 0 {
            (*count, *revenue) = (0, Decimal::ZERO);
        } else {
            *count += 1;
            *revenue += Decimal::from_parts((dice.roll(9_999) as i64).into(), 2);
        }
        let share = Op::Share(vec![(*count).into(), revenue.clone().into()]);
        log.push(dice.roll(3) as i64, vec![(Shop::DAILY, vec![day.into()], share)]);
    }
}

/// Gives each record writes under keys of several columns, whose texts would be one if they were merely joined.
fn wide_keys(log: &mut Log, dice: &mut Dice, supports: &Supports) {
    let (index, tag) = (i64::from(log.partition.index), log.tag);
    let mut sums: BTreeMap<Vec<Cell>, i64> = BTreeMap::new();
    for record in &mut log.records {
        let gone = dice.roll(4) == 0;
        let mut grown = |key: &[Cell], by: u64| {
            let sum = sums.entry(key.to_vec()).or_default();
            *sum = if gone { 0 } else { *sum + by as i64 };
            Op::Share(vec![(*sum).into()])
        };
        let mut writes = vec![];
        match tag {
            'p' => {
                let base = Op::Put(vec![Cell::Int(dice.roll(30) as i64)]);
                let (bin, member) = (bin(dice, Some(index)), member(dice, index));
                writes.push((Shop::BINS, bin, if gone { Op::Delete } else { base }));
                let name = Op::Put(vec![WORDS[dice.roll(6) as usize].into()]);
                writes.push((Shop::MEMBERS, member, if gone { Op::Delete } else { name }));
            }
            'o' => {
                let (bin, by) = (bin(dice, None), dice.roll(5));
                writes.push((Shop::BINS, bin.clone(), grown(&bin, by)));
            }
            _ => {
                let (region, by) = (region(dice, supports), dice.roll(5));
                writes.push((Shop::REGIONS, region.clone(), grown(&region, by)));
            }
        }
        let is_shown = |view| match view {
            Shop::BINS => supports.stock,
            Shop::MEMBERS => supports.rows,
            _ => supports.totals,
        };
        let Record { offset, .. } = *record;
        let source_ts_ms = source_ts_ms(offset);
        let writes = writes.into_iter().filter(|(view, ..)| is_shown(view));
        record.writes.extend(writes.map(|(view, key, op)| Write {
            offset,
            source_ts_ms,
            view,
            key,
            op,
        }));
    }
}

/// A bin lives in the partition of its bay's parity; any partition may have a share of it.
fn bin(dice: &mut Dice, index: Option<i64>) -> Vec<Cell> {
    let site = ["a", "a/", "a\\", "größe"][dice.roll(4) as usize];
    let bay = match index {
        Some(index) => dice.roll(2) as i64 * 2 - index,
        None => dice.roll(4) as i64 - 1,
    };
    let shelf = ["", "1", "/1"][dice.roll(3) as usize];
    vec![site.into(), bay.into(), shelf.into()]
}
/// A member lives in one partition, also one that is in several tenants.
fn member(dice: &mut Dice, index: i64) -> Vec<Cell> {
    let tenant = ["acme", "acme/0190a5c8", "\\"][dice.roll(3) as usize];
    vec![tenant.into(), uuid(dice.roll(2) as i64 * 2 + index).into()]
}
pub(super) fn uuid(number: i64) -> String {
    format!("0190a5c8-7e1d-7cc3-98a1-{number:012x}")
}
/// Numbers that are equal are one key, however many zeros they end with; nulls are one key, and the empty text another.
fn region(dice: &mut Dice, supports: &Supports) -> Vec<Cell> {
    if !supports.null_keys {
        return whole_region(dice);
    }
    let region = [Cell::Null, "".into(), "north".into()][dice.roll(3) as usize].clone();
    let channel = [Cell::Null, 1.into()][dice.roll(2) as usize].clone();
    let decimal = |digits: i64, scale| Cell::Decimal(Decimal::from_parts(digits.into(), scale));
    let rates = [Cell::Null, decimal(19, 0), decimal(190, 1), decimal(750, 2), decimal(75, 1)];
    vec![region, channel, rates[dice.roll(5) as usize].clone()]
}

fn whole_region(dice: &mut Dice) -> Vec<Cell> {
    let decimal = |digits: i64, scale| Cell::Decimal(Decimal::from_parts(digits.into(), scale));
    let rates = [decimal(19, 0), decimal(190, 1), decimal(750, 2), decimal(75, 1)];
    let region = ["north", "a/"][dice.roll(2) as usize];
    vec![region.into(), (dice.roll(2) as i64).into(), rates[dice.roll(4) as usize].clone()]
}

/// What a view must show once every log is applied: each owner's last part and each partition's last share.
pub(super) fn expected(view: &View, logs: &[Log]) -> Rows {
    type Parts = (Option<Vec<Cell>>, BTreeMap<usize, Vec<Cell>>);
    let mut parts: BTreeMap<Vec<Cell>, Parts> = BTreeMap::new();
    for (at, log) in logs.iter().enumerate() {
        for write in log.records.iter().flat_map(|r| &r.writes).filter(|w| w.view == view.name) {
            let (own, shares) = parts.entry(write.key.clone()).or_default();
            match &write.op {
                Op::Put(row) => *own = Some(row.clone()),
                Op::Delete => *own = None,
                Op::Share(share) => {
                    shares.insert(at, share.clone());
                }
            }
        }
    }
    parts
        .into_iter()
        .filter_map(|(key, (own, shares))| {
            let total = view.total(shares.values().map(Vec::as_slice));
            Some((key, view.show(own.as_deref(), &total).expect("a row")?))
        })
        .collect()
}
