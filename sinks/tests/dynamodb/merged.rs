//! Items of merged shares: partitions that race for one, its index, alerts, and a repair.
use crate::shop::*;
use aws_sdk_dynamodb::types::AttributeValue;
use sinks::{
    AlertWhen, Cell, Column, Decimal, Expr, Index, IndexKey, Merge, Op, Sink, Type, View, Write,
    dynamodb::{Entry, Mend, Mended},
};
use std::collections::{BTreeMap, BTreeSet};

const VIEW: &str = "region_sales";
const PARTITIONS: i32 = 8;
const WRITES: i64 = 12;

/// Orders, their worth, the largest of them, and a flag below 5 orders.
fn view() -> View {
    const COLUMNS: &[Column] = &[
        Column::new("orders", Type::Int),
        Column::new("worth", Type::Decimal),
        Column::new("largest order", Type::Int),
        Column::new("few", Type::Int),
    ];
    const MERGE: &[Merge] = &[Merge::Sum, Merge::Sum, Merge::Max];
    let few = Expr::Total(0).flag_below(5);
    View::totals(VIEW, const { &[Column::new("region", Type::Text)] }, MERGE, &COLUMNS[..3])
        .showing(COLUMNS, (0..3).map(Expr::Total).chain([few]).collect())
        .alerting(AlertWhen { flag: "few", value: "orders", table: "few_orders" })
        .indexed(&[Index {
            name: "by-orders",
            key: &[IndexKey::Same { name: "every", text: "x" }, IndexKey::Column("orders")],
            shows: &["worth"],
        }])
}
fn worth(orders: i64) -> Cell {
    Decimal::from_parts((orders * 25).into(), 2).into()
}
fn sales(offset: i64, orders: i64, largest: i64) -> Write {
    let op = Op::Share(vec![orders.into(), worth(orders), largest.into()]);
    Write { offset, source_ts_ms: 0, view: VIEW, key: vec!["north".into()], op }
}
async fn rows(shop: &Shop) -> BTreeMap<Vec<Cell>, Vec<Cell>> {
    shop.sink().rows(VIEW).await.expect("rows")
}

/// Each makes the others' conditions fail, and all of them get on.
#[tokio::test]
async fn partitions_that_race_for_one_item_all_get_on() {
    let Some(shop) = Shop::open("race", vec![view()]).await else { return };
    let one = async |index: i32, sink: &sinks::dynamodb::DynamoDb| {
        for n in 0..WRITES {
            let write_of_all = vec![sales(n, n + 1, i64::from(index) * 100 + n)];
            write(sink, &batch("orders", index, n, n + 1, write_of_all)).await;
        }
    };
    let (here, there) = (shop.sink(), shop.sink());
    let all = (0..PARTITIONS).map(|index| one(index, if index % 2 == 0 { &here } else { &there }));
    futures::future::join_all(all).await;
    let orders = WRITES * i64::from(PARTITIONS);
    let largest = i64::from(PARTITIONS - 1) * 100 + WRITES - 1;
    let row = vec![orders.into(), worth(orders), largest.into(), Cell::Null];
    assert_eq!(rows(&shop).await, BTreeMap::from([(vec!["north".into()], row)]));

    let query = shop.client.query().table_name(shop.table(VIEW)).index_name("by-orders");
    let found = query
        .key_condition_expression("#every = :x AND orders > :n")
        .expression_attribute_names("#every", "every")
        .expression_attribute_values(":x", AttributeValue::S("x".into()))
        .expression_attribute_values(":n", AttributeValue::N("90".into()))
        .send()
        .await
        .expect("an answer");
    assert_eq!(found.count(), 1);
}

#[tokio::test]
async fn alerts_of_totals_are_told_once_a_crossing() {
    let Some(shop) = Shop::open("few", vec![view()]).await else { return };
    let sink = shop.sink();
    let story = [(0, 3, Some(3)), (1, 3, None), (0, 1, Some(4)), (1, 0, None), (1, 9, None)];
    let mut next = [0; 2];
    for (index, orders, alert) in story {
        let at = next[index as usize];
        next[index as usize] += 1;
        let one = batch("orders", index, at, at + 1, vec![sales(at, orders, 1)]);
        let receipt = write(&sink, &one).await;
        let told: Vec<_> = receipt.alerts.iter().map(|alert| alert.value).collect();
        assert_eq!(told, alert.map(Some).into_iter().collect::<Vec<_>>(), "{index}: {orders}");
        sink.told(&one.partition, &receipt.alerts).await.expect("told");
        assert_eq!(write(&shop.sink(), &one).await.alerts, [], "there already, and told");
    }
}

