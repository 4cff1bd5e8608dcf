mod types;

use super::super::super::snapshot::Snapshot;
use super::super::wanted;
use super::*;
use serving::postgres::Dsn;
use sinks::{Cell, Column as Shown, Type};

/// Rows of the key (uuid, text).
fn boxes() -> SourceTable {
    SourceTable::new("boxes", 'b')
        .key_named("id", "Box", SourceType::Text)
        .key("shelf", SourceType::Text)
        .column("label", SourceType::Text)
        .column("placed", SourceType::Time)
}
/// Rows that count towards a box.
fn lines(types: &Types) -> Table {
    let source = SourceTable::new("lines", 'l')
        .key("n", SourceType::Int)
        .column("box", SourceType::Text)
        .column("shelf", SourceType::Text)
        .column("quantity", SourceType::Int);
    Table { counted_by: vec!["box", "shelf"], ..Table::new(&source, "depot", types) }
}
fn types() -> Types {
    let all = [
        ("boxes", "Box", "uuid"),
        ("boxes", "shelf", "character varying"),
        ("boxes", "placed", "date"),
        ("lines", "n", "integer"),
        ("lines", "box", "uuid"),
    ];
    all.map(|(table, column, own)| ((table.to_owned(), column.to_owned()), own.to_owned())).into()
}
fn key(values: &[&str]) -> RowKey {
    values.iter().map(|value| (*value).to_owned()).collect()
}
fn new(text: &str) -> Kept<Option<String>> {
    Kept::New(Some(text.to_owned()))
}

#[test]
fn a_patch_is_joined_on_all_columns_of_the_key_in_their_own_types() {
    let table = Table::new(&boxes(), "depot", &types());
    assert_eq!(table.counted_by, ["id", "shelf"], "the primary key");
    let wanted = r#""patch_boxes" as materialized (
  select * from json_to_recordset($1::text::json)
    as p(deleted boolean, k1 uuid, k2 character varying, c1 text, kept1 boolean, c2 timestamptz)
),
"boxes" as (
  select t."Box"::text as "id", t."shelf"::text as "shelf", t."label"::text as "label", t."placed"::timestamptz as "placed"
  from "depot"."boxes" t
  where not exists (select from "patch_boxes" p where p.k1 = t."Box" and p.k2 = t."shelf")
  union all
  select p.k1::text, p.k2::text, case when p.kept1 then t."label"::text else p.c1 end, p.c2
  from "patch_boxes" p left join "depot"."boxes" t on p.k1 = t."Box" and p.k2 = t."shelf"
  where not p.deleted
)"#;
    assert_eq!(table.patched(1, None), wanted);
}

