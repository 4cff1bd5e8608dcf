//! One REPEATABLE READ snapshot of the source, held open, and how it is known that Debezium has sent all of it.
use super::{
    log::{Log, Positions},
    row_key::{self, RowKey},
    sorted::Row,
    sql::{self, Table, Types},
    window::{Counted, Patch},
};
use ::sql::quoted;
use anyhow::{Context, bail};
use consumers::source_table::SourceTable;
use futures::TryStreamExt;
use serde_json::Value;
use serving::postgres::Dsn;
use sinks::{Cell, Column, Type};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, RowStream, types::ToSql};

/// How often PostgreSQL is asked how far the connector is.
const ASK_EVERY: Duration = Duration::from_millis(250);
const NUDGE_EVERY: Duration = Duration::from_secs(2);

pub struct Snapshot<'r> {
    io: &'r Runtime,
    client: Client,
    /// `pg_current_wal_insert_lsn()` right after the snapshot was taken: all that it sees is before that.
    pub lsn: String,
}

impl<'r> Snapshot<'r> {
    pub fn take(io: &'r Runtime, dsn: &Dsn) -> anyhow::Result<Self> {
        let take = async {
            let client = dsn.connect().await?;
            client
                .batch_execute(
                    "begin transaction isolation level repeatable read, read only;\n\
                     set local timezone = 'UTC'; set local datestyle = 'ISO';\n\
                     set local extra_float_digits = 1; set local bytea_output = 'hex';\n\
                     set local statement_timeout = 0;\n\
                     set local idle_in_transaction_session_timeout = 0",
                )
                .await?;
            let row = client.query_one("select pg_current_wal_insert_lsn()::text", &[]).await?;
            anyhow::Ok((client, row.get(0)))
        };
        let (client, lsn) = io
            .block_on(take)
            .context("no snapshot of the source (it must be the primary, not a replica)")?;
        Ok(Self { io, client, lsn })
    }

    /// The types of all columns of these tables of a schema.
    pub fn types(&self, schema: &str, tables: &[SourceTable]) -> anyhow::Result<Types> {
        // Without the length that a column allows: values of any length can be asked for.
        let sql = "select c.relname::text, a.attname::text, format_type(a.atttypid, -1) from pg_attribute a \
                   join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace \
                   where n.nspname::text = $1 and c.relname::text = any($2) and a.attnum > 0 and not a.attisdropped";
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let rows = self.io.block_on(self.client.query(sql, &[&schema, &names]));
        let rows = rows.context("the types of the tables' columns cannot be asked for")?;
        Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
    }

    /// The rows of a view's statement, one after the other. `params`: the patches, and the keys where it takes some.
    pub fn rows<'s>(
        &'s self,
        sql: &str,
        params: &[Vec<Value>],
        columns: Vec<Column>,
    ) -> anyhow::Result<Expected<'s>> {
        let params: Vec<String> =
            params.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let params = params.iter().map(|text| text as &(dyn ToSql + Sync));
        let asked = self.client.query_raw(sql, params);
        let rows = self.io.block_on(asked).map_err(explain)?;
        Ok(Expected { io: self.io, rows: Box::pin(rows), columns })
    }

    /// Of those of these rows that the snapshot has: what each counts by.
    pub fn keys_of(
        &self,
        table: &Table,
        keys: &[&RowKey],
    ) -> anyhow::Result<HashMap<RowKey, Counted>> {
        let counted = table.counted_columns();
        let rows = self.numbered(&table.keys_of(), keys)?;
        let one = |row: &tokio_postgres::Row| {
            let key = numbered(keys, row)?.clone();
            let text = |(at, kind)| row_key::text(&cell(row.get(at), kind));
            let kinds = counted.iter().map(|column| column.kind.cell_type());
            Some((key, (1..).zip(kinds).map(text).collect()))
        };
        Ok(rows.iter().filter_map(one).collect())
    }

    /// Those of these rows that the snapshot has.
    pub fn ids_of<'k>(
        &self,
        table: &Table,
        keys: &[&'k RowKey],
    ) -> anyhow::Result<HashSet<&'k RowKey>> {
        let rows = self.numbered(&table.ids_of(), keys)?;
        Ok(rows.iter().filter_map(|row| numbered(keys, row)).collect())
    }

    /// The rows of a statement that takes numbered keys.
    fn numbered(&self, sql: &str, keys: &[&RowKey]) -> anyhow::Result<Vec<tokio_postgres::Row>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = Table::numbered(keys).to_string();
        self.io.block_on(self.client.query(sql, &[&keys])).map_err(explain)
    }
}

