//! Exactly-once on single items, decided: which request to send for what a partition asks of one item, given the
//! item as last seen. No I/O, no clock. `tests/keyed_model/` attacks it with zombies, lost answers and the rest.
//!
//! Every item holds `gen`, and for each partition that feeds it one *entry*: the last offset applied and the share
//! that this partition contributes. The parts that an item gets from one partition are a function of the log alone,
//! and an item always holds a prefix of them. So:
//!
//! * a write to a row with a sum says which entry it replaces; where another stands, the condition fails, the item comes
//!   back, and the write is aimed anew. A row without a sum has one owner: its write says which offsets it may replace.
//!   A row that is merged of anything else says which version it was made from ([`Merged`]);
//! * `own` names the partition that writes the owner's part, from its first write on, also of a deleted row. Each such
//!   write says that it is this one, or none yet: a second one is never stored, and its partition stops;
//! * no write carries an offset at or below the one seen in the item: it is there already;
//! * a write without visible effect is sent all the same: it moves the offset;
//! * a deleted row leaves a hidden tombstone, which holds the offset (and the sum) against late writes;
//! * an older generation's item is replaced whole, once; a newer generation's stops this one for good;
//! * flag and alert ride in the update that crosses the threshold, and its condition says that it crosses.
//!
//! Absent on purpose: locks, leases, a bound on delays, deletion of items, retries.
#![deny(clippy::disallowed_methods)]

mod merged;
mod row;
mod sum;

pub use super::entry::{Entry, read_entry, write_entry};
pub use merged::{Merged, OWN_PART, VERSION};
pub use row::Row;
pub use sum::Sum;

use super::request::{Action, Change, Item, Request, Value, When};
use crate::{Cell, IndexKey, Op, Refusal, Write};
use chrono::{DateTime, SecondsFormat};
use std::collections::BTreeSet;

pub const GEN: &str = "gen";
pub const DUE: &str = "alerts_due";
pub const AT: &str = "at";
/// The entry name of the partition that owns the row; not there before its first write.
pub const OWN: &str = "own";
pub const LIVE: &str = "live";
pub const EXPIRES: &str = "expires_at";
pub const CHANGED: &str = "source_ts_ms";
pub const UPDATED: &str = "updated_at";

/// A row's tombstone outlives every write that may still arrive by weeks; one that is met in its second half lives on.
pub const TOMBSTONE_SECS: i64 = 30 * 24 * 3600;

/// What the items of a table look like.
#[derive(Debug, Clone)]
pub enum Shape {
    /// One owner, absolute values.
    Row(Row),
    /// An owner's row, and a sum that many partitions add to.
    Sum(Sum),
    /// Every partition's share and the owner's part whole, and the row that they make.
    Merged(Box<Merged>),
}
impl Shape {
    fn kind(&self) -> &dyn Kind {
        match self {
            Self::Row(row) => row,
            Self::Sum(sum) => sum,
            Self::Merged(merged) => &**merged,
        }
    }
    /// The attribute without which an item does not exist for readers.
    pub fn shown_by(&self) -> &'static str {
        self.kind().shown_by()
    }
    /// Whether the table removes tombstones after a time: never those that hold what partitions add.
    pub fn expires(&self) -> bool {
        !self.has_entries()
    }
    /// Whether an item has an entry for each partition that writes it; else it has one offset, its owner's.
    pub fn has_entries(&self) -> bool {
        self.kind().has_entries()
    }
    /// A partition's entry as it is stored; `None`: it is none.
    pub fn read_entry(&self, stored: &[u8]) -> Option<Entry> {
        self.kind().read_entry(stored)
    }
    /// What [`Shape::shares_in`] the item of this row has to be.
    pub fn shares_of(&self, row: &[Cell]) -> Cell {
        self.kind().shares_of(row)
    }
    /// One value that shows whether the entries of an item make what readers ought to see; null where there are none.
    pub fn shares_in(&self, item: &Item) -> Cell {
        self.kind().shares_in(item).unwrap_or_else(|| "an entry that cannot be read".into())
    }
}

