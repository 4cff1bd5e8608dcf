//! Find products.
//!
//! ```sql
//! select id, name, description, price, category from products                  -- product_search_index
//! -- product_search_tokens: one row for each word of name and description
//! ```
//!
//! Words are those of Unicode (UAX #29), lower case, each once a product. Words of more than [`TOKEN_BYTES_MAX`] bytes
//! are left out: nobody types them, and no sink takes them as a key. A text that was not sent because it did not change
//! (TOAST) keeps its last value; where none is known it is null, never the placeholder.
//!
//! State rows: `p/<id>` the product as last applied. The row is written when it differs from that, words when they
//! come or go; so a second snapshot writes nothing.
//!
//! Bounds: a text and its words take at most their part of an item (name 1/4, description 1/2, category 1/8), each
//! judged alone, so that whether a record is rejected depends on the record alone even when a text is not sent.
use super::{Limits, Products, canonical, fields};
use crate::handler::{Handler, Keys, Reject, Step};
use crate::source_table::{SourceTable, SourceType};
use bigdecimal::BigDecimal;
use debezium::{Change, Kept};
use fields::Name;
use serde::{Deserialize, Serialize};
use sinks::{Cell, Column, Index, IndexKey, Key, Type, View};
use std::collections::BTreeSet;
use unicode_segmentation::UnicodeSegmentation;

pub const INDEX: &str = "product_search_index";
pub const TOKENS: &str = "product_search_tokens";
pub const TOKEN_BYTES_MAX: usize = 1_024;
/// Another number when the same record is read or cut into words otherwise than before.
const RULES: u32 = 1;
const PRODUCT: char = 'p';
/// What a set takes for each element beside its bytes, about.
const TOKEN_BYTES_EXTRA: usize = 3;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub products: Products,
    pub limits: Limits,
}

pub struct Search {
    settings: Settings,
    formats: String,
}
impl Search {
    /// `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
    pub fn new(settings: Settings, formats: &str) -> Self {
        Self { settings, formats: formats.to_owned() }
    }
}

/// The table that the views are made of.
pub(crate) fn tables(products: &Products) -> Vec<SourceTable> {
    use SourceType::{Decimal, Text};
    let table = products
        .declared('p')
        .column_named("name", &products.name, Text)
        .column_named("description", &products.description, Text)
        .column_named("price", &products.price, Decimal)
        .column_named("category", &products.category, Text);
    vec![table]
}

#[derive(Debug, Clone)]
pub struct Fact {
    pub id: i64,
    /// `None`: deleted.
    pub row: Option<Product>,
}
#[derive(Debug, Clone)]
pub struct Product {
    pub name: Kept<Option<String>>,
    pub description: Kept<Option<String>>,
    pub price: Option<BigDecimal>,
    pub category: Kept<Option<String>>,
}

/// A product as last applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: Option<String>,
    description: Option<String>,
    price: Cell,
    category: Option<String>,
}
impl Known {
    fn new(row: Product, old: Option<&Known>) -> Self {
        Self {
            name: fields::onto(row.name, || old?.name.clone()),
            description: fields::onto(row.description, || old?.description.clone()),
            price: row.price.into(),
            category: fields::onto(row.category, || old?.category.clone()),
        }
    }
    fn tokens(&self) -> BTreeSet<String> {
        let texts = [&self.name, &self.description];
        texts.into_iter().flatten().flat_map(|text| words(text)).collect()
    }
    fn shown(self, tokens: BTreeSet<String>) -> Vec<Cell> {
        vec![
            self.name.into(),
            self.description.into(),
            self.price,
            self.category.into(),
            Cell::Words(tokens),
        ]
    }
}

/// What the index shows of a product's state row.
pub fn shown(row: &[u8]) -> Option<Vec<Cell>> {
    let known: Known = serde_json::from_slice(row).ok()?;
    let tokens = known.tokens();
    Some(known.shown(tokens))
}

/// The words of a text, as they are looked up.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(str::to_lowercase).filter(|word| word.len() <= TOKEN_BYTES_MAX)
}

impl Handler for Search {
    type Fact = Fact;

    fn tables(&self) -> Vec<SourceTable> {
        tables(&self.settings.products)
    }

