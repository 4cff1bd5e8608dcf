//! A shop's changes, as a log per partition, and what they must come to.
use crate::rng::Rng;
use consumers::{
    handler::{Handler, Rows, Step},
    handlers::inventory::Inventory,
};
use debezium::{Decoder, Envelope};
use sinks::{Cell, Key, Op, Partition, Write};
use std::collections::{BTreeMap, BTreeSet};

/// In seeds with refusals, the sink refuses every write for this product.
pub const REFUSED: i64 = 4;

pub struct Logged {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: String,
    /// `None`: a tombstone.
    pub value: Option<String>,
}
pub type Log = BTreeMap<Partition, Vec<Logged>>;

#[derive(Clone, Copy)]
enum Row {
    Product { stock: i64 },
    Item { product: i64, quantity: i64 },
}

#[derive(Default)]
pub struct History {
    products: BTreeMap<i64, Row>,
    items: BTreeMap<i64, Row>,
    counts: [i32; 2],
    pub log: Log,
    clock: i64,
}

impl History {
    pub fn new(rng: &mut Rng, changes: u64, truncates: bool) -> Self {
        let most = if truncates { 1 } else { 3 };
        let mut history = History {
            counts: [1 + rng.below(most.min(2)) as i32, 1 + rng.below(most) as i32],
            ..History::default()
        };
        for (topic, count) in ["products", "order_items"].iter().zip(history.counts) {
            for index in 0..count {
                history.log.insert(Partition::new(&format!("shop.public.{topic}"), index), vec![]);
            }
        }
        for _ in 0..changes {
            history.change(rng, truncates);
        }
        history
    }

    /// The view as SQL gives it: product -> (stock in the source, sold).
    pub fn by_sql(&self) -> BTreeMap<i64, (i64, i64)> {
        let sold = |id: i64| -> i64 {
            let of = |row: &Row| match row {
                Row::Item { product, quantity } if *product == id => *quantity,
                _ => 0,
            };
            self.items.values().map(of).sum()
        };
        let row = |(id, row): (&i64, &Row)| match row {
            Row::Product { stock } => Some((*id, (*stock, sold(*id)))),
            Row::Item { .. } => None,
        };
        self.products.iter().filter_map(row).collect()
    }

    fn change(&mut self, rng: &mut Rng, truncates: bool) {
        let (product, item) = (rng.below(6) as i64, rng.below(8) as i64);
        let quantity = rng.below(6) as i64 - 1;
        match rng.below(26) {
            0..=5 => self.set(
                "products",
                product,
                Some(Row::Product { stock: rng.below(30) as i64 }),
                rng,
            ),
            6..=7 => self.set("products", product, None, rng),
            8..=15 => self.set("order_items", item, Some(Row::Item { product, quantity }), rng),
            16..=17 => self.set("order_items", item, None, rng),
            18 => {
                // A primary-key change: d here, c perhaps in another partition.
                let new = rng.below(8) as i64;
                if let Some(row) = self.items.get(&item).copied() {
                    self.set("order_items", item, None, rng);
                    self.set("order_items", new, Some(row), rng);
                }
            }
            19 => self.snapshot(rng),
            20 => self.poison(rng),
            21 => self.emit("order_items", item, None, rng),
            22 if truncates => self.truncate(rng),
            _ => {
                // An update that changes nothing is sent all the same.
                if let Some(row) = self.items.get(&item).copied() {
                    self.set("order_items", item, Some(row), rng);
                }
            }
        }
    }

    fn set(&mut self, topic: &str, id: i64, row: Option<Row>, rng: &mut Rng) {
        let table = if topic == "products" { &mut self.products } else { &mut self.items };
        let old = match row {
            Some(row) => table.insert(id, row),
            None => table.remove(&id),
        };
        let op = match (old, row) {
            (None, None) => return,
            (_, None) => "d",
            (None, _) => "c",
            _ => "u",
        };
        let value = envelope(topic, op, id, row);
        self.emit(topic, id, Some(value), rng);
        if row.is_none() && rng.one_in(2) {
            self.emit(topic, id, None, rng);
        }
    }

    fn snapshot(&mut self, rng: &mut Rng) {
        for (topic, rows) in
            [("products", self.products.clone()), ("order_items", self.items.clone())]
        {
            for (id, row) in rows {
                self.emit(topic, id, Some(envelope(topic, "r", id, Some(row))), rng);
            }
        }
    }

    fn truncate(&mut self, rng: &mut Rng) {
        let topic = if rng.one_in(2) { "products" } else { "order_items" };
        let rows = if topic == "products" { &mut self.products } else { &mut self.items };
        rows.clear();
        let value = envelope(topic, "t", 0, None);
        self.emit(topic, 0, Some(value), rng);
    }

