//! What a record is.
use crate::{Change, Source};
use std::borrow::Cow;

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // nearly all are changes, and a box would cost an allocation each
pub enum Envelope<'a> {
    Change(Change<'a>),
    /// A null value: what log compaction needs, no change by itself.
    Tombstone,
    /// Every row of the table is gone (`t`).
    Truncate(Source<'a>),
    /// A logical decoding message (`m`).
    Message {
        prefix: Cow<'a, str>,
    },
    /// BEGIN or END of a transaction.
    Transaction,
    Heartbeat,
    SchemaChange,
}

/// Bounds on what is parsed at all, for keys as for values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub value_bytes_max: usize,
    /// Levels of brackets, of the schema as of the payload. Values inside strings have none.
    pub nesting_max: usize,
}
impl Default for Limits {
    fn default() -> Self {
        Self { value_bytes_max: 8 << 20, nesting_max: 64 }
    }
}

const JSON_CONVERTER: &str = "set the connector's key.converter and value.converter to \
                              org.apache.kafka.connect.json.JsonConverter";

/// Why a record is not understood. Shows names that Debezium gives, never a row's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("{bytes} bytes are more than the limit of {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("nested deeper than the limit of {max} levels")]
    TooDeep { max: usize },
    /// `at`: the byte where reading stopped.
    #[error("not JSON: {problem} at byte {at}")]
    Json { at: usize, problem: String },
    #[error(
        "begins with a zero byte and a schema's id, like Avro and Protobuf with Confluent's schema registry: only \
         JSON is read, {JSON_CONVERTER}"
    )]
    Binary,
    #[error(
        "has the header of AWS Glue's schema registry: only JSON without it is read, {JSON_CONVERTER}"
    )]
    Glue,
    #[error(
        "not JSON but a Kafka Connect struct written as text (`Struct{{...}}`), which is what StringConverter does: \
         {JSON_CONVERTER}"
    )]
    StructText,
    #[error(
        "a CloudEvents envelope: only Debezium's own is read, {JSON_CONVERTER} instead of \
         io.debezium.converters.CloudEventsConverter"
    )]
    CloudEvents,
    #[error(
        "not an envelope but the row alone: remove ExtractNewRecordState (or what else unwraps it) from the \
         connector's transforms"
    )]
    Unwrapped,
    #[error(
        "not an envelope: a Debezium event has `op` and `source`; if the connector's transforms unwrap rows \
         (ExtractNewRecordState), remove that one, else see who writes this topic"
    )]
    NotEnvelope,
    #[error(
        "a document of the MongoDB connector: only rows of tables are read, and no setting makes rows of documents; \
         leave this topic out"
    )]
    MongoDb,
    #[error(
        "the field `{0}` is a text with JSON inside, as the MongoDB connector has it, and not the row itself: \
         only rows of tables are read"
    )]
    TextImage(&'static str),
    #[error("not Debezium: {0} instead of an object")]
    NotObject(&'static str),
    #[error("the field `{0}` is missing")]
    MissingField(&'static str),
    #[error("the field `{0}` is not of the type that Debezium gives it")]
    WrongType(&'static str),
    #[error("the field `{0}` is there twice")]
    Twice(&'static str),
    #[error("the operation `op` is none of c, u, d, r, t, m")]
    UnknownOp,
    #[error("record key: {0}")]
    Key(Box<ParseError>),
}
