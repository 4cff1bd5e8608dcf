//! Rows of cells as a state keeps them: compact, and told apart from anything else by their first byte.
//!
//! The first byte is the version, `01`. Then come the cells, each with one byte that says what it is, up to the end of
//! the row. Numbers are as [`decimal::varint`] has them. Never changed, since states hold them:
//!
//! | byte | cell | what follows |
//! | --- | --- | --- |
//! | `00` | null | |
//! | `01` | int | the number |
//! | `02` | time | the microseconds |
//! | `03` | text | how many bytes, and the bytes |
//! | `04` | decimal | as [`Decimal::write_binary`] has it |
//! | `05` | words | how many, and each as text is written |
//! | `06` | bool | `00` or `01` |
//! | `07` | float | the 8 bytes of IEEE 754, the highest first |
//! | `08` | date | the days |
//! | `09` | UUID | its 16 bytes |
//! | `0a` | bytes | as text is written |
//! | `0b` | JSON | as text is written |
//! | `0c` | list | how many, and each: `00` for null, or `01` and as text is written |
//! | `0d` | tuples | how many, and each: how many cells, and these as above; none of them is tuples |
#![deny(clippy::disallowed_methods)]

use crate::{Cell, Float, List};
use decimal::{
    Decimal,
    varint::{read_signed, read_varint, write_signed, write_varint},
};
use std::collections::BTreeSet;

const VERSION: u8 = 1;
const NULL: u8 = 0;
const INT: u8 = 1;
const TIME: u8 = 2;
const TEXT: u8 = 3;
const DECIMAL: u8 = 4;
const WORDS: u8 = 5;
const BOOL: u8 = 6;
const FLOAT: u8 = 7;
const DATE: u8 = 8;
const UUID: u8 = 9;
const BYTES: u8 = 10;
const JSON: u8 = 11;
const LIST: u8 = 12;
const TUPLES: u8 = 13;

/// The row as it is stored.
pub fn encode_row(row: &[Cell]) -> Vec<u8> {
    // What most cells fit into; the size of each would cost more to find out.
    const CELL_BYTES: usize = 8;
    let mut out = Vec::with_capacity(1 + row.len() * CELL_BYTES);
    out.push(VERSION);
    row.iter().for_each(|cell| write_cell(&mut out, cell));
    out
}

/// The row that [`encode_row`] stored; `None`: it did not.
pub fn decode_row(stored: &[u8]) -> Option<Vec<Cell>> {
    let (&VERSION, mut bytes) = stored.split_first()? else { return None };
    let mut row = Vec::with_capacity(4);
    while !bytes.is_empty() {
        row.push(read_cell(&mut bytes)?);
    }
    Some(row)
}

fn write_cell(out: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Null => out.push(NULL),
        Cell::Int(number) => write_tagged(out, INT, *number),
        Cell::Time(us) => write_tagged(out, TIME, *us),
        Cell::Text(text) => {
            out.push(TEXT);
            write_text(out, text);
        }
        Cell::Decimal(decimal) => {
            out.push(DECIMAL);
            decimal.write_binary(out);
        }
        Cell::Words(words) => {
            out.push(WORDS);
            write_varint(out, words.len() as u64);
            words.iter().for_each(|word| write_text(out, word));
        }
        Cell::Bool(is_so) => out.extend([BOOL, u8::from(*is_so)]),
        Cell::Float(number) => {
            out.push(FLOAT);
            out.extend(number.get().to_be_bytes());
        }
        Cell::Date(days) => write_tagged(out, DATE, (*days).into()),
        Cell::Uuid(uuid) => {
            out.push(UUID);
            out.extend_from_slice(uuid);
        }
        Cell::Bytes(bytes) => {
            out.push(BYTES);
            write_bytes(out, bytes);
        }
        Cell::Json(text) => {
            out.push(JSON);
            write_text(out, text);
        }
        Cell::List(list) => {
            out.push(LIST);
            write_list(out, list);
        }
        Cell::Tuples(tuples) => {
            out.push(TUPLES);
            write_varint(out, tuples.len() as u64);
            for tuple in tuples {
                write_varint(out, tuple.len() as u64);
                tuple.iter().for_each(|cell| write_cell(out, cell));
            }
        }
    }
}

