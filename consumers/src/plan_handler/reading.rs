//! Reading the columns of a source table, within what the sinks hold.
use super::Fact;
use crate::{
    handler::Reject,
    source_table::{SourceColumn, SourceTable, SourceType},
};
use debezium::{Change, Field, Instant, Kept, Op, Row};
use sinks::{Cell, Decimal, Float, List, word_bytes};

/// Largest quantity of one line, either way: what PostgreSQL's `integer` holds. An `i64` then holds the sum of any
/// 2,147,483,648 lines and a stock within [`STOCK_MAX`] minus it, so sums neither overflow nor saturate.
pub const QUANTITY_MAX: i64 = i32::MAX as i64;
/// Largest base stock, either way.
pub const STOCK_MAX: i64 = i64::MAX / 2;

/// What the values of a column must keep to, so that every view that uses them can hold them. A record that does not
/// keep to it is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A text, a string of bytes, a JSON text or a list of texts, of at most so many bytes.
    Bytes(usize),
    /// A text that takes, with its words, at most so many bytes.
    BytesWithWords(usize),
    /// A text whose lower case is an index's key, of at most so many bytes.
    LowerBytes(usize),
    /// A whole number of at most this size, above or below 0.
    Size(i64),
    /// A decimal of at most so many digits.
    Digits(u64),
    /// A time that has a day, of the years 1 to 9999.
    Day,
    /// A whole number that is neither below the first nor above the second.
    Between(i64, i64),
    /// A decimal of so many digits behind the point, as `numeric(p,s)` always has them: zeros are put at the end of one that
    /// was sent with fewer.
    Places(u16),
    /// A time or a date that is not infinite.
    Finite,
    /// Any value but null.
    NotNull,
}

impl Bound {
    /// Whether columns of this type can keep to it.
    fn is_for(self, kind: SourceType) -> bool {
        use SourceType::{Bytes, Date, Decimal, Int, Json, List, Text, Time};
        match self {
            Self::Bytes(_) => matches!(kind, Text | Bytes | Json | List),
            Self::BytesWithWords(_) | Self::LowerBytes(_) => kind == Text,
            Self::Size(_) | Self::Between(..) => kind == Int,
            Self::Digits(_) | Self::Places(_) => kind == Decimal,
            Self::Day => kind == Time,
            Self::Finite => matches!(kind, Time | Date),
            Self::NotNull => true,
        }
    }
}

/// A source table, and how its columns are read.
///
/// A time that is `infinity` or `-infinity` is no moment, such a date is no day, and both count as null, unless the
/// column is bound to be [`Bound::Finite`].
#[derive(Debug, Clone)]
pub struct Table {
    /// Its names, key and columns.
    pub source: SourceTable,
    /// Those of the key, then the others: read in one pass.
    columns: Vec<SourceColumn>,
    /// Of each column of the key: whole numbers alone have some.
    key_bounds: Vec<Vec<Bound>>,
    /// Of each column beside the key.
    bounds: Vec<Vec<Bound>>,
}
impl Table {
    /// A table whose columns keep to no bounds yet.
    pub fn new(source: SourceTable) -> Self {
        let bounds = vec![Vec::new(); source.columns.len()];
        let key_bounds = vec![Vec::new(); source.key.len()];
        let columns = source.all_columns().cloned().collect();
        Self { source, columns, key_bounds, bounds }
    }

    /// The column of the key that this program calls so has values neither below the first nor above the second. A row
    /// with another one is a dead letter; a delete of such a row finds none.
    ///
    /// # Panics
    /// If the key has no such column of whole numbers.
    #[must_use]
    pub fn key_between(mut self, alias: &str, min: i64, max: i64) -> Self {
        let is_it = |column: &SourceColumn| column.alias == alias && column.kind == SourceType::Int;
        let at = self.source.key.iter().position(is_it);
        let at = at.unwrap_or_else(|| panic!("{}: no key {alias}", self.source.alias));
        self.key_bounds[at].push(Bound::Between(min, max));
        self
    }

