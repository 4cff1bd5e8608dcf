//! A table of the source, as a statement sees it: the snapshot's rows, *patched* with what the log says beyond it.
//!
//! Patches and lists of keys come as JSON. Their columns are numbered, so that no column of a table can have the name of
//! another: `k1`, `k2` are the primary key, `c1`, `c2` the other columns, `kept1` says of `c1` that it was not sent, `for1`
//! and `w1` are columns of the view's key.
use super::super::{row_key::RowKey, window::Patch};
use ::sql::quoted;
use consumers::source_table::{SourceColumn, SourceTable, SourceType};
use debezium::Kept;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Types of columns as PostgreSQL writes them, by the names of table and column at the source.
pub type Types = HashMap<(String, String), String>;

#[derive(Debug, Clone)]
pub struct Table {
    /// As the service's handler declares it, in the topic that is set.
    pub source: SourceTable,
    /// Our names of the columns by which a row counts towards a view's row: see [`counted_by`].
    pub counted_by: Vec<&'static str>,
    /// Quoted, with its schema.
    place: String,
    key: Vec<Column>,
    columns: Vec<Column>,
}

/// Our names of the columns by which rows of this table count towards a view's row. This is the shop's rule: lines of
/// orders count towards their product, all other rows towards the view's row that has their own primary key.
fn counted_by(table: &SourceTable) -> Vec<&'static str> {
    match table.alias {
        "order_items" => vec!["product_id"],
        _ => table.key.iter().map(|column| column.alias).collect(),
    }
}

#[derive(Debug, Clone)]
struct Column {
    alias: &'static str,
    /// As the source calls it, quoted.
    yours: String,
    kind: SourceType,
    /// The type in which the source compares its values, so that an index serves.
    own: String,
}
impl Column {
    fn new(column: &SourceColumn, own: Option<&String>) -> Self {
        let own = match (column.kind, own) {
            // Any whole number can be asked for; an index serves all of their types.
            (SourceType::Int, _) | (_, None) => view_type(column.kind).to_owned(),
            (_, Some(own)) => own.clone(),
        };
        Self { alias: column.alias, yours: quoted(&column.name), kind: column.kind, own }
    }
    /// This value of the column, as views see it.
    fn seen(&self, value: &str) -> String {
        // Through text: a `real` or `double precision` then reads as Debezium writes it, and so do the elements of a list,
        // which a cast would shorten (`char(n)`) or lengthen (`inet`).
        let is_cast =
            matches!(self.kind, SourceType::Decimal | SourceType::Float | SourceType::List);
        let through = if is_cast { "::text" } else { "" };
        format!("{value}{through}::{}", view_type(self.kind))
    }
    /// What the snapshot has, as views see it.
    fn base(&self) -> String {
        self.seen(&format!("t.{}", self.yours))
    }
    /// Where the patch has it as column `n`: what was not sent, because it did not change, stands in the snapshot.
    fn touched(&self, n: usize) -> String {
        if !self.kind.may_be_unsent() {
            return format!("p.c{n}");
        }
        format!("case when p.kept{n} then {} else p.c{n} end", self.base())
    }
    /// The same, as a list of JSON objects declares it.
    fn declared(&self, n: usize) -> String {
        let kept =
            if self.kind.may_be_unsent() { format!(", kept{n} boolean") } else { String::new() };
        format!("c{n} {}{kept}", view_type(self.kind))
    }
    /// What the snapshot has as the text that a cell is read from; times are µs since 1970, lists are JSON. An infinite time
    /// or date is null.
    fn shown(&self) -> String {
        let base = self.base();
        match self.kind {
            SourceType::Time => format!(
                "case when isfinite({base}) then (extract(epoch from {base})::numeric * 1000000)::bigint::text end"
            ),
            SourceType::Text | SourceType::Json => base,
            SourceType::Date => format!("case when isfinite({base}) then {base}::text end"),
            SourceType::List => format!("to_json({base})::text"),
            SourceType::Int | SourceType::Decimal | SourceType::Float => format!("{base}::text"),
            SourceType::Bool | SourceType::Uuid | SourceType::Bytes => format!("{base}::text"),
        }
    }
}

