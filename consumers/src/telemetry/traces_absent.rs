//! Stands for [`traces`](super::traces) in a build without the feature `otlp`: there are none. The settings refuse to send
//! any.
use crate::source::Record;
use sinks::Batch;
use std::time::Duration;

/// No value of it can be made.
pub enum Traces {}

impl Traces {
    /// # Errors
    /// None; it is the signature of what it stands for.
    pub fn from_env(_: &'static str, _: u64) -> anyhow::Result<Option<Self>> {
        Ok(None)
    }
    pub fn record(&mut self, _: &Record<'_>) {
        match *self {}
    }
    pub fn committed(&mut self, _: &Batch, _: Duration, _: bool) {
        match *self {}
    }
    pub fn finish(&self) {
        match *self {}
    }
}
