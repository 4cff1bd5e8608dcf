//! What a report shows: which rows, in which order, as JSON.
use super::{merge::merge, part::Part};
use crate::{Cell, Column, Failed, Type, View};
use anyhow::{Context as _, anyhow};
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize, ser::SerializeMap};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};
use views::Decimal;

/// The rows with the greatest values only, the greatest first; equal ones in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    pub view: &'static str,
    pub by: &'static str,
    pub rows: usize,
}

/// One value of the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// How many rows the view has.
    Rows(&'static str),
    /// The sum of a column over all rows of a view; 0 without rows.
    Sum(&'static str, &'static str),
    /// One figure divided by another, to two places, half away from zero; null where that other is 0.
    Ratio(&'static str, &'static str),
}

/// Views without a [`Top`] are reported whole, in the order of their keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    pub tops: Vec<Top>,
    /// The one row of report `summary`, in this order; empty: no such report.
    pub summary: Vec<(&'static str, Figure)>,
}

#[derive(Debug, Clone)]
pub struct Head {
    /// RFC 3339; the timestamp of the newest record in it.
    pub generated_at: Option<String>,
    /// `topic/partition` -> the next offset.
    pub as_of: BTreeMap<String, i64>,
}

#[derive(Debug)]
pub struct Published {
    pub name: &'static str,
    pub head: Head,
    rows: Vec<Vec<(&'static str, Cell)>>,
}

/// Every view's report, then the summary.
pub fn make(parts: &[Part], views: &[View], settings: &Settings) -> anyhow::Result<Vec<Published>> {
    let newest_ms = parts.iter().map(|part| part.head.newest_ms).max();
    let newest = newest_ms.filter(|ms| *ms >= 0).and_then(DateTime::from_timestamp_millis);
    let head = Head {
        generated_at: newest.map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true)),
        as_of: parts.iter().map(|part| (part.name(), part.next())).collect(),
    };
    let mut tables: Vec<Table<'_>> =
        views.iter().map(|view| Table::new(view, settings)).collect::<anyhow::Result<_>>()?;
    merge(parts, |view, key, shares| {
        // A view that this version does not report any more.
        let Ok(at) = tables.binary_search_by_key(&view, |table| table.view.name) else {
            return Ok(());
        };
        let key: Vec<Cell> = serde_json::from_str(key).context("a key of a part")?;
        tables[at].add(key, shares)?;
        Ok(())
    })?;
    let summary = summary(&tables, settings)?;
    let mut reports: Vec<Published> = tables
        .into_iter()
        .map(|table| Published { name: table.view.name, head: head.clone(), rows: table.rows() })
        .collect();
    if !summary.is_empty() {
        reports.push(Published { name: "summary", head, rows: vec![summary] });
    }
    Ok(reports)
}

/// The rows of one view that will be shown, and sums over all of them.
struct Table<'a> {
    view: &'a View,
    top: Option<(usize, usize)>,
    all: Vec<Ranked>,
    best: BinaryHeap<Reverse<Ranked>>,
    count: i64,
    sums: Vec<Cell>,
}

impl<'a> Table<'a> {
    fn new(view: &'a View, settings: &Settings) -> anyhow::Result<Self> {
        let top = settings.tops.iter().find(|top| top.view == view.name);
        let top = match top {
            Some(top) => Some((column(view, top.by)?, top.rows)),
            None => None,
        };
        let sums = view.columns.iter().map(zero).collect();
        Ok(Self { view, top, all: Vec::new(), best: BinaryHeap::new(), count: 0, sums })
    }

    fn add(&mut self, key: Vec<Cell>, shares: &[Vec<Cell>]) -> Result<(), Failed> {
        let row = self.view.row(None, shares.iter().map(Vec::as_slice))?;
        let Some(row) = row else { return Ok(()) };
        self.count += 1;
        for (sum, cell) in self.sums.iter_mut().zip(&row) {
            add(sum, cell);
        }
        let Some((by, rows_max)) = self.top else {
            self.all.push(Ranked { by: Cell::Null, key, row });
            return Ok(());
        };
        let by = row.get(by).cloned().unwrap_or(Cell::Null);
        self.best.push(Reverse(Ranked { by, key, row }));
        if self.best.len() > rows_max {
            self.best.pop();
        }
        Ok(())
    }

    fn rows(self) -> Vec<Vec<(&'static str, Cell)>> {
        let mut ranked = self.all;
        ranked.extend(self.best.into_iter().map(|Reverse(row)| row));
        ranked.sort_unstable_by(|a, b| b.cmp(a));
        let columns = || self.view.key.iter().chain(self.view.columns).map(|column| column.name);
        let named = |Ranked { key, row, .. }| columns().zip(key.into_iter().chain(row)).collect();
        ranked.into_iter().map(named).collect()
    }
}

