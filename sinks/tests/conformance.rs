//! The suites notice what they are there for: stores and sinks with a bug planted in them fail.
use async_trait::async_trait;
use sinks::{
    Batch, Cell, Checkpoint, Key, Op, Partition, PartitionState, Receipt, Refusal, Sink, SinkError,
    State, TwoOwners, View,
    conformance::{self, Backend, Rows, Shop, Supports},
    state::memory::Memory,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Bug {
    None,
    // of a state
    NoFence,
    NoRepeat,
    AnyPlace,
    RowsOnly,
    KeysSorted,
    AnyTopic,
    AnyCount,
    NoCheckpoints,
    CountStays,
    // of a sink
    LastWriteWins,
    Increments,
    LostDelete,
    NetZeroSkipped,
    AlertEachWrite,
    RefusesAll,
    RefusesFirst,
    NullsInKeys,
    LastColumnMissing,
    KeysJoined,
    OwnerNotLookedAt,
    DeletedIsNobodys,
    DeletesAnybodys,
    SharesOwn,
    // of a derived sink
    AnyPosition,
    OnceOnly,
    HaltsWhenStale,
}

/// A state over a sound one, with a bug.
struct BuggyState(Memory, Bug);
struct BuggyPartition {
    memory: Memory,
    bug: Bug,
    partition: Partition,
    lane: Arc<dyn PartitionState>,
}

#[async_trait]
impl State for BuggyState {
    async fn keep_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        let kept = self.0.keep_count(topic, partitions).await;
        if self.1 == Bug::AnyCount { Ok(()) } else { kept }
    }
    async fn count(&self, topic: &str) -> Result<Option<i32>, SinkError> {
        self.0.count(topic).await
    }
    async fn checkpoints(&self, topic: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        if self.1 == Bug::NoCheckpoints { Ok(vec![]) } else { self.0.checkpoints(topic).await }
    }
    async fn raise_count(&self, topic: &str, partitions: i32) -> Result<(), SinkError> {
        if self.1 == Bug::CountStays { Ok(()) } else { self.0.raise_count(topic, partitions).await }
    }
    async fn open(&self, partition: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        let lane = match self.0.open(partition).await {
            Err(SinkError::Fatal(_)) if self.1 == Bug::AnyTopic => {
                Memory::new(vec![]).open(partition).await?
            }
            opened => opened?,
        };
        Ok(Arc::new(BuggyPartition {
            memory: self.0.clone(),
            bug: self.1,
            partition: partition.clone(),
            lane,
        }))
    }
}

#[async_trait]
impl PartitionState for BuggyPartition {
    fn checkpoint(&self) -> Option<Checkpoint> {
        self.lane.checkpoint()
    }
    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        let mut keys = keys.to_vec();
        if self.bug == Bug::KeysSorted {
            keys.sort();
        }
        self.lane.get(&keys).await
    }
    async fn scan(&self, prefix: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        self.lane.scan(prefix).await
    }
    async fn commit(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        let mut batch = batch.clone();
        if self.bug == Bug::RowsOnly {
            let at = self.lane.checkpoint().unwrap_or_default();
            let (partition, start) = (batch.partition, batch.span.start);
            batch = Batch::new(partition, 'p', start, vec![], batch.rows, at, [].into());
        }
        match self.lane.commit(&batch).await {
            Err(SinkError::Fenced) if self.bug == Bug::NoFence => {
                self.memory.open(&self.partition).await?.commit(&batch).await
            }
            Err(SinkError::Fenced) if self.bug == Bug::AnyPlace => Ok(Receipt::default()),
            Ok(receipt) if self.bug == Bug::NoRepeat => {
                let at = self.memory.open(&self.partition).await?; // forgets who held it
                drop(at);
                Ok(receipt)
            }
            answer => answer,
        }
    }
    async fn close(&self) -> Result<(), SinkError> {
        self.lane.close().await
    }
}

type Share = (i64, Vec<Cell>);
struct Item {
    key: Vec<Cell>,
    own: Option<Vec<Cell>>,
    own_at: i64,
    owner: Option<Partition>,
    shares: BTreeMap<Partition, Share>,
}

impl Default for Item {
    fn default() -> Self {
        Self { key: vec![], own: None, own_at: -1, owner: None, shares: BTreeMap::new() }
    }
}

