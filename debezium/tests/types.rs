//! Floats, dates, UUIDs, bytes, JSON and lists: as they were recorded, in every encoding, and what is none of them.
mod column;
mod recording;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use column::named;
use debezium::{Decoder, Envelope, Field, FieldError, Formats, Kept, Limits};
use proptest::prelude::*;
use recording::{FORMATS, Record};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq)]
enum As {
    Bool,
    Float,
    Date,
    Uuid,
    Bytes,
    Json,
    Texts,
}

/// The value by its reader, in one form that shows each digit.
fn shown(field: &Field, read_as: As) -> Result<String, FieldError> {
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |all, b| format!("{all}{b:02x}"));
    Ok(match read_as {
        As::Bool => field.boolean()?.to_string(),
        As::Float => format!("{:?}", field.float()?),
        As::Date => format!("{:?}", field.date()?),
        As::Uuid => hex(&field.uuid()?),
        As::Bytes => hex(&field.bytes()?),
        As::Json => field.json_text()?.into_owned(),
        As::Texts => json!(field.texts()?).to_string(),
    })
}
/// The same of a value that may be null or not sent.
fn kept(field: &Field, read_as: As) -> Result<String, FieldError> {
    Ok(match field.kept(|field| field.nullable(|field| shown(field, read_as)))? {
        Kept::New(Some(text)) => text,
        Kept::New(None) => "null".to_owned(),
        Kept::Unchanged => "unchanged".to_owned(),
    })
}

/// Reads a column of the new row of each record of a table, by the operation and the row's number.
fn recorded(folder: &str, table: &str, column: &str, read_as: As) -> Vec<(String, String)> {
    let mut decoder = Decoder::new(Formats::parse(FORMATS).unwrap(), Limits::default());
    let topic = format!("dbserver1.public.{table}");
    let records = recording::folder(folder);
    let of_table = records.iter().filter(|record| record.topic == topic);
    let mut read = |record: &Record| {
        let envelope = decoder.decode(&record.topic, record.key(), record.value()).unwrap();
        let Envelope::Change(change) = envelope else { return None };
        let [id, field] = change.after.as_ref()?.fields(["id", column]).unwrap();
        let row = format!("{:?} {}", change.op, id.int().unwrap());
        Some((row, kept(&field, read_as).unwrap_or_else(|e| format!("error: {e}"))))
    };
    of_table.filter_map(&mut read).collect()
}

const UUID: &str = "123e4567e89b12d3a456426614174000";

