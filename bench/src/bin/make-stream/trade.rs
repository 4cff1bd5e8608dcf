//! Trade that a rule makes: products, then orders with their lines, all of them new and none changed. For what a
//! recording of a small shop does not show: products that are wanted as unequally as the caller says, and as many live
//! rows. Events are the recorded ones with other rows in them, without schema. The right answers are computed here, on the
//! way, from the rows as they are written.
use super::{
    Args, Sizes, Writer, add, as_stream, create_topics, lines, plain, say, without_schema,
};
use anyhow::{Context as _, ensure};
use bench::answers::amount;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rand_distr::Zipf;
use rdkafka::message::OwnedHeaders;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{collections::BTreeMap, fs, path::PathBuf};

/// Of every product.
const STOCK: i64 = 500;
/// Orders of one day.
const DAY: i64 = 20_000;

/// What is traded.
#[derive(clap::Args)]
pub struct Trade {
    /// Instead of copies of the recording: so many orders, which a rule makes.
    #[arg(long, conflicts_with_all = ["events", "with_schema"])]
    orders: Option<i64>,
    /// So many orders, and all products, are in the topics already: what is made comes behind them, and `--truth` says
    /// nothing of them.
    #[arg(long, default_value_t = 0, requires = "orders")]
    after: i64,
    /// Of an order.
    #[arg(long, default_value_t = 3)]
    lines: i64,
    #[arg(long, default_value_t = 10_000)]
    products: i64,
    #[arg(long, default_value_t = 100_000)]
    customers: i64,
    /// How unequally products are wanted: the exponent of Zipf's law; 0: alike.
    #[arg(long, default_value_t = 1.0)]
    zipf: f64,
    /// Where the right answers go, in the form of cdc/demo/expected.json.gz, not compressed.
    #[arg(long)]
    truth: Option<PathBuf>,
}

/// What views count of the trade.
#[derive(Default)]
struct Truth {
    /// Pieces and hundredths by product.
    sold: Vec<(i64, i64)>,
    /// Orders, hundredths, and the time of the last one, by customer.
    customers: BTreeMap<i64, (i64, i64, String)>,
    /// Orders and hundredths.
    days: BTreeMap<String, (i64, i64)>,
}

impl Trade {
    /// Makes it, and says what was written.
    pub fn make(&self, args: &Args) -> anyhow::Result<()> {
        let orders = self.orders.context("--orders is missing")?;
        let within = |n: i64, most: i64| (1..=most).contains(&n);
        ensure!(within(self.products, 10_000_000), "--products: 1 to 10000000");
        ensure!(within(self.customers, 100_000_000), "--customers: 1 to 100000000");
        ensure!(within(self.lines, 100), "--lines: 1 to 100");
        let most = i64::from(i32::MAX) / self.lines;
        let is_within = self.after >= 0 && within(orders, most - self.after);
        ensure!(is_within, "--orders: 1 to {most} with --after, or ids would not fit into 32 bits");
        let wanted = Zipf::new(self.products as f64, self.zipf).context("--zipf: 0 or more")?;
        let templates = Template::all(args)?;
        let mut sizes: Sizes = templates.keys().map(|table| (table.clone(), (0, 0))).collect();
        if self.after == 0 {
            create_topics(args, sizes.keys())?;
        }
        let writer = Writer::new(&args.brokers)?;
        let mut random = StdRng::seed_from_u64(args.seed);
        let mut truth = Truth { sold: vec![(0, 0); self.products as usize], ..Truth::default() };
        let mut send = |table: &str, id: i64, row: &str| -> anyhow::Result<()> {
            let template =
                templates.get(table).with_context(|| format!("{table} is not recorded"))?;
            let (key, value) = template.event(id, row);
            let topic = format!("{}{table}", args.prefix);
            writer.send(&topic, key.as_bytes(), Some(value.as_bytes()), &template.headers)?;
            add(sizes.entry(table.to_owned()).or_default(), key.as_bytes(), Some(value.as_bytes()));
            Ok(())
        };
        for id in (1..=self.products).filter(|_| self.after == 0) {
            send("products", id, &product(id))?;
        }
        let mut line = self.after * self.lines;
        for id in self.after + 1..=self.after + orders {
            let customer = random.random_range(1..=self.customers);
            let mut total = 0;
            for _ in 0..self.lines {
                line += 1;
                let product = (random.sample(wanted) as i64).clamp(1, self.products);
                let quantity = random.random_range(1..=5);
                let sum = quantity * price(product);
                total += sum;
                let sold = &mut truth.sold[product as usize - 1];
                *sold = (sold.0 + quantity, sold.1 + sum);
                send("order_items", line, &item(line, id, product, quantity))?;
            }
            let at = created(id);
            send("orders", id, &order(id, customer, total, &at))?;
            let day = truth.days.entry(at[..10].to_owned()).or_default();
            *day = (day.0 + 1, day.1 + total);
            let of = truth.customers.entry(customer).or_default();
            *of = (of.0 + 1, of.1 + total, at);
        }
        writer.finish()?;
        if let Some(path) = &self.truth {
            let text = truth.views(orders).to_string();
            fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        say(1, sizes);
        Ok(())
    }
}

/// Hundredths.
fn price(product: i64) -> i64 {
    100 + product * 37 % 20_000
}
fn name(product: i64) -> String {
    format!("Lamp {product}")
}
/// Orders come one after the other, evenly over each day.
fn created(order: i64) -> String {
    let (day, second) = (order / DAY, order % DAY * 86_400 / DAY);
    let (month, day) = (day / 28, day % 28 + 1);
    let (year, month) = (2001 + month / 12, month % 12 + 1);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!(
        "{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z",
        order % 1_000_000
    )
}

fn product(id: i64) -> String {
    let (name, price) = (name(id), amount(price(id)));
    let at = created(0);
    format!(
        r#"{{"id":{id},"name":"{name}","description":"A lamp of kind {id}, ready to ship","price":"{price}","stock_quantity":{STOCK},"category":"home","created_at":"{at}","updated_at":"{at}"}}"#
    )
}
fn order(id: i64, customer: i64, total: i64, at: &str) -> String {
    let total = amount(total);
    format!(
        r#"{{"id":{id},"customer_id":{customer},"status":"new","total":"{total}","created_at":"{at}"}}"#
    )
}
fn item(id: i64, order: i64, product: i64, quantity: i64) -> String {
    let price = amount(price(product));
    format!(
        r#"{{"id":{id},"order_id":{order},"product_id":{product},"quantity":{quantity},"unit_price":"{price}"}}"#
    )
}

/// A recorded event without its row.
struct Template {
    before: String,
    after: String,
    headers: OwnedHeaders,
}
#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    after: Option<&'a RawValue>,
}
impl Template {
    /// Of each table, made of the first row that was inserted into it.
    fn all(args: &Args) -> anyhow::Result<BTreeMap<String, Self>> {
        let mut templates = BTreeMap::new();
        for line in lines(&args.recording)? {
            let Some(value) = &line.value else { continue };
            let value = plain(without_schema(&as_stream(value)));
            let change: Change<'_> = serde_json::from_str(&value)?;
            let is_insert =
                value.contains("\"op\":\"c\"") && value.starts_with("{\"before\":null,");
            let Some(row) = change.after.filter(|_| is_insert) else { continue };
            let Some((before, after)) = value.split_once(row.get()) else { continue };
            let headers = line.headers();
            let template = || Self { before: before.to_owned(), after: after.to_owned(), headers };
            templates.entry(line.table()).or_insert_with(template);
        }
        Ok(templates)
    }
    fn event(&self, id: i64, row: &str) -> (String, String) {
        (format!("{{\"id\":{id}}}"), format!("{}{row}{}", self.before, self.after))
    }
}

