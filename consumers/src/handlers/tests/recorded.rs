//! What PostgreSQL and Debezium really sent, and what cannot be taken, through the decoder and `read`.
use super::harness::World;
use crate::{
    handler::{Handler, Reject},
    handlers::{Limits, analytics, inventory, search},
    plan_handler::Fact,
};
use debezium::{Decoder, Envelope, Formats};
use sinks::{Cell, Write};
use std::path::Path;

/// `None`: no change of a row, or not this handler's.
fn read<H: Handler>(
    handler: &H,
    topic: &str,
    key: Option<&str>,
    value: Option<&str>,
) -> Result<Option<H::Fact>, Reject> {
    let mut decoder = Decoder::new(Formats::default(), debezium::Limits::default());
    let decoded = decoder
        .decode(topic, key.map(str::as_bytes), value.map(str::as_bytes))
        .expect("an envelope");
    match decoded {
        Envelope::Change(change) => handler.read(&change),
        _ => Ok(None),
    }
}

/// Feeds a recorded topic; gives what each record asked for, or why it was rejected.
fn replay<H: Handler>(
    world: &mut World<H>,
    table: &str,
    tag: char,
) -> Vec<Result<Vec<Write>, String>>
where
    H::Fact: Clone,
{
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../debezium/tests/fixtures/json-with-schema")
        .join(format!("dbserver1.public.{table}.ndjson"));
    let text = std::fs::read_to_string(&path).expect("fixtures are in the repository");
    let mut told = vec![];
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("a recorded record");
        let topic = record["topic"].as_str().expect("topic");
        match read(&world.handler, topic, record["key"].as_str(), record["value"].as_str()) {
            Ok(Some(fact)) => told.push(Ok(world.feed((tag, 0), fact))),
            Ok(None) => {}
            Err(reject) => told.push(Err(reject.to_string())),
        }
    }
    assert!(!told.is_empty(), "{table}");
    told
}

fn row(cells: [&str; 6]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}
fn texts<'a>(rows: impl IntoIterator<Item = &'a Vec<Cell>>) -> Vec<Vec<String>> {
    rows.into_iter().map(|row| row.iter().map(Cell::to_string).collect()).collect()
}

#[test]
fn recorded_inventory() {
    let mut world = World::new(super::inventory_of(super::super::inventory::StockMode::Derived));
    let told = replay(&mut world, "order_items", 'o');
    // The delete's fabricated `before` says product 0, quantity 0.
    assert_eq!(told.last().unwrap().as_ref().unwrap().len(), 1, "the deleted line's own product");
    assert!(replay(&mut world, "products", 'p').iter().all(Result::is_ok));
    let shown = world.shown().remove(inventory::VIEW).unwrap();
    let ids: Vec<i64> = shown.keys().map(|key| key[0].int().unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5, 8, 1006], "6 became 1006");
    let want = [
        row(["Laptop", "899.99", "8", "2", "6", "1"]),
        row(["Mouse", "19.50", "247", "3", "244", ""]),
        row(["Desk", "0.01", "0", "0", "0", "1"]),
        row(["Encyclopedia", "12345678.91", "3", "0", "3", "1"]),
        row(["Refund", "-10.00", "0", "0", "0", "1"]),
        row(["Chair", "49.1234", "5", "0", "5", "1"]),
        row(["Keyboard", "79.90", "39", "0", "39", ""]),
    ];
    assert_eq!(texts(shown.values()), want);
    let before = world.shown();
    // The topics again, from their beginning, as after a connector that starts anew.
    replay(&mut world, "order_items", 'o');
    replay(&mut world, "products", 'p');
    assert_eq!(world.shown(), before);
}

#[test]
fn recorded_search() {
    let mut world = World::new(search::handler(&search::Settings::default(), ""));
    let told = replay(&mut world, "products", 'p');
    // `category` was renamed at the source by then: the configured column is missing.
    let rejected: Vec<&String> = told.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(rejected.len(), 3, "{rejected:?}");
    assert!(rejected.iter().all(|why| why.contains("products.category")), "{rejected:?}");
    let shown = world.shown();
    let encyclopedia = &shown[search::INDEX][&vec![Cell::Int(4)]];
    let description = encyclopedia[1].text().unwrap();
    assert!(description.starts_with("long text") && description.len() > 2_000, "kept (TOAST)");
    assert_eq!(encyclopedia[2].to_string(), "12345678.91");
    let desk: Vec<&str> = shown[search::TOKENS]
        .keys()
        .filter(|k| k[1] == Cell::Int(3))
        .filter_map(|k| k[0].text())
        .collect();
    assert_eq!(desk, ["desk", "line", "one", "two"]);
    assert!(!shown[search::INDEX].contains_key(&vec![Cell::Int(6)]), "renumbered");
    assert!(shown[search::TOKENS].keys().all(|key| key[1] != Cell::Int(6)));
}

