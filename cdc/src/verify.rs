//! `cdc verify`: is every row of every view in the sink exactly what SQL over the source says, at the position that
//! the sink itself claims?
//!
//! Works while traffic flows, and does not try until it is lucky. A snapshot of the source is taken; Debezium is waited
//! for until the log holds all that the snapshot sees, then the service, until it has applied all of that. Whatever
//! the sink is ahead by is read from the log, and PostgreSQL computes the view over the snapshot patched with it.
//!
//! Absent on purpose: any write to the source but the marker row; offsets committed for anybody; a difference that was
//! not computed at the sink's own position; row values, unless asked for by `--show-values`.
//! What it rests on: Debezium sends commits in their order, and a marker that came back came after all before it (a
//! broker that is down for some partitions only can break that for as long as it is; verify again then).
mod compare;
mod letters;
mod log;
mod outcome;
mod removals;
mod repair;
mod report;
mod row_key;
mod session;
mod sink;
mod snapshot;
mod sorted;
mod sql;
mod window;

use crate::view;
use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use consumers::{
    config::{self, Config, EXIT_CONFIG, Service, Sink},
    handlers::analytics,
    service,
};
use outcome::Outcome;
use serving::postgres::Dsn;
use session::Session;
use sinks::{
    objects::{Dir, Place},
    reports::Reports,
};
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

const EXIT_DIFFERENT: u8 = 1;
const EXIT_UNKNOWN: u8 = 2;

/// What is not a setting of `cdc run`.
pub struct Options {
    dsn: Dsn,
    schema: String,
    marker_table: Option<String>,
    marker_topic: Option<String>,
    slot: Option<String>,
    wait: Duration,
    limit: usize,
    show_values: bool,
    json: bool,
    repair: bool,
    yes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Exact,
    Different,
    Unknown,
}
impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Different => "different",
            Self::Unknown => "could not tell",
        }
    }
    /// Of all of them: a difference is one, whatever else could not be told.
    fn of(all: &[Verified]) -> Self {
        let any = |verdict| all.iter().any(|one| one.verdict == verdict);
        if any(Self::Different) {
            Self::Different
        } else if any(Self::Unknown) {
            Self::Unknown
        } else {
            Self::Exact
        }
    }
    fn code(self) -> ExitCode {
        match self {
            Self::Exact => ExitCode::SUCCESS,
            Self::Different => EXIT_DIFFERENT.into(),
            Self::Unknown => EXIT_UNKNOWN.into(),
        }
    }
}

/// One service's answer.
pub struct Verified {
    service: Service,
    verdict: Verdict,
    why: Option<String>,
    waited: Option<String>,
    lsn: Option<String>,
    seconds: f64,
    bridged: usize,
    repaired: Option<usize>,
    outcome: Option<Outcome>,
}

pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).help_heading("Verification")
    };
    let flag = |name: &'static str, help: &'static str| {
        let arg = Arg::new(name).long(name).action(ArgAction::SetTrue);
        arg.help(help).help_heading("Verification")
    };
    let number = |arg: Arg, default: &'static str| {
        arg.default_value(default).value_parser(clap::value_parser!(u32))
    };
    let command = Command::new("verify")
        .about("Compares every row of a service's views with the source, and says exact or names each difference")
        .arg(Arg::new("service").required(true).value_name("SERVICE").help("inventory, analytics, search or all; or a file of a view in SQL, NAME.sql"))
        .arg(view::tables_argument())
        .arg(text("source-dsn", "DSN", "The source: postgres://USER:PASSWORD@HOST:PORT/DATABASE").env("SOURCE_DSN").hide_env_values(true))
        .arg(text("source-ca", "FILE", "Certificate authorities (PEM) that the source's certificate must come from").env("SOURCE_CA").value_parser(clap::value_parser!(PathBuf)))
        .arg(text("source-schema", "NAME", "Schema of the shop's tables").default_value("public"))
        .arg(text("marker-table", "TABLE", "A table with a column id (text) that the connector captures, to put a marker row into. Without it: the replication slot is waited for").env("MARKER_TABLE"))
        .arg(text("marker-topic", "TOPIC", "Its topic, where that is not PREFIX.SCHEMA.TABLE"))
        .arg(text("slot", "NAME", "The connector's replication slot. Without it: all logical slots of the database"))
        .arg(number(text("wait-seconds", "S", "How long to wait for Debezium and the service, together"), "60"))
        .arg(number(text("limit", "N", "Differences to show for each view"), "20"))
        .arg(flag("show-values", "Shows the values that differ, too"))
        .arg(flag("repair", "Deletes through the log what only the log has, rewrites what differs, each after a confirmation, and verifies again"))
        .arg(flag("yes", "Repairs without asking"))
        .arg(flag("json", "Prints one JSON document"))
        .after_help(
            "Takes the flags and environment of `cdc run` too: give it those of the deployment that it is to look at.\n\
             Needs SELECT on the shop's tables; with --marker-table INSERT and DELETE on that; reading the topics, the \
             group and the sink. It runs beside the service, and while traffic flows.\n\n\
             Exit codes: 0 exact, 1 differences, 2 could not tell (the service is behind, say), 64 a wrong setting.\n\n\
             Examples:\n  \
             cdc verify inventory --source-dsn postgres://reader@db/shop --marker-table public.cdc_marker --dlq s3://my-bucket/dlq\n  \
             cdc verify all --source-dsn $DSN --sink sqlite:views.db --dlq dir:dlq --json\n  \
             cdc verify search --source-dsn $DSN --dlq s3://my-bucket/dlq --show-values --repair\n  \
             cdc verify sql/examples/inventory.sql --source-dsn $DSN --dlq dir:dlq",
        );
    config::arguments(command, None)
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let (options, configs) = match settings(matches) {
        Ok(settings) => settings,
        Err(problem) => {
            eprintln!("{problem}");
            return EXIT_CONFIG.into();
        }
    };
    let io =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(io) => io,
            Err(e) => {
                eprintln!("no threads for I/O: {e}");
                return EXIT_UNKNOWN.into();
            }
        };
    let mut all = Vec::new();
    for config in &configs {
        let mut verified = verify(config, &options, &io);
        if options.repair && verified.verdict == Verdict::Different {
            if !options.json {
                report::text(&verified, &options);
            }
            verified = repair_and_look_again(config, &options, &io, verified);
        }
        if !options.json {
            report::text(&verified, &options);
        }
        all.push(verified);
    }
    if options.json {
        println!("{:#}", report::json(&all, &options));
    }
    io.shutdown_background();
    Verdict::of(&all).code()
}

fn settings(matches: &ArgMatches) -> Result<(Options, Vec<Config>), String> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let named = text("service").unwrap_or_default();
    let services: Vec<Service> = match named.as_str() {
        "all" => vec![Service::Inventory, Service::Analytics, Service::Search],
        file if file.ends_with(".sql") => vec![of_file(file, matches)?],
        one => vec![one.parse().map_err(|why| {
            format!("SERVICE `{one}`: {why}, and all; a view in SQL is a file, NAME.sql.")
        })?],
    };
    let Some(dsn) = text("source-dsn") else {
        return Err(
            "--source-dsn or SOURCE_DSN: not given: postgres://USER:PASSWORD@HOST:PORT/DATABASE."
                .into(),
        );
    };
    let ca = matches.get_one::<PathBuf>("source-ca").cloned();
    let dsn =
        Dsn::parse(&dsn, ca, "cdc").map_err(|e| format!("--source-dsn or SOURCE_DSN: {e}."))?;
    let number = |name: &str| matches.get_one::<u32>(name).copied().unwrap_or_default();
    let options = Options {
        dsn,
        schema: text("source-schema").unwrap_or_default(),
        marker_table: text("marker-table").filter(|table| !table.is_empty()),
        marker_topic: text("marker-topic"),
        slot: text("slot"),
        wait: Duration::from_secs(number("wait-seconds").into()),
        limit: usize::try_from(number("limit")).unwrap_or(usize::MAX),
        show_values: matches.get_flag("show-values"),
        json: matches.get_flag("json"),
        repair: matches.get_flag("repair"),
        yes: matches.get_flag("yes"),
    };
    let env = config::environment();
    let read = if services.len() == 1 { Config::new } else { Config::one_of_all };
    let one = |service| read(service, matches, &env).map_err(|e| e.to_string());
    let configs = services.into_iter().map(one).collect::<Result<_, _>>()?;
    Ok((options, configs))
}

/// The service that runs the view of this file.
fn of_file(file: &str, matches: &ArgMatches) -> Result<Service, String> {
    let declared = view::declared(file.as_ref(), matches)?;
    let schema = matches.get_one::<String>("source-schema").map_or("", String::as_str);
    if let Some(other) = declared.source_tables().iter().find(|table| table.schema != schema) {
        return Err(format!(
            "{file}: {} is in another schema than {schema}: give --source-schema; tables of one schema can be verified.",
            other.full_name()
        ));
    }
    match &declared.answer {
        Err(why) => Err(format!("{file}: PostgreSQL cannot compute this view: {why}.")),
        Ok(_) => Ok(Service::Declared(declared)),
    }
}

