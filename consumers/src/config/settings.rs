//! Every setting: its flag, its environment variable, its default, its help. One table, from which the command line,
//! `cdc config` and the messages about wrong settings are made.
use super::Service;
use crate::declared::Declared;
use clap::{ArgMatches, Command};
use debezium::PLACEHOLDER;
use serving::settings::{Given, Givens, Origin, Preset, Setting, Table};
use std::collections::BTreeMap;

use Service::{Analytics, Inventory, Search};
const ALL: &[Service] = &[Inventory, Analytics, Search, Service::Declared(&ANY)];

/// Stands for all services of declared views: they have the same settings.
static ANY: Declared = Declared {
    name: "",
    tables: Vec::new(),
    plans: Vec::new(),
    rules: String::new(),
    answer: Ok(String::new()),
    topics: Vec::new(),
    settings: Vec::new(),
};
fn as_listed(service: Service) -> Service {
    match service {
        Service::Declared(_) => Service::Declared(&ANY),
        Inventory | Analytics | Search => service,
    }
}

const RUN: &str = "What runs";
const KAFKA: &str = "Kafka";
const SHOP: &str = "The shop's tables";
const VIEWS: &str = "Views";
const AWS: &str = "AWS (credentials as the AWS SDK finds them)";
const PACE: &str = "Batches and memory";
const RETRIES: &str = "When a sink is down";
const LETTERS: &str = "Dead letters: when to stop";
const LOOK: &str = "Metrics and health";
const LOGS: &str = "Logs";

macro_rules! setting {
    ($name:literal $env:literal $value:literal $default:expr, $services:expr, $heading:expr, $help:expr) => {
        Setting {
            name: $name,
            env: $env,
            default: $default,
            value: $value,
            heading: $heading,
            help: $help,
            services: $services,
        }
    };
}
use Preset::{Is, None as Unset, Of, Off, Repeated};

fn dynamodb_table(service: Service) -> String {
    let table = if service == Search { "product-search-index" } else { "inventory-realtime" };
    table.to_owned()
}

