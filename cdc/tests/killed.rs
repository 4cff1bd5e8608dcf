//! `kill -9` in the middle of the recorded shop's stream, again and again, then a quiet end: every row of every view,
//! and every dead letter, is what PostgreSQL says, as if nothing had happened.
//!
//! On SQLite always; on DynamoDB and S3 when `TEST_DYNAMODB_ENDPOINT` and `TEST_S3_ENDPOINT` are set.
use cdc::demo::{
    self,
    answers::Answers,
    broker::{Broker, Shop},
};
use consumers::{
    config::Service,
    handler::Handler,
    handlers::{analytics, inventory, search},
};
use sinks::{
    Cell, SinkError, View,
    dlq::{self, read_letter},
    dynamodb::{self, DynamoDb},
    objects::{Endpoint, Objects, Place, Put, When},
    state::sqlite::Sqlite,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// One broker with the recording for all tests, until the process ends.
fn broker_address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let broker = Broker::start(shop()).expect("a broker with the recording");
        let address = broker.address();
        std::mem::forget(broker);
        address
    })
}
fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| Shop::read(demo::SHOP).expect("the recording"))
}
fn answers() -> Answers {
    Answers::read(demo::ANSWERS).expect("the answers")
}
fn views(service: &str) -> Vec<View> {
    match service {
        "inventory" => inventory::handler(&inventory::Settings::default(), "").views(),
        "search" => search::handler(&search::Settings::default(), "").views(),
        _ => analytics::handler(&analytics::Settings::default(), "").views(),
    }
}
fn tables(service: &str) -> &'static [&'static str] {
    match service {
        "inventory" => &["products", "order_items"],
        "search" => &["products"],
        _ => &["orders", "order_items"],
    }
}

/// A service as users start it, in small batches so that there is much to interrupt.
struct Process {
    child: Child,
    log: PathBuf,
}
impl Process {
    fn start(service: &str, name: &str, dir: &Path, more: &[String]) -> Self {
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .args(["run", service, "--topic-prefix", "shop.public.", "--until-end"])
            .arg("--allow-dead-letters")
            .args(["--kafka-bootstrap-servers", broker_address()])
            .args(["--kafka-group-id", name, "--batch-records", "100", "--linger-ms", "5"])
            .args(["--kafka-property", "session.timeout.ms=6000"])
            .args(["--kafka-property", "heartbeat.interval.ms=500"])
            .args(["--flush-interval-seconds", "1"])
            .args(more)
            .stdout(Stdio::from(file.try_clone().expect("a second handle")))
            .stderr(Stdio::from(file));
        Self { child: command.spawn().expect("starts"), log }
    }
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    /// SIGKILL as soon as `enough`; `false`: it ended before.
    fn kill_when(&mut self, mut enough: impl FnMut() -> bool) -> bool {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                assert!(status.success(), "{}", self.text());
                return false;
            }
            if enough() {
                self.child.kill().expect("killed");
                self.child.wait().expect("gone");
                return true;
            }
            assert!(Instant::now() < until, "never got so far: {}", self.text());
            std::thread::yield_now();
        }
    }
    fn finish(mut self) {
        let ended = !self.kill_when(|| false);
        assert!(ended, "runs to its end");
    }
}

fn letters(
    io: &tokio::runtime::Runtime,
    objects: &dyn Objects,
    prefix: &str,
) -> BTreeSet<(String, i32, i64)> {
    let names = io.block_on(dlq::list(objects, prefix)).expect("letters");
    let one = |name: &String| {
        let found = io.block_on(read_letter(objects, name)).expect("readable").expect("there");
        assert!(found.letter.error.contains("offset"), "{}", found.letter.error);
        let partition = found.letter.partition;
        (partition.topic.to_string(), partition.index, found.letter.offset)
    };
    let letters: BTreeSet<_> = names.iter().map(one).collect();
    assert_eq!(letters.len(), names.len(), "each once");
    letters
}

