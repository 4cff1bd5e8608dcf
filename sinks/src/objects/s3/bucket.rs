//! The bucket itself: whether it is there, and making it.
use super::{
    S3,
    errors::{chain, classify},
};
use crate::SinkError;
use anyhow::anyhow;
use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration},
};

/// Where AWS knows no location constraint.
const FIRST_REGION: &str = "us-east-1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bucket {
    Missing,
    /// With its region, where the store tells it.
    There(Option<String>),
}

/// What became of [`S3::create_bucket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Somebody else was faster.
    There,
    /// `blocked`: public access is blocked, as far as the store knows such a thing.
    New { blocked: bool },
}

impl S3 {
    /// A request without a body (`s3:ListBucket` allows it).
    pub async fn bucket(&self) -> Result<Bucket, SinkError> {
        match self.client.head_bucket().bucket(&self.bucket).send().await {
            Ok(found) => Ok(Bucket::There(found.bucket_region)),
            Err(e) => match e.raw_response().map(|answer| answer.status().as_u16()) {
                Some(404) => Ok(Bucket::Missing),
                // Answers to HEAD have no body, so no code either.
                Some(301) => Err(self.refused("HeadBucket", Some("PermanentRedirect"), &e)),
                _ => Err(self.refused("HeadBucket", e.code(), &e)),
            },
        }
    }

    /// In the client's region, closed to the public.
    pub async fn create_bucket(&self) -> Result<Made, SinkError> {
        let region = self.client.config().region().map_or(FIRST_REGION, |region| region.as_ref());
        let place = (region != FIRST_REGION).then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let create = self.client.create_bucket().bucket(&self.bucket);
        if let Err(e) = create.set_create_bucket_configuration(place).send().await {
            return match e.code() {
                Some("BucketAlreadyOwnedByYou") => Ok(Made::There),
                Some("BucketAlreadyExists") => Err(SinkError::Fatal(anyhow!(
                    "bucket {} belongs to somebody else: choose another name",
                    self.bucket
                ))),
                code => Err(self.refused("CreateBucket", code, &e)),
            };
        }
        let closed = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .block_public_policy(true)
            .ignore_public_acls(true)
            .restrict_public_buckets(true)
            .build();
        let block = self.client.put_public_access_block().bucket(&self.bucket);
        // Compatible stores do not know it, and AWS does it to every new bucket by itself.
        let blocked = block.public_access_block_configuration(closed).send().await.is_ok();
        Ok(Made::New { blocked })
    }

    fn refused<E>(&self, what: &str, code: Option<&str>, e: &SdkError<E>) -> SinkError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let status = e.raw_response().map(|answer| answer.status().as_u16());
        let call = format!("s3:{what} of {}", self.bucket);
        classify(&self.bucket, &call, code, status, &chain(e))
    }
}
