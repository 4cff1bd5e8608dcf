//! Whole numbers of three widths, and `numeric`.
//!
//! A `numeric` has as many digits behind the point as PostgreSQL gives it: sums the greater number of both, products their
//! sum, quotients at least 16 digits that count.
use super::{Code, Made, fail, wrong};
use crate::{
    expr::{Arithmetic, Function},
    types::Kind,
};
use bigdecimal::{
    BigDecimal,
    num_bigint::{BigInt, Sign},
};
use decimal::Decimal;
use views::Cell;

/// What PostgreSQL keeps of a `numeric` at most.
const DIGITS_BEFORE_POINT_MAX: i64 = 131_072;
const SCALE_MAX: i64 = 16_383;
/// The scale that a division, or a rounding, makes at most.
const QUOTIENT_SCALE_MAX: i64 = 1_000;
const ROUNDING_SCALE_MAX: i64 = 2_000;
/// Digits that count which a division makes at least.
const QUOTIENT_DIGITS_MIN: i64 = 16;
/// PostgreSQL reckons a quotient's scale in groups of so many digits.
const GROUP: i64 = 4;

fn range<T>(kind: Kind) -> Result<T, super::EvalError> {
    fail(
        Code::NumericValueOutOfRange,
        match kind {
            Kind::Int2 => "smallint out of range",
            Kind::Int4 => "integer out of range",
            Kind::Int8 => "bigint out of range",
            _ => "value overflows numeric format",
        },
    )
}

/// The number, if the type holds it.
pub(super) fn in_range(kind: Kind, number: i128) -> Made {
    let fits = match kind {
        Kind::Int2 => i16::try_from(number).is_ok(),
        Kind::Int4 => i32::try_from(number).is_ok(),
        _ => i64::try_from(number).is_ok(),
    };
    match i64::try_from(number) {
        Ok(number) if fits => Ok(Cell::Int(number)),
        _ => range(kind),
    }
}

/// Of two whole numbers of one width, or two `numeric`.
pub(super) fn arithmetic(how: Arithmetic, kind: Kind, a: &Cell, b: &Cell) -> Made {
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) => {
            let (a, b) = (i128::from(*a), i128::from(*b));
            in_range(
                kind,
                match how {
                    Arithmetic::Add => a + b,
                    Arithmetic::Subtract => a - b,
                    Arithmetic::Multiply => a * b,
                    Arithmetic::Divide | Arithmetic::Modulo if b == 0 => return by_zero(),
                    Arithmetic::Divide => a / b,
                    Arithmetic::Modulo => a % b,
                },
            )
        }
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            let (a, b) = (a.written_out(), b.written_out());
            bounded(match how {
                Arithmetic::Add => a + b,
                Arithmetic::Subtract => a - b,
                Arithmetic::Multiply => a * b,
                Arithmetic::Divide | Arithmetic::Modulo if b.is_zero() => return by_zero(),
                Arithmetic::Divide => {
                    let scale = quotient_scale(&a, &b);
                    quotient(&a, &b, scale)
                }
                Arithmetic::Modulo => {
                    let whole = whole_quotient(&a, &b);
                    a - whole * b
                }
            })
        }
        _ => wrong(),
    }
}

fn by_zero<T>() -> Result<T, super::EvalError> {
    fail(Code::DivisionByZero, "division by zero")
}

/// The number, if PostgreSQL could hold it.
pub(super) fn bounded(number: Decimal) -> Made {
    let scale = number.fractional_digit_count();
    let before = i64::try_from(number.digits()).unwrap_or(i64::MAX).saturating_sub(scale);
    if before > DIGITS_BEFORE_POINT_MAX {
        return range(Kind::Numeric);
    }
    if scale > SCALE_MAX {
        return fail(Code::FeatureNotSupported, "more digits behind the point than are kept here");
    }
    Ok(Cell::Decimal(number))
}

pub(super) fn of_one(of: &Function, kind: Kind, a: &Cell) -> Made {
    match a {
        Cell::Int(number) => {
            let number = i128::from(*number);
            in_range(
                kind,
                match of {
                    Function::Negate(_) => -number,
                    Function::Abs(_) => number.abs(),
                    _ => return wrong(),
                },
            )
        }
        Cell::Decimal(number) => {
            let number = number.written_out();
            bounded(match of {
                Function::Negate(_) => -number,
                Function::Abs(_) if number < 0 => -number,
                Function::Abs(_) => number,
                Function::Sign(_) => Decimal::from(i64::from(signum(&number))),
                Function::Round(_) => rounded(&number, 0),
                Function::Trunc(_) => cut(&number, 0),
                Function::Ceil(_) => up(&number),
                Function::Floor(_) => -up(&-number),
                _ => return wrong(),
            })
        }
        _ => wrong(),
    }
}

