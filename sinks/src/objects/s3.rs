//! Objects in a bucket, below a prefix. One request a call: whoever calls decides on retries.
use super::{Object, Objects, Put, Tag, When, bad_name, check_name};
use crate::SinkError;
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
use std::time::Duration;

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
        classify(
            &self.bucket,
            &format!("s3:{what} of {}", self.address(name)),
            e.code(),
            status,
            &text,
        )
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
            names.extend(keys.filter_map(|key| key.strip_prefix(&self.prefix).map(str::to_owned)));
        }
        names.sort_unstable();
        Ok(names)
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
    tag.map(Tag).ok_or_else(|| {
        SinkError::fatal(anyhow!("the store gives no ETag for {name}; it cannot be used"))
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

/// The error and its causes, without the answer's body.
fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut cause = e.source();
    while let Some(e) = cause {
        text.push_str(": ");
        text.push_str(&e.to_string());
        cause = e.source();
    }
    text
}

/// What an operator can do about it decides the class. `call` names the operation and the object.
fn classify(
    bucket: &str,
    call: &str,
    code: Option<&str>,
    status: Option<u16>,
    text: &str,
) -> SinkError {
    let later = |advice: &str| SinkError::Transient(anyhow!("{call}: {advice} ({text})"));
    let never = |advice: &str| SinkError::Fatal(anyhow!("{call}: {advice} ({text})"));
    match (code.unwrap_or_default(), status) {
        ("NoSuchBucket", _) => {
            never(&format!("bucket {bucket} does not exist: create it, or correct the name"))
        }
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        ) => never(&format!("bucket {bucket} is in another region: set AWS_REGION to it")),
        ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => {
            later("the AWS credentials have expired: renew them, it goes on by itself")
        }
        ("RequestTimeTooSkewed", _) => later("this machine's clock is wrong: set it"),
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => {
            never("AWS does not accept the credentials: correct AWS_ACCESS_KEY_ID and its secret")
        }
        ("AccessDenied" | "AllAccessDisabled" | "Forbidden", _) | (_, Some(403)) => {
            never(&format!("access denied: allow it in the role's policy, for bucket {bucket}"))
        }
        ("EntityTooLarge", _) => never("the object is larger than the store takes in one put"),
        ("RequestTimeout" | "SlowDown" | "OperationAborted" | "ConditionalRequestConflict", _)
        | (_, None | Some(408 | 409 | 412 | 429 | 500..)) => {
            later("the store does not answer as it should")
        }
        (_, Some(200..300)) => later("the store's answer cannot be read"),
        _ => never("the store refuses the request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_classed_by_what_helps() {
        let fatal = |code, status| {
            let e = classify("b", "s3:PutObject of s3://b/n", code, status, "cause");
            (matches!(e, SinkError::Fatal(_)), e.to_string())
        };
        for (code, status, word) in [
            ("NoSuchBucket", 404, "does not exist"),
            ("AccessDenied", 403, "access denied"),
            ("SomethingNew", 403, "access denied"),
            ("PermanentRedirect", 301, "another region"),
            ("InvalidAccessKeyId", 403, "credentials"),
            ("InvalidArgument", 400, "refuses"),
        ] {
            let (is_fatal, text) = fatal(Some(code), Some(status));
            assert!(is_fatal && text.contains(word), "{code}: {text}");
        }
        for (code, status, word) in [
            (Some("ExpiredToken"), Some(400), "expired"),
            (Some("ConditionalRequestConflict"), Some(409), "s3://b/n"),
            (Some("SlowDown"), Some(503), "s3://b/n"),
            (Some("RequestTimeout"), Some(400), "s3://b/n"),
            (None, Some(500), "s3://b/n"),
            (None, None, "s3://b/n"),
        ] {
            let (is_fatal, text) = fatal(code, status);
            assert!(!is_fatal && text.contains(word), "{code:?}: {text}");
        }
    }
}
