//! Values as texts and back: one text for one value.
use super::Cell;
use crate::{List, Type, cell::Float};
use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat};
use std::fmt;

impl Cell {
    /// The value of this type that [`fmt::Display`] shows so; a null is shown as nothing, and is not read. Other texts of
    /// the same value are read as well. `None`: there is no such value.
    pub fn parse(kind: Type, text: &str) -> Option<Self> {
        Some(match kind {
            Type::Int => Self::Int(text.parse().ok()?),
            Type::Text => Self::Text(text.to_owned()),
            Type::Decimal => Self::Decimal(text.parse().ok()?),
            Type::Time => Self::Time(time_of(text)?),
            Type::Words => Self::Words(text.split_whitespace().map(str::to_owned).collect()),
            Type::Bool => Self::Bool(text.parse().ok()?),
            Type::Float => Self::Float(Float::parse(text)?),
            Type::Date => Self::Date(date_of(text)?),
            Type::Uuid => Self::Uuid(uuid_of(text)?),
            Type::Bytes => Self::Bytes(bytes_of(text)?),
            Type::Json => Self::Json(text.to_owned()),
            Type::List => Self::List(List(serde_json::from_str(text).ok()?)),
        })
    }
}

const FAR_TIME: &str = " us since 1970";
const FAR_DATE: &str = " days since 1970";

/// RFC 3339 in UTC.
pub(super) fn write_time(f: &mut fmt::Formatter<'_>, us: i64) -> fmt::Result {
    match DateTime::from_timestamp_micros(us) {
        Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        None => write!(f, "{us}{FAR_TIME}"),
    }
}
fn time_of(text: &str) -> Option<i64> {
    match text.strip_suffix(FAR_TIME) {
        Some(far) => far.parse().ok(),
        None => Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_micros()),
    }
}

/// `YYYY-MM-DD` of the years 1 to 9999.
pub(super) fn write_date(f: &mut fmt::Formatter<'_>, days: i32) -> fmt::Result {
    let date = NaiveDate::from_epoch_days(days);
    match date.filter(|date| (1..=9999).contains(&date.year())) {
        Some(date) => write!(f, "{date}"),
        None => write!(f, "{days}{FAR_DATE}"),
    }
}
fn date_of(text: &str) -> Option<i32> {
    match text.strip_suffix(FAR_DATE) {
        Some(far) => far.parse().ok(),
        None => Some(text.parse::<NaiveDate>().ok()?.to_epoch_days()),
    }
}

/// `123e4567-e89b-12d3-a456-426614174000`, in lower case.
pub(super) fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (at, byte) in uuid.iter().enumerate() {
        let dash = if HYPHENS.contains(&at) { "-" } else { "" };
        write!(f, "{dash}{byte:02x}")?;
    }
    Ok(())
}
/// The bytes before which a UUID has a hyphen.
const HYPHENS: [usize; 4] = [4, 6, 8, 10];

fn uuid_of(text: &str) -> Option<[u8; 16]> {
    let mut rest = text;
    let mut uuid = [0; 16];
    for (at, byte) in uuid.iter_mut().enumerate() {
        if HYPHENS.contains(&at) {
            rest = rest.strip_prefix('-')?;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        (*byte, rest) = (hex_of(digits)?, behind);
    }
    rest.is_empty().then_some(uuid)
}

/// `\x` and two digits for each byte, as PostgreSQL shows a `bytea`.
pub(super) fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\\x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}
fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.strip_prefix("\\x")?.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| hex_of(std::str::from_utf8(pair).ok()?);
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}

