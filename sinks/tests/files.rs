//! The folder sink shows what the state has committed, whole files only, and never an older one after a newer one.
use serde_json::{Value, json};
use sinks::Decimal;
use sinks::{
    Batch, Cell, Checkpoint, Column, Committer, Expr, Merge, Op, Partition, PartitionState, Type,
    View, Write,
    dlq::ObjectDlq,
    files,
    objects::Dir,
    reports::{Figure, Settings, Top},
    share_key,
};
use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

fn products() -> Vec<View> {
    let key = const { &[Column::new("product_id", Type::Int)] };
    let columns = const { &[Column::new("name", Type::Text), Column::new("price", Type::Decimal)] };
    vec![View::rows("product_search_index", key, columns)]
}

/// The views that [`reports`] are made of.
fn sales() -> Vec<View> {
    const ORDERS: Column = Column::new("orders", Type::Int);
    const REVENUE: Column = Column::new("revenue", Type::Decimal);
    let two = &[Merge::Sum, Merge::Sum];
    let day = const { &[Column::new("day", Type::Text)] };
    let product = const { &[Column::new("product_id", Type::Int)] };
    let customer = const { &[Column::new("customer_id", Type::Int)] };
    let spent = const { &[ORDERS, Column::new("spent", Type::Decimal)] };
    let counted = vec![Expr::Total(1), Expr::Total(2)];
    let quantities = const { &[Column::new("quantity", Type::Int), REVENUE] };
    vec![
        View::totals("daily_sales", day, two, const { &[ORDERS, REVENUE] }),
        View::totals("product_sales", product, &[Merge::Sum, Merge::Sum, Merge::Sum], &[])
            .showing(quantities, counted),
        View::totals("customer_metrics", customer, two, spent),
    ]
}
fn reports() -> Settings {
    let top = |view, by| Top { view, by, rows: 100 };
    Settings {
        tops: vec![top("product_sales", "revenue"), top("customer_metrics", "spent")],
        summary: vec![
            ("orders", Figure::Sum("daily_sales", "orders")),
            ("revenue", Figure::Sum("daily_sales", "revenue")),
            ("customers", Figure::Rows("customer_metrics")),
            ("products_sold", Figure::Rows("product_sales")),
            ("units", Figure::Sum("product_sales", "quantity")),
            ("average_order_value", Figure::Ratio("revenue", "orders")),
        ],
    }
}

/// A service on a folder, as `main` puts it together.
struct Service {
    committer: Committer,
    lane: Arc<dyn PartitionState>,
    partition: Partition,
    next: i64,
}
impl Service {
    async fn open(folder: &Path, name: &str, views: Vec<View>, index: i32) -> Self {
        let opened = files::open(folder, 1, name, views, reports()).await.unwrap();
        let letters = Arc::new(Dir::open(folder.join("dlq")).await.unwrap());
        let dlq = Arc::new(ObjectDlq::new(letters, name, 1));
        let committer = Committer { dlq, sink: Some(opened.sink), state: opened.state };
        let partition = Partition::new("shop.t", index);
        let lane = committer.state.open(&partition).await.unwrap();
        let next = lane.checkpoint().map_or(0, |at| at.next);
        Self { committer, lane, partition, next }
    }

    fn at(&self) -> Checkpoint {
        Checkpoint { next: self.next, ..Checkpoint::default() }
    }

    async fn commit(&mut self, view: &'static str, key: Cell, op: Op) {
        let (start, offset) = (self.next, self.next);
        self.next += 1;
        let rows = match &op {
            Op::Share(share) => {
                let at = share_key(view, std::slice::from_ref(&key));
                vec![(at, Some(sinks::encode_row(share)))]
            }
            _ => vec![],
        };
        let write = Write { offset, source_ts_ms: 1_700_000_000_000, view, key: vec![key], op };
        let (at, none) = (self.at(), BTreeSet::new());
        let batch = Batch::new(self.partition.clone(), 'p', start, vec![write], rows, at, none);
        self.committer.commit(&*self.lane, &batch, &[]).await.unwrap();
    }

    async fn put(&mut self, id: i64, name: &str) {
        let price = Cell::Decimal(Decimal::from_parts((id * 100 + 50).into(), 2));
        self.commit("product_search_index", id.into(), Op::Put(vec![name.into(), price])).await;
    }

