//! `cdc run FILE`: views in SQL over the recorded shop are, row by row, what PostgreSQL computed when it was recorded, also
//! after a `kill -9`; and what is refused is refused before anything starts.
use flate2::read::GzDecoder;
use serde_json::Value;
use sinks::Decimal;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

type Rows = BTreeMap<Vec<String>, Vec<String>>;

/// A view of the recorded shop: its file, its key, and what else is compared.
struct Expected {
    file: &'static str,
    view: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
}
const VIEWS: [Expected; 7] = [
    Expected {
        file: "inventory.sql",
        view: "inventory_realtime",
        key: &["product_id"],
        columns: &["name", "price", "base_stock", "sold", "stock_quantity"],
    },
    Expected {
        file: "analytics/daily_sales.sql",
        view: "daily_sales",
        key: &["day"],
        columns: &["orders", "revenue"],
    },
    Expected {
        file: "analytics/customer_metrics.sql",
        view: "customer_metrics",
        key: &["customer_id"],
        columns: &["orders", "spent", "average", "last_order_at"],
    },
    Expected {
        file: "analytics/order_status.sql",
        view: "order_status",
        key: &["status"],
        columns: &["orders"],
    },
    Expected {
        file: "analytics/product_sales.sql",
        view: "product_sales",
        key: &["product_id"],
        columns: &["quantity", "revenue"],
    },
    Expected {
        file: "search_index.sql",
        view: "product_search_index",
        key: &["product_id"],
        columns: &["name", "description", "price", "category"],
    },
    Expected {
        file: "search_tokens.sql",
        view: "product_search_tokens",
        key: &["token", "product_id"],
        columns: &[],
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One text for equal values: of numbers without zeros at their end, of times without a zone.
fn plain(text: &str) -> String {
    if let Ok(number) = text.parse::<Decimal>() {
        return number.normalized().to_plain_string();
    }
    let is_time = text.len() >= 19 && text.as_bytes()[10] == b'T' && text.as_bytes()[4] == b'-';
    let text = if is_time { text.trim_end_matches('Z') } else { text };
    let has_fraction = is_time && text.contains('.');
    if has_fraction { text.trim_end_matches('0').trim_end_matches('.').into() } else { text.into() }
}

fn answers(expected: &Expected) -> Rows {
    let file = std::fs::File::open(root().join("cdc/demo/expected.json.gz")).expect("the answers");
    let all: Value = serde_json::from_reader(GzDecoder::new(file)).expect("JSON");
    let rows = all["views"][expected.view].as_array().expect("rows");
    let value = |row: &Value, name: &&str| match &row[*name] {
        Value::Null => "null".into(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    };
    let values = |row: &Value, names: &[&str]| names.iter().map(|name| value(row, name)).collect();
    rows.iter().map(|row| (values(row, expected.key), values(row, expected.columns))).collect()
}

fn shown(db: &Path, expected: &Expected) -> Rows {
    let base = rusqlite::Connection::open(db).expect("a file");
    let names = [expected.key, expected.columns].concat();
    let sql = format!("select {} from {}", names.join(", "), expected.view);
    let mut all = base.prepare(&sql).expect("the view");
    let value = |row: &rusqlite::Row<'_>, at: usize| {
        use rusqlite::types::ValueRef;
        match row.get_ref(at).expect("a column") {
            ValueRef::Null => "null".into(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => plain(&number.to_string()),
            ValueRef::Text(text) => plain(std::str::from_utf8(text).expect("text")),
            ValueRef::Blob(_) => "bytes".into(),
        }
    };
    let width = expected.key.len();
    let rows = all.query_map([], |row| {
        let values: Vec<String> = (0..names.len()).map(|at| value(row, at)).collect();
        Ok((values[..width].to_vec(), values[width..].to_vec()))
    });
    rows.expect("rows").map(|row| row.expect("a row")).collect()
}

fn command(dir: &Path, file: &Path, source: &Path, more: &[&str]) -> Command {
    let mut cdc = Command::new(env!("CARGO_BIN_EXE_cdc"));
    cdc.current_dir(dir).arg("run").arg(file).args(more);
    cdc.args(["--source", &format!("ndjson:{}", source.display()), "--dlq", "dir:dlq"]);
    cdc.args(["--until-end", "--http-listen", "none"]);
    cdc
}
fn shop() -> PathBuf {
    root().join("cdc/demo/shop.ndjson.gz")
}
fn run(dir: &Path, file: &Path, more: &[&str]) -> Output {
    command(dir, file, &shop(), more).arg("--allow-dead-letters").output().expect("cdc")
}
fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&[&ran.stderr[..], &ran.stdout].concat()).into_owned()
}

#[test]
fn the_services_as_files_are_exact() {
    for expected in &VIEWS {
        let dir = tempfile::tempdir().expect("a folder");
        let file = root().join("sql/examples").join(expected.file);
        let ran = run(dir.path(), &file, &["--sink", "sqlite:views.db"]);
        assert_eq!(ran.status.code(), Some(0), "{}: {}", expected.file, said(&ran));
        let (have, want) = (shown(&dir.path().join("views.db"), expected), answers(expected));
        assert!(!want.is_empty() && have == want, "{}: rows differ", expected.file);
    }
}

#[test]
fn a_view_that_is_killed_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().expect("a folder");
    let expected = &VIEWS[0];
    let file = root().join("sql/examples").join(expected.file);
    let db = dir.path().join("inventory.db"); // as the file itself says
    // Small batches, so that it is killed between two of them.
    let small = ["--batch-records", "20"];
    let rows = || {
        let base =
            rusqlite::Connection::open_with_flags(&db, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)
                .ok()?;
        let count = "select count(*) from inventory_realtime";
        base.query_row(count, [], |row| row.get::<_, i64>(0)).ok()
    };
    let mut kills = 0;
    for least in [1, 100, 200] {
        let mut first = command(dir.path(), &file, &shop(), &small);
        let first = first.arg("--allow-dead-letters").stderr(Stdio::null()).stdout(Stdio::null());
        let mut first = first.spawn().expect("cdc");
        let until = Instant::now() + Duration::from_secs(60);
        while rows().is_none_or(|rows| rows < least) {
            assert!(Instant::now() < until, "no rows");
            if first.try_wait().expect("a process").is_some() {
                break;
            }
            std::thread::yield_now();
        }
        kills += usize::from(first.try_wait().expect("a process").is_none());
        first.kill().expect("kill -9");
        first.wait().expect("a process");
    }
    assert!(kills > 0, "it was always done before it was killed");
    let ran = run(dir.path(), &file, &small);
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    assert!(shown(&db, expected) == answers(expected), "rows differ after {kills} kills");
}

