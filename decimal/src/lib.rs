//! Decimal numbers that need no memory of their own unless they are very long.
//!
//! A number is `digits * 10^-scale`: 19.50 has the digits 1950 and the scale 2, and 1E7 can have the digit 1 and the
//! scale -7. The scale is part of what is written (`1.0`, `1.00`) but not of the value: both are equal and hash alike.
//!
//! Digits of 128 bits (38 decimal digits always fit) with a scale of 16 bits are held in place. Everything else is a
//! [`BigDecimal`] on the heap. Which of the two holds a number depends on its digits and scale alone, so nobody outside
//! sees the difference; a result that fits is always held in place.
//!
//! Nothing here rounds but [`Decimal::round_quotient`]. As with `BigDecimal`, adding or writing out numbers with scales
//! of millions takes as much memory as their digits: who reads numbers from outside bounds their scale.
#![deny(clippy::disallowed_methods)]

mod binary;
mod text;
pub mod varint;

pub use text::NotADecimal;

use bigdecimal::{
    BigDecimal, Zero,
    num_bigint::{BigInt, Sign},
};
use std::{
    borrow::Cow,
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    ops::{Add, AddAssign, Mul, MulAssign, Neg, Sub, SubAssign},
};

/// A decimal number of any length: see the head of the module.
#[derive(Clone)]
pub struct Decimal(Form);

/// Fields of a variant, not a struct of its own: so the tag finds room next to the scale, and 32 bytes do.
#[derive(Clone)]
enum Form {
    Small {
        digits: i128,
        scale: i16,
    },
    /// Only what does not fit into `Small`.
    Wide(Box<BigDecimal>),
}
use Form::{Small, Wide};

/// Powers of ten that 128 bits hold, by their exponent.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The digits of the largest numbers that 128 bits hold.
const DIGITS_MAX: i64 = 39;

/// `digits * 10^zeros`, if 128 bits hold it.
fn raised(digits: i128, zeros: u32) -> Option<i128> {
    if digits == 0 {
        return Some(0);
    }
    digits.checked_mul(*POWERS.get(zeros as usize)?)
}

/// How much higher the second scale is.
fn distance(low: i16, high: i16) -> u32 {
    (i32::from(high) - i32::from(low)).unsigned_abs()
}

impl Decimal {
    pub const ZERO: Self = Self::from_parts(0, 0);

    /// The number `digits * 10^-scale`.
    pub const fn from_parts(digits: i128, scale: i16) -> Self {
        Self(Small { digits, scale })
    }
    /// Digits and scale; `None` for a number that is too long for them.
    pub const fn parts(&self) -> Option<(i128, i16)> {
        match self.0 {
            Small { digits, scale } => Some((digits, scale)),
            Wide(_) => None,
        }
    }
    fn of(digits: BigInt, scale: i64) -> Self {
        match (i128::try_from(&digits), i16::try_from(scale)) {
            (Ok(digits), Ok(scale)) => Self::from_parts(digits, scale),
            _ => Self(Wide(Box::new(BigDecimal::new(digits, scale)))),
        }
    }

