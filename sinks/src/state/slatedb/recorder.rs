//! The one of SlateDB's own numbers that operators look at.
use metrics::counter;
use slatedb_common::metrics::{CounterFn, GaugeFn, HistogramFn, MetricsRecorder, UpDownCounterFn};
use std::sync::Arc;

pub struct Recorder;

struct Compacted(metrics::Counter);
impl CounterFn for Compacted {
    fn increment(&self, value: u64) {
        self.0.increment(value);
    }
}

struct Ignored;
impl CounterFn for Ignored {
    fn increment(&self, _: u64) {}
}
impl GaugeFn for Ignored {
    fn set(&self, _: i64) {}
}
impl UpDownCounterFn for Ignored {
    fn increment(&self, _: i64) {}
}
impl HistogramFn for Ignored {
    fn record(&self, _: f64) {}
}

impl MetricsRecorder for Recorder {
    fn register_counter(&self, name: &str, _: &str, _: &[(&str, &str)]) -> Arc<dyn CounterFn> {
        match name {
            "slatedb.compactor.bytes_compacted" => {
                Arc::new(Compacted(counter!("cdc_state_compacted_bytes_total")))
            }
            _ => Arc::new(Ignored),
        }
    }
    fn register_gauge(&self, _: &str, _: &str, _: &[(&str, &str)]) -> Arc<dyn GaugeFn> {
        Arc::new(Ignored)
    }
    fn register_up_down_counter(
        &self,
        _: &str,
        _: &str,
        _: &[(&str, &str)],
    ) -> Arc<dyn UpDownCounterFn> {
        Arc::new(Ignored)
    }
    fn register_histogram(
        &self,
        _: &str,
        _: &str,
        _: &[(&str, &str)],
        _: &[f64],
    ) -> Arc<dyn HistogramFn> {
        Arc::new(Ignored)
    }
}