/// By view and key.
type Items = HashMap<(&'static str, Vec<Cell>), Item>;

/// A keyed sink as small as it can be: each part remembers the offset that wrote it.
#[derive(Clone)]
struct Keyed {
    views: Arc<Vec<View>>,
    bug: Bug,
    items: Arc<Mutex<Items>>,
}

const TEXT_BYTES_MAX: usize = 1_000;

impl Keyed {
    fn show(view: &View, item: &Item) -> Option<Vec<Cell>> {
        let total = view.total(item.shares.values().map(|share| &share.1[..]));
        view.show(item.own.as_deref(), &total).expect("a row or none")
    }
    fn rows(&self, view: &View) -> Rows {
        let items = self.items.lock().unwrap();
        let of_view = items.iter().filter(|((name, _), _)| *name == view.name);
        of_view.filter_map(|(_, item)| Some((item.key.clone(), Self::show(view, item)?))).collect()
    }
    /// Where the item of this key is.
    fn place(&self, write: &sinks::Write) -> (&'static str, Vec<Cell>) {
        let key = &write.key;
        let joined = || key.iter().map(Cell::to_string).collect::<Vec<_>>().join("/");
        let at = match self.bug {
            Bug::LastColumnMissing if key.len() > 1 => key[..key.len() - 1].to_vec(),
            Bug::KeysJoined => vec![joined().into()],
            _ => key.clone(),
        };
        (write.view, at)
    }
    /// Writes down whose the row is; an error where it is another's.
    fn claim(&self, partition: &Partition, write: &sinks::Write) -> Result<(), TwoOwners> {
        let owns = match write.op {
            Op::Put(_) => true,
            Op::Delete => self.bug != Bug::DeletesAnybodys,
            Op::Share(_) => self.bug == Bug::SharesOwn,
        };
        if !owns || self.bug == Bug::OwnerNotLookedAt {
            return Ok(());
        }
        let mut items = self.items.lock().unwrap();
        let item = items.entry(self.place(write)).or_default();
        item.key.clone_from(&write.key);
        match item.owner.as_ref().filter(|owner| *owner != partition) {
            Some(owner) => Err(TwoOwners {
                view: write.view.to_owned(),
                partition: partition.clone(),
                offset: write.offset,
                owner: owner.to_string(),
            }),
            None => {
                let forgets = self.bug == Bug::DeletedIsNobodys && write.op == Op::Delete;
                item.owner = (!forgets).then(|| partition.clone());
                Ok(())
            }
        }
    }
    fn apply(&self, partition: &Partition, write: &sinks::Write) -> Receipt {
        let view = self.views.iter().find(|view| view.name == write.view).unwrap();
        let mut items = self.items.lock().unwrap();
        let item = items.entry(self.place(write)).or_default();
        item.key.clone_from(&write.key);
        let was_low = view.is_alerting(Self::show(view, item).as_deref());
        let at = item.shares.get(partition).map_or(-1, |share| share.0);
        match &write.op {
            Op::Put(own) if write.offset > item.own_at || self.bug == Bug::LastWriteWins => {
                (item.own, item.own_at) = (Some(own.clone()), write.offset);
            }
            Op::Delete if self.bug == Bug::LostDelete => {}
            Op::Delete if write.offset > item.own_at || self.bug == Bug::LastWriteWins => {
                (item.own, item.own_at) = (None, write.offset);
            }
            Op::Share(share)
                if self.bug == Bug::NetZeroSkipped && share.iter().all(Cell::is_zero) => {}
            Op::Share(share) if self.bug == Bug::Increments => {
                let before = item.shares.remove(partition).map_or(vec![], |share| share.1);
                let sum = view.total([before.as_slice(), share.as_slice()].into_iter());
                item.shares.insert(partition.clone(), (write.offset, sum));
            }
            Op::Share(share) if write.offset > at || self.bug == Bug::LastWriteWins => {
                item.shares.insert(partition.clone(), (write.offset, share.clone()));
            }
            _ => {}
        }
        let shown = Self::show(view, item);
        let crossed =
            view.is_alerting(shown.as_deref()) && (!was_low || self.bug == Bug::AlertEachWrite);
        let alert = sinks::Alert {
            name: sinks::Alert::name(&format!("{partition}/{}", write.offset), &write.key),
            key: write.key.clone(),
            value: None,
        };
        Receipt { alerts: if crossed { vec![alert] } else { vec![] } }
    }
}

#[async_trait]
impl Sink for Keyed {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        let (mut receipt, mut refused) = (Receipt::default(), vec![]);
        for write in &batch.writes {
            let large = matches!(&write.op, Op::Put(row) if row.iter().any(|cell| cell.size() > TEXT_BYTES_MAX));
            let is_null = write.key.contains(&Cell::Null) && self.bug != Bug::NullsInKeys;
            let of_totals = self.views.iter().any(|v| v.name == write.view && v.is_totals());
            let refuse =
                large || is_null && !of_totals || self.bug == Bug::RefusesAll && write.offset == 1;
            if !refuse {
                self.claim(&batch.partition, write)?;
                receipt.alerts.extend(self.apply(&batch.partition, write).alerts);
            } else if !batch.dead_lettered.contains(&write.offset) {
                let view = self.views.iter().find(|view| view.name == write.view).unwrap();
                let column = view.key.last().unwrap().name;
                let reason = format!("{}.{column}: not taken", view.name);
                refused.push(Refusal { offset: write.offset, reason });
            }
        }
        if self.bug == Bug::RefusesFirst {
            refused.truncate(1);
        }
        if refused.is_empty() { Ok(receipt) } else { Err(SinkError::Refused(refused)) }
    }
}

