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
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
mod tls;
pub mod traces;

/// Of every binary that uses this crate.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a binary whose settings or command line are wrong.
pub const EXIT_CONFIG: u8 = 64;
/// Exit code of a binary that stopped for good, or was told twice to stop.
pub const EXIT_HALTED: u8 = 1;

/// What a build without the feature `tls` says where TLS is asked for.
pub const NO_TLS: &str =
    "this build has no TLS: build it without --no-default-features, or with --features tls";
/// What a build without the feature `otlp` says where traces are asked for.
pub const NO_OTLP: &str = "this build has no OpenTelemetry: build it without --no-default-features, or with --features otlp";
