//! The three services' views as plans, and the shop's names that they read by. What runs them is
//! [`crate::plan_handler`].
//!
//! Views of one's own, declared as these are, complete and running, are in `consumers/examples/plan.rs`; a handler that is
//! written by hand is in `consumers/examples/handler.rs`.
#![deny(clippy::disallowed_methods)]

pub mod analytics;
pub mod inventory;
pub mod search;
#[cfg(test)]
pub(crate) mod tests;

use crate::source_table::{SourceTable, SourceType};
use serde::{Deserialize, Serialize};

/// The table of products and its columns, as the source names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Products {
    pub table: String,
    pub id: String,
    pub name: String,
    pub description: String,
    pub price: String,
    pub stock_quantity: String,
    pub category: String,
}
impl Products {
    /// The table as a handler declares it, with its key; the handler adds the columns that it reads.
    fn declared(&self, tag: char) -> SourceTable {
        let table = SourceTable::new("products", tag).named(&self.table);
        table.key_named("id", &self.id, SourceType::Int)
    }
}
impl Default for Products {
    fn default() -> Self {
        Self {
            table: "products".into(),
            id: "id".into(),
            name: "name".into(),
            description: "description".into(),
            price: "price".into(),
            stock_quantity: "stock_quantity".into(),
            category: "category".into(),
        }
    }
}

/// The table of orders and its columns, as the source names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    pub table: String,
    pub id: String,
    pub customer_id: String,
    pub status: String,
    pub total: String,
    pub created_at: String,
}
impl Orders {
    /// The table as a handler declares it, with its key; the handler adds the columns that it reads.
    fn declared(&self, tag: char) -> SourceTable {
        let table = SourceTable::new("orders", tag).named(&self.table);
        table.key_named("id", &self.id, SourceType::Int)
    }
}
impl Default for Orders {
    fn default() -> Self {
        Self {
            table: "orders".into(),
            id: "id".into(),
            customer_id: "customer_id".into(),
            status: "status".into(),
            total: "total".into(),
            created_at: "created_at".into(),
        }
    }
}

/// The table of order lines and its columns, as the source names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderItems {
    pub table: String,
    pub id: String,
    pub product_id: String,
    pub quantity: String,
    pub unit_price: String,
}
impl OrderItems {
    /// The table as a handler declares it, with its key; the handler adds the columns that it reads.
    fn declared(&self, tag: char) -> SourceTable {
        let table = SourceTable::new("order_items", tag).named(&self.table);
        table.key_named("id", &self.id, SourceType::Int)
    }
}
impl Default for OrderItems {
    fn default() -> Self {
        Self {
            table: "order_items".into(),
            id: "id".into(),
            product_id: "product_id".into(),
            quantity: "quantity".into(),
            unit_price: "unit_price".into(),
        }
    }
}

/// What the sink can hold. Whatever is beyond it is found in `read`, before anything is written; the defaults are
/// DynamoDB's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A whole item: the texts of a row share it out among them.
    pub item_bytes_max: usize,
    /// A text that a table or an index is keyed by.
    pub key_bytes_max: usize,
    /// Significant digits of a decimal.
    pub digits_max: u64,
}
impl Default for Limits {
    fn default() -> Self {
        Self { item_bytes_max: 400 << 10, key_bytes_max: 2_048, digits_max: 38 }
    }
}
