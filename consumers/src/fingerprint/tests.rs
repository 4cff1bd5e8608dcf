use super::*;
use crate::handler::Handler;
use crate::handlers::{
    Analytics, Inventory, Limits, OrderItems, Products, Search,
    canonical::of_inventory,
    inventory::{self, StockMode},
};
use proptest::prelude::*;

const FORMATS: &str =
    "orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text";

/// Texts that versions before canonical ones left in states, as they wrote them, and today's of the same settings.
/// Stored: never to be changed, whatever is renamed.
const INVENTORY: [&str; 2] = [
    r#"inventory rules 1; Settings { products: Products { table: "products", id: "id", name: "name", description: "description", price: "price", stock_quantity: "stock_quantity", category: "category" }, order_items: OrderItems { table: "order_items", id: "id", product_id: "product_id", quantity: "quantity", unit_price: "unit_price" }, low_below: 10, stock_mode: Derived, limits: Limits { item_bytes_max: 409600, key_bytes_max: 2048, digits_max: 38 } }; formats orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text"#,
    "inventory rules 1; products_table=products; products_columns.id=id; products_columns.name=name; products_columns.price=price; products_columns.stock_quantity=stock_quantity; order_items_table=order_items; order_items_columns.id=id; order_items_columns.product_id=product_id; order_items_columns.quantity=quantity; low_stock_threshold=10; stock_mode=derived; limits.item_bytes_max=409600; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text",
];
const ANALYTICS: [&str; 2] = [
    r#"analytics rules 1; Settings { orders: Orders { table: "orders", id: "id", customer_id: "customer_id", status: "status", total: "total", created_at: "created_at" }, order_items: OrderItems { table: "order_items", id: "id", product_id: "product_id", quantity: "quantity", unit_price: "unit_price" }, limits: Limits { item_bytes_max: 409600, key_bytes_max: 2048, digits_max: 38 } }; formats orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text"#,
    "analytics rules 1; orders_table=orders; orders_columns.id=id; orders_columns.customer_id=customer_id; orders_columns.status=status; orders_columns.total=total; orders_columns.created_at=created_at; order_items_table=order_items; order_items_columns.id=id; order_items_columns.product_id=product_id; order_items_columns.quantity=quantity; order_items_columns.unit_price=unit_price; limits.key_bytes_max=2048; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text",
];
const SEARCH: [&str; 2] = [
    r#"search rules 1; words of Unicode (17, 0, 0); Settings { products: Products { table: "products", id: "id", name: "name", description: "description", price: "price", stock_quantity: "stock_quantity", category: "category" }, limits: Limits { item_bytes_max: 409600, key_bytes_max: 2048, digits_max: 38 } }; formats orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text"#,
    "search rules 1; words_of_unicode=17.0.0; products_table=products; products_columns.id=id; products_columns.name=name; products_columns.description=description; products_columns.price=price; products_columns.category=category; limits.item_bytes_max=409600; limits.key_bytes_max=2048; limits.digits_max=38; column_formats=orders.created_at=micros,orders.total=decimal-text,products.price=decimal-text",
];

fn without_formats(text: &str) -> String {
    text.replace(FORMATS, "").replace("; column_formats=", "")
}

