//! What expressions of a query see: its columns, those of a query around it, aggregates and other queries in them.
mod beside;

use super::{AGGREGATES, Binder, Column, Named, OUTER, refuse};
use crate::{
    bind::scalar::{Around, Collation, Typed, bind, bind_condition},
    catalogue::check_known,
    expr::{Comparison, Expr},
    file::{folded, parts},
    problem::{Place, Problem},
    relation::{Aggregate, AggregateOf, Join, Relation},
    types::{EnumType, Kind, SqlType},
};
use sqlparser::ast::{
    self, DuplicateTreatment, Expr as Ast, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Value,
};
use std::{collections::HashMap, sync::Arc};

pub(super) struct Env<'b, 'c> {
    binder: &'b mut Binder<'c>,
    pub named: Named,
    /// The places of columns by their names.
    places: HashMap<String, Vec<usize>>,
    outer: Option<&'b [Column]>,
    /// `None`: there may be none here.
    pub aggregates: Option<Vec<Aggregate>>,
    /// Equalities with columns of the query around, as inner and outer expressions.
    pairs: Vec<(Expr, Expr)>,
    /// The condition of a join, in which no other query stands.
    pub is_join: bool,
}

impl<'b, 'c> Env<'b, 'c> {
    pub fn new(binder: &'b mut Binder<'c>, named: Named, outer: Option<&'b [Column]>) -> Self {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, column) in named.columns.iter().enumerate() {
            if let Some(name) = &column.name {
                places.entry(name.clone()).or_default().push(at);
            }
        }
        Self { binder, named, places, outer, aggregates: None, pairs: Vec::new(), is_join: false }
    }

    fn typed(column: &Column, at: usize) -> Typed {
        Typed {
            expr: Expr::Column(at),
            sql_type: column.sql_type.clone(),
            collation: column.collation,
        }
    }

    /// Keeps the rows for which the condition is true; equalities with columns around are set aside.
    pub fn filter(&mut self, condition: Expr, place: Place) -> Result<(), Problem> {
        let all = match condition {
            Expr::And(all) => all,
            one => vec![one],
        };
        let mut own = Expr::TRUE;
        for one in all {
            let sides = |expr: &Expr| {
                let (mut has_own, mut has_outer) = (false, false);
                expr.each_column(&mut |at| {
                    if at >= OUTER { has_outer = true } else { has_own = true }
                });
                (has_own, has_outer)
            };
            if !sides(&one).1 {
                own = own.and(one);
                continue;
            }
            let outer = |expr: &Expr| expr.with_columns(&mut |at| Expr::Column(at - OUTER));
            let pair = match &one {
                Expr::Compare(Comparison::Equal, a, b) => match (sides(a), sides(b)) {
                    ((true, false), (false, true)) => Some(((**a).clone(), outer(b))),
                    ((false, true), (true, false)) => Some(((**b).clone(), outer(a))),
                    _ => None,
                },
                _ => None,
            };
            let Some(pair) = pair else {
                return refuse(
                    place,
                    "an inner query and the one around it meet in something else than inner column = outer column",
                    "write where inner.x = outer.y and conditions over the inner table alone",
                );
            };
            self.pairs.push(pair);
        }
        if !own.is_true() {
            let relation = std::mem::replace(&mut self.named.relation, Relation::Union(Vec::new()));
            self.named.relation = Relation::Filter(Box::new(relation), own);
        }
        Ok(())
    }

    pub fn group_keys(
        &mut self,
        group_by: &GroupByExpr,
        items: &[SelectItem],
        place: Place,
    ) -> Result<Vec<Expr>, Problem> {
        let GroupByExpr::Expressions(keys, more) = group_by else {
            return refuse(place, "group by all is not of PostgreSQL", "name the keys");
        };
        if !more.is_empty() {
            return refuse(place, "group by with totals is not of PostgreSQL", "name the keys");
        }
        let aggregates = self.aggregates.take();
        let mut bound = Vec::new();
        for key in keys {
            let at = Place::of(key, place);
            let meant = self.meant(key, items, at)?;
            let typed = bind(meant, self, at)?;
            check_key(&typed.sql_type, at)?;
            if !bound.contains(&typed.expr) {
                bound.push(typed.expr);
            }
        }
        self.aggregates = aggregates;
        Ok(bound)
    }

    /// A number in group by is a column of the select list; a name that no table has, the name of one.
    fn meant<'e>(
        &self,
        key: &'e Ast,
        items: &'e [SelectItem],
        place: Place,
    ) -> Result<&'e Ast, Problem> {
        match key {
            Ast::Value(value) => {
                let Value::Number(text, _) = &value.value else { return Ok(key) };
                let item =
                    text.parse::<usize>().ok().and_then(|number| items.get(number.checked_sub(1)?));
                match item {
                    Some(
                        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. },
                    ) => Ok(expr),
                    _ => Err(Problem::new(
                        place,
                        format!("group by {text}: the select list has no such column"),
                    )),
                }
            }
            Ast::Identifier(name) if !self.places.contains_key(&folded(name)) => {
                let named = items.iter().find_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if folded(alias) == folded(name) => {
                        Some(expr)
                    }
                    _ => None,
                });
                Ok(named.unwrap_or(key))
            }
            _ => Ok(key),
        }
    }

    /// The select list: each column with its name and place.
    pub fn items(
        &mut self,
        items: &[SelectItem],
        around: Place,
    ) -> Result<Vec<(Typed, Option<String>, Place)>, Problem> {
        let mut all = Vec::new();
        for item in items {
            let place = Place::of(item, around);
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    all.push((bind(expr, self, place)?, name_of(expr), place));
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    all.push((bind(expr, self, place)?, Some(folded(alias)), place));
                }
                SelectItem::Wildcard(options) => {
                    let is_plain = options.opt_exclude.is_none()
                        && options.opt_except.is_none()
                        && options.opt_replace.is_none()
                        && options.opt_rename.is_none()
                        && options.opt_ilike.is_none();
                    if !is_plain {
                        return refuse(
                            place,
                            "* with exceptions is not of PostgreSQL",
                            "name the columns",
                        );
                    }
                    self.every(None, place, &mut all);
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let table = parts(name, place)?.pop().unwrap_or_default();
                    if !self.every(Some(&table), place, &mut all) {
                        return Err(Problem::new(
                            place,
                            format!("there is no table {table} in from"),
                        ));
                    }
                }
                _ => {
                    return refuse(place, "this is no column of a select list", "name the columns");
                }
            }
        }
        Ok(all)
    }

    /// Whether there was any.
    fn every(
        &self,
        table: Option<&str>,
        place: Place,
        all: &mut Vec<(Typed, Option<String>, Place)>,
    ) -> bool {
        let before = all.len();
        for (at, column) in self.named.columns.iter().enumerate() {
            let is_of = table.is_none_or(|table| column.qualifier.as_deref() == Some(table));
            if is_of && column.name.is_some() {
                all.push((Self::typed(column, at), column.name.clone(), place));
            }
        }
        all.len() > before
    }
}