/// Every row of every view, both ways; every letter.
fn check(service: &str, rows: impl Fn(&View) -> Rows, letters: &BTreeSet<(String, i32, i64)>) {
    let answers = answers();
    for view in views(service) {
        let shown = rows(&view);
        let differences = answers.compare(&view, &shown).expect("comparable");
        assert!(
            differences.is_empty(),
            "{service}: {:#?}",
            &differences[..differences.len().min(10)]
        );
        assert_eq!(shown.len(), answers.count(view.name), "{}", view.name);
    }
    check_letters(service, letters);
}

fn check_letters(service: &str, letters: &BTreeSet<(String, i32, i64)>) {
    let answers = answers();
    let poison: BTreeSet<_> = answers
        .poison()
        .filter(|(topic, ..)| tables(service).iter().any(|table| topic.ends_with(table)))
        .map(|(topic, partition, offset)| (topic.to_owned(), partition, offset))
        .collect();
    assert_eq!(*letters, poison, "{service}: dead letters");
}

fn io() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads")
}

fn on_sqlite(service: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("views.db");
    let place = dir.path().join("letters");
    let more = [
        "--sink".to_owned(),
        format!("sqlite:{}", file.display()),
        "--dlq".to_owned(),
        format!("dir:{}", place.display()),
    ];
    // What is durable: the positions of all partitions together.
    let durable = || -> i64 {
        let sum = || {
            let db = rusqlite::Connection::open(&file)?;
            db.query_row("select coalesce(sum(next), 0) from cdc_state_lanes", [], |row| row.get(0))
        };
        sum().unwrap_or(0)
    };
    let mut kills = 0;
    for part in [5, 2] {
        let mut process = Process::start(service, &format!("{service}-sqlite"), dir.path(), &more);
        let total = shop().count(&shop().topics_of(tables(service)));
        let enough = i64::try_from(total).expect("few") / part;
        kills += u32::from(process.kill_when(|| durable() >= enough));
    }
    Process::start(service, &format!("{service}-sqlite"), dir.path(), &more).finish();
    let before = std::fs::metadata(&file).expect("there").len();
    Process::start(service, &format!("{service}-sqlite"), dir.path(), &more).finish();
    println!("{service} on SQLite: {kills} times kill -9; {before} bytes");
    assert!(kills > 0, "killed at least once before it was done");
    let io = io();
    let name = service.parse::<Service>().expect("a service").name();
    let store = Sqlite::open(&file, 1, name, views(service)).expect("the file");
    let objects = io.block_on(Place::Dir(place).open(&Endpoint::default())).expect("the folder");
    let rows = |view: &View| io.block_on(store.rows(view.name)).expect("rows");
    check(service, rows, &letters(&io, &*objects, ""));
}

#[test]
fn inventory_on_sqlite() {
    on_sqlite("inventory");
}
#[test]
fn analytics_on_sqlite() {
    on_sqlite("analytics");
}
#[test]
fn search_on_sqlite() {
    on_sqlite("search");
}

/// The emulators' addresses, if there are any.
fn emulators() -> Option<(String, String)> {
    let named = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let both = named("TEST_DYNAMODB_ENDPOINT").zip(named("TEST_S3_ENDPOINT"));
    if both.is_none() {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: no TEST_DYNAMODB_ENDPOINT and TEST_S3_ENDPOINT\n",
        )
        .expect("stderr");
    }
    both
}

