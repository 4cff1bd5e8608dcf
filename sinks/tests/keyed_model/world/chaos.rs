//! What befalls the services: crashes, second owners, rolled back states, restored tables, collection, compaction; and
//! the calm after it.
use super::*;
use sinks::Cell;

impl World {
    /// Below this offset nothing will be written again (nor read again after a restore, if `restorable`).
    pub(super) fn settled(&self, generation: u32, src: Src, restorable: bool) -> i64 {
        let Some(store) = self.stores.get(&(generation, src)) else { return 0 };
        let wait = u64::from(self.bug != Bug::CollectSoon) * (LEASE + LIFE);
        let since = self.step.saturating_sub(wait);
        let Some(early) = store.marks.iter().rposition(|m| m.0 <= since) else { return 0 };
        let marks = store.marks[early..].iter();
        let at = marks.map(|m| if restorable { m.2 } else { m.1 });
        at.min().filter(|_| self.collecting).unwrap_or(0)
    }
    /// Removes a tombstone that no write and no replay can need any more.
    pub(super) fn collect(&mut self) {
        let ghosts: Vec<Key> =
            self.table.items.iter().filter(|(k, i)| hidden(**k, i)).map(|(k, _)| *k).collect();
        if ghosts.is_empty() {
            return;
        }
        let key = ghosts[self.rng.pick(ghosts.len())];
        let item = &self.table.items[&key];
        let generation = int(item, GEN) as u32;
        let mut at = entries(key, item);
        if let Key::Token(_, id) = key {
            let partitions = self.sources(generation).iter().filter(|s| s.0 == PRODUCTS).count();
            at.insert((PRODUCTS, id % partitions as u8), (int(item, AT) as i64, vec![]));
        }
        let past = at.iter().all(|(src, (at, _))| *at < self.settled(generation, *src, false));
        let zero = int(item, SOLD) == 0
            && !item.contains_key(OWN_PART)
            && at.values().all(|at| at.1.iter().all(Cell::is_zero));
        let empty = due(item).is_empty() && (zero || self.bug == Bug::CollectSold);
        if past && empty && generation == self.generation {
            self.table.items.remove(&key);
            self.tally.add("collected");
        }
    }
    pub(super) fn chaos(&mut self) {
        let generation = 1 + self.rng.below(self.generation.into()) as u32;
        let sources = self.sources(generation);
        let src = sources[self.rng.pick(sources.len())];
        match self.rng.below(400) {
            0..=3 => self.start(generation, src), // and the old owner does not hear of it
            4..=7 if !self.lanes.is_empty() => {
                let n = self.rng.pick(self.lanes.len());
                self.reload(n); // a crash; its requests may still arrive
            }
            8 => {
                let (pick, step) = (self.rng.below(64) as usize, self.step);
                let store = self.store(generation, src);
                if !store.checkpoints.is_empty() {
                    let n = pick % store.checkpoints.len();
                    store.now = store.checkpoints[n].clone();
                    store.checkpoints.truncate(n + 1); // newer ones are void now
                    store.mark(step);
                    self.tally.add("rollbacks");
                }
            }
            9 => self.retain_or_compact(generation, src),
            10 => self.back_up_or_restore(),
            11 if self.rng.one_in(8) => self.switch(),
            12..=49 if self.collecting => self.collect(),
            50..=229 if !self.lanes.is_empty() => {
                let n = self.rng.pick(self.lanes.len());
                self.work(n);
            }
            _ if !self.flights.is_empty() => {
                let n = self.rng.pick(self.flights.len());
                if !self.flights[n].late || self.rng.one_in(30) {
                    self.deliver(n, false);
                }
            }
            _ => {}
        }
    }
    /// Compaction keeps the last record of a key. It must stay behind all that may be read again, zombies included.
    pub(super) fn retain_or_compact(&mut self, generation: u32, src: Src) {
        let next = self.store(generation, src).now.next;
        let mut end = self.settled(generation, src, true) as usize;
        let log = self.logs[generation as usize - 1].get_mut(&src).expect("log");
        if self.bug == Bug::CompactedAhead {
            end = log.len();
        }
        let mut last = BTreeSet::new();
        for slot in log[..end].iter_mut().rev() {
            *slot = slot.filter(|r| last.insert(r.0));
        }
        let gap = generation == 1 && (self.logs.len() == 2 || self.bug == Bug::SkipGap);
        if gap && self.rng.one_in(2) {
            self.begins.insert(src, next); // retention: an older checkpoint is then a gap
        }
    }
    /// A restored table needs states and checkpoints that are no newer, and nobody writing.
    pub(super) fn back_up_or_restore(&mut self) {
        if self.collecting || self.generation as usize != self.logs.len() {
        } else if let Some((table, states)) = self.backup.take() {
            self.tally.add("restored");
            // What was published stays published: names are the same when they are raised again.
            let wrong = self.table.wrong.take().or(table.wrong.clone());
            self.table = Table { wrong, ..table };
            self.lanes.clear();
            self.flights.clear();
            for ((generation, src), store) in states {
                if self.bug != Bug::TableRestored {
                    self.stores.insert((generation, src), store);
                }
                self.start(generation, src);
            }
        } else {
            let g = self.generation;
            let mut stores = Stores::new();
            for src in self.sources(g) {
                stores.insert((g, src), self.store(g, src).clone());
            }
            self.backup = Some((self.table.clone(), stores));
        }
    }
    /// Chaos ends: one owner a partition, and everything drains.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        let keep = self.rng.one_in(2) && self.bug != Bug::CodeDiffers;
        let mut owned = BTreeSet::new();
        self.lanes.reverse();
        self.lanes.retain(|l| keep && l.generation == self.generation && owned.insert(l.src));
        let before = self.generation;
        for src in self.sources(before) {
            if !owned.contains(&src) {
                self.start(before, src);
            }
            if self.generation != before {
                return self.settle();
            }
        }
        for _ in 0..20_000 {
            if self.halted {
                return Ok(());
            }
            self.step += 1;
            let n = self.rng.pick(self.lanes.len());
            self.work(n);
            if self.collecting && self.rng.one_in(20) {
                self.collect();
            }
            let prompt: Vec<usize> =
                (0..self.flights.len()).filter(|n| !self.flights[*n].late).collect();
            if !prompt.is_empty() {
                let n = self.rng.pick(prompt.len());
                self.deliver(prompt[n], true);
            }
            let done = |l: &Lane| l.pending.is_empty() && l.base == self.end(l);
            if self.lanes.len() == self.sources(self.generation).len()
                && self.lanes.iter().all(done)
            {
                return Ok(());
            }
        }
        Err("did not finish".into())
    }
    /// DeleteItem, condition: an older generation.
    pub(super) fn sweep(&mut self) {
        let generation = i128::from(self.generation);
        self.table.items.retain(|_, item| int(item, GEN) == generation);
    }
}
