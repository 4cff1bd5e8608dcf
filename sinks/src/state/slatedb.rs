//! State as one SlateDB (a log-structured store on object storage) for each partition, at
//! `state/<service>/<generation>/<topic>/<partition>/`: on S3, in a folder, or wherever else an object store is.
//!
//! * A commit is one write batch (rows and checkpoint), durable on return. Keeps no views.
//! * Opening fences the owner before: its next commit fails, and nothing of it is ever seen.
//! * Reads see durable commits only. Memory is bounded: one block cache for all lanes, few unflushed bytes for each.
//! * Every block is stored with a checksum: damage is an error that names the place, never a wrong row.
//! * Beside a topic's lanes, `partitions.json` says how many there are; another count is refused.
//! * Generations lie beside each other and never mix; delete the folder of an old one when nobody needs it.
//! * While the object store does not answer, calls end with `Transient` after [`Settings::answer_ms_max`]. A commit
//!   that ended so may still take effect: only the same batch may follow it, another one is `Fenced`.
mod partition;
mod reader;
mod recorder;
mod size;
mod store;

pub use reader::Glance;
pub use size::{Size, show, size};

use super::{refuse_count, refuse_renamed};
use crate::{Checkpoint, Partition, PartitionState, SinkError, State};
use anyhow::anyhow;
use async_trait::async_trait;
use partition::SlatePartition;
use recorder::Recorder;
use serde::{Deserialize, Serialize};
pub use slatedb::object_store;
use slatedb::{
    CloseReason, Db, ErrorKind,
    config::{CompactionWorkerOptions, CompactorOptions},
    db_cache::{
        DbCache,
        foyer::{FoyerCache, FoyerCacheOptions},
    },
    object_store::{
        BackoffConfig, ObjectStore, ObjectStoreExt, PutMode, RetryConfig,
        aws::{AmazonS3Builder, AmazonS3ConfigKey},
        local::LocalFileSystem,
        path::{self, PathPart},
    },
};
use std::{
    fmt::Display,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use store::{Shared, Watched};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Of all lanes together.
    pub cache_bytes_max: u64,
    /// Of one lane: rows written but not yet in a table of their own; more makes commits wait.
    pub unflushed_bytes_max: usize,
    /// Of one lane: a table is written when this many bytes of rows are in memory.
    pub table_bytes: usize,
    /// Rows fetched at once for one `get`.
    pub reads_at_once_max: usize,
    /// An object store that is silent for longer makes the call end with `Transient`.
    pub answer_ms_max: u64,
}
impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes_max: 64 << 20,
            unflushed_bytes_max: 32 << 20,
            table_bytes: 8 << 20,
            reads_at_once_max: 32,
            answer_ms_max: 30_000,
        }
    }
}

/// Of the S3 client, for each request; by default it goes on for three minutes, past every lane's patience.
/// Not none: SlateDB works in the background, where no caller could repeat anything. It does begin failed calls anew
/// by itself, but whole ones, and fetches no credentials: a blip should cost one request. What a lane waits for ends
/// with [`Settings::answer_ms_max`] whoever repeats it, and from there on the caller's policy decides.
pub fn few_retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(1),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(5) }
}

/// Keys longer than this cannot be stored (SlateDB's bound, less our one byte).
const KEY_BYTES_MAX: usize = u16::MAX as usize - 1;
/// Where the checkpoint lies; rows lie under [`ROW`] and their key.
const CHECKPOINT: &[u8] = b"c";
const ROW: u8 = b'r';

pub struct SlateDb {
    store: Arc<Watched>,
    /// Above `state/`; empty or ending with a slash.
    prefix: String,
    generation: u64,
    service: String,
    settings: Settings,
    cache: Arc<dyn DbCache>,
    /// The cache tells databases apart by a number.
    opened: AtomicU64,
}

