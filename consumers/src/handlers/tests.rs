//! Histories by seed against SQL-like answers, and single cases.
pub(crate) mod harness;
mod oracle;
mod recorded;
mod shop;

use super::inventory::StockMode;
use super::{analytics, inventory, search};
use crate::{
    handler::{Rows, Step, plus},
    plan_handler::{Fact, PlanHandler},
};
use harness::{Rng, World};
use shop::{Event, Row, Shop};
use sinks::Cell;
use sinks::Decimal;
use std::collections::BTreeMap;

const SEEDS: u64 = 200;
const STEPS: usize = 200;

fn money(cents: Option<i64>) -> Cell {
    cents.map(|cents| Decimal::from_parts(cents.into(), 2)).into()
}
fn text(text: Option<&shop::Text>) -> Cell {
    text.map(oracle::spelled).into()
}

/// A change of a row of the handler's table at this place.
fn fact(table: usize, id: i64, row: Option<Vec<Cell>>) -> Fact {
    Fact { table, key: vec![id.into()], row, unchanged: vec![] }
}

fn inventory_fact(event: &Event) -> Option<Fact> {
    let (table, row) = match (event.table, &event.row) {
        ('p', None) => (0, None),
        ('i', None) => (1, None),
        (_, Some(Row::Product(row, _))) => {
            (0, Some(vec![text(Some(&row.name)), money(row.price_cents), row.stock.into()]))
        }
        (_, Some(Row::Item(row))) => (1, Some(vec![row.product.into(), row.quantity.into()])),
        _ => return None,
    };
    Some(fact(table, event.id, row))
}
fn search_fact(event: &Event) -> Option<Fact> {
    let mut unchanged = vec![];
    let row = match &event.row {
        None => None,
        Some(Row::Product(row, unsent)) => {
            unchanged.extend(unsent.then_some(1));
            let description = if *unsent { Cell::Null } else { text(row.description.as_ref()) };
            let category = text(row.category.as_ref());
            Some(vec![text(Some(&row.name)), description, money(row.price_cents), category])
        }
        _ => return None,
    };
    (event.table == 'p').then(|| Fact { unchanged, ..fact(0, event.id, row) })
}
fn analytics_fact(event: &Event) -> Option<Fact> {
    let (table, row) = match (event.table, &event.row) {
        ('o', None) => (0, None),
        ('i', None) => (1, None),
        (_, Some(Row::Order(row))) => {
            let created = row.created_us.map_or(Cell::Null, Cell::Time);
            let (status, total) = (text(row.status.as_ref()), money(row.total_cents));
            (0, Some(vec![row.customer.into(), status, total, created]))
        }
        (_, Some(Row::Item(row))) => {
            (1, Some(vec![row.product.into(), row.quantity.into(), money(row.price_cents)]))
        }
        _ => return None,
    };
    Some(fact(table, event.id, row))
}

/// A history by seed, applied with fallbacks; the shop, and the world at its end.
fn live<H>(seed: u64, handler: H, fact: fn(&Event) -> Option<H::Fact>) -> (Shop, World<H>)
where
    H: crate::handler::Handler,
    H::Fact: Clone,
{
    println!("seed {seed}");
    let mut shop = Shop::new(seed);
    (0..STEPS).for_each(|_| shop.step());
    let mut world = World::new(handler);
    for (lane, log) in &shop.logs {
        log.iter().filter_map(fact).for_each(|fact| world.append(*lane, fact));
    }
    world.run(&mut Rng(!seed), 4);
    (shop, world)
}

/// A second snapshot asks for nothing.
fn snapshot_is_silent<H>(shop: &mut Shop, world: &mut World<H>, fact: fn(&Event) -> Option<H::Fact>)
where
    H: crate::handler::Handler,
    H::Fact: Clone,
{
    shop.logs.clear();
    shop.snapshot();
    for (lane, log) in &shop.logs {
        for fact in log.iter().filter_map(fact) {
            assert_eq!(world.feed(*lane, fact), vec![], "an equal row was written again");
        }
    }
}

