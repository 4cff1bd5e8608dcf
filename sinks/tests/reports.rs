//! Reports say exactly what the parts say, move forward only, and are the same bytes whoever publishes them when.
mod place;
use async_trait::async_trait;
use place::{folder, places};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use sinks::Decimal;
use sinks::{
    Batch, Cell, Checkpoint, Column, Expr, Key, Mark, Merge, Partition, PartitionState, Receipt,
    Sink, SinkError, Type, View,
    objects::{Objects, Put, When},
    reports::{Figure, Reports, Settings, Top},
    share_key,
};
use std::{collections::BTreeMap, sync::Arc};

fn views() -> Vec<View> {
    const QUANTITY: Column = Column::new("quantity", Type::Int);
    const REVENUE: Column = Column::new("revenue", Type::Decimal);
    const ORDERS: Column = Column::new("orders", Type::Int);
    let products = View::totals(
        "product_sales",
        const { &[Column::new("product_id", Type::Int)] },
        &[Merge::Sum, Merge::Sum, Merge::Sum],
        &[],
    );
    let daily = View::totals(
        "daily_sales",
        const { &[Column::new("day", Type::Text)] },
        &[Merge::Sum, Merge::Sum],
        const { &[ORDERS, REVENUE] },
    );
    let customers = View::totals(
        "customer_metrics",
        const { &[Column::new("customer_id", Type::Int)] },
        &[Merge::Sum, Merge::Max],
        const { &[ORDERS, Column::new("last_order_at", Type::Time)] },
    );
    let counted = vec![Expr::Total(1), Expr::Total(2)];
    vec![products.showing(const { &[QUANTITY, REVENUE] }, counted), daily, customers]
}

fn settings(rows: usize) -> Settings {
    Settings {
        tops: vec![Top { view: "product_sales", by: "revenue", rows }],
        summary: vec![
            ("orders", Figure::Sum("daily_sales", "orders")),
            ("revenue", Figure::Sum("daily_sales", "revenue")),
            ("products_sold", Figure::Rows("product_sales")),
            ("average_order_value", Figure::Ratio("revenue", "orders")),
        ],
    }
}

fn reports(objects: &Arc<dyn Objects>, generation: u64) -> Reports {
    Reports::new(objects.clone(), views(), settings(100), generation)
}

fn money(text: &str) -> Cell {
    Cell::Decimal(text.parse::<Decimal>().unwrap())
}

/// The committed shares of a partition.
#[derive(Clone)]
struct Shares {
    partition: Partition,
    at: Checkpoint,
    rows: BTreeMap<Key, Vec<u8>>,
}
impl Shares {
    fn new(topic: &str, index: i32) -> Self {
        let partition = Partition::new(topic, index);
        Self { partition, at: Checkpoint::default(), rows: BTreeMap::new() }
    }
    fn to(mut self, next: i64) -> Self {
        self.at.next = next;
        let timestamp_ms = 1_700_000_000_000 + next;
        self.at.last =
            Some(Mark { offset: next - 1, timestamp_ms, key_digest: 0, is_delete: false });
        self
    }
    fn with(mut self, view: &str, key: impl Into<Cell>, share: Vec<Cell>) -> Self {
        let share = sinks::encode_row(&share);
        self.rows.insert(share_key(view, &[key.into()]), share);
        self
    }
    async fn publish(&self, reports: &Reports) -> Result<(), SinkError> {
        reports.publish(&self.partition, &self.at, self).await
    }
}
#[async_trait]
impl PartitionState for Shares {
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }
    async fn get(&self, _: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        unreachable!("reports are made from scans")
    }
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        let rows = self.rows.iter().filter(|(key, _)| key.starts_with(prefix));
        Ok(rows.map(|(key, row)| (key.clone(), row.clone())).collect())
    }
    async fn commit(&self, _: &Batch) -> Result<Receipt, SinkError> {
        unreachable!("reports do not commit")
    }
}

fn orders(index: i32, next: i64) -> Shares {
    Shares::new("shop.orders", index)
        .to(next)
        .with("daily_sales", "2024-05-01", vec![Cell::Int(2), money("10.50")])
        .with("customer_metrics", 7, vec![Cell::Int(2), Cell::Time(1_714_500_000_000_000 + next)])
}

fn items(index: i32, next: i64) -> Shares {
    Shares::new("shop.items", index)
        .to(next)
        .with("product_sales", 9, vec![Cell::Int(1), Cell::Int(3), money("6.00")])
        .with("product_sales", 10, vec![Cell::Int(1), Cell::Int(1), money("6.00")])
        .with("product_sales", 11, vec![Cell::Int(2), Cell::Int(5), money("7.25")])
}

async fn read(objects: &dyn Objects, name: &str) -> Value {
    let object = objects.get(name).await.unwrap().unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_slice(&object.bytes).unwrap()
}

async fn everything(objects: &dyn Objects) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for name in objects.list("reports/").await.unwrap() {
        let bytes = objects.get(&name).await.unwrap().unwrap().bytes.to_vec();
        all.insert(name, bytes);
    }
    all
}