impl Around for Env<'_, '_> {
    fn column(&mut self, name: &[String], place: Place) -> Result<Typed, Problem> {
        let (last, qualifier) = match name {
            [column] => (column, None),
            [.., table, column] => (column, Some(table)),
            [] => return Err(Problem::new(place, "a column without a name")),
        };
        let is_of = |column: &Column| {
            qualifier.is_none_or(|table| column.qualifier.as_ref() == Some(table))
        };
        let places = self.places.get(last).map(Vec::as_slice).unwrap_or_default();
        let mut found = places.iter().filter(|at| is_of(&self.named.columns[**at]));
        match (found.next(), found.next()) {
            (Some(at), None) => {
                let column = &self.named.columns[*at];
                check_known(last, &column.sql_type, place)?;
                return Ok(Self::typed(column, *at));
            }
            (Some(_), Some(_)) => {
                return refuse(
                    place,
                    format!("several tables have a column {last}"),
                    &format!("write TABLE.{last}"),
                );
            }
            _ => {}
        }
        let fits = |column: &&Column| column.name.as_ref() == Some(last) && is_of(column);
        let mut outer =
            self.outer.unwrap_or_default().iter().enumerate().filter(|(_, column)| fits(column));
        match (outer.next(), outer.next()) {
            (Some((at, column)), None) => {
                check_known(last, &column.sql_type, place)?;
                Ok(Self::typed(column, OUTER + at))
            }
            (Some(_), Some(_)) => refuse(
                place,
                format!("several tables have a column {last}"),
                &format!("write TABLE.{last}"),
            ),
            _ => {
                let known = self
                    .named
                    .columns
                    .iter()
                    .filter(|column| is_of(column))
                    .filter_map(|column| column.name.as_deref());
                Err(Problem::new(place, format!("there is no column {}", name.join(".")))
                    .near(last, known))
            }
        }
    }