#[test]
fn recorded_values_are_read_in_every_encoding() {
    let table: [(&str, As, [&str; 5]); 13] = [
        ("c_bool", As::Bool, ["true", "null", "false", "true", "false"]),
        ("c_bit1", As::Bool, ["true", "null", "null", "null", "null"]),
        ("c_real", As::Float, ["1.5", "null", "NaN", "-inf", "0.0"]),
        ("c_double", As::Float, ["2.5", "null", "inf", "1e308", "-0.0"]),
        ("c_date", As::Date, ["Some(19849)", "null", "Some(-719162)", "Some(2932896)", "None"]),
        ("c_uuid", As::Uuid, [UUID, "null", "null", "null", "null"]),
        (
            "c_bytea",
            As::Bytes,
            ["deadbeef", "null", "", "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff", "00"],
        ),
        ("c_bit8", As::Bytes, ["aa", "null", "null", "null", "null"]),
        ("c_json", As::Json, ["{\"b\": 1,  \"a\": [1, 2]}", "null", "null", "null", "null"]),
        ("c_jsonb", As::Json, ["{\"a\": [1, 2], \"b\": 1}", "null", "null", "null", "null"]),
        ("c_hstore", As::Json, ["{\"k\":\"v\",\"n\":null}", "null", "null", "null", "null"]),
        ("c_text_array", As::Texts, [r#"["a","b,c",null,""]"#, "null", "[]", r#"["x"]"#, "null"]),
        (
            "c_uuid_array",
            As::Texts,
            [r#"["123e4567-e89b-12d3-a456-426614174000"]"#, "null", "null", "null", "null"],
        ),
    ];
    for folder in ["json-schemaless", "json-with-schema"] {
        for (column, read_as, of_rows) in table {
            let found = recorded(folder, "all_types", column, read_as);
            assert_eq!(found.len(), 11, "{folder}: {column}");
            for (row, value) in found {
                let number: usize = row.rsplit(' ').next().unwrap().parse().unwrap();
                if let Some(wanted) = of_rows.get(number - 1) {
                    assert_eq!(value, *wanted, "{folder}: {column} of {row}");
                }
            }
        }
        // Of a row that came later.
        let doubles = recorded(folder, "all_types", "c_double", As::Float);
        assert_eq!(doubles.last().unwrap(), &("Create 6".to_owned(), "1.1".to_owned()), "{folder}");
    }
}

#[test]
fn recorded_values_that_did_not_change_are_not_read() {
    let columns = [("big_bytea", As::Bytes), ("big_jsonb", As::Json), ("big_array", As::Texts)];
    for folder in ["json-schemaless", "json-with-schema"] {
        for (column, read_as) in columns {
            let found = recorded(folder, "toasty", column, read_as);
            let is_unchanged: Vec<bool> = found.iter().map(|row| row.1 == "unchanged").collect();
            assert_eq!(is_unchanged, [false, true, true], "{folder}: {column}");
            let sent = recorded(folder, "toasty_full", column, read_as);
            assert!(sent.iter().all(|row| row.1.len() > 1_000), "{folder}: {column} {sent:?}");
        }
    }
}

#[test]
fn a_schema_tells_lists_of_texts_from_others() {
    for column in ["c_int_array", "c_numeric_array"] {
        let found = recorded("json-with-schema", "all_types", column, As::Texts);
        assert!(found[0].1.ends_with("an array of other values than texts"), "{found:?}");
    }
    let found = recorded("json-schemaless", "all_types", "c_int_array", As::Texts);
    assert!(found[0].1.contains("elements that are not texts"), "{found:?}");
}

/// Column `c` of table `t`, in a record with this schema for it or without.
fn read(formats: &str, schema: Option<Value>, raw: &str, read_as: As) -> Result<String, String> {
    read_with(Formats::parse(formats).unwrap(), schema, raw, read_as)
}
fn read_with(
    formats: Formats,
    schema: Option<Value>,
    raw: &str,
    read_as: As,
) -> Result<String, String> {
    column::read(formats, schema, raw, |field| kept(field, read_as))
}
fn of_type(kind: &str) -> Option<Value> {
    Some(json!({"type": kind}))
}
fn array_of(kind: &str) -> Option<Value> {
    Some(json!({"type": "array", "items": {"type": kind, "optional": true}}))
}

#[test]
fn what_is_read() {
    let days = || named("int32", "io.debezium.time.Date");
    let iso = || named("string", "io.debezium.time.IsoDate");
    let none = "None";
    for (formats, schema, raw, read_as, wanted) in [
        ("", None, "1", As::Float, "1.0"),
        ("", None, "-0.0", As::Float, "-0.0"),
        ("", None, "9007199254740992", As::Float, "9007199254740992.0"),
        ("", None, "1.7976931348623157E308", As::Float, "1.7976931348623157e308"),
        ("", None, "4.9E-324", As::Float, "5e-324"),
        ("", None, r#""-Infinity""#, As::Float, "-inf"),
        ("", of_type("double"), r#""NaN""#, As::Float, "NaN"),
        ("", of_type("float"), r#""Infinity""#, As::Float, "inf"),
        // As Java wrote some numbers of 32 bits before its version 19; PostgreSQL shows 1.1754944e-38.
        ("", of_type("float"), "1.17549435E-38", As::Float, "1.1754944e-38"),
        ("", of_type("float"), "1.1", As::Float, "1.1"),
        ("", of_type("float"), "16777216", As::Float, "16777216.0"),
        ("t.c=days", None, "-1", As::Date, "Some(-1)"),
        ("t.c=days", None, "2146033979", As::Date, none),
        ("", days(), "-622191234", As::Date, none),
        ("", named("int32", "org.apache.kafka.connect.data.Date"), "5", As::Date, "Some(5)"),
        ("", iso(), r#""2024-05-06Z""#, As::Date, "Some(19849)"),
        ("", iso(), r#""infinity""#, As::Date, none),
        ("t.c=iso", None, r#""2024-05-06""#, As::Date, "Some(19849)"),
        ("", None, r#""0001-01-01""#, As::Date, "Some(-719162)"),
        ("", None, r#""-infinity""#, As::Date, none),
        ("", None, r#""123E4567-E89B-12D3-A456-426614174000""#, As::Uuid, UUID),
        ("", named("string", "io.debezium.data.Json"), r#""[1,  2]""#, As::Json, "[1,  2]"),
        ("", None, "\"\\u00e9\"", As::Json, "é"),
        ("", None, r#""3q2+7w==""#, As::Bytes, "deadbeef"),
        ("", None, r#""""#, As::Bytes, ""),
        ("", of_type("bytes"), r#""dead""#, As::Bytes, "75e69d"),
        ("t.c=base64", of_type("string"), r#""3q2+7w==""#, As::Bytes, "deadbeef"),
        ("t.c=base64-url-safe", None, r#""-_8=""#, As::Bytes, "fbff"),
        ("t.c=hex", of_type("string"), r#""DEad""#, As::Bytes, "dead"),
        ("t.c=hex", None, r#""dead""#, As::Bytes, "dead"),
        ("t.c=hex", of_type("bytes"), r#""dead""#, As::Bytes, "75e69d"),
        ("", array_of("string"), r#"[null,"a"]"#, As::Texts, r#"[null,"a"]"#),
        ("", None, "[]", As::Texts, "[]"),
    ] {
        let got = read(formats, schema, raw, read_as);
        assert_eq!(got.as_deref(), Ok(wanted), "{raw}");
    }
}

/// Errors name the place, say what to do, and show no value.
#[test]
fn what_may_be_two_things_or_none_is_an_error() {
    let micros = || named("int64", "io.debezium.time.MicroTimestamp");
    let two = "`t.c=hex`, or base64, base64-url-safe";
    for (formats, schema, raw, read_as, part) in [
        ("", None, "9007199254740993", As::Float, "read the column as a decimal or a whole number"),
        ("", None, "0.1234567890123456789", As::Float, "more digits"),
        ("", of_type("float"), "16777217", As::Float, "more digits"),
        ("", of_type("double"), "1e400", As::Float, "beyond the range"),
        ("", None, "1e-400", As::Float, "beyond the range"),
        ("", of_type("float"), "1e39", As::Float, "beyond the range"),
        ("", of_type("string"), r#""1.5""#, As::Float, "read it as a decimal"),
        ("", None, r#""1.5""#, As::Float, "read it as a decimal"),
        ("", None, "true", As::Float, "a boolean, not a floating-point number"),
        ("", micros(), "5", As::Float, "a time, not a floating-point number"),
        ("", None, "19849", As::Date, "`t.c=days`"),
        ("", micros(), "5", As::Date, "read the column as a time"),
        ("", named("int32", "io.debezium.time.Time"), "5", As::Date, "a time of day"),
        ("t.c=days", None, "2932897", As::Date, "years 0001 to 9999"),
        ("t.c=days", None, "-2440588", As::Date, "years 0001 to 9999"),
        ("t.c=days", None, "2145042905", As::Date, "years 0001 to 9999"),
        ("", None, r#""2024-05-06T00:00:00Z""#, As::Date, "not an ISO 8601 date"),
        ("", None, r#""2024-02-30""#, As::Date, "not an ISO 8601 date"),
        ("", None, r#""12024-02-01""#, As::Date, "years 0001 to 9999"),
        ("", None, "1.5", As::Date, "a number, not a date"),
        ("", None, r#""123e4567e89b12d3a456426614174000""#, As::Uuid, "text, not a UUID"),
        ("", None, r#""123e4567-e89b-12d3-a456-42661417400-""#, As::Uuid, "not a UUID"),
        ("", None, r#""123e4567-e89b-12d3-a456-42661417400g""#, As::Uuid, "not a UUID"),
        ("", None, r#"{"a":1}"#, As::Json, "an object, not the text of JSON"),
        ("", None, "5", As::Json, "a number, not text"),
        ("", None, r#""deadbeef""#, As::Bytes, two),
        ("", None, r#""-_8=""#, As::Bytes, two),
        ("", of_type("string"), r#""3q2+7w==""#, As::Bytes, two),
        ("t.c=hex", None, r#""dea""#, As::Bytes, "not hexadecimal digits"),
        ("t.c=hex", None, r#""+1""#, As::Bytes, "not hexadecimal digits"),
        ("t.c=base64-url-safe", None, r#""3q2+7w==""#, As::Bytes, "not base64"),
        ("", None, r#"["a",["b"]]"#, As::Texts, "elements that are not texts"),
        ("", None, r#"{"a":1}"#, As::Texts, "an object, not a list of texts"),
        ("", array_of("bytes"), r#"["bg=="]"#, As::Texts, "other values than texts"),
        ("", None, "1", As::Bool, "a number, not a boolean"),
    ] {
        let error = read(formats, schema, raw, read_as).expect_err(raw);
        assert!(error.contains(part), "{raw}: {error}");
        let value = raw.trim_matches('"');
        assert!(value.len() < 5 || !error.contains(value), "it shows a value: {error}");
    }
    let hex = read("t.c=hex", None, r#""dead""#, As::Json).expect_err("bytes");
    assert!(hex.ends_with("bytes, not text"), "{hex}");
}

/// As text, in every form of bytes, and as the UUID that Java makes of it.
#[test]
fn placeholders_of_bytes_and_lists() {
    let usual = "__debezium_unavailable_value";
    let hex = |text: &str| text.bytes().fold(String::new(), |all, b| format!("{all}{b:02x}"));
    // `UUID.nameUUIDFromBytes` of the usual one, and of another.
    let uuids = [
        (usual, "b68a35a7-17ad-35b3-af2a-ae46edb4545a"),
        ("gone?>", "3accbbdb-6b89-3057-9192-4c999125c344"),
    ];
    for (text, uuid) in uuids {
        let formats = |list: &str| Formats::parse(list).unwrap().with_placeholder(text).unwrap();
        for form in [text.to_owned(), hex(text), STANDARD.encode(text), URL_SAFE.encode(text)] {
            for list in ["", "t.c=hex", "t.c=base64-url-safe"] {
                let got = read_with(formats(list), None, &json!(form).to_string(), As::Bytes);
                assert_eq!(got.as_deref(), Ok("unchanged"), "{form}");
            }
        }
        for list in [json!([text]), json!([uuid])] {
            for schema in [None, array_of("string")] {
                let got = read_with(formats(""), schema, &list.to_string(), As::Texts);
                assert_eq!(got.as_deref(), Ok("unchanged"), "{list}");
            }
        }
        let both = json!([uuid, uuid]).to_string();
        assert_eq!(read_with(formats(""), None, &both, As::Texts), Ok(both));
    }
    let other = json!(["b68a35a7-17ad-35b3-af2a-ae46edb4545b"]).to_string();
    assert_eq!(read("", None, &other, As::Texts), Ok(other));
}

proptest! {
    #[test]
    fn floats_are_read_as_they_were_written(number: f64, single: f32) {
        for text in [json!(number).to_string(), format!("{number:E}"), format!("{number:.16e}")] {
            prop_assert_eq!(read("", None, &text, As::Float), Ok(format!("{number:?}")), "{}", text);
        }
        let shortest: f64 = format!("{single:e}").parse().unwrap();
        for text in [format!("{single:e}"), format!("{single:.8e}")] {
            prop_assert_eq!(read("", of_type("float"), &text, As::Float), Ok(format!("{shortest:?}")));
        }
    }

    #[test]
    fn dates_in_all_encodings(days in -719_162_i32..=2_932_896) {
        let iso = chrono::NaiveDate::from_epoch_days(days).unwrap().to_string();
        let wanted = Ok(format!("Some({days})"));
        let number = days.to_string();
        prop_assert_eq!(&read("t.c=days", None, &number, As::Date), &wanted);
        prop_assert_eq!(&read("", named("int32", "io.debezium.time.Date"), &number, As::Date), &wanted);
        prop_assert_eq!(&read("", None, &json!(iso).to_string(), As::Date), &wanted);
        let zulu = json!(format!("{iso}Z")).to_string();
        prop_assert_eq!(&read("", named("string", "io.debezium.time.IsoDate"), &zulu, As::Date), &wanted);
    }

    #[test]
    fn bytes_in_all_encodings(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let hex = bytes.iter().fold(String::new(), |all, b| format!("{all}{b:02x}"));
        let wanted = Ok(hex.clone());
        let [standard, url_safe, digits] =
            [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes), hex].map(|text| json!(text).to_string());
        prop_assert_eq!(&read("", of_type("bytes"), &standard, As::Bytes), &wanted);
        prop_assert_eq!(&read("t.c=base64", None, &standard, As::Bytes), &wanted);
        prop_assert_eq!(&read("t.c=base64-url-safe", of_type("string"), &url_safe, As::Bytes), &wanted);
        prop_assert_eq!(&read("t.c=hex", of_type("string"), &digits, As::Bytes), &wanted);
        // Never a guess: right, or an error.
        for raw in [&standard, &digits, &url_safe] {
            let read = read("", None, raw, As::Bytes);
            prop_assert!(read == wanted || read.is_err(), "{}", raw);
        }
    }
}
