//! The breaker in the engine: nothing is sent, read or moved while it is open, one lane tries, and all go on after it.
use super::*;
use consumers::policy::breaker::State;

const LANES: i32 = 3;

fn lane(index: i32) -> Partition {
    Partition::new("shop.public.things", index)
}
fn policy() -> Policy {
    let (breaker_failures, backoff_ms_max) = (3, 50);
    // One key in every partition.
    let doubt_ms = None;
    Policy { breaker_failures, backoff_ms_max, doubt_ms, linger_ms: 0, ..Policy::default() }
}
fn assign(engine: &mut Engine<Idle>, index: i32) -> Option<Ticket> {
    engine.handle(1, Event::Assigned(lane(index)));
    opens(&actions(engine)).pop()
}
fn opens(actions: &[Action]) -> Vec<Ticket> {
    let open = |action: &Action| match action {
        Action::Open(ticket) => Some(ticket.clone()),
        _ => None,
    };
    actions.iter().filter_map(open).collect()
}
fn answer_open(engine: &mut Engine<Idle>, now: u64, ticket: Ticket) {
    let checkpoint = Some(Checkpoint { partitions: LANES, ..stored(0) });
    let opened = OpenedPartition { checkpoint, bounds: bounds(0, 100, LANES), start: None };
    engine.handle(now, Event::Opened(ticket, Ok(opened)));
}
/// Three lanes, all reading.
fn running() -> Engine<Idle> {
    let mut engine = engine(policy());
    for index in 0..LANES {
        let ticket = assign(&mut engine, index).expect("asks for the state");
        answer_open(&mut engine, 1, ticket);
        assert!(actions(&mut engine).contains_resume(&lane(index)));
    }
    engine
}
fn give(engine: &mut Engine<Idle>, now: u64, index: i32, offset: i64) {
    let (partition, value) = (lane(index), row("c"));
    let record = Record {
        partition: &partition,
        offset,
        timestamp_ms: 1_000 + offset,
        key: Some(HERE),
        value: Some(value.as_bytes()),
        headers: Headers(&()),
    };
    engine.handle(now, Event::Record(record));
}
fn down() -> SinkError {
    SinkError::transient(anyhow::anyhow!("connection refused"))
}
fn until(engine: &Engine<Idle>) -> u64 {
    match engine.breaker().state() {
        State::Open { until } => *until,
        state => panic!("not open: {state:?}"),
    }
}

trait Seen {
    fn contains_resume(&self, partition: &Partition) -> bool;
    fn paused(&self) -> Vec<i32>;
    fn resumed(&self) -> Vec<i32>;
    fn acknowledged(&self) -> usize;
}
impl Seen for Vec<Action> {
    fn contains_resume(&self, partition: &Partition) -> bool {
        self.resumed().contains(&partition.index)
    }
    fn paused(&self) -> Vec<i32> {
        let one = |action: &Action| match action {
            Action::Pause(partition) => Some(partition.index),
            _ => None,
        };
        self.iter().filter_map(one).collect()
    }
    fn resumed(&self) -> Vec<i32> {
        let one = |action: &Action| match action {
            Action::Resume(partition) => Some(partition.index),
            _ => None,
        };
        self.iter().filter_map(one).collect()
    }
    fn acknowledged(&self) -> usize {
        self.iter().filter(|action| matches!(action, Action::Acknowledge(..))).count()
    }
}

/// Lanes 0 and 1 have a batch each, and the sink fails until the breaker opens. The time, and what was done then.
fn open_breaker(engine: &mut Engine<Idle>) -> (u64, Vec<Action>) {
    give(engine, 2, 0, 0);
    give(engine, 2, 1, 0);
    let mut now = 2;
    for _ in 0..20 {
        for (ticket, _) in commits(actions(engine)) {
            engine.handle(now, Event::Committed(ticket, Err(down())));
            if !engine.breaker().is_closed() {
                return (now, actions(engine));
            }
        }
        now = engine.deadline().expect("a time to try again");
        engine.handle(now, Event::Tick);
    }
    panic!("it never opened");
}

