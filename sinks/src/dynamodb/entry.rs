//! A partition's entry in an item, as bytes.
//!
//! In an item with one sum: the last offset applied as varint, the share as zigzag varint. In an item of merged shares:
//! the last offset applied as varint, then the whole share as [`encode_row`] has it. Never changed, since items hold
//! them. Varints are those of [`views::varint`].
#![deny(clippy::disallowed_methods)]

use crate::{Cell, decode_row, encode_row};
use views::varint::{read_signed, read_varint, write_signed, write_varint};

/// What one partition says in an item that has an entry of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// The last offset of the partition that is in the item; 0 or more.
    pub offset: i64,
    /// The columns of the partition's share; none where it only writes the owner's part.
    pub share: Vec<Cell>,
}
impl Entry {
    /// The entry of an item of merged shares as it is stored. One value has one form.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16);
        write_varint(&mut out, self.offset.cast_unsigned());
        out.extend(encode_row(&self.share));
        out
    }
    /// What [`Entry::write`] stored; `None`: it did not.
    pub fn read(stored: &[u8]) -> Option<Self> {
        let (offset, share) = read_varint(stored)?;
        let entry = Self { offset: i64::try_from(offset).ok()?, share: decode_row(share)? };
        (entry.write() == stored).then_some(entry)
    }
}

/// The entry of an item with one sum: 2 to 20 bytes. One value has one form, so entries compare as bytes.
pub fn write_entry(offset: i64, share: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    write_varint(&mut out, offset.cast_unsigned());
    write_signed(&mut out, share);
    out
}
/// What [`write_entry`] stored; `None`: it did not.
pub fn read_entry(bytes: &[u8]) -> Option<(i64, i64)> {
    let (offset, share) = read_varint(bytes)?;
    let (share, rest) = read_signed(share)?;
    rest.is_empty().then_some((offset.cast_signed(), share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use views::Decimal;

    proptest! {
        #[test]
        fn entries_come_back(offset in 0..i64::MAX, share in any::<i64>()) {
            prop_assert_eq!(read_entry(&write_entry(offset, share)), Some((offset, share)));
        }
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Some((offset, share)) = read_entry(&bytes) {
                prop_assert_eq!(write_entry(offset, share), bytes);
            }
        }
    }

    fn cell() -> impl Strategy<Value = Cell> {
        prop_oneof![
            Just(Cell::Null),
            any::<i64>().prop_map(Cell::Int),
            any::<i64>().prop_map(Cell::Time),
            "\\PC{0,9}".prop_map(Cell::Text),
            (any::<i64>(), -3_i16..25)
                .prop_map(|(n, scale)| Cell::Decimal(Decimal::from_parts(n.into(), scale))),
        ]
    }
    proptest! {
        #[test]
        fn entries_of_whole_shares_come_back(
            offset in 0..i64::MAX, share in proptest::collection::vec(cell(), 0..5),
        ) {
            let entry = Entry { offset, share };
            prop_assert_eq!(Entry::read(&entry.write()), Some(entry));
        }
        #[test]
        fn bytes_that_are_no_share_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..24)) {
            if let Some(entry) = Entry::read(&bytes) {
                prop_assert_eq!(entry.write(), bytes);
            }
        }
    }

    /// Stored in items: never to be changed.
    #[test]
    fn bytes_as_ever() {
        for (offset, share, stored) in
            [(0, 0, &[0, 0][..]), (5, -1, &[5, 1]), (300, 64, &[0xac, 2, 0x80, 1])]
        {
            assert_eq!(write_entry(offset, share), stored);
            assert_eq!(read_entry(stored), Some((offset, share)));
        }
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        let share = vec![3.into(), decimal("19.50"), Cell::Time(-2), Cell::Null, "ü".into()];
        for (offset, share, stored) in [
            (0, vec![], &[0, 1][..]),
            (300, vec![Cell::Int(64)], &[0xac, 2, 1, 1, 0x80, 1]),
            (5, share, &[5, 1, 1, 6, 4, 2, 4, 0x9e, 7, 2, 3, 0, 3, 2, 0xc3, 0xbc]),
        ] {
            let entry = Entry { offset, share };
            assert_eq!(entry.write(), stored);
            assert_eq!(Entry::read(stored), Some(entry));
        }
    }

    #[test]
    fn what_is_no_entry() {
        let far = [&[0xff; 9][..], &[1, 1]].concat(); // an offset of 64 bits
        for bytes in [&b""[..], &[5], &[5, 2], &[0x80], &[0x80, 0, 1], &[5, 1, 9], &far] {
            assert_eq!(Entry::read(bytes), None, "{bytes:?}");
        }
        assert_eq!(Entry::read(&write_entry(5, 7)), None, "one sum is another format");
    }
}
