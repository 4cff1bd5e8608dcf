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
        "begins with a zero byte, like Avro and Protobuf with a schema registry: only JSON is read, \
         set the connector's converter to org.apache.kafka.connect.json.JsonConverter"
    )]
    Binary,
    #[error(
        "not an envelope: turn ExtractNewRecordState off (a Debezium event has `op` and `source`)"
    )]
    NotEnvelope,
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