/// Of two digits; a sign is none.
fn hex_of(digits: &str) -> Option<u8> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;
    use proptest::prelude::*;

    /// Of those that are shown and no null.
    fn type_of(cell: &Cell) -> Option<Type> {
        Some(match cell {
            Cell::Null | Cell::Tuples(_) => return None,
            Cell::Int(_) => Type::Int,
            Cell::Text(_) => Type::Text,
            Cell::Decimal(_) => Type::Decimal,
            Cell::Time(_) => Type::Time,
            Cell::Words(_) => Type::Words,
            Cell::Bool(_) => Type::Bool,
            Cell::Float(_) => Type::Float,
            Cell::Date(_) => Type::Date,
            Cell::Uuid(_) => Type::Uuid,
            Cell::Bytes(_) => Type::Bytes,
            Cell::Json(_) => Type::Json,
            Cell::List(_) => Type::List,
        })
    }

    proptest! {
        #[test]
        fn values_are_read_as_they_are_shown(cell in cell()) {
            // Words are of letters, and spaces are between them; years have four digits.
            let is_plain = match &cell {
                Cell::Words(words) => {
                    words.iter().all(|word| !word.is_empty() && !word.contains(char::is_whitespace))
                }
                Cell::Time(us) => crate::day(*us).is_some(),
                _ => true,
            };
            if let Some(kind) = type_of(&cell).filter(|_| is_plain) {
                prop_assert_eq!(Cell::parse(kind, &cell.to_string()), Some(cell));
            }
        }

        #[test]
        fn other_texts_do_no_harm(text in "\\PC{0,40}") {
            use Type::*;
            for kind in [Int, Text, Decimal, Time, Words, Bool, Float, Date, Uuid, Bytes, Json, List] {
                let _ = Cell::parse(kind, &text);
            }
        }
    }

    #[test]
    fn a_uuid_is_read_in_any_case_and_shown_in_lower_case() {
        let shown = |text: &str| Cell::parse(Type::Uuid, text).map(|cell| cell.to_string());
        let uuid = "123e4567-e89b-12d3-a456-426614174000";
        assert_eq!(shown(&uuid.to_uppercase()).as_deref(), Some(uuid));
        for none in ["", "123e4567e89b12d3a456426614174000", &uuid[1..], "+23e4567-e89b"] {
            assert_eq!(shown(none), None, "{none}");
        }
        assert_eq!(shown(&format!("{uuid}0")), None);
        assert_eq!(shown(&uuid.replace('1', "+")), None);
    }

    #[test]
    fn values_are_shown_as_people_and_postgresql_write_them() {
        let list = List(vec![Some("a".into()), None, Some("b,\"c\"".into()), Some(String::new())]);
        for (cell, text) in [
            (Cell::Bool(true), "true"),
            (Cell::Float(Float::new(1e20)), "1e+20"),
            (Cell::Date(19_849), "2024-05-06"),
            (Cell::Date(-719_162), "0001-01-01"),
            (Cell::Date(2_932_896), "9999-12-31"),
            (Cell::Date(2_932_897), "2932897 days since 1970"),
            (Cell::Date(i32::MIN), "-2147483648 days since 1970"),
            (Cell::Bytes(vec![0xde, 0xad, 0x0f]), "\\xdead0f"),
            (Cell::Bytes(vec![]), "\\x"),
            (Cell::Json("{\"b\": 1,  \"a\": 2}".into()), "{\"b\": 1,  \"a\": 2}"),
            (Cell::List(list), r#"["a",null,"b,\"c\"",""]"#),
            (Cell::List(List(vec![])), "[]"),
        ] {
            assert_eq!(cell.to_string(), text);
            assert_eq!(Cell::parse(type_of(&cell).expect("no null"), text), Some(cell));
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_not_read() {
        for (kind, text) in [
            (Type::Bool, "t"),
            (Type::Bool, ""),
            (Type::Date, "2024-02-30"),
            (Type::Date, "tomorrow"),
            (Type::Bytes, "dead"),
            (Type::Bytes, "\\xdea"),
            (Type::Bytes, "\\x+1"),
            (Type::List, "[1]"),
            (Type::List, "{\"a\":1}"),
            (Type::Int, "1.5"),
            (Type::Time, "2024-05-06"),
        ] {
            assert_eq!(Cell::parse(kind, text), None, "{kind:?} {text}");
        }
    }
}