impl SlateDb {
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, generation: u64, service: &str) -> Self {
        Self::with_settings(store, prefix, generation, service, Settings::default())
    }

    pub fn with_settings(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        generation: u64,
        service: &str,
        settings: Settings,
    ) -> Self {
        let prefix = prefix.trim_matches('/');
        let cache = FoyerCacheOptions { max_capacity: settings.cache_bytes_max, shards: 4 };
        Self {
            store: Arc::new(Watched::new(store)),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            generation,
            service: service.to_owned(),
            settings,
            cache: Arc::new(FoyerCache::new_with_opts(cache)),
            opened: AtomicU64::new(0),
        }
    }

    /// State in a folder, which is made when it is missing. Files are synced before a commit returns.
    pub fn folder(
        dir: impl AsRef<Path>,
        generation: u64,
        service: &str,
    ) -> Result<Self, SinkError> {
        let dir = dir.as_ref();
        let advice = |cause: anyhow::Error| {
            SinkError::Fatal(
                cause.context(format!("{}: cannot be used as the state's folder", dir.display())),
            )
        };
        std::fs::create_dir_all(dir).map_err(|e| advice(e.into()))?;
        let store = LocalFileSystem::new_with_prefix(dir).map_err(|e| advice(e.into()))?;
        Ok(Self::new(Arc::new(store.with_fsync(true)), "", generation, service))
    }

    /// State in an S3 bucket. Region, credentials and endpoint (`AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL`) come from
    /// the environment. The bucket's store must know conditional puts (`If-None-Match`), as S3 does.
    pub fn s3(
        bucket: &str,
        prefix: &str,
        generation: u64,
        service: &str,
    ) -> Result<Self, SinkError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL"));
        Self::s3_at(endpoint.as_deref(), bucket, prefix, generation, service)
    }

    /// As [`SlateDb::s3`], at an endpoint of the caller's.
    pub fn s3_at(
        endpoint: Option<&str>,
        bucket: &str,
        prefix: &str,
        generation: u64,
        service: &str,
    ) -> Result<Self, SinkError> {
        let mut builder =
            AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(few_retries());
        if let Some(endpoint) = endpoint {
            builder = builder.with_allow_http(endpoint.starts_with("http://"));
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
        }
        let store = builder.build().map_err(|cause| {
            let what = format!(
                "s3://{bucket}: cannot be used for the state; see region, credentials and endpoint"
            );
            SinkError::Fatal(anyhow::Error::new(cause).context(what))
        })?;
        Ok(Self::new(Arc::new(store), prefix, generation, service))
    }

    fn place(&self, path: String) -> Place {
        let (store, answer_ms_max) = (self.store.clone(), self.settings.answer_ms_max);
        Place { path, store, answer_ms_max }
    }
    fn path(&self, partition: &Partition) -> String {
        format!("{}/{partition}", self.folder_of_topics())
    }
    fn folder_of_topics(&self) -> String {
        format!("{}state/{}/{}", self.prefix, self.service, self.generation)
    }

    /// One request. Names are compared as they lie in the store: encoded letter by letter, dots kept.
    /// Two first starts under different names at the same moment are not told apart.
    async fn check_topic(&self, topic: &str, place: &Place) -> Result<(), SinkError> {
        let folder = path::Path::from(self.folder_of_topics());
        let store = Shared(self.store.clone());
        let held =
            place.stored("ListBucket", &folder, store.list_with_delimiter(Some(&folder))).await?;
        let held = held.common_prefixes.iter().filter_map(path::Path::filename);
        refuse_renamed(held, PathPart::from(topic).as_ref())
    }

    fn place_of(&self, topic: &str) -> Place {
        self.place(format!("{}/{topic}", self.folder_of_topics()))
    }

    /// `<topic>/partitions.json`, beside the lanes.
    async fn stored_count(&self, place: &Place) -> Result<Option<i32>, SinkError> {
        let object = count_object(place);
        match place.within(Shared(self.store.clone()).get(&object)).await? {
            Ok(found) => {
                let bytes = place.stored("GetObject", &object, found.bytes()).await?;
                let kept: Count =
                    serde_json::from_slice(&bytes).map_err(|cause| place.damaged(cause))?;
                Ok(Some(kept.partitions))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(cause) => Err(place.unavailable("GetObject", &object, &cause)),
        }
    }

    /// The lanes of a topic that were ever opened.
    async fn lanes(&self, place: &Place) -> Result<Vec<path::Path>, SinkError> {
        let topic = path::Path::from(place.path.as_str());
        let store = Shared(self.store.clone());
        let lanes =
            place.stored("ListBucket", &topic, store.list_with_delimiter(Some(&topic))).await?;
        Ok(lanes.common_prefixes)
    }

    /// What the state of the topic was made with, for a state that is older than that object: one of its lanes knows.
    async fn count_by_lanes(&self, place: &Place) -> Result<Option<i32>, SinkError> {
        for lane in self.lanes(place).await? {
            let lane = self.place(lane.as_ref().to_owned());
            if let Some(found) = self.look(&lane, &[]).await?.checkpoint {
                return Ok(Some(found.partitions));
            }
        }
        Ok(None)
    }

    fn tuned(&self) -> slatedb::Settings {
        slatedb::Settings {
            // Each commit flushes; this only cleans up after one that was given up.
            flush_interval: Some(Duration::from_millis(100)),
            // A stale owner learns of it when it writes; polling is for compacted tables only, and costs a request.
            manifest_poll_interval: Duration::from_secs(10),
            l0_sst_size_bytes: self.settings.table_bytes,
            l0_flush_parallelism: 1,
            max_unflushed_bytes: self.settings.unflushed_bytes_max,
            compactor_options: Some(CompactorOptions {
                poll_interval: Duration::from_secs(10),
                max_concurrent_compactions: 1,
                // Every lane compacts for itself, and reads ahead in each table that goes into a compaction: the
                // defaults take 8 MiB a table.
                worker: Some(CompactionWorkerOptions {
                    max_concurrent_compactions: 1,
                    max_subcompactions: 1,
                    max_fetch_tasks: 1,
                    bytes_to_fetch: 1 << 20,
                    ..CompactionWorkerOptions::default()
                }),
                ..CompactorOptions::default()
            }),
            ..slatedb::Settings::default()
        }
    }
}

