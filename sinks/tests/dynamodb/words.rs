//! Search: rows and tokens, absolute values of one owner.
use crate::shop::*;
use aws_sdk_dynamodb::types::AttributeValue;
use sinks::{Cell, Sink, Write, dynamodb::keyed::TOMBSTONE_SECS};
use std::collections::{BTreeMap, BTreeSet, HashMap};

fn row(name: &str, price: &str, words: &[&str]) -> Vec<Cell> {
    let words: BTreeSet<String> = words.iter().map(|w| (*w).to_owned()).collect();
    let price: sinks::Decimal = price.parse().expect("a price");
    vec![name.into(), Cell::Null, price.into(), "lamps".into(), Cell::Words(words)]
}
fn lamp(offset: i64, name: &str, price: &str) -> Write {
    put(SEARCH, offset, vec![1.into()], row(name, price, &["lamp"]))
}
fn word(offset: i64, token: &str, id: i64) -> Write {
    put(TOKENS, offset, vec![token.into(), id.into()], vec![])
}
async fn items(shop: &Shop, view: &str) -> Vec<HashMap<String, AttributeValue>> {
    let scan = shop.client.scan().table_name(shop.table(view)).consistent_read(true);
    scan.send().await.expect("an answer").items.unwrap_or_default()
}

#[tokio::test]
async fn rows_are_found_by_key_name_price_and_word() {
    let Some(shop) = Shop::open("search", vec![search(), tokens()]).await else { return };
    let sink = shop.sink();
    let exact = "1234567890123456789012345678.12345678";
    let other = put(SEARCH, 0, vec![2.into()], row("Émaillé", "7", &[]));
    let first = vec![lamp(0, "Lamp", exact), other, word(0, "lamp", 1), word(0, "lamp", 2)];
    write(&sink, &batch("products", 0, 0, 1, first)).await;
    let want = BTreeMap::from([
        (vec![Cell::Int(1)], row("Lamp", exact, &["lamp"])),
        (vec![Cell::Int(2)], row("Émaillé", "7", &[])),
    ]);
    assert_eq!(sink.rows(SEARCH).await.expect("rows"), want);
    let found = sink.search_by_token(TOKENS, "lamp").await.expect("found");
    assert_eq!(found, BTreeSet::from([1.into(), 2.into()]));
    for (index, key, value) in
        [("name-index", "name_lower", "émaillé"), ("price-index", "catalog", "all")]
    {
        let query = shop.client.query().table_name(shop.table(SEARCH)).index_name(index);
        let query = query.key_condition_expression("#k = :v").expression_attribute_names("#k", key);
        let found =
            query.expression_attribute_values(":v", AttributeValue::S(value.into())).send().await;
        let found = found.expect("an answer");
        assert_eq!(
            found.items()[0]["name"],
            AttributeValue::S("Émaillé".into()),
            "the cheapest first"
        );
        assert_eq!(found.count(), if index == "name-index" { 1 } else { 2 });
    }
}

#[tokio::test]
async fn what_is_deleted_stays_deleted() {
    let Some(shop) = Shop::open("deleted", vec![search(), tokens()]).await else { return };
    let (owner, zombie) = (shop.sink(), shop.sink());
    let made = vec![lamp(0, "Lamp", "5"), word(0, "lamp", 1)];
    write(&owner, &batch("products", 0, 0, 1, made.clone())).await;
    let gone =
        vec![delete(SEARCH, 5, vec![1.into()]), delete(TOKENS, 5, vec!["lamp".into(), 1.into()])];
    write(&owner, &batch("products", 0, 1, 6, gone.clone())).await;
    write(&zombie, &batch("products", 0, 0, 1, made)).await;
    write(&zombie, &batch("products", 0, 0, 5, vec![lamp(4, "Lamp", "6"), word(4, "lamp", 1)]))
        .await;
    assert_eq!(owner.rows(SEARCH).await.expect("rows"), BTreeMap::new());
    assert_eq!(owner.search_by_token(TOKENS, "lamp").await.expect("found"), BTreeSet::new());
    for view in [SEARCH, TOKENS] {
        let [ghost] = &items(&shop, view).await[..] else { panic!("one tombstone") };
        let expires: i64 = ghost["expires_at"].as_n().expect("a number").parse().expect("whole");
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!((expires - now.as_secs() as i64 - TOMBSTONE_SECS).abs() < 600);
        assert!(!ghost.contains_key("name_lower") && !ghost.contains_key("catalog"), "in no index");
        let ttl = shop.client.describe_time_to_live().table_name(shop.table(view)).send().await;
        let ttl = ttl.expect("an answer").time_to_live_description.expect("described");
        assert_eq!(ttl.attribute_name(), Some("expires_at"));
        // A tombstone that a replay still meets, and that would go soon, is renewed; one with time left is not.
        let key = if view == SEARCH { vec!["product_id"] } else { vec!["token", "product_id"] };
        let key: HashMap<_, _> = key.iter().map(|k| ((*k).to_owned(), ghost[*k].clone())).collect();
        let soon = AttributeValue::N((now.as_secs() + 60).to_string());
        let age = shop.client.update_item().table_name(shop.table(view)).set_key(Some(key));
        let age = age
            .update_expression("SET expires_at = :s")
            .expression_attribute_values(":s", soon.clone());
        age.send().await.expect("aged");
    }
    write(&shop.sink(), &batch("products", 0, 1, 6, gone)).await;
    for view in [SEARCH, TOKENS] {
        let expires: i64 = items(&shop, view).await[0]["expires_at"]
            .as_n()
            .expect("a number")
            .parse()
            .expect("whole");
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        assert!(expires > now.as_secs() as i64 + TOMBSTONE_SECS / 2, "{view} renewed");
    }
    // It may come back.
    write(&owner, &batch("products", 0, 6, 7, vec![lamp(6, "Lamp", "7"), word(6, "lamp", 1)]))
        .await;
    assert_eq!(owner.rows(SEARCH).await.expect("rows").len(), 1);
    assert!(!items(&shop, SEARCH).await[0].contains_key("expires_at"));
}

