//! The log, read beside the services: where it ends, where a group stands, what is between two offsets. Assigns
//! partitions to itself, joins no group, commits nothing.
use anyhow::{Context, bail};
use consumers::{
    config::Config,
    source::{Headers, Record, kafka::Lazy},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use sinks::Partition;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Without a record this long, the log is given up on.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// The next offset of each partition.
pub type Positions = BTreeMap<Partition, i64>;

pub struct Log {
    consumer: BaseConsumer,
    pub group: String,
}

impl Log {
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let settings = &config.kafka;
        let mut client = settings.client_config().map_err(|all| anyhow::anyhow!(all.join("\n")))?;
        client.set("client.id", "cdc-verify");
        client.set("enable.partition.eof", "true").set("fetch.wait.max.ms", "50");
        let consumer = client.create().context("no Kafka client can be made of these settings")?;
        Ok(Self { consumer, group: settings.group_id.clone() })
    }

    /// Of all these topics. One that does not exist is an error.
    pub fn partitions(&self, topics: &[String]) -> anyhow::Result<Vec<Partition>> {
        // All of them: asking for one by name could create it.
        let metadata = self.consumer.fetch_metadata(None, ANSWER_WITHIN).context(
            "no broker answers: check KAFKA_BOOTSTRAP_SERVERS, the network, and KAFKA_PROPERTIES_*",
        )?;
        let mut all = Vec::new();
        for name in topics {
            let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
                bail!("topic {name} does not exist: check TOPIC_PREFIX, or start the connector");
            };
            all.extend(topic.partitions().iter().map(|p| Partition::new(name, p.id())));
        }
        Ok(all)
    }

    /// First offset still there, and one past the last.
    pub fn bounds(&self, partition: &Partition) -> anyhow::Result<(i64, i64)> {
        let asked =
            self.consumer.fetch_watermarks(&partition.topic, partition.index, ANSWER_WITHIN);
        asked.with_context(|| format!("the end of {partition} is unknown"))
    }
    pub fn ends(&self, partitions: &[Partition]) -> anyhow::Result<Positions> {
        partitions.iter().map(|p| Ok((p.clone(), self.bounds(p)?.1))).collect()
    }

    /// The first offset of each partition whose record is at least this new; its end, where none is.
    pub fn since(&self, ends: &Positions, ms: i64) -> anyhow::Result<Positions> {
        let mut asked = TopicPartitionList::new();
        for partition in ends.keys() {
            asked.add_partition_offset(&partition.topic, partition.index, Offset::Offset(ms))?;
        }
        let found = self.consumer.offsets_for_times(asked, ANSWER_WITHIN)?;
        let at = |(p, end): (&Partition, &i64)| {
            let found = found.find_partition(&p.topic, p.index).map(|found| found.offset());
            let offset = match found {
                Some(Offset::Offset(offset)) => offset.min(*end),
                _ => *end,
            };
            (p.clone(), offset)
        };
        Ok(ends.iter().map(at).collect())
    }

    /// What the group acknowledged: all before it is durable in the sink. Absent: nothing yet.
    pub fn acknowledged(&self, partitions: &[Partition]) -> anyhow::Result<Positions> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition(&partition.topic, partition.index);
        }
        let found = self.consumer.committed_offsets(asked, ANSWER_WITHIN).with_context(|| {
            format!("where group {} stands cannot be asked: check KAFKA_GROUP_ID", self.group)
        })?;
        let stands = |partition: &Partition| match found
            .find_partition(&partition.topic, partition.index)?
            .offset()
        {
            Offset::Offset(next) => Some((partition.clone(), next)),
            _ => None,
        };
        Ok(partitions.iter().filter_map(stands).collect())
    }

    /// How many consumers the group has now; `None`: the broker does not say.
    pub fn members(&self) -> Option<usize> {
        let list = self.consumer.fetch_group_list(Some(&self.group), ANSWER_WITHIN).ok()?;
        let group = list.groups().iter().find(|group| group.name() == self.group);
        Some(group.map_or(0, |group| group.members().len()))
    }

    /// Every record from `from` to before `to`, or to the log's end.
    pub fn read(
        &self,
        partition: &Partition,
        from: i64,
        to: i64,
        visit: &mut dyn FnMut(&Record<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if from >= to {
            return Ok(());
        }
        self.assign(std::iter::once((partition, from)))?;
        let mut heard = Instant::now();
        loop {
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.offset() >= to => return Ok(()),
                Some(Ok(message)) => {
                    heard = Instant::now();
                    visit(&Record {
                        partition,
                        offset: message.offset(),
                        timestamp_ms: 0, // of no interest to who verifies
                        key: message.key(),
                        value: message.payload(),
                        headers: Headers(&Lazy(&message)),
                    })?;
                    if message.offset() + 1 >= to {
                        return Ok(());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(e)) if heard.elapsed() > SILENT_MAX => {
                    return Err(e).with_context(|| format!("{partition} cannot be read"));
                }
                None if heard.elapsed() > SILENT_MAX => bail!(
                    "{partition} gives no records for {} s: check the brokers and the network",
                    SILENT_MAX.as_secs()
                ),
                Some(Err(_)) | None => {}
            }
        }
    }

    /// Whether a record with this text in it came to these partitions from there on, before `until`.
    pub fn hears(&self, from: &Positions, text: &str, until: Instant) -> anyhow::Result<bool> {
        self.assign(from.iter().map(|(partition, next)| (partition, *next)))?;
        while Instant::now() < until {
            if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) {
                let is_in = |bytes: &[u8]| bytes.windows(text.len()).any(|w| w == text.as_bytes());
                if message.payload().is_some_and(is_in) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    fn assign<'a>(&self, places: impl Iterator<Item = (&'a Partition, i64)>) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        for (partition, next) in places {
            list.add_partition_offset(&partition.topic, partition.index, Offset::Offset(next))?;
        }
        self.consumer.assign(&list).context("partitions cannot be read")
    }
}
