//! Decimals as text.
use super::{Decimal, POWERS, Small, Wide};
use bigdecimal::BigDecimal;
use std::{fmt, str::FromStr};

/// What was to be read is no decimal. Says nothing of the text: it may be a row's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotADecimal;
impl fmt::Display for NotADecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a decimal number")
    }
}
impl std::error::Error for NotADecimal {}

/// As many bytes as 128 bits have digits.
const DIGITS: usize = 39;
/// What is split off a long number at a time: the largest power of ten of 64 bits, and how many digits that makes.
const PIECE: u128 = 10_u128.pow(PIECE_DIGITS);
const PIECE_DIGITS: u32 = 19;

impl Decimal {
    /// Writes the number without an exponent, as [`BigDecimal::to_plain_string`] has it, `scale` digits behind the
    /// point. Allocates only for numbers that are too long to be held in place.
    pub fn write_plain(&self, out: &mut impl fmt::Write) -> fmt::Result {
        let (digits, scale) = match &self.0 {
            Small { digits, scale } => (*digits, *scale),
            Wide(big) => return big.write_plain_string(out),
        };
        let mut buffer = [0; DIGITS];
        let text = digits_of(digits.unsigned_abs(), &mut buffer);
        if digits < 0 {
            out.write_char('-')?;
        }
        let places = usize::from(scale.unsigned_abs());
        if scale <= 0 {
            out.write_str(text)?;
            return write_zeros(out, places);
        }
        match text.split_at_checked(text.len().wrapping_sub(places)) {
            Some((whole, part)) if !whole.is_empty() => {
                out.write_str(whole)?;
                out.write_char('.')?;
                out.write_str(part)
            }
            _ => {
                out.write_str("0.")?;
                write_zeros(out, places - text.len())?;
                out.write_str(text)
            }
        }
    }

    /// Calls with the plain text: without an allocation where it is no longer than 64 bytes.
    pub fn with_plain<R>(&self, then: impl FnOnce(&str) -> R) -> R {
        let mut short = Short { bytes: [0; 64], length: 0 };
        if matches!(self.0, Small { .. }) && self.write_plain(&mut short).is_ok() {
            return then(short.text());
        }
        then(&self.to_plain_string())
    }

    pub fn to_plain_string(&self) -> String {
        let mut text = String::new();
        self.write_plain(&mut text).expect("a string takes any text");
        text
    }
}

/// The digits of a number, at the end of the buffer.
fn digits_of(mut number: u128, buffer: &mut [u8; DIGITS]) -> &str {
    let mut at = buffer.len();
    let mut put = |digit: u64| {
        at -= 1;
        buffer[at] = b'0' + digit as u8;
    };
    while number > u128::from(u64::MAX) {
        let mut piece = (number % PIECE) as u64;
        number /= PIECE;
        for _ in 0..PIECE_DIGITS {
            put(piece % 10);
            piece /= 10;
        }
    }
    let mut number = number as u64;
    put(number % 10);
    while number > 9 {
        number /= 10;
        put(number % 10);
    }
    std::str::from_utf8(&buffer[at..]).expect("digits are UTF-8")
}

fn write_zeros(out: &mut impl fmt::Write, mut count: usize) -> fmt::Result {
    const ZEROS: &str = "00000000000000000000000000000000";
    while count > 0 {
        let some = count.min(ZEROS.len());
        out.write_str(&ZEROS[..some])?;
        count -= some;
    }
    Ok(())
}

/// A text that fails to grow beyond its bytes.
struct Short {
    bytes: [u8; 64],
    length: usize,
}
impl Short {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("whole texts were written")
    }
}
impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Plain, never with an exponent. Takes a width, as integers do.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_plain(|text| match text.strip_prefix('-') {
            Some(digits) => f.pad_integral(false, "", digits),
            None => f.pad_integral(true, "", text),
        })
    }
}

/// Reads what [`BigDecimal`] reads, digits and scale as it does. `1e9` has the scale -9: to write out what came with an
/// exponent may take more memory than the text did.
impl FromStr for Decimal {
    type Err = NotADecimal;
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        if let Some(decimal) = usual(text) {
            return Ok(decimal);
        }
        text.parse::<BigDecimal>().map(Self::from).map_err(|_| NotADecimal)
    }
}

/// The decimal if it is written as we write it, and has few enough digits for 128 bits.
fn usual(text: &str) -> Option<Decimal> {
    const DIGITS_MAX: usize = 38;
    const PIECE_MAX: usize = 18;
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, part) = match digits.find('.') {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, ""),
    };
    if whole.is_empty() || whole.len() + part.len() > DIGITS_MAX {
        return None;
    }
    // Digits are gathered in 64 bits, and so come to the slower 128 in one step for most numbers.
    let (mut number, mut piece, mut length) = (0_i128, 0_i64, 0);
    for byte in whole.bytes().chain(part.bytes()) {
        piece = piece * 10 + i64::from(byte.is_ascii_digit().then(|| byte - b'0')?);
        length += 1;
        if length == PIECE_MAX {
            number = number * POWERS[length] + i128::from(piece);
            (piece, length) = (0, 0);
        }
    }
    number = number * POWERS[length] + i128::from(piece);
    let number = if is_negative { -number } else { number };
    Some(Decimal::from_parts(number, i16::try_from(part.len()).ok()?))
}
