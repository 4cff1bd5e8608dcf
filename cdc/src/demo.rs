//! `cdc demo`: a recorded shop through a Kafka broker inside this process and all three services, and then every row
//! of every view against what PostgreSQL itself computed when the recording was made.
pub mod answers;
pub mod broker;

use anyhow::{Context, bail, ensure};
use consumers::{
    engine::Engine,
    handler::Handler,
    handlers::{analytics, inventory, search},
    policy::{Millis, Policy},
    runtime::{self, Clock, Env, Exit, Monotonic, Observer},
    source::kafka::{Kafka, Settings},
};
use debezium::Decoder;
use sinks::{
    Alert, Committer, Sink, State, View, dlq::ObjectDlq, files, objects::Dir, state::sqlite::Sqlite,
};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub const SHOP: &[u8] = include_bytes!("../demo/shop.ndjson.gz");
pub const ANSWERS: &[u8] = include_bytes!("../demo/expected.json.gz");

pub struct Options {
    /// Where the views go; a new folder below the system's temporary one if not said.
    pub dir: Option<PathBuf>,
    /// Leave the folder there.
    pub keep: bool,
}

/// What the poll threads tell the thread that prints.
#[derive(Default)]
struct Seen {
    records: AtomicU64,
    wanted: AtomicU64,
    alerts: Mutex<Vec<Alert>>,
    over: AtomicBool,
}

/// Runs it; `true`: exact.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let dir = folder(options)?;
    println!("A recorded shop: PostgreSQL -> Debezium -> Kafka, at their defaults.");
    let shop = broker::Shop::read(SHOP)?;
    let broker = broker::Broker::start(&shop)?;
    println!(
        "{} records are in a Kafka broker inside this process ({} topics). Views go to {}",
        shop.records.len(),
        shop.topics.len(),
        dir.display()
    );
    let (seen, took) = run_services(&shop, &broker, &dir)?;
    let records: u64 = seen.iter().map(|(_, seen)| seen.records.load(Ordering::Relaxed)).sum();
    let rate = records as f64 / took.as_secs_f64();
    let seconds = took.as_secs_f64();
    println!(
        "\n{records} records read by 4 consumers in {seconds:.1} s after they joined: {rate:.0} a second\n"
    );
    let exact = report(&dir, &seen)?;
    if options.keep || options.dir.is_some() {
        println!("\nLook around: sqlite3 {}", dir.join("shop.db").display());
        println!("             ls {}", dir.join("lake/reports").display());
    } else {
        std::fs::remove_dir_all(&dir)
            .with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    println!("\n{}", if exact { "exact" } else { "NOT exact" });
    Ok(exact)
}

fn folder(options: &Options) -> anyhow::Result<PathBuf> {
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("cdc-demo-{}", std::process::id())),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let taken = std::fs::read_dir(&dir)?.next().is_some();
    ensure!(
        !taken,
        "{} is not empty: the demo starts from nothing; name another --dir",
        dir.display()
    );
    Ok(dir)
}

type Services = Vec<(&'static str, Arc<Seen>)>;

/// All of them at once, each a consumer group of its own, until each has applied all there is.
fn run_services(
    shop: &broker::Shop,
    broker: &broker::Broker,
    dir: &Path,
) -> anyhow::Result<(Services, Duration)> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let io = io.handle().clone();
    let seen: Services = ["inventory", "search", "analytics", "analytics (files)"]
        .into_iter()
        .map(|name| (name, Arc::new(Seen::default())))
        .collect();
    let job = |n: usize, tables: &[&str]| {
        let topics = shop.topics_of(tables);
        seen[n].1.wanted.store(shop.count(&topics), Ordering::Relaxed);
        let source = settings(broker, seen[n].0, topics);
        Job { source, seen: seen[n].1.clone(), io: io.clone(), dir: dir.to_owned() }
    };
    let analytics = || analytics::handler(&analytics::Settings::default(), "");
    let (lines, orders) = (&["products", "order_items"][..], &["orders", "order_items"][..]);
    let (one, two, three, four) =
        (job(0, lines), job(1, &["products"]), job(2, orders), job(3, orders));
    thread::scope(|scope| {
        let running = [
            scope.spawn(move || {
                one.run("inventory", inventory::handler(&inventory::Settings::default(), ""), false)
            }),
            scope.spawn(move || {
                two.run("search", search::handler(&search::Settings::default(), ""), false)
            }),
            scope.spawn(move || three.run("analytics", analytics(), false)),
            scope.spawn(move || four.run("analytics-files", analytics(), true)),
        ];
        let took = show_progress(&seen);
        for service in running {
            match service.join() {
                Ok(result) => result?,
                Err(_) => bail!("a service panicked"),
            }
        }
        Ok((seen, took))
    })
}

fn settings(broker: &broker::Broker, service: &str, topics: Vec<String>) -> Settings {
    Settings {
        bootstrap_servers: broker.address(),
        group_id: format!("{service}-group"),
        client_id: "cdc-demo".into(),
        topics,
        until_end: true,
        ack_interval: Duration::from_secs(5),
        properties: BTreeMap::new(),
    }
}

struct Job {
    source: Settings,
    seen: Arc<Seen>,
    io: tokio::runtime::Handle,
    dir: PathBuf,
}

