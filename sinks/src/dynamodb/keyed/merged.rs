//! Items that hold everything a row is made of: every partition's whole share and the owner's part. So they take any
//! view with any expressions. Each write replaces the writer's own entry, merges all of them anew, and stores what
//! readers see beside them.
//!
//! What a write makes depends on all entries, so it stands only for the item that it was made from. `v` counts the
//! writes of an item, and each is conditional on the count as seen. Where another partition was faster, the condition
//! fails and the item comes back, and the write is made anew from it: of any number of writers one always gets on.
//! DynamoDB bills a failed condition as a write. So a row that many partitions write at once costs more here than one
//! with one sum ([`super::Sum`]), whose writes are differences and fit whatever others added.
//!
//! An item of which nothing is left may be removed, and be made anew with a count that begins anew. So a write also names
//! one entry as it was seen: in another life of the item no partition has the same one.
use super::{
    Ask, CHANGED, DUE, GEN, Kind, LIVE, OWN, Sight, UPDATED, Unfit, Writer, attributes, bytes,
    index, is_entry, whole,
};
use crate::{
    Cell, Decimal, IndexKey, View, decode_row,
    dynamodb::{
        LIMITS,
        entry::Entry,
        request::{Action, Change, Item, Request, Value, When},
    },
    encode_row,
};
use std::collections::{BTreeMap, BTreeSet};

/// How many writes made the item, those of this generation alone; 1 or more.
pub const VERSION: &str = "v";
/// The owner's part as [`encode_row`] has it; not there where there is none.
pub const OWN_PART: &str = "own_part";

/// What an entry takes in memory beside its share: its name, the share's allocation, its place in the map.
const ENTRY_BYTES: usize = 120;

/// Of DynamoDB, for the text of an update.
const EXPRESSION_BYTES_MAX: usize = 4096;
/// What an update says beside the shown columns, at most; and of each column, which it names by a number.
const EXPRESSION_BYTES: usize = 300;
const EXPRESSION_BYTES_EACH: usize = "#n123 = :v123, ".len();

/// Items of merged shares, and of an owner's part where the view has one.
#[derive(Debug, Clone)]
pub struct Merged {
    view: View,
    columns: Vec<&'static str>,
    /// What indexes are made by, beside attributes that are there anyway.
    indexed: Vec<IndexKey>,
    /// Every attribute that readers see; those that a row does not have are not in its item.
    shown: Vec<&'static str>,
}

/// All that a row is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// See [`VERSION`]; 0: there is no item yet.
    version: i128,
    own: Option<Vec<Cell>>,
    entries: BTreeMap<String, Entry>,
}
impl Held {
    /// What the item holds. An error names what cannot be read.
    fn of(item: &Item) -> Result<Self, String> {
        let unreadable = |name: &str| format!("attribute `{name}` is unreadable");
        let mut entries = BTreeMap::new();
        for name in item.keys().filter(|name| is_entry(name)) {
            let entry = bytes(item, name)?.and_then(Entry::read);
            entries.insert(name.clone(), entry.ok_or_else(|| unreadable(name))?);
        }
        let own = bytes(item, OWN_PART)?
            .map(|stored| decode_row(stored).ok_or_else(|| unreadable(OWN_PART)))
            .transpose()?;
        let version = whole(item, VERSION)?.unwrap_or(0);
        Ok(Self { version, own, entries })
    }

    /// An entry that shows which life of the item this is: the writer's own one, where there is one.
    fn witness(&self, entry: &str) -> Option<When> {
        let own = self.entries.get_key_value(entry);
        let (name, entry) = own.or_else(|| self.entries.first_key_value())?;
        Some(When::Is(name.clone(), Value::Bytes(entry.write())))
    }

    /// About how many bytes it takes.
    pub(in crate::dynamodb) fn size(&self) -> usize {
        let row = |row: &[Cell]| row.iter().map(Cell::memory).sum::<usize>();
        let cells = |row: &[Cell]| size_of_val(row);
        let entry = |entry: &Entry| ENTRY_BYTES + cells(&entry.share) + row(&entry.share);
        let entries = self.entries.values().map(entry);
        entries.sum::<usize>() + self.own.as_deref().map_or(0, row)
    }
}

