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
//! A row below the threshold is flagged here. That it crosses it, and so raises an alert, is told where it is written:
//! `sinks/src/state/part.rs` (SQLite, memory), `sinks/src/dynamodb/keyed/{sum,merged}.rs`.
use super::{Limits, OrderItems, Products};
use crate::{
    fingerprint::services,
    plan_handler::{Bound, PlanHandler, QUANTITY_MAX, STOCK_MAX, Table},
    source_table::{SourceTable, SourceType},
};
use serde::{Deserialize, Serialize};
use sinks::{
    AlertWhen, Column, Condition, Expr, Index, IndexKey, Merge, Plan, Rules, Type, View,
    canonical::Text,
    plan::{Aggregate, Own, Part},
};

pub const VIEW: &str = "inventory_realtime";
/// Another number when the same record is read, counted or stored otherwise than before.
const RULES: u32 = 2;

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

/// The handler. `formats`: how columns are decoded where no schema says it, as text; part of the fingerprint.
pub fn handler(settings: &Settings, formats: &str) -> PlanHandler {
    let fingerprint = services::of_inventory(RULES, settings, formats);
    PlanHandler::new(bounded(settings), vec![plan(settings)], fingerprint)
}

fn plan(settings: &Settings) -> Plan {
    let has_stock = Condition::Known(Expr::Own(2));
    let own = Own {
        table: 0,
        filter: has_stock,
        each: None,
        key: vec![Expr::Key(0)],
        columns: [0, 1, 2].map(Expr::Own).to_vec(),
    };
    let sold = Part {
        table: 1,
        filter: Condition::Always,
        key: vec![Expr::Own(0)],
        aggregates: vec![Aggregate::Sum(Type::Int, Expr::Own(1))],
    };
    Plan::new(view(settings.stock_mode, settings.low_below), Some(own), vec![sold])
}

fn bounded(settings: &Settings) -> Vec<Table> {
    let limits = &settings.limits;
    let [products, order_items] = tables(&settings.products, &settings.order_items).map(Table::new);
    let products = products
        .bound("name", Bound::Bytes(limits.item_bytes_max / 2))
        .bound("price", Bound::Digits(limits.digits_max))
        .bound("stock_quantity", Bound::Size(STOCK_MAX));
    vec![products, order_items.bound("quantity", Bound::Size(QUANTITY_MAX))]
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
pub(crate) fn tables(products: &Products, order_items: &OrderItems) -> [SourceTable; 2] {
    use SourceType::{Decimal, Int, Text};
    [
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
