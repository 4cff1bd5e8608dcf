//! Items in DynamoDB. Each says for itself up to which offset of each partition it was touched; everything below the
//! floor is in it as well.
//!
//! First pass: the scan, sorted, against the view at the floor. What differs was touched since, or is wrong. Second
//! pass: each of these items is read again, then the log as far as it goes, and its row is computed at the item's own
//! position. Only what differs then is a difference.
use super::super::{
    compare::{Pair, merge},
    log::Positions,
    outcome::{KEPT_MAX, Outcome, ViewOutcome, difference, pair},
    row_key::RowKey,
    session::{SORT_BYTES, Session, asked_for, words_of},
    sorted::{Merged, Row, Sorter},
};
use consumers::{config::Config, handlers::search};
use sinks::{
    Cell, Partition, SinkError, View,
    dynamodb::{DynamoDb, Seen},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};

const SEGMENTS: i32 = 4;
/// Pages between the scan and the sort.
const PAGES_AHEAD: usize = 4;
/// Items of one look at the log.
const BATCH: usize = 500;
const AT_ONCE: usize = 16;
/// A throttled request is tried again this often, each time later.
const TRIES_MAX: u32 = 8;
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// Until the service has made durable all that the snapshot sees.
pub fn wait(session: &Session<'_>) -> anyhow::Result<()> {
    let advice = "Wait longer with --wait-seconds, or start the service.";
    session.wait_for_service(|| session.log.acknowledged(&session.partitions), advice).map(drop)
}

pub fn verify(
    session: &mut Session<'_>,
    sink: &Arc<DynamoDb>,
    views: &[View],
) -> anyhow::Result<Outcome> {
    wait(session)?;
    let position = session.floor.clone();
    let mut outcome = Outcome { position, views: Vec::new(), notes: Vec::new() };
    for view in views {
        outcome.views.push(one(session, sink, view)?);
    }
    Ok(outcome)
}

fn one(
    session: &mut Session<'_>,
    sink: &Arc<DynamoDb>,
    view: &View,
) -> anyhow::Result<ViewOutcome> {
    let mut outcome = ViewOutcome::new(view.name);
    let promise = Promise::of(sink, view)?;
    let have = scan(session, &promise)?;
    let floor = session.floor.clone();
    let want = session.expected(view, &floor)?;
    let want = want.map(|row| {
        let (key, row) = row?;
        Ok((key, promise.wanted(row)?))
    });
    let mut again: Vec<Vec<Cell>> = Vec::new();
    merge(want, have, |pair| {
        match &pair {
            Pair::Both { want, have } if want.1 == have.1 => outcome.count(&pair),
            Pair::Both { want: (key, _), .. } | Pair::Missing((key, _)) | Pair::Extra((key, _)) => {
                if again.len() < KEPT_MAX {
                    again.push(key.clone());
                } else {
                    outcome.unconfirmed += 1;
                    outcome.count(&pair);
                }
            }
        }
        Ok(())
    })?;
    for batch in again.chunks(BATCH) {
        confirm(session, &promise, view, batch, &mut outcome)?;
    }
    outcome.differences.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(outcome)
}

/// What is compared of the items of a view: its columns, and what else an item promises: its generation, and that its
/// row is what the partitions' shares make.
#[derive(Clone)]
struct Promise {
    sink: Arc<DynamoDb>,
    view: &'static str,
    has_shares: bool,
}
impl Promise {
    fn of(sink: &Arc<DynamoDb>, view: &View) -> Result<Self, SinkError> {
        let has_shares = sink.has_entries(view.name)?;
        Ok(Self { sink: sink.clone(), view: view.name, has_shares })
    }
    fn columns(&self, view: &View) -> Vec<&'static str> {
        let names = view.columns.iter().map(|column| column.name);
        names.chain(["gen"]).chain(self.has_shares.then_some("shares")).collect()
    }
    /// By the source's row.
    fn wanted(&self, mut row: Vec<Cell>) -> Result<Vec<Cell>, SinkError> {
        let shares = self.sink.shares_of(self.view, &row)?;
        row.push(Cell::Int(self.sink.generation()));
        row.extend(self.has_shares.then_some(shares));
        Ok(row)
    }
    /// By the item; `None`: not there for readers.
    fn shown(&self, seen: &Seen) -> Option<Vec<Cell>> {
        let mut row = seen.row.clone()?;
        row.push(seen.generation.map_or(Cell::Null, Cell::Int));
        row.extend(self.has_shares.then(|| seen.shares.clone()));
        Some(row)
    }
}

