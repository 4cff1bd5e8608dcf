//! State rows in memory, as batches look at them and change them.
#![deny(clippy::disallowed_methods)]

use foldhash::fast::RandomState;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;
use sinks::{Cell, Key, decode_row, encode_row};
use std::{
    any::Any,
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

/// State rows in memory: those a batch may look at, and what it changed.
#[derive(Debug, Default)]
pub struct Rows {
    known: HashMap<Key, Slot, RandomState>,
    /// Each key once.
    changed: Vec<Key>,
    bytes: usize,
    /// A promise was broken (a row nobody asked for, a stored row that cannot be read), or the handler asks for it: halt, apply
    /// nothing.
    pub(super) fault: Option<String>,
}

#[derive(Debug)]
struct Slot {
    row: Kept,
    is_changed: bool,
    wanted: Wanted,
}

/// By whom a known row was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// One batch.
    Once,
    /// Another one, when it was known.
    Again,
    /// A batch whose turn has not come.
    Ahead,
}

/// What a known row takes beside its key's bytes and its own: the entry of the table, and two allocations.
const SLOT_BYTES: usize = 120;

/// What stands under a key.
pub(super) enum Kept {
    Nothing,
    /// As the state has it, or will.
    Stored(Vec<u8>),
    /// The same, and what it says: many records of a batch look at some rows.
    Read {
        stored: Vec<u8>,
        cells: Arc<[Cell]>,
    },
    /// As it was kept: encoded once, at the end.
    Cells(Arc<[Cell]>),
    /// As the handler kept it: many records of a batch change the same row, and it is encoded once, at the end.
    Held {
        row: Box<dyn Held>,
        /// The record that made it so.
        offset: i64,
    },
}
/// No row values in logs.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Stored(_) => "Stored",
            Self::Read { .. } => "Read",
            Self::Cells(_) => "Cells",
            Self::Held { .. } => "Held",
        })
    }
}
impl Kept {
    fn stored(&self) -> Result<Option<Cow<'_, [u8]>>, serde_json::Error> {
        match self {
            Self::Nothing => Ok(None),
            Self::Stored(row) | Self::Read { stored: row, .. } => Ok(Some(Cow::Borrowed(row))),
            Self::Cells(row) => Ok(Some(Cow::Owned(encode_row(row)))),
            Self::Held { row, .. } => Ok(Some(Cow::Owned(row.encode()?))),
        }
    }
}

