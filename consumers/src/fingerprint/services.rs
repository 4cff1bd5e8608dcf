//! The rules and settings of each handler that shape its effects, as canonical text ([`sinks::canonical`]): what a state
//! is bound to. Each setting is named explicitly, as people know it, so that code can be renamed without halting a
//! deployed service; only what shapes effects is named, and what is not set is left out.
use crate::handlers::{Limits, OrderItems, Orders, Products, analytics, inventory, search};
use sinks::canonical::Text;

/// `rules`: of the handler, as everywhere below.
pub(crate) fn of_inventory(rules: u32, settings: &inventory::Settings, formats: &str) -> String {
    let inventory::Settings { products, order_items, low_below, stock_mode, limits } = settings;
    let Products { table, id, name, price, stock_quantity, .. } = products;
    let columns =
        [("id", id), ("name", name), ("price", price), ("stock_quantity", stock_quantity)];
    let text = Text::new(&format!("inventory rules {rules}"));
    let text = of_table(text, PRODUCTS, table, &columns);
    let OrderItems { table, id, product_id, quantity, .. } = order_items;
    let columns = [("id", id), ("product_id", product_id), ("quantity", quantity)];
    let text = of_table(text, ORDER_ITEMS, table, &columns)
        .with("low_stock_threshold", low_below)
        .with("stock_mode", stock_mode.as_str());
    let Limits { item_bytes_max, digits_max, .. } = limits;
    let text = text.with(ITEM_BYTES, item_bytes_max).with(DIGITS, digits_max);
    decoded_by(text, formats)
}

pub(crate) fn of_analytics(rules: u32, settings: &analytics::Settings, formats: &str) -> String {
    let analytics::Settings { orders, order_items, limits } = settings;
    let Orders { table, id, customer_id, status, total, created_at } = orders;
    let columns = [
        ("id", id),
        ("customer_id", customer_id),
        ("status", status),
        ("total", total),
        ("created_at", created_at),
    ];
    let text = Text::new(&format!("analytics rules {rules}"));
    let text = of_table(text, ORDERS, table, &columns);
    let OrderItems { table, id, product_id, quantity, unit_price } = order_items;
    let columns = [
        ("id", id),
        ("product_id", product_id),
        ("quantity", quantity),
        ("unit_price", unit_price),
    ];
    let text = of_table(text, ORDER_ITEMS, table, &columns);
    let Limits { key_bytes_max, digits_max, .. } = limits;
    decoded_by(text.with(KEY_BYTES, key_bytes_max).with(DIGITS, digits_max), formats)
}

/// `unicode`: the version by which words are told.
pub(crate) fn of_search(
    rules: u32,
    unicode: (u64, u64, u64),
    settings: &search::Settings,
    formats: &str,
) -> String {
    let search::Settings { products, limits } = settings;
    let Products { table, id, name, description, price, category, stock_quantity: _ } = products;
    let columns = [
        ("id", id),
        ("name", name),
        ("description", description),
        ("price", price),
        ("category", category),
    ];
    let (major, minor, patch) = unicode;
    let text = Text::new(&format!("search rules {rules}"))
        .with("words_of_unicode", format!("{major}.{minor}.{patch}"));
    let text = of_table(text, PRODUCTS, table, &columns);
    let Limits { item_bytes_max, key_bytes_max, digits_max } = limits;
    let text = text.with(ITEM_BYTES, item_bytes_max).with(KEY_BYTES, key_bytes_max);
    decoded_by(text.with(DIGITS, digits_max), formats)
}

const PRODUCTS: [&str; 2] = ["products_table", "products_columns"];
const ORDERS: [&str; 2] = ["orders_table", "orders_columns"];
const ORDER_ITEMS: [&str; 2] = ["order_items_table", "order_items_columns"];
const ITEM_BYTES: &str = "limits.item_bytes_max";
const KEY_BYTES: &str = "limits.key_bytes_max";
const DIGITS: &str = "limits.digits_max";

fn of_table(
    text: Text,
    [table_name, columns_name]: [&str; 2],
    table: &str,
    columns: &[(&str, &String)],
) -> Text {
    let text = text.with(table_name, table);
    let one = |text: Text, (ours, yours): &(&str, &String)| {
        text.with(&format!("{columns_name}.{ours}"), yours)
    };
    columns.iter().fold(text, one)
}

/// How values are read where no schema says it. The last that a handler names; nothing where nothing is set.
fn decoded_by(text: Text, formats: &str) -> String {
    text.with_set("column_formats", formats).finish()
}
