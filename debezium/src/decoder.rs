//! Bytes -> [`Envelope`].
use crate::{
    Change, Doubts, Envelope, Formats, Limits, Op, ParseError, Row, Source,
    change::SourceFields,
    json::{self, Scanner, kind},
    row::{Configured, Image},
    schema::{Cache, Columns, Part, Schema},
};
use std::{borrow::Cow, str::Utf8Error, sync::Arc};

/// Remembers the last schemas seen, so that an equal one is not read again.
#[derive(Debug, Default)]
pub struct Decoder {
    formats: Formats,
    limits: Limits,
    schemas: Cache,
}

impl Decoder {
    pub fn new(formats: Formats, limits: Limits) -> Self {
        Self { formats, limits, schemas: Cache::default() }
    }

    pub fn formats(&self) -> &Formats {
        &self.formats
    }

    /// What this record is. The answer depends on the record and the formats alone, never on earlier records.
    /// A value of no bytes is null, as some producers send it; so is such a key.
    pub fn decode<'a>(
        &mut self,
        topic: &str,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> Result<Envelope<'a>, ParseError> {
        self.read(topic, None, key, value)
    }

    /// The same, of a topic that is known to be this table's: rows go by its name, in [`Formats`] and in errors,
    /// whatever `source.table` says (a partition of the table, say). [`Change::source`] stays as it was sent.
    pub fn decode_of<'a>(
        &mut self,
        topic: &str,
        table: &'a str,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> Result<Envelope<'a>, ParseError> {
        self.read(topic, Some(table), key, value)
    }

    fn read<'a>(
        &mut self,
        topic: &str,
        table: Option<&'a str>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> Result<Envelope<'a>, ParseError> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Envelope::Tombstone);
        };
        let mut event = Object::default();
        if !self.open(topic, Part::Value, value, &mut event)? {
            return Ok(Envelope::Tombstone);
        }
        match (event.get(OP), event.get(SOURCE)) {
            (Some(op), Some(source)) => self.event(topic, table, key, (op, source), &mut event),
            _ => self.other(topic, key, &event),
        }
    }

    /// A record's key, or one from a header ([`crate::KeyMove`]), as a row of `table`. `None`: a null key.
    pub fn key<'a>(
        &mut self,
        topic: &str,
        table: Cow<'a, str>,
        key: &'a [u8],
    ) -> Result<Option<Row<'a>>, ParseError> {
        if key.is_empty() {
            return Ok(None);
        }
        let mut object = Object::default();
        match self.open(topic, Part::Key, key, &mut object) {
            Err(e) => Err(ParseError::Key(Box::new(e))),
            Ok(false) => Ok(None),
            Ok(true) => {
                let columns = object.schema.as_ref().map(|schema| Arc::clone(&schema.own));
                let configured = self.configured(&table);
                Ok(Some(Row::new(Image::of(object.json), table, columns, configured)))
            }
        }
    }

    fn event<'a>(
        &mut self,
        topic: &str,
        table: Option<&'a str>,
        key: Option<&'a [u8]>,
        (op, source): (&str, &'a str),
        event: &mut Object<'a>,
    ) -> Result<Envelope<'a>, ParseError> {
        let op = match json::string(op).ok_or(ParseError::WrongType("op"))?.as_ref() {
            "c" => Op::Create,
            "u" => Op::Update,
            "d" => Op::Delete,
            "r" => Op::Read,
            "t" => return event.source(source).map(Envelope::Truncate),
            "m" => return message(event),
            _ => return Err(ParseError::UnknownOp),
        };
        let source = event.source(source)?;
        let table = table.map_or_else(|| source.table.clone(), Cow::Borrowed);
        let configured = self.configured(&table);
        let image = |name,
                     json: Option<&'a str>,
                     noted: Option<Image<'a>>,
                     columns: fn(&Schema) -> &Arc<Columns>| {
            let Some(json) = json else { return Ok(None) };
            if !json.starts_with('{') {
                let is_json =
                    json::string(json).is_some_and(|text| text.trim_start().starts_with('{'));
                let problem = if is_json { ParseError::TextImage } else { ParseError::WrongType };
                return Err(problem(name));
            }
            let image = noted.unwrap_or_else(|| Image::of(json));
            let columns = event.schema.as_deref().map(columns).map(Arc::clone);
            Ok(Some(Row::new(image, table.clone(), columns, configured.clone())))
        };
        let (before, after) = (event.before.take(), event.after.take());
        let before = image("before", event.get(BEFORE), before, |schema| &schema.before)?;
        let after = image("after", event.get(AFTER), after, |schema| &schema.after)?;
        if after.is_none() && op != Op::Delete {
            return Err(ParseError::MissingField("after"));
        }
        let ts_ms = match event.get(TS_MS) {
            Some(raw) => Some(json::int(raw).ok_or(ParseError::WrongType("ts_ms"))?),
            None => None,
        };
        let (key, key_problem) = match key.map(|key| self.key(topic, table, key)) {
            Some(Ok(key)) => (key, None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        let doubts = Doubts(event.schema.clone());
        let change = Change { op, source, key, key_problem, before, after, ts_ms, doubts };
        Ok(Envelope::Change(change))
    }

    fn configured(&self, table: &str) -> Configured {
        let (formats, placeholder) = (self.formats.table(table), self.formats.placeholder());
        Configured { formats, placeholder }
    }

    /// Not the change of a row: told by which fields there are.
    fn other<'a>(
        &mut self,
        topic: &str,
        key: Option<&'a [u8]>,
        event: &Object<'a>,
    ) -> Result<Envelope<'a>, ParseError> {
        let has = |slot: usize| event.found[slot].is_some();
        let all = |slots: &[usize]| slots.iter().all(|slot| has(*slot));
        if has(SOURCE) && (has(DDL) || has(TABLE_CHANGES)) {
            return Ok(Envelope::SchemaChange);
        }
        if event.marks.cloud_events && has(ID) && has(SOURCE) {
            return Err(ParseError::CloudEvents);
        }
        if event.marks.unwrapped {
            return Err(ParseError::Unwrapped);
        }
        if has(BEFORE) || has(AFTER) {
            // With an image and one of these two it is an envelope that lost the other. An image alone, or `op` or
            // `source` alone, may be a column of some table.
            match (has(OP), has(SOURCE)) {
                (true, _) => return Err(ParseError::MissingField("source")),
                (_, true) => return Err(ParseError::MissingField("op")),
                _ => {}
            }
        }
        if all(&[STATUS, ID, EVENT_COUNT, DATA_COLLECTIONS])
            && matches!(event.get(STATUS), Some("\"BEGIN\"" | "\"END\""))
        {
            return Ok(Envelope::Transaction);
        }
        if has(TS_MS) && event.members == 1 && self.is_heartbeat(topic, key) {
            return Ok(Envelope::Heartbeat);
        }
        Err(ParseError::NotEnvelope)
    }

    /// A value of `ts_ms` alone might be a small table's row: the topic or the key must say so too.
    fn is_heartbeat(&mut self, topic: &str, key: Option<&[u8]>) -> bool {
        let mut object = Object::default();
        topic.starts_with("__debezium-heartbeat")
            || key.is_some_and(|key| {
                self.open(topic, Part::Key, key, &mut object).is_ok_and(|is_object| is_object)
                    && object.members == 1
                    && object.found[SERVER_NAME].is_some()
            })
    }

    /// Reads the object inside, without its schema, into an empty [`Object`]. `false`: there is none, but null.
    fn open<'a>(
        &mut self,
        topic: &str,
        part: Part,
        bytes: &'a [u8],
        into: &mut Object<'a>,
    ) -> Result<bool, ParseError> {
        let max = self.limits.value_bytes_max;
        if bytes.len() > max {
            return Err(ParseError::TooLarge { bytes: bytes.len(), max });
        }
        if let Some((schema, start)) = self.schemas.find(topic, part, bytes) {
            if self.payload(bytes, start, into).is_some() {
                into.schema = Some(schema);
                return Ok(true);
            }
            *into = Object::default();
        }
        self.open_whole(topic, part, bytes, into)
    }

    /// What follows a known start, if it is an object and nothing comes after it. Anything else is for
    /// [`Self::open_whole`] to judge.
    fn payload<'a>(&self, bytes: &'a [u8], start: usize, into: &mut Object<'a>) -> Option<()> {
        let rest = std::str::from_utf8(bytes.get(start..)?).ok()?;
        let mut scanner = Scanner::new(rest, self.limits.nesting_max.saturating_sub(1));
        into.scan(&mut scanner)?;
        scanner.take(b'}')?;
        scanner.is_at_end().then_some(())
    }

    fn open_whole<'a>(
        &mut self,
        topic: &str,
        part: Part,
        bytes: &'a [u8],
        into: &mut Object<'a>,
    ) -> Result<bool, ParseError> {
        let text = std::str::from_utf8(bytes);
        let is_scanned =
            text.is_ok_and(|text| into.scan_all(text, self.limits.nesting_max).is_some());
        if !is_scanned {
            match self.judge(bytes, text)? {
                Some(object) => *into = object,
                None => return Ok(false),
            }
        }
        let (Some(schema_json), Some(payload), 2) =
            (into.found[SCHEMA], into.found[PAYLOAD], into.members)
        else {
            return Ok(true);
        };
        if schema_json != "null" && !schema_json.starts_with('{') {
            return Ok(true);
        }
        let schema = Arc::new(Schema::read(schema_json)?);
        let payload = object(payload)?;
        self.schemas.keep(topic, part, bytes, schema_json, &schema);
        let Some(payload) = payload else { return Ok(false) };
        *into = Object { schema: Some(schema), ..payload };
        Ok(true)
    }

    /// What the scanner does not take: mostly an error, and which one.
    fn judge<'a>(
        &self,
        bytes: &'a [u8],
        text: Result<&'a str, Utf8Error>,
    ) -> Result<Option<Object<'a>>, ParseError> {
        match bytes {
            [0, _, _, _, _, ..] => return Err(ParseError::Binary),
            [3, 0 | 5, rest @ ..] if rest.len() >= 16 => return Err(ParseError::Glue),
            _ if bytes.starts_with(b"Struct{") => return Err(ParseError::StructText),
            _ => {}
        }
        let max = self.limits.nesting_max;
        if json::is_deeper(bytes, max) {
            return Err(ParseError::TooDeep { max });
        }
        let text = text
            .map_err(|e| ParseError::Json { at: e.valid_up_to(), problem: "not UTF-8".into() })?;
        judged_object(text)
    }
}

