//! A single-item request in the terms of DynamoDB, as data: an action and the condition it stands under.
//! The protocol makes it, `wire` sends it, and the model test carries it out on a table of its own.
use crate::{Cell, Float, List};
use std::collections::{BTreeMap, BTreeSet};
use views::Decimal;

/// One attribute's value. Whole numbers are wider than any sum of `i64` shares, so that nothing overflows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Int(i128),
    Number(Decimal),
    Text(String),
    Bytes(Vec<u8>),
    Words(BTreeSet<String>),
    Bool(bool),
    List(List),
}
impl Value {
    pub fn int(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(*n),
            _ => None,
        }
    }
    /// What a cell is stored as; null and the empty set are not stored at all.
    pub fn of(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Null => None,
            Cell::Int(n) | Cell::Time(n) => Some(Value::Int((*n).into())),
            Cell::Text(s) => Some(Value::Text(s.clone())),
            Cell::Decimal(d) => Some(Value::Number(d.clone())),
            Cell::Words(s) => (!s.is_empty()).then(|| Value::Words(s.clone())),
            Cell::Bool(is_so) => Some(Value::Bool(*is_so)),
            Cell::Float(number) => {
                Some(float(*number).map_or_else(|| Value::Text(number.to_string()), Value::Number))
            }
            Cell::Bytes(bytes) => Some(Value::Bytes(bytes.clone())),
            Cell::List(list) => Some(Value::List(list.clone())),
            Cell::Json(text) => Some(Value::Text(text.clone())),
            Cell::Date(_) | Cell::Uuid(_) => Some(Value::Text(cell.to_string())),
            // Never shown: see `Merge::First`.
            Cell::Tuples(_) => Some(Value::Text(cell.to_string())),
        }
    }
    /// The same of a column of a key, which is a number, a text or bytes.
    pub fn of_key(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Bool(is_so) => Some(Value::Text(is_so.to_string())),
            cell => Self::of(cell),
        }
    }
}
/// As one of DynamoDB's numbers, which have every digit of a float. `None`: a `NaN`, an infinite one, or one beyond their
/// range.
pub fn float(number: Float) -> Option<Decimal> {
    /// Of the sizes of numbers; 0 is one as well.
    const RANGE: std::ops::Range<f64> = 1e-130..1e126;
    let size = number.get().abs();
    let is_within = size == 0.0 || RANGE.contains(&size);
    is_within.then(|| number.canonical().to_string().parse().ok())?
}
impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n.into())
    }
}

pub type Item = BTreeMap<String, Value>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub action: Action,
    pub condition: When,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The whole item, without its key.
    Put(Item),
    Update(Vec<Change>),
}

/// Every right-hand side means the item as it was before the update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(&'static str, Value),
    /// The same, for attributes whose names are made: `p0`, `o63`.
    SetEntry(String, Value),
    /// A number grows by this.
    Grow(&'static str, i128),
    /// This number less an attribute.
    Less(&'static str, i128, &'static str),
    Remove(&'static str),
    /// Names into a set of words.
    Insert(&'static str, BTreeSet<String>),
    /// Names out of a set of words; an empty set is no attribute.
    Take(&'static str, BTreeSet<String>),
}

/// A comparison with an attribute that is not there does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    Missing(String),
    Present(String),
    Is(String, Value),
    Below(String, i128),
    AtLeast(String, i128),
    Above(String, i128),
    AtMost(String, i128),
    All(Vec<When>),
    Any(Vec<When>),
}
