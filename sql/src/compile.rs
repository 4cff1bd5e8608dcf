//! From the normal form to a plan that runs, and the columns of each table that it reads.
//!
//! What is a column, a constant or a set of words becomes the plan's own expression of that, and what the stores know a
//! shorter way for keeps its form; everything else is evaluated as [`Expr::of`] does it.
use crate::{
    catalogue::{Catalogue, Column as CatalogueColumn, Table},
    expr::{Comparison, Expr},
    file::ViewText,
    normal::{NormalForm, Own, Part, PartAggregate, ShownColumn},
    problem::{Place, Problem},
    types::{Kind, SqlType},
};
use std::fmt::Write;
use views::{
    Cell, Column, Condition, Expr as Planned, Merge, Parts, Plan, Rules, Type, View,
    canonical::Text,
    computed::{Compute, Computed, Failed},
    plan,
};

/// A view that can be run.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// Its tables are numbered by their places in [`Compiled::tables`].
    pub plan: Plan,
    /// The tables that are read, in the order in which the view names them.
    pub tables: Vec<TableUse>,
    /// All that the state of the view is made by: two views of one text go on with each other's state. Another compiler that
    /// makes other states of the same view writes another number in it.
    pub text: String,
}

/// What of a table is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableUse {
    /// The table's place in the catalogue.
    pub table: usize,
    /// The columns beside those of its primary key, by their places in the table.
    pub columns: Vec<usize>,
}

impl TableUse {
    /// Refuses what cannot be read of a table yet.
    fn check(&self, catalogue: &Catalogue, place: Place) -> Result<(), Problem> {
        let table = &catalogue.tables()[self.table];
        let refuse = |what: String, instead: &str| Err(Problem::new(place, what).instead(instead));
        if table.key.is_empty() {
            return refuse(
                format!(
                    "{} has no primary key: a change of it does not say which row it is of",
                    table.name
                ),
                "give it one, and say it here: primary key (COLUMN)",
            );
        }
        // Equal numbers are one key, and so their digits behind the point are not kept.
        let loses_digits = |column: &&CatalogueColumn| match column.sql_type {
            SqlType::Plain(Kind::Numeric) => true,
            SqlType::Numeric { scale, .. } => scale != 0,
            _ => false,
        };
        let mut key = table.key.iter().map(|at| &table.columns[*at]);
        if let Some(column) = key.clone().find(loses_digits) {
            return refuse(
                format!(
                    "the key {}.{} is a numeric with digits behind the point, which cannot be run yet",
                    table.name, column.name
                ),
                "whole numbers, numeric(p,0), text and uuid can be keys",
            );
        }
        let mut others = self.columns.iter().map(|at| &table.columns[*at]);
        let is_real = |column: &&CatalogueColumn| column.sql_type.kind() == Kind::Float4;
        if let Some(column) = key.find(is_real).or_else(|| others.find(is_real)) {
            return refuse(
                format!("{}.{} is of type real, which cannot be run yet", table.name, column.name),
                "double precision can",
            );
        }
        Ok(())
    }
}

/// The place of a table among those that are read.
fn place_of(tables: &[TableUse], table: usize) -> usize {
    tables.iter().position(|used| used.table == table).unwrap_or_default()
}

/// Another number when the same normal form comes to another state.
const RULES: u32 = 1;

