//! Stock: sums of many partitions, flag, alerts, generations.
use crate::shop::*;
use aws_sdk_dynamodb::types::AttributeValue;
use sinks::{
    Alert, Batch, Cell, Sink, SinkError,
    dynamodb::{DynamoDb, create_tables},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

async fn shop(test: &str) -> Option<Shop> {
    Shop::open(test, vec![inventory(true)]).await
}
/// base, sold, stock, low of every visible product.
async fn shown(sink: &DynamoDb) -> BTreeMap<i64, (i64, i64, i64, bool)> {
    let mut out = BTreeMap::new();
    for (key, row) in sink.rows(INVENTORY).await.expect("rows") {
        let n = |cell: &Cell| cell.int().expect("a number");
        let low = row[5] != Cell::Null;
        out.insert(n(&key[0]), (n(&row[2]), n(&row[3]), n(&row[4]), low));
    }
    out
}
async fn item(shop: &Shop, id: i64) -> HashMap<String, AttributeValue> {
    let key = AttributeValue::N(id.to_string());
    let get = shop.client.get_item().table_name(shop.table(INVENTORY)).key("product_id", key);
    get.consistent_read(true).send().await.expect("an answer").item.unwrap_or_default()
}
fn names(alerts: &[Alert]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.name.as_str()).collect()
}

#[tokio::test]
async fn partitions_share_an_item_and_order_items_come_first() {
    let Some(shop) = shop("shares").await else { return };
    let sink = shop.sink();
    write(&sink, &batch("order_items", 0, 0, 3, vec![sold(0, 1, 2), sold(2, 1, 5)])).await;
    write(&sink, &batch("order_items", 1, 0, 9, vec![sold(8, 1, 4), sold(8, 2, 1)])).await;
    assert_eq!(shown(&sink).await, BTreeMap::new(), "hidden until there is a product");
    write(&sink, &batch("products", 0, 0, 2, vec![product(0, 1, 30), product(1, 2, 5)])).await;
    let want = BTreeMap::from([(1, (30, 9, 21, false)), (2, (5, 1, 4, true))]);
    assert_eq!(shown(&sink).await, want);
    let rows = sink.rows(INVENTORY).await.expect("rows");
    let price: sinks::Decimal = "19.5".parse().expect("a price");
    assert_eq!(rows[&vec![Cell::Int(1)]][..2], ["Product 1".into(), price.into()]);
    // A share that is back at nothing, and a product that sells below zero.
    write(&sink, &batch("order_items", 0, 3, 5, vec![sold(3, 1, 0), sold(4, 2, 9)])).await;
    let want = BTreeMap::from([(1, (30, 4, 26, false)), (2, (5, 10, -5, true))]);
    assert_eq!(shown(&sink).await, want);
}

#[tokio::test]
async fn replays_new_cuts_and_late_batches_change_nothing() {
    let Some(shop) = shop("replays").await else { return };
    let all = [
        sold(0, 1, 2),
        product(1, 1, 20),
        sold(2, 1, 7),
        sold(3, 1, 2),
        product(4, 1, 25),
        sold(5, 1, 3),
    ];
    let of = |from: i64, to: i64, topic: &str, products: bool| {
        let mine = |w: &&sinks::Write| {
            w.offset >= from && w.offset < to && matches!(w.op, sinks::Op::Put(_)) == products
        };
        batch(topic, 0, from, to, all.iter().filter(mine).cloned().collect())
    };
    let (owner, zombie) = (shop.sink(), shop.sink());
    for topic in ["products", "order_items"] {
        let products = topic == "products";
        write(&owner, &of(0, 6, topic, products)).await;
        let stands = shown(&owner).await;
        let raw = item(&shop, 1).await;
        for (from, to) in [(0, 6), (2, 4), (0, 3), (5, 6), (0, 1), (3, 6)] {
            write(&zombie, &of(from, to, topic, products)).await;
            write(&shop.sink(), &of(from, to, topic, products)).await;
            write(&owner, &of(from, to, topic, products)).await;
            assert_eq!(item(&shop, 1).await, raw, "{topic} {from}..{to}");
        }
        assert_eq!(shown(&owner).await, stands);
    }
    assert_eq!(shown(&owner).await, BTreeMap::from([(1, (25, 3, 22, false))]));
}

