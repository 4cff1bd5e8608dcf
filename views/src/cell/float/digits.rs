//! The decimal digits of floating-point numbers, as PostgreSQL chooses and writes them: the fewest that say the number, of
//! these the nearest to it, and never a value that lies in the middle between two numbers, though reading it would give this
//! one. So `1e23` is written `9.999999999999999e+22`.
use std::fmt;

/// What is written without an exponent: the powers of ten of the first digit.
const PLAIN_FROM: i32 = -4;

/// Digits of a number above 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digits {
    /// Without a point, and without zeros at the end.
    digits: String,
    /// The power of ten by which they are multiplied.
    exponent: i32,
}

impl Digits {
    /// Those of a `double precision`. `size` is finite and above 0.
    pub fn of_64_bits(size: f64) -> Self {
        let is_it = |text: &str| text.parse() == Ok(size);
        Self::shortest(&format!("{size:e}"), &|places| format!("{size:.places$e}"), &is_it)
    }
    /// Those of a `real`. `size` is finite and above 0.
    pub fn of_32_bits(size: f32) -> Self {
        let is_it = |text: &str| text.parse() == Ok(size);
        Self::shortest(&format!("{size:e}"), &|places| format!("{size:.places$e}"), &is_it)
    }
    /// Those of a number that Rust wrote with an exponent.
    pub fn of_text(text: &str) -> Self {
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{part}");
        let digits = all.trim_end_matches('0').to_owned();
        let zeros = (all.len() - digits.len()) as i32;
        let exponent = exponent.parse::<i32>().unwrap_or(0) - part.len() as i32 + zeros;
        Self { digits, exponent }
    }

    /// `fewest`: as Rust writes the number, with an exponent; `exact`: with so many places; `is_it`: whether a text is read as
    /// the number.
    fn shortest(
        fewest: &str,
        exact: &dyn Fn(usize) -> String,
        is_it: &dyn Fn(&str) -> bool,
    ) -> Self {
        const PLACES_MAX: usize = 17;
        let places_of_fewest = |text: &str| match text.split_once('e') {
            Some((digits, _)) => digits.len().saturating_sub(2),
            None => 0,
        };
        let first = places_of_fewest(fewest);
        let mut found = Self::of_text(fewest);
        for places in first..PLACES_MAX {
            // Rust's own choice may be the other one of two that are equally near.
            let others = (places == first).then(|| fewest.to_owned());
            for text in [exact(places)].into_iter().chain(others) {
                found = Self::of_text(&text);
                if is_it(&text) && found.is_inside(is_it) {
                    return found;
                }
            }
        }
        found
    }
    /// Whether the nearest values on both sides are read as the same number: no middle between two numbers has more digits
    /// than these.
    fn is_inside(&self, is_it: &dyn Fn(&str) -> bool) -> bool {
        const MORE: usize = 800;
        let Self { digits, exponent } = self;
        let below: u64 = digits.parse::<u64>().unwrap_or(1).saturating_sub(1);
        let exponent = exponent - MORE as i32;
        let above = format!("{digits}{}1e{exponent}", "0".repeat(MORE - 1));
        is_it(&above) && is_it(&format!("{below}{}e{exponent}", "9".repeat(MORE)))
    }

    /// Writes them as PostgreSQL does: with an exponent where the power of ten of the first digit is `plain_end` or more (15
    /// for `double precision`, 6 for `real`), or below -4.
    pub fn write(&self, out: &mut impl fmt::Write, plain_end: i32) -> fmt::Result {
        let Self { digits, exponent } = self;
        let power = exponent + digits.len() as i32 - 1;
        if !(PLAIN_FROM..plain_end).contains(&power) {
            let point = if digits.len() > 1 { "." } else { "" };
            let (first, rest) = digits.split_at_checked(1).unwrap_or(("0", ""));
            let sign = if power < 0 { '-' } else { '+' };
            return write!(out, "{first}{point}{rest}e{sign}{:02}", power.unsigned_abs());
        }
        let size = power.unsigned_abs() as usize;
        if power < 0 {
            return write!(out, "0.{}{digits}", "0".repeat(size - 1));
        }
        match digits.split_at_checked(size + 1) {
            Some((whole, "")) => out.write_str(whole),
            Some((whole, part)) => write!(out, "{whole}.{part}"),
            None => write!(out, "{digits}{}", "0".repeat(size + 1 - digits.len())),
        }
    }

    /// With an exponent and without a point, `15e-1`: Rust reads the number from it.
    pub fn to_parse(&self) -> String {
        format!("{}e{}", self.digits, self.exponent)
    }
}
