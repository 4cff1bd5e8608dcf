//! Reports made from committed totals: JSON objects for people and for Athena.
//!
//! Nothing is written while records are applied; the shares are kept in the state. `publish` writes what the state
//! says of one partition to that partition's part (`reports/.parts/<generation>/<topic>/<partition>.json`), then merges
//! the parts of all partitions, whoever owns them, and publishes the reports:
//!
//! * `reports/<report>/<position>.json`, one for each position at which it was published, never changed;
//! * `reports/<report>/latest.json`, replaced only by one that is at or beyond it in every partition.
//!
//! From generation 2 on, `reports/g<generation>/<report>/...`: readers switch when it has caught up.
//!
//! Promises: a part only moves forward, so a stale owner cannot put back an older one. A report shows every partition
//! exactly as of the offset in its `as_of`. The same position gives the same bytes: `generated_at` is the timestamp of
//! the newest record in it, not the time at which it was written. Of owners that publish at the same time, the last
//! one to read sees all of their parts, so once all are quiet `latest.json` shows all of them.
mod mend;
mod merge;
mod part;
mod table;

pub use mend::Latest;
pub(crate) use table::Row;
pub use table::{Figure, Settings, Top};

use crate::{
    Batch, Checkpoint, Partition, PartitionState, Receipt, Sink, SinkError, View,
    objects::{Objects, Put, Tag, When, segment},
    share_prefix,
};
use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use part::Part;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use table::Published;

/// Others may replace what we read this many times in a row before we come again later.
const TRIES_MAX: usize = 10;
const READS_MAX: usize = 8;

pub struct Reports {
    objects: Arc<dyn Objects>,
    generation: u64,
    views: Arc<[View]>,
    settings: Arc<Settings>,
    /// The part of each partition as this process last put it.
    ours: Mutex<HashMap<Partition, Ours>>,
}

#[derive(Clone)]
struct Ours {
    next: i64,
    tag: Tag,
}

impl Reports {
    /// `views`: those whose rows are made of shares alone are reported, each under its name; others are left out.
    pub fn new(
        objects: Arc<dyn Objects>,
        views: Vec<View>,
        settings: Settings,
        generation: u64,
    ) -> Self {
        let mut views: Vec<View> = views.into_iter().filter(View::is_totals).collect();
        // The order of a part's lines.
        views.sort_by_key(|view| view.name);
        let settings = Arc::new(settings);
        Self { objects, generation, views: views.into(), settings, ours: Mutex::default() }
    }

    fn root(&self) -> String {
        match self.generation {
            0 | 1 => "reports".to_owned(),
            later => format!("reports/g{later}"),
        }
    }

    fn parts_prefix(&self) -> String {
        format!("reports/.parts/{}/", self.generation)
    }

    fn part_name(&self, partition: &Partition) -> String {
        format!("{}{}/{}.json", self.parts_prefix(), segment(&partition.topic), partition.index)
    }

    fn ours(&self) -> MutexGuard<'_, HashMap<Partition, Ours>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the state says of this partition, as its part is written.
    async fn make_part(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn PartitionState,
    ) -> Result<Bytes, SinkError> {
        let mut part = part::Writer::new(partition, at);
        for view in self.views.iter() {
            let prefix = share_prefix(view.name);
            for (key, share) in lane.scan(&prefix).await? {
                part.line(view.name, &key[prefix.len()..], &share).map_err(|why| {
                    SinkError::fatal(anyhow!(
                        "{partition}: a share of {} in the state {why}: start a new GENERATION",
                        view.name
                    ))
                })?;
            }
        }
        part.finish().map_err(SinkError::fatal)
    }

    /// Whether it is there now; `false`: a newer owner's is.
    async fn put_part(
        &self,
        partition: &Partition,
        next: i64,
        bytes: &Bytes,
    ) -> Result<bool, SinkError> {
        let name = self.part_name(partition);
        let ours = self.ours().get(partition).cloned();
        let mut seen = ours.map(|ours| (ours.next, ours.tag));
        for _ in 0..TRIES_MAX {
            let when = match seen.take() {
                Some((there, _)) if there > next => return Ok(false),
                Some((_, tag)) => When::IfMatch(tag),
                None => When::IfAbsent,
            };
            if let Put::Done(tag) = self.objects.put(&name, bytes.clone(), when).await? {
                self.ours().insert(partition.clone(), Ours { next, tag });
                return Ok(true);
            }
            if let Some(object) = self.objects.get(&name).await? {
                let there = self.read_part(&name, object.bytes)?;
                seen = Some((there.next(), object.tag));
            }
        }
        Err(busy(&self.objects.address(&name)))
    }

