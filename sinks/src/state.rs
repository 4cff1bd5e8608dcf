//! Where a partition stands: its rows, its shares and its position, moved together or not at all.
pub mod memory;
mod part;
pub mod slatedb;
pub mod sqlite;

use crate::{Batch, Checkpoint, Key, Partition, Receipt, SinkError};
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
pub trait State: Send + Sync {
    /// Takes the partition over. Whoever held it before is fenced: its next commit fails.
    async fn open(&self, partition: &Partition) -> Result<Arc<dyn Lane>, SinkError>;
}

/// One owner's hold on one partition.
#[async_trait]
pub trait Lane: Send + Sync {
    /// What stood there when the lane was opened; `None`: nothing yet.
    fn checkpoint(&self) -> Option<Checkpoint>;

    /// The rows under these keys, in their order.
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError>;

    /// Every row whose key begins with `prefix`, in key order, as committed.
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError>;

    /// Atomic: rows, checkpoint, and the views where this store keeps them. Succeeds when the stored position is
    /// `batch.span.start` and nobody has taken over since, or, without effect, when the last commit was this very
    /// batch (its receipt is then given again). Otherwise [`SinkError::Fenced`].
    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError>;

    /// Gives the hold back; what is uncommitted is dropped. Later calls fail with [`SinkError::Fenced`].
    async fn close(&self) -> Result<(), SinkError> {
        Ok(())
    }
}
