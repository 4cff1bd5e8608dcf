//! The one handler of all views that are declared: it takes their plans ([`sinks::plan`]) and the source tables that they
//! name, and keeps the last row that it applied of each primary key. What a view is about, it does not know.
//!
//! As in SQL, null adds nothing, and a row counts in no view that would group it under null. A row of one table may come
//! before the row of another that it belongs to, and outlive it. A text or another long value that was not sent because it
//! did not change (TOAST) stays as it was last; where none is known it is null, never the placeholder.
//!
//! Its state rows are the last row applied of each primary key, this partition's shares, and all values behind a greatest,
//! a smallest or the first ones: [`sinks::state::keys`] says under which keys.
//!
//! A record writes a share only if it changed it, and an owner's part only if it differs, so what is written is a
//! function of the log alone, and a second snapshot writes nothing.
#![deny(clippy::disallowed_methods)]

mod extremes;
mod reading;

pub use reading::{Bound, QUANTITY_MAX, STOCK_MAX, Table};

use crate::{
    handler::{Handler, Keys, Reject, Rows, Step, plus},
    source_table::SourceTable,
};
use debezium::Change;
use sinks::{
    Cell, Key, Plan, View, decode_row,
    plan::{Contribution, Own, Part, WordsOfRow},
    read_key,
    state::keys,
    write_key,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A handler of views by their plans.
pub struct PlanHandler {
    tables: Vec<Table>,
    plans: Vec<Plan>,
    fingerprint: String,
    /// Of the keys of each table's state rows.
    prefixes: Vec<Key>,
    /// Of each table: the places of the plans that may have no value for some of its rows.
    fallible: Vec<Vec<usize>>,
    /// Whether a plan may show how a number is written: by a text that is made of it, say.
    shows_digits: bool,
}

/// What most keys of state rows fit into.
const ROW_KEY_BYTES: usize = 24;

/// What a change says of one row.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The place of its table in [`Handler::tables`].
    pub table: usize,
    /// The primary key.
    pub key: Vec<Cell>,
    /// The other columns, in the order in which they are declared; `None`: the row is gone.
    pub row: Option<Vec<Cell>>,
    /// The places of those that were not sent because they did not change; ascending.
    pub unchanged: Vec<usize>,
}

impl PlanHandler {
    /// `plans` name tables by their places in `tables`. `fingerprint`: of everything that shapes effects, see
    /// [`Handler::fingerprint`].
    ///
    /// # Panics
    /// If rows would be taken for others: a table has no key, two tables have one tag, two views one name, or a view's
    /// name has a zero character, which ends it in the keys of state rows. Also if a plan names a table that is not there,
    /// or a table's tag is none of a to z.
    pub fn new(tables: Vec<Table>, plans: Vec<Plan>, fingerprint: String) -> Self {
        let mut tags = HashSet::new();
        for Table { source, .. } in &tables {
            assert!(!source.key.is_empty(), "{}: the table has no key", source.alias);
            assert!(tags.insert(source.tag), "{}: another table has its tag", source.alias);
            assert!(source.tag.is_ascii_lowercase(), "{}: its tag is none of a to z", source.alias);
        }
        let mut names = HashSet::new();
        for plan in &plans {
            let name = plan.view.name;
            assert!(!name.contains('\0'), "{name:?}: a zero character in a view's name");
            assert!(names.insert(name), "{name}: another view has its name");
            let own = plan.own.iter().map(|own| own.table);
            let mut named = own.chain(plan.parts.iter().map(|part| part.table));
            assert!(named.all(|table| table < tables.len()), "{name}: no such table");
        }
        let prefix = |table: &Table| format!("{}{}/", char::from(keys::LAST_ROW), table.source.tag);
        let prefixes = tables.iter().map(|table| prefix(table).into_bytes());
        let prefixes = prefixes.collect();
        let of_table = |table| (0..plans.len()).filter(|at| plans[*at].may_fail(table)).collect();
        let fallible = (0..tables.len()).map(of_table).collect();
        let shows_digits = plans.iter().any(Plan::has_computed);
        Self { tables, plans, fingerprint, prefixes, fallible, shows_digits }
    }

