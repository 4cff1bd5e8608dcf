//! Queries: from, where, group by, having, select.
mod env;
mod from;
mod grouped;

use self::{env::Env, from::renamed, grouped::Grouped};
use super::{
    resolve::{becomes, common},
    scalar::{Collation, Typed, bind, bind_condition},
    table::enums_of,
};
use crate::{
    catalogue::Catalogue,
    expr::{Comparison, Expr, Function},
    file::{File, folded, parts, single_name},
    problem::{Place, Problem},
    relation::{BoundQuery, Join, OutputColumn, Relation},
    types::{EnumType, Kind, SqlType},
};
use sqlparser::ast::{
    self, Distinct, FunctionArg, FunctionArgExpr, JoinConstraint, JoinOperator, Query, Select,
    SetExpr, SetOperator, SetQuantifier, TableFactor,
};
use std::{collections::HashSet, sync::Arc};

/// Operators that all uses of with clauses may come to.
const SIZE_MAX: usize = 1_000;
/// Columns of an outer query stand behind this place while an inner one is bound.
const OUTER: usize = 1 << 40;
/// And aggregates behind this one, while their query is bound.
const AGGREGATES: usize = 1 << 41;

/// A relation with the names of its columns.
#[derive(Debug, Clone)]
struct Named {
    relation: Relation,
    columns: Vec<Column>,
}
#[derive(Debug, Clone)]
struct Column {
    /// The table's name or alias.
    qualifier: Option<String>,
    /// `None`: it has none, and nobody sees it.
    name: Option<String>,
    sql_type: SqlType,
    collation: Collation,
    /// The table's instance in the query, the table, and the column's place in it.
    source: Option<(usize, usize, usize)>,
}

impl File {
    /// Binds the view's query to these tables: the caller's, or [`File::tables`] where the file brings its own.
    ///
    /// # Errors
    /// Names that are not there, types that do not fit, and all that is not taken, at its place.
    pub fn bind(&self, catalogue: &Catalogue) -> Result<BoundQuery, Problem> {
        let mut binder = Binder {
            catalogue,
            enums: enums_of(catalogue.tables().iter()),
            ctes: Vec::new(),
            instances: 0,
            size: 0,
        };
        let place = Place::of(&self.view.query, self.view.place);
        let named = binder.query(&self.view.query, place)?;
        let mut columns = Vec::new();
        let mut seen = HashSet::new();
        for column in &named.columns {
            let Some(name) = column.name.clone() else {
                return Err(Problem::new(place, "a column of the view has no name")
                    .instead("write as NAME behind it"));
            };
            if !seen.insert(name.clone()) {
                return Err(Problem::new(
                    place,
                    format!("two columns of the view are called {name}"),
                )
                .instead("write as NAME behind one"));
            }
            if column.sql_type.kind().cell().is_none() {
                return Err(Problem::new(
                    place,
                    format!("{name} is of type {}, which no view keeps", column.sql_type),
                ));
            }
            columns.push(OutputColumn { name, sql_type: column.sql_type.clone() });
        }
        Ok(BoundQuery { relation: named.relation, columns, place })
    }
}

struct Binder<'a> {
    catalogue: &'a Catalogue,
    enums: Vec<Arc<EnumType>>,
    ctes: Vec<(String, Named)>,
    instances: usize,
    /// How many operators the uses of with clauses came to.
    size: usize,
}

fn refuse<T>(place: Place, what: impl Into<String>, instead: &str) -> Result<T, Problem> {
    Err(Problem::new(place, what).instead(instead))
}

