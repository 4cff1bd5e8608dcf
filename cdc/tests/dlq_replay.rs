//! `cdc dlq` against a real Kafka, with a real service: what an operator sees, and what becomes of the rows.
//! Only when `TEST_KAFKA` names a broker; makes topics of its own and removes them.
mod broker;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use broker::broker;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(180);

fn product(id: i64, stock: &str) -> String {
    format!(
        r#"{{"before":null,"after":{{"id":{id},"name":"secret","description":"","price":"1.50","stock_quantity":{stock},"category":"c"}},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"products"}},"op":"u","ts_ms":6}}"#
    )
}

struct World {
    dir: tempfile::TempDir,
    kafka: String,
    prefix: String,
    service: Option<Child>,
}

impl World {
    fn new(name: &str) -> Option<Self> {
        let kafka = broker()?;
        let prefix = format!("dlq-{name}-{}.public.", std::process::id());
        let dir = tempfile::tempdir().expect("a folder");
        let world = Self { dir, kafka, prefix, service: None };
        world.make_topics(&[]);
        Some(world)
    }

    fn client<T: rdkafka::config::FromClientConfig>(&self) -> T {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka).set("group.id", &self.prefix);
        config.create().expect("a client")
    }
    fn topics(&self) -> [String; 2] {
        ["products", "order_items"].map(|table| format!("{}{table}", self.prefix))
    }
    fn admin<T>(
        &self,
        work: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> T,
    ) -> T {
        let io = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("io");
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
        let client: AdminClient<DefaultClientContext> = self.client();
        io.block_on(work(&client, &options))
    }
    fn make_topics(&self, more: &[(&str, &str)]) {
        let names = self.topics();
        let topics = names.iter().map(|name| {
            let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
            more.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        });
        let topics: Vec<NewTopic<'_>> = topics.collect();
        let made = self.admin(async |client, options| client.create_topics(&topics, options).await);
        made.expect("an answer").into_iter().for_each(|topic| drop(topic.expect("made")));
    }

    /// Its offset.
    fn put(&self, id: i64, value: &str) -> i64 {
        let before = self.end();
        let producer: BaseProducer = self.client();
        let topic = &self.topics()[0];
        let key = format!(r#"{{"id":{id}}}"#);
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("7") });
        let record = BaseRecord::to(topic).partition(0).headers(headers);
        let sent = producer.send(record.key(&key).payload(value));
        sent.map_err(|(e, _)| e).expect("queued");
        producer.flush(PATIENCE).expect("sent");
        assert_eq!(self.end(), before + 1, "it is there");
        before
    }
    fn end(&self) -> i64 {
        let consumer: BaseConsumer = self.client();
        consumer.fetch_watermarks(&self.topics()[0], 0, PATIENCE).expect("the log's end").1
    }

    fn settings(&self) -> Vec<String> {
        let text = format!(
            "--kafka-bootstrap-servers {} --topic-prefix {} --kafka-group-id {}group --sink sqlite:views.db \
             --dlq dir:dlq --ack-interval-seconds 1 --linger-ms 5",
            self.kafka, self.prefix, self.prefix
        );
        text.split(' ').map(str::to_owned).collect()
    }
    fn start(&mut self) {
        let log = self.dir.path().join("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command.current_dir(self.dir.path()).args(["run", "inventory"]).args(self.settings());
        command.stdout(Stdio::from(file.try_clone().expect("a handle"))).stderr(Stdio::from(file));
        self.service = Some(command.spawn().expect("it starts"));
    }
    fn stop(&mut self) {
        let Some(mut child) = self.service.take() else { return };
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        assert!(child.wait().expect("it ended").success(), "{}", self.log());
    }
    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
    fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn dlq(&self, args: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command.current_dir(self.dir.path()).arg("dlq").args(args.split_whitespace());
        if args.starts_with("replay") {
            command.args(["--service", "inventory"]).args(self.settings());
        } else {
            command.args(["--dlq", "dir:dlq"]);
        }
        let Output { status, stdout, stderr } = command.output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (status.code().expect("an exit code"), text(stdout), text(stderr))
    }
    /// What was done with each letter: (deed, offset of the letter).
    fn replay(&self, args: &str) -> (i32, Vec<(String, i64)>) {
        let (code, out, err) = self.dlq(&format!("replay --json {args}"));
        let json: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        let deed =
            |row: &Value| (row["deed"].as_str().expect("a deed").to_owned(), int(row, "offset"));
        (code, json["letters"].as_array().expect("rows").iter().map(deed).collect())
    }
    /// State, offset, failures of every letter.
    fn letters(&self) -> Vec<(String, i64, u64)> {
        let (code, out, err) = self.dlq("list --json");
        assert_eq!(code, 0, "{err}");
        let json: Value = serde_json::from_str(&out).expect("JSON");
        let one = |row: &Value| {
            let failures = row["mark"]["failures"].as_u64().unwrap_or(0);
            (row["state"].as_str().expect("a state").to_owned(), int(row, "offset"), failures)
        };
        json["letters"].as_array().expect("rows").iter().map(one).collect()
    }
    fn folder(&self) -> PathBuf {
        self.dir.path().join(format!("dlq/inventory-service/{}/0", self.topics()[0]))
    }
    fn name(&self, offset: i64) -> String {
        format!("inventory-service/{}/0/{offset}.json", self.topics()[0])
    }
    fn await_letter(&self, offset: i64) {
        let path = self.folder().join(format!("{offset}.json"));
        self.wait(&format!("letter {offset}"), || path.exists().then_some(()));
    }
    /// As if the record had been valid, and was rejected all the same: by a version that did not know better, say.
    fn mend(&self, offset: i64, value: &str) {
        let path = self.folder().join(format!("{offset}.json"));
        let mut json: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("it")).expect("JSON");
        json["value_base64"] = STANDARD.encode(value).into();
        std::fs::write(path, json.to_string()).expect("written");
    }
    fn stock(&self, id: i64) -> Option<i64> {
        let db = rusqlite::Connection::open(self.dir.path().join("views.db")).ok()?;
        let sql = "select stock_quantity from inventory_realtime where product_id = ?";
        db.query_row(sql, [id], |row| row.get(0)).ok()
    }
}
impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut child) = self.service.take() {
            // Failing already: nothing of it matters any more.
            let _ = child.kill().and_then(|()| child.wait());
        }
        let names = self.topics();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.admin(async |client, options| drop(client.delete_topics(&names, options).await));
    }
}
fn int(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| panic!("{name} in {row}"))
}
fn deeds(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(deed, offset)| ((*deed).to_owned(), *offset)).collect()
}
fn states(list: &[(&str, i64, u64)]) -> Vec<(String, i64, u64)> {
    list.iter().map(|(state, offset, n)| ((*state).to_owned(), *offset, *n)).collect()
}
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a file")
}