/// Owners that do not know of each other cut the same partitions differently and write them at the same time; some are
/// dropped in the middle of their requests.
#[tokio::test]
async fn zombies_race_for_real() {
    let Some(shop) = shop("zombies").await else { return };
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(7u64);
    println!("seed {seed}");
    let mut state = seed;
    let mut below = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut logs = BTreeMap::new();
    let mut want = BTreeMap::<i64, (i64, [i64; 2])>::new();
    for (topic, index) in [("products", 0), ("order_items", 0), ("order_items", 1)] {
        let mut log = vec![];
        for offset in 0..40 {
            let (id, n) = (below(3) as i64, below(40) as i64);
            let row = want.entry(id).or_default();
            if topic == "products" {
                row.0 = n;
                log.push(product(offset, id, n));
            } else {
                row.1[index as usize] = n / 3;
                log.push(sold(offset, id, n / 3));
            }
        }
        logs.insert((topic, index), log);
    }
    let mut owners = vec![];
    for ((topic, index), log) in &logs {
        for owner in 0..3 {
            let mut cuts = vec![];
            let mut from = 0;
            while from < 40 {
                let to = 40.min(from + 1 + below(9) as usize);
                cuts.push(batch(topic, *index, from as i64, to as i64, log[from..to].to_vec()));
                from = to;
            }
            // The first owner is the one that ends its work.
            let dies = (owner > 0).then(|| std::time::Duration::from_millis(30 + below(800)));
            owners.push(run(shop.sink(), cuts, dies));
        }
    }
    futures::future::join_all(owners).await;
    let stock = |(base, sold): &(i64, [i64; 2])| {
        let sold = sold[0] + sold[1];
        (*base, sold, base - sold, base - sold < 10)
    };
    let want: BTreeMap<_, _> = want.iter().map(|(id, row)| (*id, stock(row))).collect();
    assert_eq!(shown(&shop.sink()).await, want, "seed {seed}");
}
async fn run(sink: DynamoDb, batches: Vec<Batch>, dies: Option<std::time::Duration>) {
    let all = async {
        for batch in &batches {
            while let Err(e) = sink.write(batch).await {
                assert!(matches!(e, SinkError::Transient(_)), "{e}");
            }
        }
    };
    match dies {
        Some(after) => drop(tokio::time::timeout(after, all).await),
        None => all.await,
    }
}

#[tokio::test]
async fn a_product_made_again_keeps_what_was_sold() {
    let Some(shop) = shop("again").await else { return };
    let sink = shop.sink();
    write(&sink, &batch("products", 0, 0, 1, vec![product(0, 1, 12)])).await;
    write(&sink, &batch("order_items", 0, 0, 1, vec![sold(0, 1, 5)])).await;
    write(&sink, &batch("products", 0, 1, 2, vec![delete(INVENTORY, 1, vec![1.into()])])).await;
    assert_eq!(shown(&sink).await, BTreeMap::new());
    let ghost = item(&shop, 1).await;
    assert!(!ghost.contains_key(LOW) && !ghost.contains_key("name") && ghost.contains_key("sold"));
    // A zombie brings the product as it was: too late.
    write(&shop.sink(), &batch("products", 0, 0, 1, vec![product(0, 1, 12)])).await;
    assert_eq!(shown(&sink).await, BTreeMap::new());
    write(&sink, &batch("order_items", 1, 0, 1, vec![sold(0, 1, 1)])).await;
    write(&sink, &batch("products", 0, 2, 3, vec![product(2, 1, 40)])).await;
    assert_eq!(shown(&sink).await, BTreeMap::from([(1, (40, 6, 34, false))]));
}