#[test]
fn each_services_text_is_this() {
    let inventory = |formats| Inventory::new(Default::default(), formats).fingerprint();
    let analytics = |formats| Analytics::new(Default::default(), formats).fingerprint();
    let search = |formats| Search::new(Default::default(), formats).fingerprint();
    assert_eq!(inventory(FORMATS), INVENTORY[1]);
    assert_eq!(analytics(FORMATS), ANALYTICS[1]);
    // Another version of Unicode cuts other words: a state of it is not gone on with.
    assert_eq!(search(FORMATS), SEARCH[1]);
    assert_eq!(inventory(""), without_formats(INVENTORY[1]), "what is not set is left out");
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
        let views = Inventory::new(settings, "").views();
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
fn what_earlier_versions_wrote_means_the_same_settings() {
    for [earlier, today] in [INVENTORY, ANALYTICS, SEARCH] {
        assert_eq!(difference(earlier, today), None);
        assert_eq!(difference(&without_formats(earlier), &without_formats(today)), None);
        assert_eq!(difference(today, today), None);
    }
    let [earlier, today] = INVENTORY.map(|text| text.to_owned());
    let (old, new) =
        (earlier + "; table inventory-realtime", today + "; dynamodb_table=inventory-realtime");
    assert_eq!(difference(&old, &new), None);
    let [earlier, today] = SEARCH.map(without_formats);
    let old = earlier + "; tables product-search-index product-search-tokens";
    let new = today.clone()
        + "; dynamodb_table=product-search-index; dynamodb_tokens_table=product-search-tokens";
    assert_eq!(difference(&old, &new), None);
    let said = "dynamodb_table: product-search-index became not set, \
                dynamodb_tokens_table: product-search-tokens became not set";
    assert_eq!(difference(&old, &today).as_deref(), Some(said));
}

#[test]
fn only_what_differs_is_said() {
    let [earlier, today] = INVENTORY;
    let five = today.replace("low_stock_threshold=10", "low_stock_threshold=5");
    let said = Some("low_stock_threshold: 10 became 5".to_owned());
    assert_eq!(difference(earlier, &five), said);
    assert_eq!(difference(today, &five), said);
    let two = five.replace("rules 1", "rules 2").replace("derived", "source");
    let said =
        "rules 1 became 2, low_stock_threshold: 10 became 5, stock_mode: derived became source";
    assert_eq!(difference(earlier, &two).as_deref(), Some(said));
    let said = format!("column_formats: {FORMATS} became not set");
    assert_eq!(difference(earlier, &without_formats(today)), Some(said));
    let later = format!("{today}; unavailable_value=x");
    assert_eq!(difference(earlier, &later).as_deref(), Some("unavailable_value: not set became x"));
}

/// What an effect does not depend on may change: the description of a product is no part of its stock.
#[test]
fn a_column_that_the_service_does_not_read_is_no_part_of_it() {
    let [earlier, today] = INVENTORY;
    let other = earlier.replace(r#"description: "description""#, r#"description: "words""#);
    assert_ne!(other, earlier);
    assert_eq!(difference(&other, today), None);
}

#[test]
fn what_no_earlier_version_wrote_is_not_taken_for_it() {
    let [earlier, today] = INVENTORY;
    for (part, other) in [
        ("stock_mode: Derived", "stock_mode: Other"),
        ("low_below: 10", "low_below: ten"),
        ("digits_max: 38 } }", "digits_max: 38 }"),
        ("category: \"category\"", "category: \"category"),
        (" }, low_below", ", more: \"x\" }, low_below"),
        ("; formats", "; shapes"),
        ("inventory rules", "stocks rules"),
    ] {
        let odd = earlier.replace(part, other);
        assert_ne!(odd, earlier);
        assert_eq!(earlier::meaning(&odd), None, "{part}");
        assert!(difference(&odd, today).is_some(), "{part}");
    }
    assert_eq!(earlier::meaning(today), None);
    assert_eq!(earlier::meaning(""), None);
}

#[test]
fn a_text_that_nobody_can_read_is_not_shown() {
    let said = difference(&INVENTORY[0].replace("Derived", "Other"), INVENTORY[1]).unwrap();
    assert!(said.len() < 100 && !said.contains("Settings"), "{said}");
}

/// As the code before canonical texts wrote it: history, whatever becomes of today's names.
fn earlier_inventory(settings: &inventory::Settings, formats: &str, table: Option<&str>) -> String {
    let inventory::Settings { products: p, order_items: i, low_below, stock_mode, limits } =
        settings;
    let mode = if *stock_mode == StockMode::Derived { "Derived" } else { "Source" };
    let target = table.map(|table| format!("; table {table}")).unwrap_or_default();
    format!(
        "inventory rules 1; Settings {{ products: Products {{ table: {:?}, id: {:?}, name: {:?}, description: {:?}, \
         price: {:?}, stock_quantity: {:?}, category: {:?} }}, order_items: OrderItems {{ table: {:?}, id: {:?}, \
         product_id: {:?}, quantity: {:?}, unit_price: {:?} }}, low_below: {low_below}, stock_mode: {mode}, limits: \
         Limits {{ item_bytes_max: {}, key_bytes_max: {}, digits_max: {} }} }}; formats {formats}{target}",
        p.table,
        p.id,
        p.name,
        p.description,
        p.price,
        p.stock_quantity,
        p.category,
        i.table,
        i.id,
        i.product_id,
        i.quantity,
        i.unit_price,
        limits.item_bytes_max,
        limits.key_bytes_max,
        limits.digits_max,
    )
}

proptest! {
    /// Names as bad as they come.
    #[test]
    fn an_earlier_text_means_exactly_its_settings(
        names in proptest::collection::vec("[a-c\"\\\\{},;= :\n\u{0}\u{301}ä]{0,5}|\\PC{0,3}", 12),
        low_below in any::<i64>(),
        source in any::<bool>(),
        formats in proptest::sample::select(vec!["", "a.b=iso", "a.b=decimal(2),c; table x.d=days"]),
        table in proptest::option::of("[a-zA-Z0-9_.-]{3,9}"),
    ) {
        let mut names = names.into_iter();
        let mut name = || names.next().unwrap_or_default();
        let settings = inventory::Settings {
            products: Products {
                table: name(), id: name(), name: name(), description: name(), price: name(), stock_quantity: name(),
                category: name(),
            },
            order_items: OrderItems {
                table: name(), id: name(), product_id: name(), quantity: name(), unit_price: name(),
            },
            low_below,
            stock_mode: if source { StockMode::Source } else { StockMode::Derived },
            limits: Limits::default(),
        };
        let target = table.as_ref().map(|table| format!("; dynamodb_table={table}")).unwrap_or_default();
        let today = of_inventory(1, &settings, formats) + &target;
        let earlier = earlier_inventory(&settings, formats, table.as_deref());
        prop_assert_eq!(earlier::meaning(&earlier), Some(today));
    }
}
