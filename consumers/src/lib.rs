//! Kafka -> [`handler::Handler`] -> sink. Read from top to bottom:
//! a record comes in ([`source`]), what it means ([`source_table`], [`handler`], [`plan_handler`], [`handlers`]), every
//! decision, without I/O ([`engine`], [`policy`]), the only loop with I/O ([`runtime`]).
pub mod command_line;
pub mod config;
pub mod declared;
pub mod engine;
mod fingerprint;
pub mod handler;
pub mod handlers;
pub mod plan_handler;
pub mod policy;
pub mod removal;
pub mod replay;
pub mod runtime;
pub mod service;
pub mod source;
pub mod source_table;
pub mod telemetry;
