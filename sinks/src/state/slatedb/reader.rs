//! A lane of somebody else, read without taking it over.
use super::{
    CHECKPOINT, Place, SlateDb,
    partition::{Stored, row_key},
    store::Shared,
};
use crate::{Checkpoint, Key, Partition, SinkError};
use slatedb::{
    DbReader, DbReaderMode,
    config::{DbReaderOptions, DurabilityLevel, ReadOptions},
    object_store::{ObjectStore, path::Path},
};
use std::{collections::BTreeMap, sync::Arc};

/// Rows as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// `None`: nothing was ever committed.
    pub checkpoint: Option<Checkpoint>,
    pub rows: BTreeMap<Key, Vec<u8>>,
}

impl SlateDb {
    /// What stands there now, for people to look at. Refuses a renamed topic as `open` does.
    pub async fn peek(&self, partition: &Partition) -> Result<Option<Checkpoint>, SinkError> {
        let place = self.place(self.path(partition));
        self.check_topic(&partition.topic, &place).await?;
        Ok(self.look(&place, &[]).await?.checkpoint)
    }

    /// What a partition's lane holds under these keys. Writes nothing, and fences nobody: its owner goes on.
    /// `Transient`, if the owner moved, or tidied up, while the keys were read.
    pub async fn glance(&self, partition: &Partition, keys: &[Key]) -> Result<Glance, SinkError> {
        self.look(&self.place(self.path(partition)), keys).await
    }

    pub(super) async fn look(&self, place: &Place, keys: &[Key]) -> Result<Glance, SinkError> {
        let (folder, store) = (Path::from(place.path.as_str()), Shared(self.store.clone()));
        let listed = store.list_with_delimiter(Some(&folder));
        let listed = place.stored("ListBucket", &folder, listed).await?;
        if listed.common_prefixes.is_empty() && listed.objects.is_empty() {
            return Ok(Glance::default()); // Never opened by anybody.
        }
        let opening = DbReader::open(
            place.path.as_str(),
            Arc::new(store),
            // For the moments that it takes, nothing that it reads is collected.
            DbReaderMode::FollowLatest,
            DbReaderOptions { object_store_max_retries: Some(3), ..DbReaderOptions::default() },
        );
        let reader = place.answer(opening).await?;
        let glance = rows(place, &reader, keys).await;
        if let Err(cause) = place.answer(reader.close()).await {
            tracing::debug!(path = %place.path, %cause, "closing what was looked at");
        }
        glance
    }
}

async fn rows(place: &Place, reader: &DbReader, keys: &[Key]) -> Result<Glance, SinkError> {
    let checkpoint = checkpoint(place, reader).await?;
    let mut rows = BTreeMap::new();
    let options = ReadOptions::new().with_durability_filter(DurabilityLevel::Remote);
    for key in keys {
        let found = reader.get_with_options(row_key(key), &options);
        if let Some(value) = place.answer(found).await? {
            rows.insert(key.clone(), value.to_vec());
        }
    }
    if !keys.is_empty() && checkpoint != self::checkpoint(place, reader).await? {
        return Err(SinkError::transient(anyhow::anyhow!("{}: moved on", place.path)));
    }
    Ok(Glance { checkpoint, rows })
}

async fn checkpoint(place: &Place, reader: &DbReader) -> Result<Option<Checkpoint>, SinkError> {
    let Some(bytes) = place.answer(reader.get(CHECKPOINT)).await? else { return Ok(None) };
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|cause| place.damaged(cause))?;
    Ok(Some(stored.checkpoint))
}
