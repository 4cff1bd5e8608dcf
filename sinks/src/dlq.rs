//! Dead letters: records that could not be processed, byte for byte, kept before the position moves past them.
use crate::{Partition, SinkError};
use async_trait::async_trait;

/// Why a record is in the DLQ; operators filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not JSON, not a Debezium envelope, nested too deep, too large.
    Malformed,
    /// A field is missing, of the wrong type, or beyond what the view holds.
    Invalid,
    /// The sink will never take what the record asks for.
    Refused,
}
impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::Invalid => "invalid",
            Reason::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub partition: Partition,
    pub offset: i64,
    /// Of the record, ms since 1970.
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub reason: Reason,
    /// Names topic, partition, offset and field, and says what to do; never a row value.
    pub error: String,
}

#[async_trait]
pub trait Dlq: Send + Sync {
    /// Durable on return. A letter's name is made of topic, partition and offset, so writing it again is harmless.
    async fn publish(&self, letters: &[Letter]) -> Result<(), SinkError>;
}
