//! State and views in one SQLite file: rows, shares, position and the tables that people read move in one transaction.
//!
//! * Several services may use one file, also from several processes: each keeps its own views, and partitions are
//!   told apart by service and generation. Writers wait for one another; readers never wait.
//! * A file holds one generation of a service. A new generation gets a new file, and readers switch to it once it has
//!   caught up; opening the file of another generation fails and changes nothing.
//! * WAL with `synchronous=FULL`: a commit that returned survives a power cut, as the position must.
//! * Damage is noticed where SQLite can notice it (structure, length, header). SQLite has no checksums: a bit that
//!   flips inside a stored value stays unseen until `verify`.
mod audit;
mod commit;
mod layout;
mod owner;
mod table;

pub use audit::{FileReader, Find, show_anew};

use super::{memory::Rows, refuse_count, refuse_renamed};
use crate::{
    Alert, Batch, Cell, Checkpoint, Key, Partition, PartitionState, Receipt, SinkError, State,
    TwoOwners, View,
};
use anyhow::anyhow;
use async_trait::async_trait;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use table::Table;

#[derive(Debug, Clone)]
pub struct Settings {
    /// A write with a longer value is refused.
    pub value_bytes_max: usize,
    /// How long to wait for another writer of the file before the answer is `Transient`.
    pub busy_ms_max: u64,
    /// The file grows no further than this; then commits are `Transient`, as on a full disk.
    pub pages_max: Option<u32>,
    /// Reads the whole file once at open and looks for damage.
    pub check_at_open: bool,
}
impl Default for Settings {
    fn default() -> Self {
        Self { value_bytes_max: 16 << 20, busy_ms_max: 5_000, pages_max: None, check_at_open: true }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Sqlite(Arc<File>);

struct File {
    path: PathBuf,
    settings: Settings,
    service: String,
    generation: i64,
    views: Vec<View>,
    /// In the order of `views`.
    tables: Vec<Table>,
    writer: Mutex<Connection>,
    /// Of its own, so that loading rows never waits for a commit to reach the disk.
    reader: Mutex<Connection>,
}

impl Sqlite {
    /// Blocks while the file is opened, made or checked: call it at start.
    pub fn open(
        path: impl AsRef<Path>,
        generation: u64,
        service: &str,
        views: Vec<View>,
    ) -> Result<Self, SinkError> {
        Self::open_with(path, generation, service, views, Settings::default())
    }

    pub fn open_with(
        path: impl AsRef<Path>,
        generation: u64,
        service: &str,
        views: Vec<View>,
        settings: Settings,
    ) -> Result<Self, SinkError> {
        let path = path.as_ref().to_owned();
        let generation = i64::try_from(generation)
            .map_err(|_| SinkError::fatal(anyhow!("GENERATION {generation} is too large")))?;
        let open = || {
            let mut writer = layout::connect(&path, &settings)?;
            let tables = layout::prepare(&mut writer, service, generation, &views)?;
            Ok((writer, layout::connect_reader(&path, &settings)?, tables))
        };
        let (writer, reader, tables) = open().map_err(|cause| explain(&path, cause))?;
        let (writer, reader) = (Mutex::new(writer), Mutex::new(reader));
        let service = service.to_owned();
        let file = File { path, settings, service, generation, views, tables, writer, reader };
        Ok(Self(Arc::new(file)))
    }

    /// Where each partition stands, for people to look at: makes and changes nothing. `None`: there is no file, or
    /// nothing in it yet. Blocks.
    pub fn peek(
        path: impl AsRef<Path>,
        generation: u64,
        service: &str,
    ) -> Result<Option<Vec<(Partition, Checkpoint)>>, SinkError> {
        let path = path.as_ref();
        if !path.exists() {
            return Ok(None);
        }
        layout::peek(path, generation, service).map_err(|cause| explain(path, cause))
    }

    /// A view's table as people see it; empty for one that is not kept here.
    pub async fn rows(&self, view: &str) -> Result<Rows, SinkError> {
        let Some(at) = self.0.tables.iter().position(|t| t.view.name == view) else {
            return Ok(Rows::new());
        };
        self.run(move |file| Ok(file.tables[at].read(&file.reader())?)).await
    }

    /// Every alert ever raised, by name.
    pub async fn alerts(&self) -> Result<Vec<Alert>, SinkError> {
        self.run(|file| {
            let reader = file.reader();
            let mut alerts = Vec::new();
            for table in &file.tables {
                alerts.extend(table.alerts(&reader)?);
            }
            alerts.sort();
            Ok(alerts)
        })
        .await
    }

    /// Runs `work` where blocking is allowed, whatever the runtime's flavour.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, SinkError> {
        let file = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            work(&file).map_err(|cause| explain(&file.path, cause))
        });
        done.await.map_err(SinkError::transient)?
    }
}

