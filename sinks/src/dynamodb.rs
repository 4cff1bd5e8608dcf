//! Views in DynamoDB: every write is one conditional request for one item. See [`keyed`] for why that is exact.
//!
//! Alerts: an update that crosses the threshold leaves the alert's name on the item, and every write of the same
//! partition that meets it there tells it in a receipt. It comes off the item when the caller says [`Sink::told`], or
//! sends the partition's next batch from where this one ended: until then a crash, or a repeat, tells it again under
//! the same name. One that a crash left standing for [`ORPHANED_MS`] is told by whichever partition meets it.
//!
//! Absent on purpose: retries (also those of the AWS SDK), transactions, deletes of items, logged values.
mod audit;
mod entry;
mod errors;
mod key;
pub mod keyed;
mod limits;
mod read;
pub mod request;
mod seen;
mod shape;
mod tables;
mod wire;

pub use audit::{Cursor, Mend, Mended, Seen};
/// What [`Connection::connect`] makes, and the rest of its crate.
pub use aws_sdk_dynamodb::{self as sdk, Client};
pub use entry::Entry;
pub use limits::{LIMITS, Limits};
pub use tables::{Facts, Fault, Inspection, create_tables, generation_seen, inspect, try_access};

use crate::{
    Alert, Batch, Cell, Checkpoint, Failed, Partition, Receipt, Refusal, Sink, SinkError, View,
    Write, aws,
};
use anyhow::anyhow;
use async_trait::async_trait;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig,
};
use futures::{StreamExt, stream};
use key::Address;
use keyed::{Ask, Shape, Step, Writer};
use request::{Action, Change, Request, When};
use seen::{ItemCache, Names};
use shape::shape_of;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Semaphore;
use wire::Answer;

/// A request that loses to others this often in a row is given back to the caller.
const ATTEMPTS_MAX: usize = 100;

/// An alert that another partition raised, and has not taken off its item in this time, is told for it.
pub const ORPHANED_MS: i64 = 3_600_000;

/// How to reach DynamoDB. What is `None` comes from the environment, as everywhere with AWS.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    pub endpoint: Option<String>,
    pub region: Option<String>,
}
impl Connection {
    /// Each call is tried once, and ends within 10 s.
    pub async fn connect(&self) -> Client {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .read_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(8))
            .operation_timeout(Duration::from_secs(10))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = aws_sdk_dynamodb::config::Builder::from(&loader.load().await);
        Client::from_conf(config.interceptor(aws::Timed("dynamodb")).build())
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Grows with each generation; 1 or more.
    pub generation: i64,
    pub views: Vec<View>,
    /// Table of each view; by default the view's name with `-` for `_`.
    pub tables: BTreeMap<String, String>,
    /// Before the default names.
    pub prefix: String,
    /// Requests in flight, over all partitions.
    pub in_flight_max: usize,
    /// Items of a partition that are remembered: the first request for those fits without a look.
    pub seen_max: usize,
}
impl Config {
    pub fn new(generation: i64, views: Vec<View>) -> Self {
        let (tables, prefix) = (BTreeMap::new(), String::new());
        Self { generation, views, tables, prefix, in_flight_max: 32, seen_max: 10_000 }
    }
    pub fn table_of(&self, view: &View) -> String {
        let default = || format!("{}{}", self.prefix, view.name.replace('_', "-"));
        self.tables.get(view.name).cloned().unwrap_or_else(default)
    }
}

struct Table {
    view: View,
    name: String,
    shape: Shape,
}

pub struct DynamoDb {
    client: Client,
    generation: i64,
    tables: Vec<Table>,
    in_flight_max: usize,
    slots: Semaphore,
    seen_max: usize,
    lanes: Mutex<HashMap<Partition, Arc<ItemCache>>>,
}

/// An item of a batch, and everything the batch asks of it.
type Asks = BTreeMap<(usize, Vec<Cell>), Ask>;

