//! Stock now.
//!
//! ```sql
//! select p.id, p.name, p.price, p.stock_quantity as base_stock, coalesce(s.sold, 0) as sold,
//!        p.stock_quantity - coalesce(s.sold, 0) as stock_quantity
//! from products p
//! left join (select product_id, sum(quantity) as sold from order_items group by 1) s on s.product_id = p.id
//! where p.stock_quantity is not null
//! ```
//!
//! As in SQL, a null quantity adds nothing and a null `product_id` joins nothing. A product whose stock is null has
//! no row until it has one. Lines may come before their product, and outlive it: they count as soon as it is there.
//!
//! State rows: `p/<id>` the product's part as written, `i/<id>` what a line counts towards. A record writes a
//! product's share only if it changed it, so what is written is a function of the log alone.
use super::{Limits, OrderItems, Products, canonical, fields};
use crate::handler::{Handler, Keys, Reject, Step};
use crate::source_table::{SourceTable, SourceType};
use bigdecimal::BigDecimal;
use debezium::{Change, Kept};
use fields::Name;
use serde::{Deserialize, Serialize};
use sinks::{
    AlertWhen, Cell, Column, Condition, Expr, Index, IndexKey, Key, Merge, Rules, Type, View,
    canonical::Text,
};
use std::collections::BTreeMap;

pub const VIEW: &str = "inventory_realtime";
/// Another number when the same record is read or counted otherwise than before.
const RULES: u32 = 1;
const PRODUCT: char = 'p';
const ITEM: char = 'i';

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub products: Products,
    pub order_items: OrderItems,
    /// A product is low on stock below this.
    pub low_below: i64,
    pub stock_mode: StockMode,
    pub limits: Limits,
}
impl Default for Settings {
    fn default() -> Self {
        Self {
            products: Products::default(),
            order_items: OrderItems::default(),
            low_below: 10,
            stock_mode: StockMode::Derived,
            limits: Limits::default(),
        }
    }
}
/// What a product's stock is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StockMode {
    /// The base stock less what was sold.
    Derived,
    /// The base stock: the source lowers it by itself, and `sold` is information only.
    Source,
}
impl StockMode {
    /// As it is set, stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Derived => "derived",
            Self::Source => "source",
        }
    }
}

pub struct Inventory {
    settings: Settings,
    formats: String,
}
impl Inventory {
    /// `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
    pub fn new(settings: Settings, formats: &str) -> Self {
        Self { settings, formats: formats.to_owned() }
    }
}

/// A product as its partition says it, and the sum of what all partitions' lines sold.
fn view(mode: StockMode, low_below: i64) -> View {
    const NAME: Column = Column::new("name", Type::Text);
    const PRICE: Column = Column::new("price", Type::Decimal);
    const BASE_STOCK: Column = Column::new("base_stock", Type::Int);
    const SHOWN: &[Column] = &[
        NAME,
        PRICE,
        BASE_STOCK,
        Column::new("sold", Type::Int),
        Column::new("stock_quantity", Type::Int),
        Column::new("low_stock", Type::Int),
    ];
    const INDEXES: &[Index] = &[Index {
        name: "low-stock-index",
        key: &[IndexKey::Column("low_stock"), IndexKey::Column("stock_quantity")],
        shows: &["name", "price", "base_stock", "sold", "updated_at"],
    }];
    let [name, price, base_stock] = [0, 1, 2].map(Expr::Own);
    let sold = Expr::Total(0).or_zero();
    let stock = match mode {
        StockMode::Derived => base_stock.clone().minus(sold.clone()),
        StockMode::Source => base_stock.clone(),
    };
    let is_low = stock.clone().flag_below(low_below);
    let exists = Condition::Known(base_stock.clone());
    View::rows(
        VIEW,
        const { &[Column::new("product_id", Type::Int)] },
        const { &[NAME, PRICE, BASE_STOCK] },
    )
    .with_totals(&[Merge::Sum])
    .showing(SHOWN, vec![name, price, base_stock, sold, stock, is_low])
    .existing(exists)
    .alerting(AlertWhen { flag: "low_stock", value: "stock_quantity", table: "low_stock_alerts" })
    .indexed(INDEXES)
    .ruled(Rules { text: rules(mode, low_below), earlier: rules_of_earlier })
}

