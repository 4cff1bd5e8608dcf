//! What the engine refuses to go on from, and how it holds back.
use consumers::{
    engine::{Action, Engine, Event, Standing, Ticket},
    handler::{Handler, Keys, Reject, Step, Table},
    policy::Policy,
    source::{Bounds, Headers, Record},
};
use debezium::{Change, Decoder};
use sinks::{Batch, Checkpoint, Key, Mark, Partition, Receipt, SinkError, View};
use std::sync::Arc;

/// Takes every change, asks for nothing.
struct Idle;
impl Handler for Idle {
    type Fact = ();
    fn tables(&self) -> Vec<Table> {
        vec![Table { name: "things".into(), tag: 't' }]
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
    engine.handle(0, Event::Opened(ticket, Ok(Standing { checkpoint, bounds })));
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
fn feed(engine: &mut Engine<Idle>, offset: i64, value: &str) {
    let record = Record {
        partition: &partition(),
        offset,
        timestamp_ms: 1_000 + offset,
        key: Some(br#"{"id":1}"#),
        value: Some(value.as_bytes()),
        headers: Headers(&()),
    };
    engine.handle(1, Event::Record(record));
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
    assert!(halted(&seen).contains("idle 0"));
}

#[test]
fn a_topic_made_anew_is_noticed_though_it_is_longer() {
    let mark = Mark { offset: 9, timestamp_ms: 77, key_digest: 1 };
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
    let seen = actions(&mut engine);
    let why = halted(&seen);
    assert!(
        why.contains("4 dead letters in a row") && why.contains("at offset 3: not JSON"),
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
    let standing = Standing { checkpoint: None, bounds: bounds(0, 100, 1) };
    engine.handle(0, Event::Opened(ticket.expect("asks"), Ok(standing)));
    let (_, batch) = commits(actions(&mut engine)).pop().expect("the start, to be stored");
    assert_eq!((batch.checkpoint.next, batch.span.end), (100, 100));
}

#[test]
fn a_mark_that_left_the_log_is_looked_at_again() {
    let mark = Mark { offset: 9, timestamp_ms: 77, key_digest: 1 };
    let mut engine = engine(Policy::default());
    open(&mut engine, Some(Checkpoint { last: Some(mark), ..stored(10) }), bounds(0, 50, 1));
    engine.handle(1, Event::Broken(partition(), "out of range".into()));
    let seen = actions(&mut engine);
    assert!(!seen.iter().any(|action| matches!(action, Action::Halt(_))), "{seen:?}");
    assert!(engine.is_idle(false), "nothing is in its hands");
}