/// What each shape does in its own way.
trait Kind {
    /// The attribute that every item of ours has.
    fn always(&self) -> &'static str;
    /// See [`Shape::shown_by`].
    fn shown_by(&self) -> &'static str;
    /// See [`Shape::has_entries`].
    fn has_entries(&self) -> bool;
    /// Why a share can never be part of an item.
    fn refuse_share(&self, share: &[Cell]) -> Option<&'static str>;
    /// An entry as it is stored; `None`: it is none.
    fn read_entry(&self, stored: &[u8]) -> Option<Entry>;
    /// See [`Shape::shares_of`].
    fn shares_of(&self, row: &[Cell]) -> Cell;
    /// See [`Shape::shares_in`]; `None`: an entry cannot be read.
    fn shares_in(&self, item: &Item) -> Option<Cell>;
    /// Reads what the shape has to know of an item of this generation, as the partition with this entry sees it. An
    /// error names what cannot be read.
    fn look(&self, item: &Item, entry: &str, sight: &mut Sight) -> Result<(), String>;
    /// The request that fits the item as last seen. `ours`: an item of this generation. An error says why there can be no
    /// such item.
    fn aim(&self, writer: &Writer<'_>, ask: &Ask, ours: Option<&Sight>) -> Result<Request, Unfit>;
}

/// One partition's writes for one item, coalesced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Of every write that is not known to be in the table; ascending.
    pub offsets: Vec<i64>,
    own: Option<(i64, Option<Vec<Cell>>)>,
    own_first: Option<i64>,
    share: Option<(i64, Vec<Cell>)>,
    source_ts_ms: i64,
}
impl Ask {
    /// Takes over the next write of the item, which has this shape. Offsets ascend.
    pub fn add(&mut self, shape: &Shape, write: &Write) -> Result<(), Refusal> {
        let offset = write.offset;
        match &write.op {
            Op::Put(row) => self.set_own(offset, Some(row.clone())),
            Op::Delete => self.set_own(offset, None),
            Op::Share(share) => {
                if let Some(why) = shape.kind().refuse_share(share) {
                    let reason = format!("{}: {why}", write.view);
                    return Err(Refusal { offset, reason });
                }
                self.share = Some((offset, share.clone()));
            }
        }
        self.offsets.push(offset);
        self.source_ts_ms = write.source_ts_ms;
        Ok(())
    }
    fn set_own(&mut self, offset: i64, row: Option<Vec<Cell>>) {
        self.own = Some((offset, row));
        self.own_first.get_or_insert(offset);
    }
    fn last(&self) -> i64 {
        self.offsets.last().copied().unwrap_or(-1)
    }
    fn forget_through(&mut self, at: i64) {
        self.offsets.retain(|offset| *offset > at);
        self.own = self.own.take().filter(|own| own.0 > at);
        self.share = self.share.take().filter(|share| share.0 > at);
    }
}

/// Whose the owner's part of an item is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Owner {
    /// Nobody wrote it yet, or it was written before items said who did.
    #[default]
    Unknown,
    Ours,
    /// The entry name of another partition.
    Other(String),
}

