//! How the file is laid out, and whether this file is one that we may use.
mod shape;

use super::{Settings, Trouble, owner, table::Table};
use crate::{Checkpoint, Partition, SinkError, View, canonical};
use anyhow::anyhow;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use std::{path::Path, time::Duration};

/// "CDCS": marks the file as ours.
const APPLICATION: i64 = 0x4344_4353;
/// Raised whenever the tables below change.
const LAYOUT: i64 = 1;

const TABLES: &str = "
    CREATE TABLE cdc_state_services (service TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE cdc_state_views (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, service TEXT NOT NULL, shape TEXT NOT NULL);
    CREATE TABLE cdc_state_lanes (
        id INTEGER PRIMARY KEY, service TEXT NOT NULL, generation INTEGER NOT NULL,
        topic TEXT NOT NULL, partition INTEGER NOT NULL,
        epoch INTEGER NOT NULL, next INTEGER, checkpoint TEXT, digest BLOB, receipt TEXT,
        UNIQUE (service, generation, topic, partition));
    CREATE TABLE cdc_state_rows (
        lane INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (lane, key)) WITHOUT ROWID;
    CREATE TABLE cdc_state_parts (
        view INTEGER NOT NULL, key TEXT NOT NULL, own TEXT, shares TEXT NOT NULL, source_ts_ms INTEGER NOT NULL,
        PRIMARY KEY (view, key)) WITHOUT ROWID;
";

/// Came later, beside the others; a version that does not know it may use the file too.
const TOPICS: &str = "
    CREATE TABLE IF NOT EXISTS cdc_state_topics (
        service TEXT NOT NULL, generation INTEGER NOT NULL, topic TEXT NOT NULL, partitions INTEGER NOT NULL,
        PRIMARY KEY (service, generation, topic)) WITHOUT ROWID;
";

pub fn connect(path: &Path, settings: &Settings) -> Result<Connection, Trouble> {
    let conn =
        tuned(path, settings, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    switch_to_wal(&conn, settings)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    if let Some(pages_max) = settings.pages_max {
        conn.pragma_update_and_check(None, "max_page_count", pages_max, |_| Ok(()))?;
    }
    if settings.check_at_open {
        let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            // The text names pages and tables, never values.
            return Err(SinkError::fatal(anyhow!(
                "{}: {} ({found})",
                path.display(),
                super::DAMAGED
            ))
            .into());
        }
    }
    Ok(conn)
}

/// SQLite does not wait by itself here when another process switches the same new file at the same moment.
fn switch_to_wal(conn: &Connection, settings: &Settings) -> Result<(), Trouble> {
    const WAIT_MS: u64 = 10;
    let mut waited_ms = 0;
    loop {
        match conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())) {
            Err(cause)
                if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && waited_ms < settings.busy_ms_max =>
            {
                std::thread::sleep(Duration::from_millis(WAIT_MS));
                waited_ms += WAIT_MS;
            }
            switched => return Ok(switched?),
        }
    }
}

