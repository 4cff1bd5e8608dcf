//! Schemas are remembered by their bytes; what is remembered never changes an answer.
use debezium::{Decoder, DoubtKind, Envelope, Field, Formats, Limits, ParseError};

fn schema(scale: u32) -> String {
    let columns = format!(
        r#""type":"struct","fields":[{{"field":"id","type":"int32"}},{{"field":"price","type":"bytes",
        "name":"org.apache.kafka.connect.data.Decimal","parameters":{{"scale":"{scale}"}}}}]"#
    );
    format!(
        r#"{{"type":"struct","fields":[{{"field":"before",{columns}}},{{"field":"after",{columns}}}]}}"#
    )
}
const PAYLOAD: &str =
    r#"{"op":"c","source":{"table":"t","ts_ms":1},"after":{"id":7,"price":"MDk="}}"#;

fn price(decoder: &mut Decoder, topic: &str, record: &str) -> Result<String, ParseError> {
    match decoder.decode(topic, None, Some(record.as_bytes()))? {
        Envelope::Change(change) => {
            let [price] = change.after.as_ref().unwrap().fields(["price"]).unwrap();
            Ok(price.nullable(Field::decimal).unwrap().unwrap().to_string())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn changed_schemas_and_other_orders() {
    let (two, three) = (schema(2), schema(3));
    let shapes = [
        (format!(r#"{{"schema":{two},"payload":{PAYLOAD}}}"#), "123.45"),
        (format!(r#"{{"schema":{three},"payload":{PAYLOAD}}}"#), "12.345"),
        (format!(r#"{{"payload":{PAYLOAD},"schema":{two}}}"#), "123.45"),
        (format!(r#"{{"schema" : {three} , "payload" : {PAYLOAD} }}"#), "12.345"),
        (format!("{{\"schema\":{two},\"payload\": {PAYLOAD}\n}}\n"), "123.45"),
        (format!("\n{{\"schema\":{three},\"payload\":{PAYLOAD}}}"), "12.345"),
    ];
    let mut decoder = Decoder::default();
    for round in 0..20_usize {
        for i in 0..shapes.len() {
            let (record, expected) = &shapes[(i * (round + 1)) % shapes.len()];
            assert_eq!(price(&mut decoder, "t", record).unwrap(), *expected);
        }
    }
}

#[test]
fn what_follows_a_known_schema_is_checked() {
    let start = format!(r#"{{"schema":{},"payload":"#, schema(2));
    let mut decoder = Decoder::default();
    assert!(price(&mut decoder, "t", &format!("{start}{PAYLOAD}}}")).is_ok());
    for rest in [
        "",
        PAYLOAD,
        &format!("{PAYLOAD},\"more\":1}}"),
        &format!("{PAYLOAD},\"payload\":{PAYLOAD}}}"),
        &format!("{PAYLOAD}}}}}"),
        &format!("{PAYLOAD}}}x"),
        &format!("{PAYLOAD}]"),
        &format!("{PAYLOAD}}}\x0c"),
        &format!("{PAYLOAD}\x0c}}"),
        r#"{"op":"c","op":"c"}}"#,
        "7}",
        "null}",
        "}",
    ] {
        let record = format!("{start}{rest}");
        let decode = |decoder: &mut Decoder| {
            decoder.decode("t", None, Some(record.as_bytes())).map(|e| format!("{e:?}"))
        };
        assert_eq!(decode(&mut decoder), decode(&mut Decoder::default()), "{rest}");
    }
    let deep = format!("{start}{{\"a\":{}{}}}}}", "[".repeat(70), "]".repeat(70));
    let told = decoder.decode("t", None, Some(deep.as_bytes())).unwrap_err();
    assert_eq!(told, ParseError::TooDeep { max: 64 });
}

#[test]
fn key_and_value_schemas_are_apart() {
    let record = format!(r#"{{"schema":{},"payload":{PAYLOAD}}}"#, schema(2));
    let mut decoder = Decoder::default();
    for _ in 0..3 {
        assert_eq!(price(&mut decoder, "t", &record).unwrap(), "123.45");
        let key = decoder.key("t", "t".into(), record.as_bytes()).unwrap().unwrap();
        assert_eq!(key.fields(["op"]).unwrap()[0].text().unwrap(), "c");
    }
}

/// More topics and schemas than are remembered: slower, never wrong.
#[test]
fn memory_is_bounded() {
    let mut decoder = Decoder::new(Formats::default(), Limits::default());
    let records: Vec<String> = (0..12)
        .map(|scale| format!(r#"{{"schema":{},"payload":{PAYLOAD}}}"#, schema(scale)))
        .collect();
    for i in 0..3_000_usize {
        let scale = i % 12;
        let topic = format!("t{}", i % 1_300);
        let expected = bigdecimal::BigDecimal::new(12_345.into(), scale as i64).to_plain_string();
        assert_eq!(price(&mut decoder, &topic, &records[scale]).unwrap(), expected);
        assert_eq!(price(&mut decoder, "one", &records[scale]).unwrap(), expected);
    }
}

/// What a record's row says of each doubt that its schema gives rise to.
fn doubts(
    decoder: &mut Decoder,
    columns: &str,
    row: &str,
) -> Vec<(String, DoubtKind, Option<bool>)> {
    let image = format!(r#"{{"type":"struct","fields":[{columns}],"field":"after"}}"#);
    let record = format!(
        r#"{{"schema":{{"type":"struct","fields":[{image}]}},"payload":{{"op":"c","source":{{"table":"t","ts_ms":1}},"after":{row}}}}}"#
    );
    match decoder.decode("t", None, Some(record.as_bytes())).unwrap() {
        Envelope::Change(change) => {
            let told = change.doubts.list().iter();
            told.map(|d| (d.column.clone(), d.kind, change.bears_out(d))).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_schema_leaves_in_doubt() {
    use DoubtKind::{Floating, Milliseconds, NullOrDefault};
    let mut decoder = Decoder::default();
    // As Debezium writes them: a default of a column that may not be NULL, and no default, raise no doubt.
    let clear = r#"{"type":"int32","optional":false,"default":0,"field":"a"},{"type":"string","optional":true,"field":"b"},
        {"type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp","field":"c"}"#;
    assert_eq!(doubts(&mut decoder, clear, r#"{"a":0,"b":null,"c":1}"#), []);
    let columns = r#"{"type":"bytes","optional":true,"name":"org.apache.kafka.connect.data.Decimal","default":"AA==",
        "parameters":{"scale":"2"},"field":"d"},{"type":"double","optional":true,"field":"e"},
        {"type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","field":"f"}"#;
    // The second time the schema is known by its bytes.
    for _ in 0..2 {
        for (row, d, rest) in [
            (r#"{"d":"AA==","e":1.5,"f":7}"#, Some(true), Some(true)),
            (r#"{"d":"MDk=","e":1.5,"f":7}"#, None, Some(true)),
            (r#"{"d":null,"e":null,"f":null}"#, Some(false), None),
            (r#"{}"#, None, None),
        ] {
            let told = doubts(&mut decoder, columns, row);
            let of = |column: &str, kind, said| (column.to_owned(), kind, said);
            let expected =
                [of("d", NullOrDefault, d), of("e", Floating, rest), of("f", Milliseconds, rest)];
            assert_eq!(told, expected, "{row}");
        }
    }
}
