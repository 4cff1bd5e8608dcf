//! The log between the snapshot and a sink's position, as patches of the shop's tables.
//!
//! Everything below the window is in the snapshot; everything that the snapshot sees is below every position that is
//! asked for. So a row that the window touches is, at a position, what its last record before the position says; one
//! that it does not touch is as in the snapshot. That the window begins somewhat early does no harm.
mod facts;

use super::{
    log::{Log, Positions},
    row_key::{RowKey, text_of},
};
use anyhow::bail;
use consumers::{
    config::Config,
    engine::changes_key,
    handler::Reject,
    plan_handler::PlanHandler,
    removal,
    replay::Replay,
    service, source,
    source_table::{self, SourceColumn, SourceTable},
};
use debezium::{Decoder, Envelope, Kept, Op, Row, Source};
use sinks::Partition;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// More records than this between snapshot and sink are no answer: memory is bounded.
const CHANGES_MAX: usize = 2_000_000;

/// A row's values as text, each with our name of its column; `Unchanged`: not sent.
type Values = Vec<(&'static str, Kept<Option<String>>)>;

/// A row that a record touches; `None`: deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Our name of its table, [`SourceTable::alias`].
    pub table: &'static str,
    pub key: RowKey,
    pub row: Option<Values>,
}

/// Reads records as the service does: what it would put among the dead letters changes nothing here either.
pub struct Reader {
    tables: Vec<SourceTable>,
    handler: PlanHandler,
}
impl Reader {
    pub fn new(config: &Config) -> Self {
        Self { tables: config.tables.clone(), handler: service::handler(config) }
    }

    /// The table of this topic.
    pub fn table_of(&self, topic: &str) -> Option<&SourceTable> {
        source_table::of_topic(&self.tables, topic)
    }

    /// The row that a change of this table touches.
    fn read(
        &self,
        change: &debezium::Change<'_>,
        table: &SourceTable,
    ) -> Result<Option<Touched>, Reject> {
        facts::read(&self.handler, change, table)
    }
}
/// The row of this key, or of this image, is no more.
fn gone<'a>(
    source: Source<'a>,
    key: Option<Row<'a>>,
    before: Option<Row<'a>>,
) -> debezium::Change<'a> {
    let (op, key_problem, after, ts_ms) = (Op::Delete, None, None, None);
    let doubts = debezium::Doubts::default();
    debezium::Change { op, source, key, key_problem, before, after, ts_ms, doubts }
}

/// What a record asks for, of one row.
pub enum Change {
    Truncate,
    Row(Touched),
    /// A removal, with what it was judged by: takes effect if the row has no record from there on.
    Removal(Touched, i64),
}

/// Reads a record of this table's topic as the service does; the replay of a letter as if it were the letter's record.
/// Two changes where an update gives its row another key.
pub fn read_of(
    reader: &Reader,
    decoder: &mut Decoder,
    table: &SourceTable,
    record: &source::Record<'_>,
) -> Vec<Change> {
    let (topic, name) = (&record.partition.topic, table.name.as_str());
    let mut change = match decoder.decode_of(topic, name, record.key, record.value) {
        Ok(Envelope::Change(change)) => change,
        Ok(Envelope::Truncate(_)) => return vec![Change::Truncate],
        Ok(Envelope::Tombstone) => {
            let key = record.key.map(|key| decoder.key(topic, name.into(), key));
            let Some(Ok(Some(key))) = key else { return Vec::new() };
            let change = gone(Source::unsaid(name.into(), 0), Some(key), None);
            return match (reader.read(&change, table), removal::clean_to(record)) {
                (Ok(Some(touched)), None) => vec![Change::Row(touched)],
                (Ok(Some(touched)), Some(Ok(clean_to))) => vec![Change::Removal(touched, clean_to)],
                _ => Vec::new(),
            };
        }
        Ok(_) | Err(_) => return Vec::new(),
    };
    // Its key and its row disagree: a dead letter.
    let Ok(moves) = changes_key(&change, table) else { return Vec::new() };
    change.source.table = name.into();
    let old = moves.then(|| gone(change.source.clone(), None, change.before.clone()));
    let read = |change: &debezium::Change<'_>| reader.read(change, table).ok().flatten();
    old.iter().chain([&change]).filter_map(read).map(Change::Row).collect()
}