/// A row of any type that a handler keeps.
pub(super) trait Held: Send {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error>;
    fn as_any(&self) -> &dyn Any;
}
impl<T: Serialize + Send + 'static> Held for T {
    fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Rows {
    /// As fetched from the state.
    pub fn learn(&mut self, key: Key, row: Option<Vec<u8>>) {
        self.learn_for(key, row, Wanted::Once);
    }
    /// As fetched for a batch whose turn has not come. What is known already stays.
    pub(crate) fn learn_ahead(&mut self, rows: impl Iterator<Item = (Key, Option<Vec<u8>>)>) {
        for (key, row) in rows {
            if !self.knows(&key) {
                self.learn_for(key, row, Wanted::Ahead);
            }
        }
    }
    fn learn_for(&mut self, key: Key, row: Option<Vec<u8>>, wanted: Wanted) {
        self.bytes += SLOT_BYTES + key.len() + row.as_ref().map_or(0, Vec::len);
        let row = row.map_or(Kept::Nothing, Kept::Stored);
        match self.known.entry(key) {
            Entry::Occupied(mut slot) => slot.get_mut().row = row,
            Entry::Vacant(place) => {
                place.insert(Slot { row, is_changed: false, wanted });
            }
        }
    }
    /// Those of these keys that are not known, smallest first.
    pub(crate) fn unknown<'k>(&mut self, keys: impl Iterator<Item = &'k Key>) -> Vec<Key> {
        let mut unknown = Vec::new();
        for key in keys {
            match self.known.get_mut(key) {
                Some(slot) if slot.wanted == Wanted::Ahead => slot.wanted = Wanted::Once,
                Some(slot) => slot.wanted = Wanted::Again,
                None => unknown.push(key.clone()),
            }
        }
        unknown.sort_unstable();
        unknown
    }
    /// About how many bytes the known rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
    /// Where the rows take more than this, forgets those that were wanted once only; where the others still take more
    /// than half of it, those as well. What was fetched ahead stays: its batch comes next. Nothing may be changed and not
    /// taken.
    pub(crate) fn shrink(&mut self, bytes_max: usize) {
        if self.bytes <= bytes_max {
            return;
        }
        let (mut again, mut ahead) = (0, 0);
        self.known.retain(|key, slot| {
            let row = match std::mem::replace(&mut slot.row, Kept::Nothing) {
                Kept::Read { stored, .. } => Kept::Stored(stored),
                row => row,
            };
            let row_bytes = if let Kept::Stored(row) = &row { row.len() } else { 0 };
            slot.row = row;
            let bytes = SLOT_BYTES + key.len() + row_bytes;
            match slot.wanted {
                Wanted::Once => return false,
                Wanted::Again => again += bytes,
                Wanted::Ahead => ahead += bytes,
            }
            true
        });
        if again > bytes_max / 2 {
            self.known.retain(|_, slot| slot.wanted == Wanted::Ahead);
            again = 0;
        }
        for slot in self.known.values_mut().filter(|slot| slot.wanted == Wanted::Again) {
            slot.wanted = Wanted::Once;
        }
        self.bytes = again + ahead;
    }
    pub fn knows(&self, key: &[u8]) -> bool {
        self.known.contains_key(key)
    }
    /// The row as it is stored, if it is known and there. Encodes one that was kept since the last
    /// [`Rows::take_changed`].
    pub fn peek(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.known.get(key)?.row.stored().ok().flatten()
    }
    /// What changed since the last call, in key order.
    ///
    /// # Errors
    /// A row cannot be stored. What was learned and changed is of no more use then.
    pub fn take_changed(&mut self) -> Result<Changed, Unstorable> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        let mut rows = Vec::with_capacity(changed.len());
        let mut unstorable: Option<Unstorable> = None;
        for key in changed {
            let Some(slot) = self.known.get_mut(&key) else { continue };
            slot.is_changed = false;
            let encoded = match &slot.row {
                Kept::Nothing | Kept::Stored(_) | Kept::Read { .. } => None,
                Kept::Cells(row) => Some(encode_row(row)),
                Kept::Held { row, offset } => match row.encode() {
                    Ok(stored) => Some(stored),
                    Err(e) => {
                        if unstorable.as_ref().is_none_or(|known| *offset < known.offset) {
                            let why =
                                format!("a state row cannot be stored: {}", without_values(&e));
                            unstorable = Some(Unstorable { offset: *offset, why });
                        }
                        None
                    }
                },
            };
            if let Some(stored) = encoded {
                self.bytes += stored.len();
                slot.row = Kept::Stored(stored);
            }
            let row = match &slot.row {
                Kept::Stored(row) | Kept::Read { stored: row, .. } => Some(row.clone()),
                Kept::Nothing | Kept::Cells(_) | Kept::Held { .. } => None,
            };
            rows.push((key, row));
        }
        unstorable.map_or(Ok(rows), Err)
    }
    pub fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }
    /// A row that the engine keeps itself, in plain text.
    pub(crate) fn text(&mut self, key: &[u8]) -> Option<&str> {
        match self.get(key)? {
            Kept::Stored(row) | Kept::Read { stored: row, .. } => std::str::from_utf8(row).ok(),
            Kept::Nothing | Kept::Cells(_) | Kept::Held { .. } => None,
        }
    }
    pub(crate) fn set_text(&mut self, key: Key, text: Option<&str>) {
        let row = text.map(|text| text.as_bytes().to_vec());
        self.bytes += row.as_ref().map_or(0, Vec::len);
        self.set(key, row.map_or(Kept::Nothing, Kept::Stored));
    }
    pub(super) fn cells(&mut self, key: &[u8]) -> Option<Arc<[Cell]>> {
        let Some(slot) = self.known.get_mut(key) else {
            self.fault.get_or_insert_with(|| unasked(key));
            return None;
        };
        let read = match &slot.row {
            Kept::Nothing => return None,
            Kept::Cells(row) | Kept::Read { cells: row, .. } => return Some(Arc::clone(row)),
            kept => kept.stored().ok().flatten().and_then(|stored| decode_row(&stored)),
        };
        let Some(cells) = read.map(Arc::<[Cell]>::from) else {
            let text = format!(
                "stored state row {} is unreadable: it is no row of cells",
                key.escape_ascii()
            );
            self.fault.get_or_insert(text);
            return None;
        };
        if let Kept::Stored(stored) = &mut slot.row {
            let stored = std::mem::take(stored);
            self.bytes += size_of_val(&*cells) + cells.iter().map(Cell::memory).sum::<usize>();
            slot.row = Kept::Read { stored, cells: Arc::clone(&cells) };
        }
        Some(cells)
    }
    pub(super) fn row<T: DeserializeOwned + Clone + 'static>(&mut self, key: &[u8]) -> Option<T> {
        let kept = self.get(key)?;
        if let Kept::Held { row, .. } = kept
            && let Some(row) = row.as_any().downcast_ref::<T>()
        {
            return Some(row.clone());
        }
        let read = kept.stored().and_then(|stored| match stored {
            Some(stored) => serde_json::from_slice(&stored).map(Some),
            None => Ok(None),
        });
        read.unwrap_or_else(|e| {
            let why = without_values(&e);
            let text = format!("stored state row {} is unreadable: {why}", key.escape_ascii());
            self.fault.get_or_insert(text);
            None
        })
    }
    fn get(&mut self, key: &[u8]) -> Option<&Kept> {
        match self.known.get(key) {
            Some(slot) => Some(&slot.row),
            None => {
                self.fault.get_or_insert_with(|| unasked(key));
                None
            }
        }
    }
    pub(super) fn set(&mut self, key: Key, row: Kept) {
        match self.known.entry(key) {
            Entry::Occupied(mut place) => {
                if !place.get().is_changed {
                    self.bytes += place.key().len();
                    self.changed.push(place.key().clone());
                }
                let slot = place.get_mut();
                (slot.row, slot.is_changed) = (row, true);
            }
            Entry::Vacant(place) => {
                self.fault.get_or_insert_with(|| unasked(place.key()));
                self.bytes += place.key().len();
                self.changed.push(place.key().clone());
                place.insert(Slot { row, is_changed: true, wanted: Wanted::Once });
            }
        }
    }
}

/// State rows and what they are now; `None`: gone.
pub type Changed = Vec<(Key, Option<Vec<u8>>)>;

/// A row that a handler kept cannot be written as JSON.
#[derive(Debug)]
pub struct Unstorable {
    /// The record whose handling made the row so; all that came before it can be stored.
    pub offset: i64,
    /// Without values of the row.
    pub why: String,
}

/// What kind of error it is, and where. Its own text may quote the row.
fn without_values(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        Category::Io => "it is not written out",
        Category::Syntax => "it is no JSON",
        Category::Data => "it has another form than the handler's type",
        Category::Eof => "it ends too early",
    };
    format!("{kind} (column {})", error.column())
}

fn unasked(key: &[u8]) -> String {
    format!("the handler used state row {} without asking for it", key.escape_ascii())
}
