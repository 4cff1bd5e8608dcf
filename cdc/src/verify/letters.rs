//! Dead letters that explain a difference. Best effort: what cannot be read explains nothing.
use super::{
    outcome::{Outcome, ViewOutcome},
    session::Session,
};
use consumers::service;
use serde_json::Value;
use sinks::{Cell, Letter, dlq};
use std::collections::HashMap;

/// Letters that are looked at, the newest names first.
const LETTERS_MAX: usize = 1_000;

/// Only looks where there is something to explain.
pub fn explain(session: &Session<'_>, outcome: &mut Outcome) {
    if outcome.views.iter().all(ViewOutcome::is_exact) {
        return;
    }
    let config = session.config;
    let read = async {
        let objects = config.dlq.open(&service::endpoint(&config.aws)).await?;
        let names = dlq::list(&*objects, &format!("{}/", config.service.name())).await?;
        let mut of_key: HashMap<i64, String> = HashMap::new();
        for name in names.iter().rev().take(LETTERS_MAX) {
            let Ok(Some(stored)) = dlq::read_letter(&*objects, name).await else { continue };
            for key in keys(&stored.letter, session) {
                of_key.entry(key).or_insert_with(|| name.clone());
            }
        }
        Ok::<_, sinks::SinkError>((names.len(), of_key))
    };
    let Ok((count, of_key)) = session.io.block_on(read) else { return };
    if count == 0 {
        return;
    }
    outcome.notes.push(format!("{count} dead letters of this service: see `cdc dlq list`"));
    for difference in outcome.views.iter_mut().flat_map(|view| &mut view.differences) {
        let letter = difference.key.last().and_then(Cell::int).and_then(|key| of_key.get(&key));
        if let Some(name) = letter {
            difference.note = Some(format!("a dead letter explains it: {name}"));
        }
    }
}

/// The view's rows that the record would have touched, as far as it can be told.
fn keys(letter: &Letter, session: &Session<'_>) -> Vec<i64> {
    let Some(table) = session.table_of(&letter.partition.topic) else { return Vec::new() };
    let json = |bytes: &Option<Vec<u8>>| {
        let value: Value = serde_json::from_slice(bytes.as_deref()?).ok()?;
        Some(value.get("payload").cloned().unwrap_or(value))
    };
    let of = |row: Option<&Value>, column: &str| row?.get(column)?.as_i64();
    if table.key == "id" {
        let key = json(&letter.key);
        return of(key.as_ref(), table.key_name()).into_iter().collect();
    }
    let Some(value) = json(&letter.value) else { return Vec::new() };
    let images = [value.get("before"), value.get("after")];
    images.into_iter().filter_map(|row| of(row, table.key_name())).collect()
}
