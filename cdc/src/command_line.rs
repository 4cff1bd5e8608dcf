//! The command line of `cdc`. Exit codes: 0 done, 64 a wrong setting or command line, 1 stopped for good or not exact, 2
//! read to the end while the views lack something.
use crate::{demo, dlq, doctor, shop, verify, view};
use clap::{Arg, ArgAction, ArgMatches, Command};
use consumers::{
    command_line::{ask_health, health_command, parse, run},
    config::{self, Config, EXIT_CONFIG, EXIT_HALTED, Service},
};
use std::{path::PathBuf, process::ExitCode};

const SERVICE: &str = "service";

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
        Some(("view", matches)) => view::run(matches),
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
            .help("inventory, analytics or search; or a file of a view in SQL, NAME.sql")
    };
    let run = Command::new("run")
        .about("Runs a service, or a view in SQL")
        .arg(service())
        .arg(view::tables_argument())
        .after_help(
            "Examples:\n  \
             cdc run inventory --source ndjson:changes/ --sink sqlite:views.db --dlq dir:dlq --until-end\n  \
             cdc run analytics --sink dir:reports --dlq dir:dlq --kafka-bootstrap-servers localhost:9092\n  \
             cdc run search --dlq s3://my-bucket/dlq --s3-bucket my-bucket\n  \
             cdc run sql/examples/inventory.sql --source ndjson:changes/ --dlq dir:dlq --until-end",
        );
    let show = Command::new("config")
        .about("Shows every setting of a service, its value, and where it came from")
        .arg(service())
        .arg(view::tables_argument())
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
        .subcommand(view::command())
        .subcommand(health_command())
        .subcommand(demo_command())
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

fn with_service(matches: &ArgMatches, then: fn(Service, &ArgMatches) -> ExitCode) -> ExitCode {
    let text = matches.get_one::<String>(SERVICE).map_or("", String::as_str);
    if text.ends_with(".sql") {
        return match view::declared(text.as_ref(), matches) {
            Ok(declared) => then(Service::Declared(declared), matches),
            Err(why) => {
                eprintln!("{}", why.trim_end());
                ExitCode::from(EXIT_CONFIG)
            }
        };
    }
    match text.parse() {
        Ok(service) => then(service, matches),
        Err(why) => {
            eprintln!("SERVICE `{text}`: {why}; a view in SQL is a file, NAME.sql.");
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