#[tokio::test]
async fn partitions_of_two_owners_make_one_report() {
    for place in places().await {
        let o = &*place.objects;
        let (a, b) = (reports(&place.objects, 1), reports(&place.again, 1));
        orders(0, 5).publish(&a).await.unwrap();
        orders(1, 8).publish(&b).await.unwrap();
        items(0, 3).publish(&b).await.unwrap();

        let as_of = json!({"shop.items/0": 3, "shop.orders/0": 5, "shop.orders/1": 8});
        let at = "2023-11-14T22:13:20.008Z";
        let rows = json!([{"day": "2024-05-01", "orders": 4, "revenue": "21.00"}]);
        let daily =
            json!({"report": "daily_sales", "generated_at": at, "as_of": as_of, "rows": rows});
        assert_eq!(read(o, "reports/daily_sales/latest.json").await, daily);

        let products = read(o, "reports/product_sales/latest.json").await;
        let wanted = json!([
            {"product_id": 11, "quantity": 5, "revenue": "7.25"},
            {"product_id": 9, "quantity": 3, "revenue": "6.00"},
            {"product_id": 10, "quantity": 1, "revenue": "6.00"},
        ]);
        assert_eq!(products["rows"], wanted, "by revenue, ties by key as a number");
        let customers = read(o, "reports/customer_metrics/latest.json").await;
        let wanted = json!([
            {"customer_id": 7, "orders": 4, "last_order_at": "2024-04-30T18:00:00.000008Z"}
        ]);
        assert_eq!(customers["rows"], wanted);
        let summary = read(o, "reports/summary/latest.json").await;
        let wanted = json!([{
            "orders": 4, "revenue": "21.00", "products_sold": 3, "average_order_value": "5.25"
        }]);
        assert_eq!(summary["rows"], wanted);
    }
}

#[tokio::test]
async fn publishing_again_changes_nothing_whoever_does_it() {
    for place in places().await {
        let o = &*place.objects;
        let first = reports(&place.objects, 1);
        orders(0, 5).publish(&first).await.unwrap();
        items(0, 3).publish(&first).await.unwrap();
        let before = everything(o).await;
        // 4 reports at 2 positions with their latest, 2 parts.
        assert_eq!(before.len(), 4 * 3 + 2);
        orders(0, 5).publish(&first).await.unwrap();
        let restarted = reports(&place.again, 1);
        orders(0, 5).publish(&restarted).await.unwrap();
        items(0, 3).publish(&restarted).await.unwrap();
        first.forget(&Partition::new("shop.orders", 0));
        orders(0, 5).publish(&first).await.unwrap();
        assert!(everything(o).await == before, "the same objects, byte for byte");
    }
}

