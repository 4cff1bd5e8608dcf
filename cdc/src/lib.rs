//! The command `cdc`: [`command_line`] has its subcommands. `run` and `config` are a service's own ([`consumers`]);
//! the others look after the services: [`verify`] holds views against the source, [`doctor`] looks at everything that a
//! service needs, [`dlq`] shows dead letters and puts them back, [`shop`] trades in a real database, [`demo`] runs a
//! recorded shop, [`view`] says what a view in SQL comes to.
#[cfg(not(feature = "postgres"))]
mod absent;
pub mod command_line;
pub mod demo;
pub mod dlq;
#[cfg(feature = "postgres")]
pub mod doctor;
#[cfg(feature = "postgres")]
pub mod shop;
#[cfg(feature = "postgres")]
pub mod verify;
pub mod view;

#[cfg(not(feature = "postgres"))]
use absent::{doctor, shop, verify};
