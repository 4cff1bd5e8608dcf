//! A line that is a whole record, as this program, `kcat -J` or a person wrote it. What can mean one thing only is read;
//! everything else is an error that names the field, what is there, and what is wanted; never a value.
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::fmt;

pub(super) const FORMAT: &str = "A line is {\"topic\",\"partition\",\"offset\",\"timestamp\",\"key\",\"value\",\"headers\"}; \
                                 a tombstone says \"value\":null.";

/// A line as it is written.
#[derive(Deserialize)]
struct Written {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    key_base64: Option<String>,
    /// Must be there: a misspelt name must not make a tombstone.
    #[serde(default, deserialize_with = "there")]
    value: Option<Option<String>>,
    #[serde(default)]
    value_base64: Option<String>,
    #[serde(default)]
    headers: Option<HeaderList>,
}

fn there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// In the order of the line; names may repeat.
#[derive(Default)]
pub(super) struct HeaderList(pub Vec<(String, Option<Vec<u8>>)>);
impl<'de> Deserialize<'de> for HeaderList {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = HeaderList;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of text or null")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<HeaderList, A::Error> {
                let mut found = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    found.push((name, value.map(String::into_bytes)));
                }
                Ok(HeaderList(found))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// A line as it is meant.
pub(super) struct Line {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: HeaderList,
    /// The key was JSON in the line, not text: perhaps it had other bytes in Kafka (spaces, escapes).
    pub is_key_rewritten: bool,
}

impl Line {
    /// `text` is one JSON object, perhaps with spaces around it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        // Almost every line of almost every file.
        let written = serde_json::from_slice::<Written>(text).ok();
        let line = match written.filter(|w| w.value.is_some() || w.value_base64.is_some()) {
            Some(written) => Self::of(written)?,
            None => Self::of_fields(text)?,
        };
        if line.partition < 0 || line.offset < 0 {
            return Err("`partition` and `offset` must not be negative".to_owned());
        }
        Ok(line)
    }

    fn of(line: Written) -> Result<Self, String> {
        Ok(Self {
            topic: line.topic,
            partition: line.partition,
            offset: line.offset,
            timestamp_ms: line.timestamp.unwrap_or(-1),
            key: bytes(line.key, line.key_base64, "key")?,
            value: bytes(line.value.flatten(), line.value_base64, "value")?,
            headers: line.headers.unwrap_or_default(),
            is_key_rewritten: false,
        })
    }

    /// Field by field: to read what others write, and to say what is wrong.
    fn of_fields(text: &[u8]) -> Result<Self, String> {
        let fields = Fields::parse(text)?;
        let topic = fields.one(&["topic"])?.ok_or("there is no `topic`")?;
        let topic = string(topic).ok_or_else(|| wrong("topic", topic, "text"))?;
        let (key, is_key_rewritten) = match fields.one(&["key"])? {
            Some(raw) => content("key", raw)?,
            None => (None, false),
        };
        let key_base64 = fields.one(&["key_base64"])?;
        let value_base64 = fields.one(&["value_base64"])?;
        // kcat calls it `payload`.
        let value = match (fields.one(&["value", "payload"])?, value_base64) {
            (None, None) => return Err("there is neither `value` nor `value_base64`".to_owned()),
            (Some(raw), _) => content("value", raw)?.0,
            (None, Some(_)) => None,
        };
        Ok(Self {
            topic,
            partition: fields.number("partition")?,
            offset: fields.number("offset")?,
            timestamp_ms: match fields.one(&["timestamp", "ts"])? {
                Some(raw) => timestamp(raw)?,
                None => -1,
            },
            key: bytes(key, base64_text("key_base64", key_base64)?, "key")?,
            value: bytes(value, base64_text("value_base64", value_base64)?, "value")?,
            headers: match fields.one(&["headers"])? {
                Some(raw) => headers(raw)?,
                None => HeaderList::default(),
            },
            is_key_rewritten,
        })
    }
}

fn bytes(
    text: Option<String>,
    base64: Option<String>,
    name: &str,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("`{name}` and `{name}_base64` exclude each other")),
        (text, None) => Ok(text.map(String::into_bytes)),
        (None, Some(base64)) => match STANDARD.decode(base64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(format!("`{name}_base64` is not base64")),
        },
    }
}

