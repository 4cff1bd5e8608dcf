//! One shop, its stack, its load, three replicas of each service behind the fault proxy, and the watch over them.
use crate::{
    broker::{Group, Positions, behind, reached, total},
    check,
    fleet::{Fleet, Place, SERVICES, views},
    load::Load,
    proxy::Proxy,
    stack::{PREFIX, Stack, curl},
    until,
};
use anyhow::{Context, ensure};
use consumers::config::Service;
use sinks::{
    dynamodb::{self, Connection},
    objects::{self, Endpoint, Objects},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// For anything on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// DynamoDB and S3, not through the proxy.
pub struct Aws {
    pub url: String,
}
impl Aws {
    pub fn connection(&self) -> Connection {
        Connection { endpoint: Some(self.url.clone()), region: Some("us-east-1".into()) }
    }
    pub async fn bucket(&self, bucket: &str, prefix: &str) -> anyhow::Result<Arc<dyn Objects>> {
        let endpoint = Endpoint { url: Some(self.url.clone()), region: Some("us-east-1".into()) };
        let place = objects::Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        Ok(place.open(&endpoint).await?)
    }
    pub fn tables(&self, place: &Place, service: Service) -> anyhow::Result<dynamodb::Config> {
        let generation = i64::try_from(place.generation)?;
        let mut config = dynamodb::Config::new(generation, views(service));
        config.prefix = format!("{}-", place.unique);
        Ok(config)
    }
    /// Bucket and tables of a deployment.
    pub fn prepare(&self, io: &Runtime, place: &Place) -> anyhow::Result<()> {
        curl(&["-X", "PUT", &format!("{}/{}", self.url, place.bucket)])?;
        let client = io.block_on(self.connection().connect());
        for service in [Service::Inventory, Service::Search] {
            let tables = self.tables(place, service)?;
            io.block_on(dynamodb::create_tables(&client, &tables))?;
        }
        Ok(())
    }
}

/// How a run is set.
#[derive(Debug, Clone)]
pub struct Settings {
    pub seed: u64,
    pub rate: u64,
    pub poison_every: u64,
    pub aws_url: String,
    /// `cdc verify` is asked too.
    pub verify: bool,
}

/// Dropped from top to bottom: the services first, the stack last.
pub struct World {
    pub fleet: Fleet,
    pub load: Load,
    pub groups: Vec<(Service, Group)>,
    pub proxy: Proxy,
    pub aws: Aws,
    pub stack: Stack,
    pub io: Runtime,
    /// Kind of fault -> what each recovery from it took.
    pub recoveries: BTreeMap<String, Vec<Recovery>>,
    /// Kind -> how many.
    pub faults: BTreeMap<&'static str, u64>,
    pub seen: Seen,
    pub unique: String,
    pub verify: bool,
}

/// Seconds from the end of a fault.
#[derive(Debug, Clone, Copy)]
pub struct Recovery {
    /// Until the source (PostgreSQL, Connect, Kafka) brought new changes again.
    pub source: f64,
    /// Until everything that was there by then was acknowledged by every group.
    pub all: f64,
}

/// What the last check saw.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub rows: usize,
    pub letters: usize,
    pub crossings: usize,
    pub told_again: usize,
    pub records: i64,
    pub duplicates: i64,
}

impl World {
    pub fn start(settings: &Settings, logs: &std::path::Path) -> anyhow::Result<Self> {
        let io =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let aws = Aws { url: settings.aws_url.clone() };
        let host = aws.url.strip_prefix("http://").context("the AWS emulator's URL: http://")?;
        let host = host.trim_end_matches('/').replace("localhost", "127.0.0.1");
        let proxy =
            Proxy::seeded(host.parse().context("HOST:PORT of the AWS emulator")?, settings.seed);
        let stack = Stack::start()?;
        let unique = format!("fire-{}", std::process::id());
        let place = Place {
            unique: unique.clone(),
            generation: 1,
            bucket: format!("{unique}-1"),
            endpoint: proxy.address(),
            topic_prefix: PREFIX.to_owned(),
            logs: logs.to_owned(),
        };
        aws.prepare(&io, &place)?;
        let load = Load::new(settings.seed, settings.rate, settings.poison_every)?;
        let groups = groups(&place)?;
        let (recoveries, faults) = (BTreeMap::new(), BTreeMap::new());
        let mut world = Self {
            fleet: Fleet::new(place),
            load,
            groups,
            proxy,
            aws,
            stack,
            io,
            recoveries,
            faults,
            seen: Seen::default(),
            unique,
            verify: settings.verify,
        };
        world.fleet.scale_all(3)?;
        world.quiet("start")?;
        Ok(world)
    }

    /// A new generation takes over, on topics that may be others.
    pub fn deploy(&mut self, generation: u64, topic_prefix: &str) -> anyhow::Result<()> {
        let place = Place {
            topic_prefix: topic_prefix.to_owned(),
            unique: format!("{}-g{generation}", self.unique),
            generation,
            bucket: format!("{}-{generation}", self.unique),
            ..self.fleet.place.clone()
        };
        self.aws.prepare(&self.io, &place)?;
        self.groups = groups(&place)?;
        self.fleet = Fleet::new(place);
        self.fleet.scale_all(3)
    }

