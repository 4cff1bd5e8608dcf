//! What JSON text means as a value, exactly or not at all.
pub(crate) mod bytes;
pub(crate) mod decimal;
pub(crate) mod float;
pub(crate) mod time;
pub(crate) mod uuid;

pub use decimal::DECIMAL_DIGITS_MAX;
pub use time::Instant;

use crate::json;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use std::sync::Arc;

/// Stands for an unchanged TOAST column that PostgreSQL did not send, unless the connector is told another text
/// (`unavailable.value.placeholder`).
pub const PLACEHOLDER: &str = "__debezium_unavailable_value";
const PLACEHOLDER_BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";

/// Text; base64 or hexadecimal digits of it, where the column is not known to be text; an array with one of them, or with
/// the UUID that is made of it; a map (hstore) from it. (Arrays of numbers have forms of their own: no reader here returns
/// such arrays.)
///
/// The usual placeholder counts beside `others`: a connector that was told another one has sent it before, and
/// nobody stores such a text.
pub(crate) fn is_unavailable<'p>(
    raw: &str,
    may_be_bytes: bool,
    others: impl Iterator<Item = &'p str>,
) -> bool {
    let usual = Placeholder { text: PLACEHOLDER, base64: Some(PLACEHOLDER_BASE64) };
    usual.is(raw, may_be_bytes)
        || others.into_iter().any(|text| Placeholder { text, base64: None }.is(raw, may_be_bytes))
}

struct Placeholder<'p> {
    text: &'p str,
    /// If it is known already.
    base64: Option<&'p str>,
}
impl Placeholder<'_> {
    fn is(&self, raw: &str, may_be_bytes: bool) -> bool {
        if raw.starts_with('[') && self.is_uuid(raw) {
            return true;
        }
        // Escaped throughout it would be six times as long, in brackets with some space around.
        if raw.len() < self.text.len() || raw.len() > 16 * self.text.len() + 16 {
            return false;
        }
        let is_one = |raw: &str| match json::string(raw) {
            Some(text) => {
                text == self.text
                    || (may_be_bytes && self.is_of_bytes(&text))
                    || self.is_of_map(&text)
            }
            None => false,
        };
        match raw.as_bytes() {
            [b'"', ..] => is_one(raw),
            [b'[', inside @ .., b']'] => {
                std::str::from_utf8(inside).is_ok_and(|s| is_one(s.trim()))
            }
            [b'{', ..] => json::Members::of(raw)
                .next()
                .is_some_and(|(name, _)| name.is_some_and(|name| name == self.text)),
            _ => false,
        }
    }
    /// An array of one UUID.
    fn is_uuid(&self, raw: &str) -> bool {
        let inside = raw.strip_prefix('[').and_then(|raw| raw.strip_suffix(']'));
        let text = inside.and_then(|raw| raw.trim().strip_prefix('"')?.strip_suffix('"'));
        // The length tells nearly all other lists.
        text.is_some_and(|text| {
            text.len() == uuid::TEXT_BYTES && uuid::is_named(text, self.text.as_bytes())
        })
    }
    /// A map (hstore) as the text of JSON, as Debezium writes it: the word is name and value. A `jsonb` would have a space
    /// behind the colon.
    fn is_of_map(&self, text: &str) -> bool {
        let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        let halves = inside.and_then(|text| text.split_at_checked(text.len() / 2));
        halves.is_some_and(|(name, value)| {
            let is_word = |half: &str| json::string(half).is_some_and(|text| text == self.text);
            value.strip_prefix(':').is_some_and(is_word) && is_word(name)
        })
    }
    fn is_of_bytes(&self, text: &str) -> bool {
        let is_hex = || bytes::from_hex(text).is_some_and(|bytes| bytes == self.text.as_bytes());
        (text.len() == 2 * self.text.len() && is_hex()) || self.is_base64(text)
    }
    fn is_base64(&self, text: &str) -> bool {
        match self.base64 {
            Some(base64) => text == base64,
            None => {
                text.len() == self.text.len().div_ceil(3) * 4
                    && (text == STANDARD.encode(self.text) || text == URL_SAFE.encode(self.text))
            }
        }
    }
}

/// As the connector's setting has it: a text, or `hex:` and the bytes of one. `None`: empty, or no UTF-8.
pub(crate) fn placeholder(setting: &str) -> Option<Arc<str>> {
    let text = match setting.strip_prefix("hex:") {
        None => setting.to_owned(),
        Some(hex) if !hex.len().is_multiple_of(2) => return None,
        Some(hex) => {
            let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            let bytes = hex.as_bytes().chunks(2).map(digits).collect::<Option<Vec<u8>>>()?;
            String::from_utf8(bytes).ok()?
        }
    };
    (!text.is_empty()).then(|| text.into())
}
