//! The log that letters go back to.
use anyhow::{Context as _, anyhow, bail};
use consumers::source::kafka::{Range, Settings};
use rdkafka::{
    ClientConfig, ClientContext, Message as _,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    message::{DeliveryResult, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, ProducerContext},
};
use sinks::Partition;
use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

const SEND_MS_MAX: u64 = 30_000;
const QUESTION_WAIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Where a record came to stand, or why it did not.
type Told = Result<i64, String>;

struct Deliveries(Mutex<mpsc::Sender<Told>>);
impl ClientContext for Deliveries {}
impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let told = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.to_string()),
        };
        // Whoever asked has given up: the next look finds the record.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send(told);
    }
}

pub struct Log {
    pub range: Range,
    producer: BaseProducer<Deliveries>,
    told: Mutex<mpsc::Receiver<Told>>,
    admin: AdminClient<DefaultClientContext>,
}

impl Log {
    /// Its calls block, but for [`Log::is_compacted`].
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let (sender, told) = mpsc::channel();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.bootstrap_servers);
        config.set("client.id", &settings.client_id);
        // Letters may be larger than most records; the broker has the last word.
        config.set("message.max.bytes", "67108864");
        config.set("message.timeout.ms", SEND_MS_MAX.to_string());
        for (name, value) in &settings.properties {
            config.set(name, value);
        }
        let admin = config.create().context("no Kafka client can be made of these settings")?;
        config.set("enable.idempotence", "true").set("acks", "all");
        let producer = config
            .create_with_context(Deliveries(Mutex::new(sender)))
            .context("no Kafka producer can be made of these settings")?;
        Ok(Self { range: Range::new(settings)?, producer, told: Mutex::new(told), admin })
    }

    /// Such a topic keeps one record a key, so a replay, which other services pass over, would take the place of the
    /// record that they need.
    pub async fn is_compacted(&self, topic: &str) -> anyhow::Result<bool> {
        let unknown = || {
            format!(
                "the settings of topic {topic} are unknown, and a letter must not go into a compacted one: \
                 allow DescribeConfigs on it"
            )
        };
        let options = AdminOptions::new().request_timeout(Some(QUESTION_WAIT));
        let wanted = [ResourceSpecifier::Topic(topic)];
        let told = self.admin.describe_configs(&wanted, &options).await.with_context(unknown)?;
        let told = told.into_iter().next().with_context(unknown)?;
        let told = told.map_err(|code| anyhow!("{code}")).with_context(unknown)?;
        let policy = told.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
        Ok(policy.with_context(unknown)?.contains("compact"))
    }

    /// One record, waited for: the offset it has now.
    pub fn send(
        &self,
        partition: &Partition,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> anyhow::Result<i64> {
        let mut all = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            all = all.insert(Header { key, value: *value });
        }
        let record = BaseRecord::<[u8], [u8]>::to(&partition.topic);
        let mut record = record.partition(partition.index).headers(all);
        record.key = key;
        record.payload = value;
        self.producer.send(record).map_err(|(error, _)| anyhow!("it cannot be sent: {error}"))?;
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // librdkafka gives up by itself before.
        let until = Instant::now() + Duration::from_millis(2 * SEND_MS_MAX);
        while Instant::now() < until {
            self.producer.poll(Duration::from_millis(50));
            match told.try_recv() {
                Ok(Ok(offset)) if offset >= 0 => return Ok(offset),
                Ok(Ok(_)) => bail!("it was sent, and the broker does not say where to"),
                Ok(Err(why)) => bail!("it was perhaps not sent: {why}"),
                Err(_) => {}
            }
        }
        bail!("it was perhaps not sent: the broker did not answer")
    }
}

/// Waits until the service's group is past this offset: where it was seen last.
pub async fn acknowledged(
    log: &Arc<Log>,
    partition: &Partition,
    offset: i64,
    wait: Duration,
) -> anyhow::Result<Option<i64>> {
    let until = Instant::now() + wait;
    loop {
        let (log, asked) = (log.clone(), partition.clone());
        let seen = tokio::task::spawn_blocking(move || log.range.acknowledged(&asked)).await??;
        if seen.is_some_and(|next| next > offset) || Instant::now() >= until {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
