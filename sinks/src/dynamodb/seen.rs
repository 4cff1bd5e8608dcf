//! What is remembered of a partition between batches. All of it may be forgotten at any time: it only saves requests,
//! and alerts that stay on an item are told again.
use super::{ORPHANED_MS, keyed::Sight};
use crate::Cell;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Alerts of others that are remembered.
const OTHERS_MAX: usize = 1_000;

/// Table and key.
pub type At = (usize, Vec<Cell>);

/// Alerts of receipts whose batch may still be repeated.
#[derive(Debug, Clone, Default)]
pub struct Owed {
    /// Where the last written batch ended: one that starts there says that its state has moved.
    pub end: i64,
    pub names: BTreeMap<At, BTreeSet<String>>,
}

pub struct Lane {
    /// `p0`, `o63`.
    pub entry: String,
    /// `topic/partition`.
    pub source: String,
    sights: Mutex<Sights>,
    owed: Mutex<Owed>,
    /// Other partitions' alerts, and when each was first met.
    others: Mutex<HashMap<String, i64>>,
}
impl Lane {
    pub fn new(entry: String, source: String, seen_max: usize) -> Self {
        let sights = Sights { half: seen_max / 2, ..Sights::default() };
        Self {
            entry,
            source,
            sights: Mutex::new(sights),
            owed: Mutex::default(),
            others: Mutex::default(),
        }
    }
    pub fn seen(&self, at: &At) -> Option<Sight> {
        lock(&self.sights).get(at)
    }
    pub fn remember(&self, at: &At, sight: Option<&Sight>) {
        lock(&self.sights).set(at, sight);
    }
    /// Whether another partition's alert was met long ago, and stands there still.
    pub fn stands_long(&self, name: &str, now_ms: i64) -> bool {
        let mut others = lock(&self.others);
        if others.len() >= OTHERS_MAX {
            others.retain(|_, met_ms| now_ms - *met_ms < 2 * ORPHANED_MS);
        }
        if others.len() >= OTHERS_MAX {
            others.clear();
        }
        let met_ms = *others.entry(name.to_owned()).or_insert(now_ms);
        now_ms - met_ms >= ORPHANED_MS
    }
    pub fn owed(&self) -> Owed {
        lock(&self.owed).clone()
    }
    pub fn owe(&self, new: Owed) {
        let mut owed = lock(&self.owed);
        owed.end = new.end;
        for (at, names) in new.names {
            owed.names.entry(at).or_default().extend(names);
        }
    }
    /// These names are off the item. Others may be owed by now: they stay.
    pub fn paid(&self, at: &At, told: &BTreeSet<String>) {
        let mut owed = lock(&self.owed);
        let Some(names) = owed.names.get_mut(at) else { return };
        names.retain(|name| !told.contains(name));
        if names.is_empty() {
            owed.names.remove(at);
        }
    }
}
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The items used last: when the young half is full, the old half is dropped, and the young one is the old one.
#[derive(Default)]
struct Sights {
    half: usize,
    young: HashMap<At, Sight>,
    old: HashMap<At, Sight>,
}
impl Sights {
    fn get(&mut self, at: &At) -> Option<Sight> {
        if let Some(sight) = self.young.get(at) {
            return Some(sight.clone());
        }
        let sight = self.old.remove(at)?;
        self.set(at, Some(&sight));
        Some(sight)
    }
    fn set(&mut self, at: &At, sight: Option<&Sight>) {
        self.old.remove(at);
        match sight {
            None => drop(self.young.remove(at)),
            Some(sight) => {
                if self.young.len() >= self.half && !self.young.contains_key(at) {
                    self.old = std::mem::take(&mut self.young);
                }
                if self.half > 0 {
                    self.young.insert(at.clone(), sight.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cell;

    #[test]
    fn an_alert_of_others_is_told_when_it_stands_long() {
        let lane = Lane::new("p0".into(), "products/0".into(), 10);
        assert!(!lane.stands_long("order_items/1/5", 1_000));
        assert!(!lane.stands_long("order_items/1/5", 999 + ORPHANED_MS));
        assert!(lane.stands_long("order_items/1/5", 1_000 + ORPHANED_MS));
        for n in 0..5_000 {
            lane.stands_long(&n.to_string(), n);
            assert!(lock(&lane.others).len() <= OTHERS_MAX);
        }
    }

    #[test]
    fn only_what_was_told_is_paid() {
        let lane = Lane::new("p0".into(), "products/0".into(), 10);
        let at = |n: i64| (0, vec![Cell::Int(n)]);
        let owe = |end: i64, n: i64, name: &str| {
            let names = BTreeMap::from([(at(n), BTreeSet::from([name.to_owned()]))]);
            lane.owe(Owed { end, names });
        };
        owe(10, 1, "products/0/9");
        owe(20, 2, "products/0/19");
        let telling = lane.owed();
        owe(30, 1, "products/0/29"); // while the others are being told
        for (at, names) in &telling.names {
            lane.paid(at, names);
        }
        let left = BTreeMap::from([(at(1), BTreeSet::from(["products/0/29".to_owned()]))]);
        assert_eq!(lane.owed().names, left);
        for (at, names) in &left {
            lane.paid(at, names);
            lane.paid(at, names); // twice is harmless
        }
        assert!(lane.owed().names.is_empty());
        assert_eq!(lane.owed().end, 30);
    }

    #[test]
    #[allow(clippy::field_reassign_with_default)] // the other fields are the protocol's own
    fn remembers_what_was_used_last_within_bounds() {
        let mut sights = Sights { half: 5, ..Sights::default() };
        let at = |n: i64| (0, vec![Cell::Int(n)]);
        for n in 0..100 {
            let mut sight = Sight::default();
            sight.generation = n;
            sights.set(&at(n), Some(&sight));
            assert_eq!(sights.get(&at(0)).map(|s| s.generation), Some(0), "used all the time");
            assert!(sights.young.len() + sights.old.len() <= 10);
        }
        assert_eq!(sights.get(&at(50)), None);
        assert!(sights.get(&at(99)).is_some());
        sights.set(&at(99), None);
        assert_eq!(sights.get(&at(99)), None);
    }
}