    async fn publish(&self) {
        let (at, lane) = (self.at(), &*self.lane);
        self.committer.publish(&self.partition, &at, lane).await.unwrap();
    }
}

fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_view_is_a_file_of_rows_in_the_order_of_keys() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("product_search_index.ndjson");
    let mut service = Service::open(root.path(), "search-indexer", products(), 0).await;
    service.publish().await;
    assert!(lines(&file).is_empty(), "an empty view is an empty file");
    service.put(10, "Teapot").await;
    service.put(9, "Cup \"large\"\n").await;
    assert!(lines(&file).is_empty(), "only what is published shows");
    service.publish().await;
    let rows = [
        json!({"product_id": 9, "name": "Cup \"large\"\n", "price": "9.50"}),
        json!({"product_id": 10, "name": "Teapot", "price": "10.50"}),
    ];
    assert_eq!(lines(&file), rows);
    assert!(
        fs::read_to_string(&file).unwrap().starts_with("{\"product_id\":9,\"name\":"),
        "columns in the view's order"
    );
    service.commit("product_search_index", 10.into(), Op::Delete).await;
    service.publish().await;
    assert_eq!(lines(&file), rows[..1]);

    // A restart goes on from the state in the folder and publishes the same file.
    let before = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    drop(service);
    let service = Service::open(root.path(), "search-indexer", products(), 0).await;
    assert_eq!(service.next, 3);
    service.publish().await;
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn services_that_share_a_folder_end_with_all_rows() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("product_search_index.ndjson");
    let mut owners = Vec::new();
    for index in 0..3 {
        let mut service = Service::open(root.path(), "search-indexer", products(), index).await;
        let file = file.clone();
        owners.push(tokio::spawn(async move {
            for n in 0..5_i64 {
                let id = n * 10 + i64::from(index);
                service.put(id, "x").await;
                service.publish().await;
                let shown = lines(&file).iter().any(|row| row["product_id"] == id);
                assert!(shown, "what an owner published is there, whoever publishes meanwhile");
            }
        }));
    }
    for owner in owners {
        owner.await.unwrap();
    }
    assert_eq!(lines(&file).len(), 15);
}

#[tokio::test]
async fn totals_become_reports_in_the_folder() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..2 {
        let mut service = Service::open(root.path(), "analytics-service", sales(), index).await;
        let share = vec![Cell::Int(2), Cell::Decimal("10.25".parse().unwrap())];
        service.commit("daily_sales", "2024-05-01".into(), Op::Share(share)).await;
        service.publish().await;
    }
    let read = |report: &str| {
        let file = root.path().join("reports").join(report).join("latest.json");
        serde_json::from_slice::<Value>(&fs::read(file).unwrap()).unwrap()
    };
    let daily = read("daily_sales");
    assert_eq!(daily["as_of"], json!({"shop.t/0": 1, "shop.t/1": 1}));
    assert_eq!(daily["rows"], json!([{"day": "2024-05-01", "orders": 4, "revenue": "20.50"}]));
    let wanted = json!([{
        "orders": 4, "revenue": "20.50", "customers": 0, "products_sold": 0, "units": 0,
        "average_order_value": "5.13",
    }]);
    assert_eq!(read("summary")["rows"], wanted);
    assert_eq!(read("customer_metrics")["rows"], json!([]));
}

/// All services of a shop on one folder.
#[tokio::test]
async fn services_of_different_views_share_a_folder() {
    let root = tempfile::tempdir().unwrap();
    let mut search = Service::open(root.path(), "search-indexer", products(), 0).await;
    let mut analytics = Service::open(root.path(), "analytics-service", sales(), 0).await;
    search.put(1, "x").await;
    let share = vec![Cell::Int(1), Cell::Decimal("1".parse().unwrap())];
    analytics.commit("daily_sales", "2024-05-01".into(), Op::Share(share)).await;
    search.publish().await;
    analytics.publish().await;
    assert_eq!(lines(&root.path().join("product_search_index.ndjson")).len(), 1);
    assert!(root.path().join("reports/daily_sales/latest.json").exists());
}
