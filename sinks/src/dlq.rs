//! Dead letters: records that could not be processed, byte for byte, kept before the position moves past them. What
//! became of a letter that was replayed is told by a mark beside it, never by another letter.
mod index;
mod mark;

pub use index::Index;
pub use mark::{
    MARK_SUFFIX, Outcome, ReplayMark, ReplayStatus, Replayed, mark_name, read_mark, write_mark,
};

use crate::{
    Partition, SinkError,
    objects::{Objects, Put, When, segment},
};
use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{str::FromStr, sync::Arc};

/// Why a record is in the DLQ; operators filter by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not JSON, not a Debezium envelope, nested too deep, too large.
    Malformed,
    /// A field is missing, of the wrong type, or beyond what the view holds.
    Invalid,
    /// The sink will never take what the record asks for.
    Refused,
}
impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::Invalid => "invalid",
            Reason::Refused => "refused",
        }
    }
}
impl FromStr for Reason {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Malformed, Self::Invalid, Self::Refused];
        let found = all.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of malformed, invalid, refused"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    pub partition: Partition,
    pub offset: i64,
    /// Of the record, ms since 1970.
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub reason: Reason,
    /// Names topic, partition, offset and field, and says what to do; never a row value.
    pub error: String,
    /// This record is the replay of a letter that is there already: it gets a mark, not a letter of its own.
    pub replayed: Option<Replayed>,
}

#[async_trait]
pub trait Dlq: Send + Sync {
    /// Durable on return. A letter's name is made of topic, partition and offset, so writing it again is harmless.
    /// A letter that is the replay of another one marks that one instead.
    async fn publish(&self, letters: &[Letter]) -> Result<(), SinkError>;
}

/// Letters as objects `<service>/<topic>/<partition>/<offset>.json`; from generation 2 on `<offset>.g<generation>.json`,
/// so that a remade topic never hides a letter. A letter that is there already is a success. Should the same name
/// hold another record, ours goes beside it, under a name with its digest: nothing is lost, nothing overwritten.
#[derive(Debug, Clone)]
pub struct ObjectDlq {
    objects: Arc<dyn Objects>,
    service: String,
    generation: u64,
}

/// Puts under way at a time.
const PUTS_MAX: usize = 16;

impl ObjectDlq {
    pub fn new(objects: Arc<dyn Objects>, service: &str, generation: u64) -> Self {
        Self { objects, service: service.to_owned(), generation }
    }

    async fn publish_one(&self, letter: &Letter) -> Result<(), SinkError> {
        if let Some(replayed) = &letter.replayed {
            let name = letter_name(&self.service, self.generation, &letter.partition, replayed.of);
            // Without its letter a mark says nothing: then the record is kept itself.
            if replayed.outcome == Outcome::MovedOn || self.objects.get(&name).await?.is_some() {
                return self.mark(&name, letter, replayed).await;
            }
        }
        self.keep(letter).await
    }

    async fn keep(&self, letter: &Letter) -> Result<(), SinkError> {
        let stem = stem(&self.service, self.generation, &letter.partition, letter.offset);
        let stored = Stored::new(letter, &self.service, self.generation, Utc::now());
        let bytes = Bytes::from(serde_json::to_vec_pretty(&stored).map_err(SinkError::fatal)?);
        let name = format!("{stem}.json");
        match self.objects.put(&name, bytes.clone(), When::IfAbsent).await? {
            Put::Done(_) => return Ok(()),
            Put::Held if self.holds(&name, letter).await? => return Ok(()),
            Put::Held => {}
        }
        let name = format!("{stem}.{:016x}.json", letter.digest());
        let put = self.objects.put(&name, bytes, When::IfAbsent).await?;
        if put == Put::Held && !self.holds(&name, letter).await? {
            let at = self.objects.address(&name);
            return Err(SinkError::fatal(anyhow!(
                "{at} holds something else than its letter: move it away"
            )));
        }
        Ok(())
    }

    /// Whether the record is there, whatever was said of it then.
    async fn holds(&self, name: &str, letter: &Letter) -> Result<bool, SinkError> {
        let Some(object) = self.objects.get(name).await? else {
            return Err(SinkError::transient(anyhow!("{name} was there and is gone")));
        };
        let there =
            serde_json::from_slice::<Stored>(&object.bytes).ok().and_then(|s| s.letter().ok());
        Ok(there.is_some_and(|(there, _)| there.is_of_same_record(letter)))
    }
}

#[async_trait]
impl Dlq for ObjectDlq {
    async fn publish(&self, letters: &[Letter]) -> Result<(), SinkError> {
        let mut puts =
            stream::iter(letters.iter().map(|letter| self.publish_one(letter)).collect::<Vec<_>>())
                .buffer_unordered(PUTS_MAX);
        while let Some(done) = puts.next().await {
            done?;
        }
        Ok(())
    }
}

impl Letter {
    fn is_of_same_record(&self, other: &Self) -> bool {
        (&self.partition, self.offset, self.timestamp_ms, &self.key, &self.value, &self.headers)
            == (
                &other.partition,
                other.offset,
                other.timestamp_ms,
                &other.key,
                &other.value,
                &other.headers,
            )
    }

