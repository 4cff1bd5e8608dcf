//! The real stack under fire: PostgreSQL, Debezium, Kafka, three replicas of each service as users start them,
//! DynamoDB and S3 behind a proxy that makes faults. After each attack every sink is what PostgreSQL says, every
//! record that nobody can read is one dead letter, every crossing of the threshold is one alert.
//!
//! `TEST_FIRE=1 cargo test --workspace --test fire [-- NAME...]` runs the scenarios whose names contain one of NAME. Needs what
//! `scripts/stack.sh install` fetches, and an AWS emulator in `TEST_DYNAMODB_ENDPOINT` and `TEST_S3_ENDPOINT`, with
//! stand-in credentials in the environment (`scripts/aws.sh env ls`). Without them nothing runs. With
//! `TEST_FIRE_MINUTES` a random schedule of faults runs instead (`scripts/chaos.sh`).
//! `TEST_FIRE_SEED`, `TEST_FIRE_RATE` (transactions a second), `TEST_FIRE_VERIFY` (asks `cdc verify` too).
mod attacks;
mod broker;
mod chaos;
mod check;
mod children;
mod fleet;
mod load;
mod pauses;
#[path = "../proxy/mod.rs"]
mod proxy;
#[path = "../../../consumers/tests/simulation/rng.rs"]
mod rng;
mod scenarios;
mod stack;
mod verify;
mod world;

pub use world::PATIENCE;

use anyhow::{Context, bail};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    iterator::Signals,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

/// Polls until it is so. An error of the question is looked at when the time is up: what is asked may be away for a
/// while. An end of a service is final.
pub fn until(
    what: &str,
    within: Duration,
    mut is_so: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answer = is_so();
        match &answer {
            Ok(true) => return Ok(()),
            Err(e) if format!("{e:#}").contains("ended by itself") => return answer.map(drop),
            _ => {}
        }
        if begun.elapsed() > within {
            return match answer {
                Ok(_) => bail!("waited {} s for {what}", within.as_secs()),
                Err(e) => Err(e).context(format!("waited {} s for {what}", within.as_secs())),
            };
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Nothing is left behind when a person or a script ends the run.
fn end_on_signals() -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            children::end_all();
            let _ = stack::stack(&["wipe"]);
            std::process::exit(130);
        }
    });
    Ok(())
}

fn named(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn settings() -> Result<world::Settings, &'static str> {
    named("TEST_FIRE").ok_or("no TEST_FIRE")?;
    let aws_url = named("TEST_DYNAMODB_ENDPOINT").ok_or("no TEST_DYNAMODB_ENDPOINT")?;
    let same = named("TEST_S3_ENDPOINT").is_some_and(|s3| s3 == aws_url);
    same.then_some(()).ok_or("TEST_S3_ENDPOINT is not the same as TEST_DYNAMODB_ENDPOINT")?;
    named("AWS_ACCESS_KEY_ID").ok_or("no AWS_ACCESS_KEY_ID")?;
    let number = |name, default| named(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    Ok(world::Settings {
        seed: number("TEST_FIRE_SEED", 1),
        rate: number("TEST_FIRE_RATE", 20),
        poison_every: 50,
        verify: named("TEST_FIRE_VERIFY").is_some(),
        aws_url,
    })
}

fn main() -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(why) => {
            eprintln!("left out: {why}");
            println!("0 passed, 0 failed");
            return ExitCode::SUCCESS;
        }
    };
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    match end_on_signals().and_then(|()| run(&settings, &wanted)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            println!("the world could not be made: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// How many scenarios failed. The services' logs stay when one did.
fn run(settings: &world::Settings, wanted: &[String]) -> anyhow::Result<usize> {
    let dir = tempfile::Builder::new().prefix("fire-").tempdir()?;
    let failed = attack(settings, wanted, dir.path());
    if !matches!(failed, Ok(0)) {
        println!("logs of the services: {}", dir.keep().display());
    }
    failed
}

fn attack(settings: &world::Settings, wanted: &[String], logs: &Path) -> anyhow::Result<usize> {
    let begun = Instant::now();
    let mut world = world::World::start(settings, logs)?;
    println!("the world stands, seed {} ({:.0} s)", settings.seed, begun.elapsed().as_secs_f64());
    if let Some(minutes) = named("TEST_FIRE_MINUTES") {
        let minutes = minutes.parse().context("TEST_FIRE_MINUTES: a number")?;
        return match chaos::run(&mut world, settings.seed, minutes) {
            Ok(()) => Ok(0),
            Err(e) => {
                println!("FAILED, seed {}: {e:#}", settings.seed);
                Ok(1)
            }
        };
    }
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in scenarios::ALL {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        let begun = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| scenario(&mut world)));
        let result = result.unwrap_or_else(|_| Err(anyhow::anyhow!("it panicked")));
        let seconds = begun.elapsed().as_secs_f64();
        match result {
            Ok(said) => {
                passed += 1;
                println!("ok {name} ({seconds:.0} s): {said}");
            }
            Err(e) => {
                failed += 1;
                println!("FAILED {name} ({seconds:.0} s): {e:#}");
                // What follows would only fail for the same reason.
                break;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}
