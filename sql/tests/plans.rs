//! Plans compiled from views over random tables, run by the handler that runs them in a service: with rows in several
//! partitions that come, change and go, and values that were not sent because they did not change, every row is what a
//! simple interpreter makes of the query.
#[path = "oracle/interpreter.rs"]
mod interpreter;
#[path = "oracle/random_views.rs"]
mod random_views;
#[path = "oracle/seed.rs"]
mod seed;
#[path = "oracle/shop.rs"]
mod shop;

use consumers::{
    handler::{Handler, Keys, Rows, Step},
    plan_handler::{Fact, PlanHandler, Table},
    source_table::{SourceTable, SourceType},
};
use interpreter::Row;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sinks::{Key, Op};
use sql::{Catalogue, Compiled, File, NormalForm, TableUse};
use std::collections::{BTreeMap, BTreeSet};
use views::Cell;

const LANES: usize = 3;

#[test]
fn a_compiled_plan_shows_what_the_query_says() {
    let seed = seed::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let catalogue = shop::catalogue();
    let (mut ran, mut rows) = (0, 0);
    for round in 0..10 {
        let mut tables = |first: i64| -> Vec<Vec<Row>> {
            let count = random.random_range(0..12);
            let of = |table: &sql::Table| {
                let rows = shop::rows(&mut random, &table.name, first, count);
                rows.iter().map(|row| shop::cells(table, row)).collect()
            };
            catalogue.tables().iter().map(of).collect()
        };
        let (stay, go) = (tables(1), tables(1_000));
        let more: Vec<String> = (0..100).map(|_| random_views::view(&mut random)).collect();
        for text in shop::VIEWS.iter().copied().chain(more.iter().map(String::as_str)) {
            let whole = format!("create materialized view v as {text}");
            let made = File::parse(&whole).and_then(|file| {
                let bound = file.bind(&catalogue)?;
                let form = NormalForm::of(&bound, &catalogue)?;
                Ok((form.compile(&file.view, &catalogue)?, form, bound))
            });
            // What is refused, and with which words, other tests look at.
            let Ok((compiled, form, bound)) = made else { continue };
            let mut want = interpreter::rows(&bound.relation, &stay).expect("rows");
            let told =
                || format!("seed {seed} round {round}\n{text}\n{}", form.explain("v", &catalogue));
            let mut history = History::new(compiled, &catalogue);
            history.play(&stay, &go, &mut random);
            let mut have = history.shown(&form, &told);
            want.sort();
            have.sort();
            assert_eq!(format!("{have:?}"), format!("{want:?}"), "{}", told());
            ran += 1;
            rows += want.len();
        }
    }
    assert!(ran > 500 && rows > 1_000, "seed {seed}: {ran} views with {rows} rows");
    println!("{rows} rows of {ran} views");
}

/// What one partition holds.
#[derive(Default)]
struct Lane {
    /// The handler's state rows.
    stored: BTreeMap<Key, Vec<u8>>,
    /// Its shares of the view's rows, as a store has them.
    shares: BTreeMap<Row, Row>,
    offset: i64,
}

/// A change of a row: its table's place in the plan, its key, and what it was before and is now.
#[derive(Clone)]
struct Change {
    table: usize,
    key: Row,
    old: Option<Row>,
    new: Option<Row>,
}

struct History {
    handler: PlanHandler,
    tables: Vec<TableUse>,
    /// The columns of each table's primary key.
    keys: Vec<Vec<usize>>,
    lanes: Vec<Lane>,
    own: BTreeMap<Row, Row>,
}

impl History {
    fn new(compiled: Compiled, catalogue: &Catalogue) -> Self {
        let Compiled { plan, tables, text } = compiled;
        let of = |(used, tag): (&TableUse, char)| {
            let table = &catalogue.tables()[used.table];
            let name = |at: &usize| -> &'static str { table.columns[*at].name.clone().leak() };
            // Values are cells already: nobody reads them as these types.
            let source = SourceTable::new(table.name.clone().leak(), tag);
            let source = table.key.iter().fold(source, |of, at| of.key(name(at), SourceType::Text));
            let columns = used.columns.iter();
            Table::new(columns.fold(source, |of, at| of.column(name(at), SourceType::Text)))
        };
        let read = tables.iter().zip('a'..='z').map(of).collect();
        let keys = tables.iter().map(|used| catalogue.tables()[used.table].key.clone()).collect();
        let handler = PlanHandler::new(read, vec![plan], text);
        let lanes = (0..LANES).map(|_| Lane::default()).collect();
        Self { handler, tables, keys, lanes, own: BTreeMap::new() }
    }

