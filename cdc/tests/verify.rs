//! `cdc verify` against a real PostgreSQL, Debezium, Kafka and emulated AWS: exact while traffic flows, and each
//! difference made by hand is named, and healed.
//!
//! Needs TEST_POSTGRES_DSN (the shop with its procedures, a captured table public.cdc_marker), TEST_KAFKA, and for
//! DynamoDB and S3 TEST_DYNAMODB_ENDPOINT and TEST_S3_ENDPOINT. Topics: TEST_TOPIC_PREFIX, by default `shop.public.`.
use consumers::{
    handler::Handler,
    handlers::{inventory, search},
};
use serde_json::Value;
use sinks::{
    dynamodb::{
        self,
        sdk::{primitives::Blob, types::AttributeValue},
    },
    objects::{Endpoint, Place, Put, When},
};
use std::{
    collections::HashMap,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(180);

fn named(name: &str) -> Option<String> {
    let found = std::env::var(name).ok().filter(|text| !text.is_empty());
    if found.is_none() {
        let line = format!("left out: no {name}\n");
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("stderr");
    }
    found
}

/// The shared stack, and names of this test's own.
struct Stack {
    dsn: String,
    kafka: String,
    prefix: String,
    unique: String,
    dir: tempfile::TempDir,
    io: tokio::runtime::Runtime,
    /// One test at a time: the emulators are slow.
    _alone: MutexGuard<'static, ()>,
}
static ALONE: Mutex<()> = Mutex::new(());
impl Stack {
    fn find(test: &str) -> Option<Self> {
        let (dsn, kafka) = (named("TEST_POSTGRES_DSN")?, named("TEST_KAFKA")?);
        let prefix = std::env::var("TEST_TOPIC_PREFIX").unwrap_or_else(|_| "shop.public.".into());
        let io = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let unique = format!("verify-{test}-{}", std::process::id());
        let dir = tempfile::tempdir().expect("a folder");
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Self { dsn, kafka, prefix, unique, dir, io, _alone })
    }

    /// What `cdc run` and `cdc verify` are both told.
    fn common(&self, service: &str, more: &[String]) -> Vec<String> {
        let mut args: Vec<String> = [
            service,
            "--kafka-bootstrap-servers",
            &self.kafka,
            "--topic-prefix",
            &self.prefix,
            "--kafka-group-id",
            &format!("{}-{service}", self.unique),
            "--ack-interval-seconds",
            "1",
            "--flush-interval-seconds",
            "1",
        ]
        .map(str::to_owned)
        .into();
        args.extend_from_slice(more);
        args
    }

    fn start(&self, service: &str, more: &[String]) -> Running {
        let log = self.dir.path().join(format!("{service}.log"));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_cdc"))
            .arg("run")
            .args(self.common(service, more))
            .stdout(Stdio::from(file.try_clone().expect("a second handle")))
            .stderr(Stdio::from(file))
            .spawn()
            .expect("starts");
        Running { child, log }
    }

    fn verify(&self, service: &str, more: &[String], extra: &[&str]) -> (i32, Value, String) {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_cdc"))
            .arg("verify")
            .args(self.common(service, more))
            .args(["--source-dsn", &self.dsn, "--marker-table", "public.cdc_marker", "--json"])
            .args(if extra.contains(&"--wait-seconds") {
                &[][..]
            } else {
                &["--wait-seconds", "600"]
            })
            .args(extra)
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&stdout).into_owned();
        let said = format!("{text}\n{}", String::from_utf8_lossy(&stderr));
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        (status.code().unwrap_or(-1), json, said)
    }

    fn expect_exact(&self, service: &str, more: &[String]) -> Value {
        let (code, json, said) = self.verify(service, more, &["--show-values"]);
        assert_eq!(code, 0, "{service}: {said}");
        for view in json["services"][0]["views"].as_array().expect("views") {
            assert_eq!(view["digest_source"], view["digest_sink"], "{said}");
        }
        json
    }

    /// The service runs; exact at rest and so many times under traffic. Then there are rows of our own: their first id.
    fn exact_under_traffic(&self, service: &str, args: &[String], looks: usize) -> (Running, i64) {
        let running = self.start(service, args);
        self.expect_exact(service, args);
        let traffic = self.traffic();
        for _ in 0..looks {
            self.expect_exact(service, args);
        }
        traffic.end();
        let own = self.own_rows();
        self.expect_exact(service, args);
        (running, own)
    }

    /// Exit code 1, and exactly these: view, key, kind, fields.
    fn expect(&self, service: &str, more: &[String], wanted: &[(&str, &str, &str, &str)]) {
        let (code, json, said) = self.verify(service, more, &["--show-values"]);
        assert_eq!(code, 1, "{service}: {said}");
        let mut found: Vec<String> = Vec::new();
        for view in json["services"][0]["views"].as_array().expect("views") {
            for one in view["differences"].as_array().expect("differences") {
                let list = |name: &str| -> String {
                    let all = one[name].as_array().expect(name);
                    all.iter().map(|v| v.as_str().expect("text")).collect::<Vec<_>>().join(",")
                };
                let of = |value: &Value| value.as_str().expect("text").to_owned();
                let (view, kind) = (of(&view["view"]), of(&one["kind"]));
                found.push(format!("{view} {} {kind} {}", list("key"), list("fields")));
            }
        }
        let mut want: Vec<String> =
            wanted.iter().map(|(v, k, kind, f)| format!("{v} {k} {kind} {f}")).collect();
        want.sort();
        found.sort();
        assert_eq!(found, want, "{said}");
    }

    fn expect_healed(&self, service: &str, more: &[String]) {
        let (code, json, said) =
            self.verify(service, more, &["--show-values", "--repair", "--yes"]);
        assert_eq!(code, 0, "{service}: {said}");
        assert!(json["services"][0]["repaired"].as_u64().is_some_and(|n| n > 0), "{said}");
    }

    /// Rows that nobody else touches: five products, a line of each, an order. The first product's id.
    fn own_rows(&self) -> i64 {
        let id = 70_000_000 + i64::from(std::process::id()) * 10;
        self.sql(&format!(
            "delete from products where id between {id} and {id} + 4; \
             delete from order_items where id between {id} and {id} + 4; delete from orders where id = {id}; \
             insert into products select n, 'verify word' || n, 'a text', 9.50, 20, 'own', now(), now() \
               from generate_series({id}, {id} + 4) n; \
             insert into order_items select n, {id}, n, 3, 9.50 from generate_series({id}, {id} + 4) n; \
             insert into orders values ({id}, {id}, 'verify-{id}', 12.34, '2001-02-03 04:05:06Z')"
        ));
        id
    }

    fn sql(&self, text: &str) {
        self.io.block_on(async {
            let client = connect(&self.dsn).await;
            client.batch_execute(text).await.expect(text);
        });
    }

    /// Changes of all kinds, by the shop's own workload, until it is dropped.
    fn traffic(&self) -> Traffic {
        let stop = Arc::new(AtomicBool::new(false));
        let (dsn, told) = (self.dsn.clone(), stop.clone());
        let io = self.io.handle().clone();
        let work = std::thread::spawn(move || {
            io.block_on(async {
                let client = connect(&dsn).await;
                let mut rounds = 0;
                while !told.load(Ordering::Relaxed) {
                    let done = client.batch_execute("call maker.trade(2)").await;
                    // Others use the shop as well; a conflict with them is no failure of ours.
                    rounds += u32::from(done.is_ok());
                    // What an emulator keeps up with.
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                rounds
            })
        });
        Traffic { stop, work: Some(work) }
    }
}

