//! What the engine refuses to go on from, and how it holds back.
#[path = "engine/ahead.rs"]
mod ahead;
#[path = "engine/breaker.rs"]
mod breaker;
#[path = "engine/composite.rs"]
mod composite;
#[path = "engine/halts.rs"]
mod halts;
#[path = "engine/identity.rs"]
mod identity;
#[path = "engine/notices.rs"]
mod notices;
#[path = "engine/outage.rs"]
mod outage;
#[path = "engine/snapshots.rs"]
mod snapshots;
#[path = "engine/whose.rs"]
mod whose;

use consumers::{
    engine::{Action, Engine, Event, OpenedPartition, Ticket},
    handler::{Handler, Keys, Reject, Step},
    policy::Policy,
    source::{Bounds, Headers, Record},
    source_table::{SourceTable, SourceType},
};
use debezium::{Change, Decoder};
use sinks::{Batch, Checkpoint, Key, Mark, Partition, Receipt, SinkError, View};
use std::sync::Arc;

/// Takes every change, asks for nothing.
struct Idle;
impl Handler for Idle {
    type Fact = ();
    fn tables(&self) -> Vec<SourceTable> {
        vec![SourceTable::new("things", 't').key("id", SourceType::Int)]
    }
    fn views(&self) -> Vec<View> {
        vec![]
    }
    fn fingerprint(&self) -> String {
        "idle 1".into()
    }
    fn read(&self, _: &Change<'_>) -> Result<Option<()>, Reject> {
        Ok(Some(()))
    }
    fn needs(&self, (): &(), _: &mut Keys) {}
    fn apply(&self, (): (), _: &mut Step<'_>) {}
    fn truncated(&self, _: &str) -> Option<Key> {
        Some(b"x".to_vec())
    }
    fn gone(&self, _: &[u8]) -> Option<()> {
        None
    }
}

fn partition() -> Partition {
    Partition::new("shop.public.things", 0)
}
fn engine(policy: Policy) -> Engine<Idle> {
    Engine::new(Idle, Decoder::default(), policy)
}
fn actions(engine: &mut Engine<Idle>) -> Vec<Action> {
    std::iter::from_fn(|| engine.poll()).collect()
}
const fn bounds(begin: i64, end: i64, partitions: i32) -> Bounds {
    Bounds { begin, end, partitions }
}
fn stored(next: i64) -> Checkpoint {
    Checkpoint { next, fingerprint: "idle 1".into(), partitions: 1, ..Checkpoint::default() }
}

/// Assigns the partition and answers the question for its state.
fn open(engine: &mut Engine<Idle>, checkpoint: Option<Checkpoint>, bounds: Bounds) -> Vec<Action> {
    engine.handle(0, Event::Assigned(partition()));
    let ticket = actions(engine)
        .into_iter()
        .find_map(|action| match action {
            Action::Open(ticket) => Some(ticket),
            _ => None,
        })
        .expect("asks for the state");
    engine
        .handle(0, Event::Opened(ticket, Ok(OpenedPartition { checkpoint, bounds, start: None })));
    let mut seen = actions(engine);
    // A first start is stored before anything is read.
    let start = seen.iter().position(|action| matches!(action, Action::Commit(..)));
    if let Some(Action::Commit(ticket, batch, _)) = start.map(|at| seen.remove(at)) {
        assert!(batch.writes.is_empty() && batch.span.start == batch.span.end);
        assert!(!seen.iter().any(|action| matches!(action, Action::Resume(_))), "{seen:?}");
        engine.handle(0, Event::Committed(ticket, Ok(Receipt::default())));
        seen.extend(actions(engine));
        assert!(seen.iter().any(|action| matches!(action, Action::Resume(_))), "{seen:?}");
    }
    seen
}
fn halted(actions: &[Action]) -> &str {
    let why = actions.iter().find_map(|action| match action {
        Action::Halt(why) => Some(why.as_str()),
        _ => None,
    });
    why.unwrap_or_else(|| panic!("not halted: {actions:?}"))
}
/// Everything is durable at once, until there is nothing left to do; all that was asked for on the way.
fn finished(engine: &mut Engine<Idle>) -> Vec<Action> {
    let mut seen = Vec::new();
    loop {
        let new = actions(engine);
        if new.is_empty() {
            return seen;
        }
        for action in &new {
            if let Action::Commit(ticket, ..) = action {
                engine.handle(1, Event::Committed(ticket.clone(), Ok(Receipt::default())));
            }
        }
        seen.extend(new);
    }
}
fn feed(engine: &mut Engine<Idle>, offset: i64, value: &str) {
    feed_keyed(engine, offset, Some(HERE), value);
}
/// Belongs into partition 0 of any count up to 4.
const HERE: &[u8] = br#"{"id":1}"#;
/// Belongs into partition 1 of 2.
const ELSEWHERE: &[u8] = br#"{"id":3}"#;
fn feed_keyed(engine: &mut Engine<Idle>, offset: i64, key: Option<&[u8]>, value: &str) {
    let record = Record {
        partition: &partition(),
        offset,
        timestamp_ms: 1_000 + offset,
        key,
        value: Some(value.as_bytes()),
        headers: Headers(&()),
    };
    engine.handle(1, Event::Record(record));
}
/// The row that the key names.
fn feed_row(engine: &mut Engine<Idle>, offset: i64, key: &[u8]) {
    let id = std::str::from_utf8(key).expect("text").trim_start_matches(r#"{"id":"#);
    let value = row("c").replace(r#""id":1}"#, &format!(r#""id":{id}"#));
    feed_keyed(engine, offset, Some(key), &value);
}
fn row(op: &str) -> String {
    format!(
        r#"{{"before":null,"after":{{"id":1}},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"things"}},"op":"{op}","ts_ms":6}}"#
    )
}
fn commits(actions: Vec<Action>) -> Vec<(Ticket, Arc<Batch>)> {
    let commit = |action| match action {
        Action::Commit(ticket, batch, _) => Some((ticket, batch)),
        _ => None,
    };
    actions.into_iter().filter_map(commit).collect()
}

#[test]
fn never_goes_on_over_a_gap() {
    let seen = open(&mut engine(Policy::default()), Some(stored(10)), bounds(20, 30, 1));
    let why = halted(&seen);
    assert!(why.contains("shop.public.things/0") && why.contains("begins at offset 20"), "{why}");
    assert!(why.contains("stands at 10") && why.contains("GENERATION"), "{why}");
}

#[test]
fn never_goes_on_beyond_the_end_of_the_log() {
    let seen = open(&mut engine(Policy::default()), Some(stored(10)), bounds(0, 5, 1));
    assert!(halted(&seen).contains("ends at offset 5"));
}

#[test]
fn more_partitions_halt_before_anything_is_applied() {
    let seen = open(&mut engine(Policy::default()), Some(stored(10)), bounds(0, 50, 3));
    assert!(halted(&seen).contains("3 partitions"));
}

#[test]
fn other_rules_halt() {
    let other = Checkpoint { fingerprint: "idle 0".into(), ..stored(10) };
    let seen = open(&mut engine(Policy::default()), Some(other), bounds(0, 50, 1));
    assert!(halted(&seen).contains("(idle 0 became 1)"));
}

#[test]
fn a_topic_made_anew_is_noticed_though_it_is_longer() {
    let mark = Mark { offset: 9, timestamp_ms: 77, key_digest: 1, is_delete: false };
    let checkpoint = Checkpoint { last: Some(mark), ..stored(10) };
    let mut engine = engine(Policy::default());
    let seen = open(&mut engine, Some(checkpoint), bounds(0, 50, 1));
    assert!(matches!(&seen[..], [Action::Seek(_, 9), Action::Resume(_)]), "{seen:?}");
    feed(&mut engine, 9, &row("c"));
    assert!(halted(&actions(&mut engine)).contains("made anew"));
}

#[test]
fn the_same_topic_goes_on_where_the_state_stands() {
    let mut first = engine(Policy { linger_ms: 0, ..Policy::default() });
    open(&mut first, None, bounds(0, 1, 1));
    feed(&mut first, 0, &row("c"));
    let (_, batch) = commits(actions(&mut first)).pop().expect("a batch");
    let mut second = engine(Policy { linger_ms: 0, ..Policy::default() });
    open(&mut second, Some(batch.checkpoint.clone()), bounds(0, 2, 1));
    feed(&mut second, 0, &row("c"));
    feed(&mut second, 1, &row("u"));
    let (_, batch) = commits(actions(&mut second)).pop().expect("a batch");
    assert_eq!((batch.span.start, batch.span.end), (1, 2));
}

#[test]
fn a_trimmed_log_is_said_aloud_and_remembered() {
    let mut engine = engine(Policy { linger_ms: 0, ..Policy::default() });
    let seen = open(&mut engine, None, bounds(7, 20, 1));
    assert!(
        seen.iter().any(|action| matches!(action, Action::Warn(text) if text.contains("offset 7")))
    );
    feed(&mut engine, 7, &row("c"));
    let (_, batch) = commits(actions(&mut engine)).pop().expect("a batch");
    assert_eq!(batch.checkpoint.trimmed, Some(7));
    assert_eq!((batch.span.start, batch.span.end), (7, 8));
}

#[test]
fn a_flood_of_dead_letters_halts() {
    let mut engine = engine(Policy { letters_in_a_row_max: 3, ..Policy::default() });
    open(&mut engine, None, bounds(0, 20, 1));
    (0..3).for_each(|offset| feed(&mut engine, offset, "{"));
    assert!(!actions(&mut engine).iter().any(|action| matches!(action, Action::Halt(_))));
    feed(&mut engine, 3, "{");
    let seen = finished(&mut engine);
    let why = halted(&seen);
    assert!(
        why.contains("4 dead letters in a row") && why.contains("At offset 3: not JSON"),
        "{why}"
    );
}

#[test]
fn a_truncate_without_order_halts() {
    let mut engine = engine(Policy::default());
    open(&mut engine, None, bounds(0, 20, 2));
    feed(&mut engine, 0, &row("t"));
    assert!(halted(&actions(&mut engine)).contains("truncates"));
}

#[test]
fn a_topic_of_nobody_halts() {
    let mut engine = engine(Policy::default());
    engine.handle(0, Event::Assigned(Partition::new("shop.public.others", 0)));
    assert!(halted(&actions(&mut engine)).contains("reads things"));
}

#[test]
fn memory_is_bounded_by_pausing() {
    let policy =
        Policy { batch_records_max: 2, linger_ms: 0, buffer_bytes_max: 1_000, ..Policy::default() };
    let mut engine = engine(policy);
    open(&mut engine, None, bounds(0, 200, 1));
    let mut seen = vec![];
    for offset in 0..8 {
        feed(&mut engine, offset, &row("c"));
        seen.extend(actions(&mut engine));
    }
    assert_eq!(seen.iter().filter(|action| matches!(action, Action::Pause(_))).count(), 1);
    let mut flying = commits(seen);
    assert_eq!(flying.len(), 1, "one batch in flight");
    let mut resumed = 0;
    while let Some((ticket, _)) = flying.pop() {
        engine.handle(2, Event::Committed(ticket, Ok(Receipt::default())));
        let seen = actions(&mut engine);
        resumed += seen.iter().filter(|action| matches!(action, Action::Resume(_))).count();
        flying.extend(commits(seen));
        engine.handle(3, Event::Tick);
        flying.extend(commits(actions(&mut engine)));
    }
    assert_eq!(resumed, 1);
    assert!(engine.is_idle(true));
}

/// Or a service whose rows rarely change would look stale.
#[test]
fn a_change_that_asks_for_no_write_moves_the_time_that_is_durable() {
    let mut engine = engine(Policy { batch_records_max: 2, ..Policy::default() });
    open(&mut engine, Some(stored(0)), bounds(0, 9, 1));
    feed(&mut engine, 0, &row("u").replace(r#""ts_ms":5"#, r#""ts_ms":9"#));
    feed(&mut engine, 1, &row("u"));
    let [(_, batch)] = &commits(actions(&mut engine))[..] else { panic!("one batch") };
    assert_eq!((batch.writes.len(), batch.source_ts_ms), (0, Some(9)));
}

#[test]
fn a_second_answer_to_one_question_changes_nothing() {
    let mut engine = engine(Policy { batch_records_max: 1, linger_ms: 0, ..Policy::default() });
    open(&mut engine, None, bounds(0, 200, 1));
    feed(&mut engine, 0, &row("c"));
    feed(&mut engine, 1, &row("c"));
    let (ticket, _) = commits(actions(&mut engine)).pop().expect("a batch");
    engine.handle(2, Event::Committed(ticket.clone(), Ok(Receipt::default())));
    assert_eq!(commits(actions(&mut engine)).len(), 1, "the second batch flies");
    engine.handle(2, Event::Committed(ticket, Ok(Receipt::default())));
    let seen = actions(&mut engine);
    assert!(seen.is_empty(), "taken for the second batch's answer: {seen:?}");
}

#[test]
fn what_fails_for_now_is_tried_again_and_the_position_waits() {
    let mut engine = engine(Policy { linger_ms: 0, backoff_ms_max: 50, ..Policy::default() });
    open(&mut engine, None, bounds(0, 200, 1));
    feed(&mut engine, 0, &row("c"));
    let (ticket, first) = commits(actions(&mut engine)).pop().expect("a batch");
    engine.handle(
        5,
        Event::Committed(ticket, Err(SinkError::transient(anyhow::anyhow!("throttled")))),
    );
    let seen = actions(&mut engine);
    assert!(matches!(&seen[..], [Action::Warn(text)] if text.contains("throttled")), "{seen:?}");
    let at = engine.deadline().expect("a time to try again");
    assert!((6..=55).contains(&at), "{at}");
    engine.handle(at, Event::Tick);
    let (_, again) = commits(actions(&mut engine)).pop().expect("the same batch");
    assert_eq!(first.digest(), again.digest());
}

#[test]
fn a_busy_partition_still_publishes() {
    let policy = Policy {
        batch_records_max: 1,
        linger_ms: 0,
        publish_every_ms: Some(100),
        ..Policy::default()
    };
    let mut engine = engine(policy);
    open(&mut engine, None, bounds(0, 200, 1));
    let (mut published, mut now) = (0, 1);
    for offset in 0..50 {
        feed(&mut engine, offset, &row("c"));
        feed(&mut engine, offset + 50, &row("c"));
    }
    let mut seen = actions(&mut engine);
    while let Some(action) = seen.pop() {
        now += 10;
        match action {
            Action::Commit(ticket, ..) => {
                engine.handle(now, Event::Committed(ticket, Ok(Receipt::default())));
            }
            Action::Publish(ticket, _) => {
                published += 1;
                engine.handle(now, Event::Published(ticket, Ok(())));
            }
            _ => {}
        }
        seen.extend(actions(&mut engine));
    }
    assert!(published >= 3, "published {published} times within {now} ms of a full queue");
}

#[test]
fn latest_stays_where_it_first_began() {
    let mut engine =
        engine(Policy { start: consumers::policy::Start::Latest, ..Policy::default() });
    engine.handle(0, Event::Assigned(partition()));
    let ticket = actions(&mut engine).into_iter().find_map(|action| match action {
        Action::Open(ticket) => Some(ticket),
        _ => None,
    });
    let opened = OpenedPartition { checkpoint: None, bounds: bounds(0, 100, 1), start: None };
    engine.handle(0, Event::Opened(ticket.expect("asks"), Ok(opened)));
    let (_, batch) = commits(actions(&mut engine)).pop().expect("the start, to be stored");
    assert_eq!((batch.checkpoint.next, batch.span.end), (100, 100));
}

/// At a time: where the source says that the first record of that time is, and no warning about older ones.
#[test]
fn a_time_stays_where_it_first_began() {
    for (start, expected, trimmed) in [(Some(40), 40, None), (Some(20), 20, Some(20))] {
        let start_at = consumers::policy::Start::At(1_000);
        let mut engine = engine(Policy { start: start_at, ..Policy::default() });
        engine.handle(0, Event::Assigned(partition()));
        let ticket = actions(&mut engine).into_iter().find_map(|action| match action {
            Action::Open(ticket) => Some(ticket),
            _ => None,
        });
        let opened = OpenedPartition { checkpoint: None, bounds: bounds(20, 100, 1), start };
        engine.handle(0, Event::Opened(ticket.expect("asks"), Ok(opened)));
        let seen = actions(&mut engine);
        let warned = seen.iter().any(|action| matches!(action, Action::Warn(_)));
        assert_eq!(warned, trimmed.is_some(), "{seen:?}");
        let (_, batch) = commits(seen).pop().expect("the start, to be stored");
        assert_eq!((batch.checkpoint.next, batch.checkpoint.trimmed), (expected, trimmed));
    }
    // What is stored goes on where it stands.
    let mut engine =
        engine(Policy { start: consumers::policy::Start::At(1_000), ..Policy::default() });
    let seen = open(&mut engine, Some(stored(10)), bounds(0, 50, 1));
    assert!(seen.iter().any(|action| matches!(action, Action::Seek(_, 10))), "{seen:?}");
}

#[test]
fn a_mark_that_left_the_log_is_looked_at_again() {
    let mark = Mark { offset: 9, timestamp_ms: 77, key_digest: 1, is_delete: false };
    let mut engine = engine(Policy::default());
    open(&mut engine, Some(Checkpoint { last: Some(mark), ..stored(10) }), bounds(0, 50, 1));
    engine.handle(1, Event::Broken(partition(), "out of range".into()));
    let seen = actions(&mut engine);
    assert!(!seen.iter().any(|action| matches!(action, Action::Halt(_))), "{seen:?}");
    assert!(engine.is_idle(false), "nothing is in its hands");
}

/// A lane of a topic with 2 partitions, whose first three records are durable, is fed a record of another partition.
fn astray(policy: Policy) -> (Engine<Idle>, Checkpoint, Vec<Action>) {
    let mut engine = engine(policy);
    open(&mut engine, None, bounds(0, 100, 2));
    (0..3).for_each(|offset| feed(&mut engine, offset, &row("c")));
    let (ticket, batch) = commits(actions(&mut engine)).pop().expect("a batch");
    engine.handle(1, Event::Committed(ticket, Ok(Receipt::default())));
    feed(&mut engine, 3, &row("c"));
    feed_row(&mut engine, 4, ELSEWHERE);
    feed(&mut engine, 5, &row("c"));
    let seen = actions(&mut engine);
    (engine, batch.checkpoint.clone(), seen)
}
fn by_threes() -> Policy {
    Policy { batch_records_max: 3, linger_ms: 1_000, doubt_ms: Some(500), ..Policy::default() }
}
/// Waits the pause out; answers the question for the state.
fn asked_again(engine: &mut Engine<Idle>, stood: Checkpoint, bounds: Bounds) -> Vec<Action> {
    let at = engine.deadline().expect("a time to ask again");
    assert!(at >= 500, "brokers had no time to learn of it: {at}");
    engine.handle(at - 1, Event::Tick);
    assert!(actions(engine).is_empty(), "asked too early");
    engine.handle(at, Event::Tick);
    let ticket = match &actions(engine)[..] {
        [Action::Open(ticket)] => ticket.clone(),
        other => panic!("asks again, and does nothing else: {other:?}"),
    };
    engine.handle(
        at,
        Event::Opened(ticket, Ok(OpenedPartition { checkpoint: Some(stood), bounds, start: None })),
    );
    actions(engine)
}

#[test]
fn a_key_that_moved_halts_before_it_is_applied() {
    let (mut engine, stood, seen) = astray(by_threes());
    assert!(matches!(&seen[..], [.., Action::Close(_), Action::Pause(_)]), "{seen:?}");
    assert!(commits(seen).is_empty(), "nothing from there on");
    let seen = asked_again(&mut engine, stood, bounds(0, 100, 3));
    let why = halted(&seen);
    assert!(why.contains("3 partitions") && why.contains("made with 2"), "{why}");
    assert!(why.contains("GENERATION") && why.contains("snapshot"), "{why}");
}

#[test]
fn another_placement_halts_behind_what_came_before_unless_it_is_vouched_for() {
    let (mut engine, stood, _) = astray(by_threes());
    let seen = asked_again(&mut engine, stood, bounds(0, 100, 2));
    let from = seen.iter().find_map(|action| match action {
        Action::Seek(_, from) => Some(*from),
        _ => None,
    });
    assert_eq!(from, Some(2), "to the record applied last");
    (2..4).for_each(|offset| feed(&mut engine, offset, &row("c")));
    feed_row(&mut engine, 4, ELSEWHERE);
    let seen = finished(&mut engine);
    let why = halted(&seen);
    assert!(why.contains("offset 4") && why.contains("PLACEMENT=custom"), "{why}");
    let batches: Vec<_> = commits(seen).into_iter().map(|(_, batch)| batch.span.end).collect();
    assert_eq!(batches, [4], "what came before it is durable");
    let mut engine = self::engine(Policy { doubt_ms: None, ..by_threes() });
    open(&mut engine, None, bounds(0, 100, 2));
    (0..3).for_each(|offset| feed_row(&mut engine, offset, ELSEWHERE));
    assert_eq!(commits(actions(&mut engine)).len(), 1);
    assert_eq!(engine.counters().reloads, 0);
}

#[test]
fn a_reason_to_halt_that_was_found_is_kept_over_a_load() {
    let (mut engine, stood, _) = astray(by_threes());
    asked_again(&mut engine, stood.clone(), bounds(0, 100, 2));
    (2..4).for_each(|offset| feed(&mut engine, offset, &row("c")));
    engine.handle(5_000, Event::Tick);
    let (ticket, _) = commits(actions(&mut engine)).pop().expect("offset 3");
    engine.handle(5_000, Event::Committed(ticket, Err(SinkError::Fenced)));
    let until = engine.deadline().expect("loads again");
    engine.handle(until, Event::Tick);
    let ticket = actions(&mut engine).into_iter().find_map(|action| match action {
        Action::Open(ticket) => Some(ticket),
        _ => None,
    });
    let opened =
        OpenedPartition { checkpoint: Some(stood), bounds: bounds(0, 100, 2), start: None };
    engine.handle(until, Event::Opened(ticket.expect("loads again"), Ok(opened)));
    (2..4).for_each(|offset| feed(&mut engine, offset, &row("c")));
    feed_row(&mut engine, 4, ELSEWHERE);
    assert!(halted(&finished(&mut engine)).contains("offset 4"));
}

#[test]
fn a_drain_does_not_wait_for_an_answer_about_placement() {
    let (mut engine, ..) = astray(by_threes());
    engine.handle(2, Event::Drain);
    assert!(engine.is_idle(false), "nothing is in its hands");
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_gives_the_rest_back() {
    let mut engine = engine(by_threes());
    open(&mut engine, None, bounds(0, 100, 1));
    (0..8).for_each(|offset| feed_keyed(&mut engine, offset, Some(HERE), &row("c")));
    let in_flight = commits(actions(&mut engine));
    assert_eq!(in_flight.len(), 1, "one at a time");
    engine.handle(2, Event::Stop);
    assert!(!engine.is_idle(false), "a batch is in flight");
    assert!(actions(&mut engine).is_empty());
    for (ticket, _) in in_flight {
        engine.handle(3, Event::Committed(ticket, Ok(Receipt::default())));
    }
    engine.handle(4, Event::Stop);
    let done = actions(&mut engine);
    assert!(matches!(done[..], [Action::Acknowledge(_, 3)]), "{done:?}");
    assert!(engine.is_idle(false));
    let counters = engine.counters();
    assert_eq!((counters.records, counters.given_back), (8, 5));
}

#[test]
fn what_a_revoked_lane_had_in_hand_counts_as_given_back_and_its_letters_do_not_count() {
    let mut engine = engine(by_threes());
    open(&mut engine, None, bounds(0, 100, 1));
    (0..2).for_each(|offset| feed_keyed(&mut engine, offset, Some(HERE), &row("c")));
    feed_keyed(&mut engine, 2, Some(HERE), "no envelope");
    assert_eq!(commits(actions(&mut engine)).len(), 1);
    engine.handle(2, Event::Revoked(partition()));
    let counters = engine.counters();
    assert_eq!((counters.records, counters.given_back), (3, 3));
    assert!(counters.letters.is_empty(), "nobody knows whether they are durable");
}
