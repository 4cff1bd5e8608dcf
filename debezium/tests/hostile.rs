//! Whatever the bytes are: an answer or an error, never a panic, and the same from a decoder that has seen others.
mod recording;

use debezium::{Decoder, Envelope, Field, Formats, Kept, KeyMove, Limits, Row};
use proptest::prelude::*;
use recording::{FOLDERS, FORMATS, Record};
use std::{fmt::Write, sync::LazyLock};

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let all = FOLDERS.into_iter().flat_map(recording::folder);
    all.filter(|r| r.value.as_ref().is_some_and(|v| v.len() < 20_000)).collect()
});

fn decoder() -> Decoder {
    Decoder::new(Formats::parse(FORMATS).unwrap(), Limits::default())
}

/// Every reader on every column.
fn read_all(told: &mut String, row: &Row) {
    let _ = row.fields(["id", "price", "created_at", "nowhere"]).map(|f| f.map(|f| f.int()));
    match row.columns() {
        Err(e) => write!(told, "{e}").unwrap(),
        Ok(columns) => {
            for f in &columns {
                write!(told, "{:?} {:?}", f.name(), f.format()).unwrap();
                write!(told, "{:?} {:?} {:?}", f.int(), f.text(), f.decimal()).unwrap();
                write!(told, "{:?} {:?} {:?}", f.time_us(), f.boolean(), f.bytes()).unwrap();
                write!(told, "{:?} {:?} {:?}", f.float(), f.date(), f.uuid()).unwrap();
                write!(told, "{:?} {:?}", f.json_text(), f.texts()).unwrap();
                let kept = f.kept(|f| f.nullable(Field::json));
                assert!(matches!(kept, Ok(Kept::Unchanged | Kept::New(_))));
            }
        }
    }
}
fn read(decoder: &mut Decoder, topic: &str, key: Option<&[u8]>, value: &[u8]) -> String {
    let mut told = String::new();
    match decoder.decode(topic, key, Some(value)) {
        Err(e) => write!(told, "{e}").unwrap(),
        Ok(Envelope::Change(change)) => {
            write!(told, "{:?} {:?}", change.op, change.source).unwrap();
            for row in [&change.key, &change.before, &change.after].into_iter().flatten() {
                read_all(&mut told, row);
            }
        }
        Ok(other) => write!(told, "{other:?}").unwrap(),
    }
    told
}

