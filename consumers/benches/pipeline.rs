//! What an event costs between the source and durable rows, without a broker: a recorded shop, multiplied, through the
//! real runtime, engine, handler and state.
//!
//! `cargo bench -p consumers --bench pipeline -- [SERVICE [STATE [COPIES [FORM [LINGER_MS]]]]]`, with a service's name or
//! `none` (which only makes the records, to be taken off from counts of instructions), `memory`, `sqlite` or `discard`
//! (state in memory, writes thrown away), how often the recording is repeated, `plain` or `schema` events, and how long a
//! batch waits for more (counting instructions takes long; a long wait keeps batches the same in every run).
//! It prints CPU time by event and a digest of the views, which no change of speed may change.
use anyhow::{Context, ensure};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use consumers::{
    engine::{Engine, placement::home},
    handler::Handler,
    handlers::{
        analytics,
        inventory::{self, StockMode},
        search,
    },
    policy::Policy,
    runtime::{self, Env, Exit, Monotonic, Observer},
    source::{Bounds, Flow, Headers, Probe, Record, Signal, Source},
    source_table::of_topic,
};
use debezium::{Decoder, Formats, Limits};
use serde::Deserialize;
use sinks::{
    Batch, Committer, Dlq, Letter, Partition, Receipt, Sink, SinkError,
    state::{memory::Memory, sqlite::Sqlite},
};
use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead as _, BufReader},
    ops::{ControlFlow, Range},
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cdc/demo/shop.ndjson.gz");
const PARTITIONS: i32 = 3;
/// Records of one partition handed over at a time, as a broker's client has them.
const RUN: usize = 100;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let word = |at: usize, default: &'static str| words.get(at).map_or(default, String::as_str);
    let (service, state) = (word(0, "analytics"), word(1, "memory"));
    let copies: i64 = word(2, "15").parse().context("COPIES is a number")?;
    let has_schema = word(3, "plain") == "schema";
    let policy = match words.get(4) {
        Some(ms) => {
            let linger_ms = ms.parse().context("LINGER_MS is a number")?;
            Policy { linger_ms, ..Policy::default() }
        }
        None => Policy::default(),
    };
    let source = Memories::read(copies, has_schema)?;
    match service {
        "analytics" => measure(source, state, policy, || {
            analytics::handler(&analytics::Settings::default(), "")
        }),
        "inventory" => {
            let (low_below, stock_mode) = (10, StockMode::Derived);
            let settings =
                || inventory::Settings { low_below, stock_mode, ..inventory::Settings::default() };
            measure(source, state, policy, || inventory::handler(&settings(), ""))
        }
        "search" => {
            measure(source, state, policy, || search::handler(&search::Settings::default(), ""))
        }
        "none" => Ok(()),
        other => anyhow::bail!("{other} is no service"),
    }
}

fn measure<H: Handler>(
    mut source: Memories,
    state: &str,
    policy: Policy,
    handler: impl Fn() -> H,
) -> anyhow::Result<()> {
    let tables = handler().tables();
    source.lanes.retain(|lane| of_topic(&tables, &lane.partition.topic).is_some());
    let views = handler().views();
    let folder = tempfile::tempdir()?;
    let (memory, file) = (Memory::new(views.clone()), folder.path().join("views"));
    let none = || Arc::new(NoLetters::default());
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let sqlite = match state {
        "sqlite" => Some(Sqlite::open(&file, 1, "bench", views.clone())?),
        _ => None,
    };
    let committer = match (state, &sqlite) {
        ("memory", _) => Committer { dlq: none(), sink: None, state: Arc::new(memory.clone()) },
        ("discard", _) => Committer {
            dlq: none(),
            sink: Some(Arc::new(Discard)),
            state: Arc::new(Memory::new(Vec::new())),
        },
        (_, Some(sqlite)) => Committer { dlq: none(), sink: None, state: Arc::new(sqlite.clone()) },
        (other, None) => anyhow::bail!("{other} is no state"),
    };
    let engine =
        Engine::new(handler(), Decoder::new(Formats::default(), Limits::default()), policy);
    let (clock, stop) = (Monotonic::default(), AtomicBool::new(false));
    let env = Env {
        clock: &clock,
        io: io.handle().clone(),
        stop: &stop,
        grace_ms: 10_000,
        until_end: true,
    };
    let events: usize = source.lanes.iter().map(|lane| lane.records.len()).sum();
    let mut seen = Seen::default();
    let (begun, cpu) = (Instant::now(), cpu_ms()?);
    let exit = runtime::run(source, engine, committer, &mut seen, &env)?;
    let (took, cpu) = (begun.elapsed(), cpu_ms()? - cpu);
    ensure!(exit == Exit::Finished, "{exit:?}");
    let mut hash = DefaultHasher::new();
    let mut rows = 0;
    for view in &views {
        let shown = match &sqlite {
            Some(sqlite) => io.block_on(sqlite.rows(view.name))?,
            None => memory.rows(view.name),
        };
        rows += shown.len();
        shown.hash(&mut hash);
    }
    println!(
        "{events} events, {} batches, {} writes, {} warnings; {rows} rows, digest {:016x}; {:.2} us CPU an event, {:.2} s",
        seen.batches,
        seen.writes,
        seen.warnings,
        hash.finish(),
        cpu as f64 * 1_000.0 / events as f64,
        took.as_secs_f64()
    );
    Ok(())
}

