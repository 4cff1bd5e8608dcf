//! The greatest or smallest of the values that a key's rows have, exact also when the row that has it is deleted or
//! changed: the state keeps all values of a key.
//!
//! * `^`, the view, zero, the column's place, the key, then [`bucket`]: the values of that bucket, each followed by how
//!   many rows have it, in their order;
//! * `<`, the view, zero, the column's place, then the key: the extreme of each bucket, after the bucket, in the order of
//!   the buckets.
//!
//! The rows of a bucket say what is the extreme there without a value, and the extremes which bucket has the whole
//! key's. All that a record can touch is found by its old and its new row. Both rows are written whole: a key with tens
//! of thousands of values in one bucket, or with values in so many buckets, is dear.
#![deny(clippy::disallowed_methods)]

use crate::handler::{Keys, Step};
use sinks::{
    Cell, Key,
    plan::{Aggregate, Contribution, Part, bucket},
    write_key,
};

/// Asks for what counting this contribution in or out looks at.
pub(super) fn ask(
    view: &str,
    (first, part): (usize, &Part),
    contribution: &Contribution,
    keys: &mut Keys,
) {
    for (column, value) in values(first, part, contribution) {
        keys.row(extremes_key(view, column, &contribution.key));
        if *value != Cell::Null {
            keys.row(values_key(view, column, &contribution.key, value));
        }
    }
}

/// The values of a contribution that are kept, each with its column in the share.
fn values<'c>(
    first: usize,
    part: &'c Part,
    contribution: &'c Contribution,
) -> impl Iterator<Item = (usize, &'c Cell)> {
    let all = part.aggregates.iter().zip(&contribution.amounts).enumerate();
    let kept = all.filter(|(_, (aggregate, _))| aggregate.is_extreme());
    kept.map(move |(at, (_, value))| (first + at, value))
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
        if !aggregate.is_extreme() {
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
    let at = values_key(view, column, key, value);
    let mut counts = Pairs::of(step, &at);
    let rows = counts.get(value).and_then(Cell::int).unwrap_or(0) + more;
    counts.set(value.clone(), (rows != 0).then_some(Cell::Int(rows)));
    let extreme = match aggregate {
        Aggregate::Min(_) => counts.first().cloned(),
        _ => counts.last().cloned(),
    };
    counts.keep(step, at);
    let at = extremes_key(view, column, key);
    let mut extremes = Pairs::of(step, &at);
    extremes.set(Cell::Int(bucket(value)), extreme);
    extremes.keep(step, at);
}

/// The extreme of the key, null if it has no value.
pub(super) fn of(
    step: &mut Step<'_>,
    view: &str,
    column: usize,
    key: &[Cell],
    aggregate: &Aggregate,
) -> Cell {
    let extremes = Pairs::of(step, &extremes_key(view, column, key)).0;
    // Buckets and their extremes take turns.
    let found = match aggregate {
        Aggregate::Min(_) => extremes.get(1),
        _ => extremes.last(),
    };
    found.cloned().unwrap_or(Cell::Null)
}

/// A state row of pairs, in the order of the first of each.
struct Pairs(Vec<Cell>);
impl Pairs {
    fn of(step: &mut Step<'_>, at: &[u8]) -> Self {
        Self(step.cells(at).map(|row| row.to_vec()).unwrap_or_default())
    }
    fn keep(self, step: &mut Step<'_>, at: Key) {
        if self.0.is_empty() { step.drop_row(at) } else { step.keep_cells(at, self.0.into()) }
    }
    fn place(&self, name: &Cell) -> Result<usize, usize> {
        let (pairs, _) = self.0.as_chunks::<2>();
        pairs.binary_search_by(|pair| pair[0].cmp(name))
    }
    fn get(&self, name: &Cell) -> Option<&Cell> {
        self.place(name).ok().and_then(|at| self.0.get(2 * at + 1))
    }
    fn set(&mut self, name: Cell, value: Option<Cell>) {
        match (self.place(&name), value) {
            (Ok(at), Some(value)) => self.0[2 * at + 1] = value,
            (Ok(at), None) => drop(self.0.drain(2 * at..2 * at + 2)),
            (Err(at), Some(value)) => drop(self.0.splice(2 * at..2 * at, [name, value])),
            (Err(_), None) => {}
        }
    }
    fn first(&self) -> Option<&Cell> {
        self.0.first()
    }
    /// The greatest first of a pair.
    fn last(&self) -> Option<&Cell> {
        self.0.len().checked_sub(2).and_then(|at| self.0.get(at))
    }
}

fn extremes_key(view: &str, column: usize, key: &[Cell]) -> Key {
    named(b'<', view, column, key)
}
fn values_key(view: &str, column: usize, key: &[Cell], value: &Cell) -> Key {
    let mut at = named(b'^', view, column, key);
    write_key(&mut at, &[Cell::Int(bucket(value))]);
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
