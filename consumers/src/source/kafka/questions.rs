//! What the brokers are asked beside the stream of records. Blocks: never on the thread that polls.
use super::{Bounds, Probe, QUESTION_WAIT, Range, Record, Settings, callbacks::Client};
use crate::source::prefix::{self, Missing};
use anyhow::{Context as _, bail};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::KafkaError,
    metadata::{Metadata, MetadataPartition, MetadataTopic},
};
use sinks::Partition;
use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

/// Only a look at the client: questions never keep it from closing.
pub struct Questions(pub Arc<Mutex<Weak<Client>>>, pub Arc<Settings>);
impl Questions {
    fn client(&self) -> anyhow::Result<Arc<Client>> {
        let client = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        client.upgrade().context("the Kafka client is closed")
    }
}
impl Probe for Questions {
    fn bounds(&self, partition: &Partition) -> anyhow::Result<Bounds> {
        let client = self.client()?;
        let (begin, end) = watermarks(&client, partition)
            .with_context(|| format!("the bounds of {partition} are unknown"))?;
        let metadata = client
            .fetch_metadata(Some(&partition.topic), QUESTION_WAIT)
            .with_context(|| format!("the partitions of topic {} are unknown", partition.topic))?;
        let topic = metadata.topics().iter().find(|t| *t.name() == *partition.topic);
        let partitions = topic.filter(|t| t.error().is_none()).map_or(0, |t| t.partitions().len());
        if partitions == 0 {
            bail!("Kafka does not know topic {} now", partition.topic);
        }
        Ok(Bounds { begin, end, partitions: i32::try_from(partitions)? })
    }

    fn offset_at(&self, partition: &Partition, ms: i64) -> anyhow::Result<Option<i64>> {
        let client = self.client()?;
        let unknown = || format!("the offset of {partition} at START is unknown");
        let mut wanted = TopicPartitionList::new();
        wanted
            .add_partition_offset(&partition.topic, partition.index, Offset::Offset(ms))
            .with_context(unknown)?;
        let found = client.offsets_for_times(wanted, QUESTION_WAIT).with_context(unknown)?;
        let found =
            found.find_partition(&partition.topic, partition.index).with_context(unknown)?;
        found.error().with_context(unknown)?;
        match found.offset() {
            Offset::Offset(offset) => Ok(Some(offset)),
            Offset::End => Ok(None),
            other => bail!("{}: the broker answers {other:?}", unknown()),
        }
    }

    fn read(
        &self,
        partition: &Partition,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> anyhow::Result<bool> {
        Range::new(&self.1)?.read(partition, from, to, visit)
    }
}

pub fn watermarks(client: &Client, partition: &Partition) -> Result<(i64, i64), KafkaError> {
    client.fetch_watermarks(&partition.topic, partition.index, QUESTION_WAIT)
}

/// Where every partition of the topics ends now. Never asks for a topic by name: that could create it.
pub fn ends(client: &Client, settings: &Settings) -> anyhow::Result<HashMap<(String, i32), i64>> {
    let started = Instant::now();
    let metadata = loop {
        match client.fetch_metadata(None, QUESTION_WAIT) {
            Ok(metadata) => break metadata,
            Err(_) if started.elapsed() < 6 * QUESTION_WAIT => {}
            Err(e) => bail!(
                "no broker of {} answers: {e}. Check KAFKA_BOOTSTRAP_SERVERS, the network, and KAFKA_PROPERTIES_* \
                 for TLS and SASL.",
                settings.bootstrap_servers
            ),
        }
    };
    if let Some(missing) = unknown(&metadata, &settings.topics) {
        bail!(
            "these topics do not exist: {missing}. If the prefix is right, start the Debezium connector first: it makes \
             a topic with its first change. A topic that this user may not Describe looks the same"
        );
    }
    let mut ends = HashMap::new();
    for topic in metadata.topics().iter().filter(|t| settings.topics.iter().any(|n| n == t.name()))
    {
        let name = topic.name();
        for index in topic.partitions().iter().map(MetadataPartition::id) {
            let (_, end) = client
                .fetch_watermarks(name, index, QUESTION_WAIT)
                .with_context(|| format!("the end of {name}/{index} is unknown"))?;
            ends.insert((name.to_owned(), index), end);
        }
    }
    Ok(ends)
}

/// Which of the topics the brokers do not know now. Never asks for a topic by name: that could create it.
pub fn absent(client: &Client, topics: &[String]) -> Result<Option<Missing>, KafkaError> {
    Ok(unknown(&client.fetch_metadata(None, QUESTION_WAIT)?, topics))
}

fn unknown(metadata: &Metadata, topics: &[String]) -> Option<Missing> {
    prefix::missing(topics, &metadata.topics().iter().map(MetadataTopic::name).collect())
}
