//! A topic that gets more partitions, or is deleted and made anew, while a service reads it: the service halts with a
//! sentence that says the way forward, and nothing was applied that does not belong to what stands there.
//!
//! Needs a broker of its own: `TEST_KAFKA=127.0.0.1:9092`. The placement itself is held against librdkafka's always.
mod broker;

use broker::broker;
use consumers::engine::placement::home;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    mocking::MockCluster,
    producer::{
        BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult, Producer, ProducerContext,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(120);

// ---------------------------------------------------------------- where keys are put

/// A key, and the partition it was put in.
type Placing = (Vec<u8>, i32);

#[derive(Default, Clone)]
struct Placed(Arc<Mutex<Vec<Placing>>>);
impl ClientContext for Placed {}
impl ProducerContext for Placed {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().map_err(|(e, _)| e).expect("delivered");
        let key = message.key().expect("keyed").to_vec();
        self.0.lock().expect("one thread").push((key, message.partition()));
    }
}

#[test]
fn keys_are_where_kafkas_partitioner_puts_them() {
    let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).expect("a broker");
    let placed = Placed::default();
    let producer: BaseProducer<Placed> = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("partitioner", "murmur2_random")
        .create_with_context(placed.clone())
        .expect("a producer");
    let mut random = 20_261_124_u64;
    for count in [1, 2, 3, 7, 12, 64] {
        let topic = format!("placed-{count}");
        cluster.create_topic(&topic, count, 1).expect("a topic");
        for n in 0..300 {
            let bytes: Vec<u8> = (0..1 + n % 23)
                .map(|_| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (random >> 56) as u8
                })
                .collect();
            let record = BaseRecord::to(&topic).key(&bytes).payload("");
            producer.send(record).map_err(|(e, _)| e).expect("queued");
        }
        producer.flush(PATIENCE).expect("produced");
        let all = std::mem::take(&mut *placed.0.lock().expect("one thread"));
        assert_eq!(all.len(), 300);
        for (key, partition) in all {
            assert_eq!(home(&key, count), partition, "{key:?} among {count}");
        }
    }
}

// ---------------------------------------------------------------- a shop on a real broker

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < limit, "waited too long for: {what}");
        std::thread::yield_now();
    }
}

#[derive(Clone, Copy)]
enum Row {
    Product { stock: i64 },
    Item { product: i64, quantity: i64 },
}

