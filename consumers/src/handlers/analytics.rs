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
//!
//! # State rows
//!
//! * `o/<id>` an order, `i/<id>` a line: what they counted towards, so that the change to a new row is known.
//! * `t/<customer>/<day>`: the times of that customer's orders of that UTC day, each with how many have it;
//! * `c/<customer>`: the newest of these for each day that has orders.
//!
//! The last two make `last_order_at` exact when the newest order is deleted, moved to another customer or dated anew:
//! the order's row leads to its customer and day, the day's row says what is newest there without it, and the
//! customer's row which day is newest. All that a record can touch is found by `needs` and one `follow`.
//! Sizes: about 25 bytes an order in the day's row, 25 bytes a day with orders in the customer's row. Both are written
//! whole, so a single customer with tens of thousands of orders a day is dear (a till that books everything on one
//! customer: leave its customer null).
use super::{Limits, OrderItems, Orders, canonical, fields};
use crate::handler::{Handler, Keys, Reject, Step};
use crate::source_table::{SourceTable, SourceType};
use bigdecimal::BigDecimal;
use chrono::{DateTime, Datelike};
use debezium::{Change, Field, Instant, Kept};
use fields::Name;
use serde::{Deserialize, Serialize};
use sinks::{Cell, Key, View};
use std::{collections::BTreeMap, fmt::Write as _};

mod totals;
pub use totals::{CUSTOMERS, DAILY, PRODUCTS, STATUS, reports};

/// Another number when the same record is read or counted otherwise than before.
const RULES: u32 = 1;
const ORDER: char = 'o';
const ITEM: char = 'i';
const DAY_US: i64 = 86_400_000_000;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub orders: Orders,
    pub order_items: OrderItems,
    pub limits: Limits,
}

pub struct Analytics {
    settings: Settings,
    formats: String,
}
impl Analytics {
    /// `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
    pub fn new(settings: Settings, formats: &str) -> Self {
        Self { settings, formats: formats.to_owned() }
    }
}

/// The tables that the views are made of.
pub(crate) fn tables(orders: &Orders, order_items: &OrderItems) -> Vec<SourceTable> {
    use SourceType::{Decimal, Int, Text, Time};
    vec![
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

#[derive(Debug, Clone)]
pub enum Fact {
    /// `None`: deleted.
    Order {
        id: i64,
        row: Option<OrderRow>,
    },
    Item {
        id: i64,
        row: Option<Item>,
    },
}
#[derive(Debug, Clone)]
pub struct OrderRow {
    pub customer_id: Option<i64>,
    pub status: Kept<Option<String>>,
    pub total: Option<BigDecimal>,
    /// µs since 1970, UTC; `None` for null and for what is infinite.
    pub created_us: Option<i64>,
}

/// An order as last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Order {
    #[serde(rename = "c")]
    customer_id: Option<i64>,
    #[serde(rename = "s")]
    status: Option<String>,
    #[serde(rename = "t")]
    total: Cell,
    #[serde(rename = "at")]
    created_us: Option<i64>,
}
/// A line, as read and as last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    #[serde(rename = "p")]
    pub product_id: Option<i64>,
    #[serde(rename = "q")]
    pub quantity: Option<i64>,
    /// Decimal or null.
    #[serde(rename = "u")]
    pub unit_price: Cell,
}

impl Handler for Analytics {
    type Fact = Fact;

    fn tables(&self) -> Vec<SourceTable> {
        tables(&self.settings.orders, &self.settings.order_items)
    }

    fn views(&self) -> Vec<View> {
        totals::views()
    }

    fn fingerprint(&self) -> String {
        canonical::of_analytics(RULES, &self.settings, &self.formats)
    }

    fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
        let table = change.source.table.as_ref();
        if table == self.settings.orders.table {
            self.read_order(change).map(Some)
        } else if table == self.settings.order_items.table {
            self.read_item(change).map(Some)
        } else {
            Ok(None)
        }
    }

    fn needs(&self, fact: &Fact, keys: &mut Keys) {
        match fact {
            Fact::Order { id, row } => {
                keys.row(fields::row_key(ORDER, *id));
                if let Some(OrderRow { customer_id, status, created_us, .. }) = row {
                    let status = match status {
                        Kept::New(status) => status.as_deref(),
                        Kept::Unchanged => None,
                    };
                    ask(*customer_id, status, *created_us, keys);
                }
            }
            Fact::Item { id, row } => {
                keys.row(fields::row_key(ITEM, *id));
                if let Some(row) = row {
                    row.ask(keys);
                }
            }
        }
    }

    fn follow(&self, key: &[u8], row: &[u8], keys: &mut Keys) {
        // A row that cannot be read is reported by `apply`.
        if fields::row_id(ORDER, key).is_some() {
            if let Ok(order) = serde_json::from_slice::<Order>(row) {
                ask(order.customer_id, order.status.as_deref(), order.created_us, keys);
            }
        } else if fields::row_id(ITEM, key).is_some()
            && let Ok(item) = serde_json::from_slice::<Item>(row)
        {
            item.ask(keys);
        }
    }

    fn apply(&self, fact: Fact, step: &mut Step<'_>) {
        match fact {
            Fact::Order { id, row } => apply_order(id, row, step),
            Fact::Item { id, row } => apply_item(id, row, step),
        }
    }

    fn truncated(&self, table: &str) -> Option<Key> {
        if table == self.settings.orders.table {
            Some(fields::row_prefix(ORDER))
        } else if table == self.settings.order_items.table {
            Some(fields::row_prefix(ITEM))
        } else {
            None
        }
    }

    fn gone(&self, key: &[u8]) -> Option<Fact> {
        let order = fields::row_id(ORDER, key).map(|id| Fact::Order { id, row: None });
        order.or_else(|| fields::row_id(ITEM, key).map(|id| Fact::Item { id, row: None }))
    }
}

