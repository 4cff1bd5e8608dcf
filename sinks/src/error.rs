//! One variant for each thing that the caller can do about an error.

/// A write that the sink will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The record that asked for the write.
    pub offset: i64,
    /// Why, naming the view and the field, never a value.
    pub reason: String,
}

/// Each text names the causes already: they are no `source`, or whoever shows a chain would show them twice.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Try again later; whether it took effect is unknown.
    #[error("unavailable: {0:#}")]
    Transient(anyhow::Error),
    /// Another owner took the partition over: forget everything about it and load again.
    #[error("another owner holds this partition now")]
    Fenced,
    /// These writes can never be made. Nothing of the position moved; other writes of the batch may stand.
    #[error("{} writes can never be made, the first at offset {}: {}", .0.len(), .0[0].offset, .0[0].reason)]
    Refused(Vec<Refusal>),
    /// Only an operator can help; the text says how.
    #[error("{0:#}")]
    Fatal(anyhow::Error),
}

impl SinkError {
    /// For counts.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Transient(_) => "transient",
            Self::Fenced => "fenced",
            Self::Refused(_) => "refused",
            Self::Fatal(_) => "fatal",
        }
    }
    pub fn transient(cause: impl Into<anyhow::Error>) -> Self {
        Self::Transient(cause.into())
    }
    pub fn fatal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Fatal(cause.into())
    }
}
