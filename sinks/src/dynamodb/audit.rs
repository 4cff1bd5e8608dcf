//! Whole items, for `verify`: a table's scan in pages, one item, and a repair that loses to everybody else.
use super::{
    DynamoDb, Table,
    key::{self, Address},
    keyed::{self, AT, DUE, EXPIRES, Entry, GEN, LIVE, OWN, Shape, UPDATED, is_entry},
    now_ms,
    read::{cell, error},
    request::{Action, Change, Item, Request, Value, When},
    wire::{self, Answer, Attributes},
};
use crate::{Cell, SinkError};
use anyhow::anyhow;
use chrono::{DateTime, SecondsFormat};
use std::collections::{BTreeMap, BTreeSet};

/// An item, with what it says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    pub key: Vec<Cell>,
    /// `None`: it does not exist for readers.
    pub row: Option<Vec<Cell>>,
    pub generation: Option<i64>,
    /// Of an item with shares, each partition's (`p0`, `o63`). One that cannot be read is `None`.
    pub entries: BTreeMap<String, Option<Entry>>,
    /// One value that shows whether the entries make what readers ought to see: see [`DynamoDb::shares_of`].
    pub shares: Cell,
    /// Of a row: the last offset that touched it.
    pub at: Option<i64>,
    item: Item,
}

/// Where a scan goes on.
#[derive(Debug, Clone)]
pub struct Cursor(Attributes);

/// What an item is to become.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mend {
    /// The row as people see it; `None`: none.
    pub row: Option<Vec<Cell>>,
    /// The owner's part, of which the row is made.
    pub own: Option<Vec<Cell>>,
    /// Of an item with shares: every partition's entry.
    pub entries: BTreeMap<String, Entry>,
    /// Of a row: the offset that it is as of.
    pub at: i64,
    /// Names of entries that must not be there: those of the partitions that had none.
    pub absent: BTreeSet<String>,
    /// Entry name of the partition that owns the row, where it is known (`p0`). An item of this generation that says
    /// whose it is keeps what it says.
    pub owner: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    Done,
    /// The item is another one by now: look again.
    Moved,
}

impl DynamoDb {
    /// One page of one of `segments` parts of the table, consistent. Hidden items are left out.
    pub async fn scan_page(
        &self,
        view: &str,
        segment: i32,
        segments: i32,
        from: Option<Cursor>,
    ) -> Result<(Vec<Seen>, Option<Cursor>), SinkError> {
        let table = self.table(view)?;
        let page = self
            .client
            .scan()
            .table_name(&table.name)
            .consistent_read(true)
            .segment(segment)
            .total_segments(segments)
            .filter_expression("attribute_exists(#shown)")
            .expression_attribute_names("#shown", table.shape.shown_by())
            .set_exclusive_start_key(from.map(|cursor| cursor.0))
            .send()
            .await
            .map_err(|e| error(&table.name, "Scan", e))?;
        let seen = page.items().iter().map(|item| seen(table, item)).collect();
        Ok((seen, page.last_evaluated_key.map(Cursor)))
    }

    /// One item, consistent, hidden or not.
    pub async fn look(&self, view: &str, key: &[Cell]) -> Result<Option<Seen>, SinkError> {
        let table = self.table(view)?;
        let Some(at) = Address::of(&table.view, key) else { return Ok(None) };
        let found = self
            .client
            .get_item()
            .table_name(&table.name)
            .consistent_read(true)
            .set_key(Some(at.key))
            .send()
            .await
            .map_err(|e| error(&table.name, "GetItem", e))?;
        Ok(found.item().map(|item| seen(table, item)))
    }

    /// Makes the item what it should be, if it is still the one that was seen.
    pub async fn mend(
        &self,
        view: &str,
        key: &[Cell],
        old: Option<&Seen>,
        mend: &Mend,
    ) -> Result<Mended, SinkError> {
        let table = self.table(view)?;
        if let Some(newer) = old.and_then(|old| old.generation).filter(|g| *g > self.generation) {
            return Err(self.superseded(table, newer));
        }
        let Some(at) = Address::of(&table.view, key) else {
            return Err(SinkError::Fatal(anyhow!("{view}: a key column is null")));
        };
        let maker = Maker { generation: self.generation, now_ms: now_ms() };
        let mut request = maker.request(&table.shape, old.map(|old| &old.item), mend);
        if let Action::Update(changes) = &mut request.action {
            let columns = at.columns.iter().cloned();
            changes.extend(columns.map(|(name, value)| Change::Set(name, value)));
        }
        match wire::send(&self.client, &table.name, &at, &request).await? {
            Answer::Done(_) => Ok(Mended::Done),
            Answer::Failed(_) => Ok(Mended::Moved),
            Answer::Refused(why) => Err(SinkError::Fatal(anyhow!(why))),
        }
    }

