//! The few of SlateDB's own numbers that operators look at.
use super::size;
use crate::Partition;
use metrics::counter;
use slatedb_common::metrics::{CounterFn, GaugeFn, HistogramFn, MetricsRecorder, UpDownCounterFn};
use std::sync::Arc;

pub struct Recorder(pub Partition);

struct Compacted(metrics::Counter);
impl CounterFn for Compacted {
    fn increment(&self, value: u64) {
        self.0.increment(value);
    }
}

struct InLog(Partition);
impl GaugeFn for InLog {
    fn set(&self, value: i64) {
        size::in_log(&self.0, u64::try_from(value).unwrap_or(0));
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
    fn register_gauge(&self, name: &str, _: &str, _: &[(&str, &str)]) -> Arc<dyn GaugeFn> {
        match name {
            "slatedb.db.total_mem_size_bytes" => Arc::new(InLog(self.0.clone())),
            _ => Arc::new(Ignored),
        }
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
