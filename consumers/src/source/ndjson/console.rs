//! Lines as `kafka-console-consumer` prints them: a record's value, or its key and value with something between them,
//! perhaps behind `CreateTime:`, `Partition:` and `Offset:`. None says its topic: the change itself names its table.
use serde::Deserialize;
use serde_json::value::RawValue;

/// How the lines of a file are made, as its first one shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Console {
    /// Between key and value; `None`: the lines are values.
    separator: Option<Vec<u8>>,
    prefixes: Prefixes,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Prefixes {
    time: bool,
    partition: bool,
    offset: bool,
}

/// What a line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Printed<'a> {
    pub timestamp_ms: Option<i64>,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

/// Where a change comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// As Debezium names the topic: prefix, schema (or database) and table.
    pub topic: String,
    pub table: String,
    pub timestamp_ms: Option<i64>,
}

const PARTS: &str =
    "key and value with one separator between them, as kafka-console-consumer prints them";

impl Console {
    /// `None`: this is no such line.
    pub fn of(first: &[u8]) -> Option<Self> {
        let (printed, prefixes) = prefixed(first)?;
        let text = printed.value?;
        let separator = match value_end(text) {
            Some(end) if end == text.len() => {
                let is_value = text == b"null" || origin(text).is_some();
                (is_value || prefixes != Prefixes::default()).then_some(None)?
            }
            Some(end) => Some(separator(&text[end..])?),
            // A key that is no JSON.
            None => {
                let tab = text.iter().position(|b| *b == b'\t')?;
                Some(separator(&text[tab..])?)
            }
        };
        Some(Self { separator, prefixes })
    }

    pub fn has_offsets(&self) -> bool {
        self.prefixes.offset
    }
    pub fn has_partitions(&self) -> bool {
        self.prefixes.partition
    }

    pub fn parse<'a>(&self, line: &'a [u8]) -> Result<Printed<'a>, String> {
        let other = || {
            "it does not begin with the same of CreateTime, Partition and Offset as the first line"
                .to_owned()
        };
        let (mut printed, prefixes) = prefixed(line).ok_or_else(other)?;
        if prefixes != self.prefixes {
            return Err(other());
        }
        let text = printed.value.take().unwrap_or_default();
        let value = match &self.separator {
            None => text,
            Some(separator) => {
                let (key, value) = split(text, separator).ok_or_else(|| format!("not {PARTS}"))?;
                printed.key = (key != b"null").then_some(key);
                value
            }
        };
        if value == b"null" {
            return Ok(printed);
        }
        // An empty one is what some producers send for null; whoever reads it decides.
        if !value.is_empty() && value_end(value) != Some(value.len()) {
            let what = if self.separator.is_some() { "what follows the key" } else { "the line" };
            return Err(format!("{what} is not one JSON value"));
        }
        printed.value = Some(value);
        Ok(printed)
    }
}

/// What is printed before key and value, each with a tab behind it. The rest comes as the value.
fn prefixed(line: &[u8]) -> Option<(Printed<'_>, Prefixes)> {
    let (mut printed, mut prefixes, mut rest) = (Printed::default(), Prefixes::default(), line);
    loop {
        let names: [&[u8]; 6] = [
            b"CreateTime:",
            b"LogAppendTime:",
            b"NO_TIMESTAMP",
            b"Partition:",
            b"Offset:",
            b"NO_HEADERS",
        ];
        let Some(at) = names.iter().position(|name| rest.starts_with(name)) else { break };
        let tab = rest.iter().position(|b| *b == b'\t')?;
        let number = std::str::from_utf8(&rest[names[at].len()..tab]).ok()?;
        match at {
            0 | 1 => printed.timestamp_ms = Some(number.parse().ok()?),
            3 => printed.partition = Some(number.parse().ok().filter(|n| *n >= 0)?),
            4 => printed.offset = Some(number.parse().ok().filter(|n| *n >= 0)?),
            _ if number.is_empty() => {}
            _ => return None,
        }
        prefixes.time |= at < 3;
        prefixes.partition |= at == 3;
        prefixes.offset |= at == 4;
        rest = &rest[tab + 1..];
    }
    printed.value = Some(rest);
    Some((printed, prefixes))
}

/// Where the JSON value ends that the text begins with.
fn value_end(text: &[u8]) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}

