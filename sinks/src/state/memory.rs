//! State and views in memory. Clones share everything, so a test can drop a service and open its state again.
use super::{
    part::{Asked, LaneId, Part, admit, coalesce, names_owner},
    refuse_count, refuse_renamed,
};
use crate::{
    Alert, Batch, Cell, Checkpoint, Key, Partition, PartitionState, Receipt, SinkError, State,
    TwoOwners, View,
};
use async_trait::async_trait;
use foldhash::fast::RandomState;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Rows of one view by key, as shown.
pub type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// Loses everything when the last clone is dropped.
#[derive(Clone)]
pub struct Memory {
    views: Arc<[View]>,
    value_bytes_max: usize,
    kept: Arc<Mutex<Kept>>,
}

/// What is kept for each key of one view.
type ByKey<T> = HashMap<Vec<Cell>, T, RandomState>;

#[derive(Default)]
struct Kept {
    lanes: HashMap<Partition, Stored>,
    /// How many partitions each topic has.
    counts: HashMap<String, i32>,
    /// In the order of `views`.
    parts: Vec<ByKey<Part>>,
    /// Whose the rows are, also of those that are deleted, in the order of `views`.
    owners: Vec<ByKey<LaneId>>,
    alerts: BTreeMap<String, Alert>,
}

impl Kept {
    /// Writes down that the rows are this lane's; an error, and nothing written, where one is another's.
    fn claim(
        &mut self,
        views: &[View],
        lane: LaneId,
        partition: &Partition,
        writes: &[Asked<'_>],
    ) -> Result<(), TwoOwners> {
        let owned = || writes.iter().filter(|asked| names_owner(&views[asked.at], asked.first));
        for Asked { at, first, .. } in owned() {
            let owner = self.owners[*at].get(&first.key).filter(|owner| **owner != lane);
            if let Some((owner, _)) = self.lanes.iter().find(|(_, held)| Some(&held.id) == owner) {
                return Err(TwoOwners::new(first, partition, owner));
            }
        }
        for Asked { at, first, .. } in owned() {
            match self.owners[*at].get_mut(&first.key) {
                Some(owner) => *owner = lane,
                None => drop(self.owners[*at].insert(first.key.clone(), lane)),
            }
        }
        Ok(())
    }
}

struct Stored {
    id: LaneId,
    epoch: u64,
    rows: HashMap<Key, Vec<u8>, RandomState>,
    checkpoint: Option<Checkpoint>,
    last: Option<([u8; 16], Receipt)>,
}

impl Memory {
    /// Without views: state only, writes are not kept.
    pub fn new(views: Vec<View>) -> Self {
        let parts = views.iter().map(|_| ByKey::default()).collect();
        let owners = views.iter().map(|_| ByKey::default()).collect();
        let kept = Kept { parts, owners, ..Kept::default() };
        Self { views: views.into(), value_bytes_max: usize::MAX, kept: Arc::new(Mutex::new(kept)) }
    }

    /// A write with a longer value is refused.
    #[must_use]
    pub fn with_value_bytes_max(mut self, bytes: usize) -> Self {
        self.value_bytes_max = bytes;
        self
    }

    /// What people see of a view; empty for one that is not kept here.
    pub fn rows(&self, view: &str) -> Rows {
        let Some(at) = self.views.iter().position(|v| v.name == view) else { return Rows::new() };
        self.lock().parts[at]
            .iter()
            .filter_map(|(key, part)| Some((key.clone(), part.shown.clone()?)))
            .collect()
    }

    /// Every alert ever raised, by name.
    pub fn alerts(&self) -> Vec<Alert> {
        self.lock().alerts.values().cloned().collect()
    }