#[test]
fn rows_of_the_owner_are_restricted_by_their_primary_key() {
    let sql = Table::new(&boxes(), "depot", &types()).patched(1, Some(3));
    for part in [
        r#"where exists (select from json_to_recordset($3::text::json) as w(w1 uuid, w2 character varying) where w.w1 = t."Box" and w.w2 = t."shelf") and not exists"#,
        "k1 uuid, k2 character varying, for1 uuid, for2 character varying, c1 text",
        r#"p.k2 = t."shelf" and p.for1 = t."Box" and p.for2 = t."shelf")"#,
        "where not p.deleted and p.k1 = p.for1 and p.k2 = p.for2",
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
}

#[test]
fn other_rows_are_restricted_by_the_columns_that_say_the_views_key() {
    let table = lines(&types());
    let sql = table.patched(2, Some(3));
    for part in [
        r#"as w(w1 uuid, w2 text) where w.w1 = t."box" and w.w2 = t."shelf") and not exists"#,
        "k1 bigint, for1 uuid, for2 text, c1 text",
        r#"where p.k1 = t."n" and p.for1 = t."box" and p.for2 = t."shelf")"#,
        r#"(case when p.kept1 then t."box"::text else p.c1 end)::uuid = p.for1"#,
        r#"(case when p.kept2 then t."shelf"::text else p.c2 end)::text = p.for2"#,
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
    assert_eq!(
        table.keys_of(),
        r#"select w.n, t."box"::text, t."shelf"::text from json_to_recordset($1::text::json) as w(n bigint, k1 bigint) join "depot"."lines" t on t."n" = w.k1"#
    );
}

#[test]
fn patches_and_keys_name_columns_by_number() {
    let table = Table::new(&boxes(), "depot", &types());
    let mut out = Vec::new();
    let (kept, gone) = (key(&["b1", "x"]), key(&["b2", "y"]));
    let row = vec![("label", Kept::Unchanged), ("placed", new("2024-01-01T00:00:00.000000Z"))];
    let patch = Patch::from([(kept.clone(), Some(row)), (gone.clone(), None)]);
    table.json(patch, Some(&gone), &mut out);
    assert_eq!(
        json!(out),
        json!([
            {"k1": "b1", "k2": "x", "for1": "b2", "for2": "y", "deleted": false, "kept1": true,
             "c2": "2024-01-01T00:00:00.000000Z"},
            {"k1": "b2", "k2": "y", "for1": "b2", "for2": "y", "deleted": true},
        ])
    );
    assert_eq!(json!(wanted([&kept])), json!([{"w1": "b1", "w2": "x"}]));
    assert_eq!(
        Table::numbered(&[&kept, &gone]),
        json!([{"n": 0, "k1": "b1", "k2": "x"}, {"n": 1, "k1": "b2", "k2": "y"}])
    );
}

#[test]
fn the_shops_lines_count_towards_their_product_and_all_else_by_its_own_key() {
    let table = |alias: &'static str| {
        let source = SourceTable::new(alias, 't').key("id", SourceType::Int);
        Table::new(&source.column("product_id", SourceType::Int), "public", &Types::new())
    };
    let (lines, products) = (table("order_items"), table("products"));
    assert_eq!((&*lines.counted_by, lines.is_counted_by_key()), (&["product_id"][..], false));
    assert_eq!((&*products.counted_by, products.is_counted_by_key()), (&["id"][..], true));
}

const B1: &str = "00000000-0000-0000-0000-0000000000b1";
const B2: &str = "00000000-0000-0000-0000-0000000000b2";
const B3: &str = "00000000-0000-0000-0000-0000000000b3";

/// A schema of a test's own in the database of `TEST_POSTGRES_DSN`, dropped at the end.
struct Depot {
    io: tokio::runtime::Runtime,
    dsn: Dsn,
    schema: String,
}
impl Depot {
    fn make(test: &str) -> Option<Self> {
        let Ok(dsn) = std::env::var("TEST_POSTGRES_DSN") else {
            eprintln!("left out: no TEST_POSTGRES_DSN");
            return None;
        };
        let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let dsn = Dsn::parse(&dsn, None, "cdc").expect("a DSN");
        let schema = format!("depot_{test}_{}", std::process::id());
        let depot = Self { io: io.expect("threads"), dsn, schema };
        depot.run(&format!(
            "create schema {0}; set search_path = {0}; \
             create table boxes (\"Box\" uuid, shelf varchar(20), label text, placed date, primary key (\"Box\", shelf)); \
             create table lines (n int primary key, box uuid, shelf varchar, quantity int); \
             create table days (day date, amount numeric(9, 3), who char(4), at timestamptz, \
                                primary key (day, amount)); \
             insert into boxes values ('{B1}', 'x', 'one', '2024-01-01'), ('{B1}', 'y', 'two', '2024-01-02'), \
                                      ('{B2}', 'y', 'three', '2024-01-03'); \
             insert into lines values (1, '{B1}', 'x', 10), (2, '{B2}', 'y', 20), (3, '{B1}', 'x', 30), (4, null, 'x', 1); \
             insert into days values ('2024-01-01', 1.5, 'a', '2024-01-01 10:00Z'), ('2024-01-02', 2, 'b', 'infinity');",
            depot.schema
        ));
        Some(depot)
    }
    fn run(&self, sql: &str) {
        self.io.block_on(async {
            let client = self.dsn.connect().await.expect("PostgreSQL");
            client.batch_execute(sql).await.expect("a statement");
        });
    }
    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot::take(&self.io, &self.dsn).expect("a snapshot")
    }
    fn table(&self, snapshot: &Snapshot<'_>, source: &SourceTable) -> Table {
        let types = snapshot.types(&self.schema, std::slice::from_ref(source)).expect("types");
        Table::new(source, &self.schema, &types)
    }
}
impl Drop for Depot {
    fn drop(&mut self) {
        self.run(&format!("drop schema {} cascade", self.schema));
    }
}