    /// Never more than a few in a row: the flood limit has tests of its own.
    fn poison(&mut self, rng: &mut Rng) {
        let topic = if rng.one_in(2) { "products" } else { "order_items" };
        let id = rng.below(8) as i64;
        let value = match rng.below(4) {
            0 => "{ not json".to_owned(),
            1 => r#"{"op":"c","before":null,"after":{"id":1},"source":{"table":"#.to_owned(),
            2 => format!(r#"{{"id":{id},"quantity":1}}"#),
            _ => {
                envelope(topic, "c", id, None).replace(r#""after":null"#, r#""after":{"id":"one"}"#)
            }
        };
        self.emit(topic, id, Some(value), rng);
    }

    fn emit(&mut self, topic: &str, id: i64, value: Option<String>, rng: &mut Rng) {
        let count = self.counts[usize::from(topic == "order_items")];
        let index = (id % i64::from(count)) as i32;
        let log = self
            .log
            .get_mut(&Partition::new(&format!("shop.public.{topic}"), index))
            .expect("made at the start");
        let gap = if rng.one_in(6) { 1 + rng.below(4) as i64 } else { 0 };
        let offset = log.last().map_or(0, |last| last.offset + 1) + gap;
        self.clock += rng.below(50) as i64;
        log.push(Logged {
            offset,
            timestamp_ms: self.clock,
            key: format!(r#"{{"id":{id}}}"#),
            value,
        });
    }
}

fn envelope(table: &str, op: &str, id: i64, row: Option<Row>) -> String {
    let image = |row: Option<Row>| match row {
        Some(Row::Product { stock }) => {
            format!(r#"{{"id":{id},"name":"p{id}","price":"1.50","stock_quantity":{stock}}}"#)
        }
        Some(Row::Item { product, quantity }) => format!(
            r#"{{"id":{id},"order_id":1,"product_id":{product},"quantity":{quantity},"unit_price":"1.50"}}"#
        ),
        None => "null".to_owned(),
    };
    // REPLICA IDENTITY DEFAULT: a delete's other columns are made up.
    let fabricated = match table {
        "products" => Row::Product { stock: 0 },
        _ => Row::Item { product: 0, quantity: 0 },
    };
    let before = if op == "d" { image(Some(fabricated)) } else { "null".to_owned() };
    format!(
        r#"{{"before":{before},"after":{},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"{table}","txId":1,"lsn":1}},"op":"{op}","ts_ms":6}}"#,
        image(row)
    )
}

/// What the log must come to, whatever happens on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Product -> (base stock, sold).
    pub view: BTreeMap<i64, (i64, i64)>,
    pub letters: BTreeSet<(Partition, i64)>,
}

impl Expected {
    /// One honest reader, nothing in its way. `refuses`: every write for [`REFUSED`] is; `skip_record`: then the
    /// record is left out whole (transactional stores), else only the write is (keyed sinks).
    pub fn of(log: &Log, handler: &Inventory, refuses: bool, skip_record: bool) -> Self {
        let mut expected = Expected::default();
        let mut own: BTreeMap<i64, i64> = BTreeMap::new();
        let mut shares: BTreeMap<(i64, Partition), i64> = BTreeMap::new();
        for (partition, records) in log {
            let mut state: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
            let mut decoder = Decoder::default();
            for record in records {
                let value = record.value.as_deref().map(str::as_bytes);
                let Ok(writes) =
                    one_record(handler, &mut decoder, partition, record, value, &state)
                else {
                    expected.letters.insert((partition.clone(), record.offset));
                    continue;
                };
                let (writes, changed) = writes;
                let hit = |write: &Write| refuses && write.key == [Cell::Int(REFUSED)];
                if writes.iter().any(hit) {
                    expected.letters.insert((partition.clone(), record.offset));
                    if skip_record {
                        continue;
                    }
                }
                for (key, row) in changed {
                    match row {
                        Some(row) => state.insert(key, row),
                        None => state.remove(&key),
                    };
                }
                for write in writes.iter().filter(|write| !hit(write)) {
                    let id = write.key[0].int().expect("a product id");
                    match &write.op {
                        Op::Put(row) => drop(own.insert(id, row[2].int().expect("base stock"))),
                        Op::Delete => drop(own.remove(&id)),
                        Op::Share(cells) => {
                            let sold = cells.first().and_then(Cell::int).unwrap_or(0);
                            shares.insert((id, partition.clone()), sold);
                        }
                    }
                }
            }
        }
        let sold = |id: i64| shares.iter().filter(|((of, _), _)| *of == id).map(|(_, n)| n).sum();
        expected.view = own.into_iter().map(|(id, base)| (id, (base, sold(id)))).collect();
        expected
    }
}

type Changed = Vec<(Key, Option<Vec<u8>>)>;

/// `Err`: a dead letter.
fn one_record(
    handler: &Inventory,
    decoder: &mut Decoder,
    partition: &Partition,
    record: &Logged,
    value: Option<&[u8]>,
    state: &BTreeMap<Key, Vec<u8>>,
) -> Result<(Vec<Write>, Changed), ()> {
    let envelope =
        decoder.decode(&partition.topic, Some(record.key.as_bytes()), value).map_err(|_| ())?;
    let facts = match envelope {
        Envelope::Change(change) => handler.read(&change).map_err(|_| ())?.into_iter().collect(),
        Envelope::Truncate(source) => {
            let prefix = handler.truncated(&source.table).expect("one of ours");
            let rows = state.keys().filter(|key| key.starts_with(&prefix));
            rows.filter_map(|key| handler.gone(key)).collect()
        }
        _ => vec![],
    };
    let mut rows = Rows::default();
    let mut writes = vec![];
    for key in state.keys() {
        rows.learn(key.clone(), state.get(key).cloned());
    }
    for fact in facts {
        let mut keys = consumers::handler::Keys::default();
        handler.needs(&fact, &mut keys);
        for key in keys.iter() {
            if let Some(row) = state.get(key) {
                let mut more = consumers::handler::Keys::default();
                handler.follow(key, row, &mut more);
                for key in more.iter().filter(|key| !state.contains_key(*key)) {
                    if !rows.knows(key) {
                        rows.learn(key.clone(), None);
                    }
                }
            } else if !rows.knows(key) {
                rows.learn(key.clone(), None);
            }
        }
        handler.apply(fact, &mut Step::new(&mut rows, &mut writes, record.offset, 5));
        assert_eq!(rows.take_fault(), None, "the handler keeps its promises");
    }
    Ok((writes, rows.take_changed()))
}
