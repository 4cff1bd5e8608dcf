//! `cdc doctor`, as it is used: each thing that can be wrong gives its line, with a way to mend it, and exit code 1.
//!
//! Parts of it need `TEST_KAFKA`, `TEST_POSTGRES_DSN`, `TEST_CONNECT_URL`, `TEST_DYNAMODB_ENDPOINT` and
//! `TEST_S3_ENDPOINT`, and are left out without them.
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn unique(what: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("doctor-{what}-{}-{}", std::process::id(), since.subsec_nanos())
}
fn given(name: &str) -> Option<String> {
    let found = std::env::var(name).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        eprintln!("left out: no {name}");
    }
    found
}

/// What the doctor said.
struct Said {
    code: Option<i32>,
    report: Value,
}
impl Said {
    fn by(dir: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            ["KAFKA_", "SOURCE", "DLQ", "S3_BUCKET", "STATE", "CONNECT_URL"]
                .iter()
                .any(|p| name.starts_with(p))
        }) {
            command.env_remove(name);
        }
        let output = command
            .current_dir(dir)
            .arg("doctor")
            .args(args)
            .arg("--json")
            .output()
            .expect("it runs");
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!(
                "{e}: {}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        Self { code: output.status.code(), report }
    }
    fn checks(&self, status: &str) -> Vec<&Value> {
        let all = self.report["checks"].as_array().expect("checks").iter();
        all.filter(|check| check["status"] == status).collect()
    }
    /// There is such a line in that area, with these words, and a fix that says this.
    fn says(&self, status: &str, area: &str, words: &str, fix: &str) {
        let is_it = |check: &&&Value| {
            let text = |field: &str| check[field].as_str().unwrap_or_default().to_owned();
            let line = format!("{}: {}", text("name"), text("found"));
            check["area"] == area && line.contains(words)
        };
        let found = self.checks(status);
        let check = found
            .iter()
            .find(is_it)
            .unwrap_or_else(|| panic!("no {status} of {area} with `{words}`: {:#}", self.report));
        let how = check["fix"].as_str().unwrap_or_default();
        assert!(how.contains(fix), "`{fix}` is not in: {check:#}");
    }
    fn is(&self, code: i32) {
        let wrong = self.checks("problem");
        assert_eq!(self.code, Some(code), "{wrong:#?}");
        assert_eq!(self.report["problems"], wrong.len(), "{:#}", self.report);
        assert_eq!(self.report["warnings"], self.checks("warning").len());
        for check in wrong.iter().chain(&self.checks("warning")) {
            assert!(check["fix"].is_string() || check["area"] == "settings", "no fix: {check:#}");
        }
    }
}

#[test]
fn the_first_error_of_a_newcomer_reads_well() {
    let dir = tempfile::tempdir().expect("a folder");
    let said = Said::by(dir.path(), &["inventory"]);
    said.is(64);
    said.says(
        "problem",
        "settings",
        "--dlq or DLQ: not given",
        "give s3://BUCKET/PREFIX or dir:DIR",
    );
    let said = Said::by(dir.path(), &["all", "--sink", "paper", "--dlq", "dir:dlq"]);
    said.is(64);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was made");
}

#[test]
fn nothing_running_is_said_line_by_line_without_passwords() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("file"), "").expect("written");
    let args = [
        "inventory",
        "--sink",
        "sqlite:views.db",
        "--dlq",
        "dir:file/dlq",
        "--timeout-seconds",
        "2",
        "--kafka-bootstrap-servers",
        "127.0.0.1:9",
        "--source-dsn",
        "postgres://me:hunter2@127.0.0.1:9/shop",
        "--connect-url",
        "http://me:hunter2@127.0.0.1:9",
        "--kafka-property",
        "sasl.password=hunter2",
    ];
    let said = Said::by(dir.path(), &args);
    said.is(1);
    said.says(
        "problem",
        "kafka",
        "no broker of 127.0.0.1:9 answers within 2 s",
        "KAFKA_BOOTSTRAP_SERVERS",
    );
    said.says("problem", "kafka", "Connection refused", "start Kafka");
    said.says("problem", "postgres", "127.0.0.1:9/shop", "--source-dsn");
    said.says("problem", "connect", "does not answer", "--connect-url");
    said.says("problem", "dlq", "is a file", "DLQ");
    assert_eq!(said.report["problems"], 4, "{:#}", said.report);
    assert!(!said.report.to_string().contains("hunter2"), "{:#}", said.report);
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["file"], "nothing was made");
}

