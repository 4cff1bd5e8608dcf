//! JSON objects, one level at a time: names and the untouched text of the values.
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

mod scan;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) use scan::Scanner;

/// Calls `member` with each name and value of an object: what is JSON, and what is wrong with other text, is for
/// `serde_json` to say. [`Scanner`] takes nearly all of the same texts, much faster, and has no words for what it does not
/// take. Everything inside is checked against JSON's grammar (except that the halves of surrogate pairs inside values are
/// looked at when the value is). The skipping is iterative: depth costs memory of a byte a level, never stack.
pub(crate) fn walk<'a>(
    text: &'a str,
    member: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Walk(member))?;
    json.end()
}

struct Walk<F>(F);
impl<'a, F: FnMut(Cow<'a, str>, &'a str)> Visitor<'a> for Walk<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(NameSeed)? {
            let value: &'a RawValue = map.next_value()?;
            (self.0)(name, value.get());
        }
        Ok(())
    }
}

struct NameSeed;
impl<'a> DeserializeSeed<'a> for NameSeed {
    type Value = Cow<'a, str>;
    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}
impl<'a> Visitor<'a> for NameSeed {
    type Value = Cow<'a, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// A name and the text of its value. `None` for the name: it has half of a surrogate pair in it.
pub(crate) type Member<'a> = (Option<Cow<'a, str>>, &'a str);

/// The members of an object that was checked to be JSON, however deep. On other text it ends early or yields nonsense,
/// and does not panic.
pub(crate) struct Members<'a>(Scanner<'a>);
impl<'a> Members<'a> {
    pub(crate) fn of(object: &'a str) -> Self {
        Self(Scanner::new(object, 0))
    }
}
impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;
    fn next(&mut self) -> Option<Self::Item> {
        self.0.checked_member()
    }
}

/// The text of a JSON string; `None` if it is none, or holds half of a surrogate pair.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    match scan::has_backslash(inside.as_bytes()) {
        false => Some(Cow::Borrowed(inside)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// A JSON integer; `None` for anything else, and for what 64 bits do not hold.
pub(crate) fn int(raw: &str) -> Option<i64> {
    let digits = raw.strip_prefix('-').unwrap_or(raw).as_bytes();
    if !(1..=18).contains(&digits.len()) {
        return if is_integer(raw) { raw.parse().ok() } else { None };
    }
    let size = digits.iter().try_fold(0_i64, |size, digit| match digit {
        b'0'..=b'9' => Some(size * 10 + i64::from(digit - b'0')),
        _ => None,
    })?;
    Some(if raw.len() > digits.len() { -size } else { size })
}
pub(crate) fn is_integer(raw: &str) -> bool {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// What a value is, in words.
pub(crate) fn kind(raw: &str) -> &'static str {
    match raw.bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether brackets are open more than `max` deep somewhere.
pub(crate) fn is_deeper(text: &[u8], max: usize) -> bool {
    let opened = |chunk: &[u8]| -> u8 {
        chunk.iter().map(|b| u8::from(*b == b'[') + u8::from(*b == b'{')).sum()
    };
    // Nearly always there are fewer brackets than allowed levels, and counting is much cheaper than looking.
    let opened: usize = text.chunks(128).map(|chunk| usize::from(opened(chunk))).sum();
    opened > max && depth(text) > max
}
fn depth(text: &[u8]) -> usize {
    let (mut now, mut most) = (0_usize, 0_usize);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' => now = now.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    most
}

/// Where in `text` an error is, in bytes, and what is wrong, without the text itself.
pub(crate) fn place(text: &str, error: &serde_json::Error) -> (usize, String) {
    let line: usize =
        text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (line + error.column().saturating_sub(1)).min(text.len());
    let said = error.to_string();
    (at, said.split(" at line ").next().unwrap_or_default().to_owned())
}
