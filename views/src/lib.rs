//! What a view is. Pure: no I/O, no clock, nothing of Kafka, Debezium or a store.
//!
//! A [`View`] has keys and rows of [`Cell`]s. The rows that people see are made of *parts*: what the partition that owns
//! the row says, and what each partition adds to it.

pub mod canonical;
mod cell;
pub mod computed;
mod expr;
mod first;
mod key;
pub mod plan;
mod row;
mod view;
mod words;

pub use cell::{Cell, Digits, Float, List};
pub use decimal::{Decimal, varint};
pub use expr::{Condition, Expr, JsonItem, Parts, day};
pub use first::{Direction, First};
pub use key::{canonical_key, read_key, write_key};
pub use plan::Plan;
pub use row::{decode_row, encode_row};
pub use view::{AlertWhen, Column, Index, IndexKey, Merge, Rules, Type, View};
pub use words::{UNICODE_VERSION, WORD_BYTES_MAX, word_bytes, words};
