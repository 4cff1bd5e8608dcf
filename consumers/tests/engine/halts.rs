//! A halt keeps what was safe: all that was read before its reason is durable, in all partitions.
use super::*;
use std::collections::BTreeMap;

fn other() -> Partition {
    Partition::new("shop.public.things", 1)
}

/// Both partitions of a topic; the other one has a record in hand that waits for more.
pub fn two(policy: Policy) -> Engine<Idle> {
    let mut engine = engine(policy);
    open(&mut engine, None, bounds(0, 20, 2));
    engine.handle(0, Event::Assigned(other()));
    let asked = actions(&mut engine).into_iter().find_map(|action| match action {
        Action::Open(ticket) => Some(ticket),
        _ => None,
    });
    let checkpoint = Some(Checkpoint { partitions: 2, ..stored(0) });
    let opened = OpenedPartition { checkpoint, bounds: bounds(0, 20, 2), start: None };
    engine.handle(0, Event::Opened(asked.expect("asks for the state"), Ok(opened)));
    let (partition, value) = (other(), row("c").replace(r#""id":1}"#, r#""id":3}"#));
    engine.handle(
        1,
        Event::Record(Record {
            partition: &partition,
            offset: 7,
            timestamp_ms: 1_007,
            key: Some(ELSEWHERE),
            value: Some(value.as_bytes()),
            headers: Headers(&()),
        }),
    );
    actions(&mut engine);
    engine
}

/// How far each partition was durable, and the letters, when the engine said halt.
fn durable_at_halt(seen: &[Action]) -> (BTreeMap<i32, i64>, Vec<i64>) {
    let halt = seen.iter().position(|action| matches!(action, Action::Halt(_))).expect("halted");
    assert_eq!(halt, seen.len() - 1, "nothing comes after it: {seen:?}");
    let (mut next, mut letters) = (BTreeMap::new(), Vec::new());
    for action in seen {
        if let Action::Commit(_, batch, of_batch) = action {
            next.insert(batch.partition.index, batch.span.end);
            letters.extend(of_batch.iter().map(|letter| letter.offset));
        }
    }
    (next, letters)
}

#[test]
fn a_flood_leaves_the_rows_and_letters_before_it() {
    let mut engine = two(Policy { letters_in_a_row_max: 3, ..Policy::default() });
    (0..5).for_each(|offset| feed(&mut engine, offset, &row("c")));
    (5..20).for_each(|offset| feed(&mut engine, offset, "{"));
    let (next, letters) = durable_at_halt(&finished(&mut engine));
    assert_eq!(next, BTreeMap::from([(0, 8), (1, 8)]), "up to the record that is one too many");
    assert_eq!(letters, [5, 6, 7], "the newest letters are there to look at");
}

#[test]
fn what_has_no_order_leaves_what_came_before_it() {
    let mut engine = two(Policy::default());
    feed(&mut engine, 0, &row("c"));
    feed(&mut engine, 3, &row("t"));
    feed(&mut engine, 4, &row("c"));
    let seen = finished(&mut engine);
    assert!(halted(&seen).contains("offset 3 truncates"), "{seen:?}");
    assert_eq!(durable_at_halt(&seen).0, BTreeMap::from([(0, 1), (1, 8)]));
}

#[test]
fn a_state_that_fails_for_good_stops_its_own_partition_only() {
    let mut engine = two(Policy::default());
    feed(&mut engine, 0, &row("c"));
    engine.handle(200, Event::Tick);
    let committed = commits(actions(&mut engine));
    let (ticket, _) = committed.iter().find(|(t, _)| t.partition == partition()).expect("commits");
    let fatal = SinkError::Fatal(anyhow::anyhow!("the table is another one"));
    engine.handle(1, Event::Committed(ticket.clone(), Err(fatal)));
    engine.handle(1, Event::Tick);
    let mut seen = actions(&mut engine);
    assert!(!seen.iter().any(|action| matches!(action, Action::Halt(_))), "the other one is busy");
    for (ticket, _) in commits(std::mem::take(&mut seen)).into_iter().chain(committed) {
        if ticket.partition == other() {
            engine.handle(1, Event::Committed(ticket, Ok(Receipt::default())));
        }
    }
    let seen = finished(&mut engine);
    assert!(halted(&seen).contains("the table is another one"), "{seen:?}");
    assert_eq!(engine.positions().map(|(_, next)| next).collect::<Vec<_>>(), [0, 8]);
}

#[test]
fn a_sink_that_is_down_does_not_hide_the_reason() {
    let policy = Policy { letters_in_a_row_max: 3, halt_grace_ms: 500, ..Policy::default() };
    let mut engine = two(policy);
    (0..5).for_each(|offset| feed(&mut engine, offset, "{"));
    let mut now = 1;
    let halted = loop {
        let asked = actions(&mut engine);
        if let Some(Action::Halt(_)) = asked.last() {
            break now;
        }
        for (ticket, _) in commits(asked) {
            let down = SinkError::Transient(anyhow::anyhow!("it is down"));
            engine.handle(now, Event::Committed(ticket, Err(down)));
        }
        now = engine.deadline().map_or(now + 1, |at| at.max(now + 1));
        engine.handle(now, Event::Tick);
    };
    assert!((500..=502).contains(&halted), "when the grace is over: {halted}");
}

#[test]
fn a_partition_that_goes_away_takes_its_reason_along() {
    let mut engine = two(Policy::default());
    feed(&mut engine, 0, &row("c"));
    feed(&mut engine, 3, &row("t"));
    engine.handle(1, Event::Revoked(partition()));
    let seen = finished(&mut engine);
    assert!(seen.iter().any(|action| matches!(action, Action::Resume(p) if *p == other())));
    assert!(!seen.iter().any(|action| matches!(action, Action::Halt(_))), "{seen:?}");
    assert!(engine.is_idle(true));
}

#[test]
fn a_second_reason_stands_when_the_first_one_goes_away() {
    let mut engine = two(Policy { doubt_ms: None, ..Policy::default() });
    feed(&mut engine, 0, &row("c"));
    feed(&mut engine, 3, &row("t"));
    let (other, value) = (other(), row("c"));
    let record = Record {
        partition: &other,
        offset: 8,
        timestamp_ms: 1_008,
        key: None,
        value: Some(value.as_bytes()),
        headers: Headers(&()),
    };
    engine.handle(1, Event::Record(record));
    engine.handle(1, Event::Revoked(partition()));
    let seen = finished(&mut engine);
    assert!(halted(&seen).contains("the record has no key"), "{seen:?}");
    assert!(!seen.iter().any(|action| matches!(action, Action::Resume(_))), "{seen:?}");
    assert_eq!(engine.positions().map(|(_, next)| next).collect::<Vec<_>>(), [8]);
}

#[test]
fn nothing_is_read_on_while_it_ends() {
    let mut engine = two(Policy::default());
    feed(&mut engine, 0, &row("c"));
    feed(&mut engine, 3, &row("t"));
    let seen = finished(&mut engine);
    for partition in [partition(), other()] {
        assert!(seen.iter().any(|action| matches!(action, Action::Pause(p) if *p == partition)));
    }
    assert!(!seen.iter().any(|action| matches!(action, Action::Resume(_))), "{seen:?}");
}

#[test]
fn a_row_of_another_owner_leaves_what_came_before_it() {
    let mut engine = two(Policy::default());
    (0..5).for_each(|offset| feed(&mut engine, offset, &row("c")));
    engine.handle(200, Event::Tick);
    let (of, owner) = (partition(), "shop.public.things/1".to_owned());
    let (mut open, mut ends) = (None, Vec::new());
    let mut all = Vec::new();
    loop {
        let new = actions(&mut engine);
        if new.is_empty() {
            break;
        }
        for action in &new {
            match action {
                Action::Open(ticket) => open = Some(ticket.clone()),
                Action::Commit(ticket, batch, _) if ticket.partition == of => {
                    ends.push(batch.span.end);
                    let found = sinks::TwoOwners {
                        view: "v".into(),
                        partition: of.clone(),
                        offset: 3,
                        owner: owner.clone(),
                    };
                    let result =
                        if batch.span.end > 3 { Err(found.into()) } else { Ok(Receipt::default()) };
                    engine.handle(200, Event::Committed(ticket.clone(), result));
                }
                Action::Commit(ticket, ..) => {
                    engine.handle(200, Event::Committed(ticket.clone(), Ok(Receipt::default())));
                }
                _ => {}
            }
        }
        all.extend(new);
        if let Some(ticket) = open.take() {
            let checkpoint = Some(Checkpoint { partitions: 2, ..stored(0) });
            let opened = OpenedPartition { checkpoint, bounds: bounds(0, 20, 2), start: None };
            engine.handle(200, Event::Opened(ticket, Ok(opened)));
            (0..5).for_each(|offset| feed(&mut engine, offset, &row("c")));
        }
    }
    assert_eq!(ends, [5, 3], "all at once, then what came before it");
    let why = halted(&all);
    assert!(
        why.starts_with("shop.public.things/0: offset 3: its row of view v is owned by"),
        "{why}"
    );
}