#[test]
fn it_opens_and_nothing_is_sent_read_or_moved() {
    let mut engine = running();
    let (now, seen) = open_breaker(&mut engine);
    assert_eq!(seen.paused(), [0, 1, 2], "the idle one, too: {seen:?}");
    assert_eq!(seen.acknowledged(), 0);
    let breaker = engine.breaker();
    assert_eq!((breaker.opened(), breaker.probes(), breaker.since()), (1, 0, now));
    assert!(breaker.cause().contains("connection refused"), "{}", breaker.cause());
    assert!(breaker.cause().contains("shop.public.things/"), "{}", breaker.cause());
    let at = until(&engine);
    assert_eq!(engine.deadline(), Some(at));
    // A record that was on its way is kept, and not worked on.
    give(&mut engine, now, 2, 0);
    for now in now..at {
        engine.handle(now, Event::Tick);
    }
    let seen = actions(&mut engine);
    assert!(seen.is_empty(), "{seen:?}");
    assert!(engine.positions().all(|(_, next)| next == 0));
    assert!(!engine.is_idle(true) && !engine.is_idle(false));
}

#[test]
fn one_lane_tries_and_all_go_on_without_being_loaded_again() {
    let mut engine = running();
    let (now, _) = open_breaker(&mut engine);
    give(&mut engine, now, 2, 0);
    let mut tried = vec![];
    for round in 0..4 {
        let at = until(&engine);
        engine.handle(at, Event::Tick);
        let mut probe = commits(actions(&mut engine));
        assert_eq!(probe.len(), 1, "exactly one tries");
        assert_eq!(engine.deadline(), None, "until its answer comes");
        engine.handle(at + 1_000, Event::Tick);
        assert!(actions(&mut engine).is_empty(), "and nobody else, however long it takes");
        let (ticket, batch) = probe.remove(0);
        assert_eq!((batch.span.start, batch.span.end), (0, 1));
        tried.push(ticket.partition.index);
        if round < 3 {
            engine.handle(at + 1_000, Event::Committed(ticket, Err(down())));
            assert!(until(&engine) > at + 1_000);
            actions(&mut engine);
            continue;
        }
        engine.handle(at + 1_000, Event::Committed(ticket, Ok(Receipt::default())));
        let seen = actions(&mut engine);
        assert_eq!((seen.resumed(), seen.acknowledged()), (vec![0, 1, 2], 1), "{seen:?}");
        assert_eq!(engine.breaker().since(), at + 1_000);
        engine.handle(at + 1_000, Event::Tick);
        let rest = commits(actions(&mut engine));
        let mut others: Vec<i32> = rest.iter().map(|(t, _)| t.partition.index).collect();
        others.sort_unstable();
        assert_eq!(others, [0, 2], "at once: what waited, and what came meanwhile");
    }
    assert_eq!(tried, [0, 1, 0, 1]);
    let (counters, breaker) = (engine.counters(), engine.breaker());
    assert_eq!((counters.reloads, breaker.opened(), breaker.probes()), (0, 1, 4));
    assert!(breaker.is_closed());
}

#[test]
fn an_answer_from_before_moves_the_position_and_sends_nothing() {
    let mut engine = running();
    give(&mut engine, 2, 2, 0);
    let (late, _) = commits(actions(&mut engine)).pop().expect("a batch");
    give(&mut engine, 2, 2, 1);
    let (now, _) = open_breaker(&mut engine);
    engine.handle(now, Event::Committed(late, Ok(Receipt::default())));
    let seen = actions(&mut engine);
    assert_eq!(seen.acknowledged(), 1, "it is durable: {seen:?}");
    assert_eq!(seen.len(), 1, "its next batch waits: {seen:?}");
    assert!(matches!(engine.breaker().state(), State::Open { .. }), "and tells nothing of now");
}

#[test]
fn a_probe_that_is_revoked_hands_over() {
    let mut engine = running();
    open_breaker(&mut engine);
    let at = until(&engine);
    engine.handle(at, Event::Tick);
    let (ticket, _) = commits(actions(&mut engine)).pop().expect("one tries");
    engine.handle(at, Event::Revoked(ticket.partition.clone()));
    engine.handle(at, Event::Assigned(lane(7)));
    actions(&mut engine);
    // The other one speaks alone now, for two that know nothing: they go on.
    engine.handle(at, Event::Tick);
    let seen = actions(&mut engine);
    assert!(engine.breaker().is_closed());
    assert_eq!((commits(seen).len(), engine.counters().reloads), (1, 0));
    engine.handle(at, Event::Committed(ticket, Err(down())));
    assert!(engine.breaker().is_closed(), "an answer of a lane that is gone");
}

