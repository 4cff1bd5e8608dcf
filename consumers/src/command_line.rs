//! The binaries' command lines. Exit codes: 0 done, 64 a wrong setting or command line, 1 stopped for good, 2 read to the
//! end while the views lack something.
use crate::{
    config::{self, Config, EXIT_CONFIG, EXIT_HALTED, Service},
    demo, dlq, doctor, service, shop, telemetry, verify,
};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serving::{ask, logs, signals};
use std::{ffi::OsString, path::PathBuf, process::ExitCode};

const SERVICE: &str = "service";

/// One service, deployed under its own name.
pub fn service(service: Service) -> ExitCode {
    let about = match service {
        Service::Inventory => "Keeps the stock of every product now, and alerts when it is low",
        Service::Analytics => "Keeps the sales reports",
        Service::Search => "Keeps the index by which products are found",
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

/// All of them, and more.
pub fn cdc() -> ExitCode {
    let matches = match parse(cdc_command(), std::env::args_os()) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    match matches.subcommand() {
        Some(("run", matches)) => with_service(matches, run),
        Some(("config", matches)) => with_service(matches, show),
        Some(("verify", matches)) => verify::run(matches),
        Some(("doctor", matches)) => doctor::run(matches),
        Some(("dlq", matches)) => dlq::run(matches),
        Some(("shop", matches)) => shop::run(matches),
        Some(("health", matches)) => ask_health(matches),
        Some(("demo", matches)) => show_demo(matches),
        _ => ExitCode::from(EXIT_CONFIG),
    }
}

fn cdc_command() -> Command {
    let service = || {
        Arg::new(SERVICE)
            .required(true)
            .value_name("SERVICE")
            .help("inventory, analytics or search")
    };
    let run = Command::new("run")
        .about("Runs a service")
        .arg(service())
        .after_help(
            "Examples:\n  \
             cdc run inventory --source ndjson:changes/ --sink sqlite:views.db --dlq dir:dlq --until-end\n  \
             cdc run analytics --sink dir:reports --dlq dir:dlq --kafka-bootstrap-servers localhost:9092\n  \
             cdc run search --dlq s3://my-bucket/dlq --s3-bucket my-bucket",
        );
    let show = Command::new("config")
        .about("Shows every setting of a service, its value, and where it came from")
        .arg(service())
        .after_help(
            "Takes the same flags and environment as `cdc run`, and says what is wrong with them (exit code 64).\n\n\
             Examples:\n  cdc config inventory --sink sqlite:views.db --dlq dir:dlq\n  DLQ=dir:dlq cdc config search",
        );
    Command::new("cdc")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Turns PostgreSQL's changes (Debezium, Kafka) into views that stay exact")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(config::arguments(run, None))
        .subcommand(config::arguments(show, None))
        .subcommand(verify::command())
        .subcommand(doctor::command())
        .subcommand(dlq::command())
        .subcommand(shop::command())
        .subcommand(health_command())
        .subcommand(demo_command())
}

fn health_command() -> Command {
    config::some(ask::health_command(), &["http-listen"])
}

fn ask_health(matches: &ArgMatches) -> ExitCode {
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

fn demo_command() -> Command {
    let dir = Arg::new("dir")
        .long("dir")
        .value_name("DIR")
        .value_parser(clap::value_parser!(PathBuf))
        .help("An empty folder for the views; kept. Without it: one below the system's temporary folder");
    let keep = Arg::new("keep")
        .long("keep")
        .action(ArgAction::SetTrue)
        .help("Keeps the temporary folder and says where it is");
    Command::new("demo")
        .about("Runs a recorded shop through all three services and checks every row; needs nothing else")
        .arg(dir)
        .arg(keep)
        .after_help(
            "Several thousand real change events go through a Kafka broker inside this process into SQLite and a \
             folder; then every row of every view is compared with what PostgreSQL computed by SQL when the \
             recording was made. Says `exact` (exit code 0) or lists the differences (exit code 1).\n\n\
             Examples:\n  cdc demo\n  cdc demo --dir /tmp/shop && sqlite3 /tmp/shop/shop.db 'select * from inventory_realtime limit 5'\n\n\
             The second one needs the command `sqlite3`.",
        )
}

fn show_demo(matches: &ArgMatches) -> ExitCode {
    let dir = matches.get_one::<PathBuf>("dir").cloned();
    let options = demo::Options { dir, keep: matches.get_flag("keep") };
    match demo::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_HALTED),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_HALTED)
        }
    }
}

/// Help and version are no errors; everything else that clap says is a wrong command line.
fn parse(
    command: Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<ArgMatches, ExitCode> {
    command.try_get_matches_from(args).map_err(|e| {
        // Nobody reads any more: no matter.
        let _ = e.print();
        if e.use_stderr() { ExitCode::from(EXIT_CONFIG) } else { ExitCode::SUCCESS }
    })
}

fn with_service(matches: &ArgMatches, then: fn(Service, &ArgMatches) -> ExitCode) -> ExitCode {
    let text = matches.get_one::<String>(SERVICE).map_or("", String::as_str);
    match text.parse() {
        Ok(service) => then(service, matches),
        Err(why) => {
            eprintln!("SERVICE `{text}`: {why}.");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn show(service: Service, matches: &ArgMatches) -> ExitCode {
    let env = config::environment();
    print!("{}", config::table(service, matches, &env));
    match Config::new(service, matches, &env) {
        Ok(config) => {
            config.warnings.iter().for_each(|text| println!("note: {text}"));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            eprintln!("\n{problems}");
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

fn run(service: Service, matches: &ArgMatches) -> ExitCode {
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
