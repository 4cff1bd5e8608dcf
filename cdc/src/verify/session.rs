//! One verification under way: snapshot, log, and the position from which on everything that the snapshot sees is
//! applied.
use super::{
    Options,
    log::{Log, Positions},
    row_key::RowKey,
    snapshot::{self, Expected, Snapshot, Wait, cut},
    sorted::{Merged, Row, Sorter},
    sql::{self, Rows, Table},
    window::{Patch, Reader, Window},
};
use anyhow::{Context, bail};
use consumers::{
    config::{Config, Service},
    handlers::search,
    runtime::wall_ms,
    source_table::{self, before_name},
};
use sinks::{Cell, Column, Partition, Type, View, words};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// The log is looked at from some time before the snapshot: a commit may be sent before other sessions see it.
const BEFORE_MS: i64 = 10_000;
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Memory for sorting.
pub const SORT_BYTES: usize = 64 << 20;

pub struct Session<'r> {
    pub config: &'r Config,
    pub io: &'r Runtime,
    pub log: Log,
    pub snapshot: Snapshot<'r>,
    pub tables: Vec<Table>,
    pub window: Window,
    pub reader: Reader,
    pub partitions: Vec<Partition>,
    /// Everything that the snapshot sees is below.
    pub floor: Positions,
    /// How it is known.
    pub waited: String,
    pub until: Instant,
}

impl<'r> Session<'r> {
    pub fn begin(config: &'r Config, options: &Options, io: &'r Runtime) -> anyhow::Result<Self> {
        let until = Instant::now() + options.wait;
        let log = Log::new(config)?;
        let marker = options.marker_table.as_deref().map(|table| {
            let first = config.tables.first();
            let prefix = first.and_then(|table| before_name(table.topic(), &table.name));
            let prefix = prefix.unwrap_or_default();
            snapshot::marker(table, options.marker_topic.as_deref(), prefix, &options.schema)
        });
        let partitions = log.partitions(&config.kafka.topics)?;
        let marks = match &marker {
            // Made with the first marker ever, where it is not there yet.
            Some(marker) => match log.partitions(std::slice::from_ref(&marker.topic)) {
                Ok(of_marker) => Some(log.ends(&of_marker)?),
                Err(_) => Some(Positions::new()),
            },
            None => None,
        };
        // First the ends, then the snapshot: what was in the log before is in the snapshot.
        let ends = log.ends(&partitions)?;
        let begin = log.since(&ends, wall_ms() - BEFORE_MS)?;
        let snapshot = Snapshot::take(io, &options.dsn)?;
        let types = snapshot.types(&options.schema, &config.tables)?;
        let tables = sql::tables(config, &options.schema, &types);
        let how = Wait { marker, slot: options.slot.clone() };
        let marks = marks.as_ref();
        let waited = snapshot::wait(io, &options.dsn, &log, &how, marks, &snapshot.lsn, until)?;
        let floor = log.ends(&partitions)?;
        let window = Window::new(config, begin);
        let reader = Reader::new(config);
        let mut session = Self {
            config,
            io,
            log,
            snapshot,
            tables,
            window,
            reader,
            partitions,
            floor,
            waited,
            until,
        };
        let floor = session.floor.clone();
        session.extend(&floor)?;
        Ok(session)
    }

    /// The window reaches as far as that.
    pub fn extend(&mut self, to: &Positions) -> anyhow::Result<()> {
        self.window.extend(&self.log, &self.reader, to)
    }