pub fn connect_reader(path: &Path, settings: &Settings) -> Result<Connection, Trouble> {
    let conn = tuned(path, settings, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn tuned(path: &Path, settings: &Settings, flags: OpenFlags) -> Result<Connection, Trouble> {
    let conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(Duration::from_millis(settings.busy_ms_max))?;
    conn.pragma_update(None, "cache_size", -32 * 1024)?; // KiB
    conn.set_prepared_statement_cache_capacity(64);
    Ok(conn)
}

/// Positions as they stand, by partition. `None`: an empty file.
pub fn peek(
    path: &Path,
    generation: u64,
    service: &str,
) -> Result<Option<Vec<(Partition, Checkpoint)>>, Trouble> {
    let refuse =
        |what: String| Trouble::from(SinkError::fatal(anyhow!("{}: {what}", path.display())));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(1))?;
    let known: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if known != APPLICATION {
        let tables: i64 =
            conn.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        return match tables {
            0 => Ok(None),
            _ => Err(refuse("is a database of something else: name another file".to_owned())),
        };
    }
    let held = "SELECT generation FROM cdc_state_services WHERE service = ?";
    let held: Option<i64> = conn.query_row(held, [service], |row| row.get(0)).optional()?;
    if held.is_some_and(|held| u64::try_from(held) != Ok(generation)) {
        let held = held.unwrap_or_default();
        return Err(refuse(format!(
            "holds generation {held} of {service}, and GENERATION is {generation}: give the new generation a file of \
             its own, or set GENERATION={held}"
        )));
    }
    let sql = "SELECT topic, partition, checkpoint FROM cdc_state_lanes \
               WHERE service = ? AND checkpoint IS NOT NULL";
    let mut select = conn.prepare(sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let (topic, index, text): (String, i32, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((Partition::new(&topic, index), text))
    };
    let stored: Vec<(Partition, String)> =
        select.query_map([service], read)?.collect::<Result<_, _>>()?;
    let parsed = stored.into_iter().map(|(partition, text)| {
        let checkpoint = serde_json::from_str(&text);
        let checkpoint = checkpoint
            .map_err(|e| refuse(format!("the position of {partition} is damaged: {e}")))?;
        Ok((partition, checkpoint))
    });
    parsed.collect::<Result<_, Trouble>>().map(Some)
}

/// Makes what is missing, and refuses a file that holds something else.
pub fn prepare(
    conn: &mut Connection,
    service: &str,
    generation: i64,
    views: &[View],
) -> Result<Vec<Table>, Trouble> {
    let path = conn.path().unwrap_or_default().to_owned();
    let refuse = |what: String| Trouble::from(SinkError::fatal(anyhow!("{path}: {what}")));
    let txn = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    ready_layout(&txn).map_err(|trouble| match trouble {
        Unready::Unlike(what) => refuse(what),
        Unready::Sqlite(cause) => cause.into(),
    })?;
    txn.execute_batch(TOPICS)?;
    txn.execute_batch(owner::TABLE)?;
    let known: i64 = txn.query_row(
        "INSERT INTO cdc_state_services VALUES (?, ?) ON CONFLICT DO UPDATE SET generation = generation \
         RETURNING generation",
        params![service, generation],
        |row| row.get(0),
    )?;
    if known != generation {
        return Err(refuse(format!(
            "holds generation {known} of {service}, and GENERATION is {generation}. Give the new generation a \
             file of its own and let readers switch to it once it has caught up, or set GENERATION={known}"
        )));
    }
    let mut tables = vec![];
    for view in views {
        if let Some(why) = Table::unfit(view) {
            return Err(refuse(format!("view {} cannot be a table: {why}", view.name)));
        }
        let id = claim(&txn, service, view)?.map_err(&refuse)?;
        tables.push(Table::new(view.clone(), id));
    }
    txn.commit()?;
    Ok(tables)
}

enum Unready {
    Unlike(String),
    Sqlite(rusqlite::Error),
}
impl From<rusqlite::Error> for Unready {
    fn from(cause: rusqlite::Error) -> Self {
        Self::Sqlite(cause)
    }
}

fn ready_layout(txn: &Transaction<'_>) -> Result<(), Unready> {
    let number = |pragma: &str| txn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let (application, layout) = (number("application_id")?, number("user_version")?);
    if (application, layout) == (APPLICATION, LAYOUT) {
        return Ok(());
    }
    if application == APPLICATION {
        return Err(Unready::Unlike(format!(
            "has layout {layout}, this version of the program reads layout {LAYOUT}. Use the version that made \
             the file, or give this one a new file: the views are made anew from the log"
        )));
    }
    let empty: bool =
        txn.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
    if !empty || application != 0 || layout != 0 {
        let what = "is a database of another program: name another file";
        return Err(Unready::Unlike(what.into()));
    }
    txn.execute_batch(TABLES)?;
    txn.pragma_update(None, "application_id", APPLICATION)?;
    txn.pragma_update(None, "user_version", LAYOUT)?;
    Ok(())
}

/// The view's number. A view belongs to one service and never changes its shape within a file.
fn claim(
    txn: &Transaction<'_>,
    service: &str,
    view: &View,
) -> Result<Result<i64, String>, rusqlite::Error> {
    let shape = shape::shape(view);
    let sql = "SELECT id, service, shape FROM cdc_state_views WHERE name = ?";
    let known: Option<(i64, String, String)> = txn
        .query_row(sql, [view.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((id, owner, was)) = known else {
        txn.execute_batch(&Table::create_sql(view))?;
        txn.execute_batch(&Table::create_alerts_sql(view))?;
        let sql =
            "INSERT INTO cdc_state_views (name, service, shape) VALUES (?, ?, ?) RETURNING id";
        return txn.query_row(sql, params![view.name, service, shape], |row| Ok(Ok(row.get(0)?)));
    };
    if owner != service {
        let what =
            format!("view {} is kept by {owner}: give {service} a file of its own", view.name);
        return Ok(Err(what));
    }
    if was == shape {
        return Ok(Ok(id));
    }
    // An earlier version's text of the same shape is accepted, and is this version's from now on.
    let meant = shape::of_earlier(view, &was).unwrap_or(was);
    if meant == shape {
        txn.execute("UPDATE cdc_state_views SET shape = ? WHERE id = ?", params![shape, id])?;
        return Ok(Ok(id));
    }
    Ok(Err(format!(
        "view {} was made with other columns or settings ({}): set them back, or set a new GENERATION and give it a \
         file of its own",
        view.name,
        canonical::difference(&meant, &shape)
    )))
}
