//! `cdc shop`: a shop's day on the source database, as load for trials and tests. What happens, and how often, is the
//! table in `shop/steps.rs`.
//!
//! Promises: it ends (`--transactions`, `--seconds`, SIGTERM). With one worker, the same seed on the same tables makes
//! the same transactions, times included: the shop has a clock of its own, which moves with the transactions. Several
//! workers, and several shops at once, take no id twice. A server that is killed and comes back is waited for; a
//! transaction whose end is not known is counted as such, and not repeated.
//!
//! Beside the shop's tables it makes the schema `cdc_shop`, which holds three sequences. Expects `products`, `orders`
//! and `order_items` where the search path finds them.
mod counts;
mod opening;
mod plan;
mod steps;
mod trade;
mod words;
mod worker;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, value_parser};
use consumers::config::{EXIT_CONFIG, EXIT_HALTED};
use counts::Counts;
use plan::Market;
use serving::{postgres::Dsn, signals};
use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::time::{Instant, interval};
use worker::{Gate, Shop, lock};

const MORE: &str = "Orders, payments, cancellations, returns, restocks, prices, sales, renames, deletions, key \
    changes: one transaction each. The tables come from scripts/seed.sh; the sequences for ids are its own, in the \
    schema cdc_shop. Exit codes: 0 it came to its end, 1 stopped (the last line says why), 64 wrong command line.

Examples:
  cdc shop --source-dsn postgres://postgres:postgres@127.0.0.1:15432/shop --transactions 1000
  SOURCE_DSN=postgres://shop@db/shop cdc shop --rate 200 --seconds 300 --workers 4 --seed 7";

pub fn command() -> Command {
    let bound =
        ArgGroup::new("bound").args(["transactions", "seconds"]).required(true).multiple(true);
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("The summary as one JSON document; the lines go to standard error");
    Command::new("shop")
        .about("Runs a shop on the source database: load for trials and tests")
        .args(source())
        .args(bounds())
        .group(bound)
        .args(habits())
        .arg(json)
        .after_help(MORE)
}

fn source() -> [Arg; 3] {
    let dsn = Arg::new("source-dsn")
        .long("source-dsn")
        .env("SOURCE_DSN")
        .hide_env_values(true)
        .value_name("DSN")
        .required(true)
        .help("postgres://USER:PASSWORD@HOST:PORT/DATABASE");
    let ca = Arg::new("source-ca")
        .long("source-ca")
        .env("SOURCE_CA")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Authorities (PEM) of the database's certificate");
    let reconnect = Arg::new("reconnect-seconds")
        .long("reconnect-seconds")
        .value_name("S")
        .default_value("60")
        .value_parser(value_parser!(u64).range(0..=86_400))
        .help("How long to wait for a database that went away");
    [dsn, ca, reconnect]
}

fn bounds() -> [Arg; 2] {
    let transactions = Arg::new("transactions")
        .long("transactions")
        .value_name("N")
        .value_parser(value_parser!(u64))
        .help("Ends after so many, however they end");
    let seconds = Arg::new("seconds")
        .long("seconds")
        .value_name("S")
        .value_parser(value_parser!(u64).range(..=31_536_000))
        .help("Ends after so long");
    [transactions, seconds]
}

