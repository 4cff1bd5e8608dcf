//! The quiet check: nothing moves any more, so every sink must be what PostgreSQL says, row for row.
use crate::{
    fleet::{Fleet, SERVICES, views},
    load::Poison,
    world::Aws,
};
use anyhow::{Context, ensure};
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use cdc::demo::answers::Answers;
use consumers::config::Service;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Map, Value, json};
use sinks::{
    Cell,
    dlq::{self, read_letter},
    dynamodb::{self, DynamoDb},
    objects::Objects,
};
use std::{collections::BTreeMap, io::Write, str::FromStr};
use tokio::runtime::Runtime;

/// Shown of a long list.
const SHOWN: usize = 8;

/// What PostgreSQL says: view -> rows.
pub struct Truth {
    views: BTreeMap<String, Vec<Map<String, Value>>>,
    answers: Answers,
}
impl Truth {
    /// `json`: as `scripts/shop/views.sql` prints it.
    pub fn read(json: &str) -> anyhow::Result<Self> {
        let views = serde_json::from_str(json).context("views.sql did not print JSON")?;
        let whole = json!({ "poison": [], "views": views });
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(whole.to_string().as_bytes())?;
        let answers = Answers::read(&gz.finish()?)?;
        Ok(Self { views: serde_json::from_value(views)?, answers })
    }
    pub fn answers(&self) -> &Answers {
        &self.answers
    }
    fn rows(&self, view: &str) -> anyhow::Result<&Vec<Map<String, Value>>> {
        self.views.get(view).with_context(|| format!("views.sql has no {view}"))
    }
}

/// Every row of every view of the three services, both ways; how many rows that were.
pub fn views_are_exact(
    io: &Runtime,
    aws: &Aws,
    fleet: &Fleet,
    truth: &Truth,
) -> anyhow::Result<usize> {
    let mut rows = 0;
    let mut differences = vec![];
    for service in [Service::Inventory, Service::Search] {
        let sink = dynamodb(io, aws, fleet, service)?;
        for view in views(service) {
            let shown = io.block_on(sink.rows(view.name))?;
            differences.extend(truth.answers.compare(&view, &shown)?);
            rows += shown.len();
            if service == Service::Inventory {
                differences.extend(wrong_flags(&shown));
            }
        }
    }
    let objects = io.block_on(aws.bucket(&fleet.place.bucket, ""))?;
    for (name, want) in reports(truth)? {
        let have = report(io, &*objects, fleet.place.generation, &name)?;
        rows += want.len();
        differences.extend(compare_report(&name, &have, &want));
    }
    let some = &differences[..differences.len().min(SHOWN)];
    ensure!(differences.is_empty(), "{} differences: {some:#?}", differences.len());
    Ok(rows)
}

pub fn dynamodb(
    io: &Runtime,
    aws: &Aws,
    fleet: &Fleet,
    service: Service,
) -> anyhow::Result<DynamoDb> {
    let client = io.block_on(aws.connection().connect());
    Ok(DynamoDb::new(client, &aws.tables(&fleet.place, service)?)?)
}

/// The flag is there where the stock is below ten, and nowhere else.
fn wrong_flags(rows: &BTreeMap<Vec<Cell>, Vec<Cell>>) -> Vec<String> {
    let wrong = |(key, row): (&Vec<Cell>, &Vec<Cell>)| {
        let (stock, flag) = (row.get(4).and_then(Cell::int), row.get(5).and_then(Cell::int));
        let want = stock.is_some_and(|stock| stock < 10).then_some(1);
        (flag != want).then(|| format!("inventory_realtime {key:?}: the flag at stock {stock:?}"))
    };
    rows.iter().filter_map(wrong).collect()
}

/// From generation 2 on they have a folder of their own.
pub fn report(
    io: &Runtime,
    objects: &dyn Objects,
    generation: u64,
    name: &str,
) -> anyhow::Result<Value> {
    let folder = if generation > 1 { format!("g{generation}/") } else { String::new() };
    let name = format!("reports/{folder}{name}/latest.json");
    let object = io.block_on(objects.get(&name))?.with_context(|| format!("no {name}"))?;
    Ok(serde_json::from_slice(&object.bytes)?)
}

