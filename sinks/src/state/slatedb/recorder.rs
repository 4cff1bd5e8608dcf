//! The few of SlateDB's own numbers that operators look at.
use crate::Partition;
use metrics::{counter, gauge};
use slatedb_common::metrics::{CounterFn, GaugeFn, HistogramFn, MetricsRecorder, UpDownCounterFn};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

pub struct Recorder(pub Partition);

struct Compacted(metrics::Counter);
impl CounterFn for Compacted {
    fn increment(&self, value: u64) {
        self.0.increment(value);
    }
}

/// How many sorted tables each partition's state had, when SlateDB said so last.
static TABLES: Mutex<BTreeMap<Partition, i64>> = Mutex::new(BTreeMap::new());

struct Tables(Partition);
impl GaugeFn for Tables {
    fn set(&self, value: i64) {
        TABLES.lock().unwrap_or_else(PoisonError::into_inner).insert(self.0.clone(), value);
    }
}

/// Sets the gauge of this partition anew, as long as somebody owns it.
pub fn show(partition: &Partition) {
    let tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner).get(partition).copied();
    if let Some(tables) = tables {
        let labels =
            [("topic", partition.topic.to_string()), ("partition", partition.index.to_string())];
        let tables = u32::try_from(tables).unwrap_or(0);
        gauge!("cdc_state_sorted_tables", &labels).set(f64::from(tables));
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
            "slatedb.db.sst_count" => Arc::new(Tables(self.0.clone())),
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
