//! Items: one conditional write each, made of the source's row and the states' shares.
use super::super::{
    Options,
    log::Positions,
    outcome::Outcome,
    session::Session,
    sink::dynamodb::{Places, expected_at, look, wait},
};
use super::Done;
use anyhow::{Context, bail};
use consumers::{
    config::{Config, State},
    plan_handler::PlanHandler,
    service,
};
use sinks::{
    Cell, Key, Merge, Partition, SinkError, View, decode_row,
    dynamodb::{DynamoDb, Entry, Mend, Mended, Seen},
    key_text,
    objects::Place,
    share_key,
    state::slatedb::{Glance, SlateDb},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};
use tokio::runtime::Runtime;

/// Looks at a key that moves, or whose state is behind its item.
const TRIES_MAX: usize = 10;
const BATCH: usize = 200;
const WRONG_STATE: &str = "the service's own state disagrees with the source there: not repairable, start a new GENERATION";

pub fn repair(
    config: &Config,
    options: &Options,
    io: &Runtime,
    outcome: &Outcome,
) -> anyhow::Result<Done> {
    let generation = config.generation;
    let name = config.service.name();
    let state = match &config.state {
        State::SlateDb(Place::Dir(dir)) => SlateDb::folder(dir, generation, name)?,
        State::SlateDb(Place::S3 { bucket, prefix }) => {
            SlateDb::new(service::s3_store(bucket, &config.aws)?, prefix, generation, name)
        }
        State::Memory | State::InSink => bail!("--state memory: there is no state to repair from"),
    };
    let views = service::views(config);
    let sink = Arc::new(io.block_on(service::dynamodb(config, views.clone()))?);
    let mut session = Session::begin(config, options, io)?;
    // A state that is behind would seem to disagree with the source.
    wait(&session)?;
    let places = Places::new(config, &session.partitions);
    let handler = service::handler(config);
    let mut done = Done::default();
    for of_view in &outcome.views {
        let view = views.iter().find(|view| view.name == of_view.view).context("a view")?;
        let keys: Vec<Vec<Cell>> = of_view
            .differences
            .iter()
            .map(|difference| difference.key.clone())
            .filter(|key| super::is_key(view, key))
            .collect();
        let session = &mut session;
        let has_shares = sink.has_entries(view.name)?;
        let (sink, state, places, handler) = (&sink, &state, &places, &handler);
        let mut job = Job { session, sink, state, places, handler, view, has_shares };
        for batch in keys.chunks(BATCH) {
            job.batch(batch, &mut done)?;
        }
    }
    Ok(done)
}

struct Job<'a, 'r> {
    session: &'a mut Session<'r>,
    sink: &'a Arc<DynamoDb>,
    state: &'a SlateDb,
    places: &'a Places,
    handler: &'a PlanHandler,
    view: &'a View,
    /// An item has an entry for each partition.
    has_shares: bool,
}

/// What the partitions' states say.
type Glances = BTreeMap<Partition, Glance>;

/// What is to be done about an item.
enum Plan {
    Write(Mend, Positions),
    /// The state is behind the item: it will catch up.
    Later,
}

impl Job<'_, '_> {
    fn batch(&mut self, keys: &[Vec<Cell>], done: &mut Done) -> anyhow::Result<()> {
        let mut left = keys.to_vec();
        for attempt in 0..TRIES_MAX {
            if left.is_empty() {
                return Ok(());
            }
            if attempt > 0 {
                std::thread::sleep(std::time::Duration::from_millis(500));
            }
            left = self.attempt(&left, done)?;
        }
        if !left.is_empty() {
            done.notes.push(format!(
                "{}: {} items moved all the time, or are ahead of the state: left as they are",
                self.view.name,
                left.len()
            ));
        }
        Ok(())
    }

