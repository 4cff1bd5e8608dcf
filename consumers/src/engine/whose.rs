//! Whose row a record is about. Two rows are one only if their source table and their whole primary key are equal:
//! where a record leaves that open, the lane halts behind what came before it, and nothing is merged.
//!
//! A record belongs to the table of its *topic*, which the operator named. What its event says of itself
//! (`source.schema`, `source.table`) may differ for a good reason, partitions of that table that are routed to its
//! topic, or for a bad one, another table in the topic. What can be known decides:
//!
//! * one source table a topic is fine, if it has the table's name or that of one of its partitions
//!   (`orders_2026_10` of `orders`);
//! * several are fine if all of them have names of partitions, in one schema. Which of them a row came from is kept
//!   (state rows `w/..`), so that a key that two of them have halts before it is applied;
//! * anything else halts, unless [`Exceptions`] names it.
//!
//! The names of a record's key columns must be those of the table's primary key: a key with more columns tells rows
//! apart that the views do not.
use crate::{handler::Rows, source::Record, source_table::SourceTable};
use debezium::{Change, Op, ParseError, Row, Source};
use sinks::{Key, Origin, state::keys};
use std::borrow::Cow;

/// What an operator vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exceptions {
    /// Table of ours, and a source table (`NAME`, `SCHEMA.NAME` or `*`) whose rows are rows of it: equal keys are one
    /// row.
    pub source_tables: Vec<(String, String)>,
    /// Table of ours, and a column that its record keys may have beside the primary key.
    pub key_columns: Vec<(String, String)>,
}
impl Exceptions {
    fn names(&self, table: &str, source: &Source<'_>) -> bool {
        self.name(table, schema_of(source), &source.table)
    }
    fn name(&self, table: &str, of_schema: &str, of_table: &str) -> bool {
        let is = |pattern: &str| match pattern.split_once('.') {
            Some((schema, name)) => schema == of_schema && name == of_table,
            None => pattern == "*" || pattern == of_table,
        };
        self.source_tables.iter().any(|(of, pattern)| of == table && is(pattern))
    }
    fn allows_column(&self, table: &str, column: &str) -> bool {
        self.key_columns.iter().any(|(of, name)| of == table && name == column)
    }
    fn allows_columns(&self, table: &str) -> bool {
        self.key_columns.iter().any(|(of, _)| of == table)
    }
}

/// Which source table a row is from, where it is not told by the topic alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// Of the state row that says it.
    pub key: Key,
    /// `None`: a tombstone, which does not say.
    pub source: Option<String>,
    pub is_gone: bool,
}
impl Owner {
    pub fn applied(&self, rows: &mut Rows) -> Result<(), String> {
        let held = rows.text(&self.key).map(str::to_owned);
        if let (Some(held), Some(source)) = (&held, &self.source)
            && held != source
        {
            return Err(format!(
                "{held} and {source} both have a row with this key, and the view has one row for it: nothing tells which \
                 one is meant. If they are partitions of one table, SOURCE_TABLES says so (a partition each, or `*`); \
                 if they are tables of their own, give each a topic of its own"
            ));
        }
        match (&self.source, self.is_gone) {
            (Some(source), false) if held.as_ref() != Some(source) => {
                rows.set_text(self.key.clone(), Some(source));
            }
            (_, true) if held.is_some() => rows.set_text(self.key.clone(), None),
            _ => {}
        }
        Ok(())
    }
}

/// Schema, or database where there are no schemas.
fn schema_of<'s>(source: &'s Source<'_>) -> &'s str {
    if source.schema.is_empty() { &source.db } else { &source.schema }
}

pub(super) fn is_from(origin: &Origin, source: &Source<'_>) -> bool {
    origin.table == source.table
        && origin.schema == source.schema
        && origin.database == source.db
        && origin.connector == source.name
}
fn origin(source: &Source<'_>) -> Origin {
    Origin {
        connector: source.name.to_string(),
        database: source.db.to_string(),
        schema: source.schema.to_string(),
        table: source.table.to_string(),
    }
}

/// `orders_2026_10` of `orders`: the table's name and something that is no letter.
fn is_named_as_partition(name: &str, table: &str) -> bool {
    let rest = name.strip_prefix(table).and_then(|rest| rest.chars().next());
    rest.is_some_and(|first| !first.is_alphabetic())
}

