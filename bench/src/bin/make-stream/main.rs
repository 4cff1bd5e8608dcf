//! A long stream of a shop's changes, made of the recorded shop (`cdc/demo/shop.ndjson.gz`): copies of it, each with ids
//! of its own, a few of them running at a time. Every record lies where Kafka's default partitioner puts its key, and
//! records of one key keep their order, so the right answers are the recorded ones, once for each copy. With `--orders`,
//! trade that a rule makes instead: see [`trade`].
mod trade;

use anyhow::{Context as _, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use clap::Parser;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Between the ids of one copy and those of the next; recorded ids are smaller.
const STEP: i64 = 1_000_000;
/// Ids of 32 bits, as the recorded schemas say.
const COPIES_MAX: i64 = i32::MAX as i64 / STEP;
const IDS: [&str; 4] = ["\"id\":", "\"order_id\":", "\"customer_id\":", "\"product_id\":"];
const DECIMALS: [&str; 3] = ["\"price\":\"", "\"unit_price\":\"", "\"total\":\""];
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(
    about = "Writes a long stream of a shop's changes into new topics; prints what it wrote as JSON"
)]
struct Args {
    #[arg(long)]
    brokers: String,
    /// A topic is this and its table's name.
    #[arg(long)]
    prefix: String,
    /// The recorded shop.
    #[arg(long)]
    recording: PathBuf,
    /// Records at least; the last copy of the recording is a whole one.
    #[arg(long, required_unless_present = "orders")]
    events: Option<i64>,
    #[command(flatten)]
    trade: trade::Trade,
    /// Events with their schema and decimals as bytes; else without, and decimals as text.
    #[arg(long)]
    with_schema: bool,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Copies of the recording that run at a time.
    #[arg(long, default_value_t = 64)]
    at_a_time: i64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.events {
        Some(events) => copies(&args, events),
        None => args.trade.make(&args),
    }
}

/// Records and bytes of each table.
type Sizes = BTreeMap<String, (u64, u64)>;

fn copies(args: &Args, events: i64) -> anyhow::Result<()> {
    let records = recorded(&args.recording, args.with_schema)?;
    let count = i64::try_from(records.len())?;
    ensure!(events > 0, "--events: at least 1");
    let copies = (events - 1) / count + 1;
    ensure!(
        copies <= COPIES_MAX,
        "--events: at most {}, or ids would not fit into 32 bits",
        COPIES_MAX * count
    );
    ensure!(args.at_a_time > 0, "--at-a-time: at least 1");
    let mut topics: Sizes = records.iter().map(|record| (record.table.clone(), (0, 0))).collect();
    create_topics(args, topics.keys())?;

    let writer = Writer::new(&args.brokers)?;
    let mut random = StdRng::seed_from_u64(args.seed);
    // Copies under way, each with the record that it comes to next.
    let mut open: Vec<(i64, usize)> =
        (0..copies.min(args.at_a_time)).map(|copy| (copy, 0)).collect();
    let mut opened = i64::try_from(open.len())?;
    let (mut key, mut value) = (Vec::new(), Vec::new());
    while !open.is_empty() {
        let at = random.random_range(0..open.len());
        let (copy, next) = open[at];
        let record = &records[next];
        record.key.write(copy, &mut key)?;
        let bytes = match &record.value {
            Some(text) => text.write(copy, &mut value).map(|()| Some(value.as_slice()))?,
            None => None,
        };
        let topic = format!("{}{}", args.prefix, record.table);
        writer.send(&topic, &key, bytes, &record.headers)?;
        if let Some(sizes) = topics.get_mut(record.table.as_str()) {
            add(sizes, &key, bytes);
        }
        if next + 1 < records.len() {
            open[at].1 += 1;
        } else if opened < copies {
            open[at] = (opened, 0);
            opened += 1;
        } else {
            open.swap_remove(at);
        }
    }
    writer.finish()?;
    say(copies, topics);
    Ok(())
}

