//! Group by: aggregates become columns of parts, and expressions over them.
use super::{
    Maker, Part, PartAggregate,
    facts::{self, Side},
    shape::{Leaf, Pairs, Shape, Star, count, over, slot},
};
use crate::{
    expr::{Arithmetic, Comparison, Expr, Function},
    problem::Problem,
    relation::{Aggregate, AggregateOf},
    types::Kind,
};
use views::Cell;

impl Maker<'_> {
    pub(super) fn grouped(
        &mut self,
        shape: Shape,
        keys: &[Expr],
        aggregates: &[Aggregate],
    ) -> Result<Shape, Problem> {
        if keys.is_empty() {
            return self.refuse(
                "one row for a whole table has no key",
                "group by a column, and add up when reading",
            );
        }
        let star = match shape {
            Shape::Rows(leaves) => self.of_leaves(&leaves, keys, aggregates)?,
            Shape::Pairs(pairs) => self.of_pairs(*pairs, keys, aggregates)?,
            Shape::Star(star) => self.of_star(*star, keys, aggregates)?,
        };
        Ok(Shape::Star(Box::new(star)))
    }

    /// One part for each table, and their columns added up.
    fn of_leaves(
        &self,
        leaves: &[Leaf],
        keys: &[Expr],
        aggregates: &[Aggregate],
    ) -> Result<Star, Problem> {
        let mut parts = Vec::new();
        let mut null_key = None;
        for leaf in leaves {
            let key: Vec<Expr> = keys.iter().map(|key| over(key, &leaf.columns)).collect();
            let text = self.check_keys(leaf, &key)?;
            null_key = null_key.or(text);
            let (table, filter, each) = (leaf.table, leaf.filter.clone(), leaf.each.clone());
            parts.push(Part { table, filter, each, key, aggregates: vec![PartAggregate::Rows] });
        }
        let mut columns: Vec<Expr> = (0..keys.len()).map(Expr::Column).collect();
        for aggregate in aggregates {
            let mut of_parts = |make: &MakePart<'_>| -> Result<Vec<Expr>, Problem> {
                let mut slots = Vec::new();
                let mut scales = Vec::new();
                for (at, leaf) in leaves.iter().enumerate() {
                    let one = self.plain(leaf, make(&|expr| over(expr, &leaf.columns)));
                    self.check_scale(leaf, &one)?;
                    scales.push(self.scale_of(leaf, &one));
                    slots.push(slot(at, place(&mut parts[at].aggregates, one)));
                }
                if scales.iter().any(|scale| *scale != scales[0]) {
                    return self.refuse(
                        "the tables of union all have different numbers of digits behind the point, and so the digits shown would depend on which rows are gone",
                        "cast both to one type: x::numeric(12,2)",
                    );
                }
                Ok(slots)
            };
            columns.push(column(aggregate, &mut of_parts)?);
        }
        let rows = (0..leaves.len()).map(|part| slot(part, 0)).collect();
        Ok(Star {
            key_width: keys.len(),
            own: None,
            parts,
            columns,
            exists: is_some(total(rows)),
            null_key,
        })
    }

    /// The text of a key that may be null.
    fn check_keys(&self, leaf: &Leaf, keys: &[Expr]) -> Result<Option<String>, Problem> {
        let mut null_key = None;
        let table = &self.catalogue.tables()[leaf.table];
        let name = |at: usize| {
            table.columns.get(at).map_or_else(|| "element".to_owned(), |column| column.name.clone())
        };
        for key in keys {
            let text = key.text(&name);
            if facts::may_be_null(key, table, &leaf.filter) {
                null_key.get_or_insert(text.clone());
            }
            if is_numeric(key, table) && facts::scale(key, table).is_none() {
                return self.refuse(
                    format!(
                        "1.0 and 1.00 are one group of {text}, and nobody knows which is shown"
                    ),
                    format!("group by round({text}, 2)"),
                );
            }
        }
        Ok(null_key)
    }

    /// The digits behind the point of a sum of `numeric`, or of its greatest value.
    fn scale_of(&self, leaf: &Leaf, aggregate: &PartAggregate) -> Option<i64> {
        let table = &self.catalogue.tables()[leaf.table];
        match aggregate {
            PartAggregate::Sum(of, Kind::Numeric) => facts::scale(of, table),
            PartAggregate::Min(of) | PartAggregate::Max(of) if is_numeric(of, table) => {
                facts::scale(of, table)
            }
            _ => None,
        }
    }

    /// To count what is never null is to count rows.
    fn plain(&self, leaf: &Leaf, aggregate: PartAggregate) -> PartAggregate {
        match aggregate {
            PartAggregate::Count(of)
                if !facts::may_be_null(&of, &self.catalogue.tables()[leaf.table], &leaf.filter) =>
            {
                PartAggregate::Rows
            }
            other => other,
        }
    }

    /// A sum must have the same digits, whatever rows came and went.
    fn check_scale(&self, leaf: &Leaf, aggregate: &PartAggregate) -> Result<(), Problem> {
        let table = &self.catalogue.tables()[leaf.table];
        let name = |at: usize| {
            table.columns.get(at).map_or_else(|| "element".to_owned(), |column| column.name.clone())
        };
        let of = match aggregate {
            PartAggregate::Sum(of, Kind::Numeric) => of,
            PartAggregate::Min(of) | PartAggregate::Max(of) if is_numeric(of, table) => of,
            _ => return Ok(()),
        };
        if facts::scale(of, table).is_some() {
            return Ok(());
        }
        let text = of.text(&name);
        self.refuse(
            format!("{text} has as many digits behind the point as each row says, and so the digits shown would depend on rows that are gone"),
            format!("write round({text}, 2), or declare the column numeric(p,s)"),
        )
    }

    /// Two tables side by side, grouped by the whole primary key of the left one.
    fn of_pairs(
        &self,
        pairs: Pairs,
        keys: &[Expr],
        aggregates: &[Aggregate],
    ) -> Result<Star, Problem> {
        let Pairs { left, right, is_left, on, columns } = pairs;
        let width = self.width(left.table);
        let keys: Vec<Expr> = keys.iter().map(|key| over(key, &columns)).collect();
        let primary = &self.catalogue.tables()[left.table].key;
        let is_of_left = keys.iter().all(|key| facts::side(key, width) == Side::Left);
        let is_whole =
            !primary.is_empty() && primary.iter().all(|at| keys.contains(&Expr::Column(*at)));
        let joined: Option<Vec<Expr>> = primary
            .iter()
            .map(|at| {
                on.iter().find(|(key, _)| *key == Expr::Column(*at)).map(|(_, other)| other.clone())
            })
            .collect();
        let (Some(key), true) =
            (joined.filter(|_| is_of_left && is_whole), on.len() == primary.len())
        else {
            return self.refuse(
                "two tables are joined, and then grouped by something else than the whole primary key of the left one, in which they meet",
                "group one table by the columns that it is joined in first: left join (select k, sum(x) from t group by k) s on s.k = id",
            );
        };
        let mut star = self.star_of_rows(left)?;
        let mut part = Part {
            table: right.table,
            filter: right.filter.clone(),
            each: right.each.clone(),
            key,
            aggregates: vec![PartAggregate::Rows],
        };
        let of_left = |expr: &Expr| {
            expr.with_columns(&mut |at| {
                let place = primary.iter().position(|key| *key == at);
                Expr::Column(place.unwrap_or(super::shape::OWN + at))
            })
        };
        let mut shown: Vec<Expr> = keys.iter().map(of_left).collect();
        for aggregate in aggregates {
            if aggregate.of == AggregateOf::Rows && aggregate.filter.is_none() {
                let rows = count(slot(0, 0));
                // A row of the left table that finds none is one row.
                shown.push(if is_left { Expr::Greatest(vec![rows, Expr::int(1)]) } else { rows });
                continue;
            }
            let arguments = aggregate.of.argument().into_iter().chain(&aggregate.filter);
            let is_right = arguments
                .clone()
                .all(|expr| facts::side(&over(expr, &columns), width) == Side::Right);
            if !is_right {
                return self.refuse(
                    "an aggregate over the left table of a join counts each of its rows once for each row that is joined",
                    "write the column itself: the left table's primary key is in group by",
                );
            }
            let mut of_parts = |make: &MakePart<'_>| -> Result<Vec<Expr>, Problem> {
                let one = make(&|expr| {
                    over(expr, &columns).with_columns(&mut |at| Expr::Column(at - width))
                });
                let one = self.plain(&right, one);
                self.check_scale(&right, &one)?;
                Ok(vec![slot(0, place(&mut part.aggregates, one))])
            };
            shown.push(column(aggregate, &mut of_parts)?);
        }
        star.parts.push(part);
        star.columns = shown;
        if !is_left {
            star.exists = star.exists.and(is_some(count(slot(0, 0))));
        }
        Ok(star)
    }

    /// Groups of groups: only where each group is one row already.
    fn of_star(
        &self,
        mut star: Star,
        keys: &[Expr],
        aggregates: &[Aggregate],
    ) -> Result<Star, Problem> {
        let keys: Vec<Expr> = keys.iter().map(|key| over(key, &star.columns)).collect();
        let has_all = (0..star.key_width).all(|at| keys.contains(&Expr::Column(at)));
        if !has_all || !aggregates.is_empty() {
            return self.refuse(
                "a group of groups: which rows it has is known only once the rows of all partitions are added up",
                "group the table itself, or add up when reading",
            );
        }
        star.columns = keys;
        Ok(star)
    }
}