#[test]
fn fix_makes_tables_and_bucket_and_everything_is_well_then() {
    let (Some(dynamodb), Some(s3)) = (given("TEST_DYNAMODB_ENDPOINT"), given("TEST_S3_ENDPOINT"))
    else {
        return;
    };
    let dir = tempfile::tempdir().expect("a folder");
    let (bucket, table, tokens) = (unique("bucket"), unique("index"), unique("tokens"));
    let dlq = format!("s3://{bucket}/dlq");
    let run = |service: &str, more: &[&str]| {
        let mut args =
            vec![service, "--source", "ndjson:none", "--s3-bucket", &bucket, "--dlq", &dlq];
        args.extend(["--timeout-seconds", "60", "--aws-region", "us-east-1"]);
        args.extend(more);
        Said::by(dir.path(), &args)
    };
    assert_eq!(dynamodb, s3, "one emulator for both, here");
    let own =
        ["--aws-endpoint-url", &s3, "--dynamodb-table", &table, "--dynamodb-tokens-table", &tokens];
    let fixing = [&own[..], &["--fix"]].concat();

    let said = run("search", &own);
    said.is(1);
    said.says("problem", "s3", &format!("bucket {bucket}"), "--fix");
    said.says("problem", "dynamodb", "does not exist", "--fix");
    let said = run("search", &fixing);
    said.is(0);
    assert_eq!(said.report["warnings"], 0, "{:#}", said.report);
    said.says("ok", "s3", "made in region us-east-1", "");
    said.says("ok", "dynamodb", &format!("made table `{table}`"), "");
    said.says("ok", "dynamodb", "items can be read and written", "");
    said.says("ok", "dlq", "conditional put", "");
    said.says("ok", "clock", "AWS", "");
    let again = run("search", &fixing);
    again.is(0);
    assert!(!again.report.to_string().contains("made "), "{:#}", again.report);

    // Product numbers are the key of both, so only the index is missing; words are another key.
    let said = run("inventory", &["--aws-endpoint-url", &s3, "--dynamodb-table", &table]);
    said.is(1);
    said.says("problem", "dynamodb", "has no index `low-stock-index`", "--fix");
    let said = run("inventory", &["--aws-endpoint-url", &s3, "--dynamodb-table", &tokens]);
    said.is(1);
    said.says(
        "problem",
        "dynamodb",
        "has the key (token S, product_id N), and needs (product_id N)",
        "another table",
    );
    let said = run("inventory", &["--aws-endpoint-url", &s3, "--dynamodb-table", &tokens, "--fix"]);
    said.is(1);
    said.says("problem", "dynamodb", "a key cannot be changed", "");
    // Both views in one table.
    let said = run("all", &["--aws-endpoint-url", &s3, "--dynamodb-table", &table]);
    said.is(1);
    said.says("problem", "settings", "share the table", "DYNAMODB_TABLE");
}

/// Topics of our own, removed at the end.
struct Topics {
    admin: AdminClient<DefaultClientContext>,
    producer: ThreadedProducer<DefaultProducerContext>,
    io: tokio::runtime::Runtime,
    prefix: String,
    made: Vec<String>,
}
impl Topics {
    fn new(servers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers);
        let io =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (admin, producer) =
            (config.create().expect("a client"), config.create().expect("a producer"));
        Self { admin, producer, io, prefix: format!("{}.public.", unique("topics")), made: vec![] }
    }
    fn name(&self, table: &str) -> String {
        format!("{}{table}", self.prefix)
    }
    fn make(&mut self, table: &str, settings: &[(&str, &str)]) {
        let name = self.name(table);
        let mut topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let made =
            self.io.block_on(self.admin.create_topics([&topic], &options)).expect("Kafka answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        self.made.push(name);
    }
    fn remake(&mut self, table: &str) {
        let name = self.name(table);
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let gone =
            self.io.block_on(self.admin.delete_topics(&[&name], &options)).expect("Kafka answers");
        assert!(gone.iter().all(Result::is_ok), "{gone:?}");
        // The broker may still be at it.
        let end = Instant::now() + PATIENCE;
        loop {
            let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
            let made = self
                .io
                .block_on(self.admin.create_topics([&topic], &options))
                .expect("Kafka answers");
            if made.iter().all(Result::is_ok) {
                return;
            }
            assert!(Instant::now() < end, "{made:?}");
        }
    }
    fn put(&self, table: &str, key: Option<&str>, value: &[u8]) {
        let name = self.name(table);
        let mut record = BaseRecord::to(&name).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        self.producer.send(record).map_err(|(e, _)| e).expect("sent");
        self.producer.flush(PATIENCE).expect("taken");
    }
}
impl Drop for Topics {
    fn drop(&mut self) {
        let names: Vec<&str> = self.made.iter().map(String::as_str).collect();
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let _ = self.io.block_on(self.admin.delete_topics(&names, &options));
    }
}