    /// Whether items of the view have an entry for each partition that touched them; else they have one offset.
    pub fn has_entries(&self, view: &str) -> Result<bool, SinkError> {
        Ok(self.table(view)?.shape.has_entries())
    }

    /// What an item of this view with this row has to have as [`Seen::shares`].
    pub fn shares_of(&self, view: &str, row: &[Cell]) -> Result<Cell, SinkError> {
        Ok(self.table(view)?.shape.shares_of(row))
    }

    /// Every item of ours says it.
    pub fn generation(&self) -> i64 {
        self.generation
    }
}

fn seen(table: &Table, attributes: &Attributes) -> Seen {
    let item = wire::item_of(attributes);
    let key = key::cells(&table.view, attributes);
    let cells = || table.view.columns.iter().map(|c| cell(c, attributes)).collect::<Vec<Cell>>();
    let whole =
        |name: &str| item.get(name).and_then(Value::int).and_then(|n| i64::try_from(n).ok());
    let mut entries = BTreeMap::new();
    if table.shape.has_entries() {
        for (name, value) in &item {
            if let (true, Value::Bytes(bytes)) = (is_entry(name), value) {
                entries.insert(name.clone(), table.shape.read_entry(bytes));
            }
        }
    }
    let shares = table.shape.shares_in(&item);
    // Whose columns say another key is not the row that it should be, and is written anew.
    let is_shown = item.contains_key(table.shape.shown_by());
    let row = (is_shown && key::agrees(&table.view, &key, attributes)).then(cells);
    let (generation, at) = (whole(GEN), whole(AT));
    Seen { key, row, generation, entries, shares, at, item }
}

struct Maker {
    generation: i64,
    now_ms: i64,
}
impl Maker {
    /// Whole items for rows, for merged shares and for what is not there; else the attributes that the repair is about.
    /// Alerts that are due stay due.
    fn request(&self, shape: &Shape, old: Option<&Item>, mend: &Mend) -> Request {
        let condition = When::All(as_seen(shape, old, mend));
        let action = match (shape, old.filter(|old| old.contains_key(GEN))) {
            (Shape::Row(row), _) => Action::Put(self.row(row, old, mend)),
            (Shape::Sum(sum), None) => {
                let changes = self.sum(sum, old, mend);
                Action::Put(changes.into_iter().filter_map(set).collect())
            }
            (Shape::Sum(sum), Some(_)) => Action::Update(self.sum(sum, old, mend)),
            (Shape::Merged(merged), _) => Action::Put(self.merged(merged, old, mend)),
        };
        Request { action, condition }
    }

    fn row(&self, shape: &keyed::Row, old: Option<&Item>, mend: &Mend) -> Item {
        let mut item = self.stamped(old, mend);
        item.insert(AT.into(), mend.at.into());
        match &mend.row {
            Some(row) => {
                item.insert(LIVE.into(), Value::Int(1));
                item.extend(keyed::attributes(&shape.columns, row));
                keyed::index(&shape.indexed, &mut item);
            }
            None => {
                let expiry = self.now_ms / 1000 + keyed::TOMBSTONE_SECS;
                item.insert(EXPIRES.into(), expiry.into());
            }
        }
        item
    }

    fn merged(&self, shape: &keyed::Merged, old: Option<&Item>, mend: &Mend) -> Item {
        let mut item = shape.mended(old, &mend.entries, mend.own.as_deref());
        item.extend(self.stamped(old, mend));
        let due = self.ours(old).and_then(|old| old.get(DUE)).cloned();
        item.extend(due.map(|due| (DUE.to_owned(), due)));
        item
    }

    /// What every item begins with.
    fn stamped(&self, old: Option<&Item>, mend: &Mend) -> Item {
        let changed = old.and_then(|old| old.get(keyed::CHANGED)).cloned();
        let mut item = Item::from([
            (GEN.to_owned(), Value::from(self.generation)),
            (UPDATED.to_owned(), self.now()),
            (keyed::CHANGED.to_owned(), changed.unwrap_or(Value::Int(0))),
        ]);
        item.extend(self.owner(old, mend).map(|owner| (OWN.to_owned(), owner)));
        item
    }