    /// No code that holds the lock leaves it half done, so a poisoned one is sound.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl State for Memory {
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let mut kept = self.lock();
        refuse_renamed(kept.lanes.keys().map(|held| &*held.topic), topic)?;
        let of_topic = kept.lanes.iter().filter(|(at, _)| &*at.topic == topic);
        let stood = of_topic.filter_map(|(_, lane)| Some(lane.checkpoint.as_ref()?.partitions));
        let first = stood.min().unwrap_or(partitions);
        refuse_count(topic, *kept.counts.entry(topic.to_owned()).or_insert(first), partitions)
    }

    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError> {
        let kept = self.lock();
        let of_topic = kept.lanes.iter().filter(|(at, _)| &*at.topic == topic);
        let stood = of_topic.filter_map(|(_, lane)| Some(lane.checkpoint.as_ref()?.partitions));
        Ok(kept.counts.get(topic).copied().or_else(|| stood.min()))
    }

    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        let kept = self.lock();
        let of_topic = kept.lanes.iter().filter(|(at, _)| &*at.topic == topic);
        Ok(of_topic.filter_map(|(at, lane)| Some((at.index, lane.checkpoint.clone()?))).collect())
    }

    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let mut kept = self.lock();
        let count = kept.counts.entry(topic.to_owned()).or_insert(partitions);
        if partitions.abs() >= count.abs() {
            *count = partitions;
        }
        Ok(())
    }

    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        let mut kept = self.lock();
        refuse_renamed(kept.lanes.keys().map(|held| &*held.topic), &partition.topic)?;
        let id = kept.lanes.len() as LaneId;
        let stored = kept.lanes.entry(partition.clone()).or_insert_with(|| Stored {
            id,
            epoch: 0,
            rows: HashMap::default(),
            checkpoint: None,
            last: None,
        });
        stored.epoch += 1;
        Ok(Arc::new(MemoryPartition {
            memory: self.clone(),
            partition: partition.clone(),
            epoch: stored.epoch,
            checkpoint: stored.checkpoint.clone(),
        }))
    }
}

struct MemoryPartition {
    memory: Memory,
    partition: Partition,
    epoch: u64,
    checkpoint: Option<Checkpoint>,
}

impl MemoryPartition {
    /// What the lane stands on, or `Fenced` once somebody else opened it.
    fn held<'a>(&self, kept: &'a mut Kept) -> Result<&'a mut Stored, SinkError> {
        kept.lanes
            .get_mut(&self.partition)
            .filter(|stored| stored.epoch == self.epoch)
            .ok_or(SinkError::Fenced)
    }
}

#[async_trait]
impl PartitionState for MemoryPartition {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint.clone()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        let mut kept = self.memory.lock();
        let stored = self.held(&mut kept)?;
        Ok(keys.iter().map(|key| stored.rows.get(key).cloned()).collect())
    }

    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        let mut kept = self.memory.lock();
        let rows = &self.held(&mut kept)?.rows;
        let found = rows.iter().filter(|(key, _)| key.starts_with(prefix));
        let mut found: Vec<_> = found.map(|(key, value)| (key.clone(), value.clone())).collect();
        found.sort_unstable();
        Ok(found)
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        let mut kept = self.memory.lock();
        let stored = self.held(&mut kept)?;
        if let Some((_, receipt)) = stored.last.as_ref().filter(|last| last.0 == batch.digest()) {
            return Ok(receipt.clone());
        }
        let next = stored.checkpoint.as_ref().map_or(batch.span.start, |at| at.next);
        if next != batch.span.start || batch.partition != self.partition {
            return Err(SinkError::Fenced);
        }
        let id = stored.id;
        let writes = admit(&self.memory.views, batch, self.memory.value_bytes_max)?;
        let writes = coalesce(&self.memory.views, &writes);
        kept.claim(&self.memory.views, id, &self.partition, &writes)?;
        let stored = self.held(&mut kept)?;
        for (key, value) in &batch.rows {
            match value {
                Some(value) => stored.rows.insert(key.clone(), value.clone()),
                None => stored.rows.remove(key),
            };
        }
        stored.checkpoint = Some(batch.checkpoint.clone());
        let mut receipt = Receipt::default();
        for asked in writes {
            let Asked { at, write, .. } = asked;
            let view = &self.memory.views[at];
            let parts = &mut kept.parts[at];
            let part = match parts.get_mut(&write.key) {
                Some(part) => part,
                None => parts.entry(write.key.clone()).or_default(),
            };
            let alert = part.apply(view, id, &self.partition, &asked)?;
            if part.is_spent(view) {
                parts.remove(&write.key);
            }
            if let Some(alert) = alert
                && kept.alerts.insert(alert.name.clone(), alert.clone()).is_none()
            {
                receipt.alerts.push(alert);
            }
        }
        self.held(&mut kept)?.last = Some((batch.digest(), receipt.clone()));
        Ok(receipt)
    }

    async fn close(&self) -> Result<(), SinkError> {
        if let Ok(stored) = self.held(&mut self.memory.lock()) {
            stored.epoch += 1;
        }
        Ok(())
    }
}