    fn read_part(&self, name: &str, bytes: Bytes) -> Result<Part, SinkError> {
        Part::read(bytes).map_err(|why| {
            SinkError::fatal(anyhow!(
                "{} {why}: remove it and restart the services; its owner writes it again",
                self.objects.address(name)
            ))
        })
    }

    async fn read_parts(&self) -> Result<Vec<Part>, SinkError> {
        let names = self.objects.list(&self.parts_prefix()).await?;
        let reads = names.into_iter().map(|name| async move {
            match self.objects.get(&name).await? {
                Some(object) => self.read_part(&name, object.bytes),
                None => Err(SinkError::transient(anyhow!("{name} was there and is gone"))),
            }
        });
        stream::iter(reads.collect::<Vec<_>>()).buffered(READS_MAX).try_collect().await
    }

    async fn publish_report(&self, report: &Published) -> Result<(), SinkError> {
        let folder = format!("{}/{}", self.root(), segment(report.name));
        let bytes = report.json().map_err(SinkError::fatal)?;
        let own = format!("{folder}/{}.json", position_name(&report.head.as_of));
        let put = self.objects.put(&own, bytes.clone(), When::IfAbsent).await?;
        // Another program version may have published this position: what was published stays.
        let bytes = match put {
            Put::Done(_) => bytes,
            Put::Held => match self.objects.get(&own).await? {
                Some(object) => object.bytes,
                None => return Err(busy(&self.objects.address(&own))),
            },
        };
        self.replace_latest(&format!("{folder}/latest.json"), &report.head.as_of, bytes).await
    }

    async fn replace_latest(
        &self,
        name: &str,
        as_of: &BTreeMap<String, i64>,
        bytes: Bytes,
    ) -> Result<(), SinkError> {
        for _ in 0..TRIES_MAX {
            let when = match self.objects.get(name).await? {
                None => When::IfAbsent,
                Some(there) if there.bytes == bytes => return Ok(()),
                Some(there) => {
                    let position = table::position_of(&there.bytes).map_err(|why| {
                        SinkError::fatal(anyhow!(
                            "{} {why}: move it away, it is written again",
                            self.objects.address(name)
                        ))
                    })?;
                    if !is_at_or_beyond(as_of, &position) {
                        // Whoever wrote a part that we did not read publishes it after us.
                        return Ok(());
                    }
                    When::IfMatch(there.tag)
                }
            };
            if let Put::Done(_) = self.objects.put(name, bytes.clone(), when).await? {
                return Ok(());
            }
        }
        Err(busy(&self.objects.address(name)))
    }
}

#[async_trait]
impl Sink for Reports {
    /// Nothing: the shares are in the state, and the state is committed right after.
    async fn write(&self, _batch: &Batch) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }

    async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        let bytes = self.make_part(partition, at, lane).await?;
        if !self.put_part(partition, at.next, &bytes).await? {
            return Ok(()); // the newer owner publishes
        }
        drop(bytes);
        let parts = self.read_parts().await?;
        let (views, settings) = (self.views.clone(), self.settings.clone());
        let made = tokio::task::spawn_blocking(move || table::make(&parts, &views, &settings));
        let made = made.await.map_err(SinkError::transient)?;
        for report in made.map_err(SinkError::fatal)? {
            self.publish_report(&report).await?;
        }
        Ok(())
    }

    fn forget(&self, partition: &Partition) {
        self.ours().remove(partition);
    }
}

fn is_at_or_beyond(mine: &BTreeMap<String, i64>, there: &BTreeMap<String, i64>) -> bool {
    there.iter().all(|(partition, next)| mine.get(partition).is_some_and(|mine| mine >= next))
}

/// The same for the same position, and for no other.
fn position_name(as_of: &BTreeMap<String, i64>) -> String {
    let mut hash = Sha256::new();
    for (partition, next) in as_of {
        hash.update((partition.len() as u64).to_le_bytes());
        hash.update(partition);
        hash.update(next.to_le_bytes());
    }
    hash.finalize()[..12].iter().fold("at-".to_owned(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

fn busy(address: &str) -> SinkError {
    SinkError::transient(anyhow!("{address} was replaced by others {TRIES_MAX} times in a row"))
}
