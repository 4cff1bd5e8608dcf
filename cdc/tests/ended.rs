//! The last words of a run: dead letters and topics under another prefix are said, with what to do, and are no success;
//! a fatal error says everything once; credentials that are not there are said before anything is read.
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    thread,
};

/// In an environment of its own, without a machine's role.
fn cdc(dir: &Path, args: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
    command.env_clear().current_dir(dir).args(args.split_whitespace());
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", dir);
    command
}
/// Exit code and log.
fn output(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout) + &text(stderr))
}

fn line(topic: &str, offset: i64, value: &str) -> String {
    json!({"topic": topic, "partition": 0, "offset": offset, "timestamp": offset, "key": format!("{{\"id\":{offset}}}"),
        "value": value})
    .to_string()
}
fn row(table: &str, after: &serde_json::Value) -> String {
    json!({"before": null, "after": after, "op": "c", "ts_ms": 2, "source": {"connector": "postgresql", "name": "s",
        "ts_ms": 1, "snapshot": "false", "db": "shop", "schema": "public", "table": table}})
    .to_string()
}
fn product(id: i64) -> String {
    row(
        "products",
        &json!({"id": id, "name": "Secret Name", "price": "1.50", "stock_quantity": 50}),
    )
}
fn item() -> String {
    row(
        "order_items",
        &json!({"id": 0, "order_id": 1, "product_id": 0, "quantity": 2, "unit_price": "1.50"}),
    )
}
fn write(dir: &Path, lines: &[String]) {
    std::fs::write(dir.join("in.ndjson"), lines.join("\n") + "\n").expect("written");
}
const RUN: &str = "run inventory --source ndjson:in.ndjson --sink sqlite:x.db --dlq dir:dlq --http-listen none \
                   --until-end";

#[test]
fn dead_letters_are_said_where_they_are_and_at_the_end_with_the_command_that_shows_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let topic = "dbserver1.public.products";
    let mut lines = vec![line(topic, 0, &product(0))];
    lines.extend((1..=5).map(|at| line(topic, at, "{\"secret\":")));
    lines.push(line(topic, 6, &row("products", &json!({"id": "secret"}))));
    write(dir.path(), &lines);
    let (code, log) = output(&mut cdc(dir.path(), RUN));
    assert_eq!(code, Some(2), "{log}");
    let warned: Vec<&str> = log.lines().filter(|l| l.contains(": dead letter (")).collect();
    for (at, place) in [(0, "offset 1: "), (1, "offset 2: "), (2, "offset 4: "), (3, "offset 6: ")]
    {
        let place = format!("topic {topic}, partition 0, {place}");
        assert!(warned[at].contains(&place) && warned[at].contains("WARN"), "{at}: {warned:#?}");
    }
    assert_eq!(warned.len(), 4, "the first, the second, the fourth; the first of the other reason");
    assert!(warned[3].contains("(invalid)") && !log.contains("secret"), "{warned:#?}");
    let last = log.lines().last().expect("a line");
    assert!(last.contains("WARN") && last.contains("6 records are dead letters"), "{last}");
    assert!(last.contains("ALLOW_DEAD_LETTERS=true"), "{last}");

    // The command, as it stands there.
    let (_, command) = last.split_once("To see why: cdc ").expect("a command");
    let command = command.split(" (exit code").next().expect("arguments");
    let (code, listed) = output(&mut cdc(dir.path(), command));
    assert_eq!(code, Some(0), "{command}: {listed}");
    assert_eq!(listed.matches("new  ").count(), 6, "{listed}");
    let (_, none) = output(&mut cdc(dir.path(), &command.replace("generation 1", "generation 2")));
    assert!(!none.contains("malformed"), "letters of another generation: {none}");

    let other = RUN.replace("x.db", "y.db") + " --allow-dead-letters";
    let (code, log) = output(&mut cdc(dir.path(), &other));
    assert_eq!(code, Some(0), "allowed: {log}");
    assert!(log.lines().last().expect("a line").contains("cdc dlq list"), "and said: {log}");
    // Nothing new: none of them is of this run.
    let (code, log) = output(&mut cdc(dir.path(), RUN));
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("cdc dlq list"), "{log}");
}