    /// Of the record, not of what is said about it.
    fn digest(&self) -> u64 {
        let mut hash = Sha256::new();
        let mut part = |bytes: Option<&[u8]>| {
            hash.update(bytes.map_or(u64::MAX, |b| b.len() as u64).to_le_bytes());
            hash.update(bytes.unwrap_or_default());
        };
        part(Some(&self.timestamp_ms.to_le_bytes()));
        part(self.key.as_deref());
        part(self.value.as_deref());
        for (name, value) in &self.headers {
            part(Some(name.as_bytes()));
            part(value.as_deref());
        }
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        u64::from_be_bytes(first)
    }
}

/// The name of the letter of this record.
pub fn letter_name(service: &str, generation: u64, partition: &Partition, offset: i64) -> String {
    format!("{}.json", stem(service, generation, partition, offset))
}

fn stem(service: &str, generation: u64, partition: &Partition, offset: i64) -> String {
    let mut stem = format!("{}/{offset}", folder(service, partition));
    if generation > 1 {
        stem.push_str(&format!(".g{generation}"));
    }
    stem
}

/// Where the letters of a partition are.
pub fn folder(service: &str, partition: &Partition) -> String {
    format!("{}/{}/{}", segment(service), segment(&partition.topic), partition.index)
}

/// A letter as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub letter: Letter,
    pub service: String,
    pub generation: u64,
    /// When it was written.
    pub time: DateTime<Utc>,
}

/// The names of the letters whose names begin with `prefix` (`""`, `service/`, `service/topic/`), those of a
/// partition in the order of their offsets.
pub async fn list(objects: &dyn Objects, prefix: &str) -> Result<Vec<String>, SinkError> {
    let mut names = objects.list(prefix).await?;
    names.retain(|name| name.ends_with(".json") && !name.ends_with(MARK_SUFFIX));
    names.sort_by_cached_key(|name| {
        let mut parts = name.rsplitn(3, '/');
        let (file, index) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let offset: i64 = file.split('.').next().and_then(|n| n.parse().ok()).unwrap_or(i64::MAX);
        let index: i64 = index.parse().unwrap_or(i64::MAX);
        (parts.next().unwrap_or_default().to_owned(), index, offset, name.clone())
    });
    Ok(names)
}

/// `None`: no object has this name.
pub async fn read_letter(objects: &dyn Objects, name: &str) -> Result<Option<Found>, SinkError> {
    let Some(object) = objects.get(name).await? else { return Ok(None) };
    let unreadable = || format!("{} is not a letter of this program", objects.address(name));
    let stored: Stored =
        serde_json::from_slice(&object.bytes).with_context(unreadable).map_err(SinkError::Fatal)?;
    let (service, generation) = (stored.service.clone(), stored.generation);
    let (letter, time) = stored.letter().with_context(unreadable).map_err(SinkError::Fatal)?;
    Ok(Some(Found { letter, service, generation, time }))
}

/// The JSON. Bytes of the record are base64, `null` where the record has none.
#[derive(Serialize, Deserialize)]
struct Stored {
    service: String,
    generation: u64,
    topic: String,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    reason: String,
    error: String,
    /// RFC 3339, UTC.
    time: String,
    key_base64: Option<String>,
    value_base64: Option<String>,
    headers: Vec<StoredHeader>,
}

#[derive(Serialize, Deserialize)]
struct StoredHeader {
    name: String,
    value_base64: Option<String>,
}

impl Stored {
    fn new(letter: &Letter, service: &str, generation: u64, time: DateTime<Utc>) -> Self {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| BASE64.encode(bytes));
        Self {
            service: service.to_owned(),
            generation,
            topic: letter.partition.topic.to_string(),
            partition: letter.partition.index,
            offset: letter.offset,
            timestamp_ms: letter.timestamp_ms,
            reason: letter.reason.as_str().to_owned(),
            error: letter.error.clone(),
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            key_base64: text(&letter.key),
            value_base64: text(&letter.value),
            headers: letter
                .headers
                .iter()
                .map(|(name, value)| StoredHeader { name: name.clone(), value_base64: text(value) })
                .collect(),
        }
    }

    fn letter(self) -> anyhow::Result<(Letter, DateTime<Utc>)> {
        let bytes = |text: Option<String>| text.map(|text| BASE64.decode(text)).transpose();
        let mut headers = Vec::with_capacity(self.headers.len());
        for header in self.headers {
            headers.push((header.name, bytes(header.value_base64).context("field headers")?));
        }
        let letter = Letter {
            partition: Partition::new(&self.topic, self.partition),
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: bytes(self.key_base64).context("field key_base64")?,
            value: bytes(self.value_base64).context("field value_base64")?,
            headers,
            reason: self.reason.parse().map_err(anyhow::Error::msg)?,
            error: self.error,
            replayed: None,
        };
        let time = DateTime::parse_from_rfc3339(&self.time).context("field time")?;
        Ok((letter, time.to_utc()))
    }
}