fn product(price: &Value) -> Vec<u8> {
    let after = json!({"id": 1, "name": "Lamp", "description": "", "price": price, "stock_quantity": 20, "category": "c"});
    let source = json!({"version": "3", "connector": "postgresql", "name": "shop", "ts_ms": 1, "snapshot": "false",
                        "db": "shop", "schema": "public", "table": "products"});
    json!({"op": "c", "ts_ms": 2, "before": null, "after": after, "source": source})
        .to_string()
        .into_bytes()
}

#[test]
fn topics_and_their_records_are_judged() {
    let Some(servers) = given("TEST_KAFKA") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let mut topics = Topics::new(&servers);
    let (prefix, group) = (topics.prefix.clone(), unique("group"));
    let sinks = ["--sink", "sqlite:views.db", "--dlq", "dir:dlq"];
    let kafka = ["--kafka-bootstrap-servers", &*servers, "--kafka-group-id", &*group];
    let run = |more: &[&str]| {
        let prefix = ["--topic-prefix", &*prefix, "--timeout-seconds", "30"];
        Said::by(dir.path(), &[&["search"], &sinks[..], &kafka[..], &prefix[..], more].concat())
    };
    let said = run(&[]);
    said.is(1);
    said.says("problem", "kafka", "does not exist", "TOPIC_PREFIX");

    topics.make("products", &[("cleanup.policy", "compact")]);
    let said = run(&[]);
    said.is(1);
    said.says(
        "problem",
        "kafka",
        "cleanup.policy=compact without min.compaction.lag.ms",
        "cleanup.policy=delete",
    );
    said.says("ok", "events", "holds no records yet", "");

    // A topic for each form: what was written to one stays there.
    let key = Some(r#"{"id":1}"#);
    let unwrapped = br#"{"id":1,"name":"Lamp"}"#.to_vec();
    let avro = b"\0\0\0\0\x07\x02abc".to_vec();
    let (bare, text) = (product(&json!("MDk=")), product(&json!("1.50")));
    for (name, key, value, words, fix) in [
        ("unwrapped.products", key, &unwrapped, "not an envelope", "ExtractNewRecordState"),
        ("avro.products", key, &avro, "zero byte", "JsonConverter"),
        ("keyless.products", None, &text, "no key", "add primary key"),
        ("bare.products", key, &bare, "would be dead letters", "products.price=decimal(SCALE)"),
    ] {
        topics.make(name, &[]);
        topics.put(name, key, value);
        let said = run(&["--products-topic", &topics.name(name)]);
        said.is(1);
        said.says("problem", "events", words, fix);
    }

    // With its scale it is well. A run leaves a state then, which other rules must not go on with.
    let topic = topics.name("bare.products");
    let with = |formats| run(&["--products-topic", &topic, "--column-formats", formats]);
    with("products.price=decimal(2)").is(0);
    let ran = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .current_dir(dir.path())
        .args(["run", "search", "--until-end", "--products-topic", &topic])
        .args(["--column-formats", "products.price=decimal(2)"])
        .args(sinks)
        .args(kafka)
        .output()
        .expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let said = with("products.price=decimal(2)");
    said.is(0);
    said.says("ok", "state", "products/0 at 1 of 0 to 1", "");
    said.says("ok", "kafka", "records behind: 0", "");
    let said = with("products.price=decimal(3)");
    said.is(1);
    said.says("problem", "state", "made by other rules or settings", "GENERATION=2");

    // Made anew, as long as before, with another record at that offset.
    topics.remake("bare.products");
    topics.put("bare.products", Some(r#"{"id":2}"#), &bare);
    let args = ["--products-topic", &topic, "--column-formats", "products.price=decimal(2)"];
    let said = run(&args);
    said.is(1);
    said.says("problem", "state", "the topic was made anew", "GENERATION=2");
}

#[test]
fn a_table_without_key_or_publication_is_a_problem() {
    let Some(dsn) = given("TEST_POSTGRES_DSN") else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let connect = |dsn: &str| {
        let connected = io.block_on(tokio_postgres::connect(dsn, tokio_postgres::NoTls));
        let (client, connection) = connected.expect("PostgreSQL answers");
        io.spawn(connection);
        client
    };
    // A database of its own: publications and slots are a database's.
    let (server, _) = dsn.rsplit_once('/').expect("postgres://.../DATABASE");
    let database = unique("db").replace('-', "_");
    let own = format!("{server}/{database}");
    let client = connect(&dsn);
    io.block_on(client.batch_execute(&format!("create database {database}"))).expect("made");
    let run = |dsn: &str| {
        let args = ["search", "--source", "ndjson:none", "--sink", "sqlite:views.db"];
        let more = ["--dlq", "dir:dlq", "--topic-prefix", "shop.public.", "--source-dsn", dsn];
        Said::by(dir.path(), &[&args[..], &more[..], &["--timeout-seconds", "30"]].concat())
    };
    let empty = run(&own);
    let table =
        "create table products (id bigint, name text, description text, price text, category text)";
    io.block_on(connect(&own).batch_execute(table)).expect("made");
    let said = run(&own);
    let mend = "alter table products add primary key (id); alter table products alter price type numeric using null; \
                create publication p for table products";
    io.block_on(connect(&own).batch_execute(mend)).expect("mended");
    let mended = run(&own);
    let worse = "alter table products alter category set default 'none'; alter table products drop description; \
                 alter table products add description text generated always as (upper(name)) stored; \
                 alter publication p set table products (id, name, category) where (id > 3)";
    io.block_on(connect(&own).batch_execute(worse)).expect("made worse");
    let worse = run(&own);
    io.block_on(client.batch_execute(&format!("drop database {database} with (force)")))
        .expect("dropped");
    let wrong = run(&own);

    empty.is(1);
    empty.says("problem", "postgres", "public.products: there is no such table", "TOPIC_PREFIX");
    said.is(1);
    let alter = "alter table public.products add primary key (id)";
    said.says("problem", "postgres", "REPLICA IDENTITY DEFAULT, no primary key", alter);
    said.says("problem", "postgres", "column price is text", "_COLUMNS");
    said.says("problem", "postgres", "is in no publication", "add table public.products");
    said.says("warning", "postgres", "no logical replication slot", "connector");
    said.says("ok", "postgres", "wal_level: logical", "");
    said.says("ok", "clock", "PostgreSQL", "");
    mended.is(0);
    mended.says("ok", "postgres", "published by p", "");
    worse.is(1);
    worse.says("problem", "postgres", "publication p leaves out price", "set table");
    worse.says("problem", "postgres", "its WHERE lets through", "without WHERE");
    worse.says("problem", "postgres", "description", "_COLUMNS");
    let set = "value.converter.replace.null.with.default=false";
    worse.says("warning", "postgres", "category may be NULL and has a default", set);
    wrong.is(1);
    wrong.says("problem", "postgres", "no connection to PostgreSQL", "--source-dsn");
}

/// The stack as the scripts make it.
#[test]
fn a_whole_stack_is_well() {
    let all = [
        "TEST_KAFKA",
        "TEST_POSTGRES_DSN",
        "TEST_CONNECT_URL",
        "TEST_DYNAMODB_ENDPOINT",
        "TEST_S3_ENDPOINT",
    ];
    let [Some(kafka), Some(dsn), Some(connect), Some(_), Some(s3)] = all.map(given) else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let (bucket, table, group) = (unique("bucket"), unique("stock"), unique("group"));
    let dlq = format!("s3://{bucket}/dlq");
    let args = [
        "inventory",
        "--kafka-bootstrap-servers",
        &kafka,
        "--topic-prefix",
        "shop.public.",
        "--kafka-group-id",
        &group,
        "--source-dsn",
        &dsn,
        "--connect-url",
        &connect,
        "--aws-endpoint-url",
        &s3,
        "--s3-bucket",
        &bucket,
        "--dlq",
        &dlq,
        "--dynamodb-table",
        &table,
        "--timeout-seconds",
        "60",
        "--fix",
    ];
    let said = Said::by(dir.path(), &args);
    said.is(0);
    said.says("ok", "connect", "RUNNING", "");
    said.says("ok", "events", "reads all of them", "");
    said.says("ok", "state", "nothing stored", "");
    said.says("ok", "postgres", "primary key (id)", "");
}