#[test]
fn recorded_analytics() {
    let mut world = World::new(analytics::handler(&analytics::Settings::default(), ""));
    assert!(replay(&mut world, "orders", 'o').iter().all(Result::is_ok));
    assert!(replay(&mut world, "order_items", 'i').iter().all(Result::is_ok));
    let shown = world.shown();
    let lines = |view: &str| -> Vec<String> {
        let rows = shown[view].iter().map(|(key, row)| [key.as_slice(), row.as_slice()].concat());
        texts(&rows.collect::<Vec<_>>()).into_iter().map(|row| row.join(" ")).collect()
    };
    assert_eq!(
        lines(analytics::DAILY),
        ["2024-03-01 1 1019.49", "2024-03-02 1 19.50", "2026-11-21 1 938.99"]
    );
    assert_eq!(lines(analytics::STATUS), ["new 1", "paid 2"]);
    assert_eq!(
        lines(analytics::CUSTOMERS),
        [
            "1 1 1019.49 1019.49 2024-03-01T10:00:00Z",
            "2 1 19.50 19.50 2024-03-02T11:00:00Z",
            "3 1 938.99 938.99 2026-11-21T10:54:55.606929Z"
        ]
    );
    assert_eq!(lines(analytics::PRODUCTS), ["1 2 1899.98", "2 3 58.50"]);
}

fn product(after: &str) -> String {
    format!(
        r#"{{"op":"u","before":null,"after":{after},"source":{{"table":"products","ts_ms":1}}}}"#
    )
}
fn search_says(after: &str) -> String {
    let handler = search::handler(&search::Settings::default(), "");
    match read(&handler, "products", None, Some(&product(after))) {
        Ok(_) => "read".into(),
        Err(reject) => reject.to_string(),
    }
}

