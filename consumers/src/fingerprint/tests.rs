//! What states are bound to.
use super::*;
use crate::{
    handler::Handler,
    handlers::{
        analytics,
        inventory::{self, StockMode},
        search,
    },
};

const FORMATS: &str =
    "orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text";

/// Stored: never to be changed, whatever is renamed.
const INVENTORY: &str = "inventory rules 2; products_table=products; products_columns.id=id; products_columns.name=name; products_columns.price=price; products_columns.stock_quantity=stock_quantity; order_items_table=order_items; order_items_columns.id=id; order_items_columns.product_id=product_id; order_items_columns.quantity=quantity; low_stock_threshold=10; stock_mode=derived; limits.item_bytes_max=409600; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text";
const ANALYTICS: &str = "analytics rules 2; orders_table=orders; orders_columns.id=id; orders_columns.customer_id=customer_id; orders_columns.status=status; orders_columns.total=total; orders_columns.created_at=created_at; order_items_table=order_items; order_items_columns.id=id; order_items_columns.product_id=product_id; order_items_columns.quantity=quantity; order_items_columns.unit_price=unit_price; limits.key_bytes_max=2048; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text";
const SEARCH: &str = "search rules 2; words_of_unicode=17.0.0; products_table=products; products_columns.id=id; products_columns.name=name; products_columns.description=description; products_columns.price=price; products_columns.category=category; limits.item_bytes_max=409600; limits.key_bytes_max=2048; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text";

fn without_formats(text: &str) -> String {
    text.replace(FORMATS, "").replace("; column_formats=", "")
}

#[test]
fn each_services_text_is_this() {
    let inventory =
        |formats| inventory::handler(&inventory::Settings::default(), formats).fingerprint();
    let analytics =
        |formats| analytics::handler(&analytics::Settings::default(), formats).fingerprint();
    let search = |formats| search::handler(&search::Settings::default(), formats).fingerprint();
    assert_eq!(inventory(FORMATS), INVENTORY);
    assert_eq!(analytics(FORMATS), ANALYTICS);
    // Another version of Unicode cuts other words: a state of it is not gone on with.
    assert_eq!(search(FORMATS), SEARCH);
    assert_eq!(inventory(""), without_formats(INVENTORY), "what is not set is left out");
}

/// What a store of tables binds the stock view to, beside its columns, today and in earlier versions. Stored: never to be
/// changed.
#[test]
fn the_stock_views_rules_are_this_text() {
    for (stock_mode, today, earlier) in [
        (StockMode::Derived, "stock; stock_mode=derived; low_stock_threshold=10", "stock Derived"),
        (StockMode::Source, "stock; stock_mode=source; low_stock_threshold=10", "stock Source"),
    ] {
        let settings = inventory::Settings { stock_mode, ..Default::default() };
        let views = inventory::handler(&settings, "").views();
        let rules = &views[0].rules;
        assert_eq!(rules.text.clone().finish(), today);
        let read = |text: &str| (rules.earlier)(text).map(|text| text.finish());
        assert_eq!(read(&format!("{earlier}, low below 10")).as_deref(), Some(today));
        let five = today.replace("=10", "=5");
        assert_eq!(read(&format!("{earlier}, low below 5")), Some(five));
        for other in [earlier, today, "stock Other, low below 10", "stock Derived, low below ten"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}

#[test]
fn only_what_differs_is_said() {
    assert_eq!(difference(INVENTORY, INVENTORY), None);
    let five = INVENTORY.replace("low_stock_threshold=10", "low_stock_threshold=5");
    let said = Some("low_stock_threshold: 10 became 5".to_owned());
    assert_eq!(difference(INVENTORY, &five), said);
    let three = five.replace("rules 2", "rules 3").replace("derived", "source");
    let said =
        "rules 2 became 3, low_stock_threshold: 10 became 5, stock_mode: derived became source";
    assert_eq!(difference(INVENTORY, &three).as_deref(), Some(said));
    let said = format!("column_formats: {FORMATS} became not set");
    assert_eq!(difference(INVENTORY, &without_formats(INVENTORY)), Some(said));
    let later = format!("{INVENTORY}; unavailable_value=x");
    let said = "unavailable_value: not set became x";
    assert_eq!(difference(INVENTORY, &later).as_deref(), Some(said));
}

/// States whose rows were stored otherwise: texts of the versions that did so, and the first of them wrote no settings.
#[test]
fn states_of_earlier_versions_are_told_apart() {
    let before = INVENTORY.replace("rules 2", "rules 1");
    assert_eq!(difference(&before, INVENTORY).as_deref(), Some("rules 1 became 2"));
    let first =
        r#"inventory rules 1; Settings { products: Products { table: "products" } }; formats "#;
    let said = difference(first, INVENTORY).expect("another text");
    assert!(said.len() < 100 && !said.contains("Settings"), "{said}");
}
