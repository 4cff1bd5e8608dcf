//! DynamoDB tables and S3 buckets: there, as the views need them, and open to us.
use super::{
    Patience,
    report::{Check, Status},
};
use consumers::{
    config::{Config, Sink, State},
    service,
};
use sinks::{
    SinkError, View, dynamodb,
    objects::{Bucket, Made, Place, S3},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const DYNAMODB: &str = "dynamodb";
const S3_AREA: &str = "s3";
/// Tables and indexes take a while to become active; nobody wants to start this twice.
const MAKE_WITHIN: Duration = Duration::from_secs(300);
const CREDENTIALS_FIX: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (those of a profile: eval \"$(aws configure \
                               export-credentials --format env)\"), or give this machine a role; for an emulator AWS_ENDPOINT_URL and any credentials";
const ENDPOINT_FIX: &str = "check AWS_ENDPOINT_URL, AWS_REGION, the credentials and the network";

/// The tables of one service, each checked as its view needs it; with `fix`, missing ones made first.
pub(super) async fn tables(config: Arc<Config>, patience: Patience, fix: bool) -> Vec<Check> {
    let views = service::views(&config);
    if config.sink != Sink::DynamoDb {
        return Vec::new();
    }
    let settings = match service::tables(&config, views.clone()) {
        Ok(settings) => settings,
        Err(e) => return vec![Check::problem(DYNAMODB, config.service.name(), format!("{e:#}"))],
    };
    let client = service::dynamodb_at(&config.aws).connect().await;
    let mut checks = Vec::new();
    if fix {
        let making = dynamodb::create_tables(&client, &settings);
        match Patience(patience.0.max(MAKE_WITHIN)).wait(making).await {
            Ok(Ok(made)) => checks.extend(
                made.into_iter().map(|what| Check::ok(DYNAMODB, "--fix", format!("made {what}"))),
            ),
            Ok(Err(e)) => checks.push(failed("--fix", &e)),
            Err(late) => checks.push(Check::problem(DYNAMODB, "--fix", late).fix(ENDPOINT_FIX)),
        }
    }
    for view in &views {
        let name = format!("table {}", settings.table_of(view));
        match patience.wait(table(&client, &settings, view, &name)).await {
            Ok(found) => checks.extend(found),
            Err(late) => checks.push(Check::problem(DYNAMODB, name, late).fix(ENDPOINT_FIX)),
        }
    }
    checks
}

async fn table(
    client: &dynamodb::Client,
    settings: &dynamodb::Config,
    view: &View,
    name: &str,
) -> Vec<Check> {
    let inspected = match dynamodb::inspect(client, settings, view).await {
        Ok(inspected) => inspected,
        Err(e) => return vec![failed(name, &e)],
    };
    let judge = |fault: &dynamodb::Fault| {
        let judged = if fault.is_fatal() { Check::problem } else { Check::warning };
        judged(DYNAMODB, name, fault.to_string()).fix(fault.advice(&inspected.table))
    };
    let mut checks: Vec<Check> = inspected.faults.iter().map(judge).collect();
    let Some(facts) = inspected.facts else { return checks };
    if checks.is_empty() {
        let billing = if facts.on_demand { "on-demand" } else { "provisioned capacity" };
        let backups = match facts.backed_up {
            Some(true) => "point-in-time recovery on",
            Some(false) => "point-in-time recovery off",
            None => "point-in-time recovery unknown",
        };
        let found = format!(
            "active; key, indexes and expiry as the view needs them; about {} items; {billing}; {backups}",
            facts.items
        );
        checks.push(Check::ok(DYNAMODB, name, found));
    }
    checks.push(match dynamodb::try_access(client, settings, view).await {
        Ok(()) => Check::ok(DYNAMODB, name, "items can be read and written"),
        Err(e) => failed(name, &e),
    });
    checks.push(match dynamodb::generation_seen(client, settings, view).await {
        Ok(seen) => owner(name, seen, settings.generation),
        Err(e) => failed(name, &e),
    });
    checks
}

/// What one item says about who writes this table.
fn owner(name: &str, seen: Option<Result<i64, &'static str>>, ours: i64) -> Check {
    match seen {
        None => Check::ok(DYNAMODB, name, "holds no items yet"),
        Some(Ok(seen)) if seen == ours => {
            Check::ok(DYNAMODB, name, format!("its items are of generation {seen}, as set"))
        }
        Some(Ok(newer)) if newer > ours => {
            let found = format!(
                "a newer generation {newer} owns it (GENERATION is {ours}): the service would halt"
            );
            Check::problem(DYNAMODB, name, found)
                .fix(format!("stop this deployment, set GENERATION={newer}, or name another table"))
        }
        Some(Ok(older)) => {
            let found = format!(
                "holds items of generation {older}, which this one ({ours}) replaces one by one: readers see half-built rows meanwhile"
            );
            Check::warning(DYNAMODB, name, found).fix(
                "give the new generation tables of its own (DYNAMODB_TABLE, DYNAMODB_TOKENS_TABLE) and switch readers \
                 once it has caught up",
            )
        }
        Some(Err(what)) => {
            Check::problem(DYNAMODB, name, format!("holds {what}: somebody else writes this table"))
                .fix("name another table (DYNAMODB_TABLE, DYNAMODB_TOKENS_TABLE)")
        }
    }
}

fn failed(name: &str, e: &SinkError) -> Check {
    said(DYNAMODB, name, e)
}
fn said(area: &'static str, name: &str, e: &SinkError) -> Check {
    let text = e.to_string();
    let fix = if text.contains("loading credentials") { CREDENTIALS_FIX } else { ENDPOINT_FIX };
    Check::problem(area, name, text).fix(fix)
}

/// The buckets that the services use, and what for.
fn buckets_of(configs: &[Arc<Config>]) -> BTreeMap<String, BTreeSet<&'static str>> {
    let mut buckets: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
    let mut add = |bucket: &str, what| {
        buckets.entry(bucket.to_owned()).or_default().insert(what);
    };
    for config in configs {
        if let Place::S3 { bucket, .. } = &config.dlq {
            add(bucket, "dead letters");
        }
        if !config.sink.is_in_aws() {
            continue;
        }
        if let State::SlateDb(Place::S3 { bucket, .. }) = &config.state {
            add(bucket, "state");
        }
        if let (Sink::Reports, Some(bucket)) = (&config.sink, &config.aws.bucket) {
            add(bucket, "reports");
        }
    }
    buckets
}

/// Every bucket that is used: there, and in which region; with `fix`, a missing one is made. With those that cannot be
/// used.
pub(super) async fn buckets(
    configs: &[Arc<Config>],
    patience: Patience,
    fix: bool,
) -> (Vec<Check>, BTreeSet<String>) {
    let (mut checks, mut unusable) = (Vec::new(), BTreeSet::new());
    let Some(first) = configs.first() else { return (checks, unusable) };
    let (endpoint, region) = (service::endpoint(&first.aws), &first.aws.region);
    for (bucket, uses) in buckets_of(configs) {
        let uses: Vec<&str> = uses.into_iter().collect();
        let name = format!("bucket {bucket} ({})", uses.join(", "));
        let s3 = S3::open(&bucket, "", &endpoint).await;
        let looked = patience.wait(look_at(&s3, &name, region, fix)).await;
        let check =
            looked.unwrap_or_else(|late| Check::problem(S3_AREA, &name, late).fix(ENDPOINT_FIX));
        if check.status == Status::Problem {
            unusable.insert(bucket);
        }
        checks.push(check);
    }
    (checks, unusable)
}

async fn look_at(s3: &S3, name: &str, region: &str, fix: bool) -> Check {
    let failed = |e: SinkError| said(S3_AREA, name, &e);
    match s3.bucket().await {
        Err(e) => failed(e),
        Ok(Bucket::There(Some(there))) if there != region => Check::problem(
            S3_AREA,
            name,
            format!("is in region {there}, and AWS_REGION is {region}"),
        )
        .fix(format!("AWS_REGION={there}")),
        Ok(Bucket::There(_)) => Check::ok(S3_AREA, name, format!("there, in region {region}")),
        Ok(Bucket::Missing) if !fix => Check::problem(S3_AREA, name, "does not exist")
            .fix("`cdc doctor SERVICE --fix` makes it; or correct S3_BUCKET, DLQ or STATE"),
        Ok(Bucket::Missing) => match s3.create_bucket().await {
            Err(e) => failed(e),
            Ok(Made::There) => Check::ok(S3_AREA, name, "there"),
            Ok(Made::New { blocked }) => {
                let closed = if blocked { ", closed to the public" } else { "" };
                Check::ok(S3_AREA, name, format!("made in region {region}{closed} (--fix)"))
            }
        },
    }
}