/// An object's fields, unread.
struct Fields<'a>(Vec<(String, &'a RawValue)>);
impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut found = Vec::new();
                while let Some(field) = map.next_entry()? {
                    found.push(field);
                }
                Ok(Fields(found))
            }
        }
        from.deserialize_map(Each)
    }
}
impl<'a> Fields<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(text)
            .map_err(|e| format!("not one JSON object (column {})", e.column()))
    }

    /// The field with one of these names. More than one of them, or one twice, could mean either.
    fn one(&self, names: &[&str]) -> Result<Option<&'a RawValue>, String> {
        let mut found = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        let first = found.next();
        if let (Some((one, _)), Some((other, _))) = (first, found.next()) {
            return Err(match one == other {
                true => format!("`{one}` occurs twice"),
                false => format!("`{one}` and `{other}` exclude each other"),
            });
        }
        Ok(first.map(|(_, raw)| *raw))
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, String> {
        let raw = self.one(&[name])?.ok_or_else(|| format!("there is no `{name}`"))?;
        let digits = string(raw).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let text = digits.as_deref().unwrap_or(raw.get());
        text.parse().map_err(|_| wrong(name, raw, "a whole number"))
    }
}

fn wrong(name: &str, raw: &RawValue, wanted: &str) -> String {
    format!("`{name}` is {}, and must be {wanted}", kind(raw.get()))
}

/// What a JSON value is, for people.
pub(super) fn kind(raw: &str) -> &'static str {
    match raw.trim_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ if raw.contains(['.', 'e', 'E']) => "a number with a fraction or an exponent",
        _ => "a number",
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// Text as it was in Kafka; an object or a number is the text that it is written with, without the spaces that nobody
/// meant.
fn content(name: &str, raw: &RawValue) -> Result<(Option<String>, bool), String> {
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok((None, false)),
        Some(b'"') => match string(raw) {
            Some(text) => Ok((Some(text), false)),
            None => Err(format!(
                "`{name}` holds half a surrogate pair: give its bytes as `{name}_base64`"
            )),
        },
        Some(b'{' | b'0'..=b'9' | b'-') => Ok((Some(compact(raw.get())), true)),
        _ => Err(wrong(name, raw, "text, an object or null")),
    }
}

/// The same JSON without spaces between its tokens; every token as it stands.
fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted || !matches!(c, ' ' | '\t' | '\r' | '\n') {
            text.push(c);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    text
}

fn base64_text(name: &str, raw: Option<&RawValue>) -> Result<Option<String>, String> {
    match raw {
        None => Ok(None),
        Some(raw) => serde_json::from_str(raw.get()).map_err(|_| wrong(name, raw, "text or null")),
    }
}

fn timestamp(raw: &RawValue) -> Result<i64, String> {
    let wanted = "ms since 1970 as a whole number, or a time such as 2026-11-29T10:00:00Z";
    if raw.get() == "null" {
        return Ok(-1);
    }
    let Some(text) = string(raw) else {
        return raw.get().parse().map_err(|_| wrong("timestamp", raw, wanted));
    };
    let time = chrono::DateTime::parse_from_rfc3339(&text).map(|at| at.timestamp_millis());
    time.or_else(|_| text.parse()).map_err(|_| {
        format!("`timestamp` is a text that is neither a number nor a time with its offset, and must be {wanted}")
    })
}

/// An object, or kcat's list of names and values in turn.
fn headers(raw: &RawValue) -> Result<HeaderList, String> {
    let text = |name: &str, raw: &RawValue| match raw.get() {
        "null" => Ok(None),
        _ => match string(raw) {
            Some(text) => Ok(Some(text.into_bytes())),
            None => Err(wrong(&format!("headers.{name}"), raw, "text or null")),
        },
    };
    let each = |(name, raw): (String, &RawValue)| Ok((name.clone(), text(&name, raw)?));
    let found: Result<Vec<_>, String> = match raw.get().as_bytes().first() {
        Some(b'n') => return Ok(HeaderList::default()),
        Some(b'{') => Fields::parse(raw.get().as_bytes())?.0.into_iter().map(each).collect(),
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
            let pairs = list.chunks(2).map(|pair| match pair {
                [name, value] => Ok((string(name).ok_or(())?, *value)),
                _ => Err(()),
            });
            let pairs: Result<Vec<_>, ()> = pairs.collect();
            let pairs = pairs.map_err(|()| {
                "`headers` is a list that is not names and values in turn, as `kcat -J` writes it".to_owned()
            })?;
            pairs.into_iter().map(each).collect()
        }
        _ => return Err(wrong("headers", raw, "an object of text or null")),
    };
    found.map(HeaderList)
}
