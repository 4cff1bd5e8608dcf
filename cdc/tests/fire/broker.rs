//! What Kafka says: where logs end, what groups have acknowledged. And records of our own.
use crate::stack::KAFKA;
use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{collections::BTreeMap, time::Duration};

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The next offset of each partition.
pub type Positions = BTreeMap<(String, i32), i64>;

/// One group's acknowledgements, and the logs of the topics that it reads. Never joins.
pub struct Group {
    client: BaseConsumer,
    topics: Vec<String>,
}
impl Group {
    pub fn new(id: &str, topics: Vec<String>) -> anyhow::Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", KAFKA).set("group.id", id);
        // A broker that was away is looked for every second.
        config.set("reconnect.backoff.max.ms", "1000").set("log_level", "0");
        Ok(Self { client: config.create()?, topics })
    }

    fn partitions(&self) -> anyhow::Result<Vec<(String, i32)>> {
        let metadata = self.client.fetch_metadata(None, ANSWER_WITHIN)?;
        let ours = metadata.topics().iter().filter(|t| self.topics.iter().any(|o| o == t.name()));
        let each = |t: &rdkafka::metadata::MetadataTopic| {
            let name = t.name().to_owned();
            t.partitions().iter().map(move |p| (name.clone(), p.id())).collect::<Vec<_>>()
        };
        Ok(ours.flat_map(each).collect())
    }

    pub fn ends(&self) -> anyhow::Result<Positions> {
        let end = |(topic, index): (String, i32)| {
            let (_, end) = self.client.fetch_watermarks(&topic, index, ANSWER_WITHIN)?;
            Ok(((topic, index), end))
        };
        self.partitions()?.into_iter().map(end).collect()
    }

    /// 0 where nothing was acknowledged yet.
    pub fn committed(&self) -> anyhow::Result<Positions> {
        let mut list = TopicPartitionList::new();
        for (topic, index) in self.partitions()? {
            list.add_partition(&topic, index);
        }
        let found = self.client.committed_offsets(list, ANSWER_WITHIN)?;
        let one = |e: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let next = match e.offset() {
                Offset::Offset(next) => next,
                _ => 0,
            };
            ((e.topic().to_owned(), e.partition()), next)
        };
        Ok(found.elements().into_iter().map(one).collect())
    }
}

/// Every partition stands at `ends` or beyond.
pub fn reached(at: &Positions, ends: &Positions) -> bool {
    ends.iter().all(|(partition, end)| at.get(partition).copied().unwrap_or(0) >= *end)
}
pub fn total(at: &Positions) -> i64 {
    at.values().sum()
}
/// For messages: where `at` is behind `ends`.
pub fn behind(at: &Positions, ends: &Positions) -> String {
    let late = ends.iter().filter_map(|((topic, index), end)| {
        let next = at.get(&(topic.clone(), *index)).copied().unwrap_or(0);
        (next < *end).then(|| format!("{topic}/{index} at {next} of {end}"))
    });
    late.collect::<Vec<_>>().join(", ")
}

/// Each record once, whatever happens to the broker meanwhile.
pub fn producer() -> anyhow::Result<BaseProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", KAFKA).set("enable.idempotence", "true");
    // Where Kafka's own producer, and so Debezium, puts a key.
    config.set("partitioner", "murmur2_random");
    config.set("reconnect.backoff.max.ms", "1000").set("log_level", "0");
    Ok(config.create()?)
}
/// `index`: instead of the partition that the key belongs to.
pub fn send(
    to: &BaseProducer,
    topic: &str,
    index: Option<i32>,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    if let Some(index) = index {
        record = record.partition(index);
    }
    to.send(record).map_err(|(e, _)| e).context("a record of our own was not taken")
}
pub fn flush(producer: &BaseProducer) -> anyhow::Result<()> {
    producer.flush(Duration::from_secs(120)).context("Kafka does not take our own records")
}

fn admin() -> anyhow::Result<AdminClient<DefaultClientContext>> {
    Ok(ClientConfig::new().set("bootstrap.servers", KAFKA).set("log_level", "0").create()?)
}
pub fn add_partitions(
    io: &tokio::runtime::Runtime,
    topic: &str,
    count: usize,
) -> anyhow::Result<()> {
    let (admin, more) = (admin()?, NewPartitions::new(topic, count));
    let results = io.block_on(admin.create_partitions([&more], &AdminOptions::new()))?;
    ensure!(results.iter().all(Result::is_ok), "no more partitions for {topic}: {results:?}");
    Ok(())
}
/// The topic is gone, and there again, empty.
pub fn make_anew(io: &tokio::runtime::Runtime, topic: &str, partitions: i32) -> anyhow::Result<()> {
    let admin = admin()?;
    let results = io.block_on(admin.delete_topics(&[topic], &AdminOptions::new()))?;
    ensure!(results.iter().all(Result::is_ok), "{topic} stays: {results:?}");
    crate::until("the topic to be made anew", Duration::from_secs(60), || {
        let anew = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        let results = io.block_on(admin.create_topics([&anew], &AdminOptions::new()))?;
        Ok(results.iter().all(Result::is_ok))
    })
}
