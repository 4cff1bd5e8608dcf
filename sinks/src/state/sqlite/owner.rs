//! Whose the rows are: kept for good, also of rows that are deleted.
use super::{Hold, Trouble, json, table::Table};
use crate::{Partition, TwoOwners, Write};
use rusqlite::{OptionalExtension, Transaction, params};

/// Came later, beside the others; a version that does not know it may use the file too. A row that is not in it was
/// written by such a version, and is taken for whoever writes it next.
pub const TABLE: &str = "
    CREATE TABLE IF NOT EXISTS cdc_state_owners (
        view INTEGER NOT NULL, key TEXT NOT NULL, lane INTEGER NOT NULL, PRIMARY KEY (view, key)) WITHOUT ROWID;
";

/// Writes down that the row is this lane's; an error where it is another's.
pub fn claim(
    txn: &Transaction<'_>,
    table: &Table,
    hold: &Hold,
    write: &Write,
) -> Result<(), Trouble> {
    let key = json(&write.key)?;
    let sql = "SELECT lane FROM cdc_state_owners WHERE view = ? AND key = ?";
    let lane: Option<i64> =
        txn.prepare_cached(sql)?.query_row(params![table.id, key], |row| row.get(0)).optional()?;
    match lane {
        Some(lane) if lane == hold.id => Ok(()),
        Some(other) => {
            let sql = "SELECT topic, partition FROM cdc_state_lanes WHERE id = ?";
            let owner = txn.query_row(sql, [other], |row| {
                Ok(Partition::new(&row.get::<_, String>(0)?, row.get(1)?))
            })?;
            Err(TwoOwners::new(write, &hold.partition, &owner).into())
        }
        None => {
            let sql = "INSERT INTO cdc_state_owners VALUES (?, ?, ?)";
            txn.prepare_cached(sql)?.execute(params![table.id, key, hold.id])?;
            Ok(())
        }
    }
}
