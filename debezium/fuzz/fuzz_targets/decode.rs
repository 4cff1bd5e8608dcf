//! Any bytes: no panic, and a decoder that has seen the record before answers as a new one does.
#![no_main]

use debezium::{Decoder, Envelope, Field, Formats, Limits, Row};
use libfuzzer_sys::fuzz_target;
use std::fmt::Write;

fn read_all(told: &mut String, row: &Row) {
    let _ = row.fields(["id", "price", "created_at"]);
    for f in row.columns().into_iter().flatten() {
        let _ = write!(told, "{} {:?} {:?}", f.name(), f.int(), f.text());
        let _ = write!(told, "{:?} {:?} {:?}", f.decimal(), f.time_us(), f.bytes());
        let _ = write!(told, "{:?} {:?} {:?}", f.float(), f.date(), f.uuid());
        let _ = write!(told, "{:?} {:?}", f.json_text(), f.texts());
        assert!(f.kept(|f| f.nullable(Field::json)).is_ok());
    }
}

fn read(decoder: &mut Decoder, key: Option<&[u8]>, value: &[u8]) -> String {
    let mut told = String::new();
    let decoded = decoder.decode("shop.public.products", key, Some(value));
    let _ = match decoded {
        Err(e) => write!(told, "{e}"),
        Ok(Envelope::Change(change)) => {
            for row in [&change.key, &change.before, &change.after].into_iter().flatten() {
                read_all(&mut told, row);
            }
            write!(told, "{:?} {:?}", change.op, change.source)
        }
        Ok(other) => write!(told, "{other:?}"),
    };
    told
}

fuzz_target!(|bytes: &[u8]| {
    // A newline ends the key, where there is one.
    let (key, value) = match bytes.iter().position(|b| *b == b'\n') {
        Some(at) => (Some(&bytes[..at]), &bytes[at + 1..]),
        None => (None, bytes),
    };
    let formats = || Formats::parse("products.price=decimal(2),products.at=micros,products.day=days");
    let mut used = Decoder::new(formats().unwrap(), Limits::default());
    let first = read(&mut used, key, value);
    assert_eq!(first, read(&mut used, key, value));
    let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(value).is_ok();
    assert!(is_json || first.contains("JSON") || first.contains("nested deeper") || first.contains("ytes"));
});
