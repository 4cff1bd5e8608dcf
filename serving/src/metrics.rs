//! Metrics as tables: a binary lists each metric once, with its name, kind, labels and help, and [`install`] makes
//! Prometheus' recorder from the list. Names and units follow Prometheus' conventions; a row's values are never labels.
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use std::time::Duration;

/// What a metric is, as Prometheus has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets, in ascending order.
    Histogram(&'static [f64]),
}

/// A metric, as it is documented and shown.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    /// The labels that it has beside those that all metrics of the process have.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

/// A [`Metric`] in one line of a table.
pub const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

/// A gauge that nobody has set for this long is no longer shown, so that a process stops showing what it has given away.
/// Gauges that never change have to be set again and again.
const GAUGES_LAST: Duration = Duration::from_secs(15);

/// Records, from now on, what this process counts and measures. `labels` are those that all metrics have.
///
/// # Errors
/// The process has a recorder already, or a histogram has no bounds.
pub fn install(table: &[Metric], labels: &[(&str, &str)]) -> anyhow::Result<PrometheusHandle> {
    let mut builder =
        PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(GAUGES_LAST));
    for (name, value) in labels {
        builder = builder.add_global_label(*name, *value);
    }
    for metric in table {
        if let Kind::Histogram(bounds) = metric.kind {
            builder =
                builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder)?;
    table.iter().for_each(describe);
    Ok(handle)
}

fn describe(metric: &Metric) {
    let unit = match metric.name {
        name if name.contains("_seconds") => Unit::Seconds,
        name if name.contains("_bytes") => Unit::Bytes,
        _ => Unit::Count,
    };
    match metric.kind {
        Kind::Counter => describe_counter!(metric.name, unit, metric.help),
        Kind::Gauge => describe_gauge!(metric.name, unit, metric.help),
        Kind::Histogram(_) => describe_histogram!(metric.name, unit, metric.help),
    }
}
