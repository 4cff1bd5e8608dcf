//! A normal form over tables whose rows lie in several partitions, and come and go.
use super::interpreter::{Row, elements};
use rand::{RngExt, rngs::StdRng};
use sql::{EvalError, Expr, Kind, NormalForm, Part, PartAggregate};
use std::collections::BTreeMap;
use views::{Cell, Decimal};

const LANES: usize = 3;

/// What one partition says of one key, for one part: sums as they were added to and taken from, and the values behind
/// greatest and smallest ones.
#[derive(Default, Clone)]
struct Share {
    sums: Vec<Cell>,
    values: Vec<Vec<Cell>>,
}

/// The rows of the view. Each row of a table is put into a partition; beside it rows come that go again.
pub fn rows(
    form: &NormalForm,
    tables: &[Vec<Row>],
    gone: &[Vec<Row>],
    random: &mut StdRng,
) -> Result<Vec<Row>, EvalError> {
    let mut own: BTreeMap<Row, Row> = BTreeMap::new();
    if let Some(part) = &form.own {
        for row in &tables[part.table] {
            for row in expanded(part.each.as_ref(), row)? {
                if part.filter.holds(&row)? {
                    let key = values(&part.key, &row)?;
                    let before = own.insert(key, values(&part.columns, &row)?);
                    assert!(before.is_none(), "two rows own one key");
                }
            }
        }
    }
    let mut shares: Vec<BTreeMap<Row, Vec<Share>>> = vec![BTreeMap::new(); form.parts.len()];
    for (part, shares) in form.parts.iter().zip(&mut shares) {
        let mut changes: Vec<(usize, &Row, bool)> = Vec::new();
        for (rows, stays) in [(&tables[part.table], true), (&gone[part.table], false)] {
            for row in rows {
                let lane = random.random_range(0..LANES);
                changes.push((lane, row, true));
                if !stays {
                    changes.push((lane, row, false));
                }
            }
        }
        // A row goes after it came; all else may be in any order.
        for at in (1..changes.len()).rev() {
            let other = random.random_range(0..=at);
            changes.swap(at, other);
        }
        changes.sort_by_key(|(.., comes)| !comes);
        for (lane, row, comes) in changes {
            change(part, shares, lane, row, comes)?;
        }
    }
    let mut keys: Vec<Row> = own.keys().cloned().collect();
    if form.own.is_none() {
        keys = shares.iter().flat_map(|shares| shares.keys().cloned()).collect();
        keys.sort();
        keys.dedup();
    }
    let mut all = Vec::new();
    for key in keys {
        let mut slots = key.clone();
        slots.extend(own.get(&key).cloned().unwrap_or_default());
        for (part, shares) in form.parts.iter().zip(&shares) {
            slots.extend(merged(part, shares.get(&key), random));
        }
        if form.exists.holds(&slots)? {
            let shown: Vec<Expr> = form.columns.iter().map(|column| column.value.clone()).collect();
            all.push(values(&shown, &slots)?);
        }
    }
    Ok(all)
}

fn values(exprs: &[Expr], row: &[Cell]) -> Result<Row, EvalError> {
    exprs.iter().map(|expr| Ok(expr.of(row)?.into_owned())).collect()
}

fn expanded(each: Option<&Expr>, row: &Row) -> Result<Vec<Row>, EvalError> {
    let Some(each) = each else { return Ok(vec![row.clone()]) };
    let list = each.of(row)?.into_owned();
    Ok(elements(&list).into_iter().map(|element| [row.clone(), vec![element]].concat()).collect())
}

fn change(
    part: &Part,
    shares: &mut BTreeMap<Row, Vec<Share>>,
    lane: usize,
    row: &Row,
    comes: bool,
) -> Result<(), EvalError> {
    for row in expanded(part.each.as_ref(), row)? {
        let key = values(&part.key, &row)?;
        if !part.filter.holds(&row)? || key.contains(&Cell::Null) {
            continue;
        }
        let share = &mut shares.entry(key).or_insert_with(|| vec![Share::default(); LANES])[lane];
        share.sums.resize(part.aggregates.len(), Cell::Null);
        share.values.resize(part.aggregates.len(), Vec::new());
        for (at, aggregate) in part.aggregates.iter().enumerate() {
            let sign = if comes { 1 } else { -1 };
            let (value, amount) = match aggregate {
                PartAggregate::Rows => (Cell::Null, Cell::Int(1)),
                PartAggregate::Count(of) if *of.of(&row)? != Cell::Null => {
                    (Cell::Null, Cell::Int(1))
                }
                PartAggregate::Count(_) => continue,
                PartAggregate::Sum(of, _) => (Cell::Null, of.of(&row)?.into_owned()),
                PartAggregate::Min(of) | PartAggregate::Max(of) => {
                    (of.of(&row)?.into_owned(), Cell::Null)
                }
            };
            if value != Cell::Null {
                if comes {
                    share.values[at].push(value);
                } else {
                    let place =
                        share.values[at].iter().position(|known| *known == value).expect("it came");
                    share.values[at].swap_remove(place);
                }
            }
            share.sums[at] = plus(&share.sums[at], &amount, sign);
        }
    }
    Ok(())
}

fn plus(sum: &Cell, amount: &Cell, sign: i64) -> Cell {
    match (sum, amount) {
        (_, Cell::Null) => sum.clone(),
        (Cell::Null, Cell::Int(amount)) => Cell::Int(amount * sign),
        (Cell::Int(sum), Cell::Int(amount)) => Cell::Int(sum + amount * sign),
        (Cell::Null, Cell::Decimal(amount)) => Cell::Decimal(amount * Decimal::from(sign)),
        (Cell::Decimal(sum), Cell::Decimal(amount)) => {
            Cell::Decimal(sum + amount * Decimal::from(sign))
        }
        other => panic!("no sum: {other:?}"),
    }
}

/// The merged columns of a part: where nothing was added, null or 0.
fn merged(part: &Part, shares: Option<&Vec<Share>>, random: &mut StdRng) -> Vec<Cell> {
    let column = |at: usize, aggregate: &PartAggregate| {
        let shares = shares.into_iter().flatten();
        let sum = || {
            shares
                .clone()
                .filter_map(|share| share.sums.get(at))
                .fold(Cell::Null, |sum, one| plus(&sum, one, 1))
        };
        let all = || shares.clone().filter_map(|share| share.values.get(at)).flatten().cloned();
        match aggregate {
            PartAggregate::Min(_) => all().min().unwrap_or(Cell::Null),
            PartAggregate::Max(_) => all().max().unwrap_or(Cell::Null),
            PartAggregate::Sum(_, Kind::Numeric) => sum(),
            _ => sum(),
        }
    };
    let mut columns: Vec<Cell> =
        part.aggregates.iter().enumerate().map(|(at, one)| column(at, one)).collect();
    for (cell, aggregate) in columns.iter_mut().zip(&part.aggregates) {
        let is_sum = !matches!(aggregate, PartAggregate::Min(_) | PartAggregate::Max(_));
        if *cell == Cell::Null && is_sum && random.random_bool(0.5) {
            let is_decimal = matches!(aggregate, PartAggregate::Sum(_, Kind::Numeric));
            *cell = if is_decimal { Cell::Decimal(Decimal::ZERO) } else { Cell::Int(0) };
        }
    }
    columns
}
