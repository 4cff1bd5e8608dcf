use super::{super::steps::STEPS, *};
use std::collections::{BTreeMap, BTreeSet};

const MARKET: Market = Market { products: 200, customers: 100, zipf: 1.1 };
const KNOWN: Known = Known { products: 200, newest_order: 5_000, newest_line: 15_000 };

fn plan(seed: u64, worker: u64) -> Plan {
    Plan::new(seed, worker, MARKET, SystemTime::UNIX_EPOCH)
}
fn some(seed: u64, worker: u64, count: usize) -> Vec<Transaction> {
    let mut plan = plan(seed, worker);
    (0..count).map(|_| plan.next(&KNOWN)).collect()
}

#[test]
fn the_parts_are_a_thousand_and_each_kind_has_its_share() {
    assert_eq!(STEPS.iter().map(|(parts, _, _)| parts).sum::<u32>(), PARTS);
    let mut shares: BTreeMap<Kind, u32> = BTreeMap::new();
    (0..PARTS).for_each(|dice| *shares.entry(Kind::at(dice)).or_default() += 1);
    assert_eq!(shares, STEPS.iter().map(|(parts, kind, _)| (*kind, *parts)).collect());
    let names: BTreeSet<&str> = STEPS.iter().map(|(_, kind, _)| kind.name()).collect();
    assert_eq!(names.len(), STEPS.len());
}

#[test]
fn the_same_seed_plans_the_same() {
    assert_eq!(some(7, 0, 3_000), some(7, 0, 3_000));
    assert_ne!(some(7, 0, 30), some(8, 0, 30));
    assert_ne!(some(7, 0, 30), some(7, 1, 30));
}

#[test]
fn every_kind_comes_and_about_one_in_fifty_is_rolled_back() {
    let made = some(1, 0, 20_000);
    for (parts, kind, name) in STEPS {
        let share = made.iter().filter(|t| t.kind == kind).count() as f64 / 20_000.0;
        let due = f64::from(parts) / f64::from(PARTS);
        assert!((share - due).abs() < 0.01 && share > due / 3.0, "{name}: {share} for {due}");
    }
    let back = made.iter().filter(|t| t.roll_back).count();
    assert!((300..500).contains(&back), "{back}");
}

#[test]
fn a_few_products_are_hot_and_every_rank_exists() {
    let mut hits = vec![0_u32; 200];
    for made in some(1, 0, 20_000) {
        if let Step::Order { lines, .. } = made.step {
            lines.iter().for_each(|l| hits[usize::try_from(l.rank).expect("a rank")] += 1);
        }
    }
    let all: u32 = hits.iter().sum();
    assert!(hits[0] * 8 > all, "the hottest has {} of {all}", hits[0]);
    assert!(hits.iter().filter(|n| **n == 0).count() < 20, "the cold ones are ordered too");
}

#[test]
fn all_alike_without_an_exponent() {
    let mut plan = Plan::new(1, 0, Market { zipf: 0.0, ..MARKET }, SystemTime::UNIX_EPOCH);
    let mut hits = [0_u32; 10];
    let known = Known { products: 10, ..KNOWN };
    (0..10_000).for_each(|_| hits[usize::try_from(plan.wanted(&known)).expect("a rank")] += 1);
    assert!(hits.iter().all(|n| (800..1_200).contains(n)), "{hits:?}");
}

#[test]
fn products_neither_run_out_nor_pile_up() {
    let mut few = plan(1, 0);
    let known = Known { products: 100, ..KNOWN };
    assert!((0..5_000).all(|_| few.next(&known).kind != Kind::ProductGoes));
    let mut many = plan(1, 0);
    let known = Known { products: 400, ..KNOWN };
    let made: Vec<Kind> = (0..5_000).map(|_| many.next(&known).kind).collect();
    assert!(!made.contains(&Kind::ProductComes) && !made.contains(&Kind::ProductReturns));
    assert!(made.contains(&Kind::ProductGoes));
}

#[test]
fn empty_tables_are_no_reason_to_stop() {
    let mut plan = plan(1, 0);
    let known = Known { products: 0, newest_order: 0, newest_line: 0 };
    (0..5_000).for_each(|_| drop(plan.next(&known)));
}

#[test]
fn texts_are_short_or_long_never_between() {
    let mut rng = StdRng::seed_from_u64(1);
    let short_bytes_max = usize::try_from(words::SHORT_BYTES_MAX).expect("positive");
    for _ in 0..1_000 {
        let short = words::description(&mut rng).unwrap_or_default() + &words::name(&mut rng);
        assert!(short.len() < short_bytes_max);
        assert!(words::manual(&mut rng).len() > short_bytes_max + 500);
    }
}