impl Binder<'_> {
    fn query(&mut self, query: &Query, place: Place) -> Result<Named, Problem> {
        if query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
            let at = query.order_by.as_ref().map_or(place, |order| Place::of(order, place));
            return refuse(
                at,
                "order by and limit of a whole view: one row's change would move others in and out",
                "order when reading, or publish a report",
            );
        }
        let is_plain = query.locks.is_empty()
            && query.for_clause.is_none()
            && query.settings.is_none()
            && query.format_clause.is_none()
            && query.pipe_operators.is_empty();
        if !is_plain {
            return refuse(place, "a clause behind the query is not taken here", "leave it out");
        }
        let known = self.ctes.len();
        if let Some(with) = &query.with {
            if with.recursive {
                let at = Place::of_span(with.with_token.0.span).unwrap_or(place);
                return refuse(
                    at,
                    "a recursive query reads its own rows: they are no share of one partition",
                    "keep the rows, and ask when reading",
                );
            }
            for cte in &with.cte_tables {
                let at = Place::of_span(cte.alias.name.span).unwrap_or(place);
                let mut named = self.query(&cte.query, at)?;
                renamed(&mut named, Some(&cte.alias), at)?;
                self.ctes.push((folded(&cte.alias.name), named));
            }
        }
        let body = self.body(&query.body, place);
        self.ctes.truncate(known);
        body
    }

    fn body(&mut self, body: &SetExpr, place: Place) -> Result<Named, Problem> {
        match body {
            SetExpr::Select(select) => self.select(select, place),
            SetExpr::Query(query) => self.query(query, place),
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } => {
                let is_all = matches!(set_quantifier, SetQuantifier::All);
                if !is_all
                    && !matches!(set_quantifier, SetQuantifier::None | SetQuantifier::Distinct)
                {
                    return refuse(place, "union by name is not taken here", "write union all");
                }
                let (left, right) = (self.body(left, place)?, self.body(right, place)?);
                let at = Place::of(body, place);
                let union = union(left, right, at)?;
                if is_all { Ok(union) } else { distinct(union, at) }
            }
            SetExpr::SetOperation { op, .. } => refuse(
                place,
                format!("{op} is not taken here"),
                "write exists (...) or not exists (...) in where",
            ),
            SetExpr::Values(_) => {
                refuse(place, "values without a table never change", "store them in a table")
            }
            _ => refuse(place, "this is no select", "write select ... from ..."),
        }
    }

    fn select(&mut self, select: &Select, around: Place) -> Result<Named, Problem> {
        let place = Place::of_span(select.select_token.0.span).unwrap_or(around);
        check_clauses(select, place)?;
        let from = self.from(&select.from, place)?;
        let mut env = Env::new(self, from, None);
        if let Some(condition) = &select.selection {
            let condition = bind_condition(condition, &mut env, place)?;
            env.filter(condition, place)?;
        }
        env.aggregates = Some(Vec::new());
        let keys = env.group_keys(&select.group_by, &select.projection, place)?;
        let mut items = env.items(&select.projection, place)?;
        let having = select
            .having
            .as_ref()
            .map(|having| bind_condition(having, &mut env, place))
            .transpose()?;
        let aggregates = env.aggregates.take().unwrap_or_default();
        let is_grouped = !keys.is_empty() || !aggregates.is_empty() || having.is_some();
        let Env { named, .. } = env;
        let mut relation = named.relation;
        if is_grouped {
            let mut grouped = Grouped::new(&named.columns, keys, self.catalogue);
            let having = having.map(|having| grouped.over(&having, place)).transpose()?;
            for item in &mut items {
                item.0.expr = grouped.over(&item.0.expr, item.2)?;
            }
            relation = grouped.relation(relation, aggregates);
            if let Some(having) = having {
                relation = Relation::Filter(Box::new(relation), grouped.numbered(&having));
            }
            for item in &mut items {
                item.0.expr = grouped.numbered(&item.0.expr);
            }
        }
        let column = |(typed, name, _): &(Typed, Option<String>, Place)| Column {
            qualifier: None,
            name: name.clone(),
            sql_type: if typed.kind() == Kind::Unknown {
                Kind::Text.into()
            } else {
                typed.sql_type.clone()
            },
            collation: typed.collation,
            source: match typed.expr {
                Expr::Column(at) if !is_grouped => {
                    named.columns.get(at).and_then(|column| column.source)
                }
                _ => None,
            },
        };
        let columns = items.iter().map(column).collect();
        let exprs = items.into_iter().map(|(typed, ..)| typed.expr).collect();
        let named = Named { relation: Relation::Project(Box::new(relation), exprs), columns };
        match &select.distinct {
            None | Some(Distinct::All) => Ok(named),
            Some(Distinct::Distinct) => distinct(named, place),
            Some(Distinct::On(_)) => refuse(
                place,
                "distinct on takes one row by an order",
                "group by the columns, and take min(x) or max(x)",
            ),
        }
    }
}

