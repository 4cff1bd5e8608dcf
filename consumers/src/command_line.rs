//! The command line of a service, deployed under its own name; `cdc` has it as a subcommand. Exit codes: 0 done, 64 a wrong
//! setting or command line, 1 stopped for good, 2 read to the end while the views lack something.
use crate::{
    config::{self, Config, EXIT_CONFIG, EXIT_HALTED, Service},
    service, telemetry,
};
use clap::{ArgMatches, Command};
use serving::{ask, logs, signals};
use std::{ffi::OsString, process::ExitCode};

/// One service, deployed under its own name.
pub fn service(service: Service) -> ExitCode {
    let about = match service {
        Service::Inventory => "Keeps the stock of every product now, and alerts when it is low",
        Service::Analytics => "Keeps the sales reports",
        Service::Search => "Keeps the index by which products are found",
        Service::Declared(_) => "Keeps the views of a declaration",
    };
    let example = format!(
        "Examples:\n  \
         {name} --dlq s3://my-bucket/dlq --s3-bucket my-bucket\n  \
         {name} --source ndjson:changes/ --sink sqlite:views.db --dlq dir:dlq --until-end\n  \
         KAFKA_PROPERTIES_SECURITY_PROTOCOL=SASL_SSL DLQ=s3://my-bucket/dlq {name}\n\n\
         `cdc config {name}` shows every setting, its value and where it came from.",
        name = service.name()
    );
    let command = Command::new(service.name())
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .subcommand(health_command())
        .after_help(example);
    match parse(config::arguments(command, Some(service)), std::env::args_os()) {
        Ok(matches) => match matches.subcommand() {
            Some((_, health)) => ask_health(health),
            None => run(service, &matches),
        },
        Err(code) => code,
    }
}

/// The command `health`, as every service has it.
pub fn health_command() -> Command {
    let meaning =
        "live: its loop turns. ready: it has joined, loaded, and what it writes to answers";
    config::some(ask::health_command(meaning), &["http-listen"])
}

/// Carries out [`health_command`].
pub fn ask_health(matches: &ArgMatches) -> ExitCode {
    // The same for all services.
    let given = config::given(matches, Service::Inventory);
    let at = given.get("http-listen").and_then(|g| g.value.as_deref()).unwrap_or_default();
    match at.parse() {
        Ok(at) => ask::health(matches, at),
        Err(_) => {
            eprintln!(
                "--http-listen or HTTP_LISTEN: `{at}`: give ADDRESS:PORT, as the service has it"
            );
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

/// Help and version are no errors; everything else that clap says is a wrong command line.
///
/// # Errors
/// The exit code, once what clap says was printed.
pub fn parse(
    command: Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, ExitCode> {
    command.try_get_matches_from(args).map_err(|e| {
        // Nobody reads any more: no matter.
        let _ = e.print();
        if e.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
    })
}

/// Runs a service with the settings of the command line and the environment, until it ends.
pub fn run(service: Service, matches: &ArgMatches) -> ExitCode {
    let config = match Config::new(service, matches, &config::environment()) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    logs::init(&config.logs, telemetry::QUIET);
    match signals::stop().and_then(|stop| service::run(&config, &stop)) {
        Ok(ended) => ExitCode::from(ended.code()),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(EXIT_HALTED)
        }
    }
}
