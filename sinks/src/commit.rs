//! The commit promise, in one place: dead letters -> sink writes -> state. Whoever calls acknowledges to Kafka after.
use crate::{Alert, Batch, Checkpoint, Dlq, Lane, Letter, Partition, Receipt, SinkError, State};
use async_trait::async_trait;
use std::sync::Arc;

/// Where views live when the state does not keep them itself.
///
/// A sink of one's own, exact because each row remembers the last offset that wrote it:
///
/// ```
/// use async_trait::async_trait;
/// use sinks::{Batch, Cell, Checkpoint, Op, Partition, Receipt, Sink, SinkError, Write};
/// use std::{collections::HashMap, sync::Mutex};
///
/// /// Stands for a database with conditional writes: (view, key) -> (last offset, row).
/// #[derive(Default)]
/// struct Table(Mutex<HashMap<(&'static str, Vec<Cell>), (i64, Option<Vec<Cell>>)>>);
///
/// #[async_trait]
/// impl Sink for Table {
///     async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
///         let mut rows = self.0.lock().map_err(|_| SinkError::Fenced)?;
///         for write in &batch.writes {
///             let row = match &write.op {
///                 Op::Put(row) => Some(row.clone()),
///                 // Kept, as a tombstone: a late, older write must not bring the row back.
///                 Op::Delete => None,
///                 Op::Share(_) => return Err(SinkError::fatal(anyhow::anyhow!("keeps no totals"))),
///             };
///             let stored = rows.entry((write.view, write.key.clone())).or_insert((-1, None));
///             // The condition: a repeat, or a stale owner, changes nothing.
///             if stored.0 < write.offset {
///                 *stored = (write.offset, row);
///             }
///         }
///         Ok(Receipt::default())
///     }
/// }
///
/// # let put = |offset, text: &str| Write {
/// #     offset, source_ts_ms: 0, view: "names", key: vec![Cell::Int(1)], op: Op::Put(vec![text.into()]),
/// # };
/// # let batch = |start, writes: Vec<Write>| {
/// #     let next = writes.last().unwrap().offset + 1;
/// #     let at = Checkpoint { next, ..Checkpoint::default() };
/// #     Batch::new(Partition::new("t", 0), 't', start, writes, vec![], at, Default::default())
/// # };
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let table = Table::default();
/// table.write(&batch(0, vec![put(0, "old"), put(1, "new")])).await?;
/// table.write(&batch(0, vec![put(0, "old")])).await?; // again, cut differently
/// assert_eq!(table.0.lock().unwrap()[&("names", vec![Cell::Int(1)])].1, Some(vec!["new".into()]));
/// # Ok::<(), SinkError>(()) }).unwrap();
/// ```
///
/// [`crate::conformance::views`] tells whether it keeps every promise.
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
        lane: &dyn Lane,
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
        lane: &dyn Lane,
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
        lane: &dyn Lane,
    ) -> Result<(), SinkError> {
        match &self.sink {
            Some(sink) => sink.publish(partition, at, lane).await,
            None => Ok(()),
        }
    }
}
