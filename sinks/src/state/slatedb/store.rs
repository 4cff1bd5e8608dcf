//! The object store below, watched. SlateDB begins failed calls anew without an end and without a word: what the store
//! said meanwhile decides what becomes of a lane that has waited too long.
use crate::{SinkError, objects::s3::errors::classify};
use anyhow::anyhow;
use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use metrics::{counter, histogram};
use slatedb::{
    bytes::Bytes,
    object_store::{
        CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
        ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
    },
};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

#[derive(Debug)]
pub struct Watched {
    store: Arc<dyn ObjectStore>,
    last: Mutex<Option<(Instant, Trouble)>>,
}

/// An error that the store gave.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// `s3:PutObject of s3://BUCKET/KEY`, or the same of a path.
    call: String,
    bucket: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    text: String,
}

impl Watched {
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, last: Mutex::default() }
    }

    /// The newest error since then.
    pub fn since(&self, then: Instant) -> Option<Trouble> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| *at >= then).map(|(_, trouble)| trouble.clone())
    }

    pub fn trouble(&self, action: &str, place: &str, error: &Error) -> Trouble {
        // As object_store shows its client for S3; folders and memory have no bucket.
        let shown = self.store.to_string();
        let bucket = shown.strip_prefix("AmazonS3(").and_then(|rest| rest.strip_suffix(')'));
        let call = match bucket {
            Some(bucket) => format!("s3:{action} of s3://{bucket}/{place}"),
            None => format!("{action} of {place}"),
        };
        let said = error.to_string();
        Trouble {
            call,
            bucket: bucket.map(str::to_owned),
            code: between(&said, "<Code>", "</Code>").map(str::to_owned),
            status: between(&said, "status code: ", " ").and_then(|status| status.parse().ok()),
            text: short(error, &said),
        }
    }

    async fn note<T>(
        &self,
        action: &'static str,
        place: &Path,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        let result = call.await;
        histogram!("cdc_state_request_duration_seconds", "operation" => action)
            .record(begun.elapsed());
        if let Err(error) = &result {
            self.see(action, place.as_ref(), error);
        }
        result
    }

    fn see(&self, action: &str, place: &str, error: &Error) {
        let trouble = self.trouble(action, place, error);
        let is_usual = matches!(
            error,
            Error::NotFound { .. }
                | Error::AlreadyExists { .. }
                | Error::Precondition { .. }
                | Error::NotModified { .. }
        );
        if !is_usual || trouble.code.as_deref() == Some("NoSuchBucket") {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some((Instant::now(), trouble));
        }
    }
}

impl Trouble {
    pub fn is_no_bucket(&self) -> bool {
        self.code.as_deref() == Some("NoSuchBucket")
    }

    /// What it means, for a call about this path.
    pub fn into_error(self, path: &str) -> SinkError {
        let Self { call, bucket, code, status, text } = self;
        match bucket {
            Some(bucket) => {
                let call = format!("state {path}: {call}");
                classify(&bucket, &call, code.as_deref(), status, &text)
            }
            None => SinkError::Transient(anyhow!("state {path}: {call}: {text}")),
        }
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let rest = &text[text.find(from)? + from.len()..];
    Some(&rest[..rest.find(to)?])
}

/// Without the answer's body; with the innermost cause.
fn short(error: &Error, said: &str) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let cause = innermost.to_string();
    let head = said.split('<').next().unwrap_or(said).trim_end_matches([' ', ':']);
    match (between(said, "<Code>", "</Code>"), said.contains(&cause)) {
        (Some(code), _) => format!("{head}: {code}"),
        (None, true) => head.to_owned(),
        (None, false) => format!("{head}: {cause}"),
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

/// The store behind a shared handle: streams outlive the call that made them.
#[derive(Debug, Clone)]
pub struct Shared(pub Arc<Watched>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Shared {
    fn noting<T: 'static>(
        &self,
        action: &'static str,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let watched = self.0.clone();
        let see = move |result: &Result<T>| {
            if let Err(error) = result {
                watched.see(action, "", error);
            }
        };
        stream.inspect(see).boxed()
    }
}

#[async_trait]
impl ObjectStore for Shared {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        counter!("cdc_state_put_bytes_total").increment(payload.content_length() as u64);
        self.0.note("PutObject", at, self.0.store.put_opts(at, payload, opts)).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.note("PutObject", at, self.0.store.put_multipart_opts(at, opts)).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.note("GetObject", at, self.0.store.get_opts(at, options)).await
    }
    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.note("GetObject", at, self.0.store.get_ranges(at, ranges)).await
    }
    fn delete_stream(
        &self,
        all: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.noting("DeleteObject", self.0.store.delete_stream(all))
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.noting("ListBucket", self.0.store.list(prefix))
    }
    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.noting("ListBucket", self.0.store.list_with_offset(prefix, offset))
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let at = prefix.cloned().unwrap_or_default();
        self.0.note("ListBucket", &at, self.0.store.list_with_delimiter(prefix)).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.note("PutObject", to, self.0.store.copy_opts(from, to, options)).await
    }
}