/// Topics of this test's own, and what was written to them.
struct Shop {
    broker: String,
    prefix: String,
    io: tokio::runtime::Runtime,
    admin: AdminClient<DefaultClientContext>,
    producer: BaseProducer,
    counts: BTreeMap<&'static str, i32>,
    /// By table and partition; a record's index is its offset.
    logs: BTreeMap<(&'static str, i32), Vec<(i64, Row)>>,
}

impl Shop {
    fn new(broker: &str, name: &str, counts: [i32; 2]) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker);
        let mut shop = Self {
            broker: broker.to_owned(),
            prefix: format!("{name}-{}.public.", std::process::id()),
            io: tokio::runtime::Builder::new_current_thread().build().expect("a runtime"),
            admin: config.create().expect("an admin client"),
            producer: config.create().expect("a producer"),
            counts: BTreeMap::new(),
            logs: BTreeMap::new(),
        };
        for (table, count) in ["products", "order_items"].into_iter().zip(counts) {
            shop.create(table, count);
        }
        shop
    }

    /// Also right after the topic was deleted: until the broker has done that, it refuses.
    fn create(&mut self, table: &'static str, count: i32) {
        let name = format!("{}{table}", self.prefix);
        let topic = NewTopic::new(&name, count, TopicReplication::Fixed(1));
        until("a topic", || {
            let made = self.io.block_on(self.admin.create_topics([&topic], &AdminOptions::new()));
            made.expect("the broker answers").iter().all(Result::is_ok).then_some(())
        });
        self.counts.insert(table, count);
        self.logs.retain(|(of, _), _| *of != table);
        self.await_count(table, count);
    }

    fn delete(&mut self, table: &'static str) {
        let name = format!("{}{table}", self.prefix);
        let done = self.io.block_on(self.admin.delete_topics(&[&name], &AdminOptions::new()));
        assert!(done.expect("the broker answers").iter().all(Result::is_ok), "{name} deleted");
    }

    fn grow(&mut self, table: &'static str, count: i32) {
        let name = format!("{}{table}", self.prefix);
        let more = NewPartitions::new(&name, usize::try_from(count).expect("few"));
        let done = self.io.block_on(self.admin.create_partitions([&more], &AdminOptions::new()));
        assert!(done.expect("the broker answers").iter().all(Result::is_ok), "{name} grown");
        self.counts.insert(table, count);
        self.await_count(table, count);
    }

    /// Until a producer may write to all of them.
    fn await_count(&self, table: &str, count: i32) {
        let name = format!("{}{table}", self.prefix);
        until("the partitions", || {
            let found = self.producer.client().fetch_metadata(Some(&name), PATIENCE).ok()?;
            let topic = found.topics().iter().find(|topic| topic.name() == name)?;
            let led = topic.partitions().iter().filter(|p| p.leader() >= 0).count();
            (i32::try_from(led) == Ok(count)).then_some(())
        });
    }

    fn write(&mut self, op: &str, id: i64, row: Row) {
        let (table, image) = match row {
            Row::Product { stock } => (
                "products",
                format!(r#"{{"id":{id},"name":"p{id}","price":"1.50","stock_quantity":{stock}}}"#),
            ),
            Row::Item { product, quantity } => (
                "order_items",
                format!(
                    r#"{{"id":{id},"order_id":1,"product_id":{product},"quantity":{quantity},"unit_price":"1.50"}}"#
                ),
            ),
        };
        let value = format!(
            r#"{{"before":null,"after":{image},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"{table}","txId":1,"lsn":1}},"op":"{op}","ts_ms":6}}"#
        );
        let (topic, key) = (format!("{}{table}", self.prefix), format!(r#"{{"id":{id}}}"#));
        let index = home(key.as_bytes(), self.counts[table]);
        let record = BaseRecord::to(&topic).partition(index).key(&key).payload(&value);
        self.producer.send(record).map_err(|(e, _)| e).expect("queued");
        self.logs.entry((table, index)).or_default().push((id, row));
    }
    fn flush(&self) {
        self.producer.flush(PATIENCE).expect("produced");
        assert_eq!(self.producer.in_flight_count(), 0, "everything is written");
    }

    fn products(&mut self, op: &str, ids: std::ops::Range<i64>, stock: i64) {
        ids.for_each(|id| self.write(op, id, Row::Product { stock: stock + id }));
        self.flush();
    }
    fn items(&mut self, op: &str, ids: std::ops::Range<i64>, round: i64) {
        ids.for_each(|id| {
            self.write(op, id, Row::Item { product: id % 7, quantity: 1 + (id + round) % 5 });
        });
        self.flush();
    }

    fn service(&self, dir: &Path, file: &Path, more: &[&str]) -> Process {
        let log = dir.join("service.log");
        let out = std::fs::File::create(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .args(["run", "inventory", "--topic-prefix", &self.prefix])
            .args(["--kafka-bootstrap-servers", &self.broker])
            .args(["--kafka-group-id", &format!("{}inventory", self.prefix)])
            .args(["--batch-records", "20", "--linger-ms", "5"])
            .args(["--kafka-property", "session.timeout.ms=6000"])
            .args(["--kafka-property", "heartbeat.interval.ms=500"])
            .args(["--sink", &format!("sqlite:{}", file.display())])
            .args(["--dlq", &format!("dir:{}", dir.join("dlq").display())])
            .args(more)
            .stdout(Stdio::from(out.try_clone().expect("a second handle")))
            .stderr(Stdio::from(out));
        Process { child: command.spawn().expect("starts"), log }
    }
}

struct Process {
    child: Child,
    log: PathBuf,
}
impl Process {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    fn exit(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("a child")?;
        Some(status.code().unwrap_or(-1))
    }
    fn halted(&mut self) -> String {
        let code = until("an end of the service", || self.exit());
        let text = self.text();
        assert_eq!(code, 1, "{text}");
        let last = text.lines().rev().find(|line| line.contains("halted"));
        last.unwrap_or_else(|| panic!("no sentence: {text}")).to_owned()
    }
    fn await_durable(&mut self, file: &Path, wanted: &BTreeMap<(String, i32), i64>) {
        let log = self.log.clone();
        until("everything durable", || {
            let text = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(self.exit().is_none(), "ended: {}", text());
            let stand = positions(file).unwrap_or_default();
            wanted.iter().all(|(at, next)| stand.get(at) == Some(next)).then_some(())
        });
    }
}
impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next offset of each lane that has one, by table and partition.
fn positions(file: &Path) -> rusqlite::Result<BTreeMap<(String, i32), i64>> {
    let db = rusqlite::Connection::open(file)?;
    let sql = "select topic, partition, next from cdc_state_lanes where next is not null";
    let mut select = db.prepare(sql)?;
    let rows = select.query_map([], |row| {
        let topic: String = row.get(0)?;
        let table = topic.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(((table, row.get(1)?), row.get(2)?))
    })?;
    rows.collect()
}

/// Product -> (base stock, sold), as people see it.
fn shown(file: &Path) -> BTreeMap<i64, (i64, i64)> {
    let db = rusqlite::Connection::open(file).expect("the file");
    let sql = "select product_id, base_stock, sold from inventory_realtime";
    let mut select = db.prepare(sql).expect("the view");
    let rows =
        select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?)))).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// The same by a model: the last row of each key, of the records that the positions say were applied.
