//! What people see of a run: count lines, alerts and warnings in the log, metrics, health, traces. Never a row's values;
//! an alert names the product, its stock and the threshold, which is what it is for.
pub mod health;
pub mod metrics;
#[cfg_attr(not(feature = "otlp"), path = "telemetry/traces_absent.rs")]
mod traces;

use crate::{
    config::Config,
    engine::{Counters, Engine},
    handler::Handler,
    policy::{
        Millis,
        breaker::{Breaker, State},
    },
    runtime::{Observer, positions, wall_ms},
    source::{Link, Record},
};
use ::metrics::{counter, histogram};
use health::{Health, Status};
use metrics::{Standing, float};
use serving::logs::Quiet;
use sinks::{Alert, Batch};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use traces::Traces;

/// SlateDB and its store say much at info, and call it an error that another owner took a partition over, as it ought to;
/// rdkafka calls it one that we closed its queue ourselves. What is said of the log itself (`log level changed`) is shown
/// under every filter.
pub const QUIET: Quiet = &[
    ("serving", ",serving=info"),
    ("slatedb", ",slatedb=warn,slatedb::dispatcher=off,object_store=warn"),
    ("rdkafka", ",rdkafka::consumer::base_consumer=off"),
];

/// Decides when a count line is due: after this many records or this long, and never two within a second.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    records: u64,
    at_ms: Millis,
}
impl Pace {
    pub const RECORDS: u64 = 100;
    pub const MS_MAX: Millis = 10_000;
    pub const MS_MIN: Millis = 1_000;

    /// Whether a line is due now; then it counts as written. Also how many records and ms it is about.
    pub fn due(&mut self, now: Millis, records: u64) -> Option<(u64, Millis)> {
        let since = (records.saturating_sub(self.records), now.saturating_sub(self.at_ms));
        let due = since.1 >= Self::MS_MAX || (since.0 >= Self::RECORDS && since.1 >= Self::MS_MIN);
        due.then(|| {
            *self = Self { records, at_ms: now };
            since
        })
    }
}

/// Watches a run and writes it down: logs, metrics, health.
pub struct Watch {
    low_stock_threshold: i64,
    generation: u64,
    buffer_limit: usize,
    health: Arc<Health>,
    link: Option<Arc<Link>>,
    traces: Option<Traces>,
    pace: Pace,
    last: Counters,
    breaker: State,
    opening: usize,
    shown: Option<Millis>,
}
impl Watch {
    /// Metrics and health are shown this often.
    const SHOW_MS: Millis = 1_000;

    pub fn new(config: &Config, health: Arc<Health>) -> Self {
        Self {
            low_stock_threshold: config.low_stock_threshold,
            generation: config.generation,
            buffer_limit: config.policy.buffer_bytes_max,
            health,
            link: None,
            traces: None,
            pace: Pace::default(),
            last: Counters::default(),
            breaker: State::Closed,
            opening: 0,
            shown: None,
        }
    }
    /// Of a broker: whether we have joined, where logs end.
    pub fn follow(&mut self, link: Arc<Link>) {
        self.link = Some(link);
    }
    /// Sends traces, if the environment says where to.
    pub fn trace(&mut self, service: &'static str) -> anyhow::Result<()> {
        self.traces = Traces::from_env(service, self.generation)?;
        Ok(())
    }
    /// As of the last turn.
    pub fn counters(&self) -> &Counters {
        &self.last
    }
    /// The last count line, at exit.
    pub fn finish(&self) {
        self.health.end();
        self.traces.iter().for_each(Traces::finish);
        metrics::show_counters(&self.last);
        log_counts(&self.last, None, None);
    }

    fn show<H: Handler>(&self, engine: &Engine<H>) {
        let standing = |(partition, position): (&sinks::Partition, i64)| {
            let end = self.link.as_ref().and_then(|link| link.end(partition));
            let lag = end.map(|end| match end.is_reached && !engine.has_in_hand(partition) {
                true => 0,
                false => (end.offset - position).max(0),
            });
            Standing {
                topic: partition.topic.to_string(),
                partition: partition.index,
                position,
                end: end.map(|end| end.offset),
                lag,
            }
        };
        let standings: Vec<Standing> = engine.positions().map(standing).collect();
        metrics::show(self, &standings, engine.buffered());
        self.health.set(Status {
            joined: self.link.as_ref().is_none_or(|link| link.joined.load(Ordering::Relaxed)),
            opening: engine.opening(),
            breaker: engine.breaker().state().as_str(),
            cause: Some(engine.breaker().cause().to_owned()).filter(|cause| !cause.is_empty()),
            standings,
        });
    }
}

