//! The log between the snapshot and a sink's position, as patches of the shop's tables.
//!
//! Everything below the window is in the snapshot; everything that the snapshot sees is below every position that is
//! asked for. So a row that the window touches is, at a position, what its last record before the position says; one
//! that it does not touch is as in the snapshot. That the window begins somewhat early does no harm.
use super::log::{Log, Positions};
use anyhow::bail;
use chrono::{DateTime, SecondsFormat};
use consumers::{
    config::Config,
    engine::changes_key,
    handler::{Handler, Reject},
    plan_handler::PlanHandler,
    removal,
    replay::Replay,
    service, source,
    source_table::{self, SourceTable},
};
use debezium::{Decoder, Envelope, Kept, Op, Row, Source};
use serde_json::{Map, Value, json};
use sinks::{Cell, Partition};
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
    pub id: i64,
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
        let Some(fact) = self.handler.read(change)? else { return Ok(None) };
        let id = fact.key.first().and_then(Cell::int).unwrap_or_default();
        let row = fact.row.map(|row| values(row, &fact.unchanged, table));
        Ok(Some(Touched { table: table.alias, id, row }))
    }
}

fn values(row: Vec<Cell>, unchanged: &[usize], table: &SourceTable) -> Values {
    let value = |(at, cell): (usize, Cell)| match cell {
        _ if unchanged.contains(&at) => Kept::Unchanged,
        Cell::Null => Kept::New(None),
        Cell::Time(us) => Kept::New(instant(us)),
        known => Kept::New(Some(known.to_string())),
    };
    let columns = table.columns.iter().map(|column| column.alias);
    columns.zip(row.into_iter().enumerate().map(value)).collect()
}
fn instant(us: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(us)?;
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
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
pub type Patch = BTreeMap<i64, Option<Values>>;

pub struct Window {
    decoder: Decoder,
    read_to: Positions,
    /// By our name of the table and by primary key; each row's records in the log's order.
    rows: BTreeMap<&'static str, HashMap<i64, Vec<Record>>>,
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
                    let known = self.rows.get(touched.table).and_then(|rows| rows.get(&touched.id));
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
        rows.entry(touched.id).or_default().push(record);
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
        Ok(rows.filter_map(|(id, records)| Some((*id, state(records, at)?))).collect())
    }

    /// The same, of these rows only.
    pub fn patch_of<'a>(
        &self,
        table: &str,
        ids: impl Iterator<Item = &'a i64>,
        at: &Positions,
    ) -> anyhow::Result<Patch> {
        self.check(at)?;
        let one = |id: &i64| Some((*id, state(self.rows.get(table)?.get(id)?, at)?));
        Ok(ids.filter_map(one).collect())
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

    /// The table's primary keys by what their rows ever counted towards: each by itself, or by column `of` of its row.
    pub fn touched(&self, table: &str, of: Option<&str>) -> HashMap<i64, BTreeSet<i64>> {
        let mut by_key: HashMap<i64, BTreeSet<i64>> = HashMap::new();
        for (id, records) in self.rows.get(table).into_iter().flatten() {
            let Some(of) = of else {
                by_key.entry(*id).or_default().insert(*id);
                continue;
            };
            for values in records.iter().filter_map(|record| record.row.as_ref()) {
                let value = values.iter().find(|(name, _)| *name == of);
                if let Some((_, Kept::New(Some(text)))) = value
                    && let Ok(key) = text.parse()
                {
                    by_key.entry(key).or_default().insert(*id);
                }
            }
        }
        by_key
    }
    /// The primary keys of all rows of the table that the window touches.
    pub fn ids(&self, table: &str) -> Vec<i64> {
        self.rows.get(table).into_iter().flat_map(HashMap::keys).copied().collect()
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

/// As the statements take it. `for_key`: the view's row that these are for, where each has a patch of its own.
pub fn json(patch: Patch, for_key: Option<i64>, out: &mut Vec<Value>) {
    for (id, row) in patch {
        let mut object = Map::new();
        object.insert("id".into(), id.into());
        object.insert("for_key".into(), for_key.into());
        object.insert("deleted".into(), row.is_none().into());
        for (name, value) in row.into_iter().flatten() {
            match value {
                Kept::New(text) => object.insert(name.into(), json!(text)),
                Kept::Unchanged => object.insert(format!("{name}_kept"), true.into()),
            };
        }
        out.push(Value::Object(object));
    }
}

#[cfg(test)]
mod tests;
