//! The views, computed from the shop's tables as SQL would: by looking at every row.
use super::harness::ShownView;
use super::shop::{Shop, Text, WORDS};
use sinks::Cell;
use sinks::Decimal;
use std::collections::{BTreeMap, BTreeSet};

pub fn spelled(text: &Text) -> String {
    text.iter().map(|word| WORDS[*word].0).collect::<Vec<_>>().join(", ")
}
fn spelled_cell(text: &Option<Text>) -> Cell {
    text.as_ref().map(spelled).into()
}
fn money(cents: i64) -> Cell {
    Decimal::from_parts(cents.into(), 2).into()
}

pub fn inventory(shop: &Shop, low_below: i64, derived: bool) -> ShownView {
    let mut view = BTreeMap::new();
    for (id, product) in &shop.products {
        let Some(base) = product.stock else { continue };
        let lines = shop.items.values().filter(|item| item.product == Some(*id));
        let sold: i64 = lines.filter_map(|item| item.quantity).sum();
        let stock = if derived { base - sold } else { base };
        let row = vec![
            spelled(&product.name).into(),
            product.price_cents.map_or(Cell::Null, money),
            Cell::Int(base),
            Cell::Int(sold),
            Cell::Int(stock),
            if stock < low_below { Cell::Int(1) } else { Cell::Null },
        ];
        view.insert(vec![Cell::Int(*id)], row);
    }
    view
}

pub fn search(shop: &Shop) -> (ShownView, ShownView) {
    let (mut index, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for (id, product) in &shop.products {
        let texts = [Some(&product.name), product.description.as_ref()];
        let words: BTreeSet<String> =
            texts.into_iter().flatten().flatten().map(|word| WORDS[*word].1.to_owned()).collect();
        for word in &words {
            tokens.insert(vec![word.as_str().into(), Cell::Int(*id)], vec![]);
        }
        let row = vec![
            spelled(&product.name).into(),
            spelled_cell(&product.description),
            product.price_cents.map_or(Cell::Null, money),
            spelled_cell(&product.category),
            Cell::Words(words),
        ];
        index.insert(vec![Cell::Int(*id)], row);
    }
    (index, tokens)
}

fn day(us: i64) -> Cell {
    // 1969-12-31 to 1970-01-05: the days that the shop knows.
    let names =
        ["1969-12-31", "1970-01-01", "1970-01-02", "1970-01-03", "1970-01-04", "1970-01-05"];
    names[usize::try_from(us.div_euclid(86_400_000_000) + 1).expect("a known day")].into()
}

pub fn analytics(shop: &Shop) -> BTreeMap<&'static str, ShownView> {
    let mut daily: BTreeMap<Cell, (i64, i64)> = BTreeMap::new();
    let mut customers: BTreeMap<i64, (i64, i64, Option<i64>)> = BTreeMap::new();
    let mut status: BTreeMap<String, i64> = BTreeMap::new();
    for order in shop.orders.values() {
        let cents = order.total_cents.unwrap_or(0);
        if let Some(us) = order.created_us {
            let sum = daily.entry(day(us)).or_default();
            *sum = (sum.0 + 1, sum.1 + cents);
        }
        if let Some(customer) = order.customer {
            let sum = customers.entry(customer).or_default();
            *sum = (sum.0 + 1, sum.1 + cents, sum.2.max(order.created_us));
        }
        if let Some(text) = &order.status {
            *status.entry(spelled(text)).or_default() += 1;
        }
    }
    let mut products: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for item in shop.items.values() {
        if let Some(product) = item.product {
            let sum = products.entry(product).or_default();
            let revenue = item.quantity.zip(item.price_cents).map_or(0, |(n, cents)| n * cents);
            *sum = (sum.0 + item.quantity.unwrap_or(0), sum.1 + revenue);
        }
    }
    let daily =
        daily.into_iter().map(|(day, (n, cents))| (vec![day], vec![n.into(), money(cents)]));
    let customers = customers.into_iter().map(|(id, (n, cents, last))| {
        let average = (2 * cents.abs() + n) / (2 * n) * cents.signum();
        let last = last.map_or(Cell::Null, Cell::Time);
        (vec![id.into()], vec![n.into(), money(cents), money(average), last])
    });
    let status = status.into_iter().map(|(text, n)| (vec![text.into()], vec![n.into()]));
    let products = products
        .into_iter()
        .map(|(id, (n, cents))| (vec![id.into()], vec![n.into(), money(cents)]));
    BTreeMap::from([
        ("daily_sales", daily.collect()),
        ("customer_metrics", customers.collect()),
        ("order_status", status.collect()),
        ("product_sales", products.collect()),
    ])
}