#[rustfmt::skip]
const SETTINGS: &[Setting<Service>] = &[
    setting!("source" "SOURCE" "SOURCE" Is("kafka"), ALL, RUN,
        "kafka, or ndjson:PATH (a file, a folder of *.ndjson and *.jsonl, also with .gz or .zst, or - for standard input)"),
    setting!("sink" "SINK" "SINK" Is("aws"), ALL, RUN,
        "aws (DynamoDB; S3 reports for analytics), sqlite:FILE, or dir:DIR (a file for each view or report)"),
    setting!("state" "STATE" "STATE" Unset, ALL, RUN,
        "slatedb:s3://BUCKET/PREFIX, slatedb:dir:DIR, or memory (forgets everything at exit). The default is slatedb: in S3_BUCKET. With sqlite:FILE and dir:DIR the state is there"),
    setting!("dlq" "DLQ" "PLACE" Unset, ALL, RUN,
        "Where records go that cannot be processed: s3://BUCKET/PREFIX or dir:DIR. There is no default: nothing starts without it"),
    setting!("until-end" "UNTIL_END" "" Off, ALL, RUN,
        "Exit once everything that was there at the start is durable: with 0, or with 2 if the views lack something"),
    setting!("generation" "GENERATION" "N" Is("1"), ALL, RUN,
        "Build everything anew beside the old: part of every stored position and path. It only grows"),
    setting!("drain-grace-seconds" "DRAIN_GRACE_SECONDS" "S" Is("25"), ALL, RUN,
        "How long SIGTERM and SIGINT wait for what is in flight to become durable; a second signal exits at once"),

    setting!("kafka-bootstrap-servers" "KAFKA_BOOTSTRAP_SERVERS" "HOST:PORT,.."
        Is("cdc-platform-kafka-bootstrap.kafka.svc.cluster.local:9092"), ALL, KAFKA, "Brokers to begin with"),
    setting!("kafka-group-id" "KAFKA_GROUP_ID" "ID" Of(|s| format!("{}-group", s.name())), ALL, KAFKA,
        "Consumer group"),
    setting!("kafka-property" "KAFKA_PROPERTIES_*" "NAME=VALUE" Repeated, ALL, KAFKA,
        "Any librdkafka property; may be repeated. From the environment: KAFKA_PROPERTIES_SECURITY_PROTOCOL is security.protocol"),
    setting!("ack-interval-seconds" "ACK_INTERVAL_SECONDS" "S" Is("5"), ALL, KAFKA,
        "How often durable offsets are acknowledged, for operators to see the lag"),
    setting!("start" "START" "WHERE" Is("earliest"), ALL, KAFKA,
        "Where a partition without stored state begins: earliest, latest, or a time as RFC 3339 (both leave out all that came before)"),
    setting!("topic-prefix" "TOPIC_PREFIX" "TEXT" Is("dbserver1.public."), ALL, KAFKA,
        "A table's topic is this and the table's name"),
    setting!("products-topic" "PRODUCTS_TOPIC" "TOPIC" Unset, &[Inventory, Search], KAFKA,
        "Instead of prefix and table; must end with the table's name"),
    setting!("orders-topic" "ORDERS_TOPIC" "TOPIC" Unset, &[Analytics], KAFKA,
        "Instead of prefix and table; must end with the table's name"),
    setting!("order-items-topic" "ORDER_ITEMS_TOPIC" "TOPIC" Unset, &[Inventory, Analytics], KAFKA,
        "Instead of prefix and table; must end with the table's name"),

    setting!("placement" "PLACEMENT" "RULES" Is("default"), ALL, KAFKA,
        "default: a record lies in the partition that Kafka's default partitioner gives its key; custom: producers have rules of their own, and a key never changes its partition"),
    setting!("topic-partitions" "TOPIC_PARTITIONS" "TOPIC=N,.." Is(""), ALL, KAFKA,
        "For files only: how many partitions a topic has. Without it, the smallest number that fits its keys"),

    setting!("products-table" "PRODUCTS_TABLE" "NAME" Is("products"), &[Inventory, Search], SHOP, "Without its schema"),
    setting!("orders-table" "ORDERS_TABLE" "NAME" Is("orders"), &[Analytics], SHOP, "Without its schema"),
    setting!("order-items-table" "ORDER_ITEMS_TABLE" "NAME" Is("order_items"), &[Inventory, Analytics], SHOP,
        "Without its schema"),
    setting!("products-columns" "PRODUCTS_COLUMNS" "OURS=YOURS,.." Is(""), &[Inventory, Search], SHOP,
        "Columns with other names: id, name, description, price, stock_quantity, category"),
    setting!("orders-columns" "ORDERS_COLUMNS" "OURS=YOURS,.." Is(""), &[Analytics], SHOP,
        "Columns with other names: id, customer_id, status, total, created_at"),
    setting!("order-items-columns" "ORDER_ITEMS_COLUMNS" "OURS=YOURS,.." Is(""), &[Inventory, Analytics], SHOP,
        "Columns with other names: id, product_id, quantity, unit_price"),
    setting!("source-tables" "SOURCE_TABLES" "T=SCHEMA.NAME,.." Is(""), ALL, SHOP,
        "Source tables with other names whose rows are rows of table T, in its topic: partitions of it, say. SCHEMA.NAME, NAME, or * for all"),
    setting!("key-columns" "KEY_COLUMNS" "T.C,.." Is(""), ALL, SHOP,
        "Columns that record keys may have beside the primary key, which is unique by itself"),
    setting!("column-formats" "COLUMN_FORMATS" "T.C=FORMAT,.." Is(""), ALL, SHOP,
        "How columns are written where records carry no schema: decimal(SCALE), decimal-text, millis, micros, nanos, days, iso; of bytes as text: base64, base64-url-safe, hex"),
    setting!("unavailable-value" "UNAVAILABLE_VALUE" "TEXT" Is(PLACEHOLDER), ALL, SHOP,
        "What the connector's unavailable.value.placeholder says; read from records whose schema declares it"),

    setting!("stock-mode" "STOCK_MODE" "MODE" Is("derived"), &[Inventory], VIEWS,
        "derived: stock is products.stock_quantity less what was sold; source: the shop lowers the column itself"),
    setting!("low-stock-threshold" "LOW_STOCK_THRESHOLD" "N" Is("10"), &[Inventory], VIEWS,
        "Low on stock, and alerted once, below this"),
    setting!("flush-interval-seconds" "FLUSH_INTERVAL_SECONDS" "S" Is("300"), ALL, VIEWS,
        "How often reports and the files of dir:DIR are published; always at exit"),

    setting!("aws-region" "AWS_REGION" "REGION" Is("us-east-1"), ALL, AWS, "Region"),
    setting!("aws-endpoint-url" "AWS_ENDPOINT_URL" "URL" Unset, ALL, AWS, "Of an emulator or a compatible store; AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL_DYNAMODB are for one of them"),
    setting!("dynamodb-table" "DYNAMODB_TABLE" "NAME" Of(dynamodb_table), &[Inventory, Search], AWS, "The view's table"),
    setting!("dynamodb-tokens-table" "DYNAMODB_TOKENS_TABLE" "NAME" Is("product-search-tokens"), &[Search], AWS,
        "The table of words"),
    setting!("s3-bucket" "S3_BUCKET" "NAME" Unset, ALL, AWS, "Bucket for reports, and for state unless STATE says otherwise"),

    setting!("tuning" "TUNING" "PRESET" Is("balanced"), ALL, PACE,
        "balanced, throughput (large batches, more memory) or latency (batches hardly wait): other defaults for the settings below"),
    setting!("batch-records" "BATCH_RECORDS" "N" Is("5000"), ALL, PACE, "Records of a batch, at most"),
    setting!("batch-bytes" "BATCH_BYTES" "N" Is("8388608"), ALL, PACE, "Bytes of a batch, about"),
    setting!("linger-ms" "LINGER_MS" "MS" Is("100"), ALL, PACE, "How long a batch that is not full waits for more"),
    setting!("buffer-bytes" "BUFFER_BYTES" "N" Is("67108864"), ALL, PACE,
        "Read and not yet durable, all partitions together; beyond it reading pauses"),
    setting!("cache-bytes" "CACHE_BYTES" "N" Is("67108864"), ALL, PACE, "Memory for rows touched lately, of all partitions together, about"),

    setting!("breaker-failures" "BREAKER_FAILURES" "N" Is("5"), ALL, RETRIES,
        "This many failures in a row, of all partitions together, and nothing is sent until a single try has worked"),
    setting!("backoff-ms-max" "BACKOFF_MS_MAX" "MS" Is("30000"), ALL, RETRIES,
        "The longest pause before a try; pauses are random, below a bound that doubles from 200 ms to this"),

    setting!("dlq-in-a-row-max" "DLQ_IN_A_ROW_MAX" "N" Is("100"), ALL, LETTERS, "More dead letters in a row stop the service"),
    setting!("dlq-percent-max" "DLQ_PERCENT_MAX" "PERCENT" Is("50"), ALL, LETTERS,
        "A larger share of the last DLQ_WINDOW records stops it"),
    setting!("dlq-window" "DLQ_WINDOW" "N" Is("1000"), ALL, LETTERS, "Records that the share is taken of"),
    setting!("allow-dead-letters" "ALLOW_DEAD_LETTERS" "" Off, ALL, LETTERS,
        "With UNTIL_END: dead letters are said, and the exit code is 0 all the same, not 2"),

    setting!("http-listen" "HTTP_LISTEN" "ADDRESS" Is("127.0.0.1:9090"), ALL, LOOK,
        "Where /metrics, /health/live, /health/ready and /log-level are answered, or none. In pods: 0.0.0.0:9090"),
    setting!("watchdog-seconds" "WATCHDOG_SECONDS" "S" Is("60"), ALL, LOOK,
        "/health/live is red when the loop that does everything has not turned for so long"),

    setting!("log-format" "LOG_FORMAT" "FORMAT" Is("text"), ALL, LOGS, "text or json"),
    setting!("log-level" "LOG_LEVEL" "LEVEL" Is("info"), ALL, LOGS,
        "error, warn, info, debug, trace, or a filter such as info,consumers=debug. RUST_LOG counts when this is not given"),
];

