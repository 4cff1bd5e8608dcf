//! Histories by seed against SQL-like answers, and single cases.
mod harness;
mod oracle;
mod recorded;
mod shop;

use super::inventory::StockMode;
use super::{analytics, inventory, search};
use crate::handler::{Rows, Step, plus};
use bigdecimal::BigDecimal;
use debezium::Kept;
use harness::{Rng, World};
use shop::{Event, Row, Shop};
use sinks::Cell;
use std::collections::BTreeMap;

const SEEDS: u64 = 200;
const STEPS: usize = 200;

fn money(cents: Option<i64>) -> Option<BigDecimal> {
    cents.map(|cents| BigDecimal::new(cents.into(), 2))
}
fn sent(text: Option<&shop::Text>) -> Kept<Option<String>> {
    Kept::New(text.map(oracle::spelled))
}

fn inventory_fact(event: &Event) -> Option<inventory::Fact> {
    let id = event.id;
    Some(match (event.table, &event.row) {
        ('p', None) => inventory::Fact::Product { id, row: None },
        ('i', None) => inventory::Fact::Item { id, row: None },
        (_, Some(Row::Product(row, _))) => inventory::Fact::Product {
            id,
            row: Some(inventory::Product {
                name: sent(Some(&row.name)),
                price: money(row.price_cents),
                base_stock: row.stock,
            }),
        },
        (_, Some(Row::Item(row))) => inventory::Fact::Item {
            id,
            row: Some(inventory::Item { product_id: row.product, quantity: row.quantity }),
        },
        _ => return None,
    })
}
fn search_fact(event: &Event) -> Option<search::Fact> {
    let row = match &event.row {
        None => None,
        Some(Row::Product(row, unsent)) => Some(search::Product {
            name: sent(Some(&row.name)),
            description: if *unsent { Kept::Unchanged } else { sent(row.description.as_ref()) },
            price: money(row.price_cents),
            category: sent(row.category.as_ref()),
        }),
        _ => return None,
    };
    (event.table == 'p').then_some(search::Fact { id: event.id, row })
}
fn analytics_fact(event: &Event) -> Option<analytics::Fact> {
    let id = event.id;
    Some(match (event.table, &event.row) {
        ('o', None) => analytics::Fact::Order { id, row: None },
        ('i', None) => analytics::Fact::Item { id, row: None },
        (_, Some(Row::Order(row))) => analytics::Fact::Order {
            id,
            row: Some(analytics::OrderRow {
                customer_id: row.customer,
                status: sent(row.status.as_ref()),
                total: money(row.total_cents),
                created_us: row.created_us,
            }),
        },
        (_, Some(Row::Item(row))) => analytics::Fact::Item {
            id,
            row: Some(analytics::Item {
                product_id: row.product,
                quantity: row.quantity,
                unit_price: money(row.price_cents).into(),
            }),
        },
        _ => return None,
    })
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

fn inventory_of(mode: StockMode) -> inventory::Inventory {
    let settings = inventory::Settings { stock_mode: mode, ..Default::default() };
    inventory::Inventory::new(settings, "")
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
        let handler = search::Search::new(search::Settings::default(), "");
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
        let handler = analytics::Analytics::new(analytics::Settings::default(), "");
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
    let line = inventory::Item { product_id: Some(7), quantity: Some(3) };
    let fact = |row| inventory::Fact::Item { id: 1, row };
    assert_eq!(world.feed(('i', 0), fact(None)), vec![], "a delete of nothing");
    world.feed(('i', 0), fact(Some(line)));
    assert!(world.shown()[inventory::VIEW].is_empty());
    let row = inventory::Product {
        name: Kept::Unchanged,
        price: money(Some(1_950)),
        base_stock: Some(12),
    };
    world.feed(('p', 0), inventory::Fact::Product { id: 7, row: Some(row) });
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
        texts.push(String::from_utf8(stored.clone().expect("there")).expect("JSON"));
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