/// What stands between the key and the value, which is an object, null or nothing.
fn separator(rest: &[u8]) -> Option<Vec<u8>> {
    let end = rest.iter().position(|b| *b == b'{').or_else(|| {
        let null = rest.strip_suffix(b"null").map(<[u8]>::len);
        null.or_else(|| (rest == b"\t").then_some(1))
    })?;
    (end > 0).then(|| rest[..end].to_vec())
}

fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    if let Some(end) = value_end(text)
        && let Some(value) = text[end..].strip_prefix(separator)
    {
        return Some((&text[..end], value));
    }
    let at = text.windows(separator.len()).position(|part| part == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// What a change says of where it comes from; `None`: it is no change of Debezium's.
pub(super) fn origin(value: &[u8]) -> Option<Origin> {
    #[derive(Deserialize)]
    struct Source {
        name: String,
        #[serde(default)]
        db: Option<String>,
        #[serde(default)]
        schema: Option<String>,
        table: String,
        #[serde(default)]
        ts_ms: Option<i64>,
    }
    #[derive(Deserialize)]
    struct Change {
        source: Source,
    }
    #[derive(Deserialize)]
    struct WithSchema {
        payload: Change,
    }
    let plain = || serde_json::from_slice::<Change>(value).ok();
    let change = serde_json::from_slice::<WithSchema>(value).map(|with| with.payload);
    let source = change.ok().or_else(plain)?.source;
    let space = source.schema.or(source.db)?;
    Some(Origin {
        topic: format!("{}.{space}.{}", source.name, source.table),
        table: source.table,
        timestamp_ms: source.ts_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = r#"{"after":{"id":7},"source":{"name":"db","schema":"public","table":"products","ts_ms":5},"op":"c"}"#;

    #[test]
    fn lines_of_the_console_consumer_are_told_apart_by_the_first() {
        for (first, key, value) in [
            (VALUE.to_owned(), None, Some(VALUE)),
            (format!("{{\"id\":7}}\t{VALUE}"), Some(r#"{"id":7}"#), Some(VALUE)),
            (format!("{{\"id\": 7}} | {VALUE}"), Some(r#"{"id": 7}"#), Some(VALUE)),
            (format!("{{\"id\":7}}:{VALUE}"), Some(r#"{"id":7}"#), Some(VALUE)),
            (format!("null\t{VALUE}"), None, Some(VALUE)),
            (format!("a key\t{VALUE}"), Some("a key"), Some(VALUE)),
            ("7\tnull".to_owned(), Some("7"), None),
            ("{\"id\":7}\t".to_owned(), Some(r#"{"id":7}"#), Some("")),
        ] {
            let console = Console::of(first.as_bytes()).unwrap_or_else(|| panic!("{first}"));
            let printed = console.parse(first.as_bytes()).expect("its own line");
            assert_eq!(printed.key, key.map(str::as_bytes), "{first}");
            assert_eq!(printed.value, value.map(str::as_bytes), "{first}");
            assert_eq!((printed.offset, printed.partition), (None, None));
        }
        let first =
            format!("CreateTime:17\tPartition:3\tOffset:9\tNO_HEADERS\t{{\"id\":7}}\t{VALUE}");
        let console = Console::of(first.as_bytes()).expect("prefixes");
        let printed = console.parse(first.as_bytes()).expect("its own line");
        assert_eq!(
            (printed.timestamp_ms, printed.partition, printed.offset),
            (Some(17), Some(3), Some(9))
        );
        assert_eq!(
            (printed.key, printed.value),
            (Some(&br#"{"id":7}"#[..]), Some(VALUE.as_bytes()))
        );
        assert!(console.parse(VALUE.as_bytes()).is_err(), "another form");
        for no in
            ["", "{", "[1]", "7", r#"{"id":7}"#, r#"{"id":7}{"id":8}"#, "words", "Offset:x\t{}"]
        {
            assert_eq!(Console::of(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn a_change_says_which_table_it_is_of() {
        let found = origin(VALUE.as_bytes()).expect("a change");
        let topic = "db.public.products".to_owned();
        let expected = Origin { topic, table: "products".to_owned(), timestamp_ms: Some(5) };
        assert_eq!(found, expected);
        assert_eq!(
            origin(format!(r#"{{"schema":{{}},"payload":{VALUE}}}"#).as_bytes()),
            Some(expected)
        );
        assert_eq!(origin(br#"{"id":7}"#), None);
    }
}
