//! A partition's entry in an item with a sum, as bytes.
#![deny(clippy::disallowed_methods)]

/// Offset as varint, share as zigzag varint: 3 to 20 bytes. One value has one form, so entries compare as bytes.
pub fn write_entry(offset: i64, share: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(8);
    for mut n in [offset as u64, ((share << 1) ^ (share >> 63)) as u64] {
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
    }
    out
}
pub fn read_entry(bytes: &[u8]) -> Option<(i64, i64)> {
    let mut rest = bytes.iter();
    let mut next = || {
        let mut n = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *rest.next()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    };
    let (offset, share) = (next()?, next()?);
    let entry = (offset as i64, (share >> 1) as i64 ^ -((share & 1) as i64));
    (write_entry(entry.0, entry.1) == bytes).then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
}