/// Whether the suite of views ends without a complaint.
async fn views_pass(bug: Bug) -> Result<(), String> {
    let run = async move {
        let supports =
            Supports { text_bytes: Some((1_000, 1_001)), seeds: 12, ..Supports::default() };
        let views = Arc::new(Shop::views(&supports));
        let named: Mutex<HashMap<String, (Keyed, Memory)>> = Mutex::default();
        let open = |name: &str| {
            let make = || {
                let sink = Keyed { views: views.clone(), bug, items: Arc::default() };
                (sink, Memory::new(vec![]))
            };
            named.lock().unwrap().entry(name.to_owned()).or_insert_with(make).clone()
        };
        conformance::views(
            supports,
            async |name: &str| {
                let (sink, state) = open(name);
                Backend { sink: Some(Arc::new(sink)), state: Arc::new(state) }
            },
            async |name: &str, view: &View| open(name).0.rows(view),
        )
        .await;
    };
    outcome(run).await
}

/// What each partition published last: its position, and its shares.
type Published = BTreeMap<Partition, (i64, Vec<(Key, Vec<u8>)>)>;

/// A derived sink as small as it can be: shares by partition, never older ones over newer ones.
#[derive(Clone)]
struct Derived {
    bug: Bug,
    parts: Arc<Mutex<Published>>,
}

impl Derived {
    fn rows(&self, view: &View) -> Rows {
        let prefix = sinks::share_prefix(view.name);
        let mut shares: BTreeMap<Vec<Cell>, Vec<Vec<Cell>>> = BTreeMap::new();
        let parts = self.parts.lock().unwrap();
        let rows = parts.values().flat_map(|(_, rows)| rows);
        for (key, share) in rows.filter(|(key, _)| key.starts_with(&prefix)) {
            let key = serde_json::from_slice(&key[prefix.len()..]).unwrap();
            shares.entry(key).or_default().push(sinks::decode_row(share).unwrap());
        }
        let show =
            |shares: Vec<Vec<Cell>>| view.show(None, &view.total(shares.iter().map(Vec::as_slice)));
        shares
            .into_iter()
            .filter_map(|(key, shares)| Some((key, show(shares).expect("a row or none")?)))
            .collect()
    }
}

#[async_trait]
impl Sink for Derived {
    async fn write(&self, _: &Batch) -> Result<Receipt, SinkError> {
        Ok(Receipt::default())
    }
    async fn publish(
        &self,
        partition: &Partition,
        at: &Checkpoint,
        lane: &dyn PartitionState,
    ) -> Result<(), SinkError> {
        let rows = lane.scan(b"=").await?;
        let mut parts = self.parts.lock().unwrap();
        match parts.get(partition).map(|part| part.0) {
            Some(there) if there > at.next && self.bug == Bug::HaltsWhenStale => {
                return Err(SinkError::fatal(anyhow::anyhow!("a newer one is there")));
            }
            Some(there) if there > at.next && self.bug != Bug::AnyPosition => {}
            Some(_) if self.bug == Bug::OnceOnly => {}
            _ => {
                parts.insert(partition.clone(), (at.next, rows));
            }
        }
        Ok(())
    }
}

