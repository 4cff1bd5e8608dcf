//! Publications that come late: by an owner of the past, of what it read while it was the owner.
use super::{Process, Suite, settled};
use crate::{
    Batch, Checkpoint, Key, PartitionState, Receipt, SinkError, View,
    conformance::shop::{Log, Rows, logs},
};
use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};

/// A lane's shares as they were when they were read.
struct Read(BTreeMap<Key, Vec<u8>>);

#[async_trait]
impl PartitionState for Read {
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        Ok(keys.iter().map(|key| self.0.get(key).cloned()).collect())
    }
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        let rows = self.0.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }
    async fn commit(&self, _: &Batch) -> Result<Receipt, SinkError> {
        Err(SinkError::Fenced)
    }
}

/// An owner of the past publishes: what it still can, or nothing, but it never halts.
pub(super) async fn publish(told: &str, stale: &Process, logs: &[Log], log: usize) {
    match stale.publish(told, logs, log).await {
        Ok(()) | Err(SinkError::Fenced) => {}
        Err(other) => panic!("{told}: a stale owner's publication failed: {other}"),
    }
}

async fn publish_all(told: &str, stale: &Process, logs: &[Log]) {
    for log in 0..logs.len() {
        publish(told, stale, logs, log).await;
    }
}

impl Process {
    /// Commits each log up to a share of its records, in thirds.
    async fn advance(&mut self, told: &str, logs: &[Log], thirds: usize) {
        for (log, records) in logs.iter().enumerate() {
            let to = records.records.len() * thirds / 3;
            if to > self.at[log] {
                self.commit(told, log, &records.cut(self.at[log], to, &[])).await;
                self.at[log] = to;
            }
        }
    }

    /// It has read what it would publish, and nobody has told it yet that others took over.
    async fn read_ahead(&mut self, told: &str) {
        for lane in &mut self.lanes {
            let rows = settled(told, lane.scan(b"=").await);
            *lane = Arc::new(Read(rows.into_iter().collect()));
        }
    }
}

impl<M: AsyncFn(&str) -> super::Backend, R: AsyncFn(&str, &View) -> Rows> Suite<M, R> {
    /// What was published at an older position never replaces what was published at a newer one.
    pub(super) async fn late_publications(&self) {
        for seed in 1..=self.supports.seeds {
            self.late_publication(seed).await;
        }
    }

    async fn late_publication(&self, seed: u64) {
        let (told, name) = (format!("late publication, seed {seed}"), format!("late-{seed}"));
        let logs = logs(seed ^ 0x1a7e, &self.supports, 30);
        let mut stale = self.process(&name, &logs, None).await;
        stale.advance(&told, &logs, 1).await;
        stale.publish_all(&told, &logs).await;
        stale.advance(&told, &logs, 2).await;
        stale.read_ahead(&told).await;

        let mut owner = self.process(&name, &logs, None).await;
        owner.advance(&told, &logs, 3).await;
        // Each partition's publication races the stale one of it.
        let (both, all) = (format!("{told}, both at once"), 0..logs.len());
        for log in all.clone() {
            let ours = owner.publish(&both, &logs, log);
            settled(&both, futures::future::join(ours, publish(&both, &stale, &logs, log)).await.0);
        }
        self.check_shown(&both, &name, &logs).await;

        let after = format!("{told}, after the newer one");
        publish_all(&after, &stale, &logs).await;
        self.check_shown(&after, &name, &logs).await;
        // It remembers nothing of what it published.
        let restarted = (self.make)(&name).await;
        let forgetful = Process {
            committer: crate::Committer { sink: restarted.sink, ..stale.committer.clone() },
            ..stale
        };
        publish_all(&after, &forgetful, &logs).await;
        self.check_shown(&after, &name, &logs).await;
        for log in all {
            settled(&after, owner.publish(&after, &logs, log).await);
        }
        self.check_shown(&format!("{told}, once more by the owner"), &name, &logs).await;
    }
}