impl NormalForm {
    /// The plan of this view. Its names live as long as the process, which is for programs that run views, not for those
    /// that compile many.
    ///
    /// # Errors
    /// What no plan can do yet, with the reason and a way on.
    pub fn compile(&self, view: &ViewText, catalogue: &Catalogue) -> Result<Compiled, Problem> {
        let place = view.place;
        let refuse = |what: String, instead: &str| Err(Problem::new(place, what).instead(instead));
        if self.parts.iter().any(|part| part.each.is_some()) {
            return refuse(
                "a sum over the elements of a list or of words is checked, but cannot be run yet"
                    .into(),
                "show the words themselves: select w, id from t, unnest(words(x)) w",
            );
        }
        let tables = self.tables(catalogue);
        tables.iter().try_for_each(|used| used.check(catalogue, place))?;
        let shown = Shown::of(self);
        if let Some(name) = &shown.key_within {
            return refuse(
                format!("{name} is made of a group's key, which cannot be run yet"),
                "show the key, and make the rest of it when reading",
            );
        }
        let key = self.key.iter().filter_map(|at| self.columns.get(*at));
        let key: Option<Vec<Column>> = key
            .map(|column| Some(Column::new(leaked(&column.name), column.sql_type.kind().cell()?)))
            .collect();
        let Some(key) = key.filter(|key| {
            let no_key = [Type::Json, Type::List, Type::Words];
            key.iter().all(|column| !no_key.contains(&column.kind))
        }) else {
            return refuse(
                "a key of json, of a list or of words has no order by which rows are found".into(),
                "make a text of it",
            );
        };
        let (mut columns, mut shows) = (Vec::new(), Vec::new());
        for (column, value) in &shown.columns {
            let Some(kind) = column.sql_type.kind().cell() else {
                return refuse(
                    format!("{} is of type {}, which no view keeps", column.name, column.sql_type),
                    "cast it to a type that a table can have",
                );
            };
            columns.push(Column::new(leaked(&column.name), kind));
            shows.push(value.clone());
        }
        let place_of = |table: usize| place_of(&tables, table);
        let rows = |table: usize| RowMap::of(&catalogue.tables()[table], &tables[place_of(table)]);
        let mut text = format!("view {} rules {RULES}\n", view.name);
        describe(&mut text, &tables, catalogue);
        self.number(&mut text, &tables);

        let mut merge = Vec::new();
        let mut parts = Vec::new();
        for part in &self.parts {
            let planned = rows(part.table).part(part, place_of(part.table), self.own.is_none());
            merge.extend(planned.aggregates.iter().map(plan::Aggregate::merge));
            parts.push(planned);
        }
        let merge: &'static [Merge] = leaked_all(merge);
        let (key, columns) = (leaked_all(key), leaked_all(columns));
        let rules = Rules { text: Text::new("sql").with("view", &text), earlier: |_| None };
        let name = leaked(&view.name);
        let (view, own) = match &self.own {
            Some(own) => {
                let planned = rows(own.table).own(own, place_of(own.table), &shown);
                let names = own_columns(planned.columns.len(), columns, &shows);
                let view = View::rows(name, key, leaked_all(names));
                (if merge.is_empty() { view } else { view.with_totals(merge) }, Some(planned))
            }
            None => (View::totals(name, key, merge, &[]), None),
        };
        let view = view.showing(columns, shows).existing(shown.exists).ruled(rules);
        Ok(Compiled { plan: Plan::new(view, own, parts), tables, text })
    }

    /// The form with columns and slots as numbers, which no name can be taken for.
    fn number(&self, text: &mut String, tables: &[TableUse]) {
        let written = |expr: &Expr| expr.text(&|at| format!("#{at}"));
        let all = |exprs: &[Expr]| exprs.iter().map(written).collect::<Vec<_>>().join(", ");
        let rows = |table: usize, filter: &Expr, each: &Option<Expr>| {
            let each = each.iter().map(|each| format!(" each {}", written(each)));
            let (at, filter) = (place_of(tables, table), written(filter));
            format!("{at} where {filter}{}", each.collect::<String>())
        };
        if let Some(Own { table, filter, each, key, columns }) = &self.own {
            let rows = rows(*table, filter, each);
            let _ = writeln!(text, "own {rows} key {} columns {}", all(key), all(columns));
        }
        for Part { table, filter, each, key, aggregates } in &self.parts {
            let rows = rows(*table, filter, each);
            let aggregate = |aggregate: &PartAggregate| match aggregate {
                PartAggregate::Rows => "rows".to_owned(),
                PartAggregate::Count(of) => format!("count {}", written(of)),
                PartAggregate::Sum(of, kind) => format!("sum {kind} {}", written(of)),
                PartAggregate::Min(of) => format!("min {}", written(of)),
                PartAggregate::Max(of) => format!("max {}", written(of)),
            };
            let aggregates: Vec<String> = aggregates.iter().map(aggregate).collect();
            let aggregates = aggregates.join("; ");
            let _ = writeln!(text, "part {rows} key {}: {aggregates}", all(key));
        }
        let _ = writeln!(text, "key {:?} exists {}", self.key, written(&self.exists));
        for column in &self.columns {
            let _ =
                writeln!(text, "{} {} = {}", column.name, column.sql_type, written(&column.value));
        }
        // Words of another version of Unicode are other words.
        if text.contains("words(") {
            let (major, minor, patch) = views::UNICODE_VERSION;
            let _ = writeln!(text, "unicode {major}.{minor}.{patch}");
        }
    }