/// All items that readers see, in the order of keys.
fn scan(session: &Session<'_>, promise: &Promise) -> anyhow::Result<Merged> {
    let (to, mut from) = mpsc::channel::<Result<Vec<Row>, SinkError>>(PAGES_AHEAD);
    for segment in 0..SEGMENTS {
        let (sink, promise, to) = (promise.sink.clone(), promise.clone(), to.clone());
        session.io.spawn(async move {
            let mut cursor = None;
            loop {
                let page =
                    patient(|| sink.scan_page(promise.view, segment, SEGMENTS, cursor.clone()))
                        .await;
                let (rows, next) = match page {
                    Ok((seen, next)) => {
                        let row = |seen: Seen| Some((seen.key.clone(), promise.shown(&seen)?));
                        (Ok(seen.into_iter().filter_map(row).collect()), next)
                    }
                    Err(e) => (Err(e), None),
                };
                if to.send(rows).await.is_err() || next.is_none() {
                    return;
                }
                cursor = next;
            }
        });
    }
    drop(to);
    let mut sorter = Sorter::new(SORT_BYTES);
    while let Some(page) = from.blocking_recv() {
        for row in page? {
            sorter.push(row)?;
        }
    }
    sorter.finish()
}

/// Asks again, later each time, while the table is throttled or does not answer.
async fn patient<T, F: Future<Output = Result<T, SinkError>>>(
    mut ask: impl FnMut() -> F,
) -> Result<T, SinkError> {
    let mut pause = PAUSE_FIRST;
    for _ in 1..TRIES_MAX {
        match ask().await {
            Err(SinkError::Transient(_)) => tokio::time::sleep(pause).await,
            answer => return answer,
        }
        pause *= 2;
    }
    ask().await
}

/// Items by key, read again.
pub fn look(
    session: &Session<'_>,
    sink: &Arc<DynamoDb>,
    view: &'static str,
    keys: &[Vec<Cell>],
) -> anyhow::Result<HashMap<Vec<Cell>, Seen>> {
    let mut found = HashMap::new();
    for keys in keys.chunks(AT_ONCE) {
        let keys = keys.to_vec();
        let all = session.io.block_on(async {
            let mut looks = JoinSet::new();
            for key in keys {
                let sink = sink.clone();
                looks.spawn(async move {
                    let seen = patient(|| sink.look(view, &key)).await;
                    (key, seen)
                });
            }
            looks.join_all().await
        });
        for (key, seen) in all {
            found.extend(seen?.map(|seen| (key, seen)));
        }
    }
    Ok(found)
}

fn confirm(
    session: &mut Session<'_>,
    promise: &Promise,
    view: &View,
    keys: &[Vec<Cell>],
    outcome: &mut ViewOutcome,
) -> anyhow::Result<()> {
    let items = look(session, &promise.sink, view.name, keys)?;
    let mut want = expected(session, view, keys, &items)?;
    let names = promise.columns(view);
    for key in keys {
        let want = want.remove(key).flatten();
        let want = want.map(|row| promise.wanted(row)).transpose()?;
        let have = items.get(key).and_then(|seen| promise.shown(seen));
        let Some(pair) = pair(key, want, have) else { continue };
        outcome.count(&pair);
        if let Some(difference) = difference(pair, &names) {
            outcome.add(difference);
        }
    }
    Ok(())
}