fn habits() -> [Arg; 6] {
    let number = |name: &'static str, value: &'static str, default: &'static str| {
        Arg::new(name).long(name).value_name(value).default_value(default)
    };
    [
        number("rate", "TPS", "50")
            .value_parser(rate)
            .help("Transactions a second, of all workers together; 0: as fast as it goes"),
        number("seed", "N", "1")
            .value_parser(value_parser!(u64))
            .help("The same seed makes the same choices"),
        number("workers", "N", "1")
            .value_parser(value_parser!(u64).range(1..=64))
            .help("Connections at work side by side; with more than one, runs are not repeatable"),
        number("products", "N", "200")
            .value_parser(value_parser!(i64).range(2..=1_000_000))
            .help("Filled in when there is none; their number stays between half and twice of it"),
        number("customers", "N", "100")
            .value_parser(value_parser!(i32).range(1..))
            .help("Who order"),
        number("zipf", "EXPONENT", "1.1")
            .value_parser(exponent)
            .help("How unequally products are wanted; 0: alike"),
    ]
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate == 0.0 || (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("0, or 0.001 to 1000000 transactions a second".to_owned()),
    }
}
fn exponent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(exponent) if (0.0..=10.0).contains(&exponent) => Ok(exponent),
        _ => Err("0 to 10".to_owned()),
    }
}

/// All arguments have a default or are required.
fn given<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> anyhow::Result<T> {
    matches.get_one(name).cloned().with_context(|| format!("--{name} is missing"))
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let ca = matches.get_one::<PathBuf>("source-ca").cloned();
    let dsn = given::<String>(matches, "source-dsn").and_then(|text| Dsn::parse(&text, ca, "cdc"));
    let dsn = match dsn {
        Ok(dsn) => dsn,
        Err(error) => {
            eprintln!("--source-dsn: {error:#}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match keep(matches, dsn) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(EXIT_HALTED)
        }
    }
}

/// Opens the shop, keeps it until its end, and says what was done, whatever ended it.
fn keep(matches: &ArgMatches, dsn: Dsn) -> anyhow::Result<()> {
    let seed: u64 = given(matches, "seed")?;
    let workers: u64 = given(matches, "workers")?;
    let market = Market {
        products: given(matches, "products")?,
        customers: given(matches, "customers")?,
        zipf: given(matches, "zipf")?,
    };
    let rate: f64 = given(matches, "rate")?;
    let stop = signals::stop()?;
    let io = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("no threads for I/O")?;
    io.block_on(async {
        let (opens, filled) = opening::open(&dsn, seed, market, &stop).await?;
        let begun = Instant::now();
        let shop = Arc::new(Shop {
            dsn,
            seed,
            market,
            opens,
            reconnect: Duration::from_secs(given(matches, "reconnect-seconds")?),
            interval: if rate > 0.0 { Duration::from_secs_f64(1.0 / rate) } else { Duration::ZERO },
            until: matches.get_one::<u64>("seconds").map(|s| begun + Duration::from_secs(*s)),
            stop,
            gate: Mutex::new(Gate { left: matches.get_one("transactions").copied(), due: begun }),
            counts: Mutex::new(Counts { filled, ..Counts::default() }),
        });
        let ended = trade_all(&shop, workers, begun).await;
        let (counts, taken) = (lock(&shop.counts).clone(), begun.elapsed());
        if matches.get_flag("json") {
            println!("{}", counts.document(seed, workers, taken));
        } else {
            print!("{}", counts.summary(taken));
        }
        ended
    })
}

/// All workers, and a line a second. The first that cannot go on ends all.
async fn trade_all(shop: &Arc<Shop>, workers: u64, begun: Instant) -> anyhow::Result<()> {
    let mut at_work = tokio::task::JoinSet::new();
    for worker in 0..workers {
        let shop = shop.clone();
        at_work.spawn(async move { shop.work(worker).await });
    }
    let mut first = Ok(());
    let mut second = interval(Duration::from_secs(1));
    second.tick().await;
    loop {
        tokio::select! {
            ended = at_work.join_next() => {
                let Some(ended) = ended else { return first };
                if let Err(error) = ended.context("a worker broke off").flatten() {
                    shop.stop.store(true, Relaxed);
                    first = first.and(Err(error));
                }
            }
            _ = second.tick() => {
                let counts = lock(&shop.counts).clone();
                let seconds = begun.elapsed().as_secs();
                eprintln!("{seconds} s: {} transactions, {counts}", counts.transactions());
            }
        }
    }
}
