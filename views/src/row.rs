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
#![deny(clippy::disallowed_methods)]

use crate::Cell;
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
    }
}

fn write_tagged(out: &mut Vec<u8>, tag: u8, number: i64) {
    out.push(tag);
    write_signed(out, number);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn read_cell(bytes: &mut &[u8]) -> Option<Cell> {
    Some(match *take(bytes, <[u8]>::split_first)? {
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
    let length = usize::try_from(take(bytes, read_varint)?).ok()?;
    let text = take(bytes, |bytes| bytes.split_at_checked(length))?;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cell() -> impl Strategy<Value = Cell> {
        let number = prop_oneof![any::<i64>(), -200_i64..200];
        prop_oneof![
            Just(Cell::Null),
            number.clone().prop_map(Cell::Int),
            number.clone().prop_map(Cell::Time),
            "\\PC{0,9}".prop_map(Cell::Text),
            (number, 0_u32..4, -3_i16..25).prop_map(|(digits, power, scale)| {
                let power = (0..power).map(|_| Decimal::from(i64::MAX));
                let digits = Decimal::from_parts(digits.into(), scale);
                Cell::Decimal(power.fold(digits, |product, factor| product * factor))
            }),
            proptest::collection::btree_set("\\PC{0,3}", 0..3).prop_map(Cell::Words),
        ]
    }

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
        let cases: [(Cell, &[u8]); 14] = [
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
        assert_eq!(decode_row(&[1]), Some(vec![]));
    }
}