    /// Asks for positions until all of them are at or beyond the floor. An error says who is behind, and by how much.
    pub fn wait_for_service(
        &self,
        mut ask: impl FnMut() -> anyhow::Result<Positions>,
        advice: &str,
    ) -> anyhow::Result<Positions> {
        loop {
            let now = ask()?;
            let behind = self.behind(&now)?;
            if behind.is_empty() {
                return Ok(now);
            }
            if Instant::now() >= self.until {
                let idle = match self.log.members() {
                    Some(0) => format!(
                        " Nobody is in group {}: the service is not running.",
                        self.log.group
                    ),
                    _ => String::new(),
                };
                bail!(
                    "the service has not applied all that the snapshot sees: {}.{idle} {advice}",
                    behind.join(", ")
                );
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    fn behind(&self, now: &Positions) -> anyhow::Result<Vec<String>> {
        let mut behind = Vec::new();
        for (partition, floor) in &self.floor {
            let at = now.get(partition);
            if at.is_some_and(|at| at >= floor) {
                continue;
            }
            let (begin, _) = self.log.bounds(partition)?;
            match at {
                Some(at) => {
                    behind.push(format!("{partition} stands at {at}, {} behind", floor - at));
                }
                // Nothing was ever there to apply.
                None if begin >= *floor => {}
                None => {
                    behind.push(format!("{partition} at its beginning, {} behind", floor - begin));
                }
            }
        }
        Ok(behind)
    }

    /// The table whose changes are in this topic.
    pub fn table_of(&self, topic: &str) -> Option<&Table> {
        let source = source_table::of_topic(&self.config.tables, topic)?;
        self.tables.iter().find(|table| table.source.alias == source.alias)
    }

    /// The patches of all tables at a position.
    pub fn patches(&self, at: &Positions) -> anyhow::Result<Vec<Patch>> {
        let patch = |table: &Table| self.window.patch(table.source.alias, at);
        self.tables.iter().map(patch).collect()
    }

    /// What PostgreSQL says the view is at the position, in the order of keys.
    pub fn expected<'s>(&'s self, view: &View, at: &Positions) -> anyhow::Result<Source<'s>> {
        if self.is_of_search(view, search::TOKENS) {
            return self.tokens(at).map(Source::Sorted);
        }
        let rows = self.whole(view.name, Rows::All, at, self.statement_columns(view))?;
        let words = self.is_of_search(view, search::INDEX);
        Ok(Source::Rows { rows, key: view.key.len(), words })
    }

    /// Whether it is the search service's view of this name: anybody may call a view in SQL so.
    fn is_of_search(&self, view: &View, name: &str) -> bool {
        self.config.service == Service::Search && view.name == name
    }

    fn statement_columns(&self, view: &View) -> Vec<Column> {
        if self.is_of_search(view, search::INDEX) {
            return search_columns();
        }
        view.key.iter().chain(view.columns).copied().collect()
    }

    /// Of a view or the summary, its rows at the position.
    pub fn whole<'s>(
        &'s self,
        view: &str,
        rows: Rows,
        at: &Positions,
        columns: Vec<Column>,
    ) -> anyhow::Result<Expected<'s>> {
        let sql = sql::view(self.config, &self.tables, view, rows)
            .with_context(|| format!("there is no SQL of view {view}"))?;
        let patches = snapshot::whole(&self.tables, self.patches(at)?);
        self.snapshot.rows(&sql, &patches, columns)
    }

    /// The words of all products, sorted by word.
    fn tokens(&self, at: &Positions) -> anyhow::Result<Merged> {
        let mut sorter = Sorter::new(SORT_BYTES);
        for row in self.whole(search::INDEX, Rows::All, at, search_columns())? {
            let row = row?;
            for word in words_of(&row[1..]) {
                sorter.push((vec![word.into(), row[0].clone()], Vec::new()))?;
            }
        }
        sorter.finish()
    }

    /// What PostgreSQL says these rows of a keyed view are, each at a position of its own; keys once.
    pub fn of_keys(
        &self,
        view: &str,
        wanted: &[(RowKey, Positions)],
    ) -> anyhow::Result<HashMap<RowKey, Vec<Cell>>> {
        let sql = sql::view(self.config, &self.tables, view, Rows::Keys)
            .with_context(|| format!("there is no SQL of view {view}"))?;
        let views = consumers::service::views(self.config);
        let of_view = views.iter().find(|known| known.name == view).context("a view")?;
        let touched: Vec<_> =
            self.tables.iter().map(|table| self.touched(table)).collect::<anyhow::Result<_>>()?;
        let patches = |(key, at): &(RowKey, Positions)| {
            let one = |(table, by_key): (&Table, &HashMap<RowKey, BTreeSet<RowKey>>)| {
                let rows = by_key.get(key).into_iter().flatten();
                self.window.patch_of(table.source.alias, rows, at)
            };
            let all = self.tables.iter().zip(&touched).map(one);
            Ok((key.clone(), all.collect::<anyhow::Result<_>>()?))
        };
        let wanted = wanted.iter().map(patches).collect::<anyhow::Result<_>>()?;
        let (columns, key) = (self.statement_columns(of_view), of_view.key.len());
        snapshot::of_keys(&self.snapshot, &sql, &self.tables, wanted, columns, key)
    }

    /// The rows of a table that the window touches, by each row of a view that they count or counted towards.
    fn touched(&self, table: &Table) -> anyhow::Result<HashMap<RowKey, BTreeSet<RowKey>>> {
        // In the snapshot a row may count towards another row of the view than after any record of the window.
        let before = if table.is_counted_by_key() {
            HashMap::new()
        } else {
            self.snapshot.keys_of(table, &self.window.keys(table.source.alias))?
        };
        Ok(self.window.touched(&table.source, &table.counted_by, &before))
    }
}

/// The part of a view's key that is the key of the statement's row that it is made of: a word's is made of its product's.
pub fn made_of<'k>(view: &str, key: &'k [Cell]) -> &'k [Cell] {
    if view == search::TOKENS { key.get(1..).unwrap_or_default() } else { key }
}

/// The same, as it is asked for.
pub fn asked_for(view: &View, key: &[Cell]) -> anyhow::Result<RowKey> {
    let key = made_of(view.name, key);
    // Both from their ends: what it is not made of comes first.
    let mut cells = key.iter().rev().zip(view.key.iter().rev());
    if cells.any(|(cell, column)| column.kind == Type::Int && cell.int().is_none()) {
        bail!("a key that is no whole number");
    }
    RowKey::of(key).context("a key with a column that is null")
}

/// Of the search index, without its words.
pub fn search_columns() -> Vec<Column> {
    let text = |name| Column::new(name, Type::Text);
    vec![
        Column::new("product_id", Type::Int),
        text("name"),
        text("description"),
        Column::new("price", Type::Decimal),
        text("category"),
    ]
}

/// Of name and description.
pub fn words_of(row: &[Cell]) -> BTreeSet<String> {
    row.iter().take(2).filter_map(Cell::text).flat_map(words).collect()
}

/// PostgreSQL's rows of a view.
pub enum Source<'s> {
    Rows { rows: Expected<'s>, key: usize, words: bool },
    Sorted(Merged),
}
impl Iterator for Source<'_> {
    type Item = anyhow::Result<Row>;
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Sorted(rows) => rows.next(),
            Self::Rows { rows, key, words } => {
                let row = rows.next()?;
                Some(row.map(|cells| {
                    let (key, mut row) = cut(cells, *key);
                    if *words {
                        row.push(Cell::Words(words_of(&row)));
                    }
                    (key, row)
                }))
            }
        }
    }
}

/// As an operator reads it.
pub fn named(positions: &Positions) -> BTreeMap<String, i64> {
    positions.iter().map(|(partition, next)| (partition.to_string(), *next)).collect()
}
