//! Sales.
//!
//! ```sql
//! select created_at::date, count(*), sum(total) from orders group by 1;                     -- daily_sales (UTC days)
//! select customer_id, count(*), sum(total), max(created_at) from orders group by 1;         -- customer_metrics
//! select status, count(*) from orders group by 1;                                           -- order_status
//! select product_id, sum(quantity), sum(quantity * unit_price) from order_items group by 1; -- product_sales
//! ```
//!
//! A null total, quantity or unit price adds nothing (sums of nothing are 0). A row counts in no view that would group
//! it under null: there is no day null, no customer null.
//!
//! A `created_at` of `infinity` or `-infinity` is no day and no moment either, and counts as null where the views ask
//! for one: the order is in `order_status` and in its customer's count and sum, but in no row of `daily_sales` (SQL
//! would show a day `infinity`), and `last_order_at` is the newest *finite* time, null if there is none.
use super::{Limits, OrderItems, Orders};
use crate::{
    fingerprint::services,
    plan_handler::{Bound, PlanHandler, QUANTITY_MAX, Table},
    source_table::{SourceTable, SourceType},
};
use serde::{Deserialize, Serialize};
use sinks::{
    Column, Condition, Expr, Merge, Plan, Type, View,
    plan::{Aggregate, Part},
    reports::{self, Figure, Top},
};

pub const DAILY: &str = "daily_sales";
pub const PRODUCTS: &str = "product_sales";
pub const CUSTOMERS: &str = "customer_metrics";
pub const STATUS: &str = "order_status";
/// Another number when the same record is read, counted or stored otherwise than before.
const RULES: u32 = 2;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub orders: Orders,
    pub order_items: OrderItems,
    pub limits: Limits,
}

/// The handler. `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
pub fn handler(settings: &Settings, formats: &str) -> PlanHandler {
    let fingerprint = services::of_analytics(RULES, settings, formats);
    PlanHandler::new(bounded(settings), plans(), fingerprint)
}

/// The tables that the views are made of.
pub(crate) fn tables(orders: &Orders, order_items: &OrderItems) -> [SourceTable; 2] {
    use SourceType::{Decimal, Int, Text, Time};
    [
        orders
            .declared('o')
            .column_named("customer_id", &orders.customer_id, Int)
            .column_named("status", &orders.status, Text)
            .column_named("total", &orders.total, Decimal)
            .column_named("created_at", &orders.created_at, Time),
        order_items
            .declared('i')
            .column_named("product_id", &order_items.product_id, Int)
            .column_named("quantity", &order_items.quantity, Int)
            .column_named("unit_price", &order_items.unit_price, Decimal),
    ]
}

fn bounded(settings: &Settings) -> Vec<Table> {
    let limits = &settings.limits;
    let [orders, order_items] = tables(&settings.orders, &settings.order_items).map(Table::new);
    let orders = orders
        .bound("status", Bound::Bytes(limits.key_bytes_max))
        .bound("total", Bound::Digits(limits.digits_max))
        .bound("created_at", Bound::Day);
    let order_items = order_items
        .bound("quantity", Bound::Size(QUANTITY_MAX))
        .bound("unit_price", Bound::Digits(limits.digits_max));
    vec![orders, order_items]
}

fn plans() -> Vec<Plan> {
    const ORDERS: usize = 0;
    const LINES: usize = 1;
    let [customer, status, total, created_at] = [0, 1, 2, 3].map(Expr::Own);
    let [product, quantity, price] = [0, 1, 2].map(Expr::Own);
    let part = |table, key, aggregates| {
        vec![Part { table, filter: Condition::Always, key: vec![key], aggregates }]
    };
    let money = |value| Aggregate::Sum(Type::Decimal, value);
    let [daily, products, customers, by_status] = views();
    let of_day =
        part(ORDERS, created_at.clone().day(), vec![Aggregate::Count, money(total.clone())]);
    let units = Aggregate::Sum(Type::Int, quantity.clone());
    let of_product =
        part(LINES, product, vec![Aggregate::Count, units, money(quantity.times(price))]);
    let newest = Aggregate::Max(created_at);
    let of_customer = part(ORDERS, customer, vec![Aggregate::Count, money(total), newest]);
    let of_status = part(ORDERS, status, vec![Aggregate::Count]);
    vec![
        Plan::new(daily, None, of_day),
        Plan::new(products, None, of_product),
        Plan::new(customers, None, of_customer),
        Plan::new(by_status, None, of_status),
    ]
}

fn views() -> [View; 4] {
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
    [daily, products, customers, status]
}

/// What is published of the views.
pub fn reports() -> reports::Settings {
    let top = |view, by| Top { view, by, rows: 100 };
    reports::Settings {
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