impl Job {
    fn run<H: Handler>(self, service: &str, handler: H, into_files: bool) -> anyhow::Result<()> {
        let result =
            self.work(service, handler, into_files).with_context(|| format!("{service} stopped"));
        self.seen.over.store(true, Ordering::Relaxed);
        result
    }

    fn work<H: Handler>(&self, service: &str, handler: H, into_files: bool) -> anyhow::Result<()> {
        let views = handler.views();
        let letters = self.dir.join("dead-letters");
        let dlq = self.io.block_on(Dir::open(letters))?;
        let mut policy = Policy { linger_ms: 20, seed: 1, ..Policy::default() };
        let (state, sink): (Arc<dyn State>, Option<Arc<dyn Sink>>) = if into_files {
            policy.publish_every_ms = Some(1_000);
            let folder = self.dir.join("lake");
            let lake =
                self.io.block_on(files::open(&folder, 1, service, views, analytics::reports()))?;
            (lake.state, Some(lake.sink))
        } else {
            (Arc::new(Sqlite::open(self.dir.join("shop.db"), 1, service, views)?), None)
        };
        let dlq = Arc::new(ObjectDlq::new(Arc::new(dlq), service, 1));
        let committer = Committer { dlq, sink, state };
        let source = Kafka::new(&self.source)?;
        let engine = Engine::new(handler, Decoder::default(), policy);
        let (clock, stop) = (Monotonic::default(), AtomicBool::new(false));
        let env =
            Env { clock: &clock, io: self.io.clone(), stop: &stop, grace_ms: 0, until_end: true };
        let exit = runtime::run(source, engine, committer, &mut Watch(&self.seen), &env)?;
        ensure!(exit == Exit::Finished, "ended as {exit:?} at {} ms", clock.now());
        Ok(())
    }
}

struct Watch<'a>(&'a Seen);
impl<H: Handler> Observer<H> for Watch<'_> {
    fn alert(&mut self, alert: &Alert) {
        self.0.alerts.lock().unwrap_or_else(PoisonError::into_inner).push(alert.clone());
    }
    fn turn(&mut self, _: Millis, engine: &Engine<H>) {
        self.0.records.store(engine.counters().records, Ordering::Relaxed);
    }
}

/// A line a second until all services are over; the time since the first record was read.
fn show_progress(seen: &Services) -> Duration {
    let began = Instant::now();
    let (mut first, mut second) = (None, 0);
    while !seen.iter().all(|(_, seen)| seen.over.load(Ordering::Relaxed)) {
        thread::sleep(Duration::from_millis(20));
        if first.is_none() && seen.iter().any(|(_, seen)| seen.records.load(Ordering::Relaxed) > 0)
        {
            first = Some(Instant::now());
        }
        if began.elapsed().as_secs() > second {
            second = began.elapsed().as_secs();
            let mut line = format!("{second:>3} s");
            for (name, seen) in seen {
                let (have, want) =
                    (seen.records.load(Ordering::Relaxed), seen.wanted.load(Ordering::Relaxed));
                let _ = write!(line, "  {name} {have}/{want}");
            }
            println!("{line}");
        }
    }
    first.unwrap_or(began).elapsed()
}

/// Shows what came of it, and says whether it is what PostgreSQL says.
fn report(dir: &Path, seen: &Services) -> anyhow::Result<bool> {
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = answers::Answers::read(ANSWERS)?;
    let stores = [
        ("inventory", inventory::handler(&inventory::Settings::default(), "").views()),
        ("search", search::handler(&search::Settings::default(), "").views()),
        ("analytics", analytics::handler(&analytics::Settings::default(), "").views()),
    ];
    let (mut differences, mut kept_alerts) = (Vec::new(), 0);
    for (service, views) in &stores {
        let store = Sqlite::open(dir.join("shop.db"), 1, service, views.clone())?;
        for view in views {
            let rows = io.block_on(store.rows(view.name))?;
            answers::show_head(view, &rows);
            let mut found = answers.compare(view, &rows)?;
            let count = answers.count(view.name);
            println!("  {} rows; PostgreSQL has {count}; {} differ\n", rows.len(), found.len());
            differences.append(&mut found);
        }
        kept_alerts += io.block_on(store.alerts())?.len();
    }
    let views: Vec<View> = stores.into_iter().flat_map(|(_, views)| views).collect();
    let files = answers::compare_reports(&dir.join("lake"), &views, &answers)?;
    println!("lake/reports: {} of its rows differ", files.len());
    differences.extend(files);
    let told: usize = seen
        .iter()
        .map(|(_, seen)| seen.alerts.lock().unwrap_or_else(PoisonError::into_inner).len())
        .sum();
    println!("{kept_alerts} low-stock alerts, {told} of them told");
    if told != kept_alerts {
        differences.push(format!("{kept_alerts} alerts are kept, {told} were told"));
    }
    differences.extend(answers::compare_letters(&io, &dir.join("dead-letters"), &answers)?);
    for difference in differences.iter().take(20) {
        println!("  differs: {difference}");
    }
    if differences.len() > 20 {
        println!("  ... and {} more", differences.len() - 20);
    }
    Ok(differences.is_empty())
}
