//! Floating-point numbers as PostgreSQL has them.
mod digits;

pub use digits::Digits;

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
};

/// A `double precision` of PostgreSQL, with its equality and order: `NaN` equals `NaN` and is the greatest, and `-0`
/// equals `0`. No digit is lost in either direction.
///
/// A `real` is the number that its shortest text says, and so has the same text at the source and here.
#[derive(Clone, Copy)]
pub struct Float(f64);

impl Float {
    /// All that are not a number become one.
    pub fn new(number: f64) -> Self {
        Self(if number.is_nan() { f64::NAN } else { number })
    }
    /// The number itself; `-0` keeps its sign.
    pub fn get(self) -> f64 {
        self.0
    }
    /// The form of a number that equals others: `0` for `-0`.
    #[must_use]
    pub fn canonical(self) -> Self {
        if self.0 == 0.0 { Self(0.0) } else { self }
    }

    /// The number that [`fmt::Display`] or PostgreSQL wrote so. `None`: it is none, or beyond the range of 64 bits.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "NaN" => return Some(Self::new(f64::NAN)),
            "Infinity" => return Some(Self(f64::INFINITY)),
            "-Infinity" => return Some(Self(f64::NEG_INFINITY)),
            _ => {}
        }
        // Rust also reads words such as `inf`.
        let is_plain = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let number: f64 = Some(text).filter(|text| text.bytes().all(is_plain))?.parse().ok()?;
        number.is_finite().then_some(Self(number))
    }

    /// Bits that are ordered as the numbers are, and equal where they are.
    pub(crate) fn ordered(self) -> u64 {
        const SIGN: u64 = 1 << 63;
        let bits = self.canonical().0.to_bits();
        if bits & SIGN == 0 { bits | SIGN } else { !bits }
    }
    /// The number of these bits. `None`: [`Float::ordered`] never makes them.
    pub(crate) fn of_ordered(ordered: u64) -> Option<Self> {
        const SIGN: u64 = 1 << 63;
        let bits = if ordered & SIGN == 0 { !ordered } else { ordered & !SIGN };
        Some(Self::new(f64::from_bits(bits))).filter(|number| number.ordered() == ordered)
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.ordered() == other.ordered()
    }
}
impl Eq for Float {}
impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ordered().cmp(&other.ordered())
    }
}
impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Hash for Float {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ordered().hash(state);
    }
}
impl fmt::Debug for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The shortest text that reads as the number, as PostgreSQL writes a `double precision`: `1.5`, `1e+20`, `1e-05`,
/// `-0`, `NaN`, `-Infinity`.
impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Powers of ten from here on are written with an exponent.
        const PLAIN_END: i32 = 15;
        if self.0.is_nan() {
            return f.write_str("NaN");
        }
        if self.0.is_sign_negative() {
            f.write_str("-")?;
        }
        let size = self.0.abs();
        if size.is_infinite() {
            return f.write_str("Infinity");
        }
        if size == 0.0 {
            return f.write_str("0");
        }
        Digits::of_64_bits(size).write(f, PLAIN_END)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_digit_is_lost(bits: u64) {
            let number = Float::new(f64::from_bits(bits));
            let read = Float::parse(&number.to_string()).expect("a number");
            prop_assert_eq!(read.get().to_bits(), number.get().to_bits());
            prop_assert_eq!(Float::of_ordered(number.ordered()), Some(number));
        }

        #[test]
        fn numbers_are_ordered_as_numbers(a: f64, b: f64, near: u64) {
            let next = |bits: u64| f64::from_bits(bits.wrapping_add(1));
            for (a, b) in [(a, b), (f64::from_bits(near), next(near)), (a, -a), (0.0, a)] {
                if let Some(order) = a.partial_cmp(&b) {
                    prop_assert_eq!(Float::new(a).cmp(&Float::new(b)), order);
                }
            }
        }

        #[test]
        fn bits_that_nobody_made_are_no_number_or_that_number(bits: u64) {
            prop_assert!(Float::of_ordered(bits).is_none_or(|number| number.ordered() == bits));
        }
    }

    #[test]
    fn equality_and_order_are_those_of_postgresql() {
        let nan = Float::new(f64::NAN);
        assert_eq!(nan, Float::new(-f64::NAN));
        assert_eq!(Float::new(-0.0), Float::new(0.0));
        let up = [f64::NEG_INFINITY, -1.5, -5e-324, 0.0, 5e-324, 1.0, f64::MAX, f64::INFINITY];
        let up: Vec<Float> = up.into_iter().map(Float::new).chain([nan]).collect();
        assert!(up.is_sorted_by(|a, b| a < b));
        assert_eq!(Float::of_ordered((1 << 63) - 1), None, "those of -0");
        assert_eq!(Float::of_ordered(u64::MAX), None, "another NaN");
    }

    /// As `select x::float8` shows them.
    #[test]
    fn texts_are_those_of_postgresql() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (-100.0, "-100"),
            (0.1, "0.1"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1e+15"),
            (1.234_567_890_123_456_7e19, "1.2345678901234567e+19"),
            (1e308, "1e+308"),
            // In the middle between two numbers, and of two that are equally near the even one.
            (1e23, "9.999999999999999e+22"),
            (900_719_925_474_099.2, "900719925474099.2"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(Float::new(number).to_string(), text);
        }
        for none in ["", "inf", "nan", "infinity", "1e400", "0x1", " 1", "1_0", "-"] {
            assert_eq!(Float::parse(none), None, "{none:?}");
        }
    }
}
