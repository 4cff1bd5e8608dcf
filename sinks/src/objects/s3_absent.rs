//! Stands for [`s3`](super::s3) in a build without the feature `aws`.
use super::{Endpoint, Objects};
use crate::{NO_AWS, SinkError};
use anyhow::anyhow;
use std::sync::Arc;

/// # Errors
/// Always: [`NO_AWS`].
pub(super) async fn open(_: &str, _: &str, _: &Endpoint) -> Result<Arc<dyn Objects>, SinkError> {
    Err(SinkError::Fatal(anyhow!(NO_AWS)))
}