/// Whatever goes wrong on the way is no difference: it could not be told.
fn verify(config: &Config, options: &Options, io: &Runtime) -> Verified {
    let begun = Instant::now();
    let mut verified = Verified {
        service: config.service,
        verdict: Verdict::Unknown,
        why: None,
        waited: None,
        lsn: None,
        seconds: 0.0,
        bridged: 0,
        repaired: None,
        outcome: None,
    };
    let looked = Session::begin(config, options, io).and_then(|mut session| {
        verified.waited = Some(session.waited.clone());
        verified.lsn = Some(session.snapshot.lsn.clone());
        let mut outcome = compare(&mut session)?;
        letters::explain(&session, &mut outcome);
        verified.bridged = session.window.records();
        Ok(outcome)
    });
    match looked {
        Ok(outcome) => {
            let is_exact = outcome.views.iter().all(outcome::ViewOutcome::is_exact);
            verified.verdict = if is_exact { Verdict::Exact } else { Verdict::Different };
            verified.outcome = Some(outcome);
        }
        Err(error) => verified.why = Some(format!("{error:#}")),
    }
    verified.seconds = begun.elapsed().as_secs_f64();
    verified
}

fn compare(session: &mut Session<'_>) -> anyhow::Result<Outcome> {
    let (config, io) = (session.config, session.io);
    let views = service::views(config);
    let is_declared = config.service.declared().is_some();
    if is_declared && (config.sink == Sink::DynamoDb || shows_reports(config)) {
        bail!(
            "a view in SQL can be verified in a SQLite file yet, and not in DynamoDB or in reports"
        );
    }
    match &config.sink {
        Sink::Sqlite(file) => sink::sqlite::verify(session, file, &views),
        _ if shows_reports(config) => {
            sink::reports::verify(session, &open_reports(config, io)?, &views)
        }
        Sink::Dir(dir) => {
            let mut outcome = sink::sqlite::verify(session, &sink::sqlite::in_folder(dir), &views)?;
            outcome.notes.push(
                "verified: the tables in .state.db; the *.ndjson files are copies of them, as of their last writing"
                    .to_owned(),
            );
            Ok(outcome)
        }
        Sink::DynamoDb | Sink::Reports => {
            let sink = Arc::new(io.block_on(service::dynamodb(config, views.clone()))?);
            sink::dynamodb::verify(session, &sink, &views)
        }
    }
}

/// Whether people see reports: where views are made of shares alone, also in a folder.
fn shows_reports(config: &Config) -> bool {
    match &config.sink {
        Sink::Reports => true,
        Sink::Dir(_) => service::views(config).iter().all(sinks::View::is_totals),
        Sink::Sqlite(_) | Sink::DynamoDb => false,
    }
}

/// Those that are shown where views are made of shares alone.
fn open_reports(config: &Config, io: &Runtime) -> anyhow::Result<Reports> {
    let objects: Arc<dyn sinks::objects::Objects> = match &config.sink {
        Sink::Dir(dir) => Arc::new(io.block_on(Dir::open(dir.clone()))?),
        _ => {
            let bucket = config.aws.bucket.clone().context("S3_BUCKET is not set")?;
            let place = Place::S3 { bucket, prefix: String::new() };
            io.block_on(place.open(&service::endpoint(&config.aws)))?
        }
    };
    let settings = analytics::reports();
    Ok(Reports::new(objects, service::views(config), settings, config.generation))
}

fn repair_and_look_again(
    config: &Config,
    options: &Options,
    io: &Runtime,
    found: Verified,
) -> Verified {
    let not_repaired = |error: &anyhow::Error, found| {
        let why = Some(format!("not repaired: {error:#}"));
        Verified { why, ..found }
    };
    // What the log has and the source has not: mended in the log, or it would come back.
    let removed = match removals::remove(config, options, io) {
        Ok(removed) => removed,
        Err(error) => return not_repaired(&error, found),
    };
    let found = if removed > 0 { verify(config, options, io) } else { found };
    let mut found = if found.verdict != Verdict::Different {
        found
    } else if options.yes || repair::confirmed(&found) {
        match repair::repair(config, options, io, &found) {
            Ok(done) => {
                let mut again = verify(config, options, io);
                again.repaired = Some(done.repaired);
                if let Some(outcome) = &mut again.outcome {
                    outcome.notes.push(format!("{} repaired, then verified again", done.repaired));
                    outcome.notes.extend(done.notes);
                }
                again
            }
            Err(error) => not_repaired(&error, found),
        }
    } else {
        found
    };
    if removed > 0 {
        found.repaired = Some(found.repaired.unwrap_or(0) + removed);
        if let Some(outcome) = &mut found.outcome {
            let note = format!("{removed} rows removed through the log, then verified again");
            outcome.notes.push(note);
        }
    }
    found
}