    /// The keys that have to be looked at again. First the states, then the items, then the log: each holds all that
    /// the one before does.
    fn attempt(&mut self, keys: &[Vec<Cell>], done: &mut Done) -> anyhow::Result<Vec<Vec<Cell>>> {
        let glances = self.glances(keys)?;
        let items = look(self.session, self.sink, self.view.name, keys)?;
        let mut again = Vec::new();
        let mut plans: HashMap<Vec<Cell>, Mend> = HashMap::new();
        let mut at = Vec::new();
        for key in keys {
            match self.plan(key, items.get(key), &glances)? {
                Plan::Write(mend, position) => {
                    plans.insert(key.clone(), mend);
                    at.push((key.clone(), position));
                }
                Plan::Later => again.push(key.clone()),
            }
        }
        let mut rows = expected_at(self.session, self.view, &at)?;
        for (key, mut mend) in plans {
            mend.row = rows.remove(&key).flatten();
            if !self.agrees(&mend) {
                done.notes.push(format!("{} {}: {WRONG_STATE}", self.view.name, key_text(&key)));
                continue;
            }
            let item = items.get(&key);
            if self.is_so(item, &mend)? {
                continue; // healed by itself
            }
            let (sink, view) = (self.sink, self.view.name);
            match self.session.io.block_on(sink.mend(view, &key, item, &mend))? {
                Mended::Done => done.repaired += 1,
                Mended::Moved => again.push(key),
            }
        }
        Ok(again)
    }

    /// The key of the state row that this row's owner keeps; `None`: rows of the view are made of shares alone.
    fn owner_key(&self, key: &[Cell]) -> anyhow::Result<Option<Key>> {
        if self.view.is_totals() {
            return Ok(None);
        }
        let known = self.handler.owner_key(self.view.name, key);
        known.map(Some).context("a key of a row that has an owner")
    }

    /// The partition whose state has the row's owner's part.
    fn owner<'g>(
        &self,
        key: &[Cell],
        glances: &'g Glances,
    ) -> anyhow::Result<Option<(&'g Partition, &'g Glance)>> {
        let Some(at) = self.owner_key(key)? else { return Ok(None) };
        Ok(glances.iter().find(|(_, glance)| glance.rows.contains_key(&at)))
    }

    /// The owner's part, as its state has it.
    fn own_part(&self, key: &[Cell], glances: &Glances) -> anyhow::Result<Option<Vec<Cell>>> {
        let (Some(at), Some((_, glance))) = (self.owner_key(key)?, self.owner(key, glances)?)
        else {
            return Ok(None);
        };
        let stored = glance.rows.get(&at);
        Ok(stored.and_then(|row| self.handler.own_part(self.view.name, key, row)))
    }

    fn glances(&self, keys: &[Vec<Cell>]) -> anyhow::Result<Glances> {
        let mut asked: BTreeSet<Key> = BTreeSet::new();
        for key in keys {
            asked.extend(self.owner_key(key)?);
            if self.has_shares {
                asked.insert(share_key(self.view.name, key));
            }
        }
        let asked: Vec<Key> = asked.into_iter().collect();
        let mut glances = Glances::new();
        for partition in &self.session.partitions {
            let mut glance = None;
            for _ in 0..TRIES_MAX {
                match self.session.io.block_on(self.state.glance(partition, &asked)) {
                    Err(SinkError::Transient(_)) => {}
                    answer => {
                        glance = Some(answer?);
                        break;
                    }
                }
            }
            let glance =
                glance.with_context(|| format!("the state of {partition} moves all the time"))?;
            glances.insert(partition.clone(), glance);
        }
        Ok(glances)
    }

    /// Entries and offsets as they have to be, and the position that the item then has.
    fn plan(&self, key: &[Cell], item: Option<&Seen>, glances: &Glances) -> anyhow::Result<Plan> {
        let mut at = self.session.floor.clone();
        let owner = self.owner(key, glances)?;
        let mut mend = Mend {
            owner: owner.and_then(|(partition, _)| self.places.name(partition)),
            own: self.own_part(key, glances)?,
            ..Mend::default()
        };
        if !self.has_shares {
            let seen = item.and_then(|item| item.at);
            let next = owner.and_then(|(_, glance)| glance.checkpoint.as_ref()).map(|c| c.next);
            mend.at = match (seen, next) {
                (Some(at), Some(next)) if at >= next => return Ok(Plan::Later),
                (Some(at), _) => at,
                (None, Some(next)) => next - 1,
                (None, None) => -1,
            };
            for next in at.values_mut() {
                *next = (*next).max(mend.at + 1);
            }
            return Ok(Plan::Write(mend, at));
        }
        let owner = owner.map(|(partition, _)| partition);
        for (name, partition) in self.places.iter() {
            let glance = &glances[partition];
            let next = glance.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next);
            let share = share(glance, &share_key(self.view.name, key))?;
            let entry = match item.and_then(|item| item.entries.get(name)) {
                Some(Some(entry)) if entry.offset >= next => return Ok(Plan::Later),
                Some(Some(entry)) if is_same(self.view.totals, &entry.share, &share) => {
                    Some(entry.clone())
                }
                // Nothing at or below it comes again: all of it is in the share.
                Some(_) => Some(Entry { offset: next - 1, share }),
                None if !self.view.is_nothing(&share) || owner == Some(partition) => {
                    Some(Entry { offset: next - 1, share })
                }
                None => None,
            };
            match entry {
                Some(entry) => {
                    if let Some(next) = at.get_mut(partition) {
                        *next = (*next).max(entry.offset + 1);
                    }
                    mend.entries.insert(name.clone(), entry);
                }
                None => drop(mend.absent.insert(name.clone())),
            }
            if item.is_none_or(|item| !item.entries.contains_key(name)) {
                mend.absent.insert(name.clone());
            }
        }
        Ok(Plan::Write(mend, at))
    }

    /// Whether the states have the row that the source has.
    fn agrees(&self, mend: &Mend) -> bool {
        let shares = mend.entries.values().map(|entry| entry.share.as_slice());
        self.view.row(mend.own.as_deref(), shares).is_ok_and(|row| mend.row == row)
    }

    /// Whether the item is as planned already.
    fn is_so(&self, item: Option<&Seen>, mend: &Mend) -> anyhow::Result<bool> {
        let Some(item) = item else { return Ok(mend.row.is_none()) };
        let entries = item.entries.iter().map(|(name, entry)| (name, entry.as_ref()));
        let planned = mend.entries.iter().map(|(name, entry)| (name, Some(entry)));
        let shares = mend.row.as_ref().map(|row| self.sink.shares_of(self.view.name, row));
        Ok(item.row == mend.row
            && item.generation == Some(self.sink.generation())
            && entries.eq(planned)
            && shares.transpose()?.is_none_or(|shares| shares == item.shares))
    }
}

