//! Every metric: its name, its kind, its labels (beside `service` and `generation`, which all have), what it means. One
//! table, compared with the documentation and with `/metrics` by `tests/operations.rs`.
use super::Watch;
use crate::{
    engine::{
        Counters,
        snapshots::{INCREMENTAL, WHOLE},
    },
    policy::breaker::State,
};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use serving::metrics::{
    Kind::{Counter, Gauge, Histogram},
    Metric, metric,
};
use sinks::{Partition, state::slatedb};

/// Seconds of one call.
const CALL: &[f64] = &[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds from the source's commit.
const LATENCY: &[f64] = &[
    0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3_600.0, 86_400.0,
];
const OFFSETS: &[f64] =
    &[1.0, 10.0, 50.0, 100.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 20_000.0];
const BYTES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    metric("cdc_build_info", Gauge, &["version"], "Always 1; the version is a label"),
    metric("cdc_generation", Gauge, &[], "GENERATION, as set"),
    metric("cdc_start_time_seconds", Gauge, &[], "When this process began, since 1970"),

    metric("cdc_records_total", Counter, &[], "Records read from the log, dead and skipped ones too"),
    metric("cdc_records_given_back_total", Counter, &[], "Records read and forgotten before they were durable, by a rebalance, a new load or a stop: read again later"),
    metric("cdc_received_bytes_total", Counter, &[], "Bytes of their values"),
    metric("cdc_records_skipped_total", Counter, &[], "Records that ask for nothing: heartbeats, markers, messages, replays of other services' letters"),
    metric("cdc_tombstones_total", Counter, &[], "Tombstones read"),
    metric("cdc_row_writes_total", Counter, &[], "Writes to views that are durable"),
    metric("cdc_batches_total", Counter, &[], "Batches that are durable"),
    metric("cdc_batch_offsets", Histogram(OFFSETS), &[], "Offsets that a durable batch covers: its size in records, and what lies between them"),
    metric("cdc_commit_duration_seconds", Histogram(CALL), &[], "One try to make a batch durable: dead letters, sink, state"),
    metric("cdc_publish_duration_seconds", Histogram(CALL), &[], "One try to publish reports or files"),
    metric("cdc_processing_latency_seconds", Histogram(LATENCY), &[], "From a change's commit in the source until its effect is durable, for each write"),
    metric("cdc_last_source_commit_timestamp_seconds", Gauge, &[], "Newest source commit that is durable, also one that asked for no write, since 1970"),
    metric("cdc_last_record_timestamp_seconds", Gauge, &[], "When a record was read last, since 1970"),

    metric("cdc_dead_letters_total", Counter, &["reason"], "Dead letters that are durable: malformed, invalid or refused"),
    metric("cdc_replays_failed_total", Counter, &[], "Replayed letters that were dead again"),
    metric("cdc_snapshots_total", Counter, &["kind"], "Snapshots that began over changes applied before, whole or incremental, of each partition one: rows deleted while the connector was away are not in them"),
    metric("cdc_low_stock_alerts_total", Counter, &[], "Low-stock alerts shown"),

    metric("cdc_errors_total", Counter, &["class"], "Failed steps, by what is done about it: transient (tried again), fenced (loaded again), refused (a dead letter), fatal (the service ends)"),
    metric("cdc_retries_total", Counter, &[], "Steps that are tried again after a pause"),
    metric("cdc_reloads_total", Counter, &[], "Partitions loaded again from their stored state"),
    metric("cdc_breaker_state", Gauge, &["state"], "1 for the state that the breaker is in: closed, open or half-open; 0 for the others"),
    metric("cdc_breaker_opened_total", Counter, &[], "Times that the breaker opened"),

    metric("cdc_owned_partitions", Gauge, &[], "Partitions of this process"),
    metric("cdc_rebalances_total", Counter, &[], "Changes of what this process owns"),
    metric("cdc_position_offset", Gauge, &["topic", "partition"], "The next offset to apply, as it is durable"),
    metric("cdc_log_end_offset", Gauge, &["topic", "partition"], "Where the partition's log ends, as the broker said last"),
    metric("cdc_consumer_lag_records", Gauge, &["topic", "partition"], "What is not durable yet: the one less the other, or 0 when what is left holds no records"),
    metric("cdc_buffer_bytes", Gauge, &[], "Read and not yet durable"),
    metric("cdc_buffer_limit_bytes", Gauge, &[], "BUFFER_BYTES: beyond it reading pauses"),
    metric("cdc_loop_turns_total", Counter, &[], "Turns of the loop that does everything; it turns at least ten times a second"),

    metric("cdc_aws_request_duration_seconds", Histogram(CALL), &["api", "operation"], "Calls of DynamoDB and S3, failed ones too; the state's own are cdc_state_request_duration_seconds"),
    metric("cdc_aws_request_errors_total", Counter, &["api", "operation", "class"], "Calls that failed: transient, refused or fatal; a condition that did not hold is no failure"),
    metric("cdc_aws_throttles_total", Counter, &["api"], "Calls that were throttled"),
    metric("cdc_aws_put_bytes", Histogram(BYTES), &["api"], "Sizes of objects put: reports, dead letters"),
    metric("cdc_state_request_duration_seconds", Histogram(CALL), &["operation"], "Calls of the state (SlateDB) to its store"),
    metric("cdc_state_put_bytes_total", Counter, &[], "Bytes that the state has put into its store"),
    metric("cdc_state_compacted_bytes_total", Counter, &[], "Bytes that the state's compaction has written"),
    metric("cdc_state_bytes", Gauge, &["topic", "partition"], "Size of a partition's state in its store: its sorted tables, and the rows that only the log of the last commits holds, about"),
    metric("cdc_state_sorted_tables", Gauge, &["topic", "partition"], "Sorted tables (SSTs) of a partition's state: compaction keeps them few"),
];

