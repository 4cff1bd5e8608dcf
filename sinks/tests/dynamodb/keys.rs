//! Keys of several columns: what their items hold, what is refused, what is altered by hand.
use crate::shop::*;
use aws_sdk_dynamodb::types::AttributeValue;
use sinks::{
    Cell, Column, Refusal, Sink, SinkError, Type, View, Write,
    conformance::shop,
    dynamodb::{DynamoDb, Entry, Mend, Mended, Seen},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const BINS: &str = "bin_stock";

fn bin(site: &str, bay: i64, shelf: &str) -> Vec<Cell> {
    vec![site.into(), bay.into(), shelf.into()]
}
fn filled(offset: i64, key: Vec<Cell>, base: i64) -> Write {
    put(BINS, offset, key, vec![base.into()])
}
async fn items(shop: &Shop, view: &str) -> Vec<HashMap<String, AttributeValue>> {
    let scan = shop.client.scan().table_name(shop.table(view)).consistent_read(true);
    scan.send().await.expect("an answer").items.unwrap_or_default()
}
fn refused(result: Result<sinks::Receipt, SinkError>) -> Vec<Refusal> {
    match result {
        Err(SinkError::Refused(refused)) => refused,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn the_columns_behind_the_first_are_one_attribute_and_attributes_of_their_own() {
    let Some(shop) = Shop::open("wide", vec![shop::bins()]).await else { return };
    let sink = shop.sink();
    let (one, two) = (bin("north", 7, "a/b"), bin("north", 7, "a"));
    let both = vec![filled(0, one.clone(), 30), filled(1, two.clone(), 40)];
    write(&sink, &batch("products", 0, 0, 2, both)).await;
    let row = |base: i64| vec![base.into(), 0.into(), base.into(), Cell::Null];
    let want = BTreeMap::from([(one.clone(), row(30)), (two, row(40))]);
    assert_eq!(sink.rows(BINS).await.expect("rows"), want);
    let all = items(&shop, BINS).await;
    let item = all.iter().find(|item| item["base_stock"] == AttributeValue::N("30".into()));
    let item = item.expect("the first");
    for (name, value) in [("site", "north"), ("sort_key", "7/a\\/b"), ("shelf", "a/b")] {
        assert_eq!(item[name], AttributeValue::S(value.into()), "{name}");
    }
    assert_eq!(item["bay"], AttributeValue::N("7".into()));
    // They are found by a column of the key.
    let query = shop.client.query().table_name(shop.table(BINS)).index_name("bay-index");
    let query = query.key_condition_expression("bay = :bay");
    let found = query.expression_attribute_values(":bay", AttributeValue::N("7".into())).send();
    assert_eq!(found.await.expect("an answer").count(), 2);
    // An update of the item, and a delete, leave them.
    let less = Write { view: BINS, key: one.clone(), ..sold(0, 0, 25) };
    let receipt = write(&sink, &batch("orders", 0, 0, 1, vec![less])).await;
    let names: Vec<&str> = receipt.alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names, ["orders/0/0/north/7/a\\/b"]);
    write(&sink, &batch("products", 0, 2, 3, vec![delete(BINS, 2, one.clone())])).await;
    let seen = sink.look(BINS, &one).await.expect("an answer").expect("an item");
    assert_eq!((&seen.key, &seen.row), (&one, &None));
    assert!(items(&shop, BINS).await.iter().all(|item| item.contains_key("bay")));
}

/// Each goes the way of a key that is too large: a letter, or the end, as the policy says.
#[tokio::test]
async fn what_cannot_be_in_a_key_is_refused_by_name() {
    let Some(shop) = Shop::open("refused", vec![shop::bins(), shop::members()]).await else {
        return;
    };
    let sink = shop.sink();
    let member = |tenant: Cell, member: Cell| vec![tenant, member];
    let long = || Cell::Text("x".repeat(1_025));
    let of_members = |offset, key| put("tenant_members", offset, key, vec!["tea".into()]);
    let writes = vec![
        filled(0, bin("", 1, "a"), 1),
        filled(1, vec!["a".into(), Cell::Null, "a".into()], 1),
        filled(2, vec!["a".into(), 1.into(), long()], 1),
        filled(3, vec!["a".into(), 1.into(), "x".repeat(1_023).into()], 1),
        of_members(4, member("".into(), "a".into())),
        of_members(5, member("a".into(), "".into())),
        of_members(6, member("a".into(), Cell::Null)),
        of_members(7, member("a".into(), long())),
        filled(8, bin("a", 1, ""), 1),
        of_members(9, member("x".repeat(2_048).into(), "x".repeat(1_024).into())),
    ];
    let found = refused(sink.write(&batch("products", 0, 0, 10, writes.clone())).await);
    let named = [
        "bin_stock.site: a key must not be empty",
        "bin_stock.bay: a key must not be null",
        "bin_stock.shelf: 1025 bytes",
        "bin_stock.bay, shelf: 1025 bytes together",
        "tenant_members.tenant: a key must not be empty",
        "tenant_members.member: a key must not be empty",
        "tenant_members.member: a key must not be null",
        "tenant_members.member: 1025 bytes",
    ];
    assert_eq!(found.len(), named.len(), "{found:?}");
    for (at, (refusal, named)) in found.iter().zip(named).enumerate() {
        assert_eq!(refusal.offset, at as i64);
        assert!(refusal.reason.starts_with(named), "{}", refusal.reason);
    }
    let letters: BTreeSet<i64> = found.iter().map(|refusal| refusal.offset).collect();
    write(&sink, &forgiving("products", 0, 0, 10, writes, letters)).await;
    assert_eq!(sink.rows(BINS).await.expect("rows").len(), 1, "an empty text is a text");
    assert_eq!(sink.rows("tenant_members").await.expect("rows").len(), 1);
}

/// `1.0` and `1.00` are one number, in one attribute and as a part of a text.
#[tokio::test]
async fn equal_numbers_are_one_row() {
    const RATE: Column = Column::new("rate", Type::Decimal);
    const NAME: Column = Column::new("name", Type::Text);
    const WIDE: &[Column] = &[Column::new("zone", Type::Text), RATE, NAME];
    let views = vec![View::rows("rates", &[RATE], &[NAME]), View::rows("zones", WIDE, &[])];
    let Some(shop) = Shop::open("numbers", views).await else { return };
    let sink = shop.sink();
    let decimal = |text: &str| Cell::Decimal(text.parse().expect("a number"));
    let zone = |rate: &str| vec!["a".into(), decimal(rate), "b".into()];
    let rates = ["1.0", "1.00", "1", "100", "1e2", "0.50"];
    let mut writes = vec![];
    for (offset, rate) in rates.iter().enumerate() {
        let row = vec![format!("{offset}").into()];
        writes.push(put("rates", offset as i64, vec![decimal(rate)], row));
        writes.push(put("zones", offset as i64, zone(rate), vec![]));
    }
    for at in (0..writes.len()).step_by(2) {
        let offset = at as i64 / 2;
        let of_record = writes[at..at + 2].to_vec();
        write(&sink, &batch("products", 0, offset, offset + 1, of_record)).await;
    }
    let found = sink.rows("rates").await.expect("rows");
    let want = [("1", "2"), ("100", "4"), ("0.5", "5")];
    let want = want.map(|(rate, name)| (vec![decimal(rate)], vec![name.into()]));
    assert_eq!(found, BTreeMap::from(want));
    let found: BTreeSet<Vec<Cell>> = sink.rows("zones").await.expect("rows").into_keys().collect();
    assert_eq!(found, BTreeSet::from(["1", "100", "0.5"].map(zone)));
    assert!(sink.look("zones", &zone("1.000")).await.expect("an answer").is_some());
}

async fn only(sink: &DynamoDb) -> Seen {
    let (seen, _) = sink.scan_page(BINS, 0, 1, None).await.expect("a page");
    let [one] = seen.try_into().expect("one item");
    one
}

/// What people read beside the key is a part of the row: `verify` sees where it is not what it should be.
#[tokio::test]
async fn columns_of_the_key_that_were_altered_are_noticed_and_mended() {
    let Some(shop) = Shop::open("altered", vec![shop::bins()]).await else { return };
    let sink = shop.sink();
    let key = bin("north", 7, "a");
    write(&sink, &batch("products", 0, 0, 1, vec![filled(0, key.clone(), 30)])).await;
    let whole = only(&sink).await;
    assert!(whole.row.is_some());
    let alter = shop.client.update_item().table_name(shop.table(BINS));
    let alter = alter
        .key("site", AttributeValue::S("north".into()))
        .key("sort_key", AttributeValue::S("7/a".into()))
        .update_expression("SET bay = :other")
        .expression_attribute_values(":other", AttributeValue::N("8".into()));
    alter.send().await.expect("altered");
    let altered = only(&sink).await;
    assert_eq!((&altered.key, &altered.row), (&key, &None));
    let entry = Entry { offset: 0, share: vec![0.into()] };
    let entries = BTreeMap::from([("p0".to_owned(), entry)]);
    let mend = Mend { row: whole.row.clone(), entries, ..Mend::default() };
    let mended = sink.mend(BINS, &key, Some(&altered), &mend).await.expect("an answer");
    assert_eq!(mended, Mended::Done);
    assert_eq!(only(&sink).await.row, whole.row);
}