/// What the state says that its partition adds; no columns where it says nothing.
fn share(glance: &Glance, key: &Key) -> anyhow::Result<Vec<Cell>> {
    let Some(row) = glance.rows.get(key) else { return Ok(Vec::new()) };
    decode_row(row).context("a share of the state")
}

/// Whether two shares of columns that are merged so say the same: a column that is not there says nothing, as a sum of 0
/// does.
fn is_same(totals: &[Merge], a: &[Cell], b: &[Cell]) -> bool {
    totals.iter().enumerate().all(|(at, how)| {
        let is_nothing = |cell: Option<&Cell>| cell.is_none_or(|cell| how.is_nothing(cell));
        a.get(at) == b.get(at) || is_nothing(a.get(at)) && is_nothing(b.get(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_say_nothing_are_the_same() {
        let totals = [Merge::Sum, Merge::Sum, Merge::Max];
        let same: [(&[Cell], &[Cell]); 4] = [
            (&[], &[]),
            (&[], &[Cell::Int(0), Cell::Null, Cell::Null]),
            (&[Cell::Null, Cell::Int(7)], &[Cell::Int(0), Cell::Int(7)]),
            (&[Cell::Int(7)], &[Cell::Int(7), Cell::Null]),
        ];
        for (a, b) in same {
            assert!(is_same(&totals, a, b) && is_same(&totals, b, a), "{a:?}, {b:?}");
        }
        let other: [(&[Cell], &[Cell]); 4] = [
            (&[], &[Cell::Int(1)]),
            (&[Cell::Int(7)], &[Cell::Int(8)]),
            (&[Cell::Null, Cell::Int(7)], &[Cell::Int(7), Cell::Null]),
            // A greatest value of 0 is one.
            (&[], &[Cell::Int(0), Cell::Null, Cell::Int(0)]),
        ];
        for (a, b) in other {
            assert!(!is_same(&totals, a, b) && !is_same(&totals, b, a), "{a:?}, {b:?}");
        }
    }
}
