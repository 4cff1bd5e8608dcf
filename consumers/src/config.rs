//! What a run is set to do: one [`Config`], checked as a whole before anything starts. Every problem is reported at
//! once, with the setting, where its value came from, and how to mend it.
//!
//! Absent on purpose: clients, files, connections. [`crate::service`] makes them.
mod check;
mod exceptions;
mod places;
mod reading;
mod settings;
mod show;

pub use serving::{
    EXIT_CONFIG, EXIT_HALTED,
    logs::Logs,
    settings::{Given, Givens, Origin, Problems, environment, without_userinfo},
};
pub use settings::{arguments, given, misspelt, some};
pub use show::table;

use crate::{
    declared::Declared,
    engine::Exceptions,
    handlers::{OrderItems, Orders, Products, inventory::StockMode},
    policy::Policy,
    source::kafka,
    source_table::SourceTable,
};
use clap::ArgMatches;
use debezium::Formats;
use sinks::objects::Place;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

/// Exit code of a run that read to the end of what there was while the views do not show all of it (dead letters, topics
/// under another prefix).
pub const EXIT_INCOMPLETE: u8 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Inventory,
    Analytics,
    Search,
    /// Views that are declared elsewhere.
    Declared(&'static Declared),
}
impl Service {
    /// As it is deployed, and named in paths, groups and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Inventory => "inventory-service",
            Service::Analytics => "analytics-service",
            Service::Search => "search-indexer",
            Service::Declared(declared) => declared.name,
        }
    }

    /// What is declared of a service of declared views.
    pub const fn declared(self) -> Option<&'static Declared> {
        match self {
            Service::Declared(declared) => Some(declared),
            Service::Inventory | Service::Analytics | Service::Search => None,
        }
    }
}
impl FromStr for Service {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inventory" | "inventory-service" => Ok(Service::Inventory),
            "analytics" | "analytics-service" => Ok(Service::Analytics),
            "search" | "search-indexer" => Ok(Service::Search),
            _ => Err("there are inventory, analytics and search".to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Kafka,
    Ndjson(String),
}

/// Where the views are. Which of ARCHITECTURE's three ways to be exact it goes, the other settings take from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Transactional: views, rows and position in one file.
    Sqlite(PathBuf),
    /// Derived: files in a folder, made from the state that is there, too.
    Dir(PathBuf),
    /// Keyed: a table for each view, or several.
    DynamoDb,
    /// Derived: reports in S3, made from the state.
    Reports,
}
impl Sink {
    /// What `aws` means for this service.
    const fn in_aws(service: Service) -> Self {
        match service {
            Service::Analytics => Self::Reports,
            Service::Inventory | Service::Search | Service::Declared(_) => Self::DynamoDb,
        }
    }
    /// Whether it is in AWS, or in what answers as AWS does.
    pub const fn is_in_aws(&self) -> bool {
        matches!(self, Self::DynamoDb | Self::Reports)
    }
    /// Whether what people see is made from the state, now and then.
    pub const fn is_derived(&self) -> bool {
        matches!(self, Self::Dir(_) | Self::Reports)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// In the sink's own file or folder.
    InSink,
    SlateDb(Place),
    Memory,
}

/// Where producers put the records of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// Where Kafka's default partitioner does.
    #[default]
    Default,
    /// By rules of their own, which nobody here can check: a key never changes its partition.
    Custom,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aws {
    pub region: String,
    /// `AWS_ENDPOINT_URL_S3` and `_DYNAMODB` come before `AWS_ENDPOINT_URL`, the flag before all.
    pub s3_endpoint: Option<String>,
    pub dynamodb_endpoint: Option<String>,
    pub table: String,
    pub tokens_table: String,
    pub bucket: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    pub listen: Option<SocketAddr>,
    /// Nobody asked for it.
    pub is_default: bool,
    pub watchdog: Duration,
}

#[derive(Debug, Clone)]
pub struct Config {
    pub service: Service,
    pub source: Source,
    pub sink: Sink,
    pub state: State,
    pub dlq: Place,
    pub until_end: bool,
    /// Dead letters make a run with `until_end` no failure.
    pub allow_dead_letters: bool,
    pub generation: u64,
    pub drain_grace: Duration,
    pub kafka: kafka::Settings,
    pub placement: Placement,
    /// How many partitions a topic has; for files, which do not say it.
    pub topic_partitions: BTreeMap<String, i32>,
    pub products: Products,
    pub orders: Orders,
    pub order_items: OrderItems,
    /// What the service reads of these tables, each with its topic: as its handler declares them.
    pub tables: Vec<SourceTable>,
    pub formats: Formats,
    pub exceptions: Exceptions,
    pub stock_mode: StockMode,
    pub low_stock_threshold: i64,
    pub aws: Aws,
    pub policy: Policy,
    pub http: Http,
    pub logs: Logs,
    /// Worth a word at start, though nothing is wrong.
    pub warnings: Vec<String>,
}

impl Config {
    /// Whether anything is written to AWS, or to what answers as AWS does.
    pub fn uses_aws(&self) -> bool {
        let is_s3 = |place: &Place| matches!(place, Place::S3 { .. });
        let state_in_s3 = matches!(&self.state, State::SlateDb(place) if is_s3(place));
        self.sink.is_in_aws() || state_in_s3 || is_s3(&self.dlq)
    }

    /// From a parsed command line and the environment's variables.
    pub fn new(
        service: Service,
        matches: &ArgMatches,
        env: &[(String, String)],
    ) -> Result<Self, Problems> {
        Self::read(service, matches, env, settings::pointless(matches, service))
    }

    /// As one of all services: flags that only another one of them has are no problem.
    pub fn one_of_all(
        service: Service,
        matches: &ArgMatches,
        env: &[(String, String)],
    ) -> Result<Self, Problems> {
        Self::read(service, matches, env, Vec::new())
    }

    fn read(
        service: Service,
        matches: &ArgMatches,
        env: &[(String, String)],
        problems: Vec<String>,
    ) -> Result<Self, Problems> {
        let mut check = reading::Check { given: settings::given(matches, service), problems };
        let properties = settings::properties(matches, env).unwrap_or_else(|wrong| {
            check.problems.extend(wrong);
            BTreeMap::new()
        });
        let config = check.config(service, &properties, env);
        match (check.problems.is_empty(), config) {
            (true, Some(config)) => Ok(config),
            _ => Err(Problems { texts: check.problems, see: settings::TABLE.see }),
        }
    }
}

#[cfg(test)]
mod tests;
