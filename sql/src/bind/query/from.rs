//! From: tables, sub-selects, joins, and elements of lists.
use super::*;

impl Binder<'_> {
    pub(super) fn from(
        &mut self,
        from: &[ast::TableWithJoins],
        place: Place,
    ) -> Result<Named, Problem> {
        let Some((first, more)) = from.split_first() else {
            return refuse(place, "a view without from never changes", "write from TABLE");
        };
        let mut named = self.factor(&first.relation, place)?;
        for join in &first.joins {
            named = self.join(named, join, place)?;
        }
        for next in more {
            let at = Place::of(&next.relation, place);
            match self.expanded(&named, &next.relation, at)? {
                Some(expanded) if next.joins.is_empty() => named = expanded,
                _ => {
                    return refuse(
                        at,
                        "a cross join: every row would meet every row",
                        "write join ... on a.x = b.y",
                    );
                }
            }
        }
        Ok(named)
    }

    pub(super) fn factor(&mut self, factor: &TableFactor, around: Place) -> Result<Named, Problem> {
        let place = Place::of(factor, around);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                sample: None,
                ..
            } if with_hints.is_empty() && partitions.is_empty() => {
                let names = parts(name, place)?;
                let cte = match &names[..] {
                    [name] => self
                        .ctes
                        .iter()
                        .rev()
                        .find(|(known, _)| known == name)
                        .map(|(_, named)| named.clone()),
                    _ => None,
                };
                let mut named = match cte {
                    Some(named) => {
                        self.size += named.relation.size();
                        if self.size > SIZE_MAX {
                            return refuse(
                                place,
                                "the query is too long once its with clauses are written out",
                                "split the view",
                            );
                        }
                        named
                    }
                    None => self.table(&names, place)?,
                };
                let last = names.last().cloned().unwrap_or_default();
                named.columns.iter_mut().for_each(|column| column.qualifier = Some(last.clone()));
                renamed(&mut named, alias.as_ref(), place)?;
                Ok(named)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let mut named = self.query(subquery, place)?;
                named.columns.iter_mut().for_each(|column| column.qualifier = None);
                renamed(&mut named, alias.as_ref(), place)?;
                Ok(named)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.from(std::slice::from_ref(table_with_joins), place)
            }
            TableFactor::UNNEST { .. } | TableFactor::Function { .. } => refuse(
                place,
                "a function in from needs a table before it",
                "write from TABLE cross join unnest(words(COLUMN)) as w(word)",
            ),
            TableFactor::Derived { lateral: true, .. } => refuse(
                place,
                "lateral is not taken here",
                "write exists (...), or (select sum(x) from ...) in the select list",
            ),
            _ => refuse(
                place,
                "this is no table that is taken here",
                "write from TABLE, or from (select ...) as NAME",
            ),
        }
    }

    pub(super) fn table(&mut self, names: &[String], place: Place) -> Result<Named, Problem> {
        let at = self.catalogue.find(names, place)?;
        self.instances += 1;
        let columns = self.catalogue.tables()[at].columns.iter().enumerate();
        let columns = columns.map(|(column, declared)| Column {
            qualifier: None,
            name: Some(declared.name.clone()),
            sql_type: declared.sql_type.clone(),
            collation: if declared.is_c { Collation::C } else { Collation::Default },
            source: Some((self.instances, at, column)),
        });
        Ok(Named { relation: Relation::Table(at), columns: columns.collect() })
    }

    pub(super) fn join(
        &mut self,
        left: Named,
        join: &ast::Join,
        around: Place,
    ) -> Result<Named, Problem> {
        let place = Place::of(&join.relation, around);
        let (constraint, is_left) = match &join.join_operator {
            JoinOperator::Join(on) | JoinOperator::Inner(on) => (on, false),
            JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (on, true),
            JoinOperator::CrossJoin(_) => {
                return match self.expanded(&left, &join.relation, place)? {
                    Some(expanded) => Ok(expanded),
                    None => refuse(
                        place,
                        "a cross join: every row would meet every row",
                        "write join ... on a.x = b.y",
                    ),
                };
            }
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                return refuse(
                    place,
                    "a right join is not taken here",
                    "write a left join, the other table first",
                );
            }
            JoinOperator::FullOuter(_) => {
                return refuse(
                    place,
                    "a full join is not taken here",
                    "union all both tables, and group by the key",
                );
            }
            _ => return refuse(place, "this join is not of PostgreSQL", "write join or left join"),
        };
        let right = self.factor(&join.relation, place)?;
        let (left_width, right_width) = (left.columns.len(), right.columns.len());
        let mut columns = left.columns;
        columns.extend(right.columns);
        let mut on = Expr::TRUE;
        match constraint {
            JoinConstraint::On(condition) => {
                let both = Named { relation: left.relation.clone(), columns: columns.clone() };
                let mut env = Env::new(self, both, None);
                env.is_join = true;
                on = bind_condition(condition, &mut env, place)?;
            }
            JoinConstraint::Using(names) => {
                for name in names {
                    let name = single_name(name, place)?;
                    let of = |columns: &[Column], from: usize| {
                        columns
                            .iter()
                            .position(|column| column.name.as_ref() == Some(&name))
                            .map(|at| at + from)
                    };
                    let sides =
                        (of(&columns[..left_width], 0), of(&columns[left_width..], left_width));
                    let (Some(a), Some(b)) = sides else {
                        return Err(Problem::new(
                            place,
                            format!("a side of the join has no column {name}"),
                        ));
                    };
                    if columns[a].sql_type.kind() != columns[b].sql_type.kind() {
                        return refuse(
                            place,
                            format!("{name} is of two types"),
                            "write on a.x = b.y",
                        );
                    }
                    on = on.and(Expr::compare(Comparison::Equal, Expr::Column(a), Expr::Column(b)));
                    // It is one column now, the left side's.
                    columns[b].name = None;
                }
            }
            _ => return refuse(place, "a join without its columns", "write join ... on a.x = b.y"),
        }
        let join = Join {
            left: left.relation,
            right: right.relation,
            left_width,
            right_width,
            is_left,
            on,
        };
        Ok(Named { relation: Relation::Join(Box::new(join)), columns })
    }

    /// The rows with each of their elements, if this part of from is `unnest(...)`.
    pub(super) fn expanded(
        &mut self,
        named: &Named,
        factor: &TableFactor,
        place: Place,
    ) -> Result<Option<Named>, Problem> {
        let (argument, alias) = match factor {
            TableFactor::UNNEST {
                array_exprs,
                alias,
                with_offset: false,
                with_ordinality: false,
                ..
            } => match &array_exprs[..] {
                [one] => (one, alias),
                _ => return refuse(place, "unnest of several lists", "unnest one"),
            },
            TableFactor::Table {
                name,
                args: Some(arguments),
                alias,
                with_ordinality: false,
                ..
            } if single_name(name, place)? == "unnest" => match &arguments.args[..] {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(one))] => (one, alias),
                _ => return refuse(place, "unnest of several lists", "unnest one"),
            },
            _ => return Ok(None),
        };
        let mut env = Env::new(self, named.clone(), None);
        let list = bind(argument, &mut env, place)?;
        if !matches!(list.kind(), Kind::Words | Kind::TextArray) {
            return refuse(
                place,
                format!(
                    "unnest is of words(...) or a text[], and this is of type {}",
                    list.sql_type
                ),
                "unnest(words(COLUMN))",
            );
        }
        let name = alias.as_ref().map_or_else(|| "unnest".to_owned(), |alias| folded(&alias.name));
        let column = alias
            .as_ref()
            .and_then(|alias| alias.columns.first())
            .map_or_else(|| name.clone(), |column| folded(&column.name));
        let mut columns = named.columns.clone();
        columns.push(Column {
            qualifier: Some(name),
            name: Some(column),
            sql_type: Kind::Text.into(),
            collation: Collation::Default,
            source: None,
        });
        let relation = Relation::Expand(Box::new(named.relation.clone()), list.expr);
        Ok(Some(Named { relation, columns }))
    }
}

/// Gives a relation the name and the columns' names that stand behind it.
pub(super) fn renamed(
    named: &mut Named,
    alias: Option<&ast::TableAlias>,
    place: Place,
) -> Result<(), Problem> {
    let Some(alias) = alias else { return Ok(()) };
    let name = folded(&alias.name);
    named.columns.iter_mut().for_each(|column| column.qualifier = Some(name.clone()));
    if alias.columns.len() > named.columns.len() {
        return Err(Problem::new(
            place,
            format!("{name} has {} columns, and names for more", named.columns.len()),
        ));
    }
    for (column, renamed) in named.columns.iter_mut().zip(&alias.columns) {
        column.name = Some(folded(&renamed.name));
    }
    Ok(())
}
