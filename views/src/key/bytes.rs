//! Keys of any width and type as bytes, for stores that order by bytes.
//!
//! The bytes of a key are those of its cells, one after the other. They sort as the cells do, for cells of one type
//! (decimals excepted), and no two keys have the same bytes; equal numbers are one key. Never changed, since states are
//! kept under them:
//!
//! | cell | bytes |
//! | --- | --- |
//! | null | `01` |
//! | int | `18 + n` and the `n` bytes of the number, the highest first; of 0 no byte. Below 0: `18 - n` and the `n` lowest bytes of its two's complement, at least one |
//! | time | as int, around `38` in place of `18` |
//! | text | `50`, its bytes with `00 ff` for `00`, then `00 01` |
//! | decimal | `60`, its shortest text without exponent, as text is written: equal numbers have one key |
//! | words | `70`, each word as text is written, then `00` |
//! | bool | `02` for false, `03` for true |
//! | date | as int, around `48` in place of `18` |
//! | float | `80` and the 8 bytes of IEEE 754, the highest first: of a number below 0 with all bits turned, of another one with the highest |
//! | UUID | `81` and its 16 bytes |
//! | bytes | `90`, as text is written |
//! | JSON | `91`, as text is written |
//! | list | `92`, each text as text is written, `51` for null, then `00` |
//!
//! Tuples are in no key, and would be written as null.
#![deny(clippy::disallowed_methods)]

use crate::{Cell, Float, List};
use std::collections::BTreeSet;

const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INT: u8 = 0x18;
const TIME: u8 = 0x38;
const DATE: u8 = 0x48;
const TEXT: u8 = 0x50;
/// In a list alone.
const NULL_BEHIND_TEXTS: u8 = 0x51;
const DECIMAL: u8 = 0x60;
const WORDS: u8 = 0x70;
const FLOAT: u8 = 0x80;
const UUID: u8 = 0x81;
const BYTES: u8 = 0x90;
const JSON: u8 = 0x91;
const LIST: u8 = 0x92;
/// What a number's first byte differs by, at most: 64 bits have 8 bytes.
const NUMBER_BYTES: u8 = 8;
/// The same of a date, which has 32 bits.
const DATE_BYTES: u8 = 4;

/// Writes the key behind what is in `out`.
pub fn write_key(out: &mut Vec<u8>, key: &[Cell]) {
    key.iter().for_each(|cell| write_cell(out, cell));
}

fn write_cell(out: &mut Vec<u8>, cell: &Cell) {
    let mut tagged = |kind: u8, bytes: &[u8]| {
        out.push(kind);
        write_bytes(out, bytes);
    };
    match cell {
        Cell::Null => out.push(NULL),
        Cell::Int(number) => write_number(out, INT, *number),
        Cell::Time(us) => write_number(out, TIME, *us),
        Cell::Date(days) => write_number(out, DATE, (*days).into()),
        Cell::Text(text) => tagged(TEXT, text.as_bytes()),
        Cell::Decimal(decimal) => {
            tagged(DECIMAL, decimal.normalized().to_plain_string().as_bytes());
        }
        Cell::Bytes(bytes) => tagged(BYTES, bytes),
        Cell::Json(text) => tagged(JSON, text.as_bytes()),
        Cell::Bool(is_so) => out.push(if *is_so { TRUE } else { FALSE }),
        Cell::Float(number) => {
            out.push(FLOAT);
            out.extend(number.ordered().to_be_bytes());
        }
        Cell::Uuid(uuid) => {
            out.push(UUID);
            out.extend_from_slice(uuid);
        }
        Cell::Words(words) => {
            out.push(WORDS);
            words.iter().for_each(|word| {
                out.push(TEXT);
                write_text(out, word);
            });
            out.push(0);
        }
        Cell::List(list) => write_list(out, list),
        Cell::Tuples(_) => out.push(NULL),
    }
}

/// The cells of a key that [`write_key`] wrote; `None`: it did not.
pub fn read_key(mut bytes: &[u8]) -> Option<Vec<Cell>> {
    let mut key = Vec::with_capacity(1);
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        key.push(match *kind {
            NULL => Cell::Null,
            TEXT => Cell::Text(read_text(&mut bytes)?),
            DECIMAL => Cell::Decimal(read_decimal(&mut bytes)?.parse().ok()?),
            WORDS => Cell::Words(read_words(&mut bytes)?),
            kind if kind.abs_diff(INT) <= NUMBER_BYTES => {
                Cell::Int(read_number(&mut bytes, INT, kind)?)
            }
            kind if kind.abs_diff(TIME) <= NUMBER_BYTES => {
                Cell::Time(read_number(&mut bytes, TIME, kind)?)
            }
            kind if kind.abs_diff(DATE) <= DATE_BYTES => {
                Cell::Date(i32::try_from(read_number(&mut bytes, DATE, kind)?).ok()?)
            }
            FALSE => Cell::Bool(false),
            TRUE => Cell::Bool(true),
            FLOAT => Cell::Float(Float::of_ordered(u64::from_be_bytes(read_exactly(&mut bytes)?))?),
            UUID => Cell::Uuid(read_exactly(&mut bytes)?),
            BYTES => Cell::Bytes(read_bytes(&mut bytes)?),
            JSON => Cell::Json(read_text(&mut bytes)?),
            LIST => Cell::List(read_list(&mut bytes)?),
            _ => return None,
        });
    }
    Some(key)
}