/// What `tuning` changes. Smaller batches would not make changes durable sooner, only catching up slower.
const TUNED: &[(&str, &[(&str, &str)])] = &[
    (
        "throughput",
        &[
            ("batch-records", "20000"),
            ("batch-bytes", "33554432"),
            ("linger-ms", "500"),
            ("buffer-bytes", "268435456"),
            ("cache-bytes", "268435456"),
        ],
    ),
    ("latency", &[("linger-ms", "5")]),
];

pub static TABLE: Table<Service> =
    Table { settings: SETTINGS, as_listed, see: "`cdc config SERVICE`" };

/// Adds the settings to a command; with a service, those that it has.
pub fn arguments(command: Command, service: Option<Service>) -> Command {
    TABLE.arguments(command, service)
}

/// Adds only the settings of these names: for commands that need little.
pub fn some(command: Command, names: &[&str]) -> Command {
    TABLE.some(command, names)
}

/// What each setting came to, the tuning preset and what follows from `S3_BUCKET` included.
pub fn given(matches: &ArgMatches, service: Service) -> Givens {
    in_bucket(tuned(declared(TABLE.given(matches, service), service)))
}

/// What a declaration of views says of settings that nobody gave.
fn declared(mut given: Givens, service: Service) -> Givens {
    let settings = service.declared().map_or(&[][..], |declared| &declared.settings);
    for (name, value) in settings {
        let nobody = |known: &Given| known.origin == Origin::Default;
        if given.get(name).is_none_or(nobody) {
            given.insert(name, Given { value: Some(value.clone()), origin: DECLARED });
        }
    }
    given
}