/// Makes a bucket and, for DynamoDB, tables of this test's own; runs the service with its state in S3.
fn on_aws(service: &str) {
    let Some((dynamo, s3)) = emulators() else { return };
    let io = io();
    let dir = tempfile::tempdir().expect("a folder");
    let unique = format!("{service}-{}", std::process::id());
    let bucket = format!("killed-{unique}");
    let endpoint = Endpoint { url: Some(s3.clone()), region: Some("us-east-1".into()) };
    make_bucket(&s3, &bucket);
    let objects = Place::S3 { bucket: bucket.clone(), prefix: "dlq".into() };
    let objects = io.block_on(objects.open(&endpoint)).expect("a bucket");
    let mut config = dynamodb::Config::new(1, views(service));
    config.prefix = format!("{unique}-");
    let connection =
        dynamodb::Connection { endpoint: Some(dynamo.clone()), region: Some("us-east-1".into()) };
    let client = io.block_on(connection.connect());
    let mut more: Vec<String> = ["--sink", "aws", "--s3-bucket", &bucket].map(str::to_owned).into();
    more.extend([
        "--dlq".to_owned(),
        format!("s3://{bucket}/dlq"),
        "--aws-endpoint-url".into(),
        s3,
    ]);
    if service != "analytics" {
        make_tables(&io, &client, &config);
        let table = config.table_of(&config.views[0]);
        more.extend(["--dynamodb-table".to_owned(), table]);
        if let Some(tokens) = config.views.get(1) {
            more.extend(["--dynamodb-tokens-table".to_owned(), config.table_of(tokens)]);
        }
    }
    let mut kills = 0;
    for letters_or_more in 1..3 {
        let mut process = Process::start(service, &unique, dir.path(), &more);
        let log = process.log.clone();
        // A count line tells how far it is; any number of batches will do.
        let enough = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.matches("records=").count() >= 2 * letters_or_more
        };
        kills += u32::from(process.kill_when(enough));
    }
    Process::start(service, &unique, dir.path(), &more).finish();
    println!("{service} on AWS emulators: {kills} times kill -9");
    let found = letters(&io, &*objects, "");
    if service == "analytics" {
        check_reports(&io, &bucket, &endpoint);
        return check_letters(service, &found);
    }
    let sink = DynamoDb::new(client, &config).expect("a sink");
    let rows = |view: &View| asked_again(|| io.block_on(sink.rows(view.name)));
    check(service, rows, &found);
}

fn make_tables(io: &tokio::runtime::Runtime, client: &dynamodb::Client, config: &dynamodb::Config) {
    asked_again(|| io.block_on(dynamodb::create_tables(client, config)));
}

/// What an emulator answers: one that is busy with all the other tests may take its time, and is asked again.
fn asked_again<T>(ask: impl Fn() -> Result<T, SinkError>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(SinkError::Transient(_)) if Instant::now() < until => {}
            answer => break answer.expect("an answer"),
        }
    }
}

fn make_bucket(endpoint: &str, bucket: &str) {
    let url = format!("{endpoint}/{bucket}");
    let status = Command::new("curl").args(["-s", "-f", "-X", "PUT", &url]).status().expect("curl");
    assert!(status.success(), "a bucket at {url}");
}

fn check_reports(io: &tokio::runtime::Runtime, bucket: &str, endpoint: &Endpoint) {
    let place = Place::S3 { bucket: bucket.to_owned(), prefix: String::new() };
    let objects = io.block_on(place.open(endpoint)).expect("the bucket");
    let lake = tempfile::tempdir().expect("a folder");
    let copy = io.block_on(Place::Dir(lake.path().to_owned()).open(endpoint)).expect("a folder");
    for name in ["daily_sales", "product_sales", "customer_metrics", "order_status", "summary"] {
        let name = format!("reports/{name}/latest.json");
        let report = io.block_on(objects.get(&name)).expect("S3 answers").expect(&name);
        let put = io.block_on(copy.put(&name, report.bytes, When::Always)).expect("copied");
        assert!(matches!(put, Put::Done(_)), "{name}");
    }
    let differences = demo::answers::compare_reports(lake.path(), &views("analytics"), &answers())
        .expect("reports");
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn inventory_on_aws() {
    on_aws("inventory");
}
#[test]
fn search_on_aws() {
    on_aws("search");
}
#[test]
fn analytics_on_aws() {
    on_aws("analytics");
}