/// The key whose number the row begins with.
fn numbered<'k>(keys: &[&'k RowKey], row: &tokio_postgres::Row) -> Option<&'k RowKey> {
    let n = usize::try_from(row.get::<_, i64>(0)).ok()?;
    keys.get(n).copied()
}

/// PostgreSQL's own words, and what to do. What it says of data (SQLSTATE 22xxx) shows values of rows, and is not repeated.
fn explain(error: tokio_postgres::Error) -> anyhow::Error {
    if let Some(code) = error.code().map(|code| code.code()).filter(|code| code.starts_with("22")) {
        return anyhow::anyhow!(
            "PostgreSQL does not compute the view: a row of the source fails in it (SQLSTATE {code}); such a row is a \
             dead letter of the service. Mend it at the source, or the view"
        );
    }
    let said = error.as_db_error().map(|e| e.message().to_owned()).unwrap_or_default();
    anyhow::Error::new(error).context(format!(
        "PostgreSQL does not compute the view ({said}): verify needs SELECT on the shop's tables; see --source-schema, \
         the table and column settings"
    ))
}

/// JSON of the patches, each for the whole table.
pub fn whole(tables: &[Table], patches: Vec<Patch>) -> Vec<Vec<Value>> {
    let one = |(table, patch): (&Table, Patch)| {
        let mut rows = Vec::with_capacity(patch.len());
        table.json(patch, None, &mut rows);
        rows
    };
    tables.iter().zip(patches).map(one).collect()
}

/// Rows as PostgreSQL sends them; never more than a few of them in memory.
pub struct Expected<'s> {
    io: &'s Runtime,
    rows: Pin<Box<RowStream>>,
    columns: Vec<Column>,
}
impl Iterator for Expected<'_> {
    /// Every column in one list.
    type Item = anyhow::Result<Vec<Cell>>;
    fn next(&mut self) -> Option<Self::Item> {
        let row = self.io.block_on(self.rows.try_next()).map_err(explain).transpose()?;
        Some(row.map(|row| {
            let columns = self.columns.iter().enumerate();
            columns.map(|(at, column)| cell(row.get(at), column.kind)).collect()
        }))
    }
}

/// A row of all columns, cut into key and rest.
pub fn cut(mut cells: Vec<Cell>, key: usize) -> Row {
    let rest = cells.split_off(key);
    (cells, rest)
}

/// What a statement gives as text. Times come as µs since 1970. What does not read stays text, and so shows.
fn cell(text: Option<&str>, kind: Type) -> Cell {
    let Some(text) = text else { return Cell::Null };
    let read = match kind {
        Type::Time => text.parse().ok().map(Cell::Time),
        Type::Text | Type::Words => None,
        kind => Cell::parse(kind, text),
    };
    read.unwrap_or_else(|| Cell::Text(text.to_owned()))
}

/// How Debezium is waited for.
#[derive(Debug, Clone)]
pub struct Wait {
    /// A table that we may insert into and delete from, and that the connector captures: `schema.table`.
    pub marker: Option<Marker>,
    pub slot: Option<String>,
}
#[derive(Debug, Clone)]
pub struct Marker {
    pub schema: String,
    pub table: String,
    pub topic: String,
}

/// Until everything that the snapshot sees is in Kafka; in words, how that is known.
pub fn wait(
    io: &Runtime,
    dsn: &Dsn,
    log: &Log,
    how: &Wait,
    marks: Option<&Positions>,
    lsn: &str,
    until: Instant,
) -> anyhow::Result<String> {
    match (&how.marker, marks) {
        (Some(marker), Some(marks)) => wait_for_marker(io, dsn, log, marker, marks, until),
        _ => io.block_on(wait_for_slot(dsn, how.slot.as_deref(), lsn, until)),
    }
}