    /// The tables that are read, and what of them.
    fn tables(&self, catalogue: &Catalogue) -> Vec<TableUse> {
        let mut tables: Vec<TableUse> = Vec::new();
        let own = self.own.iter().map(|own| {
            let exprs = own.key.iter().chain(&own.columns).chain(&own.each).chain([&own.filter]);
            (own.table, exprs.collect::<Vec<_>>())
        });
        let parts = self.parts.iter().map(|part| {
            let aggregates = part.aggregates.iter().filter_map(PartAggregate::argument);
            let exprs = part.key.iter().chain(&part.each).chain([&part.filter]).chain(aggregates);
            (part.table, exprs.collect::<Vec<_>>())
        });
        for (table, exprs) in own.chain(parts) {
            let at = tables.iter().position(|used| used.table == table).unwrap_or_else(|| {
                tables.push(TableUse { table, columns: Vec::new() });
                tables.len() - 1
            });
            let (of, used) = (&catalogue.tables()[table], &mut tables[at].columns);
            for expr in exprs {
                expr.each_column(&mut |at| {
                    if at < of.columns.len() && !of.key.contains(&at) && !used.contains(&at) {
                        used.push(at);
                    }
                });
            }
            used.sort_unstable();
        }
        tables
    }
}

impl PartAggregate {
    /// What is counted or added; nothing for a count of rows.
    fn argument(&self) -> Option<&Expr> {
        match self {
            Self::Rows => None,
            Self::Count(of) | Self::Sum(of, _) | Self::Min(of) | Self::Max(of) => Some(of),
        }
    }
}

/// What is read of which tables, with the types that all expressions are made for.
fn describe(text: &mut String, tables: &[TableUse], catalogue: &Catalogue) {
    for used in tables {
        let table = &catalogue.tables()[used.table];
        let column = |at: &usize| {
            let column = &table.columns[*at];
            let not_null = if column.not_null { " not null" } else { "" };
            format!("{} {}{not_null}", column.name, column.sql_type)
        };
        let list = |places: &[usize]| places.iter().map(column).collect::<Vec<_>>().join(", ");
        let (key, columns) = (list(&table.key), list(&used.columns));
        let _ = writeln!(text, "table {}.{} key {key} columns {columns}", table.schema, table.name);
    }
}

/// The columns of an owner's part: those that are shown as they are have the name and type by which they are shown.
fn own_columns(count: usize, columns: &[Column], shows: &[Planned]) -> Vec<Column> {
    let column = |at: usize| {
        let place = shows.iter().position(|shown| *shown == Planned::Own(at));
        // Nobody is shown the others, and so nobody asks for their type.
        let inner = || Column::new(leaked(&format!("own{}", at + 1)), Type::Text);
        place.map_or_else(inner, |place| columns[place])
    };
    (0..count).map(column).collect()
}

/// Where a table's columns are in a source row as plans have it: the primary key, the other columns that are read, and the
/// element behind them.
struct RowMap<'a> {
    key: &'a [usize],
    columns: &'a [usize],
}
impl<'a> RowMap<'a> {
    fn of(table: &'a Table, used: &'a TableUse) -> Self {
        Self { key: &table.key, columns: &used.columns }
    }