/// Where the state is, unless somebody says otherwise.
fn in_bucket(mut given: Givens) -> Givens {
    let value = |name| given.get(name).and_then(|given| given.value.as_deref());
    if let (Some("aws"), None, Some(bucket)) = (value("sink"), value("state"), value("s3-bucket")) {
        let value = Some(format!("slatedb:s3://{bucket}"));
        given.insert("state", Given { value, origin: BUCKET });
    }
    given
}

/// Applies the TUNING preset to settings that nobody set; flags and environment win.
fn tuned(mut given: Givens) -> Givens {
    let tuning = given.get("tuning").and_then(|tuning| tuning.value.clone());
    let chosen = TUNED.iter().filter(|(preset, _)| tuning.as_deref() == Some(preset));
    for (name, value) in chosen.flat_map(|(_, values)| *values) {
        if let Some(setting) = given.get_mut(name)
            && setting.origin == Origin::Default
        {
            *setting = Given { value: Some((*value).to_owned()), origin: TUNING };
        }
    }
    given
}

/// The origin of what a view's declaration says.
const DECLARED: Origin = Origin::Other("view");
/// The origin of values that the TUNING preset has chosen.
const TUNING: Origin = Origin::Other("tuning");
/// The origin of the state's place where S3_BUCKET has decided it.
pub const BUCKET: Origin = Origin::Other("S3_BUCKET");

/// Flags that were given and mean nothing to this service, a sentence each.
pub fn pointless(matches: &ArgMatches, service: Service) -> Vec<String> {
    let say = |name| format!("--{name}: the {} has no such setting.", service.name());
    TABLE.pointless(matches, service).into_iter().map(say).collect()
}

/// librdkafka's properties, the command line's over the environment's, each with where it came from.
pub fn properties(
    matches: &ArgMatches,
    env: &[(String, String)],
) -> Result<BTreeMap<String, Given>, Vec<String>> {
    let from_env = env.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("KAFKA_PROPERTIES_").filter(|name| !name.is_empty())?;
        let given = Given { value: Some(value.clone()), origin: Origin::Environment };
        Some((name.to_ascii_lowercase().replace('_', "."), given))
    });
    let mut all: BTreeMap<String, Given> = from_env.collect();
    let mut wrong = Vec::new();
    for text in matches.get_many::<String>("kafka-property").into_iter().flatten() {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                let given = Given { value: Some(value.to_owned()), origin: Origin::Flag };
                all.insert(name.trim().to_owned(), given);
            }
            _ => wrong.push(
                "--kafka-property: write NAME=VALUE, such as security.protocol=SSL.".to_owned(),
            ),
        }
    }
    if wrong.is_empty() { Ok(all) } else { Err(wrong) }
}

/// Environment variables that look like one of ours, misspelt.
pub fn misspelt(env: &[(String, String)]) -> Vec<String> {
    let suspicious = env.iter().filter_map(|(name, _)| {
        let property = ["KAFKA_PROPERTY_", "KAFKA_PROPS_", "KAFKA_CONFIG_"];
        if property.iter().any(|prefix| name.starts_with(prefix)) {
            return Some(format!("{name} is not read; did you mean KAFKA_PROPERTIES_...?"));
        }
        let near = TABLE.nearly(name)?;
        Some(format!("{name} is not read; did you mean {near}?"))
    });
    suspicious.collect()
}
