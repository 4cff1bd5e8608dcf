//! Where a partition stands: its rows, its shares and its position, moved together or not at all.
//! What is stored, byte by byte: `state/keys.rs`.
pub mod keys;
pub mod memory;
mod part;
mod shown;
#[cfg_attr(not(feature = "aws"), path = "state/slatedb_absent.rs")]
pub mod slatedb;
pub mod sqlite;

pub use shown::{Basis, Shown, find_count};

use crate::{Batch, Checkpoint, Key, Partition, Receipt, SinkError};
use anyhow::anyhow;
use async_trait::async_trait;
use std::sync::Arc;

#[async_trait]
pub trait State: Send + Sync {
    /// Asked before any lane of the topic is opened: the state of a topic is made with one count of partitions and no
    /// other. The first count asked for is kept; every other one is refused with [`refuse_count`], and nothing
    /// changes, nobody is fenced. Rows lie in the partition that their key had: under another count keys move, and a
    /// partition that has no checkpoint yet could not know that the rows of its keys are elsewhere.
    /// A state made before counts were kept goes by the checkpoints of the topic's lanes, if there are any.
    /// Refuses a renamed topic as `open` does.
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError>;
    /// The count that `keep_count` would go by; `None`: none yet. Below 0: that many, and where a key belongs is not
    /// known, so files that do not show all of the log prove nothing (see [`find_count`]). Changes nothing.
    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError>;
    /// Where each lane of the topic stands that has a checkpoint, by the partition's number. Fences nobody.
    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError>;
    /// Puts a count in place of the kept one, for good; one of more partitions stays. Only [`find_count`] asks for it,
    /// once it is sure that no key has moved. Nobody is fenced, and the lanes' checkpoints stay as they are.
    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError>;

    /// Takes the partition over. Whoever held it before is fenced: its next commit fails.
    /// Refused for a table that is held here under another topic: see [`refuse_renamed`].
    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError>;
}

/// What every `open` asks before it makes anything: `held` are the topics whose lanes this service and generation
/// ever opened. A table's topic never changes its name within a generation. Positions and shares are kept by topic,
/// so under a new name (a connector made again with another `topic.prefix`) the old shares would stay and be counted
/// beside the new ones, and offsets of the old topic would be compared with those of the new one.
/// A topic's table is its last part: `shop.public.products` and `products` are the same table.
pub fn refuse_renamed<T: AsRef<str>>(
    held: impl IntoIterator<Item = T>,
    topic: &str,
) -> Result<(), SinkError> {
    let is_renamed = |was: &T| was.as_ref() != topic && table_of(was.as_ref()) == table_of(topic);
    let Some(was) = held.into_iter().find(is_renamed) else { return Ok(()) };
    Err(SinkError::fatal(anyhow!(
        "the state holds topic {} for this table; it is now {topic}: set TOPIC_PREFIX back, or start with a new \
         GENERATION",
        was.as_ref()
    )))
}

/// `kept`: the count that the state of this topic was made with; below 0 as [`State::count`] says.
pub fn refuse_count(topic: &str, kept: i32, now: i32) -> Result<(), SinkError> {
    let (kept, now) = (kept.abs(), now.abs());
    if kept == now {
        return Ok(());
    }
    Err(SinkError::fatal(anyhow!(
        "the topic {topic} has {now} partitions and the state was made with {kept}: keys have moved, and their older \
         records are still where they were, so they would count twice. Have Debezium write a new snapshot to topics \
         made anew (or under another topic.prefix), then start with a new GENERATION"
    )))
}

/// The name of a topic's table, where nothing but the topic's name is known: its last part.
pub fn table_of(topic: &str) -> &str {
    topic.rsplit_once('.').map_or(topic, |(_, table)| table)
}

/// One owner's hold on one partition.
#[async_trait]
pub trait PartitionState: Send + Sync {
    /// What stood there when the lane was opened; `None`: nothing yet.
    fn checkpoint(&self) -> Option<Checkpoint>;

    /// The rows under these keys, in their order. Who was fenced reads what it left, or [`SinkError::Fenced`], never
    /// what the next owner wrote.
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError>;

    /// Every row whose key begins with `prefix`, in key order, as committed. For a fenced lane as with `get`.
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError>;

    /// Atomic: rows, checkpoint, and the views where this store keeps them. Succeeds when the stored position is
    /// `batch.span.start` and nobody has taken over since, or, without effect, when the last commit was this very
    /// batch (its receipt is then given again). Otherwise [`SinkError::Fenced`].
    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError>;

    /// Commits as [`PartitionState::commit`] does, a batch that is shared already: a store that hands it to another
    /// thread need not copy it.
    async fn commit_shared(&self, batch: &Arc<Batch>) -> Result<Receipt, SinkError> {
        self.commit(batch).await
    }

    /// Gives the hold back; what is uncommitted is dropped. Later calls fail with [`SinkError::Fenced`].
    async fn close(&self) -> Result<(), SinkError> {
        Ok(())
    }
}