impl Analytics {
    fn read_order(&self, change: &Change<'_>) -> Result<Fact, Reject> {
        let Settings { orders: at, limits, .. } = &self.settings;
        let id = fields::primary_key(change, &at.id)?;
        let Some(row) = fields::after(change)? else {
            return Ok(Fact::Order { id, row: None });
        };
        let [customer, status, total, created] =
            row.fields([&at.customer_id, &at.status, &at.total, &at.created_at])?;
        let of = |column| Name(&at.table, column);
        let created_us = created.nullable(Field::instant)?.and_then(Instant::finite_us);
        if created_us.is_some_and(|us| day_of(us).is_none()) {
            return Err(of(&at.created_at).reject("outside the years 1 to 9999"));
        }
        let row = OrderRow {
            customer_id: customer.nullable(Field::int)?,
            status: fields::text(&status, &of(&at.status), limits.key_bytes_max)?,
            total: fields::decimal(&total, &of(&at.total), limits)?,
            created_us,
        };
        Ok(Fact::Order { id, row: Some(row) })
    }

    fn read_item(&self, change: &Change<'_>) -> Result<Fact, Reject> {
        let Settings { order_items: at, limits, .. } = &self.settings;
        let id = fields::primary_key(change, &at.id)?;
        let Some(row) = fields::after(change)? else {
            return Ok(Fact::Item { id, row: None });
        };
        let [product, quantity, price] =
            row.fields([&at.product_id, &at.quantity, &at.unit_price])?;
        let of = |column| Name(&at.table, column);
        let row = Item {
            product_id: product.nullable(Field::int)?,
            quantity: fields::bounded(&quantity, &of(&at.quantity), fields::QUANTITY_MAX)?,
            unit_price: fields::decimal(&price, &of(&at.unit_price), limits)?.into(),
        };
        Ok(Fact::Item { id, row: Some(row) })
    }
}

/// `YYYY-MM-DD` in UTC.
fn day_of(us: i64) -> Option<String> {
    let date = DateTime::from_timestamp_micros(us)?.date_naive();
    // Other years are written otherwise.
    if !(1..=9999).contains(&date.year()) {
        return None;
    }
    let mut text = String::with_capacity(10);
    write!(text, "{date}").ok()?;
    Some(text)
}

/// What counting an order in or out looks at.
fn ask(customer_id: Option<i64>, status: Option<&str>, created_us: Option<i64>, keys: &mut Keys) {
    if let Some(day) = created_us.and_then(day_of) {
        keys.share(DAILY, &[day.into()]);
    }
    if let Some(status) = status {
        keys.share(STATUS, &[status.into()]);
    }
    if let Some(customer) = customer_id {
        keys.share(CUSTOMERS, &[customer.into()]);
        keys.row(newest_key(customer));
        if let Some(us) = created_us {
            keys.row(times_key(customer, us));
        }
    }
}

impl Order {
    fn new(row: OrderRow, old: Option<&Order>) -> Self {
        Self {
            customer_id: row.customer_id,
            status: fields::onto(row.status, || old?.status.clone()),
            total: row.total.into(),
            created_us: row.created_us,
        }
    }
    fn amount(&self) -> Cell {
        totals::or_zero(&self.total)
    }
    fn of_day(&self) -> Option<totals::Part> {
        let key = vec![day_of(self.created_us?)?.into()];
        Some(totals::Part { key, amounts: vec![Cell::Int(1), self.amount()] })
    }
    fn of_customer(&self) -> Option<totals::Part> {
        let key = vec![self.customer_id?.into()];
        Some(totals::Part { key, amounts: vec![Cell::Int(1), self.amount()] })
    }
    fn of_status(&self) -> Option<totals::Part> {
        let key = vec![self.status.clone()?.into()];
        Some(totals::Part { key, amounts: vec![Cell::Int(1)] })
    }
    /// The customer and the time by which `last_order_at` knows this order.
    fn moment(&self) -> Option<(i64, i64)> {
        Some((self.customer_id?, self.created_us?))
    }
}