#[async_trait]
impl State for SlateDb {
    /// Put if absent.
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let (store, place) = (Shared(self.store.clone()), self.place_of(topic));
        let object = count_object(&place);
        self.check_topic(topic, &place).await?;
        // The second time around, somebody else was quicker with the put.
        for _ in 0..2 {
            if let Some(kept) = self.stored_count(&place).await? {
                return refuse_count(topic, kept, partitions);
            }
            let first = self.count_by_lanes(&place).await?.unwrap_or(partitions);
            let put = store.put_opts(&object, Count::json(first)?.into(), PutMode::Create.into());
            match place.within(put).await? {
                Ok(_) => return refuse_count(topic, first, partitions),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(cause) => return Err(place.unavailable("PutObject", &object, &cause)),
            }
        }
        Err(SinkError::transient(anyhow!("{object} came and went")))
    }

    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError> {
        let place = self.place_of(topic);
        match self.stored_count(&place).await? {
            Some(kept) => Ok(Some(kept)),
            None => self.count_by_lanes(&place).await,
        }
    }

    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        let place = self.place_of(topic);
        let mut found = Vec::new();
        for lane in self.lanes(&place).await? {
            let index = lane.filename().and_then(|name| name.parse().ok());
            let lane = self.place(lane.as_ref().to_owned());
            let index = index.ok_or_else(|| lane.damaged("not a partition's number"))?;
            let checkpoint = self.look(&lane, &[]).await?.checkpoint;
            found.extend(checkpoint.map(|checkpoint| (index, checkpoint)));
        }
        Ok(found)
    }

    /// Two that raise at one moment are not told apart: both are sure of theirs, and the larger one asks again when it
    /// opens its lanes.
    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let (store, place) = (Shared(self.store.clone()), self.place_of(topic));
        if self.stored_count(&place).await?.is_some_and(|kept| kept.abs() > partitions.abs()) {
            return Ok(());
        }
        let object = count_object(&place);
        let put = store.put(&object, Count::json(partitions)?.into());
        place.stored("PutObject", &object, put).await.map(drop)
    }

    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        let place = self.place(self.path(partition));
        self.check_topic(&partition.topic, &place).await?;
        let id = self.opened.fetch_add(1, Ordering::Relaxed);
        let opening = Db::builder(place.path.as_str(), Arc::new(Shared(self.store.clone())))
            .with_settings(self.tuned())
            .with_db_cache(self.cache.clone(), id)
            .with_metrics_recorder(Arc::new(Recorder(partition.clone())))
            .build();
        let db = place.answer(opening).await?;
        size::follow(partition, &db);
        let reads_at_once_max = self.settings.reads_at_once_max;
        Ok(Arc::new(SlatePartition::of(db, place, partition.clone(), reads_at_once_max).await?))
    }
}

