//! JSON objects, one level at a time: names and the untouched text of the values.
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Calls `member` with each name and value of an object. Everything inside is checked against JSON's grammar
/// (except that the halves of surrogate pairs inside values are looked at when the value is). The skipping is
/// iterative: depth costs memory of a byte a level, never stack.
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
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'a RawValue = map.next_value()?;
            (self.0)(name, value.get());
        }
        Ok(())
    }
}

struct Name;
impl<'a> DeserializeSeed<'a> for Name {
    type Value = Cow<'a, str>;
    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}
impl<'a> Visitor<'a> for Name {
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

/// The members of an object that [`walk`] has already checked: the same, several times faster. On other text it
/// ends early or yields nonsense, and does not panic.
pub(crate) struct Members<'a> {
    text: &'a str,
    at: usize,
}
impl<'a> Members<'a> {
    pub(crate) fn of(object: &'a str) -> Self {
        Self { text: object, at: 1 }
    }
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
    /// To the next byte of interest, which is returned.
    fn find(&mut self, is: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = self.rest();
        let ahead = rest.iter().position(|b| is(*b))?;
        self.at += ahead;
        Some(rest[ahead])
    }
    /// Past the closing quote. Whether there were escapes.
    fn skip_string(&mut self) -> Option<bool> {
        let mut has_escapes = false;
        self.at += 1;
        while self.find(|b| b == b'"' || b == b'\\')? == b'\\' {
            has_escapes = true;
            self.at += 2;
        }
        self.at += 1;
        Some(has_escapes)
    }
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        match self.rest().first()? {
            b'"' => return self.skip_string().map(|_| ()),
            b'{' | b'[' => {}
            _ => return self.find(|b| matches!(b, b',' | b'}') || b <= b' ').map(|_| ()),
        }
        loop {
            match self.find(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))? {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth = depth.checked_sub(1)?,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}
impl<'a> Iterator for Members<'a> {
    /// `None` for the name: it has half of a surrogate pair in it.
    type Item = (Option<Cow<'a, str>>, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        const IS_VALUE: fn(u8) -> bool = |b| b > b' ' && b != b',' && b != b':';
        if self.find(IS_VALUE)? != b'"' {
            return None;
        }
        let from = self.at;
        let has_escapes = self.skip_string()?;
        let name = match has_escapes {
            false => Some(Cow::Borrowed(self.text.get(from + 1..self.at - 1)?)),
            true => string(self.text.get(from..self.at)?),
        };
        self.find(IS_VALUE)?;
        let from = self.at;
        self.skip_value()?;
        Some((name, self.text.get(from..self.at)?))
    }
}

/// The text of a JSON string; `None` if it is none, or holds half of a surrogate pair.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    match inside.as_bytes().contains(&b'\\') {
        false => Some(Cow::Borrowed(inside)),
        true => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

/// A JSON integer; `None` for anything else, and for what 64 bits do not hold.
pub(crate) fn int(raw: &str) -> Option<i64> {
    match is_integer(raw) {
        true => raw.parse().ok(),
        false => None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f32>().prop_map(|f| serde_json::json!(f)),
            any::<String>().prop_map(Into::into),
            "[\\[\\]{}\",:\\\\ ]{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map("\\PC{0,4}|[\"\\\\{}]{1,3}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
    fn height(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Array(a) => 1 + a.iter().map(height).max().unwrap_or(0),
            serde_json::Value::Object(o) => 1 + o.values().map(height).max().unwrap_or(0),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn members_agree_with_walk(value in json(), pretty: bool) {
            let object = serde_json::json!({"a": value, "": [value], "\"": value, "z": 1.5e3});
            let text = match pretty {
                true => serde_json::to_string_pretty(&object).unwrap(),
                false => object.to_string(),
            };
            let mut walked = Vec::new();
            walk(&text, |name, value| walked.push((Some(name), value))).unwrap();
            prop_assert_eq!(walked.len(), 4);
            prop_assert_eq!(Members::of(&text).collect::<Vec<_>>(), walked);
        }

        #[test]
        fn depth_is_exact(value in json(), max in 0_usize..8) {
            let text = value.to_string();
            prop_assert_eq!(is_deeper(text.as_bytes(), max), height(&value) > max);
        }

        #[test]
        fn members_end_on_anything(text: String, object in "\\{[\"\\\\,:{}\\[\\]a1 ]{0,20}") {
            prop_assert!(Members::of(&text).count() <= text.len());
            prop_assert!(Members::of(&object).count() <= object.len());
        }

        #[test]
        fn strings(text: String) {
            let raw = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string(&raw).unwrap(), text);
        }
    }

    #[test]
    fn surrogates() {
        assert_eq!(string(r#""\uD83D\uDE80""#).unwrap(), "\u{1F680}");
        for half in [r#""\uD83D""#, r#""\uDE80""#, r#""\uD83D\uD83D""#, r#""\uD83Dx""#] {
            assert_eq!(string(half), None);
        }
    }
}