#[tokio::test]
async fn a_newer_generation_replaces_once_and_stops_the_older() {
    let Some(shop) = shop("generations").await else { return };
    let (old, new) = (shop.sink_of(1), shop.sink_of(2));
    write(&old, &batch("products", 0, 0, 50, vec![product(49, 1, 30)])).await;
    write(&old, &batch("order_items", 0, 0, 50, vec![sold(49, 1, 8)])).await;
    // Offsets begin anew; two partitions meet at the same old item.
    let a = batch("products", 0, 0, 1, vec![product(0, 1, 20)]);
    let b = batch("order_items", 0, 0, 1, vec![sold(0, 1, 3)]);
    let (a, b) = tokio::join!(new.write(&a), new.write(&b));
    a.and(b).expect("written");
    assert_eq!(shown(&new).await, BTreeMap::from([(1, (20, 3, 17, false))]));
    let stands = item(&shop, 1).await;
    for late in [
        batch("products", 0, 50, 51, vec![product(50, 1, 99)]),
        batch("order_items", 0, 50, 51, vec![sold(50, 1, 9)]),
    ] {
        for old in [&old, &shop.sink_of(1)] {
            let why = fatal(old.write(&late).await);
            let text = format!(
                "a newer generation 2 owns table `{}`: stop this deployment",
                shop.table(INVENTORY)
            );
            assert!(why.contains(&text), "{why}");
        }
    }
    assert_eq!(item(&shop, 1).await, stands);
}

#[tokio::test]
async fn alerts_are_told_once_and_never_lost() {
    let Some(shop) = shop("alerts").await else { return };
    let crashed = shop.sink();
    write(&crashed, &batch("products", 0, 0, 1, vec![product(0, 1, 12)])).await;
    let crossing = batch("order_items", 3, 0, 8, vec![sold(6, 1, 1), sold(7, 1, 4)]);
    let name = "order_items/3/7/1";
    // The process dies between the update and the publication: its receipt is gone.
    drop(crashed.write(&crossing).await.expect("written"));
    drop(crashed);
    let sink = shop.sink();
    let alerts = write(&sink, &crossing).await.alerts;
    assert_eq!(names(&alerts), [name], "whoever meets it tells it");
    // A transient failure of the state: the same batch again, the same alert again.
    let alerts = write(&sink, &crossing).await.alerts;
    assert_eq!(names(&alerts), [name]);
    // Others than were shown stay.
    let other = Alert { name: "order_items/3/6/1".into(), key: vec![], value: None };
    sink.told(&crossing.partition, &[other]).await.expect("told");
    assert!(item(&shop, 1).await.contains_key("alerts_due"));
    sink.told(&crossing.partition, &alerts).await.expect("told");
    assert!(!item(&shop, 1).await.contains_key("alerts_due"));
    for sink in [&sink, &shop.sink()] {
        assert_eq!(write(sink, &crossing).await.alerts, []);
    }
    // Lower still: no alert. Up again, and below again: another one, with its stock.
    let low = batch("order_items", 3, 8, 9, vec![sold(8, 1, 6)]);
    assert_eq!(write(&sink, &low).await.alerts, []);
    let up = batch("products", 0, 1, 2, vec![product(1, 1, 50)]);
    assert_eq!(write(&sink, &up).await.alerts, []);
    assert!(!item(&shop, 1).await.contains_key(LOW));
    let down = batch("order_items", 3, 9, 10, vec![sold(9, 1, 43)]);
    let alerts = write(&sink, &down).await.alerts;
    let want = Alert { name: "order_items/3/9/1".into(), key: vec![1.into()], value: Some(7) };
    assert_eq!(alerts, [want]);
    // The next batch goes on where this one ended: so its state has moved, and the alert comes off by itself.
    assert!(item(&shop, 1).await.contains_key("alerts_due"));
    assert_eq!(write(&sink, &batch("order_items", 3, 10, 11, vec![])).await.alerts, []);
    assert!(!item(&shop, 1).await.contains_key("alerts_due"));
}

