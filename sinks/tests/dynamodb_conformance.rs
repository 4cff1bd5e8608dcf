//! The suite of whatever shows views, for the DynamoDB sink beside a state in memory. Needs `TEST_DYNAMODB_ENDPOINT`;
//! says so where it is left out.
use aws_sdk_dynamodb::{Client, config::Credentials};
use sinks::{
    State,
    conformance::{Backend, Shop, Supports, views},
    dynamodb::{Config, Connection, DynamoDb, create_tables},
    state::memory::Memory,
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};
use tokio::sync::Mutex;

async fn client(endpoint: String) -> Client {
    let connection = Connection { endpoint: Some(endpoint), region: Some("us-east-1".into()) };
    let client = connection.connect().await;
    let anyone = Credentials::builder()
        .access_key_id("test")
        .secret_access_key("test")
        .provider_name("tests")
        .build();
    Client::from_conf(client.config().to_builder().credentials_provider(anyone).build())
}

#[tokio::test]
async fn dynamodb_keeps_every_promise() {
    let Ok(endpoint) = std::env::var("TEST_DYNAMODB_ENDPOINT") else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: the views suite for DynamoDB needs TEST_DYNAMODB_ENDPOINT\n",
        )
        .expect("stderr");
        return;
    };
    let client = client(endpoint).await;
    let seeds = std::env::var("SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    // DynamoDB is slow in emulators: few seeds. Its keys hold no nulls.
    let text_bytes = Some((300 * 1024, 420 * 1024));
    let supports =
        Supports { merged: true, null_keys: false, text_bytes, seeds, ..Supports::default() };
    let config = |name: &str| {
        let prefix = format!(
            "c{}-{}-",
            std::process::id(),
            name.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
        );
        Config { prefix, ..Config::new(1, Shop::views(&supports)) }
    };
    let states: Mutex<BTreeMap<String, Arc<dyn State>>> = Mutex::default();
    let make = async |name: &str| {
        let mut states = states.lock().await;
        let state = match states.entry(name.to_owned()) {
            Entry::Occupied(state) => state.get().clone(),
            Entry::Vacant(none) => {
                create_tables(&client, &config(name)).await.expect("tables");
                none.insert(Arc::new(Memory::new(vec![]))).clone()
            }
        };
        let sink = DynamoDb::new(client.clone(), &config(name)).expect("settings");
        Backend { sink: Some(Arc::new(sink)), state }
    };
    let read = async |name: &str, view: &sinks::View| {
        let sink = DynamoDb::new(client.clone(), &config(name)).expect("settings");
        sink.rows(view.name).await.expect("rows")
    };
    views(supports.clone(), make, read).await;
}