impl Item {
    /// What counting this line in or out looks at.
    fn ask(&self, keys: &mut Keys) {
        if let Some(product) = self.product_id {
            keys.share(PRODUCTS, &[product.into()]);
        }
    }
    fn sales(&self) -> Option<totals::Part> {
        let revenue = match (self.quantity, &self.unit_price) {
            (Some(quantity), Cell::Decimal(price)) => price * BigDecimal::from(quantity),
            _ => BigDecimal::from(0),
        };
        let quantity = self.quantity.unwrap_or(0);
        let amounts = vec![Cell::Int(1), Cell::Int(quantity), Cell::Decimal(revenue)];
        Some(totals::Part { key: vec![self.product_id?.into()], amounts })
    }
}

fn apply_order(id: i64, row: Option<OrderRow>, step: &mut Step<'_>) {
    let at = fields::row_key(ORDER, id);
    let old: Option<Order> = step.row(&at);
    let new = row.map(|row| Order::new(row, old.as_ref()));
    if new == old {
        return;
    }
    match &new {
        Some(row) => step.keep(at, row),
        None => step.drop_row(at),
    }
    let (old, new) = (old.as_ref(), new.as_ref());
    let (was, is) = (old.and_then(Order::moment), new.and_then(Order::moment));
    if was != is {
        for (moment, more) in [(was, -1), (is, 1)] {
            if let Some((customer, us)) = moment {
                count_time(step, customer, us, more);
            }
        }
    }
    let plain = |_: &mut Step<'_>, _: &[Cell], _: &mut Vec<Cell>| {};
    totals::shift(step, DAILY, old.and_then(Order::of_day), new.and_then(Order::of_day), plain);
    totals::shift(
        step,
        STATUS,
        old.and_then(Order::of_status),
        new.and_then(Order::of_status),
        plain,
    );
    totals::shift(
        step,
        CUSTOMERS,
        old.and_then(Order::of_customer),
        new.and_then(Order::of_customer),
        |step, key, share| {
            share.truncate(2);
            share.push(newest(step, key));
        },
    );
}

fn apply_item(id: i64, new: Option<Item>, step: &mut Step<'_>) {
    let at = fields::row_key(ITEM, id);
    let old: Option<Item> = step.row(&at);
    if new == old {
        return;
    }
    match &new {
        Some(row) => step.keep(at, row),
        None => step.drop_row(at),
    }
    let (was, is) = (old.as_ref().and_then(Item::sales), new.as_ref().and_then(Item::sales));
    totals::shift(step, PRODUCTS, was, is, |_, _, _| {});
}

fn newest_key(customer: i64) -> Key {
    fields::row_key('c', customer)
}
fn times_key(customer: i64, us: i64) -> Key {
    let mut key = fields::row_key('t', customer);
    key.push(b'/');
    fields::push_number(&mut key, us.div_euclid(DAY_US));
    key
}

/// An order's time comes to (1) or leaves (-1) its customer's day.
fn count_time(step: &mut Step<'_>, customer: i64, us: i64, more: i64) {
    let at = times_key(customer, us);
    let mut times: BTreeMap<i64, i64> = step.row(&at).unwrap_or_default();
    let count = times.entry(us).or_default();
    *count += more;
    if *count == 0 {
        times.remove(&us);
    }
    let at_newest = newest_key(customer);
    let mut days: BTreeMap<i64, i64> = step.row(&at_newest).unwrap_or_default();
    let day = us.div_euclid(DAY_US);
    match times.last_key_value() {
        Some((newest, _)) => days.insert(day, *newest),
        None => days.remove(&day),
    };
    keep_or_drop(step, at, &times);
    keep_or_drop(step, at_newest, &days);
}

fn keep_or_drop(step: &mut Step<'_>, at: Key, map: &BTreeMap<i64, i64>) {
    if map.is_empty() { step.drop_row(at) } else { step.keep(at, map) }
}

/// `max(created_at)` of the customer's orders in this partition.
fn newest(step: &mut Step<'_>, key: &[Cell]) -> Cell {
    let Some(customer) = key.first().and_then(Cell::int) else { return Cell::Null };
    let days: BTreeMap<i64, i64> = step.row(&newest_key(customer)).unwrap_or_default();
    days.values().next_back().map_or(Cell::Null, |us| Cell::Time(*us))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FIRST_US: i64 = -62_135_596_800_000_000;
    const LAST_US: i64 = 253_402_300_799_999_999;

    proptest! {
        #[test]
        fn days_are_as_ever(us in FIRST_US..=LAST_US, other: i64) {
            for us in [us, other] {
                let date = DateTime::from_timestamp_micros(us).map(|time| time.date_naive());
                let date = date.filter(|date| (1..=9999).contains(&date.year()));
                let parts = date.map(|date| (date.year(), date.month(), date.day()));
                let day = parts.map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"));
                prop_assert_eq!(day_of(us), day);
            }
        }
    }

    #[test]
    fn days_at_the_ends() {
        for (us, day) in [
            (FIRST_US - 1, None),
            (FIRST_US, Some("0001-01-01")),
            (-1, Some("1969-12-31")),
            (0, Some("1970-01-01")),
            (LAST_US, Some("9999-12-31")),
            (LAST_US + 1, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(day_of(us).as_deref(), day, "{us}");
        }
    }
}
