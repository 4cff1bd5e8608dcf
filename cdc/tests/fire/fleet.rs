//! The replicas of the three services, as users start them, and what they wrote into their logs.
use crate::{children::Child, stack::KAFKA};
use anyhow::{Context, bail};
use consumers::{
    config::Service,
    handler::Handler,
    handlers::{analytics, inventory, search},
};
use serde_json::Value;
use sinks::View;
use std::path::{Path, PathBuf};

pub const SERVICES: [Service; 3] = [Service::Inventory, Service::Analytics, Service::Search];

pub fn tables(service: Service) -> &'static [&'static str] {
    match service {
        Service::Inventory => &["products", "order_items"],
        Service::Analytics => &["orders", "order_items"],
        Service::Search => &["products"],
        Service::Declared(_) => &[],
    }
}
pub fn views(service: Service) -> Vec<View> {
    match service {
        Service::Inventory => inventory::handler(&inventory::Settings::default(), "").views(),
        Service::Analytics => analytics::handler(&analytics::Settings::default(), "").views(),
        Service::Search => search::handler(&search::Settings::default(), "").views(),
        Service::Declared(_) => Vec::new(),
    }
}
/// The service's own binary, as it is deployed: it is built beside `cdc`, by `cargo build --workspace --bins`.
fn program(service: Service) -> String {
    let path = Path::new(env!("CARGO_BIN_EXE_cdc")).with_file_name(service.name());
    assert!(path.exists(), "{} is not built: cargo build --workspace --bins", path.display());
    path.to_str().expect("UTF-8").to_owned()
}

/// Where one deployment of the services keeps its things.
#[derive(Debug, Clone)]
pub struct Place {
    /// Of this run and deployment: names of tables, groups, and everything in the bucket.
    pub unique: String,
    pub generation: u64,
    pub bucket: String,
    /// The proxy's.
    pub endpoint: String,
    pub topic_prefix: String,
    pub logs: PathBuf,
}
impl Place {
    pub fn group(&self, service: Service) -> String {
        format!("{}-{}", self.unique, service.name())
    }
    pub fn table(&self, view: &str) -> String {
        format!("{}-{}", self.unique, view.replace('_', "-"))
    }
    pub fn topics(&self, service: Service) -> Vec<String> {
        tables(service).iter().map(|table| format!("{}{table}", self.topic_prefix)).collect()
    }
    pub fn letters(&self) -> String {
        format!("dlq-{}", self.unique)
    }

    pub fn arguments(&self, service: Service) -> Vec<String> {
        let mut all = vec![];
        let mut add = |name: &str, value: &str| all.extend([format!("--{name}"), value.to_owned()]);
        add("kafka-bootstrap-servers", KAFKA);
        add("kafka-group-id", &self.group(service));
        add("topic-prefix", &self.topic_prefix);
        add("kafka-property", "session.timeout.ms=6000");
        add("kafka-property", "heartbeat.interval.ms=500");
        add("kafka-property", "reconnect.backoff.max.ms=1000");
        add("ack-interval-seconds", "1");
        add("flush-interval-seconds", "2");
        add("generation", &self.generation.to_string());
        add("s3-bucket", &self.bucket);
        add("dlq", &format!("s3://{}/{}", self.bucket, self.letters()));
        add("aws-endpoint-url", &self.endpoint);
        add("log-format", "json");
        match service {
            Service::Inventory => add("dynamodb-table", &self.table(inventory::VIEW)),
            Service::Search => {
                add("dynamodb-table", &self.table(search::INDEX));
                add("dynamodb-tokens-table", &self.table(search::TOKENS));
            }
            Service::Analytics | Service::Declared(_) => {}
        }
        all
    }
}

