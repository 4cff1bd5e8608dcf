//! Values as DynamoDB has them, in its JSON.
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sinks::Decimal;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

/// An item: its attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Attribute {
    N(Number),
    S(String),
    /// In base 64, as it came.
    B(String),
    #[serde(rename = "SS")]
    Words(BTreeSet<String>),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(bool),
    L(Vec<Attribute>),
    M(BTreeMap<String, Attribute>),
}
impl Attribute {
    /// How two values of one kind compare; `None`: they are of different kinds, or of one that has no order.
    pub fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::N(one), Self::N(other)) => one.order(other),
            (Self::S(one), Self::S(other)) => Some(one.cmp(other)),
            _ => None,
        }
    }
    fn size(&self) -> usize {
        match self {
            // Two digits a byte, and one more.
            Self::N(number) => number.0.len().div_ceil(2) + 1,
            Self::S(text) => text.len(),
            Self::B(text) => text.len() / 4 * 3,
            Self::Words(words) => words.iter().map(String::len).sum(),
            Self::Bool(_) | Self::Null(_) => 1,
            Self::L(list) => 3 + list.iter().map(|value| 1 + value.size()).sum::<usize>(),
            Self::M(map) => {
                3 + map.iter().map(|(name, v)| 1 + name.len() + v.size()).sum::<usize>()
            }
        }
    }
}

/// About what DynamoDB counts of an item: names and values.
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

/// A number as DynamoDB gives it back: without zeros that say nothing, so that equal numbers are equal texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Number(String);
impl Number {
    /// `None`: it is no number.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<i128>() {
            return Some(Self(whole.to_string()));
        }
        let number: Decimal = text.parse().ok()?;
        Some(Self(number.normalized().written_out().to_string()))
    }
    /// As text, in plain digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    fn order(&self, other: &Self) -> Option<Ordering> {
        if let (Ok(one), Ok(other)) = (self.0.parse::<i128>(), other.0.parse::<i128>()) {
            return Some(one.cmp(&other));
        }
        let (one, other) = (self.0.parse::<Decimal>().ok()?, other.0.parse::<Decimal>().ok()?);
        Some(one.cmp(&other))
    }
    /// The sum, or with `minus` the difference.
    pub fn plus(&self, other: &Self, minus: bool) -> Option<Self> {
        if let (Ok(one), Ok(other)) = (self.0.parse::<i128>(), other.0.parse::<i128>()) {
            let sum = if minus { one.checked_sub(other) } else { one.checked_add(other) };
            return Some(Self(sum?.to_string()));
        }
        let (one, other) = (self.0.parse::<Decimal>().ok()?, other.0.parse::<Decimal>().ok()?);
        let sum = if minus { one - other } else { one + other };
        Some(Self(sum.normalized().written_out().to_string()))
    }
}
impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Nearly all are whole and plain, and stay as they are.
        let is_plain = text.len() < 19
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'))
            && !text.is_empty();
        if is_plain {
            return Ok(Self(text));
        }
        Self::parse(&text).ok_or_else(|| D::Error::custom("a number that is none"))
    }
}