fn add(sizes: &mut (u64, u64), key: &[u8], value: Option<&[u8]>) {
    sizes.0 += 1;
    sizes.1 += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
}
/// What was written.
fn say(copies: i64, topics: Sizes) {
    let tables = topics.into_iter().map(|(table, (records, bytes))| {
        (table, serde_json::json!({ "records": records, "bytes": bytes }))
    });
    let tables: serde_json::Map<_, _> = tables.collect();
    println!("{}", serde_json::json!({ "copies": copies, "step": STEP, "tables": tables }));
}

/// New topics that keep everything.
fn create_topics<'a>(args: &Args, tables: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &args.brokers).create()?;
    let names: Vec<String> = tables.map(|table| format!("{}{table}", args.prefix)).collect();
    let topics: Vec<NewTopic<'_>> = names
        .iter()
        .map(|name| {
            NewTopic::new(name, args.partitions, TopicReplication::Fixed(1))
                .set("retention.ms", "-1")
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let waiting = tokio::runtime::Builder::new_current_thread().build()?;
    for made in waiting.block_on(admin.create_topics(&topics, &options))? {
        if let Err((topic, code)) = made {
            bail!("the topic {topic} cannot be made: {code}");
        }
    }
    Ok(())
}

/// Counts what was not written.
#[derive(Clone, Default)]
struct Deliveries(Arc<AtomicU64>);
impl rdkafka::ClientContext for Deliveries {}
impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    producer: BaseProducer<Deliveries>,
    failed: Deliveries,
}

impl Writer {
    fn new(brokers: &str) -> anyhow::Result<Self> {
        let failed = Deliveries::default();
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            // Where Kafka's own producer, and so Debezium, puts a key.
            .set("partitioner", "murmur2_random")
            .set("compression.type", "lz4")
            .set("enable.idempotence", "true")
            .set("linger.ms", "50")
            .set("batch.size", "131072")
            .create_with_context(failed.clone())?;
        Ok(Self { producer, failed })
    }

    fn send(
        &self,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &OwnedHeaders,
    ) -> anyhow::Result<()> {
        let mut record = BaseRecord::to(topic).key(key).headers(headers.clone());
        if let Some(value) = value {
            record = record.payload(value);
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error).with_context(|| topic.to_owned()),
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        self.producer.flush(PATIENCE).context("the broker does not answer")?;
        let failed = self.failed.0.load(Ordering::Relaxed);
        ensure!(failed == 0, "{failed} records were not written");
        Ok(())
    }
}

/// One line of the recording.
#[derive(Deserialize)]
struct Line {
    topic: String,
    key: String,
    value: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

struct Recorded {
    table: String,
    key: Text,
    value: Option<Text>,
    headers: OwnedHeaders,
}

/// A text with ids in it, which every copy has moved by its own step.
struct Text {
    /// What stands before each id.
    parts: Vec<(String, i64)>,
    rest: String,
}

impl Text {
    fn new(text: &str) -> anyhow::Result<Self> {
        // The names in a schema are no ids.
        let from = text.find("\"payload\":").unwrap_or(0);
        let (mut parts, mut done, mut at) = (Vec::new(), 0, from);
        while let Some(begin) = next_id(text, at) {
            let digits = text[begin..].bytes().take_while(u8::is_ascii_digit).count();
            if digits > 0 {
                let id: i64 = text[begin..begin + digits].parse()?;
                ensure!(id < STEP, "the recording has an id that is too large: {id}");
                parts.push((text[done..begin].to_owned(), id));
                done = begin + digits;
            }
            at = begin + digits;
        }
        Ok(Self { parts, rest: text[done..].to_owned() })
    }

    fn write(&self, copy: i64, into: &mut Vec<u8>) -> anyhow::Result<()> {
        into.clear();
        for (before, id) in &self.parts {
            write!(into, "{before}{}", id + STEP * copy)?;
        }
        into.extend_from_slice(self.rest.as_bytes());
        Ok(())
    }
}

/// Where the value behind the next name of an id begins, from `at` on.
fn next_id(text: &str, at: usize) -> Option<usize> {
    IDS.iter().filter_map(|name| Some(at + text[at..].find(name)? + name.len())).min()
}

/// The recording without the three records that no view counts.
fn lines(path: &Path) -> anyhow::Result<Vec<Line>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut lines = Vec::new();
    for line in BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
        let line: Line = serde_json::from_str(&line?)?;
        let is_poison = line.value.as_deref().is_some_and(|value| !is_whole(value));
        if !is_poison && !line.key.contains("999999999") {
            lines.push(line);
        }
    }
    ensure!(!lines.is_empty(), "the recording is empty");
    Ok(lines)
}
impl Line {
    fn table(&self) -> String {
        self.topic.rsplit('.').next().unwrap_or_default().to_owned()
    }
    fn headers(&self) -> OwnedHeaders {
        let header = |headers: OwnedHeaders, (key, value): (&String, &String)| {
            headers.insert(Header { key, value: Some(value) })
        };
        self.headers.iter().fold(OwnedHeaders::new(), header)
    }
}

