//! What a change means: [`Handler`] turns changes into writes to views. Two steps, so that the only one that can
//! fail cannot have touched the state.
#![deny(clippy::disallowed_methods)]

use crate::source_table::SourceTable;
use bigdecimal::BigDecimal;
use debezium::Change;
use serde::{Serialize, de::DeserializeOwned};
use sinks::{Cell, Key, Op, View, Write};
use std::collections::{BTreeSet, HashMap};

/// Why a record goes to the DLQ. Names the field and says what to do; never a row value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

impl From<debezium::FieldError> for Reject {
    fn from(e: debezium::FieldError) -> Self {
        Reject(e.to_string())
    }
}

/// Turns the changes of source tables into writes to views.
pub trait Handler: Send + 'static {
    /// What matters of a change, owned: it outlives the record's bytes.
    type Fact: Send + 'static;

    /// The source tables that it reads, in any order. Whoever needs to know something about a table takes it from
    /// here.
    fn tables(&self) -> Vec<SourceTable>;

    /// The views that it writes.
    fn views(&self) -> Vec<View>;

    /// Of every setting and rule that shapes effects, as [`sinks::canonical`] text that names each explicitly; stored
    /// with the position, and another one halts.
    fn fingerprint(&self) -> String;

    /// Reads what matters from a change; `change.source.table` is the name of one of [`Handler::tables`], whatever the
    /// event's was. `None`: not ours, counted as skipped. `Err`: a dead letter.
    /// Whether a record is rejected depends on the record alone.
    fn read(&self, change: &Change<'_>) -> Result<Option<Self::Fact>, Reject>;

    /// The state rows and shares that `apply` will look at or change, as far as the fact tells.
    fn needs(&self, fact: &Self::Fact, keys: &mut Keys);

    /// More of them, found in a row that `needs` asked for: the old row leads to what it counted towards.
    fn follow(&self, _key: &[u8], _row: &[u8], _keys: &mut Keys) {}

    /// Infallible, and a function of its arguments only: no clock, no randomness, no I/O. Works from the last row
    /// applied to the new one, never from `before`.
    fn apply(&self, fact: Self::Fact, step: &mut Step<'_>);

    /// The rows that a truncate of this table removes: the prefix of their keys. Only asked for tables whose topic
    /// has one partition (elsewhere a truncate has no order against the other partitions, and halts).
    fn truncated(&self, table: &str) -> Option<Key>;

    /// The fact that this stored row is gone.
    fn gone(&self, key: &[u8]) -> Option<Self::Fact>;
}

/// Keys of state rows, collected.
#[derive(Debug, Default)]
pub struct Keys(pub(crate) BTreeSet<Key>);
impl Keys {
    /// A row that the handler keeps.
    pub fn row(&mut self, key: impl Into<Key>) {
        self.0.insert(key.into());
    }
    /// This partition's share of a view's row.
    pub fn share(&mut self, view: &'static str, key: &[Cell]) {
        self.0.insert(sinks::share_key(view, key));
    }
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

/// State rows in memory: those a batch may look at, and what it changed.
#[derive(Debug, Default)]
pub struct Rows {
    known: HashMap<Key, Option<Vec<u8>>>,
    changed: BTreeSet<Key>,
    bytes: usize,
    /// A promise was broken (a row nobody asked for, a stored row that cannot be read): halt, apply nothing.
    fault: Option<String>,
}
impl Rows {
    /// As fetched from the state.
    pub fn learn(&mut self, key: Key, row: Option<Vec<u8>>) {
        self.bytes += key.len() + row.as_ref().map_or(0, Vec::len);
        self.known.insert(key, row);
    }
    pub fn knows(&self, key: &[u8]) -> bool {
        self.known.contains_key(key)
    }
    /// The row, if it is known and there.
    pub fn peek(&self, key: &[u8]) -> Option<&[u8]> {
        self.known.get(key)?.as_deref()
    }
    /// What changed since the last call, in key order.
    pub fn take_changed(&mut self) -> Vec<(Key, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|key| (key.clone(), self.known.get(&key).cloned().flatten()))
            .collect()
    }
    pub fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }
    /// About: what was learned and set since the last [`Rows::clear`].
    pub fn bytes(&self) -> usize {
        self.bytes
    }
    pub fn clear(&mut self) {
        self.known.clear();
        self.bytes = 0;
    }
    /// A row that the engine keeps itself, in plain text.
    pub(crate) fn text(&mut self, key: &[u8]) -> Option<&str> {
        std::str::from_utf8(self.get(key)?).ok()
    }
    pub(crate) fn set_text(&mut self, key: Key, text: Option<&str>) {
        self.set(key, text.map(|text| text.as_bytes().to_vec()));
    }
    fn get(&mut self, key: &[u8]) -> Option<&[u8]> {
        match self.known.get(key) {
            Some(row) => row.as_deref(),
            None => {
                self.fault.get_or_insert_with(|| {
                    format!(
                        "the handler used state row {} without asking for it",
                        key.escape_ascii()
                    )
                });
                None
            }
        }
    }
    fn set(&mut self, key: Key, row: Option<Vec<u8>>) {
        if !self.known.contains_key(&key) {
            self.get(&key);
        }
        self.bytes += key.len() + row.as_ref().map_or(0, Vec::len);
        self.changed.insert(key.clone());
        self.known.insert(key, row);
    }
}

