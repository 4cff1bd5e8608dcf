//! One value of a view's row.
mod float;
pub(crate) mod json;
mod list;
mod stored;
mod text;

pub use float::{Digits, Float};
pub use list::List;

use decimal::Decimal;
use std::{collections::BTreeSet, fmt};

/// Stored as JSON: `null`, `7`, `"text"`, and objects of one member for all others:
///
/// | member | value |
/// | --- | --- |
/// | `{"d":"19.50"}` | decimal |
/// | `{"t":1700000000000000}` | time: µs since 1970, UTC |
/// | `{"s":["a","b"]}` | set of words |
/// | `{"b":true}` | bool |
/// | `{"f":"1.5"}` | float: its text, which may be `NaN` |
/// | `{"day":19849}` | date: days since 1970 |
/// | `{"u":"123e4567-e89b-12d3-a456-426614174000"}` | UUID |
/// | `{"x":"\\xdead"}` | bytes: `\x`, and two digits for each |
/// | `{"j":"{\"a\": 1}"}` | JSON, as text |
/// | `{"l":["a",null]}` | list of texts |
/// | `{"tuples":[["a",7],["b",null]]}` | tuples, each of values as they are stored themselves |
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
    Decimal(Decimal),
    /// Microseconds since 1970, UTC.
    Time(i64),
    Words(BTreeSet<String>),
    Bool(bool),
    Float(Float),
    /// Days since 1970; no infinite one.
    Date(i32),
    Uuid([u8; 16]),
    Bytes(Vec<u8>),
    /// The text of a JSON value, as the source has it: two texts of one value are two.
    Json(String),
    List(List),
    /// A column of shares that keeps the first of a key's tuples ([`crate::Merge::First`]): at least one, each of values
    /// of any other kind. Never a value of a key, of a source's row or of a shown one: expressions make such values of
    /// them.
    Tuples(Vec<Vec<Cell>>),
}

impl Cell {
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(n) => Some(*n),
            _ => None,
        }
    }
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(s) => Some(s),
            _ => None,
        }
    }
    pub fn decimal(&self) -> Option<&Decimal> {
        match self {
            Cell::Decimal(d) => Some(d),
            _ => None,
        }
    }
    /// The tuples, none if it is anything else.
    pub fn tuples(&self) -> &[Vec<Cell>] {
        match self {
            Cell::Tuples(tuples) => tuples,
            _ => &[],
        }
    }
    /// Nothing to add: null or zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Cell::Null => true,
            Cell::Int(n) => *n == 0,
            Cell::Decimal(d) => d.is_zero(),
            Cell::Float(x) => x.get() == 0.0,
            _ => false,
        }
    }
    /// Bytes of memory that it takes beside its own place, about.
    pub fn memory(&self) -> usize {
        match self {
            Cell::List(list) => size_of_val(&*list.0) + self.size(),
            Cell::Tuples(tuples) => {
                let tuple = |tuple: &Vec<Cell>| {
                    size_of_val(&**tuple) + tuple.iter().map(Cell::memory).sum::<usize>()
                };
                size_of_val(&**tuples) + tuples.iter().map(tuple).sum::<usize>()
            }
            other => other.size(),
        }
    }
    /// Bytes this cell takes, about: for bounds, not for billing.
    pub fn size(&self) -> usize {
        match self {
            Cell::Null | Cell::Int(_) | Cell::Time(_) => 8,
            Cell::Bool(_) | Cell::Float(_) | Cell::Date(_) => 8,
            Cell::Uuid(uuid) => uuid.len(),
            Cell::Text(s) | Cell::Json(s) => s.len(),
            Cell::Bytes(bytes) => bytes.len(),
            Cell::List(list) => {
                list.0.iter().map(|text| 1 + text.as_ref().map_or(0, String::len)).sum()
            }
            Cell::Decimal(d) => d.digits() as usize + 2,
            Cell::Words(s) => s.iter().map(String::len).sum(),
            Cell::Tuples(tuples) => {
                tuples.iter().flatten().map(|cell| 1 + cell.size()).sum::<usize>() + tuples.len()
            }
        }
    }
}