struct Record {
    partition: Partition,
    offset: i64,
    row: Option<Values>,
}

/// What a row is at a position; `None`: gone.
pub type Patch = BTreeMap<RowKey, Option<Values>>;

pub struct Window {
    decoder: Decoder,
    read_to: Positions,
    /// By our name of the table and by primary key; each row's records in the log's order.
    rows: BTreeMap<&'static str, HashMap<RowKey, Vec<Record>>>,
    records: usize,
    /// Where a table was emptied.
    truncated: Vec<(Partition, i64)>,
}

impl Window {
    /// Begins there, empty.
    pub fn new(config: &Config, from: Positions) -> Self {
        Self {
            decoder: Decoder::new(config.formats.clone(), debezium::Limits::default()),
            read_to: from,
            rows: BTreeMap::new(),
            records: 0,
            truncated: Vec::new(),
        }
    }

    /// Reads on, as far as that.
    pub fn extend(&mut self, log: &Log, reader: &Reader, to: &Positions) -> anyhow::Result<()> {
        for (partition, to) in to {
            let from = self.read_to.get(partition).copied().unwrap_or(0);
            log.read(partition, from, *to, &mut |record| self.take(reader, record))?;
            self.read_to.insert(partition.clone(), from.max(*to));
        }
        Ok(())
    }

    fn take(&mut self, reader: &Reader, record: &source::Record<'_>) -> anyhow::Result<()> {
        // A replayed letter says what its own record said: where it takes effect no newer one lies between, and
        // elsewhere it must not count.
        if Replay::of(record.headers).is_some() {
            return Ok(());
        }
        let (partition, offset) = (record.partition, record.offset);
        let Some(table) = reader.table_of(&partition.topic) else { return Ok(()) };
        for change in read_of(reader, &mut self.decoder, table, record) {
            match change {
                Change::Row(touched) => self.touch(partition, offset, touched)?,
                // Changed since it was judged, or not: earlier records than the window's do not matter, the source has
                // not the row.
                Change::Removal(touched, clean_to) => {
                    let known =
                        self.rows.get(touched.table).and_then(|rows| rows.get(&touched.key));
                    let newest = known.and_then(|records| records.last());
                    if newest.is_none_or(|newest| newest.offset < clean_to) {
                        self.touch(partition, offset, touched)?;
                    }
                }
                Change::Truncate => self.truncated.push((partition.clone(), offset)),
            }
        }
        Ok(())
    }

    fn touch(
        &mut self,
        partition: &Partition,
        offset: i64,
        touched: Touched,
    ) -> anyhow::Result<()> {
        self.records += 1;
        if self.records > CHANGES_MAX {
            bail!(
                "more than {CHANGES_MAX} changes lie between the snapshot and the sink: verify again when there is \
                 less traffic"
            );
        }
        let record = Record { partition: partition.clone(), offset, row: touched.row };
        let rows = self.rows.entry(touched.table).or_default();
        rows.entry(touched.key).or_default().push(record);
        Ok(())
    }

    pub fn records(&self) -> usize {
        self.records
    }

    /// Every row of the table (by our name) that the window touches before the position. Partitions without one count
    /// whole.
    pub fn patch(&self, table: &str, at: &Positions) -> anyhow::Result<Patch> {
        self.check(at)?;
        let rows = self.rows.get(table).into_iter().flatten();
        Ok(rows.filter_map(|(key, records)| Some((key.clone(), state(records, at)?))).collect())
    }