/// A change event of `shop.public.t` as Debezium writes it without schemas.
fn event(offset: i64, op: &str, id: i64, row: &str) -> String {
    let source = r#"{"connector":"postgresql","name":"shop","ts_ms":1767323045000,"snapshot":"false","db":"shop","schema":"public","table":"t"}"#;
    let (key, value) = (
        format!(r#"{{"id":{id}}}"#),
        format!(
            r#"{{"before":null,"after":{row},"source":{source},"op":"{op}","ts_ms":1767323045100}}"#
        ),
    );
    let record = serde_json::json!({
        "topic": "shop.public.t", "partition": 0, "offset": offset, "timestamp": 1_767_323_045_200_i64,
        "key": key, "value": value,
    });
    format!("{record}\n")
}

const OWN: &str = "\
create table t (id int primary key, n int not null, price numeric(8, 2), at timestamp);
create materialized view v with (sink = 'sqlite:own.db', topics = 'shop.public.t') as
select id, n * 1000 as many, round(price, 1) as price, at from t where n <> 7;
";

#[test]
fn values_that_the_view_was_not_checked_for_are_dead_letters() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).expect("a file");
        dir.path().join(name)
    };
    let rows = [
        r#"{"id":1,"n":1,"price":"1.25","at":"2026-01-02T03:04:05Z"}"#,
        r#"{"id":2,"n":2000000000,"price":"1","at":null}"#, // n * 1000 is no int
        r#"{"id":3,"n":null,"price":"1","at":null}"#,
        r#"{"id":4,"n":3000000000,"price":"1","at":null}"#, // no int either
        r#"{"id":5,"n":5,"price":"1.255","at":null}"#,      // three places
        r#"{"id":6,"n":6,"price":null,"at":null}"#,
        r#"{"id":7,"n":7,"price":"1","at":null}"#, // not in the view
    ];
    let events = (0..).zip(1..).zip(rows).map(|((offset, id), row)| event(offset, "c", id, row));
    let (file, source) = (write("v.sql", OWN), write("t.ndjson", &events.collect::<String>()));
    let ran = command(dir.path(), &file, &source, &[]).output().expect("cdc");
    let said = said(&ran);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("t: view v: numeric_value_out_of_range"), "{said}");
    assert!(!said.contains("2000000000"), "no value of a row: {said}");
    // The command that it advises to see why.
    let advised =
        said.split("To see why: cdc ").nth(1).and_then(|text| text.split(" (exit").next());
    let mut listed = Command::new(env!("CARGO_BIN_EXE_cdc"));
    listed.current_dir(dir.path()).args(advised.expect("advice").split(' '));
    let listed = listed.output().expect("cdc");
    let letters = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && letters.contains("shop.public.t"), "{letters}");
    let base = rusqlite::Connection::open(dir.path().join("own.db")).expect("a file");
    let mut all = base.prepare("select id, many, price, at from v order by id").expect("the view");
    let row =
        |row: &rusqlite::Row<'_>| -> rusqlite::Result<(i64, i64, Option<String>, Option<String>)> {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        };
    let have: Vec<_> =
        all.query_map([], row).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(have.len(), 2, "{have:?}");
    assert_eq!((have[0].0, have[0].1, have[0].2.as_deref()), (1, 1_000, Some("1.3")));
    assert_eq!(have[1], (6, 6_000, None, None));
}