#[test]
fn a_probe_that_is_loaded_again_hands_over_and_keeps_its_own_pause() {
    let mut engine = running();
    give(&mut engine, 2, 2, 0);
    let (third, _) = commits(actions(&mut engine)).pop().expect("a batch");
    let (now, _) = open_breaker(&mut engine);
    engine.handle(now, Event::Committed(third, Err(down())));
    let at = until(&engine);
    engine.handle(at, Event::Tick);
    let (ticket, _) = commits(actions(&mut engine)).pop().expect("one tries");
    assert_eq!(ticket.partition, lane(0));
    engine.handle(at, Event::Committed(ticket, Err(SinkError::Fenced)));
    let seen = actions(&mut engine);
    assert!(opens(&seen).is_empty(), "{seen:?}");
    engine.handle(at, Event::Tick);
    let mut next = commits(actions(&mut engine));
    let (ticket, _) = next.pop().expect("the next one tries, at once");
    assert!(next.is_empty() && ticket.partition == lane(1));
    engine.handle(at, Event::Committed(ticket, Ok(Receipt::default())));
    engine.handle(at, Event::Tick);
    let seen = actions(&mut engine);
    assert!(opens(&seen).is_empty(), "another owner has it: {seen:?}");
    let mut now = at;
    while opens(&actions(&mut engine)).is_empty() {
        now = engine.deadline().expect("a time to load it again");
        assert!(now <= at + 50, "its pause is bounded");
        engine.handle(now, Event::Tick);
    }
    assert!(now > at);
}

#[test]
fn a_lane_assigned_meanwhile_waits_for_it_to_close() {
    let mut engine = running();
    open_breaker(&mut engine);
    assert_eq!(assign(&mut engine, 3), None);
    let at = until(&engine);
    engine.handle(at, Event::Tick);
    let (ticket, _) = commits(actions(&mut engine)).pop().expect("one tries");
    engine.handle(at, Event::Committed(ticket, Ok(Receipt::default())));
    engine.handle(at, Event::Tick);
    let opened = opens(&actions(&mut engine));
    assert_eq!(opened.len(), 1);
    answer_open(&mut engine, at, opened[0].clone());
    assert_eq!(actions(&mut engine).resumed(), [3]);
}

#[test]
fn one_ill_partition_does_not_stop_the_others() {
    let mut engine = running();
    give(&mut engine, 2, 0, 0);
    let mut now = 2;
    for _ in 0..30 {
        let (ticket, _) = commits(actions(&mut engine)).pop().expect("its batch, again");
        engine.handle(now, Event::Committed(ticket, Err(down())));
        now = engine.deadline().expect("a time to try again");
        engine.handle(now, Event::Tick);
    }
    actions(&mut engine);
    assert!(engine.breaker().is_closed());
    give(&mut engine, now, 1, 0);
    assert_eq!(commits(actions(&mut engine)).len(), 1);
}

#[test]
fn a_drain_keeps_to_the_breaker_and_ends_when_the_sink_is_back() {
    let mut engine = running();
    let (now, _) = open_breaker(&mut engine);
    give(&mut engine, now, 2, 0);
    engine.handle(now, Event::Drain);
    assert!(actions(&mut engine).is_empty());
    assert!(!engine.is_idle(false), "something in hand is not durable");
    let mut now = until(&engine);
    engine.handle(now, Event::Drain);
    let mut flying = commits(actions(&mut engine));
    assert_eq!(flying.len(), 1);
    for _ in 0..10 {
        for (ticket, _) in std::mem::take(&mut flying) {
            engine.handle(now, Event::Committed(ticket, Ok(Receipt::default())));
        }
        now += 1;
        engine.handle(now, Event::Drain);
        flying = commits(actions(&mut engine));
    }
    assert!(engine.is_idle(false) && engine.is_idle(true));
    assert!(engine.positions().all(|(_, next)| next == 1));
}

#[test]
fn a_drain_with_nothing_in_hand_does_not_wait_for_the_sink() {
    let mut engine = engine(policy());
    let mut asked: Vec<Ticket> = (0..2).filter_map(|n| assign(&mut engine, n)).collect();
    let mut now = 1;
    while engine.breaker().is_closed() {
        for ticket in std::mem::take(&mut asked) {
            engine.handle(now, Event::Opened(ticket, Err(down())));
        }
        now = engine.deadline().expect("a time to try again");
        engine.handle(now, Event::Tick);
        asked = opens(&actions(&mut engine));
    }
    engine.handle(now, Event::Drain);
    assert!(engine.is_idle(false));
}