    fn aggregate(
        &mut self,
        name: &str,
        call: &ast::Function,
        place: Place,
    ) -> Result<Option<Typed>, Problem> {
        if !matches!(
            name,
            "count" | "sum" | "avg" | "min" | "max" | "bool_and" | "bool_or" | "every"
        ) {
            return Ok(None);
        }
        let Some(mut aggregates) = self.aggregates.take() else {
            return refuse(
                place,
                format!("{name}: an aggregate has no place here"),
                "write it in the select list or in having",
            );
        };
        let (of, kind) = self.aggregate_of(name, call, place)?;
        let filter =
            call.filter.as_ref().map(|filter| bind_condition(filter, self, place)).transpose()?;
        let collation = if matches!(kind, Kind::Text) { Collation::C } else { Collation::Default };
        let one = Aggregate { of, filter };
        let at = aggregates.iter().position(|known| *known == one).unwrap_or_else(|| {
            aggregates.push(one);
            aggregates.len() - 1
        });
        self.aggregates = Some(aggregates);
        Ok(Some(Typed { expr: Expr::Column(AGGREGATES + at), sql_type: kind.into(), collation }))
    }

    fn exists(&mut self, query: &Query, place: Place) -> Result<Typed, Problem> {
        self.beside(query, false, place)
    }
    fn value_of(&mut self, query: &Query, place: Place) -> Result<Typed, Problem> {
        self.beside(query, true, place)
    }
    fn enums(&self) -> Vec<Arc<EnumType>> {
        self.binder.enums.clone()
    }
}

/// Whether equal values of this type are one: a group shows one of them.
pub(super) fn check_key(sql_type: &SqlType, place: Place) -> Result<(), Problem> {
    match sql_type.kind() {
        Kind::Json => refuse(place, "json has no equality", "write a member of it: x ->> 'name'"),
        Kind::Jsonb => refuse(
            place,
            "two values of jsonb may be equal and have two texts",
            "write a member of it: x ->> 'name'",
        ),
        Kind::Float4 | Kind::Float8 => refuse(
            place,
            "0 and -0 are one group, and nobody knows which is shown",
            "write x::numeric",
        ),
        Kind::Bpchar if *sql_type == SqlType::Plain(Kind::Bpchar) => refuse(
            place,
            "texts with and without blanks at their end are one group, and nobody knows which is shown",
            "write x::text",
        ),
        Kind::Unknown => {
            refuse(place, "a constant makes one group of all rows", "group by columns")
        }
        _ => Ok(()),
    }
}

/// The name that PostgreSQL gives a column without one. `None`: it is no name that anybody would look for.
fn name_of(expr: &Ast) -> Option<String> {
    match expr {
        Ast::Identifier(name) => Some(folded(name)),
        Ast::CompoundIdentifier(names) => names.last().map(folded),
        Ast::Function(call) => call.name.0.last().and_then(|part| part.as_ident()).map(folded),
        Ast::Nested(inner) | Ast::Collate { expr: inner, .. } => name_of(inner),
        Ast::Cast { expr: inner, .. } => name_of(inner),
        _ => None,
    }
}