async fn connect(dsn: &str) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(dsn, tokio_postgres::NoTls).await.expect("PostgreSQL");
    tokio::spawn(connection);
    client
}

struct Traffic {
    stop: Arc<AtomicBool>,
    work: Option<JoinHandle<u32>>,
}
impl Traffic {
    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let rounds = self.work.take().expect("once").join().expect("no panic");
        assert!(rounds > 0, "there was traffic");
    }
}
impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Running {
    child: Child,
    log: std::path::PathBuf,
}
impl Running {
    /// SIGTERM, and a clean end.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
        assert!(sent.success());
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                assert!(status.success(), "{log}");
                return;
            }
            assert!(Instant::now() < until, "ends");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sqlite(stack: &Stack, service: &str) -> (std::path::PathBuf, Vec<String>) {
    let file = stack.dir.path().join(format!("{service}.db"));
    let dlq = stack.dir.path().join("dlq");
    let args = [
        "--sink".to_owned(),
        format!("sqlite:{}", file.display()),
        "--dlq".to_owned(),
        format!("dir:{}", dlq.display()),
    ];
    (file, args.into())
}

#[test]
fn sqlite_while_traffic_flows_and_by_hand() {
    let Some(stack) = Stack::find("sqlite") else { return };
    let services = ["inventory", "analytics", "search"];
    let places: Vec<_> = services.iter().map(|service| sqlite(&stack, service)).collect();
    let running: Vec<Running> =
        services.iter().zip(&places).map(|(s, (_, args))| stack.start(s, args)).collect();
    let traffic = stack.traffic();
    let mut bridged = 0;
    for _ in 0..3 {
        for (service, (_, args)) in services.iter().zip(&places) {
            let json = stack.expect_exact(service, args);
            bridged += json["services"][0]["changes_bridged"].as_u64().expect("a number");
        }
    }
    traffic.end();
    assert!(bridged > 0, "changes lay between snapshot and sink");
    let id = stack.own_rows();
    for (service, (_, args)) in services.iter().zip(&places) {
        stack.expect_exact(service, args);
    }

    let alter = |file: &Path, sql: &str| {
        let db = rusqlite::Connection::open(file).expect("the file");
        db.busy_timeout(Duration::from_secs(30)).expect("patience");
        assert_eq!(db.execute(sql, []).expect(sql), 1, "{sql}");
    };
    let key = id.to_string();
    let (file, args) = &places[0];
    alter(
        file,
        &format!(
            "update inventory_realtime set price = '0.01', sold = sold + 1 where product_id = {id}"
        ),
    );
    stack.expect("inventory", args, &[("inventory_realtime", &key, "different", "price,sold")]);
    stack.expect_healed("inventory", args);

    let (file, args) = &places[1];
    alter(file, "delete from daily_sales where day = '2001-02-03'");
    stack.expect("analytics", args, &[("daily_sales", "2001-02-03", "missing", "")]);
    stack.expect_healed("analytics", args);

    let (file, args) = &places[2];
    alter(file, "insert into product_search_tokens values ('nosuchword', 1)");
    alter(file, &format!("update product_search_index set category = 'x' where product_id = {id}"));
    stack.expect(
        "search",
        args,
        &[
            ("product_search_tokens", "nosuchword,1", "extra", ""),
            ("product_search_index", &key, "different", "category"),
        ],
    );
    stack.expect_healed("search", args);

    // Stopped, and something happens: no verdict.
    running.into_iter().for_each(Running::stop);
    stack.sql(&format!("update products set price = price + 0.01 where id = {id}"));
    let (_, args) = &places[0];
    let (code, json, said) = stack.verify("inventory", args, &["--wait-seconds", "8"]);
    assert_eq!(code, 2, "{said}");
    let why = json["services"][0]["why"].as_str().expect("a sentence");
    assert!(why.contains("behind") && why.contains("the service is not running"), "{why}");
}

