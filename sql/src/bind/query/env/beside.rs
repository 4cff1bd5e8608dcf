//! Queries within the query, and aggregates.
use super::*;

impl Env<'_, '_> {
    /// Joins what an inner query says of each row, behind the row.
    pub(super) fn beside(
        &mut self,
        query: &Query,
        wants_value: bool,
        place: Place,
    ) -> Result<Typed, Problem> {
        if self.is_join || self.outer.is_some() {
            return refuse(
                place,
                "an inner query stands in where or in the select list of the view",
                "write it there",
            );
        }
        let plain = query.with.is_none()
            && query.order_by.is_none()
            && query.limit_clause.is_none()
            && query.fetch.is_none();
        let select = match &*query.body {
            SetExpr::Select(select)
                if plain && select.distinct.is_none() && select.having.is_none() =>
            {
                select
            }
            _ => {
                return refuse(
                    place,
                    "an inner query is select ... from ... where ..., without more",
                    "write a join of a grouped query",
                );
            }
        };
        crate::bind::query::check_clauses(select, place)?;
        if !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) {
            return refuse(
                place,
                "an inner query has no group by",
                "write a join of a grouped query",
            );
        }
        let from = self.binder.from(&select.from, place)?;
        let outer = self.named.columns.clone();
        let mut inner = Env::new(self.binder, from, Some(&outer));
        if let Some(condition) = &select.selection {
            let condition = bind_condition(condition, &mut inner, place)?;
            inner.filter(condition, place)?;
        }
        if inner.pairs.is_empty() {
            return refuse(
                place,
                "the inner query does not depend on the row",
                "write where inner.x = outer.y",
            );
        }
        let mut value = None;
        let mut aggregates = vec![Aggregate { of: AggregateOf::Rows, filter: None }];
        if wants_value {
            inner.aggregates = Some(aggregates);
            let mut items = inner.items(&select.projection, place)?;
            aggregates = inner.aggregates.take().unwrap_or_default();
            let (Some((item, ..)), true) = (items.pop(), items.is_empty()) else {
                return refuse(place, "an inner query as a value has one column", "write one");
            };
            let mut is_made = true;
            item.expr.each_column(&mut |at| is_made &= at >= AGGREGATES);
            if !is_made {
                return refuse(
                    place,
                    "an inner query as a value may have several rows",
                    "write an aggregate: (select max(x) from ...)",
                );
            }
            value = Some(item);
        }
        let (pairs, relation) = (inner.pairs, inner.named.relation);
        let left_width = self.named.columns.len();
        let width = pairs.len() + aggregates.len();
        let mut on = Expr::TRUE;
        let mut keys = Vec::new();
        for (at, (key, outer)) in pairs.into_iter().enumerate() {
            on = on.and(Expr::compare(Comparison::Equal, outer, Expr::Column(left_width + at)));
            keys.push(key);
        }
        let first = left_width + keys.len();
        let is_count: Vec<bool> = aggregates
            .iter()
            .map(|one| matches!(one.of, AggregateOf::Rows | AggregateOf::Count(_)))
            .collect();
        let right = Relation::Group(Box::new(relation), keys, aggregates);
        let left = std::mem::replace(&mut self.named.relation, Relation::Union(Vec::new()));
        let join = Join { left, right, left_width, right_width: width, is_left: true, on };
        self.named.relation = Relation::Join(Box::new(join));
        let hidden = Column {
            qualifier: None,
            name: None,
            sql_type: Kind::Text.into(),
            collation: Collation::Default,
            source: None,
        };
        self.named.columns.extend(std::iter::repeat_n(hidden, width));
        Ok(match value {
            // Of no rows, a count is 0, and all else is null.
            Some(value) => {
                let expr = value.expr.with_columns(&mut |at| {
                    let at = at - AGGREGATES;
                    let column = Expr::Column(first + at);
                    if is_count[at] { Expr::Coalesce(vec![column, Expr::int(0)]) } else { column }
                });
                Typed { expr, ..value }
            }
            None => Typed::new(Expr::IsNull(Box::new(Expr::Column(first))).negated(), Kind::Bool),
        })
    }

    pub(super) fn aggregate_of(
        &mut self,
        name: &str,
        call: &ast::Function,
        place: Place,
    ) -> Result<(AggregateOf, Kind), Problem> {
        let FunctionArguments::List(list) = &call.args else {
            return Err(Problem::new(place, format!("{name} has an argument")));
        };
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
            && !matches!(name, "min" | "max" | "bool_and" | "bool_or" | "every")
        {
            return refuse(
                place,
                format!(
                    "{name}(distinct ...) keeps every value of the group: partitions' counts of them do not add up"
                ),
                "group by the value too, and count the rows when reading",
            );
        }
        if !list.clauses.is_empty() || !call.within_group.is_empty() {
            return refuse(
                place,
                format!("{name} with an order in it is not taken here"),
                "leave the order out",
            );
        }
        let argument = match &list.args[..] {
            [
                FunctionArg::Unnamed(
                    FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_),
                ),
            ] if name == "count" => {
                return Ok((AggregateOf::Rows, Kind::Int8));
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] => argument,
            _ => return Err(Problem::new(place, format!("{name} has one argument"))),
        };
        if matches!(name, "bool_and" | "bool_or" | "every") {
            let condition = bind_condition(argument, self, place)?;
            return Ok((
                if name == "bool_or" {
                    AggregateOf::Any(condition)
                } else {
                    AggregateOf::All(condition)
                },
                Kind::Bool,
            ));
        }
        let value = bind(argument, self, place)?;
        let kind = value.kind();
        let of = value.expr;
        let no_sum = |what: &str| {
            Err(Problem::new(place, format!("{name}({}) is not taken: {what}", value.sql_type)))
        };
        match name {
            "count" => Ok((AggregateOf::Count(of), Kind::Int8)),
            "sum" | "avg" => match kind {
                Kind::Float4 | Kind::Float8 => refuse(
                    place,
                    format!(
                        "{name} of {kind} depends on the order of addition: partitions that add in another order get other digits"
                    ),
                    &format!("write {name}(x::numeric)"),
                ),
                _ if !kind.is_number() => no_sum("it is no number"),
                _ if name == "avg" => Ok((AggregateOf::Average(of, kind), Kind::Numeric)),
                Kind::Int2 | Kind::Int4 => Ok((AggregateOf::Sum(of, kind), Kind::Int8)),
                _ => Ok((AggregateOf::Sum(of, kind), Kind::Numeric)),
            },
            _ => {
                match kind {
                    Kind::Text | Kind::Varchar if value.collation == Collation::Default => {
                        return refuse(
                            place,
                            format!(
                                "{name} of texts: their order is the locale's, and changes with the version of its library"
                            ),
                            &format!("write {name}(x collate \"C\")"),
                        );
                    }
                    Kind::Int2
                    | Kind::Int4
                    | Kind::Int8
                    | Kind::Numeric
                    | Kind::Text
                    | Kind::Varchar
                    | Kind::Date
                    | Kind::Timestamp
                    | Kind::Timestamptz => {}
                    Kind::Enum => {
                        return refuse(
                            place,
                            format!("{name} of an enum: its order may change without a record"),
                            "write max(x::text collate \"C\")",
                        );
                    }
                    _ if kind.is_float() => {
                        return refuse(
                            place,
                            format!(
                                "{name} of {kind}: 0 and -0 are equal, and nobody knows which is shown"
                            ),
                            &format!("write {name}(x::numeric)"),
                        );
                    }
                    _ => return no_sum("write it of numbers, times, or texts with collate \"C\""),
                }
                let result = if kind == Kind::Varchar { Kind::Text } else { kind };
                Ok((
                    if name == "min" { AggregateOf::Min(of) } else { AggregateOf::Max(of) },
                    result,
                ))
            }
        }
    }
}
