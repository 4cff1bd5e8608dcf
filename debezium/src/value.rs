//! What JSON text means as a value, exactly or not at all.
pub(crate) mod decimal;
pub(crate) mod time;

pub use decimal::DECIMAL_DIGITS_MAX;
pub use time::Instant;

use crate::json;

/// Stands for an unchanged TOAST column that PostgreSQL did not send.
const PLACEHOLDER: &str = "__debezium_unavailable_value";
const PLACEHOLDER_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// Text; base64 of it, where the column is not known to be text; an array with one of them; a map (hstore) from it.
/// (Arrays of numbers and UUIDs have forms of their own: no reader here returns such arrays.)
pub(crate) fn is_unavailable(raw: &str, may_be_bytes: bool) -> bool {
    // Escaped throughout it would be six times as long, in brackets with some space around.
    if raw.len() < PLACEHOLDER.len() || raw.len() > 16 * PLACEHOLDER.len() {
        return false;
    }
    let is_one = |raw: &str| match json::string(raw) {
        Some(text) => text == PLACEHOLDER || (may_be_bytes && text == PLACEHOLDER_BASE64),
        None => false,
    };
    match raw.as_bytes() {
        [b'"', b'_' | b'X' | b'\\', ..] => is_one(raw),
        [b'[', inside @ .., b']'] => std::str::from_utf8(inside).is_ok_and(|s| is_one(s.trim())),
        [b'{', ..] => json::Members::of(raw)
            .next()
            .is_some_and(|(name, _)| name.is_some_and(|name| name == PLACEHOLDER)),
        _ => false,
    }
}
