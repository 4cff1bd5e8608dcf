//! What a change means: [`Handler`] turns changes into writes to views. Two steps, so that the only one that can
//! fail cannot have touched the state.
#![deny(clippy::disallowed_methods)]

mod rows;

pub use rows::{Changed, Rows, Unstorable};

use crate::source_table::SourceTable;
use debezium::Change;
use foldhash::fast::RandomState;
use rows::Kept;
use serde::{Serialize, de::DeserializeOwned};
use sinks::{Cell, Decimal, Key, Op, View, Write};
use std::{collections::HashSet, sync::Arc};

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

    /// Still more of them, that only a fact and a stored row together lead to: a column that was not sent, say. `facts`
    /// are those of the pending batch, in their order; `known` has what `needs` asked for.
    fn follow_all(
        &self,
        _facts: &mut dyn Iterator<Item = &Self::Fact>,
        _known: &Rows,
        _keys: &mut Keys,
    ) {
    }

    /// Infallible but for [`Step::halt`], and a function of its arguments only: no clock, no randomness, no I/O. Works from
    /// the last row applied to the new one, never from `before`.
    fn apply(&self, fact: Self::Fact, step: &mut Step<'_>);

    /// The rows that a truncate of this table removes: the prefix of their keys. Only asked for tables whose topic
    /// has one partition (elsewhere a truncate has no order against the other partitions, and halts).
    fn truncated(&self, table: &str) -> Option<Key>;

    /// The fact that this stored row is gone.
    fn gone(&self, key: &[u8]) -> Option<Self::Fact>;
}

/// Keys of state rows, collected.
#[derive(Debug, Default)]
pub struct Keys {
    all: HashSet<Key, RandomState>,
    /// Reused for keys of shares: most are asked for often.
    share: Key,
}
impl Keys {
    /// A row that the handler keeps.
    pub fn row(&mut self, key: impl Into<Key>) {
        self.all.insert(key.into());
    }
    /// This partition's share of a view's row.
    pub fn share(&mut self, view: &'static str, key: &[Cell]) {
        self.share.clear();
        sinks::write_share_key(&mut self.share, view, key);
        if !self.all.contains(&self.share) {
            self.all.insert(self.share.clone());
        }
    }
    /// The collected keys, smallest first.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        let mut keys: Vec<&Key> = self.unordered().collect();
        keys.sort_unstable();
        keys.into_iter()
    }
    pub(crate) fn unordered(&self) -> impl Iterator<Item = &Key> {
        self.all.iter()
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

    /// The row kept under this key. What comes back of a row is what JSON says of it: a type whose values it changes
    /// must not be kept.
    pub fn row<T: DeserializeOwned + Clone + 'static>(&mut self, key: &[u8]) -> Option<T> {
        self.rows.row(key)
    }
    /// Keeps a row under this key, in place of the one that was there.
    pub fn keep<T: Serialize + Clone + Send + 'static>(&mut self, key: impl Into<Key>, row: &T) {
        let (row, offset) = (Box::new(row.clone()), self.offset);
        self.rows.set(key.into(), Kept::Held { row, offset });
    }
    /// The row of cells kept under this key.
    pub fn cells(&mut self, key: &[u8]) -> Option<Arc<[Cell]>> {
        self.rows.cells(key)
    }
    /// Keeps a row of cells under this key, in place of the one that was there.
    pub fn keep_cells(&mut self, key: impl Into<Key>, row: Arc<[Cell]>) {
        self.rows.set(key.into(), Kept::Cells(row));
    }
    /// Keeps no row under this key any more.
    pub fn drop_row(&mut self, key: impl Into<Key>) {
        self.rows.set(key.into(), Kept::Nothing);
    }

    /// The owner's part of a view's row becomes this.
    pub fn put(&mut self, view: &'static str, key: Vec<Cell>, row: Vec<Cell>) {
        self.write(view, key, Op::Put(row));
    }
    pub fn delete(&mut self, view: &'static str, key: Vec<Cell>) {
        self.write(view, key, Op::Delete);
    }

    /// This partition's share of a view's row; empty if it has none.
    pub fn share(&mut self, view: &'static str, key: &[Cell]) -> Vec<Cell> {
        self.cells(&sinks::share_key(view, key)).map(|share| share.to_vec()).unwrap_or_default()
    }
    /// Makes the partition's share of a view's row what `change` makes of it (empty: there is none), in the state and in
    /// the view. Nothing is written where it stays as it was.
    pub fn change_share(
        &mut self,
        view: &'static str,
        key: Vec<Cell>,
        change: impl FnOnce(&mut Self, Vec<Cell>) -> Vec<Cell>,
    ) {
        let at = sinks::share_key(view, &key);
        let before = self.cells(&at);
        let before = before.as_deref().unwrap_or_default();
        let share = change(self, before.to_vec());
        if share != before {
            self.put_share(at, view, key, share);
        }
    }
    /// Makes this the partition's share of a view's row, in the state and in the view; an empty one removes it.
    pub fn set_share(&mut self, view: &'static str, key: Vec<Cell>, share: Vec<Cell>) {
        let at = sinks::share_key(view, &key);
        self.put_share(at, view, key, share);
    }
    fn put_share(&mut self, at: Key, view: &'static str, key: Vec<Cell>, share: Vec<Cell>) {
        if share.is_empty() {
            self.drop_row(at);
        } else {
            self.keep_cells(at, share.as_slice().into());
        }
        self.write(view, key, Op::Share(share));
    }

    /// The record cannot be applied, and nothing behind it may be: the partition halts before it, with this sentence, and
    /// what the step has done comes to nothing. For what [`Handler::read`] could not know, which is no dead letter.
    pub fn halt(&mut self, why: String) {
        self.rows.fault.get_or_insert(why);
    }

    fn write(&mut self, view: &'static str, key: Vec<Cell>, op: Op) {
        let (offset, source_ts_ms) = (self.offset, self.source_ts_ms);
        self.writes.push(Write { offset, source_ts_ms, view, key, op });
    }
}

/// `amount` rows, added to or taken from a share column that counts or sums.
///
/// A sum of negative scale (`1E7`, ten million in one digit) is written out before anything is added to it: its scale is
/// then that of its plain text.
pub fn plus(cell: Option<&Cell>, amount: &Decimal) -> Cell {
    match cell.and_then(Cell::decimal) {
        Some(sum) if sum.fractional_digit_count() < 0 => Cell::Decimal(sum.written_out() + amount),
        Some(sum) => Cell::Decimal(sum + amount),
        None => Cell::Decimal(amount.clone()),
    }
}