/// As people read it: decimals plain, times as RFC 3339 in UTC, words between spaces, null as nothing. Bools, floats, dates,
/// UUIDs and bytes are as PostgreSQL writes them (`true`, `1e+20`, `2024-05-06`, `\xdead`), and a list is one of JSON.
/// [`Cell::parse`] reads it. Tuples, which nobody is shown, are arrays of JSON.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => Ok(()),
            Cell::Int(n) => n.fmt(f),
            Cell::Text(s) | Cell::Json(s) => f.write_str(s),
            Cell::Decimal(d) => d.with_plain(|text| f.write_str(text)),
            Cell::Time(us) => text::write_time(f, *us),
            Cell::Bool(is_so) => is_so.fmt(f),
            Cell::Float(number) => number.fmt(f),
            Cell::Date(days) => text::write_date(f, *days),
            Cell::Uuid(uuid) => text::write_uuid(f, uuid),
            Cell::Bytes(bytes) => text::write_bytes(f, bytes),
            Cell::List(list) => list.fmt(f),
            Cell::Words(s) => {
                let words: Vec<&str> = s.iter().map(String::as_str).collect();
                f.write_str(&words.join(" "))
            }
            Cell::Tuples(_) => {
                let mut text = String::new();
                self.write_json(&mut text);
                f.write_str(&text)
            }
        }
    }
}

impl From<i64> for Cell {
    fn from(n: i64) -> Self {
        Cell::Int(n)
    }
}
impl From<&str> for Cell {
    fn from(s: &str) -> Self {
        Cell::Text(s.to_owned())
    }
}
impl From<String> for Cell {
    fn from(s: String) -> Self {
        Cell::Text(s)
    }
}
impl From<Decimal> for Cell {
    fn from(d: Decimal) -> Self {
        Cell::Decimal(d)
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any cell, of texts without control characters.
    pub(crate) fn cell() -> impl Strategy<Value = Cell> {
        let tuple = proptest::collection::vec(plain(), 0..3);
        prop_oneof![13 => plain(), 1 => proptest::collection::vec(tuple, 0..3).prop_map(Cell::Tuples)]
    }

    /// Any cell but tuples.
    pub(crate) fn plain() -> impl Strategy<Value = Cell> {
        let number = prop_oneof![any::<i64>(), -200_i64..200];
        let bytes = proptest::collection::vec(any::<u8>(), 0..9);
        let list = proptest::collection::vec(proptest::option::of("\\PC{0,3}"), 0..4);
        let float = prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(-0.0)];
        let decimal = (number.clone(), 0_u32..4, -3_i16..25);
        prop_oneof![
            Just(Cell::Null),
            number.clone().prop_map(Cell::Int),
            number.prop_map(Cell::Time),
            (-62_135_596_800_000_000_i64..253_402_300_800_000_000).prop_map(Cell::Time),
            "\\PC{0,9}".prop_map(Cell::Text),
            decimal.prop_map(|(digits, power, scale)| {
                let power = (0..power).map(|_| Decimal::from(i64::MAX));
                let digits = Decimal::from_parts(digits.into(), scale);
                Cell::Decimal(power.fold(digits, |product, factor| product * factor))
            }),
            proptest::collection::btree_set("\\PC{0,3}", 0..3).prop_map(Cell::Words),
            any::<bool>().prop_map(Cell::Bool),
            float.prop_map(|number| Cell::Float(Float::new(number))),
            prop_oneof![any::<i32>(), -800_000..800_000].prop_map(Cell::Date),
            any::<[u8; 16]>().prop_map(Cell::Uuid),
            bytes.prop_map(Cell::Bytes),
            "\\PC{0,9}".prop_map(Cell::Json),
            list.prop_map(|texts| Cell::List(List(texts))),
        ]
    }
}