/// Cuts, overwrites, doubles and moves pieces.
fn mutate(bytes: &mut Vec<u8>, changes: &[(prop::sample::Index, prop::sample::Index, u8, u8)]) {
    for (a, b, how, byte) in changes {
        if bytes.is_empty() {
            return;
        }
        let (a, b) = (a.index(bytes.len()), b.index(bytes.len()));
        let (from, to) = (a.min(b), a.max(b));
        match how % 7 {
            0 => bytes[a] = *byte,
            1 => bytes[a] = b"{}[]\",:\\0-9eEtfnu"[usize::from(*byte) % 17],
            2 => bytes.truncate(a),
            3 => drop(bytes.drain(from..to.min(from + 40))),
            4 => {
                let piece = bytes[from..to.min(from + 200)].to_vec();
                bytes.splice(a..a, piece);
            }
            5 => bytes.swap(a, b),
            _ => bytes.insert(a, *byte),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn mutated_records(
        which: prop::sample::Index,
        warm: prop::sample::Index,
        changes in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index, u8, u8)>(), 1..6),
        in_key: bool,
    ) {
        let record = which.get(&RECORDS);
        let mut key = record.key().unwrap_or_default().to_vec();
        let mut value = record.value().unwrap_or_default().to_vec();
        mutate(if in_key { &mut key } else { &mut value }, &changes);
        let mut used = decoder();
        let warm = warm.get(&RECORDS);
        for seen in [warm, record] {
            read(&mut used, &record.topic, seen.key(), seen.value().unwrap_or_default());
        }
        let told = read(&mut used, &record.topic, Some(&key), &value);
        prop_assert_eq!(told, read(&mut decoder(), &record.topic, Some(&key), &value));
    }

    #[test]
    fn mutated_columns(
        which: prop::sample::Index,
        cut: prop::sample::Index,
        piece in "(\"[^\"\\\\]{0,40}\"|-?[0-9]{1,25}(\\.[0-9]{1,5})?([eE]-?[0-9]{1,12})?|\\{\"scale\":-?[0-9]{1,5},\"value\":\"[A-Za-z0-9+/]{0,8}=?=?\"\\}|\\[\\]|null|true)",
    ) {
        let record = which.get(&RECORDS);
        let text = record.value.as_deref().unwrap_or_default();
        let colons: Vec<usize> = text.match_indices("\":").map(|(at, _)| at + 2).collect();
        let at = colons[cut.index(colons.len())];
        let end = at + text[at..].find([',', '}']).unwrap_or(0);
        let changed = format!("{}{piece}{}", &text[..at], &text[end..]);
        let mut used = decoder();
        read(&mut used, &record.topic, record.key(), text.as_bytes());
        let told = read(&mut used, &record.topic, record.key(), changed.as_bytes());
        prop_assert_eq!(told, read(&mut decoder(), &record.topic, record.key(), changed.as_bytes()));
    }

    #[test]
    fn random_bytes(topic in "\\PC{0,8}", key: Option<Vec<u8>>, value: Vec<u8>, json in "[\\[\\]{}\",:\\\\ a1.eE+-]{0,60}") {
        let mut decoder = decoder();
        read(&mut decoder, &topic, key.as_deref(), &value);
        read(&mut decoder, &topic, key.as_deref(), json.as_bytes());
        let _ = Formats::parse(&topic);
        let _ = KeyMove::of(&[(topic, key)]);
    }

    #[test]
    fn random_nesting(brackets in prop::collection::vec(any::<bool>(), 0..200), close: bool, inside: bool) {
        let mut value = if inside { r#"{"op":"c","source":{"table":"t","ts_ms":1},"after":{"a":"#.to_owned() } else { String::new() };
        let opened = |b: &bool| if *b { "[" } else { "{\"a\":" };
        value.extend(brackets.iter().map(opened));
        value.push('1');
        if close {
            value.extend(brackets.iter().rev().map(|b| if *b { "]" } else { "}" }));
            value.push_str(if inside { "}}" } else { "" });
        }
        let told = read(&mut decoder(), "t", None, value.as_bytes());
        let depth = brackets.len() + if inside { 2 } else { 0 };
        prop_assert_eq!(told.contains("nested deeper than the limit of 64"), depth > 64, "{}", told);
    }

    /// Error texts name columns and tables, and never what stood in them.
    #[test]
    fn errors_show_no_values(secret in "[QXZ]{12,16}", number in 1_000_000_000_000_i64..9_000_000_000_000) {
        for column in [format!("\"{secret}\""), format!("{{\"{secret}\":{number}}}"), format!("[\"{secret}\",{number}]"),
            format!("{number}.5"), format!("\"{number}.5.5\""), format!("{number}99999999999")] {
            let value = format!(r#"{{"op":"c","source":{{"table":"t","ts_ms":1}},"after":{{"c":{column}}}}}"#);
            let mut decoder = Decoder::default();
            let Ok(Envelope::Change(change)) = decoder.decode("t", None, Some(value.as_bytes())) else { panic!() };
            let [c] = change.after.as_ref().unwrap().fields(["c"]).unwrap();
            let errors = [c.int().err(), c.text().err(), c.decimal().err(), c.time_us().err(), c.boolean().err(), c.bytes().err()];
            for error in errors.into_iter().flatten() {
                let said = error.to_string();
                prop_assert!(!said.contains(&secret) && !said.contains(&number.to_string()), "{}", said);
            }
            for cut in 1..value.len() {
                if let Err(error) = decoder.decode("t", None, Some(&value.as_bytes()[..cut])) {
                    prop_assert!(!error.to_string().contains(&secret), "{}", error);
                }
            }
        }
    }
}
