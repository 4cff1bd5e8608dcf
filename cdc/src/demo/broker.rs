//! The recording, and a Kafka broker inside this process that holds it.
use anyhow::{Context, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rdkafka::{
    ClientConfig,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub struct Recorded {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    value_base64: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
}

/// What was recorded, in the order in which it was written.
pub struct Shop {
    pub records: Vec<Recorded>,
    /// Topic -> number of partitions.
    pub topics: BTreeMap<String, i32>,
}

impl Shop {
    pub fn read(gz: &[u8]) -> anyhow::Result<Self> {
        let (mut records, mut topics) = (Vec::new(), BTreeMap::<String, i32>::new());
        for line in BufReader::new(flate2::read::GzDecoder::new(gz)).lines() {
            let record: Recorded =
                serde_json::from_str(&line?).context("the bundled recording is damaged")?;
            let count = topics.entry(record.topic.clone()).or_default();
            *count = (*count).max(record.partition + 1);
            records.push(record);
        }
        Ok(Self { records, topics })
    }
    pub fn topics_of(&self, tables: &[&str]) -> Vec<String> {
        let is_one =
            |topic: &&String| tables.iter().any(|table| topic.ends_with(&format!(".{table}")));
        self.topics.keys().filter(is_one).cloned().collect()
    }
    pub fn count(&self, topics: &[String]) -> u64 {
        self.records.iter().filter(|record| topics.contains(&record.topic)).count() as u64
    }
}

pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    /// Starts it and writes the whole recording, each record at the offset it had.
    pub fn start(shop: &Shop) -> anyhow::Result<Self> {
        let cluster = MockCluster::new(1).context("cannot start a broker inside this process")?;
        for (topic, partitions) in &shop.topics {
            cluster.create_topic(topic, *partitions, 1)?;
        }
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            // The broker keeps 5 MB a partition, as sent: compressed, the whole recording is far less.
            .set("compression.codec", "zstd")
            .set("linger.ms", "20")
            .set("batch.num.messages", "500")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", "20000000")
            .create()?;
        for record in &shop.records {
            send(&producer, record)?;
        }
        producer.flush(PATIENCE).context("the broker inside this process does not answer")?;
        ensure!(producer.in_flight_count() == 0, "some of the recording was not written");
        Ok(Self { cluster })
    }
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

fn send(producer: &BaseProducer, record: &Recorded) -> anyhow::Result<()> {
    let decoded = record.value_base64.as_ref().map(|text| STANDARD.decode(text)).transpose()?;
    let value = decoded.as_deref().or(record.value.as_deref().map(str::as_bytes));
    let mut headers = OwnedHeaders::new();
    for (key, value) in &record.headers {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    let mut next = BaseRecord::to(&record.topic)
        .partition(record.partition)
        .timestamp(record.timestamp)
        .headers(headers);
    if let Some(key) = &record.key {
        next = next.key(key.as_bytes());
    }
    if let Some(value) = value {
        next = next.payload(value);
    }
    loop {
        match producer.send(next) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                producer.poll(Duration::from_millis(10));
                next = again;
            }
            Err((error, _)) => {
                bail!("offset {} of {} was not written: {error}", record.offset, record.topic)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use consumers::engine::placement::home;

    #[test]
    fn debezium_placed_the_recorded_shop_as_the_default_partitioner_does() {
        let shop = Shop::read(crate::demo::SHOP).expect("the recording");
        let mut places = 0;
        for record in &shop.records {
            let Some(key) = &record.key else { continue };
            let home = home(key.as_bytes(), shop.topics[&record.topic]);
            assert_eq!(home, record.partition, "{}, offset {}", record.topic, record.offset);
            places += i32::from(record.partition > 0);
        }
        assert!(places > 1_000, "in several partitions: {places}");
    }
}