/// What files are bound to, beside key and columns: never to be changed.
fn rules(mode: StockMode, low_below: i64) -> Text {
    Text::new("stock").with("stock_mode", mode.as_str()).with("low_stock_threshold", low_below)
}
/// `stock Derived, low below 10`.
fn rules_of_earlier(text: &str) -> Option<Text> {
    let (mode, low_below) = text.strip_prefix("stock ")?.split_once(", low below ")?;
    let mode = match mode {
        "Derived" => StockMode::Derived,
        "Source" => StockMode::Source,
        _ => return None,
    };
    Some(rules(mode, low_below.parse().ok()?))
}

/// The tables that the view is made of.
pub(crate) fn tables(products: &Products, order_items: &OrderItems) -> Vec<SourceTable> {
    use SourceType::{Decimal, Int, Text};
    vec![
        products
            .declared('p')
            .column_named("name", &products.name, Text)
            .column_named("price", &products.price, Decimal)
            .column_named("stock_quantity", &products.stock_quantity, Int),
        order_items
            .declared('o')
            .column_named("product_id", &order_items.product_id, Int)
            .column_named("quantity", &order_items.quantity, Int),
    ]
}

#[derive(Debug, Clone)]
pub enum Fact {
    /// `None`: deleted.
    Product {
        id: i64,
        row: Option<Product>,
    },
    Item {
        id: i64,
        row: Option<Item>,
    },
}
#[derive(Debug, Clone)]
pub struct Product {
    pub name: Kept<Option<String>>,
    pub price: Option<BigDecimal>,
    pub base_stock: Option<i64>,
}
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    #[serde(rename = "p")]
    pub product_id: Option<i64>,
    #[serde(rename = "q")]
    pub quantity: Option<i64>,
}

impl Handler for Inventory {
    type Fact = Fact;

    fn tables(&self) -> Vec<SourceTable> {
        tables(&self.settings.products, &self.settings.order_items)
    }

    fn views(&self) -> Vec<View> {
        vec![view(self.settings.stock_mode, self.settings.low_below)]
    }

    fn fingerprint(&self) -> String {
        canonical::of_inventory(RULES, &self.settings, &self.formats)
    }

    fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
        let table = change.source.table.as_ref();
        if table == self.settings.products.table {
            self.read_product(change).map(Some)
        } else if table == self.settings.order_items.table {
            self.read_item(change).map(Some)
        } else {
            Ok(None)
        }
    }

    fn needs(&self, fact: &Fact, keys: &mut Keys) {
        match fact {
            Fact::Product { id, .. } => keys.row(fields::row_key(PRODUCT, *id)),
            Fact::Item { id, row } => {
                keys.row(fields::row_key(ITEM, *id));
                ask_share(row.as_ref(), keys);
            }
        }
    }

    fn follow(&self, key: &[u8], row: &[u8], keys: &mut Keys) {
        if fields::row_id(ITEM, key).is_some() {
            ask_share(serde_json::from_slice(row).ok().as_ref(), keys);
        }
    }

    fn apply(&self, fact: Fact, step: &mut Step<'_>) {
        match fact {
            Fact::Product { id, row } => apply_product(id, row, step),
            Fact::Item { id, row } => apply_item(id, row, step),
        }
    }

    fn truncated(&self, table: &str) -> Option<Key> {
        if table == self.settings.products.table {
            Some(fields::row_prefix(PRODUCT))
        } else if table == self.settings.order_items.table {
            Some(fields::row_prefix(ITEM))
        } else {
            None
        }
    }

    fn gone(&self, key: &[u8]) -> Option<Fact> {
        let product = fields::row_id(PRODUCT, key).map(|id| Fact::Product { id, row: None });
        product.or_else(|| fields::row_id(ITEM, key).map(|id| Fact::Item { id, row: None }))
    }
}

