//! A table that carries out requests as DynamoDB would, and watches every version of every item that it stores.
use super::source::{BASE, Key, LOW, LOW_BELOW, POISON, SOLD, STOCK, Src};
use sinks::{
    Cell, View, decode_row,
    dynamodb::{
        keyed::{DUE, Entry, GEN, LIVE, OWN, OWN_PART, VERSION, read_entry},
        request::{Action, Change, Item, Request, Value, When},
    },
};
use std::collections::{BTreeMap, BTreeSet};

pub enum Failure {
    /// With the item as it stands.
    Condition(Option<Item>),
    Refused,
}
/// Generation, item, name.
pub type Alerts = BTreeSet<(i64, Key, String)>;

#[derive(Clone, Default)]
pub struct Table {
    pub items: BTreeMap<Key, Item>,
    pub derived: bool,
    /// A deleted row's item goes at once (a planted bug).
    pub real_delete: bool,
    /// The truth about stored stock going below the threshold.
    pub crossed: Alerts,
    pub alerts: Alerts,
    /// By generation and item, the partition that wrote the owner's part first.
    pub owners: BTreeMap<(i64, Key), String>,
    /// The first stored version that was not right in itself.
    pub wrong: Option<String>,
}
impl Table {
    /// `name`: of the write, as its alert would be called.
    pub fn carry_out(&mut self, key: Key, request: &Request, name: &str) -> Result<Item, Failure> {
        if key == Key::Stock(POISON) {
            return Err(Failure::Refused);
        }
        let old = self.items.get(&key).cloned();
        let empty = Item::new();
        if !holds(&request.condition, old.as_ref().unwrap_or(&empty)) {
            return Err(Failure::Condition(old));
        }
        let new = match &request.action {
            Action::Put(item) => item.clone(),
            Action::Update(changes) => changed(old.clone().unwrap_or_default(), changes),
        };
        self.watch(key, old.as_ref(), &new, name);
        if writes_own(key, request) {
            self.watch_owner(key, int(&new, GEN) as i64, name);
        }
        if self.real_delete && deletes(key, request) {
            self.items.remove(&key);
        } else {
            self.items.insert(key, new.clone());
        }
        Ok(new)
    }

    fn watch(&mut self, key: Key, old: Option<&Item>, new: &Item, name: &str) {
        if let Some(view) = key.merged() {
            return self.watch_merged(view, key, old, new, name);
        }
        let Key::Stock(_) = key else { return };
        let generation = int(new, GEN);
        let same = old.filter(|old| int(old, GEN) == generation);
        let was_low = same.is_some_and(|old| self.low(old));
        if self.low(new) && !was_low {
            self.crossed.insert((generation as i64, key, name.to_owned()));
        }
        let share = |entry: &(i64, Vec<Cell>)| entry.1[0].int().unwrap_or(0);
        let shares: i64 = entries(key, new).values().map(share).sum();
        let base = if new.contains_key(BASE) { int(new, BASE) } else { 0 };
        let sold = int(new, SOLD);
        let stock = if self.derived { base - sold } else { base };
        let right = int(new, STOCK) == stock
            && sold == i128::from(shares)
            && new.contains_key(LOW) == self.low(new);
        if !right {
            self.wrong.get_or_insert(format!("{key:?} was stored as {new:?}"));
        }
    }
    /// Readers see what the entries make, every write counts, and no partition's entry goes back.
    fn watch_merged(&mut self, view: &View, key: Key, old: Option<&Item>, new: &Item, name: &str) {
        let generation = int(new, GEN);
        let same = old.filter(|old| int(old, GEN) == generation);
        let row = row_of(view, key, new);
        let was = same.and_then(|old| row_of(view, key, old));
        if view.is_alerting(row.as_deref()) && !view.is_alerting(was.as_deref()) {
            self.crossed.insert((generation as i64, key, name.to_owned()));
        }
        let is_shown = match &row {
            Some(row) => new.contains_key(LIVE) && shown(key, new) == *row,
            None => !new.contains_key(LIVE) && shown(key, new).iter().all(|c| *c == Cell::Null),
        };
        let (now, before) = (entries(key, new), same.map(|old| entries(key, old)));
        let goes_back = |src: &Src, at: i64| now.get(src).is_none_or(|entry| entry.0 < at);
        let back = before.iter().flatten().any(|(src, entry)| goes_back(src, entry.0));
        let writes =
            before != Some(now) || same.and_then(|old| old.get(OWN_PART)) != new.get(OWN_PART);
        let count = same.map_or(0, |old| int(old, VERSION)) + i128::from(writes);
        if !is_shown || back || int(new, VERSION) != count {
            self.wrong.get_or_insert(format!("{key:?} was stored as {new:?}"));
        }
    }
    /// `name`: begins with the partition.
    fn watch_owner(&mut self, key: Key, generation: i64, name: &str) {
        let writer = name.rsplit_once('/').map_or("", |name| name.0);
        let owner = self.owners.entry((generation, key)).or_insert_with(|| writer.to_owned());
        if owner != writer {
            self.wrong.get_or_insert(format!("{key:?} of {owner} was written by {writer}"));
        }
    }
    fn low(&self, item: &Item) -> bool {
        let sold = if self.derived { int(item, SOLD) } else { 0 };
        item.contains_key(BASE) && int(item, BASE) - sold < i128::from(LOW_BELOW)
    }