/// User and system time of this process so far, in steps of 10 ms.
fn cpu_ms() -> anyhow::Result<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").context("no fields")?.1.split(' ').skip(11).take(2);
    Ok(fields.map(str::parse::<u64>).sum::<Result<u64, _>>()? * 10)
}

#[derive(Default)]
struct Seen {
    batches: u64,
    writes: usize,
    warnings: u64,
}
impl<H: Handler> Observer<H> for Seen {
    fn committed(&mut self, batch: &Batch, _took: Duration, _worked: bool) {
        self.batches += 1;
        self.writes += batch.writes.len();
    }
    fn warning(&mut self, text: &str) {
        if self.warnings == 0 {
            eprintln!("{text}");
        }
        self.warnings += 1;
    }
}

struct Discard;
#[async_trait]
impl Sink for Discard {
    async fn write(&self, _batch: &Batch) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }
}

#[derive(Default)]
struct NoLetters(Mutex<usize>);
#[async_trait]
impl Dlq for NoLetters {
    async fn publish(&self, letters: &[Letter]) -> Result<(), SinkError> {
        if let Ok(mut count) = self.0.lock() {
            *count += letters.len();
        }
        Ok(())
    }
}

/// One line of the recording.
#[derive(Deserialize)]
struct Line {
    topic: String,
    timestamp: i64,
    key: String,
    value: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

struct Kept {
    timestamp_ms: i64,
    key: Range<usize>,
    value: Option<Range<usize>>,
}

struct Cursor {
    partition: Partition,
    bytes: Vec<u8>,
    records: Vec<Kept>,
    next: Option<usize>,
    is_paused: bool,
}

/// A log in memory.
struct Memories {
    lanes: Vec<Cursor>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    is_assigned: bool,
}

impl Memories {
    fn read(copies: i64, has_schema: bool) -> anyhow::Result<Self> {
        let file = std::fs::File::open(RECORDING).context(RECORDING)?;
        let lines = BufReader::new(flate2::read::GzDecoder::new(file)).lines();
        let mut lines = lines
            .map(|line| Ok(serde_json::from_str::<Line>(&line?)?))
            .collect::<anyhow::Result<Vec<_>>>()?;
        // What is no JSON, or no row, is there to be a dead letter.
        lines.retain(|line| line.value.as_deref().is_none_or(is_whole));
        let headers = lines.first().map(|line| line.headers.clone()).unwrap_or_default();
        let headers = headers.into_iter().map(|(name, text)| (name, Some(text.into_bytes())));
        if !has_schema {
            for line in &mut lines {
                line.key = without_schema(&line.key).to_owned();
                line.value = line.value.take().map(|value| plain(without_schema(&value)));
            }
        }
        let mut lanes: BTreeMap<(String, i32), Cursor> = BTreeMap::new();
        for copy in 0..copies {
            for line in &lines {
                let is_same = line.topic.ends_with(".products");
                let copy = if is_same { 0 } else { copy };
                let key = again(&line.key, copy);
                let index = home(key.as_bytes(), PARTITIONS);
                let lane = lanes.entry((line.topic.clone(), index)).or_insert_with(|| Cursor {
                    partition: Partition::new(&line.topic, index),
                    bytes: Vec::new(),
                    records: Vec::new(),
                    next: None,
                    is_paused: true,
                });
                let mut put = |text: &str| {
                    let from = lane.bytes.len();
                    lane.bytes.extend_from_slice(text.as_bytes());
                    from..lane.bytes.len()
                };
                let key = put(&key);
                let value = line.value.as_deref().map(|value| put(&again(value, copy)));
                lane.records.push(Kept { timestamp_ms: line.timestamp, key, value });
            }
        }
        let lanes = lanes.into_values().collect();
        Ok(Self { lanes, headers: headers.collect(), is_assigned: false })
    }

