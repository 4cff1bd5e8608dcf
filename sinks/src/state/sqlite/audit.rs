//! A file of somebody else, read as of one moment, for `verify`; and rows shown anew from the state in the same file.
use super::{
    Trouble, explain, layout,
    table::{Table, cell, quoted},
};
use crate::{Cell, Column, Key, Partition, SinkError, Type, View, canonical_key};
use anyhow::anyhow;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::{collections::BTreeMap, path::Path};

/// A file, read in one transaction: positions and views belong together.
pub struct FileReader {
    conn: Connection,
    path: std::path::PathBuf,
    service: String,
    generation: i64,
}

impl FileReader {
    /// Makes nothing: a file that is not there is an error.
    pub fn open(path: &Path, generation: u64, service: &str) -> Result<Self, SinkError> {
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        let settings = super::Settings::default();
        let open = || {
            let conn = layout::connect_reader(path, &settings)?;
            conn.execute_batch("BEGIN")?;
            // The first read is what the transaction is as of.
            let known: Option<i64> = conn
                .query_row(
                    "SELECT generation FROM cdc_state_services WHERE service = ?",
                    [service],
                    |row| row.get(0),
                )
                .optional()?;
            Ok((conn, known))
        };
        let (conn, known) = open().map_err(|cause| explain(path, cause))?;
        if known != Some(generation) {
            return Err(SinkError::fatal(anyhow!(
                "{}: holds no generation {generation} of {service}",
                path.display()
            )));
        }
        Ok(Self { conn, path: path.to_owned(), service: service.to_owned(), generation })
    }

    /// The next offset of each partition that was ever committed.
    pub fn positions(&self) -> Result<BTreeMap<Partition, i64>, SinkError> {
        let read = || {
            let sql = "SELECT topic, partition, next FROM cdc_state_lanes \
                       WHERE service = ? AND generation = ? AND next IS NOT NULL";
            let mut select = self.conn.prepare_cached(sql)?;
            let lane = |row: &rusqlite::Row<'_>| {
                let topic: String = row.get(0)?;
                Ok((Partition::new(&topic, row.get(1)?), row.get(2)?))
            };
            let lanes = select.query_map(params![self.service, self.generation], lane)?;
            Ok(lanes.collect::<Result<_, _>>()?)
        };
        read().map_err(|cause| explain(&self.path, cause))
    }

    /// Every row of a view in the order of keys, one after the other; `visit` says whether to go on.
    pub fn rows(
        &self,
        view: &View,
        mut visit: impl FnMut(Vec<Cell>, Vec<Cell>) -> bool,
    ) -> Result<(), SinkError> {
        let mut read = || {
            let columns = view.key.iter().chain(view.columns);
            let names: Vec<String> = columns.clone().map(|c| quoted(c.name)).collect();
            let order: Vec<String> = view.key.iter().map(ascending).collect();
            let sql = format!(
                "SELECT {} FROM {} ORDER BY {}",
                names.join(", "),
                quoted(view.name),
                order.join(", ")
            );
            let mut select = self.conn.prepare(&sql)?;
            let mut found = select.query([])?;
            while let Some(row) = found.next()? {
                let mut cells = columns
                    .clone()
                    .enumerate()
                    .map(|(at, column)| Ok(cell(row.get_ref(at)?, column.kind)))
                    .collect::<Result<Vec<Cell>, rusqlite::Error>>()?;
                let shown = cells.split_off(view.key.len());
                if !visit(cells, shown) {
                    break;
                }
            }
            Ok(())
        };
        read().map_err(|cause| explain(&self.path, cause))
    }
}

/// The terms of SQL that put a column of a key in the order of its cells: numbers and times are kept as text.
fn ascending(column: &Column) -> String {
    let name = quoted(column.name);
    match column.kind {
        Type::Int | Type::Text | Type::Words | Type::Bool | Type::Date | Type::Uuid => name,
        // Text, as which a `NaN` is kept, comes after every number.
        Type::Float | Type::Bytes | Type::Json | Type::List => name,
        // A fraction stands between the seconds and the `Z`.
        Type::Time => format!("rtrim({name}, 'Z')"),
        // The more digits before the point, the further from zero; as many of them compare as text.
        Type::Decimal => {
            let digits = format!("instr({name} || '.', '.')");
            let is_negative = format!("{name} LIKE '-%'");
            format!(
                "CASE WHEN {is_negative} THEN -{digits} ELSE {digits} END, \
                 CASE WHEN {is_negative} THEN {name} END DESC, {name}"
            )
        }
    }
}

/// Finds a state row of the service by its key, in whichever partition has it.
pub type Find<'a> = dyn FnMut(&Key) -> Option<Vec<u8>> + 'a;
/// Makes the row that a view shows under a key, of the service's state rows.
pub type RowOf<'a> = dyn Fn(&View, &[Cell], &mut Find<'_>) -> Option<Vec<Cell>> + 'a;

/// In one transaction, shows these rows as the state in the same file has them: from the parts, where a view has
/// parts, else as `row_of` makes them of the service's state rows. Needs no fence: position and state cannot move
/// meanwhile.
pub fn show_anew(
    path: &Path,
    service: &str,
    rows: &[(&View, Vec<Cell>)],
    row_of: &RowOf<'_>,
) -> Result<(), SinkError> {
    let settings = super::Settings { check_at_open: false, ..super::Settings::default() };
    let mend = || {
        let mut conn = layout::connect(path, &settings)?;
        let txn = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (view, key) in rows {
            show_one(&txn, service, view, key, row_of)?;
        }
        txn.commit()?;
        Ok(())
    };
    mend().map_err(|cause: Trouble| explain(path, cause))
}

fn show_one(
    conn: &Connection,
    service: &str,
    view: &View,
    key: &[Cell],
    row_of: &RowOf<'_>,
) -> Result<(), Trouble> {
    let id: i64 =
        conn.query_row("SELECT id FROM cdc_state_views WHERE name = ?", [view.name], |row| {
            row.get(0)
        })?;
    let table = Table::new(view.clone(), id);
    let key = &*canonical_key(key);
    let (shown, ts_ms) = if view.is_rows() {
        let sql = "SELECT r.value FROM cdc_state_rows r JOIN cdc_state_lanes l ON l.id = r.lane \
                   WHERE l.service = ? AND r.key = ?";
        let mut failed = None;
        let mut find = |key: &Key| {
            let found = conn.query_row(sql, params![service, key], |row| row.get(0)).optional();
            found.unwrap_or_else(|cause| {
                failed = Some(cause);
                None
            })
        };
        let row = row_of(view, key, &mut find);
        if let Some(cause) = failed {
            return Err(cause.into());
        }
        (row, 0)
    } else {
        let part = super::commit::load(conn, &table, key)?;
        (part.shown, part.source_ts_ms)
    };
    match &shown {
        Some(row) => table.put(conn, key, row, ts_ms)?,
        None => table.remove(conn, key)?,
    }
    Ok(())
}
