//! A sink and a state that fail now and then: before they did anything, or after all of it, as a lost answer would.
use super::shop::Dice;
use crate::{
    Alert, Batch, Checkpoint, Dlq, Key, Letter, Partition, PartitionState, Receipt, Sink,
    SinkError, State,
};
use anyhow::anyhow;
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone)]
pub(super) struct Faults {
    dice: Arc<Mutex<Dice>>,
    percent: u64,
}

impl Faults {
    /// `percent` of calls fail before, as many after.
    pub fn new(seed: u64, percent: u64) -> Self {
        Self { dice: Arc::new(Mutex::new(Dice::new(seed))), percent }
    }
    fn strike(&self, when: &str) -> Result<(), SinkError> {
        let roll = self.dice.lock().unwrap_or_else(PoisonError::into_inner).roll(100);
        if roll < self.percent {
            Err(SinkError::Transient(anyhow!("made to fail {when}")))
        } else {
            Ok(())
        }
    }
    async fn around<T>(
        &self,
        call: impl Future<Output = Result<T, SinkError>>,
    ) -> Result<T, SinkError> {
        self.strike("before")?;
        let answer = call.await?;
        self.strike("after")?;
        Ok(answer)
    }
}

pub(super) struct FlakySink(pub Arc<dyn Sink>, pub Faults);

#[async_trait]
impl Sink for FlakySink {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        self.1.around(self.0.write(batch)).await
    }
    async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        self.1.around(self.0.publish(partition, at, lane)).await
    }
    async fn told(&self, partition: &Partition, alerts: &[Alert]) -> Result<(), SinkError> {
        self.1.around(self.0.told(partition, alerts)).await
    }
    fn forget(&self, partition: &Partition) {
        self.0.forget(partition);
    }
}

pub(super) struct FlakyState(pub Arc<dyn State>, pub Faults);

#[async_trait]
impl State for FlakyState {
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        self.1.around(self.0.keep_count(topic, partitions)).await
    }
    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError> {
        self.1.around(self.0.count(topic)).await
    }
    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        self.1.around(self.0.checkpoints(topic)).await
    }
    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        self.1.around(self.0.raise_count(topic, partitions)).await
    }
    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        let lane = self.1.around(self.0.open(partition)).await?;
        Ok(Arc::new(FlakyPartition(lane, self.1.clone())))
    }
}

struct FlakyPartition(Arc<dyn PartitionState>, Faults);

#[async_trait]
impl PartitionState for FlakyPartition {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.0.checkpoint()
    }
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        self.1.around(self.0.get(keys)).await
    }
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        self.1.around(self.0.scan(prefix)).await
    }
    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        self.1.around(self.0.commit(batch)).await
    }
    async fn close(&self) -> Result<(), SinkError> {
        self.0.close().await
    }
}

/// Keeps dead letters for the suite to count.
#[derive(Default)]
pub(super) struct Letters(pub Mutex<Vec<Letter>>);

#[async_trait]
impl Dlq for Letters {
    async fn publish(&self, letters: &[Letter]) -> Result<(), SinkError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(letters);
        Ok(())
    }
}