fn log_counts(counters: &Counters, rate: Option<u64>, positions: Option<&str>) {
    let letters: u64 = counters.letters.values().sum();
    let reasons: Vec<String> =
        counters.letters.iter().map(|(why, n)| format!("{why}={n}")).collect();
    tracing::info!(
        records = counters.records,
        records_per_second = rate,
        given_back = counters.given_back,
        bytes = counters.bytes,
        writes = counters.writes,
        batches = counters.batches,
        skipped = counters.skipped,
        tombstones = counters.tombstones,
        dead_letters = letters,
        dead_letters_by_reason = reasons.join(" "),
        alerts = counters.alerts,
        retries = counters.retries,
        reloads = counters.reloads,
        durable_up_to = positions,
        "counts"
    );
}

/// A line for each change: it opens, somebody tries, that failed too, it closes.
fn log_breaker(now: Millis, before: &State, breaker: &Breaker) {
    let (state, cause) = (breaker.state().as_str(), breaker.cause());
    match (before, breaker.state()) {
        (State::Closed, State::Open { until }) => tracing::warn!(
            breaker = state,
            failures = breaker.failures_in_a_row(),
            cause,
            next_try_ms = until.saturating_sub(now),
            "one call after another fails: nothing is sent and nothing is read until a single try works"
        ),
        (_, State::Open { until }) => tracing::info!(
            breaker = state,
            cause,
            next_try_ms = until.saturating_sub(now),
            "the try failed, too"
        ),
        (_, State::HalfOpen { probe }) => tracing::info!(
            breaker = state,
            partition = %probe,
            probes = breaker.probes(),
            "one partition tries again"
        ),
        (_, State::Closed) => {
            tracing::info!(breaker = state, "every partition goes on where it stood");
        }
    }
}

impl<H: Handler> Observer<H> for Watch {
    fn alert(&mut self, alert: &Alert) {
        tracing::warn!(
            alert = alert.name,
            product_id = sinks::key_text(&alert.key),
            stock = alert.value,
            threshold = self.low_stock_threshold,
            "low stock"
        );
    }
    fn warning(&mut self, text: &str) {
        tracing::warn!("{text}");
    }
    fn record(&mut self, record: &Record<'_>) {
        if let Some(traces) = &mut self.traces {
            traces.record(record);
        }
    }
    fn committed(&mut self, batch: &Batch, took: Duration, worked: bool) {
        if let Some(traces) = &mut self.traces {
            traces.committed(batch, took, worked);
        }
        histogram!("cdc_commit_duration_seconds").record(took);
        if !worked {
            return;
        }
        let offsets = u64::try_from(batch.span.end - batch.span.start).unwrap_or(0);
        histogram!("cdc_batch_offsets").record(float(offsets));
        let (now, latency) = (wall_ms(), histogram!("cdc_processing_latency_seconds"));
        for write in &batch.writes {
            let ms = u64::try_from(now - write.source_ts_ms).unwrap_or(0);
            latency.record(Duration::from_millis(ms));
        }
        if let Some(newest) = batch.source_ts_ms {
            self.health.committed(newest);
        }
    }
    fn published(&mut self, took: Duration) {
        histogram!("cdc_publish_duration_seconds").record(took);
    }
    fn turn(&mut self, now: Millis, engine: &Engine<H>) {
        self.health.turned();
        counter!("cdc_loop_turns_total").increment(1);
        if self.last.records != engine.counters().records {
            self.health.read_a_record();
        }
        if self.last != *engine.counters() {
            self.last.clone_from(engine.counters());
        }
        let changed = self.breaker != *engine.breaker().state();
        if changed {
            log_breaker(now, &self.breaker, engine.breaker());
            metrics::show_breaker(&self.breaker, engine.breaker().state());
            self.breaker.clone_from(engine.breaker().state());
        }
        let changed = changed || self.opening != engine.opening();
        self.opening = engine.opening();
        if changed || self.shown.is_none_or(|at| now >= at + Self::SHOW_MS) {
            self.shown = Some(now);
            self.show(engine);
        }
        if let Some((records, ms)) = self.pace.due(now, self.last.records) {
            let rate = records.saturating_mul(1_000).checked_div(ms);
            log_counts(&self.last, rate, Some(&positions(engine)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_every_100_records_or_10_seconds_and_never_two_a_second() {
        let mut pace = Pace::default();
        assert_eq!(pace.due(999, 1_000_000), None, "too soon after the start");
        assert_eq!(pace.due(1_000, 99), None, "too few");
        assert_eq!(pace.due(1_000, 100), Some((100, 1_000)));
        assert_eq!(pace.due(1_999, 50_000), None, "too soon after the last line");
        assert_eq!(pace.due(2_000, 50_000), Some((49_900, 1_000)));
        assert_eq!(pace.due(11_999, 50_000), None, "nothing new, not yet 10 s");
        assert_eq!(pace.due(12_000, 50_000), Some((0, 10_000)), "alive");
    }

    #[test]
    fn a_million_records_a_second_make_one_line_a_second() {
        let mut pace = Pace::default();
        let lines = (0..60_000).filter(|ms| pace.due(*ms, ms * 1_000).is_some()).count();
        assert_eq!(lines, 59);
    }
}
