//! The partitions that are assigned, each with where it stands between the engine and librdkafka.
use rdkafka::TopicPartitionList;
use sinks::Partition;

/// Looks that must agree that nothing is left before an end without a record. After a seek or a resume librdkafka's
/// numbers are up to a second old, and it looks twice a second.
pub(super) const LOOKS: u32 = 4;

/// An assigned partition.
pub(super) struct Place {
    pub partition: Partition,
    /// The next offset to deliver; below it nothing passes.
    pub next: Option<i64>,
    /// A seek to `next` has still to take effect: nothing passes.
    pub seeking: bool,
    /// As the engine wants it.
    pub paused: bool,
    /// As librdkafka has it.
    pub held: bool,
    pub broken: bool,
    /// With `until_end`: where the partition ended at the start.
    pub end: Option<i64>,
    /// Looks in a row at which everything before `end` was fetched and nothing waited: the last offsets hold no
    /// records (transaction markers, compaction).
    pub drained: u32,
    pub acknowledged: Option<i64>,
    pub committed: Option<i64>,
}

impl Place {
    pub fn new(partition: Partition, end: Option<i64>) -> Self {
        Self {
            partition,
            next: None,
            seeking: false,
            paused: true,
            held: true,
            broken: false,
            end,
            drained: 0,
            acknowledged: None,
            committed: None,
        }
    }
    pub fn is(&self, topic: &str, index: i32) -> bool {
        self.partition.index == index && &*self.partition.topic == topic
    }
    pub fn is_delivered(&self) -> bool {
        match (self.next, self.end) {
            (Some(next), Some(end)) => !self.seeking && (next >= end || self.drained >= LOOKS),
            _ => false,
        }
    }
}

/// Those that are wanted, as librdkafka takes them.
pub(super) fn list(places: &[Place], wanted: impl Fn(&Place) -> bool) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for place in places.iter().filter(|p| wanted(p)) {
        list.add_partition(&place.partition.topic, place.partition.index);
    }
    list
}
