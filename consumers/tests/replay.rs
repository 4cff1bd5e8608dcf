//! A letter that comes back takes effect for its own service, once, and only if its key has not moved on: the engine's
//! part of that promise, record by record.
#[path = "replay/removals.rs"]
mod removals;

use consumers::{
    engine::{Action, Engine, Event, OpenedPartition, Ticket},
    handlers::inventory::{self, Settings},
    plan_handler::PlanHandler,
    policy::Policy,
    removal::CLEAN_TO,
    replay::{LogCheck, Replay, Verdict},
    source::{Bounds, Headers, Record},
};
use debezium::Decoder;
use sinks::{
    Batch, Letter, Partition, Receipt, Refusal, SinkError,
    dlq::{Outcome, Replayed},
};
use std::sync::Arc;

const SERVICE: &str = "inventory-service";
const END: i64 = 100;

fn partition() -> Partition {
    Partition::new("shop.public.products", 0)
}
fn product(id: i64, stock: &str) -> String {
    format!(
        r#"{{"before":null,"after":{{"id":{id},"name":"p","price":"1.50","stock_quantity":{stock}}},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"products"}},"op":"u","ts_ms":6}}"#
    )
}
fn replay_of(offset: i64, clean_to: i64) -> Replay {
    Replay { service: SERVICE.into(), generation: 1, offset, clean_to }
}