    fn views(&self) -> Vec<View> {
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
        let index = View::rows(INDEX, &[ID], COLUMNS).indexed(INDEXES);
        let tokens = View::rows(TOKENS, const { &[Column::new("token", Type::Text), ID] }, &[]);
        vec![index, tokens]
    }

    fn fingerprint(&self) -> String {
        let unicode = unicode_segmentation::UNICODE_VERSION;
        canonical::of_search(RULES, unicode, &self.settings, &self.formats)
    }

    fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
        let Settings { products: at, limits } = &self.settings;
        if change.source.table != at.table {
            return Ok(None);
        }
        let id = fields::primary_key(change, &at.id)?;
        let Some(row) = fields::after(change)? else {
            return Ok(Some(Fact { id, row: None }));
        };
        let [name, description, price, category] =
            row.fields([&at.name, &at.description, &at.price, &at.category])?;
        let item = limits.item_bytes_max;
        let of = |column| Name(&at.table, column);
        let row = Product {
            name: fields::text(&name, &of(&at.name), item / 4)?,
            description: fields::text(&description, &of(&at.description), item / 2)?,
            price: fields::decimal(&price, &of(&at.price), limits)?,
            category: fields::text(&category, &of(&at.category), item / 8)?,
        };
        fits(&row.name, &of(&at.name), item / 4)?;
        fits(&row.description, &of(&at.description), item / 2)?;
        fits_key(&row.name, &of(&at.name), limits.key_bytes_max)?;
        Ok(Some(Fact { id, row: Some(row) }))
    }

    fn needs(&self, fact: &Fact, keys: &mut Keys) {
        keys.row(fields::row_key(PRODUCT, fact.id));
    }

    fn apply(&self, fact: Fact, step: &mut Step<'_>) {
        let at = fields::row_key(PRODUCT, fact.id);
        let old: Option<Known> = step.row(&at);
        let new = fact.row.map(|row| Known::new(row, old.as_ref()));
        if new == old {
            return;
        }
        match &new {
            Some(row) => step.keep(at, row),
            None => step.drop_row(at),
        }
        let before = old.as_ref().map(Known::tokens).unwrap_or_default();
        let now = new.as_ref().map(Known::tokens).unwrap_or_default();
        let id = Cell::Int(fact.id);
        for token in before.difference(&now) {
            step.delete(TOKENS, vec![token.as_str().into(), id.clone()]);
        }
        for token in now.difference(&before) {
            step.put(TOKENS, vec![token.as_str().into(), id.clone()], vec![]);
        }
        match new {
            Some(row) => step.put(INDEX, vec![id], row.shown(now)),
            None => step.delete(INDEX, vec![id]),
        }
    }

    fn truncated(&self, table: &str) -> Option<Key> {
        (table == self.settings.products.table).then(|| fields::row_prefix(PRODUCT))
    }

    fn gone(&self, key: &[u8]) -> Option<Fact> {
        Some(Fact { id: fields::row_id(PRODUCT, key)?, row: None })
    }
}

/// A text with its words must fit its part of the item.
fn fits(text: &Kept<Option<String>>, name: &Name<'_>, bytes_max: usize) -> Result<(), Reject> {
    let Kept::New(Some(text)) = text else { return Ok(()) };
    // Lower case is at most three times as long, and words of one letter cost four times their letter.
    if text.len().saturating_mul(8) <= bytes_max {
        return Ok(());
    }
    let words: BTreeSet<String> = words(text).collect();
    let bytes = words.iter().map(|word| word.len() + TOKEN_BYTES_EXTRA).sum::<usize>() + text.len();
    if bytes > bytes_max {
        let why = format_args!(
            "too large: with its {} words it takes {bytes} bytes, the view holds {bytes_max}; shorten it at the source",
            words.len()
        )
        .to_string();
        return Err(name.reject(why));
    }
    Ok(())
}

/// The name in lower case is an index's key.
fn fits_key(text: &Kept<Option<String>>, name: &Name<'_>, bytes_max: usize) -> Result<(), Reject> {
    match text {
        Kept::New(Some(text)) if text.to_lowercase().len() > bytes_max => {
            Err(name.reject(format_args!(
                "too large: an index's key holds {bytes_max} bytes; shorten it at the source"
            )))
        }
        _ => Ok(()),
    }
}
