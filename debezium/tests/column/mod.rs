//! One column of one record, read by a test's own reader.
use debezium::{Decoder, Envelope, Field, FieldError, Formats, Limits};
use serde_json::{Value, json};

/// Reads column `c` of table `t`, whose JSON is `raw`, in a record with this schema for the column or without any. An error
/// names the column.
pub fn read<T>(
    formats: Formats,
    schema: Option<Value>,
    raw: &str,
    reader: impl FnOnce(&Field) -> Result<T, FieldError>,
) -> Result<T, String> {
    let event =
        format!(r#"{{"op":"c","source":{{"table":"t","ts_ms":1}},"after":{{"a":0,"c":{raw}}}}}"#);
    let record = match schema {
        None => event,
        Some(mut field) => {
            field["field"] = "c".into();
            let schema = json!({"type": "struct", "fields": [
                {"field": "after", "type": "struct", "fields": [{"field": "a", "type": "int32"}, field]},
            ]});
            format!(r#"{{"schema":{schema},"payload":{event}}}"#)
        }
    };
    let mut decoder = Decoder::new(formats, Limits::default());
    let envelope = decoder.decode("topic", None, Some(record.as_bytes())).unwrap();
    let Envelope::Change(change) = envelope else { panic!("{record}") };
    let [field] = change.after.as_ref().unwrap().fields(["c"]).unwrap();
    let result = reader(&field).map_err(|e| e.to_string());
    if let Err(error) = &result {
        assert!(error.starts_with("t.c: "), "{error}");
    }
    result
}

/// The schema of a value of this type with a semantic type of Debezium or Kafka Connect.
pub fn named(kind: &str, name: &str) -> Option<Value> {
    Some(json!({"type": kind, "name": name}))
}
