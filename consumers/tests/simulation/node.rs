//! One process: its engine, what the source has of it, and what must hold whenever its engine has spoken.
use crate::{Bug, history::SERVICE};
use consumers::{
    engine::{Action, Engine, Event, Ticket},
    handlers::inventory::{self, Settings},
    plan_handler::PlanHandler,
    policy::{Policy, breaker::State},
};
use debezium::Decoder;
use sinks::Partition;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

pub struct Node {
    pub engine: Engine<PlanHandler>,
    pub born: u64,
    /// Told to end: nothing is read any more.
    pub stopping: bool,
    pub holds: BTreeSet<Partition>,
    pub cursor: BTreeMap<Partition, i64>,
    pub flowing: BTreeSet<Partition>,
    /// The epoch of each open lane, by life.
    pub epochs: BTreeMap<u64, u64>,
    /// Decided and not yet carried out.
    pub pending: VecDeque<Action>,
    /// Lanes that went away while they tried for all.
    pub probes_lost: u64,
    bug: Bug,
    /// What each lane asked last.
    newest: BTreeMap<Partition, Ticket>,
    /// The same, for [`Bug::ProbesWithAll`].
    asked: BTreeMap<Partition, Action>,
    /// The commits that were not answered yet.
    committing: BTreeMap<Partition, Ticket>,
    /// What was asked for beside a commit.
    pub ahead: HashSet<Ticket>,
}

impl Node {
    pub fn new(policy: Policy, born: u64, bug: Bug) -> Self {
        let handler = inventory::handler(&Settings::default(), "");
        Self {
            engine: Engine::new(handler, Decoder::default(), policy).replaying_as(SERVICE, 1),
            born,
            stopping: false,
            holds: BTreeSet::new(),
            cursor: BTreeMap::new(),
            flowing: BTreeSet::new(),
            epochs: BTreeMap::new(),
            pending: VecDeque::new(),
            probes_lost: 0,
            bug,
            newest: BTreeMap::new(),
            asked: BTreeMap::new(),
            committing: BTreeMap::new(),
            ahead: HashSet::new(),
        }
    }

    /// Lets the engine decide, and looks at what it decided: while the breaker is not closed nothing is sent but by the
    /// lane that tries, once, and no partition is read on.
    pub fn tell(&mut self, now: u64, event: Event<'_>) -> Result<(), String> {
        let before = self.engine.breaker().state().clone();
        if let Event::Committed(ticket, _) = &event
            && self.committing.get(&ticket.partition) == Some(ticket)
        {
            self.committing.remove(&ticket.partition);
        }
        self.engine.handle(now, event);
        let mut decided: Vec<Action> = std::iter::from_fn(|| self.engine.poll()).collect();
        let after = self.engine.breaker().state().clone();
        if matches!((&before, &after), (State::HalfOpen { .. }, State::Open { until: 0 })) {
            self.probes_lost += 1;
        }
        let halts = decided.iter().any(|action| matches!(action, Action::Halt(_)));
        let left = self.holds.iter().find(|held| halts && self.engine.has_in_hand(held));
        if let Some(left) = left {
            return Err(format!("{left}: halts with records in hand"));
        }
        if self.bug == Bug::ProbesWithAll {
            self.plant(&before, &after, &mut decided);
        }
        check_held_back(&before, &after, &decided)?;
        for action in &decided {
            match action {
                Action::Commit(ticket, ..) => {
                    self.committing.insert(ticket.partition.clone(), ticket.clone());
                }
                Action::Fetch(ticket, _) => {
                    let beside = self.committing.get(&ticket.partition);
                    if beside.is_some_and(|commit| commit.life == ticket.life) {
                        self.ahead.insert(ticket.clone());
                    }
                }
                _ => {}
            }
        }
        for ticket in decided.iter().filter_map(sent) {
            self.newest.insert(ticket.partition.clone(), ticket.clone());
        }
        self.pending.extend(decided);
        Ok(())
    }

    /// What the lane that this ticket speaks of asked last, if it is still the same lane.
    pub fn newest(&self, ticket: &Ticket) -> Option<Ticket> {
        let newest = self.newest.get(&ticket.partition)?;
        (newest.life == ticket.life).then(|| newest.clone())
    }

    /// Everything decided is carried out: is anything read that nobody could write?
    pub fn check_paused(&self) -> Result<(), String> {
        let state = self.engine.breaker().state();
        let flows = self.flowing.intersection(&self.holds).next();
        match flows {
            Some(partition) if *state != State::Closed => {
                Err(format!("{partition} is read while the breaker is {state:?}"))
            }
            _ => Ok(()),
        }
    }

    /// A breaker that lets every lane try.
    fn plant(&mut self, before: &State, after: &State, decided: &mut Vec<Action>) {
        for action in &*decided {
            if let (Some(ticket), Some(copy)) = (sent(action), again(action)) {
                self.asked.insert(ticket.partition.clone(), copy);
            }
        }
        if let (State::Open { .. }, State::HalfOpen { probe }) = (before, after) {
            let held = |action: &&Action| {
                sent(action).is_some_and(|t| t.partition != *probe && self.engine.is_held(t))
            };
            decided.extend(self.asked.values().filter(held).filter_map(again));
        }
    }
}

fn check_held_back(before: &State, after: &State, decided: &[Action]) -> Result<(), String> {
    let tries = match (before, after) {
        (_, State::Closed) => return Ok(()),
        (State::Open { .. }, State::HalfOpen { probe }) => Some(probe),
        (State::Closed, State::HalfOpen { .. }) => return Err("half-open without a pause".into()),
        _ => None,
    };
    let senders: Vec<&Partition> =
        decided.iter().filter_map(sent).map(|ticket| &ticket.partition).collect();
    let resumes = decided.iter().any(|action| matches!(action, Action::Resume(_)));
    let wrong = senders.len() > 1 || senders.iter().any(|sender| Some(*sender) != tries);
    if wrong || resumes {
        return Err(format!("breaker {before:?}, then {after:?}: {decided:?}"));
    }
    Ok(())
}

/// The question that this asks of the outside.
fn sent(action: &Action) -> Option<&Ticket> {
    match action {
        Action::Open(ticket)
        | Action::Fetch(ticket, _)
        | Action::Scan(ticket, _)
        | Action::CheckLog(ticket, _)
        | Action::Commit(ticket, ..)
        | Action::Publish(ticket, _) => Some(ticket),
        _ => None,
    }
}

fn again(action: &Action) -> Option<Action> {
    Some(match action {
        Action::Open(ticket) => Action::Open(ticket.clone()),
        Action::Fetch(ticket, keys) => Action::Fetch(ticket.clone(), keys.clone()),
        Action::Scan(ticket, prefix) => Action::Scan(ticket.clone(), prefix.clone()),
        Action::CheckLog(ticket, check) => Action::CheckLog(ticket.clone(), check.clone()),
        Action::Commit(ticket, batch, letters) => {
            Action::Commit(ticket.clone(), batch.clone(), letters.clone())
        }
        _ => return None,
    })
}
