//! Topics, read from where they begin to where they end, as cheaply as a Rust program with librdkafka does it.
use anyhow::{Context as _, bail, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::BorrowedMessage,
};
use std::time::Duration;

/// No record for this long, before the end: the broker is gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// The properties that the services set, too, so that nobody is ahead by settings.
const PROPERTIES: [(&str, &str); 6] = [
    ("group.id", "bench"),
    ("enable.auto.commit", "false"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    ("max.partition.fetch.bytes", "1048576"),
];

/// Calls `visit` with every record that the topics hold now, and returns how many there were. The topics must have no
/// gaps in their offsets (no transactions, no compaction).
///
/// # Errors
/// Those of `visit`, and what librdkafka says; also when no record comes for half a minute before the end.
pub fn read(
    brokers: &str,
    topics: &[String],
    mut visit: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<i64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    for (name, value) in PROPERTIES {
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create().context("no Kafka client")?;
    let mut wanted = TopicPartitionList::new();
    let mut records = 0;
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().first().context("no such topic")?.partitions();
        ensure!(!partitions.is_empty(), "the topic {topic} does not exist");
        for partition in partitions {
            let (begin, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
            wanted.add_partition_offset(topic, partition.id(), Offset::Offset(begin))?;
            records += end - begin;
        }
    }
    consumer.assign(&wanted)?;
    let mut left = records;
    while left > 0 {
        match consumer.poll(PATIENCE) {
            Some(message) => visit(&message?)?,
            None => bail!("no record for {} s, and {left} to come", PATIENCE.as_secs()),
        }
        left -= 1;
    }
    Ok(records)
}

/// The topics of these tables.
pub fn topics(prefix: &str, tables: &[&str]) -> Vec<String> {
    tables.iter().map(|table| format!("{prefix}{table}")).collect()
}
