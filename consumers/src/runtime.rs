//! The only loop that performs I/O: one thread polls the source and feeds the engine; what takes time (state, sink,
//! DLQ, broker questions) runs on the I/O runtime and comes back as events.
//!
//! Absent on purpose: decisions.
use crate::{
    engine::{Action, Engine, Event, OpenedPartition, Ticket},
    handler::Handler,
    policy::{Millis, Start},
    replay::{LogCheck, Verdict},
    source::{Flow, Probe, Record, Signal, Source},
};
use sinks::{
    Alert, Batch, Committer, Key, Partition, PartitionState, Receipt, SinkError, state::find_count,
};
use std::{
    collections::HashMap,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// Time since some start, in ms; never goes back.
pub trait Clock {
    fn now(&self) -> Millis;
}

/// The clock of this process.
pub struct Monotonic(Instant);
impl Default for Monotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}
impl Clock for Monotonic {
    fn now(&self) -> Millis {
        self.0.elapsed().as_millis().try_into().unwrap_or(Millis::MAX)
    }
}

/// The time of day, ms since 1970. It may jump: for people, never for a decision about data.
pub fn wall_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// What people see of a run. Called on the poll thread: never block.
pub trait Observer<H: Handler> {
    fn alert(&mut self, _alert: &Alert) {}
    fn warning(&mut self, _text: &str) {}
    /// Read, before anything is decided about it.
    fn record(&mut self, _record: &Record<'_>) {}
    /// A try to make a batch durable, with what it took.
    fn committed(&mut self, _batch: &Batch, _took: Duration, _worked: bool) {}
    fn published(&mut self, _took: Duration) {}
    /// After every turn of the loop.
    fn turn(&mut self, _now: Millis, _engine: &Engine<H>) {}
}
/// Sees nothing.
impl<H: Handler> Observer<H> for () {}

pub struct Env<'a, C> {
    pub clock: &'a C,
    pub io: tokio::runtime::Handle,
    /// Set by a signal: drain and return.
    pub stop: &'a AtomicBool,
    /// How long a drain may take.
    pub grace_ms: Millis,
    /// Return when the source has ended and everything is durable.
    pub until_end: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Exit {
    /// The source ended; everything is durable and published.
    Finished,
    /// Asked to stop; everything that was begun is durable and published, the rest of what was read is given back.
    Drained,
    /// Asked to stop; the grace was not enough. Nothing is lost: the next start reads again.
    Abandoned,
}

/// Stopped for good; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("halted: {0}")]
pub struct Halted(pub String);

/// An answer from the I/O runtime.
enum Done {
    Opened(Ticket, Result<(Arc<dyn PartitionState>, OpenedPartition), SinkError>),
    Fetched(Ticket, Result<Vec<Option<Vec<u8>>>, SinkError>),
    Scanned(Ticket, Result<Vec<(Key, Vec<u8>)>, SinkError>),
    LogChecked(Ticket, Result<Verdict, SinkError>),
    Committed(Ticket, Result<Receipt, SinkError>, Arc<Batch>, Duration),
    Published(Ticket, Result<(), SinkError>, Duration),
    /// A sink's alerts: shown whoever holds the partition by now; the commit goes on when the sender is answered.
    Alerts(Vec<Alert>, oneshot::Sender<()>),
}

/// The longest the poll thread waits for a record when nothing is in flight.
const IDLE_MS: Millis = 100;
/// And when answers are awaited: they are looked at between polls.
const BUSY_MS: Millis = 1;

struct Work {
    committer: Committer,
    probe: Arc<dyn Probe>,
    io: tokio::runtime::Handle,
    answers: mpsc::Sender<Done>,
    /// Open lanes by life.
    lanes: HashMap<u64, Arc<dyn PartitionState>>,
    start: Start,
}

pub fn run<H: Handler, C: Clock>(
    mut source: impl Source,
    mut engine: Engine<H>,
    committer: Committer,
    observer: &mut dyn Observer<H>,
    env: &Env<'_, C>,
) -> anyhow::Result<Exit> {
    let (sender, answers) = mpsc::channel();
    let probe = source.probe();
    let io = env.io.clone();
    let mut work = Work {
        committer,
        probe,
        io,
        answers: sender,
        lanes: HashMap::new(),
        start: engine.start(),
    };
    let mut drain_until: Option<Millis> = None;
    loop {
        let mut now = env.clock.now();
        if drain_until.is_none() && env.stop.load(Ordering::Relaxed) {
            drain_until = Some(now.saturating_add(env.grace_ms));
        }
        let mut ended = false;
        if drain_until.is_some() {
            if let Ok(done) = answers.recv_timeout(Duration::from_millis(BUSY_MS)) {
                work.answered(now, &mut engine, observer, done);
            }
        } else {
            let wait = wait_ms(&engine, now);
            let flow = source.poll(Duration::from_millis(wait), &mut |signal| {
                if let Signal::Record(record) = &signal {
                    observer.record(record);
                }
                engine.handle(now, event_of(signal));
            })?;
            ended = flow == Flow::End && env.until_end;
        }
        now = env.clock.now();
        while let Ok(done) = answers.try_recv() {
            work.answered(now, &mut engine, observer, done);
        }
        let event = match (drain_until, ended) {
            (Some(_), _) => Event::Stop,
            (None, true) => Event::Drain,
            (None, false) => Event::Tick,
        };
        engine.handle(now, event);
        while let Some(action) = engine.poll() {
            ended &= !matches!(action, Action::Seek(..) | Action::Resume(..));
            work.carry_out(&mut source, observer, action)?;
        }
        observer.turn(now, &engine);
        if ended && engine.is_idle(true) {
            source.flush(Duration::from_secs(5))?;
            return Ok(Exit::Finished);
        }
        if let Some(until) = drain_until {
            let drained = engine.is_idle(false);
            if drained || now >= until {
                let wait = until.saturating_sub(now).clamp(100, 5_000);
                source.flush(Duration::from_millis(wait))?;
                return Ok(if drained { Exit::Drained } else { Exit::Abandoned });
            }
        }
    }
}

fn wait_ms<H: Handler>(engine: &Engine<H>, now: Millis) -> Millis {
    let longest = if engine.is_waiting_for_answers() { BUSY_MS } else { IDLE_MS };
    engine.deadline().map_or(longest, |at| at.saturating_sub(now).min(longest))
}

fn event_of(signal: Signal<'_>) -> Event<'_> {
    match signal {
        Signal::Assigned(partition) => Event::Assigned(partition),
        Signal::Revoked(partition) => Event::Revoked(partition),
        Signal::Record(record) => Event::Record(record),
        Signal::Broken(partition, why) => Event::Broken(partition, why),
    }
}

impl Work {
    fn answered<H: Handler>(
        &mut self,
        now: Millis,
        engine: &mut Engine<H>,
        observer: &mut dyn Observer<H>,
        done: Done,
    ) {
        let event = match done {
            Done::Alerts(alerts, answer) => {
                alerts.iter().for_each(|alert| observer.alert(alert));
                engine.count_alerts(alerts.len());
                // Whoever asked may be gone: its batch is then repeated, and the alerts told again by their names.
                let _ = answer.send(());
                return;
            }
            Done::Opened(ticket, Ok((lane, opened))) => {
                if !engine.is_held(&ticket) {
                    // Revoked meanwhile: give it back.
                    self.io.spawn(async move { lane.close().await });
                    return;
                }
                self.lanes.insert(ticket.life, lane);
                Event::Opened(ticket, Ok(opened))
            }
            Done::Opened(ticket, Err(error)) => Event::Opened(ticket, Err(error)),
            Done::Fetched(ticket, result) => Event::Fetched(ticket, result),
            Done::Scanned(ticket, result) => Event::Scanned(ticket, result),
            Done::LogChecked(ticket, result) => Event::LogChecked(ticket, result),
            Done::Committed(ticket, result, batch, took) => {
                observer.committed(&batch, took, result.is_ok());
                Event::Committed(ticket, result)
            }
            Done::Published(ticket, result, took) => {
                observer.published(took);
                Event::Published(ticket, result)
            }
        };
        engine.handle(now, event);
    }

    fn carry_out<H: Handler>(
        &mut self,
        source: &mut impl Source,
        observer: &mut dyn Observer<H>,
        action: Action,
    ) -> anyhow::Result<()> {
        match action {
            Action::Open(ticket) => self.open(ticket),
            Action::Close(ticket) => self.close(&ticket),
            Action::Seek(partition, next) => source.seek(&partition, next)?,
            Action::Pause(partition) => source.pause(&partition)?,
            Action::Resume(partition) => source.resume(&partition)?,
            Action::Acknowledge(partition, next) => source.acknowledge(&partition, next)?,
            Action::Alert(alert) => observer.alert(&alert),
            Action::Warn(text) => observer.warning(&text),
            Action::Halt(why) => return Err(Halted(why).into()),
            Action::Fetch(ticket, keys) => self.ask(ticket, move |lane, ticket| async move {
                let rows = lane.get(&keys).await;
                Done::Fetched(ticket, rows)
            }),
            Action::Scan(ticket, prefix) => self.ask(ticket, move |lane, ticket| async move {
                let rows = lane.scan(&prefix).await;
                Done::Scanned(ticket, rows)
            }),
            Action::CheckLog(ticket, check) => self.check_log(ticket, check),
            Action::Commit(ticket, batch, letters) => {
                let (committer, answers) = (self.committer.clone(), self.answers.clone());
                self.ask(ticket, move |lane, ticket| async move {
                    let begun = Instant::now();
                    let show = |alerts| shown(answers, alerts);
                    let receipt = committer.commit_showing(&*lane, &batch, &letters, show).await;
                    Done::Committed(ticket, receipt, batch, begun.elapsed())
                });
            }
            Action::Publish(ticket, at) => {
                let committer = self.committer.clone();
                self.ask(ticket, move |lane, ticket| async move {
                    let begun = Instant::now();
                    let result = committer.publish(&ticket.partition, &at, &*lane).await;
                    Done::Published(ticket, result, begun.elapsed())
                });
            }
        }
        Ok(())
    }

    fn open(&self, ticket: Ticket) {
        let (state, probe) = (self.committer.state.clone(), self.probe.clone());
        let (answers, io, start) = (self.answers.clone(), self.io.clone(), self.start);
        self.io.spawn(async move {
            let partition = ticket.partition.clone();
            let begun = Instant::now();
            let opened = async {
                let asked = probe.clone();
                let asked = move || Ok((asked.bounds(&partition)?, asked.shown(&partition.topic)));
                let (mut bounds, shown) = io
                    .spawn_blocking(asked)
                    .await
                    .map_err(SinkError::transient)?
                    .map_err(SinkError::Transient)?;
                let topic = &ticket.partition.topic;
                let kept = state.count(topic).await?;
                match &shown {
                    Some(shown) => bounds.partitions = find_count(&*state, topic, shown).await?,
                    None => state.keep_count(topic, bounds.partitions).await?,
                }
                // The topic's count is raised for good where files are sure of it; each lane's own follows with its
                // next commit.
                let is_agreed = shown.is_some() || kept == Some(bounds.partitions);
                let log_ms = begun.elapsed().as_millis();
                let lane = state.open(&ticket.partition).await?;
                let mut checkpoint = lane.checkpoint();
                if let (Some(at), true) = (&mut checkpoint, is_agreed) {
                    at.partitions = at.partitions.max(bounds.partitions);
                }
                let start = match start {
                    Start::At(ms) if checkpoint.is_none() => {
                        let partition = ticket.partition.clone();
                        let at = io.spawn_blocking(move || probe.offset_at(&partition, ms)).await;
                        let at = at.map_err(SinkError::transient)?.map_err(SinkError::Transient)?;
                        Some(at.unwrap_or(bounds.end))
                    }
                    _ => None,
                };
                let (partition, state_ms) =
                    (&ticket.partition, begun.elapsed().as_millis() - log_ms);
                tracing::debug!(%partition, log_ms, state_ms, "loaded");
                Ok((lane, OpenedPartition { checkpoint, bounds, start }))
            };
            let result = opened.await;
            // Nobody listens any more: the process is ending.
            let _ = answers.send(Done::Opened(ticket, result));
        });
    }

    fn check_log(&self, ticket: Ticket, check: LogCheck) {
        let (probe, answers, io) = (self.probe.clone(), self.answers.clone(), self.io.clone());
        self.io.spawn(async move {
            let partition = ticket.partition.clone();
            let asked =
                io.spawn_blocking(move || read_for_check(&*probe, &partition, &check)).await;
            let result = asked.map_err(SinkError::transient).flatten();
            let _ = answers.send(Done::LogChecked(ticket, result));
        });
    }

    fn close(&mut self, ticket: &Ticket) {
        if let Some(sink) = &self.committer.sink {
            sink.forget(&ticket.partition);
        }
        if let Some(lane) = self.lanes.remove(&ticket.life) {
            self.io.spawn(async move {
                // Best effort: whoever opens the partition next fences this lane anyway.
                let _: Result<(), SinkError> = lane.close().await;
            });
        }
    }

    /// Runs one question about an open lane on the I/O runtime.
    fn ask<F>(&self, ticket: Ticket, question: impl FnOnce(Arc<dyn PartitionState>, Ticket) -> F)
    where
        F: Future<Output = Done> + Send + 'static,
    {
        let Some(lane) = self.lanes.get(&ticket.life) else { return };
        let (answers, asked) = (self.answers.clone(), question(lane.clone(), ticket));
        self.io.spawn(async move {
            let _ = answers.send(asked.await);
        });
    }
}

/// Reads the part of the log that a replay's look is about.
fn read_for_check(
    probe: &dyn Probe,
    partition: &Partition,
    check: &LogCheck,
) -> Result<Verdict, SinkError> {
    let mut checker = check.checker(&partition.topic);
    let mut see = |record: &Record<'_>| {
        checker.see(record);
        if checker.is_done() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let whole =
        probe.read(partition, check.from, check.to, &mut see).map_err(SinkError::Transient)?;
    Ok(if whole { check.verdict(&checker) } else { Verdict::Unknown })
}

/// Has the poll thread show a sink's alerts.
async fn shown(answers: mpsc::Sender<Done>, alerts: Vec<Alert>) -> Result<(), SinkError> {
    let over =
        || SinkError::transient(anyhow::anyhow!("the run ended before its alerts were shown"));
    let (answer, answered) = oneshot::channel();
    answers.send(Done::Alerts(alerts, answer)).map_err(|_| over())?;
    answered.await.map_err(|_| over())
}

/// Where each partition stands, for logs: `topic/0=17 topic/1=4`.
pub fn positions<H: Handler>(engine: &Engine<H>) -> String {
    let one = |(partition, next): (&Partition, i64)| format!("{partition}={next}");
    engine.positions().map(one).collect::<Vec<_>>().join(" ")
}