    /// The plan of the view of this name.
    pub fn plan(&self, view: &str) -> Option<&Plan> {
        self.plans.iter().find(|plan| plan.view.name == view)
    }

    /// The key of the state row of this table's row.
    pub fn row_key(&self, table: usize, key: &[Cell]) -> Key {
        let mut at = Key::with_capacity(ROW_KEY_BYTES);
        at.extend_from_slice(&self.prefixes[table]);
        write_key(&mut at, key);
        at
    }
    /// The table and the primary key of the row that is kept under this key.
    fn row_at(&self, at: &[u8]) -> Option<(usize, Vec<Cell>)> {
        let prefixes = self.prefixes.iter().enumerate();
        let mut found =
            prefixes.filter_map(|(table, prefix)| Some((table, at.strip_prefix(&prefix[..])?)));
        let (table, key) = found.next()?;
        Some((table, read_key(key)?))
    }

    /// The key of the state row that the owner's part of this view's row is made of; `None`: it has no owner, or no row
    /// could have this key.
    pub fn owner_key(&self, view: &str, key: &[Cell]) -> Option<Key> {
        let own = self.plan(view)?.own.as_ref()?;
        let width = self.tables.get(own.table)?.source.key.len();
        Some(self.row_key(own.table, &own.row_of(key, width)?))
    }

    /// The owner's part of this view's row, made of the state row that is kept under [`PlanHandler::owner_key`].
    pub fn own_part(&self, view: &str, key: &[Cell], stored: &[u8]) -> Option<Vec<Cell>> {
        let own = self.plan(view)?.own.as_ref()?;
        let width = self.tables.get(own.table)?.source.key.len();
        let row = (own.row_of(key, width)?, decode_row(stored)?);
        let parts = own.of(&row.0, &row.1, &mut WordsOfRow::default());
        parts.into_iter().find(|part| part.0 == key).map(|part| part.1)
    }

    /// Whether all views have values for this row; `Err`: the first that has none, and what to do.
    fn check(&self, table: usize, key: &[Cell], row: &[Cell]) -> Result<(), String> {
        let mut plans = self.fallible[table].iter().map(|at| &self.plans[*at]);
        let name = &self.tables[table].source.name;
        plans.try_for_each(|plan| plan.check(table, key, row)).map_err(|failed| {
            format!("{name}: view {failed}; PostgreSQL would refuse this row, too: mend it at the source, or the view")
        })
    }

    /// What counting this row in or out looks at.
    fn ask(&self, table: usize, key: &[Cell], row: &[Cell], keys: &mut Keys) {
        for plan in &self.plans {
            for (first, part) in plan.parts().filter(|(_, part)| part.table == table) {
                if !part.aggregates.iter().any(sinks::plan::Aggregate::keeps_values) {
                    if let Some(at) = part.key_of(key, row) {
                        keys.share(plan.view.name, &at);
                    }
                } else if let Some(contribution) = part.of(key, row) {
                    keys.share(plan.view.name, &contribution.key);
                    extremes::ask(plan.view.name, (first, part), &contribution, keys);
                }
            }
        }
    }
}

impl Handler for PlanHandler {
    type Fact = Fact;

    fn tables(&self) -> Vec<SourceTable> {
        self.tables.iter().map(|table| table.source.clone()).collect()
    }

    fn views(&self) -> Vec<View> {
        self.plans.iter().map(|plan| plan.view.clone()).collect()
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
        let is_ours = |table: &Table| table.source.name == change.source.table;
        let Some(table) = self.tables.iter().position(is_ours) else { return Ok(None) };
        let fact = self.tables[table].read(table, change)?;
        // What was not sent is known only with the last row: see `apply`.
        if let (Some(row), []) = (&fact.row, &fact.unchanged[..]) {
            self.check(table, &fact.key, row).map_err(Reject)?;
        }
        Ok(Some(fact))
    }

    fn needs(&self, fact: &Fact, keys: &mut Keys) {
        keys.row(self.row_key(fact.table, &fact.key));
        // What was not sent is known only with the last row: see `follow_all`.
        if let (Some(row), []) = (&fact.row, &fact.unchanged[..]) {
            self.ask(fact.table, &fact.key, row, keys);
        }
    }