fn inventory_of(mode: StockMode) -> PlanHandler {
    let settings = inventory::Settings { stock_mode: mode, ..Default::default() };
    inventory::handler(&settings, "")
}

#[test]
fn inventory_equals_sql() {
    for seed in 0..SEEDS {
        let derived = seed % 4 != 0;
        let mode = if derived { StockMode::Derived } else { StockMode::Source };
        let (mut shop, mut world) = live(seed, inventory_of(mode), inventory_fact);
        let want = oracle::inventory(&shop, 10, derived);
        assert_eq!(world.shown()[inventory::VIEW], want, "seed {seed}");
        snapshot_is_silent(&mut shop, &mut world, inventory_fact);
        world.truncate("order_items", 'i');
        shop.items.clear();
        let want = oracle::inventory(&shop, 10, derived);
        assert_eq!(world.shown()[inventory::VIEW], want, "seed {seed}");
        world.truncate("products", 'p');
        assert!(world.shown()[inventory::VIEW].is_empty(), "seed {seed}");
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}

#[test]
fn search_equals_sql() {
    for seed in 0..SEEDS {
        let handler = search::handler(&search::Settings::default(), "");
        let (mut shop, mut world) = live(seed, handler, search_fact);
        let (index, tokens) = oracle::search(&shop);
        let shown = world.shown();
        assert_eq!(shown[search::INDEX], index, "seed {seed}");
        assert_eq!(shown[search::TOKENS], tokens, "seed {seed}");
        snapshot_is_silent(&mut shop, &mut world, search_fact);
        world.truncate("products", 'p');
        assert!(world.shown().values().all(|view| view.is_empty()), "seed {seed}");
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}

#[test]
fn analytics_equals_sql() {
    for seed in 0..SEEDS {
        let handler = analytics::handler(&analytics::Settings::default(), "");
        let (mut shop, mut world) = live(seed, handler, analytics_fact);
        assert_eq!(world.shown(), oracle::analytics(&shop), "seed {seed}");
        snapshot_is_silent(&mut shop, &mut world, analytics_fact);
        world.truncate("orders", 'o');
        shop.orders.clear();
        assert_eq!(world.shown(), oracle::analytics(&shop), "seed {seed}");
        world.truncate("order_items", 'i');
        assert!(world.shown().values().all(|view| view.is_empty()), "seed {seed}");
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}

#[test]
fn a_line_may_come_before_its_product_and_a_row_never_seen_may_be_updated_or_deleted() {
    let mut world = World::new(inventory_of(StockMode::Derived));
    let line = |row| fact(1, 1, row);
    assert_eq!(world.feed(('i', 0), line(None)), vec![], "a delete of nothing");
    let nothing = line(Some(vec![7.into(), 0.into()]));
    assert_eq!(world.feed(('i', 0), nothing), vec![], "a line of nothing changes no sum");
    world.feed(('i', 0), line(Some(vec![7.into(), 3.into()])));
    assert!(world.shown()[inventory::VIEW].is_empty());
    let row = vec![Cell::Null, money(Some(1_950)), 12.into()];
    let product = Fact { unchanged: vec![0], ..fact(0, 7, Some(row)) };
    world.feed(('p', 0), product);
    let shown = &world.shown()[inventory::VIEW][&vec![Cell::Int(7)]];
    assert_eq!(shown[0], Cell::Null, "a text that is not known is null");
    assert_eq!(shown[2..], [Cell::Int(12), Cell::Int(3), Cell::Int(9), Cell::Int(1)]);
}

/// What the state holds of a sum after each batch's amounts were added to it.
fn stored_sums(batches: &[&[&str]]) -> Vec<String> {
    let (view, key) = ("sums", vec![Cell::Int(1)]);
    let (mut stored, mut texts) = (None, vec![]);
    for amounts in batches {
        let (mut rows, mut writes) = (Rows::default(), vec![]);
        rows.learn(sinks::share_key(view, &key), stored.take());
        for amount in *amounts {
            let mut step = Step::new(&mut rows, &mut writes, 0, 0);
            let sum = plus(step.share(view, &key).first(), &amount.parse().expect("a number"));
            step.set_share(view, key.clone(), vec![sum]);
        }
        let mut changed = rows.take_changed().expect("rows that can be stored");
        stored = changed.pop().expect("the sum").1;
        let row = sinks::decode_row(stored.as_deref().expect("there")).expect("a row");
        texts.push(format!("{row:?}"));
    }
    texts
}

#[test]
fn a_sums_text_does_not_depend_on_where_batches_are_cut() {
    // What Java writes of ten million, as `decimal.handling.mode=double` has it: one digit, of negative scale.
    for amounts in [["1.0E7", "-1.0E7", "0.05"], ["7E+3", "-7E+3", "2E+3"], ["5", "-5", "1E7"]] {
        let parts: Vec<&[&str]> = amounts.chunks(1).collect();
        let (alone, together) = (stored_sums(&parts), stored_sums(&[&amounts]));
        assert_eq!(together.last(), alone.last(), "{amounts:?}");
        assert_eq!(stored_sums(&[&amounts[..2]]).last(), alone.get(1), "{amounts:?}");
    }
}

#[test]
fn rows_that_are_wanted_again_are_kept_longest() {
    let mut rows = Rows::default();
    let key = |n: u32| format!("{n:04}").into_bytes();
    let keys: Vec<_> = (0..1_000).map(key).collect();
    assert!(rows.unknown(keys.iter()) == keys);
    keys.iter().for_each(|key| rows.learn(key.clone(), Some(b"row".to_vec())));
    assert!(rows.unknown(keys[..10].iter()).is_empty());
    rows.shrink(1 << 20);
    assert!(keys.iter().all(|key| rows.knows(key)), "all of them fit");
    rows.shrink(100_000);
    assert!(rows.unknown(keys.iter()) == keys[10..], "those that were wanted once are gone");
    assert_eq!(rows.peek(&keys[3]).as_deref(), Some(&b"row"[..]));
    // All ten were asked for again, and are more than half of what there may be.
    rows.shrink(1_200);
    assert!(rows.unknown(keys.iter()) == keys);
}

#[test]
fn rows_that_were_fetched_ahead_stay_for_their_batch() {
    let mut rows = Rows::default();
    let key = |n: u32| format!("{n:04}").into_bytes();
    let keys: Vec<_> = (0..30).map(key).collect();
    let stored = |key: &Vec<u8>| (key.clone(), Some(b"row".to_vec()));
    keys[..12].iter().for_each(|key| rows.learn(key.clone(), Some(b"old".to_vec())));
    assert!(rows.unknown(keys[..10].iter()).is_empty(), "ten are wanted again");
    rows.learn_ahead(keys[..22].iter().map(stored));
    assert_eq!(rows.peek(&keys[0]).as_deref(), Some(&b"old"[..]), "what is known stays");
    rows.shrink(2_600);
    let gone = [&keys[10..12], &keys[22..]].concat();
    assert!(rows.unknown(keys.iter()) == gone, "those that were wanted once are gone");
    // Now the batch has asked for what was fetched ahead; rows of the next one come.
    rows.learn_ahead(keys[22..].iter().map(stored));
    rows.shrink(1_200);
    assert!(rows.unknown(keys.iter()) == keys[..22], "the ten were more than half of it");
}

#[test]
fn a_row_that_cannot_be_stored_is_named_by_its_record_without_its_values() {
    let (mut rows, mut writes) = (Rows::default(), vec![]);
    for key in ["a", "b", "c"] {
        rows.learn(key.into(), None);
    }
    // JSON's names are text: two numbers cannot be one.
    let unstorable = BTreeMap::from([((4711, 2), 3)]);
    Step::new(&mut rows, &mut writes, 4, 0).keep("a", &1);
    Step::new(&mut rows, &mut writes, 6, 0).keep("c", &unstorable);
    Step::new(&mut rows, &mut writes, 5, 0).keep("b", &unstorable);
    let error = rows.take_changed().expect_err("it cannot be stored");
    assert_eq!(error.offset, 5, "all that came before can be");
    assert!(!error.why.contains("4711"), "{}", error.why);
}