/// Whether events of this source table, which is none of the known ones, may be applied as the topic's. `Err`: why they
/// must not be. Tables that an exception names are no reason against others.
pub(super) fn admit(
    known: &[&Origin],
    source: &Source<'_>,
    table: &SourceTable,
    exceptions: &Exceptions,
) -> Result<Origin, String> {
    let is_named =
        |known: &Origin| exceptions.name(&table.name, known.schema_or_database(), &known.table);
    let known: Vec<&Origin> = known.iter().copied().filter(|known| !is_named(known)).collect();
    if known.iter().any(|known| is_from(known, source)) {
        return Ok(origin(source));
    }
    let table = table.name.as_str();
    let new = origin(source);
    let is_partition = |name: &str| is_named_as_partition(name, table);
    let same_place = |known: &Origin| {
        (&known.connector, &known.database, &known.schema)
            == (&new.connector, &new.database, &new.schema)
    };
    let fits = match known.as_slice() {
        [] => new.table == table || is_partition(&new.table),
        known => {
            is_partition(&new.table)
                && known.iter().all(|known| same_place(known) && is_partition(&known.table))
        }
    };
    if fits || exceptions.names(table, source) {
        return Ok(new);
    }
    let way = format!(
        "If its rows are rows of {table} (a partition with a name of its own, or a table that was moved), say \
         SOURCE_TABLES={table}={new}; else give it a topic of its own"
    );
    Err(match known.first() {
        None => format!("the topic is that of {table}, and its event comes from {new}. {way}"),
        Some(first) if first.to_string() == new.to_string() => format!(
            "{new} of another database or connector is in this topic: equal keys of both would be one row. {way}"
        ),
        Some(first) => format!(
            "a second table is in this topic, {new} beside {first}: equal keys of both would be one row. {way}"
        ),
    })
}

/// Whether which table a row is from has to be kept for it.
pub(super) fn is_kept(source: &Source<'_>, table: &SourceTable, exceptions: &Exceptions) -> bool {
    source.table != table.name && !exceptions.names(&table.name, source)
}

/// What a record's key says of the row: its columns must be those of the primary key.
/// `Err`: why nothing of this record may be applied.
pub(super) fn judge_key(
    key: Option<&Row<'_>>,
    table: &SourceTable,
    exceptions: &Exceptions,
) -> Result<(), String> {
    let Some(key) = key else { return Ok(()) };
    let name = table.name.as_str();
    let known =
        |column: &str| table.has_key_column(column) || exceptions.allows_column(name, column);
    let Ok(Some(column)) = key.column_beside(known) else { return Ok(()) };
    Err(other_column(&column, table))
}

/// Why records whose keys have this column must not be applied.
fn other_column(column: &str, table: &SourceTable) -> String {
    let (name, primary) = (&table.name, table.key_names());
    let what = format!(
        "the record's key has the column `{column}`, and rows of {name} are told apart by {primary} alone"
    );
    match column {
        "__dbz__physicalTableIdentifier" => format!(
            "{what}: rows of several tables that were routed into this topic would be merged. Partitions of one table: \
             set key.enforce.uniqueness=false in the router; other tables: give each a topic of its own"
        ),
        _ => format!(
            "{what}: rows that differ in `{column}` would be merged. If no two rows have the same {primary}, say \
             KEY_COLUMNS={name}.{column}; else this service's views cannot show the table"
        ),
    }
}

/// What is said once of a partition whose keys cannot be read.
pub(super) fn unread_key(record: &Record<'_>, problem: &ParseError, table: &SourceTable) -> String {
    let (name, columns) = (&table.name, table.key_names());
    let noun = if table.key.len() == 1 { "column" } else { "columns" };
    format!(
        "{}, offset {}: {problem}. Rows of {name} are told apart by their own {noun} {columns}: if the primary key has \
         more columns, rows that differ in them become one",
        record.partition, record.offset
    )
}

/// Keys that Kafka Connect's StringConverter wrote, `Struct{tenant=1,id=7}`: its names tell the key's columns, too.
/// `row`: the image that the record has.
pub(super) fn judge_struct_text(
    key: Option<&[u8]>,
    problem: &ParseError,
    row: Option<&Row<'_>>,
    table: &SourceTable,
    exceptions: &Exceptions,
) -> Result<(), String> {
    let inside = match (key, problem) {
        (Some(key), ParseError::Key(inner)) if **inner == ParseError::StructText => {
            std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix("Struct{"))
        }
        _ => None,
    };
    let Some(inside) = inside.and_then(|inside| inside.trim_end().strip_suffix('}')) else {
        return Ok(());
    };
    let said = row.and_then(|row| table.identity(row).ok().flatten()).unwrap_or_default();
    let name = table.name.as_str();
    let other = names_in(inside, table, &said)
        .into_iter()
        .find(|column| !table.has_key_column(column) && !exceptions.allows_column(name, column));
    other.map_or(Ok(()), |column| Err(other_column(column, table)))
}

/// The names in `tenant=1,id=7`. A text may hold commas and names itself: one that the row says is passed over whole.
fn names_in<'k>(mut rest: &'k str, table: &SourceTable, said: &[String]) -> Vec<&'k str> {
    let mut names = Vec::new();
    while let Some((before, behind)) = rest.split_once('=') {
        let name = before.rsplit(',').next().unwrap_or(before);
        names.push(name);
        let of_row = table.key.iter().zip(said).find(|(column, _)| column.name == name);
        let whole = of_row.and_then(|(_, value)| behind.strip_prefix(value.as_str()));
        rest = match whole {
            Some(after) if after.is_empty() || after.starts_with(',') => after,
            _ => behind.split_once(',').map_or("", |(_, after)| after),
        };
    }
    names
}