/// What each of these keys is by SQL, at the position of its item.
fn expected(
    session: &mut Session<'_>,
    view: &View,
    keys: &[Vec<Cell>],
    items: &HashMap<Vec<Cell>, Seen>,
) -> anyhow::Result<HashMap<Vec<Cell>, Option<Vec<Cell>>>> {
    let places = Places::new(session.config, &session.partitions);
    let at = |key: &Vec<Cell>| places.position(items.get(key), &session.floor);
    let at: Vec<_> = keys.iter().map(|key| (key.clone(), at(key))).collect();
    expected_at(session, view, &at)
}

/// The statement's rows, each at one position, and the keys that are asked for there.
type Round<'a> = (BTreeMap<RowKey, Positions>, Vec<&'a Vec<Cell>>);

/// The same, at given positions. The log is read on first: after the items, it holds all that is in them.
pub fn expected_at(
    session: &mut Session<'_>,
    view: &View,
    wanted: &[(Vec<Cell>, Positions)],
) -> anyhow::Result<HashMap<Vec<Cell>, Option<Vec<Cell>>>> {
    let ends = session.log.ends(&session.partitions)?;
    session.extend(&ends)?;
    // Words of one product may stand at different positions: each position in a round of its own.
    let mut rounds: Vec<Round<'_>> = Vec::new();
    for (key, at) in wanted {
        let row = asked_for(view, key)?;
        let fits = |round: &&mut Round<'_>| round.0.get(&row).is_none_or(|there| there == at);
        if let Some(round) = rounds.iter_mut().find(fits) {
            round.0.insert(row, at.clone());
            round.1.push(key);
        } else {
            rounds.push((BTreeMap::from([(row, at.clone())]), vec![key]));
        }
    }
    let from = if view.name == search::TOKENS { search::INDEX } else { view.name };
    let mut found = HashMap::new();
    for (asked, keys) in rounds {
        let asked: Vec<(RowKey, Positions)> = asked.into_iter().collect();
        let rows = session.of_keys(from, &asked)?;
        for key in keys {
            let row = rows.get(&asked_for(view, key)?);
            let row = row.and_then(|row| finish(view.name, key, row.clone()));
            found.insert(key.clone(), row);
        }
    }
    Ok(found)
}

/// The view's row of what SQL says of its product.
fn finish(view: &str, key: &[Cell], mut row: Vec<Cell>) -> Option<Vec<Cell>> {
    match view {
        search::INDEX => {
            row.push(Cell::Words(words_of(&row)));
            Some(row)
        }
        search::TOKENS => {
            let words = words_of(&row);
            key.first().and_then(Cell::text).is_some_and(|word| words.contains(word)).then(Vec::new)
        }
        _ => Some(row),
    }
}

/// Which partition an entry of an item means.
pub struct Places(BTreeMap<String, Partition>);
impl Places {
    pub fn new(config: &Config, partitions: &[Partition]) -> Self {
        let mut places = BTreeMap::new();
        for table in &config.tables {
            for partition in partitions.iter().filter(|p| table.is_in(&p.topic)) {
                places.insert(format!("{}{}", table.tag, partition.index), partition.clone());
            }
        }
        Self(places)
    }
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Partition)> {
        self.0.iter()
    }
    /// What items call the partition.
    pub fn name(&self, partition: &Partition) -> Option<String> {
        self.iter().find(|(_, of)| *of == partition).map(|(name, _)| name.clone())
    }

    /// Everything before it is in the item: what touched it last, and the floor in any case.
    pub fn position(&self, item: Option<&Seen>, floor: &Positions) -> Positions {
        let mut at = floor.clone();
        let Some(item) = item else { return at };
        for (entry, partition) in &self.0 {
            let last = match item.entries.get(entry) {
                Some(Some(entry)) => Some(entry.offset),
                // A row has one owner, and only records of that partition touch it.
                _ => item.at,
            };
            if let (Some(last), Some(next)) = (last, at.get_mut(partition)) {
                *next = (*next).max(last + 1);
            }
        }
        at
    }
}
