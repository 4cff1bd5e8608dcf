//! The recorded records under `tests/fixtures`, one a line, as a real Debezium wrote them.
#![allow(dead_code)] // each test file uses some of it
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(Debug, Deserialize)]
pub struct Record {
    pub topic: String,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    headers: BTreeMap<String, String>,
}
impl Record {
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref().map(str::as_bytes)
    }
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref().map(str::as_bytes)
    }
    pub fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let bytes = |text: &String| Some(text.clone().into_bytes());
        self.headers.iter().map(|(name, value)| (name.clone(), bytes(value))).collect()
    }
}

pub fn path(inside_tests: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(inside_tests)
}

/// Every record of a folder, by topic and offset.
pub fn folder(name: &str) -> Vec<Record> {
    let mut files: Vec<PathBuf> = fs::read_dir(path("fixtures").join(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "ndjson"))
        .collect();
    files.sort();
    let lines = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Record>>()
    });
    lines.collect()
}

pub const FOLDERS: [&str; 3] = ["json-schemaless", "json-with-schema", "json-unwrapped"];

/// What somebody would configure to read the schemaless recording.
pub const FORMATS: &str = "all_types.c_numeric_10_2=decimal(2),all_types.c_numeric_38_0=decimal(0),\
    all_types.c_money=decimal(2),all_types.c_date=days,all_types.c_timestamp=micros,\
    all_types.c_timestamp_3=millis,all_types.c_timestamptz=iso,products.price=decimal(2),\
    products.weight_kg=decimal(3),products.created_at=iso,products.updated_at=iso,orders.total=decimal(2),\
    orders.created_at=iso,order_items.unit_price=decimal(2),audit_log.at=micros,customers.created_at=iso";
