//! Kafka: brokers, topics, their settings, the group, the logs' bounds, and what the newest records look like.
//! Reads only: joins no group, commits nothing, and asks for no topic by name that could be made by asking.
use super::{
    Patience, events, position,
    report::Check,
    source::merge,
    topic::{self, AREA, Topic},
};
use consumers::{
    config::{Config, Source},
    engine,
    source::{Bounds, kafka::Settings},
};
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};
use sinks::{Mark, Partition};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Of each partition.
const NEWEST: i64 = 5;

/// librdkafka tells why it cannot connect only in passing.
#[derive(Default)]
struct Reasons(Mutex<Vec<String>>);
impl ClientContext for Reasons {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, reason: &str) {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The time that a try took makes each text a new one.
        let reason = reason.split(" (after ").next().unwrap_or_default().to_owned();
        if reasons.len() < 3 && !reason.contains("brokers are down") && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
}
impl ConsumerContext for Reasons {}

/// A client for looking; every call blocks for `limit` at most.
struct Broker {
    client: BaseConsumer<Reasons>,
    settings: Settings,
    limit: Duration,
}

pub(super) async fn check(configs: Vec<Arc<Config>>, patience: Patience) -> Vec<Check> {
    let configs: Vec<_> =
        configs.into_iter().filter(|config| config.source == Source::Kafka).collect();
    let Some(first) = configs.first() else {
        return vec![Check::skipped(AREA, "brokers", "the source is files (SOURCE=ndjson:...)")];
    };
    let broker = match Broker::new(&first.kafka, patience.0) {
        Ok(broker) => Arc::new(broker),
        Err(why) => {
            return vec![Check::problem(AREA, "client", why).fix("correct KAFKA_PROPERTIES_*")];
        }
    };
    let tables = merge(configs.iter().flat_map(|config| &config.tables));
    let (mut checks, topics) = match ask(&broker, patience, 1, Broker::brokers).await {
        Ok(found) => found,
        Err(check) => return vec![check],
    };
    let Some(topics) = topics else {
        checks.push(Check::skipped(AREA, "topics, group, positions, events", "no broker answers"));
        return checks;
    };
    let mut bounds: BTreeMap<Partition, Bounds> = BTreeMap::new();
    for table in &tables {
        let Some(topic) = topics.get(table.topic()).cloned() else {
            checks.push(missing(table.topic(), &first.kafka.bootstrap_servers));
            continue;
        };
        checks.extend(topic::shape(table.topic(), &topic));
        checks.extend(topic_settings(&broker, patience, table.topic(), &topic).await);
        let name = table.topic().to_owned();
        let asked = move |broker: &Broker| broker.bounds(&name, &topic);
        match ask(&broker, patience, 1, asked).await {
            Ok(Ok(found)) => bounds.extend(found),
            Ok(Err(check)) | Err(check) => checks.push(check),
        }
    }
    for config in &configs {
        let service = Arc::clone(config);
        let known = bounds.clone();
        let asked = move |broker: &Broker| broker.group(&service, &known);
        match ask(&broker, patience, 2, asked).await {
            Ok(found) => checks.extend(found),
            Err(check) => checks.push(check),
        }
        let (found, marks) = position::check(config, &bounds, patience).await;
        checks.extend(found);
        let wanted = marks.clone();
        let asked = move |broker: &Broker| broker.first_at(&wanted);
        match ask(&broker, patience, 1, asked).await {
            Ok(Ok(seen)) => checks.extend(compare(config, &marks, &seen)),
            Ok(Err(check)) | Err(check) => checks.push(check),
        }
    }
    for table in tables.iter().filter(|table| topics.contains_key(table.topic())) {
        let of_topic: Vec<(Partition, Bounds)> = bounds
            .iter()
            .filter(|(partition, _)| table.is_in(&partition.topic))
            .map(|(partition, bounds)| (partition.clone(), *bounds))
            .collect();
        let readers = configs.clone();
        let wanted = table.clone();
        let asked = move |broker: &Broker| {
            let seen = broker.newest(&of_topic)?;
            Ok(events::check(&wanted, &seen, &readers))
        };
        match ask(&broker, patience, 1, asked).await {
            Ok(Ok(found)) => checks.extend(found),
            Ok(Err(check)) | Err(check) => checks.push(check),
        }
    }
    checks
}

