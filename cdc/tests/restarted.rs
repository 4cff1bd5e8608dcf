//! With the settings that a service has by itself: after `kill -9` and a start at the same place nothing waits for the
//! session of the dead member, and nothing waits for one that ended as it was asked to.
//!
//! Needs a broker of its own: `TEST_KAFKA=127.0.0.1:9092`.
mod broker;

use broker::broker;
use consumers::engine::placement::home;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    collections::BTreeSet,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// A session is 6 s, and the last heartbeat may be 2 s old: whoever waited for its end would need longer.
const SOON: Duration = Duration::from_secs(4);
const PARTITIONS: i32 = 3;

fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    started.elapsed()
}

struct Shop {
    broker: String,
    prefix: String,
    producer: BaseProducer,
    written: BTreeSet<i64>,
}
impl Shop {
    fn new(broker: String) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &broker);
        let prefix = format!("restarted-{}.public.", std::process::id());
        let admin: AdminClient<DefaultClientContext> = config.create().expect("an admin client");
        let name = format!("{prefix}products");
        let topic = NewTopic::new(&name, PARTITIONS, TopicReplication::Fixed(1));
        let io = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let made = io.block_on(admin.create_topics([&topic], &AdminOptions::new()));
        assert!(made.expect("the broker answers").iter().all(Result::is_ok));
        let producer = config.create().expect("a producer");
        Self { broker, prefix, producer, written: BTreeSet::new() }
    }

    /// One new product in each partition.
    fn write(&mut self) {
        let topic = format!("{}products", self.prefix);
        let mut left: BTreeSet<i32> = (0..PARTITIONS).collect();
        let mut id = self.written.last().copied().unwrap_or(0);
        while !left.is_empty() {
            id += 1;
            let key = format!(r#"{{"id":{id}}}"#);
            let index = home(key.as_bytes(), PARTITIONS);
            if !left.remove(&index) {
                continue;
            }
            let value = format!(
                r#"{{"before":null,"after":{{"id":{id},"name":"p{id}","description":null,"price":"1.50","stock_quantity":1,"category":"c"}},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"products","txId":1,"lsn":1}},"op":"c","ts_ms":6}}"#
            );
            let record = BaseRecord::to(&topic).partition(index).key(&key).payload(&value);
            self.producer.send(record).map_err(|(e, _)| e).expect("queued");
            self.written.insert(id);
        }
        self.producer.flush(PATIENCE).expect("produced");
    }

    fn service(&self, dir: &Path, name: &str) -> Process {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(&log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command
            .args(["run", "search", "--topic-prefix", &self.prefix])
            .args(["--kafka-bootstrap-servers", &self.broker])
            .args(["--kafka-group-id", &format!("{}search", self.prefix)])
            .args(["--http-listen", "none"])
            .args(["--sink", &format!("sqlite:{}", dir.join("search.db").display())])
            .args(["--dlq", &format!("dir:{}", dir.join("dlq").display())])
            .stdout(Stdio::from(out.try_clone().expect("a second handle")))
            .stderr(Stdio::from(out));
        Process { child: command.spawn().expect("starts"), log }
    }

    fn await_rows(&self, dir: &Path, of: &mut Process) -> Duration {
        until("the rows", || {
            assert!(!of.has_ended(), "ended: {}", of.text());
            shown(&dir.join("search.db")).unwrap_or_default() == self.written
        })
    }
}

fn shown(file: &Path) -> rusqlite::Result<BTreeSet<i64>> {
    let db = rusqlite::Connection::open(file)?;
    let mut select = db.prepare("select product_id from product_search_index")?;
    select.query_map([], |row| row.get(0))?.collect()
}

struct Process {
    child: Child,
    log: PathBuf,
}
impl Process {
    fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }
    fn has_partitions(&self) -> bool {
        self.text().lines().any(|line| line.contains("assigned") && line.contains("products/"))
    }
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("a signal");
        assert!(sent.success());
        assert!(self.child.wait().expect("gone").success(), "{}", self.text());
    }
}
impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_waits_for_a_member_that_was_killed_or_has_left() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().expect("a folder");
    let dir = dir.path();
    let mut shop = Shop::new(broker);
    shop.write();
    let mut first = shop.service(dir, "first");
    shop.await_rows(dir, &mut first);
    // Only on Linux has a process a name that says where it is.
    for round in 0..if cfg!(target_os = "linux") { 2 } else { 0 } {
        first.kill();
        shop.write();
        first = shop.service(dir, &format!("first-{round}"));
        let took = shop.await_rows(dir, &mut first);
        assert!(took < SOON, "{took:?} after kill -9: {}", first.text());
    }
    // A second one beside it, which has another name although it is at the same place.
    let mut second = shop.service(dir, "second");
    until("partitions of its own", || second.has_partitions());
    shop.write();
    shop.await_rows(dir, &mut first);
    second.stop();
    shop.write();
    let took = shop.await_rows(dir, &mut first);
    assert!(took < SOON, "{took:?} after the other one left: {}", first.text());
    first.stop();
}
