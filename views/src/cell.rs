//! One value of a view's row.
mod stored;

use bigdecimal::{
    BigDecimal, Zero,
    num_bigint::{BigInt, Sign},
};
use chrono::{DateTime, SecondsFormat};
use std::{collections::BTreeSet, fmt};

/// Stored as JSON: `null`, `7`, `"text"`, `{"d":"19.50"}` (decimal), `{"t":1700000000000000}` (µs since 1970, UTC),
/// `{"s":["a","b"]}` (set of words).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Int(i64),
    Text(String),
    Decimal(BigDecimal),
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
    pub fn decimal(&self) -> Option<&BigDecimal> {
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
            Cell::Decimal(d) => digits(d) as usize + 2,
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
            Cell::Decimal(d) => with_plain(d, |text| f.write_str(text)),
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

/// What is left of the sign and the point, if 64 bits hold it.
fn small(digits: &BigInt) -> Option<u64> {
    let mut words = digits.iter_u64_digits();
    match (words.next(), words.next()) {
        (None, _) => Some(0),
        (Some(word), None) => Some(word),
        _ => None,
    }
}

/// How many digits the number has, without the zeros in front.
fn digits(decimal: &BigDecimal) -> u64 {
    let (digits, _) = decimal.as_bigint_and_scale();
    match small(&digits) {
        Some(number) => u64::from(number.checked_ilog10().unwrap_or(0)) + 1,
        None => decimal.digits(),
    }
}

/// The largest scale that is written here; 64 bits have 20 digits.
const SCALE_MAX: i64 = 20;

/// The decimal as [`BigDecimal::to_plain_string`] has it: nearly always without an allocation.
fn with_plain<R>(decimal: &BigDecimal, then: impl FnOnce(&str) -> R) -> R {
    let (digits, scale) = decimal.as_bigint_and_scale();
    let number = small(&digits).filter(|_| (0..=SCALE_MAX).contains(&scale));
    let Some(mut number) = number else { return then(&decimal.to_plain_string()) };
    let mut text = [0; 24];
    let mut at = text.len();
    let mut written = 0;
    while number > 0 || written <= scale {
        if written == scale && scale > 0 {
            at -= 1;
            text[at] = b'.';
        }
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        written += 1;
    }
    if digits.sign() == Sign::Minus {
        at -= 1;
        text[at] = b'-';
    }
    then(std::str::from_utf8(&text[at..]).expect("digits are UTF-8"))
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
impl From<BigDecimal> for Cell {
    fn from(d: BigDecimal) -> Self {
        Cell::Decimal(d)
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decimals_are_written_as_their_own_crate_does(
            number in prop_oneof![any::<i64>(), -1_000_i64..1_000], more in 0_u32..3, scale in -3_i64..25,
        ) {
            let decimal = BigDecimal::new(BigInt::from(number) * BigInt::from(u64::MAX).pow(more), scale);
            with_plain(&decimal, |text| assert_eq!(text, decimal.to_plain_string()));
            prop_assert_eq!(digits(&decimal), decimal.digits());
        }
    }

    #[test]
    fn the_largest_and_smallest_decimals_of_64_bits() {
        for number in [u64::MAX, 0, 1, 10_u64.pow(19), 10_u64.pow(19) - 1] {
            for scale in 0..=SCALE_MAX + 1 {
                for sign in [1, -1] {
                    let decimal = BigDecimal::new(BigInt::from(number) * sign, scale);
                    with_plain(&decimal, |text| assert_eq!(text, decimal.to_plain_string()));
                    assert_eq!(digits(&decimal), decimal.digits(), "{decimal:?}");
                }
            }
        }
    }
}