pub const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "testaccess"),
    ("AWS_SECRET_ACCESS_KEY", "testsecret12"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

pub struct Replica {
    pub service: Service,
    pub child: Child,
    pub log: PathBuf,
}
impl Replica {
    pub fn start(place: &Place, service: Service, name: &str) -> anyhow::Result<Self> {
        let log = place.logs.join(format!("{}-{name}.log", service.name()));
        let args = place.arguments(service);
        Self::start_with(service, &args, log)
    }
    pub fn start_with(service: Service, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let child = Child::start(&program(service), args, &CREDENTIALS, &log)?;
        Ok(Self { service, child, log })
    }
    /// An error with the end of its log, if it has ended.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.ended()? {
            bail!("{} ended by itself ({status}): {}", self.log.display(), tail(&self.log));
        }
        Ok(())
    }
}

/// One deployment. Processes that are gone leave their logs.
pub struct Fleet {
    pub place: Place,
    pub replicas: Vec<Replica>,
    /// Of every process there ever was.
    pub logs: Vec<(Service, PathBuf)>,
    started: usize,
}
impl Fleet {
    pub fn new(place: Place) -> Self {
        Self { place, replicas: vec![], logs: vec![], started: 0 }
    }
    pub fn start(&mut self, service: Service) -> anyhow::Result<()> {
        self.started += 1;
        let name = format!("g{}-{}", self.place.generation, self.started);
        let replica = Replica::start(&self.place, service, &name)?;
        self.logs.push((service, replica.log.clone()));
        self.replicas.push(replica);
        Ok(())
    }
    /// As many of each service as are wanted; the youngest go first, by SIGTERM.
    pub fn scale(&mut self, service: Service, wanted: usize) -> anyhow::Result<()> {
        while self.count(service) < wanted {
            self.start(service)?;
        }
        while self.count(service) > wanted {
            let at = self.replicas.iter().rposition(|r| r.service == service);
            let mut replica = self.replicas.remove(at.context("there is one")?);
            replica.child.signal("TERM")?;
            let status = replica.child.wait(crate::PATIENCE)?;
            anyhow::ensure!(status.success(), "SIGTERM: {status}: {}", tail(&replica.log));
        }
        Ok(())
    }
    pub fn scale_all(&mut self, wanted: usize) -> anyhow::Result<()> {
        SERVICES.into_iter().try_for_each(|service| self.scale(service, wanted))
    }
    pub fn count(&self, service: Service) -> usize {
        self.replicas.iter().filter(|r| r.service == service).count()
    }
    pub fn of(&self, service: Service) -> Vec<usize> {
        let at = |(at, r): (usize, &Replica)| (r.service == service).then_some(at);
        self.replicas.iter().enumerate().filter_map(at).collect()
    }
    /// SIGKILL; another one takes its place later.
    pub fn kill(&mut self, at: usize) -> anyhow::Result<Service> {
        let mut replica = self.replicas.remove(at);
        replica.child.kill()?;
        Ok(replica.service)
    }
    /// All still run.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.replicas.iter_mut().try_for_each(Replica::check)
    }
    /// At least so many records were read by the processes of this service: those of a process that was killed since
    /// its last count line are missing.
    pub fn records_read(&self, service: Service) -> u64 {
        let of = self.logs.iter().filter(|(of, _)| *of == service);
        of.map(|(_, log)| records_read(log).0).sum()
    }
    /// Names of the alerts that were shown, each as often as it was.
    pub fn alerts(&self) -> Vec<String> {
        let logs = self.logs.iter().filter(|(service, _)| *service == Service::Inventory);
        logs.flat_map(|(_, log)| lines(log))
            .filter_map(|line| Some(line.get("alert")?.as_str()?.to_owned()))
            .collect()
    }
}

/// The lines of a log that are whole: a killed process may leave half a line.
pub fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
/// Records read, and how many of them were given back.
pub fn records_read(log: &Path) -> (u64, u64) {
    let counts = |line: &Value| line["message"] == "counts";
    let last = lines(log).into_iter().rfind(counts).unwrap_or_default();
    let of = |name: &str| last[name].as_u64().unwrap_or(0);
    (of("records"), of("given_back"))
}
/// The last lines, for messages.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(6)..].join("\n")
}
