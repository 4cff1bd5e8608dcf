//! Another snapshot over changes that were applied before is said aloud, once; the first one is not.
use super::*;

const NONE: [i64; 0] = [];

/// A change as a snapshot, or the stream (`false`), sends it.
fn change(table: &str, snapshot: &str, taken_at: (i64, u64), ts_ms: i64) -> String {
    let (tx, lsn) = taken_at;
    format!(
        r#"{{"before":null,"after":{{"id":1}},"source":{{"connector":"postgresql","name":"shop","ts_ms":{ts_ms},"snapshot":"{snapshot}","db":"shop","schema":"public","table":"{table}","txId":{tx},"lsn":{lsn}}},"op":"r","ts_ms":6}}"#
    )
}
/// Of the table, at one point of the source's log.
fn of(snapshot: &str) -> String {
    change("things", snapshot, (7, 70), 5)
}

/// Feeds them from `offset` on, and gives the offsets at which something was said.
fn noticed_from(engine: &mut Engine<Idle>, offset: i64, values: &[String]) -> Vec<i64> {
    let mut noticed = Vec::new();
    for (at, value) in (offset..).zip(values) {
        feed(engine, at, value);
        for action in actions(engine) {
            if let Action::Warn(text) = action {
                assert!(text.contains("snapshot of table") && text.contains("--repair"), "{text}");
                assert!(text.contains("shop.public.things/0: another"), "{text}");
                assert!(text.contains(&format!("offset {at}, ")), "{text}");
                noticed.push(at);
            }
        }
    }
    noticed
}
fn noticed(values: &[String]) -> Vec<i64> {
    let mut engine = engine(Policy::default());
    open(&mut engine, None, bounds(0, 100, 1));
    noticed_from(&mut engine, 0, values)
}
fn all(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| of(word)).collect()
}

#[test]
fn the_first_snapshot_is_none_to_speak_of() {
    let first =
        ["first", "true", "true", "last_in_data_collection", "false", "false", "false", "false"];
    assert_eq!(noticed(&all(&first)), NONE);
    assert_eq!(
        noticed(&all(&["true", "true", "false"])),
        NONE,
        "a partition without the marked rows"
    );
    assert_eq!(noticed(&all(&["incremental", "incremental", "false", "incremental"])), NONE);
}

#[test]
fn a_second_one_is_said_once() {
    let again = ["first", "last", "false", "first_in_data_collection", "true", "last", "false"];
    assert_eq!(noticed(&all(&again)), [3]);
    assert_eq!(noticed(&all(&["true", "false", "true", "true"])), [2], "without marks");
    assert_eq!(noticed(&all(&["false", "last"])), [1], "of one row");
}

#[test]
fn so_is_one_right_after_another() {
    assert_eq!(noticed(&all(&["first", "true", "first", "true"])), [2], "begun anew");
    assert_eq!(noticed(&all(&["first", "last", "true", "true"])), [2], "after the last row");
    let marked = ["first_in_data_collection", "true", "first_in_data_collection", "true"];
    assert_eq!(noticed(&all(&marked)), [2]);
    let elsewhere = [of("true"), of("true"), change("things", "true", (8, 90), 5)];
    assert_eq!(noticed(&elsewhere), [2], "taken at another point of the source's log");
}

#[test]
fn tables_routed_into_one_topic_have_one_snapshot() {
    let of = |table: &str, word: &str| change(table, word, (7, 70), 5);
    let both = [
        of("things_1", "first_in_data_collection"),
        of("things_1", "last_in_data_collection"),
        of("things_2", "first_in_data_collection"),
        of("things_2", "last_in_data_collection"),
    ];
    assert_eq!(noticed(&both), NONE);
}

#[test]
fn an_incremental_one_is_said_once_among_streamed_changes() {
    let at = |word: &str, minutes: i64| change("things", word, (7, 70), minutes * 60_000);
    let chunks = [
        at("false", 0),
        at("incremental", 1),
        at("false", 2),
        at("incremental", 10),
        at("false", 11),
        at("incremental", 60),
    ];
    assert_eq!(noticed(&chunks), [1, 5], "the last one an hour later");
}

/// A lane that has applied up to `mark`, opened again; the record is read again before it goes on.
fn reopened(last: &str, then: &[&str]) -> Vec<i64> {
    let mut engine = engine(Policy::default());
    let mark = Mark {
        offset: 9,
        timestamp_ms: 1_009,
        is_delete: false,
        key_digest: {
            use sha2::{Digest as _, Sha256};
            u64::from_be_bytes(Sha256::digest(HERE)[..8].try_into().expect("8 bytes"))
        },
    };
    open(&mut engine, Some(Checkpoint { last: Some(mark), ..stored(10) }), bounds(0, 50, 1));
    let values: Vec<String> = std::iter::once(last).chain(then.iter().copied()).map(of).collect();
    noticed_from(&mut engine, 9, &values)
}

#[test]
fn a_restart_amid_a_snapshot_is_no_second_one() {
    assert_eq!(reopened("true", &["true", "true", "last", "false"]), NONE);
    assert_eq!(reopened("first", &["true", "true"]), NONE);
    assert_eq!(reopened("incremental", &["false", "incremental"]), NONE);
    assert_eq!(reopened("false", &["true", "true"]), [10], "but before it, it is");
    assert_eq!(reopened("last", &["true", "true"]), [10], "and after it");
}

#[test]
fn what_is_read_again_is_not_said_again() {
    let mut engine = engine(Policy::default());
    open(&mut engine, None, bounds(0, 100, 1));
    let again = all(&["false", "true", "true"]);
    assert_eq!(noticed_from(&mut engine, 0, &again), [1]);
    assert_eq!(engine.counters().snapshots.get("whole"), Some(&1));
    open(&mut engine, Some(stored(0)), bounds(0, 100, 1));
    assert_eq!(noticed_from(&mut engine, 0, &again), NONE, "the same records, loaded again");
    assert_eq!(noticed_from(&mut engine, 3, &all(&["false", "true"])), [4]);
    assert_eq!(engine.counters().snapshots.get("whole"), Some(&2));
}
