//! Decimals, never by way of floating point. Which of their forms a field has, `row/numbers.rs` tells.
use crate::{format::parse_scale, json};
use ::decimal::Decimal;
use base64::{Engine, engine::general_purpose::STANDARD};
use bigdecimal::{BigDecimal, num_bigint::BigInt};

/// Decimals with more digits than this, before or behind the point when written out, are an error: a few bytes
/// such as `1e999999999` must not become a gigabyte. Base64 is bounded by the bytes that as many digits need.
pub const DECIMAL_DIGITS_MAX: usize = 1_000;
const BYTES_MAX: usize = 416;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadDecimal {
    #[error("not a decimal number")]
    NotADecimal,
    #[error("NaN and Infinity are no amounts: correct the row at the source")]
    NotFinite,
    #[error("more than 1,000 digits before or behind the point")]
    TooLong,
    #[error("not base64 of a whole number")]
    NotBase64,
    #[error("not an object of `scale` and `value`")]
    NotVariableScale,
}
use BadDecimal::{NotADecimal, NotBase64, NotFinite, NotVariableScale, TooLong};

/// `-12.50`, `1.25E+3`. The digits behind the point are kept as written.
pub(crate) fn from_text(text: &str) -> Result<Decimal, BadDecimal> {
    if matches!(text, "NaN" | "Infinity" | "-Infinity" | "+Infinity") {
        return Err(NotFinite);
    }
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, parse_exponent(exponent)?),
        None => (text, 0),
    };
    let (is_negative, number) = match number.as_bytes().first() {
        Some(b'-') => (true, &number[1..]),
        Some(b'+') => (false, &number[1..]),
        _ => (false, number),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(part) {
        return Err(NotADecimal);
    }
    if number.len() > 2 * DECIMAL_DIGITS_MAX + 1 {
        return Err(TooLong);
    }
    let scale = i64::try_from(part.len()).map_err(|_| TooLong)? - exponent;
    if let Some(digits) = short(whole, part) {
        let scale = within(scale, whole.len() + part.len())?;
        return Ok(Decimal::from_parts(if is_negative { -digits } else { digits }, scale));
    }
    let scale = within(scale, whole.trim_start_matches('0').len() + part.len())?;
    let digits = BigInt::parse_bytes(format!("{whole}{part}").as_bytes(), 10).ok_or(NotADecimal)?;
    let digits = if is_negative { -digits } else { digits };
    Ok(BigDecimal::new(digits, scale.into()).into())
}

/// These digits as one number, if there are few enough for 128 bits.
fn short(whole: &str, part: &str) -> Option<i128> {
    let all = || whole.bytes().chain(part.bytes()).map(|digit| digit - b'0');
    match whole.len() + part.len() {
        // Arithmetic of 64 bits is cheaper, and nearly all numbers are short.
        ..=18 => Some(all().fold(0_i64, |number, digit| number * 10 + i64::from(digit)).into()),
        19..=38 => Some(all().fold(0, |number, digit| number * 10 + i128::from(digit))),
        _ => None,
    }
}

/// What does not fit is far outside of every bound, and reads as the bound's neighbour.
fn parse_exponent(text: &str) -> Result<i64, BadDecimal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotADecimal);
    }
    let size = unsigned.parse::<i64>().unwrap_or(i64::MAX).min(1_000_000_000);
    Ok(if text.starts_with('-') { -size } else { size })
}

/// The scale of a number of so many digits, if it is within the bounds before and behind the point.
fn within(scale: i64, digits: usize) -> Result<i16, BadDecimal> {
    let max = DECIMAL_DIGITS_MAX as i64;
    let before_point = i64::try_from(digits).map_err(|_| TooLong)? - scale;
    if scale > max || before_point > max {
        return Err(TooLong);
    }
    i16::try_from(scale).map_err(|_| TooLong)
}

/// Base64 of big-endian two's complement, `scale` digits behind the point.
pub(crate) fn from_base64(text: &str, scale: i32) -> Result<Decimal, BadDecimal> {
    if text.len() > BYTES_MAX.div_ceil(3) * 4 {
        return Err(TooLong);
    }
    let mut buffer = [0_u8; BYTES_MAX + 3];
    let length = STANDARD.decode_slice(text, &mut buffer).map_err(|_| NotBase64)?;
    let scale = i64::from(scale);
    match &buffer[..length] {
        [] => Err(NotBase64),
        bytes @ [first, ..] if length <= 16 => {
            let mut whole = [if first & 0x80 == 0 { 0 } else { 0xff }; 16];
            whole[16 - length..].copy_from_slice(bytes);
            let digits = i128::from_be_bytes(whole);
            let count = digits.unsigned_abs().checked_ilog10().unwrap_or(0) + 1;
            Ok(Decimal::from_parts(digits, within(scale, count as usize)?))
        }
        bytes => {
            let number = BigDecimal::new(BigInt::from_signed_bytes_be(bytes), scale);
            within(scale, number.digits() as usize)?;
            Ok(number.into())
        }
    }
}

/// `{"scale":2,"value":"MDk="}`.
pub(crate) fn from_object(raw: &str) -> Result<Decimal, BadDecimal> {
    if !raw.starts_with('{') {
        return Err(NotVariableScale);
    }
    let (mut scale, mut value) = (None, None);
    for (name, raw) in json::Members::of(raw) {
        let seen = match name.as_deref() {
            Some("scale") => scale.replace(raw),
            Some("value") => value.replace(raw),
            _ => return Err(NotVariableScale),
        };
        if seen.is_some() {
            return Err(NotVariableScale);
        }
    }
    let scale = scale.filter(|raw| json::is_integer(raw)).ok_or(NotVariableScale)?;
    let value = value.and_then(json::string).ok_or(NotVariableScale)?;
    from_base64(&value, parse_scale(scale).ok_or(TooLong)?)
}

/// Whether the text could be what base64 encoders write.
pub(crate) fn may_be_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}
