//! Puts a service together from its [`Config`] and runs it: handler, source, state, sink, dead letters, signals.
#[cfg_attr(not(feature = "aws"), path = "service/aws_absent.rs")]
mod aws;
mod ended;

#[cfg(feature = "aws")]
pub use aws::{dynamodb, dynamodb_at, s3_store, tables};
pub use ended::Ended;

use crate::{
    config::{Aws, Config, Placement, Service, Sink, Source, State},
    engine::Engine,
    fingerprint::with_target,
    handler::Handler,
    handlers::{Limits, analytics, inventory, search},
    plan_handler::PlanHandler,
    policy::Policy,
    runtime::{self, Env, Exit, Monotonic},
    source::{
        kafka::Kafka,
        ndjson::{Ndjson, Rules},
        prefix::{self, Missing},
    },
    telemetry::{self, Watch, health::Health},
};
use anyhow::{Context, bail};
use debezium::Decoder;
use serving::{
    logs::Filter,
    server::{self, Served},
};
use sinks::{
    Committer, View, canonical,
    dlq::ObjectDlq,
    files::{self, Folder},
    objects::Endpoint,
    state::{memory::Memory, sqlite::Sqlite},
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    net::TcpListener,
    sync::{Arc, atomic::AtomicBool},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::runtime::Runtime;

/// Runs until the source ends (`until_end`), `stop` is set, or only an operator can help.
pub fn run(config: &Config, stop: &AtomicBool) -> anyhow::Result<Ended> {
    config.warnings.iter().for_each(|text| tracing::warn!("{text}"));
    start(config, stop, handler(config))
}

/// The service's handler, as it is set.
pub fn handler(config: &Config) -> PlanHandler {
    let limits = Limits::default();
    let formats = config.formats.to_string();
    match config.service {
        Service::Inventory => {
            let (products, order_items) = (config.products.clone(), config.order_items.clone());
            let (low_below, stock_mode) = (config.low_stock_threshold, config.stock_mode);
            let settings =
                inventory::Settings { products, order_items, low_below, stock_mode, limits };
            inventory::handler(&settings, &formats)
        }
        Service::Analytics => {
            let (orders, order_items) = (config.orders.clone(), config.order_items.clone());
            analytics::handler(&analytics::Settings { orders, order_items, limits }, &formats)
        }
        Service::Search => {
            let products = config.products.clone();
            search::handler(&search::Settings { products, limits }, &formats)
        }
        Service::Declared(declared) => {
            let rules = canonical::Text::new("declared rules 1").with("view", &declared.rules);
            let rules = rules.with_set("column_formats", &formats);
            PlanHandler::new(declared.tables.clone(), declared.plans.clone(), rules.finish())
        }
    }
}
/// The views of the service that is set.
pub fn views(config: &Config) -> Vec<View> {
    handler(config).views()
}

/// What the state of this service is bound to.
pub fn fingerprint(config: &Config) -> String {
    with_target(&handler(config).fingerprint(), &target(config))
}

fn start<H: Handler>(config: &Config, stop: &AtomicBool, handler: H) -> anyhow::Result<Ended> {
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("io")
        .enable_all()
        .build()
        .context("no threads for I/O")?;
    if config.uses_aws() {
        io.block_on(aws::look_for_credentials(config))?;
    }
    let committer = io.block_on(committer(config, handler.views()))?;
    let decoder = Decoder::new(config.formats.clone(), debezium::Limits::default());
    // Files do not grow, and may hold some of a topic's partitions only: their source looks at them as a whole.
    let is_looked_at = config.source == Source::Kafka && config.placement == Placement::Default;
    let doubt_ms = config.policy.doubt_ms.filter(|_| is_looked_at);
    let policy = Policy { seed: seed(), doubt_ms, ..config.policy.clone() };
    let engine = Engine::new(handler, decoder, policy).writing_to(&target(config));
    let engine = engine.replaying_as(config.service.name(), config.generation);
    let engine = engine.trusting(config.exceptions.clone());
    let health = Arc::new(Health::new(config.http.watchdog));
    serve(config, health.clone())?;
    let mut watch = Watch::new(config, health);
    watch.trace(config.service.name())?;
    tracing::info!(
        service = config.service.name(),
        generation = config.generation,
        topics = config.kafka.topics.join(" "),
        "started"
    );
    let result = drive(config, stop, &io, engine, committer, &mut watch);
    watch.finish();
    // What is still under way does no harm; waiting for it without bound would.
    io.shutdown_background();
    match result {
        Ok((exit, missing)) => Ok(ended::say(config, watch.counters(), exit, missing.as_ref())),
        Err(error) => {
            ended::letters(config, watch.counters())
                .iter()
                .for_each(|text| tracing::warn!("{text}"));
            Err(error)
        }
    }
}

/// Metrics and health over HTTP. Where nobody asked for it and the port is taken (a second service on one machine), the
/// service goes on without.
fn serve(config: &Config, health: Arc<Health>) -> anyhow::Result<()> {
    let Some(at) = config.http.listen else { return Ok(()) };
    let listener = match TcpListener::bind(at) {
        Ok(listener) => listener,
        Err(error) if config.http.is_default => {
            tracing::warn!(%at, %error, "no metrics and no health over HTTP: set HTTP_LISTEN");
            return Ok(());
        }
        Err(error) => {
            return Err(error).with_context(|| {
                format!("--http-listen or HTTP_LISTEN: {at} cannot be listened at")
            });
        }
    };
    // Not sooner: what is recorded and never asked for would gather without end.
    let metrics = telemetry::metrics::install(config.service.name(), config.generation)?;
    let filter = Filter::of_this_process();
    let at = server::serve(listener, Served { metrics, health, filter })?;
    tracing::info!(%at, "metrics and health");
    Ok(())
}

fn drive<H: Handler>(
    config: &Config,
    stop: &AtomicBool,
    io: &Runtime,
    engine: Engine<H>,
    committer: Committer,
    watch: &mut Watch,
) -> anyhow::Result<(Exit, Option<Missing>)> {
    let clock = Monotonic::default();
    let env = Env {
        clock: &clock,
        io: io.handle().clone(),
        stop,
        grace_ms: u64::try_from(config.drain_grace.as_millis()).unwrap_or(u64::MAX),
        until_end: config.until_end,
    };
    match &config.source {
        Source::Kafka => {
            let source = Kafka::new(&config.kafka)?;
            watch.follow(source.link());
            let exit = runtime::run(source, engine, committer, watch, &env)?;
            Ok((exit, None))
        }
        Source::Ndjson(path) => {
            let (source, missing) = files(path, config)?;
            let exit = runtime::run(source, engine, committer, watch, &env)?;
            Ok((exit, missing))
        }
    }
}

/// The files, and the topics that they do not have although another prefix does. Files with records, and none of them of
/// a topic that is read here, are an error: nothing would ever come of them.
fn files(path: &str, config: &Config) -> anyhow::Result<(Ndjson, Option<Missing>)> {
    let topics = config.kafka.topics.as_slice();
    let rules = Rules {
        topics: topics.to_vec(),
        told: config.topic_partitions.clone(),
        placement: config.placement,
    };
    let seen = RefCell::new(vec![false; topics.len()]);
    let source = Ndjson::open_by(&rules, path, |topic| {
        let at = topics.iter().position(|t| t == topic);
        at.into_iter().for_each(|at| seen.borrow_mut()[at] = true);
        at.is_some()
    })?;
    let skipped: u64 = source.skipped().values().sum();
    tracing::info!(path, other_topics = source.skipped().len(), skipped, "files read");
    let others = || source.skipped().keys().map(String::as_str);
    let read =
        topics.iter().zip(seen.into_inner()).filter_map(|(topic, seen)| seen.then_some(topic));
    let there: BTreeSet<&str> = read.map(String::as_str).chain(others()).collect();
    let Some(missing) = prefix::missing(topics, &there) else { return Ok((source, None)) };
    match (missing.all, skipped, missing.is_elsewhere()) {
        (true, 0, _) => tracing::info!("the files hold no record"),
        (true, ..) => bail!(
            "{path} holds no record of the topics to be read, {missing}. It holds those of {}",
            prefix::names(others())
        ),
        (false, _, true) => {
            tracing::warn!("the files hold no record of {missing}");
            return Ok((source, Some(missing)));
        }
        // The table has no changes yet.
        (false, _, false) => {}
    }
    Ok((source, None))
}

/// What a folder of reports shows beside the views.
fn reports(service: Service) -> sinks::reports::Settings {
    match service {
        Service::Declared(_) => sinks::reports::Settings::default(),
        Service::Inventory | Service::Analytics | Service::Search => analytics::reports(),
    }
}

/// State, sink and dead letters.
async fn committer(config: &Config, views: Vec<View>) -> anyhow::Result<Committer> {
    let (generation, service) = (config.generation, config.service.name());
    let endpoint = endpoint(&config.aws);
    let letters = config.dlq.open(&endpoint).await?;
    let dlq = Arc::new(ObjectDlq::new(letters, service, generation));
    if let Sink::Sqlite(file) = &config.sink {
        let state = Arc::new(Sqlite::open(file, generation, service, views)?);
        return Ok(Committer { dlq, sink: None, state });
    }
    if let Sink::Dir(dir) = &config.sink {
        let Folder { state, sink } =
            files::open(dir, generation, service, views, reports(config.service)).await?;
        return Ok(Committer { dlq, sink: Some(sink), state });
    }
    let state: Arc<dyn sinks::State> = match &config.state {
        State::Memory | State::InSink => Arc::new(Memory::new(Vec::new())),
        State::SlateDb(place) => aws::state(config, place)?,
    };
    let sink = aws::sink(config, &endpoint, views).await?;
    Ok(Committer { dlq, sink: Some(sink), state })
}

pub fn endpoint(aws: &Aws) -> Endpoint {
    Endpoint { url: aws.s3_endpoint.clone(), region: Some(aws.region.clone()) }
}

/// Where the views are, if not where the state is: a state must not go on with tables that never saw what it saw.
fn target(config: &Config) -> String {
    let table = || canonical::setting("dynamodb_table", &config.aws.table);
    let tokens = || canonical::setting("dynamodb_tokens_table", &config.aws.tokens_table);
    let settings = match (&config.sink, config.service) {
        (Sink::DynamoDb, Service::Search) => vec![table(), tokens()],
        (Sink::DynamoDb, _) => vec![table()],
        _ => vec![],
    };
    settings.join(canonical::BETWEEN)
}

/// Makes the jitter of this process differ from that of others.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap_or(0)
        ^ (u64::from(std::process::id()) << 32)
}
