//! Bytes from a Debezium topic to a borrowed, typed change. No I/O, no clock, no Kafka, no panics.
//!
//! [`Decoder::decode`] tells what a record is ([`Envelope`]); row images stay unparsed until somebody asks for
//! their fields ([`Row::fields`]), and a [`Field`] is converted by the type that the schema names or that
//! [`Formats`] says, exactly or not at all.
//!
//! ```
//! use debezium::{Decoder, Envelope, Field, Formats, Limits};
//!
//! let formats = Formats::parse("products.price=decimal(2)")?;
//! let mut decoder = Decoder::new(formats, Limits::default());
//! let value = br#"{"op":"c","after":{"id":7,"price":"MDk="},
//!     "source":{"table":"products","ts_ms":1}}"#;
//! let Envelope::Change(change) = decoder.decode("shop.products", None, Some(value))? else { panic!() };
//! let [id, price] = change.after.unwrap().fields(["id", "price"])?;
//! assert_eq!(id.int()?, 7);
//! assert_eq!(price.nullable(Field::decimal)?.unwrap().to_string(), "123.45");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Only JSON is read today. Avro and Protobuf would enter in [`Decoder::decode`], by the zero byte that they begin
//! with behind a schema registry: their reader would make the same [`Change`], with a second kind of row image
//! inside [`Row`] and the writer's schema where JSON has `schema`. Fetching that schema is I/O and stays outside.
#![deny(clippy::disallowed_methods)]

mod change;
mod decoder;
mod envelope;
mod format;
mod headers;
mod json;
mod notices;
mod row;
mod schema;
mod value;

pub use change::{Change, Op, Snapshot, Source};
pub use decoder::Decoder;
pub use envelope::{Envelope, Limits, ParseError};
pub use format::{Format, Formats, FormatsError};
pub use headers::KeyMove;
pub use notices::{Doubt, DoubtKind, Doubts};
pub use row::{Field, FieldError, Kept, Row};
pub use value::{DECIMAL_DIGITS_MAX, Instant, PLACEHOLDER};