    fn lane(&mut self, partition: &Partition) -> Option<&mut Cursor> {
        self.lanes.iter_mut().find(|lane| lane.partition == *partition)
    }
}

fn is_whole(value: &str) -> bool {
    let payload = without_schema(value);
    payload.starts_with("{\"before\":")
        && serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok()
}

fn without_schema(text: &str) -> &str {
    let payload = text.split_once(",\"payload\":").map(|(_, payload)| payload);
    payload.and_then(|payload| payload.strip_suffix('}')).unwrap_or(text)
}

/// With decimals as text.
fn plain(event: &str) -> String {
    let mut event = event.to_owned();
    for name in ["\"price\":\"", "\"unit_price\":\"", "\"total\":\""] {
        let mut at = 0;
        while let Some(from) = event[at..].find(name).map(|found| at + found + name.len()) {
            let Some(length) = event[from..].find('"') else { break };
            let Ok(bytes) = BASE64.decode(&event[from..from + length]) else { break };
            let first = if bytes.first().is_some_and(|byte| *byte > 127) { -1 } else { 0 };
            let cents = bytes.iter().fold(first, |sum, byte| (sum << 8) | i64::from(*byte));
            let sign = if cents < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
            event.replace_range(from..from + length, &text);
            at = from;
        }
    }
    event
}

/// The same event of a later day of the same shop: other orders and customers, the same products.
fn again(text: &str, copy: i64) -> String {
    let payload = text.find("\"payload\":").unwrap_or(0);
    let (schema, event) = text.split_at(payload);
    // Another snapshot would be worth a warning.
    let mut event = event.replace("\"op\":\"r\"", "\"op\":\"c\"");
    if let Some((before, (_, after))) = event
        .split_once("\"snapshot\":\"")
        .and_then(|(before, rest)| Some((before, rest.split_once('"')?)))
    {
        event = format!("{before}\"snapshot\":\"false\"{after}");
    }
    for (name, step) in [("\"id\":", 100_000), ("\"order_id\":", 100_000), ("\"customer_id\":", 50)]
    {
        let mut at = 0;
        while let Some(from) = event[at..].find(name).map(|found| at + found + name.len()) {
            let digits = event[from..].bytes().take_while(u8::is_ascii_digit).count();
            if let Ok(number) = event[from..from + digits].parse::<i64>() {
                event.replace_range(from..from + digits, &(number + step * copy).to_string());
            }
            at = from;
        }
    }
    schema.to_owned() + &event
}

impl Source for Memories {
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<Flow> {
        if !self.is_assigned {
            self.is_assigned = true;
            self.lanes.iter().for_each(|lane| visit(Signal::Assigned(lane.partition.clone())));
            return Ok(Flow::More);
        }
        let mut flow = Flow::End;
        for lane in &mut self.lanes {
            let Some(next) = lane.next else {
                flow = Flow::Idle;
                continue;
            };
            if next >= lane.records.len() {
                continue;
            }
            if lane.is_paused {
                if flow == Flow::End {
                    flow = Flow::Idle;
                }
                continue;
            }
            flow = Flow::More;
            let end = lane.records.len().min(next + RUN);
            lane.next = Some(end);
            for (at, record) in lane.records[next..end].iter().enumerate() {
                visit(Signal::Record(Record {
                    partition: &lane.partition,
                    offset: i64::try_from(next + at)?,
                    timestamp_ms: record.timestamp_ms,
                    key: Some(&lane.bytes[record.key.clone()]),
                    value: record.value.clone().map(|value| &lane.bytes[value]),
                    headers: Headers(&self.headers),
                }));
            }
        }
        // Only the caller can change anything now; turning round at once would count as work.
        if flow != Flow::More {
            std::thread::sleep(wait);
        }
        Ok(flow)
    }
    fn seek(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()> {
        let next = usize::try_from(next)?;
        if let Some(lane) = self.lane(partition) {
            lane.next = Some(next);
        }
        Ok(())
    }
    fn pause(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(lane) = self.lane(partition) {
            lane.is_paused = true;
        }
        Ok(())
    }
    fn resume(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(lane) = self.lane(partition) {
            lane.is_paused = false;
        }
        Ok(())
    }
    fn acknowledge(&mut self, _partition: &Partition, _next: i64) -> anyhow::Result<()> {
        Ok(())
    }
    fn flush(&mut self, _wait: Duration) -> anyhow::Result<()> {
        Ok(())
    }
    fn probe(&self) -> Arc<dyn Probe> {
        let end = |lane: &Cursor| (lane.partition.clone(), lane.records.len() as i64);
        Arc::new(Ends(self.lanes.iter().map(end).collect()))
    }
}

struct Ends(Vec<(Partition, i64)>);
impl Probe for Ends {
    fn bounds(&self, partition: &Partition) -> anyhow::Result<Bounds> {
        let found = self.0.iter().find(|(known, _)| known == partition);
        let (_, end) = found.context("no such partition")?;
        Ok(Bounds { begin: 0, end: *end, partitions: PARTITIONS })
    }
    fn offset_at(&self, _partition: &Partition, _ms: i64) -> anyhow::Result<Option<i64>> {
        Ok(None)
    }
    fn read(
        &self,
        _partition: &Partition,
        _from: i64,
        _to: i64,
        _visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        Ok(true)
    }
}
