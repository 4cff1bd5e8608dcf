//! Where the object tests run: a folder always, S3 where `TEST_S3_ENDPOINT` names one (credentials from the
//! environment, as `scripts/aws.sh env` prints them).
#![allow(dead_code, reason = "each test file uses its part of this")]
use aws_sdk_s3::Client;
use sinks::objects::{Dir, Endpoint, Objects, S3};
use std::{sync::Arc, time::SystemTime};
use tempfile::TempDir;

pub struct Place {
    pub objects: Arc<dyn Objects>,
    /// The same place, opened again, as another process would.
    pub again: Arc<dyn Objects>,
    _dir: Option<TempDir>,
}

pub async fn places() -> Vec<Place> {
    let mut places = vec![folder().await];
    match std::env::var("TEST_S3_ENDPOINT") {
        Ok(url) => places.push(bucket(&url).await),
        Err(_) => std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: S3, because TEST_S3_ENDPOINT is not set\n",
        )
        .expect("stderr"),
    }
    places
}

pub async fn folder() -> Place {
    let dir = TempDir::new().unwrap();
    Place {
        objects: Arc::new(Dir::open(dir.path()).await.unwrap()),
        again: Arc::new(Dir::open(dir.path()).await.unwrap()),
        _dir: Some(dir),
    }
}

pub fn endpoint(url: &str) -> Endpoint {
    Endpoint { url: Some(url.to_owned()), region: Some("us-east-1".to_owned()) }
}

pub async fn s3_client(url: &str) -> Client {
    let config = aws_config::defaults(aws_config::BehaviorVersion::v2026_01_12())
        .endpoint_url(url)
        .region("us-east-1")
        .load()
        .await;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    Client::from_conf(config)
}

async fn bucket(url: &str) -> Place {
    let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let bucket = format!("test-{}-{nanos}", std::process::id());
    let made = s3_client(url).await.create_bucket().bucket(&bucket).send().await;
    made.expect("a bucket, with the credentials that `scripts/aws.sh env` prints");
    Place {
        objects: Arc::new(S3::open(&bucket, "some/prefix", &endpoint(url)).await),
        again: Arc::new(S3::open(&bucket, "some/prefix", &endpoint(url)).await),
        _dir: None,
    }
}