    pub fn group(&self, service: Service) -> anyhow::Result<&Group> {
        let found = self.groups.iter().find(|(of, _)| *of == service);
        Ok(&found.context("every service has a group")?.1)
    }
    pub fn ends(&self) -> anyhow::Result<BTreeMap<&'static str, Positions>> {
        let one = |(service, group): &(Service, Group)| Ok((service.name(), group.ends()?));
        self.groups.iter().map(one).collect()
    }
    fn all_reached(&self, ends: &BTreeMap<&'static str, Positions>) -> anyhow::Result<bool> {
        for (service, group) in &self.groups {
            if !reached(&group.committed()?, &ends[service.name()]) {
                return Ok(false);
            }
        }
        Ok(true)
    }
    fn who_is_behind(&self, ends: &BTreeMap<&'static str, Positions>) -> String {
        let one = |(service, group): &(Service, Group)| {
            let late = behind(&group.committed().unwrap_or_default(), &ends[service.name()]);
            format!("{}: {late}", service.name())
        };
        self.groups.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// The fault is over, load goes on: notes the seconds until new changes have come into the logs, and everything
    /// that was there by then is acknowledged by every group.
    pub fn recover(&mut self, kind: &str) -> anyhow::Result<f64> {
        let begun = Instant::now();
        let before: Option<i64> = self.ends().ok().map(|ends| ends.values().map(total).sum());
        let mut target = None;
        until(&format!("changes to come after {kind}"), PATIENCE, || {
            self.stack.restart_failed_tasks();
            let ends = self.ends()?;
            let grown = before.is_none_or(|before| ends.values().map(total).sum::<i64>() > before);
            target = Some(ends);
            Ok(grown)
        })?;
        let target = target.context("it was just set")?;
        let source = begun.elapsed().as_secs_f64();
        let caught_up = until(&format!("the groups to catch up after {kind}"), PATIENCE, || {
            self.fleet.check()?;
            self.all_reached(&target)
        });
        caught_up.with_context(|| self.who_is_behind(&target))?;
        let all = begun.elapsed().as_secs_f64();
        self.recoveries.entry(kind.to_owned()).or_default().push(Recovery { source, all });
        Ok(all)
    }

    /// Stops the load and waits until every service has everything: acknowledged, and published in the reports.
    pub fn drain(&mut self) -> anyhow::Result<()> {
        self.load.pause()?;
        self.stack.settle(&self.io, PATIENCE)?;
        let ends = self.ends()?;
        let drained = until("the groups to reach the ends", PATIENCE, || {
            self.fleet.check()?;
            self.all_reached(&ends)
        });
        drained.with_context(|| self.who_is_behind(&ends))?;
        let objects = self.io.block_on(self.aws.bucket(&self.fleet.place.bucket, ""))?;
        let generation = self.fleet.place.generation;
        until("the reports to show the ends", PATIENCE, || {
            self.fleet.check()?;
            for name in
                ["daily_sales", "product_sales", "customer_metrics", "order_status", "summary"]
            {
                let Ok(report) = check::report(&self.io, &*objects, generation, name) else {
                    return Ok(false);
                };
                let of = |(topic, index): &(String, i32)| {
                    report["as_of"][format!("{topic}/{index}")].as_i64().unwrap_or(0)
                };
                let analytics = &ends[Service::Analytics.name()];
                if analytics.iter().any(|(partition, end)| of(partition) < *end) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Everything is as PostgreSQL, the poison records and the proxy's ledger say. Leaves the load stopped.
    pub fn quiet(&mut self, after: &str) -> anyhow::Result<()> {
        self.drain().with_context(|| format!("after {after}"))?;
        let truth = check::Truth::read(&self.stack.views()?)?;
        let (io, aws, fleet) = (&self.io, &self.aws, &self.fleet);
        let checked = || -> anyhow::Result<Seen> {
            let rows = check::views_are_exact(io, aws, fleet, &truth)?;
            let letters = check::letters_are_exact(io, aws, fleet, &self.load.poison())?;
            let (crossings, told_again) = check::alerts_are_exact(fleet, &self.proxy.ledger())?;
            Ok(Seen { rows, letters, crossings, told_again, ..Seen::default() })
        };
        let mut seen = checked().with_context(|| format!("after {after}: NOT exact"))?;
        let ends = self.ends()?;
        for service in SERVICES {
            let log = total(&ends[service.name()]);
            let read = i64::try_from(self.fleet.records_read(service))?;
            seen.records += log;
            seen.duplicates += (read - log).max(0);
        }
        self.seen = seen;
        Ok(())
    }

    /// The same, and it must have been about something.
    pub fn check(&mut self, after: &str) -> anyhow::Result<()> {
        self.quiet(after)?;
        ensure!(self.seen.rows > 0, "nothing was compared");
        let (done, refused) = (self.load.transactions(), self.load.refused());
        ensure!(refused < 50 + done / 4, "{refused} steps refused, {done} done: too little load");
        if self.verify {
            crate::verify::exact(&self.fleet).with_context(|| format!("after {after}"))?;
        }
        Ok(())
    }
}

fn groups(place: &Place) -> anyhow::Result<Vec<(Service, Group)>> {
    let one =
        |service: Service| Ok((service, Group::new(&place.group(service), place.topics(service))?));
    SERVICES.into_iter().map(one).collect()
}
