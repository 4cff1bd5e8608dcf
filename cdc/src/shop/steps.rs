//! What happens in the shop, and how often: [`STEPS`]. One step is one transaction.
use std::time::SystemTime;

/// What happens, in parts of [`PARTS`]: the one place to look at, or to change.
#[rustfmt::skip]
pub const STEPS: [(u32, Kind, &str); 23] = [
    // parts, kind               name
    (370, Kind::Order,           "order"),                // an order and 1 to 5 lines; some lines before their order
    (100, Kind::Pay,             "pay"),                  // new -> paid
    ( 80, Kind::Ship,            "ship"),                 // paid -> shipped
    ( 30, Kind::CancelLinesStay, "cancel, lines stay"),
    ( 30, Kind::CancelLinesGo,   "cancel, lines go"),
    ( 60, Kind::Quantity,        "change quantity"),      // of a line: 1 to 9
    ( 30, Kind::Return,          "return"),               // a line's quantity becomes 0, or negative
    ( 40, Kind::Switch,          "switch product"),       // of a line
    ( 80, Kind::Restock,         "restock"),              // what is low among ten wanted products
    ( 30, Kind::Price,           "price"),
    ( 10, Kind::Sale,            "sale"),                 // other prices for up to 30 products
    ( 15, Kind::Rename,          "rename"),
    ( 15, Kind::Describe,        "describe"),
    ( 10, Kind::DescribeAtLength, "describe at length"),  // stored out of line (TOAST)
    ( 10, Kind::ProductGoes,     "product goes"),         // its lines stay
    ( 10, Kind::ProductComes,    "product comes"),        // every other one is ordered before it is there
    (  5, Kind::ProductReturns,  "product returns"),      // under an id that was used before
    ( 20, Kind::OrderGoes,       "order goes"),           // with its lines, or without
    (  5, Kind::ProductKey,      "product key"),          // another primary key; never with a text stored out of line
    (  5, Kind::OrderKey,        "order key"),            // its lines follow, or not
    (  5, Kind::LineKey,         "line key"),
    ( 30, Kind::Several,         "several"),              // 2 to 6 of the above in one transaction
    ( 10, Kind::ThereAndGone,    "there and gone"),       // inserted and deleted, changed and changed back, at once
];
pub const PARTS: u32 = 1_000;
/// One transaction in so many is rolled back at its end, whatever it is.
pub const ROLLED_BACK_ONE_IN: u32 = 50;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Order,
    Pay,
    Ship,
    CancelLinesStay,
    CancelLinesGo,
    Quantity,
    Return,
    Switch,
    Restock,
    Price,
    Sale,
    Rename,
    Describe,
    DescribeAtLength,
    ProductGoes,
    ProductComes,
    ProductReturns,
    OrderGoes,
    ProductKey,
    OrderKey,
    LineKey,
    Several,
    ThereAndGone,
}
impl Kind {
    pub fn name(self) -> &'static str {
        STEPS.iter().find(|(_, kind, _)| *kind == self).map_or("", |(_, _, name)| name)
    }
    /// The kind whose share of `0..PARTS` holds `dice`.
    pub fn at(dice: u32) -> Self {
        let mut end = 0;
        let found = STEPS.iter().find(|(parts, _, _)| {
            end += parts;
            dice < end
        });
        found.map_or(Kind::Order, |(_, kind, _)| *kind)
    }
}

/// A transaction, chosen and not yet done.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    pub kind: Kind,
    pub step: Step,
    /// The shop's own clock: it moves with the steps, not with the machine's.
    pub at: SystemTime,
    pub roll_back: bool,
}

/// What is done, with all that chance decides. `rank`: which product in the order of ids, from 0. `order`, `line`: the
/// newest with this id or a lower one is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Order { customer: i32, lines: Vec<Line>, lines_first: bool },
    Status { order: i32, from: &'static str, to: &'static str },
    Cancel { order: i32, lines_go: bool },
    Quantity { line: i64, quantity: i32 },
    Switch { line: i64, rank: i64 },
    Restock { ranks: Vec<i64>, up_to: i32 },
    Price { rank: i64, cents: i64 },
    Sale { rank: i64, products: i64, percent: i32 },
    Rename { rank: i64, name: String },
    Describe { rank: i64, text: Option<String> },
    ProductGoes { rank: i64 },
    ProductComes { product: Product, ordered: Option<(i32, i32)> },
    ProductReturns { from: i32, product: Product },
    OrderGoes { order: i32, lines_go: bool },
    ProductKey { rank: i64 },
    OrderKey { order: i32, lines_follow: bool },
    LineKey { line: i64 },
    Several(Vec<Step>),
    ThereAndGone { product: Product, customer: i32, rank: i64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub rank: i64,
    pub quantity: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub name: String,
    pub description: Option<String>,
    pub cents: i64,
    pub stock: i32,
    pub category: Option<&'static str>,
}