/// Records, from now on, what this process counts and measures, under the service's name and generation.
///
/// # Errors
/// The process has a recorder already.
pub fn install(service: &str, generation: u64) -> anyhow::Result<PrometheusHandle> {
    let labels = [("service", service), ("generation", &generation.to_string())];
    let handle = serving::metrics::install(METRICS, &labels)?;
    start(generation);
    Ok(handle)
}

/// What counts from 0: a rate over a counter that appears with its first event misses that one.
fn start(generation: u64) {
    always(generation);
    show_counters(&Counters::default());
    for reason in ["malformed", "invalid", "refused"] {
        counter!("cdc_dead_letters_total", "reason" => reason).absolute(0);
    }
    for kind in [WHOLE, INCREMENTAL] {
        counter!("cdc_snapshots_total", "kind" => kind).absolute(0);
    }
    for class in ["transient", "fenced", "refused", "fatal"] {
        counter!("cdc_errors_total", "class" => class).absolute(0);
    }
    for name in ["cdc_breaker_opened_total", "cdc_rebalances_total", "cdc_loop_turns_total"] {
        counter!(name).absolute(0);
    }
    for api in ["dynamodb", "s3"] {
        counter!("cdc_aws_throttles_total", "api" => api).absolute(0);
    }
}

/// Gauges that never change are set again and again, or they would be gone.
fn always(generation: u64) {
    gauge!("cdc_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("cdc_generation").set(float(generation));
}

pub(super) fn show_counters(counters: &Counters) {
    counter!("cdc_records_total").absolute(counters.records);
    counter!("cdc_records_given_back_total").absolute(counters.given_back);
    counter!("cdc_received_bytes_total").absolute(counters.bytes);
    counter!("cdc_records_skipped_total").absolute(counters.skipped);
    counter!("cdc_tombstones_total").absolute(counters.tombstones);
    counter!("cdc_row_writes_total").absolute(counters.writes);
    counter!("cdc_batches_total").absolute(counters.batches);
    counter!("cdc_replays_failed_total").absolute(counters.failed_again);
    counter!("cdc_low_stock_alerts_total").absolute(counters.alerts);
    counter!("cdc_retries_total").absolute(counters.retries);
    counter!("cdc_reloads_total").absolute(counters.reloads);
    for (reason, count) in &counters.letters {
        counter!("cdc_dead_letters_total", "reason" => *reason).absolute(*count);
    }
    for (kind, count) in &counters.snapshots {
        counter!("cdc_snapshots_total", "kind" => *kind).absolute(*count);
    }
    for (class, count) in &counters.errors {
        counter!("cdc_errors_total", "class" => *class).absolute(*count);
    }
}

/// Where a partition stands, and where its log ends, if the broker said so.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Standing {
    pub topic: String,
    pub partition: i32,
    pub position: i64,
    pub end: Option<i64>,
    pub lag: Option<i64>,
}

/// Once a second or so.
pub(super) fn show(watch: &Watch, standings: &[Standing], buffered: usize) {
    always(watch.generation);
    show_counters(&watch.last);
    for state in ["closed", "open", "half-open"] {
        let is_in = watch.breaker.as_str() == state;
        gauge!("cdc_breaker_state", "state" => state).set(if is_in { 1.0 } else { 0.0 });
    }
    gauge!("cdc_owned_partitions").set(float(standings.len() as u64));
    gauge!("cdc_buffer_bytes").set(float(buffered as u64));
    gauge!("cdc_buffer_limit_bytes").set(float(watch.buffer_limit as u64));
    for standing in standings {
        let labels =
            [("topic", standing.topic.clone()), ("partition", standing.partition.to_string())];
        let set = |name: &'static str, value: i64| {
            gauge!(name, &labels).set(float(u64::try_from(value).unwrap_or(0)));
        };
        set("cdc_position_offset", standing.position);
        slatedb::show(&Partition::new(&standing.topic, standing.partition));
        if let (Some(end), Some(lag)) = (standing.end, standing.lag) {
            set("cdc_log_end_offset", end);
            set("cdc_consumer_lag_records", lag);
        }
    }
    let seconds = |ms: i64| float(u64::try_from(ms).unwrap_or(0)) / 1_000.0;
    for (name, at) in [
        ("cdc_start_time_seconds", Some(watch.health.born_ms())),
        ("cdc_last_source_commit_timestamp_seconds", watch.health.last_commit_ms()),
        ("cdc_last_record_timestamp_seconds", watch.health.last_record_ms()),
    ] {
        if let Some(at) = at {
            gauge!(name).set(seconds(at));
        }
    }
}

/// The breaker went from one state to another.
pub(super) fn show_breaker(before: &State, now: &State) {
    if let (State::Closed, State::Open { .. }) = (before, now) {
        counter!("cdc_breaker_opened_total").increment(1);
    }
}

/// Exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(crate) fn float(n: u64) -> f64 {
    n as f64
}