#[test]
fn a_letter_from_rejection_to_rest() {
    let Some(mut world) = World::new("rest") else { return };
    world.start();
    world.put(1, &product(1, "5"));
    let poison = format!("{} ", product(2, "\"many\""));
    let bad = world.put(2, &poison);
    world.await_letter(bad);
    assert_eq!(world.letters(), states(&[("new", bad, 0)]));

    // Shown byte for byte, and only when asked for.
    let name = world.name(bad);
    let (code, out, err) = world.dlq(&format!("show {name} --value-out value --key-out key"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("products.stock_quantity") && out.contains("trace"), "{out}");
    assert!(!out.contains("secret"), "a value nobody asked for: {out}");
    assert_eq!(read(&world.dir.path().join("value")), poison.as_bytes());
    assert_eq!(read(&world.dir.path().join("key")), br#"{"id":2}"#);
    assert_eq!(world.dlq(&format!("show {name} --raw")).1, poison);
    assert!(world.dlq(&format!("show {name} --show-values")).1.contains("secret"));
    assert_eq!(world.dlq("show no/such/letter.json").0, 1);

    // A dry run changes nothing.
    let end = world.end();
    assert_eq!(world.replay("--dry-run"), (0, deeds(&[("would send", bad)])));
    assert_eq!((world.end(), world.letters()), (end, states(&[("new", bad, 0)])));

    // It fails again: marked, not doubled, and not sent again by itself.
    assert_eq!(world.replay(""), (1, deeds(&[("failed-again", bad)])));
    assert_eq!((world.end(), world.letters()), (end + 1, states(&[("failed-again", bad, 1)])));
    assert_eq!(world.replay(""), (1, deeds(&[("kept", bad)])));
    assert_eq!(world.replay("--again"), (1, deeds(&[("failed-again", bad)])));
    assert_eq!((world.end(), world.letters()), (end + 2, states(&[("failed-again", bad, 2)])));

    // Valid now: applied, once.
    world.mend(bad, &product(2, "7"));
    assert_eq!(world.stock(2), None);
    assert_eq!(world.replay("--again"), (0, deeds(&[("applied", bad)])));
    assert_eq!((world.stock(2), world.letters()), (Some(7), states(&[("applied", bad, 2)])));
    assert_eq!(world.replay("--again"), (0, vec![]));
    assert_eq!(world.end(), end + 3);

    // Its key has moved on: left out, and said so.
    let late = world.put(5, &product(5, "\"many\""));
    world.await_letter(late);
    world.put(5, &product(5, "8"));
    world.mend(late, &product(5, "1"));
    let end = world.end();
    assert_eq!(world.replay("--dry-run"), (1, deeds(&[("moved-on", late)])));
    assert_eq!(world.letters()[1].0, "new");
    assert_eq!(world.replay(""), (1, deeds(&[("moved-on", late)])));
    world.wait("stock 8", || (world.stock(5) == Some(8)).then_some(()));
    assert_eq!((world.end(), world.letters()[1].0.as_str()), (end, "moved-on"));

    // Only what was listed is removed, and new letters only when that is said.
    let fresh = world.put(9, &product(9, "\"many\""));
    world.await_letter(fresh);
    assert_eq!(world.dlq("purge --state applied").0, 64, "asks for --yes");
    assert_eq!(world.dlq("purge --state applied --dry-run").0, 0);
    assert_eq!(world.letters().len(), 3);
    assert_eq!(world.dlq("purge --state applied --yes").0, 0);
    let rest = states(&[("moved-on", late, 0), ("new", fresh, 0)]);
    assert_eq!(world.letters(), rest);
    assert_eq!(world.dlq("purge --older-than 1h --include-new --yes").0, 0);
    assert_eq!(world.letters(), rest);
    assert_eq!(world.dlq("purge --yes").0, 0);
    assert_eq!(world.letters(), states(&[("new", fresh, 0)]));
    assert_eq!(world.dlq("purge --yes --include-new").0, 0);
    assert_eq!(world.letters(), []);
    let left = std::fs::read_dir(world.folder()).expect("the folder").count();
    assert_eq!(left, 0, "marks go with their letters");
    world.stop();
}

/// Killed after the record was sent, and before anybody wrote that down.
#[test]
fn a_replay_killed_halfway_goes_on_and_sends_once() {
    let Some(mut world) = World::new("once") else { return };
    world.start();
    let (one, two) = (world.put(6, &product(6, "\"many\"")), world.put(7, &product(7, "\"many\"")));
    world.await_letter(two);
    world.mend(one, &product(6, "60"));
    world.mend(two, &product(7, "70"));
    world.stop();
    let end = world.end();
    assert_eq!(world.replay("--wait-seconds 0 --limit 1"), (2, deeds(&[("sent", one)])));
    assert_eq!((world.end(), world.letters()[0].0.as_str()), (end + 1, "sent"));
    assert_eq!(world.dlq("purge --yes --include-new --state sent").0, 0);
    assert_eq!(world.letters().len(), 2, "what is under way is never removed");
    // The disk as a SIGKILL between the broker's answer and the mark leaves it.
    std::fs::remove_file(world.folder().join(format!("{one}.mark.json"))).expect("the mark");
    let (code, done) = world.replay("--wait-seconds 0");
    assert_eq!((code, done), (2, deeds(&[("sent", one), ("sent", two)])));
    assert_eq!(world.end(), end + 2, "the first was found in the log, not sent again");
    // What comes after the replay takes effect after it.
    world.put(7, &product(7, "71"));
    world.start();
    world.wait("stock 71", || (world.stock(7) == Some(71)).then_some(()));
    assert_eq!(world.replay(""), (0, deeds(&[("applied", one), ("applied", two)])));
    assert_eq!((world.stock(6), world.stock(7), world.end()), (Some(60), Some(71), end + 3));
    world.stop();
}

/// A record between the command's look and the replay: the service finds it in the log and leaves the replay out.
#[test]
fn a_replay_that_was_raced_is_left_out_by_the_service() {
    let Some(mut world) = World::new("raced") else { return };
    world.start();
    let bad = world.put(3, &product(3, "\"many\""));
    world.await_letter(bad);
    let look = world.end();
    world.put(4, &product(4, "4"));
    world.put(3, &product(3, "33"));
    // As the command would have sent it after a look that reached to `look`.
    let producer: BaseProducer = world.client();
    let topic = world.topics()[0].clone();
    let replay = consumers::replay::Replay {
        service: "inventory-service".into(),
        generation: 1,
        offset: bad,
        clean_to: look,
    };
    let mut headers = OwnedHeaders::new();
    for (key, value) in replay.headers() {
        headers = headers.insert(Header { key, value: Some(value.as_bytes()) });
    }
    let (key, value) = (r#"{"id":3}"#, product(3, "1"));
    let record = BaseRecord::to(&topic).partition(0).headers(headers).key(key).payload(&value);
    producer.send(record).map_err(|(e, _)| e).expect("queued");
    producer.flush(PATIENCE).expect("sent");
    let mark = world.folder().join(format!("{bad}.mark.json"));
    world.wait("the mark", || mark.exists().then_some(()));
    world.put(8, &product(8, "8"));
    world.wait("what follows", || (world.stock(8) == Some(8)).then_some(()));
    assert_eq!(world.stock(3), Some(33));
    assert_eq!(world.letters(), states(&[("moved-on", bad, 0)]));
    assert!(world.log().contains("is left out: a newer record"), "{}", world.log());
    world.stop();
}