type Rows = Vec<Map<String, Value>>;

/// What each report must hold, in its order.
fn reports(truth: &Truth) -> anyhow::Result<Vec<(String, Rows)>> {
    let mut all = vec![];
    for (name, by) in [
        ("daily_sales", None),
        ("order_status", None),
        ("product_sales", Some("revenue")),
        ("customer_metrics", Some("spent")),
    ] {
        let mut rows = truth.rows(name)?.clone();
        if let Some(by) = by {
            // They come in the order of their keys, and equal ones stay in it.
            rows.sort_by_cached_key(|row| std::cmp::Reverse(decimal(&row[by])));
            rows.truncate(100);
        }
        all.push((name.to_owned(), rows));
    }
    all.push(("summary".to_owned(), vec![summary(truth)?]));
    Ok(all)
}

fn summary(truth: &Truth) -> anyhow::Result<Map<String, Value>> {
    let sum = |view: &str, column: &str| -> anyhow::Result<BigDecimal> {
        Ok(truth.rows(view)?.iter().map(|row| decimal(&row[column])).sum())
    };
    let (orders, revenue) = (sum("daily_sales", "orders")?, sum("daily_sales", "revenue")?);
    let average = match orders.is_zero() {
        true => Value::Null,
        false => {
            let exact = (&revenue / &orders).with_scale_round(2, RoundingMode::HalfUp);
            Value::String(exact.to_string())
        }
    };
    let rows = json!({
        "orders": orders.to_string(),
        "revenue": revenue.to_string(),
        "customers": truth.rows("customer_metrics")?.len(),
        "products_sold": truth.rows("product_sales")?.len(),
        "units": sum("product_sales", "quantity")?.to_string(),
        "average_order_value": average,
    });
    Ok(rows.as_object().cloned().unwrap_or_default())
}

fn decimal(value: &Value) -> BigDecimal {
    let text = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
    BigDecimal::from_str(&text).unwrap_or_default()
}

fn time(value: &Value) -> Option<chrono::DateTime<chrono::FixedOffset>> {
    chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok()
}

fn compare_report(name: &str, report: &Value, want: &Rows) -> Vec<String> {
    let have: Rows = serde_json::from_value(report["rows"].clone()).unwrap_or_default();
    if have.len() != want.len() {
        return vec![format!("report {name} has {} rows, not {}", have.len(), want.len())];
    }
    let mut differences = vec![];
    for (at, (have, want)) in have.iter().zip(want).enumerate() {
        for (column, want) in want {
            let have = &have[column];
            let numbers = || have != &Value::Null && decimal(have) == decimal(want);
            let is_text = |value: &Value| value.as_str().is_some_and(|t| t.parse::<f64>().is_err());
            let same = have == want
                || time(have).is_some_and(|have| Some(have) == time(want))
                || (!is_text(want) && !is_text(have) && numbers());
            if !same {
                differences.push(format!("report {name}, row {at}, {column}: {have}, not {want}"));
            }
        }
    }
    differences
}

/// Each poison record is one letter of each service that reads its topic, byte for byte; nothing else is one.
pub fn letters_are_exact(
    io: &Runtime,
    aws: &Aws,
    fleet: &Fleet,
    poison: &[Poison],
) -> anyhow::Result<usize> {
    let objects = io.block_on(aws.bucket(&fleet.place.bucket, &fleet.place.letters()))?;
    let mut expected: Vec<(String, Poison)> = vec![];
    for service in SERVICES {
        let topics = fleet.place.topics(service);
        let read = poison.iter().filter(|poison| topics.contains(&poison.topic));
        expected.extend(read.map(|poison| (service.name().to_owned(), poison.clone())));
    }
    expected.sort();
    let found = letters(io, &*objects)?;
    let mut wrong: Vec<String> = vec![];
    let count = |list: &[(String, Poison)], one: &(String, Poison)| {
        list.iter().filter(|other| *other == one).count()
    };
    for one in &expected {
        let times = count(&found, one);
        if times != 1 {
            wrong.push(format!("{}: a poison record of {} is {times} letters", one.0, one.1.topic));
        }
    }
    for one in &found {
        if count(&expected, one) == 0 {
            let key = String::from_utf8_lossy(&one.1.key);
            wrong.push(format!("{}: a letter of {} that is no poison: {key}", one.0, one.1.topic));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} wrong letters: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(SHOWN)]
    );
    Ok(found.len())
}

