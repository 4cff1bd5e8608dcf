//! Exactly-once on single items, decided: which request to send for what a partition asks of one item, given the
//! item as last seen. No I/O, no clock. `tests/keyed_model/` attacks it with zombies, lost answers and the rest.
//!
//! Every item holds `gen`, and for each partition that feeds it one *entry*: the last offset applied and the share
//! that this partition contributes. The parts that an item gets from one partition are a function of the log alone,
//! and an item always holds a prefix of them. So:
//!
//! * a write to a row with a sum says which entry it replaces; where another stands, the condition fails, the item comes
//!   back, and the write is aimed anew. A row without a sum has one owner: its write says which offsets it may replace;
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

pub use super::entry::{read_entry, write_entry};
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
}

/// Items with one owner.
#[derive(Debug, Clone, Default)]
pub struct Row {
    /// Attributes of the owner's part, in its order.
    pub columns: Vec<&'static str>,
    /// What indexes are made by, beside attributes that are there anyway.
    pub indexed: Vec<IndexKey>,
}

/// Items of an owner's row and a sum. A quantity is made of both, and flagged below a limit.
#[derive(Debug, Clone)]
pub struct Sum {
    /// Attributes of the owner's part, in its order.
    pub columns: Vec<&'static str>,
    /// Which of them is the base: a whole number. An item without it does not exist for readers.
    pub base: usize,
    /// Attribute of the sum of all partitions' shares.
    pub sum: &'static str,
    /// Attribute of the quantity.
    pub quantity: &'static str,
    /// The quantity is the base less the sum; else it is the base, and the sum is only shown.
    pub is_less_sum: bool,
    /// Attribute that is 1 while the quantity is below the limit, else not there: an alert stands as long.
    pub flag: &'static str,
    pub below: i64,
}
impl Sum {
    /// The attribute of the base.
    pub fn base_name(&self) -> &'static str {
        self.columns[self.base]
    }
    fn base_of(&self, row: &[Cell]) -> Option<i128> {
        row.get(self.base).and_then(Cell::int).map(i128::from)
    }
    /// The quantity of an item with this base (`None`: it does not exist for readers) and this sum.
    pub fn quantity_of(&self, base: Option<i128>, sum: i128) -> i128 {
        let base = base.unwrap_or(0);
        if self.is_less_sum { base - sum } else { base }
    }
    fn is_flagged(&self, base: Option<i128>, sum: i128) -> bool {
        base.is_some() && self.quantity_of(base, sum) < i128::from(self.below)
    }
}

