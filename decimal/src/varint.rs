//! Whole numbers of 64 bits in as few bytes as hold them: 7 bits a byte, the lowest first; bit 7 says that more bytes
//! follow. A number has exactly one form, the shortest; anything else is not read.

/// Appends the number: 1 to 10 bytes.
pub fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads one number from the front, and returns what follows it. `None` for bytes that [`write_varint`] does not write.
pub fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        let shifted = part << (7 * at);
        if shifted >> (7 * at) != part {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            let is_shortest = *byte != 0 || at == 0;
            return is_shortest.then(|| (number, &bytes[at + 1..]));
        }
    }
    None
}

/// Appends a number that may be negative, so that small ones of either sign are short: 0, -1, 1, -2 as 0, 1, 2, 3.
pub fn write_signed(out: &mut Vec<u8>, number: i64) {
    write_varint(out, (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned());
}

/// Reads what [`write_signed`] wrote, and returns what follows it.
pub fn read_signed(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (number, rest) = read_varint(bytes)?;
    Some(((number >> 1).cast_signed() ^ -(number & 1).cast_signed(), rest))
}