/// The type that views see a column of this kind in.
const fn view_type(kind: SourceType) -> &'static str {
    match kind {
        SourceType::Int => "bigint",
        // JSON as the source shows it, which is what Debezium sends.
        SourceType::Text | SourceType::Json => "text",
        SourceType::Decimal => "numeric",
        SourceType::Time => "timestamptz",
        SourceType::Bool => "boolean",
        SourceType::Float => "double precision",
        SourceType::Date => "date",
        SourceType::Uuid => "uuid",
        SourceType::Bytes => "bytea",
        SourceType::List => "text[]",
    }
}

/// One condition for each column, numbered from 1, all of them to hold.
fn all<'c>(
    columns: impl IntoIterator<Item = &'c Column>,
    condition: impl Fn(usize, &Column) -> String,
) -> String {
    let one = |(n, column)| condition(n, column);
    (1..).zip(columns).map(one).collect::<Vec<_>>().join(" and ")
}
/// Columns of a list of JSON objects, numbered from 1 behind a letter or word, each in its own type.
fn declared<'c>(name: &str, columns: impl IntoIterator<Item = &'c Column>) -> String {
    let one = |(n, column): (usize, &Column)| format!("{name}{n} {}", column.own);
    (1..).zip(columns).map(one).collect::<Vec<_>>().join(", ")
}
/// The values of a key under such names.
fn named<'k>(name: &'k str, key: &'k RowKey) -> impl Iterator<Item = (String, Value)> {
    (1..).zip(key.values()).map(move |(n, value): (usize, _)| (format!("{name}{n}"), value.into()))
}

impl Table {
    /// In this schema, with the types that the source's columns have. One that is not there is taken for what its kind
    /// says: the statements then say what is wrong.
    pub fn new(source: &SourceTable, schema: &str, types: &Types) -> Self {
        let own = |column: &SourceColumn| types.get(&(source.name.clone(), column.name.clone()));
        let of = |all: &[SourceColumn]| all.iter().map(|c| Column::new(c, own(c))).collect();
        Self {
            source: source.clone(),
            counted_by: counted_by(source),
            place: format!("{}.{}", quoted(schema), quoted(&source.name)),
            key: of(&source.key),
            columns: of(&source.columns),
        }
    }

    /// Whether each row counts by its primary key, or a part of it, which no change of the row can change.
    pub fn is_counted_by_key(&self) -> bool {
        self.counted_by.iter().all(|alias| self.key.iter().any(|column| column.alias == *alias))
    }

    /// The columns by which a row counts towards a view's row.
    fn counted(&self) -> impl Iterator<Item = &Column> {
        let find = |alias: &&str| self.key.iter().chain(&self.columns).find(|c| c.alias == *alias);
        self.counted_by.iter().filter_map(find)
    }
    /// The same, as they are declared.
    pub fn counted_columns(&self) -> Vec<&SourceColumn> {
        let find = |alias: &&str| self.source.all_columns().find(|c| c.alias == *alias);
        self.counted_by.iter().filter_map(find).collect()
    }

    /// The snapshot's rows `t` of these keys (`$1`, see [`Table::numbered`]).
    fn asked(&self) -> String {
        let is = all(&self.key, |n, column| format!("t.{} = w.k{n}", column.yours));
        format!(
            "from json_to_recordset($1::text::json) as w(n bigint, {}) join {} t on {is}",
            declared("k", &self.key),
            self.place
        )
    }
    /// For each of these rows that the snapshot has, its number, and the view's row that it counts towards.
    pub fn keys_of(&self) -> String {
        let counted: String = self.counted().map(|c| format!(", {}", c.shown())).collect();
        format!("select w.n{counted} {}", self.asked())
    }
    /// The numbers of those of these rows that the snapshot has.
    pub fn ids_of(&self) -> String {
        format!("select w.n {}", self.asked())
    }
    /// Keys as these statements take them.
    pub fn numbered(keys: &[&RowKey]) -> Value {
        let one = |(n, key): (usize, &&RowKey)| {
            let values = named("k", key).chain([("n".to_owned(), n.into())]);
            Value::Object(values.collect())
        };
        keys.iter().enumerate().map(one).collect()
    }