/// One record of a log.
#[derive(Clone)]
struct Logged {
    offset: i64,
    id: i64,
    value: String,
    replay: Option<Replay>,
    /// No value, and judged by what is before this.
    removal: Option<i64>,
}
fn ordinary(offset: i64, id: i64, stock: &str) -> Logged {
    Logged { offset, id, value: product(id, stock), replay: None, removal: None }
}
fn replayed(offset: i64, id: i64, stock: &str, replay: Replay) -> Logged {
    Logged { replay: Some(replay), ..ordinary(offset, id, stock) }
}
impl Logged {
    fn shown<T>(&self, with: impl FnOnce(&Record<'_>) -> T) -> T {
        let header = |(name, value): (&str, String)| (name.to_owned(), Some(value.into_bytes()));
        let removal = self.removal.map(|clean_to| (CLEAN_TO, clean_to.to_string()));
        let headers = self.replay.iter().flat_map(Replay::headers).chain(removal);
        let headers = headers.map(header).collect::<Vec<_>>();
        let key = format!(r#"{{"id":{}}}"#, self.id);
        with(&Record {
            partition: &partition(),
            offset: self.offset,
            timestamp_ms: self.offset,
            key: Some(key.as_bytes()),
            value: self.removal.is_none().then_some(self.value.as_bytes()),
            headers: Headers(&headers),
        })
    }
}

/// What a life of the service over a log came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Offsets whose records asked for writes.
    effects: Vec<i64>,
    letters: Vec<i64>,
    marks: Vec<(i64, Replayed)>,
    looks: usize,
    warnings: usize,
    halted: Option<String>,
    positions: Vec<i64>,
}

/// Runs a fresh engine over the log. `refuses`: the sink refuses this record's writes, once it was asked.
fn run(log: &[Logged], generation: u64, refuses: Option<i64>) -> Seen {
    let policy = Policy { linger_ms: 0, letters_in_a_row_max: 2, ..Policy::default() };
    let mut engine =
        Engine::new(inventory::handler(&Settings::default(), ""), Decoder::default(), policy)
            .replaying_as(SERVICE, generation);
    let mut seen = Seen::default();
    let (mut next, mut flowing, mut now) = (0, false, 0);
    engine.handle(0, Event::Assigned(partition()));
    let mut checkpoint = None;
    for _ in 0..1_000 {
        now += 100;
        while let Some(action) = engine.poll() {
            match action {
                Action::Open(ticket) => {
                    let bounds = Bounds { begin: 0, end: END, partitions: 1 };
                    let opened =
                        OpenedPartition { checkpoint: checkpoint.clone(), bounds, start: None };
                    engine.handle(now, Event::Opened(ticket, Ok(opened)));
                }
                Action::Seek(_, to) => next = to,
                Action::Pause(_) => flowing = false,
                Action::Resume(_) => flowing = true,
                Action::Fetch(ticket, keys) => {
                    let rows = vec![None; keys.len()];
                    engine.handle(now, Event::Fetched(ticket, Ok(rows)));
                }
                Action::CheckLog(ticket, check) => {
                    seen.looks += 1;
                    engine.handle(now, Event::LogChecked(ticket, Ok(judged(log, &check))));
                }
                Action::Commit(ticket, batch, letters) => {
                    let refused = refuses.filter(|at| {
                        batch.writes.iter().any(|write| write.offset == *at)
                            && !batch.dead_lettered.contains(at)
                    });
                    let result = commit(&mut seen, &batch, &letters, refused);
                    if result.is_ok() {
                        checkpoint = Some(batch.checkpoint.clone());
                    }
                    engine.handle(now, Event::Committed(ticket, result));
                }
                Action::Halt(why) => seen.halted = Some(why),
                Action::Warn(text) if text.starts_with("dead letter ") => {}
                Action::Warn(_) => seen.warnings += 1,
                _ => {}
            }
        }
        if let Some(record) = log.iter().find(|r| flowing && r.offset >= next) {
            next = record.offset + 1;
            record.shown(|record| engine.handle(now, Event::Record(*record)));
        }
        engine.handle(now, Event::Tick);
    }
    seen
}

fn judged(log: &[Logged], check: &LogCheck) -> Verdict {
    let mut checker = check.checker(&partition().topic);
    let range = check.from..check.to;
    let records = log.iter().filter(|record| range.contains(&record.offset));
    records.for_each(|record| record.shown(|record| checker.see(record)));
    check.verdict(&checker)
}

fn commit(
    seen: &mut Seen,
    batch: &Batch,
    letters: &Arc<[Letter]>,
    refused: Option<i64>,
) -> Result<Receipt, SinkError> {
    if let Some(offset) = refused {
        return Err(SinkError::Refused(vec![Refusal { offset, reason: "too large".into() }]));
    }
    seen.effects.extend(batch.writes.iter().map(|write| write.offset));
    seen.effects.dedup();
    for letter in letters.iter() {
        match &letter.replayed {
            Some(replayed) => seen.marks.push((letter.offset, replayed.clone())),
            None => seen.letters.push(letter.offset),
        }
    }
    seen.positions.push(batch.span.end);
    Ok(Receipt::default())
}

const fn failed(of: i64) -> Replayed {
    Replayed { of, outcome: Outcome::FailedAgain }
}
const fn moved_on(of: i64) -> Replayed {
    Replayed { of, outcome: Outcome::MovedOn }
}

#[test]
fn its_own_replay_is_applied_without_a_look_where_nothing_came_between() {
    let log =
        [ordinary(0, 1, "\"many\""), ordinary(1, 2, "5"), replayed(2, 1, "7", replay_of(0, 2))];
    let seen = run(&log, 1, None);
    assert_eq!((seen.effects, seen.letters, seen.looks), (vec![1, 2], vec![0], 0));
    assert_eq!(seen.marks, []);
}

#[test]
fn others_in_between_are_looked_at_and_do_no_harm() {
    let log = [
        ordinary(0, 1, "\"many\""),
        ordinary(1, 2, "5"),
        ordinary(2, 3, "5"),
        replayed(4, 1, "7", replay_of(0, 2)),
        ordinary(5, 1, "8"),
    ];
    let seen = run(&log, 1, None);
    assert_eq!((seen.effects, seen.letters, seen.looks), (vec![1, 2, 4, 5], vec![0], 1));
    assert_eq!((seen.marks, seen.positions.last()), (vec![], Some(&6)));
}

#[test]
fn another_service_and_another_generation_pass_it_over() {
    let foreign = Replay { service: "search-indexer".into(), ..replay_of(0, 1) };
    let log = [ordinary(0, 1, "5"), replayed(2, 1, "7", foreign), ordinary(3, 2, "6")];
    let seen = run(&log, 1, None);
    assert_eq!((seen.effects, seen.looks, seen.positions.last()), (vec![0, 3], 0, Some(&4)));
    let log = [ordinary(0, 1, "5"), replayed(2, 1, "7", replay_of(0, 1))];
    let seen = run(&log, 2, None);
    assert_eq!((seen.effects, seen.looks, seen.positions.last()), (vec![0], 0, Some(&3)));
    assert_eq!((seen.letters, seen.marks), (vec![], vec![]));
}

#[test]
fn raced_by_a_newer_record_it_is_left_out_and_marked() {
    let log = [
        ordinary(0, 1, "\"many\""),
        ordinary(1, 2, "5"),
        // After the command's look, before the replay.
        ordinary(2, 1, "8"),
        replayed(3, 1, "7", replay_of(0, 2)),
        ordinary(4, 2, "6"),
    ];
    let seen = run(&log, 1, None);
    assert_eq!((&seen.effects, &seen.letters), (&vec![1, 2, 4], &vec![0]));
    assert_eq!((&seen.marks, seen.warnings), (&vec![(3, moved_on(0))], 1));
    assert_eq!(run(&log, 1, None), seen, "read again, decided again: the same");
}

#[test]
fn a_failure_marks_the_letter_and_counts_in_no_flood() {
    let mut log: Vec<Logged> = (0..2).map(|at| ordinary(at, at, "\"many\"")).collect();
    log.extend((2..12).map(|at| replayed(at, 1, "\"many\"", replay_of(1, at))));
    log.push(ordinary(12, 5, "\"many\""));
    let seen = run(&log[..12], 1, None);
    assert_eq!((&seen.letters, &seen.halted), (&vec![0, 1], &None));
    let marks: Vec<_> = (2..12).map(|at| (at, failed(1))).collect();
    assert_eq!(seen.marks, marks);
    // Nor do they end one: the third dead record in a row halts.
    let why = run(&log, 1, None).halted.expect("a flood");
    assert!(why.contains("3 dead letters in a row"), "{why}");
}

#[test]
fn what_the_sink_refuses_again_is_marked_too() {
    let log = [ordinary(0, 1, "5"), ordinary(1, 2, "6"), replayed(2, 1, "7", replay_of(0, 1))];
    let seen = run(&log, 1, Some(2));
    assert_eq!((seen.effects, seen.letters), (vec![0, 1], vec![]));
    assert_eq!((seen.marks, seen.positions.last()), (vec![(2, failed(0))], Some(&3)));
}

#[test]
fn sent_twice_it_is_applied_once() {
    let log = [
        ordinary(0, 1, "\"many\""),
        replayed(1, 1, "7", replay_of(0, 1)),
        replayed(2, 1, "7", replay_of(0, 1)),
    ];
    let seen = run(&log, 1, None);
    assert_eq!((seen.effects, seen.marks, seen.looks), (vec![1], vec![], 1));
    assert_eq!(seen.positions.last(), Some(&3));
}

#[test]
fn what_cannot_be_is_a_letter_of_its_own() {
    for replay in [replay_of(1, 1), replay_of(0, 3)] {
        let log = [ordinary(0, 1, "5"), ordinary(1, 2, "5"), replayed(2, 1, "7", replay)];
        let seen = run(&log, 1, None);
        assert_eq!((seen.effects, seen.letters, seen.marks), (vec![0, 1], vec![2], vec![]));
    }
}

#[test]
fn a_look_that_fails_is_tried_again_and_one_that_cannot_tell_halts() {
    for (first, effects, positions) in
        [(Verdict::Clean, vec![2], vec![3]), (Verdict::Unknown, vec![], vec![])]
    {
        let policy = Policy { linger_ms: 0, ..Policy::default() };
        let handler = inventory::handler(&Settings::default(), "");
        let mut engine = Engine::new(handler, Decoder::default(), policy).replaying_as(SERVICE, 1);
        engine.handle(0, Event::Assigned(partition()));
        let find = |engine: &mut Engine<PlanHandler>| -> Vec<Action> {
            std::iter::from_fn(|| engine.poll()).collect()
        };
        let ticket = |actions: Vec<Action>| -> Option<Ticket> {
            actions.into_iter().find_map(|action| match action {
                Action::Open(ticket) | Action::CheckLog(ticket, _) => Some(ticket),
                Action::Fetch(ticket, _) | Action::Commit(ticket, ..) => Some(ticket),
                _ => None,
            })
        };
        let open = ticket(find(&mut engine)).expect("opens");
        let bounds = Bounds { begin: 0, end: END, partitions: 1 };
        engine.handle(
            0,
            Event::Opened(open, Ok(OpenedPartition { checkpoint: None, bounds, start: None })),
        );
        let start = ticket(find(&mut engine)).expect("stores the start");
        engine.handle(0, Event::Committed(start, Ok(Receipt::default())));
        find(&mut engine);
        let record = replayed(2, 1, "7", replay_of(0, 1));
        record.shown(|record| engine.handle(1, Event::Record(*record)));
        let check = ticket(find(&mut engine)).expect("looks");
        let lost = SinkError::transient(anyhow::anyhow!("no broker"));
        engine.handle(2, Event::LogChecked(check.clone(), Err(lost)));
        find(&mut engine);
        let at = engine.deadline().expect("tries again");
        engine.handle(at, Event::Tick);
        let again = ticket(find(&mut engine)).expect("looks again");
        // The answer to the first question comes late: ignored.
        engine.handle(at, Event::LogChecked(check, Ok(Verdict::MovedOn { at: 1 })));
        assert!(find(&mut engine).is_empty());
        engine.handle(at, Event::LogChecked(again, Ok(first)));
        let mut seen = Seen::default();
        let mut queue = find(&mut engine);
        while let Some(action) = queue.pop() {
            match action {
                Action::Fetch(ticket, keys) => {
                    engine.handle(at, Event::Fetched(ticket, Ok(vec![None; keys.len()])));
                }
                Action::Commit(_, batch, letters) => {
                    commit(&mut seen, &batch, &letters, None).expect("committed");
                }
                Action::Halt(why) => seen.halted = Some(why),
                _ => {}
            }
            queue.extend(find(&mut engine));
        }
        assert_eq!((seen.effects, seen.marks, seen.positions), (effects, vec![], positions));
        let halted = seen.halted.unwrap_or_default();
        assert_eq!(halted.contains("new GENERATION"), first == Verdict::Unknown, "{halted}");
    }
}
