//! The commit promise, in one place: dead letters -> sink writes -> state. Whoever calls acknowledges to Kafka after.
use crate::{
    Alert, Batch, Checkpoint, Dlq, Letter, Partition, PartitionState, Receipt, SinkError, State,
};
use async_trait::async_trait;
use std::sync::Arc;

/// Where views live when the state does not keep them itself.
///
/// A sink of one's own, put through the suite that every sink must pass, is in `sinks/examples/sink.rs`.
///
/// [`crate::conformance::views`] tells whether it keeps every promise.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Durable on return, and harmless when repeated, cut differently, or raced by a stale owner.
    /// Writes of offsets in `batch.dead_lettered` that can never be made are left out silently.
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError>;

    /// Publishes what the lane's committed state says, for sinks that are derived from it.
    /// `at`: what was last committed to the lane. Called between commits, never during one. Publishing again changes
    /// nothing.
    async fn publish(
        &self,
        _partition: &Partition,
        _at: &Checkpoint,
        _lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        Ok(())
    }

    /// These alerts of this partition's receipts are published: the sink may let go of them. Until then, or until the
    /// partition's next batch begins where theirs ended, a crash or a repeat tells them again by the same names.
    async fn told(&self, _partition: &Partition, _alerts: &[Alert]) -> Result<(), SinkError> {
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
    /// `show` publishes a sink's alerts; the sink lets go of them, and the position moves, only after that.
    /// The receipt tells the alerts of a store that keeps the views itself.
    pub async fn commit_showing<F>(
        &self,
        lane: &dyn PartitionState,
        batch: &Arc<Batch>,
        letters: &[Letter],
        show: impl FnOnce(Vec<Alert>) -> F,
    ) -> Result<Receipt, SinkError>
    where
        F: Future<Output = Result<(), SinkError>>,
    {
        let written = self.write(batch, letters).await?;
        if let (Some(sink), false) = (&self.sink, written.alerts.is_empty()) {
            show(written.alerts.clone()).await?;
            sink.told(&batch.partition, &written.alerts).await?;
        }
        lane.commit_shared(batch).await
    }

    /// The same for callers that publish all alerts of the receipt themselves, afterwards.
    pub async fn commit(
        &self,
        lane: &dyn PartitionState,
        batch: &Batch,
        letters: &[Letter],
    ) -> Result<Receipt, SinkError> {
        let mut receipt = self.write(batch, letters).await?;
        receipt.alerts.extend(lane.commit(batch).await?.alerts);
        Ok(receipt)
    }

    async fn write(&self, batch: &Batch, letters: &[Letter]) -> Result<Receipt, SinkError> {
        if !letters.is_empty() {
            self.dlq.publish(letters).await?;
        }
        match &self.sink {
            Some(sink) => sink.write(batch).await,
            None => Ok(Receipt::default()),
        }
    }

    pub async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        match &self.sink {
            Some(sink) => sink.publish(partition, at, lane).await,
            None => Ok(()),
        }
    }
}
