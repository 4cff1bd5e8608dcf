//! What a Rust program costs that reads the same topics, takes the few fields out and counts in hash tables: no
//! guarantee, nothing stored, nothing checked. Everything else is measured against it.
use anyhow::{Context as _, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};
use bench::{
    answers::{Answers, amount},
    log,
};
use clap::{Parser, ValueEnum};
use foldhash::{HashMap, HashMapExt as _};
use rdkafka::{Message as _, message::BorrowedMessage};
use serde::Deserialize;
use serde_json::json;
use std::{borrow::Cow, path::PathBuf};

#[derive(Parser)]
#[command(about = "Reads the topics of a service to their end and counts what its views count")]
struct Args {
    service: Service,
    #[arg(long)]
    brokers: String,
    /// A topic is this and its table's name.
    #[arg(long)]
    prefix: String,
    /// Keep the last row of each key, so that updates and deletes count as well. Without it only inserted rows count.
    #[arg(long)]
    keep_rows: bool,
    /// Events have their schema, and decimals are bytes.
    #[arg(long)]
    with_schema: bool,
    /// Where the rows go that it ends with.
    #[arg(long)]
    answers: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Service {
    Analytics,
    Inventory,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.service {
        Service::Analytics => count(&args, &["orders", "order_items"], &mut Analytics::new()),
        Service::Inventory => count(&args, &["products", "order_items"], &mut Inventory::new()),
    }
}

fn count(args: &Args, tables: &[&str], views: &mut impl Views) -> anyhow::Result<()> {
    let form = Form { keep_rows: args.keep_rows, with_schema: args.with_schema };
    let records = log::read(&args.brokers, &log::topics(&args.prefix, tables), |message| {
        // A tombstone says nothing that the delete before it has not said.
        let Some(value) = message.payload() else { return Ok(()) };
        views
            .take(form, message, value)
            .with_context(|| format!("{}, offset {}", message.topic(), message.offset()))
    })?;
    println!("{records} records");
    match &args.answers {
        Some(path) => {
            let mut answers = Answers::create(path)?;
            views.answer(&mut answers)?;
            answers.close()
        }
        None => Ok(()),
    }
}

#[derive(Clone, Copy)]
struct Form {
    keep_rows: bool,
    with_schema: bool,
}

trait Views {
    fn take(
        &mut self,
        form: Form,
        message: &BorrowedMessage<'_>,
        value: &[u8],
    ) -> anyhow::Result<()>;
    fn answer(&self, answers: &mut Answers) -> anyhow::Result<()>;
}

/// With and without schema: one of the two has the change.
#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
struct Envelope<R> {
    payload: Option<Change<R>>,
    op: Option<Op>,
    before: Option<Id>,
    after: Option<R>,
}
#[derive(Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
struct Change<R> {
    op: Op,
    before: Option<Id>,
    after: Option<R>,
}
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
enum Op {
    #[serde(rename = "c", alias = "r")]
    Insert,
    #[serde(rename = "u")]
    Update,
    #[serde(rename = "d")]
    Delete,
}
#[derive(Deserialize)]
struct Id {
    id: i64,
}
/// Text that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<R> Envelope<R> {
    fn change(self) -> anyhow::Result<Change<R>> {
        match (self.payload, self.op) {
            (Some(change), _) => Ok(change),
            (None, Some(op)) => Ok(Change { op, before: self.before, after: self.after }),
            (None, None) => bail!("no change"),
        }
    }
}

/// Hundredths.
fn cents(text: Option<&str>, form: Form) -> anyhow::Result<i64> {
    let Some(text) = text else { return Ok(0) };
    if form.with_schema {
        let bytes = BASE64.decode(text)?;
        let first = if bytes.first().is_some_and(|byte| *byte > 127) { -1 } else { 0 };
        return Ok(bytes.iter().fold(first, |sum, byte| (sum << 8) | i64::from(*byte)));
    }
    let (whole, part) = text.split_once('.').context("a decimal without a point")?;
    let (whole, part): (i64, i64) = (whole.parse()?, part.parse()?);
    Ok(whole * 100 + if text.starts_with('-') { -part } else { part })
}