fn message<'a>(event: &Object<'a>) -> Result<Envelope<'a>, ParseError> {
    let message = event.get(MESSAGE).ok_or(ParseError::MissingField("message"))?;
    if !message.starts_with('{') {
        return Err(ParseError::WrongType("message"));
    }
    let mut members = json::Members::of(message);
    let (_, prefix) = members
        .find(|(name, _)| name.as_deref() == Some("prefix"))
        .ok_or(ParseError::MissingField("message.prefix"))?;
    let prefix = json::string(prefix).ok_or(ParseError::WrongType("message.prefix"))?;
    Ok(Envelope::Message { prefix })
}

/// The members that tell what an object is.
const NAMES: [&str; 15] = [
    "op",
    "source",
    "before",
    "after",
    "ts_ms",
    "message",
    "schema",
    "payload",
    "status",
    "id",
    "event_count",
    "data_collections",
    "ddl",
    "tableChanges",
    "serverName",
];
fn slot(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"op" => OP,
        b"source" => SOURCE,
        b"before" => BEFORE,
        b"after" => AFTER,
        b"ts_ms" => TS_MS,
        b"message" => MESSAGE,
        b"schema" => SCHEMA,
        b"payload" => PAYLOAD,
        b"status" => STATUS,
        b"id" => ID,
        b"event_count" => EVENT_COUNT,
        b"data_collections" => DATA_COLLECTIONS,
        b"ddl" => DDL,
        b"tableChanges" => TABLE_CHANGES,
        b"serverName" => SERVER_NAME,
        _ => return None,
    })
}
const OP: usize = 0;
const SOURCE: usize = 1;
const BEFORE: usize = 2;
const AFTER: usize = 3;
const TS_MS: usize = 4;
const MESSAGE: usize = 5;
const SCHEMA: usize = 6;
const PAYLOAD: usize = 7;
const STATUS: usize = 8;
const ID: usize = 9;
const EVENT_COUNT: usize = 10;
const DATA_COLLECTIONS: usize = 11;
const DDL: usize = 12;
const TABLE_CHANGES: usize = 13;
const SERVER_NAME: usize = 14;
/// What changes have.
const USUAL: [(&str, Option<usize>); 8] = [
    ("\"before\":", Some(BEFORE)),
    ("\"after\":", Some(AFTER)),
    ("\"source\":", Some(SOURCE)),
    ("\"transaction\":", None),
    ("\"op\":", Some(OP)),
    ("\"ts_ms\":", Some(TS_MS)),
    ("\"ts_us\":", None),
    ("\"ts_ns\":", None),
];

