use super::*;

/// The last answer, with the kind and item of a refusal.
fn ask(
    store: &mut Store,
    operation: &str,
    body: Value,
) -> Result<Value, (&'static str, Option<Item>)> {
    let answer = store.answer(operation, body.to_string().as_bytes(), |_| ());
    answer.map_err(|refused| (refused.kind, refused.item))
}
fn wares() -> Store {
    let mut store = Store::default();
    store.make("wares", &["id"]);
    store
}
fn put(id: i64, sold: i64) -> Value {
    json!({ "TableName": "wares", "Item": { "id": { "N": id.to_string() }, "sold": { "N": sold.to_string() } } })
}
fn update(how: &str, when: &str, values: Value) -> Value {
    json!({
        "TableName": "wares",
        "Key": { "id": { "N": "1" } },
        "UpdateExpression": how,
        "ConditionExpression": when,
        "ExpressionAttributeNames": { "#n0": "sold", "#n1": "stock", "#n2": "due" },
        "ExpressionAttributeValues": values,
        "ReturnValues": "ALL_NEW",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    })
}

#[test]
fn an_update_means_the_item_as_it_was() {
    let mut store = wares();
    assert_eq!(ask(&mut store, "PutItem", put(1, 5)), Ok(json!({})));
    let values = json!({ ":v0": { "N": "2" }, ":v1": { "N": "50" }, ":v2": { "SS": ["a", "b"] } });
    let how = "SET #n0 = #n0 + :v0, #n1 = :v1 - #n0 ADD #n2 :v2";
    let new = ask(
        &mut store,
        "UpdateItem",
        update(how, "#n0 >= :v0 AND attribute_not_exists(#n2)", values),
    );
    let wanted = json!({ "Attributes": {
        "id": { "N": "1" }, "sold": { "N": "7" }, "stock": { "N": "45" }, "due": { "SS": ["a", "b"] },
    } });
    assert_eq!(new, Ok(wanted));
    let values = json!({ ":v0": { "SS": ["a", "b", "c"] } });
    let how = "REMOVE #n1 DELETE #n2 :v0";
    let new = ask(&mut store, "UpdateItem", update(how, "attribute_exists(#n0)", values));
    let wanted = json!({ "Attributes": { "id": { "N": "1" }, "sold": { "N": "7" } } });
    assert_eq!(new, Ok(wanted), "a set without words is no attribute");
}

#[test]
fn a_condition_that_does_not_hold_changes_nothing_and_shows_the_item() {
    let mut store = wares();
    let values = || json!({ ":v0": { "N": "2" } });
    let absent = ask(&mut store, "UpdateItem", update("SET #n0 = :v0", "#n0 < :v0", values()));
    assert_eq!(absent, Err(("ConditionalCheckFailedException", None)));
    assert_eq!(ask(&mut store, "PutItem", put(1, 5)), Ok(json!({})));
    let when = "attribute_not_exists(#n0) OR (#n0 < :v0 AND attribute_exists(#n0))";
    let failed = ask(&mut store, "UpdateItem", update("SET #n0 = :v0", when, values()));
    let (kind, item) = failed.expect_err("5 is not below 2");
    assert_eq!(kind, "ConditionalCheckFailedException");
    assert_eq!(json!(item), json!({ "id": { "N": "1" }, "sold": { "N": "5" } }));
    let counts = store.counts();
    assert_eq!((counts.requests["UpdateItem"], counts.requests["PutItem"]), (2, 1));
    assert_eq!((counts.failed["wares"], counts.writes["wares"]), (2, 1));
}

#[test]
fn conditions_bind_as_in_dynamodb() {
    let mut store = wares();
    assert_eq!(ask(&mut store, "PutItem", put(1, 5)), Ok(json!({})));
    for (when, holds) in [
        ("#n0 = :five", true),
        ("#n0 = :exact", true),
        ("#n0 <> :five", false),
        ("#n0 > :exact", false),
        ("#n0 = :text", false),
        ("#n0 < :text", false),
        ("#n1 <> :five", true),
        ("#n1 >= :five", false),
        ("NOT #n0 = :text", true),
        ("#n0 = :five OR #n0 = :text AND #n0 = :text", true),
        ("(#n0 = :five OR #n0 = :text) AND #n0 = :text", false),
        ("#n0 < :more", true),
        ("#n0 <= :five AND #n0 >= :five", true),
    ] {
        let values = json!({
            ":five": { "N": "5" }, ":exact": { "N": "5.00" }, ":text": { "S": "5" }, ":more": { "N": "10.5" },
        });
        let done = ask(&mut store, "UpdateItem", update("SET #n0 = :five", when, values));
        assert_eq!(done.is_ok(), holds, "{when}");
    }
}

#[test]
fn what_is_wrong_or_not_known_is_refused() {
    let mut store = wares();
    let five = || json!({ ":v0": { "N": "5" }, ":v1": { "S": "x" } });
    for how in [
        "SET #n0 = #n0 + :v0",
        "SET #n0 =",
        "SET #n9 = :v0",
        "SET #n0 = :v9",
        "ADD #n0 :v1",
        "#n0 = :v0",
    ] {
        let done = ask(&mut store, "UpdateItem", update(how, "attribute_not_exists(#n1)", five()));
        assert_eq!(done, Err(("ValidationException", None)), "{how}");
    }
    let mut odd = put(1, 5);
    odd["ConditionalOperator"] = json!("AND");
    assert_eq!(ask(&mut store, "PutItem", odd), Err(("ValidationException", None)));
    let elsewhere = json!({ "TableName": "bins", "Item": {} });
    assert_eq!(ask(&mut store, "PutItem", elsewhere), Err(("ResourceNotFoundException", None)));
    let keyless = json!({ "TableName": "wares", "Item": { "sold": { "N": "1" } } });
    assert_eq!(ask(&mut store, "PutItem", keyless), Err(("ValidationException", None)));
    let unknown = ask(&mut store, "BatchWriteItem", json!({}));
    assert_eq!(unknown, Err(("UnknownOperationException", None)));
    let mut large = put(1, 5);
    large["Item"]["text"] = json!({ "S": "x".repeat(ITEM_BYTES_MAX) });
    assert_eq!(ask(&mut store, "PutItem", large), Err(("ValidationException", None)));
    assert_eq!(store.items("wares").count(), 0, "nothing of it was written");
}

#[test]
fn equal_numbers_are_one_text() {
    for (text, said) in
        [("1.50", "1.5"), ("007", "7"), ("-0", "0"), ("1e3", "1000"), ("0.0", "0"), ("+5", "5")]
    {
        let number: Attribute = serde_json::from_value(json!({ "N": text })).expect("a number");
        assert_eq!(json!(number), json!({ "N": said }), "{text}");
    }
}
