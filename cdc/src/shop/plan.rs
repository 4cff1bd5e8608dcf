//! Chance: which transaction comes next, and with which product, quantity, price and text. No I/O and no clock: the
//! same seed and the same answers about the tables give the same transactions.
#![deny(clippy::disallowed_methods)]
use super::{
    steps::{Kind, Line, PARTS, Product, ROLLED_BACK_ONE_IN, Step, Transaction},
    words,
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use rand_distr::Zipf;
use std::time::{Duration, SystemTime};

/// The shop's clock moves by up to this between two transactions of a worker: a day has some 1,400 of them.
const TICK_MAX_US: u64 = 120_000_000;
/// Most steps are about one of so many newest orders or lines; every fourth about any.
const RECENT: i64 = 300;

/// What chance is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Market {
    /// How many products there should be; their number stays between half and twice of it.
    pub products: i64,
    pub customers: i32,
    /// The exponent: 0: all products are wanted alike; 1.1: a few are wanted most of the time.
    pub zipf: f64,
}

/// What a worker knows about the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub products: i64,
    pub newest_order: i32,
    pub newest_line: i64,
}

pub struct Plan {
    rng: StdRng,
    market: Market,
    now: SystemTime,
}

impl Plan {
    /// Each worker has a plan of its own.
    pub fn new(seed: u64, worker: u64, market: Market, now: SystemTime) -> Self {
        let rng =
            StdRng::seed_from_u64(seed.wrapping_add(worker.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self { rng, market, now }
    }

    pub fn next(&mut self, known: &Known) -> Transaction {
        let kind = self.kind(known);
        let step = self.step(kind, known);
        self.now += Duration::from_micros(self.rng.random_range(1..=TICK_MAX_US));
        let roll_back = self.rng.random_ratio(1, ROLLED_BACK_ONE_IN);
        Transaction { kind, step, at: self.now, roll_back }
    }

    /// Products neither run out nor pile up: one comes instead of the one that would go, and the other way round.
    fn kind(&mut self, known: &Known) -> Kind {
        match Kind::at(self.rng.random_range(0..PARTS)) {
            Kind::ProductGoes if known.products <= self.market.products / 2 => Kind::ProductComes,
            Kind::ProductComes | Kind::ProductReturns
                if known.products >= self.market.products * 2 =>
            {
                Kind::ProductGoes
            }
            kind => kind,
        }
    }

    fn step(&mut self, kind: Kind, known: &Known) -> Step {
        let (rank, any_rank) = (self.wanted(known), self.any(known));
        let (order, line) = (self.order(known), self.line(known));
        let rng = &mut self.rng;
        match kind {
            Kind::Order => self.place_order(known),
            Kind::Pay => Step::Status { order, from: "new", to: "paid" },
            Kind::Ship => Step::Status { order, from: "paid", to: "shipped" },
            Kind::CancelLinesStay => Step::Cancel { order, lines_go: false },
            Kind::CancelLinesGo => Step::Cancel { order, lines_go: true },
            Kind::Quantity => Step::Quantity { line, quantity: rng.random_range(1..=9) },
            Kind::Return => Step::Quantity { line, quantity: rng.random_range(-3..=0) },
            Kind::Switch => Step::Switch { line, rank },
            Kind::Restock => {
                let up_to = rng.random_range(15..=50);
                Step::Restock { ranks: (0..10).map(|_| self.wanted(known)).collect(), up_to }
            }
            Kind::Price => Step::Price { rank, cents: cents(rng) },
            Kind::Sale => {
                let (products, percent) = (rng.random_range(2..=30), rng.random_range(70..=130));
                Step::Sale { rank: any_rank, products, percent }
            }
            Kind::Rename => Step::Rename { rank, name: words::name(rng) },
            Kind::Describe => Step::Describe { rank, text: words::description(rng) },
            Kind::DescribeAtLength => Step::Describe { rank, text: Some(words::manual(rng)) },
            Kind::ProductGoes => Step::ProductGoes { rank: any_rank },
            Kind::ProductComes => {
                let ordered = rng.random_bool(0.5).then(|| (order, rng.random_range(1..=5)));
                Step::ProductComes { product: product(rng), ordered }
            }
            Kind::ProductReturns => {
                Step::ProductReturns { from: to_i32(rank + 1), product: product(rng) }
            }
            Kind::OrderGoes => Step::OrderGoes { order, lines_go: rng.random_ratio(2, 3) },
            Kind::ProductKey => Step::ProductKey { rank: any_rank },
            Kind::OrderKey => Step::OrderKey { order, lines_follow: rng.random_bool(0.5) },
            Kind::LineKey => Step::LineKey { line },
            Kind::Several => self.several(known),
            Kind::ThereAndGone => {
                let customer = rng.random_range(1..=self.market.customers);
                Step::ThereAndGone { product: product(rng), customer, rank }
            }
        }
    }

    fn place_order(&mut self, known: &Known) -> Step {
        let customer = self.rng.random_range(1..=self.market.customers);
        let lines_first = self.rng.random_ratio(1, 4);
        let count = self.rng.random_range(1..=5);
        let line = |_| Line { rank: self.wanted(known), quantity: self.rng.random_range(1..=4) };
        Step::Order { customer, lines: (0..count).map(line).collect(), lines_first }
    }

    fn several(&mut self, known: &Known) -> Step {
        let count = self.rng.random_range(2..=6);
        let mut steps = Vec::with_capacity(count);
        while steps.len() < count {
            let kind = self.kind(known);
            if kind != Kind::Several {
                steps.push(self.step(kind, known));
            }
        }
        Step::Several(steps)
    }

    /// For the first fill.
    pub fn product(&mut self) -> (Product, SystemTime) {
        (product(&mut self.rng), self.now)
    }

    /// A product's rank, low ones much more often.
    fn wanted(&mut self, known: &Known) -> i64 {
        let Ok(zipf) = Zipf::new(known.products.max(1) as f64, self.market.zipf) else {
            return 0;
        };
        self.rng.sample(zipf) as i64 - 1
    }
    fn any(&mut self, known: &Known) -> i64 {
        self.rng.random_range(0..known.products.max(1))
    }
    fn order(&mut self, known: &Known) -> i32 {
        to_i32(self.newest(i64::from(known.newest_order)))
    }
    fn line(&mut self, known: &Known) -> i64 {
        self.newest(known.newest_line)
    }
    fn newest(&mut self, newest: i64) -> i64 {
        let newest = newest.max(1);
        if self.rng.random_ratio(3, 4) {
            newest - self.rng.random_range(0..RECENT.min(newest))
        } else {
            self.rng.random_range(1..=newest)
        }
    }
}

fn to_i32(n: i64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Mostly up to 400.00, now and then very much.
fn cents(rng: &mut impl Rng) -> i64 {
    if rng.random_ratio(1, 40) {
        return rng.random_range(100_000_000..5_000_000_000);
    }
    let most = rng.random_range(1..=40_000);
    rng.random_range(1..=most)
}

fn product(rng: &mut impl Rng) -> Product {
    Product {
        name: words::name(rng),
        description: words::description(rng),
        cents: cents(rng),
        stock: rng.random_range(5..=60),
        category: words::category(rng),
    }
}

#[cfg(test)]
mod tests;
