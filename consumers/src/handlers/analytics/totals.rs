//! The four views of sums, and how one row's part moves from where it counted to where it counts.
use crate::handler::{Step, plus};
use bigdecimal::{
    BigDecimal,
    num_bigint::{BigInt, Sign},
};
use sinks::{Cell, Column, Kind, Merge, Type, View};

pub const DAILY: &str = "daily_sales";
pub const PRODUCTS: &str = "product_sales";
pub const CUSTOMERS: &str = "customer_metrics";
pub const STATUS: &str = "order_status";

pub(super) fn views() -> Vec<View> {
    let daily = View {
        name: DAILY,
        key: const { &[Column::new("day", Type::Text)] },
        columns: const { &[Column::new("orders", Type::Int), Column::new("revenue", Type::Decimal)] },
        kind: Kind::Totals { merge: &[Merge::Sum, Merge::Sum], finish: <[Cell]>::to_vec },
    };
    let products = View {
        name: PRODUCTS,
        key: const { &[Column::new("product_id", Type::Int)] },
        columns: const { &[Column::new("quantity", Type::Int), Column::new("revenue", Type::Decimal)] },
        kind: Kind::Totals {
            merge: &[Merge::Sum, Merge::Sum, Merge::Sum],
            finish: |total| total.get(1..).unwrap_or_default().to_vec(),
        },
    };
    let customers = View {
        name: CUSTOMERS,
        key: const { &[Column::new("customer_id", Type::Int)] },
        columns: const {
            &[
                Column::new("orders", Type::Int),
                Column::new("spent", Type::Decimal),
                Column::new("average", Type::Decimal),
                Column::new("last_order_at", Type::Time),
            ]
        },
        kind: Kind::Totals {
            merge: &[Merge::Sum, Merge::Sum, Merge::Max],
            finish: finish_customer,
        },
    };
    let status = View {
        name: STATUS,
        key: const { &[Column::new("status", Type::Text)] },
        columns: const { &[Column::new("orders", Type::Int)] },
        kind: Kind::Totals { merge: &[Merge::Sum], finish: <[Cell]>::to_vec },
    };
    vec![daily, products, customers, status]
}

/// [orders, spent, last_order_at] -> orders, spent, average, last_order_at.
fn finish_customer(total: &[Cell]) -> Vec<Cell> {
    let [orders, spent, last] = total else { return vec![Cell::Null; 4] };
    let average = match (orders.int(), spent.decimal()) {
        (Some(orders), Some(spent)) => average(spent, orders).into(),
        _ => Cell::Null,
    };
    vec![orders.clone(), spent.clone(), average, last.clone()]
}

/// `round(spent / orders, 2)` as PostgreSQL does it: half away from zero, on the exact quotient.
fn average(spent: &BigDecimal, orders: i64) -> Option<BigDecimal> {
    if orders <= 0 {
        return None;
    }
    let (digits, scale) = spent.as_bigint_and_exponent();
    let ten = |power: u64| BigInt::from(10).pow(u32::try_from(power).unwrap_or(u32::MAX));
    let (above, below): (BigInt, BigInt) = if scale >= 0 {
        (digits * 100, ten(scale.unsigned_abs()) * orders)
    } else {
        (digits * 100 * ten(scale.unsigned_abs()), BigInt::from(orders))
    };
    let half = if above.sign() == Sign::Minus { -&below } else { below.clone() };
    // Division of integers cuts towards zero, so half a divisor more rounds half away from it.
    Some(BigDecimal::new((above * 2 + half) / (below * 2), 2))
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
