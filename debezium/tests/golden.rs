//! What is understood of every recorded record, against `tests/golden/*.txt`. `UPDATE_GOLDEN=1` writes them anew.
mod recording;

use chrono::{DateTime, SecondsFormat};
use debezium::{
    Change, Decoder, Envelope, Field, FieldError, Format, Formats, Kept, KeyMove, Limits, Row,
};
use recording::{FOLDERS, FORMATS, Record};
use std::fmt::Write;

fn decoder() -> Decoder {
    Decoder::new(Formats::parse(FORMATS).unwrap(), Limits::default())
}

/// The value by what is known of its type, with the converter's name where JSON does not show it.
fn value(field: &Field) -> Result<String, FieldError> {
    match field.format() {
        Some(Format::DecimalBytes { .. } | Format::DecimalText) => {
            return field.decimal().map(|d| format!("{}d", d.to_plain_string()));
        }
        Some(_) => {
            let time = field.time_us()?;
            let time = DateTime::from_timestamp_micros(time).unwrap();
            return Ok(time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
        None => {}
    }
    match field.json()?.as_bytes()[0] {
        b'"' => match field.text() {
            Ok(text) => Ok(short(&format!("{text:?}"))),
            Err(_) => field.bytes().map(|bytes| {
                short(&bytes.iter().fold("0x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")))
            }),
        },
        b't' | b'f' => field.boolean().map(|b| b.to_string()),
        b'{' => match field.decimal() {
            Ok(d) => Ok(format!("{}d", d.to_plain_string())),
            Err(_) => Ok(short(field.json()?)),
        },
        b'[' => Ok(short(field.json()?)),
        _ => match field.int() {
            Ok(n) if n.to_string() == field.json()? => Ok(n.to_string()),
            _ => field.decimal().map(|d| format!("{}d", d.to_big())),
        },
    }
}
fn short(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}..({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
fn shown(field: &Field) -> String {
    match field.kept(|f| f.nullable(value)) {
        Ok(Kept::New(Some(value))) => value,
        Ok(Kept::New(None)) => "null".into(),
        Ok(Kept::Unchanged) => "(unchanged)".into(),
        Err(e) => format!("({e})"),
    }
}
fn columns(row: &Row) -> Vec<(String, String)> {
    row.columns().unwrap().iter().map(|f| (f.name().to_owned(), shown(f))).collect()
}

fn told(out: &mut String, decoder: &mut Decoder, record: &Record) {
    write!(out, "{} ", record.offset).unwrap();
    match decoder.decode(&record.topic, record.key(), record.value()) {
        Err(e) => writeln!(out, "error: {e}").unwrap(),
        Ok(Envelope::Change(change)) => told_change(out, &change),
        Ok(Envelope::Truncate(source)) => writeln!(out, "truncate {}", source.table).unwrap(),
        Ok(Envelope::Message { prefix }) => writeln!(out, "message {prefix:?}").unwrap(),
        Ok(
            other @ (Envelope::Tombstone
            | Envelope::Transaction
            | Envelope::Heartbeat
            | Envelope::SchemaChange),
        ) => writeln!(out, "{other:?}").unwrap(),
    }
    let headers = record.headers();
    let moved = KeyMove::of(&headers);
    for (name, key) in [("newkey", moved.new_key), ("oldkey", moved.old_key)] {
        let Some(key) = key else { continue };
        let key = decoder.key(&record.topic, "moved".into(), key).unwrap().unwrap();
        told_row(out, name, &key);
    }
}
fn told_change(out: &mut String, change: &Change) {
    let s = &change.source;
    let at = (s.ts_ms, s.tx_id, s.lsn, change.ts_ms);
    writeln!(
        out,
        "{:?} {}.{}.{} {:?} {:?} {at:?}",
        change.op, s.db, s.schema, s.table, s.snapshot, s.connector
    )
    .unwrap();
    let images = [("key", &change.key), ("before", &change.before), ("after", &change.after)];
    for (name, row) in images {
        if let Some(row) = row {
            told_row(out, name, row);
        }
    }
}
fn told_row(out: &mut String, name: &str, row: &Row) {
    let columns: Vec<String> =
        columns(row).iter().map(|(name, value)| format!("{name}={value}")).collect();
    writeln!(out, "    {name}: {}", columns.join(" ")).unwrap();
}

#[test]
fn every_recorded_record() {
    for folder in FOLDERS {
        let mut decoder = decoder();
        let (mut out, mut topic) = (String::new(), String::new());
        for record in recording::folder(folder) {
            if record.topic != topic {
                topic.clone_from(&record.topic);
                writeln!(out, "== {topic}").unwrap();
            }
            told(&mut out, &mut decoder, &record);
        }
        let golden = recording::path("golden").join(format!("{folder}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &out).unwrap();
        }
        let kept = std::fs::read_to_string(&golden).unwrap();
        for (i, (kept, now)) in kept.lines().zip(out.lines()).enumerate() {
            assert_eq!(kept, now, "{folder}.txt line {}", i + 1);
        }
        assert_eq!(kept.lines().count(), out.lines().count(), "{folder}.txt");
    }
}

/// A decoder that has seen all others answers like a new one: the remembered schemas change nothing.
#[test]
fn memory_changes_nothing() {
    for folder in FOLDERS {
        let records = recording::folder(folder);
        let mut used = decoder();
        for record in records.iter().chain(records.iter().rev()) {
            let (mut by_used, mut by_new) = (String::new(), String::new());
            told(&mut by_used, &mut used, record);
            told(&mut by_new, &mut decoder(), record);
            assert_eq!(by_used, by_new, "{folder} {} {}", record.topic, record.offset);
        }
    }
}

/// The same rows from both recordings: configured formats and schemas say the same. Where only the schema can tell
/// (bytes are text without it), and where the recordings differ, nothing is compared.
#[test]
fn configured_as_with_schema() {
    let bytes = ["c_bytea", "c_bit8", "c_varbit", "big_bytea"];
    let rows = |folder: &str, topic: &str| -> Vec<Vec<(String, String)>> {
        let mut decoder = decoder();
        let mut rows = Vec::new();
        for record in recording::folder(folder).iter().filter(|r| r.topic.ends_with(topic)) {
            if let Ok(Envelope::Change(change)) =
                decoder.decode(&record.topic, record.key(), record.value())
            {
                let images = [change.key, change.before, change.after];
                rows.extend(images.iter().flatten().map(columns));
            }
        }
        rows
    };
    let (mut compared, mut altered) = (0, 0);
    for topic in [".all_types", ".products", ".orders", ".order_items", ".toasty", ".product_tags"]
    {
        let (bare, with_schema) = (rows("json-schemaless", topic), rows("json-with-schema", topic));
        assert_eq!(bare.len(), with_schema.len(), "{topic}");
        for (bare, with_schema) in bare.iter().flatten().zip(with_schema.iter().flatten()) {
            assert_eq!(bare.0, with_schema.0);
            let is_now = bare.0.ends_with("ed_at") && !bare.1.starts_with("(");
            if !bytes.contains(&bare.0.as_str()) && !is_now {
                let is_altered = bare.1 != with_schema.1;
                altered += usize::from(is_altered);
                if is_altered {
                    // numeric(10,2) became numeric(12,4) halfway: without a schema nobody can see that.
                    assert_eq!((topic, bare.0.as_str()), (".products", "price"));
                    assert_eq!(bare.1.replace('.', ""), with_schema.1.replace('.', ""));
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 500 && altered < 10, "{compared} {altered}");
}
