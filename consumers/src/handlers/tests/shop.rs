//! A shop whose tables change at random, and the log of its changes.
use super::harness::{LaneId, Rng};
use std::collections::BTreeMap;

/// As written, and as it is looked up.
pub const WORDS: &[(&str, &str)] = &[
    ("Laptop", "laptop"),
    ("GRÖSSE", "grösse"),
    ("O'Reilly", "o'reilly"),
    ("3.5", "3.5"),
    ("日", "日"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("can't", "can't"),
];
const DAY_US: i64 = 86_400_000_000;

/// Numbers of [`WORDS`].
pub type Text = Vec<usize>;

#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    pub name: Text,
    pub description: Option<Text>,
    pub price_cents: Option<i64>,
    pub stock: Option<i64>,
    pub category: Option<Text>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub customer: Option<i64>,
    pub status: Option<Text>,
    pub total_cents: Option<i64>,
    pub created_us: Option<i64>,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    pub product: Option<i64>,
    pub quantity: Option<i64>,
    pub price_cents: Option<i64>,
}

#[derive(Debug, Clone)]
pub enum Row {
    /// `true`: the description is not sent because it did not change.
    Product(Product, bool),
    Order(Order),
    Item(Item),
}
#[derive(Debug, Clone)]
pub struct Event {
    /// 'p', 'o' or 'i'.
    pub table: char,
    pub id: i64,
    /// `None`: deleted.
    pub row: Option<Row>,
}

pub struct Shop {
    pub rng: Rng,
    pub partitions: i64,
    pub products: BTreeMap<i64, Product>,
    pub orders: BTreeMap<i64, Order>,
    pub items: BTreeMap<i64, Item>,
    pub logs: BTreeMap<LaneId, Vec<Event>>,
}

/// What happens to a random row.
enum Happens {
    Insert(i64),
    Update(i64),
    Delete(i64),
    Renumber(i64, i64),
    Nothing,
}

