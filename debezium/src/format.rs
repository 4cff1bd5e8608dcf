//! What a column's JSON means where no schema says it.

/// How a column is encoded; from the schema, or configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Base64 of big-endian two's complement, this many digits behind the point.
    DecimalBytes {
        scale: i32,
    },
    /// Decimal text or number.
    DecimalText,
    Millis,
    Micros,
    Nanos,
    Days,
    /// ISO 8601 text.
    Iso,
}

/// `table.column=format`, by column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Formats;

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FormatsError(pub String);