fn is_numeric(expr: &Expr, table: &crate::catalogue::Table) -> bool {
    match expr {
        Expr::Column(at) => {
            table.columns.get(*at).is_some_and(|column| column.sql_type.kind() == Kind::Numeric)
        }
        Expr::Value(cell) => matches!(cell, Cell::Decimal(_)),
        Expr::Call(Function::Arithmetic(_, kind), _) => *kind == Kind::Numeric,
        Expr::Call(
            Function::Negate(kind)
            | Function::Abs(kind)
            | Function::Sign(kind)
            | Function::Round(kind),
            _,
        ) => *kind == Kind::Numeric,
        Expr::Call(Function::Trunc(kind) | Function::Ceil(kind) | Function::Floor(kind), _) => {
            *kind == Kind::Numeric
        }
        Expr::Call(Function::Cast(_, to), _) => to.kind() == Kind::Numeric,
        Expr::Call(
            Function::RoundTo | Function::TruncTo | Function::WholeQuotient | Function::Extract(..),
            _,
        ) => true,
        Expr::Case(branches, last) => {
            is_numeric(last, table) || branches.iter().any(|(_, then)| is_numeric(then, table))
        }
        Expr::Coalesce(all) | Expr::Greatest(all) | Expr::Least(all) => {
            all.iter().any(|one| is_numeric(one, table))
        }
        Expr::NullIf(a, _) => is_numeric(a, table),
        _ => false,
    }
}