/// Runs a blocking question where that is allowed; `times` what one check may take.
async fn ask<T: Send + 'static>(
    broker: &Arc<Broker>,
    patience: Patience,
    times: u32,
    question: impl FnOnce(&Broker) -> T + Send + 'static,
) -> Result<T, Check> {
    let broker = Arc::clone(broker);
    // The calls have bounds of their own; a little more, so that theirs speak first.
    let limit = Patience(patience.0 * times + Duration::from_secs(2));
    let asked = tokio::task::spawn_blocking(move || question(&broker));
    match limit.wait(asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(e)) => Err(Check::problem(AREA, "client", e.to_string())),
        Err(late) => {
            Err(Check::problem(AREA, "brokers", late).fix("check the brokers and the network"))
        }
    }
}

/// Whether the logs still hold, at the last offset applied, the record that was applied.
fn compare(config: &Config, marks: &[(Partition, Mark)], seen: &[events::Seen]) -> Vec<Check> {
    let differs = |(partition, mark): &&(Partition, Mark)| {
        let there = seen.iter().find(|r| r.partition == *partition && r.offset == mark.offset);
        there.is_some_and(|r| !engine::is_record(mark, r.timestamp_ms, r.key.as_deref()))
    };
    let differing = marks.iter().filter(differs);
    differing.map(|(partition, mark)| position::made_anew(config, partition, mark)).collect()
}

fn missing(topic: &str, servers: &str) -> Check {
    Check::problem(AREA, format!("topic {topic}"), "does not exist").fix(format!(
        "start the Debezium connector (it makes a topic with the first change), or correct TOPIC_PREFIX; \
         kafka-topics.sh --bootstrap-server {servers} --list shows what is there"
    ))
}

async fn topic_settings(
    broker: &Broker,
    patience: Patience,
    name: &str,
    topic: &Topic,
) -> Vec<Check> {
    let label = format!("topic {name}");
    let unknown = |why: String| {
        let found = format!("its settings are unknown: {why}");
        vec![
            Check::warning(AREA, &label, found)
                .fix("allow this user to DescribeConfigs the topics"),
        ]
    };
    let config = match broker.settings.client_config() {
        Ok(config) => config,
        Err(why) => return unknown(why.join(" ")),
    };
    let admin: AdminClient<DefaultClientContext> = match config.create() {
        Ok(admin) => admin,
        Err(e) => return unknown(e.to_string()),
    };
    let options = AdminOptions::new().request_timeout(Some(broker.limit));
    let asked = [ResourceSpecifier::Topic(name)];
    let described = patience.wait(admin.describe_configs(&asked, &options)).await;
    let resource = match described {
        Ok(Ok(mut all)) if all.len() == 1 => all.remove(0),
        Ok(Ok(_)) => return unknown("an unexpected answer".to_owned()),
        Ok(Err(e)) => return unknown(e.to_string()),
        Err(late) => return unknown(late),
    };
    match resource {
        Ok(found) => {
            let value = |entry: rdkafka::admin::ConfigEntry| Some((entry.name, entry.value?));
            let found: BTreeMap<String, String> =
                found.entries.into_iter().filter_map(value).collect();
            topic::settings(name, topic, &found, &broker.settings.bootstrap_servers)
        }
        Err(code) => unknown(code.to_string()),
    }
}

impl Broker {
    fn new(settings: &Settings, limit: Duration) -> Result<Self, String> {
        let mut config = settings.client_config().map_err(|all| all.join(" "))?;
        config.set("enable.partition.eof", "true");
        config.set("statistics.interval.ms", "0");
        let client = config.create_with_context(Reasons::default()).map_err(|e| e.to_string())?;
        Ok(Self { client, settings: settings.clone(), limit })
    }

