//! What a record is, and why it is none.
use debezium::{Change, Decoder, Envelope, Field, Formats, Limits, ParseError, Snapshot};

const SOURCE: &str = r#"{"table":"t","ts_ms":1}"#;

fn decode<'a>(key: Option<&'a str>, value: &'a str) -> Result<Envelope<'a>, ParseError> {
    let (key, value) = (key.map(str::as_bytes), Some(value.as_bytes()));
    Decoder::default().decode("shop.t", key, value)
}
fn change(value: &str) -> Change<'_> {
    match decode(None, value).unwrap() {
        Envelope::Change(change) => change,
        other => panic!("{other:?}"),
    }
}
fn refused(value: &str) -> ParseError {
    decode(None, value).unwrap_err()
}

#[test]
fn what_is_no_change() {
    let is = |value: &str, expected: &str| {
        let envelope = decode(None, value).unwrap();
        assert!(format!("{envelope:?}").starts_with(expected), "{envelope:?} of {value}");
    };
    for null in ["null", " null\n", r#"{"schema":null,"payload":null}"#] {
        is(null, "Tombstone");
    }
    is(&format!(r#"{{"op":"t","source":{SOURCE}}}"#), "Truncate");
    is(&format!(r#"{{"op":"m","source":{SOURCE},"message":{{"prefix":"p"}}}}"#), "Message");
    let schema_change =
        r#"{"source":{},"ts_ms":1,"databaseName":"d","ddl":"create","tableChanges":[]}"#;
    is(schema_change, "SchemaChange");
    let end = r#"{"status":"END","id":"1:2","ts_ms":1,"event_count":0,"data_collections":null}"#;
    is(end, "Transaction");

    let beat = r#"{"ts_ms":1}"#;
    let decode_as = |topic: &str, key: Option<&[u8]>| {
        Decoder::default().decode(topic, key, Some(beat.as_bytes())).map(|e| format!("{e:?}"))
    };
    assert_eq!(decode_as("__debezium-heartbeat.shop", None), Ok("Heartbeat".into()));
    assert_eq!(decode_as("beats", Some(br#"{"serverName":"s"}"#)), Ok("Heartbeat".into()));
    assert_eq!(decode_as("beats", Some(br#"{"id":1}"#)), Err(ParseError::NotEnvelope));
    assert_eq!(decode_as("beats", Some(b"{")), Err(ParseError::NotEnvelope));
    assert!(matches!(Decoder::default().decode("t", None, None), Ok(Envelope::Tombstone)));
}

#[test]
fn what_is_none() {
    use ParseError::*;
    let with = |members: &str| refused(&format!(r#"{{"source":{SOURCE},{members}}}"#));
    assert_eq!(refused(r#"{"id":1,"op":"c"}"#), NotEnvelope);
    assert_eq!(refused(r#"{"schema":"s","payload":"p"}"#), NotEnvelope);
    assert_eq!(refused(r#"{"schema":{},"payload":{"id":1}}"#), NotEnvelope);
    assert_eq!(refused("[1]"), NotObject("an array"));
    assert_eq!(refused(r#"{"schema":{},"payload":7}"#), NotObject("a number"));
    assert_eq!(refused(r#"{"op":"c","after":{}}"#), MissingField("source"));
    assert_eq!(with(r#""after":{}"#), MissingField("op"));
    assert_eq!(with(r#""op":"c""#), MissingField("after"));
    assert_eq!(with(r#""op":"u","after":null"#), MissingField("after"));
    assert_eq!(with(r#""op":"c","after":"x""#), WrongType("after"));
    assert_eq!(with(r#""op":"d","before":[]"#), WrongType("before"));
    assert_eq!(with(r#""op":1"#), WrongType("op"));
    assert_eq!(with(r#""op":"x""#), UnknownOp);
    assert_eq!(with(r#""op":"c","after":{},"op":"c""#), Twice("op"));
    assert_eq!(with(r#""op":"c","after":{},"ts_ms":"now""#), WrongType("ts_ms"));
    assert_eq!(with(r#""op":"m""#), MissingField("message"));
    assert_eq!(with(r#""op":"m","message":{}"#), MissingField("message.prefix"));
    let source = |source: &str| refused(&format!(r#"{{"op":"c","after":{{}},"source":{source}}}"#));
    assert_eq!(source("7"), WrongType("source"));
    assert_eq!(source(r#"{"ts_ms":1}"#), MissingField("source.table"));
    assert_eq!(source(r#"{"table":"t"}"#), MissingField("source.ts_ms"));
    assert_eq!(source(r#"{"table":7,"ts_ms":1}"#), WrongType("source.table"));
    assert_eq!(source(r#"{"table":"t","ts_ms":1,"ts_ms":2}"#), Twice("source.ts_ms"));
    assert_eq!(source(r#"{"table":"t","ts_ms":1.5}"#), WrongType("source.ts_ms"));
    assert_eq!(source(r#"{"table":"t","ts_ms":1,"snapshot":"no"}"#), WrongType("source.snapshot"));
    assert_eq!(refused(r#"{"schema":{"fields":7},"payload":{}}"#), WrongType("schema"));
}

/// Of what it says, the row's own images have the columns too.
#[test]
fn a_key_that_cannot_be_read_is_no_reason_to_lose_the_row() {
    let value = format!(r#"{{"op":"d","before":{{"id":7}},"source":{SOURCE}}}"#);
    let with = |key: Option<&'static str>| match decode(key, &value).unwrap() {
        Envelope::Change(change) => (change.key.is_some(), change.key_problem),
        other => panic!("{other:?}"),
    };
    let (key, problem) = with(Some("7"));
    assert_eq!(
        (key, problem.clone()),
        (false, Some(ParseError::Key(Box::new(ParseError::NotObject("a number")))))
    );
    assert_eq!(
        problem.unwrap().to_string(),
        "record key: not Debezium: a number instead of an object"
    );
    let (key, problem) = with(Some("Struct{id=7}"));
    assert!(!key && problem.unwrap().to_string().starts_with("record key: not JSON"));
    let (key, problem) = with(Some("id-7"));
    assert!(!key && problem.unwrap().to_string().starts_with("record key: not JSON"));
    for null in [None, Some(""), Some("null"), Some(r#"{"schema":null,"payload":null}"#)] {
        assert_eq!(with(null), (false, None), "{null:?}");
    }
    assert_eq!(with(Some(r#"{"id":7}"#)), (true, None));
}

#[test]
fn no_bytes_are_null() {
    assert!(matches!(decode(None, ""), Ok(Envelope::Tombstone)));
    assert!(matches!(decode(Some(""), ""), Ok(Envelope::Tombstone)));
    assert!(matches!(Decoder::default().key("t", "t".into(), b""), Ok(None)));
}

/// A partition of the table says its own name; what is configured, and what the operator calls it, is the table.
#[test]
fn rows_go_by_the_table_that_the_topic_is_known_for() {
    let formats = Formats::parse("orders.total=decimal(2),orders.id=decimal-text").unwrap();
    let value = br#"{"op":"u","before":{"total":"MDk="},"after":{"total":"MDk=","x":null},
        "source":{"table":"orders_2026_10","ts_ms":1}}"#;
    let key: &[u8] = br#"{"id":"1200"}"#;
    let mut decoder = Decoder::new(formats, Limits::default());
    let Ok(Envelope::Change(change)) =
        decoder.decode_of("shop.orders", "orders", Some(key), Some(value))
    else {
        panic!()
    };
    assert_eq!(change.source.table, "orders_2026_10");
    for row in [&change.before, &change.after].map(|row| row.as_ref().unwrap()) {
        let [total, none] = row.fields(["total", "none"]).unwrap();
        assert_eq!(total.decimal().unwrap().to_string(), "123.45");
        assert_eq!(none.int().unwrap_err().to_string(), "orders.none: the column is missing");
    }
    let [id] = change.key.as_ref().unwrap().fields(["id"]).unwrap();
    assert_eq!(id.decimal().unwrap().to_string(), "1200");
    let Ok(Envelope::Change(change)) = decoder.decode("shop.orders", Some(key), Some(value)) else {
        panic!()
    };
    let [total] = change.after.as_ref().unwrap().fields(["total"]).unwrap();
    assert!(total.decimal().unwrap_err().to_string().starts_with("orders_2026_10.total: "));
}

/// Each is called what it is, with a way on, and nothing else is.
#[test]
fn other_envelopes_and_encodings() {
    let of = |value: &[u8]| Decoder::default().decode("t", None, Some(value)).unwrap_err();
    let cloud = r#"{"id":"name:s;lsn:1","source":"/debezium/postgresql/s","specversion":"1.0",
        "type":"io.debezium.connector.postgresql.DataChangeEvent","iodebeziumop":"c","iodebeziumtable":"t",
        "data":{"schema":{},"payload":{"before":null,"after":{"id":7}}}}"#;
    let mongo = |images: &str| {
        format!(
            r#"{{"op":"u","ts_ms":1,"source":{{"connector":"mongodb","ts_ms":1,"db":"shop","collection":"t"}},{images}}}"#
        )
    };
    let text = format!(r#"{{"op":"u","source":{SOURCE},"before":null,"after":"{{\"_id\":1}}"}}"#);
    let glue = |compression: u8| [&[3, compression], &[0x5a; 16][..], b"\x02abc"].concat();
    use ParseError::*;
    for (value, error, says) in [
        (cloud.as_bytes(), CloudEvents, ["CloudEvents", "JsonConverter"]),
        (
            br#"{"id":1,"source":"web","__deleted":"false"}"#,
            Unwrapped,
            ["ExtractNewRecordState", "transforms"],
        ),
        (
            br#"{"id":1,"name":"a","__op":"c","after":1,"source":2}"#,
            Unwrapped,
            ["the row alone", "remove"],
        ),
        (br#"{"id":1,"__source_ts_ms":5}"#, Unwrapped, ["the row alone", "remove"]),
        (br#"{"id":1,"name":"a"}"#, NotEnvelope, ["if the connector's", "ExtractNewRecordState"]),
        (
            br#"{"id":1,"source":"a","spec":1,"__x":2}"#,
            NotEnvelope,
            ["`op` and `source`", "who writes"],
        ),
        (
            mongo(r#""after":"{\"_id\":1}""#).as_bytes(),
            MongoDb,
            ["MongoDB", "leave this topic out"],
        ),
        (mongo(r#""before":null,"after":null"#).as_bytes(), MongoDb, ["MongoDB", "rows of tables"]),
        (text.as_bytes(), TextImage("after"), ["`after` is a text", "MongoDB"]),
        (b"\0\0\0\0\x01abc", Binary, ["Confluent", "JsonConverter"]),
        (&glue(0), Glue, ["AWS Glue", "JsonConverter"]),
        (&glue(5), Glue, ["AWS Glue", "JsonConverter"]),
        (b"Struct{after=Struct{id=7}}", StructText, ["StringConverter", "JsonConverter"]),
    ] {
        let found = of(value);
        assert_eq!(found, error);
        assert!(says.iter().all(|part| found.to_string().contains(part)), "{found}");
    }
    for neither in [&glue(1)[..], &glue(0)[..17], b"\0\0\0", b"\x03"] {
        assert!(matches!(of(neither), Json { at: 0, .. }), "{neither:?}");
    }
    // An event is one whatever its row, or its table, calls its columns.
    let event = format!(
        r#"{{"op":"c","source":{SOURCE},"after":{{"__op":"c","specversion":1,"iodebeziumop":2}}}}"#
    );
    assert!(matches!(decode(None, &event), Ok(Envelope::Change(_))));
}

#[test]
fn where_the_json_breaks() {
    let at = |value: &[u8]| match Decoder::default().decode("t", None, Some(value)).unwrap_err() {
        ParseError::Json { at, problem } => {
            assert!(!problem.contains("secret"), "{problem}");
            at
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(at(b" "), 0);
    assert_eq!(at(b"secret"), 0);
    assert_eq!(at(br#"{"op":secret}"#), 6);
    assert_eq!(at(b"{\"op\":\n\n  secret}"), 10);
    assert_eq!(at(br#"{"op":"c"} secret"#), 11);
    assert_eq!(at(b"{\"op\":\"\xff\"}"), 7);
    assert_eq!(at(br#"{"op":"c""#), 8);
    let binary = Decoder::default().decode("t", None, Some(b"\0\0\0\0\x01abc")).unwrap_err();
    assert!(binary.to_string().contains("JsonConverter"), "{binary}");
}

#[test]
fn snapshots() {
    for (text, expected) in [
        ("\"true\"", Snapshot::Middle),
        ("true", Snapshot::Middle),
        ("false", Snapshot::No),
        ("\"false\"", Snapshot::No),
        ("null", Snapshot::No),
        ("\"first\"", Snapshot::First),
        ("\"first_in_data_collection\"", Snapshot::FirstInCollection),
        ("\"last_in_data_collection\"", Snapshot::LastInCollection),
        ("\"last\"", Snapshot::Last),
        ("\"incremental\"", Snapshot::Incremental),
    ] {
        let value = format!(
            r#"{{"op":"r","after":{{}},"source":{{"table":"t","ts_ms":1,"snapshot":{text}}}}}"#
        );
        assert_eq!(change(&value).source.snapshot, expected);
    }
}

#[test]
fn names_with_escapes() {
    let value = "{\"\\u006fp\":\"\\u0063\",\"source\":{\"tabl\\u0065\":\"t\\u00e9\",\"ts_ms\":1,\"db\":null},\
                 \"after\":{\"pr\\u0069ce\":1,\"b\\\"\":2}}";
    let change = change(value);
    assert_eq!((change.source.table.as_ref(), change.source.db.as_ref()), ("t\u{e9}", ""));
    let row = change.after.unwrap();
    let [price, quote, none] = row.fields(["price", "b\"", "none"]).unwrap();
    assert_eq!((price.int().unwrap(), quote.int().unwrap()), (1, 2));
    assert_eq!(none.int().unwrap_err().to_string(), "t\u{e9}.none: the column is missing");
    assert!(none.nullable(Field::int).is_err() && none.kept(Field::int).is_err());
    assert_eq!(row.columns().unwrap()[1].name(), "b\"");
}

#[test]
fn columns_there_twice() {
    let value = format!(r#"{{"op":"c","source":{SOURCE},"after":{{"a":1,"b":2,"a":3}}}}"#);
    let row = change(&value).after.unwrap();
    assert_eq!(row.fields(["b", "a"]).unwrap_err().to_string(), "t.a: there twice");
    assert_eq!(row.fields(["b"]).unwrap()[0].int().unwrap(), 2);
    let value = format!(r#"{{"op":"c","source":{SOURCE},"after":{{"\ud800":1}}}}"#);
    let row = change(&value).after.unwrap();
    assert!(row.fields(["a"]).unwrap_err().to_string().contains("surrogate"));
}

/// Wide rows, deep values and escapes in the envelope's names are read another way, to the same end.
#[test]
fn rows_of_any_width_and_depth() {
    for columns in [0, 1, 12, 13, 1_600, 1_601, 5_000] {
        let row: Vec<String> = (0..columns).map(|i| format!(r#""c\u0030{i}":{i}"#)).collect();
        let row = row.join(", ");
        let deep = format!("{}{}", "[".repeat(63), "]".repeat(63));
        let limits = Limits { nesting_max: 100, ..Limits::default() };
        for (op, beside) in [("op", ""), ("op", &format!(r#","beside":{deep}"#)), (r"o\u0070", "")]
        {
            let value = format!(
                r#"{{"{op}":"u","source":{SOURCE},"before":{{}},"after":{{{row}}}{beside}}}"#
            );
            let mut decoder = Decoder::new(Formats::default(), limits);
            let Ok(Envelope::Change(change)) = decoder.decode("t", None, Some(value.as_bytes()))
            else {
                panic!("{op} {beside}");
            };
            assert!(change.before.unwrap().columns().unwrap().is_empty());
            let row = change.after.unwrap();
            let read = row.columns().unwrap();
            assert_eq!(read.len(), columns);
            for (i, column) in read.iter().enumerate() {
                assert_eq!((column.name(), column.int().unwrap()), (&*format!("c0{i}"), i as i64));
            }
            let last = format!("c0{}", columns.max(1) - 1);
            assert_eq!(
                row.fields([&last]).unwrap()[0].int().ok(),
                (columns as i64).checked_sub(1).filter(|i| *i >= 0)
            );
            let names = [last.clone(), "nowhere".to_owned()];
            assert!(row.values(&names).unwrap()[1].is_missing());
            let beside = row.column_beside(|name| name != last).unwrap();
            assert_eq!(beside.is_some(), columns > 0);
        }
    }
}

#[test]
fn limits() {
    let limits = Limits { value_bytes_max: 100, nesting_max: 3 };
    let mut decoder = Decoder::new(Formats::default(), limits);
    let mut refused = |value: &str| decoder.decode("t", None, Some(value.as_bytes())).unwrap_err();
    assert_eq!(refused(&" ".repeat(101)), ParseError::TooLarge { bytes: 101, max: 100 });
    assert_eq!(refused(r#"{"a":[[{}]]}"#), ParseError::TooDeep { max: 3 });
    assert_eq!(refused(r#"{"a":[[1],[2],[3]],"b":"[[[[[{{"}"#), ParseError::NotEnvelope);
    let key = decoder.key("t", "t".into(), "[[[[]]]]".as_bytes()).unwrap_err();
    assert_eq!(key, ParseError::Key(Box::new(ParseError::TooDeep { max: 3 })));
}

/// With depth unlimited, millions of open brackets are still only an error: nothing recurses.
#[test]
fn millions_of_brackets() {
    let limits = Limits { value_bytes_max: usize::MAX, nesting_max: usize::MAX };
    let mut decoder = Decoder::new(Formats::default(), limits);
    let brackets = vec![b'['; 10_000_000];
    assert!(decoder.decode("t", Some(&brackets), Some(&brackets)).is_err());
    let open = 300_000;
    for bracket in ["[", "{\"a\":"] {
        for (before, after) in [
            ("", ""),
            (r#"{"op":"c","source":{"table":"t","ts_ms":1},"after":{"a":"#, ""),
            (r#"{"schema":"#, r#","payload":{}}"#),
            (r#"{"schema":{"fields":"#, "},\"payload\":{}}"),
        ] {
            let value = format!("{before}{}{after}", bracket.repeat(open));
            assert!(decoder.decode("t", None, Some(value.as_bytes())).is_err());
        }
    }
    let deep = |before: &str, after: &str| {
        format!("{before}{}1{}{after}", "[".repeat(open), "]".repeat(open))
    };
    let value = deep(r#"{"op":"c","source":{"table":"t","ts_ms":1},"after":{"a":"#, "}}");
    let Envelope::Change(change) = decoder.decode("t", None, Some(value.as_bytes())).unwrap()
    else {
        panic!()
    };
    let [a] = change.after.as_ref().unwrap().fields(["a"]).unwrap();
    assert!(a.int().is_err() && a.text().is_err() && a.decimal().is_err() && a.time_us().is_err());
    assert_eq!(a.json().unwrap().len(), 2 * open + 1);
    let schema = deep(r#"{"schema":{"fields":[{"default":"#, "}]},\"payload\":null}");
    let told = decoder.decode("t", None, Some(schema.as_bytes()));
    assert!(matches!(told, Ok(Envelope::Tombstone)), "{told:?}");
    let nested = format!(
        r#"{{"schema":{}1{},"payload":null}}"#,
        r#"{"fields":["#.repeat(10_000),
        "]}".repeat(10_000)
    );
    let told = decoder.decode("t", None, Some(nested.as_bytes()));
    assert!(matches!(told, Err(ParseError::WrongType("schema"))), "{told:?}");
}

#[test]
fn text_is_borrowed_from_the_record() {
    let key = r#"{"schema":{"type":"struct"},"payload":{"id":"k"}}"#;
    let value = r#"{"schema":{"type":"struct","fields":[{"field":"after","type":"struct","fields":
        [{"field":"name","type":"string"}]}]},"payload":{"op":"c","source":{"table":"products","ts_ms":1,
        "db":"shop","connector":"postgresql"},"after":{"name":"Laptop","plain":"caf\u00e9"}}}"#;
    let inside =
        |text: &str, record: &str| record.as_bytes().as_ptr_range().contains(&text.as_ptr());
    let mut decoder = Decoder::default();
    for _ in 0..2 {
        let (key_bytes, value_bytes) = (Some(key.as_bytes()), Some(value.as_bytes()));
        let Envelope::Change(change) = decoder.decode("t", key_bytes, value_bytes).unwrap() else {
            panic!()
        };
        for text in [&change.source.table, &change.source.db, &change.source.connector] {
            assert!(inside(text, value));
        }
        let [name, plain] = change.after.as_ref().unwrap().fields(["name", "plain"]).unwrap();
        assert!(inside(&name.text().unwrap(), value));
        assert!(!inside(&plain.text().unwrap(), value));
        assert_eq!(plain.text().unwrap(), "caf\u{e9}");
        let [id] = change.key.as_ref().unwrap().fields(["id"]).unwrap();
        assert!(inside(&id.text().unwrap(), key));
    }
}