    /// Brings the rows that stay and those that go, some with other values first. The steps of one row are in their order
    /// and in one partition; all else is in any order.
    fn play(&mut self, stay: &[Vec<Row>], go: &[Vec<Row>], random: &mut StdRng) {
        let mut rows: Vec<(usize, Vec<Change>)> = Vec::new();
        for (table, used) in self.tables.iter().enumerate() {
            let all = [&stay[used.table][..], &go[used.table]].concat();
            for (at, row) in all.iter().enumerate() {
                let key: Row = self.keys[table].iter().map(|at| row[*at].clone()).collect();
                let mut versions = Vec::new();
                for _ in 0..random.random_range(0..3) {
                    let mut other = all[random.random_range(0..all.len())].clone();
                    self.keys[table].iter().for_each(|key| other[*key] = row[*key].clone());
                    versions.push(Some(other));
                }
                versions.push(Some(row.clone()));
                versions.extend((at >= stay[used.table].len()).then_some(None));
                let before = std::iter::once(None).chain(versions.clone());
                let step = |(old, new)| Change { table, key: key.clone(), old, new };
                let mut steps: Vec<Change> = before.zip(versions.clone()).map(step).collect();
                steps.reverse();
                rows.push((random.random_range(0..LANES), steps));
            }
        }
        while !rows.is_empty() {
            let at = random.random_range(0..rows.len());
            let (lane, steps) = &mut rows[at];
            match steps.pop() {
                Some(step) => self.apply(*lane, step, random),
                None => drop(rows.swap_remove(at)),
            }
        }
    }

    fn apply(&mut self, lane: usize, step: Change, random: &mut StdRng) {
        let used = &self.tables[step.table].columns;
        let mut unchanged = Vec::new();
        let row = step.new.as_ref().map(|new| {
            let cell = |(place, at): (usize, &usize)| {
                let is_same = step.old.as_ref().is_some_and(|old| old[*at] == new[*at]);
                if is_same && random.random_bool(0.3) {
                    unchanged.push(place);
                    return Cell::Null;
                }
                new[*at].clone()
            };
            used.iter().enumerate().map(cell).collect()
        });
        let fact = Fact { table: step.table, key: step.key, row, unchanged };
        let lane = &mut self.lanes[lane];
        let mut rows = Rows::default();
        let mut wanted = Keys::default();
        self.handler.needs(&fact, &mut wanted);
        let mut more = Keys::default();
        for key in wanted.iter() {
            let stored = lane.stored.get(key);
            rows.learn(key.clone(), stored.cloned());
            if let Some(stored) = stored {
                self.handler.follow(key, stored, &mut more);
            }
        }
        self.handler.follow_all(&mut std::iter::once(&fact), &rows, &mut more);
        for key in more.iter().filter(|key| wanted.iter().all(|known| known != *key)) {
            rows.learn(key.clone(), lane.stored.get(key).cloned());
        }
        let mut writes = Vec::new();
        lane.offset += 1;
        self.handler.apply(fact, &mut Step::new(&mut rows, &mut writes, lane.offset, 0));
        assert_eq!(rows.take_fault(), None);
        for (key, row) in rows.take_changed().expect("rows that can be stored") {
            match row {
                Some(row) => drop(lane.stored.insert(key, row)),
                None => drop(lane.stored.remove(&key)),
            }
        }
        for write in writes {
            match write.op {
                Op::Put(row) => drop(self.own.insert(write.key, row)),
                Op::Delete => drop(self.own.remove(&write.key)),
                Op::Share(share) => drop(lane.shares.insert(write.key, share)),
            }
        }
    }

    /// The rows that people see, with their columns as the query has them.
    fn shown(&self, form: &NormalForm, told: &dyn Fn() -> String) -> Vec<Row> {
        let view = self.handler.views().remove(0);
        let shares = self.lanes.iter().flat_map(|lane| lane.shares.keys());
        let keys: BTreeSet<&Row> = self.own.keys().chain(shares).collect();
        let mut rows = Vec::new();
        for key in keys {
            let shares = self.lanes.iter().filter_map(|lane| lane.shares.get(key));
            let own = self.own.get(key).map(Vec::as_slice);
            let shown = view.row(own, shares.map(Vec::as_slice));
            let Some(shown) = shown.unwrap_or_else(|why| panic!("{why}\n{}", told())) else {
                continue;
            };
            let mut others = shown.into_iter();
            let column = |at: usize| match form.key.iter().position(|place| *place == at) {
                Some(place) => key[place].clone(),
                None => others.next().expect("a column"),
            };
            rows.push((0..form.columns.len()).map(column).collect());
        }
        rows
    }
}
