//! `scripts/chaos.sh`: a schedule of faults chosen by seed, one after the other, for some minutes. The same seed makes
//! the same schedule: kinds, targets, durations, order; how much of it fits into the minutes is up to the machine.
use crate::{
    attacks,
    rng::Rng,
    world::{Recovery, World},
};
use std::time::{Duration, Instant};

/// Between checks: a check stops the load.
const ATTACKS_BETWEEN_CHECKS: u32 = 4;

pub fn run(world: &mut World, seed: u64, minutes: u64) -> anyhow::Result<()> {
    let mut rng = Rng(seed);
    let begun = Instant::now();
    let end = Duration::from_secs(minutes * 60);
    let mut done = 0;
    while begun.elapsed() < end {
        let attack = attacks::choose(&mut rng);
        done += 1;
        let seconds = attack.carry_out(world)?;
        let source = world.recoveries[attack.kind()].last().map_or(0.0, |last| last.source);
        println!(
            "{:4.0} s  {attack}: new changes after {source:.1} s, caught up after {seconds:.1} s",
            begun.elapsed().as_secs_f64()
        );
        if done % ATTACKS_BETWEEN_CHECKS == 0 {
            world.check(&format!("{done} faults"))?;
            println!("{:4.0} s  exact: {} rows", begun.elapsed().as_secs_f64(), world.seen.rows);
        }
    }
    world.check("all faults")?;
    report(world, seed, begun.elapsed());
    Ok(())
}

fn spread(all: &[Recovery], of: impl Fn(&Recovery) -> f64) -> String {
    let mut sorted: Vec<f64> = all.iter().map(of).collect();
    sorted.sort_by(f64::total_cmp);
    format!("{:5.1}  {:5.1}", sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

fn report(world: &World, seed: u64, took: Duration) {
    let seen = &world.seen;
    println!("\nseed {seed}, {:.0} s", took.as_secs_f64());
    println!("faults:");
    for (kind, count) in &world.faults {
        println!("  {count:3}  {kind}");
    }
    println!("transactions: {}", world.load.transactions());
    println!("records in the logs of the three services: {}", seen.records);
    println!(
        "duplicates absorbed: {} writes whose answer was lost or halved, sent again; at least {} records read again (by the \
         count lines, which a killed process does not finish)",
        world.proxy.counts().lost,
        seen.duplicates
    );
    println!(
        "rows exact: {}; dead letters, each once: {}; alerts, one a crossing: {} (told again under the same name: {})",
        seen.rows, seen.letters, seen.crossings, seen.told_again
    );
    println!(
        "seconds from the end of a fault until the source brought new changes, and until all was caught up:"
    );
    println!("    p50    max      p50    max  times  after");
    for (kind, all) in &world.recoveries {
        let (source, caught_up) = (spread(all, |r| r.source), spread(all, |r| r.all));
        println!("  {source}    {caught_up}  {:5}  {kind}", all.len());
    }
    println!("{}: exact", if world.verify { "verify" } else { "SQL against every sink" });
}