impl Merged {
    /// An error says why there can be no such items.
    pub fn of(view: &View) -> Result<Self, String> {
        let columns: Vec<&'static str> = view.columns.iter().map(|column| column.name).collect();
        let indexed: Vec<IndexKey> =
            view.indexes.iter().flat_map(|index| index.key).copied().collect();
        let made: BTreeSet<&'static str> = indexed.iter().filter_map(IndexKey::made).collect();
        let shown: Vec<&'static str> = columns.iter().copied().chain(made).chain([LIVE]).collect();
        let most = (EXPRESSION_BYTES_MAX - EXPRESSION_BYTES) / EXPRESSION_BYTES_EACH;
        if shown.len() > most {
            let (columns, others) = (columns.len(), shown.len() - columns.len());
            return Err(format!(
                "it has {columns} columns, and one update sets {} at most",
                most - others
            ));
        }
        Ok(Self { view: view.clone(), columns, indexed, shown })
    }

    /// An error says why there is no right row.
    fn row(&self, held: &Held) -> Result<Option<Vec<Cell>>, String> {
        let shares = held.entries.values().map(|entry| entry.share.as_slice());
        self.view.row(held.own.as_deref(), shares).map_err(|failed| failed.0)
    }

    /// The attributes that readers ought to see of this item. An error names what cannot be read.
    fn made_of(&self, item: &Item) -> Result<Item, String> {
        Ok(self.attributes(self.row(&Held::of(item)?)?.as_deref()))
    }

    /// What readers see of a row.
    fn attributes(&self, row: Option<&[Cell]>) -> Item {
        let Some(row) = row else { return Item::new() };
        let mut item: Item = attributes(&self.columns, row).collect();
        index(&self.indexed, &mut item);
        item.insert(LIVE.into(), Value::Int(1));
        item
    }

    /// A whole item as its parts say, without what every item begins with.
    fn item(&self, held: &Held, row: Option<&[Cell]>) -> Item {
        let mut item = self.attributes(row);
        item.insert(VERSION.into(), Value::Int(held.version));
        item.extend(
            held.own.iter().map(|own| (OWN_PART.to_owned(), Value::Bytes(encode_row(own)))),
        );
        let entries = held.entries.iter();
        item.extend(entries.map(|(name, entry)| (name.clone(), Value::Bytes(entry.write()))));
        item
    }

    /// The whole item that a repair makes of every partition's entry and the owner's part. It counts as a write. Nobody is
    /// shown a row that cannot be made.
    pub fn mended(
        &self,
        old: Option<&Item>,
        entries: &BTreeMap<String, Entry>,
        own: Option<&[Cell]>,
    ) -> Item {
        let version = old.and_then(|old| old.get(VERSION)).and_then(Value::int).unwrap_or(0);
        let (own, entries) = (own.map(<[Cell]>::to_vec), entries.clone());
        let held = Held { version: version.saturating_add(1), own, entries };
        self.item(&held, self.row(&held).unwrap_or_default().as_deref())
    }

    /// Why there can be no such item. What DynamoDB counts beside this, it says itself.
    fn refuse(&self, item: &Item, row: Option<&[Cell]>) -> Result<(), String> {
        if let Some(why) =
            row.and_then(|row| LIMITS.refuse_row(self.view.name, self.view.columns, row))
        {
            return Err(why);
        }
        let bytes: usize = item.iter().map(|(name, value)| name.len() + bytes_min(value)).sum();
        if bytes > LIMITS.item_bytes {
            return Err(format!(
                "{}: a row and all partitions' shares of it have a size of {bytes} bytes, more than the {} of an item",
                self.view.name, LIMITS.item_bytes
            ));
        }
        Ok(())
    }
}

