//! The commit promise, in one place: dead letters -> sink writes -> state. Whoever calls acknowledges to Kafka after.
use crate::{Batch, Checkpoint, Dlq, Lane, Letter, Partition, Receipt, SinkError, State};
use async_trait::async_trait;
use std::sync::Arc;

/// Where views live when the state does not keep them itself.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Durable on return, and harmless when repeated, cut differently, or raced by a stale owner.
    /// Writes of offsets in `batch.forgiven` that can never be made are left out silently.
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError>;

    /// Publishes what the lane's committed state says, for sinks that are derived from it.
    /// `at`: what was last committed to the lane. Called between commits, never during one. Publishing again changes
    /// nothing.
    async fn publish(
        &self,
        _partition: &Partition,
        _at: &Checkpoint,
        _lane: &dyn Lane,
    ) -> Result<(), SinkError> {
        Ok(())
    }

    /// The alerts of this partition's receipts are published: the sink may let go of them. Until then, or until the
    /// partition's next batch begins where the last one ended, a crash or a repeat tells them again by the same names.
    async fn told(&self, _partition: &Partition) -> Result<(), SinkError> {
        Ok(())
    }

    /// The partition is not ours any more: drop what was remembered of it.
    fn forget(&self, _partition: &Partition) {}
}

/// Carries out batches. Cheap to clone.
#[derive(Clone)]
pub struct Committer {
    pub dlq: Arc<dyn Dlq>,
    /// `None`: the state keeps the views.
    pub sink: Option<Arc<dyn Sink>>,
    pub state: Arc<dyn State>,
}

impl Committer {
    /// Each step is durable before the next; a crash between two of them is repaired by repeating the batch.
    pub async fn commit(
        &self,
        lane: &dyn Lane,
        batch: &Batch,
        letters: &[Letter],
    ) -> Result<Receipt, SinkError> {
        if !letters.is_empty() {
            self.dlq.publish(letters).await?;
        }
        let mut receipt = Receipt::default();
        if let Some(sink) = &self.sink {
            receipt = sink.write(batch).await?;
        }
        let kept = lane.commit(batch).await?;
        receipt.alerts.extend(kept.alerts);
        Ok(receipt)
    }

    pub async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn Lane,
    ) -> Result<(), SinkError> {
        match &self.sink {
            Some(sink) => sink.publish(partition, at, lane).await,
            None => Ok(()),
        }
    }
}