    /// The same number, digits and scale, as `BigDecimal` has it. Allocates.
    pub fn to_big(&self) -> BigDecimal {
        self.big().into_owned()
    }
    fn big(&self) -> Cow<'_, BigDecimal> {
        match &self.0 {
            Small { digits, scale } => {
                Cow::Owned(BigDecimal::new(BigInt::from(*digits), i64::from(*scale)))
            }
            Wide(big) => Cow::Borrowed(big),
        }
    }

    pub fn is_zero(&self) -> bool {
        match &self.0 {
            Small { digits, .. } => *digits == 0,
            Wide(big) => big.is_zero(),
        }
    }
    /// How many digits the number has, without the zeros in front, before and behind the point together. Zero has one.
    pub fn digits(&self) -> u64 {
        match &self.0 {
            Small { digits, .. } => {
                u64::from(digits.unsigned_abs().checked_ilog10().unwrap_or(0)) + 1
            }
            Wide(big) => big.digits(),
        }
    }
    /// The scale: how many digits stand behind the point. Negative for a number that ends in zeros which are not among
    /// its digits.
    pub fn fractional_digit_count(&self) -> i64 {
        match &self.0 {
            Small { scale, .. } => i64::from(*scale),
            Wide(big) => big.fractional_digit_count(),
        }
    }

    /// The same value with the scale 0 where it is negative: what is read back from the plain text.
    #[must_use]
    pub fn written_out(&self) -> Self {
        match &self.0 {
            _ if self.fractional_digit_count() >= 0 => self.clone(),
            Small { digits, scale } => raised(*digits, distance(*scale, 0)).map_or_else(
                || self.big().with_scale(0).into(),
                |digits| Self::from_parts(digits, 0),
            ),
            Wide(big) => big.with_scale(0).into(),
        }
    }

    /// The whole part: what is behind the point is cut off. `None` where 128 bits do not hold it.
    pub fn truncated(&self) -> Option<i128> {
        match &self.0 {
            _ if self.is_zero() => Some(0),
            Small { digits, scale } if *scale <= 0 => raised(*digits, distance(*scale, 0)),
            // A power that 128 bits do not hold is greater than any digits.
            Small { digits, scale } => {
                Some(POWERS.get(usize::from(scale.unsigned_abs())).map_or(0, |unit| digits / unit))
            }
            Wide(big) => {
                let before_point = i64::try_from(big.digits()).ok()? - big.fractional_digit_count();
                match before_point {
                    ..=0 => Some(0),
                    1..=DIGITS_MAX => {
                        i128::try_from(big.with_scale(0).into_bigint_and_exponent().0).ok()
                    }
                    _ => None,
                }
            }
        }
    }

    /// The same value without zeros at the end of its digits, so that equal values have equal digits and scales. The
    /// scale of 100 becomes -2; zero gets the scale 0.
    #[must_use]
    pub fn normalized(&self) -> Self {
        match &self.0 {
            _ if self.is_zero() => Self::ZERO,
            Small { digits, scale } => {
                let (digits, zeros) = stripped(*digits);
                match i16::try_from(i32::from(*scale) - zeros) {
                    Ok(scale) => Self::from_parts(digits, scale),
                    Err(_) => Self::of(digits.into(), i64::from(*scale) - i64::from(zeros)),
                }
            }
            Wide(big) => stripped_wide(big),
        }
    }

    /// `round(self / count, places)`, exact and half away from zero; `None` for a count that is not positive.
    pub fn round_quotient(&self, count: i64, places: u32) -> Option<Self> {
        if count <= 0 {
            return None;
        }
        let small = self.small_quotient(count, places);
        Some(small.unwrap_or_else(|| wide_quotient(&self.big(), count, places)))
    }
    fn small_quotient(&self, count: i64, places: u32) -> Option<Self> {
        let (digits, scale) = self.parts()?;
        let (count, places) = (i128::from(count), i16::try_from(places).ok()?);
        let zeros = distance(scale, places);
        let (above, below) = match places >= scale {
            true => (raised(digits, zeros)?, count),
            false => (digits, raised(count, zeros)?),
        };
        // Division of integers cuts towards zero: from half of the divisor on, one more is nearer.
        let rest = (above % below).unsigned_abs();
        let is_half = rest >= below.unsigned_abs() - rest;
        let more = if is_half { above.signum() } else { 0 };
        Some(Self::from_parts(above / below + more, places))
    }
}

fn wide_quotient(sum: &BigDecimal, count: i64, places: u32) -> Decimal {
    let (digits, scale) = sum.as_bigint_and_exponent();
    let places = i64::from(places);
    let zeros = power_of_ten(places.abs_diff(scale));
    let (above, below) = match places >= scale {
        true => (digits * zeros, BigInt::from(count)),
        false => (digits, zeros * count),
    };
    let half = if above.sign() == Sign::Minus { -&below } else { below.clone() };
    Decimal::of((above * 2 + half) / (below * 2), places)
}

/// The power, or one that no memory holds.
fn power_of_ten(exponent: u64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

/// The digits without the zeros at their end, and how many those were. Not for zero, which has no end of them.
fn stripped(mut digits: i128) -> (i128, i32) {
    let mut zeros = 0;
    loop {
        if let Ok(mut short) = i64::try_from(digits) {
            // Nearly always so, and far faster than with 128 bits.
            while short % 10 == 0 {
                (short, zeros) = (short / 10, zeros + 1);
            }
            return (short.into(), zeros);
        }
        if digits % 10 != 0 {
            return (digits, zeros);
        }
        (digits, zeros) = (digits / 10, zeros + 1);
    }
}

fn stripped_wide(big: &BigDecimal) -> Decimal {
    let (digits, scale) = big.as_bigint_and_scale();
    let text = digits.magnitude().to_str_radix(10);
    let zeros = (text.len() - text.trim_end_matches('0').len()) as u64;
    // Never below the lowest scale.
    let zeros = zeros.min(scale.abs_diff(i64::MIN));
    Decimal::of(&*digits / power_of_ten(zeros), scale.wrapping_sub_unsigned(zeros))
}

impl Default for Decimal {
    fn default() -> Self {
        Self::ZERO
    }
}
impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self::from_parts(number.into(), 0)
    }
}
impl From<BigDecimal> for Decimal {
    fn from(big: BigDecimal) -> Self {
        let (digits, scale) = big.into_bigint_and_scale();
        Self::of(digits, scale)
    }
}

