//! The sinks, each compared in its own way.
pub mod dynamodb;
pub mod reports;
pub mod sqlite;