/// What was altered by hand is seen, and a repair puts it right unless a service was faster.
#[tokio::test]
async fn a_repair_is_made_of_shares_and_loses_to_a_writer() {
    let Some(shop) = Shop::open("mend", vec![view()]).await else { return };
    let sink = shop.sink();
    write(&sink, &batch("orders", 0, 0, 1, vec![sales(0, 7, 3)])).await;
    let key = vec!["north".into()];
    let alter = shop
        .client
        .update_item()
        .table_name(shop.table(VIEW))
        .key("region", AttributeValue::S("north".into()))
        .update_expression("SET orders = :n")
        .expression_attribute_values(":n", AttributeValue::N("8".into()));
    alter.send().await.expect("altered");
    let seen = sink.look(VIEW, &key).await.expect("an answer").expect("an item");
    let row = vec![7.into(), worth(7), 3.into(), Cell::Null];
    assert_ne!(seen.shares, sink.shares_of(VIEW, &row).expect("a view"));
    let entry = Entry { offset: 0, share: vec![7.into(), worth(7), 3.into()] };
    assert_eq!(seen.entries, BTreeMap::from([("o0".to_owned(), Some(entry.clone()))]));
    let mend = Mend {
        row: Some(row.clone()),
        entries: BTreeMap::from([("o0".to_owned(), entry)]),
        absent: BTreeSet::new(),
        ..Mend::default()
    };
    let mended = sink.mend(VIEW, &key, Some(&seen), &mend).await.expect("an answer");
    assert_eq!(mended, Mended::Done);
    let now = sink.look(VIEW, &key).await.expect("an answer").expect("an item");
    assert_eq!((now.row.as_ref(), &now.shares), (Some(&row), &Cell::Null));
    // The service, which has not heard of it, goes on.
    write(&sink, &batch("orders", 0, 1, 2, vec![sales(1, 9, 4)])).await;
    let moved = sink.mend(VIEW, &key, Some(&now), &mend).await.expect("an answer");
    assert_eq!(moved, Mended::Moved);
    let row = vec![9.into(), worth(9), 4.into(), Cell::Null];
    assert_eq!(rows(&shop).await, BTreeMap::from([(key, row)]));
}

/// What a partition remembers of others' shares may be long gone, and a process that has just begun knows none: only the
/// item as it stands says that a write does not fit.
#[tokio::test]
async fn only_the_item_as_it_stands_refuses_a_write() {
    let Some(shop) = Shop::open("stale", vec![view()]).await else { return };
    let of = |index: i32, offset: i64, worth: &str| {
        let worth: Decimal = worth.parse().expect("a number");
        let op = Op::Share(vec![5.into(), worth.into(), 1.into()]);
        let write = Write { offset, source_ts_ms: 0, view: VIEW, key: vec!["north".into()], op };
        batch("orders", index, offset, offset + 1, vec![write])
    };
    let (here, there) = (shop.sink(), shop.sink());
    write(&there, &of(1, 0, "1e37")).await;
    write(&here, &of(0, 0, "1")).await;
    write(&there, &of(1, 1, "2")).await;
    // With what was there when this process looked last, it would be a number of 40 digits.
    write(&here, &of(0, 1, "0.25")).await;
    write(&here, &of(0, 2, "0")).await;
    write(&there, &of(1, 2, "-1e37")).await;
    write(&shop.sink(), &of(0, 3, "10000000000000000000000000000000000000.75")).await;
    let worth: Decimal = "0.75".parse().expect("a number");
    let row = vec![10.into(), worth.into(), 1.into(), Cell::Null];
    assert_eq!(rows(&shop).await, BTreeMap::from([(vec!["north".into()], row)]));
    let refused = there.write(&of(1, 3, "1")).await;
    assert!(matches!(refused, Err(sinks::SinkError::Refused(_))), "{refused:?}");
}
