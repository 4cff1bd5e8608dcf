//! What went wrong with a log or a broker, and what to do about it.
use rdkafka::error::RDKafkaErrorCode as Code;
use sinks::Partition;

pub const MADE_ANEW: &str = "the topic was deleted and made anew: nothing of the new log was applied. Start with a new \
                         GENERATION, after a new Debezium snapshot";

pub fn out_of_range(partition: &Partition, next: i64, begin: i64, end: i64) -> String {
    if next < begin {
        format!(
            "{partition}: offset {next} is needed, but the log begins at {begin}: changes were deleted before they \
             were read. Start a new GENERATION with a new snapshot, and let the topic keep its records longer."
        )
    } else {
        format!(
            "{partition}: offset {next} is needed, but the log ends at {end}: the topic was made again or lost \
             records. Start a new GENERATION with a new snapshot."
        )
    }
}

pub fn advice(code: Code) -> &'static str {
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "Check KAFKA_PROPERTIES_SASL_MECHANISM, _SASL_USERNAME and _SASL_PASSWORD."
        }
        Code::TopicAuthorizationFailed => "Allow this user to Read and Describe the topics.",
        Code::GroupAuthorizationFailed => {
            "Allow this user to Read the group, or set another KAFKA_GROUP_ID."
        }
        Code::ClusterAuthorizationFailed => "Allow this user to Describe the cluster.",
        Code::InvalidSessionTimeout => {
            "The brokers' group.min.session.timeout.ms and group.max.session.timeout.ms do not allow this session.timeout.ms: \
             set KAFKA_PROPERTIES_SESSION_TIMEOUT_MS to what they allow, and KAFKA_PROPERTIES_HEARTBEAT_INTERVAL_MS to a \
             third of it."
        }
        Code::FencedInstanceId => {
            "Another process uses the same group.instance.id: give every process one of its own."
        }
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            "Check TOPIC_PREFIX and the topic settings; Debezium makes a topic with its first change."
        }
        Code::SSL => "Check KAFKA_PROPERTIES_SECURITY_PROTOCOL and _SSL_CA_LOCATION.",
        _ => "Check the brokers and the network.",
    }
}
