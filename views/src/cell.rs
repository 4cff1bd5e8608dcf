//! One value of a view's row.
mod stored;

use chrono::{DateTime, SecondsFormat};
use decimal::Decimal;
use std::{collections::BTreeSet, fmt};

/// Stored as JSON: `null`, `7`, `"text"`, `{"d":"19.50"}` (decimal), `{"t":1700000000000000}` (µs since 1970, UTC),
/// `{"s":["a","b"]}` (set of words).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
    Decimal(Decimal),
    /// Microseconds since 1970, UTC.
    Time(i64),
    Words(BTreeSet<String>),
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
    /// Nothing to add: null or zero.
    pub fn is_zero(&self) -> bool {
        match self {
            Cell::Null => true,
            Cell::Int(n) => *n == 0,
            Cell::Decimal(d) => d.is_zero(),
            _ => false,
        }
    }
    /// Bytes this cell takes, about: for bounds, not for billing.
    pub fn size(&self) -> usize {
        match self {
            Cell::Null | Cell::Int(_) | Cell::Time(_) => 8,
            Cell::Text(s) => s.len(),
            Cell::Decimal(d) => d.digits() as usize + 2,
            Cell::Words(s) => s.iter().map(String::len).sum(),
        }
    }
}

/// As people read it: decimals plain, times as RFC 3339 in UTC, words between spaces, null as nothing.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Null => Ok(()),
            Cell::Int(n) => n.fmt(f),
            Cell::Text(s) => f.write_str(s),
            Cell::Decimal(d) => d.with_plain(|text| f.write_str(text)),
            Cell::Time(t) => match DateTime::from_timestamp_micros(*t) {
                Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                None => write!(f, "{t} us since 1970"),
            },
            Cell::Words(s) => {
                let words: Vec<&str> = s.iter().map(String::as_str).collect();
                f.write_str(&words.join(" "))
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
