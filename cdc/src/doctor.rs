//! `cdc doctor`: looks at everything that a run needs, before the run does, and says how to mend what is wrong.
//!
//! Promises: nothing is changed that a run could notice (with `--fix` missing tables, indexes and buckets are made, and
//! only those); every wait is bounded; one check that fails hides no other; no password is shown.
//! Exit codes: 0 all well (warnings allowed), 1 problems, 64 a wrong setting.
mod aws;
mod clock;
mod connect;
mod events;
mod kafka;
mod places;
mod position;
mod report;
mod source;
mod topic;

use anyhow::Context as _;
use clap::{Arg, ArgAction, ArgMatches, Command};
use consumers::config::{self, Config, EXIT_CONFIG, EXIT_HALTED, Service, Sink, Source, State};
use report::{Check, Report};
use serving::postgres::Dsn;
use sinks::objects::Place;
use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

const ALL: &str = "all";
const SERVICES: [Service; 3] = [Service::Inventory, Service::Analytics, Service::Search];

pub fn command() -> Command {
    let service = Arg::new("service")
        .required(true)
        .value_name("SERVICE")
        .help("inventory, analytics, search, or all of them");
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let timeout = Arg::new("timeout-seconds")
        .long("timeout-seconds")
        .value_name("S")
        .default_value("10")
        .value_parser(clap::value_parser!(u64).range(1..=600))
        .help("How long one check may take");
    let value = |name: &'static str, env: &'static str, of: &'static str, help: &'static str| {
        Arg::new(name).long(name).env(env).hide_env_values(true).value_name(of).help(help)
    };
    let ca = value(
        "source-ca",
        "SOURCE_CA",
        "FILE",
        "Authorities (PEM) that the source's certificate must come from",
    )
    .value_parser(clap::value_parser!(PathBuf));
    let marker =
        value("marker-table", "MARKER_TABLE", "TABLE", "The table by which `cdc verify` waits")
            .default_value("public.cdc_marker");
    let command = Command::new("doctor")
        .about("Looks at everything that a run needs and says what is wrong and how to mend it")
        .arg(service)
        .arg(value("source-dsn", "SOURCE_DSN", "DSN", "PostgreSQL: postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
        .arg(ca)
        .arg(marker)
        .arg(value("connect-url", "CONNECT_URL", "URL", "Kafka Connect: http://HOST:8083"))
        .arg(timeout)
        .arg(flag("fix", "Makes missing DynamoDB tables, indexes and expiry, and missing buckets; nothing else"))
        .arg(flag("json", "One JSON document instead of lines"))
        .after_help(
            "Takes the flags and environment of `cdc run`, and changes nothing without --fix. Exit codes: 0 all well \
             (warnings allowed), 1 problems, 64 a wrong setting.\n\n\
             Examples:\n  \
             cdc doctor inventory --sink sqlite:views.db --dlq dir:dlq --kafka-bootstrap-servers localhost:9092\n  \
             cdc doctor all --s3-bucket my-bucket --dlq s3://my-bucket/dlq --fix\n  \
             cdc doctor all --source-dsn postgres://cdc@db/shop --connect-url http://connect:8083 --json",
        );
    config::arguments(command, None)
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let text = matches.get_one::<String>("service").map_or("", String::as_str);
    let services = match text.parse::<Service>() {
        Ok(service) => vec![service],
        Err(_) if text == ALL => SERVICES.to_vec(),
        Err(why) => {
            eprintln!("SERVICE `{text}`: {why}, or `{ALL}`.");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let name = if services.len() == 1 { services[0].name() } else { ALL };
    let (checks, code) = match settings(matches, &services) {
        Err(wrong) => (wrong, EXIT_CONFIG),
        Ok((configs, said)) => match look(matches, &configs) {
            Ok(found) => (said.into_iter().chain(found).collect(), EXIT_HALTED),
            Err(error) => {
                eprintln!("{error:#}");
                return ExitCode::from(EXIT_HALTED);
            }
        },
    };
    let report = Report::new(name, checks);
    match (matches.get_flag("json"), report.json()) {
        (true, Ok(json)) => println!("{json}"),
        _ => print!("{}", report.text()),
    }
    if report.problems == 0 { ExitCode::SUCCESS } else { ExitCode::from(code) }
}

/// The services' settings with what is worth saying about them, or everything that is wrong with them.
#[allow(clippy::type_complexity)]
fn settings(
    matches: &ArgMatches,
    services: &[Service],
) -> Result<(Vec<Arc<Config>>, Vec<Check>), Vec<Check>> {
    let env = config::environment();
    let read = if services.len() == 1 { Config::new } else { Config::one_of_all };
    let (mut configs, mut said, mut wrong) = (Vec::new(), Vec::new(), Vec::<Check>::new());
    for service in services {
        match read(*service, matches, &env) {
            Ok(config) => {
                said.push(Check::ok("settings", service.name(), "all can be read"));
                for text in &config.warnings {
                    said.push(Check::warning("settings", service.name(), text));
                }
                configs.push(Arc::new(config));
            }
            Err(problems) => {
                wrong.extend(problems.texts.iter().map(|text| wrong_setting(*service, text)));
            }
        }
    }
    said.extend(shared(&configs));
    if wrong.is_empty() { Ok((configs, said)) } else { Err(wrong) }
}

/// A sentence ends with what to give.
fn wrong_setting(service: Service, text: &str) -> Check {
    let (found, how) = match text.split_once(": give ") {
        Some((found, how)) => (found, format!("give {how}")),
        None => (
            text,
            "`cdc config SERVICE` shows every setting, its value and where it came from".into(),
        ),
    };
    Check::problem("settings", service.name(), found).fix(how)
}

/// What services must not have in common; with flags or variables for all of them they easily do.
fn shared(configs: &[Arc<Config>]) -> Vec<Check> {
    let mut checks = Vec::new();
    for (at, one) in configs.iter().enumerate() {
        for other in &configs[at + 1..] {
            let both = format!("{} and {}", one.service.name(), other.service.name());
            if one.kafka.group_id == other.kafka.group_id && one.source == Source::Kafka {
                let found = format!(
                    "share the group {}: each acknowledges the other's offsets",
                    one.kafka.group_id
                );
                checks.push(
                    Check::warning("settings", &both, found)
                        .fix("KAFKA_GROUP_ID for each service alone, or not at all"),
                );
            }
            let keyed = |config: &Config| config.sink == Sink::DynamoDb;
            if keyed(one) && keyed(other) && one.aws.table == other.aws.table {
                let found = format!("share the table {}: their items would meet", one.aws.table);
                checks.push(
                    Check::problem("settings", &both, found)
                        .fix("DYNAMODB_TABLE for each service alone, or not at all"),
                );
            }
        }
    }
    checks
}

/// How long one check may take.
#[derive(Debug, Clone, Copy)]
struct Patience(Duration);
impl Patience {
    /// `Err`: no answer in time.
    async fn wait<T>(self, asked: impl Future<Output = T>) -> Result<T, String> {
        let late = |_| format!("no answer within {} s", self.0.as_secs());
        tokio::time::timeout(self.0, asked).await.map_err(late)
    }
}

fn look(matches: &ArgMatches, configs: &[Arc<Config>]) -> anyhow::Result<Vec<Check>> {
    let seconds = matches.get_one::<u64>("timeout-seconds").copied().unwrap_or(10);
    let patience = Patience(Duration::from_secs(seconds));
    let fix = matches.get_flag("fix");
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads for I/O")?;
    let found = io.block_on(async {
        let mut places = vec![tokio::spawn(stores(configs.to_vec(), patience, fix))];
        for config in configs {
            places.push(tokio::spawn(aws::tables(config.clone(), patience, fix)));
        }
        // What is made now is looked at by the others.
        let made = if fix { gather(std::mem::take(&mut places)).await } else { Vec::new() };
        let mut areas = vec![
            tokio::spawn(kafka::check(configs.to_vec(), patience)),
            tokio::spawn(origins(matches, configs, patience)),
        ];
        areas.append(&mut places);
        if let Some(config) = configs.iter().find(|config| uses_aws(config)) {
            areas.push(tokio::spawn(clock::aws(config.clone(), patience)));
        }
        let mut found = gather(areas).await;
        found.extend(made);
        found
    });
    // A thread that still waits for a server must not keep the process.
    io.shutdown_background();
    Ok(found)
}

/// Buckets first: what is in them can be tried only then.
async fn stores(configs: Vec<Arc<Config>>, patience: Patience, fix: bool) -> Vec<Check> {
    let (mut checks, unusable) = aws::buckets(&configs, patience, fix).await;
    checks.extend(places::check(configs, &unusable, patience).await);
    checks
}

/// PostgreSQL and Kafka Connect: what a column's default does depends on both.
fn origins(
    matches: &ArgMatches,
    configs: &[Arc<Config>],
    patience: Patience,
) -> impl Future<Output = Vec<Check>> + use<> {
    let given =
        |name: &str| matches.get_one::<String>(name).filter(|text| !text.is_empty()).cloned();
    let ca = matches.get_one::<PathBuf>("source-ca").cloned();
    let dsn = given("source-dsn").map(|dsn| Dsn::parse(&dsn, ca, "cdc"));
    let url = given("connect-url");
    let marker = given("marker-table").unwrap_or_default();
    let tables = source::merge(configs.iter().flat_map(|config| &config.tables));
    let placeholder = unavailable_value(configs);
    async move {
        let connect = match url {
            Some(url) => Some(connect::ask(url, patience).await),
            None => None,
        };
        let nulls = connect.as_ref().map_or(connect::Nulls::Unknown, |found| found.nulls(&tables));
        let tables_known = matches!(dsn, Some(Ok(_)));
        let mut checks = match dsn {
            None => vec![Check::skipped("postgres", "source", "no --source-dsn, nor SOURCE_DSN")],
            Some(Err(e)) => vec![
                Check::problem("postgres", "source", format!("{e:#}"))
                    .fix("--source-dsn postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
            ],
            Some(Ok(dsn)) => source::check(dsn, tables.clone(), marker, nulls, patience).await,
        };
        checks.extend(match connect {
            None => {
                vec![Check::skipped("connect", "connector", "no --connect-url, nor CONNECT_URL")]
            }
            Some(found) => found.judge(&tables, &placeholder, tables_known),
        });
        checks
    }
}

/// What the services take for a value that was not sent.
fn unavailable_value(configs: &[Arc<Config>]) -> String {
    let first = configs.first().map(|config| config.formats.unavailable_value().to_owned());
    first.unwrap_or_default()
}

async fn gather(areas: Vec<JoinHandle<Vec<Check>>>) -> Vec<Check> {
    let mut found = Vec::new();
    for area in areas {
        match area.await {
            Ok(checks) => found.extend(checks),
            Err(e) => found.push(Check::problem("doctor", "itself", e.to_string())),
        }
    }
    found
}

fn uses_aws(config: &Config) -> bool {
    config.sink.is_in_aws()
        || matches!(config.dlq, Place::S3 { .. })
        || matches!(config.state, State::SlateDb(Place::S3 { .. }))
}