    /// `patch_<alias>` and `<alias>`, the table as it is at the position. `keys`: the parameter with the view's rows that
    /// alone are wanted.
    pub fn patched(&self, patch: usize, keys: Option<usize>) -> String {
        let name = quoted(self.source.alias);
        let of_patch = quoted(&format!("patch_{}", self.source.alias));
        let place = &self.place;
        let is_same = all(&self.key, |n, column| format!("p.k{n} = t.{}", column.yours));
        let (wanted, only, for_key) = match keys {
            Some(keys) => (self.wanted_by(keys), self.is_for_base(), self.is_for_touched()),
            None => Default::default(),
        };
        format!(
            "{of_patch} as materialized (\n  select * from json_to_recordset(${patch}::text::json)\n    as p({})\n),\n\
             {name} as (\n  select {}\n  from {place} t\n  \
             where {wanted}not exists (select from {of_patch} p where {is_same}{only})\n  \
             union all\n  select {}\n  from {of_patch} p left join {place} t on {is_same}\n  \
             where not p.deleted{for_key}\n)",
            self.columns_of_patch(keys.is_some()),
            self.all_base(),
            self.all_touched(),
        )
    }
    fn columns_of_patch(&self, has_for: bool) -> String {
        let mut all = vec!["deleted boolean".to_owned(), declared("k", &self.key)];
        if has_for {
            all.push(declared("for", self.counted()));
        }
        all.extend((1..).zip(&self.columns).map(|(n, column)| column.declared(n)));
        all.join(", ")
    }
    fn all_base(&self) -> String {
        let one = |column: &Column| format!("{} as {}", column.base(), quoted(column.alias));
        self.key.iter().chain(&self.columns).map(one).collect::<Vec<_>>().join(", ")
    }
    fn all_touched(&self) -> String {
        let key = (1..).zip(&self.key).map(|(n, c): (usize, _)| c.seen(&format!("p.k{n}")));
        let columns = (1..).zip(&self.columns).map(|(n, c)| c.touched(n));
        key.chain(columns).collect::<Vec<_>>().join(", ")
    }

    /// The snapshot's row counts towards one of these rows of the view.
    fn wanted_by(&self, keys: usize) -> String {
        let is = all(self.counted(), |n, column| format!("w.w{n} = t.{}", column.yours));
        format!(
            "exists (select from json_to_recordset(${keys}::text::json) as w({}) where {is}) and ",
            declared("w", self.counted())
        )
    }
    /// A row of the patch is for the view's row that the snapshot's row counts towards.
    fn is_for_base(&self) -> String {
        let is = all(self.counted(), |n, column| format!("p.for{n} = t.{}", column.yours));
        format!(" and {is}")
    }
    /// A row of the patch counts towards the view's row that it is for.
    fn is_for_touched(&self) -> String {
        let is = all(self.counted(), |n, column| {
            let place = |all: &[Column]| all.iter().position(|c| c.alias == column.alias);
            let value = match (place(&self.key), place(&self.columns)) {
                (Some(at), _) => format!("p.k{}", at + 1),
                (None, at) => {
                    let touched = column.touched(at.unwrap_or_default() + 1);
                    format!("({touched})::{}", column.own)
                }
            };
            format!("{value} = p.for{n}")
        });
        format!(" and {is}")
    }

    /// A patch as the statements take it. `for_key`: the view's row that it is for, where each has a patch of its own.
    pub fn json(&self, patch: Patch, for_key: Option<&RowKey>, out: &mut Vec<Value>) {
        for (key, row) in patch {
            let mut object: Map<String, Value> = named("k", &key).collect();
            object.extend(for_key.into_iter().flat_map(|key| named("for", key)));
            object.insert("deleted".into(), row.is_none().into());
            for (name, value) in row.into_iter().flatten() {
                let Some(at) = self.columns.iter().position(|c| c.alias == name) else { continue };
                match value {
                    Kept::New(text) => object.insert(format!("c{}", at + 1), json!(text)),
                    Kept::Unchanged => object.insert(format!("kept{}", at + 1), true.into()),
                };
            }
            out.push(Value::Object(object));
        }
    }
}

/// The view's rows that are wanted, as the statements take them.
pub fn wanted<'k>(keys: impl IntoIterator<Item = &'k RowKey>) -> Vec<Value> {
    keys.into_iter().map(|key| Value::Object(named("w", key).collect())).collect()
}

#[cfg(test)]
mod tests;