impl File {
    // A transaction that a panic left behind was rolled back when it was dropped: a poisoned lock is sound.
    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Of all lanes that this service and generation ever opened.
    fn topics(&self, conn: &Connection) -> Result<Vec<String>, Trouble> {
        let sql = "SELECT DISTINCT topic FROM cdc_state_lanes WHERE service = ? AND generation = ?";
        let mut select = conn.prepare_cached(sql)?;
        let topics = select.query_map(params![self.service, self.generation], |row| row.get(0))?;
        Ok(topics.collect::<Result<_, _>>()?)
    }
    /// How many partitions the state of the topic was made with.
    fn count(&self, conn: &Connection, topic: &str) -> Result<Option<i32>, Trouble> {
        let sql = "SELECT partitions FROM cdc_state_topics WHERE service = ? AND generation = ? AND topic = ?";
        let key = params![self.service, self.generation, topic];
        Ok(conn.query_row(sql, key, |row| row.get(0)).optional()?)
    }
    /// The same where the file is older than that table.
    fn count_by_lanes(&self, conn: &Connection, topic: &str) -> Result<Option<i32>, Trouble> {
        let sql = "SELECT checkpoint FROM cdc_state_lanes \
            WHERE service = ? AND generation = ? AND topic = ? AND checkpoint IS NOT NULL ORDER BY id LIMIT 1";
        let key = params![self.service, self.generation, topic];
        let stood: Option<String> = conn.query_row(sql, key, |row| row.get(0)).optional()?;
        let stood = stood.map(|text| serde_json::from_str::<Checkpoint>(&text)).transpose()?;
        Ok(stood.map(|at| at.partitions))
    }
}

#[async_trait]
impl State for Sqlite {
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let topic = topic.to_owned();
        let keep = move |file: &File| {
            let mut writer = file.writer();
            let txn = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            refuse_renamed(file.topics(&txn)?, &topic)?;
            let kept = match file.count(&txn, &topic)? {
                Some(kept) => kept,
                None => {
                    let first = file.count_by_lanes(&txn, &topic)?.unwrap_or(partitions);
                    let sql = "INSERT INTO cdc_state_topics VALUES (?, ?, ?, ?)";
                    txn.execute(sql, params![file.service, file.generation, topic, first])?;
                    first
                }
            };
            txn.commit()?;
            Ok(refuse_count(&topic, kept, partitions)?)
        };
        self.run(keep).await
    }

    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError> {
        let topic = topic.to_owned();
        let look = move |file: &File| {
            let mut writer = file.writer();
            let txn = writer.transaction()?;
            match file.count(&txn, &topic)? {
                Some(kept) => Ok(Some(kept)),
                None => file.count_by_lanes(&txn, &topic),
            }
        };
        self.run(look).await
    }

    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        let topic = topic.to_owned();
        let look = move |file: &File| {
            let writer = file.writer();
            let sql = "SELECT partition, checkpoint FROM cdc_state_lanes \
                WHERE service = ? AND generation = ? AND topic = ? AND checkpoint IS NOT NULL";
            let mut query = writer.prepare(sql)?;
            let rows = query.query_map(params![file.service, file.generation, topic], |row| {
                Ok((row.get::<_, i32>(0)?, row.get::<_, String>(1)?))
            })?;
            let mut found = Vec::new();
            for row in rows {
                let (index, text) = row?;
                found.push((index, serde_json::from_str(&text)?));
            }
            Ok(found)
        };
        self.run(look).await
    }

    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let topic = topic.to_owned();
        let raise = move |file: &File| {
            let writer = file.writer();
            let sql = "INSERT INTO cdc_state_topics (service, generation, topic, partitions) VALUES (?, ?, ?, ?) \
                ON CONFLICT DO UPDATE SET partitions = excluded.partitions \
                WHERE abs(excluded.partitions) >= abs(cdc_state_topics.partitions)";
            writer.execute(sql, params![file.service, file.generation, topic, partitions])?;
            Ok(())
        };
        self.run(raise).await
    }

    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        let at = partition.clone();
        let take = move |file: &File| {
            let mut writer = file.writer();
            let txn = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let held = file.topics(&txn)?;
            refuse_renamed(held, &at.topic)?;
            let sql = "INSERT INTO cdc_state_lanes (service, generation, topic, partition, epoch) \
                VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 \
                RETURNING id, epoch, checkpoint";
            let key = params![file.service, file.generation, &*at.topic, at.index];
            let (id, epoch, checkpoint) = txn.query_row(sql, key, |row| {
                Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?))
            })?;
            let checkpoint: Option<Checkpoint> =
                checkpoint.map(|text| serde_json::from_str(&text)).transpose()?;
            txn.commit()?;
            Ok((id, epoch, checkpoint))
        };
        let (id, epoch, checkpoint) = self.run(take).await?;
        let hold = Hold { id, epoch, partition: partition.clone() };
        Ok(Arc::new(SqlitePartition { store: self.clone(), hold, checkpoint }))
    }
}

