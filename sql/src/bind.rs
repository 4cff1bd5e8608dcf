//! From the parser's tree to a typed one: names are those of the catalogue, operators and functions PostgreSQL's.
mod casts;
mod functions;
mod literal;
mod operators;
mod query;
mod resolve;
pub(crate) mod scalar;
mod table;

pub use table::{BoundExpr, bind_expression};
