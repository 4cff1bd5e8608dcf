//! From settings to a [`Config`]: each value read, all of them held against each other.
use super::{
    Aws, Config, Given, Http, Logs, Origin, Service, Sink, Source, State, misspelt, places,
    reading::Check, settings::BUCKET,
};
use crate::{
    handlers::{
        OrderItems, Orders, Products, analytics,
        inventory::{self, StockMode},
        search,
    },
    policy::{OnRefusal, Policy, Start},
    source::kafka,
    source_table::{self, SourceTable},
};
use chrono::DateTime;
use debezium::{Formats, FormatsError};
use serving::NO_OTLP;
use sinks::{HAS_AWS, NO_AWS, objects::Place};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

impl Check {
    pub fn config(
        &mut self,
        service: Service,
        properties: &BTreeMap<String, Given>,
        env: &[(String, String)],
    ) -> Option<Config> {
        let source = self.source(env);
        let until_end = self.one_of("until-end", &[("false", false), ("true", true)]);
        let allow_dead_letters =
            self.one_of("allow-dead-letters", &[("false", false), ("true", true)]);
        let sink = self.sink(service, env);
        let sink = sink.filter(|sink| !sink.is_in_aws() || self.has_aws("sink"));
        let aws = self.aws(sink.as_ref(), env);
        let state = self.state(sink.as_ref(), env);
        let dlq = self.dlq(env);
        let generation = self.number("generation", 1, u64::from(u32::MAX));
        let drain_grace = self.number("drain-grace-seconds", 0, 3_600);
        let (products, orders, order_items) = self.shop();
        let declared = match service {
            Service::Inventory => inventory::tables(&products, &order_items).into(),
            Service::Analytics => analytics::tables(&orders, &order_items).into(),
            Service::Search => search::tables(&products).into(),
            Service::Declared(declared) => declared.source_tables(),
        };
        let tables = self.tables(service, declared);
        let topics: Vec<String> = tables.iter().map(|table| table.topic().to_owned()).collect();
        let exceptions = self.exceptions(&tables);
        let formats = self.formats();
        let modes = [("derived", StockMode::Derived), ("source", StockMode::Source)];
        let stock_mode = self.one_of("stock-mode", &modes);
        let low_stock_threshold =
            self.parse("low-stock-threshold", "Give a whole number of pieces.");
        let placement = self.placement();
        let topic_partitions = self.topic_partitions(source.as_ref(), &topics);
        let policy = self.policy(sink.as_ref());
        let kafka = self.kafka(service, topics, until_end, properties);
        let http = self.http();
        let logs = self.logs(env);
        self.traces(env);
        let mut config = Config {
            service,
            source: source?,
            sink: sink?,
            state: state?,
            dlq: dlq?,
            until_end: until_end?,
            allow_dead_letters: allow_dead_letters?,
            generation: generation?,
            drain_grace: Duration::from_secs(drain_grace?),
            kafka: kafka?,
            placement: placement?,
            topic_partitions: topic_partitions?,
            products,
            orders,
            order_items,
            tables,
            formats: formats?,
            exceptions,
            stock_mode: stock_mode?,
            low_stock_threshold: low_stock_threshold?,
            aws,
            policy: policy?,
            http: http?,
            logs: logs?,
            warnings: misspelt(env),
        };
        warn(&mut config, env);
        Some(config)
    }

    /// Whether this build has AWS, for a setting that needs it.
    fn has_aws(&mut self, name: &str) -> bool {
        if !HAS_AWS {
            self.wrong(name, &format!("{NO_AWS}."));
        }
        HAS_AWS
    }

    fn formats(&mut self) -> Option<Formats> {
        let text = |name: &str| self.text(name).unwrap_or_default();
        let (columns, placeholder) = (text("column-formats"), text("unavailable-value"));
        let mut read = |name: &str, formats: Result<Formats, FormatsError>| match formats {
            Ok(formats) => Some(formats),
            Err(why) => {
                self.wrong(name, &format!("{why}."));
                None
            }
        };
        let formats = read("column-formats", Formats::parse(&columns));
        let all = formats.clone().unwrap_or_default().with_placeholder(&placeholder);
        formats.and(read("unavailable-value", all))
    }