/// What one partition has to know of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// 0: none of ours, to be replaced.
    pub generation: i64,
    /// Of this partition, the last offset in the item.
    at: Option<i64>,
    owner: Owner,
    live: bool,
    expires_at: Option<i128>,
    /// What an alert tells of the item.
    pub value: Option<i64>,
    sum: sum::Held,
    held: merged::Held,
    /// Alerts that nobody is known to have published.
    pub due: BTreeSet<String>,
}
impl Sight {
    fn at(&self) -> i64 {
        self.at.unwrap_or(-1)
    }
    /// About how many bytes of the item it remembers.
    pub(super) fn size(&self) -> usize {
        self.held.size()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// And look again with the item that the answer shows: as it became, or as it stood against the condition.
    Send(Request),
    /// All of it is in the table, by us or another. Publish what the sight says is due, also when another's write
    /// crossed in our name.
    Done,
    /// A newer generation owns the table. There is nothing left to do for this one, ever.
    Superseded(i64),
    /// The row that the write of this offset is for is another partition's, by its entry name. Nothing was sent, and
    /// nothing ever will.
    TwoOwners { offset: i64, owner: String },
    /// There can be no item with all that is in this one and in the ask. Nothing was sent.
    Refused(String),
    /// There is no right row of all that is in this item and in the ask. Nothing was sent, and nothing else may be.
    NoRow(String),
}

/// Why there can be no item with something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// DynamoDB holds no such item: the write is left out, and said.
    Refused(String),
    /// A value of the row cannot be made: see [`crate::View::row`].
    NoRow(String),
}
impl From<Unfit> for Step {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Refused(why) => Self::Refused(why),
            Unfit::NoRow(why) => Self::NoRow(why),
        }
    }
}
impl From<String> for Unfit {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

/// One partition of one generation, writing one table.
#[derive(Debug, Clone)]
pub struct Writer<'a> {
    pub shape: &'a Shape,
    /// Grows with each generation; 1 or more.
    pub generation: i64,
    /// Of this partition's entry in items with a sum: `p0`, `o63`.
    pub entry: &'a str,
    /// `topic/partition`: alerts are named after it.
    pub source: &'a str,
    /// For `updated_at` and `expires_at` only.
    pub now_ms: i64,
}
impl Writer<'_> {
    /// What is next for `ask`, with the item as last seen (`None`: not there, or never looked).
    pub fn next(&self, ask: &mut Ask, seen: Option<&Sight>) -> Step {
        if let Some(sight) = seen {
            if sight.generation > self.generation {
                return Step::Superseded(sight.generation);
            }
            if sight.generation == self.generation {
                if let (Some(_), Owner::Other(owner)) = (&ask.own, &sight.owner) {
                    let offset = ask.own_first.unwrap_or(-1);
                    return Step::TwoOwners { offset, owner: owner.clone() };
                }
                ask.forget_through(sight.at());
                if ask.offsets.is_empty() {
                    return self.renewal(sight).map_or(Step::Done, Step::Send);
                }
            }
        }
        self.aim(ask, seen).map_or_else(Step::from, Step::Send)
    }

    /// The request that fits the item as last seen, whatever offset that holds. An error says why there can be no item
    /// with all of it.
    pub fn aim(&self, ask: &Ask, seen: Option<&Sight>) -> Result<Request, Unfit> {
        let ours = seen.filter(|s| s.generation == self.generation);
        self.shape.kind().aim(self, ask, ours)
    }

    /// Takes published names off an item.
    pub fn told(&self, names: &BTreeSet<String>) -> Request {
        Request {
            action: Action::Update(vec![Change::Take(DUE, names.clone())]),
            condition: When::Is(GEN.into(), self.generation.into()),
        }
    }

    /// The item, as far as this partition needs it. An error names what cannot be read.
    pub fn sight(&self, item: &Item) -> Result<Sight, String> {
        let due = match item.get(DUE) {
            Some(Value::Words(names)) => names.clone(),
            _ => BTreeSet::new(),
        };
        let owner = match item.get(OWN) {
            None => Owner::Unknown,
            Some(Value::Text(name)) if name == self.entry => Owner::Ours,
            Some(Value::Text(name)) => Owner::Other(name.clone()),
            Some(_) => return Err(format!("attribute `{OWN}` is not text")),
        };
        let mut sight = Sight {
            generation: narrow(item, GEN)?.unwrap_or(0),
            owner,
            live: item.contains_key(LIVE),
            expires_at: whole(item, EXPIRES)?,
            due,
            ..Sight::default()
        };
        // Another generation's is replaced whole, or stops this one, whatever it looks like.
        if sight.generation == self.generation {
            let always = self.shape.kind().always();
            if !item.contains_key(always) {
                return Err(format!("attribute `{always}` is missing"));
            }
            self.shape.kind().look(item, self.entry, &mut sight)?;
        }
        Ok(sight)
    }

    /// The name of the alert that the write of `offset` raises.
    pub fn alert(&self, offset: i64) -> String {
        crate::Alert::cause(self.source, offset)
    }

    /// Whether a write of this partition raised it: others leave it alone, unless it stands there for long.
    pub fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(self.source).is_some_and(|rest| rest.starts_with('/'))
    }

    fn now(&self) -> Value {
        let time = DateTime::from_timestamp_millis(self.now_ms).unwrap_or_default();
        Value::Text(time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
    fn expiry(&self) -> i64 {
        self.now_ms / 1000 + TOMBSTONE_SECS
    }

    /// A tombstone that a replay met, and that would go soon, is given its full time again.
    fn renewal(&self, sight: &Sight) -> Option<Request> {
        let near = sight.expires_at? < i128::from(self.expiry() - TOMBSTONE_SECS / 2);
        (near && !sight.live).then(|| Request {
            action: Action::Update(vec![Change::Set(EXPIRES, self.expiry().into())]),
            condition: When::All(vec![
                When::Is(GEN.into(), self.generation.into()),
                When::Missing(LIVE.into()),
            ]),
        })
    }

    fn older_or_none(&self) -> [When; 2] {
        [When::Missing(GEN.into()), When::Below(GEN.into(), self.generation.into())]
    }

    fn own(&self) -> Value {
        Value::Text(self.entry.to_owned())
    }
    /// Holds where the row is this partition's, or nobody's as far as the item says.
    fn is_ours_or_nobodys(&self) -> When {
        When::Any(vec![When::Missing(OWN.into()), When::Is(OWN.into(), self.own())])
    }

    /// What every item begins with.
    fn stamped(&self, ask: &Ask) -> Item {
        let generation = (GEN.to_owned(), Value::from(self.generation));
        let changed = (CHANGED.to_owned(), Value::from(ask.source_ts_ms));
        let updated = (UPDATED.to_owned(), self.now());
        Item::from([generation, changed, updated])
    }
}

/// An attribute of whole numbers. An error names the one that is none.
fn whole(item: &Item, name: &str) -> Result<Option<i128>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::Int(n)) => Ok(Some(*n)),
        Some(_) => Err(format!("attribute `{name}` is not a whole number")),
    }
}
/// The same, of 64 bits.
fn narrow(item: &Item, name: &str) -> Result<Option<i64>, String> {
    let wide = whole(item, name)?.map(i64::try_from).transpose();
    wide.map_err(|_| format!("attribute `{name}` is too large"))
}
/// An attribute of bytes. An error names the one that is none.
fn bytes<'i>(item: &'i Item, name: &str) -> Result<Option<&'i [u8]>, String> {
    match item.get(name) {
        None => Ok(None),
        Some(Value::Bytes(bytes)) => Ok(Some(bytes)),
        Some(_) => Err(format!("attribute `{name}` is not binary")),
    }
}

/// Whether an attribute is named as a partition's entry is: a letter and a number.
pub(super) fn is_entry(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_lowercase())
        && name.len() > 1
        && letters.all(|c| c.is_ascii_digit())
}

pub(super) fn attributes<'a>(
    columns: &'a [&'static str],
    row: &'a [Cell],
) -> impl Iterator<Item = (String, Value)> + 'a {
    columns.iter().zip(row).filter_map(|(name, cell)| Some(((*name).to_owned(), Value::of(cell)?)))
}

/// Adds the attributes that indexes are made by. An index key may be neither empty nor longer than a table key, so a
/// long text is found by its beginning.
pub(super) fn index(keys: &[IndexKey], item: &mut Item) {
    for key in keys {
        match key {
            IndexKey::Column(_) => {}
            IndexKey::Same { name, text } => {
                item.insert((*name).into(), Value::Text((*text).into()));
            }
            IndexKey::Lower { name, of } => {
                let Some(Value::Text(text)) = item.get(*of) else { continue };
                let mut text = text.to_lowercase();
                text.truncate(text.floor_char_boundary(super::LIMITS.partition_key_bytes));
                if !text.is_empty() {
                    item.insert((*name).into(), Value::Text(text));
                }
            }
        }
    }
}