    fn follow(&self, at: &[u8], stored: &[u8], keys: &mut Keys) {
        let Some((table, key)) = self.row_at(at) else { return };
        // A row that cannot be read is reported by `apply`.
        if let Some(row) = decode_row(stored) {
            self.ask(table, &key, &row, keys);
        }
    }

    fn follow_all(&self, facts: &mut dyn Iterator<Item = &Fact>, known: &Rows, keys: &mut Keys) {
        let facts: Vec<&Fact> = facts.collect();
        let in_part = facts.iter().filter(|fact| !fact.unchanged.is_empty());
        let in_part: HashSet<(usize, &[Cell])> =
            in_part.map(|fact| (fact.table, fact.key.as_slice())).collect();
        if in_part.is_empty() {
            return;
        }
        let mut rows: HashMap<(usize, &[Cell]), Option<Vec<Cell>>> = HashMap::new();
        for fact in facts {
            let row = (fact.table, fact.key.as_slice());
            if !in_part.contains(&row) {
                continue;
            }
            let stored =
                || known.peek(&self.row_key(fact.table, &fact.key)).map(|row| row.into_owned());
            let old = match rows.remove(&row) {
                Some(old) => old,
                None => stored().and_then(|stored| decode_row(&stored)),
            };
            let new = fact.row.clone().map(|new| onto(new, &fact.unchanged, old.as_deref()));
            if let Some(new) = &new {
                self.ask(fact.table, &fact.key, new, keys);
            }
            rows.insert(row, new);
        }
    }

    fn apply(&self, fact: Fact, step: &mut Step<'_>) {
        let Fact { table, key, row, unchanged } = fact;
        let at = self.row_key(table, &key);
        let old = step.cells(&at);
        let old = old.as_deref();
        if let (Some(_), None) = (&row, old)
            && let Some(name) = self.tables[table].lacks(&unchanged)
        {
            return step.halt(format!(
                "{name} was not sent, since it did not change, and no earlier row has it, though it is declared not null: \
                 declare it without not null to have null until it is sent, or give the table REPLICA IDENTITY FULL and \
                 begin behind this record"
            ));
        }
        let new: Option<Arc<[Cell]>> = row.map(|row| onto(row, &unchanged, old).into());
        let is_same = new.as_deref() == old;
        if is_same && (!self.shows_digits || is_identical(new.as_deref(), old)) {
            return;
        }
        if let (Some(row), false) = (&new, unchanged.is_empty())
            && let Err(why) = self.check(table, &key, row)
        {
            return step.halt(format!(
                "{why}. The record does not say all of the row, so it is no dead letter"
            ));
        }
        match &new {
            Some(row) => step.keep_cells(at, Arc::clone(row)),
            None => step.drop_row(at),
        }
        let new = new.as_deref();
        let mut words = [WordsOfRow::default(), WordsOfRow::default()];
        for plan in &self.plans {
            if let Some(own) = plan.own.as_ref().filter(|own| own.table == table) {
                put(step, plan.view.name, own, &key, [old, new], &mut words);
            }
            let parts = plan.parts().filter(|(_, part)| part.table == table);
            let moves = parts.map(|part| {
                let [was, is] = [old, new].map(|row| part.1.of(&key, row?));
                Move { part, was, is }
            });
            shift(step, plan, &moves.filter(|one| one.was != one.is).collect::<Vec<_>>());
        }
    }

    fn truncated(&self, table: &str) -> Option<Key> {
        let at = self.tables.iter().position(|known| known.source.name == table)?;
        Some(self.prefixes[at].clone())
    }

    fn gone(&self, at: &[u8]) -> Option<Fact> {
        let (table, key) = self.row_at(at)?;
        Some(Fact { table, key, row: None, unchanged: Vec::new() })
    }
}

/// Whether two equal rows have their numbers written alike: 1.0 and 1.00 are equal, and so are 0 and -0.
fn is_identical(a: Option<&[Cell]>, b: Option<&[Cell]>) -> bool {
    let cells = a.into_iter().flatten().zip(b.into_iter().flatten());
    cells.into_iter().all(|cells| match cells {
        (Cell::Decimal(a), Cell::Decimal(b)) => {
            a.fractional_digit_count() == b.fractional_digit_count()
        }
        (Cell::Float(a), Cell::Float(b)) => a.get().to_bits() == b.get().to_bits(),
        _ => true,
    })
}