/// A row that is committed after the snapshot was taken comes after everything that it sees.
fn wait_for_marker(
    io: &Runtime,
    dsn: &Dsn,
    log: &Log,
    marker: &Marker,
    marks: &Positions,
    until: Instant,
) -> anyhow::Result<String> {
    let table = format!("{}.{}", quoted(&marker.schema), quoted(&marker.table));
    let id = format!("verify-{:032x}", rand::random::<u128>());
    let begun = Instant::now();
    let client = io.block_on(async {
        let client = dsn.connect().await?;
        let insert = format!("insert into {table} (id) values ($1)");
        client.execute(&insert, &[&id]).await.with_context(|| {
            format!(
                "no marker can be put into {table}: it needs a column id (text), and INSERT and DELETE on it; or leave \
                 --marker-table away"
            )
        })?;
        anyhow::Ok(client)
    })?;
    let heard = loop {
        let from = match log.partitions(std::slice::from_ref(&marker.topic)) {
            Ok(now) => now.into_iter().map(|p| (p.clone(), marks.get(&p).copied().unwrap_or(0))),
            Err(_) if Instant::now() < until => {
                std::thread::sleep(ASK_EVERY);
                continue;
            }
            Err(_) => break Ok(false),
        };
        break log.hears(&from.collect(), &id, until);
    };
    let delete = format!("delete from {table} where id = $1");
    // One that stays behind does no harm.
    let _ = io.block_on(client.execute(&delete, &[&id]));
    if !heard? {
        bail!(
            "the marker row did not come back in topic {}: is the connector running, and does it capture {}.{}? \
             (--marker-topic, --wait-seconds)",
            marker.topic,
            marker.schema,
            marker.table
        );
    }
    Ok(format!("a marker row came back after {} ms", begun.elapsed().as_millis()))
}

async fn wait_for_slot(
    dsn: &Dsn,
    slot: Option<&str>,
    lsn: &str,
    until: Instant,
) -> anyhow::Result<String> {
    let client = dsn.connect().await?;
    let sql = "select slot_name::text, confirmed_flush_lsn >= $2::text::pg_lsn, \
               coalesce(confirmed_flush_lsn::text, 'nowhere') \
               from pg_replication_slots where slot_type = 'logical' and database = current_database() \
               and ($1::text is null or slot_name = $1)";
    let mut nudged: Option<Instant> = None;
    loop {
        let rows = client.query(sql, &[&slot, &lsn]).await.context("no look at the slots")?;
        if rows.is_empty() {
            bail!(
                "there is no logical replication slot of that name in this database: give --slot, or --marker-table"
            );
        }
        let behind = rows.iter().find(|row| row.get::<_, Option<bool>>(1) != Some(true));
        let Some(behind) = behind else {
            let names: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
            return Ok(format!(
                "no marker table: waited until slot {} confirmed {lsn}",
                names.join(", ")
            ));
        };
        if Instant::now() >= until {
            let (name, at): (&str, &str) = (behind.get(0), behind.get(2));
            bail!(
                "the connector's slot {name} confirmed {at}, and the snapshot needs {lsn}: is the connector running? \
                 On a quiet database a slot moves slowly (offset.flush.interval.ms of Connect): --marker-table is \
                 quicker, --wait-seconds longer, --slot names the one to wait for"
            );
        }
        // On a database without changes a slot does not move by itself. Not allowed: then it takes as long as it takes.
        if nudged.is_none_or(|at| at.elapsed() >= NUDGE_EVERY) {
            nudged = Some(Instant::now());
            let _ =
                client.execute("select pg_logical_emit_message(true, 'cdc-verify', '')", &[]).await;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Words of the marker's table and topic. `prefix`: of the shop's topics.
pub fn marker(table: &str, topic: Option<&str>, prefix: &str, schema: &str) -> Marker {
    let (in_schema, name) = table.split_once('.').unwrap_or((schema, table));
    let topic = topic.map(str::to_owned).unwrap_or_else(|| {
        // Debezium names topics PREFIX.SCHEMA.TABLE.
        let of_schema = prefix.strip_suffix(&format!("{schema}."));
        match of_schema {
            Some(rest) => format!("{rest}{in_schema}.{name}"),
            None => format!("{prefix}{name}"),
        }
    });
    Marker { schema: in_schema.to_owned(), table: name.to_owned(), topic }
}

/// The snapshot's view of rows by key, each with a patch of its own: `(key, patches)`, keys once. The first `key` of the
/// columns are the view's key.
pub fn of_keys(
    snapshot: &Snapshot<'_>,
    sql: &str,
    tables: &[Table],
    wanted: Vec<(RowKey, Vec<Patch>)>,
    columns: Vec<Column>,
    key: usize,
) -> anyhow::Result<HashMap<RowKey, Vec<Cell>>> {
    let keys: BTreeSet<&RowKey> = wanted.iter().map(|(key, _)| key).collect();
    let keys = sql::wanted(keys);
    let mut params: Vec<Vec<Value>> = tables.iter().map(|_| Vec::new()).collect();
    for (key, of_tables) in wanted {
        for ((table, patch), out) in tables.iter().zip(of_tables).zip(&mut params) {
            table.json(patch, Some(&key), out);
        }
    }
    params.push(keys);
    let mut found = HashMap::new();
    for row in snapshot.rows(sql, &params, columns)? {
        let (key, rest) = cut(row?, key);
        found.extend(RowKey::of(&key).map(|key| (key, rest)));
    }
    Ok(found)
}