    /// The name of one of these columns that has to have a value.
    pub(super) fn lacks(&self, unchanged: &[usize]) -> Option<String> {
        let mut lacking = unchanged.iter().filter(|at| self.bounds[**at].contains(&Bound::NotNull));
        let column = &self.source.columns[*lacking.next()?];
        Some(format!("{}.{}", self.source.name, column.name))
    }

    /// The column that this program calls so keeps to this.
    ///
    /// # Panics
    /// If the table declares no such column beside its key, or one of another type than the bound is for.
    #[must_use]
    pub fn bound(mut self, alias: &str, bound: Bound) -> Self {
        let at = self.source.columns.iter().position(|column| column.alias == alias);
        let at = at.unwrap_or_else(|| panic!("{}: no column {alias}", self.source.alias));
        let kind = self.source.columns[at].kind;
        assert!(bound.is_for(kind), "{}.{alias}: {bound:?} of {kind:?}", self.source.alias);
        self.bounds[at].push(bound);
        self
    }

    /// What the change says of its row; `place`: this table's, in the list of tables.
    pub(super) fn read(&self, place: usize, change: &Change<'_>) -> Result<Fact, Reject> {
        let Self { source: table, columns, key_bounds, bounds } = self;
        let Some(row) = after(change)? else {
            let key = key_of_deleted(change, table)?;
            return Ok(Fact { table: place, key, row: None, unchanged: Vec::new() });
        };
        let fields = row.values(columns)?;
        let (of_key, fields) = fields.split_at(table.key.len());
        let key = key_cells(of_key, table)?;
        for ((cell, column), bounds) in key.iter().zip(&table.key).zip(key_bounds) {
            if let Some(number) = cell.int() {
                within(number, bounds, &Name(&table.name, &column.name))?;
            }
        }
        let mut fact = Fact { table: place, key, row: None, unchanged: Vec::new() };
        let mut cells = Vec::with_capacity(fields.len());
        for ((field, column), bounds) in fields.iter().zip(&table.columns).zip(bounds) {
            let name = Name(&table.name, &column.name);
            match cell(field, column.kind, bounds, &name)? {
                Kept::New(cell) => cells.push(cell),
                Kept::Unchanged => {
                    fact.unchanged.push(cells.len());
                    cells.push(Cell::Null);
                }
            }
        }
        fact.row = Some(cells);
        Ok(fact)
    }
}

/// The value, or word that it was not sent because it did not change.
fn cell(
    field: &Field<'_>,
    kind: SourceType,
    bounds: &[Bound],
    name: &Name<'_>,
) -> Result<Kept<Cell>, Reject> {
    if !kind.may_be_unsent() {
        return sent(field, kind, bounds, name).map(Kept::New);
    }
    match field.kept(|_| Ok(()))? {
        Kept::New(()) => sent(field, kind, bounds, name).map(Kept::New),
        Kept::Unchanged => Ok(Kept::Unchanged),
    }
}

fn sent(
    field: &Field<'_>,
    kind: SourceType,
    bounds: &[Bound],
    name: &Name<'_>,
) -> Result<Cell, Reject> {
    let cell = match kind {
        SourceType::Text => field.nullable(Field::text)?.map(|text| Cell::Text(text.into_owned())),
        SourceType::Int => whole(field, bounds, name)?.map(Cell::Int),
        SourceType::Decimal => decimal(field, bounds, name)?.map(Cell::Decimal),
        SourceType::Time => time(field, bounds, name)?.map(Cell::Time),
        SourceType::Bool => field.nullable(Field::boolean)?.map(Cell::Bool),
        SourceType::Float => field.nullable(Field::float)?.map(|x| Cell::Float(Float::new(x))),
        SourceType::Date => date(field, bounds, name)?.map(Cell::Date),
        SourceType::Uuid => field.nullable(Field::uuid)?.map(Cell::Uuid),
        SourceType::Bytes => field.nullable(Field::bytes)?.map(Cell::Bytes),
        SourceType::Json => {
            field.nullable(Field::json_text)?.map(|text| Cell::Json(text.into_owned()))
        }
        SourceType::List => field.nullable(Field::texts)?.map(|texts| Cell::List(List(texts))),
    };
    let Some(cell) = cell else {
        if bounds.contains(&Bound::NotNull) {
            return Err(name.reject("null, and the table's declaration says not null"));
        }
        return Ok(Cell::Null);
    };
    bounds.iter().try_for_each(|bound| fits(&cell, *bound, name))?;
    Ok(cell)
}