    fn aws(&mut self, sink: Option<&Sink>, env: &[(String, String)]) -> Aws {
        let text = |name| self.text(name);
        let general = text("aws-endpoint-url");
        let flag = self.given.get("aws-endpoint-url").is_some_and(|g| g.origin == Origin::Flag);
        let endpoint = |name: &str| {
            let found = env.iter().find(|(n, url)| n == name && !flag && !url.is_empty());
            found.map(|(_, url)| url.clone()).or_else(|| general.clone())
        };
        let aws = Aws {
            region: text("aws-region").unwrap_or_default(),
            s3_endpoint: endpoint("AWS_ENDPOINT_URL_S3"),
            dynamodb_endpoint: endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
            table: text("dynamodb-table").unwrap_or_default(),
            tokens_table: text("dynamodb-tokens-table").unwrap_or_default(),
            bucket: text("s3-bucket"),
        };
        if let Some(url) = &general
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            self.wrong("aws-endpoint-url", "give http://HOST:PORT or https://HOST:PORT.");
        }
        if sink == Some(&Sink::Reports) && aws.bucket.is_none() {
            self.wrong("s3-bucket", "give the bucket for the reports.");
        }
        if let Some(bucket) = &aws.bucket {
            match format!("s3://{bucket}").parse::<Place>() {
                Ok(Place::S3 { prefix, .. }) if prefix.is_empty() && !bucket.ends_with('/') => {}
                Err(why) => self.wrong("s3-bucket", &format!("{why}.")),
                Ok(_) => self.wrong("s3-bucket", "give the bucket's name alone, without a prefix."),
            }
        }
        aws
    }

    fn state(&mut self, sink: Option<&Sink>, env: &[(String, String)]) -> Option<State> {
        let text = self.text("state");
        if let Some(Sink::Sqlite(_) | Sink::Dir(_)) = sink {
            if text.is_some() {
                self.wrong(
                    "state",
                    "with --sink sqlite:FILE or dir:DIR the state is there too: remove this setting.",
                );
                return None;
            }
            return Some(State::InSink);
        }
        let Some(text) = text else {
            if sink.is_some() {
                self.wrong(
                    "state",
                    "give slatedb:s3://BUCKET/PREFIX or slatedb:dir:DIR, or set S3_BUCKET.",
                );
            }
            return None;
        };
        if text == "memory" {
            return Some(State::Memory);
        }
        let place = text.strip_prefix("slatedb:").map(|place| places::place(place, env));
        match place {
            Some(Ok(_)) if !self.has_aws("state") => None,
            Some(Ok(place)) => Some(State::SlateDb(place)),
            // The bucket is wrong then, which was said.
            Some(Err(_)) if self.given.get("state").is_some_and(|g| g.origin == BUCKET) => None,
            Some(Err(why)) => {
                self.wrong("state", &format!("{why}."));
                None
            }
            None => {
                self.wrong("state", "give slatedb:s3://BUCKET/PREFIX, slatedb:dir:DIR or memory.");
                None
            }
        }
    }

    fn dlq(&mut self, env: &[(String, String)]) -> Option<Place> {
        let Some(text) = self.text("dlq") else {
            self.wrong(
                "dlq",
                "give s3://BUCKET/PREFIX or dir:DIR. Without a place for records that cannot be processed they would be lost, so nothing starts.",
            );
            return None;
        };
        match places::place(&text, env) {
            Ok(Place::S3 { .. }) if !self.has_aws("dlq") => None,
            Ok(place) => Some(place.or_prefix("dlq")),
            Err(why) => {
                self.wrong("dlq", &format!("{why}."));
                None
            }
        }
    }

    /// The shop's tables and columns, as the source names them.
    fn shop(&mut self) -> (Products, Orders, OrderItems) {
        let mut products = Products::default();
        let mut orders = Orders::default();
        let mut items = OrderItems::default();
        let table = |check: &Self, name| check.text(name).unwrap_or_default();
        products.table = table(self, "products-table");
        orders.table = table(self, "orders-table");
        items.table = table(self, "order-items-table");
        self.columns(
            "products-columns",
            &mut [
                ("id", &mut products.id),
                ("name", &mut products.name),
                ("description", &mut products.description),
                ("price", &mut products.price),
                ("stock_quantity", &mut products.stock_quantity),
                ("category", &mut products.category),
            ],
        );
        self.columns(
            "orders-columns",
            &mut [
                ("id", &mut orders.id),
                ("customer_id", &mut orders.customer_id),
                ("status", &mut orders.status),
                ("total", &mut orders.total),
                ("created_at", &mut orders.created_at),
            ],
        );
        self.columns(
            "order-items-columns",
            &mut [
                ("id", &mut items.id),
                ("product_id", &mut items.product_id),
                ("quantity", &mut items.quantity),
                ("unit_price", &mut items.unit_price),
            ],
        );
        (products, orders, items)
    }

    fn columns(&mut self, name: &str, known: &mut [(&str, &mut String)]) {
        let text = self.text(name).unwrap_or_default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (ours, yours) = entry.split_once('=').unwrap_or((entry, ""));
            let found = known.iter_mut().find(|(column, _)| *column == ours.trim());
            match (found, yours.trim()) {
                (Some((_, column)), yours) if !yours.is_empty() => yours.clone_into(column),
                _ => {
                    let names: Vec<&str> = known.iter().map(|(column, _)| *column).collect();
                    let why = format!(
                        "`{entry}` is not OURS=YOURS with one of our columns: {}.",
                        names.join(", ")
                    );
                    self.wrong(name, &why);
                }
            }
        }
    }

    /// The tables that a service reads, each with the topic that the settings or the declaration of its views give it. Such
    /// a declaration says schemas, too: a topic whose name says another one is refused.
    fn tables(&mut self, service: Service, declared: Vec<SourceTable>) -> Vec<SourceTable> {
        let mut names = BTreeSet::new();
        for table in &declared {
            if !names.insert(table.name.as_str()) {
                let why = "two tables have the same name: give each its own.";
                self.wrong(&setting_of(table, "table"), why);
            }
        }
        let prefix = self.text("topic-prefix").unwrap_or_default();
        let from = self.given.get("topic-prefix").map(|given| given.origin);
        // Who gives a prefix means it.
        let is_given = matches!(from, Some(Origin::Flag | Origin::Environment));
        let of_views = service.declared().filter(|_| !is_given);
        let topics = of_views.map_or(&[][..], |declared| &declared.topics);
        if let Some(topic) = topics.iter().find(|topic| {
            declared.iter().all(|table| source_table::before_name(topic, &table.name).is_none())
        }) {
            self.problems
                .push(format!("topics: `{topic}` is the topic of no table that the view reads."));
        }
        let with_topic = |declared: SourceTable| {
            let (name, table) = (setting_of(&declared, "topic"), &declared.name);
            let named = |topic: &&String| source_table::before_name(topic, table).is_some();
            let given = self.text(&name).or_else(|| topics.iter().find(named).cloned());
            if given.is_none() && !topics.is_empty() {
                self.problems.push(format!("topics: none is of table `{table}`: name it, too."));
            }
            let topic = given.clone().unwrap_or_else(|| format!("{prefix}{table}"));
            if source_table::before_name(&topic, table).is_none() {
                let at = if given.is_some() { name.as_str() } else { "topic-prefix" };
                self.wrong(at, &format!("the topic must be `{table}` or end with `.{table}`."));
            }
            let schema = declared.schema.clone();
            let full_name = declared.full_name();
            let set = declared.in_topic(&topic);
            // Debezium's names are PREFIX.SCHEMA.TABLE; shorter ones are of somebody's own making.
            let says_schema = topic.matches('.').count() > set.name.matches('.').count() + 1;
            if service.declared().is_some() && says_schema && set.schema != schema {
                self.wrong(
                    "topic-prefix",
                    &format!("topic `{topic}` is of another schema than {full_name}."),
                );
            }
            set
        };
        declared.into_iter().map(with_topic).collect()
    }

    fn policy(&mut self, sink: Option<&Sink>) -> Option<Policy> {
        const MIB: u64 = 1 << 20;
        self.one_of("tuning", &[("balanced", ()), ("throughput", ()), ("latency", ())]);
        let batch_records_max = self.number("batch-records", 1, 1_000_000);
        let batch_bytes_max = self.number("batch-bytes", 1_024, 1_024 * MIB);
        let linger_ms = self.number("linger-ms", 0, 60_000);
        let buffer_bytes_max = self.number("buffer-bytes", MIB, 65_536 * MIB);
        let cache_bytes_max = self.number("cache-bytes", 0, 65_536 * MIB);
        let backoff_ms_max = self.number("backoff-ms-max", 100, 600_000);
        let breaker_failures = self.number("breaker-failures", 1, 1_000_000);
        let in_a_row = self.number("dlq-in-a-row-max", 1, u32::MAX.into());
        let percent = self.number("dlq-percent-max", 0, 100);
        let window = self.number("dlq-window", 10, 10_000_000);
        let flush = self.number("flush-interval-seconds", 1, 86_400);
        let start = self.start();
        let published = sink?.is_derived();
        let keyed = sink? == &Sink::DynamoDb;
        let size = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
        let count = |n: Option<u64>| n.and_then(|n| u32::try_from(n).ok());
        Some(Policy {
            batch_records_max: size(batch_records_max)?,
            batch_bytes_max: size(batch_bytes_max)?,
            linger_ms: linger_ms?,
            buffer_bytes_max: size(buffer_bytes_max)?,
            cache_bytes_max: size(cache_bytes_max)?,
            backoff_ms_max: backoff_ms_max?,
            breaker_failures: count(breaker_failures)?,
            letters_in_a_row_max: count(in_a_row)?,
            letters_percent_max: count(percent)?,
            letters_window: count(window)?,
            publish_every_ms: if published { Some(flush? * 1_000) } else { None },
            start: start?,
            on_refusal: if keyed { OnRefusal::SkipWrite } else { OnRefusal::SkipRecord },
            ..Policy::default()
        })
    }

    fn start(&mut self) -> Option<Start> {
        match self.text("start")?.as_str() {
            "earliest" => Some(Start::Earliest),
            "latest" => Some(Start::Latest),
            time => match DateTime::parse_from_rfc3339(time) {
                Ok(time) if time.timestamp_millis() >= 0 => {
                    Some(Start::At(time.timestamp_millis()))
                }
                Ok(_) => {
                    self.wrong("start", "no record is of a time before 1970.");
                    None
                }
                Err(_) => {
                    self.wrong("start", "give earliest, latest, or a time with its zone as RFC 3339: 2026-11-29T10:00:00Z.");
                    None
                }
            },
        }
    }

    fn kafka(
        &mut self,
        service: Service,
        topics: Vec<String>,
        until_end: Option<bool>,
        properties: &BTreeMap<String, Given>,
    ) -> Option<kafka::Settings> {
        let before = self.problems.len();
        for (name, given) in properties {
            let value = given.value.as_deref().unwrap_or_default();
            if let Some(why) = kafka::problem(name, value) {
                let env = name.to_ascii_uppercase().replace('.', "_");
                let at = match given.origin {
                    Origin::Environment => format!("KAFKA_PROPERTIES_{env}"),
                    _ => "--kafka-property".to_owned(),
                };
                self.problems.push(format!("{at} (from the {}): {why}", given.origin));
            }
        }
        let plain = |(name, given): (&String, &Given)| {
            given.value.clone().map(|value| (name.clone(), value))
        };
        let settings = kafka::Settings {
            bootstrap_servers: self.text("kafka-bootstrap-servers")?,
            group_id: self.text("kafka-group-id")?,
            client_id: service.name().to_owned(),
            topics,
            until_end: until_end?,
            ack_interval: Duration::from_secs(self.number("ack-interval-seconds", 1, 3_600)?),
            properties: properties.iter().filter_map(plain).collect(),
        };
        // What is wrong with one alone was said.
        if let (true, Err(why)) = (self.problems.len() == before, settings.client_config()) {
            self.problems.extend(why);
        }
        Some(settings)
    }

    fn http(&mut self) -> Option<Http> {
        let listen = match self.text("http-listen")?.as_str() {
            "none" => None,
            _ => {
                Some(self.parse("http-listen", "Give ADDRESS:PORT, such as 0.0.0.0:9090, or none")?)
            }
        };
        let is_default = self.given.get("http-listen").is_some_and(|g| g.origin == Origin::Default);
        let watchdog = Duration::from_secs(self.number("watchdog-seconds", 1, 86_400)?);
        Some(Http { listen, is_default, watchdog })
    }

    /// Where the environment says that traces go, they can be sent.
    fn traces(&mut self, env: &[(String, String)]) {
        let is_set = |wanted: &&str| env.iter().any(|(n, v)| n == wanted && !v.is_empty());
        let asked = serving::traces::ENDPOINTS.into_iter().find(|name| is_set(name));
        if let Some(name) = asked.filter(|_| !cfg!(feature = "otlp")) {
            self.problems.push(format!("{name}: {NO_OTLP}."));
        }
    }

    fn logs(&mut self, env: &[(String, String)]) -> Option<Logs> {
        let json = self.one_of("log-format", &[("text", false), ("json", true)]);
        let ours = self.given.get("log-level").map(|g| g.origin);
        let rust_log = env.iter().find(|(name, value)| name == "RUST_LOG" && !value.is_empty());
        let (name, filter) = match rust_log {
            Some((_, filter)) if ours == Some(Origin::Default) => ("RUST_LOG", filter.clone()),
            _ => ("log-level", self.text("log-level")?),
        };
        if let Err(e) = serving::logs::check(&filter) {
            match name {
                "RUST_LOG" => self.problems.push(format!("RUST_LOG: `{filter}`: {e}.")),
                name => self.wrong(name, &format!("{e}.")),
            }
        }
        Some(Logs { json: json?, filter })
    }
}

