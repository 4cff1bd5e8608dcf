//! A shop's changes, as a log per partition, and what they must come to.
use crate::rng::Rng;
use consumers::{
    engine::placement::home,
    handler::{Handler, Rows, Step},
    plan_handler::PlanHandler,
    removal::CLEAN_TO,
    replay::Replay,
};
use debezium::{Change, Decoder, Envelope, Source};
use sinks::{Cell, Key, Op, Partition, Write, dlq::Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// Whose letters come back.
pub const SERVICE: &str = "inventory-service";

/// In seeds with refusals, the sink refuses every write for this product.
pub const REFUSED: i64 = 4;

pub struct Logged {
    pub offset: i64,
    pub timestamp_ms: i64,
    /// What the key says, however it is written.
    pub id: i64,
    pub key: String,
    /// `None`: a tombstone.
    pub value: Option<String>,
    /// Written after its topic got more partitions.
    pub late: bool,
    pub replay: Option<Replay>,
    /// Takes out a row that the source lost, judged by what was before this offset.
    pub removal: Option<i64>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Of a table that is not the topic's: whoever meets it halts.
    pub strange: bool,
    /// How many were emitted before it, anywhere.
    number: usize,
    poison: bool,
}
/// A topic that gets more partitions.
pub struct Growth {
    pub topic: String,
    pub was: i32,
    pub now: i32,
}
impl Growth {
    pub fn is_of(&self, partition: &Partition) -> bool {
        *partition.topic == *self.topic
    }
    /// A partition that was not there at first.
    pub fn is_new(&self, partition: &Partition) -> bool {
        self.is_of(partition) && partition.index >= self.was
    }
    /// Its rows, if there are any, are in another partition's state.
    pub fn is_misplaced(&self, partition: &Partition, record: &Logged) -> bool {
        self.is_of(partition) && home(record.key.as_bytes(), self.was) != partition.index
    }
}
impl Logged {
    fn is_truncate(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value.contains(r#""op":"t""#))
    }
    fn is_delete(&self) -> bool {
        self.value.as_ref().is_none_or(|value| value.contains(r#""op":"d""#))
    }
    /// Than what this letter says of the row with this id. A tombstone says no more than a delete does.
    fn is_newer(&self, id: i64, letter_deletes: bool) -> bool {
        (self.id == id && (self.value.is_some() || !letter_deletes)) || self.is_truncate()
    }
    /// Than a letter of this id, at this offset. A removal is older than what it was not judged by.
    fn is_newer_than(&self, letter: i64, id: i64, letter_deletes: bool) -> bool {
        self.is_newer(id, letter_deletes) && self.removal.is_none_or(|clean_to| letter < clean_to)
    }
    fn is_own(&self) -> bool {
        self.replay.as_ref().is_some_and(|r| r.service == SERVICE && r.generation == 1)
    }
}
/// What lies between a letter and its replay decides, and nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    Newer,
    /// An earlier replay of the same letter, which was judged by itself.
    Replayed,
}
fn between(log: &[Logged], replay: &Replay, sent: &Logged) -> Between {
    let (id, at, deletes) = (sent.id, sent.offset, sent.is_delete());
    let after = log.iter().filter(|r| r.offset > replay.offset && r.offset < at);
    for record in after {
        match &record.replay {
            Some(earlier)
                if record.is_own()
                    && earlier.offset == replay.offset
                    && record.offset >= replay.clean_to =>
            {
                return Between::Replayed;
            }
            Some(_) => {}
            None if record.is_newer_than(replay.offset, id, deletes) => return Between::Newer,
            None => {}
        }
    }
    Between::Nothing
}
/// A removal takes effect unless its row was changed since it was judged.
fn is_removed(log: &[Logged], id: i64, clean_to: i64, at: i64) -> bool {
    let mut since = log.iter().filter(|r| (clean_to..at).contains(&r.offset));
    !since.any(|r| r.replay.is_none() && r.is_newer(id, true))
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
    /// A topic will get more partitions: keys are then written in one way only, or they would seem misplaced.
    grows: bool,
    pub growth: Option<Growth>,
    pub log: Log,
    clock: i64,
    emitted: usize,
    /// Rows that went from the source without a word: table, id.
    lost: BTreeSet<(&'static str, i64)>,
    /// Removals that were judged and not sent yet: table, id, and the log's end then.
    judged: Vec<(&'static str, i64, i64)>,
}

impl History {
    pub fn new(rng: &mut Rng, changes: u64, truncates: bool, grows: bool) -> Self {
        let most = if truncates { 1 } else { 3 };
        let mut history = History {
            counts: [1 + rng.below(most.min(2)) as i32, 1 + rng.below(most) as i32],
            grows,
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
        // In the end somebody verifies, and repairs.
        while !history.lost.is_empty() {
            history.judge(rng);
            history.remove(rng);
        }
        history
    }

    pub fn go_on(&mut self, rng: &mut Rng, changes: u64) {
        (0..changes).for_each(|_| self.change(rng, false));
    }

    /// A topic gets more partitions, and its producer knows at once: later records are placed among all of them.
    pub fn grow(&mut self, rng: &mut Rng) {
        let table = rng.pick(2);
        let topic = format!("shop.public.{}", ["products", "order_items"][table]);
        let was = self.counts[table];
        let now = was + 1 + rng.below(3) as i32;
        for index in was..now {
            self.log.insert(Partition::new(&topic, index), vec![]);
        }
        self.counts[table] = now;
        self.growth = Some(Growth { topic, was, now });
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
        match rng.below(33) {
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
            21 => {
                // A tombstone without a delete before it takes the row away as well.
                self.items.remove(&item);
                self.lost.remove(&("order_items", item));
                self.emit("order_items", item, None, rng);
            }
            22 if truncates => self.truncate(rng),
            23..=26 => self.replay(rng),
            30 if !self.grows => {
                self.lose(rng);
                self.judge(rng);
            }
            31..=32 if !self.grows => self.remove(rng),
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
        if row.is_some() {
            self.lost.retain(|lost| *lost != (topic, id));
        }
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

    /// An event of another table comes into a topic.
    pub fn stray(&mut self, rng: &mut Rng) {
        let topic = if rng.one_in(2) { "products" } else { "order_items" };
        let id = rng.below(6) as i64;
        let value = envelope(topic, "c", id, Some(Row::Product { stock: 99 }));
        let table = format!(r#""table":"{topic}""#);
        let value = value.replace(&table, r#""table":"archive""#);
        self.emit(topic, id, Some(value), rng);
        let log = self.log.get_mut(&self.place(topic, id)).expect("made before");
        log.last_mut().expect("just emitted").strange = true;
    }

    fn truncate(&mut self, rng: &mut Rng) {
        let topic = if rng.one_in(2) { "products" } else { "order_items" };
        let rows = if topic == "products" { &mut self.products } else { &mut self.items };
        rows.clear();
        self.lost.retain(|(of, _)| *of != topic);
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
        let last = self.log.values_mut().filter_map(|log| log.last_mut());
        let newest = last.max_by_key(|last| last.number).expect("just emitted");
        newest.poison = true;
    }

    /// A letter comes back: the same, or mended. It was sent after a look that reached some way, perhaps long ago.
    fn replay(&mut self, rng: &mut Rng) {
        let partitions: Vec<Partition> = self.log.keys().cloned().collect();
        let partition = &partitions[rng.pick(partitions.len())];
        let log = &self.log[partition];
        let sick = rng.below(3) > 0;
        let letters: Vec<&Logged> = log
            .iter()
            .filter(|r| r.replay.is_none() && r.value.is_some() && !r.is_truncate())
            .filter(|r| r.poison || !sick)
            .collect();
        // A replay goes where its letter was, which is not where its key belongs any more.
        if letters.is_empty() || self.growth.is_some() {
            return;
        }
        let letter = letters[rng.pick(letters.len())];
        let (of, id, value, poison) =
            (letter.offset, letter.id, letter.value.clone(), letter.poison);
        let mended = rng.below(3) > 0;
        let deletes = !mended && letter.is_delete();
        // The look found nothing so far: no newer record, and no replay but such as failed.
        let end = log.last().map_or(0, |last| last.offset + 1);
        let found = log.iter().filter(|r| r.offset > of).find(|r| match &r.replay {
            Some(replay) => r.is_own() && replay.offset == of && !r.poison,
            None => r.is_newer_than(of, id, deletes),
        });
        let most = found.map_or(end, |found| found.offset);
        let far = rng.one_in(2);
        let clean_to = if far { most } else { of + 1 + rng.below((most - of) as u64) as i64 };
        let topic = if partition.topic.ends_with("products") { "products" } else { "order_items" };
        let row = match topic {
            "products" => Row::Product { stock: rng.below(30) as i64 },
            _ => Row::Item { product: rng.below(6) as i64, quantity: rng.below(6) as i64 - 1 },
        };
        let value = if mended { Some(envelope(topic, "u", id, Some(row))) } else { value };
        let (service, generation) = match rng.below(12) {
            0 => ("search-indexer", 1),
            1 => (SERVICE, 2),
            _ => (SERVICE, 1),
        };
        let replay = Replay { service: service.into(), generation, offset: of, clean_to };
        self.emit(topic, id, value, rng);
        let log = self.log.get_mut(partition).expect("chosen from it");
        let (last, before) = log.split_last_mut().expect("just emitted");
        let header = |(name, value): (&str, String)| (name.to_owned(), Some(value.into_bytes()));
        last.headers = replay.headers().into_iter().map(header).collect();
        last.poison = poison && !mended;
        last.replay = Some(replay.clone());
        let effect = last.is_own() && between(before, &replay, last) == Between::Nothing;
        if effect && mended {
            let table = if topic == "products" { &mut self.products } else { &mut self.items };
            table.insert(id, row);
            self.lost.remove(&(topic, id));
        }
    }

    /// A row is deleted while nobody listens.
    fn lose(&mut self, rng: &mut Rng) {
        let (topic, table) = match rng.one_in(2) {
            true => ("products", &mut self.products),
            false => ("order_items", &mut self.items),
        };
        let ids: Vec<i64> = table.keys().copied().collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[rng.pick(ids.len())];
        table.remove(&id);
        self.lost.insert((topic, id));
    }

    /// A verification finds a lost row, having read the log to its end.
    fn judge(&mut self, rng: &mut Rng) {
        if self.lost.is_empty() {
            return;
        }
        let lost: Vec<_> = self.lost.iter().copied().collect();
        let (topic, id) = lost[rng.pick(lost.len())];
        let end = self.log[&self.place(topic, id)].last().map_or(0, |last| last.offset + 1);
        self.judged.push((topic, id, end));
    }

    /// A removal is sent, perhaps long after it was judged.
    fn remove(&mut self, rng: &mut Rng) {
        if self.judged.is_empty() {
            return;
        }
        let (topic, id, clean_to) = self.judged.swap_remove(rng.pick(self.judged.len()));
        self.emit(topic, id, None, rng);
        let log = self.log.get_mut(&self.place(topic, id)).expect("made before");
        let (last, before) = log.split_last_mut().expect("just emitted");
        last.removal = Some(clean_to);
        last.headers = vec![(CLEAN_TO.to_owned(), Some(clean_to.to_string().into_bytes()))];
        if is_removed(before, id, clean_to, last.offset) {
            let table = if topic == "products" { &mut self.products } else { &mut self.items };
            table.remove(&id);
            self.lost.remove(&(topic, id));
        }
    }

    fn place(&self, topic: &str, id: i64) -> Partition {
        let count = self.counts[usize::from(topic == "order_items")];
        let key = format!(r#"{{"id":{id}}}"#);
        Partition::new(&format!("shop.public.{topic}"), home(key.as_bytes(), count))
    }

    fn emit(&mut self, topic: &str, id: i64, value: Option<String>, rng: &mut Rng) {
        let at = self.place(topic, id);
        let late = self.growth.as_ref().is_some_and(|growth| growth.is_of(&at));
        let log = self.log.get_mut(&at).expect("made before");
        let gap = if rng.one_in(6) { 1 + rng.below(4) as i64 } else { 0 };
        let offset = log.last().map_or(0, |last| last.offset + 1) + gap;
        self.clock += rng.below(50) as i64;
        self.emitted += 1;
        log.push(Logged {
            offset,
            timestamp_ms: self.clock,
            id,
            key: if !self.grows && rng.one_in(3) {
                format!(r#"{{ "id": {id} }}"#)
            } else {
                format!(r#"{{"id":{id}}}"#)
            },
            value,
            late,
            replay: None,
            removal: None,
            strange: false,
            headers: vec![],
            number: self.emitted,
            poison: false,
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
    /// Replays that came to nothing: where they are, and of which letter.
    pub marks: BTreeSet<(Partition, i64, i64, Outcome)>,
}

impl Expected {
    /// One honest reader, nothing in its way. `refuses`: every write for [`REFUSED`] is; `skip_record`: then the
    /// record is left out whole (transactional stores), else only the write is (keyed sinks).
    pub fn of(log: &Log, handler: &PlanHandler, refuses: bool, skip_record: bool) -> Self {
        let mut expected = Expected::default();
        let mut own: BTreeMap<i64, i64> = BTreeMap::new();
        let mut shares: BTreeMap<(i64, Partition), i64> = BTreeMap::new();
        for (partition, records) in log {
            let mut state: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
            let mut decoder = Decoder::default();
            for record in records.iter().take_while(|record| !record.strange) {
                if record.replay.is_some() && !record.is_own() {
                    continue;
                }
                let mut say = |outcome: Outcome| {
                    let (at, whole) = (record.offset, partition.clone());
                    match &record.replay {
                        Some(r) => expected.marks.insert((whole, at, r.offset, outcome)),
                        None => expected.letters.insert((whole, at)),
                    }
                };
                let removes = record.removal.is_some_and(|clean_to| {
                    is_removed(records, record.id, clean_to, record.offset)
                });
                if record.removal.is_some() && !removes {
                    continue;
                }
                let table =
                    if partition.topic.ends_with("products") { "products" } else { "order_items" };
                let delete = removes.then(|| envelope(table, "d", record.id, None));
                let value = record.value.as_deref().or(delete.as_deref()).map(str::as_bytes);
                let Ok(writes) =
                    one_record(handler, &mut decoder, partition, record, value, &state)
                else {
                    say(Outcome::FailedAgain);
                    continue;
                };
                if let Some(replay) = &record.replay {
                    match between(records, replay, record) {
                        Between::Nothing => {}
                        Between::Replayed => continue,
                        Between::Newer => {
                            say(Outcome::MovedOn);
                            continue;
                        }
                    }
                }
                let (writes, changed) = writes;
                let hit = |write: &Write| refuses && write.key == [Cell::Int(REFUSED)];
                if writes.iter().any(hit) {
                    say(Outcome::FailedAgain);
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
    handler: &PlanHandler,
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
        Envelope::Tombstone => {
            let table = partition.topic.rsplit('.').next().expect("a topic's last part");
            let key = decoder.key(&partition.topic, table.into(), record.key.as_bytes());
            let change = Change {
                op: debezium::Op::Delete,
                source: Source::unsaid(table.into(), 5),
                key: key.map_err(|_| ())?,
                key_problem: None,
                before: None,
                after: None,
                ts_ms: None,
                doubts: debezium::Doubts::default(),
            };
            handler.read(&change).map_err(|_| ())?.into_iter().collect()
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
    Ok((writes, rows.take_changed().expect("rows that can be stored")))
}