async fn derived_passes(bug: Bug) -> Result<(), String> {
    let run = async move {
        let supports = Supports { stock: false, rows: false, seeds: 3, ..Supports::default() };
        let named: Mutex<HashMap<String, (Derived, Memory)>> = Mutex::default();
        let open = |name: &str| {
            let make = || (Derived { bug, parts: Arc::default() }, Memory::new(vec![]));
            named.lock().unwrap().entry(name.to_owned()).or_insert_with(make).clone()
        };
        conformance::views(
            supports,
            async |name: &str| {
                let (sink, state) = open(name);
                Backend { sink: Some(Arc::new(sink)), state: Arc::new(state) }
            },
            async |name: &str, view: &View| open(name).0.rows(view),
        )
        .await;
    };
    outcome(run).await
}

async fn state_passes(bug: Bug) -> Result<(), String> {
    let run = async move {
        let named: Mutex<HashMap<String, Memory>> = Mutex::default();
        conformance::state(async |name: &str| -> Arc<dyn State> {
            let memory = named
                .lock()
                .unwrap()
                .entry(name.into())
                .or_insert_with(|| Memory::new(vec![]))
                .clone();
            Arc::new(BuggyState(memory, bug)) as _
        })
        .await;
    };
    outcome(run).await
}

/// The suites' futures need not be `Send`: each runs on a thread's own runtime.
async fn outcome(run: impl Future<Output = ()>) -> Result<(), String> {
    use futures::FutureExt;
    let told = |cause: Box<dyn std::any::Any + Send>| {
        cause
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()))
    };
    std::panic::AssertUnwindSafe(run)
        .catch_unwind()
        .await
        .map_err(|cause| told(cause).unwrap_or_default())
}

#[tokio::test]
async fn a_sound_keyed_sink_passes() {
    views_pass(Bug::None).await.unwrap();
}

#[tokio::test]
async fn a_sound_state_passes() {
    state_passes(Bug::None).await.unwrap();
}

#[tokio::test]
async fn bugs_of_a_sink_are_noticed() {
    let bugs = [
        (Bug::LastWriteWins, "stale"),
        (Bug::Increments, ""),
        (Bug::LostDelete, ""),
        (Bug::NetZeroSkipped, ""),
        (Bug::AlertEachWrite, "alerts"),
        (Bug::RefusesAll, "writes can never be made"),
        (Bug::RefusesFirst, "refusal"),
        (Bug::NullsInKeys, "a null in a key"),
        (Bug::LastColumnMissing, ""),
        (Bug::KeysJoined, ""),
        (Bug::OwnerNotLookedAt, "one key in two partitions"),
        (Bug::DeletedIsNobodys, "one key in two partitions"),
        (Bug::DeletesAnybodys, "one key in two partitions"),
        (Bug::SharesOwn, "is owned by"),
    ];
    for (bug, told) in bugs {
        let complaint = views_pass(bug).await.expect_err(&format!("{bug:?} was not noticed"));
        assert!(complaint.contains(told), "{bug:?}: {complaint}");
    }
}

#[tokio::test]
async fn a_sound_derived_sink_passes_and_bugs_of_one_are_noticed() {
    derived_passes(Bug::None).await.unwrap();
    for (bug, told) in [
        (Bug::AnyPosition, "late publication"),
        (Bug::OnceOnly, ""),
        (Bug::HaltsWhenStale, "publication failed"),
    ] {
        let complaint = derived_passes(bug).await.expect_err(&format!("{bug:?} was not noticed"));
        assert!(complaint.contains(told), "{bug:?}: {complaint}");
    }
}

#[tokio::test]
async fn bugs_of_a_state_are_noticed() {
    for bug in [
        Bug::NoFence,
        Bug::NoRepeat,
        Bug::AnyPlace,
        Bug::RowsOnly,
        Bug::KeysSorted,
        Bug::AnyTopic,
        Bug::AnyCount,
        Bug::NoCheckpoints,
        Bug::CountStays,
    ] {
        state_passes(bug).await.expect_err(&format!("{bug:?} was not noticed"));
    }
}
