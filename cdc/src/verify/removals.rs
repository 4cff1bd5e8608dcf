//! `--repair`, first of all: rows that the log has and the source has not. Nothing made of such a log can be right, so
//! the log is mended, with a delete for each of them ([`consumers::removal`]); all services that read the topic take it.
//!
//! The whole log of the service's topics is read: what the newest record of a row says is known for certain, and no
//! new generation can say otherwise. A row counts as gone if a snapshot of the source, taken before the log's end that
//! the delete names, has it not, and no record since then has made it.
use super::{
    Options,
    log::Positions,
    repair::is_agreed,
    row_key::RowKey,
    session::Session,
    window::{Change, Reader, read_of},
};
use crate::dlq::{Log, acknowledged};
use anyhow::{Context as _, bail};
use consumers::{
    config::Config,
    removal,
    source_table::{self, SourceTable},
};
use debezium::Decoder;
use sinks::Partition;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio::runtime::Runtime;

/// How many rows the source is asked for at once.
const ASKED_AT_ONCE: usize = 10_000;

/// A row that only the log has.
struct Left {
    id: RowKey,
    /// Of its newest record.
    offset: i64,
    key: Option<Vec<u8>>,
}

type Found = BTreeMap<Partition, Vec<Left>>;

/// Looks, asks, sends and waits for the service; how many rows that were. 0: there was none, or nobody wanted it.
pub fn remove(config: &Config, options: &Options, io: &Runtime) -> anyhow::Result<usize> {
    let mut session = Session::begin(config, options, io)?;
    let ends = session.log.ends(&session.partitions)?;
    session.extend(&ends)?;
    let found = find(&session, &ends)?;
    let count = found.values().map(Vec::len).sum();
    if count == 0 || !is_wanted(&config.tables, &found, count, options) {
        return Ok(0);
    }
    // Its snapshot is open no longer than it is needed.
    drop(session);
    let log = Arc::new(Log::new(&config.kafka)?);
    let topics: BTreeSet<&str> = found.keys().map(|partition| &*partition.topic).collect();
    for topic in topics {
        if io.block_on(log.is_compacted(topic))? {
            bail!(
                "topic {topic} is compacted: a delete would take the place of records that say whether it may take \
                 effect. Have the source send these rows' deletes (insert and delete them there), or take a new \
                 snapshot into a topic made anew"
            );
        }
    }
    let mut last = Positions::new();
    for (partition, rows) in &found {
        let clean_to = ends.get(partition).context("a partition without an end")?.to_string();
        let headers = [(removal::CLEAN_TO, Some(clean_to.as_bytes()))];
        for row in rows {
            let at = log.send(partition, row.key.as_deref(), None, &headers)?;
            last.insert(partition.clone(), at);
        }
    }
    for (partition, at) in last {
        let seen = io.block_on(acknowledged(&log, &partition, at, options.wait))?;
        if seen.is_none_or(|next| next <= at) {
            bail!(
                "{count} deletes are sent, and the service was not seen past the one at {partition} offset {at}: is it \
                 running, or halted? Verify again when it is past them; nothing needs to be sent again"
            );
        }
    }
    Ok(count)
}

fn find(session: &Session<'_>, ends: &Positions) -> anyhow::Result<Found> {
    let mut found = Found::new();
    let mut decoder = Decoder::new(session.config.formats.clone(), debezium::Limits::default());
    for (partition, end) in ends {
        let Some(table) = session.table_of(&partition.topic) else { continue };
        let newest = newest(session, &mut decoder, partition, *end)?;
        let mut rows: Vec<(RowKey, i64)> = newest.into_iter().collect();
        rows.sort_unstable();
        let mut left = Vec::new();
        for some in rows.chunks(ASKED_AT_ONCE) {
            let ids: Vec<&RowKey> = some.iter().map(|(id, _)| id).collect();
            let there = session.snapshot.ids_of(table, &ids)?;
            let since = session.window.patch_of(table.source.alias, ids.into_iter(), ends)?;
            let is_left =
                |id: &RowKey| !there.contains(id) && !since.get(id).is_some_and(Option::is_some);
            let gone = some.iter().filter(|(id, _)| is_left(id));
            left.extend(gone.map(|(id, offset)| Left {
                id: id.clone(),
                offset: *offset,
                key: None,
            }));
        }
        if !left.is_empty() {
            find_keys(session, partition, &mut left)?;
            found.insert(partition.clone(), left);
        }
    }
    Ok(found)
}

/// The rows that the partition's log has at its end, by primary key, with the offset of the newest record.
fn newest(
    session: &Session<'_>,
    decoder: &mut Decoder,
    partition: &Partition,
    end: i64,
) -> anyhow::Result<HashMap<RowKey, i64>> {
    let mut rows = HashMap::new();
    let reader: &Reader = &session.reader;
    let Some(table) = reader.table_of(&partition.topic) else { return Ok(rows) };
    let (begin, _) = session.log.bounds(partition)?;
    session.log.read(partition, begin, end, &mut |record| {
        for change in read_of(reader, decoder, table, record) {
            match change {
                Change::Truncate => rows.clear(),
                Change::Row(touched) if touched.row.is_some() => {
                    rows.insert(touched.key, record.offset);
                }
                Change::Row(touched) => drop(rows.remove(&touched.key)),
                Change::Removal(touched, clean_to) => {
                    if rows.get(&touched.key).is_some_and(|at| *at < clean_to) {
                        rows.remove(&touched.key);
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(rows)
}

/// The keys of these rows' newest records, as they were written.
fn find_keys(
    session: &Session<'_>,
    partition: &Partition,
    left: &mut [Left],
) -> anyhow::Result<()> {
    left.sort_by_key(|row| row.offset);
    let (Some(first), Some(last)) = (left.first(), left.last()) else { return Ok(()) };
    let (from, to) = (first.offset, last.offset + 1);
    let mut rest = left.iter_mut().peekable();
    session.log.read(partition, from, to, &mut |record| {
        if let Some(row) = rest.next_if(|row| row.offset == record.offset) {
            row.key = record.key.map(<[u8]>::to_vec);
        }
        Ok(())
    })?;
    match left.iter().find(|row| row.key.is_none()) {
        None => Ok(()),
        Some(row) => bail!(
            "{partition} offset {} has no key, or is gone from the log: a delete of its row cannot be sent. Give the \
             table a primary key, and let the topic keep its records",
            row.offset
        ),
    }
}

fn is_wanted(tables: &[SourceTable], found: &Found, count: usize, options: &Options) -> bool {
    for (partition, rows) in found {
        let table = source_table::of_topic(tables, &partition.topic);
        let table = table.map_or("", |table| table.name.as_str());
        let ids: Vec<String> =
            rows.iter().take(options.limit).map(|row| row.id.to_string()).collect();
        let more = if rows.len() > ids.len() { ", ..." } else { "" };
        eprintln!(
            "{partition}: {} rows of {table} are in the log and not in the source: {}{more}",
            rows.len(),
            ids.join(", ")
        );
    }
    if options.yes {
        return true;
    }
    let question =
        format!("Send a delete of each of these {count} rows, to all services that read the log?");
    is_agreed(&question, "Not removed", "removes")
}
