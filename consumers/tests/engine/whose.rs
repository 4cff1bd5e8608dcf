//! Whose row a record is about: what is left open halts before anything is merged.
use super::*;
use consumers::engine::Exceptions;
use std::collections::HashMap;

/// An event of `things`, with other words in it.
fn event(words: &[(&str, &str)]) -> String {
    words.iter().fold(row("c"), |event, (from, to)| {
        assert!(event.contains(from), "{from}");
        event.replace(from, to)
    })
}
fn table(name: &str) -> String {
    event(&[(r#""table":"things""#, &format!(r#""table":"{name}""#))])
}

/// What became of these records, of offsets from 0 on: how far they are durable, and why it halted there.
/// The outside answers all that it is asked, and reads again where it is told to.
fn run(trust: Exceptions, partitions: i32, records: &[(Option<&[u8]>, String)]) -> (i64, String) {
    let policy = Policy { doubt_ms: None, ..Policy::default() };
    let mut engine = engine(policy).trusting(trust);
    engine.handle(0, Event::Assigned(partition()));
    let (mut rows, mut checkpoint) = (HashMap::new(), None);
    let mut halted = String::new();
    while let Some(action) = engine.poll() {
        match action {
            Action::Open(ticket) => {
                let (checkpoint, bounds) = (checkpoint.clone(), bounds(0, 20, partitions));
                engine.handle(
                    1,
                    Event::Opened(ticket, Ok(OpenedPartition { checkpoint, bounds, start: None })),
                );
            }
            Action::Fetch(ticket, keys) => {
                let found = keys.iter().map(|key| rows.get(key).cloned()).collect();
                engine.handle(1, Event::Fetched(ticket, Ok(found)));
            }
            Action::Scan(ticket, prefix) => {
                let found = rows.iter().filter(|(key, _): &(&Key, _)| key.starts_with(&prefix));
                let found = found.map(|(key, row): (&Key, &Vec<u8>)| (key.clone(), row.clone()));
                engine.handle(1, Event::Scanned(ticket, Ok(found.collect())));
            }
            Action::Commit(ticket, batch, _) => {
                for (key, row) in &batch.rows {
                    match row {
                        Some(row) => drop(rows.insert(key.clone(), row.clone())),
                        None => drop(rows.remove(key)),
                    }
                }
                checkpoint = Some(batch.checkpoint.clone());
                engine.handle(1, Event::Committed(ticket, Ok(Receipt::default())));
            }
            Action::Resume(_) => {
                let from =
                    checkpoint.as_ref().and_then(|c| c.last.as_ref()).map_or(0, |m| m.offset);
                let from = usize::try_from(from).expect("an offset");
                for (offset, (key, value)) in records.iter().enumerate().skip(from) {
                    feed_value(
                        &mut engine,
                        offset as i64,
                        *key,
                        Some(value).filter(|v| *v != "null"),
                    );
                }
                engine.handle(1, Event::Drain);
            }
            Action::Halt(why) => halted = why,
            _ => {}
        }
    }
    (checkpoint.map_or(-1, |checkpoint| checkpoint.next), halted)
}
fn feed_value(engine: &mut Engine<Idle>, offset: i64, key: Option<&[u8]>, value: Option<&String>) {
    let (partition, value) = (partition(), value.map(String::as_bytes));
    let (timestamp_ms, headers) = (1_000 + offset, Headers(&()));
    let record = Record { partition: &partition, offset, timestamp_ms, key, value, headers };
    engine.handle(1, Event::Record(record));
}
fn tables(pattern: &str) -> Exceptions {
    let source_tables = vec![("things".to_owned(), pattern.to_owned())];
    Exceptions { source_tables, ..Exceptions::default() }
}
/// What it halts with, behind so many records.
#[track_caller]
fn halts(found: (i64, String), behind: i64, words: &[&str]) {
    let (next, why) = found;
    assert!(words.iter().all(|word| why.contains(word)), "{why:?} says not all of {words:?}");
    assert_eq!(next, behind, "{why}");
}
#[track_caller]
fn fine(found: (i64, String), records: i64) {
    assert_eq!(found, (records, String::new()));
}
const NONE: fn() -> Exceptions = Exceptions::default;

#[test]
fn a_second_table_in_the_topic_halts_before_anything_is_merged() {
    let (ours, other) = ((Some(HERE), row("c")), (Some(HERE), table("others")));
    let archive = event(&[(r#""schema":"public""#, r#""schema":"archive""#)]);
    let shard = event(&[(r#""db":"shop""#, r#""db":"shop2""#)]);
    let connector = event(&[(r#""name":"shop""#, r#""name":"shop2""#)]);
    halts(
        run(NONE(), 1, &[ours.clone(), other.clone()]),
        1,
        &["offset 1", "public.others", "SOURCE_TABLES"],
    );
    halts(
        run(NONE(), 1, std::slice::from_ref(&other)),
        0,
        &["topic is that of things", "public.others"],
    );
    halts(
        run(NONE(), 1, &[ours.clone(), (Some(HERE), archive)]),
        1,
        &["archive.things beside public.things"],
    );
    for same in [shard, connector] {
        halts(
            run(NONE(), 1, &[ours.clone(), (Some(HERE), same)]),
            1,
            &["another database or connector"],
        );
    }
    // A table with a partition's name beside the table itself: an archive of it, perhaps.
    halts(run(NONE(), 1, &[ours.clone(), (Some(HERE), table("things_old"))]), 1, &["second table"]);
    for pattern in ["others", "public.others", "*"] {
        fine(run(tables(pattern), 1, &[ours.clone(), other.clone()]), 2);
    }
    halts(run(tables("archive.others"), 1, &[ours.clone(), other.clone()]), 1, &["second table"]);
    // In the other order as well.
    fine(run(tables("others"), 1, &[other, ours]), 2);
}

#[test]
fn partitions_of_the_table_are_its_rows() {
    let at = |part: &str, op: &str| {
        let words = [
            (r#""table":"things""#, format!(r#""table":"things_{part}""#)),
            (r#""op":"c""#, format!(r#""op":"{op}""#)),
        ];
        event(&words.each_ref().map(|(from, to)| (*from, to.as_str())))
    };
    let key = Some(HERE);
    let gone = |part| at(part, "d");
    // A row that moves from one partition to the other: gone there, made here. Between them Debezium's tombstone.
    let moves = [
        (key, at("1", "c")),
        (key, gone("1")),
        (key, "null".into()),
        (key, at("2", "c")),
        (key, at("2", "u")),
    ];
    fine(run(NONE(), 1, &moves), 5);
    // Two tables with equal keys.
    let twice = [(key, at("1", "c")), (key, at("2", "c")), (key, at("1", "u"))];
    halts(
        run(NONE(), 1, &twice),
        1,
        &["offset 1", "public.things_1", "public.things_2", "SOURCE_TABLES"],
    );
    let other_gone = [(key, at("1", "c")), (key, gone("2"))];
    halts(run(NONE(), 1, &other_gone), 1, &["public.things_1", "public.things_2"]);
    fine(run(tables("*"), 1, &twice), 3);
    // A tombstone takes the row away, whoever had it.
    fine(run(NONE(), 1, &[(key, at("1", "c")), (key, "null".into()), (key, at("2", "c"))]), 3);
    // Emptied, and so nobody's.
    let anew = [(key, at("1", "c")), (None, at("1", "t")), (key, at("2", "c"))];
    fine(run(NONE(), 1, &anew), 3);
    // One of several is emptied: which rows are left?
    let empties = [
        (key, at("1", "c")),
        (Some(ELSEWHERE), at("2", "c").replace(r#""id":1}"#, r#""id":3}"#)),
        (None, at("1", "t")),
    ];
    halts(run(NONE(), 1, &empties), 2, &["truncates one of the 2 tables"]);
}

#[test]
fn a_key_with_other_columns_halts_at_its_first_record() {
    let two = br#"{"tenant":2,"id":1}"#;
    let router = br#"{"id":1,"__dbz__physicalTableIdentifier":"shop.public.things_1"}"#;
    let trust = Exceptions {
        key_columns: vec![("things".into(), "tenant".into())],
        ..Exceptions::default()
    };
    halts(
        run(NONE(), 1, &[(Some(two), row("c"))]),
        0,
        &[
            "offset 0",
            "`tenant`",
            "rows of things are told apart by id alone",
            "KEY_COLUMNS=things.tenant",
        ],
    );
    halts(run(NONE(), 1, &[(Some(router), row("c"))]), 0, &["key.enforce.uniqueness"]);
    halts(run(NONE(), 1, &[(Some(two), "null".into())]), 0, &["`tenant`"]);
    fine(run(trust.clone(), 1, &[(Some(two), row("c")), (Some(two), "null".into())]), 2);
    // As text of StringConverter: the names tell it, too.
    let text: &[u8] = b"Struct{tenant=2,id=1}";
    halts(run(NONE(), 1, &[(Some(text), row("c"))]), 0, &["`tenant`", "KEY_COLUMNS=things.tenant"]);
    fine(run(trust.clone(), 1, &[(Some(text), row("c"))]), 1);
    fine(run(NONE(), 1, &[(Some(b"Struct{id=1}"), row("c"))]), 1);
    // A key of other columns alone names no row: its tombstone says nothing.
    let tenant: &[u8] = br#"{"tenant":2}"#;
    fine(run(trust, 1, &[(Some(tenant), row("c")), (Some(tenant), "null".into())]), 2);
}

#[test]
fn records_without_key_have_an_order_in_one_partition_only() {
    for key in [None, Some(&b""[..])] {
        halts(
            run(NONE(), 2, &[(key, row("c"))]),
            0,
            &["has no key", "2 partitions", "message.key.columns"],
        );
        fine(run(NONE(), 1, &[(key, row("c"))]), 1);
    }
}

#[test]
fn an_update_of_the_key_takes_the_old_row_away_where_there_is_an_order() {
    let update =
        event(&[(r#""before":null"#, r#""before":{"id":3}"#), (r#""op":"c""#, r#""op":"u""#)]);
    for key in [None, Some(HERE), Some(ELSEWHERE)] {
        fine(run(NONE(), 1, &[(key, update.clone())]), 1);
    }
    halts(run(NONE(), 2, &[(Some(HERE), update)]), 0, &["changes the primary key", "2 partitions"]);
}

/// What is stored with a batch is what came before it, not what was read ahead.
#[test]
fn a_second_table_that_was_read_ahead_is_not_stored_too_early() {
    let mut engine = engine(Policy { batch_records_max: 1, ..Policy::default() });
    open(&mut engine, None, bounds(0, 20, 1));
    let other = table("things_2").replace(r#""id":1}"#, r#""id":3}"#);
    feed(&mut engine, 0, &table("things_1"));
    feed_keyed(&mut engine, 1, Some(ELSEWHERE), &other);
    let mut stored = Vec::new();
    while let Some(action) = engine.poll() {
        match action {
            Action::Fetch(ticket, keys) => {
                engine.handle(1, Event::Fetched(ticket, Ok(vec![None; keys.len()])));
            }
            Action::Commit(ticket, batch, _) => {
                stored.push(batch.checkpoint.origins.len());
                engine.handle(1, Event::Committed(ticket, Ok(Receipt::default())));
            }
            _ => {}
        }
    }
    assert_eq!(stored, [1, 2]);
}

#[test]
fn a_second_table_in_another_partition_halts_too() {
    let mut engine = halts::two(Policy { doubt_ms: None, ..Policy::default() });
    let archive = event(&[(r#""schema":"public""#, r#""schema":"archive""#)]);
    feed(&mut engine, 0, &archive);
    assert!(halted(&finished(&mut engine)).contains("archive.things beside public.things"));
}
