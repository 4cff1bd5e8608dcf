//! Items of an owner's row and one sum. A write is a difference to what stands there, so writes of several partitions
//! need not know each other's shares.
use super::{
    Ask, CHANGED, DUE, Entry, GEN, Kind, OWN, Sight, UPDATED, Unfit, Writer, attributes, bytes,
    is_entry, read_entry, whole, write_entry,
};
use crate::{
    Cell,
    dynamodb::request::{Action, Change, Item, Request, Value, When},
};
use std::collections::BTreeSet;

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
    /// The whole number that a share says; `None`: it says something else.
    pub fn number(share: &[Cell]) -> Option<i64> {
        match share.first() {
            None | Some(Cell::Null) => Some(0),
            Some(cell) => cell.int(),
        }
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

/// What one partition has to know of an item with a sum.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// This partition's share; 0 where it has no entry.
    share: i64,
    sum: i128,
    base: Option<i128>,
    flagged: bool,
}

/// What an item with a sum holds after the write, if it is as it was seen.
struct Aimed {
    delta: i128,
    base: Option<i128>,
    flagged: bool,
    entry: Value,
}
impl Kind for Sum {
    fn always(&self) -> &'static str {
        self.sum
    }
    fn shown_by(&self) -> &'static str {
        self.base_name()
    }
    fn has_entries(&self) -> bool {
        true
    }
    fn refuse_share(&self, share: &[Cell]) -> Option<&'static str> {
        Self::number(share).is_none().then_some("a share is not a whole number")
    }
    fn read_entry(&self, stored: &[u8]) -> Option<Entry> {
        let (offset, share) = read_entry(stored)?;
        Some(Entry { offset, share: vec![share.into()] })
    }
    /// The sum: shown behind the owner's columns.
    fn shares_of(&self, row: &[Cell]) -> Cell {
        row.get(self.columns.len()).cloned().unwrap_or(Cell::Null)
    }
    fn shares_in(&self, item: &Item) -> Option<Cell> {
        let entries = item.keys().filter(|name| is_entry(name));
        let shares = entries.map(|name| Some(read_entry(bytes(item, name).ok()??)?.1));
        shares.sum::<Option<i64>>().map(Cell::Int)
    }
    fn look(&self, item: &Item, entry: &str, sight: &mut Sight) -> Result<(), String> {
        let entry = bytes(item, entry)?
            .map(|bytes| read_entry(bytes).ok_or(format!("attribute `{entry}` is unreadable")))
            .transpose()?;
        sight.at = entry.map(|entry| entry.0);
        sight.sum = Held {
            share: entry.map_or(0, |entry| entry.1),
            sum: whole(item, self.sum)?.unwrap_or(0),
            base: whole(item, self.base_name())?,
            flagged: item.contains_key(self.flag),
        };
        sight.value = i64::try_from(whole(item, self.quantity)?.unwrap_or(0)).ok();
        Ok(())
    }

    fn aim(&self, writer: &Writer<'_>, ask: &Ask, ours: Option<&Sight>) -> Result<Request, Unfit> {
        let nothing = Held::default();
        let old = ours.map_or(&nothing, |sight| &sight.sum);
        let share = match &ask.share {
            Some((_, share)) => {
                Self::number(share).ok_or_else(|| "a share is not a whole number".to_owned())?
            }
            None => old.share,
        };
        let delta = i128::from(share) - i128::from(old.share);
        let base = match &ask.own {
            None => old.base,
            Some((_, row)) => row.as_ref().and_then(|row| self.base_of(row)),
        };
        let flagged = self.is_flagged(base, old.sum + delta);
        let entry = Value::Bytes(write_entry(ask.last(), share));
        let aimed = Aimed { delta, base, flagged, entry };
        Ok(match ours {
            Some(old) => self.update(writer, ask, old, aimed),
            None => self.create(writer, ask, aimed),
        })
    }
}
impl Sum {
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
                Some(at) => When::Is(entry.clone(), Value::Bytes(write_entry(at, old.sum.share))),
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
            match (old.sum.flagged, aimed.flagged) {
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
            when.push(if old.sum.flagged { When::Present(flag) } else { When::Missing(flag) });
        }
        when
    }
}
