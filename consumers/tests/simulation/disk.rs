//! What is durable: the state of each partition, the view, the dead letters. Every write is one atomic step here,
//! so that the world may stop, repeat, delay or reorder between any two of them.
use crate::{Bug, history::REFUSED};
use sinks::{
    Batch, Cell, Checkpoint, Key, Letter, Op, Partition, Refusal, SinkError, View, dlq::Outcome,
};
use std::collections::{BTreeMap, BTreeSet};

/// Which of the two ways to be exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Views, rows and position in one transaction.
    Transactional,
    /// Conditional single-item updates, then rows and position.
    Keyed,
}

#[derive(Default)]
pub struct Stored {
    pub epoch: u64,
    pub checkpoint: Option<Checkpoint>,
    pub rows: BTreeMap<Key, Vec<u8>>,
    /// As each owner left them: a stale one never reads what the next one wrote (SlateDB's fenced writer does not,
    /// and a mixture of both would be no state that ever was).
    left: BTreeMap<u64, BTreeMap<Key, Vec<u8>>>,
    pub last: Option<[u8; 16]>,
    pub published: i64,
}

/// An item of a keyed sink: what each partition put there, with the offset it stands at.
#[derive(Default, Clone, Debug)]
pub struct Item {
    own: BTreeMap<Partition, (i64, Option<i64>)>,
    shares: BTreeMap<Partition, (i64, i64)>,
}

/// One request to a keyed sink: a partition's writes for one item, coalesced.
#[derive(Debug, Clone)]
pub struct Request {
    id: i64,
    partition: Partition,
    parts: Vec<i64>,
    what: What,
    /// This partition's share entry as last seen.
    known: Option<(i64, i64)>,
}
#[derive(Debug, Clone, Copy)]
enum What {
    Own(Option<i64>),
    Share(i64),
}
pub enum Answer {
    Done,
    /// The condition failed; the request was aimed anew.
    Again,
    Refused(Vec<i64>),
}

#[derive(Default)]
pub struct Disk {
    pub stored: BTreeMap<Partition, Stored>,
    pub letters: BTreeMap<(Partition, i64), Letter>,
    /// What was said of replays: where, of which letter.
    pub marks: BTreeSet<(Partition, i64, i64, Outcome)>,
    pub items: BTreeMap<i64, Item>,
    /// How many partitions each topic's state was made with.
    pub counts: BTreeMap<String, i32>,
    pub refuses: bool,
    pub fenced: u64,
    pub repeats: u64,
    pub dropped: u64,
}

impl Disk {
    pub fn open(&mut self, partition: &Partition) -> (u64, Option<Checkpoint>) {
        let stored = self.stored.entry(partition.clone()).or_default();
        stored.left.insert(stored.epoch, stored.rows.clone());
        stored.epoch += 1;
        (stored.epoch, stored.checkpoint.clone())
    }
    /// What the owner of this epoch reads.
    pub fn rows(&self, partition: &Partition, epoch: u64) -> &BTreeMap<Key, Vec<u8>> {
        let stored = &self.stored[partition];
        stored.left.get(&epoch).unwrap_or(&stored.rows)
    }
    pub fn keep_count(&mut self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let kept = *self.counts.entry(topic.to_owned()).or_insert(partitions);
        sinks::state::refuse_count(topic, kept, partitions)
    }
    /// The newest record of the partition that any item or letter shows.
    pub fn newest(&self, partition: &Partition) -> Option<i64> {
        let of_item = |item: &Item| {
            let own = item.own.get(partition).map(|own| own.0);
            own.max(item.shares.get(partition).map(|share| share.0))
        };
        let letters = self.letters.keys().filter(|(of, _)| of == partition).map(|(_, at)| *at);
        self.items.values().filter_map(of_item).chain(letters).max()
    }
    pub fn next(&self, partition: &Partition) -> i64 {
        let stored = self.stored.get(partition).and_then(|stored| stored.checkpoint.as_ref());
        stored.map_or(0, |checkpoint| checkpoint.next)
    }

    pub fn publish(&mut self, letters: &[Letter]) {
        for letter in letters {
            let (partition, at) = (letter.partition.clone(), letter.offset);
            match &letter.replayed {
                Some(replayed) => {
                    self.marks.insert((partition, at, replayed.of, replayed.outcome));
                }
                None => {
                    self.letters.insert((partition, at), letter.clone());
                }
            }
        }
    }