/// What became of one item's writes.
enum Outcome {
    /// They are in the table, with these alerts due.
    Stands(usize, Vec<Cell>, Vec<(String, Option<i64>)>),
    Refused(Vec<Refusal>),
    Failed(SinkError),
    /// Not tried: another one failed before.
    Left,
}

impl DynamoDb {
    /// Sends nothing yet.
    pub fn new(client: Client, config: &Config) -> Result<Self, SinkError> {
        if config.generation < 1 {
            return Err(SinkError::Fatal(anyhow!("GENERATION must be 1 or more")));
        }
        let table = |view: &View| {
            Ok(Table { view: view.clone(), name: config.table_of(view), shape: shape_of(view)? })
        };
        let tables = config.views.iter().map(table).collect::<Result<_, SinkError>>()?;
        let in_flight_max = config.in_flight_max.max(1);
        Ok(Self {
            client,
            generation: config.generation,
            tables,
            in_flight_max,
            slots: Semaphore::new(in_flight_max),
            seen_max: config.seen_max,
            lanes: Mutex::default(),
        })
    }

    fn lane(&self, batch: &Batch) -> Arc<ItemCache> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(ItemCache::new(batch.tag, batch.partition.clone(), self.seen_max));
        lanes.entry(batch.partition.clone()).or_insert_with(new).clone()
    }
    fn known(&self, partition: &Partition) -> Option<Arc<ItemCache>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(partition).cloned()
    }
    fn writer<'a>(&self, table: &'a Table, lane: &'a ItemCache) -> Writer<'a> {
        Writer {
            shape: &table.shape,
            generation: self.generation,
            entry: &lane.entry,
            source: &lane.source,
            now_ms: now_ms(),
        }
    }

    /// A batch's writes by item. Refused are those that could not be stored even alone: so whether they are does not
    /// depend on where a batch was cut.
    fn coalesce(&self, writes: &[Write]) -> Result<(Asks, Vec<Refusal>), SinkError> {
        let (mut asks, mut refused) = (Asks::new(), vec![]);
        for write in writes {
            let of = |table: &Table| table.view.name == write.view;
            let Some(table) = self.tables.iter().position(of) else {
                let why = format!(
                    "view `{}` has no DynamoDB table: name one in the settings",
                    write.view
                );
                return Err(SinkError::Fatal(anyhow!(why)));
            };
            if let Some(reason) = LIMITS.refuse(&self.tables[table].view, write) {
                refused.push(Refusal { offset: write.offset, reason });
                continue;
            }
            let taken = asks.entry((table, write.key.clone())).or_default();
            let taken = taken.add(&self.tables[table].shape, write);
            refused.extend(taken.err());
        }
        asks.retain(|_, ask| !ask.offsets.is_empty());
        Ok((asks, refused))
    }

    /// Sends until the writes of one item are in the table.
    async fn carry_out(
        &self,
        lane: &ItemCache,
        at: (usize, Vec<Cell>),
        ask: Ask,
        stop: &AtomicBool,
    ) -> Outcome {
        let Ok(_slot) = self.slots.acquire().await else { return Outcome::Left };
        if stop.load(Ordering::Relaxed) {
            return Outcome::Left;
        }
        let outcome = self.land(lane, &at, ask).await.unwrap_or_else(Outcome::Failed);
        if matches!(outcome, Outcome::Failed(_)) {
            stop.store(true, Ordering::Relaxed);
        }
        outcome
    }
    async fn land(
        &self,
        lane: &ItemCache,
        at: &(usize, Vec<Cell>),
        mut ask: Ask,
    ) -> Result<Outcome, SinkError> {
        let table = &self.tables[at.0];
        let writer = self.writer(table, lane);
        let refusal = |ask: &Ask, reason: &str| {
            let each = |offset: &i64| Refusal { offset: *offset, reason: reason.to_owned() };
            Outcome::Refused(ask.offsets.iter().map(each).collect())
        };
        let Some(key) = Address::of(&table.view, &at.1) else {
            return Ok(refusal(&ask, &format!("{}: a key column is null", table.view.name)));
        };
        let mut seen = lane.seen(at);
        let mut crossed = None;
        let mut fresh = false;
        // What others put into the item may be the reason of a refusal: so the item is looked at before one counts.
        let may_be_stale = |fresh: bool| !fresh && table.shape.has_entries();
        for _ in 0..ATTEMPTS_MAX {
            let request = match writer.next(&mut ask, seen.as_ref()) {
                Step::Send(request) => request,
                Step::Superseded(newer) => return Err(self.superseded(table, newer)),
                Step::TwoOwners { offset, owner } => {
                    return Err(lane.two_owners(table.view.name, offset, &owner).into());
                }
                Step::Refused(_) | Step::NoRow(_) if may_be_stale(fresh) => {
                    (seen, fresh) = (self.look_at(&writer, table, &key).await?, true);
                    continue;
                }
                Step::Refused(why) => return Ok(refusal(&ask, &why)),
                Step::NoRow(why) => {
                    let offset = ask.offsets.last().copied().unwrap_or(-1);
                    return Err(SinkError::Fatal(anyhow!(
                        "offset {offset}: {}",
                        Failed(why).with_advice()
                    )));
                }
                Step::Done => {
                    let mut due = seen.map(|sight| sight.due).unwrap_or_default();
                    due.retain(|name| {
                        writer.is_own(name) || fresh && lane.stands_long(name, writer.now_ms)
                    });
                    let with_value = |name: String| {
                        let value = crossed.as_ref().filter(|c: &&(String, i64)| c.0 == name);
                        let value = value.map(|c| c.1);
                        (name, value)
                    };
                    let due = due.into_iter().map(with_value).collect();
                    return Ok(Outcome::Stands(at.0, at.1.clone(), due));
                }
            };
            let name = writer.alert(ask.offsets.last().copied().unwrap_or(-1));
            let item = match wire::send(&self.client, &table.name, &key, &request).await? {
                Answer::Refused(_) if may_be_stale(fresh) => {
                    self.look_at(&writer, table, &key).await?
                }
                Answer::Refused(reason) => return Ok(refusal(&ask, &reason)),
                Answer::Done(item) => {
                    let sight = self.sight(&writer, table, &item)?;
                    let value = sight.value.filter(|_| sight.due.contains(&name));
                    crossed = value.map(|value| (name, value));
                    Some(sight)
                }
                Answer::Failed(item) => {
                    item.map(|item| self.sight(&writer, table, &item)).transpose()?
                }
            };
            lane.remember(at, item.as_ref());
            (seen, fresh) = (item, true);
        }
        let why = format!(
            "an item of table `{}` changed {ATTEMPTS_MAX} times while it was to be written",
            table.name
        );
        Err(SinkError::Transient(anyhow!(why)))
    }
    /// The item as it is, hidden or not. Asked by an update whose condition never holds: services need no right to read.
    async fn look_at(
        &self,
        writer: &Writer<'_>,
        table: &Table,
        key: &Address,
    ) -> Result<Option<keyed::Sight>, SinkError> {
        let request = Request {
            action: Action::Update(vec![Change::Set(keyed::GEN, self.generation.into())]),
            condition: When::All(vec![
                When::Present(keyed::GEN.into()),
                When::Missing(keyed::GEN.into()),
            ]),
        };
        let item = match wire::send(&self.client, &table.name, key, &request).await? {
            Answer::Done(item) => Some(item),
            Answer::Failed(item) => item,
            Answer::Refused(_) => None,
        };
        item.map(|item| self.sight(writer, table, &item)).transpose()
    }
    fn sight(
        &self,
        writer: &Writer<'_>,
        table: &Table,
        item: &request::Item,
    ) -> Result<keyed::Sight, SinkError> {
        writer.sight(item).map_err(|why| {
            SinkError::Fatal(anyhow!(
                "an item of table `{}` is not as this service writes it: {why}; keep others off the table, and set a new \
                 GENERATION, which writes its items anew",
                table.name
            ))
        })
    }
    fn superseded(&self, table: &Table, newer: i64) -> SinkError {
        SinkError::Fatal(anyhow!(
            "a newer generation {newer} owns table `{}`: stop this deployment (its GENERATION is {})",
            table.name,
            self.generation
        ))
    }

    /// Takes alerts that are published off their items. An item that is not ours any more needs nothing.
    async fn let_go(&self, lane: &ItemCache, names: Names) -> Result<(), SinkError> {
        for (at, names) in names {
            let table = &self.tables[at.0];
            let writer = self.writer(table, lane);
            let Some(key) = Address::of(&table.view, &at.1) else { continue };
            let sent = wire::send(&self.client, &table.name, &key, &writer.told(&names)).await?;
            let item = match sent {
                Answer::Done(item) | Answer::Failed(Some(item)) => {
                    Some(self.sight(&writer, table, &item)?)
                }
                Answer::Failed(None) | Answer::Refused(_) => None,
            };
            lane.remember(&at, item.as_ref());
            lane.paid(&at, &names);
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for DynamoDb {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        let lane = self.lane(batch);
        if !keyed::is_entry(&lane.entry) {
            let why = format!("{}: its table's tag is none of a to z", batch.partition);
            return Err(SinkError::Fatal(anyhow!(why)));
        }
        self.let_go(&lane, lane.owed_until(batch.span.start)).await?;
        let (asks, mut refused) = self.coalesce(&batch.writes)?;
        let stop = AtomicBool::new(false);
        let outcomes: Vec<Outcome> = stream::iter(asks)
            .map(|(at, ask)| self.carry_out(&lane, at, ask, &stop))
            .buffer_unordered(self.in_flight_max)
            .collect()
            .await;
        let mut owed = Names::new();
        let mut alerts = BTreeMap::new();
        let mut failed: Option<SinkError> = None;
        for outcome in outcomes {
            match outcome {
                Outcome::Left => {}
                Outcome::Failed(e) if failed.is_none() || matches!(e, SinkError::Fatal(_)) => {
                    failed = Some(e);
                }
                Outcome::Failed(_) => {}
                Outcome::Refused(list) => refused.extend(list),
                Outcome::Stands(table, key, due) => {
                    for (name, value) in due {
                        let full = Alert::name(&name, &key);
                        let alert = Alert { name: full.clone(), key: key.clone(), value };
                        alerts.insert(full, alert);
                        owed.entry((table, key.clone())).or_default().insert(name);
                    }
                }
            }
        }
        if let Some(e) = failed {
            return Err(e);
        }
        refused.retain(|refusal| !batch.dead_lettered.contains(&refusal.offset));
        if !refused.is_empty() {
            refused.sort_by_key(|refusal| refusal.offset);
            refused.dedup_by_key(|refusal| refusal.offset);
            return Err(SinkError::Refused(refused));
        }
        lane.owe(batch.span.end, owed);
        Ok(Receipt { alerts: alerts.into_values().collect() })
    }

    async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        _lane: &dyn crate::PartitionState,
    ) -> Result<(), SinkError> {
        match self.known(partition) {
            Some(lane) => self.let_go(&lane, lane.owed_until(at.next)).await,
            None => Ok(()),
        }
    }

    /// Those and no others: in an earlier life of the partition more may have been found than this one has shown.
    async fn told(&self, partition: &Partition, alerts: &[Alert]) -> Result<(), SinkError> {
        let Some(lane) = self.known(partition) else { return Ok(()) };
        let told: BTreeSet<&str> = alerts.iter().map(|alert| alert.name.as_str()).collect();
        let names = lane.owed(|at, name, _| told.contains(Alert::name(name, &at.1).as_str()));
        self.let_go(&lane, names).await
    }

    fn forget(&self, partition: &Partition) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

/// For `updated_at` and `expires_at`: nothing is decided by it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