/// Tables and a bucket of this test's own.
struct Aws {
    client: dynamodb::Client,
    table: String,
    tokens: String,
    args: Vec<String>,
}
fn aws(stack: &Stack, service: &str) -> Option<Aws> {
    let (dynamo, s3) = (named("TEST_DYNAMODB_ENDPOINT")?, named("TEST_S3_ENDPOINT")?);
    let bucket = format!("{}-{service}", stack.unique);
    let url = format!("{s3}/{bucket}");
    let made = Command::new("curl").args(["-s", "-f", "-X", "PUT", &url]).status().expect("curl");
    assert!(made.success(), "a bucket at {url}");
    let connection =
        dynamodb::Connection { endpoint: Some(dynamo), region: Some("us-east-1".into()) };
    let client = stack.io.block_on(connection.connect());
    let views = match service {
        "inventory" => inventory::handler(&inventory::Settings::default(), "").views(),
        _ => search::handler(&search::Settings::default(), "").views(),
    };
    let mut config = dynamodb::Config::new(1, views);
    config.prefix = format!("{}-", stack.unique);
    let mut args: Vec<String> = ["--sink", "aws", "--s3-bucket", &bucket].map(str::to_owned).into();
    args.extend(["--dlq".into(), format!("s3://{bucket}/dlq"), "--aws-endpoint-url".into(), s3]);
    let (mut table, mut tokens) = (String::new(), String::new());
    if service != "analytics" {
        stack.io.block_on(dynamodb::create_tables(&client, &config)).expect("tables");
        table = config.table_of(&config.views[0]);
        args.extend(["--dynamodb-table".to_owned(), table.clone()]);
        if let Some(view) = config.views.get(1) {
            tokens = config.table_of(view);
            args.extend(["--dynamodb-tokens-table".to_owned(), tokens.clone()]);
        }
    }
    Some(Aws { client, table, tokens, args })
}