/// The flag is looked at after every request, whatever the order of partitions, and in the sparse index.
#[tokio::test]
async fn every_stored_version_has_the_right_flag() {
    for derived in [true, false] {
        let Some(shop) = Shop::open("flag", vec![inventory(derived)]).await else { return };
        let sinks = [shop.sink(), shop.sink()];
        let mut crossings = 0;
        let mut told = BTreeSet::new();
        let mut was_low = false;
        let bases = [30, 8, 12, 12, 9, 40, 11, 3, 10];
        let shares = [0, 2, 21, 3, 2, 0, 31, 2, 1];
        for step in 0..18 {
            let (n, at) = ((step / 2) as i64, step / 2);
            let one = if step % 2 == 0 {
                let write = if n == 5 {
                    delete(INVENTORY, n, vec![1.into()])
                } else {
                    product(n, 1, bases[at])
                };
                batch("products", 0, n, n + 1, vec![write])
            } else {
                batch("order_items", 4, n, n + 1, vec![sold(n, 1, shares[at])])
            };
            let receipt = write(&sinks[at % 2], &one).await;
            sinks[at % 2].told(&one.partition, &receipt.alerts).await.expect("told");
            told.extend(receipt.alerts.into_iter().map(|alert| alert.name));
            let item = item(&shop, 1).await;
            let number = |name: &str| {
                item.get(name).map(|n| n.as_n().expect("a number").parse::<i64>().expect("whole"))
            };
            let (base, sold) = (number("base_stock"), number("sold").unwrap_or(0));
            let stock = match derived {
                true => base.unwrap_or(0) - sold,
                false => base.unwrap_or(0),
            };
            let low = base.is_some() && stock < 10;
            assert_eq!(number("stock_quantity"), Some(stock), "derived {derived} step {step}");
            assert_eq!(item.contains_key(LOW), low, "derived {derived} step {step}");
            crossings += usize::from(low && !was_low);
            was_low = low;
        }
        assert_eq!(told.len(), crossings, "derived {derived}: {told:?}");
        assert!(crossings > 2);
        let query =
            shop.client.query().table_name(shop.table(INVENTORY)).index_name("low-stock-index");
        let found = query
            .key_condition_expression("low_stock = :one AND stock_quantity < :ten")
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .expression_attribute_values(":ten", AttributeValue::N("10".into()))
            .send()
            .await
            .expect("an answer");
        assert_eq!(found.count(), i32::from(was_low));
    }
}

/// Its texts alone are too large: not even sent.
#[tokio::test]
async fn a_refused_item_leaves_the_others_alone() {
    refused_beside_others("refused", 420 * 1024).await;
}
/// Its texts just fit; with the rest of the item they do not, and DynamoDB says so.
#[tokio::test]
async fn an_item_that_dynamodb_refuses_leaves_the_others_alone() {
    refused_beside_others("refused-there", 400 * 1024).await;
}

