//! Every type of a column, from a record to what its views show.
use super::*;
use debezium::{Decoder, Envelope, Formats, Limits};
use sinks::{Float, List};

const EVERY: [(&str, SourceType); 11] = [
    ("an_int", SourceType::Int),
    ("a_text", SourceType::Text),
    ("a_decimal", SourceType::Decimal),
    ("a_time", SourceType::Time),
    ("a_bool", SourceType::Bool),
    ("a_float", SourceType::Float),
    ("a_date", SourceType::Date),
    ("a_uuid", SourceType::Uuid),
    ("some_bytes", SourceType::Bytes),
    ("some_json", SourceType::Json),
    ("a_list", SourceType::List),
];
const ROWS: &str = "rows";
const LATEST: &str = "latest";

/// Rows as they are, and by the bool the greatest and the smallest value of each column behind it.
fn handler_of_every() -> PlanHandler {
    let things = SourceTable::new("things", 't').key("id", SourceType::Uuid);
    let things = EVERY.into_iter().fold(things, |table, (name, kind)| table.column(name, kind));
    let columns = |names: &[(&'static str, SourceType)]| -> &'static [Column] {
        let columns = names.iter().map(|(name, kind)| Column::new(name, kind.cell_type()));
        Box::leak(columns.collect::<Vec<_>>().into())
    };
    let key = const { &[Column::new("id", Type::Uuid)] };
    let own = Own {
        table: 0,
        filter: Condition::Always,
        each: None,
        key: vec![Expr::Key(0)],
        columns: (0..EVERY.len()).map(Expr::Own).collect(),
    };
    let rows = Plan::of_rows(View::rows(ROWS, key, columns(&EVERY)), own);
    let behind = 5..EVERY.len();
    let extremes = behind
        .clone()
        .flat_map(|at| [Aggregate::Max(Expr::Own(at)), Aggregate::Min(Expr::Own(at))]);
    let part = Part {
        table: 0,
        filter: Condition::Always,
        key: vec![Expr::Own(4)],
        aggregates: [Aggregate::Count].into_iter().chain(extremes).collect(),
    };
    let merge: Vec<Merge> = part.aggregates.iter().map(Aggregate::merge).collect();
    let shown: Vec<(&str, SourceType)> = [("things", SourceType::Int)]
        .into_iter()
        .chain(behind.flat_map(|at| [EVERY[at]; 2]))
        .collect();
    let key = const { &[Column::new("is", Type::Bool)] };
    let view = View::totals(LATEST, key, Box::leak(merge.into()), columns(&shown));
    let latest = Plan::new(view, None, vec![part]);
    PlanHandler::new(vec![Table::new(things)], vec![rows, latest], String::new())
}

const FORMATS: &str = "things.a_time=micros,things.a_date=days,things.a_decimal=decimal-text";

/// What a record says, or why not.
fn said(handler: &PlanHandler, op: &str, before: &str, after: &str) -> Result<Fact, String> {
    let value = format!(
        r#"{{"op":"{op}","before":{before},"after":{after},"source":{{"table":"things","ts_ms":1}}}}"#
    );
    let formats = Formats::parse(FORMATS).expect("formats");
    let mut decoder = Decoder::new(formats, Limits::default());
    let decoded = decoder.decode("things", None, Some(value.as_bytes()));
    let Envelope::Change(change) = decoded.expect("an envelope") else { panic!("no change") };
    let fact = handler.read(&change).map_err(|reject| reject.to_string())?;
    Ok(fact.expect("of its table"))
}

const ID: &str = "0190A5C8-7e1d-7cc3-98a1-00000000000a";

/// A row of these values, in the order of the columns.
fn row(id: &str, values: [&str; 11]) -> String {
    let columns =
        EVERY.iter().zip(values).map(|((name, _), value)| format!(r#","{name}":{value}"#));
    format!(r#"{{"id":"{id}"{}}}"#, columns.collect::<String>())
}
const FIRST: [&str; 11] = [
    "-7",
    r#""text""#,
    r#""1.50""#,
    "1714998896789012",
    "true",
    r#""NaN""#,
    "19849",
    r#""123E4567-E89B-12D3-A456-426614174000""#,
    r#""3q2+7w==""#,
    r#""{\"b\":  1}""#,
    r#"["a",null,""]"#,
];
const UNSENT: &str = r#""__debezium_unavailable_value""#;

fn first() -> Vec<Cell> {
    let uuid = 0x123e_4567_e89b_12d3_a456_4266_1417_4000_u128;
    vec![
        Cell::Int(-7),
        "text".into(),
        Cell::Decimal("1.50".parse().expect("a decimal")),
        Cell::Time(1_714_998_896_789_012),
        Cell::Bool(true),
        Cell::Float(Float::new(f64::NAN)),
        Cell::Date(19_849),
        Cell::Uuid(uuid.to_be_bytes()),
        Cell::Bytes(vec![0xde, 0xad, 0xbe, 0xef]),
        Cell::Json("{\"b\":  1}".into()),
        Cell::List(List(vec![Some("a".into()), None, Some(String::new())])),
    ]
}
fn id() -> Cell {
    Cell::Uuid(0x0190_a5c8_7e1d_7cc3_98a1_0000_0000_000a_u128.to_be_bytes())
}

struct Story(World<PlanHandler>);
impl Story {
    fn tell(&mut self, op: &str, before: &str, after: &str) {
        let fact = said(&self.0.handler, op, before, after).expect("a fact");
        self.0.feed(('t', 0), fact);
    }
    /// The row as its view shows it.
    fn row(&self) -> Option<Vec<Cell>> {
        self.0.shown()[ROWS].get(&vec![id()]).cloned()
    }
    fn latest(&self, is: bool) -> Option<Vec<Cell>> {
        self.0.shown()[LATEST].get(&vec![Cell::Bool(is)]).cloned()
    }
}

#[test]
fn values_of_every_type_come_change_and_go() {
    let mut story = Story(World::new(handler_of_every()));
    story.tell("c", "null", &row(ID, FIRST));
    assert_eq!(story.row(), Some(first()));
    let twice = |cells: &[Cell]| {
        cells.iter().flat_map(|cell| [cell.clone(), cell.clone()]).collect::<Vec<_>>()
    };
    let alone = [vec![Cell::Int(1)], twice(&first()[5..])].concat();
    assert_eq!(story.latest(true), Some(alone.clone()));
    // Another row has smaller values, and its own are the smallest as long as it is there.
    let other = [
        "0",
        "null",
        "0",
        "0",
        "true",
        "-1.5",
        "-3",
        r#""00000000-0000-0000-0000-000000000001""#,
        r#""AA==""#,
        r#""0""#,
        "[]",
    ];
    const OTHER: &str = "0190a5c8-7e1d-7cc3-98a1-00000000000b";
    story.tell("c", "null", &row(OTHER, other));
    let both = story.latest(true).expect("a row");
    assert_eq!(
        both[..3],
        [Cell::Int(2), Cell::Float(Float::new(f64::NAN)), Cell::Float(Float::new(-1.5))]
    );
    assert_eq!(both[4], Cell::Date(-3));
    assert_eq!(both[8], Cell::Bytes(vec![0]));
    assert_eq!(both[11..], [first()[10].clone(), Cell::List(List(vec![]))]);
    story.tell("d", &row(OTHER, other), "null");
    assert_eq!(story.latest(true), Some(alone));
    // What may be out of line was not sent.
    let mut unsent = FIRST;
    let base64 = r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#;
    let list = r#"["__debezium_unavailable_value"]"#;
    for (at, value) in [(1, UNSENT), (2, UNSENT), (8, base64), (9, UNSENT), (10, list)] {
        unsent[at] = value;
    }
    unsent[4] = "false";
    story.tell("u", "null", &row(ID, unsent));
    let mut wanted = first();
    wanted[4] = Cell::Bool(false);
    assert_eq!(story.row(), Some(wanted.clone()));
    assert_eq!(story.latest(true), None);
    assert_eq!(
        story.latest(false).map(|row| row[8..12].to_vec()),
        Some(vec![wanted[8].clone(), wanted[9].clone(), wanted[9].clone(), wanted[10].clone(),])
    );
    // The key in the other case is the same row.
    story.tell("u", "null", &row(&ID.to_lowercase(), ["null"; 11]));
    assert_eq!(story.row(), Some(vec![Cell::Null; 11]));
    story.tell("d", &format!(r#"{{"id":"{}"}}"#, ID.to_uppercase()), "null");
    assert_eq!((story.row(), story.latest(false)), (None, None));
    assert_eq!(story.0.rows_kept(), 0);
}

#[test]
fn what_was_never_sent_is_null_and_what_cannot_be_unsent_is_refused() {
    let handler = handler_of_every();
    for (at, (name, kind)) in EVERY.into_iter().enumerate() {
        let mut values = FIRST;
        values[at] = UNSENT;
        let fact = said(&handler, "u", "null", &row(ID, values));
        match kind.may_be_unsent() {
            true => {
                let fact = fact.expect("a fact");
                assert_eq!(
                    (fact.unchanged.as_slice(), &fact.row.expect("a row")[at]),
                    (&[at][..], &Cell::Null)
                );
            }
            false => {
                let why = fact.expect_err("no value");
                assert!(
                    why.starts_with(&format!("things.{name}: "))
                        && why.contains("REPLICA IDENTITY FULL"),
                    "{why}"
                );
            }
        }
    }
}

#[test]
fn infinite_dates_and_times_are_null_and_equal_values_change_nothing() {
    let handler = handler_of_every();
    let mut values = FIRST;
    (values[3], values[6], values[5]) = ("9223372036854775807", "2146033979", "-0.0");
    let fact = said(&handler, "c", "null", &row(ID, values)).expect("a fact");
    let cells = fact.row.clone().expect("a row");
    assert_eq!(
        (&cells[3], &cells[6], cells[5].to_string()),
        (&Cell::Null, &Cell::Null, "-0".into())
    );
    let mut world = World::new(handler);
    assert!(!world.feed(('t', 0), fact).is_empty());
    values[5] = "0.0";
    let fact = said(&world.handler, "u", "null", &row(ID, values)).expect("a fact");
    assert!(world.feed(('t', 0), fact).is_empty(), "-0 is 0");
}

/// A key says the same in the row, the record's key and a fact, however it is written.
#[test]
fn equal_keys_of_every_type_are_one() {
    use debezium::Field;
    let key = |kind: SourceType, formats: &str, raw: &str| {
        let value =
            format!(r#"{{"op":"c","after":{{"k":{raw}}},"source":{{"table":"t","ts_ms":1}}}}"#);
        let mut decoder =
            Decoder::new(Formats::parse(formats).expect("formats"), Limits::default());
        let decoded = decoder.decode("t", None, Some(value.as_bytes())).expect("an envelope");
        let Envelope::Change(change) = decoded else { panic!("no change") };
        let [field]: [Field<'_>; 1] =
            change.after.as_ref().expect("a row").fields(["k"]).expect("k");
        (kind.identity(&field).expect("a text"), kind.key_cell(&field).ok().flatten())
    };
    let upper = r#""0190A5C8-7E1D-7CC3-98A1-00000000000A""#;
    let lower = r#""0190a5c8-7e1d-7cc3-98a1-00000000000a""#;
    for (kind, formats, one, same, other) in [
        (SourceType::Int, "", "7", r#""7.00""#, "8"),
        (SourceType::Decimal, "", r#""1.50""#, r#""1.5""#, r#""15""#),
        (SourceType::Decimal, "t.k=decimal-text", "1000", r#""1E+3""#, "100"),
        (
            SourceType::Time,
            "",
            r#""1970-01-01T00:00:00Z""#,
            r#""1970-01-01T01:00:00+01:00""#,
            r#""1970-01-01T00:00:01Z""#,
        ),
        (SourceType::Float, "", "-0.0", "0.0", "5e-324"),
        (SourceType::Float, "", "10.0", "1E1", r#""Infinity""#),
        (SourceType::Date, "t.k=iso", r#""2024-05-06""#, r#""2024-05-06Z""#, r#""2024-05-07""#),
        (SourceType::Uuid, "", upper, lower, r#""0190a5c8-7e1d-7cc3-98a1-00000000000b""#),
        (SourceType::Bytes, "t.k=hex", r#""dead""#, r#""DEAD""#, r#""deae""#),
        (SourceType::Text, "", r#""\u0061""#, r#""a""#, r#""A""#),
        (SourceType::Bool, "", "true", "true", "false"),
    ] {
        let (one, same, other) =
            (key(kind, formats, one), key(kind, formats, same), key(kind, formats, other));
        assert_eq!(one, same, "{kind:?}");
        assert!(one.1.is_some() && one.0 != other.0 && one.1 != other.1, "{kind:?}");
    }
    for (kind, raw) in [(SourceType::Date, r#""infinity""#), (SourceType::Uuid, r#""nobody""#)] {
        assert_eq!(key(kind, "", raw), (raw.to_owned(), None), "what was sent");
    }
}

#[test]
fn infinite_dates_are_in_no_key_and_bounds_are_kept() {
    let days = SourceTable::new("things", 't').key("day", SourceType::Date);
    let days = days.column("hash", SourceType::Bytes).column("tags", SourceType::List);
    let days = Table::new(days).bound("hash", Bound::Bytes(2)).bound("tags", Bound::Bytes(4));
    let handler = PlanHandler::new(vec![days], vec![], String::new());
    let of = |day: &str, hash: &str, tags: &str| {
        said(&handler, "c", "null", &format!(r#"{{"day":"{day}","hash":{hash},"tags":{tags}}}"#))
    };
    assert!(of("2024-05-06", r#""3q0=""#, r#"["a","b"]"#).is_ok());
    let why = of("infinity", "null", "null").expect_err("no key");
    assert_eq!(why, "things.day: an infinite date cannot be in a key");
    let why = of("2024-05-06", r#""3q2+""#, "null").expect_err("too long");
    assert!(why.starts_with("things.hash: 3 bytes are too large"), "{why}");
    assert!(of("2024-05-06", "null", r#"["a","bc"]"#).is_err());
}