/// Greater is shown first: the greater value, then the smaller key.
#[derive(PartialEq, Eq)]
struct Ranked {
    by: Cell,
    key: Vec<Cell>,
    row: Vec<Cell>,
}
impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.by.cmp(&other.by).then_with(|| other.key.cmp(&self.key))
    }
}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn column(view: &View, name: &str) -> anyhow::Result<usize> {
    let found = view.columns.iter().position(|column| column.name == name);
    found.ok_or_else(|| {
        anyhow!("view {} has no column {name}: correct the reports' settings", view.name)
    })
}

fn zero(column: &Column) -> Cell {
    match column.kind {
        Type::Int => Cell::Int(0),
        Type::Decimal => Cell::Decimal(Decimal::ZERO),
        _ => Cell::Null,
    }
}

fn add(sum: &mut Cell, cell: &Cell) {
    match (sum, cell) {
        (Cell::Int(sum), Cell::Int(n)) => *sum = sum.saturating_add(*n),
        (Cell::Decimal(sum), Cell::Decimal(d)) => *sum += d,
        _ => {}
    }
}

fn summary(tables: &[Table<'_>], settings: &Settings) -> anyhow::Result<Vec<(&'static str, Cell)>> {
    let table = |name: &str| {
        let found = tables.iter().find(|table| table.view.name == name);
        found.ok_or_else(|| anyhow!("there is no view {name}: correct the reports' settings"))
    };
    let mut row: Vec<(&'static str, Cell)> = Vec::new();
    for (name, figure) in &settings.summary {
        let cell = match figure {
            Figure::Rows(view) => Cell::Int(table(view)?.count),
            Figure::Sum(view, of) => {
                let table = table(view)?;
                table.sums[column(table.view, of)?].clone()
            }
            Figure::Ratio(above, below) => {
                let of = |name: &str| row.iter().find(|(n, _)| *n == name).map(|(_, cell)| cell);
                ratio(of(above), of(below))
            }
        };
        row.push((name, cell));
    }
    Ok(row)
}

fn ratio(above: Option<&Cell>, below: Option<&Cell>) -> Cell {
    let number = |cell: Option<&Cell>| match cell {
        Some(Cell::Int(n)) => Some(BigDecimal::from(*n)),
        Some(Cell::Decimal(d)) => Some(d.to_big()),
        _ => None,
    };
    match (number(above), number(below)) {
        (Some(above), Some(below)) if !below.is_zero() => {
            Cell::Decimal((above / below).with_scale_round(2, RoundingMode::HalfUp).into())
        }
        _ => Cell::Null,
    }
}

impl Published {
    pub fn json(&self) -> anyhow::Result<Bytes> {
        #[derive(Serialize)]
        struct Document<'a> {
            report: &'a str,
            generated_at: &'a Option<String>,
            as_of: &'a BTreeMap<String, i64>,
            rows: Vec<Row<'a>>,
        }
        let document = Document {
            report: self.name,
            generated_at: &self.head.generated_at,
            as_of: &self.head.as_of,
            rows: self.rows.iter().map(|row| Row(row)).collect(),
        };
        Ok(serde_json::to_vec(&document).context("a report as JSON")?.into())
    }
}

/// A row as people read it: whole numbers, floats and bools as such (a `NaN` and infinite ones as text), words and lists as a
/// list, all else as text.
pub struct Row<'a>(pub &'a [(&'static str, Cell)]);
impl Serialize for Row<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (name, cell) in self.0 {
            match cell {
                Cell::Null => map.serialize_entry(name, &())?,
                Cell::Int(n) => map.serialize_entry(name, n)?,
                Cell::Text(text) => map.serialize_entry(name, text)?,
                Cell::Words(words) => map.serialize_entry(name, words)?,
                Cell::Bool(is_so) => map.serialize_entry(name, is_so)?,
                Cell::Float(number) if number.get().is_finite() => {
                    map.serialize_entry(name, &number.get())?;
                }
                Cell::List(list) => map.serialize_entry(name, list)?,
                text => map.serialize_entry(name, &text.to_string())?,
            }
        }
        map.end()
    }
}

/// The `as_of` of a report that was published.
pub fn position_of(bytes: &[u8]) -> Result<BTreeMap<String, i64>, &'static str> {
    #[derive(Deserialize)]
    struct Position {
        as_of: BTreeMap<String, i64>,
    }
    let read: Result<Position, _> = serde_json::from_slice(bytes);
    read.map(|position| position.as_of).map_err(|_| "is no report")
}