/// A row as it is counted, borrowed from its event or from what was kept of it.
#[derive(Clone, Copy)]
struct Order<'a> {
    customer: Option<i64>,
    status: Option<&'a str>,
    cents: i64,
    created: Option<&'a str>,
}
struct KeptOrder {
    customer: Option<i64>,
    status: Option<String>,
    cents: i64,
    created: Option<String>,
}
#[derive(Clone, Copy)]
struct Item {
    product: Option<i64>,
    quantity: i64,
    /// The largest quantity times the largest price does not fit into 64 bits.
    cents: i128,
}

#[derive(Deserialize)]
struct OrderRow<'a> {
    id: i64,
    customer_id: Option<i64>,
    status: Option<&'a str>,
    total: Option<&'a str>,
    created_at: Option<&'a str>,
}
#[derive(Deserialize)]
struct ItemRow<'a> {
    id: i64,
    product_id: Option<i64>,
    quantity: Option<i64>,
    unit_price: Option<&'a str>,
}

impl ItemRow<'_> {
    fn item(&self, form: Form) -> anyhow::Result<Item> {
        let quantity = self.quantity.unwrap_or(0);
        let cents = cents(self.unit_price, form)?;
        let cents = i128::from(cents) * i128::from(quantity);
        Ok(Item { product: self.product_id, quantity, cents })
    }
}

#[derive(Default)]
struct Customer {
    orders: i64,
    cents: i64,
    last: String,
}

#[derive(Default)]
struct Analytics {
    /// Orders, cents.
    daily: HashMap<String, (i64, i64)>,
    customers: HashMap<i64, Customer>,
    status: HashMap<String, i64>,
    /// Lines, pieces, cents.
    products: HashMap<i64, (i64, i64, i128)>,
    orders: HashMap<i64, KeptOrder>,
    items: HashMap<i64, Item>,
}

/// Changes the entry of a key, made first if it is not there; the key is copied only then.
fn change<T: Default>(map: &mut HashMap<String, T>, key: &str, with: impl FnOnce(&mut T)) {
    if let Some(entry) = map.get_mut(key) {
        return with(entry);
    }
    with(map.entry(key.to_owned()).or_default());
}

impl Analytics {
    fn new() -> Self {
        Self::default()
    }

    fn count_order(&mut self, order: Order<'_>, sign: i64) {
        if let Some(day) = order.created.and_then(|time| time.get(..10)) {
            change(&mut self.daily, day, |(orders, cents)| {
                *orders += sign;
                *cents += sign * order.cents;
            });
        }
        if let Some(status) = order.status {
            change(&mut self.status, status, |orders: &mut i64| *orders += sign);
        }
        if let Some(customer) = order.customer {
            let customer = self.customers.entry(customer).or_default();
            customer.orders += sign;
            customer.cents += sign * order.cents;
            if let Some(created) = order.created.filter(|at| *at > customer.last.as_str()) {
                customer.last.clear();
                customer.last.push_str(created);
            }
        }
    }

    fn count_item(&mut self, item: Item, sign: i64) {
        let Some(product) = item.product else { return };
        let (lines, quantity, cents) = self.products.entry(product).or_default();
        *lines += sign;
        *quantity += sign * item.quantity;
        *cents += i128::from(sign) * item.cents;
    }

