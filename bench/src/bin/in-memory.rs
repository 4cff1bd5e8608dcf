//! A service as it is, on Kafka, but with state and views in memory: what source, decoder, engine and handler cost
//! before anything is stored. Takes the service's own flags; `--sink` is asked for and not looked at.
use anyhow::ensure;
use bench::answers::Answers;
use clap::{Arg, Command};
use consumers::{
    config::{self, Config, Service},
    engine::Engine,
    handler::Handler,
    policy::Policy,
    runtime::{self, Env, Exit, Monotonic},
    service,
    source::kafka::Kafka,
    telemetry::{Watch, health::Health},
};
use debezium::{Decoder, Limits};
use serde_json::Value;
use sinks::{Cell, Committer, dlq::ObjectDlq, state::memory::Memory};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

fn main() -> anyhow::Result<()> {
    let answers = Arg::new("answers").long("answers").value_name("FILE").help("Where rows go");
    let command = |name: &'static str, service| {
        config::arguments(Command::new(name), Some(service)).arg(answers.clone())
    };
    let matches = Command::new("in-memory")
        .about("A service with state and views in memory, to the end of its topics")
        .subcommand_required(true)
        .subcommand(command("analytics", Service::Analytics))
        .subcommand(command("inventory", Service::Inventory))
        .get_matches();
    let Some((name, matches)) = matches.subcommand() else { return Ok(()) };
    let service = if name == "analytics" { Service::Analytics } else { Service::Inventory };
    let config = Config::new(service, matches, &config::environment())
        .map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let answers = matches.get_one::<String>("answers").map(Path::new);
    run(&config, service::handler(&config), answers)
}

fn run<H: Handler>(config: &Config, handler: H, answers: Option<&Path>) -> anyhow::Result<()> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let views = handler.views();
    let memory = Memory::new(views.clone());
    let letters = io.block_on(config.dlq.open(&service::endpoint(&config.aws)))?;
    let dlq = Arc::new(ObjectDlq::new(letters, config.service.name(), config.generation));
    let committer = Committer { dlq, sink: None, state: Arc::new(memory.clone()) };
    let decoder = Decoder::new(config.formats.clone(), Limits::default());
    let policy = Policy { seed: 1, ..config.policy.clone() };
    let engine = Engine::new(handler, decoder, policy).trusting(config.exceptions.clone());
    let source = Kafka::new(&config.kafka)?;
    let mut watch = Watch::new(config, Arc::new(Health::new(config.http.watchdog)));
    watch.follow(source.link());
    let (clock, stop) = (Monotonic::default(), AtomicBool::new(false));
    let env = Env {
        clock: &clock,
        io: io.handle().clone(),
        stop: &stop,
        grace_ms: 10_000,
        until_end: config.until_end,
    };
    let exit = runtime::run(source, engine, committer, &mut watch, &env)?;
    ensure!(exit == Exit::Finished, "it ended early: {exit:?}");
    let Some(path) = answers else { return Ok(()) };
    let mut answers = Answers::create(path)?;
    for view in &views {
        for (key, row) in memory.rows(view.name) {
            let names = view.columns.iter().map(|column| column.name);
            let row: BTreeMap<&str, Value> = names.zip(row.iter().map(json)).collect();
            answers.row(view.name, key.first().map(json), row)?;
        }
    }
    answers.close()
}

/// Numbers as numbers, everything else as people read it.
fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(n) => (*n).into(),
        other => other.to_string().into(),
    }
}