/// Names that no event of Debezium's own form has.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    cloud_events: bool,
    /// What ExtractNewRecordState adds to rows.
    unwrapped: bool,
}
impl Marks {
    fn see(&mut self, name: &[u8]) {
        match name.first() {
            Some(b'_') => {
                self.unwrapped |=
                    matches!(name, b"__op" | b"__deleted" | b"__table" | b"__lsn" | b"__ts_ms")
                        || name.starts_with(b"__source");
            }
            Some(b'i' | b's') => {
                self.cloud_events |= name == b"specversion" || name.starts_with(b"iodebezium");
            }
            _ => {}
        }
    }
}

const GAPS: [char; 4] = [' ', '\n', '\r', '\t'];

/// A JSON object, checked, with the members that tell what it is.
#[derive(Debug, Default)]
struct Object<'a> {
    json: &'a str,
    found: [Option<&'a str>; NAMES.len()],
    members: usize,
    marks: Marks,
    twice: Option<&'static str>,
    schema: Option<Arc<Schema>>,
    /// The fields of `source`, if the scanner noted them.
    source: Option<SourceFields<'a>>,
    /// The columns of the images, if the scanner noted them.
    before: Option<Image<'a>>,
    after: Option<Image<'a>>,
}
impl<'a> Object<'a> {
    /// Reads an object into an empty one. `None`: it is no object, or takes more than a scanner, and a part of it may have
    /// been noted; [`judged_object`] tells which.
    fn scan(&mut self, scanner: &mut Scanner<'a>) -> Option<()> {
        let json = scanner.span(|scanner| {
            scanner.object_of(&USUAL, slot, |scanner, name, slot| {
                self.members += 1;
                self.marks.see(name);
                let is_object = scanner.next()? == b'{';
                let value = scanner.span(|scanner| {
                    match slot {
                        Some(SOURCE) if is_object => {
                            self.source = Some(SourceFields::scan(scanner)?);
                        }
                        Some(BEFORE) if is_object => {
                            self.before = Some(Image::scan(scanner)?);
                        }
                        Some(AFTER) if is_object => {
                            self.after = Some(Image::scan(scanner)?);
                        }
                        _ => scanner.value()?,
                    }
                    Some(())
                })?;
                let Some(i) = slot else { return Some(()) };
                self.found[i].replace(scanner.text(value)?).is_none().then_some(())
            })
        })?;
        self.json = scanner.text(json)?;
        Some(())
    }
    fn scan_all(&mut self, text: &'a str, levels: usize) -> Option<()> {
        let mut scanner = Scanner::new(text, levels);
        self.scan(&mut scanner)?;
        scanner.is_at_end().then_some(())
    }

