//! What operators look at: the table of metrics is true, and the probes tell a stuck process from one that waits.
#[path = "http/mod.rs"]
mod asked;

use asked::{get, metric, put};
use consumers::{
    config::{Config, Service, arguments},
    engine::Engine,
    handler::{Handler, Keys, Reject, Step},
    policy::Policy,
    runtime::{self, Env, Exit, Monotonic},
    source::ndjson::Ndjson,
    source_table::{SourceTable, SourceType},
    telemetry::{
        Watch,
        health::Health,
        metrics::{self, METRICS},
    },
};
use debezium::{Change, Decoder};
use serving::{
    metrics::Kind,
    server::{self, Served},
};
use sinks::{Committer, Key, View, dlq::ObjectDlq, objects::Place, state::memory::Memory};
use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    sync::{Arc, Condvar, Mutex, atomic::AtomicBool},
    thread,
    time::{Duration, Instant},
};

/// The table of CONSUMER_DEPLOYMENT.md, as it must be.
fn documented() -> String {
    let mut text =
        String::from("| metric | kind | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels = metric.labels.join(", ");
        text += &format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help);
    }
    text
}

#[test]
fn every_metric_is_documented_and_nothing_else() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONSUMER_DEPLOYMENT.md");
    let text = std::fs::read_to_string(&file).expect("CONSUMER_DEPLOYMENT.md");
    let table = documented();
    assert!(text.contains(&table), "under `## Metrics` there must be this table:\n\n{table}");
}

/// Names in quotes, wherever the code records something.
fn recorded(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            recorded(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("metrics.rs") {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            names.extend(quoted(&text));
        }
    }
}
fn quoted(text: &str) -> impl Iterator<Item = String> {
    text.split('"').filter(|part| part.starts_with("cdc_")).map(str::to_owned)
}

#[test]
fn every_metric_is_recorded_and_nothing_else() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    recorded(&root.join("src"), &mut names);
    recorded(&root.join("../sinks/src"), &mut names);
    let text = std::fs::read_to_string(root.join("src/telemetry/metrics.rs")).expect("the table");
    let (_, code) = text.split_once("\n];\n").expect("the table's end");
    names.extend(quoted(code));
    let table: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(table.len(), METRICS.len(), "each once");
    assert_eq!(names, table);
}

#[test]
fn names_and_units_are_as_prometheus_wants_them() {
    for metric in METRICS {
        let name = metric.name;
        let total = matches!(metric.kind, Kind::Counter);
        assert_eq!(name.ends_with("_total"), total, "{name}: counters, and only they, end so");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
        assert!(!name.contains("_ms") && !name.contains("millis"), "{name}: seconds");
        let all_have = ["service", "generation"];
        assert!(!all_have.iter().any(|label| metric.labels.contains(label)), "{name}: all have it");
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(bounds.is_sorted() && bounds.len() > 4, "{name}");
        }
    }
}

/// Closed until somebody opens it.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}
impl Gate {
    fn pass(&self) {
        let open = self.open.lock().expect("nobody panicked");
        drop(self.opened.wait_while(open, |open| !*open).expect("nobody panicked"));
    }
    fn open(&self) {
        *self.open.lock().expect("nobody panicked") = true;
        self.opened.notify_all();
    }
}