    /// `None`: nobody answers, and the check says why.
    fn brokers(&self) -> (Vec<Check>, Option<BTreeMap<String, Topic>>) {
        let servers = &self.settings.bootstrap_servers;
        let metadata = match self.client.fetch_metadata(None, self.limit) {
            Ok(metadata) => metadata,
            Err(e) => {
                let reasons = self.reasons();
                let why = if reasons.is_empty() { e.to_string() } else { reasons };
                let found = format!(
                    "no broker of {servers} answers within {} s: {why}",
                    self.limit.as_secs()
                );
                let fix = "start Kafka, or set KAFKA_BOOTSTRAP_SERVERS (--kafka-bootstrap-servers) to brokers that this \
                           machine reaches; KAFKA_PROPERTIES_SECURITY_PROTOCOL and others for TLS and SASL";
                return (vec![Check::problem(AREA, "brokers", found).fix(fix)], None);
            }
        };
        let brokers: Vec<String> =
            metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
        let topic = |topic: &rdkafka::metadata::MetadataTopic| {
            let partitions = topic.partitions();
            let mut known = Topic {
                partitions: partitions
                    .iter()
                    .map(rdkafka::metadata::MetadataPartition::id)
                    .collect(),
                copies: partitions.iter().map(|p| p.replicas().len()).min().unwrap_or(0),
                leaderless: partitions.iter().filter(|p| p.leader() < 0).map(|p| p.id()).collect(),
            };
            known.partitions.sort_unstable();
            (topic.name().to_owned(), known)
        };
        let topics = metadata.topics().iter().filter(|t| t.error().is_none()).map(topic).collect();
        let found = format!("{} answer(s): {}", brokers.len(), brokers.join(", "));
        (vec![Check::ok(AREA, "brokers", found)], Some(topics))
    }

    /// What the client said meanwhile: it says it only when polled.
    fn reasons(&self) -> String {
        let said =
            || self.client.context().0.lock().unwrap_or_else(PoisonError::into_inner).join("; ");
        for _ in 0..20 {
            drop(self.client.poll(Duration::from_millis(20)));
            if !said().is_empty() {
                break;
            }
        }
        said()
    }

    /// Of every partition of a topic; all of them within the limit.
    fn bounds(&self, name: &str, topic: &Topic) -> Result<Vec<(Partition, Bounds)>, Check> {
        let end = Instant::now() + self.limit;
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let one = |index: &i32| {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let (begin, end) = self.client.fetch_watermarks(name, *index, left).map_err(|e| {
                Check::problem(AREA, format!("topic {name}"), format!("the log of partition {index} is unknown: {e}"))
                    .fix("the broker that leads it must be reachable under its advertised address, and this user may Read the topic")
            })?;
            Ok((Partition::new(name, *index), Bounds { begin, end, partitions }))
        };
        topic.partitions.iter().map(one).collect()
    }

    /// Who is in the group, and how far it has acknowledged.
    fn group(&self, config: &Config, bounds: &BTreeMap<Partition, Bounds>) -> Vec<Check> {
        let id = &config.kafka.group_id;
        let label = format!("group {id}");
        let listed = match self.client.fetch_group_list(Some(id), self.limit) {
            Ok(listed) => listed,
            Err(e) => {
                let found = format!("its state is unknown: {e}");
                return vec![
                    Check::warning(AREA, label, found)
                        .fix("allow this user to Describe and Read the group"),
                ];
            }
        };
        let group = listed.groups().iter().find(|group| group.name() == id);
        let strategy = config.kafka.properties.get("partition.assignment.strategy");
        let strategy = strategy.map_or("cooperative-sticky", String::as_str);
        let mut checks = vec![match group {
            None => Check::ok(AREA, &label, "not there yet: the first start makes it"),
            Some(group) => topic::group(
                &label,
                group.state(),
                group.protocol(),
                group.members().len(),
                strategy,
            ),
        }];
        checks.extend(self.acknowledged(config, bounds, &label));
        checks
    }