impl Aws {
    fn key(&self, id: i64) -> HashMap<String, AttributeValue> {
        HashMap::from([("product_id".to_owned(), AttributeValue::N(id.to_string()))])
    }
    fn set(&self, stack: &Stack, id: i64, update: &str, value: AttributeValue) {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(self.key(id)))
            .update_expression(update)
            .expression_attribute_values(":v", value);
        stack.io.block_on(update.send()).expect("updated");
    }
    fn get(&self, stack: &Stack, id: i64) -> Option<HashMap<String, AttributeValue>> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(self.key(id)));
        stack.io.block_on(get.consistent_read(true).send()).expect("an answer").item
    }
    fn delete(&self, stack: &Stack, id: i64) {
        let delete = self.client.delete_item().table_name(&self.table);
        stack.io.block_on(delete.set_key(Some(self.key(id))).send()).expect("deleted");
    }
}

#[test]
fn inventory_in_dynamodb_while_traffic_flows_and_by_hand() {
    let Some(stack) = Stack::find("inv") else { return };
    let Some(aws) = aws(&stack, "inventory") else { return };
    let service = "inventory";
    let (running, own) = stack.exact_under_traffic(service, &aws.args, 4);
    let [price, total, entry, gone] = [0, 1, 2, 3].map(|n| own + n);
    let n = |n: i64| AttributeValue::N(n.to_string());
    let view = "inventory_realtime";
    let text = [price, total, entry, gone].map(|id| id.to_string());
    aws.set(&stack, price, "SET price = :v", n(0));
    aws.set(&stack, total, "SET sold = sold + :v", n(1));
    let name = aws
        .get(&stack, entry)
        .expect("there")
        .into_keys()
        .find(|name| name.strip_prefix('o').is_some_and(|rest| rest.parse::<u32>().is_ok()));
    // Offset 5, share 7 (zigzag 14).
    let update = format!("SET {} = :v", name.expect("an entry"));
    aws.set(&stack, entry, &update, AttributeValue::B(Blob::new(vec![5, 14])));
    aws.delete(&stack, gone);
    aws.set(
        &stack,
        987_654_321,
        "SET gen = :v, base_stock = :v, sold = :v, stock_quantity = :v, low_stock = :v",
        n(1),
    );
    let wanted = [
        (view, &*text[0], "different", "price"),
        (view, &*text[1], "different", "sold"),
        (view, &*text[2], "different", "shares"),
        (view, &*text[3], "missing", ""),
        (view, "987654321", "extra", ""),
    ];
    stack.expect(service, &aws.args, &wanted);
    // The service runs on: it is not in the way, nor is the repair in its.
    stack.expect_healed(service, &aws.args);
    let item = aws.get(&stack, 987_654_321).expect("a tombstone");
    assert!(!item.contains_key("base_stock") && !item.contains_key("low_stock"));
    let traffic = stack.traffic();
    stack.expect_exact(service, &aws.args);
    traffic.end();
    stack.expect_exact(service, &aws.args);
    running.stop();
}