/// A handler with a defect: it never comes back, until the gate is opened.
struct Stuck(Arc<Gate>);
impl Handler for Stuck {
    type Fact = ();
    fn tables(&self) -> Vec<SourceTable> {
        vec![SourceTable::new("products", 'p').key("id", SourceType::Int)]
    }
    fn views(&self) -> Vec<View> {
        vec![]
    }
    fn fingerprint(&self) -> String {
        "stuck 1".into()
    }
    fn read(&self, _: &Change<'_>) -> Result<Option<()>, Reject> {
        self.0.pass();
        Ok(Some(()))
    }
    fn needs(&self, (): &(), _: &mut Keys) {}
    fn apply(&self, (): (), _: &mut Step<'_>) {}
    fn truncated(&self, _: &str) -> Option<Key> {
        None
    }
    fn gone(&self, _: &[u8]) -> Option<()> {
        None
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[test]
fn a_stuck_loop_turns_live_red_within_its_window_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a folder");
    let gate = Arc::new(Gate::default());
    let health = Arc::new(Health::new(Duration::from_secs(1)));
    let metrics = metrics::install("inventory-service", 1).expect("once a process");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let served = Served { metrics, health: health.clone(), filter: None };
    let at = server::serve(listener, served).expect("a thread");
    assert_eq!(get(at, "/health/live").0, 200);
    assert_eq!(get(at, "/health/ready").0, 503, "it has not joined");

    let row = r#"{"before":null,"after":{"id":1},"source":{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"products"},"op":"c","ts_ms":6}"#;
    let line = serde_json::json!({"topic": "products", "partition": 0, "offset": 0, "timestamp": 7,
        "key": "{\"id\":1}", "value": row});
    let file = dir.path().join("changes.ndjson");
    std::fs::write(&file, format!("{line}\n")).expect("a file");
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let running = scope.spawn(|| {
            let io = tokio::runtime::Runtime::new().expect("threads");
            let path = dir.path().join("letters");
            let place: Place = format!("dir:{}", path.display()).parse().expect("a place");
            let letters = io.block_on(place.open(&sinks::objects::Endpoint::default()));
            let dlq = Arc::new(ObjectDlq::new(letters.expect("a folder"), "stuck", 1));
            let committer = Committer { dlq, sink: None, state: Arc::new(Memory::new(vec![])) };
            let engine = Engine::new(Stuck(gate.clone()), Decoder::default(), Policy::default());
            let mut watch = Watch::new(&config(dir.path()), health.clone());
            let source = Ndjson::open(file.to_str().expect("UTF-8"), |_| true).expect("a source");
            let env = Env {
                clock: &Monotonic::default(),
                io: io.handle().clone(),
                stop: &stop,
                grace_ms: 10_000,
                until_end: true,
            };
            let exit = runtime::run(source, engine, committer, &mut watch, &env);
            watch.finish();
            exit.expect("a run")
        });
        until("live is red", || get(at, "/health/live").0 == 503);
        let (status, body) = get(at, "/health/ready");
        assert_eq!(status, 200, "the sink answers: {body}");
        assert_eq!(get(at, "/metrics").0, 200);
        gate.open();
        assert_eq!(running.join().expect("no panic"), Exit::Finished);
    });
    let all = |name| metric(at, name, &["service=\"inventory-service\""]);
    assert_eq!(all("cdc_records_total"), Some(1.0));
    assert_eq!(all("cdc_batches_total"), Some(2.0), "where it begins is one, too");
    assert_eq!(all("cdc_owned_partitions"), Some(1.0));
    assert_eq!(all("cdc_commit_duration_seconds_count"), Some(2.0));
    // Logs are the test's own here.
    assert_eq!((get(at, "/log-level").0, put(at, "/log-level", "debug").0), (404, 404));
    assert_eq!(get(at, "/health/ready").0, 503, "it has ended");
    assert_eq!(get(at, "/").0, 404);
}

fn config(dir: &Path) -> Config {
    let command = arguments(clap::Command::new("test"), Some(Service::Inventory));
    let (sink, dlq) = (dir.join("views.db"), dir.join("letters"));
    let args = ["test".to_owned(), "--sink".into(), format!("sqlite:{}", sink.display())];
    let args = args.into_iter().chain(["--dlq".to_owned(), format!("dir:{}", dlq.display())]);
    let matches = command.try_get_matches_from(args).expect("a command line");
    Config::new(Service::Inventory, &matches, &[]).expect("settings")
}

/// One POST: its first line and its body; answered with 200.
fn received(listener: &TcpListener) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("somebody sends");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("UTF-8");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("answered");
    (head.lines().next().unwrap_or_default().to_owned(), body)
}

#[test]
fn a_batch_is_a_span_linked_with_its_records_traces() {
    let dir = tempfile::tempdir().expect("a folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let row = r#"{"before":null,"after":{"id":1,"name":"Secret Name","price":"1.50","stock_quantity":50},"source":{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"products"},"op":"c","ts_ms":6}"#;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let line = serde_json::json!({"topic": "shop.products", "partition": 0, "offset": 0, "timestamp": 7,
        "key": "{\"id\":1}", "value": row, "headers": {"traceparent": format!("00-{trace}-00f067aa0ba902b7-01")}});
    std::fs::write(dir.path().join("changes.ndjson"), format!("{line}\n")).expect("a file");
    let run = |endpoint: Option<&str>, db: &str| {
        let mut service = std::process::Command::new(env!("CARGO_BIN_EXE_inventory-service"));
        service.current_dir(dir.path()).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").args([
            "--source",
            "ndjson:changes.ndjson",
            "--until-end",
            "--topic-prefix",
            "shop.",
            "--sink",
            db,
            "--dlq",
            "dir:letters",
            "--http-listen",
            "none",
        ]);
        if let Some(endpoint) = endpoint {
            service.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let done = service.output().expect("starts");
        assert!(done.status.success(), "{done:?}");
    };
    let (first, body) = thread::scope(|scope| {
        let sent = scope.spawn(|| received(&listener));
        run(Some(&endpoint), "sqlite:traced.db");
        sent.join().expect("no panic")
    });
    assert_eq!(first, "POST /v1/traces HTTP/1.1");
    let holds = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let id: Vec<u8> = (0..16)
        .map(|at| u8::from_str_radix(&trace[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect();
    assert!(holds(&id), "no link with the record's trace");
    for text in ["commit", "inventory-service", "shop.products", "cdc.offset.end"] {
        assert!(holds(text.as_bytes()), "{text}");
    }
    assert!(!holds(b"Secret Name"), "a value of a row");
    // Nobody asked: nothing is sent.
    run(None, "sqlite:quiet.db");
    listener.set_nonblocking(true).expect("a socket");
    assert!(listener.accept().is_err(), "sent to nobody");
}