/// The recording as one snapshot-free stream.
fn recorded(path: &Path, with_schema: bool) -> anyhow::Result<Vec<Recorded>> {
    let mut records = Vec::new();
    for line in lines(path)? {
        let form = |text: &str| {
            let text = as_stream(text);
            if with_schema { text } else { plain(without_schema(&text)) }
        };
        let (table, headers) = (line.table(), line.headers());
        let key = Text::new(&form(&line.key))?;
        let value = line.value.as_deref().map(|value| Text::new(&form(value))).transpose()?;
        records.push(Recorded { table, key, value, headers });
    }
    Ok(records)
}

fn is_whole(value: &str) -> bool {
    without_schema(value).starts_with("{\"before\":")
        && serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok()
}

fn without_schema(text: &str) -> &str {
    let payload = text.split_once(",\"payload\":").map(|(_, payload)| payload);
    payload.and_then(|payload| payload.strip_suffix('}')).unwrap_or(text)
}

/// Rows of a snapshot as rows that were inserted: copies that run at a time would look like many snapshots.
fn as_stream(text: &str) -> String {
    let text = text.replace("\"op\":\"r\"", "\"op\":\"c\"");
    let Some((before, rest)) = text.split_once("\"snapshot\":\"") else { return text };
    let Some((_, after)) = rest.split_once('"') else { return text };
    format!("{before}\"snapshot\":\"false\"{after}")
}

/// With decimals as text.
fn plain(event: &str) -> String {
    let mut event = event.to_owned();
    for name in DECIMALS {
        let mut at = 0;
        while let Some(from) = event[at..].find(name).map(|found| at + found + name.len()) {
            at = from;
            let Some(length) = event[from..].find('"') else { break };
            let Ok(bytes) = BASE64.decode(&event[from..from + length]) else { continue };
            let first = if bytes.first().is_some_and(|byte| *byte > 127) { -1 } else { 0 };
            let cents = bytes.iter().fold(first, |sum, byte| (sum << 8) | i64::from(*byte));
            event.replace_range(from..from + length, &bench::answers::amount(cents));
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_moves_the_ids_of_rows_and_nothing_else() {
        let text = "{\"schema\":{\"fields\":[{\"id\":7}]},\"payload\":{\"after\":{\"id\":5,\"order_id\":null,\
                    \"product_id\":12,\"quantity\":3},\"source\":{\"txId\":9}}}";
        let mut moved = Vec::new();
        Text::new(text).expect("ids").write(2, &mut moved).expect("text");
        let moved = String::from_utf8(moved).expect("UTF-8");
        let wanted = text.replace("\"id\":5", "\"id\":2000005").replace("12", "2000012");
        assert_eq!(moved, wanted);
    }

    #[test]
    fn bytes_become_the_decimals_that_they_are() {
        let event = "{\"price\":\"GQ==\",\"total\":\"/w==\",\"unit_price\":null}";
        assert_eq!(plain(event), "{\"price\":\"0.25\",\"total\":\"-0.01\",\"unit_price\":null}");
    }

    #[test]
    fn the_recording_is_read_whole_but_for_its_poison() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cdc/demo/shop.ndjson.gz");
        for with_schema in [false, true] {
            let records = recorded(&path, with_schema).expect("the recording");
            assert_eq!(records.len(), 6_878);
            let tables: Vec<&str> = records.iter().map(|record| record.table.as_str()).collect();
            for table in ["products", "orders", "order_items"] {
                assert!(tables.contains(&table), "{table}");
            }
        }
    }
}
