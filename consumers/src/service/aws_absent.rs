//! Stands for [`aws`](super::aws) in a build without the feature `aws`. The settings refuse what would ask for it; here it
//! is refused once more.
use crate::config::Config;
use anyhow::bail;
use sinks::{
    NO_AWS, View,
    objects::{Endpoint, Place},
};
use std::sync::Arc;

/// # Errors
/// Always: [`NO_AWS`].
pub(super) async fn look_for_credentials(_: &Config) -> anyhow::Result<()> {
    bail!(NO_AWS)
}

/// # Errors
/// Always: [`NO_AWS`].
pub(super) fn state(_: &Config, _: &Place) -> anyhow::Result<Arc<dyn sinks::State>> {
    bail!(NO_AWS)
}

/// # Errors
/// Always: [`NO_AWS`].
pub(super) async fn sink(
    _: &Config,
    _: &Endpoint,
    _: Vec<View>,
) -> anyhow::Result<Arc<dyn sinks::Sink>> {
    bail!(NO_AWS)
}