    fn sum(&self, shape: &keyed::Sum, old: Option<&Item>, mend: &Mend) -> Vec<Change> {
        let share = |entry: &Entry| keyed::Sum::number(&entry.share).unwrap_or(0);
        let sum: i128 = mend.entries.values().map(|entry| i128::from(share(entry))).sum();
        let cell = |at: usize| mend.row.as_ref().and_then(|row| row.get(at));
        let base = cell(shape.base).and_then(Cell::int).map(i128::from);
        let mut changes = vec![
            Change::Set(GEN, self.generation.into()),
            Change::Set(shape.sum, Value::Int(sum)),
            Change::Set(shape.quantity, Value::Int(shape.quantity_of(base, sum))),
            Change::Set(UPDATED, self.now()),
        ];
        if old.is_none_or(|old| !old.contains_key(keyed::CHANGED)) {
            changes.push(Change::Set(keyed::CHANGED, Value::Int(0)));
        }
        for (at, name) in shape.columns.iter().enumerate() {
            let value = cell(at).and_then(Value::of);
            changes.push(value.map_or(Change::Remove(name), |value| Change::Set(name, value)));
        }
        // The sum and the quantity are shown before it.
        let is_flagged = cell(shape.columns.len() + 2).and_then(Cell::int) == Some(1);
        changes.push(if is_flagged {
            Change::Set(shape.flag, Value::Int(1))
        } else {
            Change::Remove(shape.flag)
        });
        let owner = self.owner(old, mend);
        changes.push(owner.map_or(Change::Remove(OWN), |owner| Change::Set(OWN, owner)));
        for (name, of) in &mend.entries {
            let entry = Value::Bytes(keyed::write_entry(of.offset, share(of)));
            if old.and_then(|old| old.get(name)) != Some(&entry) {
                changes.push(Change::SetEntry(name.clone(), entry));
            }
        }
        changes
    }

