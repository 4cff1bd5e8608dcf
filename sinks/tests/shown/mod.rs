//! What derived sinks show, read back as rows, and a place for objects that answers badly.
#![allow(dead_code, reason = "each test file uses its part of this")]
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use sinks::{
    Cell, Column, Float, SinkError, Type, View,
    objects::{Object, Objects, Put, When},
};
use std::sync::atomic::{AtomicU64, Ordering};

/// A row as it is written out, as key and row.
pub fn row(view: &View, json: &Value) -> (Vec<Cell>, Vec<Cell>) {
    let columns = view.key.len() + view.columns.len();
    assert_eq!(json.as_object().map(|row| row.len()), Some(columns), "columns of {}", view.name);
    let cells = |columns: &[Column]| -> Vec<Cell> {
        columns.iter().map(|column| cell(column.kind, &json[column.name])).collect()
    };
    (cells(view.key), cells(view.columns))
}

fn cell(kind: Type, json: &Value) -> Cell {
    match (kind, json) {
        (_, Value::Null) => Cell::Null,
        (Type::Int, Value::Number(n)) => Cell::Int(n.as_i64().unwrap()),
        (Type::Text, Value::String(text)) => Cell::Text(text.clone()),
        (Type::Decimal, Value::String(text)) => Cell::Decimal(text.parse().unwrap()),
        (Type::Words, Value::Array(words)) => {
            Cell::Words(words.iter().map(|word| word.as_str().unwrap().to_owned()).collect())
        }
        (Type::Bool, Value::Bool(is_so)) => Cell::Bool(*is_so),
        (Type::Float, Value::Number(number)) => Cell::Float(Float::new(number.as_f64().unwrap())),
        (Type::List, Value::Array(_)) => Cell::parse(kind, &json.to_string()).unwrap(),
        (Type::Time | Type::Date | Type::Uuid | Type::Bytes | Type::Json, Value::String(text)) => {
            Cell::parse(kind, text).unwrap()
        }
        (Type::Float, Value::String(text)) if !text.starts_with(|c: char| c.is_ascii_digit()) => {
            Cell::parse(kind, text).unwrap()
        }
        _ => panic!("{json} is no {kind:?}"),
    }
}

/// Fails now and then: before anything was done, or after all of it, as a lost answer would.
#[derive(Debug)]
pub struct Flaky<O> {
    objects: O,
    calls: AtomicU64,
    percent: u64,
}

impl<O> Flaky<O> {
    pub fn new(objects: O, percent: u64) -> Self {
        Self { objects, calls: AtomicU64::new(0), percent }
    }

    fn strike(&self) -> Result<(), SinkError> {
        // The calls' numbers, mixed well (splitmix64): the same calls fail in every run.
        let n = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        if (n >> 33) % 100 < self.percent {
            return Err(SinkError::transient(anyhow::anyhow!("made to fail")));
        }
        Ok(())
    }
}

#[async_trait]
impl<O: Objects> Objects for Flaky<O> {
    async fn get(&self, name: &str) -> Result<Option<Object>, SinkError> {
        self.strike()?;
        self.objects.get(name).await
    }
    async fn put(&self, name: &str, bytes: Bytes, when: When) -> Result<Put, SinkError> {
        self.strike()?;
        let done = self.objects.put(name, bytes, when).await?;
        self.strike()?;
        Ok(done)
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        self.strike()?;
        self.objects.list(prefix).await
    }
    async fn delete(&self, name: &str) -> Result<(), SinkError> {
        self.strike()?;
        self.objects.delete(name).await
    }
    fn address(&self, name: &str) -> String {
        self.objects.address(name)
    }
}
