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

/// Of the sorted tables; what is in the log of the last commits only is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub tables: u32,
    pub bytes: u64,
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
    let nothing = Size { tables: 0, bytes: 0 };
    Some(manifest.l0().iter().chain(runs).fold(nothing, |sum, table| Size {
        tables: sum.tables + 1,
        bytes: sum.bytes + table.estimate_size(),
    }))
}

/// Sets the gauges of this partition anew, as long as somebody owns it.
pub fn show(partition: &Partition) {
    let Some(Size { tables, bytes }) = size(partition) else { return };
    let labels =
        [("topic", partition.topic.to_string()), ("partition", partition.index.to_string())];
    gauge!("cdc_state_sorted_tables", &labels).set(f64::from(tables));
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    gauge!("cdc_state_bytes", &labels).set(bytes as f64);
}
