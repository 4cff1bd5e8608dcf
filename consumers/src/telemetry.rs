//! What people see of a run: logs on standard output, count lines, alerts. Never a row's values; an alert names the
//! product, its stock and the threshold, which is what it is for.
use crate::{
    config::Logs,
    engine::{Engine, Millis, Tally},
    handler::Handler,
    runtime::{Observer, positions},
};
use sinks::Alert;
use std::io::{IsTerminal, stdout};
use tracing_subscriber::EnvFilter;

/// Call once, first thing.
pub fn init(logs: &Logs) {
    // SlateDB says much at info; whoever names it in the filter gets what it asks for.
    let quiet = if logs.filter.contains("slatedb") { "" } else { ",slatedb=warn" };
    let filter = EnvFilter::try_new(format!("{}{quiet}", logs.filter));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let plain = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stdout);
    // An error means that somebody (a test) has set one already.
    let _ = match logs.json {
        true => plain.json().flatten_event(true).try_init(),
        false => plain.with_ansi(stdout().is_terminal()).try_init(),
    };
}

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

/// Watches a run and writes it down.
pub struct Watch {
    low_stock_threshold: i64,
    pace: Pace,
    last: Tally,
}
impl Watch {
    pub fn new(low_stock_threshold: i64) -> Self {
        Self { low_stock_threshold, pace: Pace::default(), last: Tally::default() }
    }
    /// As of the last turn.
    pub fn tally(&self) -> &Tally {
        &self.last
    }
    /// The last count line, at exit.
    pub fn finish(&self) {
        log_counts(&self.last, None, None);
    }
}

fn log_counts(tally: &Tally, rate: Option<u64>, positions: Option<&str>) {
    let letters: u64 = tally.letters.values().sum();
    let reasons: Vec<String> = tally.letters.iter().map(|(why, n)| format!("{why}={n}")).collect();
    tracing::info!(
        records = tally.records,
        records_per_second = rate,
        bytes = tally.bytes,
        writes = tally.writes,
        batches = tally.batches,
        skipped = tally.skipped,
        tombstones = tally.tombstones,
        dead_letters = letters,
        dead_letters_by_reason = reasons.join(" "),
        alerts = tally.alerts,
        retries = tally.retries,
        reloads = tally.reloads,
        durable_up_to = positions,
        "counts"
    );
}

impl<H: Handler> Observer<H> for Watch {
    fn alert(&mut self, alert: &Alert) {
        let key: Vec<String> = alert.key.iter().map(ToString::to_string).collect();
        tracing::warn!(
            alert = alert.name,
            product_id = key.join("/"),
            stock = alert.stock_quantity,
            threshold = self.low_stock_threshold,
            "low stock"
        );
    }
    fn warning(&mut self, text: &str) {
        tracing::warn!("{text}");
    }
    fn turn(&mut self, now: Millis, engine: &Engine<H>) {
        if self.last != *engine.tally() {
            self.last.clone_from(engine.tally());
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