#[tokio::test]
async fn a_stale_owner_puts_nothing_back() {
    for place in places().await {
        let o = &*place.objects;
        let (stale, owner) = (reports(&place.objects, 1), reports(&place.again, 1));
        orders(0, 5).publish(&stale).await.unwrap();
        orders(0, 9)
            .with("daily_sales", "2024-05-02", vec![Cell::Int(1), money("1")])
            .publish(&owner)
            .await
            .unwrap();
        let before = everything(o).await;
        orders(0, 7).publish(&stale).await.unwrap();
        orders(0, 5).publish(&reports(&place.objects, 1)).await.unwrap();
        assert!(everything(o).await == before, "byte for byte");
        assert_eq!(before.keys().filter(|name| name.contains(".parts")).count(), 1);
        // It may become the owner again, and then its part goes on.
        orders(0, 11).publish(&stale).await.unwrap();
        let daily = read(o, "reports/daily_sales/latest.json").await;
        assert_eq!(daily["as_of"], json!({"shop.orders/0": 11}));
        assert_eq!(daily["rows"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_latest_that_is_ahead_somewhere_stays() {
    let place = folder().await;
    let o = &*place.objects;
    let ahead = json!({"report": "daily_sales", "as_of": {"shop.orders/1": 100}, "rows": []});
    let ahead = serde_json::to_vec(&ahead).unwrap();
    let name = "reports/daily_sales/latest.json";
    assert!(matches!(o.put(name, ahead.clone().into(), When::Always).await.unwrap(), Put::Done(_)));
    let reports = reports(&place.objects, 1);
    orders(0, 5).publish(&reports).await.unwrap();
    orders(1, 99).publish(&reports).await.unwrap();
    assert_eq!(o.get(name).await.unwrap().unwrap().bytes, ahead);
    orders(1, 100).publish(&reports).await.unwrap();
    let as_of = json!({"shop.orders/0": 5, "shop.orders/1": 100});
    assert_eq!(read(o, name).await["as_of"], as_of);
    let _ = o.put(name, "{}".into(), When::Always).await.unwrap();
    let e = orders(1, 101).publish(&reports).await.unwrap_err();
    assert!(matches!(e, SinkError::Fatal(_)) && e.to_string().contains("latest.json is no report"));
}

#[tokio::test]
async fn generations_keep_to_themselves() {
    let place = folder().await;
    let o = &*place.objects;
    orders(0, 50).publish(&reports(&place.objects, 1)).await.unwrap();
    let before = everything(o).await;
    // The topic was made again: its offsets begin anew.
    orders(0, 2).publish(&reports(&place.objects, 2)).await.unwrap();
    let second = read(o, "reports/g2/daily_sales/latest.json").await;
    assert_eq!(second["as_of"], json!({"shop.orders/0": 2}));
    let mut after = everything(o).await;
    after.retain(|name, _| before.contains_key(name));
    assert!(after == before);
}

#[tokio::test]
async fn a_broken_or_short_part_halts_with_its_name() {
    for broken in [
        "",
        "no part",
        "{}\n",
        "{\"topic\":\"t\",\"partition\":1,\"next\":1,\"newest_ms\":1,\"lines\":1}\n",
    ] {
        let place = folder().await;
        let name = "reports/.parts/1/shop.orders/1.json";
        let _ = place.objects.put(name, broken.into(), When::Always).await.unwrap();
        let e = orders(0, 5).publish(&reports(&place.objects, 1)).await.unwrap_err();
        let text = e.to_string();
        assert!(matches!(e, SinkError::Fatal(_)) && text.contains("shop.orders/1.json"), "{text}");
        place.objects.delete(name).await.unwrap();
        orders(0, 5).publish(&reports(&place.objects, 1)).await.unwrap();
    }
}

/// Against the plainest way to do it: all shares in a map, all rows sorted, the first hundred taken.
#[test]
fn any_shares_make_the_rows_that_a_plain_sum_makes() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
    let share = (0..3_i64, -5..5_i64, 0..40_i64);
    let partition = proptest::collection::btree_map(-3..160_i64, share, 0..120);
    let partitions = proptest::collection::vec(partition, 1..5);
    let test = |partitions: Vec<BTreeMap<i64, (i64, i64, i64)>>| {
        let rows = runtime.block_on(published(&partitions));
        let mut sums: BTreeMap<i64, (i64, i64, i64)> = BTreeMap::new();
        for (key, (lines, quantity, cents)) in partitions.iter().flatten() {
            let sum = sums.entry(*key).or_default();
            *sum = (sum.0 + lines, sum.1 + quantity, sum.2 + cents);
        }
        let mut wanted: Vec<_> = sums.into_iter().filter(|(_, sum)| sum.0 != 0).collect();
        wanted.sort_by_key(|(key, sum)| (-sum.2, *key));
        wanted.truncate(100);
        let wanted: Vec<Value> = wanted
            .into_iter()
            .map(|(key, (_, quantity, cents))| {
                let revenue = Decimal::from_parts(cents.into(), 2).to_plain_string();
                json!({"product_id": key, "quantity": quantity, "revenue": revenue})
            })
            .collect();
        assert_eq!(rows, json!(wanted));
        Ok(())
    };
    runner.run(&partitions, test).unwrap();
}

async fn published(partitions: &[BTreeMap<i64, (i64, i64, i64)>]) -> Value {
    let place = folder().await;
    let reports = reports(&place.objects, 1);
    for (index, shares) in (0..).zip(partitions) {
        let mut lane = Shares::new("shop.items", index).to(1 + i64::from(index));
        for (key, (lines, quantity, cents)) in shares {
            let revenue = Cell::Decimal(Decimal::from_parts((*cents).into(), 2));
            let share = vec![Cell::Int(*lines), Cell::Int(*quantity), revenue];
            lane = lane.with("product_sales", *key, share);
        }
        lane.publish(&reports).await.unwrap();
    }
    read(&*place.objects, "reports/product_sales/latest.json").await["rows"].clone()
}

/// Owners that publish at the same time, each its own partitions, end with a report of all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn owners_that_race_end_with_everything() {
    for place in places().await {
        let owners = [&place.objects, &place.again].into_iter().enumerate().map(|(who, o)| {
            let reports = Arc::new(reports(o, 1));
            let tasks = (0..2).map(move |one| {
                let (index, reports) = (i32::try_from(who * 2 + one).unwrap(), reports.clone());
                tokio::spawn(async move {
                    for next in 1..6 {
                        while let Err(e) = orders(index, next).publish(&reports).await {
                            assert!(matches!(e, SinkError::Transient(_)), "{e}");
                        }
                    }
                })
            });
            futures::future::join_all(tasks)
        });
        for done in futures::future::join_all(owners).await.into_iter().flatten() {
            done.unwrap();
        }
        let daily = read(&*place.objects, "reports/daily_sales/latest.json").await;
        let name = |index: i32| format!("shop.orders/{index}");
        let as_of: BTreeMap<String, i64> = (0..4).map(|index| (name(index), 5)).collect();
        assert_eq!(daily["as_of"], json!(as_of));
        assert_eq!(daily["rows"][0]["revenue"], "42.00");
    }
}
