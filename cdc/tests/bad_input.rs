//! What cannot be processed: each record is one dead letter, byte for byte, whose text names topic, partition, offset
//! and field; rows of other tables are counted and passed over; everything around them takes effect.
use sinks::{
    dlq::{self, read_letter},
    objects::{Endpoint, Place},
};
use std::{collections::BTreeMap, process::Command};

const TOPIC: &str = "dbserver1.public.products";

fn envelope(table: &str, after: &str) -> String {
    format!(
        r#"{{"before":null,"after":{after},"source":{{"connector":"postgresql","name":"dbserver1","ts_ms":1,"snapshot":"false","db":"shop","schema":"public","table":"{table}"}},"op":"c","ts_ms":2}}"#
    )
}

/// What is wrong, the value, and what the letter's text must say.
fn bad() -> Vec<(&'static str, String, &'static [&'static str])> {
    let large = format!(
        r#"{{"id":5,"name":"{}","price":"1.50","stock_quantity":1}}"#,
        "x".repeat(10 << 20)
    );
    vec![
        ("malformed JSON", r#"{"before":null,"after":{"id":1,"#.to_owned(), &["not JSON"]),
        (
            "a wrong type",
            envelope("products", r#"{"id":2,"name":"a","price":"1.50","stock_quantity":"many"}"#),
            &["products.stock_quantity"],
        ),
        (
            "a missing field",
            envelope("products", r#"{"id":3,"name":"a","stock_quantity":1}"#),
            &["products.price", "missing"],
        ),
        ("10 MB", envelope("products", &large), &["bytes"]),
        (
            "a decimal without its scale",
            envelope("products", r#"{"id":6,"name":"a","price":"AYaf","stock_quantity":1}"#),
            &["products.price", "decimal.handling.mode=string"],
        ),
        (
            "a decimal out of all bounds",
            envelope("products", r#"{"id":7,"name":"a","price":"1e999999999","stock_quantity":1}"#),
            &["products.price"],
        ),
        ("no envelope", r#"{"id":8,"name":"a"}"#.to_owned(), &["ExtractNewRecordState"]),
        (
            "no key",
            envelope("products", r#"{"name":"a","price":"1.50","stock_quantity":1}"#),
            &["id"],
        ),
        ("too deep", format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)), &["nest"]),
    ]
}

#[test]
fn every_bad_record_is_one_letter_and_nothing_else_is_touched() {
    let dir = tempfile::tempdir().expect("a folder");
    let good = |id: i64| {
        envelope(
            "products",
            &format!(r#"{{"id":{id},"name":"good","price":"1.50","stock_quantity":20}}"#),
        )
    };
    let mut values = vec![good(1)];
    values.extend(bad().into_iter().map(|(_, value, _)| value));
    values.push(good(2));
    let mut lines = String::new();
    for (offset, value) in values.iter().enumerate() {
        // No key: a record must be found to name no row where it has no columns either.
        let line = serde_json::json!({
            "topic": TOPIC, "partition": 0, "offset": offset, "timestamp": offset, "key": null, "value": value,
            "headers": {"trace": "7"},
        });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    std::fs::write(dir.path().join("bad.ndjson"), lines).expect("written");
    let run = |code: i32| {
        let args =
            "run inventory --source ndjson:bad.ndjson --sink sqlite:x.db --dlq dir:dlq --until-end";
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        let output =
            command.current_dir(dir.path()).args(args.split(' ')).output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{text}{said}");
        text
    };
    let log = run(2);
    assert!(!log.contains("1e999999999") && !log.contains("many"), "no row values: {log}");
    check_letters(dir.path(), &values);
    // None of them is of this run.
    run(0);
    check_letters(dir.path(), &values);
    let db = rusqlite::Connection::open(dir.path().join("x.db")).expect("a database");
    let rows: i64 = db
        .query_row("SELECT count(*) FROM inventory_realtime", [], |row| row.get(0))
        .expect("a table");
    assert_eq!(rows, 2, "the good records took effect");
}

fn check_letters(dir: &std::path::Path, values: &[String]) {
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let objects =
        io.block_on(Place::Dir(dir.join("dlq")).open(&Endpoint::default())).expect("the folder");
    let names = io.block_on(dlq::list(&*objects, "")).expect("letters");
    let mut letters = BTreeMap::new();
    for name in &names {
        let found = io.block_on(read_letter(&*objects, name)).expect("readable").expect("there");
        letters.insert(found.letter.offset, found.letter);
    }
    let bad = bad();
    assert_eq!(names.len(), bad.len(), "one letter each: {names:?}");
    for (offset, (what, value, says)) in (1_i64..).zip(bad) {
        let letter = letters.get(&offset).unwrap_or_else(|| panic!("{what}: no letter"));
        assert_eq!(letter.value.as_deref(), Some(value.as_bytes()), "{what}: byte for byte");
        assert_eq!(letter.value.as_deref(), Some(values[offset as usize].as_bytes()));
        assert_eq!(letter.headers, [("trace".to_owned(), Some(b"7".to_vec()))], "{what}");
        let place = format!("topic {TOPIC}, partition 0, offset {offset}: ");
        assert!(letter.error.starts_with(&place), "{what}: {}", letter.error);
        for part in says {
            assert!(letter.error.contains(part), "{what}: {part} is not in {}", letter.error);
        }
    }
}