fn modelled(shop: &Shop, applied: &BTreeMap<(String, i32), i64>) -> BTreeMap<i64, (i64, i64)> {
    let (mut bases, mut items) = (BTreeMap::new(), BTreeMap::new());
    for ((table, index), log) in &shop.logs {
        let next = applied.get(&((*table).to_owned(), *index)).copied().unwrap_or(0);
        for (id, row) in log.iter().take(usize::try_from(next).expect("a position")) {
            match row {
                Row::Product { stock } => drop(bases.insert(*id, *stock)),
                Row::Item { product, quantity } => drop(items.insert(*id, (*product, *quantity))),
            }
        }
    }
    let sold = |id: i64| items.values().filter(|row| row.0 == id).map(|row| row.1).sum();
    bases.into_iter().map(|(id, base)| (id, (base, sold(id)))).collect()
}

fn ends(shop: &Shop) -> BTreeMap<(String, i32), i64> {
    let one = |((table, index), log): (&(&str, i32), &Vec<_>)| {
        (((*table).to_owned(), *index), i64::try_from(log.len()).expect("few"))
    };
    shop.logs.iter().map(one).collect()
}

#[test]
fn more_partitions_halt_before_a_key_that_moved_is_applied() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("views.db");
    let mut shop = Shop::new(&broker, "growth", [2, 2]);
    shop.products("c", 0..7, 100);
    shop.items("c", 0..60, 0);
    let mut service = shop.service(dir.path(), &file, &[]);
    service.await_durable(&file, &ends(&shop));
    let before = ends(&shop);
    // The service's own look at the topics is minutes old by now; the producer knows at once.
    shop.grow("order_items", 3);
    let mut round = 0;
    let limit = Instant::now() + PATIENCE;
    while service.exit().is_none() {
        round += 1;
        shop.items("u", 0..60, round);
        assert!(Instant::now() < limit && round < 2_000, "goes on: {}", service.text());
    }
    let why = service.halted();
    assert!(why.contains("3 partitions") && why.contains("made with 2"), "{why}");
    assert!(why.contains("GENERATION") && why.contains("snapshot"), "{why}");
    let stand = positions(&file).expect("positions");
    for ((table, index), log) in shop.logs.iter().filter(|((table, _), _)| *table == "order_items")
    {
        let next = stand.get(&((*table).to_owned(), *index)).copied();
        let moved = |id: i64| home(format!(r#"{{"id":{id}}}"#).as_bytes(), 2) != *index;
        let first = log.iter().position(|(id, _)| moved(*id)).expect("keys moved here");
        assert!(
            next.unwrap_or(0) <= first as i64,
            "{index} stands at {next:?}, {first} moved here"
        );
        assert_eq!(next.is_some(), *index < 2, "{index} stands at {next:?}");
    }
    assert!(stand.iter().all(|(at, next)| before[at] <= *next), "{stand:?} after {before:?}");
    assert_eq!(shown(&file), modelled(&shop, &stand));
    println!("halted in round {round}: {why}");

    // The way forward: a snapshot of everything into topics that have three partitions from the start.
    let file = dir.path().join("views-2.db");
    let mut anew = Shop::new(&broker, "growth-anew", [2, 3]);
    anew.products("r", 0..7, 100);
    anew.items("r", 0..60, round);
    let more = ["--generation", "2", "--until-end"];
    let mut service = anew.service(dir.path(), &file, &more);
    let code = until("the new generation", || service.exit());
    assert_eq!(code, 0, "{}", service.text());
    assert_eq!(shown(&file), modelled(&anew, &ends(&anew)));
    assert_eq!(shown(&file).len(), 7);
}

/// `records`: how many the new log gets; the old one held 30.
fn made_anew(name: &str, records: i64) {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("views.db");
    let mut shop = Shop::new(&broker, name, [1, 1]);
    shop.products("c", 0..30, 100);
    shop.items("c", 0..60, 0);
    let mut service = shop.service(dir.path(), &file, &[]);
    service.await_durable(&file, &ends(&shop));
    let before = shown(&file);
    shop.delete("products");
    shop.create("products", 1);
    shop.products("c", 0..records, 5_000);
    let why = service.halted();
    println!("{name}, {records} records: {why}");
    assert!(why.contains("made anew") || why.contains("made again"), "{why}");
    assert!(why.contains("GENERATION"), "{why}");
    assert_eq!(shown(&file), before, "nothing of the new log was applied");
    // And it stays so.
    let mut service = shop.service(dir.path(), &file, &[]);
    let why = service.halted();
    assert!(why.contains("made anew") && why.contains("GENERATION"), "{why}");
    assert_eq!(shown(&file), before, "nothing of the new log was applied");
}

#[test]
fn a_topic_made_anew_with_fewer_records_halts() {
    made_anew("fewer", 10);
}
#[test]
fn a_topic_made_anew_with_more_records_halts() {
    made_anew("more", 400);
}
#[test]
fn a_topic_made_anew_with_as_many_records_halts() {
    made_anew("same", 30);
}