#[test]
fn what_a_sink_would_refuse_is_rejected_by_the_field() {
    let of = |name: &str, description: &str, price: &str| {
        search_says(&format!(
            r#"{{"id":1,"name":"{name}","description":"{description}","price":{price},"category":null}}"#
        ))
    };
    assert_eq!(of("a", "b", "1.5"), "read");
    let long_word = "x".repeat(150_000);
    assert_eq!(of("a", &long_word, "1.5"), "read", "a word that is no key is left out");
    let unsent = "\"__debezium_unavailable_value\"";
    assert_eq!(of("a", "b", unsent), "read", "it keeps the price that it had");
    let many_words: String = (0..30_000).map(|n| format!("w{n} ")).collect();
    let everything = [
        (of(&"n".repeat(2_049), "b", "1.5"), "products.name"),
        (of("a", &"x".repeat(250_000), "1.5"), "products.description"),
        (of("a", &many_words, "1.5"), "products.description"),
        (of("a", "b", &format!("\"0.{}\"", "7".repeat(39))), "products.price"),
        (of("a", "b", "\"1e60\""), "products.price"),
        (of("a", "b", "true"), "products.price"),
        (search_says(r#"{"name":"a","description":"b","price":1,"category":null}"#), "products.id"),
        (search_says(r#"{"id":null,"name":"a"}"#), "products.id"),
        (search_says(r#"{"id":1,"description":"b","price":1,"category":null}"#), "products.name"),
    ];
    for (said, field) in everything {
        assert!(said.starts_with(field), "{field}: {said}");
        assert!(
            said.len() < 400 && !said.contains("777") && !said.contains("xxx"),
            "a value: {said}"
        );
    }
}

/// Zeros at the end are no digits, and what fits is kept as it was sent.
#[test]
fn zeros_at_the_end_are_no_digits() {
    let handler = search::handler(&search::Settings::default(), "");
    let of = |price: &str| {
        let after = format!(
            r#"{{"id":1,"name":"a","description":null,"price":"{price}","category":null}}"#
        );
        let fact = read(&handler, "products", None, Some(&product(&after)));
        fact.map(|fact| fact.unwrap().row.unwrap()[2].to_string())
            .map_err(|reject| reject.to_string())
    };
    let zeros = |n: usize| "0".repeat(n);
    for (price, wanted) in [
        ("30.00".to_owned(), "30.00".to_owned()),
        (format!("0.{}", zeros(45)), "0".into()),
        ("0E-900".into(), "0".into()),
        (format!("1.5{}", zeros(60)), "1.5".into()),
        (format!("-1.5{}", zeros(37)), format!("-1.5{}", zeros(37))),
        (format!("1{}", zeros(60)), format!("1{}", zeros(60))),
        (format!("12{}.{}", zeros(30), zeros(60)), format!("12{}", zeros(30))),
    ] {
        assert_eq!(of(&price), Ok(wanted), "{price}");
    }
    for (price, part) in [
        ("10e59".to_owned(), "exponent"),
        (format!("0.{}1", zeros(40)), "exponent"),
        (format!("{}.{}", "7".repeat(20), "7".repeat(19)), "39 digits"),
        (format!("{}.{}", "7".repeat(20), "7".repeat(19) + &zeros(50)), "39 digits"),
    ] {
        let said = of(&price).unwrap_err();
        assert!(said.starts_with("products.price: ") && said.contains(part), "{price}: {said}");
    }
}

/// With ids, quantities and prices as a schema of `precise` mode has them, and as text.
#[test]
fn ids_and_quantities_are_whole_numbers_in_every_form() {
    let handler = super::inventory_of(super::super::inventory::StockMode::Derived);
    let decimal = |name: &str, scale: u32| {
        format!(
            r#"{{"field":"{name}","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"{scale}"}}}}"#
        )
    };
    let text = |name: &str| format!(r#"{{"field":"{name}","type":"string"}}"#);
    let of = |fields: [String; 3], after: &str| -> Result<_, String> {
        let fields = fields.join(",");
        let value = format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"field":"after","type":"struct","fields":[{fields}]}}]}},"payload":
            {{"op":"c","before":null,"after":{after},"source":{{"table":"order_items","ts_ms":1}}}}}}"#
        );
        match read(&handler, "order_items", None, Some(&value))
            .map_err(|reject| reject.to_string())?
        {
            Some(Fact { table: 1, key, row: Some(row), .. }) => {
                Ok((key[0].int().unwrap(), row[0].int(), row[1].int()))
            }
            other => panic!("{other:?}"),
        }
    };
    let wide = || [decimal("id", 0), decimal("product_id", 0), decimal("quantity", 2)];
    assert_eq!(
        of(wide(), r#"{"id":"ALLQXgA=","product_id":"Bw==","quantity":"C7g="}"#),
        Ok((3_000_000_000, Some(7), Some(30)))
    );
    let texts = || [text("id"), text("product_id"), text("quantity")];
    assert_eq!(
        of(texts(), r#"{"id":"1200","product_id":"7E+3","quantity":"4.00"}"#),
        Ok((1_200, Some(7_000), Some(4)))
    );
    let said = of(texts(), r#"{"id":"1200","product_id":"7","quantity":"1.5"}"#).unwrap_err();
    assert!(said.starts_with("order_items.quantity: has digits behind the point"), "{said}");
    let said = of(texts(), r#"{"id":"0007","product_id":"7","quantity":"1"}"#).unwrap_err();
    assert!(said.starts_with("order_items.id: text with zeros or a plus in front"), "{said}");
}

/// As SQL has it where no date is asked for; where one is, an infinite one is none.
#[test]
fn an_infinite_date_keeps_the_order_where_no_date_is_asked_for() {
    let mut world = World::new(analytics::handler(&analytics::Settings::default(), ""));
    let mut told = |id: i64, row: Option<(&str, &str)>| {
        let after = row.map_or("null".to_owned(), |(status, created)| {
            format!(
                r#"{{"id":{id},"customer_id":11,"status":"{status}","total":10,"created_at":{created}}}"#
            )
        });
        let op = if row.is_some() { "u" } else { "d" };
        let value = format!(
            r#"{{"op":"{op}","before":{{"id":{id}}},"after":{after},"source":{{"table":"orders","ts_ms":1}}}}"#
        );
        let fact = read(&world.handler, "orders", None, Some(&value)).unwrap().unwrap();
        world.feed(('o', 0), fact);
        let shown = world.shown();
        let rows = |view: &str| -> Vec<String> {
            let rows =
                shown[view].iter().map(|(key, row)| [key.as_slice(), row.as_slice()].concat());
            texts(&rows.collect::<Vec<_>>()).into_iter().map(|row| row.join(" ")).collect()
        };
        [rows(analytics::STATUS), rows(analytics::CUSTOMERS), rows(analytics::DAILY)]
            .map(|rows| rows.join(", "))
    };
    let (day, infinity, past) = (r#""2026-11-24T08:00:00Z""#, r#""infinity""#, r#""-infinity""#);
    let steps = [
        (1, Some(("new", infinity)), ["new 1", "11 1 10 10.00 ", ""]),
        (2, Some(("paid", past)), ["new 1, paid 1", "11 2 20 10.00 ", ""]),
        (
            3,
            Some(("paid", day)),
            ["new 1, paid 2", "11 3 30 10.00 2026-11-24T08:00:00Z", "2026-11-24 1 10"],
        ),
        (3, Some(("new", infinity)), ["new 2, paid 1", "11 3 30 10.00 ", ""]),
        (
            1,
            Some(("new", day)),
            ["new 2, paid 1", "11 3 30 10.00 2026-11-24T08:00:00Z", "2026-11-24 1 10"],
        ),
        (2, None, ["new 2", "11 2 20 10.00 2026-11-24T08:00:00Z", "2026-11-24 1 10"]),
        (3, None, ["new 1", "11 1 10 10.00 2026-11-24T08:00:00Z", "2026-11-24 1 10"]),
        (1, None, ["", "", ""]),
    ];
    for (i, (id, row, wanted)) in steps.into_iter().enumerate() {
        assert_eq!(told(id, row), wanted, "step {i}");
    }
    assert_eq!(world.rows_kept(), 0);
}

#[test]
fn numbers_that_sums_are_not_safe_with_are_rejected() {
    let handler = super::inventory_of(super::super::inventory::StockMode::Derived);
    let of = |table: &str, after: &str| {
        let value =
            format!(r#"{{"op":"c","after":{after},"source":{{"table":"{table}","ts_ms":1}}}}"#);
        read(&handler, table, None, Some(&value))
            .map(|fact| fact.is_some())
            .map_err(|e| e.to_string())
    };
    let item = |quantity: &str| {
        of("order_items", &format!(r#"{{"id":1,"product_id":1,"quantity":{quantity}}}"#))
    };
    let stock = |n: &str| {
        of("products", &format!(r#"{{"id":1,"name":"a","price":null,"stock_quantity":{n}}}"#))
    };
    assert_eq!(item("-2147483647"), Ok(true));
    assert_eq!(item("null"), Ok(true));
    assert!(item("2147483648").unwrap_err().starts_with("order_items.quantity"));
    assert_eq!(stock("4611686018427387903"), Ok(true));
    assert!(stock("-9223372036854775808").unwrap_err().starts_with("products.stock_quantity"));
    assert_eq!(of("customers", "{}"), Ok(false), "another table is skipped");
}

#[test]
fn a_delete_is_named_by_its_key_else_by_before() {
    let handler = super::inventory_of(super::super::inventory::StockMode::Derived);
    let of = |key: Option<&str>, before: &str| {
        let value = format!(
            r#"{{"op":"d","before":{before},"after":null,"source":{{"table":"products","ts_ms":1}}}}"#
        );
        match read(&handler, "products", key, Some(&value)) {
            Ok(Some(Fact { table: 0, key, row: None, .. })) => Ok(key[0].int().unwrap()),
            Ok(other) => panic!("{other:?}"),
            Err(reject) => Err(reject.to_string()),
        }
    };
    assert_eq!(of(Some(r#"{"id":7}"#), r#"{"id":8,"stock_quantity":0}"#), Ok(7));
    assert_eq!(of(None, r#"{"id":8}"#), Ok(8));
    assert_eq!(of(Some(r#"{"shop":1}"#), r#"{"id":8}"#), Ok(8), "keyed by another column");
    assert!(of(None, "null").unwrap_err().starts_with("products.id"));
    assert!(of(Some(r#"{"id":null}"#), "null").unwrap_err().starts_with("products.id"));
    assert_eq!(of(Some("Struct{id=7}"), r#"{"id":8}"#), Ok(8), "a key of the StringConverter");
    for (key, before, wanted) in [
        (Some("Struct{id=7}"), "null", ["record key: not JSON", "`before` is null"]),
        (
            Some("Struct{id=7}"),
            r#"{"no":8}"#,
            ["record key: not JSON", "in `before`, products.id: the column is missing"],
        ),
        (Some(""), "null", ["the record has no key", "`before` is null"]),
        (Some(r#"{"id":"x"}"#), "null", ["in the record's key, products.id", "`before` is null"]),
    ] {
        let said = of(key, before).unwrap_err();
        assert!(said.starts_with("products.id: the delete names no row"), "{said}");
        assert!(wanted.iter().all(|part| said.contains(part)), "{key:?} {before}: {said}");
    }
}

#[test]
fn fingerprints_hold_every_setting() {
    let default = inventory::Settings::default;
    let new = |settings: inventory::Settings, formats: &str| inventory::handler(&settings, formats);
    let plain = new(default(), "").fingerprint();
    let limits = Limits { digits_max: 20, ..Limits::default() };
    let others = [
        new(default(), "products.price=decimal(2)"),
        new(inventory::Settings { low_below: 9, ..default() }, ""),
        new(
            inventory::Settings {
                stock_mode: super::super::inventory::StockMode::Source,
                ..default()
            },
            "",
        ),
        new(inventory::Settings { limits, ..default() }, ""),
    ];
    for other in others {
        assert_ne!(other.fingerprint(), plain);
    }
    // Another placeholder alters what is kept; the usual one, said or not, leaves today's fingerprints alone.
    let formats = |text: &str| Formats::default().with_placeholder(text).unwrap().to_string();
    assert_eq!(new(default(), &formats(debezium::PLACEHOLDER)).fingerprint(), plain);
    assert_ne!(new(default(), &formats("__gone")).fingerprint(), plain);
}