impl Shop {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let partitions = 1 + rng.below(3) as i64;
        let (products, orders, items) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { rng, partitions, products, orders, items, logs: BTreeMap::new() }
    }

    pub fn step(&mut self) {
        match self.rng.below(40) {
            0 => self.snapshot(),
            1 | 2 => self.resend(),
            3..=13 => self.change_product(),
            14..=26 => self.change_order(),
            _ => self.change_item(),
        }
    }

    fn emit(&mut self, table: char, id: i64, row: Option<Row>) {
        let lane = (table, id.rem_euclid(self.partitions));
        self.logs.entry(lane).or_default().push(Event { table, id, row });
    }

    /// Every row again, as `r`.
    pub fn snapshot(&mut self) {
        for (id, row) in self.products.clone() {
            self.emit('p', id, Some(Row::Product(row, false)));
        }
        for (id, row) in self.orders.clone() {
            self.emit('o', id, Some(Row::Order(row)));
        }
        for (id, row) in self.items.clone() {
            self.emit('i', id, Some(Row::Item(row)));
        }
    }

    /// The connector restarts and sends the last changes again.
    fn resend(&mut self) {
        let lanes: Vec<LaneId> = self.logs.keys().copied().collect();
        if lanes.is_empty() {
            return;
        }
        let log = self.logs.get_mut(&lanes[self.rng.below(lanes.len())]).expect("a log");
        let again = log[log.len() - (1 + self.rng.below(log.len().min(8)))..].to_vec();
        log.extend(again);
    }

    fn happens(rng: &mut Rng, ids: Vec<i64>, known_max: usize) -> Happens {
        let id = 1 + rng.below(known_max) as i64;
        if !ids.contains(&id) {
            return Happens::Insert(id);
        }
        match rng.below(10) {
            0..=1 => Happens::Delete(id),
            2 => {
                let to = 1 + rng.below(known_max * 2) as i64;
                if ids.contains(&to) { Happens::Nothing } else { Happens::Renumber(id, to) }
            }
            _ => Happens::Update(id),
        }
    }

    fn text(&mut self, words_max: usize) -> Text {
        (0..self.rng.below(words_max + 1)).map(|_| self.rng.below(WORDS.len())).collect()
    }
    fn cents(&mut self) -> Option<i64> {
        (!self.rng.chance(5)).then(|| self.rng.below(9_000) as i64 - 1_000)
    }
    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (!self.rng.chance(8)).then_some(value)
    }

    fn change_product(&mut self) {
        let ids = self.products.keys().copied().collect();
        match Self::happens(&mut self.rng, ids, 8) {
            Happens::Insert(id) => {
                let row = Product {
                    name: self.text(2),
                    description: self.rng.chance(80).then(|| self.text(5)),
                    price_cents: self.cents(),
                    stock: Some(self.rng.below(30) as i64),
                    category: None,
                };
                self.products.insert(id, row.clone());
                self.emit('p', id, Some(Row::Product(row, false)));
            }
            Happens::Update(id) => {
                let mut row = self.products[&id].clone();
                let old = row.clone();
                match self.rng.below(5) {
                    0 => row.name = self.text(2),
                    1 => row.description = self.rng.chance(80).then(|| self.text(5)),
                    2 => row.price_cents = self.cents(),
                    3 => row.category = Some(self.text(1)),
                    _ => {
                        let stock = self.rng.below(30) as i64;
                        row.stock = self.maybe(stock);
                    }
                }
                self.products.insert(id, row.clone());
                let unsent = row.description == old.description && self.rng.chance(50);
                self.emit('p', id, Some(Row::Product(row, unsent)));
            }
            Happens::Delete(id) => {
                self.products.remove(&id);
                self.emit('p', id, None);
            }
            Happens::Renumber(id, to) => {
                let row = self.products.remove(&id).expect("known");
                self.products.insert(to, row.clone());
                self.emit('p', id, None);
                self.emit('p', to, Some(Row::Product(row, false)));
            }
            Happens::Nothing => {}
        }
    }

    fn created(&mut self) -> Option<i64> {
        let day = self.rng.below(4) as i64 - 1;
        let us =
            day * DAY_US + self.rng.below(3) as i64 * (DAY_US / 2 - 1) + self.rng.below(2) as i64;
        self.maybe(us)
    }

    fn change_order(&mut self) {
        let ids = self.orders.keys().copied().collect();
        match Self::happens(&mut self.rng, ids, 12) {
            Happens::Insert(id) => {
                let customer = 1 + self.rng.below(3) as i64;
                let row = Order {
                    customer: self.maybe(customer),
                    status: Some(self.text(1)),
                    total_cents: self.cents(),
                    created_us: self.created(),
                };
                self.orders.insert(id, row.clone());
                self.emit('o', id, Some(Row::Order(row)));
            }
            Happens::Update(id) => {
                let mut row = self.orders[&id].clone();
                match self.rng.below(4) {
                    0 => row.customer = Some(1 + self.rng.below(3) as i64),
                    1 => row.status = self.rng.chance(90).then(|| self.text(1)),
                    2 => row.total_cents = self.cents(),
                    _ => row.created_us = self.created(),
                }
                self.orders.insert(id, row.clone());
                self.emit('o', id, Some(Row::Order(row)));
            }
            Happens::Delete(id) => {
                self.orders.remove(&id);
                self.emit('o', id, None);
            }
            Happens::Renumber(id, to) => {
                let row = self.orders.remove(&id).expect("known");
                self.orders.insert(to, row.clone());
                self.emit('o', id, None);
                self.emit('o', to, Some(Row::Order(row)));
            }
            Happens::Nothing => {}
        }
    }

    fn change_item(&mut self) {
        let ids = self.items.keys().copied().collect();
        match Self::happens(&mut self.rng, ids, 14) {
            Happens::Insert(id) => {
                let (product, quantity) =
                    (1 + self.rng.below(8) as i64, self.rng.below(9) as i64 - 1);
                let row = Item {
                    product: self.maybe(product),
                    quantity: self.maybe(quantity),
                    price_cents: self.cents(),
                };
                self.items.insert(id, row.clone());
                self.emit('i', id, Some(Row::Item(row)));
            }
            Happens::Update(id) => {
                let mut row = self.items[&id].clone();
                match self.rng.below(3) {
                    0 => row.product = Some(1 + self.rng.below(8) as i64),
                    1 => row.price_cents = self.cents(),
                    _ => {
                        let quantity = self.rng.below(9) as i64 - 1;
                        row.quantity = self.maybe(quantity);
                    }
                }
                self.items.insert(id, row.clone());
                self.emit('i', id, Some(Row::Item(row)));
            }
            Happens::Delete(id) => {
                self.items.remove(&id);
                self.emit('i', id, None);
            }
            Happens::Renumber(id, to) => {
                let row = self.items.remove(&id).expect("known");
                self.items.insert(to, row.clone());
                self.emit('i', id, None);
                self.emit('i', to, Some(Row::Item(row)));
            }
            Happens::Nothing => {}
        }
    }
}