/// The setting of this table that ends so: `order-items-topic`.
fn setting_of(table: &SourceTable, what: &str) -> String {
    format!("{}-{what}", table.alias.replace('_', "-"))
}

/// What is allowed and surprising.
fn warn(config: &mut Config, env: &[(String, String)]) {
    let mut say = |text: &str| config.warnings.push(text.to_owned());
    match (&config.state, &config.source) {
        (State::Memory, _) if config.sink == Sink::DynamoDb => say(
            "--state memory with DynamoDB: after a restart the rows are forgotten while the items are not. Everything is read again from the log's beginning; a log that no longer begins at the first change, or is compacted, gives wrong sums. For trying out only.",
        ),
        (State::Memory, Source::Kafka) => say(
            "--state memory: after a restart everything is read again from the log's beginning.",
        ),
        _ => {}
    }
    let given = |name| env.iter().any(|(n, value)| n == name && !value.is_empty());
    let is_on_s3 = matches!(&config.state, State::SlateDb(Place::S3 { .. }));
    if is_on_s3 && given("AWS_PROFILE") && !given("AWS_ACCESS_KEY_ID") {
        say(
            "AWS_PROFILE: the state in S3 does not read profiles. Put the profile's credentials into the environment: eval \"$(aws configure export-credentials --format env)\"",
        );
    }
    if config.until_end && config.source == Source::Kafka {
        say("--until-end: exits when everything that was in Kafka at the start is durable.");
    }
    if config.policy.start == Start::Latest {
        say(
            "--start latest: changes from before the first start are never seen, so views miss the rows they made.",
        );
    }
    if let Start::At(_) = config.policy.start {
        say(
            "--start: where no state is stored, a partition begins at that time. Changes from before it are never seen, so views miss the rows they made, unless a whole snapshot comes after it.",
        );
    }
    if config.policy.batch_bytes_max > config.policy.buffer_bytes_max {
        say("BATCH_BYTES is above BUFFER_BYTES: batches end when the buffer is full.");
    }
}
