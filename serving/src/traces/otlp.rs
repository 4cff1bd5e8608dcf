//! Spans are made by OpenTelemetry's SDK and sent by its exporter.
use super::ENDPOINTS;
use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use std::time::Duration;

/// How long the end of the process waits until the last spans are sent.
const LAST_SPANS_WITHIN: Duration = Duration::from_secs(3);

/// Sends spans to where the environment says, under the service's name and with these attributes; `None` if it says
/// nothing.
///
/// # Errors
/// The address cannot be used.
pub fn from_env(
    service: &str,
    attributes: impl IntoIterator<Item = KeyValue>,
) -> anyhow::Result<Option<SdkTracerProvider>> {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !ENDPOINTS.into_iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().build();
    let exporter = exporter.context("OTEL_EXPORTER_OTLP_ENDPOINT: no traces can be sent")?;
    let resource = Resource::builder()
        .with_service_name(std::env::var("OTEL_SERVICE_NAME").unwrap_or(service.to_owned()))
        .with_attributes(attributes)
        .build();
    let provider =
        SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    Ok(Some(provider))
}

/// Sends the spans that are still here; a warning says so if that takes longer than 3 s or fails.
pub fn finish(provider: &SdkTracerProvider) {
    if let Err(error) = provider.shutdown_with_timeout(LAST_SPANS_WITHIN) {
        tracing::warn!(%error, "the last traces were not sent");
    }
}
