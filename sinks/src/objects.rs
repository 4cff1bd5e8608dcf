//! Named objects, in a folder or in S3: what dead letters, reports and their parts are written to.
//!
//! Promises of every implementation: a name shows either nothing or a whole object, never a torn one; what a put
//! reported done is durable; of several conditional puts that race for the same version, exactly one wins.
//! Absent on purpose: retries, and any name that leads out of the place that was opened.
mod dir;
#[cfg_attr(not(feature = "aws"), path = "objects/s3_absent.rs")]
pub(crate) mod s3;

pub use dir::Dir;
#[cfg(feature = "aws")]
pub use s3::{Bucket, Made, S3};

use crate::SinkError;
use anyhow::anyhow;
use async_trait::async_trait;
pub use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::{fmt, fmt::Write as _, path::PathBuf, str::FromStr, sync::Arc};

/// Which version of an object was seen. Opaque, and only good at the place it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    pub bytes: Bytes,
    pub tag: Tag,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    Always,
    /// Nothing has this name.
    IfAbsent,
    /// This version is there.
    IfMatch(Tag),
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Put {
    /// These bytes are there now: put by this call, or found there (an earlier try whose answer was lost).
    Done(Tag),
    /// The condition does not hold, and other bytes (or none) are there. Nothing was changed.
    Held,
}

#[async_trait]
pub trait Objects: Send + Sync + fmt::Debug {
    /// `None`: nothing has this name.
    async fn get(&self, name: &str) -> Result<Option<Object>, SinkError>;
    async fn put(&self, name: &str, bytes: Bytes, when: When) -> Result<Put, SinkError>;
    /// The names that begin with `prefix`, in byte order.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError>;
    /// Visits the same names, in any order, without holding more of them than it must.
    async fn each(
        &self,
        prefix: &str,
        visit: &mut (dyn for<'n> FnMut(&'n str) + Send),
    ) -> Result<(), SinkError> {
        self.list(prefix).await?.iter().for_each(|name| visit(name));
        Ok(())
    }
    /// Harmless where there is nothing.
    async fn delete(&self, name: &str) -> Result<(), SinkError>;
    /// Where an operator finds it: `s3://BUCKET/KEY` or a path.
    fn address(&self, name: &str) -> String;
}

/// Where S3 is. Nothing set: AWS itself, in the region that the environment names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Of an emulator or a compatible store; buckets are then addressed in the path.
    pub url: Option<String>,
    pub region: Option<String>,
}

impl Endpoint {
    /// `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`; the SDK itself finds the region.
    pub fn from_env() -> Self {
        let set = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
        Self { url: set("AWS_ENDPOINT_URL_S3").or_else(|| set("AWS_ENDPOINT_URL")), region: None }
    }
}

/// A place as operators write it: `s3://BUCKET/PREFIX` or `dir:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    S3 { bucket: String, prefix: String },
    Dir(PathBuf),
}

impl FromStr for Place {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write s3://BUCKET/PREFIX or dir:DIR";
        if let Some(dir) = text.strip_prefix("dir:") {
            return match dir {
                "" => Err(format!("{text:?} names no folder: {form}")),
                dir => Ok(Self::Dir(dir.into())),
            };
        }
        let Some(rest) = text.strip_prefix("s3://") else {
            return Err(format!("{text:?} is no place for objects: {form}"));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.len() < 3 || bucket.len() > 63 || !bucket.chars().all(is_letter) {
            return Err(format!("{text:?} names no valid bucket: {form}"));
        }
        let prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            check_name(&prefix).map_err(|why| format!("{text:?}: its prefix {why}"))?;
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Dir(dir) => write!(f, "dir:{}", dir.display()),
        }
    }
}

impl Place {
    /// A bucket without a prefix gets this one; everything else stays as given.
    #[must_use]
    pub fn or_prefix(self, prefix: &str) -> Self {
        match self {
            Self::S3 { bucket, prefix: none } if none.is_empty() => {
                Self::S3 { bucket, prefix: prefix.to_owned() }
            }
            place => place,
        }
    }

    /// The folder is made here; a bucket must exist, and is first asked at the first use.
    pub async fn open(&self, endpoint: &Endpoint) -> Result<Arc<dyn Objects>, SinkError> {
        match self {
            Self::S3 { bucket, prefix } => s3::open(bucket, prefix, endpoint).await,
            Self::Dir(dir) => Ok(Arc::new(Dir::open(dir.clone()).await?)),
        }
    }
}

/// Reads and opens a place, with the endpoint that the environment names.
pub async fn parse(text: &str) -> Result<Arc<dyn Objects>, SinkError> {
    let place: Place = text.parse().map_err(|why: String| SinkError::fatal(anyhow!(why)))?;
    place.open(&Endpoint::from_env()).await
}

/// One segment of a name, from text that may hold anything: letters, digits, `_`, `-` and inner dots stay, all else
/// becomes `%XX`; never empty, never `.` or `..`, never hidden; longer than file systems bear: cut, with a digest.
/// Different texts give different segments.
pub fn segment(text: &str) -> String {
    const BYTES_MAX: usize = 200;
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => out.push(byte.into()),
            b'.' if at > 0 => out.push('.'),
            _ => write!(out, "%{byte:02X}").expect("strings grow"),
        }
    }
    if out.is_empty() {
        return "%".to_owned();
    }
    if out.len() > BYTES_MAX {
        let digest = digest(text.as_bytes());
        out.truncate(BYTES_MAX - 65);
        write!(out, "~{digest}").expect("strings grow");
    }
    out
}

/// Why a name cannot be used anywhere, or nothing. Segments between slashes, none of them empty, `.` or `..`.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > 1000 {
        return Err("is longer than 1000 bytes");
    }
    if name.bytes().any(|b| b < 0x20 || b == b'\\' || b == 0x7f) {
        return Err("holds a control character or a backslash");
    }
    if name.split('/').any(|s| matches!(s, "" | "." | "..")) {
        return Err("has an empty segment, or one that leads out of its folder");
    }
    Ok(())
}

fn bad_name(name: &str, why: &str) -> SinkError {
    SinkError::fatal(anyhow!("the object name {name:?} {why}; this is a defect of the program"))
}

/// SHA-256 in hex.
fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("strings grow");
        hex
    })
}