    /// The same, of these rows only.
    pub fn patch_of<'a>(
        &self,
        table: &str,
        keys: impl Iterator<Item = &'a RowKey>,
        at: &Positions,
    ) -> anyhow::Result<Patch> {
        self.check(at)?;
        let rows = self.rows.get(table);
        let one = |key: &RowKey| Some((key.clone(), state(rows?.get(key)?, at)?));
        Ok(keys.filter_map(one).collect())
    }

    fn check(&self, at: &Positions) -> anyhow::Result<()> {
        let below = |(partition, offset): &&(Partition, i64)| {
            at.get(partition).is_none_or(|position| offset < position)
        };
        match self.truncated.iter().find(below) {
            Some((partition, offset)) => bail!(
                "{partition} offset {offset} is a TRUNCATE, in the midst of what is verified: verify again"
            ),
            None => Ok(()),
        }
    }

    /// The rows of the table that the window touches, by each row of the view that they counted towards, ever: before
    /// the window, as `before` says, and after each of its records. `counted_by`: our names of the columns that say it.
    pub fn touched(
        &self,
        table: &SourceTable,
        counted_by: &[&str],
        before: &HashMap<RowKey, Counted>,
    ) -> HashMap<RowKey, BTreeSet<RowKey>> {
        let places: Vec<Place<'_>> =
            counted_by.iter().filter_map(|alias| Place::of(table, alias)).collect();
        let mut by_key: HashMap<RowKey, BTreeSet<RowKey>> = HashMap::new();
        for (key, records) in self.rows.get(table.alias).into_iter().flatten() {
            let mut counted: Counted = vec![None; places.len()];
            if let Some(before) = before.get(key) {
                counted.clone_from(before);
            }
            // `None`: as it was before the window.
            let states = records.iter().map(|record| Some(record.row.as_ref()));
            for row in std::iter::once(None).chain(states) {
                for (place, value) in places.iter().zip(&mut counted) {
                    place.follow(key, row, value);
                }
                if let Some(of_view) = counted.iter().cloned().collect::<Option<RowKey>>() {
                    by_key.entry(of_view).or_default().insert(key.clone());
                }
            }
        }
        by_key
    }
    /// The primary keys of all rows of the table that the window touches.
    pub fn keys(&self, table: &str) -> Vec<&RowKey> {
        self.rows.get(table).into_iter().flat_map(HashMap::keys).collect()
    }
}

/// The values of the columns by which a row counts towards a view's row. `None`: null, or not known.
pub type Counted = Vec<Option<String>>;

/// Where a row has a column by which it counts.
enum Place<'a> {
    /// In its primary key, at this place.
    Key(usize),
    Column(&'a SourceColumn),
}
impl<'a> Place<'a> {
    fn of(table: &'a SourceTable, alias: &str) -> Option<Self> {
        match table.key.iter().position(|column| column.alias == alias) {
            Some(at) => Some(Self::Key(at)),
            None => table.columns.iter().find(|c| c.alias == alias).map(Self::Column),
        }
    }
    /// What the value is after a record. `row`: `None` before the first, `Some(None)` after a delete.
    fn follow(&self, key: &RowKey, row: Option<Option<&Values>>, value: &mut Option<String>) {
        match (self, row) {
            (Self::Key(at), _) => *value = key.value(*at).map(str::to_owned),
            (Self::Column(_), None) => {}
            (Self::Column(_), Some(None)) => *value = None,
            (Self::Column(column), Some(Some(row))) => {
                let said = row.iter().find(|(name, _)| *name == column.alias);
                if let Some((_, Kept::New(said))) = said {
                    *value = said.as_ref().and_then(|said| text_of(column.kind, said));
                }
            }
        }
    }
}

/// What the last record before the position says; `None`: there is none. A value that was not sent is the one before.
fn state(records: &[Record], at: &Positions) -> Option<Option<Values>> {
    let before =
        |record: &&Record| at.get(&record.partition).is_none_or(|next| record.offset < *next);
    let mut now: Option<Option<Values>> = None;
    for record in records.iter().filter(before) {
        let Some(values) = &record.row else {
            now = Some(None);
            continue;
        };
        let last = now.take();
        let before = |name: &str| match &last {
            Some(Some(last)) => {
                let value = last.iter().find(|(column, _)| *column == name);
                value.map_or(Kept::Unchanged, |(_, value)| value.clone())
            }
            // Inserted without its text: nobody knows it, and the service shows none.
            Some(None) => Kept::New(None),
            None => Kept::Unchanged,
        };
        let onto = |(name, value): &(&'static str, Kept<Option<String>>)| match value {
            Kept::New(_) => (*name, value.clone()),
            Kept::Unchanged => (*name, before(name)),
        };
        now = Some(Some(values.iter().map(onto).collect()));
    }
    now
}

#[cfg(test)]
mod tests;