    fn read(json: &'a str) -> Result<Self, serde_json::Error> {
        let mut object = Self { json, ..Self::default() };
        json::walk(json, |name, value| {
            object.members += 1;
            object.marks.see(name.as_bytes());
            if let Some(i) = slot(name.as_bytes())
                && object.found[i].replace(value).is_some()
            {
                object.twice = Some(NAMES[i]);
            }
        })?;
        Ok(object)
    }
    fn source(&self, json: &'a str) -> Result<Source<'a>, ParseError> {
        match &self.source {
            Some(fields) => fields.read(),
            None => SourceFields::of(json)?.read(),
        }
    }
    /// The text of this member's value; `None`: it is null, or not there.
    fn get(&self, slot: usize) -> Option<&'a str> {
        self.found[slot].filter(|value| *value != "null")
    }
}

/// The object that the text is; `None`: it is null.
fn object(text: &str) -> Result<Option<Object<'_>>, ParseError> {
    let mut object = Object::default();
    match object.scan_all(text, usize::MAX) {
        Some(()) => Ok(Some(object)),
        None => judged_object(text),
    }
}

/// The object that the text is to `serde_json`, whose word counts where a scanner does not take it; `None`: it is null.
fn judged_object(text: &str) -> Result<Option<Object<'_>>, ParseError> {
    let text_inside = text.trim_matches(GAPS);
    let broken = |e: serde_json::Error| {
        let (at, problem) = json::place(text, &e);
        ParseError::Json { at, problem }
    };
    if !text_inside.starts_with('{') {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(broken)?;
        return match text_inside {
            "null" => Ok(None),
            other => Err(ParseError::NotObject(kind(other))),
        };
    }
    let object = Object::read(text).map_err(broken)?;
    match object.twice {
        Some(name) => Err(ParseError::Twice(name)),
        None => Ok(Some(Object { json: text_inside, ..object })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = &'static str> {
        let any = [
            "null",
            "true",
            "\"first\"",
            "\"x\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "17",
            "-1.5e3",
            "[{}, [1]]",
            "{}",
            "{\"ts_ms\":1,\"table\":\"t\"}",
            "{ \"table\" : \"t\" , \"ts_ms\" : 1 , \"xmin\":null}",
            "{\"table\":\"t\",\"table\":\"t\",\"ts_ms\":1}",
            "{\"ta\\u0062le\":\"t\",\"ts_ms\":1}",
            "{\"\\ud800\":1}",
            "{\"a\":1,}",
            "01",
            "",
        ];
        prop::sample::select(any.to_vec())
    }
    fn name() -> impl Strategy<Value = &'static str> {
        let names = [
            "op",
            "source",
            "before",
            "after",
            "transaction",
            "ts_ms",
            "ts_us",
            "schema",
            "id",
            "__op",
            "specversion",
        ];
        prop::sample::select(
            names.into_iter().chain(["iodebeziumop", "x", "s\\u006furce"]).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn names_have_one_slot() {
        json::tests::names_have_one_slot(&USUAL, &NAMES, slot);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn scanned_as_read(
            mut members in prop::collection::vec((name(), value()), 0..7),
            is_usual: bool,
            gap in prop::sample::select(vec!["", "", " ", "\n\t", "\x0c"]),
            tail in prop::sample::select(vec!["", "", "", "\n", "x", "}"]),
        ) {
            if is_usual {
                members.sort_by_key(|(name, _)| USUAL.iter().position(|(usual, _)| usual.contains(&format!("\"{name}\""))));
            }
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("{gap}\"{name}\":{value}")).collect();
            let text = format!("{gap}{{{}{gap}}}{tail}", members.join(","));
            let mut scanned = Object::default();
            if scanned.scan_all(&text, 64).is_none() {
                // Not JSON, or with escapes in a name, or with a member twice.
                let is_plain = Object::read(&text).is_ok_and(|object| object.twice.is_none());
                prop_assert!(!is_plain || text.contains("\\u") || text.contains("\"t\",\"table"), "{}", text);
                return Ok(());
            }
            let read = Object::read(&text).unwrap();
            prop_assert_eq!(scanned.json, text.trim_matches(GAPS));
            prop_assert_eq!((scanned.found, scanned.members), (read.found, read.members));
            prop_assert_eq!(format!("{:?}", scanned.marks), format!("{:?}", read.marks));
            prop_assert!(read.twice.is_none());
            if let Some(fields) = scanned.source {
                let source = SourceFields::of(read.found[SOURCE].unwrap()).unwrap();
                prop_assert_eq!(format!("{fields:?}"), format!("{source:?}"));
            }
        }
    }
}
