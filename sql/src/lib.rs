//! Views in SQL: from the text of a file to a typed, checked normal form, and the evaluation of its expressions.
//!
//! One file declares one view: `create materialized view NAME with (sink = '...', ...) as select ...`. [`File::parse`]
//! reads it, a [`Catalogue`] says what the tables are, and whatever is not known to give PostgreSQL's own answer, row by row
//! and for ever, is refused by a [`Problem`] that names the place, the reason and a way on.
//!
//! What is assumed of the source: its texts are UTF-8 and its default collation is deterministic (equal texts are equal
//! bytes). Values that become texts are written as with `datestyle = 'ISO'`, `bytea_output = 'hex'` and
//! `extra_float_digits` of 1 or more, which are the defaults; nothing depends on the session's time zone.
//!
//! Pure: no I/O, no clock, nothing of a store or of Kafka. PostgreSQL is the judge of every value that is made here;
//! `tests/postgres.rs` asks it.
#![deny(clippy::disallowed_methods)]

mod bind;
mod catalogue;
mod compile;
mod eval;
mod expr;
mod file;
mod normal;
mod problem;
mod relation;
mod types;

pub use bind::{BoundExpr, bind_expression};
pub use catalogue::{Catalogue, Column, Table};
pub use compile::{Compiled, TableUse};
pub use eval::{Code, EvalError};
pub use expr::{Arithmetic, Comparison, Expr, Field, Function, Interval};
pub use file::{File, OPTIONS, Option as ViewOption, ViewText, quoted};
pub use normal::{NormalForm, Own, Part, PartAggregate, ShownColumn};
pub use problem::{Place, Problem};
pub use relation::{Aggregate, AggregateOf, BoundQuery, Join, OutputColumn, Relation};
pub use types::{EnumType, Kind, SqlType};