fn write_number(out: &mut Vec<u8>, zero: u8, number: i64) {
    let size = if number < 0 { !number } else { number };
    let used = NUMBER_BYTES - u8::try_from(size.leading_zeros() / 8).unwrap_or(0);
    let used = used.max(u8::from(number < 0));
    out.push(if number < 0 { zero - used } else { zero + used });
    out.extend_from_slice(&number.to_be_bytes()[usize::from(NUMBER_BYTES - used)..]);
}

fn read_number(bytes: &mut &[u8], zero: u8, kind: u8) -> Option<i64> {
    let (is_negative, used) = (kind < zero, usize::from(kind.abs_diff(zero)));
    let (digits, rest) = bytes.split_at_checked(used)?;
    *bytes = rest;
    let mut whole = [if is_negative { 0xff } else { 0 }; NUMBER_BYTES as usize];
    whole[usize::from(NUMBER_BYTES) - used..].copy_from_slice(digits);
    Some(i64::from_be_bytes(whole))
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_bytes(out, text.as_bytes());
}
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.contains(&0) {
        out.extend_from_slice(bytes);
    } else {
        for byte in bytes {
            out.push(*byte);
            if *byte == 0 {
                out.push(0xff);
            }
        }
    }
    out.extend_from_slice(&[0, 1]);
}
fn write_list(out: &mut Vec<u8>, list: &List) {
    out.push(LIST);
    for text in &list.0 {
        match text {
            None => out.push(NULL_BEHIND_TEXTS),
            Some(text) => {
                out.push(TEXT);
                write_text(out, text);
            }
        }
    }
    out.push(0);
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(read_bytes(bytes)?).ok()
}
fn read_bytes(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        let zero = bytes.iter().position(|byte| *byte == 0)?;
        read.extend_from_slice(&bytes[..zero]);
        let after = *bytes.get(zero + 1)?;
        *bytes = &bytes[zero + 2..];
        match after {
            1 => return Some(read),
            0xff => read.push(0),
            _ => return None,
        }
    }
}
fn read_list(bytes: &mut &[u8]) -> Option<List> {
    let mut texts = Vec::new();
    loop {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        texts.push(match *kind {
            0 => return Some(List(texts)),
            NULL_BEHIND_TEXTS => None,
            TEXT => Some(read_text(bytes)?),
            _ => return None,
        });
    }
}
/// So many bytes from the front.
fn read_exactly<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (read, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*read)
}

/// An exponent would make few bytes a number of any size.
fn read_decimal(bytes: &mut &[u8]) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"-.".contains(&byte);
    read_text(bytes).filter(|text| text.bytes().all(is_plain))
}