/// How many partitions the topic has that this state was made of.
#[derive(Serialize, Deserialize)]
struct Count {
    partitions: i32,
}
impl Count {
    fn json(partitions: i32) -> Result<Vec<u8>, SinkError> {
        serde_json::to_vec(&Self { partitions }).map_err(SinkError::fatal)
    }
}
fn count_object(place: &Place) -> path::Path {
    path::Path::from(format!("{}/partitions.json", place.path))
}

/// Where a lane's database lies, for errors, and how long it may take to answer.
#[derive(Clone)]
struct Place {
    path: String,
    store: Arc<Watched>,
    answer_ms_max: u64,
}

impl Place {
    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, slatedb::Error>>,
    ) -> Result<T, SinkError> {
        let began = Instant::now();
        self.within(asked).await?.map_err(|cause| self.explain(began, cause))
    }

    /// Of the object store itself.
    async fn stored<T>(
        &self,
        call: &str,
        name: &path::Path,
        asked: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, SinkError> {
        self.within(asked).await?.map_err(|cause| self.unavailable(call, name, &cause))
    }

    fn unavailable(&self, call: &str, name: &path::Path, cause: &object_store::Error) -> SinkError {
        self.store.trouble(call, name.as_ref(), cause).into_error(&self.path)
    }

    /// What the store said last tells why there was no answer.
    async fn within<T>(&self, asked: impl Future<Output = T>) -> Result<T, SinkError> {
        let began = Instant::now();
        let patience = Duration::from_millis(self.answer_ms_max);
        tokio::time::timeout(patience, asked).await.map_err(|_| match self.store.since(began) {
            Some(trouble) => trouble.into_error(&self.path),
            None => SinkError::transient(anyhow!(
                "state {}: no answer from the object store ({}) within {} ms: it goes on by itself; if it lasts, look \
                 at the network and at AWS_REGION and AWS_ENDPOINT_URL",
                self.path,
                self.store,
                self.answer_ms_max
            )),
        })
    }

    fn explain(&self, began: Instant, cause: slatedb::Error) -> SinkError {
        match cause.kind() {
            ErrorKind::Closed(CloseReason::Fenced | CloseReason::Clean) => SinkError::Fenced,
            ErrorKind::Unavailable | ErrorKind::Transaction => match self.store.since(began) {
                Some(trouble) => trouble.into_error(&self.path),
                // Its text names the causes already.
                None => SinkError::Transient(anyhow!("state {}: {cause}", self.path)),
            },
            // Somebody else opened it at the same moment: no damage, though it is of that kind.
            ErrorKind::Data if cause.to_string().contains("version already exists") => {
                SinkError::Fenced
            }
            // A bucket that is gone looks like lost objects.
            ErrorKind::Data => match self.store.since(began).filter(|t| t.is_no_bucket()) {
                Some(trouble) => trouble.into_error(&self.path),
                None => self.damaged(cause),
            },
            ErrorKind::Closed(_) => {
                let advice = "work in the background failed. Start again; if it comes back, the state is damaged: see \
                    the log above for the object, and start with a new GENERATION";
                SinkError::Fatal(anyhow!("{}: {advice} ({cause})", self.path))
            }
            _ => {
                let advice = "unexpected: please report this text";
                SinkError::Fatal(anyhow!("{}: {advice} ({cause})", self.path))
            }
        }
    }

    fn damaged(&self, cause: impl Display) -> SinkError {
        SinkError::Fatal(anyhow!(
            "{}: the state is damaged ({cause}). Put back a copy of this folder, or start with a new GENERATION: \
             everything is made anew from the log",
            self.path
        ))
    }
}