    /// A planted bug: sets or removes the flag in an update of its own.
    pub fn mark(&mut self, key: Key, generation: i64, name: &str) -> Result<Item, Failure> {
        let old = self.items.get(&key).cloned();
        let Some(mut item) = old.clone().filter(|i| int(i, GEN) == generation.into()) else {
            return Err(Failure::Condition(old));
        };
        let (low, was) = (self.low(&item), item.remove(LOW).is_some());
        if low {
            item.insert(LOW.into(), Value::Int(1));
        }
        if low && !was {
            item = changed(item, &[Change::Insert(DUE, BTreeSet::from([name.to_owned()]))]);
        }
        self.items.insert(key, item.clone());
        Ok(item)
    }
    pub fn is_marked_right(&self, item: &Item) -> bool {
        item.contains_key(LOW) == self.low(item)
    }
}

pub fn int(item: &Item, name: &str) -> i128 {
    item.get(name).and_then(Value::int).unwrap_or(0)
}
/// Arithmetic on an attribute that is not there is a ValidationException.
fn there(item: &Item, name: &str) -> i128 {
    item.get(name).and_then(Value::int).expect("a number to reckon with")
}
pub fn due(item: &Item) -> BTreeSet<String> {
    match item.get(DUE) {
        Some(Value::Words(names)) => names.clone(),
        _ => BTreeSet::new(),
    }
}
pub fn hidden(key: Key, item: &Item) -> bool {
    !item.contains_key(if matches!(key, Key::Stock(_)) { BASE } else { LIVE })
}
/// What readers see of an item.
pub fn shown(key: Key, item: &Item) -> Vec<Cell> {
    let cell = |name: &str| match item.get(name) {
        None => Cell::Null,
        Some(Value::Int(n)) => Cell::Int(*n as i64),
        Some(Value::Number(d)) => Cell::Decimal(d.clone()),
        Some(Value::List(list)) => Cell::List(list.clone()),
        Some(other) => panic!("no column is {other:?}"),
    };
    match key.merged() {
        Some(view) => view.columns.iter().map(|column| cell(column.name)).collect(),
        None if matches!(key, Key::Stock(_)) => vec![cell(BASE), cell(SOLD), cell(LOW)],
        None => vec![],
    }
}
/// What the parts in an item of merged shares make.
fn row_of(view: &View, key: Key, item: &Item) -> Option<Vec<Cell>> {
    let own = match item.get(OWN_PART) {
        Some(Value::Bytes(stored)) => Some(decode_row(stored).expect("a row")),
        _ => None,
    };
    let entries = entries(key, item);
    let total = view.total(entries.values().map(|entry| entry.1.as_slice()));
    view.show(own.as_deref(), &total).expect("a row or none")
}
/// The partitions' entries of an item with shares: offset and share.
pub fn entries(key: Key, item: &Item) -> BTreeMap<Src, (i64, Vec<Cell>)> {
    let read = |bytes: &[u8]| match key.merged() {
        Some(_) => Entry::read(bytes).map(|entry| (entry.offset, entry.share)),
        None => read_entry(bytes).map(|(offset, share)| (offset, vec![share.into()])),
    };
    let entry = |(name, value): (&String, &Value)| match value {
        Value::Bytes(bytes) if name != OWN_PART => {
            let src = (name.chars().next()?, name[1..].parse().ok()?);
            Some((src, read(bytes)?))
        }
        _ => None,
    };
    item.iter().filter_map(entry).collect()
}

fn writes_own(key: Key, request: &Request) -> bool {
    match &request.action {
        Action::Put(item) if key.merged().is_some() => item.contains_key(OWN),
        Action::Update(changes) if key.merged().is_some() => {
            changes.iter().any(|change| matches!(change, Change::Set(OWN, _)))
        }
        Action::Put(item) => matches!(key, Key::Token(..)) || item.contains_key(BASE),
        Action::Update(changes) => changes
            .iter()
            .any(|change| matches!(change, Change::Set(BASE, _) | Change::Remove(BASE))),
    }
}

fn deletes(key: Key, request: &Request) -> bool {
    match (&request.action, key) {
        (Action::Update(changes), _) => {
            changes.contains(&Change::Remove(BASE)) || changes.contains(&Change::Remove(OWN_PART))
        }
        (Action::Put(item), Key::Token(..)) => !item.contains_key(LIVE),
        (Action::Put(_), _) => false,
    }
}

fn holds(when: &When, item: &Item) -> bool {
    let number = |name: &String| item.get(name).and_then(Value::int);
    match when {
        When::Missing(name) => !item.contains_key(name),
        When::Present(name) => item.contains_key(name),
        When::Is(name, value) => item.get(name) == Some(value),
        When::Below(name, n) => number(name).is_some_and(|x| x < *n),
        When::AtLeast(name, n) => number(name).is_some_and(|x| x >= *n),
        When::Above(name, n) => number(name).is_some_and(|x| x > *n),
        When::AtMost(name, n) => number(name).is_some_and(|x| x <= *n),
        When::All(all) => all.iter().all(|when| holds(when, item)),
        When::Any(any) => any.iter().any(|when| holds(when, item)),
    }
}

fn changed(old: Item, changes: &[Change]) -> Item {
    let mut new = old.clone();
    let mut set = |name: &str, value: Value| drop(new.insert(name.to_owned(), value));
    let mut removed = vec![];
    for change in changes {
        match change {
            Change::Set(name, value) => set(name, value.clone()),
            Change::SetEntry(name, value) => set(name, value.clone()),
            Change::Grow(name, by) => set(name, Value::Int(there(&old, name) + by)),
            Change::Less(name, from, other) => set(name, Value::Int(from - there(&old, other))),
            Change::Remove(name) => removed.push(*name),
            Change::Insert(name, names) => {
                set(name, Value::Words(due(&old).union(names).cloned().collect()));
            }
            Change::Take(name, names) => match due(&old).difference(names).cloned().collect() {
                left if BTreeSet::is_empty(&left) => removed.push(*name),
                left => set(name, Value::Words(left)),
            },
        }
    }
    new.retain(|name, _| !removed.contains(&name.as_str()));
    new
}