async fn refused_beside_others(test: &str, bytes: usize) {
    let Some(shop) = shop(test).await else { return };
    let sink = shop.sink();
    let mut giant = product(1, 2, 20);
    giant.op = sinks::Op::Put(vec!["x".repeat(bytes).into(), Cell::Null, 20.into()]);
    let writes = || vec![product(0, 1, 20), giant.clone(), product(2, 3, 20), product(3, 2, 30)];
    let mut writes_of_two = writes();
    writes_of_two.swap_remove(3);
    match sink.write(&batch("products", 0, 0, 3, writes_of_two.clone())).await {
        Err(SinkError::Refused(list)) => {
            assert_eq!(list.iter().map(|refusal| refusal.offset).collect::<Vec<_>>(), [1]);
            assert!(
                list[0].reason.contains("size") && !list[0].reason.contains("xxx"),
                "{}",
                list[0].reason
            );
        }
        other => panic!("not refused: {other:?}"),
    }
    let others = BTreeMap::from([(1, (20, 0, 20, false)), (3, (20, 0, 20, false))]);
    assert_eq!(shown(&sink).await, others, "the others stand");
    let dead_lettered = forgiving("products", 0, 0, 3, writes_of_two, BTreeSet::from([1]));
    sink.write(&dead_lettered).await.expect("its letter is written");
    // The next write heals it.
    write(&sink, &batch("products", 0, 3, 4, vec![writes()[3].clone()])).await;
    assert_eq!(shown(&sink).await[&2], (30, 0, 30, false));
}

#[tokio::test]
async fn an_item_of_64_partitions_is_small() {
    let Some(shop) = shop("size").await else { return };
    let sink = shop.sink();
    let far = 9_999_999_000;
    write(&sink, &batch("products", 0, far, far + 1, vec![product(far, 1, 1_000_000)])).await;
    for index in 0..63 {
        let one =
            batch("order_items", index, far, far + 1, vec![sold(far, 1, 1000 + i64::from(index))]);
        write(&sink, &one).await;
    }
    let item = item(&shop, 1).await;
    assert_eq!(
        item.keys().filter(|name| name.starts_with('o') && *name != "own" || *name == "p0").count(),
        64
    );
    // As DynamoDB counts: names, texts and bytes as they are, two digits of a number in a byte and one more.
    let size = |value: &AttributeValue| match value {
        AttributeValue::N(n) => n.len().div_ceil(2) + 1,
        AttributeValue::S(s) => s.len(),
        AttributeValue::B(b) => b.as_ref().len(),
        other => panic!("{other:?}"),
    };
    let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    println!("an item of 64 partitions takes {bytes} bytes");
    assert!(bytes < 1024);
}

#[tokio::test]
async fn missing_and_wrong_tables_say_what_to_do() {
    let Some(shop) = Shop::named("missing", vec![inventory(true)]).await else {
        return;
    };
    let one = batch("products", 0, 0, 1, vec![product(0, 1, 20)]);
    let why = fatal(shop.sink().write(&one).await);
    let text = format!(
        "DynamoDB table `{}` does not exist: create it as the table list in CONSUMER_DEPLOYMENT.md says",
        shop.table(INVENTORY)
    );
    assert!(why.contains(&text), "{why}");
    create_tables(&shop.client, &shop.config).await.expect("made");
    create_tables(&shop.client, &shop.config).await.expect("made once");
    write(&shop.sink(), &one).await;

    // A table of another view with another key, and one with the same key.
    let Some(mut other) = Shop::named("wrong", vec![tokens(), search()]).await else { return };
    let table = shop.table(INVENTORY);
    other.config.tables.insert(SEARCH.into(), table.clone());
    let row = batch("products", 0, 0, 1, vec![put(SEARCH, 0, vec![1.into()], vec!["Lamp".into()])]);
    let why = fatal(other.sink().write(&row).await);
    assert!(
        why.starts_with(&format!("an item of table `{table}` is not as this service writes it")),
        "{why}"
    );
    other.config.tables.insert(TOKENS.into(), table.clone());
    let made = create_tables(&other.client, &other.config).await.map(|_| sinks::Receipt::default());
    let why = fatal(made);
    assert!(why.contains("needs (token S, product_id N)"), "{why}");
    let Some(mut words) = Shop::open("words", vec![tokens()]).await else { return };
    words.config.views = vec![search()];
    words
        .config
        .tables
        .insert(SEARCH.into(), format!("{}product-search-tokens", words.config.prefix));
    let why = fatal(words.sink().write(&row).await);
    assert!(why.contains("has another key than this view"), "{why}");
}