pub fn letters(io: &Runtime, objects: &dyn Objects) -> anyhow::Result<Vec<(String, Poison)>> {
    let mut all = vec![];
    for name in io.block_on(dlq::list(objects, ""))? {
        let found = io.block_on(read_letter(objects, &name))?.context("it was just listed")?;
        let letter = found.letter;
        let poison = Poison {
            topic: letter.partition.topic.to_string(),
            key: letter.key.unwrap_or_default(),
            value: letter.value.unwrap_or_default(),
        };
        all.push((found.service, poison));
    }
    Ok(all)
}

/// Every crossing that DynamoDB took down was told, and nothing else was; how many crossings, how often told again.
pub fn alerts_are_exact(
    fleet: &Fleet,
    ledger: &[crate::proxy::Crossing],
) -> anyhow::Result<(usize, usize)> {
    use std::collections::BTreeSet;
    let table = fleet.place.table(consumers::handlers::inventory::VIEW);
    let ours = ledger.iter().filter(|crossing| crossing.table == table);
    let crossed: BTreeSet<String> =
        ours.clone().map(|crossing| format!("{}/{}", crossing.name, crossing.key)).collect();
    ensure!(crossed.len() == ours.count(), "one name for two crossings");
    let told = fleet.alerts();
    let names: BTreeSet<String> = told.iter().cloned().collect();
    let untold: Vec<_> = crossed.difference(&names).take(SHOWN).collect();
    ensure!(untold.is_empty(), "crossings that nobody told: {untold:?}");
    let made_up: Vec<_> = names.difference(&crossed).take(SHOWN).collect();
    ensure!(made_up.is_empty(), "alerts without a crossing: {made_up:?}");
    Ok((crossed.len(), told.len() - names.len()))
}

/// Item or report -> all of it.
pub type Dump = BTreeMap<String, String>;

/// What changed between two dumps.
pub fn changed(before: &Dump, after: &Dump) -> Vec<String> {
    let names = before.keys().chain(after.keys()).collect::<std::collections::BTreeSet<_>>();
    let differs = |name: &&String| before.get(*name) != after.get(*name);
    names.into_iter().filter(differs).cloned().collect()
}

/// Everything in DynamoDB, hidden items and attributes too, and the rows of every report.
pub fn dump(io: &Runtime, aws: &Aws, fleet: &Fleet) -> anyhow::Result<Dump> {
    let client = io.block_on(aws.connection().connect());
    let mut all = BTreeMap::new();
    for service in [Service::Inventory, Service::Search] {
        let config: dynamodb::Config = aws.tables(&fleet.place, service)?;
        for view in &config.views {
            let table = config.table_of(view);
            let mut from = None;
            loop {
                let scan = client.scan().table_name(&table).consistent_read(true);
                let page = io.block_on(scan.set_exclusive_start_key(from).send())?;
                for item in page.items() {
                    let sorted: BTreeMap<_, _> = item.iter().collect();
                    let key: Vec<_> = view.key.iter().map(|c| item.get(c.name)).collect();
                    all.insert(format!("{table} {key:?}"), format!("{sorted:?}"));
                }
                from = page.last_evaluated_key;
                if from.is_none() {
                    break;
                }
            }
        }
    }
    let objects = io.block_on(aws.bucket(&fleet.place.bucket, ""))?;
    for name in ["daily_sales", "product_sales", "customer_metrics", "order_status", "summary"] {
        let report = report(io, &*objects, fleet.place.generation, name)?;
        all.insert(format!("report {name}"), report["rows"].to_string());
    }
    Ok(all)
}
