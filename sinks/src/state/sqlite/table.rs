//! A view's table as people read it: its SQL, cells going in, cells coming out.
use super::super::memory::Rows;
use crate::{Alert, Cell, Column, Float, Type, View};
use chrono::{DateTime, SecondsFormat};
use rusqlite::{
    Connection, params_from_iter,
    types::{Value, ValueRef},
};

/// What tables of rows with shares have beside their views' columns.
const OURS: [&str; 2] = ["updated_at", "source_ts_ms"];

/// What tables of alerts have beside the key and the value that is told.
const OF_ALERTS: [&str; 2] = ["name", "source_ts_ms"];

/// Whole numbers and bools (1 and 0) as INTEGER, floats as REAL (but `NaN`, which SQLite does not have, as text), bytes as BLOB;
/// all others as TEXT, as people read them: decimals plain, times as RFC 3339 in UTC, words between spaces, lists as JSON.
pub struct Table {
    pub view: View,
    /// Of the view in `cdc_state_views`.
    pub id: i64,
    replace: String,
    delete: String,
    select: String,
    keep_alert: String,
}

impl Table {
    pub fn new(view: View, id: i64) -> Self {
        let table = quoted(view.name);
        let all: Vec<String> =
            view.key.iter().chain(view.columns).map(|c| quoted(c.name)).collect();
        let extra: &[&str] = if view.is_star() { &OURS } else { &[] };
        let into: Vec<&str> = all.iter().map(String::as_str).chain(extra.iter().copied()).collect();
        let holes = vec!["?"; into.len()].join(", ");
        let matches: Vec<String> =
            all[..view.key.len()].iter().map(|k| format!("{k} IS ?")).collect();
        Self {
            replace: format!("REPLACE INTO {table} ({}) VALUES ({holes})", into.join(", ")),
            delete: format!("DELETE FROM {table} WHERE {}", matches.join(" AND ")),
            select: format!("SELECT {} FROM {table}", all.join(", ")),
            keep_alert: keep_alert_sql(&view).unwrap_or_default(),
            view,
            id,
        }
    }

    /// Why there can be no table of this view, or of its alerts; `None`: there can.
    pub fn unfit(view: &View) -> Option<String> {
        let mut all = view.key.iter().chain(view.columns);
        let ours = all.find(|column| view.is_star() && OURS.contains(&column.name));
        let mut told = alert_columns(view).into_iter().flat_map(|(_, columns)| columns);
        let of_alerts = told.find(|column| OF_ALERTS.contains(&column.name));
        view.unfit()
            .or_else(|| ours.map(|column| format!("column `{}` is ours", column.name)))
            .or_else(|| {
                of_alerts.map(|c| format!("column `{}` is ours in the table of alerts", c.name))
            })
    }

    /// A key of totals may hold nulls (SQL's `group by` has a group of them), all others may not.
    pub fn create_sql(view: &View) -> String {
        let nullable = view.is_totals();
        let one_number = matches!(view.key, [Column { kind: Type::Int, .. }]);
        let mut columns: Vec<String> = vec![];
        for (at, column) in view.key.iter().chain(view.columns).enumerate() {
            // INTEGER PRIMARY KEY would make up a number for a null key; INT does not.
            let kind = match declared(column.kind) {
                "INTEGER" if nullable => "INT",
                kind => kind,
            };
            let bound = if at < view.key.len() && !nullable { " NOT NULL" } else { "" };
            columns.push(format!("{} {kind}{bound}", quoted(column.name)));
        }
        if view.is_star() {
            let [updated, changed] = OURS;
            columns.push(format!("{updated} TEXT NOT NULL"));
            columns.push(format!("{changed} INTEGER NOT NULL"));
        }
        let key: Vec<String> = view.key.iter().map(|column| quoted(column.name)).collect();
        columns.push(format!("PRIMARY KEY ({})", key.join(", ")));
        let tail = if nullable || one_number { "" } else { " WITHOUT ROWID" };
        format!("CREATE TABLE {} ({}){tail}", quoted(view.name), columns.join(", "))
    }

    /// The table of the view's alerts, in files that do not have it yet; nothing for a view without alerts.
    pub fn create_alerts_sql(view: &View) -> String {
        let Some((table, columns)) = alert_columns(view) else { return String::new() };
        let columns: Vec<String> =
            columns.iter().map(|c| format!("{} {}", quoted(c.name), declared(c.kind))).collect();
        format!(
            "CREATE TABLE IF NOT EXISTS {table} (name TEXT PRIMARY KEY, {}, source_ts_ms INTEGER NOT NULL) \
             WITHOUT ROWID",
            columns.join(", ")
        )
    }

    /// Keeps an alert of the view. Whether it is new.
    pub fn keep_alert(
        &self,
        conn: &Connection,
        alert: &Alert,
        source_ts_ms: i64,
    ) -> rusqlite::Result<bool> {
        let mut row = vec![Value::Text(alert.name.clone())];
        row.extend(alert.key.iter().map(value));
        row.push(alert.value.map_or(Value::Null, Value::Integer));
        row.push(Value::Integer(source_ts_ms));
        Ok(conn.prepare_cached(&self.keep_alert)?.execute(params_from_iter(row))? == 1)
    }