impl Kind for Merged {
    fn always(&self) -> &'static str {
        VERSION
    }
    fn shown_by(&self) -> &'static str {
        LIVE
    }
    fn has_entries(&self) -> bool {
        true
    }
    fn refuse_share(&self, _: &[Cell]) -> Option<&'static str> {
        None
    }
    fn read_entry(&self, stored: &[u8]) -> Option<Entry> {
        Entry::read(stored)
    }
    fn shares_of(&self, _: &[Cell]) -> Cell {
        Cell::Null
    }
    fn shares_in(&self, item: &Item) -> Option<Cell> {
        let made = self.made_of(item).ok()?;
        let is_shown = self.shown.iter().all(|name| is_same(item.get(*name), made.get(*name)));
        Some(if is_shown { Cell::Null } else { "make another row".into() })
    }
    fn look(&self, item: &Item, entry: &str, sight: &mut Sight) -> Result<(), String> {
        sight.held = Held::of(item)?;
        sight.at = sight.held.entries.get(entry).map(|entry| entry.offset);
        sight.value = self.view.alert_value(self.row(&sight.held)?.as_deref());
        Ok(())
    }

    fn aim(&self, writer: &Writer<'_>, ask: &Ask, ours: Option<&Sight>) -> Result<Request, Unfit> {
        let nothing = Held::default();
        let old = ours.map_or(&nothing, |sight| &sight.held);
        let mut new = old.clone();
        new.version += 1;
        if let Some((_, own)) = &ask.own {
            new.own.clone_from(own);
        }
        let entry = new.entries.entry(writer.entry.to_owned()).or_default();
        entry.offset = ask.last();
        if let Some((_, share)) = &ask.share {
            entry.share.clone_from(share);
        }
        let entry = Value::Bytes(entry.write());
        let made = |held: &Held| self.row(held).map_err(Unfit::NoRow);
        let (was, row) = (made(old)?, made(&new)?);
        let is_alerting = |row: &Option<Vec<Cell>>| self.view.is_alerting(row.as_deref());
        let crosses = !is_alerting(&was) && is_alerting(&row);
        let alert = || BTreeSet::from([writer.alert(ask.last())]);

        let mut item = self.item(&new, row.as_deref());
        item.extend(writer.stamped(ask));
        if ask.own.is_some() {
            item.insert(OWN.into(), writer.own());
        }
        self.refuse(&item, row.as_deref())?;
        if ours.is_none() {
            item.extend(crosses.then(|| (DUE.to_owned(), Value::Words(alert()))));
            let condition = When::Any(writer.older_or_none().into());
            return Ok(Request { action: Action::Put(item), condition });
        }
        let mut set = |name: &'static str| match item.remove(name) {
            Some(value) => Change::Set(name, value),
            None => Change::Remove(name),
        };
        let mut changes: Vec<Change> = [VERSION, CHANGED, UPDATED].map(&mut set).into();
        changes.extend(self.shown.iter().map(|name| set(name)));
        if ask.own.is_some() {
            changes.extend([OWN, OWN_PART].map(&mut set));
        }
        changes.push(Change::SetEntry(writer.entry.to_owned(), entry));
        changes.extend(crosses.then(|| Change::Insert(DUE, alert())));
        let mut when = vec![
            When::Is(GEN.into(), writer.generation.into()),
            When::Is(VERSION.into(), Value::Int(old.version)),
        ];
        when.extend(old.witness(writer.entry));
        Ok(Request { action: Action::Update(changes), condition: When::All(when) })
    }
}

/// Whether two attributes are equal: numbers come back from DynamoDB in another form than they went.
fn is_same(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(Value::Int(n)), Some(Value::Number(d)))
        | (Some(Value::Number(d)), Some(Value::Int(n))) => *d == Decimal::from_parts(*n, 0),
        (a, b) => a == b,
    }
}

/// Bytes that DynamoDB counts of a value, at least.
fn bytes_min(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Words(words) => words.iter().map(String::len).sum(),
        Value::List(list) => list.0.iter().map(|text| text.as_ref().map_or(1, String::len)).sum(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
