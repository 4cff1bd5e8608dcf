//! Dead letters that explain a difference. Best effort: what cannot be read explains nothing.
use super::{
    outcome::{Outcome, ViewOutcome},
    session::{Session, made_of},
};
use consumers::{
    service,
    source_table::{SourceColumn, SourceType},
};
use serde_json::Value;
use sinks::{Cell, Letter, Type, dlq};
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
        let mut of_key: HashMap<Vec<Cell>, String> = HashMap::new();
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
    for view in &mut outcome.views {
        for difference in &mut view.differences {
            if let Some(name) = of_key.get(made_of(&view.view, &difference.key)) {
                difference.note = Some(format!("a dead letter explains it: {name}"));
            }
        }
    }
}

/// The view's rows that the record would have touched, as far as it can be told.
fn keys(letter: &Letter, session: &Session<'_>) -> Vec<Vec<Cell>> {
    let Some(table) = session.table_of(&letter.partition.topic) else { return Vec::new() };
    let json = |bytes: &Option<Vec<u8>>| {
        let value: Value = serde_json::from_slice(bytes.as_deref()?).ok()?;
        Some(value.get("payload").cloned().unwrap_or(value))
    };
    let columns = table.counted_columns();
    if table.is_counted_by_key() {
        let key = json(&letter.key);
        return cells(key.as_ref(), &columns).into_iter().collect();
    }
    let Some(value) = json(&letter.value) else { return Vec::new() };
    let images = [value.get("before"), value.get("after")];
    images.into_iter().filter_map(|row| cells(row, &columns)).collect()
}

/// These columns of a row, or of a key. Other numbers, times and bytes are written in many ways, and nothing is made of
/// them.
fn cells(row: Option<&Value>, columns: &[&SourceColumn]) -> Option<Vec<Cell>> {
    let cell = |column: &&SourceColumn| {
        let value = row?.get(&column.name)?;
        match column.kind {
            SourceType::Int => value.as_i64().map(Cell::Int),
            SourceType::Text => value.as_str().map(Cell::from),
            SourceType::Bool => value.as_bool().map(Cell::Bool),
            SourceType::Uuid => Cell::parse(Type::Uuid, value.as_str()?),
            SourceType::Decimal | SourceType::Time | SourceType::Float | SourceType::Date => None,
            SourceType::Bytes | SourceType::Json | SourceType::List => None,
        }
    };
    columns.iter().map(cell).collect()
}
