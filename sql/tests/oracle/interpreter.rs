//! A bound query over tables, as simply as it can be: each operator over all rows, nothing kept, nothing clever.
use sql::{Aggregate, AggregateOf, EvalError, Expr, Join, Kind, Relation};
use std::collections::BTreeMap;
use views::{Cell, Decimal};

pub type Row = Vec<Cell>;

/// The rows that the query is, in no order.
pub fn rows(relation: &Relation, tables: &[Vec<Row>]) -> Result<Vec<Row>, EvalError> {
    match relation {
        Relation::Table(at) => Ok(tables[*at].clone()),
        Relation::Filter(of, condition) => {
            let mut kept = Vec::new();
            for row in rows(of, tables)? {
                if condition.holds(&row)? {
                    kept.push(row);
                }
            }
            Ok(kept)
        }
        Relation::Project(of, columns) => {
            rows(of, tables)?.iter().map(|row| values(columns, row)).collect()
        }
        Relation::Expand(of, list) => {
            let mut all = Vec::new();
            for row in rows(of, tables)? {
                for element in elements(&*list.of(&row)?) {
                    let mut longer = row.clone();
                    longer.push(element);
                    all.push(longer);
                }
            }
            Ok(all)
        }
        Relation::Group(of, keys, aggregates) => {
            let mut groups: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
            for row in rows(of, tables)? {
                groups.entry(values(keys, &row)?).or_default().push(row);
            }
            if keys.is_empty() {
                groups.entry(Vec::new()).or_default();
            }
            let group = |(mut key, rows): (Row, Vec<Row>)| {
                for aggregate in aggregates {
                    key.push(aggregated(aggregate, &rows)?);
                }
                Ok(key)
            };
            groups.into_iter().map(group).collect()
        }
        Relation::Join(join) => joined(join, tables),
        Relation::Union(all) => {
            let mut rows_of_all = Vec::new();
            for one in all {
                rows_of_all.extend(rows(one, tables)?);
            }
            Ok(rows_of_all)
        }
    }
}

pub fn elements(list: &Cell) -> Vec<Cell> {
    match list {
        Cell::Words(words) => words.iter().map(|word| word.as_str().into()).collect(),
        Cell::List(list) => list.0.iter().map(|text| text.clone().into()).collect(),
        _ => Vec::new(),
    }
}

fn values(exprs: &[Expr], row: &[Cell]) -> Result<Row, EvalError> {
    exprs.iter().map(|expr| Ok(expr.of(row)?.into_owned())).collect()
}

fn joined(join: &Join, tables: &[Vec<Row>]) -> Result<Vec<Row>, EvalError> {
    let (left, right) = (rows(&join.left, tables)?, rows(&join.right, tables)?);
    let mut all = Vec::new();
    for one in left {
        let mut found = false;
        for other in &right {
            let both = [one.as_slice(), other].concat();
            if join.on.holds(&both)? {
                found = true;
                all.push(both);
            }
        }
        if join.is_left && !found {
            all.push([one, vec![Cell::Null; join.right_width]].concat());
        }
    }
    Ok(all)
}

fn aggregated(aggregate: &Aggregate, rows: &[Row]) -> Result<Cell, EvalError> {
    let mut known = Vec::new();
    for row in rows {
        if let Some(filter) = &aggregate.filter
            && !filter.holds(row)?
        {
            continue;
        }
        let value = match aggregate.of.argument() {
            None => Cell::Bool(true),
            Some(of) => of.of(row)?.into_owned(),
        };
        if value != Cell::Null {
            known.push(value);
        }
    }
    let sum = || {
        let decimal = |cell: &Cell| match cell {
            Cell::Int(number) => Decimal::from(*number),
            Cell::Decimal(number) => number.clone(),
            other => panic!("a sum of {other:?}"),
        };
        known.iter().map(decimal).reduce(|a, b| a + b)
    };
    Ok(match &aggregate.of {
        AggregateOf::Rows | AggregateOf::Count(_) => Cell::Int(known.len() as i64),
        AggregateOf::Sum(_, Kind::Int2 | Kind::Int4) => {
            sum().map_or(Cell::Null, |sum| Cell::Int(sum.truncated().expect("few digits") as i64))
        }
        AggregateOf::Sum(..) => sum().into(),
        AggregateOf::Average(..) => match sum() {
            None => Cell::Null,
            Some(sum) => {
                let both = [Cell::Decimal(sum), Cell::Decimal((known.len() as i64).into())];
                let quotient = sql::Function::Arithmetic(sql::Arithmetic::Divide, Kind::Numeric);
                Expr::Call(quotient, vec![Expr::Column(0), Expr::Column(1)]).of(&both)?.into_owned()
            }
        },
        AggregateOf::Min(_) => known.into_iter().min().unwrap_or(Cell::Null),
        AggregateOf::Max(_) => known.into_iter().max().unwrap_or(Cell::Null),
        AggregateOf::All(_) if known.is_empty() => Cell::Null,
        AggregateOf::Any(_) if known.is_empty() => Cell::Null,
        AggregateOf::All(_) => Cell::Bool(known.iter().all(|cell| *cell == Cell::Bool(true))),
        AggregateOf::Any(_) => Cell::Bool(known.contains(&Cell::Bool(true))),
    })
}