/// The table with these patches, each row as text.
fn rows(
    snapshot: &Snapshot<'_>,
    table: &Table,
    patches: &[(&Patch, Option<&RowKey>)],
    keys: Option<&[&RowKey]>,
) -> Vec<String> {
    let mut patch = Vec::new();
    for (rows, for_key) in patches {
        table.json((*rows).clone(), *for_key, &mut patch);
    }
    let mut params = vec![patch];
    params.extend(keys.map(|keys| wanted(keys.iter().copied())));
    let name = table.source.alias;
    let sql = format!(
        "with {} select translate({name}::text, ',()\"', ' ') from {name} order by 1",
        table.patched(1, keys.map(|_| 2))
    );
    let rows = snapshot.rows(&sql, &params, vec![Shown::new("row", Type::Text)]).expect("rows");
    rows.map(|row| row.expect("a row")[0].to_string()).collect()
}
/// A row of the boxes, as text.
fn a_box(id: &str, rest: &str, day: &str) -> String {
    format!("{id} {rest} {day} 00:00:00+00")
}

#[test]
fn the_catalogue_says_the_types_without_their_lengths() {
    let Some(depot) = Depot::make("types") else { return };
    let sources = ["boxes", "days", "absent"].map(|name| SourceTable::new(name, 'a'));
    let types = depot.snapshot().types(&depot.schema, &sources).expect("types");
    let own = |table: &str, column: &str| types[&(table.to_owned(), column.to_owned())].clone();
    assert_eq!([own("boxes", "Box"), own("boxes", "shelf")], ["uuid", "character varying"]);
    assert_eq!([own("days", "day"), own("days", "amount")], ["date", "numeric"]);
    assert_eq!(own("days", "who"), "bpchar", "`character` would be one letter");
    assert_eq!(types.len(), 8);
}

#[test]
fn postgres_patches_rows_by_their_whole_key() {
    let Some(depot) = Depot::make("whole") else { return };
    let snapshot = depot.snapshot();
    let table = depot.table(&snapshot, &boxes());
    // One box is gone, one has another date and the label that it had, one is new.
    let placed = |label, at: &str| Some(vec![("label", label), ("placed", new(at))]);
    let patch = Patch::from([
        (key(&[B1, "x"]), None),
        (key(&[B1, "y"]), placed(Kept::Unchanged, "2024-02-02T00:00:00.000000Z")),
        (key(&[B3, "z"]), placed(new("four"), "2024-02-03T00:00:00.000000Z")),
    ]);
    assert_eq!(
        rows(&snapshot, &table, &[(&patch, None)], None),
        [
            a_box(B1, "y two", "2024-02-02"),
            a_box(B2, "y three", "2024-01-03"),
            a_box(B3, "z four", "2024-02-03")
        ]
    );
}

#[test]
fn postgres_gives_the_rows_that_are_asked_for() {
    let Some(depot) = Depot::make("asked") else { return };
    let snapshot = depot.snapshot();
    let table = depot.table(&snapshot, &boxes());
    let (b1y, b2y) = (key(&[B1, "y"]), key(&[B2, "y"]));
    let gone = |key: &RowKey| Patch::from([(key.clone(), None)]);
    let (first, second) = (a_box(B1, "y two", "2024-01-02"), a_box(B2, "y three", "2024-01-03"));
    let of = |patches: &[(&Patch, Option<&RowKey>)]| {
        rows(&snapshot, &table, patches, Some(&[&b1y, &b2y]))
    };
    assert_eq!(of(&[]), [&*first, &*second]);
    assert_eq!(of(&[(&gone(&b1y), Some(&b1y))]), [&*second]);
    assert_eq!(of(&[(&gone(&b1y), Some(&b2y))]), [&*first, &*second], "it is for the other one");
}

