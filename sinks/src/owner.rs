//! A row's owner is one partition: the one that its source row's primary key is in.
use crate::{Partition, SinkError, Write};

/// A write of the owner's part of a row ([`crate::Op::Put`], [`crate::Op::Delete`]) that another partition of the same
/// generation owns. Every store and sink answers it with [`SinkError::Fatal`] that has this inside, leaves the row as
/// it is, and does not move the position. It stays so when the row is deleted: placement never moves a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{partition} offset {offset}: its row of view {view} is owned by {owner}. One primary key is in two partitions, and \
     nothing says which of its changes came last. Let the producer place records by their primary key, as Kafka's \
     default partitioner does, or take a topic with one partition; then have Debezium write a new snapshot to a topic \
     made anew (or under another topic.prefix), and start with a new GENERATION"
)]
pub struct TwoOwners {
    pub view: String,
    /// Where the record is that asked.
    pub partition: Partition,
    /// The first record of the batch that asked for this row.
    pub offset: i64,
    /// `topic/partition` of the owner.
    pub owner: String,
}
impl TwoOwners {
    /// `write` is the first of a batch of `partition` that asks for the row, `owner` the partition that has it.
    pub fn new(write: &Write, partition: &Partition, owner: &Partition) -> Self {
        let (view, partition) = (write.view.to_owned(), partition.clone());
        Self { view, partition, offset: write.offset, owner: owner.to_string() }
    }
}
impl From<TwoOwners> for SinkError {
    fn from(found: TwoOwners) -> Self {
        Self::fatal(found)
    }
}