fn write_tagged(out: &mut Vec<u8>, tag: u8, number: i64) {
    out.push(tag);
    write_signed(out, number);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_bytes(out, text.as_bytes());
}
fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
fn write_list(out: &mut Vec<u8>, list: &List) {
    write_varint(out, list.0.len() as u64);
    for text in &list.0 {
        out.push(u8::from(text.is_some()));
        if let Some(text) = text {
            write_text(out, text);
        }
    }
}

fn read_cell(bytes: &mut &[u8]) -> Option<Cell> {
    match *take(bytes, <[u8]>::split_first)? {
        TUPLES => read_tuples(bytes),
        kind => read_plain(kind, bytes),
    }
}

fn read_tuples(bytes: &mut &[u8]) -> Option<Cell> {
    let count = take(bytes, read_varint)?;
    let mut tuples = Vec::new();
    for _ in 0..count {
        let width = take(bytes, read_varint)?;
        let mut tuple = Vec::new();
        for _ in 0..width {
            let kind = *take(bytes, <[u8]>::split_first)?;
            tuple.push(read_plain(kind, bytes)?);
        }
        tuples.push(tuple);
    }
    Some(Cell::Tuples(tuples))
}

/// A cell of this kind that is no tuples.
fn read_plain(kind: u8, bytes: &mut &[u8]) -> Option<Cell> {
    Some(match kind {
        NULL => Cell::Null,
        INT => Cell::Int(take(bytes, read_signed)?),
        TIME => Cell::Time(take(bytes, read_signed)?),
        TEXT => Cell::Text(read_text(bytes)?.to_owned()),
        DECIMAL => Cell::Decimal(take(bytes, Decimal::read_binary)?),
        WORDS => {
            let count = take(bytes, read_varint)?;
            let mut words = BTreeSet::new();
            for _ in 0..count {
                words.insert(read_text(bytes)?.to_owned());
            }
            Cell::Words(words)
        }
        BOOL => Cell::Bool(read_bool(bytes)?),
        FLOAT => {
            Cell::Float(Float::new(f64::from_be_bytes(*take(bytes, <[u8]>::split_first_chunk)?)))
        }
        DATE => Cell::Date(i32::try_from(take(bytes, read_signed)?).ok()?),
        UUID => Cell::Uuid(*take(bytes, <[u8]>::split_first_chunk)?),
        BYTES => Cell::Bytes(read_bytes(bytes)?.to_vec()),
        JSON => Cell::Json(read_text(bytes)?.to_owned()),
        LIST => Cell::List(read_list(bytes)?),
        _ => return None,
    })
}

/// Takes from the front what `read` reads.
fn take<'b, T>(
    bytes: &mut &'b [u8],
    read: impl FnOnce(&'b [u8]) -> Option<(T, &'b [u8])>,
) -> Option<T> {
    let (value, rest) = read(bytes)?;
    *bytes = rest;
    Some(value)
}