    fn ours<'i>(&self, old: Option<&'i Item>) -> Option<&'i Item> {
        old.filter(|old| old.get(GEN) == Some(&self.generation.into()))
    }
    fn owner(&self, old: Option<&Item>, mend: &Mend) -> Option<Value> {
        let said = self.ours(old).and_then(|old| old.get(OWN)).cloned();
        said.or_else(|| mend.owner.clone().map(Value::Text))
    }

    fn now(&self) -> Value {
        let time = DateTime::from_timestamp_millis(self.now_ms).unwrap_or_default();
        Value::Text(time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Of a new item: what a change sets.
fn set(change: Change) -> Option<(String, Value)> {
    match change {
        Change::Set(name, value) => Some((name.to_owned(), value)),
        Change::SetEntry(name, value) => Some((name, value)),
        _ => None,
    }
}

/// Holds only for the item that was seen: its generation, and everything by which writers tell what is in it.
fn as_seen(shape: &Shape, old: Option<&Item>, mend: &Mend) -> Vec<When> {
    let is = |name: &str| match old.and_then(|old| old.get(name)) {
        Some(value) => When::Is(name.into(), value.clone()),
        None => When::Missing(name.into()),
    };
    let mut when = vec![is(GEN), is(OWN)];
    match shape {
        Shape::Row(_) => when.push(is(AT)),
        Shape::Merged(_) => when.push(is(keyed::VERSION)),
        Shape::Sum(sum) => {
            when.extend([is(sum.sum), is(sum.quantity), is(sum.base_name())]);
            let there = old.into_iter().flatten().map(|(name, _)| name);
            let there: BTreeSet<&String> = there.filter(|name| is_entry(name)).collect();
            when.extend(there.iter().map(|name| is(name)));
            // An expression has its limits; what a new entry brings moves the sum or the base as well.
            let absent = mend.absent.iter().filter(|name| !there.contains(name)).take(ABSENT_MAX);
            when.extend(absent.map(|name| When::Missing(name.clone())));
        }
    }
    when
}

/// Entries of which an absence is part of the condition.
const ABSENT_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IndexKey;

    const BASE: &str = "base_stock";
    const SOLD: &str = "sold";
    const STOCK: &str = "stock_quantity";
    const LOW: &str = "low_stock";

    fn stock() -> Shape {
        super::super::shape_of(&crate::conformance::shop::stock(true, 10)).expect("one sum")
    }
    fn old() -> Item {
        let entry = |offset, share| Value::Bytes(keyed::write_entry(offset, share));
        Item::from([
            (GEN.to_owned(), Value::Int(1)),
            (SOLD.to_owned(), Value::Int(7)),
            (STOCK.to_owned(), Value::Int(3)),
            (BASE.to_owned(), Value::Int(10)),
            (keyed::DUE.to_owned(), Value::Words(BTreeSet::from(["x".to_owned()]))),
            ("o1".to_owned(), entry(5, 7)),
        ])
    }
    fn mend() -> Mend {
        let row = [Cell::from("a"), Cell::Null, 10.into(), 5.into(), 5.into(), 1.into()];
        Mend {
            row: Some(row.into()),
            entries: BTreeMap::from([(
                "o1".to_owned(),
                Entry { offset: 5, share: vec![5.into()] },
            )]),
            own: None,
            at: 0,
            absent: BTreeSet::from(["o0".to_owned(), "o1".to_owned()]),
            owner: None,
        }
    }
    const MAKER: Maker = Maker { generation: 1, now_ms: 0 };

    #[test]
    fn stands_under_everything_that_was_seen() {
        let request = MAKER.request(&stock(), Some(&old()), &mend());
        let When::All(when) = request.condition else { panic!("all of them") };
        let is = |name: &str| When::Is(name.into(), old()[name].clone());
        for one in [is(GEN), is(SOLD), is(STOCK), is(BASE), is("o1"), When::Missing("o0".into())] {
            assert!(when.contains(&one), "{one:?}");
        }
        let When::All(when) = MAKER.request(&stock(), None, &mend()).condition else { panic!() };
        assert!(when.contains(&When::Missing(GEN.into())));
    }

    #[test]
    fn changes_what_differs_and_leaves_alerts() {
        let Action::Update(changes) = MAKER.request(&stock(), Some(&old()), &mend()).action else {
            panic!("an update")
        };
        assert!(changes.contains(&Change::Set(SOLD, Value::Int(5))));
        assert!(changes.contains(&Change::Set(STOCK, Value::Int(5))));
        assert!(changes.contains(&Change::Set(LOW, Value::Int(1))));
        let entry = Value::Bytes(keyed::write_entry(5, 5));
        assert!(changes.contains(&Change::SetEntry("o1".into(), entry)));
        assert!(changes.contains(&Change::Remove("price")));
        let due = |change: &Change| matches!(change, Change::Insert(..) | Change::Take(..));
        assert!(!changes.iter().any(due), "alerts neither come nor go");
    }

    #[test]
    fn a_row_too_many_becomes_a_tombstone() {
        let shape = Shape::Row(keyed::Row {
            columns: vec!["name", "price"],
            indexed: vec![IndexKey::Lower { name: "name_lower", of: "name" }],
        });
        let item = Item::from([(GEN.to_owned(), Value::Int(1)), (AT.to_owned(), Value::Int(8))]);
        let gone = Mend { at: 8, ..Mend::default() };
        let Request { action: Action::Put(put), condition } =
            MAKER.request(&shape, Some(&item), &gone)
        else {
            panic!("a put")
        };
        assert!(!put.contains_key(LIVE) && put.contains_key(EXPIRES));
        assert_eq!(put[AT], Value::Int(8));
        let is = |name: &str, n| When::Is(name.into(), Value::Int(n));
        let nobodys = When::Missing(OWN.into());
        assert_eq!(condition, When::All(vec![is(GEN, 1), nobodys, is(AT, 8)]));
    }

    /// What an item of this generation says stands; else what the repair knows; an older generation's is void.
    #[test]
    fn whose_the_row_is_stays() {
        let row = Shape::Row(keyed::Row { columns: vec!["name", "price"], indexed: vec![] });
        let text = |name: &str| Value::Text(name.to_owned());
        for (said, known, want) in [
            (Some((1, "p0")), None, Some("p0")),
            (Some((1, "p0")), Some("p1"), Some("p0")),
            (Some((0, "p0")), Some("p1"), Some("p1")),
            (Some((0, "p0")), None, None),
            (None, Some("p1"), Some("p1")),
            (None, None, None),
        ] {
            let mut of_stock = old();
            let mut of_row = Item::from([(AT.to_owned(), Value::Int(8))]);
            for item in [&mut of_stock, &mut of_row] {
                let generation = said.map_or(1, |said| said.0);
                item.insert(GEN.into(), Value::Int(generation));
                item.extend(said.map(|said| (OWN.to_owned(), text(said.1))));
            }
            let mend = Mend { owner: known.map(str::to_owned), ..mend() };
            let want = want.map(text);
            let asked = MAKER.request(&row, Some(&of_row), &mend);
            let Action::Put(put) = asked.action else { panic!("a put") };
            assert_eq!(put.get(OWN), want.as_ref(), "{said:?}, {known:?}");
            let asked = MAKER.request(&stock(), Some(&of_stock), &mend);
            let Action::Update(changes) = asked.action else { panic!("an update") };
            let change = want.clone().map_or(Change::Remove(OWN), |own| Change::Set(OWN, own));
            assert!(changes.contains(&change), "{said:?}, {known:?}");
            let seen = match said {
                Some((_, own)) => When::Is(OWN.into(), text(own)),
                None => When::Missing(OWN.into()),
            };
            let When::All(when) = asked.condition else { panic!("all of them") };
            assert!(when.contains(&seen), "{said:?}, {known:?}");
            let asked = MAKER.request(&stock(), None, &mend);
            let Action::Put(put) = asked.action else { panic!("a put") };
            assert_eq!(put.get(OWN).cloned(), known.map(text), "a new item");
        }
    }
}