/// One record's chance to look at the state and ask for writes.
pub struct Step<'a> {
    rows: &'a mut Rows,
    writes: &'a mut Vec<Write>,
    offset: i64,
    source_ts_ms: i64,
}
impl<'a> Step<'a> {
    pub fn new(
        rows: &'a mut Rows,
        writes: &'a mut Vec<Write>,
        offset: i64,
        source_ts_ms: i64,
    ) -> Self {
        Self { rows, writes, offset, source_ts_ms }
    }

    /// The row kept under this key.
    pub fn row<T: DeserializeOwned>(&mut self, key: &[u8]) -> Option<T> {
        let stored = self.rows.get(key)?;
        match serde_json::from_slice(stored) {
            Ok(row) => Some(row),
            Err(e) => {
                let text = format!("stored state row {} is unreadable: {e}", key.escape_ascii());
                self.rows.fault.get_or_insert(text);
                None
            }
        }
    }
    pub fn keep<T: Serialize>(&mut self, key: impl Into<Key>, row: &T) {
        match serde_json::to_vec(row) {
            Ok(stored) => self.rows.set(key.into(), Some(stored)),
            Err(e) => {
                self.rows.fault.get_or_insert(format!("a state row cannot be stored: {e}"));
            }
        }
    }
    pub fn drop_row(&mut self, key: impl Into<Key>) {
        self.rows.set(key.into(), None);
    }

    /// The owner's part of a view's row becomes this.
    pub fn put(&mut self, view: &'static str, key: Vec<Cell>, row: Vec<Cell>) {
        self.write(view, key, Op::Put(row));
    }
    pub fn delete(&mut self, view: &'static str, key: Vec<Cell>) {
        self.write(view, key, Op::Delete);
    }

    /// This partition's share of a view's row; empty: none.
    pub fn share(&mut self, view: &'static str, key: &[Cell]) -> Vec<Cell> {
        self.row(&sinks::share_key(view, key)).unwrap_or_default()
    }
    /// It becomes this; empty: none. Kept in the state and written to the view.
    pub fn set_share(&mut self, view: &'static str, key: Vec<Cell>, share: Vec<Cell>) {
        let at = sinks::share_key(view, &key);
        if share.is_empty() {
            self.drop_row(at);
        } else {
            self.keep(at, &share);
        }
        self.write(view, key, Op::Share(share));
    }

    fn write(&mut self, view: &'static str, key: Vec<Cell>, op: Op) {
        let (offset, source_ts_ms) = (self.offset, self.source_ts_ms);
        self.writes.push(Write { offset, source_ts_ms, view, key, op });
    }
}

/// `amount` rows, added to or taken from a share column that counts or sums.
pub fn plus(cell: Option<&Cell>, amount: &BigDecimal) -> Cell {
    match cell.and_then(Cell::decimal) {
        Some(sum) => Cell::Decimal(sum + amount),
        None => Cell::Decimal(amount.clone()),
    }
}
