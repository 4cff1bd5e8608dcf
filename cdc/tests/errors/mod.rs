//! A shop of this test's own on a broker inside this process, an inventory service, and a fault proxy between it and
//! LocalStack.
use crate::proxy::{Fault, Proxy, Target};
use consumers::{handler::Handler, handlers::inventory};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};
use serde_json::json;
use sinks::{
    Cell, View, dlq,
    dynamodb::{self, DynamoDb},
    objects::{Endpoint, Place},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(180);
const REGION: &str = "us-east-1";
const PRODUCTS: &str = "shop.public.products";
const ITEMS: &str = "shop.public.order_items";
const LOW_BELOW: i64 = 10;

pub struct Emulators {
    dynamo: String,
    s3: String,
}
impl Emulators {
    pub fn find() -> Option<Self> {
        let named = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let both = named("TEST_DYNAMODB_ENDPOINT").zip(named("TEST_S3_ENDPOINT"));
        if both.is_none() {
            let text = b"left out: no TEST_DYNAMODB_ENDPOINT and TEST_S3_ENDPOINT\n";
            std::io::Write::write_all(&mut std::io::stderr(), text).expect("stderr");
        }
        both.map(|(dynamo, s3)| Self { dynamo, s3 })
    }
}

/// A service as users start it.
pub struct Process {
    child: RefCell<Child>,
    log: PathBuf,
}
impl Process {
    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    /// Until the log is so; the process must live.
    /// Where it answers HTTP, once it does.
    pub fn http(&self) -> SocketAddr {
        let said = "metrics and health at=";
        self.wait("HTTP", |log| log.contains(said));
        let log = self.text();
        let (_, rest) = log.split_once(said).expect("just seen");
        rest.split_whitespace().next().and_then(|at| at.parse().ok()).expect("an address")
    }
    pub fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.text();
            if is_so(&text) {
                return;
            }
            let ended = self.child.borrow_mut().try_wait().expect("a child");
            assert_eq!(ended, None, "{what}: ended: {text}");
            assert!(Instant::now() < until, "{what}: never: {text}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
    /// SIGTERM, and a quiet end.
    pub fn stop(&self) {
        let mut child = self.child.borrow_mut();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        assert!(child.wait().expect("a child").success(), "{}", self.text());
    }
}
impl Drop for Process {
    fn drop(&mut self) {
        let child = self.child.get_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// An error that ends the process: a fault, or something that is not there.
pub struct Case {
    pub target: Target,
    pub fault: Fault,
    pub state_in_s3: bool,
    /// `table` or `bucket`.
    pub missing: &'static str,
    pub says: &'static str,
}
impl Default for Case {
    fn default() -> Self {
        let (target, fault) = (Target::DynamoDb, Fault::None);
        Self { target, fault, state_in_s3: false, missing: "", says: "" }
    }
}

/// What a fault stands in the way of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stuck {
    /// All views' writes.
    Writes,
    /// The dead letter of one partition; the others go on.
    Letter,
    /// All partitions' state.
    State,
    Everything,
}

struct Product {
    name: String,
    base: i64,
    sold: i64,
}

pub struct World {
    pub proxy: Proxy,
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
    dir: tempfile::TempDir,
    s3: String,
    sink: DynamoDb,
    asker: BaseConsumer,
    io: tokio::runtime::Runtime,
    unique: String,
    /// What the rows must be.
    products: BTreeMap<i64, Product>,
    orders: i64,
    refused: i64,
    /// Next offset of each partition.
    ends: BTreeMap<(&'static str, i32), i64>,
    letters: BTreeSet<(String, i32, i64)>,
}

fn view() -> View {
    inventory::handler(&inventory::Settings::default(), "").views().remove(0)
}

fn config(unique: &str) -> dynamodb::Config {
    let mut config = dynamodb::Config::new(1, vec![view()]);
    config.prefix = format!("{unique}-");
    config
}

impl World {
    pub fn new(at: &Emulators, name: &str) -> Self {
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let unique = format!("proxy-{name}-{}", std::process::id());
        let address = at.dynamo.trim_start_matches("http://").trim_end_matches('/');
        assert_eq!(at.dynamo, at.s3, "one emulator for both");
        let upstream = std::net::ToSocketAddrs::to_socket_addrs(address).expect("HOST:PORT").next();
        let proxy = Proxy::start(upstream.expect("an address"));
        let cluster = MockCluster::new(1).expect("a broker");
        cluster.create_topic(PRODUCTS, 2, 1).expect("a topic");
        cluster.create_topic(ITEMS, 1, 1).expect("a topic");
        let kafka = |group: &str| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", group);
            config
        };
        let producer = kafka(&unique).create().expect("a producer");
        let asker = kafka(&unique).create().expect("a consumer");
        let connection =
            dynamodb::Connection { endpoint: Some(at.dynamo.clone()), region: Some(REGION.into()) };
        let client = io.block_on(connection.connect());
        let config = config(&unique);
        io.block_on(dynamodb::create_tables(&client, &config)).expect("tables");
        let url = format!("{}/{unique}", at.s3);
        let put = Command::new("curl").args(["-s", "-f", "-X", "PUT", &url]).status();
        assert!(put.expect("curl").success(), "a bucket at {url}");
        Self {
            proxy,
            cluster,
            producer,
            asker,
            dir: tempfile::tempdir().expect("a folder"),
            s3: at.s3.clone(),
            sink: DynamoDb::new(client, &config).expect("a sink"),
            io,
            unique,
            products: BTreeMap::new(),
            orders: 0,
            refused: 0,
            ends: [((PRODUCTS, 0), 0), ((PRODUCTS, 1), 0), ((ITEMS, 0), 0)].into(),
            letters: BTreeSet::new(),
        }
    }

    /// Part of the names of its table and its bucket.
    pub fn name(&self) -> &str {
        &self.unique
    }
    /// Records in the log.
    pub fn total(&self) -> i64 {
        self.ends.values().sum()
    }
    fn table(&self) -> String {
        let config = config(&self.unique);
        config.table_of(&config.views[0])
    }

    fn command(&self, name: &str, more: &[&str]) -> (Command, PathBuf) {
        let log = self.dir.path().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .current_dir(self.dir.path())
            .args(["run", "inventory", "--topic-prefix", "shop.public.", "--sink", "aws"])
            .args(["--aws-endpoint-url", &self.proxy.address(), "--aws-region", REGION])
            .args(["--linger-ms", "5"])
            // The producer below places products by their number, odd or even.
            .args(["--placement", "custom"])
            .args(more)
            .env_remove("AWS_ENDPOINT_URL_S3")
            .env_remove("AWS_ENDPOINT_URL_DYNAMODB")
            .env("AWS_ACCESS_KEY_ID", "testaccess")
            .env("AWS_SECRET_ACCESS_KEY", "testsecret12")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdout(Stdio::from(file.try_clone().expect("a second handle")))
            .stderr(Stdio::from(file));
        (command, log)
    }
    fn kafka(&self, command: &mut Command, group: &str) {
        let (table, letters) = (self.table(), format!("s3://{}/dlq", self.unique));
        command
            .args(["--kafka-bootstrap-servers", &self.cluster.bootstrap_servers()])
            .args(["--kafka-group-id", group, "--ack-interval-seconds", "1"])
            // Who does not poll for so long is out of the group, and the log says so.
            .args(["--kafka-property", "session.timeout.ms=6000"])
            .args(["--kafka-property", "heartbeat.interval.ms=500"])
            .args(["--kafka-property", "max.poll.interval.ms=6000"])
            .args(["--dynamodb-table", &table, "--s3-bucket", &self.unique, "--dlq", &letters]);
    }

    pub fn start(&self, more: &[&str]) -> Process {
        let (mut command, log) = self.command("service", more);
        self.kafka(&mut command, &self.unique);
        Process { child: RefCell::new(command.spawn().expect("starts")), log }
    }
    /// The exit code and the log.
    pub fn run_without_credentials(&self, name: &str, more: &[&str]) -> (Option<i32>, String) {
        let (mut command, log) = self.command(name, more);
        self.kafka(&mut command, name);
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"]
        {
            command.env_remove(name);
        }
        let status = command.env("HOME", self.dir.path()).status().expect("starts");
        (status.code(), std::fs::read_to_string(log).expect("a log"))
    }

    /// One good and one bad record from a file, under one fault; the exit code and the log.
    pub fn run_to_its_end(&self, number: usize, case: &Case) -> (Option<i32>, String) {
        self.proxy.set(Fault::None);
        self.proxy.set_for(case.target, case.fault);
        let is_of_s3 = case.target == Target::S3 || case.missing == "bucket";
        let value = if is_of_s3 { "{".to_owned() } else { product(1, "Secret Name", 5) };
        let line = json!({
            "topic": PRODUCTS, "partition": 0, "offset": 0, "timestamp": 0, "key": r#"{"id":1}"#, "value": value,
        });
        let name = format!("case-{number}");
        std::fs::write(self.dir.path().join(format!("{name}.ndjson")), format!("{line}\n"))
            .expect("written");
        let missing = |what, there: String| match case.missing == what {
            true => format!("{there}-missing"),
            false => there,
        };
        let (table, bucket) =
            (missing("table", self.table()), missing("bucket", self.unique.clone()));
        let state = match case.state_in_s3 {
            true => format!("slatedb:s3://{bucket}/{name}"),
            false => format!("slatedb:dir:{name}"),
        };
        let source = format!("ndjson:{name}.ndjson");
        let letters = format!("s3://{bucket}/{name}");
        let more = [
            "--source",
            &source,
            "--until-end",
            "--dynamodb-table",
            &table,
            "--state",
            &state,
            "--dlq",
            &letters,
        ];
        let (mut command, log) = self.command(&name, &more);
        let process = Process { child: RefCell::new(command.spawn().expect("starts")), log };
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = process.child.borrow_mut().try_wait().expect("a child") {
                return (status.code(), process.text());
            }
            assert!(Instant::now() < until, "{}: never ended: {}", case.says, process.text());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn send(&mut self, topic: &'static str, partition: i32, id: i64, value: &str) {
        let key = format!(r#"{{"id":{id}}}"#);
        let record = BaseRecord::to(topic).partition(partition).key(&key).payload(value);
        self.producer.send(record).map_err(|(e, _)| e).expect("queued");
        *self.ends.get_mut(&(topic, partition)).expect("a partition") += 1;
    }
    fn sent(&self) {
        self.producer.flush(PATIENCE).expect("written");
    }

    /// Restocks and sales on every partition; some cross the threshold. `crossings`: how often each goes low and back.
    pub fn trade(&mut self, crossings: usize) {
        for id in 1..=4 {
            let base = 20 + self.orders % 7;
            let (name, sold) =
                (format!("Product {id}"), self.products.get(&id).map_or(0, |p| p.sold));
            for base in std::iter::repeat_n([sold + base, sold + 3], crossings)
                .flatten()
                .chain([sold + base])
            {
                self.put_product(id, &name, base);
            }
            self.orders += 1;
            let (order, quantity) = (self.orders, 1 + self.orders % 3);
            let row = json!({"id": order, "order_id": order, "product_id": id, "quantity": quantity, "unit_price": "1.50"});
            self.send(ITEMS, 0, order, &envelope("order_items", &row));
            self.products.get_mut(&id).expect("there").sold += quantity;
        }
        self.sent();
    }
    /// One product is low on stock from now on: an alert.
    pub fn run_low(&mut self) {
        let sold = self.products[&1].sold;
        self.put_product(1, "Product 1", sold + 3);
        self.sent();
    }
    /// For services whose rows nobody looks at.
    pub fn trade_once(&self) {
        let record = BaseRecord::to(PRODUCTS).partition(0).key(r#"{"id":1}"#);
        let value = product(1, "Secret Name", 5);
        self.producer.send(record.payload(&value)).map_err(|(e, _)| e).expect("queued");
        self.sent();
    }
    fn put_product(&mut self, id: i64, name: &str, base: i64) {
        let partition = i32::try_from(id % 2).expect("small");
        self.send(PRODUCTS, partition, id, &product(id, name, base));
        let sold = self.products.get(&id).map_or(0, |product| product.sold);
        self.products.insert(id, Product { name: name.to_owned(), base, sold });
    }
    /// A dead letter on the first partition.
    pub fn bad_record(&mut self) {
        self.letters.insert((PRODUCTS.to_owned(), 0, self.ends[&(PRODUCTS, 0)]));
        self.send(PRODUCTS, 0, 0, "{");
        self.sent();
    }
    /// A new product that is refused: a letter, and no row. Its next version is not, and heals it.
    pub fn refused_product(
        &mut self,
        service: &Process,
        code: &'static str,
        message: &'static str,
    ) {
        self.refused += 1;
        let id = 100 + 2 * self.refused;
        let operation = Some("PutItem");
        let fault = Fault::Canned { status: 400, code, message, percent: 100, operation };
        self.proxy.set_for(Target::DynamoDb, fault);
        self.letters.insert((PRODUCTS.to_owned(), 0, self.ends[&(PRODUCTS, 0)]));
        self.put_product(id, "Too large", 30);
        self.sent();
        self.caught_up(service);
        let rows = self.io.block_on(self.sink.rows(view().name)).expect("rows");
        assert!(!rows.contains_key(&vec![Cell::Int(id)]), "refused is refused");
        self.proxy.set(Fault::None);
        self.put_product(id, "It fits", 40);
        self.sent();
    }

    /// What Kafka was told: the next offset of each partition.
    fn acknowledged(&self) -> BTreeMap<(&'static str, i32), i64> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in self.ends.keys() {
            list.add_partition(topic, *partition);
        }
        let told = self.asker.committed_offsets(list, PATIENCE).expect("answered");
        let next = |(topic, partition): &(&'static str, i32)| {
            let found = told.find_partition(topic, *partition).map(|one| one.offset());
            match found {
                Some(Offset::Offset(next)) => next,
                _ => 0,
            }
        };
        self.ends.keys().map(|at| (*at, next(at))).collect()
    }

    pub fn caught_up(&self, service: &Process) {
        service.wait("caught up", |_| self.acknowledged() == self.ends);
    }

    /// The fault on: it says so and tries again, nothing is acknowledged. The fault off: it goes on.
    pub fn round(&mut self, service: &Process, on: Stuck, what: &str, fault: Fault, says: &str) {
        let begun = Instant::now();
        self.caught_up(service);
        let (mark, before) = (service.text().len(), self.ends.clone());
        match on {
            Stuck::Writes => self.proxy.set_for(Target::DynamoDb, fault),
            Stuck::State | Stuck::Letter => self.proxy.set_for(Target::S3, fault),
            Stuck::Everything => self.proxy.set(fault),
        }
        if on == Stuck::Letter {
            self.bad_record();
        }
        self.trade(0);
        service.wait(what, |log| {
            let new = &log[mark..];
            new.contains(says) && new.contains("trying again")
        });
        for (at, now) in self.acknowledged() {
            if on != Stuck::Letter || at == (PRODUCTS, 0) {
                assert_eq!(now, before[&at], "{what}: {at:?} moved while the error lasted");
            }
        }
        self.proxy.set(Fault::None);
        self.caught_up(service);
        println!("{what}: {} ms", begun.elapsed().as_millis());
    }

    /// Every view's rows, every letter, every crossing: each as it must be, once.
    pub fn check(&self) {
        let rows = self.io.block_on(self.sink.rows(view().name)).expect("rows");
        let expected: BTreeMap<_, _> = self.products.iter().map(expected).collect();
        assert_eq!(rows, expected);
        let place = Place::S3 { bucket: self.unique.clone(), prefix: "dlq".into() };
        let endpoint = Endpoint { url: Some(self.s3.clone()), region: Some(REGION.into()) };
        let objects = self.io.block_on(place.open(&endpoint)).expect("a bucket");
        let names = self.io.block_on(dlq::list(&*objects, "")).expect("letters");
        let read = |name: &String| {
            let found = self.io.block_on(dlq::read_letter(&*objects, name)).expect("readable");
            let letter = found.expect("there").letter;
            (letter.partition.topic.to_string(), letter.partition.index, letter.offset)
        };
        let letters: BTreeSet<_> = names.iter().map(read).collect();
        assert_eq!(letters, self.letters);
        assert_eq!(names.len(), letters.len(), "each once");
        let log = std::fs::read_to_string(self.dir.path().join("service.log")).expect("a log");
        let crossings = self.proxy.ledger();
        for crossing in &crossings {
            let alert = format!("alert=\"{}/{}\"", crossing.name, crossing.key);
            assert!(log.contains(&alert), "nobody was told of {crossing:?}");
        }
        let names: BTreeSet<_> = crossings.iter().map(|c| (&c.name, &c.key)).collect();
        assert_eq!(names.len(), crossings.len(), "each crossing once");
        let told: BTreeSet<_> =
            log.split("alert=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(told.len(), crossings.len(), "no alert without a crossing");
    }
}

fn envelope(table: &str, row: &serde_json::Value) -> String {
    json!({
        "before": null, "after": row, "op": "c", "ts_ms": 2,
        "source": {
            "connector": "postgresql", "name": "shop", "ts_ms": 1, "snapshot": "false", "db": "shop",
            "schema": "public", "table": table,
        },
    })
    .to_string()
}
fn product(id: i64, name: &str, base: i64) -> String {
    envelope("products", &json!({"id": id, "name": name, "price": "1.50", "stock_quantity": base}))
}
/// By the view's SQL.
fn expected((id, product): (&i64, &Product)) -> (Vec<Cell>, Vec<Cell>) {
    let stock = product.base - product.sold;
    let low = if stock < LOW_BELOW { Cell::Int(1) } else { Cell::Null };
    let price = Cell::Decimal("1.50".parse().expect("a number"));
    let row = vec![
        product.name.as_str().into(),
        price,
        product.base.into(),
        product.sold.into(),
        stock.into(),
        low,
    ];
    (vec![Cell::Int(*id)], row)
}
