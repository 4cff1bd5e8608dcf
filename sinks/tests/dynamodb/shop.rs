//! Views, batches and tables for the tests.
use aws_sdk_dynamodb::{Client, config::Credentials};
use sinks::{
    Batch, Cell, Checkpoint, Op, Partition, Receipt, Sink, SinkError, View, Write,
    conformance::shop,
    dynamodb::{Config, Connection, DynamoDb, create_tables},
};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

pub const INVENTORY: &str = "inventory_realtime";
pub const SEARCH: &str = "product_search_index";
pub const TOKENS: &str = "product_search_tokens";

pub const LOW: &str = "low_stock";

pub fn inventory(derived: bool) -> View {
    shop::stock(derived, 10)
}
pub fn search() -> View {
    shop::index()
}
pub fn tokens() -> View {
    shop::tokens()
}

pub fn put(view: &'static str, offset: i64, key: Vec<Cell>, row: Vec<Cell>) -> Write {
    Write { offset, source_ts_ms: 1_700_000_000_000 + offset, view, key, op: Op::Put(row) }
}
pub fn delete(view: &'static str, offset: i64, key: Vec<Cell>) -> Write {
    Write { offset, source_ts_ms: 1_700_000_000_000 + offset, view, key, op: Op::Delete }
}
pub fn product(offset: i64, id: i64, base: i64) -> Write {
    let price: sinks::Decimal = "19.50".parse().expect("a price");
    let row = vec![format!("Product {id}").into(), price.into(), base.into()];
    put(INVENTORY, offset, vec![id.into()], row)
}
pub fn sold(offset: i64, id: i64, share: i64) -> Write {
    let op = Op::Share(vec![share.into()]);
    Write {
        offset,
        source_ts_ms: 1_700_000_000_000 + offset,
        view: INVENTORY,
        key: vec![id.into()],
        op,
    }
}

/// Records `start..end` of a partition; the topic's first letter names it in items.
pub fn batch(topic: &str, index: i32, start: i64, end: i64, writes: Vec<Write>) -> Batch {
    forgiving(topic, index, start, end, writes, BTreeSet::new())
}
pub fn forgiving(
    topic: &str,
    index: i32,
    start: i64,
    end: i64,
    writes: Vec<Write>,
    dead_lettered: BTreeSet<i64>,
) -> Batch {
    let tag = topic.chars().next().expect("a topic");
    let checkpoint = Checkpoint { next: end, ..Checkpoint::default() };
    Batch::new(Partition::new(topic, index), tag, start, writes, vec![], checkpoint, dead_lettered)
}

/// A service's tables, under names of their own.
pub struct Shop {
    pub client: Client,
    pub config: Config,
}
impl Shop {
    /// `None`: there is no service to test against, and the test says so.
    pub async fn open(test: &str, views: Vec<View>) -> Option<Self> {
        let shop = Self::named(test, views).await?;
        create_tables(&shop.client, &shop.config).await.expect("tables");
        Some(shop)
    }
    /// The same without tables.
    pub async fn named(test: &str, views: Vec<View>) -> Option<Self> {
        let Ok(endpoint) = std::env::var("TEST_DYNAMODB_ENDPOINT") else {
            std::io::Write::write_all(
                &mut std::io::stderr(),
                format!("left out: {test} needs TEST_DYNAMODB_ENDPOINT\n").as_bytes(),
            )
            .expect("stderr");
            return None;
        };
        let client = client(&endpoint).await;
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("t{}-{count}-{test}-", std::process::id());
        Some(Self { client, config: Config { prefix, ..Config::new(1, views) } })
    }
    /// Another process of this generation.
    pub fn sink(&self) -> DynamoDb {
        DynamoDb::new(self.client.clone(), &self.config).expect("settings")
    }
    pub fn sink_of(&self, generation: i64) -> DynamoDb {
        let config = Config { generation, ..self.config.clone() };
        DynamoDb::new(self.client.clone(), &config).expect("settings")
    }
    pub fn table(&self, view: &str) -> String {
        let view = self.config.views.iter().find(|v| v.name == view).expect("a view");
        self.config.table_of(view)
    }
}
pub async fn client(endpoint: &str) -> Client {
    let connection =
        Connection { endpoint: Some(endpoint.into()), region: Some("us-east-1".into()) };
    let client = connection.connect().await;
    let anyone = Credentials::builder()
        .access_key_id("test")
        .secret_access_key("test")
        .provider_name("tests")
        .build();
    Client::from_conf(client.config().to_builder().credentials_provider(anyone).build())
}

pub async fn write(sink: &DynamoDb, batch: &Batch) -> Receipt {
    sink.write(batch).await.expect("written")
}
pub fn fatal(result: Result<Receipt, SinkError>) -> String {
    match result {
        Err(SinkError::Fatal(why)) => format!("{why:#}"),
        other => panic!("not fatal: {other:?}"),
    }
}
