use super::*;

fn policy() -> Policy {
    Policy { breaker_failures: 3, backoff_base_ms: 10, backoff_ms_max: 100, ..Policy::default() }
}
fn lane(index: i32) -> Partition {
    Partition::new("t", index)
}
/// Three lanes are held, each of these fails once, in order.
fn fail(breaker: &mut Breaker, now: Millis, lanes: &[i32]) -> bool {
    let one = |index: &i32| breaker.failed(now, &lane(*index), "no answer", 3, &policy());
    lanes.iter().map(one).fold(false, |opened, now| opened | now)
}
fn until(breaker: &Breaker) -> Millis {
    match breaker.state() {
        State::Open { until } => *until,
        other => panic!("not open: {other:?}"),
    }
}
fn opened() -> Breaker {
    let mut breaker = Breaker::default();
    assert!(fail(&mut breaker, 1_000, &[0, 1, 2]));
    breaker
}
/// Lets the pause pass; who tries.
fn probe(breaker: &mut Breaker, lanes: usize) -> Partition {
    let at = until(breaker);
    if at > 0 {
        assert_eq!(breaker.turn(at - 1, lanes, |_| true), None, "the pause is kept");
    }
    match breaker.turn(at, lanes, |_| true) {
        Some(Turn::Probe(partition)) => partition,
        other => panic!("nobody tries: {other:?}"),
    }
}

#[test]
fn opens_after_failures_in_a_row_over_all_lanes() {
    let mut breaker = Breaker::default();
    assert!(!fail(&mut breaker, 1, &[0, 1]));
    assert!(!breaker.succeeded(2, &lane(2)));
    assert_eq!(breaker.failures_in_a_row(), 0);
    assert!(!fail(&mut breaker, 3, &[0, 1]), "the success began the count anew");
    assert!(breaker.is_closed() && breaker.opened() == 0);
    assert!(fail(&mut breaker, 4, &[0]));
    assert_eq!((breaker.opened(), breaker.since()), (1, 4));
    assert_eq!(breaker.cause(), "t/0: no answer");
    assert!((5..=24).contains(&until(&breaker)), "within twice the base: {:?}", breaker.state());
    assert!(!fail(&mut breaker, 5, &[1, 2, 1]), "it is open already");
    assert_eq!(breaker.opened(), 1);
}

#[test]
fn one_lane_among_others_never_opens_it_and_an_only_lane_does() {
    let mut breaker = Breaker::default();
    assert!(!fail(&mut breaker, 1, &[0; 50]));
    assert!(fail(&mut breaker, 2, &[1]), "a second one says the same");
    let mut breaker = Breaker::default();
    let one = |breaker: &mut Breaker| breaker.failed(1, &lane(0), "x", 1, &policy());
    assert!(!one(&mut breaker) && !one(&mut breaker) && one(&mut breaker));
}

#[test]
fn only_the_probe_closes_it_and_only_the_probe_opens_it_again() {
    let mut breaker = opened();
    assert!(!breaker.succeeded(1_001, &lane(7)), "sent before it opened");
    assert!(matches!(breaker.state(), State::Open { .. }));
    let trying = probe(&mut breaker, 3);
    assert_eq!(breaker.turn(9_999, 3, |_| true), None, "one at a time");
    let before = breaker.state().clone();
    assert!(!breaker.succeeded(2_000, &lane(7)));
    fail(&mut breaker, 2_000, &[1]);
    assert_eq!(*breaker.state(), before, "other lanes' late answers decide nothing");
    assert_eq!(trying, lane(0));
    fail(&mut breaker, 2_000, &[0]);
    assert!(until(&breaker) > 2_000);
    let trying = probe(&mut breaker, 3);
    assert!(breaker.succeeded(3_000, &trying));
    assert!(breaker.is_closed());
    let seen = (breaker.opened(), breaker.probes(), breaker.since(), breaker.failures_in_a_row());
    assert_eq!(seen, (1, 2, 3_000, 0));
    assert!(!fail(&mut breaker, 3_001, &[0, 1]), "counts from nothing again");
}

#[test]
fn pauses_double_up_to_the_limit_and_begin_small_again() {
    let mut breaker = opened();
    let mut longest = 0;
    for bound in [20, 40, 80, 100, 100, 100] {
        let now = until(&breaker);
        let trying = probe(&mut breaker, 3);
        breaker.failed(now, &trying, "still", 3, &policy());
        // The pause after this one may be twice as long.
        let pause = until(&breaker) - now;
        assert!(pause <= (2 * bound).min(100), "{pause} after {bound}");
        longest = longest.max(pause);
    }
    assert!(longest > 20, "it does grow: {longest}");
    let trying = probe(&mut breaker, 3);
    breaker.succeeded(5_000, &trying);
    assert!(fail(&mut breaker, 6_000, &[0, 1, 2]));
    assert!(until(&breaker) <= 6_020);
}

#[test]
fn tries_go_round_the_lanes_that_failed() {
    let mut breaker = opened();
    let mut seen = vec![];
    for now in 0..6 {
        let trying = probe(&mut breaker, 3);
        seen.push(trying.index);
        breaker.failed(now, &trying, "still", 3, &policy());
    }
    assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_probe_that_goes_away_leaves_its_place_to_the_next() {
    let mut breaker = opened();
    assert_eq!(probe(&mut breaker, 3), lane(0));
    breaker.gone(&lane(0));
    assert_eq!(breaker.turn(0, 2, |_| true), Some(Turn::Probe(lane(1))), "at once");
    breaker.gone(&lane(1));
    assert_eq!(breaker.turn(0, 1, |_| true), Some(Turn::Probe(lane(2))), "the only one left");
    breaker.gone(&lane(2));
    assert_eq!(breaker.turn(7, 0, |_| true), Some(Turn::Closed), "nobody is left");
    assert!(breaker.is_closed() && breaker.since() == 7);
}

#[test]
fn it_does_not_stay_open_on_the_word_of_one_among_others() {
    let mut breaker = Breaker::default();
    assert!(fail(&mut breaker, 1, &[0, 0, 1]));
    breaker.gone(&lane(1));
    let at = until(&breaker);
    assert_eq!(breaker.turn(at, 3, |_| true), Some(Turn::Closed));
    assert!(!fail(&mut breaker, at, &[0, 0, 0, 0]), "and does not open on it again");
}

#[test]
fn a_lane_with_a_call_under_way_tries_only_if_no_other_can() {
    let mut breaker = opened();
    let at = until(&breaker);
    assert_eq!(breaker.turn(at, 3, |lane| lane.index == 2), Some(Turn::Probe(lane(2))));
    breaker.failed(at, &lane(2), "still", 3, &policy());
    let at = until(&breaker);
    assert_eq!(breaker.turn(at, 3, |_| false), Some(Turn::Probe(lane(0))));
    assert!(breaker.succeeded(at, &lane(0)), "its answer decides");
}
