//! What every binary of the platform shares: a table of [`settings`], [`logs`], [`metrics`], [`traces`], [`signals`], an
//! HTTP [`server`] for operators and probes, and [`ask`], which asks such a server.
//!
//! Absent on purpose: anything that a single service knows. Names of settings, metrics and log targets come from it.
pub mod ask;
pub mod logs;
pub mod metrics;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod server;
pub mod settings;
pub mod signals;
pub mod traces;

/// Exit code of a binary whose settings or command line are wrong.
pub const EXIT_CONFIG: u8 = 64;
/// Exit code of a binary that stopped for good, or was told twice to stop.
pub const EXIT_HALTED: u8 = 1;
