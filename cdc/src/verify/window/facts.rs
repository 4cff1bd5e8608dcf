//! What a record says of its row, by the service's own handler: the only place here that knows its facts. What comes
//! out is a [`Touched`], whatever a fact is.
use super::{Touched, Values};
use crate::verify::row_key::{self, RowKey};
use consumers::{
    handler::{Handler, Reject},
    plan_handler::PlanHandler,
    source_table::SourceTable,
};
use debezium::Kept;
use sinks::Cell;

/// The row that a change of this table touches.
pub fn read(
    handler: &PlanHandler,
    change: &debezium::Change<'_>,
    table: &SourceTable,
) -> Result<Option<Touched>, Reject> {
    let Some(fact) = handler.read(change)? else { return Ok(None) };
    let row = fact.row.map(|row| values(&row, &fact.unchanged, table));
    let touched = |key| Touched { table: table.alias, key, row };
    Ok(RowKey::of(&fact.key).map(touched))
}

fn values(row: &[Cell], unchanged: &[usize], table: &SourceTable) -> Values {
    let value = |(at, cell): (usize, &Cell)| match cell {
        _ if unchanged.contains(&at) => Kept::Unchanged,
        cell => Kept::New(row_key::text(cell)),
    };
    let columns = table.columns.iter().map(|column| column.alias);
    columns.zip(row.iter().enumerate().map(value)).collect()
}
