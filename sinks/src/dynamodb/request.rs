//! A single-item request in the terms of DynamoDB, as data: an action and the condition it stands under.
//! The protocol makes it, `wire` sends it, and the model test carries it out on a table of its own.
use crate::Cell;
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
        }
    }
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
