//! One batch, one transaction.
use super::super::part::{Asked, Part, admit, coalesce, names_owner};
use super::{Cells, File, Hold, Trouble, json, owner, table::Table};
use crate::{Alert, Batch, Cell, Receipt, SinkError};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, btree_map::Entry};

pub fn commit(file: &File, hold: &Hold, batch: &Batch) -> Result<Receipt, Trouble> {
    let mut writer = file.writer();
    let txn = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if let Some(receipt) = place(&txn, hold, batch)? {
        return Ok(receipt);
    }
    let writes = admit(&file.views, batch, file.settings.value_bytes_max)?;
    let writes = coalesce(&file.views, &writes);
    put_rows(&txn, hold, batch)?;
    let receipt = put_views(&txn, &file.tables, hold, &writes)?;
    let sql =
        "UPDATE cdc_state_lanes SET next = ?, checkpoint = ?, digest = ?, receipt = ? WHERE id = ?";
    let receipt_json = receipt_json(&receipt)?;
    let checkpoint = json(&batch.checkpoint)?;
    txn.prepare_cached(sql)?.execute(params![
        batch.span.end,
        checkpoint,
        batch.digest(),
        receipt_json,
        hold.id
    ])?;
    txn.commit()?;
    Ok(receipt)
}

/// Whether the batch belongs here: `None`, yes; a receipt, it is the one that was committed last; else `Fenced`.
fn place(txn: &Transaction<'_>, hold: &Hold, batch: &Batch) -> Result<Option<Receipt>, Trouble> {
    let sql = "SELECT next, digest, receipt FROM cdc_state_lanes WHERE id = ? AND epoch = ?";
    type Stood = (Option<i64>, Option<[u8; 16]>, Option<String>);
    let stood: Option<Stood> = txn
        .prepare_cached(sql)?
        .query_row([hold.id, hold.epoch], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((next, digest, receipt)) = stood else { return Err(SinkError::Fenced.into()) };
    if digest == Some(batch.digest()) {
        return Ok(Some(receipt.as_deref().map(read_receipt).transpose()?.unwrap_or_default()));
    }
    if next.is_some_and(|next| next != batch.span.start) || batch.partition != hold.partition {
        return Err(SinkError::Fenced.into());
    }
    Ok(None)
}

fn put_rows(txn: &Transaction<'_>, hold: &Hold, batch: &Batch) -> Result<(), Trouble> {
    let mut put = txn.prepare_cached("REPLACE INTO cdc_state_rows VALUES (?, ?, ?)")?;
    let mut remove = txn.prepare_cached("DELETE FROM cdc_state_rows WHERE lane = ? AND key = ?")?;
    for (key, value) in &batch.rows {
        match value {
            Some(value) => put.execute(params![hold.id, key, value])?,
            None => remove.execute(params![hold.id, key])?,
        };
    }
    Ok(())
}

/// Carries out the writes one by one on the parts that they touch, then stores each part and its shown row once.
fn put_views(
    txn: &Transaction<'_>,
    tables: &[Table],
    hold: &Hold,
    writes: &[Asked<'_>],
) -> Result<Receipt, Trouble> {
    let mut touched: BTreeMap<(usize, &[Cell]), Part> = BTreeMap::new();
    let mut receipt = Receipt::default();
    for asked in writes {
        let Asked { at, write, first, .. } = asked;
        let table = &tables[*at];
        if names_owner(&table.view, first) {
            owner::claim(txn, table, hold, first)?;
        }
        let part = match touched.entry((*at, &write.key)) {
            Entry::Occupied(part) => part.into_mut(),
            Entry::Vacant(place) => place.insert(load(txn, table, &write.key)?),
        };
        if let Some(alert) = part.apply(&table.view, hold.id, &hold.partition, asked)?
            && table.keep_alert(txn, &alert, write.source_ts_ms)?
        {
            receipt.alerts.push(alert);
        }
    }
    for ((at, key), part) in &touched {
        store(txn, &tables[*at], key, part)?;
    }
    Ok(receipt)
}

/// Rows are shown as written: what stood there does not matter.
pub fn load(txn: &Connection, table: &Table, key: &[Cell]) -> Result<Part, Trouble> {
    if table.view.is_rows() {
        return Ok(Part::default());
    }
    let sql = "SELECT own, shares, source_ts_ms FROM cdc_state_parts WHERE view = ? AND key = ?";
    let stored: Option<(Option<String>, String, i64)> = txn
        .prepare_cached(sql)?
        .query_row(params![table.id, json(&key)?], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let Some((own, shares, source_ts_ms)) = stored else { return Ok(Part::default()) };
    let own: Option<Cells> = own.map(|text| serde_json::from_str(&text)).transpose()?;
    let mut part = Part { own, shares: serde_json::from_str(&shares)?, source_ts_ms, shown: None };
    part.show(&table.view).map_err(SinkError::fatal)?;
    Ok(part)
}

fn store(txn: &Transaction<'_>, table: &Table, key: &[Cell], part: &Part) -> Result<(), Trouble> {
    if part.is_spent(&table.view) {
        if !table.view.is_rows() {
            let sql = "DELETE FROM cdc_state_parts WHERE view = ? AND key = ?";
            txn.prepare_cached(sql)?.execute(params![table.id, json(&key)?])?;
        }
    } else if !table.view.is_rows() {
        let own = part.own.as_ref().map(json).transpose()?;
        let row = params![table.id, json(&key)?, own, json(&part.shares)?, part.source_ts_ms];
        txn.prepare_cached("REPLACE INTO cdc_state_parts VALUES (?, ?, ?, ?, ?)")?.execute(row)?;
    }
    match &part.shown {
        Some(row) => table.put(txn, key, row, part.source_ts_ms)?,
        None => table.remove(txn, key)?,
    }
    Ok(())
}

type StoredAlert = (String, Cells, Option<i64>);

fn receipt_json(receipt: &Receipt) -> Result<String, Trouble> {
    let alerts: Vec<(&str, &Cells, Option<i64>)> =
        receipt.alerts.iter().map(|a| (a.name.as_str(), &a.key, a.value)).collect();
    json(&alerts)
}

fn read_receipt(text: &str) -> Result<Receipt, Trouble> {
    let alerts: Vec<StoredAlert> = serde_json::from_str(text)?;
    let alerts = alerts.into_iter().map(|(name, key, value)| Alert { name, key, value }).collect();
    Ok(Receipt { alerts })
}
