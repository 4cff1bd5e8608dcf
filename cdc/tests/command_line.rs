//! The command `cdc`, as it is used: exit codes, environment, help, repeated runs.
use std::{
    path::Path,
    process::{Command, Output},
};

/// In an environment of its own.
fn cdc(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.env_clear().current_dir(dir).args(args.split_whitespace());
    command
}
fn output(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn change(op: &str, id: i64, after: &str, offset: i64) -> String {
    let value = format!(
        r#"{{"before":null,"after":{after},"source":{{"version":"3.7.0.Final","connector":"postgresql","name":"dbserver1","ts_ms":1,"snapshot":"false","db":"inventory","schema":"public","table":"products","txId":1,"lsn":1,"xmin":null}},"op":"{op}","ts_ms":2}}"#
    );
    let line = serde_json::json!({
        "topic": "dbserver1.public.products", "partition": 0, "offset": offset, "timestamp": offset,
        "key": format!(r#"{{"id":{id}}}"#), "value": value, "headers": {},
    });
    line.to_string()
}
fn product(id: i64, stock: i64) -> String {
    format!(
        r#"{{"id":{id},"name":"Mouse","description":"","price":"19.50","stock_quantity":{stock},"category":"c"}}"#
    )
}
fn rows(dir: &Path) -> Vec<(i64, i64, Option<i64>)> {
    let db = rusqlite::Connection::open(dir.join("x.db")).expect("a database");
    let mut query = db
        .prepare("SELECT product_id, stock_quantity, low_stock FROM inventory_realtime ORDER BY 1")
        .expect("a table");
    let rows = query.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?))).expect("rows");
    rows.map(|r| r.expect("a row")).collect()
}

#[test]
fn wrong_settings_fail_at_start_all_at_once_with_64() {
    let dir = tempfile::tempdir().expect("a folder");
    let (code, _, stderr) =
        output(cdc(dir.path(), "run inventory --sink paper").env("LINGER_MS", "soon"));
    assert_eq!(code, Some(64), "{stderr}");
    for part in ["--sink or SINK", "LINGER_MS: `soon` (from the environment)", "--dlq or DLQ"] {
        assert!(stderr.contains(part), "{part} is not in {stderr}");
    }
    for args in ["run", "run nothing", "config", "fly", "run inventory --no-such-flag"] {
        let (code, _, stderr) = output(&mut cdc(dir.path(), args));
        assert_eq!(code, Some(64), "{args}: {stderr}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing was made");
}

#[test]
fn config_shows_where_values_come_from() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut command =
        cdc(dir.path(), "config search --sink sqlite:x.db --kafka-group-id from-flag");
    command.envs([("DLQ", "dir:dlq"), ("KAFKA_GROUP_ID", "from-env"), ("S3_BUCKET", "")]);
    command.env("KAFKA_PROPERTIES_SASL_PASSWORD", "hunter2");
    let (code, stdout, stderr) = output(&mut command);
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let line = |name: &str| {
        let line = stdout.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("KAFKA_GROUP_ID"), "from-flag flag");
    assert_eq!(line("DLQ "), "dir:dlq environment");
    assert_eq!(line("S3_BUCKET"), "- default");
    assert!(stdout.contains("sasl.password") && !stdout.contains("hunter2"), "{stdout}");
}

#[test]
fn help_ends_with_examples() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in ["run --help", "config --help"] {
        let (code, stdout, _) = output(&mut cdc(dir.path(), args));
        assert_eq!(code, Some(0), "{args}");
        let (options, examples) = stdout.split_once("Examples:").expect("examples");
        assert!(options.contains("--dlq") && options.contains("DLQ"), "{stdout}");
        assert!(!examples.contains("Options:"), "examples come last: {stdout}");
    }
}

#[test]
fn a_file_is_read_to_its_end_and_again_without_effect() {
    let dir = tempfile::tempdir().expect("a folder");
    let lines = [
        change("c", 1, &product(1, 20), 0),
        change("c", 2, &product(2, 30), 1),
        change("u", 1, &product(1, 9), 2),
        change("c", 3, r#"{"id":"three"}"#, 3),
        change("d", 2, "null", 4),
    ];
    std::fs::write(dir.path().join("shop.ndjson"), lines.join("\n")).expect("written");
    let args =
        "run inventory --source ndjson:shop.ndjson --sink sqlite:x.db --dlq dir:dlq --until-end";
    let (code, stdout, stderr) = output(&mut cdc(dir.path(), args));
    assert_eq!(code, Some(2), "one letter: {stdout}{stderr}");
    assert_eq!(rows(dir.path()), [(1, 9, Some(1))]);
    let alerts = stdout.lines().filter(|l| l.contains("WARN") && l.contains("low stock"));
    let alerts: Vec<_> = alerts.collect();
    assert!(alerts.len() == 1 && alerts[0].contains("stock=9 threshold=10"), "{stdout}");
    assert!(stdout.contains("records=5") && stdout.contains("dead_letters=1"), "{stdout}");
    assert!(!stdout.contains("Mouse") && !stdout.contains("three"), "row values: {stdout}");
    let letter = dir.path().join("dlq/inventory-service/dbserver1.public.products/0/3.json");
    assert!(letter.exists());
    let (code, stdout, _) = output(cdc(dir.path(), args).env("LOG_FORMAT", "json"));
    assert_eq!(code, Some(0), "{stdout}");
    assert_eq!(rows(dir.path()), [(1, 9, Some(1))]);
    assert!(!stdout.contains("low stock"), "alerted again: {stdout}");
    let all_json = |l: &str| serde_json::from_str::<serde_json::Value>(l).is_ok();
    assert!(stdout.lines().all(all_json), "{stdout}");
}

#[test]
fn a_wrong_file_stops_with_1_and_names_the_line() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("bad.ndjson"), "{}\n").expect("written");
    let args = "run search --source ndjson:bad.ndjson --sink sqlite:x.db --dlq dir:dlq --until-end";
    let (code, stdout, _) = output(&mut cdc(dir.path(), args));
    assert_eq!(code, Some(1), "{stdout}");
    assert!(stdout.contains("bad.ndjson, line 1"), "{stdout}");
}

