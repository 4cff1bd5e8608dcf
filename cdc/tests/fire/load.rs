//! The shop's day (`scripts/shop/trade.sql`) at a steady rate, and now and then a record that nobody can read. Goes on
//! through every fault: what PostgreSQL refuses meanwhile was not done.
use crate::{
    broker,
    stack::{DSN, PREFIX},
    until,
};
use anyhow::Context;
use rdkafka::producer::BaseProducer;
use serving::postgres::Dsn;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The shop's clock is not logged: a PostgreSQL that was killed has lost it, and then no step could be taken.
const CLOCK: &str = "insert into maker.clock
    select coalesce(max(created_at), '2024-02-26 19:00:00+00') from orders
    having not exists (select from maker.clock)";

/// A record that must be one dead letter of every service that reads its topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Poison {
    pub topic: String,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    run: AtomicBool,
    /// Nothing is under way.
    idle: AtomicBool,
    over: AtomicBool,
    transactions: AtomicU64,
    refused: AtomicU64,
    poison: Mutex<Vec<Poison>>,
    topic_prefix: Mutex<String>,
}
impl Shared {
    fn topic(&self, table: &str) -> String {
        let prefix = self.topic_prefix.lock().unwrap_or_else(PoisonError::into_inner);
        format!("{prefix}{table}")
    }
}

pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    producer: BaseProducer,
    poisoned: u64,
}

impl Load {
    /// Does nothing before [`Load::resume`]. `rate`: transactions a second; every `poison_every`th brings a record
    /// that cannot be read, 0: none.
    pub fn new(seed: u64, rate: u64, poison_every: u64) -> anyhow::Result<Self> {
        let topic_prefix = Mutex::new(PREFIX.to_owned());
        let idle = AtomicBool::new(true);
        let shared = Arc::new(Shared { idle, topic_prefix, ..Shared::default() });
        let io = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work =
            Work { shared: shared.clone(), io, seed, rate: rate.max(1), poison_every, sent: 0 };
        let own = broker::producer()?;
        let thread = thread::Builder::new().name("load".into()).spawn(move || work.run(&own))?;
        Ok(Self { shared, thread: Some(thread), producer: broker::producer()?, poisoned: 0 })
    }
    pub fn resume(&self) {
        self.shared.run.store(true, SeqCst);
    }
    /// Nothing is under way on return: what was committed is committed, what was sent is in Kafka.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.shared.run.store(false, SeqCst);
        let idle = || Ok(self.shared.idle.load(SeqCst));
        until("the load to pause", Duration::from_secs(180), idle)?;
        broker::flush(&self.producer)
    }
    pub fn transactions(&self) -> u64 {
        self.shared.transactions.load(SeqCst)
    }
    /// Steps that PostgreSQL did not take: it was away, or said no.
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(SeqCst)
    }
    pub fn poison(&self) -> Vec<Poison> {
        self.shared.poison.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Where poison goes from now on.
    pub fn send_to(&self, topic_prefix: &str) {
        let mut prefix = self.shared.topic_prefix.lock().unwrap_or_else(PoisonError::into_inner);
        topic_prefix.clone_into(&mut prefix);
    }
    /// One more, now.
    pub fn send_poison(&mut self, table: &str) -> anyhow::Result<Poison> {
        self.poisoned += 1;
        let topic = self.shared.topic(table);
        let poison = poison(&topic, 1_000_000 + self.poisoned);
        broker::send(&self.producer, &topic, None, &poison.key, &poison.value)?;
        self.shared.poison.lock().unwrap_or_else(PoisonError::into_inner).push(poison.clone());
        Ok(poison)
    }
    pub fn flush(&self) -> anyhow::Result<()> {
        broker::flush(&self.producer)
    }
}
impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Under the key of no row. Cut JSON, or not UTF-8, or no JSON at all.
fn poison(topic: &str, n: u64) -> Poison {
    let id = 900_000_000 + n;
    let value = match n % 3 {
        0 => format!(r#"{{"payload":{{"op":"c","after":{{"id":{id},"#).into_bytes(),
        1 => {
            [br#"{"payload":{"op":"c","after":{"name":"Caf"#.as_slice(), &[0xe9], b"\"}}}"].concat()
        }
        _ => format!("not a change: {id}").into_bytes(),
    };
    Poison { topic: topic.to_owned(), key: format!(r#"{{"id":{id}}}"#).into_bytes(), value }
}

struct Work {
    shared: Arc<Shared>,
    io: tokio::runtime::Runtime,
    seed: u64,
    rate: u64,
    poison_every: u64,
    sent: u64,
}
impl Work {
    fn run(mut self, producer: &BaseProducer) {
        let mut client = None;
        let pace = Duration::from_micros(1_000_000 / self.rate);
        while !self.shared.over.load(SeqCst) {
            if !self.shared.run.load(SeqCst) {
                if !self.shared.idle.load(SeqCst) && broker::flush(producer).is_ok() {
                    self.shared.idle.store(true, SeqCst);
                }
                thread::sleep(Duration::from_millis(20));
                continue;
            }
            self.shared.idle.store(false, SeqCst);
            let begun = Instant::now();
            // PostgreSQL is away, or was while this was under way.
            if self.step(&mut client, producer).is_err() {
                client = None;
                self.shared.refused.fetch_add(1, SeqCst);
                thread::sleep(Duration::from_millis(200));
            }
            thread::sleep(pace.saturating_sub(begun.elapsed()));
        }
    }

    fn step(
        &mut self,
        client: &mut Option<tokio_postgres::Client>,
        producer: &BaseProducer,
    ) -> anyhow::Result<()> {
        let connected = match client.take() {
            Some(connected) => connected,
            None => {
                let dsn = Dsn::parse(DSN, None, "cdc")?;
                let new = self.io.block_on(dsn.connect())?;
                let seed = f64::from(u32::try_from(self.seed % 1_000_000)?) / 1_000_000.0;
                self.io.block_on(new.execute("select setseed($1)", &[&seed]))?;
                self.io.block_on(new.execute(CLOCK, &[]))?;
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                new
            }
        };
        let call = connected.simple_query("call maker.trade(1)");
        let within =
            self.io.block_on(async { tokio::time::timeout(Duration::from_secs(60), call).await });
        within.context("PostgreSQL does not answer")??;
        *client = Some(connected);
        let done = self.shared.transactions.fetch_add(1, SeqCst) + 1;
        if self.poison_every > 0 && done.is_multiple_of(self.poison_every) {
            self.sent += 1;
            let table = ["products", "order_items", "orders"][usize::try_from(self.sent % 3)?];
            let topic = self.shared.topic(table);
            let poison = poison(&topic, self.sent);
            broker::send(producer, &topic, None, &poison.key, &poison.value)?;
            self.shared.poison.lock().unwrap_or_else(PoisonError::into_inner).push(poison);
        }
        Ok(())
    }
}
