//! Bytes from a Debezium topic to a borrowed, typed change. No I/O, no clock, no Kafka, no panics.
//!
//! [`Decoder::decode`] tells what a record is ([`Envelope`]); row images stay unparsed until somebody asks for
//! their fields ([`Row::fields`]), and a [`Field`] is converted by the type that the schema names or that
//! [`Formats`] says, exactly or not at all.

mod change;
mod envelope;
mod format;
mod row;

pub use change::{Change, Op, Snapshot, Source};
pub use envelope::{Decoder, Envelope, Limits, ParseError};
pub use format::{Format, Formats, FormatsError};
pub use row::{Field, FieldError, Kept, Row};