/// The row as it is now: what was not sent is as it was.
fn onto(mut row: Vec<Cell>, unchanged: &[usize], old: Option<&[Cell]>) -> Vec<Cell> {
    for at in unchanged {
        row[*at] = old.and_then(|old| old.get(*at)).cloned().unwrap_or(Cell::Null);
    }
    row
}

/// Puts the owner's parts that the row has now, where they differ, and deletes those that it has no more.
fn put<'p>(
    step: &mut Step<'_>,
    view: &'static str,
    own: &'p Own,
    key: &[Cell],
    [old, new]: [Option<&[Cell]>; 2],
    [of_old, of_new]: &mut [WordsOfRow<'p>; 2],
) {
    let parts = |row: Option<&[Cell]>, words: &mut WordsOfRow<'p>| {
        row.map(|row| own.of(key, row, words)).unwrap_or_default()
    };
    let (was, is) = (parts(old, of_old), parts(new, of_new));
    let find = |parts: &[(Vec<Cell>, Vec<Cell>)], key: &[Cell]| {
        parts.binary_search_by(|part| part.0.as_slice().cmp(key)).ok()
    };
    for (key, _) in &was {
        if find(&is, key).is_none() {
            step.delete(view, key.clone());
        }
    }
    for (key, columns) in is {
        if find(&was, &key).is_none_or(|at| was[at].1 != columns) {
            step.put(view, key, columns);
        }
    }
}

/// What a change of a row means for one part of a view.
struct Move<'p> {
    /// With the place of its first column in a share.
    part: (usize, &'p Part),
    was: Option<Contribution>,
    is: Option<Contribution>,
}

/// Takes what the old row added from its shares, and adds what the new row adds to its own. A record writes a share
/// once, however many parts of the view it changes, and only if it changed: what is between them nobody is to see.
fn shift(step: &mut Step<'_>, plan: &Plan, moves: &[Move<'_>]) {
    let mut keys: Vec<&[Cell]> = Vec::new();
    for Move { part, was, is } in moves {
        extremes::shift(step, plan.view.name, *part, was.as_ref(), is.as_ref());
        for one in [was, is].into_iter().flatten() {
            if !keys.contains(&one.key.as_slice()) {
                keys.push(&one.key);
            }
        }
    }
    for key in keys {
        change_share(step, plan, moves, key);
    }
}

fn change_share(step: &mut Step<'_>, plan: &Plan, moves: &[Move<'_>], key: &[Cell]) {
    let view = plan.view.name;
    step.change_share(view, key.to_vec(), |step, mut share| {
        share.resize(plan.view.totals.len(), Cell::Null);
        for Move { part: (first, part), was, is } in moves {
            let of_key = |one: &&Contribution| one.key == key;
            let [taken, added] = [was, is].map(|one| one.as_ref().filter(of_key));
            if taken.is_none() && added.is_none() {
                continue;
            }
            for (at, aggregate) in part.aggregates.iter().enumerate() {
                let column = &mut share[first + at];
                if aggregate.keeps_values() {
                    *column = extremes::of(step, view, first + at, key, aggregate);
                    continue;
                }
                for (one, sign) in [(taken, -1), (added, 1)] {
                    if let Some(amount) = one.and_then(|one| one.amounts.get(at)) {
                        *column = plus_amount(column, amount, sign);
                    }
                }
            }
        }
        plan.fill(&mut share);
        if plan.is_nothing(&share) {
            share.clear();
        }
        share
    });
}

fn plus_amount(sum: &Cell, amount: &Cell, sign: i64) -> Cell {
    match amount {
        // Never saturates where amounts are bounded: see `QUANTITY_MAX`.
        Cell::Int(n) => Cell::Int(sum.int().unwrap_or(0).saturating_add(n.saturating_mul(sign))),
        Cell::Decimal(d) if sign < 0 => plus(Some(sum), &-d),
        Cell::Decimal(d) => plus(Some(sum), d),
        _ => sum.clone(),
    }
}

#[cfg(test)]
mod tests;
