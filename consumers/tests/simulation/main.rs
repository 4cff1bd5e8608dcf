//! The engine and the inventory handler under seeded chaos: rebalances with zombies, crashes at every point between
//! letters, writes, state and acknowledgement, lost, doubled and late answers, outages and throttling of everything at once,
//! poison, refusals, re-snapshots, key changes, truncates, letters replayed late, rows that the source lost without a
//! word removed late, both raced by newer records. Whatever
//! happens, the view, the dead letters, their marks and the positions come out as if nothing had.
//!
//! `SEEDS=200000 cargo test -p consumers --test simulation` runs more; `SEED=17` runs one.
mod disk;
mod history;
mod node;
mod rng;
mod world;

use disk::Way;
use std::collections::BTreeMap;
use world::{simulate, simulate_growth, simulate_halts};

/// Each breaks one promise, and the simulation must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    None,
    /// The state takes any batch.
    NoCas,
    PositionWithoutRows,
    LettersAfterState,
    NoLetters,
    StateBeforeWrites,
    AcknowledgeEarly,
    SeekTooFar,
    /// The breaker, half-open, lets every lane try.
    ProbesWithAll,
    /// The breaker takes every try for a failure.
    NeverCloses,
    /// While the breaker is open, a commit that failed counts as done.
    MovesOnWhileOpen,
    /// While the breaker is open, partitions are not paused.
    ReadsOn,
    /// Keyed: the update does not look at what is there.
    NoCondition,
    /// Keyed: a failed condition counts as "it is there".
    FailedMeansApplied,
    /// Keyed: a refused write takes its whole record with it.
    RefusedSkipsRecord,
    /// Growth: keys that moved are not noticed.
    PlacementNotLookedAt,
    /// Growth: the state of a topic takes lanes of any count.
    AnyCount,
    /// Growth: brokers tell the old count for ever.
    CountNeverKnown,
    /// A replayed letter takes effect whatever came between.
    NoLook,
    /// A late answer to an earlier question counts as the answer to the last one.
    AnyAnswerCounts,
    /// The same, of publications only.
    AnyPublicationCounts,
    /// A removal takes effect whatever came between.
    BlindRemoval,
    /// A halt ends the process with what it had read before in hand.
    HaltsAtOnce,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn exact(way: Way, seeds: u64) {
    let range = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").map_or(seeds, |seeds| seeds / 2),
    };
    let all = range.end - range.start > 1;
    let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in range.clone() {
        let story = simulate(seed, way, Bug::None)
            .unwrap_or_else(|why| panic!("{way:?}, SEED={seed}: {why}"));
        for (what, n) in story.counts {
            *sum.entry(what).or_default() += n;
        }
    }
    println!("{way:?}: seeds {range:?} exact; {sum:?}");
    for what in [
        "moves",
        "crashes",
        "stops",
        "doubled",
        "late: opened",
        "late: rows",
        "late: scanned",
        "late: looked",
        "late: committed",
        "late: published",
        "late: errors",
        "outages",
        "throttled",
        "opened",
        "probes",
        "probes lost",
        "fenced",
        "repeats",
        "letters",
        "reloads",
        "published",
        "looks",
        "looks for removals",
        "failed again",
        "moved on",
        "fetched ahead",
    ] {
        assert!(!all || sum.get(what).is_some_and(|n| *n > 0), "no seed went through: {what}");
    }
}

#[test]
fn transactional_stores_are_exact() {
    exact(Way::Transactional, 10_000);
}

#[test]
fn keyed_sinks_are_exact() {
    exact(Way::Keyed, 10_000);
}

/// The producer knows of the new partitions first, brokers and the group later.
#[test]
fn more_partitions_halt_before_a_key_that_moved_is_applied() {
    for way in [Way::Transactional, Way::Keyed] {
        let seeds = number("SEED").map_or(0..500, |seed| seed..seed + 1);
        let (mut halts, mut fenced) = (0, 0);
        for seed in seeds.clone() {
            let story = simulate_growth(seed, way, Bug::None)
                .unwrap_or_else(|why| panic!("{way:?}, SEED={seed}: {why}"));
            halts += story.counts["halts"];
            fenced += story.counts["fenced"];
        }
        println!("{way:?}: seeds {seeds:?}, {halts} halts, {fenced} fenced");
    }
}

#[test]
fn every_bug_about_more_partitions_is_noticed() {
    for bug in [Bug::PlacementNotLookedAt, Bug::AnyCount, Bug::CountNeverKnown] {
        for way in [Way::Transactional, Way::Keyed] {
            let mut seeds = 0..200;
            let found =
                seeds.find_map(|seed| simulate_growth(seed, way, bug).err().map(|why| (seed, why)));
            println!("{way:?} {bug:?}: {found:?}");
            assert!(found.is_some(), "{way:?} {bug:?} was not noticed");
        }
    }
}

/// Whatever crashes and moves meanwhile, the rows and letters before the record are durable when its reader halts, and
/// nothing from there on is.
#[test]
fn a_halt_keeps_what_came_before_it() {
    for way in [Way::Transactional, Way::Keyed] {
        let seeds = number("SEED").map_or(0..500, |seed| seed..seed + 1);
        let mut halts = 0;
        for seed in seeds.clone() {
            let story = simulate_halts(seed, way, Bug::None)
                .unwrap_or_else(|why| panic!("{way:?}, SEED={seed}: {why}"));
            halts += story.counts["halts"];
        }
        println!("{way:?}: seeds {seeds:?}, {halts} halts");
        let mut seeds = 0..200;
        let found = seeds
            .find_map(|seed| simulate_halts(seed, way, Bug::HaltsAtOnce).err().map(|w| (seed, w)));
        println!("{way:?}: {found:?}");
        assert!(found.is_some(), "{way:?} HaltsAtOnce was not noticed");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..100 {
        for way in [Way::Transactional, Way::Keyed] {
            let story = simulate(seed, way, Bug::None);
            assert_eq!(story, simulate(seed, way, Bug::None), "{way:?}, SEED={seed}");
            if seed >= 20 {
                continue;
            }
            let story = simulate_growth(seed, way, Bug::None);
            assert_eq!(story, simulate_growth(seed, way, Bug::None), "growth, SEED={seed}");
        }
    }
}

#[test]
fn every_planted_bug_is_noticed() {
    let both = [
        Bug::NoCas,
        Bug::PositionWithoutRows,
        Bug::LettersAfterState,
        Bug::NoLetters,
        Bug::AcknowledgeEarly,
        Bug::SeekTooFar,
        Bug::ProbesWithAll,
        Bug::NeverCloses,
        Bug::MovesOnWhileOpen,
        Bug::ReadsOn,
        Bug::NoLook,
        Bug::AnyAnswerCounts,
        Bug::AnyPublicationCounts,
        Bug::BlindRemoval,
    ];
    let keyed = [
        Bug::StateBeforeWrites,
        Bug::NoCondition,
        Bug::FailedMeansApplied,
        Bug::RefusedSkipsRecord,
    ];
    let cases = both
        .iter()
        .flat_map(|bug| [(Way::Transactional, *bug), (Way::Keyed, *bug)])
        .chain(keyed.iter().map(|bug| (Way::Keyed, *bug)));
    for (way, bug) in cases {
        let found =
            (0..2_000).find_map(|seed| simulate(seed, way, bug).err().map(|why| (seed, why)));
        println!("{way:?} {bug:?}: {found:?}");
        assert!(found.is_some(), "{way:?} {bug:?} was not noticed");
    }
}
