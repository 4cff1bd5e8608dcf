//! The four views of sums, and how one row's part moves from where it counted to where it counts.
use crate::handler::{Step, plus};
use bigdecimal::BigDecimal;
use sinks::{
    Cell, Column, Expr, Merge, Type, View,
    reports::{Figure, Settings, Top},
};

pub const DAILY: &str = "daily_sales";
pub const PRODUCTS: &str = "product_sales";
pub const CUSTOMERS: &str = "customer_metrics";
pub const STATUS: &str = "order_status";

pub(super) fn views() -> Vec<View> {
    use Merge::{Max, Sum};
    const ORDERS: Column = Column::new("orders", Type::Int);
    const REVENUE: Column = Column::new("revenue", Type::Decimal);
    let daily = View::totals(
        DAILY,
        const { &[Column::new("day", Type::Text)] },
        &[Sum, Sum],
        const { &[ORDERS, REVENUE] },
    );
    let products = View::totals(
        PRODUCTS,
        const { &[Column::new("product_id", Type::Int)] },
        &[Sum, Sum, Sum],
        &[],
    );
    // The first column only counts the lines.
    let products = products.showing(
        const { &[Column::new("quantity", Type::Int), REVENUE] },
        vec![Expr::Total(1), Expr::Total(2)],
    );
    let customers = View::totals(
        CUSTOMERS,
        const { &[Column::new("customer_id", Type::Int)] },
        &[Sum, Sum, Max],
        &[],
    );
    let [orders, spent, last_order_at] = [0, 1, 2].map(Expr::Total);
    let average =
        Expr::Average { sum: Box::new(spent.clone()), count: Box::new(orders.clone()), places: 2 };
    let customers = customers.showing(
        const {
            &[
                ORDERS,
                Column::new("spent", Type::Decimal),
                Column::new("average", Type::Decimal),
                Column::new("last_order_at", Type::Time),
            ]
        },
        vec![orders, spent, average, last_order_at],
    );
    let status = View::totals(
        STATUS,
        const { &[Column::new("status", Type::Text)] },
        &[Sum],
        const { &[ORDERS] },
    );
    vec![daily, products, customers, status]
}

/// What is published of the views.
pub fn reports() -> Settings {
    let top = |view, by| Top { view, by, rows: 100 };
    Settings {
        tops: vec![top(PRODUCTS, "revenue"), top(CUSTOMERS, "spent")],
        summary: vec![
            ("orders", Figure::Sum(DAILY, "orders")),
            ("revenue", Figure::Sum(DAILY, "revenue")),
            ("customers", Figure::Rows(CUSTOMERS)),
            ("products_sold", Figure::Rows(PRODUCTS)),
            ("units", Figure::Sum(PRODUCTS, "quantity")),
            ("average_order_value", Figure::Ratio("revenue", "orders")),
        ],
    }
}

/// What one source row adds to the total of a key; the first amount counts the row itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub key: Vec<Cell>,
    pub amounts: Vec<Cell>,
}

/// A sum counts null as nothing.
pub(super) fn or_zero(cell: &Cell) -> Cell {
    if *cell == Cell::Null { Cell::Decimal(BigDecimal::from(0)) } else { cell.clone() }
}

/// Takes the old row's part from its share and adds the new row's part to its own. `rest` sets what is no sum.
/// A share is written once, and only if it changed; without rows it becomes empty.
pub(super) fn shift(
    step: &mut Step<'_>,
    view: &'static str,
    old: Option<Part>,
    new: Option<Part>,
    rest: impl Fn(&mut Step<'_>, &[Cell], &mut Vec<Cell>),
) {
    let moved = match (&old, &new) {
        (Some(old), Some(new)) => old.key != new.key,
        _ => true,
    };
    if moved {
        for part in [(old, None), (None, new)] {
            change_share(step, view, part, &rest);
        }
    } else {
        change_share(step, view, (old, new), &rest);
    }
}

/// `parts`: (taken, added), of one key.
fn change_share(
    step: &mut Step<'_>,
    view: &'static str,
    parts: (Option<Part>, Option<Part>),
    rest: impl Fn(&mut Step<'_>, &[Cell], &mut Vec<Cell>),
) {
    let Some(key) = parts.1.as_ref().or(parts.0.as_ref()).map(|part| part.key.clone()) else {
        return;
    };
    let before = step.share(view, &key);
    let mut share = before.clone();
    for (part, sign) in [(parts.0, -1), (parts.1, 1)] {
        for (i, amount) in part.into_iter().flat_map(|part| part.amounts).enumerate() {
            let sum = added(share.get(i), &amount, sign);
            match share.get_mut(i) {
                Some(cell) => *cell = sum,
                None => share.push(sum),
            }
        }
    }
    rest(step, &key, &mut share);
    if share.first().is_none_or(Cell::is_zero) {
        share.clear();
    }
    if share != before {
        step.set_share(view, key, share);
    }
}

fn added(sum: Option<&Cell>, amount: &Cell, sign: i64) -> Cell {
    match amount {
        // Never saturates: see `fields::QUANTITY_MAX`.
        Cell::Int(n) => {
            Cell::Int(sum.and_then(Cell::int).unwrap_or(0).saturating_add(n.saturating_mul(sign)))
        }
        Cell::Decimal(d) => plus(sum, &(d * BigDecimal::from(sign))),
        _ => sum.cloned().unwrap_or(Cell::Null),
    }
}