    fn take_order(&mut self, change: &Change<OrderRow<'_>>, form: Form) -> anyhow::Result<()> {
        let order = match &change.after {
            None => None,
            Some(row) => Some(Order {
                customer: row.customer_id,
                status: row.status,
                cents: cents(row.total, form)?,
                created: row.created_at,
            }),
        };
        if !form.keep_rows {
            if let (Op::Insert, Some(order)) = (change.op, order) {
                self.count_order(order, 1);
            }
            return Ok(());
        }
        let id = change.after.as_ref().map(|row| row.id).or(change.before.as_ref().map(|r| r.id));
        let id = id.context("no id")?;
        let kept = order.map(|order| KeptOrder {
            customer: order.customer,
            status: order.status.map(str::to_owned),
            cents: order.cents,
            created: order.created.map(str::to_owned),
        });
        let old = match kept {
            Some(kept) => self.orders.insert(id, kept),
            None => self.orders.remove(&id),
        };
        if let Some(old) = old {
            let old_row = Order {
                customer: old.customer,
                status: old.status.as_deref(),
                cents: old.cents,
                created: old.created.as_deref(),
            };
            self.count_order(old_row, -1);
        }
        if let Some(order) = order {
            self.count_order(order, 1);
        }
        Ok(())
    }

    fn take_item(&mut self, change: &Change<ItemRow<'_>>, form: Form) -> anyhow::Result<()> {
        let moved = moved_item(&mut self.items, change, form)?;
        for (item, sign) in moved.into_iter().flatten() {
            self.count_item(item, sign);
        }
        Ok(())
    }
}

/// What of an order's line is to be taken off, and what to be added.
fn moved_item(
    items: &mut HashMap<i64, Item>,
    change: &Change<ItemRow<'_>>,
    form: Form,
) -> anyhow::Result<[Option<(Item, i64)>; 2]> {
    let item = change.after.as_ref().map(|row| row.item(form)).transpose()?;
    if !form.keep_rows {
        return Ok([None, item.filter(|_| change.op == Op::Insert).map(|item| (item, 1))]);
    }
    let id = change.after.as_ref().map(|row| row.id).or(change.before.as_ref().map(|r| r.id));
    let id = id.context("no id")?;
    let old = match item {
        Some(item) => items.insert(id, item),
        None => items.remove(&id),
    };
    Ok([old.map(|item| (item, -1)), item.map(|item| (item, 1))])
}

impl Views for Analytics {
    fn take(
        &mut self,
        form: Form,
        message: &BorrowedMessage<'_>,
        value: &[u8],
    ) -> anyhow::Result<()> {
        if message.topic().ends_with("orders") {
            let event: Envelope<OrderRow<'_>> = serde_json::from_slice(value)?;
            self.take_order(&event.change()?, form)
        } else {
            let event: Envelope<ItemRow<'_>> = serde_json::from_slice(value)?;
            self.take_item(&event.change()?, form)
        }
    }

