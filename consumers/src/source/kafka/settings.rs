//! What a Kafka client is told: our defaults, the user's properties over them, and three that nobody may change.
use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};
use std::{collections::BTreeMap, time::Duration};

/// Plain values: no client is built from them before [`super::Kafka::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub bootstrap_servers: String,
    pub group_id: String,
    pub client_id: String,
    pub topics: Vec<String>,
    /// End once every assigned partition was delivered up to where it ended at the start.
    pub until_end: bool,
    pub ack_interval: Duration,
    /// librdkafka's names and values; they win over ours.
    pub properties: BTreeMap<String, String>,
}

/// Where each partition starts is decided by the stored state; these would let Kafka decide.
const OURS: [(&str, &str, &str); 3] = [
    ("enable.auto.commit", "false", "offsets are acknowledged only after their effect is durable"),
    (
        "enable.auto.offset.store",
        "false",
        "offsets are acknowledged only after their effect is durable",
    ),
    (
        "auto.offset.reset",
        "error",
        "a service without stored state begins at the start of the log by itself, and with stored state nothing may be skipped",
    ),
];

const DEFAULTS: [(&str, &str); 14] = [
    // The least that brokers take as they come (`group.min.session.timeout.ms`). A partition whose owner died, and does
    // not come back at its place, waits so long. Two heartbeats may be lost; and members hear of a change by them.
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "2000"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // The default of 1000 costs two thirds of the throughput.
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "8388608"),
    ("max.partition.fetch.bytes", "1048576"),
    ("fetch.wait.max.ms", "250"),
    // A topic that Debezium makes with its first change, and partitions that are added, are found this soon. The default
    // is five minutes.
    ("topic.metadata.refresh.interval.ms", "10000"),
    ("reconnect.backoff.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    ("socket.keepalive.enable", "true"),
    ("log.connection.close", "false"),
    ("debug", TELLS),
];

/// What librdkafka must log for us to hear that a topic was made anew, and that the group was left: a few lines with each
/// answer about topics and each heartbeat.
const TELLS: &str = "metadata,cgrp";

/// The new group protocol (KIP-848) keeps these on the broker and refuses clients that name them.
const CLASSIC_ONLY: [&str; 3] =
    ["session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"];

const INSTANCE_ID: &str = "group.instance.id";
/// Given for it: a new name in the group with each start.
const NONE: &str = "none";

impl Settings {
    /// Whether a process may be a static member under a name of ours. With the new group protocol it may not: there the
    /// member that comes is refused, not the one that is dead.
    pub fn may_be_static(&self) -> bool {
        self.is_classic() && !self.properties.contains_key(INSTANCE_ID)
    }

    fn is_classic(&self) -> bool {
        self.properties.get("group.protocol").is_none_or(|p| p != "consumer")
    }

    /// The whole client configuration, or every problem of the properties, a sentence each.
    pub fn client_config(&self) -> Result<ClientConfig, Vec<String>> {
        let mut config = ClientConfig::new();
        let classic = self.is_classic();
        for (name, value) in DEFAULTS {
            if classic || !CLASSIC_ONLY.contains(&name) {
                config.set(name, value);
            }
        }
        config.set("bootstrap.servers", &self.bootstrap_servers);
        config.set("group.id", &self.group_id);
        config.set("client.id", &self.client_id);
        // With `until_end` they say when the end is reached; else they are for people to look at.
        config.set("statistics.interval.ms", if self.until_end { "500" } else { "5000" });
        let mut problems = Vec::new();
        for (name, value) in &self.properties {
            match problem(name, value) {
                None if name == INSTANCE_ID && value == NONE => {}
                Some(text) => problems.push(text),
                None if name == "debug" => {
                    config.set(name, format!("{TELLS},{value}"));
                }
                None => {
                    config.set(name, value);
                }
            }
        }
        for (name, value, _) in OURS {
            config.set(name, value);
        }
        problems.extend(too_late(&config));
        config.set_log_level(RDKafkaLogLevel::Debug);
        if problems.is_empty() { Ok(config) } else { Err(problems) }
    }
}

/// librdkafka takes these two as they come; the group would then throw its members out again and again.
fn too_late(config: &ClientConfig) -> Option<String> {
    let ms = |name| config.get(name).and_then(|text| text.parse::<u64>().ok());
    let (heartbeat, session) = (ms("heartbeat.interval.ms")?, ms("session.timeout.ms")?);
    (heartbeat * 2 > session).then(|| {
        format!(
            "`heartbeat.interval.ms` ({heartbeat}) must be half of `session.timeout.ms` ({session}) at most, better a \
             third: set both."
        )
    })
}

/// What is wrong with one property, without its value (it may be a password).
pub fn problem(name: &str, value: &str) -> Option<String> {
    if let Some((_, ours, why)) = OURS.iter().find(|(ours, ..)| *ours == name) {
        return (value != *ours)
            .then(|| format!("`{name}` must stay `{ours}`: {why}. Remove this property."));
    }
    if needs_tls(name, value) && !cfg!(feature = "tls") {
        return Some(format!("`{name}`: {}.", serving::NO_TLS));
    }
    match ClientConfig::new().set(name, value).create_native_config() {
        Ok(_) => None,
        Err(KafkaError::ClientConfig(code, ..)) => Some(match code {
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN => format!(
                "librdkafka has no property `{name}`. See its CONFIGURATION.md; KAFKA_PROPERTIES_SASL_USERNAME sets sasl.username."
            ),
            _ => format!(
                "librdkafka does not take this value for `{name}`. See its CONFIGURATION.md for the allowed ones."
            ),
        }),
        Err(e) => Some(format!("`{name}` is refused by librdkafka: {e}")),
    }
}

/// What librdkafka does with OpenSSL: encryption, and ways to sign in.
fn needs_tls(name: &str, value: &str) -> bool {
    let value = value.to_ascii_uppercase();
    match name {
        "security.protocol" => value.ends_with("SSL"),
        "sasl.mechanism" | "sasl.mechanisms" => {
            value.starts_with("SCRAM") || value == "OAUTHBEARER"
        }
        _ => name.starts_with("ssl.") || name == "enable.ssl.certificate.verification",
    }
}