/// One partition's writes for one item, coalesced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Of every write that is not known to be in the table; ascending.
    pub offsets: Vec<i64>,
    own: Option<(i64, Option<Vec<Cell>>)>,
    own_first: Option<i64>,
    share: Option<(i64, i64)>,
    source_ts_ms: i64,
}
impl Ask {
    /// Takes over the next write of the item. Offsets ascend.
    pub fn add(&mut self, write: &Write) -> Result<(), Refusal> {
        let offset = write.offset;
        match &write.op {
            Op::Put(row) => self.set_own(offset, Some(row.clone())),
            Op::Delete => self.set_own(offset, None),
            Op::Share(share) => {
                let sum = match share.first() {
                    None | Some(Cell::Null) => 0,
                    Some(Cell::Int(n)) => *n,
                    Some(_) => {
                        let reason = format!("{}: a share is not a whole number", write.view);
                        return Err(Refusal { offset, reason });
                    }
                };
                self.share = Some((offset, sum));
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
    /// Of this partition, the last offset in the item, and its share; -1 and 0 where it has no entry.
    at: Option<i64>,
    share: i64,
    owner: Owner,
    sum: i128,
    base: Option<i128>,
    flagged: bool,
    live: bool,
    expires_at: Option<i128>,
    pub quantity: i128,
    /// Alerts that nobody is known to have published.
    pub due: BTreeSet<String>,
}
impl Sight {
    fn at(&self) -> i64 {
        self.at.unwrap_or(-1)
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
        Step::Send(self.aim(ask, seen))
    }

    /// The request that fits the item as last seen, whatever offset that holds.
    pub fn aim(&self, ask: &Ask, seen: Option<&Sight>) -> Request {
        let ours = seen.filter(|s| s.generation == self.generation);
        match self.shape {
            Shape::Row(row) => self.aim_row(row, ask),
            Shape::Sum(sum) => sum.aim(self, ask, ours),
        }
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
        let number = |name: &str| match item.get(name) {
            None => Ok(None),
            Some(Value::Int(n)) => Ok(Some(*n)),
            Some(_) => Err(format!("attribute `{name}` is not a whole number")),
        };
        let offset = |name: &str| {
            let wide = number(name)?;
            wide.map(i64::try_from)
                .transpose()
                .map_err(|_| format!("attribute `{name}` is too large"))
        };
        let (at, share) = match (self.shape, item.get(self.entry)) {
            (Shape::Row(_), _) => (offset(AT)?, 0),
            (_, None) => (None, 0),
            (_, Some(Value::Bytes(bytes))) => match read_entry(bytes) {
                Some((at, share)) => (Some(at), share),
                None => return Err(format!("attribute `{}` is unreadable", self.entry)),
            },
            _ => return Err(format!("attribute `{}` is not binary", self.entry)),
        };
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
        let generation = offset(GEN)?.unwrap_or(0);
        let (always, sum) = match self.shape {
            Shape::Row(_) => (AT, None),
            Shape::Sum(sum) => (sum.sum, Some(sum)),
        };
        if generation > 0 && !item.contains_key(always) {
            return Err(format!("attribute `{always}` is missing"));
        }
        Ok(Sight {
            generation,
            at,
            share,
            owner,
            sum: sum.map_or(Ok(None), |sum| number(sum.sum))?.unwrap_or(0),
            base: sum.map_or(Ok(None), |sum| number(sum.base_name()))?,
            flagged: sum.is_some_and(|sum| item.contains_key(sum.flag)),
            live: item.contains_key(LIVE),
            expires_at: number(EXPIRES)?,
            quantity: sum.map_or(Ok(None), |sum| number(sum.quantity))?.unwrap_or(0),
            due,
        })
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

    /// One request for everything: put, delete, create, replace. The condition needs no look at the item.
    fn aim_row(&self, shape: &Row, ask: &Ask) -> Request {
        let last = ask.last();
        let mut item = self.stamped(ask);
        item.insert(AT.into(), last.into());
        item.insert(OWN.into(), self.own());
        match ask.own.as_ref().and_then(|own| own.1.as_ref()) {
            Some(row) => {
                item.insert(LIVE.into(), Value::Int(1));
                item.extend(attributes(&shape.columns, row));
                index(&shape.indexed, &mut item);
            }
            None => drop(item.insert(EXPIRES.into(), self.expiry().into())),
        }
        let earlier = When::All(vec![
            When::Is(GEN.into(), self.generation.into()),
            When::Below(AT.into(), last.into()),
            self.is_ours_or_nobodys(),
        ]);
        let [none, older] = self.older_or_none();
        Request { action: Action::Put(item), condition: When::Any(vec![none, older, earlier]) }
    }

    /// What every item begins with.
    fn stamped(&self, ask: &Ask) -> Item {
        let generation = (GEN.to_owned(), Value::from(self.generation));
        let changed = (CHANGED.to_owned(), Value::from(ask.source_ts_ms));
        let updated = (UPDATED.to_owned(), self.now());
        Item::from([generation, changed, updated])
    }
}

/// What an item with a sum holds after the write, if it is as it was seen.
struct Aimed {
    delta: i128,
    base: Option<i128>,
    flagged: bool,
    entry: Value,
}
impl Sum {
    fn aim(&self, writer: &Writer<'_>, ask: &Ask, ours: Option<&Sight>) -> Request {
        let fresh = Sight::default();
        let old = ours.unwrap_or(&fresh);
        let share = ask.share.map_or(old.share, |share| share.1);
        let delta = i128::from(share) - i128::from(old.share);
        let base = match &ask.own {
            None => old.base,
            Some((_, row)) => row.as_ref().and_then(|row| self.base_of(row)),
        };
        let flagged = self.is_flagged(base, old.sum + delta);
        let entry = Value::Bytes(write_entry(ask.last(), share));
        let aimed = Aimed { delta, base, flagged, entry };
        match ours {
            Some(old) => self.update(writer, ask, old, aimed),
            None => self.create(writer, ask, aimed),
        }
    }

    fn create(&self, writer: &Writer<'_>, ask: &Ask, aimed: Aimed) -> Request {
        let mut item = writer.stamped(ask);
        item.insert(writer.entry.to_owned(), aimed.entry);
        item.insert(self.sum.into(), Value::Int(aimed.delta));
        item.insert(self.quantity.into(), Value::Int(self.quantity_of(aimed.base, aimed.delta)));
        if let Some((_, row)) = &ask.own {
            item.insert(OWN.into(), writer.own());
            item.extend(attributes(&self.columns, row.as_deref().unwrap_or_default()));
        }
        if aimed.flagged {
            item.insert(self.flag.into(), Value::Int(1));
            item.insert(DUE.into(), Value::Words(BTreeSet::from([writer.alert(ask.last())])));
        }
        let condition = When::Any(writer.older_or_none().into());
        Request { action: Action::Put(item), condition }
    }

    fn update(&self, writer: &Writer<'_>, ask: &Ask, old: &Sight, aimed: Aimed) -> Request {
        let entry = writer.entry.to_owned();
        let mut when = vec![
            When::Is(GEN.into(), writer.generation.into()),
            match old.at {
                Some(at) => When::Is(entry.clone(), Value::Bytes(write_entry(at, old.share))),
                None => When::Missing(entry.clone()),
            },
        ];
        let mut changes = vec![
            Change::Grow(self.sum, aimed.delta),
            Change::Set(CHANGED, ask.source_ts_ms.into()),
            Change::Set(UPDATED, writer.now()),
        ];
        changes.push(Change::SetEntry(entry, aimed.entry.clone()));
        changes.extend(self.quantity_change(ask, &aimed));
        if let Some((_, row)) = &ask.own {
            when.push(writer.is_ours_or_nobodys());
            changes.push(Change::Set(OWN, writer.own()));
            changes.extend(self.own_changes(row.as_deref().unwrap_or_default()));
        }
        let moves = ask.own.is_some() || self.is_less_sum;
        if moves {
            when.extend(self.flag_condition(ask, old, &aimed));
            match (old.flagged, aimed.flagged) {
                (false, true) => {
                    let name = BTreeSet::from([writer.alert(ask.last())]);
                    let flag = Change::Set(self.flag, Value::Int(1));
                    changes.extend([flag, Change::Insert(DUE, name)]);
                }
                (true, true) => {}
                (_, false) => changes.push(Change::Remove(self.flag)),
            }
        }
        Request { action: Action::Update(changes), condition: When::All(when) }
    }

    fn own_changes(&self, row: &[Cell]) -> Vec<Change> {
        let value = |i: usize| row.get(i).and_then(Value::of);
        let change = |(i, name): (usize, &&'static str)| match value(i) {
            Some(value) => Change::Set(name, value),
            None => Change::Remove(name),
        };
        self.columns.iter().enumerate().map(change).collect()
    }

    /// From the base when it is part of the write, so that it is right whatever others added in the meantime.
    fn quantity_change(&self, ask: &Ask, aimed: &Aimed) -> Option<Change> {
        let base = aimed.base.unwrap_or(0);
        match (self.is_less_sum, ask.own.is_some()) {
            (true, true) => Some(Change::Less(self.quantity, base - aimed.delta, self.sum)),
            (true, false) => Some(Change::Grow(self.quantity, -aimed.delta)),
            (false, true) => Some(Change::Set(self.quantity, Value::Int(base))),
            (false, false) => None,
        }
    }

    /// Holds only where the write leaves the quantity below the limit, or not below it, as aimed; and for below, where
    /// the flag is as seen: a crossing raises its alert once, a quantity that stays below raises none.
    fn flag_condition(&self, ask: &Ask, old: &Sight, aimed: &Aimed) -> Vec<When> {
        let below = i128::from(self.below);
        let mut when = vec![];
        match (ask.own.is_some(), self.is_less_sum, aimed.base) {
            // base - sum - delta < below
            (true, true, Some(base)) => {
                let edge = base - aimed.delta - below;
                let sum = self.sum.to_owned();
                when.push(if aimed.flagged {
                    When::Above(sum, edge)
                } else {
                    When::AtMost(sum, edge)
                });
            }
            (true, ..) => {}
            // quantity - delta < below, where there is a row
            (false, ..) => {
                let edge = below + aimed.delta;
                let (base, quantity) = (self.base_name().to_owned(), self.quantity.to_owned());
                if aimed.flagged {
                    when.extend([When::Present(base), When::Below(quantity, edge)]);
                } else {
                    let enough = [When::Missing(base), When::AtLeast(quantity, edge)];
                    when.push(When::Any(enough.into()));
                }
            }
        }
        if aimed.flagged {
            let flag = self.flag.to_owned();
            when.push(if old.flagged { When::Present(flag) } else { When::Missing(flag) });
        }
        when
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
