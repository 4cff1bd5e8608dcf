//! The three services' handlers, and the shop's names that they read by.
//!
//! All three keep the last row they applied for each primary key and work from that row to the new one. Absent on
//! purpose: anything computed from `before` (of a delete's `before` only the key columns are looked at, and only
//! when the record has no key), clocks, I/O, and writes that a row equal to the last one would ask for.
//!
//! # A handler of one's own
//!
//! Customers per country, complete:
//!
//! ```
//! use bigdecimal::BigDecimal;
//! use consumers::handler::{Handler, Keys, Reject, Step, plus};
//! use consumers::source_table::{SourceTable, SourceType};
//! use debezium::{Change, Field};
//! use sinks::{Cell, Column, Key, Kind, Merge, Type, View};
//!
//! struct Countries;
//! /// A customer, and the country they count in now: none if deleted, or null.
//! type Fact = (i64, Option<String>);
//!
//! impl Handler for Countries {
//!     type Fact = Fact;
//!     fn tables(&self) -> Vec<SourceTable> {
//!         let customers = SourceTable::new("customers", 'c');
//!         vec![customers.key("id", SourceType::Int).column("country", SourceType::Text)]
//!     }
//!     fn views(&self) -> Vec<View> {
//!         let kind = Kind::Totals { merge: &[Merge::Sum], finish: |total| total.to_vec() };
//!         let key = const { &[Column::new("country", Type::Text)] };
//!         let columns = const { &[Column::new("customers", Type::Decimal)] };
//!         vec![View { name: "customers_by_country", key, columns, kind }]
//!     }
//!     fn fingerprint(&self) -> String { "countries rules 1".into() }
//!     fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
//!         let key = change.key.as_ref().ok_or(Reject("customers.id: no record key".into()))?;
//!         let [id] = key.fields(["id"])?;
//!         let Some(row) = &change.after else { return Ok(Some((id.int()?, None))) };
//!         let [country] = row.fields(["country"])?;
//!         Ok(Some((id.int()?, country.nullable(Field::text)?.map(String::from))))
//!     }
//!     fn needs(&self, (id, country): &Fact, keys: &mut Keys) {
//!         keys.row(format!("c/{id}"));
//!         country.iter().for_each(|to| keys.share("customers_by_country", &[to.as_str().into()]));
//!     }
//!     fn follow(&self, key: &[u8], row: &[u8], keys: &mut Keys) {
//!         if let (true, Ok(from)) = (key.starts_with(b"c/"), serde_json::from_slice::<String>(row)) {
//!             keys.share("customers_by_country", &[from.into()]); // counted there until now
//!         }
//!     }
//!     fn apply(&self, (id, to): Fact, step: &mut Step<'_>) {
//!         let at = format!("c/{id}");
//!         let from: Option<String> = step.row(at.as_bytes());
//!         if from == to {
//!             return;
//!         }
//!         for (country, more) in [(from, -1), (to.clone(), 1)] {
//!             let Some(key) = country.map(|country| vec![Cell::from(country)]) else { continue };
//!             let share = step.share("customers_by_country", &key);
//!             let count = plus(share.first(), &BigDecimal::from(more));
//!             let share = if count.is_zero() { vec![] } else { vec![count] };
//!             step.set_share("customers_by_country", key, share);
//!         }
//!         if let Some(to) = to { step.keep(at, &to) } else { step.drop_row(at) }
//!     }
//!     fn truncated(&self, table: &str) -> Option<Key> {
//!         (table == "customers").then(|| b"c/".to_vec())
//!     }
//!     fn gone(&self, key: &[u8]) -> Option<Fact> {
//!         Some((std::str::from_utf8(key.strip_prefix(b"c/")?).ok()?.parse().ok()?, None))
//!     }
//! }
//! # use consumers::handler::Rows;
//! # let (mut rows, mut writes) = (Rows::default(), vec![]);
//! # let mut keys = Keys::default();
//! # Countries.needs(&(7, Some("FI".into())), &mut keys);
//! # keys.iter().for_each(|key| rows.learn(key.clone(), None));
//! # Countries.apply((7, Some("FI".into())), &mut Step::new(&mut rows, &mut writes, 0, 0));
//! # Countries.apply((7, Some("FI".into())), &mut Step::new(&mut rows, &mut writes, 1, 0));
//! # assert_eq!(rows.take_fault(), None);
//! # assert_eq!(writes.len(), 1, "a repeat asks for nothing");
//! # assert_eq!(writes[0].op, sinks::Op::Share(vec![Cell::Decimal(1.into())]));
//! # Countries.apply(Countries.gone(b"c/7").unwrap(), &mut Step::new(&mut rows, &mut writes, 2, 0));
//! # assert_eq!(writes[1].op, sinks::Op::Share(vec![]));
//! ```
#![deny(clippy::disallowed_methods)]

pub mod analytics;
pub(crate) mod canonical;
mod fields;
pub mod inventory;
pub mod search;
#[cfg(test)]
mod tests;

use crate::source_table::{SourceTable, SourceType};
use serde::{Deserialize, Serialize};

pub use analytics::Analytics;
pub use inventory::Inventory;
pub use search::Search;

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
