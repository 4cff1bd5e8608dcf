//! Decimals as bytes: 4 of them for 19.50.
//!
//! | part   | bytes   | meaning                                                                                  |
//! |--------|---------|------------------------------------------------------------------------------------------|
//! | head   | 1       | bits 0 to 4: how many bytes the digits have, 0 to 16; 0 for a wide number                |
//! |        |         | bit 5 (`0x20`): the number is negative                                                   |
//! |        |         | bit 6 (`0x40`): the number is wide, which is one that 128 bits and its sign do not hold, |
//! |        |         | or whose scale 16 bits do not hold                                                       |
//! |        |         | bit 7: never set                                                                         |
//! | scale  | 1 to 10 | zigzag (0, -1, 1, -2 as 0, 1, 2, 3), then a varint: 7 bits a byte, the lowest first;     |
//! |        |         | bit 7 says that more bytes follow                                                        |
//! | length | 1 to 10 | only of a wide number: how many bytes its digits have; a varint                          |
//! | digits | 0 to 16 | the digits as a whole number without its sign, little-endian; none for zero              |
//! |        | or any  | of a wide number: its digits as ASCII text, without its sign                             |
//!
//! A number has exactly one form, the shortest, so digits and scale are the same where the bytes are. Anything else is
//! not read: no zero bytes at the end of digits or varints, no zeros in front of text, no zero that is negative, no wide
//! number that is not.
use super::{
    Decimal, Small, Wide,
    varint::{read_signed, read_varint, write_signed, write_varint},
};
use bigdecimal::{
    BigDecimal,
    num_bigint::{BigInt, BigUint, Sign},
};

const LENGTH: u8 = 0x1f;
const NEGATIVE: u8 = 0x20;
const WIDE: u8 = 0x40;

impl Decimal {
    /// Appends the bytes. They tell where they end.
    pub fn write_binary(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Small { digits, scale } => {
                let bytes = digits.unsigned_abs().to_le_bytes();
                let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
                let sign = if *digits < 0 { NEGATIVE } else { 0 };
                out.push(sign | length as u8);
                write_signed(out, i64::from(*scale));
                out.extend_from_slice(&bytes[..length]);
            }
            Wide(big) => write_wide(out, big),
        }
    }

    /// Reads one number from the front, and returns what follows it. `None` for bytes that [`Self::write_binary`] does
    /// not write. Whatever the bytes say, what is allocated is in proportion to those that are there. The time for a
    /// wide number grows with the square of its length: a second for a million digits, so bound what comes from outside.
    pub fn read_binary(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, bytes) = bytes.split_first()?;
        let (length, is_negative) = (head & LENGTH, head & NEGATIVE != 0);
        let (scale, bytes) = read_signed(bytes)?;
        match head & !LENGTH & !NEGATIVE {
            0 => read_small(bytes, usize::from(length), is_negative, scale),
            WIDE if length == 0 => read_wide(bytes, is_negative, scale),
            _ => None,
        }
    }
}

fn write_wide(out: &mut Vec<u8>, big: &BigDecimal) {
    let (digits, scale) = big.as_bigint_and_scale();
    let text = digits.magnitude().to_str_radix(10);
    let sign = if digits.sign() == Sign::Minus { NEGATIVE } else { 0 };
    out.push(sign | WIDE);
    write_signed(out, scale);
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn read_small(
    bytes: &[u8],
    length: usize,
    is_negative: bool,
    scale: i64,
) -> Option<(Decimal, &[u8])> {
    let (digits, rest) = bytes.split_at_checked(length)?;
    let mut whole = [0; 16];
    whole.get_mut(..length)?.copy_from_slice(digits);
    let size = u128::from_le_bytes(whole);
    let is_shortest = digits.last() != Some(&0);
    if !is_shortest || (is_negative && size == 0) {
        return None;
    }
    let digits = match is_negative {
        true => 0_i128.checked_sub_unsigned(size)?,
        false => i128::try_from(size).ok()?,
    };
    Some((Decimal::from_parts(digits, i16::try_from(scale).ok()?), rest))
}

fn read_wide(bytes: &[u8], is_negative: bool, scale: i64) -> Option<(Decimal, &[u8])> {
    let (length, bytes) = read_varint(bytes)?;
    let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    let is_shortest = text.first() != Some(&b'0') || text == b"0";
    if !is_shortest || !text.iter().all(u8::is_ascii_digit) || (is_negative && text == b"0") {
        return None;
    }
    let sign = if is_negative { Sign::Minus } else { Sign::Plus };
    let digits = BigInt::from_biguint(sign, BigUint::parse_bytes(text, 10)?);
    let decimal = Decimal::of(digits, scale);
    matches!(decimal.0, Wide(_)).then_some((decimal, rest))
}
