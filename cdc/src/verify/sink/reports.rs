//! Reports, in S3 or a folder: each is compared at its own `as_of`.
use super::super::{
    compare::Digest,
    log::Positions,
    outcome::{Difference, Field, Kind, Outcome, ViewOutcome, difference, pair},
    session::Session,
    sorted::Row,
    sql::{Rows, SUMMARY},
};
use crate::demo::answers::cell;
use anyhow::Context;
use serde::Deserialize;
use serde_json::{Map, Value};
use sinks::{
    Cell, Column, Partition, Type, View,
    reports::{Latest, Reports},
};
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Document {
    as_of: BTreeMap<String, i64>,
    rows: Vec<Map<String, Value>>,
}

pub fn verify(
    session: &mut Session<'_>,
    reports: &Reports,
    views: &[View],
) -> anyhow::Result<Outcome> {
    let io = session.io;
    let names = reports.names();
    let seconds = session.config.policy.publish_every_ms.unwrap_or(0) / 1000;
    let advice = format!(
        "Reports are published every FLUSH_INTERVAL_SECONDS ({seconds} here) and at the service's exit: wait longer \
         with --wait-seconds."
    );
    session.wait_for_service(
        || {
            let mut least: Option<Positions> = None;
            for name in &names {
                let Some(latest) = io.block_on(reports.latest(name))? else {
                    return Ok(Positions::new());
                };
                // One that cannot be read is a difference, and nothing to wait for.
                let Ok(document) = read(&latest) else { continue };
                let at = positions(&document);
                least = Some(match least {
                    None => at,
                    Some(least) => least
                        .into_iter()
                        .filter_map(|(p, next)| Some((p.clone(), next.min(*at.get(&p)?))))
                        .collect(),
                });
            }
            Ok(least.unwrap_or_else(|| session.floor.clone()))
        },
        &advice,
    )?;
    let mut outcome =
        Outcome { position: session.floor.clone(), views: Vec::new(), notes: Vec::new() };
    for name in names {
        let latest = io.block_on(reports.latest(name))?.context("a report that was just there")?;
        let mut of_view = ViewOutcome::new(name);
        match read(&latest) {
            Ok(document) => {
                let at = positions(&document);
                session.extend(&at)?;
                one(session, views, name, &document, &at, &mut of_view)?;
                outcome.position = at;
            }
            Err(why) => of_view.add(Difference {
                kind: Kind::Different,
                key: vec![latest.address.as_str().into()],
                fields: vec![Field { name: "document".into(), want: Cell::Null, have: Cell::Null }],
                note: Some(why.to_string()),
            }),
        }
        outcome.views.push(of_view);
    }
    Ok(outcome)
}

fn read(latest: &Latest) -> anyhow::Result<Document> {
    serde_json::from_slice(&latest.bytes)
        .with_context(|| format!("{} is no report", latest.address))
}

fn positions(document: &Document) -> Positions {
    let one = |(name, next): (&String, &i64)| {
        let (topic, index) = name.rsplit_once('/')?;
        Some((Partition::new(topic, index.parse().ok()?), *next))
    };
    document.as_of.iter().filter_map(one).collect()
}

fn one(
    session: &Session<'_>,
    views: &[View],
    name: &str,
    document: &Document,
    at: &Positions,
    of_view: &mut ViewOutcome,
) -> anyhow::Result<()> {
    let view = views.iter().find(|view| view.name == name);
    let (key, columns): (&[Column], &[Column]) = match view {
        Some(view) => (view.key, view.columns),
        None => (&[], SUMMARY_COLUMNS),
    };
    let all: Vec<Column> = key.iter().chain(columns).copied().collect();
    let mut want: Vec<Row> = Vec::new();
    for row in session.whole(name, Rows::Ranked, at, all)? {
        want.push(super::super::snapshot::cut(row?, key.len()));
    }
    let have: Vec<Row> = document
        .rows
        .iter()
        .map(|row| {
            let cells = |columns: &[Column]| -> Vec<Cell> {
                columns.iter().map(|column| shown(row.get(column.name), column.kind)).collect()
            };
            (cells(key), cells(columns))
        })
        .collect();
    debug_assert!(name != SUMMARY || key.is_empty());
    rows(want, have, columns, of_view);
    Ok(())
}

/// By key, and by place: a report ranks its rows.
fn rows(want: Vec<Row>, have: Vec<Row>, columns: &[Column], of_view: &mut ViewOutcome) {
    let mut names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    names.push("place");
    let placed = |rows: Vec<Row>, digest: &mut Digest| {
        let mut by_key: BTreeMap<Vec<Cell>, Vec<Cell>> = BTreeMap::new();
        for (place, (key, mut row)) in (1..).zip(rows) {
            row.push(Cell::Int(place));
            digest.add(&key, &row);
            by_key.insert(key, row);
        }
        by_key
    };
    of_view.rows = want.len() as u64;
    let want = placed(want, &mut of_view.source);
    let mut have = placed(have, &mut of_view.sink);
    let (mut found, mut membership) = (Vec::new(), false);
    for (key, row) in want {
        let there = have.remove(&key);
        membership |= there.is_none();
        found.extend(pair(&key, Some(row), there).and_then(|pair| difference(pair, &names)));
    }
    membership |= !have.is_empty();
    for (key, row) in have {
        found.extend(pair(&key, None, Some(row)).and_then(|pair| difference(pair, &names)));
    }
    for mut difference in found {
        // Where rows came or went, or a value was changed, the places of others follow.
        if membership {
            difference.fields.retain(|field| field.name != "place");
        }
        if difference.kind != Kind::Different || !difference.fields.is_empty() {
            of_view.add(difference);
        }
    }
}

fn shown(value: Option<&Value>, kind: Type) -> Cell {
    cell(value, kind)
        .unwrap_or_else(|_| Cell::Text(value.map(Value::to_string).unwrap_or_default()))
}

const SUMMARY_COLUMNS: &[Column] = &[
    Column::new("orders", Type::Int),
    Column::new("revenue", Type::Decimal),
    Column::new("customers", Type::Int),
    Column::new("products_sold", Type::Int),
    Column::new("units", Type::Int),
    Column::new("average_order_value", Type::Decimal),
];
