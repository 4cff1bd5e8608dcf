//! What is remembered of a partition between batches. All of it may be forgotten at any time: it only saves requests,
//! and alerts that stay on an item are told again.
use super::{ORPHANED_MS, keyed::Sight};
use crate::{Cell, Partition, TwoOwners};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Of one item that is remembered: a larger one is looked at anew by each batch.
const SIGHT_BYTES_MAX: usize = 4 * 1024;

/// Alerts of others that are remembered.
const OTHERS_MAX: usize = 1_000;

/// Table and key.
pub type At = (usize, Vec<Cell>);

/// Alerts on their items.
pub type Names = BTreeMap<At, BTreeSet<String>>;

/// What this process knows of the items that one partition writes: how it saw them last, and the alerts that are on them.
/// It saves reads and proves nothing; each write is conditional on the item itself.
pub struct ItemCache {
    tag: char,
    partition: Partition,
    /// `p0`, `o63`.
    pub entry: String,
    /// `topic/partition`.
    pub source: String,
    sights: Mutex<Sights>,
    /// Alerts of receipts whose batch may still be repeated, with where it ends (the furthest, of several): once the
    /// state has moved that far, they were told.
    owed: Mutex<BTreeMap<At, BTreeMap<String, i64>>>,
    /// Other partitions' alerts, and when each was first met.
    others: Mutex<HashMap<String, i64>>,
}
impl ItemCache {
    pub fn new(tag: char, partition: Partition, seen_max: usize) -> Self {
        let sights = Sights { half: seen_max / 2, ..Sights::default() };
        Self {
            entry: format!("{tag}{}", partition.index),
            source: partition.to_string(),
            tag,
            partition,
            sights: Mutex::new(sights),
            owed: Mutex::default(),
            others: Mutex::default(),
        }
    }
    /// `owner`: as the item names it.
    pub fn two_owners(&self, view: &str, offset: i64, owner: &str) -> TwoOwners {
        let index = owner.strip_prefix(self.tag).and_then(|index| index.parse().ok());
        let owner = match index {
            Some(index) => Partition { index, ..self.partition.clone() }.to_string(),
            None => format!("another table's partition ({owner})"),
        };
        let partition = self.partition.clone();
        TwoOwners { view: view.to_owned(), partition, offset, owner }
    }
    pub fn seen(&self, at: &At) -> Option<Sight> {
        lock(&self.sights).get(at)
    }
    pub fn remember(&self, at: &At, sight: Option<&Sight>) {
        let small = sight.filter(|sight| sight.size() <= SIGHT_BYTES_MAX);
        lock(&self.sights).set(at, small);
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
    /// Of batches that end there, or before.
    pub fn owed_until(&self, position: i64) -> Names {
        self.owed(|_, _, end| end <= position)
    }
    pub fn owed(&self, wanted: impl Fn(&At, &str, i64) -> bool) -> Names {
        let mut found = Names::new();
        for (at, names) in &*lock(&self.owed) {
            for (name, _) in names.iter().filter(|(name, end)| wanted(at, name, **end)) {
                found.entry(at.clone()).or_default().insert(name.clone());
            }
        }
        found
    }
    /// By a batch that ends there.
    pub fn owe(&self, end: i64, new: Names) {
        let mut owed = lock(&self.owed);
        for (at, names) in new {
            let known = owed.entry(at).or_default();
            for name in names {
                let furthest = known.entry(name).or_insert(end);
                *furthest = end.max(*furthest);
            }
        }
    }
    /// These names are off the item. Others may be owed by now: they stay.
    pub fn paid(&self, at: &At, told: &BTreeSet<String>) {
        let mut owed = lock(&self.owed);
        let Some(names) = owed.get_mut(at) else { return };
        names.retain(|name, _| !told.contains(name));
        if names.is_empty() {
            owed.remove(at);
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
        let lane = ItemCache::new('p', Partition::new("products", 0), 10);
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
        let lane = ItemCache::new('p', Partition::new("products", 0), 10);
        let at = |n: i64| (0, vec![Cell::Int(n)]);
        let one = |n: i64, name: &str| Names::from([(at(n), BTreeSet::from([name.to_owned()]))]);
        let owe = |end: i64, n: i64, name: &str| lane.owe(end, one(n, name));
        let all = || lane.owed(|_, _, _| true);
        owe(10, 1, "products/0/9");
        owe(20, 2, "products/0/19");
        let telling = all();
        owe(30, 1, "products/0/29"); // while the others are being told
        for (at, names) in &telling {
            lane.paid(at, names);
        }
        let left = one(1, "products/0/29");
        assert_eq!(all(), left);
        for (at, names) in &left {
            lane.paid(at, names);
            lane.paid(at, names); // twice is harmless
        }
        assert!(all().is_empty());
    }

    /// An earlier life of the partition may have written more than the next one has so far.
    #[test]
    fn what_a_longer_batch_found_is_owed_until_the_state_is_there() {
        let lane = ItemCache::new('p', Partition::new("products", 0), 10);
        let one = |n: i64, name: &str| {
            Names::from([((0, vec![Cell::Int(n)]), BTreeSet::from([name.to_owned()]))])
        };
        lane.owe(10, one(1, "products/0/9"));
        lane.owe(5, one(2, "products/0/4"));
        assert_eq!(lane.owed_until(4), Names::new());
        assert_eq!(lane.owed_until(5), one(2, "products/0/4"));
        lane.owe(6, one(1, "products/0/9"));
        assert_eq!(
            lane.owed_until(9),
            one(2, "products/0/4"),
            "found by both: the longer one counts"
        );
        assert_eq!(lane.owed_until(10).len(), 2);
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
