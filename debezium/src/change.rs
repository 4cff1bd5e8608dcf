//! A row's change, as Debezium tells it.
use crate::{
    Doubts, ParseError, Row,
    json::{self, Scanner},
};
use std::borrow::Cow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Create,
    Update,
    Delete,
    /// A row read by a snapshot (`r`).
    Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snapshot {
    /// Streamed, not from a snapshot.
    No,
    First,
    FirstInCollection,
    Middle,
    LastInCollection,
    Last,
    Incremental,
}
impl Snapshot {
    /// A string or a boolean; absent and null mean streamed.
    fn read(raw: Option<&str>) -> Result<Self, ParseError> {
        Ok(match raw.unwrap_or("null") {
            "false" | "null" | "\"false\"" => Self::No,
            "true" | "\"true\"" => Self::Middle,
            "\"first\"" => Self::First,
            "\"first_in_data_collection\"" => Self::FirstInCollection,
            "\"last_in_data_collection\"" => Self::LastInCollection,
            "\"last\"" => Self::Last,
            "\"incremental\"" => Self::Incremental,
            _ => return Err(ParseError::WrongType("source.snapshot")),
        })
    }
}

/// Where a change comes from.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// Empty where the event does not say; so are `name`, `db` and `schema`.
    pub connector: Cow<'a, str>,
    /// The connector's `topic.prefix`: tells databases apart that have the same names.
    pub name: Cow<'a, str>,
    pub db: Cow<'a, str>,
    pub schema: Cow<'a, str>,
    pub table: Cow<'a, str>,
    /// Commit time at the source, ms since 1970.
    pub ts_ms: i64,
    pub snapshot: Snapshot,
    /// `None` also where the connector numbers its transactions otherwise.
    pub tx_id: Option<i64>,
    /// Not monotone in emission order; null for incremental snapshots. Never decide by it.
    pub lsn: Option<u64>,
}

const NAMES: [&str; 9] = [
    "source.connector",
    "source.db",
    "source.schema",
    "source.table",
    "source.ts_ms",
    "source.snapshot",
    "source.txId",
    "source.lsn",
    "source.name",
];
fn slot(name: &[u8]) -> Option<usize> {
    Some(match name {
        b"connector" => 0,
        b"db" => 1,
        b"schema" => 2,
        b"table" => TABLE,
        b"ts_ms" => 4,
        b"snapshot" => 5,
        b"txId" => 6,
        b"lsn" => 7,
        b"name" => 8,
        _ => return None,
    })
}
const TABLE: usize = 3;
/// What the PostgreSQL connector sends, and others at first.
const USUAL: [(&str, Option<usize>); 16] = [
    ("\"version\":", None),
    ("\"connector\":", Some(0)),
    ("\"name\":", Some(8)),
    ("\"ts_ms\":", Some(4)),
    ("\"snapshot\":", Some(5)),
    ("\"db\":", Some(1)),
    ("\"sequence\":", None),
    ("\"ts_us\":", None),
    ("\"ts_ns\":", None),
    ("\"schema\":", Some(2)),
    ("\"table\":", Some(TABLE)),
    ("\"txId\":", Some(6)),
    ("\"lsn\":", Some(7)),
    ("\"xmin\":", None),
    ("\"origin\":", None),
    ("\"origin_lsn\":", None),
];

/// The text of the values that a [`Source`] is read from.
#[derive(Debug)]
pub(crate) struct SourceFields<'a>([Option<&'a str>; NAMES.len()]);
impl<'a> SourceFields<'a> {
    /// Of an object that is still to be checked. `None`: [`Self::of`] judges.
    pub(crate) fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut found = [None; NAMES.len()];
        scanner.object_of(&USUAL, slot, |scanner, _, slot| {
            let value = scanner.span(Scanner::value)?;
            let Some(i) = slot else { return Some(()) };
            found[i].replace(scanner.text(value)?).is_none().then_some(())
        })?;
        Some(Self(found))
    }

    /// Of a value that was checked to be JSON.
    pub(crate) fn of(json: &'a str) -> Result<Self, ParseError> {
        if !json.starts_with('{') {
            return Err(ParseError::WrongType("source"));
        }
        let mut found: [Option<&'a str>; NAMES.len()] = [None; NAMES.len()];
        for (name, value) in json::Members::of(json) {
            let name = name.ok_or(ParseError::WrongType("source"))?;
            let Some(i) = slot(name.as_bytes()) else { continue };
            if found[i].replace(value).is_some() {
                return Err(ParseError::Twice(NAMES[i]));
            }
        }
        Ok(Self(found))
    }

    pub(crate) fn read(&self) -> Result<Source<'a>, ParseError> {
        let found = &self.0;
        let text = |i: usize| match found[i] {
            Some(raw) if raw != "null" => json::string(raw).ok_or(ParseError::WrongType(NAMES[i])),
            _ if i == TABLE && found[0] == Some("\"mongodb\"") => Err(ParseError::MongoDb),
            _ if i == TABLE => Err(ParseError::MissingField(NAMES[i])),
            _ => Ok(Cow::Borrowed("")),
        };
        let ts_ms = found[4].ok_or(ParseError::MissingField(NAMES[4]))?;
        Ok(Source {
            connector: text(0)?,
            name: text(8)?,
            db: text(1)?,
            schema: text(2)?,
            table: text(TABLE)?,
            ts_ms: json::int(ts_ms).ok_or(ParseError::WrongType(NAMES[4]))?,
            snapshot: Snapshot::read(found[5])?,
            tx_id: found[6].and_then(json::int),
            lsn: found[7].and_then(json::int).and_then(|lsn| lsn.try_into().ok()),
        })
    }
}

impl<'a> Source<'a> {
    /// Of what no event tells, such as the row that a tombstone takes away: its table, and when.
    pub fn unsaid(table: Cow<'a, str>, ts_ms: i64) -> Self {
        Self {
            connector: "".into(),
            name: "".into(),
            db: "".into(),
            schema: "".into(),
            table,
            ts_ms,
            snapshot: Snapshot::No,
            tx_id: None,
            lsn: None,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Change<'a> {
    pub op: Op,
    pub source: Source<'a>,
    /// The record's key; `None` also where it cannot be read.
    pub key: Option<Row<'a>>,
    /// Why the key cannot be read. Nothing but its columns is lost: the images say the same of theirs.
    pub key_problem: Option<ParseError>,
    /// Under REPLICA IDENTITY DEFAULT: null for updates, fabricated beyond the key for deletes. Never compute from it.
    pub before: Option<Row<'a>>,
    /// Always there, except for deletes.
    pub after: Option<Row<'a>>,
    /// When Debezium made the event, ms since 1970.
    pub ts_ms: Option<i64>,
    /// What the record's schema leaves in doubt.
    pub doubts: Doubts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_slot() {
        let names = NAMES.map(|name| name.strip_prefix("source.").unwrap());
        json::tests::names_have_one_slot(&USUAL, &names, slot);
    }
}
