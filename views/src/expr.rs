//! How a shown value is made of a row's parts.
#![deny(clippy::disallowed_methods)]

use crate::Cell;
use bigdecimal::{
    BigDecimal,
    num_bigint::{BigInt, Sign},
};

/// The parts of one row: what its expressions are evaluated over.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The columns of the owner's part; empty where there is none.
    pub own: &'a [Cell],
    /// The merged columns of all partitions' shares.
    pub totals: &'a [Cell],
}

/// A value made of a row's parts. As in SQL, arithmetic with null is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// This column of the owner's part.
    Own(usize),
    /// This merged column.
    Total(usize),
    /// The same for every row.
    Value(Cell),
    /// `coalesce(a, 0)`.
    OrZero(Box<Expr>),
    /// `a - b` of whole numbers; one that 64 bits do not hold becomes the nearest that they do.
    Minus(Box<Expr>, Box<Expr>),
    /// `round(sum / nullif(count, 0), places)`, exact and half away from zero, as PostgreSQL does it.
    Average { sum: Box<Expr>, count: Box<Expr>, places: u32 },
    /// `case when condition then value end`.
    When(Box<Condition>, Box<Expr>),
}

/// A condition over a row's parts. A comparison with null does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every row.
    Always,
    /// `a is not null`.
    Known(Expr),
    /// `a <> 0`.
    NotZero(Expr),
    /// `a < b`, of whole numbers.
    Below(Expr, i64),
}

impl Expr {
    /// The expression for `coalesce(self, 0)`.
    #[must_use]
    pub fn or_zero(self) -> Self {
        Self::OrZero(Box::new(self))
    }
    /// The expression for `self - other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self::Minus(Box::new(self), Box::new(other))
    }
    /// The expression for `case when self < limit then 1 end`.
    #[must_use]
    pub fn flag_below(self, limit: i64) -> Self {
        Self::When(Box::new(Condition::Below(self, limit)), Box::new(Self::Value(Cell::Int(1))))
    }

    /// The value for these parts. Null where a part or a column is missing.
    pub fn of(&self, parts: Parts<'_>) -> Cell {
        match self {
            Self::Own(at) => parts.own.get(*at).cloned().unwrap_or(Cell::Null),
            Self::Total(at) => parts.totals.get(*at).cloned().unwrap_or(Cell::Null),
            Self::Value(cell) => cell.clone(),
            Self::OrZero(value) => match value.of(parts) {
                Cell::Null => Cell::Int(0),
                known => known,
            },
            Self::Minus(a, b) => match (a.of(parts), b.of(parts)) {
                (Cell::Int(a), Cell::Int(b)) => Cell::Int(a.saturating_sub(b)),
                _ => Cell::Null,
            },
            Self::Average { sum, count, places } => match (sum.of(parts), count.of(parts)) {
                (Cell::Decimal(sum), Cell::Int(count)) => average(&sum, count, *places).into(),
                _ => Cell::Null,
            },
            Self::When(condition, value) => {
                if condition.holds(parts) {
                    value.of(parts)
                } else {
                    Cell::Null
                }
            }
        }
    }
}

impl Condition {
    /// Whether it holds for these parts.
    pub fn holds(&self, parts: Parts<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Known(value) => value.of(parts) != Cell::Null,
            Self::NotZero(value) => !value.of(parts).is_zero(),
            Self::Below(value, limit) => value.of(parts).int().is_some_and(|n| n < *limit),
        }
    }
}

/// `round(sum / count, places)`; `None` for a count that is not positive.
fn average(sum: &BigDecimal, count: i64, places: u32) -> Option<BigDecimal> {
    if count <= 0 {
        return None;
    }
    let (digits, scale) = sum.as_bigint_and_exponent();
    let ten = |power: u64| BigInt::from(10).pow(u32::try_from(power).unwrap_or(u32::MAX));
    let digits = digits * ten(u64::from(places));
    let (above, below): (BigInt, BigInt) = if scale >= 0 {
        (digits, ten(scale.unsigned_abs()) * count)
    } else {
        (digits * ten(scale.unsigned_abs()), BigInt::from(count))
    };
    let half = if above.sign() == Sign::Minus { -&below } else { below.clone() };
    // Division of integers cuts towards zero, so half a divisor more rounds half away from it.
    Some(BigDecimal::new((above * 2 + half) / (below * 2), i64::from(places)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts<'a>(own: &'a [Cell], totals: &'a [Cell]) -> Parts<'a> {
        Parts { own, totals }
    }
    fn decimal(text: &str) -> Cell {
        Cell::Decimal(text.parse().unwrap())
    }

    #[test]
    fn null_makes_null_but_for_coalesce() {
        let none = parts(&[Cell::Null], &[]);
        let sum = Expr::Own(0).minus(Expr::Total(0));
        assert_eq!(sum.of(none), Cell::Null);
        assert_eq!(Expr::Own(0).or_zero().minus(Expr::Total(0).or_zero()).of(none), Cell::Int(0));
        assert_eq!(sum.of(parts(&[5.into()], &[8.into()])), Cell::Int(-3));
        assert_eq!(sum.of(parts(&[i64::MIN.into()], &[1.into()])), Cell::Int(i64::MIN));
        assert!(!Condition::Below(Expr::Own(0), 10).holds(none));
        assert!(!Condition::Known(Expr::Own(7)).holds(none));
        assert!(!Condition::NotZero(Expr::Own(0)).holds(none));
    }

    #[test]
    fn a_flag_is_one_or_null() {
        let flag = Expr::Own(0).flag_below(10);
        for (stock, want) in [(9, Cell::Int(1)), (10, Cell::Null), (-1, Cell::Int(1))] {
            assert_eq!(flag.of(parts(&[stock.into()], &[])), want);
        }
    }

    #[test]
    fn averages_round_half_away_from_zero() {
        let average = Expr::Average {
            sum: Box::new(Expr::Total(1)),
            count: Box::new(Expr::Total(0)),
            places: 2,
        };
        let of = |sum: &str, count: i64| average.of(parts(&[], &[count.into(), decimal(sum)]));
        for (sum, count, want) in [
            ("0.03", 2, "0.02"),
            ("-0.03", 2, "-0.02"),
            ("10", 3, "3.33"),
            ("20", 3, "6.67"),
            ("1e3", 3, "333.33"),
            ("0.015", 1, "0.02"),
            ("7", 1, "7.00"),
        ] {
            assert_eq!(of(sum, count).to_string(), want, "{sum} / {count}");
        }
        assert_eq!(of("1", 0), Cell::Null);
        assert_eq!(of("1", -1), Cell::Null);
    }
}
