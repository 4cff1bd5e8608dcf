//! How large each partition's state is, for operators.
use crate::Partition;
use metrics::gauge;
use slatedb::{Db, DbStatus};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tokio::sync::watch::Receiver;

/// What each partition's owner in this process knows of its tables. One that was given back tells of then.
static OPENED: Mutex<BTreeMap<Partition, Receiver<DbStatus>>> = Mutex::new(BTreeMap::new());

/// Rows that only the log holds so far, in bytes, when SlateDB said so last: with each commit.
static IN_LOG: Mutex<BTreeMap<Partition, u64>> = Mutex::new(BTreeMap::new());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Sorted tables (SSTs).
    pub tables: u32,
    pub table_bytes: u64,
    /// Of rows that are in no table yet, about.
    pub log_bytes: u64,
}

pub(super) fn follow(partition: &Partition, db: &Db) {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    opened.insert(partition.clone(), db.subscribe());
}

/// `None`: never opened by this process.
pub fn size(partition: &Partition) -> Option<Size> {
    let opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let status = opened.get(partition)?.borrow();
    let manifest = &status.current_manifest;
    let runs = manifest.compacted().iter().flat_map(|run| run.sst_views());
    let in_log = IN_LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let log_bytes = in_log.get(partition).copied().unwrap_or(0);
    let nothing = Size { tables: 0, table_bytes: 0, log_bytes };
    Some(manifest.l0().iter().chain(runs).fold(nothing, |sum, table| Size {
        tables: sum.tables + 1,
        table_bytes: sum.table_bytes + table.estimate_size(),
        ..sum
    }))
}

pub(super) fn in_log(partition: &Partition, bytes: u64) {
    IN_LOG.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.clone(), bytes);
}

/// Sets the gauges of this partition anew, as long as somebody owns it.
pub fn show(partition: &Partition) {
    let Some(Size { tables, table_bytes, log_bytes }) = size(partition) else { return };
    let labels =
        [("topic", partition.topic.to_string()), ("partition", partition.index.to_string())];
    gauge!("cdc_state_sorted_tables", &labels).set(f64::from(tables));
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    gauge!("cdc_state_bytes", &labels).set((table_bytes + log_bytes) as f64);
}