#[tokio::test]
async fn a_newer_generation_takes_rows_over() {
    let Some(shop) = Shop::open("rows-of", vec![search()]).await else { return };
    let (old, new) = (shop.sink_of(1), shop.sink_of(2));
    write(&old, &batch("products", 0, 0, 91, vec![lamp(90, "Old", "5")])).await;
    write(&new, &batch("products", 0, 0, 1, vec![lamp(0, "New", "5")])).await;
    let why = fatal(old_write(&old).await);
    assert!(why.starts_with("a newer generation 2 owns table"), "{why}");
    let rows = new.rows(SEARCH).await.expect("rows");
    assert_eq!(rows[&vec![Cell::Int(1)]][0], "New".into());
}
async fn old_write(old: &sinks::dynamodb::DynamoDb) -> Result<sinks::Receipt, sinks::SinkError> {
    use sinks::Sink;
    old.write(&batch("products", 0, 91, 92, vec![lamp(91, "Old", "6")])).await
}

/// More than one page of a scan (1 MB), and a name that is longer than an index key may be.
#[tokio::test]
async fn long_rows_are_all_read() {
    let Some(shop) = Shop::open("pages", vec![search()]).await else { return };
    let sink = shop.sink();
    let name = "ü".repeat(120_000);
    let long = |id: i64| put(SEARCH, id, vec![id.into()], row(&name, "1", &[]));
    write(&sink, &batch("products", 0, 0, 8, (0..8).map(long).collect())).await;
    let rows = sink.rows(SEARCH).await.expect("rows");
    assert_eq!(rows.len(), 8);
    assert!(rows.values().all(|row| row[0].text() == Some(&name)));
}

/// A record's writes are separate requests, so a word shows whose it is too.
#[tokio::test]
async fn rows_and_words_stay_with_their_partition() {
    let Some(shop) = Shop::open("owned", vec![search(), tokens()]).await else { return };
    let sink = shop.sink();
    let made = vec![lamp(5, "Lamp", "5"), word(5, "lamp", 1), word(5, "old", 1)];
    write(&sink, &batch("products", 0, 0, 6, made)).await;
    let gone = vec![delete(TOKENS, 6, vec!["old".into(), 1.into()])];
    write(&sink, &batch("products", 0, 6, 7, gone)).await;
    let stands = [items(&shop, SEARCH).await, items(&shop, TOKENS).await];
    for astray in [
        lamp(9, "Lamp", "6"),
        delete(SEARCH, 9, vec![1.into()]),
        word(9, "lamp", 1),
        delete(TOKENS, 9, vec!["lamp".into(), 1.into()]),
        word(9, "old", 1),
        // Also where the owner's offset is the higher one.
        lamp(2, "Lamp", "6"),
        word(2, "lamp", 1),
    ] {
        let (offset, view) = (astray.offset, astray.view);
        let other = batch("products", 3, 0, 10, vec![astray]);
        for sink in [&sink, &shop.sink()] {
            let why = fatal(sink.write(&other).await);
            let says = format!(
                "products/3 offset {offset}: its row of view {view} is owned by products/0"
            );
            assert!(why.starts_with(&says), "{why}");
        }
    }
    assert_eq!([items(&shop, SEARCH).await, items(&shop, TOKENS).await], stands);
    // Another generation is another log.
    let next = shop.sink_of(2);
    write(&next, &batch("products", 3, 0, 1, vec![lamp(0, "Lamp", "7")])).await;
    let why = fatal(next.write(&batch("products", 0, 0, 1, vec![lamp(0, "Lamp", "8")])).await);
    assert!(why.contains("is owned by products/3"), "{why}");
}

/// Written before items said whose they are: accepted, and said from then on.
#[tokio::test]
async fn a_row_that_says_no_owner_is_whose_writes_it_next() {
    let Some(shop) = Shop::open("unowned", vec![search()]).await else { return };
    let sink = shop.sink();
    write(&sink, &batch("products", 0, 0, 1, vec![lamp(0, "Lamp", "5")])).await;
    let update = shop.client.update_item().table_name(shop.table(SEARCH));
    let update = update.key("product_id", AttributeValue::N("1".into()));
    update.update_expression("REMOVE own").send().await.expect("an answer");
    write(&shop.sink(), &batch("products", 0, 1, 2, vec![lamp(1, "Lamp", "6")])).await;
    let why = fatal(sink.write(&batch("products", 1, 0, 9, vec![lamp(8, "Lamp", "7")])).await);
    assert!(why.contains("is owned by products/0"), "{why}");
}
