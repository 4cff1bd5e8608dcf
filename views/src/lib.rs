//! What a view is. Pure: no I/O, no clock, nothing of Kafka, Debezium or a store.
//!
//! A [`View`] has keys and rows of [`Cell`]s. The rows that people see are made of *parts*: what the partition that owns
//! the row says, and what each partition adds to it.

pub mod canonical;
mod cell;
mod expr;
mod view;

pub use cell::Cell;
pub use expr::{Condition, Expr, Parts};
pub use view::{AlertWhen, Column, Index, IndexKey, Merge, Rules, Type, View};