fn time(field: &Field<'_>, bounds: &[Bound], name: &Name<'_>) -> Result<Option<i64>, Reject> {
    let sent = field.nullable(Field::instant)?;
    let us = sent.and_then(Instant::finite_us);
    if sent.is_some() && us.is_none() && bounds.contains(&Bound::Finite) {
        return Err(name.reject("an infinite time, which the view cannot hold"));
    }
    let needs_day = bounds.contains(&Bound::Day);
    if needs_day && us.is_some_and(|us| sinks::day(us).is_none()) {
        return Err(name.reject("outside the years 1 to 9999"));
    }
    Ok(us)
}

fn date(field: &Field<'_>, bounds: &[Bound], name: &Name<'_>) -> Result<Option<i32>, Reject> {
    let sent = field.nullable(Field::date)?;
    if sent == Some(None) && bounds.contains(&Bound::Finite) {
        return Err(name.reject("an infinite date, which the view cannot hold"));
    }
    Ok(sent.flatten())
}

/// The row as it is now; `None`: deleted. Create, update and snapshot read are one thing.
fn after<'c, 'r>(change: &'c Change<'r>) -> Result<Option<&'c Row<'r>>, Reject> {
    match (&change.op, &change.after) {
        (Op::Delete, _) => Ok(None),
        (_, Some(row)) => Ok(Some(row)),
        (_, None) => Err(Reject(format!(
            "{}: `after` is missing; a create, update or read must carry the row",
            change.source.table
        ))),
    }
}

/// The primary key of a deleted row: from the record's key, else from `before`, where only the key columns can be
/// believed.
fn key_of_deleted(change: &Change<'_>, table: &SourceTable) -> Result<Vec<Cell>, Reject> {
    let Change { key, key_problem, before, .. } = change;
    let from_key = key.as_ref().map(|key| key_of(key, table));
    if let Some(Ok(key)) = from_key {
        return Ok(key);
    }
    let from_before = before.as_ref().map(|before| key_of(before, table));
    if let Some(Ok(key)) = from_before {
        return Ok(key);
    }
    let no_key = match (from_key, key_problem) {
        (Some(Err(e)), _) => format!("in the record's key, {}", e.0),
        (_, Some(problem)) => problem.to_string(),
        _ => "the record has no key".to_owned(),
    };
    let no_before = match from_before {
        Some(Err(e)) => format!("in `before`, {}", e.0),
        _ => "`before` is null".to_owned(),
    };
    let (name, columns) = (&change.source.table, table.key_names());
    Err(Reject(format!(
        "{name}.{columns}: the delete names no row ({no_key}; {no_before}): give the table a primary key or \
         REPLICA IDENTITY FULL, and the connector JSON keys \
         (key.converter=org.apache.kafka.connect.json.JsonConverter)"
    )))
}

fn key_of(row: &Row<'_>, table: &SourceTable) -> Result<Vec<Cell>, Reject> {
    key_cells(&row.values(&table.key)?, table)
}
fn key_cells(fields: &[Field<'_>], table: &SourceTable) -> Result<Vec<Cell>, Reject> {
    let mut key = Vec::with_capacity(fields.len());
    for (field, column) in fields.iter().zip(&table.key) {
        key.push(key_cell(field, column, table)?);
    }
    Ok(key)
}

fn key_cell(field: &Field<'_>, column: &SourceColumn, table: &SourceTable) -> Result<Cell, Reject> {
    let name = Name(&table.name, &column.name);
    let what = if column.kind == SourceType::Date { "date" } else { "time" };
    let infinite = || name.reject(format_args!("an infinite {what} cannot be in a key"));
    column.kind.key_cell(field)?.ok_or_else(infinite)
}

/// Of a column, for messages: `table.column`.
struct Name<'a>(&'a str, &'a str);
impl Name<'_> {
    fn reject(&self, why: impl std::fmt::Display) -> Reject {
        Reject(format!("{}.{}: {why}", self.0, self.1))
    }
}