    fn acknowledged(
        &self,
        config: &Config,
        bounds: &BTreeMap<Partition, Bounds>,
        label: &str,
    ) -> Option<Check> {
        let mut asked = TopicPartitionList::new();
        let ours =
            bounds.iter().filter(|(p, _)| config.kafka.topics.iter().any(|t| **t == *p.topic));
        ours.for_each(|(p, _)| {
            asked.add_partition(&p.topic, p.index);
        });
        if asked.count() == 0 {
            return None;
        }
        // A client of its own: the offsets are those of the group that it names.
        let answered = Broker::new(&config.kafka, self.limit).and_then(|own| {
            own.client.committed_offsets(asked, self.limit).map_err(|e| e.to_string())
        });
        let answered = match answered {
            Ok(answered) => answered,
            Err(e) => {
                return Some(
                    Check::warning(
                        AREA,
                        label,
                        format!("its acknowledged offsets are unknown: {e}"),
                    )
                    .fix("allow this user to Read the group"),
                );
            }
        };
        let (mut behind, mut parts) = (0, Vec::new());
        for element in answered.elements() {
            let partition = Partition::new(element.topic(), element.partition());
            if let (Offset::Offset(next), Some(bounds)) = (element.offset(), bounds.get(&partition))
            {
                let lag = (bounds.end - next).max(0);
                behind += lag;
                parts.push(format!("{partition} {lag}"));
            }
        }
        if parts.is_empty() {
            return Some(Check::ok(AREA, label, "has acknowledged nothing yet"));
        }
        Some(Check::ok(
            AREA,
            label,
            format!("acknowledged; records behind: {behind} ({})", parts.join(", ")),
        ))
    }

    /// The newest records of a topic's partitions, without a group.
    fn newest(&self, of: &[(Partition, Bounds)]) -> Result<Vec<events::Seen>, Check> {
        let filled = of.iter().filter(|(_, bounds)| bounds.end > bounds.begin);
        let from = |(partition, bounds): &(Partition, Bounds)| {
            (partition.clone(), (bounds.end - NEWEST).max(bounds.begin))
        };
        self.read(&filled.map(from).collect::<Vec<_>>(), usize::MAX)
    }

    /// The record at each mark, or the next one after it.
    fn first_at(&self, marks: &[(Partition, Mark)]) -> Result<Vec<events::Seen>, Check> {
        let from = |(partition, mark): &(Partition, Mark)| (partition.clone(), mark.offset);
        self.read(&marks.iter().map(from).collect::<Vec<_>>(), 1)
    }

    /// From these offsets to each partition's end, or until `enough` of each were read.
    fn read(&self, from: &[(Partition, i64)], enough: usize) -> Result<Vec<events::Seen>, Check> {
        let failed = |what: String| {
            let topic = from.first().map_or("", |(partition, _)| &partition.topic);
            let found = format!("its records cannot be read: {what}");
            Check::problem(AREA, format!("topic {topic}"), found).fix(
                "allow this user to Read the topic; the brokers must be reachable under their advertised addresses",
            )
        };
        if from.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::new();
        for (partition, next) in from {
            list.add_partition_offset(&partition.topic, partition.index, Offset::Offset(*next))
                .map_err(|e| failed(e.to_string()))?;
        }
        self.client.assign(&list).map_err(|e| failed(e.to_string()))?;
        let (mut seen, mut error, end) = (Vec::new(), None, Instant::now() + self.limit);
        let mut left: BTreeMap<Partition, usize> =
            from.iter().map(|(partition, _)| (partition.clone(), enough)).collect();
        while !left.is_empty() && Instant::now() < end {
            match self.client.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => {
                    let record = events::Seen::of(&message);
                    let Some(more) = left.get_mut(&record.partition) else { continue };
                    *more -= 1;
                    if *more == 0 {
                        left.remove(&record.partition);
                    }
                    seen.push(record);
                }
                // It names no topic; only what is read to its end waits for it, and that is one topic.
                Some(Err(KafkaError::PartitionEOF(index))) => {
                    left.retain(|partition, _| partition.index != index);
                }
                Some(Err(e)) => error = Some(e.to_string()),
            }
        }
        let _ = self.client.unassign();
        match error {
            Some(e) if seen.is_empty() => Err(failed(e)),
            _ if left.len() == from.len() && seen.is_empty() => {
                Err(failed("nothing came in time".to_owned()))
            }
            _ => Ok(seen),
        }
    }
}

impl events::Seen {
    fn of(message: &rdkafka::message::BorrowedMessage<'_>) -> Self {
        Self {
            partition: Partition::new(message.topic(), message.partition()),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}