fn read_text<'b>(bytes: &mut &'b [u8]) -> Option<&'b str> {
    std::str::from_utf8(read_bytes(bytes)?).ok()
}
fn read_bytes<'b>(bytes: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(take(bytes, read_varint)?).ok()?;
    take(bytes, |bytes| bytes.split_at_checked(length))
}
fn read_bool(bytes: &mut &[u8]) -> Option<bool> {
    match *take(bytes, <[u8]>::split_first)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
fn read_list(bytes: &mut &[u8]) -> Option<List> {
    let count = take(bytes, read_varint)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        let text = if read_bool(bytes)? { Some(read_text(bytes)?.to_owned()) } else { None };
        texts.push(text);
    }
    Some(List(texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_went(row in proptest::collection::vec(cell(), 0..6)) {
            let read = decode_row(&encode_row(&row));
            // Text, since equal decimals may have other scales.
            prop_assert_eq!(format!("{read:?}"), format!("{:?}", Some(row)));
        }

        #[test]
        fn what_nobody_stored_does_no_harm(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..40),
            row in proptest::collection::vec(cell(), 0..4), cut: usize,
        ) {
            let _ = decode_row(&bytes);
            bytes.insert(0, VERSION);
            let _ = decode_row(&bytes);
            let mut stored = encode_row(&row);
            stored.truncate(cut % (stored.len() + 1));
            let _ = decode_row(&stored);
        }
    }

    #[test]
    fn bytes_as_ever() {
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        let cases: [(Cell, &[u8]); 27] = [
            (Cell::Null, &[0]),
            (Cell::Int(0), &[1, 0]),
            (Cell::Int(-1), &[1, 1]),
            (Cell::Int(63), &[1, 0x7e]),
            (Cell::Int(64), &[1, 0x80, 1]),
            (Cell::Int(i64::MIN), &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (Cell::Time(-2), &[2, 3]),
            (Cell::Text("ü".into()), &[3, 2, 0xc3, 0xbc]),
            (Cell::Text(String::new()), &[3, 0]),
            (decimal("19.50"), &[4, 2, 4, 0x9e, 7]),
            (decimal("-0.05"), &[4, 0x21, 4, 5]),
            (decimal("0.00"), &[4, 0, 4]),
            (
                decimal("1701411834604692317316873037158841057280"),
                b"\x04\x40\x00\x281701411834604692317316873037158841057280",
            ),
            (Cell::Words(["b".to_owned(), "a".to_owned()].into()), &[5, 2, 1, b'a', 1, b'b']),
            (Cell::Bool(false), &[6, 0]),
            (Cell::Bool(true), &[6, 1]),
            (Cell::Float(Float::new(-1.5)), &[7, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0]),
            (Cell::Float(Float::new(f64::NAN)), &[7, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]),
            (Cell::Date(-1), &[8, 1]),
            (Cell::Date(i32::MAX), &[8, 0xfe, 0xff, 0xff, 0xff, 0xf]),
            (Cell::Uuid(*b"0123456789abcdef"), b"\x090123456789abcdef"),
            (Cell::Bytes(vec![0, 0xff]), &[10, 2, 0, 0xff]),
            (Cell::Json("[]".into()), &[11, 2, b'[', b']']),
            (Cell::List(List(vec![Some("a".into()), None])), &[12, 2, 1, 1, b'a', 0]),
            (Cell::List(List(vec![])), &[12, 0]),
            (
                Cell::Tuples(vec![vec![Cell::Int(-1), Cell::Null], vec!["a".into()]]),
                &[13, 2, 2, 1, 1, 0, 1, 3, 1, b'a'],
            ),
            (Cell::Tuples(vec![]), &[13, 0]),
        ];
        for (cell, want) in cases {
            let stored = encode_row(std::slice::from_ref(&cell));
            assert_eq!(stored, [&[VERSION][..], want].concat(), "{cell:?}");
            assert_eq!(decode_row(&stored), Some(vec![cell]));
        }
    }

    #[test]
    fn what_is_no_row() {
        for bytes in
            [&b""[..], b"[]", b"{}", &[2], &[1, 7], &[1, 3, 5, b'a'], &[1, 1], &[1, 3, 1, 0xff]]
        {
            assert_eq!(decode_row(bytes), None, "{bytes:?}");
        }
        assert_eq!(decode_row(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0x7f]), None, "words that lie");
        assert_eq!(decode_row(&[&[1, 1][..], &[0xff; 9], &[2]].concat()), None, "65 bits");
        for bytes in [
            &[1, 6, 2][..],
            &[1, 7, 0, 0, 0, 0, 0, 0, 0],
            &[1, 8, 0x80, 0x80, 0x80, 0x80, 0x10],
            &[1, 9, 0],
            &[1, 10, 1],
            &[1, 11, 1, 0xff],
            &[1, 12, 1],
            &[1, 12, 1, 2],
            &[1, 12, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            &[1, 13],
            &[1, 13, 1, 2, 0],
            &[1, 13, 1, 1, 13, 0],
            &[1, 13, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            &[1, 14],
        ] {
            assert_eq!(decode_row(bytes), None, "{bytes:?}");
        }
        let minus_zero = [Cell::Float(Float::new(-0.0))];
        let read = decode_row(&encode_row(&minus_zero)).expect("a row");
        assert_eq!(read[0].to_string(), "-0", "its sign is kept");
        assert_eq!(decode_row(&[1]), Some(vec![]));
    }
}
