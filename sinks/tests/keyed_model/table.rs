//! A table that carries out requests as DynamoDB would, and watches every version of every item that it stores.
use super::source::{BASE, Key, LOW, LOW_BELOW, POISON, SOLD, STOCK, Src};
use sinks::dynamodb::{
    keyed::{DUE, GEN, LIVE, read_entry},
    request::{Action, Change, Item, Request, Value, When},
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
        let Key::Stock(_) = key else { return };
        let generation = int(new, GEN);
        let same = old.filter(|old| int(old, GEN) == generation);
        let was_low = same.is_some_and(|old| self.low(old));
        if self.low(new) && !was_low {
            self.crossed.insert((generation as i64, key, name.to_owned()));
        }
        let shares: i64 = entries(new).values().map(|entry| entry.1).sum();
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
/// The partitions' entries of a stock item: offset and share.
pub fn entries(item: &Item) -> BTreeMap<Src, (i64, i64)> {
    let entry = |(name, value): (&String, &Value)| match value {
        Value::Bytes(bytes) => {
            let src = (name.chars().next()?, name[1..].parse().ok()?);
            Some((src, read_entry(bytes)?))
        }
        _ => None,
    };
    item.iter().filter_map(entry).collect()
}

fn writes_own(key: Key, request: &Request) -> bool {
    match &request.action {
        Action::Put(item) => matches!(key, Key::Token(..)) || item.contains_key(BASE),
        Action::Update(changes) => changes
            .iter()
            .any(|change| matches!(change, Change::Set(BASE, _) | Change::Remove(BASE))),
    }
}

fn deletes(key: Key, request: &Request) -> bool {
    match (&request.action, key) {
        (Action::Update(changes), _) => changes.contains(&Change::Remove(BASE)),
        (Action::Put(item), Key::Token(..)) => !item.contains_key(LIVE),
        (Action::Put(_), Key::Stock(_)) => false,
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