/// Digits and scale as they are held, `Decimal(1950e-2)`: tests tell 1.0 from 1.00 by it, and it is never longer than
/// the digits. Like a cell's, it shows the value: no log prints it.
impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, scale) = match &self.0 {
            Small { digits, scale } => {
                return write!(f, "Decimal({digits}e{})", -i32::from(*scale));
            }
            Wide(big) => big.as_bigint_and_scale(),
        };
        write!(f, "Decimal({digits}e{})", -i128::from(scale))
    }
}

/// By value: 1.0 is 1.00.
impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Decimal {}
impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.parts(), other.parts()) {
            (Some(a), Some(b)) => compare(a, b),
            _ => compare_wide(&self.big(), &other.big()),
        }
    }
}
impl PartialEq<i64> for Decimal {
    fn eq(&self, other: &i64) -> bool {
        self.partial_cmp(other).is_some_and(Ordering::is_eq)
    }
}
impl PartialOrd<i64> for Decimal {
    fn partial_cmp(&self, other: &i64) -> Option<Ordering> {
        Some(self.cmp(&Self::from(*other)))
    }
}

/// Compares two numbers, each given as digits and scale.
fn compare((a, a_scale): (i128, i16), (b, b_scale): (i128, i16)) -> Ordering {
    match a_scale.cmp(&b_scale) {
        Ordering::Equal => a.cmp(&b),
        Ordering::Less => match raised(a, distance(a_scale, b_scale)) {
            Some(a) => a.cmp(&b),
            // Farther from zero than any 128 bits: the sign decides.
            None => a.cmp(&0),
        },
        Ordering::Greater => compare((b, b_scale), (a, a_scale)).reverse(),
    }
}

/// By sign, then by where the first digit stands, and only then by the digits: so no scale, however far from the other,
/// makes them longer than they are. What `BigDecimal` says of equality is not asked: 0.4.11 adds a carry that may
/// overflow, and then takes equal numbers for different ones.
fn compare_wide(a: &BigDecimal, b: &BigDecimal) -> Ordering {
    let by_sign = a.sign().cmp(&b.sign());
    if by_sign.is_ne() || a.is_zero() {
        return by_sign;
    }
    let first = |of: &BigDecimal| i128::from(of.digits()) - i128::from(of.fractional_digit_count());
    let by_size = first(a).cmp(&first(b)).then_with(|| compare_digits(a, b));
    if a.sign() == Sign::Minus { by_size.reverse() } else { by_size }
}

/// Compares sizes. The scales differ by no more than the numbers of digits do.
fn compare_digits(a: &BigDecimal, b: &BigDecimal) -> Ordering {
    let ((a, a_scale), (b, b_scale)) = (a.as_bigint_and_scale(), b.as_bigint_and_scale());
    let zeros = power_of_ten(a_scale.abs_diff(b_scale));
    let (a, b) = (a.magnitude(), b.magnitude());
    match a_scale < b_scale {
        true => (a * zeros.magnitude()).cmp(b),
        false => a.cmp(&(b * zeros.magnitude())),
    }
}

/// Without the zeros at the end: equal values hash alike, whatever their scales are and whoever holds them.
impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.normalized().0 {
            Small { digits, scale } => (digits, scale).hash(state),
            Wide(big) => big.as_bigint_and_scale().hash(state),
        }
    }
}

/// Both numbers' digits at the larger of their scales, and that scale, if 128 bits hold them.
fn aligned(a: &Decimal, b: &Decimal) -> Option<(i128, i128, i16)> {
    let ((a, a_scale), (b, b_scale)) = (a.parts()?, b.parts()?);
    Some(match a_scale.cmp(&b_scale) {
        Ordering::Equal => (a, b, a_scale),
        Ordering::Less => (raised(a, distance(a_scale, b_scale))?, b, b_scale),
        Ordering::Greater => (a, raised(b, distance(b_scale, a_scale))?, a_scale),
    })
}
fn aligned_wide(a: &Decimal, b: &Decimal) -> (BigInt, BigInt, i64) {
    let scale = a.fractional_digit_count().max(b.fractional_digit_count());
    let digits = |of: &Decimal| of.big().with_scale(scale).into_bigint_and_scale().0;
    (digits(a), digits(b), scale)
}