pub(super) fn of_two(of: &Function, a: &Cell, b: &Cell) -> Made {
    match (of, a, b) {
        (Function::RoundTo, Cell::Decimal(number), Cell::Int(places)) => {
            let places = (*places).clamp(-ROUNDING_SCALE_MAX, ROUNDING_SCALE_MAX);
            bounded(rounded(&number.written_out(), places))
        }
        (Function::TruncTo, Cell::Decimal(number), Cell::Int(places)) => {
            let places = (*places).clamp(-ROUNDING_SCALE_MAX, ROUNDING_SCALE_MAX);
            bounded(cut(&number.written_out(), places))
        }
        (Function::WholeQuotient, Cell::Decimal(a), Cell::Decimal(b)) => {
            if b.is_zero() {
                return by_zero();
            }
            bounded(whole_quotient(&a.written_out(), &b.written_out()))
        }
        _ => wrong(),
    }
}

fn signum(number: &Decimal) -> i8 {
    number.partial_cmp(&0).map_or(0, |order| order as i8)
}

fn parts(number: &Decimal) -> (BigInt, i64) {
    match number.parts() {
        Some((digits, scale)) => (digits.into(), scale.into()),
        None => number.to_big().into_bigint_and_exponent(),
    }
}
fn of_parts(digits: BigInt, scale: i64) -> Decimal {
    BigDecimal::new(digits, scale).into()
}
fn power(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

/// `a / b`, rounded half away from zero.
fn nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let is_negative = (a.sign() == Sign::Minus) != (b.sign() == Sign::Minus);
    let (a, b) = (a.magnitude(), b.magnitude());
    let whole = BigInt::from((a * 2_u32 + b) / (b * 2_u32));
    if is_negative { -whole } else { whole }
}

/// With so many digits behind the point, half away from zero. Places before the point are negative, and the result has the
/// scale 0 then.
pub(super) fn rounded(number: &Decimal, places: i64) -> Decimal {
    at_scale(number, places, nearest)
}
/// The same without looking at what is cut off.
pub(super) fn cut(number: &Decimal, places: i64) -> Decimal {
    at_scale(number, places, |a, b| a / b)
}
fn at_scale(
    number: &Decimal,
    places: i64,
    divided: impl Fn(&BigInt, &BigInt) -> BigInt,
) -> Decimal {
    let (digits, scale) = parts(number);
    if places >= scale {
        return of_parts(digits * power(places - scale), places);
    }
    let digits = divided(&digits, &power(scale - places));
    if places >= 0 { of_parts(digits, places) } else { of_parts(digits * power(-places), 0) }
}
/// The smallest whole number that is not below.
fn up(number: &Decimal) -> Decimal {
    let whole = cut(number, 0);
    if *number > whole { whole + Decimal::from(1) } else { whole }
}

/// `a / b` with so many digits behind the point, half away from zero.
fn quotient(a: &Decimal, b: &Decimal, scale: i64) -> Decimal {
    let ((a, a_scale), (b, b_scale)) = (parts(a), parts(b));
    let zeros = scale - a_scale + b_scale;
    let digits = match zeros >= 0 {
        true => nearest(&(a * power(zeros)), &b),
        false => nearest(&a, &(b * power(-zeros))),
    };
    of_parts(digits, scale)
}
fn whole_quotient(a: &Decimal, b: &Decimal) -> Decimal {
    let ((a, a_scale), (b, b_scale)) = (parts(a), parts(b));
    let digits = match b_scale >= a_scale {
        true => a * power(b_scale - a_scale) / b,
        false => a / (b * power(a_scale - b_scale)),
    };
    of_parts(digits, 0)
}

/// The scale of a quotient: so that at least 16 digits count, and none of either number is lost. PostgreSQL estimates by the
/// first group of four digits of both numbers.
pub(super) fn quotient_scale(a: &Decimal, b: &Decimal) -> i64 {
    let ((a_weight, a_first), (b_weight, b_first)) = (first_group(a), first_group(b));
    let weight = a_weight - b_weight - i64::from(a_first <= b_first);
    (QUOTIENT_DIGITS_MIN - weight * GROUP)
        .max(a.fractional_digit_count())
        .max(b.fractional_digit_count())
        .clamp(0, QUOTIENT_SCALE_MAX)
}

/// Of the number in groups of four digits, counted from the point: the place of the first group that is not zero, the last
/// one before the point having the place 0, and its value.
fn first_group(number: &Decimal) -> (i64, u32) {
    let (digits, scale) = parts(number);
    if digits.sign() == Sign::NoSign {
        return (0, 0);
    }
    let text = digits.magnitude().to_str_radix(10);
    // The power of ten of the first digit.
    let exponent = text.len() as i64 - 1 - scale;
    let weight = exponent.div_euclid(GROUP);
    // The first digit is this many places above the end of its group.
    let above = exponent.rem_euclid(GROUP) as usize;
    let group: String = text.chars().chain(std::iter::repeat('0')).take(above + 1).collect();
    (weight, group.parse().unwrap_or(0))
}
