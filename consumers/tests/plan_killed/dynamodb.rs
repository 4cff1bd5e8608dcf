//! The same on DynamoDB. Items are read as readers do it, attribute by attribute.
use super::{Story, VIEWS, assert_same, columns_of};
use aws_sdk_dynamodb::{Client, config::Credentials, types::AttributeValue};
use rusqlite::{Connection, params_from_iter, types::Value};
use sinks::Cell;
use std::collections::HashMap;

/// The views, each with the attribute without which an item is no row.
const SHOWN_BY: [(&str, &str); 5] = [
    ("ticket_cards", "live"),
    ("ticket_votes", "points"),
    ("tickets_now", "live"),
    ("tickets_by_status", "live"),
    ("projects", "live"),
];
/// A column of times.
const NEWEST: &str = "newest";

type Item = HashMap<String, AttributeValue>;

struct Tables {
    io: tokio::runtime::Runtime,
    client: Client,
    prefix: String,
}
impl Tables {
    fn new(endpoint: String, prefix: String) -> Self {
        let io = tokio::runtime::Runtime::new().expect("threads");
        let connection = sinks::dynamodb::Connection {
            endpoint: Some(endpoint),
            region: Some("us-east-1".into()),
        };
        let client = io.block_on(connection.connect());
        let anyone = Credentials::new("test", "test", None, None, "tests");
        let config = client.config().to_builder().credentials_provider(anyone).build();
        Self { io, client: Client::from_conf(config), prefix }
    }

    /// Every item, also those that are no rows, in the order of their keys.
    fn items(&self, view: &str) -> Vec<Item> {
        let table = format!("{}{}", self.prefix, view.replace('_', "-"));
        let scan = self.client.scan().table_name(table).consistent_read(true);
        let all =
            async { scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await };
        let mut items = self.io.block_on(all).expect("an answer");
        let key =
            |item: &Item| ["project", "id", "status"].map(|name| format!("{:?}", item.get(name)));
        items.sort_by_key(key);
        items
    }
    fn everything(&self) -> Vec<Vec<Item>> {
        SHOWN_BY.iter().map(|(view, _)| self.items(view)).collect()
    }

    /// The rows of a view as a table of this database.
    fn copy(&self, db: &Connection, view: &str, shown_by: &str, columns: &[String]) {
        db.execute(&format!("create table {view} ({})", columns.join(", ")), []).expect("a table");
        let holes = vec!["?"; columns.len()].join(", ");
        let insert = format!("insert into {view} values ({holes})");
        for item in self.items(view).iter().filter(|item| item.contains_key(shown_by)) {
            let row = columns.iter().map(|name| value(name, item.get(name)));
            db.execute(&insert, params_from_iter(row)).expect("a row");
        }
    }
}

fn value(name: &str, attribute: Option<&AttributeValue>) -> Value {
    match attribute {
        Some(AttributeValue::N(us)) if name == NEWEST => {
            Value::Text(Cell::Time(us.parse().expect("microseconds")).to_string())
        }
        None | Some(AttributeValue::Null(_)) => Value::Null,
        Some(AttributeValue::S(text)) => Value::Text(text.clone()),
        Some(AttributeValue::N(number)) => Value::Integer(number.parse().expect("whole")),
        Some(other) => panic!("no column is {other:?}"),
    }
}

#[test]
fn on_dynamodb() {
    let Ok(endpoint) = std::env::var("TEST_DYNAMODB_ENDPOINT") else {
        let text = b"left out: on_dynamodb needs TEST_DYNAMODB_ENDPOINT\n";
        std::io::Write::write_all(&mut std::io::stderr(), text).expect("stderr");
        return;
    };
    let prefix = format!("killed{}-", std::process::id());
    let mut story = Story::new(3_000, format!("dynamodb:{prefix}"));
    story.kill_again_and_again();
    let tables = Tables::new(endpoint, prefix);
    let db = story.source.in_sql().expect("the source");
    for (view, shown_by) in SHOWN_BY {
        let (_, sql) = VIEWS.iter().find(|(name, _)| *name == view).expect("a view");
        tables.copy(&db, view, shown_by, &columns_of(&db, sql));
        assert_same(&db, view, sql, &format!("select * from {view}"));
    }
    let before = tables.everything();
    assert_eq!(story.finish(), 0, "nothing is left to do");
    // From the file's beginning, over tables that have all of it.
    std::fs::remove_dir_all(story.inside("state")).expect("the state is lost");
    assert!(story.finish() > 0, "all of it again");
    assert_eq!(tables.everything(), before);
}