#[test]
fn search_in_dynamodb_while_traffic_flows_and_by_hand() {
    let Some(stack) = Stack::find("search") else { return };
    let Some(aws) = aws(&stack, "search") else { return };
    let service = "search";
    let (running, id) = stack.exact_under_traffic(service, &aws.args, 3);
    let words =
        aws.get(&stack, id).expect("there")["search_tokens"].as_ss().expect("words").clone();
    let word = words.iter().min().expect("a word");
    aws.set(&stack, id, "SET price = :v", AttributeValue::N("0".into()));
    let mut key = aws.key(id);
    key.insert("token".into(), AttributeValue::S(word.clone()));
    let delete = aws.client.delete_item().table_name(&aws.tokens).set_key(Some(key));
    stack.io.block_on(delete.send()).expect("deleted");
    let token = format!("{word},{id}");
    stack.expect(
        service,
        &aws.args,
        &[
            ("product_search_index", &id.to_string(), "different", "price"),
            ("product_search_tokens", &token, "missing", ""),
        ],
    );
    stack.expect_healed(service, &aws.args);
    running.stop();
}

#[test]
fn reports_in_s3_while_traffic_flows_and_by_hand() {
    let Some(stack) = Stack::find("reports") else { return };
    let Some(aws) = aws(&stack, "analytics") else { return };
    let service = "analytics";
    let (running, own) = stack.exact_under_traffic(service, &aws.args, 3);
    let status = format!("verify-{own}");
    let place = Place::S3 { bucket: format!("{}-{service}", stack.unique), prefix: String::new() };
    let endpoint = Endpoint { url: named("TEST_S3_ENDPOINT"), region: Some("us-east-1".into()) };
    let objects = stack.io.block_on(place.open(&endpoint)).expect("the bucket");
    let name = "reports/order_status/latest.json";
    let until = Instant::now() + PATIENCE;
    loop {
        let found = stack.io.block_on(objects.get(name)).expect("S3").expect("a report");
        let mut report: Value = serde_json::from_slice(&found.bytes).expect("JSON");
        let rows = report["rows"].as_array_mut().expect("rows");
        rows.iter_mut().find(|row| row["status"] == *status).expect("ours")["orders"] = (-1).into();
        let bytes = serde_json::to_vec(&report).expect("JSON").into();
        let put = stack.io.block_on(objects.put(name, bytes, When::Always)).expect("put");
        assert!(matches!(put, Put::Done(_)));
        let (code, json, said) = stack.verify(service, &aws.args, &[]);
        if code == 1 {
            let view = &json["services"][0]["views"][2];
            assert_eq!(view["view"], "order_status", "{said}");
            let one = &view["differences"][0];
            assert_eq!(
                (&one["key"][0], &one["fields"][0]),
                (&status.clone().into(), &"orders".into())
            );
            break;
        }
        // Other changes of the shared shop were published over it.
        assert!(code == 0 && Instant::now() < until, "{said}");
    }
    let (code, _, said) = stack.verify(service, &aws.args, &["--repair", "--yes"]);
    assert_eq!(code, 0, "{said}");
    running.stop();
}
