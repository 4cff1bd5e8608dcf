//! `cdc dlq`: lists, shows, replays and removes dead letters.
//!
//! Absent on purpose: any way to apply a letter other than through the log, and any word about a value that was not
//! asked for. Exit codes: 0 done, 1 something could not be done or a letter did not take effect, 2 not known yet
//! (replay), 64 a wrong command line or setting.
mod filter;
mod letters;
mod purge;
mod replay;
mod show;
mod table;

#[cfg(feature = "postgres")]
pub(crate) use replay::{Log, acknowledged};

use clap::{Arg, ArgAction, ArgMatches, Command};
use consumers::config::{self, EXIT_CONFIG, EXIT_HALTED, Service};
use sinks::objects::{Endpoint, Objects, Place};
use std::{process::ExitCode, sync::Arc};

const PLACE: [&str; 3] = ["dlq", "aws-region", "aws-endpoint-url"];

pub fn command() -> Command {
    Command::new("dlq")
        .about("Lists, shows, replays and removes dead letters")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list_command())
        .subcommand(show::command())
        .subcommand(replay::command())
        .subcommand(purge::command())
        .after_help(
            "Examples:\n  \
             cdc dlq list --dlq s3://my-bucket/dlq --since 2d\n  \
             cdc dlq show --dlq dir:dlq inventory-service/dbserver1.public.products/0/895.json\n  \
             cdc dlq replay --dlq s3://my-bucket/dlq --service inventory --dry-run\n  \
             cdc dlq purge --dlq s3://my-bucket/dlq --state applied --older-than 30d --yes",
        )
}

fn list_command() -> Command {
    let command = Command::new("list")
        .about("Lists letters in the order of their records, and counts them")
        .after_help(
            "A letter is `new`, or what became of its replay: sent, applied, failed-again, moved-on.\n\n\
             Examples:\n  \
             cdc dlq list --dlq dir:dlq\n  \
             cdc dlq list --dlq s3://my-bucket/dlq --service inventory --reason invalid --since 1h --json",
        );
    let command = filter::arguments(config::some(command, &PLACE)).arg(filter::state());
    let command = command.arg(filter::generation());
    command.arg(number("limit", "N", "At most so many")).arg(json())
}

fn json() -> Arg {
    let arg = Arg::new("json").long("json").action(ArgAction::SetTrue);
    arg.help("One JSON document instead of lines")
}
fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}
fn number(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).value_name(value).help(help);
    arg.value_parser(clap::value_parser!(u64))
}

/// Why a command ends without having done its work.
enum Stop {
    /// What the operator wrote.
    Wrong(String),
    Failed(anyhow::Error),
}
impl<E: Into<anyhow::Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let done = match matches.subcommand() {
        Some(("list", matches)) => block_on(list(matches)),
        Some(("show", matches)) => block_on(show::run(matches)),
        Some(("replay", matches)) => replay::run(matches),
        Some(("purge", matches)) => block_on(purge::run(matches)),
        _ => Err(Stop::Wrong("say list, show, replay or purge".to_owned())),
    };
    match done {
        Ok(code) => code,
        Err(Stop::Wrong(why)) => {
            eprintln!("{why}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Stop::Failed(error)) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_HALTED)
        }
    }
}

fn block_on<T>(work: impl Future<Output = Result<T, Stop>>) -> Result<T, Stop> {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    io.block_on(work)
}

/// Where the letters are, for commands that are no run of a service.
async fn place(matches: &ArgMatches) -> Result<Arc<dyn Objects>, Stop> {
    // These settings are the same for every service.
    let given = config::given(matches, Service::Inventory);
    let text = |name| given.get(name).and_then(|g: &config::Given| g.value.clone());
    let form = "give s3://BUCKET/PREFIX or dir:DIR";
    let place = text("dlq").ok_or(Stop::Wrong(format!("--dlq or DLQ: not given: {form}")))?;
    let place: Place = place.parse().map_err(|why| Stop::Wrong(format!("--dlq: {why}")))?;
    if let Place::Dir(dir) = &place
        && !dir.is_dir()
    {
        return Err(Stop::Wrong(format!("--dlq: {} is no folder", dir.display())));
    }
    let flag = given.get("aws-endpoint-url").is_some_and(|g| g.origin == config::Origin::Flag);
    let env = config::environment();
    let own = env.iter().find(|(name, url)| name == "AWS_ENDPOINT_URL_S3" && !url.is_empty());
    let url = own.filter(|_| !flag).map(|(_, url)| url.clone());
    let endpoint =
        Endpoint { url: url.or_else(|| text("aws-endpoint-url")), region: text("aws-region") };
    Ok(place.or_prefix("dlq").open(&endpoint).await?)
}

async fn list(matches: &ArgMatches) -> Result<ExitCode, Stop> {
    let filter = filter::Filter::read(matches)?;
    let limit = matches.get_one::<u64>("limit").copied().unwrap_or(u64::MAX);
    let mut letters = letters::Letters::find(place(matches).await?, filter).await?;
    let mut table = table::Table::new(matches.get_flag("json"), table::Kind::List);
    let mut more = false;
    while let Some(item) = letters.next().await? {
        if table.rows() >= limit {
            more = true;
            break;
        }
        table.letter(&item);
    }
    table.finish(more, letters.odd());
    Ok(ExitCode::SUCCESS)
}