    /// The same expression over such a row.
    fn moved(&self, expr: &Expr) -> Expr {
        expr.with_columns(&mut |at| {
            let of_key = self.key.iter().position(|key| *key == at);
            let other = || self.columns.iter().position(|column| *column == at);
            let beside = || self.key.len() + other().unwrap_or(self.columns.len());
            Expr::Column(of_key.unwrap_or_else(beside))
        })
    }

    fn expr(&self, expr: &Expr) -> Planned {
        let column = |at: usize| match at.checked_sub(self.key.len()) {
            None => Planned::Key(at),
            Some(beside) => Planned::Own(beside),
        };
        planned(self.moved(expr), &column)
    }

    fn condition(&self, expr: &Expr) -> Condition {
        match expr {
            Expr::Value(Cell::Bool(true)) => Condition::Always,
            Expr::Not(inner) => match &**inner {
                Expr::IsNull(of) => Condition::Known(self.expr(of)),
                _ => Condition::True(self.expr(expr)),
            },
            _ => Condition::True(self.expr(expr)),
        }
    }

    fn own(&self, own: &Own, table: usize, shown: &Shown) -> plan::Own {
        let all = |exprs: &[Expr]| exprs.iter().map(|expr| self.expr(expr)).collect::<Vec<_>>();
        let key = all(&own.key);
        let mut columns = all(&own.columns);
        columns.extend(shown.keys_within.iter().filter_map(|at| key.get(*at)).cloned());
        plan::Own {
            table,
            filter: self.condition(&own.filter),
            each: own.each.as_ref().map(|each| self.expr(each)),
            key,
            columns,
        }
    }

    /// `counts_all`: whether the part has to count all its rows, whoever asks for that.
    fn part(&self, part: &Part, table: usize, counts_all: bool) -> plan::Part {
        let aggregate = |aggregate: &PartAggregate| match aggregate {
            PartAggregate::Rows => plan::Aggregate::Count,
            PartAggregate::Count(of) => plan::Aggregate::CountIf(Condition::Known(self.expr(of))),
            // Of whole numbers of at most 32 bits: 64 bits hold the sum of any 2 billion of them.
            PartAggregate::Sum(of, Kind::Int8) => plan::Aggregate::Sum(Type::Int, self.expr(of)),
            PartAggregate::Sum(of, _) => plan::Aggregate::Sum(Type::Decimal, self.expr(of)),
            PartAggregate::Min(of) => plan::Aggregate::Min(self.expr(of)),
            PartAggregate::Max(of) => plan::Aggregate::Max(self.expr(of)),
        };
        let mut aggregates: Vec<_> = part.aggregates.iter().map(aggregate).collect();
        if counts_all && lacks_count(part) {
            aggregates.push(plan::Aggregate::Count);
        }
        plan::Part {
            table,
            filter: self.condition(&part.filter),
            key: part.key.iter().map(|key| self.expr(key)).collect(),
            aggregates,
        }
    }
}

/// Whether the part does not say how many rows it has, without which nobody knows whether it has any.
fn lacks_count(part: &Part) -> bool {
    !part.aggregates.contains(&PartAggregate::Rows)
}

