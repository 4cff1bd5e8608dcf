//! What a service has in AWS: credentials, views in DynamoDB and S3, the state that SlateDB keeps.
use crate::{
    config::{Aws, Config, Sink},
    handlers::{analytics, inventory, search},
};
use anyhow::{Context, bail};
use sinks::{
    View, credentials,
    dynamodb::{self, DynamoDb},
    objects::{Endpoint, Place},
    reports,
    state::slatedb::{
        self, SlateDb,
        object_store::{ObjectStore, aws::AmazonS3Builder},
    },
};
use std::{sync::Arc, time::Duration};

/// Longer than the SDK takes to find that a machine has no role.
const CREDENTIALS_WAIT: Duration = Duration::from_secs(30);

/// Without credentials nothing would ever be written: said before anything is read.
pub(super) async fn look_for_credentials(config: &Config) -> anyhow::Result<()> {
    let failed = match tokio::time::timeout(CREDENTIALS_WAIT, credentials::look(&config.aws.region))
        .await
    {
        Ok(credentials::Look::There) => return Ok(()),
        Ok(credentials::Look::Nowhere(places)) => bail!(
            "there are no AWS credentials. Looked for: {places}. Set the first two, or give the process a role; an \
             emulator takes any values (AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test)"
        ),
        Ok(credentials::Look::Failed(why)) => why,
        Err(_) => format!("no answer within {} s", CREDENTIALS_WAIT.as_secs()),
    };
    tracing::warn!(
        "the AWS credentials cannot be loaded now: {failed}. Nothing can be written until they can; it goes on by \
         itself then. If it lasts, mend that place, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    );
    Ok(())
}

/// The state at this place.
pub(super) fn state(config: &Config, place: &Place) -> anyhow::Result<Arc<dyn sinks::State>> {
    let (generation, service) = (config.generation, config.service.name());
    Ok(match place {
        Place::Dir(dir) => Arc::new(SlateDb::folder(dir, generation, service)?),
        Place::S3 { bucket, prefix } => {
            Arc::new(SlateDb::new(s3_store(bucket, &config.aws)?, prefix, generation, service))
        }
    })
}

/// The views that are in AWS.
pub(super) async fn sink(
    config: &Config,
    endpoint: &Endpoint,
    views: Vec<View>,
) -> anyhow::Result<Arc<dyn sinks::Sink>> {
    if config.sink == Sink::DynamoDb {
        return Ok(Arc::new(dynamodb(config, views).await?));
    }
    let bucket = config.aws.bucket.clone().context("S3_BUCKET is not set")?;
    let objects = Place::S3 { bucket, prefix: String::new() }.open(endpoint).await?;
    let settings = analytics::reports();
    Ok(Arc::new(reports::Reports::new(objects, views, settings, config.generation)))
}

pub async fn dynamodb(config: &Config, views: Vec<View>) -> anyhow::Result<DynamoDb> {
    let settings = tables(config, views)?;
    Ok(DynamoDb::new(dynamodb_at(&config.aws).connect().await, &settings)?)
}

/// Which view is in which table.
pub fn tables(config: &Config, views: Vec<View>) -> anyhow::Result<dynamodb::Config> {
    let aws = &config.aws;
    let generation = i64::try_from(config.generation)?;
    if config.service.declared().is_some() {
        let tables = views.iter().map(|view| (view.name.to_owned(), aws.table.clone())).collect();
        return Ok(dynamodb::Config { tables, ..dynamodb::Config::new(generation, views) });
    }
    let tables = [
        (inventory::VIEW, &aws.table),
        (search::INDEX, &aws.table),
        (search::TOKENS, &aws.tokens_table),
    ];
    let ours = tables.into_iter().filter(|(view, _)| views.iter().any(|v| v.name == *view));
    let tables = ours.map(|(view, table)| (view.to_owned(), table.clone())).collect();
    Ok(dynamodb::Config { tables, ..dynamodb::Config::new(generation, views) })
}

pub fn dynamodb_at(aws: &Aws) -> dynamodb::Connection {
    dynamodb::Connection {
        endpoint: aws.dynamodb_endpoint.clone(),
        region: Some(aws.region.clone()),
    }
}

/// As SlateDB wants it. Credentials come from the environment.
pub fn s3_store(bucket: &str, aws: &Aws) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_region(&aws.region)
        .with_retry(slatedb::few_retries());
    if let Some(url) = &aws.s3_endpoint {
        builder = builder.with_allow_http(url.starts_with("http://")).with_endpoint(url);
    }
    let store = builder.build();
    Ok(Arc::new(store.with_context(|| format!("s3://{bucket} cannot be used as state"))?))
}