/// Once, or never, or twice: as the boxes' positions say.
#[test]
fn postgres_counts_a_row_that_went_from_one_key_to_another() {
    let Some(depot) = Depot::make("moved") else { return };
    let snapshot = depot.snapshot();
    let table = lines_of(&depot.table(&snapshot, &lines(&types()).source));
    let (b1x, b2y) = (key(&[B1, "x"]), key(&[B2, "y"]));
    let line = vec![("box", new(B2)), ("shelf", new("y")), ("quantity", new("11"))];
    let moved = &Patch::from([(1.into(), Some(line))]);
    let of = |patches: &[(&Patch, Option<&RowKey>)]| {
        rows(&snapshot, &table, patches, Some(&[&b1x, &b2y]))
    };
    let (was, is) = (format!("1 {B1} x 10"), format!("1 {B2} y 11"));
    let (second, third) = (format!("2 {B2} y 20"), format!("3 {B1} x 30"));
    assert_eq!(of(&[]), [&*was, &*second, &*third]);
    assert_eq!(of(&[(moved, Some(&b1x))]), [&*second, &*third]);
    assert_eq!(of(&[(moved, Some(&b2y))]), [&*was, &*is, &*second, &*third]);
    let both = [(moved, Some(&b1x)), (moved, Some(&b2y))];
    assert_eq!(of(&both), [&*is, &*second, &*third]);
}
fn lines_of(table: &Table) -> Table {
    Table { counted_by: vec!["box", "shelf"], ..table.clone() }
}

#[test]
fn postgres_says_what_rows_count_by() {
    let Some(depot) = Depot::make("count") else { return };
    let snapshot = depot.snapshot();
    let table = lines_of(&depot.table(&snapshot, &lines(&types()).source));
    // The last number is beyond the type of the column.
    let [first, fourth, none] = [1, 4, 9_000_000_000].map(RowKey::from);
    let asked = [&first, &none, &fourth];
    let counted = snapshot.keys_of(&table, &asked).expect("keys");
    assert_eq!(counted[&first], [Some(B1.to_owned()), Some("x".to_owned())]);
    assert_eq!(counted[&fourth], [None, Some("x".to_owned())]);
    assert_eq!(counted.len(), 2);
    assert_eq!(snapshot.ids_of(&table, &asked).expect("ids"), [&first, &fourth].into());
}

/// However the log and PostgreSQL write them.
#[test]
fn postgres_finds_keys_of_dates_and_decimals() {
    let Some(depot) = Depot::make("days") else { return };
    let snapshot = depot.snapshot();
    let source = SourceTable::new("days", 'd')
        .key("day", SourceType::Time)
        .key("amount", SourceType::Decimal)
        .column("at", SourceType::Time);
    let table = depot.table(&snapshot, &source);
    let of = |day: &str, amount: &str| {
        let day = chrono::DateTime::parse_from_rfc3339(day).expect("a time").timestamp_micros();
        let amount = amount.parse().expect("a decimal");
        RowKey::of(&[Cell::Time(day), Cell::Decimal(amount)]).expect("a key")
    };
    let (first, second) = (of("2024-01-01T00:00:00Z", "1.50"), of("2024-01-02T00:00:00Z", "2.00"));
    let other = of("2024-01-02T00:00:00Z", "3");
    let there = snapshot.ids_of(&table, &[&first, &second, &other]).expect("ids");
    assert_eq!(there, [&first, &second].into());
    let table = Table { counted_by: vec!["day", "at"], ..table };
    let counted = snapshot.keys_of(&table, &[&first, &second]).expect("keys");
    let times = ["2024-01-01T00:00:00.000000Z", "2024-01-01T10:00:00.000000Z"];
    assert_eq!(counted[&first], times.map(|text| Some(text.to_owned())));
    assert_eq!(counted[&second][1], None, "an infinite time is in no key");
}