fn check_clauses(select: &Select, place: Place) -> Result<(), Problem> {
    let is_plain = select.top.is_none()
        && select.into.is_none()
        && select.lateral_views.is_empty()
        && select.prewhere.is_none()
        && select.connect_by.is_empty()
        && select.cluster_by.is_empty()
        && select.distribute_by.is_empty()
        && select.sort_by.is_empty()
        && select.qualify.is_none()
        && select.value_table_mode.is_none()
        && select.exclude.is_none();
    if !is_plain {
        return refuse(
            place,
            "a clause of this select is not of PostgreSQL, or is not taken here",
            "leave it out",
        );
    }
    if !select.named_window.is_empty() {
        return refuse(
            place,
            "window is not taken here: the place of a row among all is no share of one partition",
            "order and number rows when reading",
        );
    }
    Ok(())
}

fn union(mut left: Named, mut right: Named, place: Place) -> Result<Named, Problem> {
    if left.columns.len() != right.columns.len() {
        return Err(Problem::new(place, "both sides of union have different numbers of columns"));
    }
    let mut kinds = Vec::new();
    for (a, b) in left.columns.iter().zip(&right.columns) {
        let (from, other) = (a.sql_type.kind(), b.sql_type.kind());
        let is_same = a.sql_type == b.sql_type || from != Kind::Enum;
        let kind = common(&[from, other])
            .ok()
            .filter(|kind| is_same && becomes(from, *kind) && becomes(other, *kind));
        // Days and times without a zone become moments by a setting of the session.
        let Some(kind) = kind.filter(|kind| from == other || *kind != Kind::Timestamptz) else {
            let what =
                format!("a column of union is of type {} and of type {}", a.sql_type, b.sql_type);
            return refuse(place, what, "cast one: x::text");
        };
        kinds.push(kind);
    }
    become_of(&mut left, &kinds);
    become_of(&mut right, &kinds);
    let mut all = match left.relation {
        Relation::Union(all) => all,
        one => vec![one],
    };
    all.push(right.relation);
    let column = |(column, other): (Column, Column)| {
        let is_same = column.sql_type == other.sql_type;
        let sql_type = if is_same { column.sql_type } else { column.sql_type.kind().into() };
        Column {
            sql_type,
            source: None,
            collation: column.collation.min(other.collation),
            ..column
        }
    };
    let columns = left.columns.into_iter().zip(right.columns).map(column).collect();
    Ok(Named { relation: Relation::Union(all), columns })
}

/// Makes columns of these kinds of those that are of others.
fn become_of(named: &mut Named, kinds: &[Kind]) {
    if named.columns.iter().zip(kinds).all(|(column, kind)| column.sql_type.kind() == *kind) {
        return;
    }
    let mut exprs = Vec::new();
    for (at, (column, kind)) in named.columns.iter_mut().zip(kinds).enumerate() {
        let from = column.sql_type.kind();
        if from == *kind {
            exprs.push(Expr::Column(at));
        } else {
            exprs.push(Expr::Call(Function::Cast(from, (*kind).into()), vec![Expr::Column(at)]));
            column.sql_type = (*kind).into();
        }
    }
    let relation = std::mem::replace(&mut named.relation, Relation::Union(Vec::new()));
    named.relation = Relation::Project(Box::new(relation), exprs);
}

/// Each row once.
fn distinct(named: Named, place: Place) -> Result<Named, Problem> {
    for column in &named.columns {
        env::check_key(&column.sql_type, place)?;
    }
    let keys = (0..named.columns.len()).map(Expr::Column).collect();
    Ok(Named { relation: Relation::Group(Box::new(named.relation), keys, Vec::new()), ..named })
}
