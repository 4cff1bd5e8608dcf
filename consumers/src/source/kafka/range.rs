//! A part of a partition's log, read beside the service: a consumer that joins no group and lives for one question.
use super::{Settings, headers::Lazy};
use crate::source::{Headers, Record};
use anyhow::{Context as _, bail};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use sinks::Partition;
use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

/// Longer than any broker takes for the next record.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// An end before `to` must last: right after a leader's failure it may still move.
const END_LASTS: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(100);
const QUESTION_WAIT: Duration = Duration::from_secs(10);

/// Blocks: never on the thread that polls.
pub struct Range {
    client: BaseConsumer,
}

impl Range {
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let mut config = settings.client_config().map_err(|all| anyhow::anyhow!(all.join("\n")))?;
        // Assigned by hand, so no member of the group; the name only lets librdkafka assign at all.
        config.remove("group.instance.id");
        // A follower's log may end before what the leader calls the end.
        config.remove("client.rack");
        config.set("enable.partition.eof", "true").set("statistics.interval.ms", "0");
        let client = config.create().context("no Kafka client can be made of these settings")?;
        Ok(Self { client })
    }

    /// First offset of the log and one past the last that readers may see.
    pub fn bounds(&self, partition: &Partition) -> anyhow::Result<(i64, i64)> {
        self.client
            .fetch_watermarks(&partition.topic, partition.index, QUESTION_WAIT)
            .with_context(|| format!("the bounds of {partition} are unknown"))
    }

    /// Where the service's group was seen: one past the last record that it acknowledged.
    pub fn acknowledged(&self, partition: &Partition) -> anyhow::Result<Option<i64>> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&partition.topic, partition.index);
        let found = self.client.committed_offsets(list, QUESTION_WAIT);
        let found =
            found.with_context(|| format!("the group's offset of {partition} is unknown"))?;
        Ok(found.elements().first().and_then(|element| match element.offset() {
            Offset::Offset(next) => Some(next),
            _ => None,
        }))
    }

    /// As [`crate::source::Probe::read`]. `to` is at most what [`Range::bounds`] gave, or the offset of a record seen.
    pub fn read(
        &self,
        partition: &Partition,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        if self.bounds(partition)?.0 > from {
            return Ok(false);
        }
        if from >= to {
            return Ok(true);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.index, Offset::Offset(from))?;
        self.client.assign(&list).with_context(|| format!("{partition} cannot be read"))?;
        let done = self.read_assigned(partition, to, visit);
        // What was read is read; a client that cannot let go of it is dropped soon.
        let _ = self.client.unassign();
        done?;
        // Retention may have caught up meanwhile: then something may be missing.
        Ok(self.bounds(partition)?.0 <= from)
    }

    fn read_assigned(
        &self,
        partition: &Partition,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<()> {
        let (mut heard, mut ended) = (Instant::now(), None);
        loop {
            if ended.is_some_and(|at: Instant| at.elapsed() > END_LASTS) {
                // Nothing visible is left: the last offsets hold no records. Unless the log lost them.
                return match self.bounds(partition)?.1 >= to {
                    true => Ok(()),
                    false => bail!("{partition} ends before offset {to}"),
                };
            }
            match self.client.poll(POLL) {
                Some(Ok(message)) => {
                    (heard, ended) = (Instant::now(), None);
                    if message.offset() >= to {
                        return Ok(());
                    }
                    let record = Record {
                        partition,
                        offset: message.offset(),
                        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
                        key: message.key(),
                        value: message.payload(),
                        headers: Headers(&Lazy(&message)),
                    };
                    if visit(&record).is_break() || message.offset() + 1 >= to {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => ended = Some(Instant::now()),
                Some(Err(error)) if heard.elapsed() > SILENCE_MAX => {
                    return Err(error).with_context(|| format!("{partition} cannot be read"));
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    bail!("{partition} cannot be read: {code}")
                }
                Some(Err(KafkaError::MessageConsumption(
                    code @ rdkafka::error::RDKafkaErrorCode::AutoOffsetReset,
                ))) => bail!("{partition} cannot be read from there: {code}"),
                Some(Err(_)) | None if heard.elapsed() <= SILENCE_MAX => {}
                _ => {
                    bail!("{partition}: the broker gave no record for {} s", SILENCE_MAX.as_secs())
                }
            }
        }
    }
}