fn read_words(bytes: &mut &[u8]) -> Option<BTreeSet<String>> {
    let mut words = BTreeSet::new();
    loop {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        match *kind {
            0 => return Some(words),
            TEXT => drop(words.insert(read_text(bytes)?)),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(key: &[Cell]) -> Vec<u8> {
        let mut out = vec![];
        write_key(&mut out, key);
        out
    }
    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            (-300_i64..300).prop_map(Cell::Int),
            any::<i64>().prop_map(Cell::Time),
            "[\u{0}\u{1}a-cü\u{ff}]{0,5}".prop_map(Cell::Text),
            (any::<i64>(), -3_i16..9)
                .prop_map(|(digits, scale)| decimal::Decimal::from_parts(digits.into(), scale))
                .prop_map(Cell::Decimal),
            proptest::collection::btree_set("[\u{0}ab]{0,2}", 0..3).prop_map(Cell::Words),
            any::<bool>().prop_map(Cell::Bool),
            float(),
            any::<i32>().prop_map(Cell::Date),
            (-300..300).prop_map(Cell::Date),
            proptest::array::uniform16(0_u8..2).prop_map(Cell::Uuid),
            few_bytes().prop_map(Cell::Bytes),
            "[\u{0}\u{1}a-cü\u{ff}]{0,5}".prop_map(Cell::Json),
            list(),
        ]
    }
    fn float() -> impl Strategy<Value = Cell> {
        let number =
            prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(-0.0), Just(0.0)];
        number.prop_map(|number| Cell::Float(Float::new(number)))
    }
    fn few_bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0x61), Just(0xff)], 0..5)
    }
    fn list() -> impl Strategy<Value = Cell> {
        let text = proptest::option::of("[\u{0}\u{1}a-c]{0,2}");
        proptest::collection::vec(text, 0..4).prop_map(|texts| Cell::List(List(texts)))
    }
    /// Two cells of one type, whose order is that of their bytes.
    fn two() -> impl Strategy<Value = (Cell, Cell)> {
        let date = || prop_oneof![any::<i32>(), -300..300].prop_map(Cell::Date);
        let bytes = || few_bytes().prop_map(Cell::Bytes);
        let uuid = || proptest::array::uniform16(0_u8..2).prop_map(Cell::Uuid);
        prop_oneof![
            (any::<bool>().prop_map(Cell::Bool), any::<bool>().prop_map(Cell::Bool)),
            (float(), float()),
            (date(), date()),
            (bytes(), bytes()),
            (uuid(), uuid()),
            (list(), list()),
        ]
    }

    proptest! {
        #[test]
        fn keys_come_back_as_they_went(key in proptest::collection::vec(cell(), 0..4)) {
            prop_assert_eq!(read_key(&bytes(&key)), Some(key));
        }

        #[test]
        fn numbers_and_texts_sort_as_their_bytes(
            left in (any::<i64>(), "[\u{0}\u{1}ab]{0,3}"), right in (any::<i64>(), "[\u{0}\u{1}ab]{0,3}"),
            near in -70_000_i64..70_000,
        ) {
            let key = |(number, text): &(i64, String)| vec![Cell::Text(text.clone()), Cell::Int(*number)];
            let (left, right) = (key(&left), key(&right));
            prop_assert_eq!(bytes(&left).cmp(&bytes(&right)), left.cmp(&right));
            for (a, b) in [(near, near + 1), (near, -near), (near, i64::MIN), (near, i64::MAX)] {
                prop_assert_eq!(bytes(&[Cell::Int(a)]).cmp(&bytes(&[Cell::Int(b)])), a.cmp(&b));
                prop_assert_eq!(bytes(&[Cell::Time(a)]).cmp(&bytes(&[Cell::Time(b)])), a.cmp(&b));
            }
        }

        #[test]
        fn cells_of_one_type_sort_as_their_bytes((left, right) in two(), behind in cell()) {
            let key = |cell: &Cell| bytes(&[cell.clone(), behind.clone()]);
            prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right));
            prop_assert!(bytes(&[Cell::Null]) < bytes(&[left]), "null is the smallest");
        }

        #[test]
        fn what_nobody_wrote_is_not_read_amiss(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            // It may be none, and must not panic.
            let _ = read_key(&bytes);
        }
    }

    #[test]
    fn a_number_with_an_exponent_is_none_that_was_written() {
        assert_eq!(read_key(b"\x601e999999999\x00\x01"), None);
        assert_eq!(read_key(b"\x60-1.5\x00\x01").map(|key| key.len()), Some(1));
    }

    #[test]
    fn bytes_as_ever() {
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        let cases: [(Cell, &[u8]); 26] = [
            (Cell::Null, &[1]),
            (Cell::Int(0), &[0x18]),
            (Cell::Int(7), &[0x19, 7]),
            (Cell::Int(255), &[0x19, 255]),
            (Cell::Int(256), &[0x1a, 1, 0]),
            (Cell::Int(-1), &[0x17, 255]),
            (Cell::Int(-256), &[0x17, 0]),
            (Cell::Int(-257), &[0x16, 0xfe, 0xff]),
            (Cell::Int(i64::MIN), &[0x10, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (Cell::Time(1), &[0x39, 1]),
            ("a\0".into(), &[0x50, b'a', 0, 0xff, 0, 1]),
            (decimal("1.50"), &[0x60, b'1', b'.', b'5', 0, 1]),
            (decimal("1e2"), &[0x60, b'1', b'0', b'0', 0, 1]),
            (Cell::Words(BTreeSet::from(["b".to_owned()])), &[0x70, 0x50, b'b', 0, 1, 0]),
            (Cell::Bool(false), &[2]),
            (Cell::Bool(true), &[3]),
            (Cell::Date(0), &[0x48]),
            (Cell::Date(256), &[0x4a, 1, 0]),
            (Cell::Date(i32::MIN), &[0x44, 0x80, 0, 0, 0]),
            (Cell::Float(Float::new(-0.0)), &[0x80, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (Cell::Float(Float::new(-1.5)), &[0x80, 0x40, 7, 255, 255, 255, 255, 255, 255]),
            (Cell::Float(Float::new(f64::NAN)), &[0x80, 0xff, 0xf8, 0, 0, 0, 0, 0, 0]),
            (Cell::Uuid(*b"0123456789abcdef"), b"\x810123456789abcdef"),
            (Cell::Bytes(vec![0, 2]), &[0x90, 0, 255, 2, 0, 1]),
            (Cell::Json("1".into()), &[0x91, b'1', 0, 1]),
            (Cell::List(List(vec![Some("a".into()), None])), &[0x92, 0x50, b'a', 0, 1, 0x51, 0]),
        ];
        for (cell, want) in cases {
            assert_eq!(bytes(std::slice::from_ref(&cell)), want, "{cell:?}");
            assert_eq!(read_key(want), Some(vec![cell]));
        }
    }
}