/// What a lane's owner shows to prove that nobody has taken over.
#[derive(Clone)]
struct Hold {
    id: i64,
    epoch: i64,
    partition: Partition,
}

struct SqlitePartition {
    store: Sqlite,
    hold: Hold,
    checkpoint: Option<Checkpoint>,
}

#[async_trait]
impl PartitionState for SqlitePartition {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint.clone()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        let (hold, keys) = (self.hold.clone(), keys.to_vec());
        let read = move |file: &File| {
            let mut reader = file.reader();
            let txn = reader.transaction()?; // all keys as of one moment
            hold.check(&txn)?;
            let mut select =
                txn.prepare_cached("SELECT value FROM cdc_state_rows WHERE lane = ? AND key = ?")?;
            keys.iter()
                .map(|key| {
                    Ok(select.query_row(params![hold.id, key], |row| row.get(0)).optional()?)
                })
                .collect()
        };
        self.store.run(read).await
    }

    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        let (hold, prefix) = (self.hold.clone(), prefix.to_vec());
        let read = move |file: &File| {
            let mut reader = file.reader();
            let txn = reader.transaction()?;
            hold.check(&txn)?;
            let mut select = txn.prepare_cached(
                "SELECT key, value FROM cdc_state_rows WHERE lane = ? AND key >= ? ORDER BY key",
            )?;
            let mut rows = select.query(params![hold.id, prefix])?;
            let mut found: Vec<(Key, Vec<u8>)> = vec![];
            while let Some(row) = rows.next()? {
                let key: Key = row.get(0)?;
                if !key.starts_with(&prefix) {
                    break;
                }
                found.push((key, row.get(1)?));
            }
            Ok(found)
        };
        self.store.run(read).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        self.commit_shared(&Arc::new(batch.clone())).await
    }

    async fn commit_shared(&self, batch: &Arc<Batch>) -> Result<Receipt, SinkError> {
        let (hold, batch) = (self.hold.clone(), Arc::clone(batch));
        self.store.run(move |file| commit::commit(file, &hold, &batch)).await
    }

    async fn close(&self) -> Result<(), SinkError> {
        let hold = self.hold.clone();
        let give_back = move |file: &File| {
            let sql = "UPDATE cdc_state_lanes SET epoch = epoch + 1 WHERE id = ? AND epoch = ?";
            file.writer().execute(sql, [hold.id, hold.epoch])?;
            Ok(())
        };
        self.store.run(give_back).await
    }
}

impl Hold {
    fn check(&self, conn: &Connection) -> Result<(), Trouble> {
        let sql = "SELECT 1 FROM cdc_state_lanes WHERE id = ? AND epoch = ?";
        let held = conn.prepare_cached(sql)?.exists([self.id, self.epoch])?;
        if held { Ok(()) } else { Err(SinkError::Fenced.into()) }
    }
}

/// What can go wrong inside, before it is told as something that the caller can react to.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Told(#[from] SinkError),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("a stored value cannot be read: {0}")]
    Stored(#[from] serde_json::Error),
}

impl From<TwoOwners> for Trouble {
    fn from(found: TwoOwners) -> Self {
        Self::Told(found.into())
    }
}

const DAMAGED: &str = "the SQLite file is damaged. Stop every service that uses it and move it away together with \
    its -wal and -shm files; then either put back a copy, or start without one and the views are made anew from \
    the log";

fn explain(path: &Path, cause: Trouble) -> SinkError {
    let path = path.display();
    let code = match &cause {
        Trouble::Told(_) => None,
        Trouble::Sqlite(cause) => cause.sqlite_error_code(),
        Trouble::Stored(_) => Some(ErrorCode::DatabaseCorrupt),
    };
    let advice = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another writer holds the file"
        }
        Some(ErrorCode::DiskFull) => "the disk, or the size the file may have, is full: make room",
        Some(
            ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted,
        ) => "reading or writing failed: look at the disk",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DAMAGED,
        Some(ErrorCode::CannotOpen) => {
            "cannot be opened: does the folder exist, may we write there?"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "may not be written: see its permissions"
        }
        _ => "unexpected: please report this text",
    };
    let cause = match cause {
        Trouble::Told(told) => return told,
        // As text: the causes below it say the same again.
        Trouble::Sqlite(cause) => match cause.sqlite_error() {
            Some(error) => anyhow!("{path}: {advice} ({cause}, code {})", error.extended_code),
            None => anyhow!("{path}: {advice} ({cause})"),
        },
        Trouble::Stored(_) => anyhow!("{path}: {advice} ({cause})"),
    };
    match code {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted,
        ) => SinkError::Transient(cause),
        _ => SinkError::Fatal(cause),
    }
}

/// Cells as the JSON that parts and receipts are kept in.
fn json(cells: &impl serde::Serialize) -> Result<String, Trouble> {
    Ok(serde_json::to_string(cells)?)
}
type Cells = Vec<Cell>;