#[test]
fn a_halt_by_a_flood_of_letters_says_everything_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let topic = "dbserver1.public.products";
    let lines: Vec<_> = (0..40).map(|at| line(topic, at, "{")).collect();
    write(dir.path(), &lines);
    let args = format!("{RUN} --dlq-in-a-row-max 30 --batch-records 10");
    let (code, log) = output(&mut cdc(dir.path(), &args));
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().expect("a line");
    assert!(last.contains("halted:") && last.contains("dead letters in a row"), "{last}");
    once(last);
}

#[test]
fn topics_under_another_prefix_are_no_success_and_the_prefix_that_fits_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        &[
            line("shop.public.products", 0, &product(0)),
            line("shop.public.order_items", 0, &item()),
            line("other.products", 0, &product(0)),
        ],
    );
    let (code, log) = output(&mut cdc(dir.path(), RUN));
    assert_eq!(code, Some(1), "{log}");
    let last = log.lines().last().expect("a line");
    for part in ["ERROR", "TOPIC_PREFIX=shop.public. would fit", "dbserver1.public.products"] {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert!(!last.contains("TOPIC_PREFIX=other."), "it has one table only: {last}");
    let (code, log) = output(&mut cdc(dir.path(), &format!("{RUN} --topic-prefix shop.public.")));
    assert_eq!(code, Some(0), "{log}");

    // One topic is right, the other one is not.
    write(
        dir.path(),
        &[
            line("dbserver1.public.products", 0, &product(0)),
            line("shop.public.order_items", 0, &item()),
        ],
    );
    let (code, log) = output(&mut cdc(dir.path(), &RUN.replace("x.db", "y.db")));
    assert_eq!(code, Some(2), "{log}");
    let last = log.lines().last().expect("a line");
    for part in
        ["WARN", "nothing was read of dbserver1.public.order_items", "shop.public.order_items"]
    {
        assert!(last.contains(part), "{part}: {last}");
    }
}

#[test]
fn a_topic_without_records_and_files_without_any_are_no_error() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), &[]);
    let (code, log) = output(&mut cdc(dir.path(), RUN));
    assert_eq!(code, Some(0), "{log}");
    let topics = ["dbserver1.public.products", "dbserver1.public.customers"];
    write(dir.path(), &topics.map(|topic| line(topic, 0, &product(0))));
    let (code, log) = output(&mut cdc(dir.path(), RUN));
    assert_eq!(code, Some(0), "order_items has no changes yet: {log}");
}

/// Answers every request so.
fn refusing(status: u16, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                let mut buffer = [0; 65_536];
                // One request a connection; what is left of it nobody needs.
                let _ = stream.read(&mut buffer);
                let head = format!(
                    "HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
            });
        }
    });
    format!("http://{at}")
}

/// No words twice in one line: nothing of 24 characters that has three words.
fn once(line: &str) {
    let chars: Vec<char> = line.chars().collect();
    let mut seen: BTreeMap<&[char], usize> = BTreeMap::new();
    for (at, window) in chars.windows(24).enumerate() {
        let words = window.iter().filter(|c| **c == ' ').count();
        if words >= 2
            && let Some(before) = seen.insert(window, at)
        {
            let text: String = window.iter().collect();
            panic!("`{text}` at {before} and at {at} of: {line}");
        }
    }
}