/// The scale of a sum is the larger one of both, also where one of them is zero.
#[inline]
fn sum(a: &Decimal, b: &Decimal) -> Decimal {
    let same = of_one_scale(a, b, i128::checked_add);
    same.unwrap_or_else(|| of_two_scales(a, b, i128::checked_add, |a, b| a + b))
}
#[inline]
fn difference(a: &Decimal, b: &Decimal) -> Decimal {
    let same = of_one_scale(a, b, i128::checked_sub);
    same.unwrap_or_else(|| of_two_scales(a, b, i128::checked_sub, |a, b| a - b))
}

/// The usual case, short enough to stand where it is called.
#[inline]
fn of_one_scale(
    a: &Decimal,
    b: &Decimal,
    small: impl Fn(i128, i128) -> Option<i128>,
) -> Option<Decimal> {
    match (&a.0, &b.0) {
        (Small { digits: a, scale }, Small { digits: b, scale: other }) if scale == other => {
            Some(Decimal::from_parts(small(*a, *b)?, *scale))
        }
        _ => None,
    }
}
fn of_two_scales(
    a: &Decimal,
    b: &Decimal,
    small: impl Fn(i128, i128) -> Option<i128>,
    wide: impl Fn(BigInt, BigInt) -> BigInt,
) -> Decimal {
    let held = aligned(a, b).and_then(|(a, b, scale)| Some((small(a, b)?, scale)));
    if let Some((digits, scale)) = held {
        return Decimal::from_parts(digits, scale);
    }
    let (a, b, scale) = aligned_wide(a, b);
    Decimal::of(wide(a, b), scale)
}

/// The scale of a product is the sum of both. Panics only where 64 bits do not hold it.
fn product(a: &Decimal, b: &Decimal) -> Decimal {
    if let Some((digits, scale)) = small_product(a, b) {
        return Decimal::from_parts(digits, scale);
    }
    let (a, b) = (a.big(), b.big());
    let ((a, a_scale), (b, b_scale)) = (a.as_bigint_and_scale(), b.as_bigint_and_scale());
    Decimal::of(&*a * &*b, a_scale.checked_add(b_scale).expect("a scale of 64 bits"))
}
fn small_product(a: &Decimal, b: &Decimal) -> Option<(i128, i16)> {
    let ((a, a_scale), (b, b_scale)) = (a.parts()?, b.parts()?);
    Some((a.checked_mul(b)?, a_scale.checked_add(b_scale)?))
}

/// An operator for values and for borrowed ones.
macro_rules! operator {
    ($trait:ident $method:ident, $assign:ident $assign_method:ident, $of:ident) => {
        impl $trait<&Decimal> for &Decimal {
            type Output = Decimal;
            #[inline]
            fn $method(self, other: &Decimal) -> Decimal {
                $of(self, other)
            }
        }
        impl $trait<Decimal> for &Decimal {
            type Output = Decimal;
            #[inline]
            fn $method(self, other: Decimal) -> Decimal {
                $of(self, &other)
            }
        }
        impl $trait<&Decimal> for Decimal {
            type Output = Decimal;
            #[inline]
            fn $method(self, other: &Decimal) -> Decimal {
                $of(&self, other)
            }
        }
        impl $trait<Decimal> for Decimal {
            type Output = Decimal;
            #[inline]
            fn $method(self, other: Decimal) -> Decimal {
                $of(&self, &other)
            }
        }
        impl $assign<&Decimal> for Decimal {
            #[inline]
            fn $assign_method(&mut self, other: &Decimal) {
                *self = $of(self, other);
            }
        }
        impl $assign<Decimal> for Decimal {
            #[inline]
            fn $assign_method(&mut self, other: Decimal) {
                *self = $of(self, &other);
            }
        }
    };
}
operator!(Add add, AddAssign add_assign, sum);
operator!(Sub sub, SubAssign sub_assign, difference);
operator!(Mul mul, MulAssign mul_assign, product);

impl Neg for &Decimal {
    type Output = Decimal;
    fn neg(self) -> Decimal {
        let small = self.parts().and_then(|(digits, scale)| Some((digits.checked_neg()?, scale)));
        match small {
            Some((digits, scale)) => Decimal::from_parts(digits, scale),
            None => Decimal::from(-self.to_big()),
        }
    }
}
impl Neg for Decimal {
    type Output = Decimal;
    fn neg(self) -> Decimal {
        -&self
    }
}

#[cfg(test)]
mod tests;
