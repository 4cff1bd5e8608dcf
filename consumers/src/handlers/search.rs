//! Find products.
//!
//! ```sql
//! select id, name, description, price, category from products                  -- product_search_index
//! -- product_search_tokens: one row for each word of name and description
//! ```
//!
//! Words are those of Unicode (UAX #29), lower case, each once a product. Words of more than [`sinks::WORD_BYTES_MAX`] bytes
//! are left out: nobody types them, and no sink takes them as a key. A text that was not sent because it did not change
//! (TOAST) keeps its last value; where none is known it is null, never the placeholder.
//!
//! Bounds: a text and its words take at most their part of an item (name 1/4, description 1/2, category 1/8), each
//! judged alone, so that whether a record is rejected depends on the record alone even when a text is not sent.
use super::{Limits, Products};
use crate::{
    fingerprint::services,
    plan_handler::{Bound, PlanHandler, Table},
    source_table::{SourceTable, SourceType},
};
use serde::{Deserialize, Serialize};
use sinks::{
    Column, Condition, Expr, Index, IndexKey, Plan, Type, UNICODE_VERSION, View, plan::Own,
};

pub const INDEX: &str = "product_search_index";
pub const TOKENS: &str = "product_search_tokens";
/// Another number when the same record is read, cut into words or stored otherwise than before.
const RULES: u32 = 2;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub products: Products,
    pub limits: Limits,
}

/// The handler. `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
pub fn handler(settings: &Settings, formats: &str) -> PlanHandler {
    let fingerprint = services::of_search(RULES, UNICODE_VERSION, settings, formats);
    let [products] = tables(&settings.products);
    PlanHandler::new(vec![bounded(products, &settings.limits)], plans(), fingerprint)
}

/// The table that the views are made of.
pub(crate) fn tables(products: &Products) -> [SourceTable; 1] {
    use SourceType::{Decimal, Text};
    let table = products
        .declared('p')
        .column_named("name", &products.name, Text)
        .column_named("description", &products.description, Text)
        .column_named("price", &products.price, Decimal)
        .column_named("category", &products.category, Text);
    [table]
}

fn bounded(table: SourceTable, limits: &Limits) -> Table {
    let item = limits.item_bytes_max;
    Table::new(table)
        .bound("name", Bound::Bytes(item / 4))
        .bound("name", Bound::BytesWithWords(item / 4))
        .bound("name", Bound::LowerBytes(limits.key_bytes_max))
        .bound("description", Bound::Bytes(item / 2))
        .bound("description", Bound::BytesWithWords(item / 2))
        .bound("price", Bound::Digits(limits.digits_max))
        .bound("category", Bound::Bytes(item / 8))
}

fn plans() -> Vec<Plan> {
    const ID: Column = Column::new("product_id", Type::Int);
    const COLUMNS: &[Column] = &[
        Column::new("name", Type::Text),
        Column::new("description", Type::Text),
        Column::new("price", Type::Decimal),
        Column::new("category", Type::Text),
        Column::new("search_tokens", Type::Words),
    ];
    const INDEXES: &[Index] = &[
        Index {
            name: "name-index",
            key: &[IndexKey::Lower { name: "name_lower", of: "name" }],
            shows: &["name", "description", "price", "category"],
        },
        Index {
            name: "price-index",
            key: &[IndexKey::Same { name: "catalog", text: "all" }, IndexKey::Column("price")],
            shows: &["name", "description", "category"],
        },
    ];
    let [name, description, price, category] = [0, 1, 2, 3].map(Expr::Own);
    let words = Expr::Words(vec![name.clone(), description.clone()]);
    let index = Own {
        table: 0,
        filter: Condition::Always,
        each: None,
        key: vec![Expr::Key(0)],
        columns: vec![name, description, price, category, words.clone()],
    };
    let tokens = Own {
        table: 0,
        filter: Condition::Always,
        each: Some(words),
        // The word stands behind the four columns.
        key: vec![Expr::Own(4), Expr::Key(0)],
        columns: vec![],
    };
    let index_view = View::rows(INDEX, &[ID], COLUMNS).indexed(INDEXES);
    let tokens_view = View::rows(TOKENS, const { &[Column::new("token", Type::Text), ID] }, &[]);
    vec![Plan::of_rows(index_view, index), Plan::of_rows(tokens_view, tokens)]
}