#[test]
fn a_fatal_error_says_everything_once() {
    let dir = tempfile::tempdir().expect("a folder");
    write(
        dir.path(),
        &[
            line("dbserver1.public.products", 0, &product(0)),
            line("dbserver1.public.products", 1, "{"),
        ],
    );
    let (file, wrong) = (dir.path().join("file"), dir.path().join("wrong.db"));
    std::fs::write(file, "no folder").expect("written");
    std::fs::write(wrong, "no database, but long enough to have a header".repeat(100))
        .expect("written");
    let denied =
        refusing(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
    let absent = refusing(404, "<Error><Code>NoSuchBucket</Code><Message>x</Message></Error>");
    let dynamo = refusing(
        400,
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"x"}"#,
    );
    let to = |sink: &str, dlq: &str| format!("--sink {sink} --dlq {dlq}");
    let s3 = |url: &str| to("sqlite:s3.db", &format!("s3://bucket/dlq --aws-endpoint-url {url}"));
    for (what, args) in [
        ("unable to open", to("sqlite:nowhere/x.db", "dir:dlq")),
        ("damaged", to("sqlite:wrong.db", "dir:dlq")),
        ("something else has its place", to("dir:file", "dir:dlq")),
        ("something else has its place", to("sqlite:a.db", "dir:file/dlq")),
        ("something else has its place", to("dir:file/below", "dir:dlq")),
        ("access denied", s3(&denied)),
        ("bucket bucket does not exist", s3(&absent)),
        (
            "does not exist: create it",
            to("aws", &format!("dir:dlq --state slatedb:dir:state --aws-endpoint-url {dynamo}")),
        ),
        ("no such folder", to("sqlite:b.db", "dir:dlq --source ndjson:nowhere.ndjson")),
    ] {
        let base = "run inventory --until-end --http-listen none --source ndjson:in.ndjson";
        let base = if args.contains("--source") { &base[..base.len() - 26] } else { base };
        let mut command = cdc(dir.path(), &format!("{base} {args}"));
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let (code, log) = output(&mut command);
        let last = log.lines().last().expect("a line");
        println!("{last}");
        assert_eq!(code, Some(1), "{what}: {log}");
        assert!(last.contains("ERROR"), "{what}: {log}");
        if what != "no such folder" {
            assert!(last.contains(what), "{what}: {last}");
        }
        assert!(!log.contains("Secret Name"), "a row's values: {log}");
        once(last);
    }
}

#[test]
fn without_credentials_it_ends_before_anything_is_read_and_says_where_it_looked() {
    let dir = tempfile::tempdir().expect("a folder");
    write(dir.path(), &[line("dbserver1.public.products", 0, &product(0))]);
    let base = "run inventory --until-end --http-listen none --source ndjson:in.ndjson";
    for args in [
        "--sink aws --state slatedb:dir:state --dlq dir:dlq",
        "--sink sqlite:x.db --dlq s3://bucket/dlq",
        "--sink aws --s3-bucket bucket --dlq dir:dlq",
    ] {
        let (code, log) = output(&mut cdc(dir.path(), &format!("{base} {args}")));
        assert_eq!(code, Some(1), "{log}");
        let last = log.lines().last().expect("a line");
        for part in [
            "ERROR",
            "there are no AWS credentials",
            "AWS_PROFILE",
            "AWS_WEB_IDENTITY",
            "AWS_EC2_METADATA",
        ] {
            assert!(last.contains(part), "{part}: {last}");
        }
        assert!(!log.contains("files read"), "read before: {log}");
        once(last);
    }
    // Nothing of AWS is used: nobody looks.
    let (code, log) =
        output(&mut cdc(dir.path(), &format!("{base} --sink sqlite:y.db --dlq dir:dlq")));
    assert_eq!(code, Some(0), "{log}");
}

/// A container's role that does not answer now may answer later.
#[test]
fn a_place_that_fails_is_said_and_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let topic = "dbserver1.public.products";
    write(dir.path(), &[line(topic, 0, &product(0))]);
    let failing = refusing(500, "{}");
    let mut command = cdc(
        dir.path(),
        "run inventory --until-end --http-listen none --source ndjson:in.ndjson --sink sqlite:x.db --dlq s3://bucket/dlq",
    );
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{failing}/role"));
    let (code, log) = output(&mut command);
    // No letter is written here, so nothing waits for them.
    assert_eq!(code, Some(0), "{log}");
    let warned = log.lines().find(|l| l.contains("cannot be loaded now")).expect("a warning");
    assert!(warned.contains("WARN"), "{warned}");
    once(warned);
}