/// What an update says of its row's key: the key that the row had until now, if it is another one; or why the record is
/// dead.
pub(super) enum Moved {
    No,
    /// The row of `before` is gone.
    Yes,
    Dead(String),
}

/// Compares the key columns of `before`, `after` and the record's key, where they are sent.
pub(super) fn moved(change: &Change<'_>, table: &SourceTable) -> Moved {
    let now = match (&change.op, &change.after, &change.before) {
        (Op::Delete, _, before) => before.as_ref(),
        (_, after, _) => after.as_ref(),
    };
    let Some(now) = now else { return Moved::No };
    let before = change.before.as_ref().filter(|_| change.op == Op::Update);
    let was_elsewhere = before.is_some_and(|before| names_another(before, now, table));
    let key = change.key.as_ref();
    if key.is_some_and(|key| {
        let is_old = || before.is_some_and(|before| !names_another(key, before, table));
        names_another(key, now, table) && !(was_elsewhere && is_old())
    }) {
        let place = table.key_place();
        return Moved::Dead(format!(
            "{place}: the record's key and its row name different rows: whatever changes keys on the way (a \
             transform, say) must leave the primary key as it is"
        ));
    }
    if was_elsewhere { Moved::Yes } else { Moved::No }
}

/// Whether an update gives its row another primary key: the row with the old one, in `before`, is gone.
/// `Err`: the record is a dead letter, since its key and its row disagree.
pub fn changes_key(change: &Change<'_>, table: &SourceTable) -> Result<bool, String> {
    match moved(change, table) {
        Moved::No => Ok(false),
        Moved::Yes => Ok(true),
        Moved::Dead(why) => Err(why),
    }
}

/// Whether both have the primary key's columns, with other values.
fn names_another(one: &Row<'_>, other: &Row<'_>, table: &SourceTable) -> bool {
    // Nearly always it is one column, and they are written alike.
    let is_alike = match table.key.as_slice() {
        [only] => match (one.fields([only.as_ref()]), other.fields([only.as_ref()])) {
            (Ok([left]), Ok([right])) => left.raw() == right.raw(),
            _ => return false,
        },
        names => match (one.values(names), other.values(names)) {
            (Ok(left), Ok(right)) => {
                left.iter().zip(&right).all(|(left, right)| left.raw() == right.raw())
            }
            _ => return false,
        },
    };
    if is_alike {
        return false;
    }
    match (table.identity(one), table.identity(other)) {
        (Ok(Some(left)), Ok(Some(right))) => left != right,
        _ => false,
    }
}

/// Of the state rows that say which table rows of this one are from.
pub(super) fn owner_prefix(table: &SourceTable) -> Key {
    format!("{}/{}/", char::from(keys::TABLE_OF_ROW), table.tag).into_bytes()
}

/// The owner of the row that this image or key names.
pub(super) fn owner(
    row: Option<&Row<'_>>,
    table: &SourceTable,
    source: Option<&Source<'_>>,
    is_gone: bool,
) -> Option<Box<Owner>> {
    let identity = table.identity(row?).ok().flatten()?;
    let mut key = owner_prefix(table);
    key.extend(serde_json::to_string(&identity).ok()?.into_bytes());
    Some(Box::new(Owner { key, source: source.map(|source| origin(source).to_string()), is_gone }))
}

/// What a tombstone asks for: the row of its key is no more.
pub(super) enum Tombstone<'a> {
    /// As a delete.
    Row(Box<Change<'a>>),
    /// It names no row.
    Nothing,
    Dead(String),
    Halt(String),
}

/// A tombstone that names no row, where keys are not those of rows, says nothing. One whose key cannot be read must not
/// be passed over, unless it directly follows a delete with the same key.
pub(super) fn tombstone<'a>(
    key: Result<Option<Row<'a>>, ParseError>,
    table: &'a SourceTable,
    timestamp_ms: i64,
    follows_delete: bool,
    exceptions: &Exceptions,
) -> Tombstone<'a> {
    let key = match key {
        Ok(Some(key)) => key,
        Ok(None) => return Tombstone::Nothing,
        // The delete right before it said the same.
        Err(_) if follows_delete => return Tombstone::Nothing,
        Err(problem) => {
            return Tombstone::Dead(format!(
                "a tombstone (a null value: the row of this key is gone) whose key cannot be read: {problem}. Set \
                 key.converter=org.apache.kafka.connect.json.JsonConverter, or tombstones.on.delete=false where \
                 deletes come before them"
            ));
        }
    };
    if let Err(why) = judge_key(Some(&key), table, exceptions) {
        return Tombstone::Halt(why);
    }
    if exceptions.allows_columns(&table.name) && !matches!(table.identity(&key), Ok(Some(_))) {
        return Tombstone::Nothing;
    }
    let source = Source::unsaid(Cow::Borrowed(&table.name), timestamp_ms.max(0));
    Tombstone::Row(Box::new(Change {
        op: Op::Delete,
        source,
        key: Some(key),
        key_problem: None,
        before: None,
        after: None,
        ts_ms: None,
        doubts: debezium::Doubts::default(),
    }))
}