/// Runs a view over these events; the exit code, what was said, and the shown column of each row.
fn over(view: &str, events: &[String]) -> (Option<i32>, String, Vec<(i64, String)>) {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("v.sql"), view).expect("a file");
    std::fs::write(dir.path().join("t.ndjson"), events.concat()).expect("a file");
    let mut run = command(dir.path(), Path::new("v.sql"), Path::new("t.ndjson"), &[]);
    let ran = run.args(["--sink", "sqlite:v.db"]).output().expect("cdc");
    let base = rusqlite::Connection::open(dir.path().join("v.db")).expect("a file");
    let mut all = base.prepare("select id, shown from v order by id").expect("the view");
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    (ran.status.code(), said(&ran), rows.map(|row| row.expect("a row")).collect())
}

#[test]
fn what_no_plan_could_know_before() {
    let view = |columns: &str, select: &str| {
        format!(
            "create table t (id int primary key, {columns});\n\
             create materialized view v with (topics = 'shop.public.*') as select id, {select} as shown from t;\n"
        )
    };
    // A number that is written otherwise, and is equal: as text it is another one.
    let events = [
        event(0, "c", 1, r#"{"id":1,"x":"1.0"}"#),
        event(1, "u", 1, r#"{"id":1,"x":"1.00"}"#),
        event(2, "c", 3_000_000_000, r#"{"id":3000000000,"x":"2"}"#), // no int
    ];
    let (code, said, rows) = over(&view("x numeric", "x::text"), &events);
    assert_eq!((code, rows), (Some(2), vec![(1, "1.00".to_owned())]), "{said}");
    assert!(said.contains("t.id: beyond the type of the table's declaration"), "{said}");

    // A text that is declared not null, was not sent, and never came before.
    let unsent = r#"{"id":1,"body":"__debezium_unavailable_value"}"#;
    let events = [event(0, "u", 1, unsent)];
    let (code, said, rows) = over(&view("body text not null", "body"), &events);
    assert_eq!((code, rows.len()), (Some(1), 0), "{said}");
    assert!(said.contains("offset 0: t.body was not sent"), "{said}");
    let sent = r#"{"id":1,"body":"long"}"#;
    let events = [event(0, "c", 1, sent), event(1, "u", 1, unsent)];
    let (code, said, rows) = over(&view("body text not null", "body"), &events);
    assert_eq!((code, rows), (Some(0), vec![(1, "long".to_owned())]), "{said}");
}

#[test]
fn what_cannot_be_run_is_said_before_anything_starts() {
    let dir = tempfile::tempdir().expect("a folder");
    let cases = [
        ("select id, n from t where at > now()", "now()"),
        (
            "select w.word, count(*) as n from t, unnest(words(id::text)) as w(word) group by w.word",
            "cannot be run yet",
        ),
        ("select id, no from t", "there is no column no"),
    ];
    // As a view, this is right: it runs, and shows nothing of a shop that has no such table.
    let text = format!(
        "{}\ncreate materialized view v with (sink = 'sqlite:x.db', topics = 'shop.public.t') as\n\
         select n, max(coalesce(id, 0)) as most from t group by n;\n",
        OWN.lines().next().expect("the table")
    );
    std::fs::write(dir.path().join("max.sql"), text).expect("a file");
    let config = |file: &str, more: &[&str]| {
        let mut cdc = Command::new(env!("CARGO_BIN_EXE_cdc"));
        cdc.current_dir(dir.path()).args(["config", file, "--dlq", "dir:dlq"]).args(more);
        cdc.output().expect("cdc")
    };
    let ran = config("max.sql", &[]);
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran));
    for (topics, more, want) in [
        ("sales.public.u", &[][..], "is the topic of no table"),
        ("shop.sales.t", &[], "is of another schema than public.t"),
        ("shop.public.*", &["--topic-prefix", "shop.sales."], "is of another schema than public.t"),
    ] {
        let text = OWN.replace("shop.public.t", topics);
        std::fs::write(dir.path().join("topics.sql"), text).expect("a file");
        let ran = config("topics.sql", more);
        assert!(ran.status.code() == Some(64) && said(&ran).contains(want), "{}", said(&ran));
    }
    for (select, want) in cases {
        let tables = OWN.lines().next().expect("the table");
        let text = format!(
            "{tables}\ncreate materialized view v with (sink = 'sqlite:x.db') as\n{select};\n"
        );
        std::fs::write(dir.path().join("v.sql"), text).expect("a file");
        let ran = run(dir.path(), Path::new("v.sql"), &[]);
        let said = said(&ran);
        assert!(ran.status.code() == Some(64) && said.contains(want), "{select}: {said}");
        assert!(said.contains("--> v.sql:"), "{said}");
        assert!(!dir.path().join("x.db").exists(), "{select}");
    }
    let ran = run(dir.path(), Path::new("missing.sql"), &[]);
    assert!(
        ran.status.code() == Some(64) && said(&ran).starts_with("missing.sql: "),
        "{}",
        said(&ran)
    );
}