impl Inventory {
    fn read_product(&self, change: &Change<'_>) -> Result<Fact, Reject> {
        let Settings { products: at, limits, .. } = &self.settings;
        let id = fields::primary_key(change, &at.id)?;
        let Some(row) = fields::after(change)? else {
            return Ok(Fact::Product { id, row: None });
        };
        let [name, price, stock] = row.fields([&at.name, &at.price, &at.stock_quantity])?;
        let column = |column| Name(&at.table, column);
        let row = Product {
            name: fields::text(&name, &column(&at.name), limits.item_bytes_max / 2)?,
            price: fields::decimal(&price, &column(&at.price), limits)?,
            base_stock: fields::bounded(&stock, &column(&at.stock_quantity), fields::STOCK_MAX)?,
        };
        Ok(Fact::Product { id, row: Some(row) })
    }

    fn read_item(&self, change: &Change<'_>) -> Result<Fact, Reject> {
        let at = &self.settings.order_items;
        let id = fields::primary_key(change, &at.id)?;
        let Some(row) = fields::after(change)? else {
            return Ok(Fact::Item { id, row: None });
        };
        let [product, quantity] = row.fields([&at.product_id, &at.quantity])?;
        let quantity_name = Name(&at.table, &at.quantity);
        let row = Item {
            product_id: product.nullable(debezium::Field::int)?,
            quantity: fields::bounded(&quantity, &quantity_name, fields::QUANTITY_MAX)?,
        };
        Ok(Fact::Item { id, row: Some(row) })
    }
}

fn apply_product(id: i64, row: Option<Product>, step: &mut Step<'_>) {
    let at = fields::row_key(PRODUCT, id);
    let old: Option<Vec<Cell>> = step.row(&at);
    let new = row.map(|row| {
        let last_name = || old.as_ref()?.first()?.text().map(str::to_owned);
        let name = fields::onto(row.name, last_name);
        vec![name.into(), row.price.into(), row.base_stock.into()]
    });
    if new == old {
        return;
    }
    match &new {
        Some(row) => step.keep(at, row),
        None => step.drop_row(at),
    }
    let key = vec![Cell::Int(id)];
    match (old.filter(|part| has_stock(part)), new.filter(|part| has_stock(part))) {
        (_, Some(row)) => step.put(VIEW, key, row),
        (Some(_), None) => step.delete(VIEW, key),
        (None, None) => {}
    }
}

/// A product whose stock is null is not shown.
fn has_stock(part: &[Cell]) -> bool {
    part.get(2).is_some_and(|stock| *stock != Cell::Null)
}

fn apply_item(id: i64, new: Option<Item>, step: &mut Step<'_>) {
    let at = fields::row_key(ITEM, id);
    let old: Option<Item> = step.row(&at);
    if new == old {
        return;
    }
    match &new {
        Some(row) => step.keep(at, row),
        None => step.drop_row(at),
    }
    let mut change: BTreeMap<i64, i64> = BTreeMap::new();
    if let Some((product, quantity)) = counts(old.as_ref()) {
        *change.entry(product).or_default() -= quantity;
    }
    if let Some((product, quantity)) = counts(new.as_ref()) {
        *change.entry(product).or_default() += quantity;
    }
    for (product, more) in change.into_iter().filter(|(_, more)| *more != 0) {
        let key = vec![Cell::Int(product)];
        let sold = step.share(VIEW, &key).first().and_then(Cell::int).unwrap_or(0);
        // Never saturates: see `fields::QUANTITY_MAX`.
        let sold = sold.saturating_add(more);
        let share = if sold == 0 { vec![] } else { vec![Cell::Int(sold)] };
        step.set_share(VIEW, key, share);
    }
}

/// The product that a line counts towards, and how many.
fn counts(item: Option<&Item>) -> Option<(i64, i64)> {
    let item = item?;
    Some((item.product_id?, item.quantity?))
}

fn ask_share(item: Option<&Item>, keys: &mut Keys) {
    if let Some((product, _)) = counts(item) {
        keys.share(VIEW, &[Cell::Int(product)]);
    }
}