    /// Rows and position; in a transactional store the view too.
    pub fn commit(
        &mut self,
        batch: &Batch,
        epoch: u64,
        way: Way,
        bug: Bug,
    ) -> Result<(), SinkError> {
        let stored = self.stored.entry(batch.partition.clone()).or_default();
        if bug != Bug::NoCas {
            if stored.epoch != epoch {
                self.fenced += 1;
                return Err(SinkError::Fenced);
            }
            if stored.last == Some(batch.digest()) {
                self.repeats += 1;
                return Ok(());
            }
            let at = stored.checkpoint.as_ref().map(|checkpoint| checkpoint.next);
            if at.is_some_and(|next| next != batch.span.start) {
                return Err(SinkError::Fenced);
            }
        }
        let hit = |offset: &i64, key: &[Cell]| {
            self.refuses && key == [Cell::Int(REFUSED)] && !batch.dead_lettered.contains(offset)
        };
        if way == Way::Transactional {
            let refused: BTreeSet<i64> = batch
                .writes
                .iter()
                .filter(|write| hit(&write.offset, &write.key))
                .map(|write| write.offset)
                .collect();
            if !refused.is_empty() {
                return Err(refusals(refused));
            }
        }
        for (key, row) in &batch.rows {
            match row {
                _ if bug == Bug::PositionWithoutRows => {}
                Some(row) => drop(stored.rows.insert(key.clone(), row.clone())),
                None => drop(stored.rows.remove(key)),
            }
        }
        stored.checkpoint = Some(batch.checkpoint.clone());
        stored.last = Some(batch.digest());
        if way == Way::Transactional {
            for request in coalesce(batch) {
                self.put(&request);
            }
        }
        Ok(())
    }

    fn put(&mut self, request: &Request) {
        let item = self.items.entry(request.id).or_default();
        let last = request.parts[request.parts.len() - 1];
        match request.what {
            What::Own(row) => drop(item.own.insert(request.partition.clone(), (last, row))),
            What::Share(sold) => drop(item.shares.insert(request.partition.clone(), (last, sold))),
        }
    }

    /// One conditional update of one item.
    pub fn update(&mut self, request: &mut Request, bug: Bug) -> Answer {
        if self.refuses && request.id == REFUSED {
            return Answer::Refused(request.parts.clone());
        }
        let last = request.parts[request.parts.len() - 1];
        let item = self.items.entry(request.id).or_default();
        if bug == Bug::NoCondition {
            self.put(request);
            return Answer::Done;
        }
        let at = match request.what {
            What::Own(_) => item.own.get(&request.partition).map(|own| own.0),
            What::Share(_) => item.shares.get(&request.partition).map(|share| share.0),
        };
        if at.is_some_and(|at| at >= last) {
            self.dropped += 1;
            return Answer::Done;
        }
        let seen = item.shares.get(&request.partition).copied();
        if matches!(request.what, What::Share(_)) && seen != request.known {
            request.known = seen;
            if bug == Bug::FailedMeansApplied {
                return Answer::Done;
            }
            return Answer::Again;
        }
        self.put(request);
        Answer::Done
    }

    /// Product -> (base stock, sold), as readers see it.
    pub fn view(&self, view: &View) -> BTreeMap<i64, (i64, i64)> {
        assert!(view.is_star(), "the view that items are made for");
        let shown = |(id, item): (&i64, &Item)| {
            let newest = item.own.values().max_by_key(|own| own.0).and_then(|own| own.1)?;
            Some((*id, (newest, item.shares.values().map(|share| share.1).sum())))
        };
        self.items.iter().filter_map(shown).collect()
    }
}

pub fn refusals(offsets: BTreeSet<i64>) -> SinkError {
    let one = |offset| Refusal { offset, reason: "this product is refused".into() };
    SinkError::Refused(offsets.into_iter().map(one).collect())
}

/// The batch's writes by item; only the last of each kind counts, but every part is remembered.
pub fn coalesce(batch: &Batch) -> Vec<Request> {
    let mut by_item: BTreeMap<(i64, bool), Request> = BTreeMap::new();
    for write in &batch.writes {
        let id = write.key[0].int().expect("a product id");
        let what = match &write.op {
            Op::Put(row) => What::Own(row[2].int()),
            Op::Delete => What::Own(None),
            Op::Share(cells) => What::Share(cells.first().and_then(Cell::int).unwrap_or(0)),
        };
        let request = by_item.entry((id, matches!(what, What::Share(_)))).or_insert_with(|| {
            Request { id, partition: batch.partition.clone(), parts: vec![], what, known: None }
        });
        request.what = what;
        request.parts.push(write.offset);
    }
    by_item.into_values().collect()
}
