//! The greatest, the smallest or the first of the values that a key's rows have, exact also when the row that has it is
//! deleted or changed: the state keeps all values of a key.
//!
//! * `^`, the view, zero, the column's place, the key, then [`Aggregate::bucket`]: the values of that bucket, each followed
//!   by how many rows have it, in their order;
//! * `<`, the view, zero, the column's place, then the key: what is shown of each bucket, after the bucket, in the order of
//!   the buckets.
//!
//! The rows of a bucket say what is shown of it when a value goes, and the row of all buckets what is shown of the whole
//! key. A bucket's own row need not be known for that: so all that a record can touch is found by its old and its new row.
//!
//! Both rows are written whole: a key with tens of thousands of values in one bucket, or with values in so many buckets, is
//! dear. Where the first N are kept, the row of all buckets has up to N tuples for each of them. A key whose tuples begin
//! with times of 365 days has 365 buckets, and with a limit of 10, up to 3,650 tuples, in the row that is read with each
//! record of that key, and written with each that changes what a bucket shows.
#![deny(clippy::disallowed_methods)]

use crate::handler::{Keys, Step};
use sinks::{
    Cell, Key,
    plan::{Aggregate, Contribution, Part},
    state::keys,
    write_key,
};
use std::{cmp::Ordering, sync::Arc};

/// Asks for what counting this contribution in or out looks at.
pub(super) fn ask(
    view: &str,
    (first, part): (usize, &Part),
    contribution: &Contribution,
    keys: &mut Keys,
) {
    let all = part.aggregates.iter().zip(&contribution.amounts).enumerate();
    for (at, (aggregate, value)) in all.filter(|(_, (aggregate, _))| aggregate.keeps_values()) {
        keys.row(extremes_key(view, first + at, &contribution.key));
        if *value != Cell::Null {
            let bucket = aggregate.bucket(value);
            keys.row(values_key(view, first + at, &contribution.key, bucket));
        }
    }
}

/// A row's value leaves its key, or comes to it.
pub(super) fn shift(
    step: &mut Step<'_>,
    view: &str,
    (first, part): (usize, &Part),
    was: Option<&Contribution>,
    is: Option<&Contribution>,
) {
    for (at, aggregate) in part.aggregates.iter().enumerate() {
        if !aggregate.keeps_values() {
            continue;
        }
        let value = |one: Option<&'_ Contribution>| {
            let one = one?;
            let value = one.amounts.get(at).filter(|value| **value != Cell::Null)?;
            Some((one.key.clone(), value.clone()))
        };
        let (was, is) = (value(was), value(is));
        if was == is {
            continue;
        }
        for (one, more) in [(was, -1), (is, 1)] {
            if let Some((key, value)) = one {
                count(step, (view, first + at, &key), aggregate, &value, more);
            }
        }
    }
}

/// One more (1) or one less (-1) row of the key has this value.
fn count(
    step: &mut Step<'_>,
    (view, column, key): (&str, usize, &[Cell]),
    aggregate: &Aggregate,
    value: &Cell,
    more: i64,
) {
    let bucket = aggregate.bucket(value);
    let at = values_key(view, column, key, bucket);
    let mut counts = Pairs::of(step, &at);
    let order = |a: &Cell, b: &Cell| aggregate.compare(a, b);
    let rows = counts.get(value, order).and_then(Cell::int).unwrap_or(0) + more;
    counts.set(value.clone(), (rows != 0).then_some(Cell::Int(rows)), order);
    let shown = aggregate.shown(counts.names());
    counts.keep(step, at);
    let at = extremes_key(view, column, key);
    let (mut buckets, bucket) = (Pairs::of(step, &at), Cell::Int(bucket));
    // Most values change nothing of what is shown, and there may be much of that.
    if buckets.get(&bucket, Cell::cmp) != shown.as_ref() {
        buckets.set(bucket, shown, Cell::cmp);
        buckets.keep(step, at);
    }
}

/// What is shown of the key, null if it has no value.
pub(super) fn of(
    step: &mut Step<'_>,
    view: &str,
    column: usize,
    key: &[Cell],
    aggregate: &Aggregate,
) -> Cell {
    let buckets = Pairs::of(step, &extremes_key(view, column, key));
    aggregate.shown(buckets.values()).unwrap_or(Cell::Null)
}

/// A state row of pairs, in an order of the first of each.
struct Pairs(Arc<[Cell]>);
impl Pairs {
    fn of(step: &mut Step<'_>, at: &[u8]) -> Self {
        Self(step.cells(at).unwrap_or_default())
    }
    fn keep(self, step: &mut Step<'_>, at: Key) {
        if self.0.is_empty() { step.drop_row(at) } else { step.keep_cells(at, self.0) }
    }
    fn place(&self, name: &Cell, order: impl Fn(&Cell, &Cell) -> Ordering) -> Result<usize, usize> {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.binary_search_by(|pair| order(&pair[0], name))
    }
    fn get(&self, name: &Cell, order: impl Fn(&Cell, &Cell) -> Ordering) -> Option<&Cell> {
        self.place(name, order).ok().and_then(|at| self.0.get(2 * at + 1))
    }
    fn set(&mut self, name: Cell, value: Option<Cell>, order: impl Fn(&Cell, &Cell) -> Ordering) {
        let place = self.place(&name, order);
        let mut cells = self.0.to_vec();
        match (place, value) {
            (Ok(at), Some(value)) => cells[2 * at + 1] = value,
            (Ok(at), None) => drop(cells.drain(2 * at..2 * at + 2)),
            (Err(at), Some(value)) => drop(cells.splice(2 * at..2 * at, [name, value])),
            (Err(_), None) => return,
        }
        self.0 = cells.into();
    }
    /// The first of each pair.
    fn names(&self) -> impl DoubleEndedIterator<Item = &Cell> {
        self.0.as_chunks::<2>().0.iter().map(|[name, _]| name)
    }
    /// The second of each.
    fn values(&self) -> impl DoubleEndedIterator<Item = &Cell> {
        self.0.as_chunks::<2>().0.iter().map(|[_, value]| value)
    }
}

fn extremes_key(view: &str, column: usize, key: &[Cell]) -> Key {
    named(keys::SHOWN_OF_BUCKETS, view, column, key)
}
fn values_key(view: &str, column: usize, key: &[Cell], bucket: i64) -> Key {
    let mut at = named(keys::VALUES, view, column, key);
    write_key(&mut at, &[Cell::Int(bucket)]);
    at
}
fn named(kind: u8, view: &str, column: usize, key: &[Cell]) -> Key {
    let mut at = Key::with_capacity(48);
    at.push(kind);
    at.extend_from_slice(view.as_bytes());
    at.push(0);
    write_key(&mut at, &[Cell::Int(i64::try_from(column).unwrap_or(i64::MAX))]);
    write_key(&mut at, key);
    at
}