    fn answer(&self, answers: &mut Answers) -> anyhow::Result<()> {
        for (day, (orders, cents)) in self.daily.iter().filter(|(_, (orders, _))| *orders != 0) {
            let row = json!({ "orders": orders, "revenue": amount(*cents) });
            answers.row("daily_sales", day, row)?;
        }
        for (status, orders) in self.status.iter().filter(|(_, orders)| **orders != 0) {
            answers.row("order_status", status, json!({ "orders": orders }))?;
        }
        for (id, customer) in self.customers.iter().filter(|(_, customer)| customer.orders != 0) {
            let last = Some(&customer.last).filter(|last| !last.is_empty());
            let (orders, spent) = (customer.orders, amount(customer.cents));
            let row = json!({ "orders": orders, "spent": spent, "last_order_at": last });
            answers.row("customer_metrics", id, row)?;
        }
        for (id, (_, quantity, cents)) in
            self.products.iter().filter(|(_, (lines, ..))| *lines != 0)
        {
            let row = json!({ "quantity": quantity, "revenue": amount(*cents) });
            answers.row("product_sales", id, row)?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct ProductRow<'a> {
    id: i64,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    price: Option<&'a str>,
    stock_quantity: Option<i64>,
}

struct Product {
    name: Option<String>,
    cents: i64,
    stock: Option<i64>,
}

#[derive(Default)]
struct Inventory {
    products: HashMap<i64, Product>,
    sold: HashMap<i64, i64>,
    items: HashMap<i64, Item>,
}

impl Inventory {
    fn new() -> Self {
        Self { products: HashMap::new(), sold: HashMap::new(), items: HashMap::new() }
    }

    fn take_product(&mut self, change: &Change<ProductRow<'_>>, form: Form) -> anyhow::Result<()> {
        match (&change.after, &change.before) {
            (Some(row), _) => {
                let product = Product {
                    name: row.name.as_ref().map(|name| name.0.clone().into_owned()),
                    cents: cents(row.price, form)?,
                    stock: row.stock_quantity,
                };
                self.products.insert(row.id, product);
            }
            (None, Some(row)) => drop(self.products.remove(&row.id)),
            (None, None) => bail!("no id"),
        }
        Ok(())
    }
}

impl Views for Inventory {
    fn take(
        &mut self,
        form: Form,
        message: &BorrowedMessage<'_>,
        value: &[u8],
    ) -> anyhow::Result<()> {
        if message.topic().ends_with("products") {
            let event: Envelope<ProductRow<'_>> = serde_json::from_slice(value)?;
            return self.take_product(&event.change()?, form);
        }
        let event: Envelope<ItemRow<'_>> = serde_json::from_slice(value)?;
        let moved = moved_item(&mut self.items, &event.change()?, form)?;
        for (item, sign) in moved.into_iter().flatten() {
            if let Some(product) = item.product {
                *self.sold.entry(product).or_default() += sign * item.quantity;
            }
        }
        Ok(())
    }

    fn answer(&self, answers: &mut Answers) -> anyhow::Result<()> {
        for (id, product) in &self.products {
            let Some(base) = product.stock else { continue };
            let sold = self.sold.get(id).copied().unwrap_or(0);
            let row = json!({
                "name": product.name, "price": amount(product.cents), "base_stock": base,
                "sold": sold, "stock_quantity": base - sold,
            });
            answers.row("inventory_realtime", id, row)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(keep_rows: bool) -> Form {
        Form { keep_rows, with_schema: false }
    }

    #[test]
    fn amounts_are_read_as_text_and_as_bytes() {
        let plain = |text| cents(Some(text), form(false)).expect("an amount");
        assert_eq!(["0.05", "-0.05", "12.30", "-12.30"].map(plain), [5, -5, 1_230, -1_230]);
        let schema = Form { keep_rows: false, with_schema: true };
        assert_eq!(cents(Some("GQ=="), schema).expect("an amount"), 25);
        assert_eq!(cents(Some("/w=="), schema).expect("an amount"), -1);
        assert!(cents(Some("12"), form(false)).is_err());
    }

    #[test]
    fn a_row_that_is_kept_is_counted_where_it_is_now() {
        let events = [
            r#"{"before":null,"after":{"id":1,"product_id":7,"quantity":2,"unit_price":"1.50"},"op":"c"}"#,
            r#"{"before":null,"after":{"id":1,"product_id":8,"quantity":3,"unit_price":"1.50"},"op":"u"}"#,
            r#"{"payload":{"before":{"id":2},"after":null,"op":"d"}}"#,
        ];
        let sums = |keep_rows| {
            let mut views = Analytics::new();
            for event in events {
                let event: Envelope<ItemRow<'_>> = serde_json::from_str(event).expect("an event");
                let change = event.change().expect("a change");
                views.take_item(&change, form(keep_rows)).expect("a line");
            }
            [7, 8].map(|id| views.products.get(&id).copied().unwrap_or_default())
        };
        assert_eq!(sums(false), [(1, 2, 300), (0, 0, 0)]);
        assert_eq!(sums(true), [(0, 0, 0), (1, 3, 450)]);
    }
}
