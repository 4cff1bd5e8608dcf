//! Floating-point numbers, exactly the one that was written.
use crate::json;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadFloat {
    #[error("text, not a floating-point number: if the column is numeric, read it as a decimal")]
    Text,
    #[error("beyond the range of a floating-point number: read the column as a decimal")]
    OutOfRange,
    #[error(
        "more digits than a floating-point number holds: read the column as a decimal or a whole number"
    )]
    TooManyDigits,
}
use BadFloat::{OutOfRange, Text, TooManyDigits};

/// What tells all numbers of 64 bits, or of 32, from each other.
const DIGITS_OF_64_BITS: usize = 17;
const DIGITS_OF_32_BITS: usize = 9;

/// `raw`: a JSON number.
pub(crate) fn of_64_bits(raw: &str) -> Result<f64, BadFloat> {
    let number: f64 = raw.parse().map_err(|_| Text)?;
    let digits = within(raw, number.is_finite(), number == 0.0)?;
    holds(raw, &digits, DIGITS_OF_64_BITS, &format!("{number:e}"))?;
    Ok(number)
}

/// The number whose shortest text is that of the number of 32 bits. `raw`: a JSON number.
pub(crate) fn of_32_bits(raw: &str) -> Result<f64, BadFloat> {
    let number: f32 = raw.parse().map_err(|_| Text)?;
    let digits = within(raw, number.is_finite(), number == 0.0)?;
    let shortest = format!("{number:e}");
    holds(raw, &digits, DIGITS_OF_32_BITS, &shortest)?;
    shortest.parse().map_err(|_| Text)
}

/// What is no JSON number, as Kafka Connect's converter writes it.
pub(crate) fn of_word(text: &str) -> Result<f64, BadFloat> {
    match text {
        "NaN" => Ok(f64::NAN),
        "Infinity" | "+Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(Text),
    }
}

/// The digits of a number that is within the range, also of those next to zero.
fn within(raw: &str, is_finite: bool, is_zero: bool) -> Result<String, BadFloat> {
    let digits = significant(raw);
    let is_within = is_finite && is_zero == digits.is_empty();
    if is_within { Ok(digits) } else { Err(OutOfRange) }
}

/// Whether the number that was read is the one that was written. `shortest`: the text of the former. Encoders write whole
/// floating-point numbers with a point or an exponent, so one without is compared digit by digit.
fn holds(raw: &str, digits: &str, max: usize, shortest: &str) -> Result<(), BadFloat> {
    let is_same = || !json::is_integer(raw) || digits == significant(shortest);
    if digits.len() <= max && is_same() { Ok(()) } else { Err(TooManyDigits) }
}

/// The digits of a number without zeros at either end.
fn significant(text: &str) -> String {
    let number = text.split(['e', 'E']).next().unwrap_or_default();
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}
