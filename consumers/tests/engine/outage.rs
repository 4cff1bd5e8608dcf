//! The whole loop, with a sink that is down: polling goes on, nothing is lost, and no restart is needed.
use super::*;
use async_trait::async_trait;
use consumers::{
    policy::{Millis, breaker::State},
    runtime::{self, Env, Exit, Monotonic, Observer},
    source::ndjson::Ndjson,
};
use sinks::{Committer, Dlq, Letter, Sink, state::memory::Memory};
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

#[derive(Default)]
struct Switched {
    works: AtomicBool,
    calls: AtomicU64,
    written: AtomicU64,
}
#[async_trait]
impl Sink for Switched {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        // Two partitions store where they begin; then it is down.
        let starts = self.calls.fetch_add(1, Ordering::Relaxed) < 2;
        if !starts && !self.works.load(Ordering::Relaxed) {
            return Err(SinkError::transient(anyhow::anyhow!("connection refused")));
        }
        let new = u64::try_from(batch.span.end - batch.span.start).expect("a span");
        self.written.fetch_add(new, Ordering::Relaxed);
        Ok(Receipt::default())
    }
}
struct NoLetters;
#[async_trait]
impl Dlq for NoLetters {
    async fn publish(&self, _: &[Letter]) -> Result<(), SinkError> {
        Err(SinkError::fatal(anyhow::anyhow!("nothing here is a dead letter")))
    }
}

/// Does something when the breaker has been open, and again.
struct Watch<'a> {
    sink: &'a Switched,
    stop: &'a AtomicBool,
    heal_after_probes: u64,
    stop_when_open: bool,
    turns_open: u64,
}
impl Observer<Idle> for Watch<'_> {
    fn turn(&mut self, _: Millis, engine: &Engine<Idle>) {
        if matches!(engine.breaker().state(), State::Open { .. }) {
            self.turns_open += 1;
            assert!(engine.positions().all(|(_, next)| next == 0), "nothing is durable");
            self.stop.fetch_or(self.stop_when_open, Ordering::Relaxed);
        }
        if engine.breaker().probes() >= self.heal_after_probes {
            self.sink.works.store(true, Ordering::Relaxed);
        }
    }
}

/// Two partitions of ten records, and a sink that goes down before the first of them.
fn run(
    heal_after_probes: u64,
    stop_when_open: bool,
    grace_ms: u64,
) -> (Exit, Arc<Switched>, u64, u64) {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("log.ndjson");
    let mut lines = String::new();
    for offset in 0..10 {
        for index in 0..2 {
            // Each partition has the key that belongs there.
            let id = 1 + 2 * index;
            let value = row("c").replace(r#""id":1}"#, &format!(r#""id":{id}}}"#));
            let value = value.replace('"', "\\\"");
            let _ = writeln!(
                lines,
                r#"{{"topic":"shop.public.things","partition":{index},"offset":{offset},"timestamp":5,"key":"{{\"id\":{id}}}","value":"{value}"}}"#
            );
        }
    }
    std::fs::write(&file, lines).expect("a file");
    let source = Ndjson::open(file.to_str().expect("a name"), |_| true).expect("a source");
    let sink = Arc::new(Switched::default());
    let state = Arc::new(Memory::new(Vec::new()));
    let committer = Committer { dlq: Arc::new(NoLetters), sink: Some(sink.clone()), state };
    let (backoff_base_ms, backoff_ms_max) = (1, 20);
    // As for every source that is a file.
    let doubt_ms = None;
    let policy =
        Policy { linger_ms: 1, backoff_base_ms, backoff_ms_max, doubt_ms, ..Policy::default() };
    let io = tokio::runtime::Runtime::new().expect("threads");
    let (clock, stop) = (Monotonic::default(), AtomicBool::new(false));
    let env =
        Env { clock: &clock, io: io.handle().clone(), stop: &stop, grace_ms, until_end: true };
    let mut watch =
        Watch { sink: &sink, stop: &stop, heal_after_probes, stop_when_open, turns_open: 0 };
    let exit = runtime::run(source, engine(policy), committer, &mut watch, &env).expect("no halt");
    let (turns, calls) = (watch.turns_open, sink.calls.load(Ordering::Relaxed));
    (exit, sink, turns, calls)
}

#[test]
fn it_goes_on_by_itself_when_the_sink_is_back() {
    let (exit, sink, turns, calls) = run(6, false, 0);
    assert_eq!(exit, Exit::Finished);
    assert_eq!(sink.written.load(Ordering::Relaxed), 20, "every record, once");
    assert!(turns > 0, "the loop went round while the breaker was open");
    assert!(calls < 100, "and the sink was left in peace: {calls} calls");
}

#[test]
fn a_drain_while_it_is_open_ends_with_the_grace() {
    let (exit, sink, ..) = run(u64::MAX, true, 300);
    assert_eq!(exit, Exit::Abandoned);
    assert_eq!(sink.written.load(Ordering::Relaxed), 0);
}

#[test]
fn a_drain_ends_well_when_the_sink_is_back_within_the_grace() {
    let (exit, sink, ..) = run(2, true, 120_000);
    assert_eq!(exit, Exit::Drained);
    assert!(sink.written.load(Ordering::Relaxed) > 0);
}