/// Kafka's partitioner puts the keys 1 and 2 into partition 0 of two, 3 into partition 1.
fn placed(partition: i32, offset: i64, id: i64) -> String {
    let line = change("c", id, &product(id, 20), offset);
    line.replace(r#""partition":0"#, &format!(r#""partition":{partition}"#))
}

#[test]
fn a_later_export_may_show_more_partitions_and_keys_that_moved_stop_everything() {
    const TOPIC: &str = "dbserver1.public.products";
    let dir = tempfile::tempdir().expect("a folder");
    let run = |lines: &[String], flags: &str| {
        std::fs::write(dir.path().join("x.ndjson"), lines.join("\n")).expect("written");
        let args =
            "run inventory --source ndjson:x.ndjson --sink sqlite:x.db --dlq dir:dlq --until-end";
        let (code, stdout, stderr) = output(&mut cdc(dir.path(), &format!("{args} {flags}")));
        (code, stdout + &stderr)
    };
    let ids = || rows(dir.path()).iter().map(|row| row.0).collect::<Vec<_>>();
    // Only the first partition has a record yet; then both, and all that came before.
    assert_eq!(run(&[placed(0, 0, 1)], "").0, Some(0));
    let (code, log) = run(&[placed(0, 0, 1), placed(1, 0, 3)], "");
    assert_eq!((code, ids()), (Some(0), vec![1, 3]), "{log}");
    // The next export holds what is new, and none of the second partition.
    let (code, log) = run(&[placed(0, 0, 1), placed(0, 1, 2)], "");
    assert_eq!((code, ids()), (Some(0), vec![1, 2, 3]), "{log}");
    // Key 2 is in two partitions.
    let (code, log) = run(&[placed(0, 0, 1), placed(0, 1, 2), placed(2, 0, 2)], "");
    assert_eq!((code, ids()), (Some(1), vec![1, 2, 3]), "{log}");
    assert!(log.contains("PLACEMENT=custom") && log.contains("were added"), "{log}");
    assert!(log.contains("offset 0 of partition 2 is in partition 0, too"), "{log}");
    // Key 5 is in partition 2, where no count has it beside the others: seen from the log's beginning, nothing is twice.
    let all = [placed(0, 0, 1), placed(0, 1, 2), placed(1, 0, 3), placed(2, 0, 5)];
    let (code, log) = run(&all, "");
    assert_eq!((code, ids()), (Some(0), vec![1, 2, 3, 5]), "{log}");
    assert!(log.contains("None is in two partitions"), "{log}");
    // What comes later proves nothing by itself any more, though these two records would fit.
    let part = [placed(0, 1, 2), placed(1, 1, 6)];
    let (code, log) = run(&part, "");
    assert_eq!((code, ids()), (Some(1), vec![1, 2, 3, 5]), "{log}");
    assert!(log.contains("whole log"), "{log}");
    let (code, log) = run(&part, "--placement custom");
    assert_eq!((code, ids()), (Some(0), vec![1, 2, 3, 5, 6]), "{log}");
    // An export without the beginning cannot show where the older keys lie: somebody has to say it.
    let fresh = tempfile::tempdir().expect("a folder");
    let run = |lines: &[String], flags: &str| {
        std::fs::write(fresh.path().join("x.ndjson"), lines.join("\n")).expect("written");
        let args =
            "run inventory --source ndjson:x.ndjson --sink sqlite:x.db --dlq dir:dlq --until-end";
        let (code, stdout, stderr) = output(&mut cdc(fresh.path(), &format!("{args} {flags}")));
        (code, stdout + &stderr)
    };
    assert_eq!(run(&[placed(0, 0, 1), placed(0, 1, 2)], "").0, Some(0));
    let part = [placed(0, 1, 2), placed(1, 0, 3)];
    let (code, log) = run(&part, "");
    assert_eq!((code, rows(fresh.path()).len()), (Some(1), 2), "{log}");
    assert!(log.contains(&format!("TOPIC_PARTITIONS={TOPIC}=2")), "{log}");
    let (code, log) = run(&part, &format!("--topic-partitions {TOPIC}=2"));
    assert_eq!((code, rows(fresh.path()).len()), (Some(0), 3), "{log}");
    assert_eq!(run(&part, "").0, Some(0), "said once");
    let (code, log) = run(&part, &format!("--topic-partitions {TOPIC}=3"));
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("TOPIC_PARTITIONS says"), "{log}");
}

#[test]
fn files_of_a_folder_that_are_not_read_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(dir.path().join("in")).expect("a folder");
    std::fs::write(dir.path().join("in/a.jsonl"), change("c", 1, &product(1, 20), 0))
        .expect("written");
    std::fs::write(dir.path().join("in/b.json"), "{}").expect("written");
    let args = "run inventory --source ndjson:in --sink sqlite://x.db --dlq dir://dlq --until-end";
    let (code, stdout, stderr) = output(&mut cdc(dir.path(), args));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stdout.contains("WARN") && stdout.contains("b.json"), "{stdout}");
    assert_eq!(rows(dir.path()), [(1, 20, None)]);
}