/// Bounds of texts, and of what else takes as many bytes as it has; numbers and times have their own.
fn fits(cell: &Cell, bound: Bound, name: &Name<'_>) -> Result<(), Reject> {
    let length = cell.size();
    match (bound, cell) {
        (Bound::Bytes(max), _) if length > max => Err(name.reject(format_args!(
            "{length} bytes are too large, the view holds {max}; shorten it at the source"
        ))),
        // In lower case it is at most three times as long, and a word of one letter costs four times its letter.
        (Bound::BytesWithWords(max), Cell::Text(text)) if length.saturating_mul(8) > max => {
            let (words, bytes) = word_bytes(text);
            if length + bytes <= max {
                return Ok(());
            }
            Err(name.reject(format_args!(
                "too large: with its {words} words it takes {} bytes, the view holds {max}; shorten it at the source",
                length + bytes
            )))
        }
        (Bound::LowerBytes(max), Cell::Text(text)) if text.to_lowercase().len() > max => Err(name
            .reject(format_args!(
                "too large: an index's key holds {max} bytes; shorten it at the source"
            ))),
        _ => Ok(()),
    }
}

/// A decimal that every sink takes. Zeros at the end are no digits: they are left out of what would not fit with them,
/// and kept as they were sent otherwise.
fn decimal(
    field: &Field<'_>,
    bounds: &[Bound],
    name: &Name<'_>,
) -> Result<Option<Decimal>, Reject> {
    let Some(value) = field.nullable(Field::decimal)? else { return Ok(None) };
    let value = bounds.iter().try_fold(value, |value, bound| match bound {
        Bound::Places(places) => with_places(value, *places, name),
        _ => Ok(value),
    })?;
    let digits = |bound: &Bound| match bound {
        Bound::Digits(digits) => Some(*digits),
        _ => None,
    };
    let Some(max) = bounds.iter().find_map(digits) else { return Ok(Some(value)) };
    let exponent = |value: &Decimal| value.fractional_digit_count().unsigned_abs();
    if exponent(&value) <= max && value.digits() <= max {
        return Ok(Some(value));
    }
    let shorter = value.normalized();
    if shorter.digits() > max {
        return Err(name.reject(format_args!(
            "{} digits are more than the {max} that the view holds",
            shorter.digits()
        )));
    }
    match (exponent(&value) <= max, exponent(&shorter) <= max) {
        (true, _) => Ok(Some(value)),
        (_, true) => Ok(Some(shorter)),
        // A short number with a huge exponent would become a huge text.
        _ => Err(name
            .reject(format_args!("its exponent is beyond the {max} digits that the view holds"))),
    }
}

/// The same number with so many digits behind the point.
fn with_places(value: Decimal, places: u16, name: &Name<'_>) -> Result<Decimal, Reject> {
    let scale = i64::from(places);
    let short = if value.fractional_digit_count() > scale { value.normalized() } else { value };
    if short.fractional_digit_count() > scale {
        return Err(name.reject(format_args!(
            "more digits behind the point than the {places} of the table's declaration"
        )));
    }
    let zero = Decimal::from_parts(0, i16::try_from(places).unwrap_or(i16::MAX));
    Ok(&short + &zero)
}

fn whole(field: &Field<'_>, bounds: &[Bound], name: &Name<'_>) -> Result<Option<i64>, Reject> {
    let number = field.nullable(Field::int)?;
    number.map_or(Ok(()), |number| within(number, bounds, name))?;
    Ok(number)
}

fn within(n: i64, bounds: &[Bound], name: &Name<'_>) -> Result<(), Reject> {
    for bound in bounds {
        match bound {
            Bound::Size(max) if n.unsigned_abs() > max.unsigned_abs() => {
                return Err(
                    name.reject(format_args!("beyond {max}, the largest that sums are safe with"))
                );
            }
            Bound::Between(min, max) if !(min..=max).contains(&&n) => {
                return Err(name.reject("beyond the type of the table's declaration"));
            }
            _ => {}
        }
    }
    Ok(())
}
