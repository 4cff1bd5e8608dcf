//! PostgreSQL's own answers, and how ours are held against them.
use anyhow::{Context, anyhow};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;
use sinks::Decimal;
use sinks::{Cell, Type, View, dlq, key_text, objects::Dir};
use std::{collections::BTreeMap, path::Path};

type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;
type Answer = serde_json::Map<String, Value>;

#[derive(Deserialize)]
pub struct Answers {
    poison: Vec<Poison>,
    views: BTreeMap<String, Vec<Answer>>,
}
#[derive(Deserialize)]
struct Poison {
    topic: String,
    partition: i32,
    offset: i64,
}

impl Answers {
    pub fn read(gz: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_reader(flate2::read::GzDecoder::new(gz))
            .context("the bundled answers are damaged")
    }
    /// Topic, partition and offset of every record that must be a dead letter.
    pub fn poison(&self) -> impl Iterator<Item = (&str, i32, i64)> {
        self.poison.iter().map(|poison| (&*poison.topic, poison.partition, poison.offset))
    }
    pub fn count(&self, view: &str) -> usize {
        self.views.get(view).map_or(0, Vec::len)
    }

    /// Every row of the view, column by column, in both directions. Each difference is a sentence.
    pub fn compare(&self, view: &View, rows: &Rows) -> anyhow::Result<Vec<String>> {
        let answers =
            self.views.get(view.name).ok_or_else(|| anyhow!("no answers for {}", view.name))?;
        let mut differences = Vec::new();
        let mut left = rows.clone();
        for answer in answers {
            let key: Vec<Cell> = view
                .key
                .iter()
                .map(|column| cell(answer.get(column.name), column.kind))
                .collect::<anyhow::Result<_>>()?;
            let Some(row) = left.remove(&key) else {
                differences.push(format!("{} {} is missing", view.name, key_text(&key)));
                continue;
            };
            for (column, have) in view.columns.iter().zip(&row) {
                let Some(want) = answer.get(column.name) else { continue };
                let want = cell(Some(want), column.kind)?;
                if *have != want {
                    let at = format!("{} {} {}", view.name, key_text(&key), column.name);
                    differences.push(format!("{at} is {have}, PostgreSQL says {want}"));
                }
            }
        }
        differences.extend(
            left.keys().map(|key| format!("{} {} is one too many", view.name, key_text(key))),
        );
        Ok(differences)
    }
}

pub(crate) fn cell(value: Option<&Value>, kind: Type) -> anyhow::Result<Cell> {
    let as_text =
        |value: &Value| value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(Cell::Null) };
    Ok(match kind {
        Type::Int => Cell::Int(value.as_i64().context("not an integer")?),
        Type::Decimal => Cell::Decimal(as_text(value).parse::<Decimal>()?),
        Type::Time => Cell::Time(DateTime::parse_from_rfc3339(&as_text(value))?.timestamp_micros()),
        Type::Text => Cell::Text(as_text(value)),
        Type::Words => Cell::Words(as_text(value).split(' ').map(str::to_owned).collect()),
        kind => Cell::parse(kind, &as_text(value)).context("not a value of its type")?,
    })
}

/// The first rows, as a table.
pub fn show_head(view: &View, rows: &Rows) {
    let names: Vec<&str> = view.key.iter().chain(view.columns).map(|column| column.name).collect();
    println!("{}", view.name);
    let mut table = vec![names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()];
    for (key, row) in rows.iter().take(3) {
        let short = |cell: &Cell| {
            let line = cell.to_string().replace('\n', " ");
            let cut: String = line.chars().take(22).collect();
            if cut.len() < line.len() { format!("{cut}...") } else { line }
        };
        table.push(key.iter().chain(row).map(short).collect());
    }
    let width = |n: usize| table.iter().map(|row| row[n].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..names.len()).map(width).collect();
    for row in &table {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("  {}", cells.join("  ").trim_end());
    }
}

/// The reports in the folder: each row must be one of PostgreSQL's.
pub fn compare_reports(
    lake: &Path,
    views: &[View],
    answers: &Answers,
) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    for name in ["daily_sales", "product_sales", "customer_metrics", "order_status"] {
        let path = lake.join("reports").join(name).join("latest.json");
        let bytes =
            std::fs::read(&path).with_context(|| format!("no report {}", path.display()))?;
        let report: Value = serde_json::from_slice(&bytes)?;
        let view = views.iter().find(|view| view.name == name).context("a view of that name")?;
        let rows = report["rows"].as_array().context("a report has rows")?;
        let all = answers.views.get(name).context("answers of that name")?;
        if rows.len() != all.len().min(100) && name != "daily_sales" {
            differences.push(format!("{name} has {} rows in the folder", rows.len()));
        }
        for row in rows {
            let of_key = |answer: &&Answer| {
                view.key.iter().all(|key| answer.get(key.name) == row.get(key.name))
            };
            let Some(answer) = all.iter().find(of_key) else {
                differences.push(format!("{name} in the folder has a row too many"));
                continue;
            };
            for column in view.columns {
                let have = cell(row.get(column.name), column.kind)?;
                let want = cell(answer.get(column.name), column.kind)?;
                if have != want {
                    let at = format!("{name}.{} in the folder", column.name);
                    differences.push(format!("{at} is {have}, PostgreSQL says {want}"));
                }
            }
        }
    }
    Ok(differences)
}

/// Exactly the poison records, once for each service that reads their topic.
pub fn compare_letters(
    io: &tokio::runtime::Runtime,
    dir: &Path,
    answers: &Answers,
) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    let objects = io.block_on(Dir::open(dir))?;
    let names = io.block_on(dlq::list(&objects, ""))?;
    println!("{} dead letters:", names.len());
    for name in &names {
        let letter =
            io.block_on(dlq::read_letter(&objects, name))?.context("it was just listed")?;
        println!("  {name}\n    {}: {}", letter.letter.reason.as_str(), letter.letter.error);
        let at =
            (&*letter.letter.partition.topic, letter.letter.partition.index, letter.letter.offset);
        let is_it = |poison: &Poison| (&*poison.topic, poison.partition, poison.offset) == at;
        if !answers.poison.iter().any(is_it) {
            differences.push(format!("{name} is no poison"));
        }
    }
    for poison in &answers.poison {
        let place = format!("/{}/{}/{}.json", poison.topic, poison.partition, poison.offset);
        let found = names.iter().filter(|name| name.ends_with(&place)).count();
        let readers = if poison.topic.ends_with("order_items") { 3 } else { 2 };
        if found != readers {
            differences.push(format!("{place} is {found} times in the DLQ, not {readers} times"));
        }
    }
    Ok(differences)
}
