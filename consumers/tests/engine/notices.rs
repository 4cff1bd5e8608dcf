//! What records show of the connector's settings is said, once.
use super::bounds;
use consumers::{
    engine::{Action, Engine, Event, OpenedPartition},
    handlers::inventory,
    policy::Policy,
    source::{Headers, Record},
};
use debezium::Decoder;
use serde_json::{Value, json};
use sinks::{Partition, Receipt};

/// A product of a connector whose schema has a default for two nullable columns, one of which nobody reads.
fn product(stock: &Value) -> String {
    let columns = json!([
        {"type": "int32", "optional": false, "field": "id"},
        {"type": "string", "optional": true, "field": "name"},
        {"type": "double", "optional": true, "field": "price"},
        {"type": "int32", "optional": true, "default": 0, "field": "stock_quantity"},
        {"type": "int32", "optional": true, "default": 0, "field": "unread"},
    ]);
    let schema = json!({"type": "struct", "fields": [{"type": "struct", "fields": columns, "field": "after"}]});
    let after =
        json!({"id": 1, "name": "Lamp", "price": 1.5, "stock_quantity": stock, "unread": 0});
    let source = json!({"connector": "postgresql", "ts_ms": 5, "db": "shop", "schema": "public", "table": "products"});
    let payload = json!({"before": null, "after": after, "source": source, "op": "c", "ts_ms": 6});
    format!("{{\"schema\":{schema},\"payload\":{payload}}}")
}

/// The warnings that come of these products' stocks, in this order; each with the offset of its record.
fn warnings(stocks: &[Value]) -> Vec<String> {
    let partition = Partition::new("shop.public.products", 0);
    let handler = inventory::handler(&inventory::Settings::default(), "");
    let mut engine = Engine::new(handler, Decoder::default(), Policy::default());
    engine.handle(0, Event::Assigned(partition.clone()));
    let opened = OpenedPartition { checkpoint: None, bounds: bounds(0, 0, 1), start: None };
    while let Some(action) = engine.poll() {
        match action {
            Action::Open(ticket) => engine.handle(0, Event::Opened(ticket, Ok(opened.clone()))),
            Action::Commit(ticket, ..) => {
                engine.handle(0, Event::Committed(ticket, Ok(Receipt::default())));
            }
            _ => {}
        }
    }
    for (offset, stock) in (0..).zip(stocks) {
        let value = product(stock);
        let record = Record {
            partition: &partition,
            offset,
            timestamp_ms: 1,
            key: Some(br#"{"id":1}"#),
            value: Some(value.as_bytes()),
            headers: Headers(&()),
        };
        engine.handle(1, Event::Record(record));
    }
    let warning = |action| match action {
        Action::Warn(text) => Some(text),
        _ => None,
    };
    std::iter::from_fn(|| engine.poll()).filter_map(warning).collect()
}

#[test]
fn what_the_connector_may_have_altered_is_said_once_for_each_column() {
    let said = warnings(&[json!(7), json!(0), json!(0), json!(null)]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(
        said[0].contains("shop.public.products/0, offset 0: products.price is sent as a floating"),
        "{said:#?}"
    );
    let null = "offset 1: products.stock_quantity may be NULL and has a default";
    assert!(
        said[1].contains(null) && said[1].contains("replace.null.with.default=false"),
        "{said:#?}"
    );
}

#[test]
fn a_null_that_is_sent_shows_that_no_default_stands_for_it() {
    let said = warnings(&[json!(null), json!(0)]);
    assert!(said.len() == 1 && said[0].contains("products.price"), "{said:#?}");
}
