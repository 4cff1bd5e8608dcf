//! The DynamoDB protocol under seeded chaos: `sinks::dynamodb::keyed` decides every request, a model table carries
//! them out. Zombies, late and reordered requests, crashes, lost answers, batches cut differently, state rolled back,
//! tables restored, tombstones collected, re-snapshots, key changes, a new generation, a product in two partitions. Every
//! seed is told twice: products in items of one sum, and in items of merged shares. `SEEDS` sets how many.
mod bugs;
mod lives;
mod source;
mod table;
mod world;

use bugs::{BUGS, BUGS_OF_MERGED, Bug};
use std::collections::BTreeMap;
use world::simulate;

fn seeds(default: u64) -> u64 {
    std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

#[test]
fn every_seed_is_exact() {
    every_seed(false);
}

#[test]
fn every_seed_is_exact_with_merged_shares() {
    every_seed(true);
}

fn every_seed(merged: bool) {
    let seeds = seeds(800);
    let mut sum = BTreeMap::<&str, u64>::new();
    for seed in 0..seeds {
        let tally =
            simulate(seed, Bug::None, merged).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for (what, n) in tally.counts {
            *sum.entry(what).or_default() += n;
        }
    }
    println!("seeds 0..{seeds}: {sum:?}");
    // What a run never met, it says nothing about.
    for what in [
        "collected",
        "dropped",
        "superseded",
        "fenced",
        "rollbacks",
        "switches",
        "restored",
        "told late",
        "two owners",
        "halted",
    ] {
        assert!(sum.contains_key(what), "no seed {what}");
    }
}

#[test]
fn same_seed_same_trace() {
    for seed in 0..30 {
        for merged in [false, true] {
            let run =
                || simulate(seed, Bug::None, merged).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(run() == run() && run().trace != 0, "seed {seed}");
        }
    }
}

#[test]
fn every_planted_bug_is_noticed() {
    are_noticed(&BUGS, false);
}

#[test]
fn every_planted_bug_is_noticed_with_merged_shares() {
    are_noticed(&BUGS_OF_MERGED, true);
}

fn are_noticed(bugs: &[Bug], merged: bool) {
    for bug in bugs {
        let found =
            (0..4_000).find_map(|seed| simulate(seed, *bug, merged).err().map(|e| (seed, e)));
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} was not noticed");
    }
}
