//! UUIDs as text.
use super::bytes::from_hex;
use md5::{Digest, Md5};

/// The places of the hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
pub(super) const TEXT_BYTES: usize = 36;

/// `123e4567-e89b-12d3-a456-426614174000`, in either case.
pub(crate) fn from_text(text: &str) -> Option<[u8; 16]> {
    let is_hyphen = |at: &usize| text.as_bytes().get(*at) == Some(&b'-');
    if text.len() != TEXT_BYTES || !HYPHENS.iter().all(is_hyphen) {
        return None;
    }
    // With another hyphen too few digits would be left.
    from_hex(&text.replace('-', ""))?.try_into().ok()
}

/// Whether the text is the UUID that Java makes of these bytes (`UUID.nameUUIDFromBytes`).
pub(super) fn is_named(text: &str, bytes: &[u8]) -> bool {
    let mut named: [u8; 16] = Md5::digest(bytes).into();
    named[6] = named[6] & 0x0f | 0x30;
    named[8] = named[8] & 0x3f | 0x80;
    from_text(text) == Some(named)
}