    /// Every alert of the view ever raised, by name.
    pub fn alerts(&self, conn: &Connection) -> rusqlite::Result<Vec<Alert>> {
        let Some((table, columns)) = alert_columns(&self.view) else { return Ok(vec![]) };
        let names: Vec<String> = columns.iter().map(|c| quoted(c.name)).collect();
        let sql = format!("SELECT name, {} FROM {table} ORDER BY name", names.join(", "));
        let keys = self.view.key.len();
        let read = |row: &rusqlite::Row<'_>| {
            let key = self.view.key.iter().enumerate();
            let key = key.map(|(at, column)| Ok(cell(row.get_ref(at + 1)?, column.kind)));
            let key = key.collect::<rusqlite::Result<_>>()?;
            Ok(Alert { name: row.get(0)?, key, value: row.get(keys + 1)? })
        };
        conn.prepare_cached(&sql)?.query_map([], read)?.collect()
    }

    pub fn put(
        &self,
        conn: &Connection,
        key: &[Cell],
        row: &[Cell],
        ts_ms: i64,
    ) -> rusqlite::Result<()> {
        if key.contains(&Cell::Null) {
            self.remove(conn, key)?; // nulls never conflict, so REPLACE would add a second row
        }
        let mut values: Vec<Value> = key.iter().chain(row).map(value).collect();
        if self.view.is_star() {
            values.extend([Value::Text(rfc3339(ts_ms)), Value::Integer(ts_ms)]);
        }
        conn.prepare_cached(&self.replace)?.execute(params_from_iter(values))?;
        Ok(())
    }

    pub fn remove(&self, conn: &Connection, key: &[Cell]) -> rusqlite::Result<()> {
        conn.prepare_cached(&self.delete)?.execute(params_from_iter(key.iter().map(value)))?;
        Ok(())
    }

    pub fn read(&self, conn: &Connection) -> rusqlite::Result<Rows> {
        let mut select = conn.prepare_cached(&self.select)?;
        let mut found = select.query([])?;
        let mut rows = Rows::new();
        while let Some(row) = found.next()? {
            let mut cells = vec![];
            for (at, column) in self.view.key.iter().chain(self.view.columns).enumerate() {
                cells.push(cell(row.get_ref(at)?, column.kind));
            }
            let shown = cells.split_off(self.view.key.len());
            rows.insert(cells, shown);
        }
        Ok(rows)
    }
}

/// The columns between an alert's name and its time: the row's key, and the value that is told.
fn alert_columns(view: &View) -> Option<(String, Vec<Column>)> {
    let alert = view.alert?;
    let told = view.columns.iter().copied().find(|column| column.name == alert.value);
    Some((quoted(alert.table), view.key.iter().copied().chain(told).collect()))
}
fn keep_alert_sql(view: &View) -> Option<String> {
    let (table, columns) = alert_columns(view)?;
    let holes = vec!["?"; columns.len() + 2].join(", ");
    Some(format!("INSERT INTO {table} VALUES ({holes}) ON CONFLICT DO NOTHING"))
}

/// Names come from code, not from input; quoting keeps words of SQL apart from them.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What a column of this type is in SQLite.
fn declared(kind: Type) -> &'static str {
    match kind {
        Type::Int | Type::Bool => "INTEGER",
        Type::Float => "REAL",
        Type::Bytes => "BLOB",
        Type::Text | Type::Decimal | Type::Time | Type::Words => "TEXT",
        Type::Date | Type::Uuid | Type::Json | Type::List => "TEXT",
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(n) => Value::Integer(*n),
        Cell::Text(text) => Value::Text(text.clone()),
        Cell::Bool(is_so) => Value::Integer((*is_so).into()),
        // SQLite would make NULL of what is no number.
        Cell::Float(number) if !number.get().is_nan() => Value::Real(number.get()),
        Cell::Bytes(bytes) => Value::Blob(bytes.clone()),
        other => Value::Text(other.to_string()),
    }
}

/// Back from the table. Text that does not read as its column's type stays text, and so shows as a difference.
pub fn cell(value: ValueRef<'_>, kind: Type) -> Cell {
    let text = match (value, kind) {
        (ValueRef::Null, _) => return Cell::Null,
        (ValueRef::Integer(n @ (0 | 1)), Type::Bool) => return Cell::Bool(n == 1),
        (ValueRef::Integer(n), _) => return Cell::Int(n),
        (ValueRef::Real(number), Type::Float) => return Cell::Float(Float::new(number)),
        (ValueRef::Real(number), _) => number.to_string(),
        (ValueRef::Blob(bytes), Type::Bytes) => return Cell::Bytes(bytes.to_vec()),
        (ValueRef::Text(bytes) | ValueRef::Blob(bytes), _) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    };
    let is_text = !matches!(kind, Type::Int | Type::Bool | Type::Bytes);
    let read = if is_text { Cell::parse(kind, &text) } else { None };
    read.unwrap_or(Cell::Text(text))
}

pub fn rfc3339(ms: i64) -> String {
    match DateTime::from_timestamp_millis(ms) {
        Some(time) => time.to_rfc3339_opts(SecondsFormat::Millis, true),
        None => format!("{ms} ms since 1970"),
    }
}
