//! A partition's database in one owner's hands.
use super::{CHECKPOINT, KEY_BYTES_MAX, Place, ROW, store::Shared};
use crate::{Batch, Checkpoint, Key, Partition, PartitionState, Receipt, SinkError};
use anyhow::anyhow;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use slatedb::{
    Db, WriteBatch, WriteHandle,
    admin::Admin,
    bytes::Bytes,
    config::{CloseOptions, DurabilityLevel, ReadOptions, ScanOptions},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    pub checkpoint: Checkpoint,
    /// Of the batch that brought it here.
    digest: [u8; 16],
}

struct Now {
    stored: Option<Stored>,
    /// A commit that began and is not known to be durable. No handle: not known to be taken.
    unsure: Option<([u8; 16], Option<WriteHandle>)>,
}

pub struct SlatePartition {
    place: Place,
    partition: Partition,
    reads_at_once_max: usize,
    db: Db,
    /// Greater with each owner.
    epoch: u64,
    closed: AtomicBool,
    stood: Option<Checkpoint>,
    now: tokio::sync::Mutex<Now>,
}

impl SlatePartition {
    pub async fn of(
        db: Db,
        place: Place,
        partition: Partition,
        reads_at_once_max: usize,
    ) -> Result<Self, SinkError> {
        let mut lane = Self {
            place,
            partition,
            reads_at_once_max,
            epoch: db.manifest().writer_epoch(),
            db,
            closed: AtomicBool::new(false),
            stood: None,
            now: tokio::sync::Mutex::new(Now { stored: None, unsure: None }),
        };
        if let Some(bytes) = lane.place.answer(lane.db.get(CHECKPOINT)).await? {
            let stored: Stored =
                serde_json::from_slice(&bytes).map_err(|cause| lane.place.damaged(cause))?;
            lane.stood = Some(stored.checkpoint.clone());
            lane.now.get_mut().stored = Some(stored);
        }
        Ok(lane)
    }
}

#[async_trait]
impl PartitionState for SlatePartition {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.stood.clone()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        self.check_open()?;
        let options = ReadOptions::new().with_durability_filter(DurabilityLevel::Remote);
        let read = async |key: &Key| {
            if key.len() > KEY_BYTES_MAX {
                return Ok(None); // never stored
            }
            let found = self.db.get_with_options(row_key(key), &options).await?;
            Ok::<_, slatedb::Error>(found.map(|value| value.to_vec()))
        };
        let all =
            stream::iter(keys.iter().map(read)).buffered(self.reads_at_once_max).try_collect();
        self.judged(self.place.answer(all).await).await
    }

    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        self.check_open()?;
        let options = ScanOptions {
            durability_filter: DurabilityLevel::Remote,
            read_ahead_bytes: 1 << 20,
            ..ScanOptions::default()
        };
        let all = async {
            let rows = self.db.scan_prefix_with_options(row_key(prefix), .., &options);
            let (mut rows, mut found) = (self.place.answer(rows).await?, vec![]);
            while let Some(row) = self.place.answer(rows.next()).await? {
                found.push((row.key[1..].to_vec(), row.value.to_vec()));
            }
            Ok(found)
        };
        self.judged(all.await).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        self.judged(self.write(batch).await).await
    }

    async fn close(&self) -> Result<(), SinkError> {
        if self.closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        close(self.db.clone(), &self.place).await;
        Ok(())
    }
}

impl SlatePartition {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        self.check_open()?;
        let mut now = self.now.lock().await;
        if now.unsure.as_ref().is_some_and(|unsure| unsure.0 != batch.digest()) {
            return Err(SinkError::Fenced);
        }
        if now.stored.as_ref().is_some_and(|stored| stored.digest == batch.digest()) {
            return Ok(Receipt::default());
        }
        let next = now.stored.as_ref().map_or(batch.span.start, |stored| stored.checkpoint.next);
        if next != batch.span.start || batch.partition != self.partition {
            return Err(SinkError::Fenced);
        }
        let stored = Stored { checkpoint: batch.checkpoint.clone(), digest: batch.digest() };
        let given = now.unsure.take().and_then(|unsure| unsure.1);
        now.unsure = Some((stored.digest, given.clone()));
        let handle = match given {
            Some(handle) => handle,
            None => {
                let writes = self.writes(batch, &stored)?;
                let handle = self.place.answer(self.db.write(writes)).await?;
                now.unsure = Some((stored.digest, Some(handle.clone())));
                handle
            }
        };
        let durable = async {
            self.db.flush().await?;
            handle.await_durable().await
        };
        self.place.answer(durable).await?;
        *now = Now { stored: Some(stored), unsure: None };
        Ok(Receipt::default())
    }

    /// An owner that slept while another one took over, and tidied up, misses objects that are rightly gone: what
    /// seems damaged to it is none of its business.
    async fn judged<T>(&self, result: Result<T, SinkError>) -> Result<T, SinkError> {
        match result {
            Err(SinkError::Fatal(_)) if self.is_superseded().await => Err(SinkError::Fenced),
            result => result,
        }
    }

    /// As far as one can tell.
    async fn is_superseded(&self) -> bool {
        let store = Arc::new(Shared(self.place.store.clone()));
        let admin = Admin::builder(self.place.path.as_str(), store).build();
        let newest = self.place.within(admin.read_manifest(None)).await;
        matches!(newest, Ok(Ok(Some(newest))) if newest.writer_epoch() > self.epoch)
    }

    fn check_open(&self) -> Result<(), SinkError> {
        if self.closed.load(Ordering::SeqCst) { Err(SinkError::Fenced) } else { Ok(()) }
    }

    fn writes(&self, batch: &Batch, stored: &Stored) -> Result<WriteBatch, SinkError> {
        let mut writes = WriteBatch::new();
        for (key, value) in &batch.rows {
            if key.len() > KEY_BYTES_MAX {
                let (bytes, place) = (key.len(), &self.partition);
                return Err(SinkError::fatal(anyhow!(
                    "{place} offsets {} to {}: a state key has {bytes} bytes, at most {KEY_BYTES_MAX} can be kept: \
                     the handler must reject such a record when it reads it",
                    batch.span.start,
                    batch.span.end
                )));
            }
            match value {
                Some(value) => writes.put_bytes(row_key(key), Bytes::copy_from_slice(value)),
                None => writes.delete(row_key(key)),
            }
        }
        let checkpoint = serde_json::to_vec(stored).map_err(SinkError::fatal)?;
        writes.put(CHECKPOINT, checkpoint);
        Ok(writes)
    }
}

/// A lane that is dropped without `close`, as when its task ends early, must not leave its background work behind.
impl Drop for SlatePartition {
    fn drop(&mut self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (db, place) = (self.db.clone(), self.place.clone());
            runtime.spawn(async move { close(db, &place).await });
        }
    }
}

/// Everything worth keeping is durable already, so a close that fails loses nothing.
async fn close(db: Db, place: &Place) {
    let closing = db.close_with_options(CloseOptions { flush_type: None });
    if let Err(cause) = place.answer(closing).await {
        tracing::debug!(path = %place.path, %cause, "closing the state");
    }
}

pub fn row_key(key: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.push(ROW);
    bytes.extend_from_slice(key);
    bytes.into()
}
