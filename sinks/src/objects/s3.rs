//! Objects in a bucket, below a prefix. One request a call: whoever calls decides on retries.
mod bucket;
pub(crate) mod errors;

pub use bucket::{Bucket, Made};

use super::{Endpoint, Object, Objects, Put, Tag, When, bad_name, check_name};
use crate::{SinkError, aws};
use anyhow::{Context as _, anyhow};
use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, SdkConfig,
    retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig,
    timeout::{TimeoutConfig, TimeoutConfigBuilder},
};
use aws_sdk_s3::{
    Client,
    config::{RequestChecksumCalculation, ResponseChecksumValidation},
    error::{ProvideErrorMetadata, SdkError},
};
use bytes::Bytes;
use errors::{chain, classify};
use metrics::histogram;
use std::{sync::Arc, time::Duration};

/// Sends nothing yet.
pub(super) async fn open(
    bucket: &str,
    prefix: &str,
    endpoint: &Endpoint,
) -> Result<Arc<dyn Objects>, SinkError> {
    Ok(Arc::new(S3::open(bucket, prefix, endpoint).await))
}

#[derive(Debug, Clone)]
pub struct S3 {
    client: Client,
    bucket: String,
    /// Empty, or with a slash at its end.
    prefix: String,
}

const CONNECT_MS_MAX: u64 = 3_000;
const READ_MS_MAX: u64 = 20_000;
const REQUEST_MS_MAX: u64 = 30_000;
/// A body gets this much more for every MiB.
const MIB_MS_MAX: u64 = 1_000;

impl S3 {
    pub async fn open(bucket: &str, prefix: &str, endpoint: &Endpoint) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
        if let Some(region) = &endpoint.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &endpoint.url {
            loader = loader.endpoint_url(url);
        }
        Self::with_config(&loader.load().await, bucket, prefix)
    }

    /// Over configuration (credentials, region, endpoint) that the caller has loaded.
    pub fn with_config(shared: &SdkConfig, bucket: &str, prefix: &str) -> Self {
        let region = shared.region().cloned().unwrap_or(Region::from_static("us-east-1"));
        let config = aws_sdk_s3::config::Builder::from(shared)
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(region)
            .force_path_style(shared.endpoint_url().is_some())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(0))
            .interceptor(aws::Timed("s3"))
            .stalled_stream_protection(
                StalledStreamProtectionConfig::enabled()
                    .grace_period(Duration::from_millis(READ_MS_MAX))
                    .build(),
            )
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { client: Client::from_conf(config), bucket: bucket.to_owned(), prefix }
    }

    fn key(&self, name: &str) -> Result<String, SinkError> {
        check_name(name).map_err(|why| bad_name(name, why))?;
        Ok(format!("{}{name}", self.prefix))
    }

    /// The condition did not hold. An earlier try of ours whose answer was lost looks the same: then our bytes
    /// are there.
    async fn meet(&self, name: &str, bytes: &Bytes) -> Result<Put, SinkError> {
        match self.get(name).await? {
            Some(object) if object.bytes == *bytes => Ok(Put::Done(object.tag)),
            _ => Ok(Put::Held),
        }
    }

    fn failed<E>(&self, what: &str, name: &str, e: &SdkError<E>) -> SinkError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = e.raw_response().map(|r| r.status().as_u16());
        let text = chain(e);
        let call = format!("s3:{what} of {}", self.address(name));
        let error = classify(&self.bucket, &call, e.code(), status, &text);
        // As the durations of the same calls are labelled: by the SDK's name, where the error has IAM's.
        let operation = if what == "ListBucket" { "ListObjectsV2" } else { what };
        aws::count_error("s3", operation, e.code(), error.class());
        error
    }
}

#[async_trait]
impl Objects for S3 {
    async fn get(&self, name: &str) -> Result<Option<Object>, SinkError> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(name)?);
        let found = match request.send().await {
            Ok(found) => found,
            Err(e) if e.code() == Some("NoSuchKey") => return Ok(None),
            Err(e) => return Err(self.failed("GetObject", name, &e)),
        };
        let tag = tag(found.e_tag, name)?;
        let body = found.body.collect().await;
        let body = body
            .with_context(|| format!("the answer to GetObject of {} broke off", self.address(name)))
            .map_err(SinkError::Transient)?;
        Ok(Some(Object { bytes: body.into_bytes(), tag }))
    }

    async fn put(&self, name: &str, bytes: Bytes, when: When) -> Result<Put, SinkError> {
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.key(name)?)
            .content_type(content_type(name))
            .body(bytes.clone().into());
        match &when {
            When::Always => {}
            When::IfAbsent => request = request.if_none_match("*"),
            When::IfMatch(Tag(tag)) => request = request.if_match(tag),
        }
        histogram!("cdc_aws_put_bytes", "api" => "s3").record(bytes.len() as f64);
        let config = aws_sdk_s3::config::Builder::new().timeout_config(timeouts(bytes.len()));
        match request.customize().config_override(config).send().await {
            Ok(done) => Ok(Put::Done(tag(done.e_tag, name)?)),
            Err(e) if when != When::Always && is_held(e.code(), &e) => {
                self.meet(name, &bytes).await
            }
            Err(e) => Err(self.failed("PutObject", name, &e)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        let mut names = Vec::new();
        self.each(prefix, &mut |name| names.push(name.to_owned())).await?;
        names.sort_unstable();
        Ok(names)
    }

    async fn each(
        &self,
        prefix: &str,
        visit: &mut (dyn for<'n> FnMut(&'n str) + Send),
    ) -> Result<(), SinkError> {
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(format!("{}{prefix}", self.prefix))
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| self.failed("ListBucket", prefix, &e))?;
            let keys =
                page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
            keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned))
                .for_each(|name| visit(&name));
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), SinkError> {
        let request = self.client.delete_object().bucket(&self.bucket).key(self.key(name)?);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if e.code() == Some("NoSuchKey") => Ok(()),
            Err(e) => Err(self.failed("DeleteObject", name, &e)),
        }
    }

    fn address(&self, name: &str) -> String {
        format!("s3://{}/{}{name}", self.bucket, self.prefix)
    }
}

/// If-Match on a name that has nothing is answered with 404.
fn is_held<E>(code: Option<&str>, e: &SdkError<E>) -> bool {
    e.raw_response().is_some_and(|r| r.status().as_u16() == 412) || code == Some("NoSuchKey")
}

fn tag(tag: Option<String>, name: &str) -> Result<Tag, SinkError> {
    // Not fatal: a page that something on the way made up looks the same.
    tag.map(Tag).ok_or_else(|| {
        SinkError::transient(anyhow!(
            "the answer for {name} has no ETag: if the store never gives one, it cannot be used"
        ))
    })
}

fn content_type(name: &str) -> &'static str {
    if name.ends_with(".ndjson") { "application/x-ndjson" } else { "application/json" }
}

fn timeouts(bytes: usize) -> TimeoutConfig {
    let more = (bytes as u64 >> 20) * MIB_MS_MAX;
    let request = Duration::from_millis(REQUEST_MS_MAX + more);
    TimeoutConfigBuilder::new()
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .read_timeout(Duration::from_millis(READ_MS_MAX + more))
        .operation_attempt_timeout(request)
        .operation_timeout(request)
        .build()
}