/// The place of the aggregate among those of a part; it is added if it is not there yet.
fn place(all: &mut Vec<PartAggregate>, one: PartAggregate) -> usize {
    all.iter().position(|known| *known == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}

fn total(slots: Vec<Expr>) -> Expr {
    let add = |a, b| Expr::Call(Function::Arithmetic(Arithmetic::Add, Kind::Int8), vec![a, b]);
    slots.into_iter().map(count).reduce(add).unwrap_or(Expr::int(0))
}
/// Whether any of the slots has counted a row.
pub(super) fn is_some_of(slots: Vec<Expr>) -> Expr {
    is_some(total(slots))
}
fn is_some(count: Expr) -> Expr {
    Expr::compare(Comparison::Greater, count, Expr::int(0))
}
fn if_some(count: Expr, then: Expr) -> Expr {
    Expr::Case(vec![(is_some(count), then)], Box::new(Expr::Value(Cell::Null)))
}

/// An expression as one over a table's row.
type Over<'a> = dyn Fn(&Expr) -> Expr + 'a;
/// A part's column for the table that expressions are made to be over.
type MakePart<'a> = dyn Fn(&Over<'_>) -> PartAggregate + 'a;
/// The slots of such columns, one in each part.
type OfParts<'a> = dyn FnMut(&MakePart<'_>) -> Result<Vec<Expr>, Problem> + 'a;