impl Truth {
    fn views(&self, orders: i64) -> serde_json::Value {
        let products = || (1..).zip(&self.sold);
        let inventory: Vec<_> = products()
            .map(|(id, (sold, _))| {
                json!({ "product_id": id, "name": name(id), "price": amount(price(id)), "base_stock": STOCK, "sold": sold,
                        "stock_quantity": STOCK - sold })
            })
            .collect();
        let sales: Vec<_> = products()
            .filter(|(_, (sold, _))| *sold > 0)
            .map(|(id, (sold, cents))| {
                json!({ "product_id": id, "quantity": sold, "revenue": amount(*cents) })
            })
            .collect();
        let customers: Vec<_> = self
            .customers
            .iter()
            .map(|(id, (orders, cents, last))| {
                json!({ "customer_id": id, "orders": orders, "spent": amount(*cents), "last_order_at": last })
            })
            .collect();
        let days: Vec<_> = self
            .days
            .iter()
            .map(|(day, (orders, cents))| json!({ "day": day, "orders": orders, "revenue": amount(*cents) }))
            .collect();
        json!({ "views": {
            "inventory_realtime": inventory, "product_sales": sales, "customer_metrics": customers, "daily_sales": days,
            "order_status": [{ "status": "new", "orders": orders }],
        } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn columns(row: &str) -> Vec<String> {
        let row: BTreeMap<String, serde_json::Value> = serde_json::from_str(row).expect("a row");
        row.into_keys().collect()
    }

    #[test]
    fn rows_have_the_columns_that_are_recorded() {
        let recording = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cdc/demo/shop.ndjson.gz");
        let rows = [
            ("products", product(7)),
            ("orders", order(8, 9, 250, &created(8))),
            ("order_items", item(1, 8, 7, 2)),
        ];
        for (table, made) in rows {
            let line = lines(&recording).expect("the recording").into_iter();
            let value = line
                .filter(|line| line.table() == table)
                .find_map(|line| line.value)
                .expect("a row");
            let value = plain(without_schema(&value));
            let change: Change<'_> = serde_json::from_str(&value).expect("a change");
            assert_eq!(columns(&made), columns(change.after.expect("a row").get()), "{table}");
        }
    }

    #[test]
    fn orders_come_in_the_order_of_their_times() {
        let times: Vec<String> = (1..200_000).map(created).collect();
        assert!(times.iter().all(|at| at.len() == 27));
        assert!(times.is_sorted());
    }
}