/// What is shown, over the owner's columns and the totals.
struct Shown<'a> {
    /// But for the key.
    columns: Vec<(&'a ShownColumn, Planned)>,
    exists: Condition,
    /// Columns of the key that are in expressions: the owner keeps them once more, behind its own columns.
    keys_within: Vec<usize>,
    /// The name of a column that is made of a key that no owner has.
    key_within: Option<String>,
}
impl<'a> Shown<'a> {
    fn of(form: &'a NormalForm) -> Self {
        let key = form.key.len();
        let own = form.own.as_ref().map_or(0, |own| own.columns.len());
        let mut keys_within: Vec<usize> = Vec::new();
        let columns = form.columns.iter().enumerate().filter(|(at, _)| !form.key.contains(at));
        let columns: Vec<_> = columns.map(|(_, column)| column).collect();
        let mut key_within = None;
        let named = columns.iter().map(|column| (column.name.as_str(), &column.value));
        for (name, expr) in named.chain([("having", &form.exists)]) {
            expr.each_column(&mut |at| {
                if at < key && form.own.is_none() {
                    key_within.get_or_insert(name.to_owned());
                } else if at < key && !keys_within.contains(&at) {
                    keys_within.push(at);
                }
            });
        }
        // The place of each slot of the parts among the totals: some parts count their rows beside.
        let mut totals = Vec::new();
        let mut rows = Vec::new();
        let mut next = 0;
        for part in &form.parts {
            for aggregate in &part.aggregates {
                if *aggregate == PartAggregate::Rows {
                    rows.push(next);
                }
                totals.push(next);
                next += 1;
            }
            next += usize::from(form.own.is_none() && lacks_count(part));
        }
        let width = own + keys_within.len();
        let moved = |expr: &Expr| {
            expr.with_columns(&mut |at| {
                Expr::Column(match at.checked_sub(key) {
                    // Those that no owner keeps are refused.
                    None => own + keys_within.iter().position(|one| *one == at).unwrap_or(0),
                    Some(at) if at < own => at,
                    Some(at) => width + totals.get(at - own).copied().unwrap_or(next),
                })
            })
        };
        let column = |at: usize| match at.checked_sub(width) {
            None => Planned::Own(at),
            Some(total) => Planned::Total(total),
        };
        let shown = |expr: &Expr| planned(moved(expr), &column);
        let exists = match &form.exists {
            Expr::Value(Cell::Bool(true)) => Condition::Always,
            exists => match counted(&moved(exists)).and_then(|at| at.checked_sub(width)) {
                // A count is never below 0.
                Some(total) if rows.contains(&total) => Condition::NotZero(Planned::Total(total)),
                _ => Condition::True(shown(exists)),
            },
        };
        let columns = columns.into_iter().map(|column| (column, shown(&column.value))).collect();
        Self { columns, exists, keys_within, key_within }
    }
}

/// The place of the column in `coalesce(column, 0) > 0`.
fn counted(expr: &Expr) -> Option<usize> {
    let Expr::Compare(Comparison::Greater, count, zero) = expr else { return None };
    match (&**count, &**zero) {
        (Expr::Coalesce(all), Expr::Value(Cell::Int(0))) => match &all[..] {
            [Expr::Column(at), Expr::Value(Cell::Int(0))] => Some(*at),
            _ => None,
        },
        _ => None,
    }
}

/// The plan's own expression where it has one. `column`: what the column at a place is there.
fn planned(expr: Expr, column: &dyn Fn(usize) -> Planned) -> Planned {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(_));
    let of_column = |expr: &Expr| match expr {
        Expr::Column(at) => column(*at),
        _ => Planned::Value(Cell::Null),
    };
    match &expr {
        Expr::Column(at) => column(*at),
        Expr::Value(cell) => Planned::Value(cell.clone()),
        Expr::Words(all) if all.iter().all(is_column) => {
            Planned::Words(all.iter().map(of_column).collect())
        }
        Expr::Coalesce(all) => match &all[..] {
            [of @ Expr::Column(_), Expr::Value(Cell::Int(0))] => match of_column(of) {
                total @ Planned::Total(_) => total.or_zero(),
                of => of.or(0),
            },
            _ => computed(expr),
        },
        _ => computed(expr),
    }
}

fn computed(expr: Expr) -> Planned {
    let text = expr.text(&|at| format!("c{at}"));
    Planned::Computed(Computed::new(&text, expr))
}

impl Compute for Expr {
    fn of(&self, parts: Parts<'_>) -> Result<Cell, Failed> {
        match self.of_parts(parts) {
            Ok(value) => Ok(value.into_owned()),
            Err(why) => Err(Failed(why.to_string())),
        }
    }

    fn may_fail(&self) -> bool {
        let is_call = matches!(self, Self::Call(..) | Self::Concat(_) | Self::ConcatWith(_));
        is_call || self.children().into_iter().any(Self::may_fail)
    }
}

fn leaked(name: &str) -> &'static str {
    Box::leak(name.to_owned().into_boxed_str())
}
fn leaked_all<T>(all: Vec<T>) -> &'static [T] {
    Box::leak(all.into_boxed_slice())
}
