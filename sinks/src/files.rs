//! A folder as the sink, for people without AWS: each view as `<view>.ndjson`, one row a line, in the order of keys.
//!
//! The views themselves are kept by the state (`.state.db` in the same folder); here they are only written out.
//! A file is replaced whole, and its rows are never older than those of the file it replaces, also when several
//! processes share the folder.
use crate::{
    Batch, Cell, Checkpoint, Partition, PartitionState, Receipt, Sink, SinkError, State, View,
    objects::{Dir, Objects, Put, When},
    reports::{Reports, Row, Settings},
    state::sqlite::Sqlite,
};
use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tokio::task::spawn_blocking;

const STATE: &str = ".state.db";
/// Others may replace what we read this many times in a row before we come again later.
const TRIES_MAX: usize = 10;

/// A store that keeps views.
#[async_trait]
pub trait Tables: Send + Sync {
    /// The rows as committed, by key.
    async fn rows(&self, view: &str) -> Result<BTreeMap<Vec<Cell>, Vec<Cell>>, SinkError>;
}

#[async_trait]
impl Tables for Sqlite {
    async fn rows(&self, view: &str) -> Result<BTreeMap<Vec<Cell>, Vec<Cell>>, SinkError> {
        self.rows(view).await
    }
}

pub struct Files {
    folder: Arc<dyn Objects>,
    views: Vec<View>,
    tables: Arc<dyn Tables>,
}

impl Files {
    pub fn new(folder: Arc<dyn Objects>, views: Vec<View>, tables: Arc<dyn Tables>) -> Self {
        Self { folder, views, tables }
    }

    async fn publish_view(&self, view: &View) -> Result<(), SinkError> {
        let name = format!("{}.ndjson", view.name);
        for _ in 0..TRIES_MAX {
            // First what is there, then the rows: who replaces that very file has rows that are at least as new.
            let there = self.folder.get(&name).await?;
            let rows = self.tables.rows(view.name).await?;
            let bytes = lines(view, rows).map_err(SinkError::Fatal)?;
            let when = match there {
                Some(there) if there.bytes == bytes => return Ok(()),
                Some(there) => When::IfMatch(there.tag),
                None => When::IfAbsent,
            };
            if let Put::Done(_) = self.folder.put(&name, bytes, when).await? {
                return Ok(());
            }
        }
        let at = self.folder.address(&name);
        Err(SinkError::transient(anyhow!("{at} was replaced by others {TRIES_MAX} times in a row")))
    }
}

#[async_trait]
impl Sink for Files {
    /// Nothing: the state keeps the views.
    async fn write(&self, _batch: &Batch) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }

    async fn publish(
        &self,
        _partition: &Partition,
        _at: &Checkpoint,
        _lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        for view in &self.views {
            self.publish_view(view).await?;
        }
        Ok(())
    }
}

fn lines(view: &View, rows: BTreeMap<Vec<Cell>, Vec<Cell>>) -> anyhow::Result<Bytes> {
    let mut out = Vec::new();
    for (key, row) in rows {
        let names = view.key.iter().chain(view.columns).map(|column| column.name);
        let cells: Vec<(&'static str, Cell)> = names.zip(key.into_iter().chain(row)).collect();
        let write = serde_json::to_writer(&mut out, &Row(&cells));
        write.with_context(|| format!("a row of {} as JSON", view.name))?;
        out.push(b'\n');
    }
    Ok(out.into())
}

/// What a service uses a folder with. The state is the folder's `.state.db`, which several services may share.
pub struct Folder {
    pub state: Arc<dyn State>,
    pub sink: Arc<dyn Sink>,
}

/// Reports, by these settings, where all views are totals (the state then keeps their shares only), files of rows
/// otherwise.
pub async fn open(
    folder: &Path,
    generation: u64,
    service: &str,
    views: Vec<View>,
    reports: Settings,
) -> Result<Folder, SinkError> {
    let objects: Arc<dyn Objects> = Arc::new(Dir::open(folder).await?);
    let is_reported = views.iter().all(View::is_totals);
    let kept = if is_reported { Vec::new() } else { views.clone() };
    let (path, service) = (folder.join(STATE), service.to_owned());
    let opened = spawn_blocking(move || Sqlite::open(path, generation, &service, kept));
    let state = Arc::new(opened.await.map_err(SinkError::transient)??);
    let sink: Arc<dyn Sink> = if is_reported {
        Arc::new(Reports::new(objects, views, reports, generation))
    } else {
        Arc::new(Files::new(objects, views, state.clone()))
    };
    Ok(Folder { state, sink })
}