/// The aggregate as an expression over columns of parts. `of_parts` takes what makes a part's column of the way in which an
/// expression is over its table, and gives the slots.
fn column(aggregate: &Aggregate, of_parts: &mut OfParts<'_>) -> Result<Expr, Problem> {
    let filter = aggregate.filter.as_ref();
    // Only rows for which the filter is true count: for all others the value is null.
    let filtered = |expr: &Expr| match filter {
        None => expr.clone(),
        Some(filter) => {
            Expr::Case(vec![(filter.clone(), expr.clone())], Box::new(Expr::Value(Cell::Null)))
        }
    };
    let mut counted = |of: &Expr| -> Result<Expr, Problem> {
        let of = filtered(of);
        Ok(total(of_parts(&|over| PartAggregate::Count(over(&of)))?))
    };
    match &aggregate.of {
        AggregateOf::Rows if filter.is_none() => Ok(total(of_parts(&|_| PartAggregate::Rows)?)),
        AggregateOf::Rows => counted(&Expr::int(1)),
        AggregateOf::Count(of) => counted(of),
        AggregateOf::Sum(of, kind) => {
            let count = counted(of)?;
            let kind =
                if matches!(kind, Kind::Int2 | Kind::Int4) { Kind::Int8 } else { Kind::Numeric };
            Ok(if_some(count, sum(of, &aggregate.of, kind, &filtered, of_parts)?))
        }
        AggregateOf::Average(of, _) => {
            let count = counted(of)?;
            let sum = sum(of, &aggregate.of, Kind::Numeric, &filtered, of_parts)?;
            let zero = Expr::NullIf(Box::new(count), Box::new(Expr::int(0)));
            let count = Expr::Call(Function::Cast(Kind::Int8, Kind::Numeric.into()), vec![zero]);
            Ok(Expr::Call(
                Function::Arithmetic(Arithmetic::Divide, Kind::Numeric),
                vec![sum, count],
            ))
        }
        AggregateOf::Min(of) => {
            let of = filtered(of);
            let mut slots = of_parts(&|over| PartAggregate::Min(over(&of)))?;
            Ok(if slots.len() == 1 { slots.remove(0) } else { Expr::Least(slots) })
        }
        AggregateOf::Max(of) => {
            let of = filtered(of);
            let mut slots = of_parts(&|over| PartAggregate::Max(over(&of)))?;
            Ok(if slots.len() == 1 { slots.remove(0) } else { Expr::Greatest(slots) })
        }
        AggregateOf::All(of) | AggregateOf::Any(of) => {
            let is_all = matches!(aggregate.of, AggregateOf::All(_));
            let one = Expr::Case(
                vec![(Expr::Is(Box::new(of.clone()), !is_all), Expr::int(1))],
                Box::new(Expr::Value(Cell::Null)),
            );
            let (all, some) = (counted(of)?, counted(&one)?);
            let answer = if is_all { is_some(some).negated() } else { is_some(some) };
            Ok(if_some(all, answer))
        }
    }
}

/// The sum of the slots of all parts, as `kind`.
fn sum(
    of: &Expr,
    aggregate: &AggregateOf,
    kind: Kind,
    filtered: &dyn Fn(&Expr) -> Expr,
    of_parts: &mut OfParts<'_>,
) -> Result<Expr, Problem> {
    let (AggregateOf::Sum(_, from) | AggregateOf::Average(_, from)) = aggregate else {
        return Ok(of.clone());
    };
    let of = filtered(of);
    let of = if from.is_integer() && kind == Kind::Numeric {
        Expr::Call(Function::Cast(*from, Kind::Numeric.into()), vec![of])
    } else {
        of
    };
    let slots = of_parts(&|over| PartAggregate::Sum(over(&of), kind))?;
    if let [one] = &slots[..] {
        return Ok(one.clone());
    }
    // A part to which nothing was added has no sum, and no digits behind the point either.
    let zero = if kind == Kind::Int8 {
        Expr::int(0)
    } else {
        Expr::Value(Cell::Decimal(decimal::Decimal::ZERO))
    };
    let add = |a, b| Expr::Call(Function::Arithmetic(Arithmetic::Add, kind), vec![a, b]);
    let or_zero = |slot| Expr::Coalesce(vec![slot, zero.clone()]);
    Ok(slots.into_iter().map(or_zero).reduce(add).unwrap_or(zero.clone()))
}
