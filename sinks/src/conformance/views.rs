//! The promises of whatever shows views: a sink beside a state, or a state that keeps the views itself.
mod late;
mod owners;

use super::{
    faults::{Faults, FlakySink, FlakyState, Letters},
    shop::{Dice, Log, Rows, Shop, Supports, expected, logs, merged, partitions},
};
use crate::{
    Alert, Batch, Cell, Committer, Letter, Op, Partition, PartitionState, Receipt, Sink, SinkError,
    State, View, dlq::Reason,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use views::Decimal;

/// What is put through the suite.
pub struct Backend {
    /// `None`: the state keeps the views.
    pub sink: Option<Arc<dyn Sink>>,
    pub state: Arc<dyn State>,
}

/// Puts a backend through the promises. `make(name)` gives it on the storage of that name, with
/// [`Shop::views`]; `read(name, view)` gives what people see there, and changes nothing: the suite itself publishes
/// what was committed, now and then and at the end, as the runtime does.
pub async fn views(
    supports: Supports,
    make: impl AsyncFn(&str) -> Backend,
    read: impl AsyncFn(&str, &View) -> Rows,
) {
    let suite = Suite { supports, make, read };
    let calm = Weather::default();
    suite.run("one record a batch", &Weather { records_max: 1, ..calm }).await;
    suite.run("batches cut at random", &calm).await;
    suite.run("all at once", &Weather { records_max: 10_000, ..calm }).await;
    suite.run("every batch twice", &Weather { twice: true, ..calm }).await;
    suite.run("transient errors and lost answers", &Weather { flaky_percent: 15, ..calm }).await;
    suite.run("crash between sink and state", &Weather { crash_percent: 30, ..calm }).await;
    suite
        .run(
            "new owners and stale ones",
            &Weather { takeover_percent: 15, zombie_percent: 30, ..calm },
        )
        .await;
    let storm = Weather {
        twice: true,
        flaky_percent: 8,
        crash_percent: 10,
        takeover_percent: 10,
        zombie_percent: 20,
        ..calm
    };
    suite.run("everything together", &storm).await;
    suite.late_publications().await;
    suite.one_key_two_partitions().await;
    if suite.supports.stock {
        suite.alerts_once_a_crossing(Shop::STOCK).await;
        suite.alerts_once_a_crossing(Shop::BINS).await;
    }
    if suite.supports.merged {
        suite.alerts_once_a_crossing(Shop::SHELVES).await;
    }
    if let Some((taken, refused)) = suite.supports.text_bytes
        && (suite.supports.stock || suite.supports.rows)
    {
        suite.refuses_single_records(refused).await;
        suite.takes_large_texts(taken).await;
        suite.keys_with_nulls().await;
    }
}

/// What befalls a run.
#[derive(Debug, Clone, Copy)]
struct Weather {
    records_max: u64,
    twice: bool,
    flaky_percent: u64,
    crash_percent: u64,
    takeover_percent: u64,
    zombie_percent: u64,
    /// Of commits that are followed by a publication.
    publish_percent: u64,
}
impl Default for Weather {
    fn default() -> Self {
        Self {
            records_max: 9,
            twice: false,
            flaky_percent: 0,
            crash_percent: 0,
            takeover_percent: 0,
            zombie_percent: 0,
            publish_percent: 25,
        }
    }
}

/// One process: its handles, and where it believes each partition stands.
struct Process {
    committer: Committer,
    lanes: Vec<Arc<dyn PartitionState>>,
    at: Vec<usize>,
}

struct Suite<M, R> {
    supports: Supports,
    make: M,
    read: R,
}

/// More tries than any run of bad luck needs.
const TRIES_MAX: usize = 200;

async fn insist<T>(
    what: &str,
    call: impl AsyncFn() -> Result<T, SinkError>,
) -> Result<T, SinkError> {
    for _ in 0..TRIES_MAX {
        match call().await {
            Err(SinkError::Transient(_)) => {}
            answer => return answer,
        }
    }
    panic!("{what}: still unavailable after {TRIES_MAX} tries");
}

impl<M: AsyncFn(&str) -> Backend, R: AsyncFn(&str, &View) -> Rows> Suite<M, R> {
    async fn process(&self, name: &str, logs: &[Log], faults: Option<&Faults>) -> Process {
        let Backend { mut sink, mut state } = (self.make)(name).await;
        if let Some(faults) = faults {
            sink = sink.map(|sink| Arc::new(FlakySink(sink, faults.clone())) as _);
            state = Arc::new(FlakyState(state, faults.clone()));
        }
        let (mut lanes, mut at): (Vec<Arc<dyn PartitionState>>, _) = (vec![], vec![]);
        for log in logs {
            let opened = insist(name, async || state.open(&log.partition).await).await;
            let lane =
                opened.unwrap_or_else(|e| panic!("{name}: opening {} failed: {e}", log.partition));
            at.push(log.number(lane.checkpoint().map(|c| c.next)));
            lanes.push(lane);
        }
        Process {
            committer: Committer { dlq: Arc::new(Letters::default()), sink, state },
            lanes,
            at,
        }
    }

    async fn run(&self, check: &str, weather: &Weather) {
        for seed in 1..=self.supports.seeds {
            self.run_once(check, weather, seed).await;
        }
    }

    async fn run_once(&self, check: &str, weather: &Weather, seed: u64) {
        let name = format!("{}-{seed}", check.replace(' ', "-"));
        let told = format!("{check}, seed {seed}");
        let logs = logs(seed, &self.supports, 30);
        let mut dice = Dice::new(seed ^ 0xca1f);
        let mut press = Dice::new(seed ^ 0x9e55);
        let faults = Faults::new(seed ^ 0xfa17, weather.flaky_percent);
        let faults = (weather.flaky_percent > 0).then_some(&faults);
        let mut owner = self.process(&name, &logs, faults).await;
        let mut stale: Vec<Process> = vec![];
        while let Some(log) = pick(&logs, &owner.at, &mut dice) {
            let to = (owner.at[log] + 1 + dice.roll(weather.records_max) as usize)
                .min(logs[log].records.len());
            let batch = logs[log].cut(owner.at[log], to, &[]);
            if dice.roll(100) < weather.zombie_percent {
                zombie(&told, &stale, &logs, &mut dice).await;
            }
            if dice.roll(100) < weather.crash_percent
                && let Some(sink) = &owner.committer.sink
            {
                // Written, but the state never heard of it; the next owner cuts it differently.
                settled(&told, insist(&told, async || sink.write(&batch).await).await);
                stale.push(std::mem::replace(&mut owner, self.process(&name, &logs, faults).await));
                continue;
            }
            if dice.roll(100) < weather.takeover_percent {
                stale.push(std::mem::replace(&mut owner, self.process(&name, &logs, faults).await));
                continue;
            }
            for _ in 0..if weather.twice { 2 } else { 1 } {
                owner.commit(&told, log, &batch).await;
            }
            owner.at[log] = to;
            if press.roll(100) < weather.publish_percent {
                settled(&told, owner.publish(&told, &logs, log).await);
            }
        }
        self.check_end(&told, &name, &logs).await;
    }

    /// Every partition stands at its log's end, rows and position agree, and the views show what they must.
    async fn check_end(&self, told: &str, name: &str, logs: &[Log]) {
        let end = self.process(name, logs, None).await;
        for ((log, lane), at) in logs.iter().zip(&end.lanes).zip(&end.at) {
            assert_eq!(*at, log.records.len(), "{told}: records applied of {}", log.partition);
            let rows = lane.get(&[b"records".to_vec()]).await.expect("get");
            let expected = (*at > 0).then(|| at.to_string().into_bytes());
            assert_eq!(rows, [expected], "{told}: rows and position of {}", log.partition);
        }
        drop(end);
        self.check_views(told, name, logs).await;
    }

    /// Publishes as the owner of every partition; then the views show what they must.
    async fn check_views(&self, told: &str, name: &str, logs: &[Log]) {
        self.process(name, logs, None).await.publish_all(told, logs).await;
        self.check_shown(told, name, logs).await;
    }

    async fn check_shown(&self, told: &str, name: &str, logs: &[Log]) {
        for view in Shop::views(&self.supports) {
            let (shown, expected) = ((self.read)(name, &view).await, expected(&view, logs));
            for (key, row) in &expected {
                assert_eq!(
                    shown.get(key),
                    Some(row),
                    "{told}: {} at {key:?} (left: shown)",
                    view.name
                );
            }
            let extra: Vec<_> = shown.keys().filter(|key| !expected.contains_key(*key)).collect();
            assert!(
                extra.is_empty(),
                "{told}: {} shows rows that should not be there: {extra:?}",
                view.name
            );
        }
    }

    async fn alerts_once_a_crossing(&self, view: &'static str) {
        let told = &format!("alerts once a crossing, {view}");
        let name = &format!("alerts-{view}");
        // Under which an alert is kept: never to be changed.
        let key = |id: i64| match view {
            Shop::BINS => (vec!["a/b\\".into(), id.into(), "".into()], format!("a\\/b\\\\/{id}/")),
            _ => (vec![Cell::Int(id)], id.to_string()),
        };
        let mut logs: Vec<Log> = partitions()
            .into_iter()
            .zip("ppoodd".chars())
            .map(|(p, tag)| Log::new(p, tag, 0))
            .collect();
        let put = |base: i64| match view {
            Shop::BINS | Shop::SHELVES => Op::Put(vec![base.into()]),
            _ => Op::Put(vec!["tea".into(), Decimal::from(5).into(), base.into()]),
        };
        let share = |sold: i64| match view {
            Shop::SHELVES => merged::share(&[sold]),
            _ => Op::Share(vec![sold.into()]),
        };
        // Partition, product, what happens, the stock at which it alerts.
        let story: [(usize, i64, Op, Option<i64>); 15] = [
            (0, 2, put(12), None),
            (2, 2, share(3), Some(9)),
            (3, 2, share(1), None),
            (2, 2, share(2), None),
            (0, 2, put(20), None),
            (2, 2, share(11), Some(8)),
            (2, 2, share(0), None),
            (2, 2, share(15), Some(4)),
            (0, 2, Op::Delete, None),
            (3, 2, share(30), None),
            (0, 2, put(9), Some(-36)),
            (0, 2, put(5), None),
            (3, 4, share(2), None),
            (0, 4, put(11), Some(9)),
            (0, 6, put(10), None),
        ];
        let (mut raised, mut due) = (BTreeMap::new(), BTreeMap::new());
        for (log, id, op, alert) in story {
            let records = logs[log].records.len();
            let (key, text) = key(id);
            logs[log].push(1, vec![(view, key.clone(), op)]);
            if let Some(stock) = alert {
                let offset = logs[log].records[records].offset;
                due.insert(format!("{}/{offset}/{text}", logs[log].partition), (key, stock));
            }
            let batch = logs[log].cut(records, records + 1, &[]);
            let process = self.process(name, &logs, None).await;
            for _ in 0..2 {
                for alert in process.commit(told, log, &batch).await.alerts {
                    raised.insert(alert.name.clone(), alert);
                }
            }
        }
        let names = |alerts: Vec<&String>| alerts.into_iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(
            names(raised.keys().collect()),
            names(due.keys().collect()),
            "{told} (left: raised)"
        );
        for (name, (key, stock)) in due {
            let Alert { key: raised_key, value, .. } = &raised[&name];
            assert_eq!(*raised_key, key, "{told}: key of {name}");
            assert!(
                value.is_none_or(|value| value == stock),
                "{told}: {name}: {value:?}, not {stock}"
            );
        }
        self.check_views(told, name, &logs).await;
    }

    /// A put of product `id` with a name of `bytes` bytes, into one view that takes texts.
    fn put_text(&self, id: i64, bytes: usize) -> (&'static str, Vec<Cell>, Op) {
        let (text, price) =
            (Cell::Text("x".repeat(bytes)), Cell::Decimal(Decimal::from_parts(1950.into(), 2)));
        if self.supports.stock {
            return (Shop::STOCK, vec![id.into()], Op::Put(vec![text, price, 50.into()]));
        }
        let row = vec![Cell::from("tea"), text, price, Cell::Null, Cell::Words(BTreeSet::new())];
        (Shop::INDEX, vec![id.into()], Op::Put(row))
    }

    /// A row needs a whole key: what has none is refused by name, and the others stand. Sums may have one.
    async fn keys_with_nulls(&self) {
        if self.supports.stock {
            let key = ["a".into(), 2.into(), "b".into()];
            self.null_in_key(Shop::BINS, "shelf", key.into(), vec![9.into()]).await;
        }
        if self.supports.rows {
            let key = ["a".into(), "b".into()];
            self.null_in_key(Shop::MEMBERS, "member", key.into(), vec!["tea".into()]).await;
        }
    }

    /// `column`: the last one of the key.
    async fn null_in_key(
        &self,
        view: &'static str,
        column: &str,
        mut key: Vec<Cell>,
        row: Vec<Cell>,
    ) {
        let (told, name) = (format!("a null in a key of {view}"), format!("null-{view}"));
        let mut log = Log::new(partitions().remove(0), 'p', 0);
        log.push(1, vec![(view, key.clone(), Op::Put(row.clone()))]);
        key.pop();
        key.push(Cell::Null);
        log.push(1, vec![(view, key.clone(), Op::Put(row))]);
        log.push(1, vec![(view, key, Op::Delete)]);
        let mut logs = [log];
        let process = self.process(&name, &logs, None).await;
        let (lane, batch) = (&*process.lanes[0], logs[0].cut(0, 3, &[]));
        let refused = match process.committer.commit(lane, &batch, &[]).await {
            Err(SinkError::Refused(refused)) => refused,
            Err(other) => panic!("{told}: expected Refused, got: {other}"),
            Ok(_) => panic!("{told}: was taken"),
        };
        let offsets: Vec<i64> = refused.iter().map(|refusal| refusal.offset).collect();
        let due: Vec<i64> = logs[0].records[1..].iter().map(|record| record.offset).collect();
        assert_eq!(offsets, due, "{told} (left: refused)");
        for reason in refused.iter().map(|refusal| &refusal.reason) {
            assert!(reason.contains(view) && reason.contains(column), "{told}: {reason}");
        }
        let letters: Vec<Letter> =
            offsets.iter().map(|offset| letter(&logs[0].partition, *offset)).collect();
        let dead_lettered = logs[0].cut(0, 3, &offsets);
        for _ in 0..2 {
            settled(&told, process.committer.commit(lane, &dead_lettered, &letters).await);
        }
        logs[0].records[1..].iter_mut().for_each(|record| record.writes.clear());
        self.check_end(&told, &name, &logs).await;
    }

    async fn refuses_single_records(&self, bytes: usize) {
        let (told, name) = ("refusal of single records", "refusal");
        let mut log = Log::new(partitions().remove(0), 'p', 0);
        for (id, bytes) in [(0, 3), (2, bytes), (4, 3), (6, bytes), (8, 4), (2, 3)] {
            log.push(1, vec![self.put_text(id, bytes)]);
        }
        let refused: Vec<i64> = [1, 3].map(|at: usize| log.records[at].offset).into();
        let logs = [log];
        let process = self.process(name, &logs, None).await;
        let whole = logs[0].cut(0, 5, &[]);
        match process.committer.commit(&*process.lanes[0], &whole, &[]).await {
            Err(SinkError::Refused(found)) => {
                let offsets: Vec<i64> = found.iter().map(|refusal| refusal.offset).collect();
                assert_eq!(
                    offsets, refused,
                    "{told}: every refused offset, and no other, in order"
                );
                let leaks = found.iter().any(|refusal| refusal.reason.contains("xxxx"));
                assert!(!leaks, "{told}: a reason must not hold the value");
            }
            Err(other) => panic!("{told}: expected Refused, got: {other}"),
            Ok(_) => panic!("{told}: a text of {bytes} bytes was taken"),
        }
        let process = self.process(name, &logs, None).await;
        assert_eq!(process.at, [0], "{told}: a refused batch must not move the position");
        if process.committer.sink.is_none() {
            self.check_views(&format!("{told}, refused"), name, &[]).await;
        }
        let process = self.process(name, &logs, None).await;
        let letters: Vec<Letter> =
            refused.iter().map(|offset| letter(&logs[0].partition, *offset)).collect();
        let dead_lettered = logs[0].cut(0, 5, &refused);
        for _ in 0..2 {
            let done = process.committer.commit(&*process.lanes[0], &dead_lettered, &letters).await;
            settled(&format!("{told}, dead_lettered"), done);
        }
        // What was refused is behind until it is written again.
        process.commit(told, 0, &logs[0].cut(5, 6, &[])).await;
        let mut without = logs;
        for record in without[0].records.iter_mut().filter(|r| refused.contains(&r.offset)) {
            record.writes.clear();
        }
        self.check_end(&format!("{told}, dead_lettered"), name, &without).await;
    }

    async fn takes_large_texts(&self, bytes: usize) {
        let mut log = Log::new(partitions().remove(0), 'p', 0);
        log.push(1, vec![self.put_text(0, bytes)]);
        log.push(1, vec![self.put_text(2, bytes)]);
        let logs = [log];
        let process = self.process("large", &logs, None).await;
        process.commit("large texts", 0, &logs[0].cut(0, 2, &[])).await;
        self.check_end("large texts", "large", &logs).await;
    }
}

impl Process {
    async fn commit(&self, told: &str, log: usize, batch: &Batch) -> Receipt {
        let lane = &*self.lanes[log];
        settled(told, insist(told, async || self.committer.commit(lane, batch, &[]).await).await)
    }

    /// Publishes what it committed of one partition, if anything.
    async fn publish(&self, told: &str, logs: &[Log], log: usize) -> Result<(), SinkError> {
        if self.at[log] == 0 {
            return Ok(());
        }
        let (partition, lane) = (&logs[log].partition, &*self.lanes[log]);
        let at = logs[log].cut(self.at[log], self.at[log], &[]).checkpoint;
        insist(told, async || self.committer.publish(partition, &at, lane).await).await
    }

    async fn publish_all(&self, told: &str, logs: &[Log]) {
        for log in 0..logs.len() {
            settled(&format!("{told}, publishing"), self.publish(told, logs, log).await);
        }
    }
}

fn settled<T>(told: &str, answer: Result<T, SinkError>) -> T {
    answer.unwrap_or_else(|e| panic!("{told}: failed: {e}"))
}

/// A log that is not at its end.
fn pick(logs: &[Log], at: &[usize], dice: &mut Dice) -> Option<usize> {
    let open: Vec<usize> =
        (0..logs.len()).filter(|log| at[*log] < logs[*log].records.len()).collect();
    (!open.is_empty()).then(|| open[dice.roll(open.len() as u64) as usize])
}

/// An owner of the past goes on as if nothing had happened.
async fn zombie(told: &str, stale: &[Process], logs: &[Log], dice: &mut Dice) {
    if stale.is_empty() {
        return;
    }
    let zombie = &stale[dice.roll(stale.len() as u64) as usize];
    let Some(log) = pick(logs, &zombie.at, dice) else { return };
    late::publish(told, zombie, logs, log).await;
    let from = zombie.at[log];
    let to = (from + 1 + dice.roll(9) as usize).min(logs[log].records.len());
    let (batch, lane) = (logs[log].cut(from, to, &[]), &*zombie.lanes[log]);
    match insist(told, async || zombie.committer.commit(lane, &batch, &[]).await).await {
        Err(SinkError::Fenced) => {}
        Err(other) => panic!("{told}: a stale owner expects Fenced, got: {other}"),
        Ok(_) => panic!("{told}: a stale owner's batch {:?} was committed", batch.span),
    }
}

fn letter(partition: &Partition, offset: i64) -> Letter {
    Letter {
        partition: partition.clone(),
        offset,
        timestamp_ms: 0,
        key: None,
        value: None,
        headers: vec![],
        reason: Reason::Refused,
        error: "too large".into(),
        replayed: None,
    }
}
