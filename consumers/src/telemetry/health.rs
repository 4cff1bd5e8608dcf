//! Whether this process lives, and whether it does its work: what probes ask. Written by the poll thread, read by any.
use super::metrics::Standing;
use crate::runtime::wall_ms;
use serde::Serialize;
use serving::server::{Judged, Probed};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

#[derive(Debug)]
pub struct Health {
    watchdog: Duration,
    born: Instant,
    /// ms since 1970.
    born_ms: i64,
    /// When the loop turned last, ms after birth.
    turned: AtomicU64,
    /// ms since 1970; -1: never.
    last_record: AtomicI64,
    last_commit: AtomicI64,
    status: Mutex<Status>,
    /// The run is over; the process may still answer.
    ended: AtomicBool,
}

/// As of the last look.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The group has given this process its part, which may be nothing.
    pub joined: bool,
    /// Partitions whose state is still being loaded.
    pub opening: usize,
    /// `closed`, `open`, `half-open`.
    pub breaker: &'static str,
    /// What was in the way last.
    pub cause: Option<String>,
    pub standings: Vec<Standing>,
}

#[derive(Debug, Serialize)]
pub struct Live {
    pub alive: bool,
    /// Since the loop turned last.
    pub still_for_seconds: f64,
    pub watchdog_seconds: u64,
}

#[derive(Debug, Serialize)]
pub struct Ready {
    pub ready: bool,
    /// Why not.
    pub waiting_for: Vec<String>,
    pub joined: bool,
    pub opening: usize,
    pub sink: &'static str,
    pub breaker: &'static str,
    pub last_error: Option<String>,
    pub last_record_seconds_ago: Option<f64>,
    pub partitions: Vec<Standing>,
}

impl Health {
    pub fn new(watchdog: Duration) -> Self {
        Self {
            watchdog,
            born: Instant::now(),
            born_ms: wall_ms(),
            turned: AtomicU64::new(0),
            last_record: AtomicI64::new(-1),
            last_commit: AtomicI64::new(-1),
            status: Mutex::new(Status { breaker: "closed", ..Status::default() }),
            ended: AtomicBool::new(false),
        }
    }

    fn since_birth(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
    pub fn turned(&self) {
        self.turned.store(self.since_birth(), Ordering::Relaxed);
    }
    pub fn read_a_record(&self) {
        self.last_record.store(wall_ms(), Ordering::Relaxed);
    }
    /// The effect of a change that the source committed then is durable.
    pub fn committed(&self, source_ts_ms: i64) {
        self.last_commit.fetch_max(source_ts_ms, Ordering::Relaxed);
    }
    pub fn set(&self, status: Status) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
    pub const fn born_ms(&self) -> i64 {
        self.born_ms
    }
    pub fn last_record_ms(&self) -> Option<i64> {
        Some(self.last_record.load(Ordering::Relaxed)).filter(|at| *at >= 0)
    }
    pub fn last_commit_ms(&self) -> Option<i64> {
        Some(self.last_commit.load(Ordering::Relaxed)).filter(|at| *at >= 0)
    }

    pub fn live(&self) -> Live {
        let still = self.since_birth().saturating_sub(self.turned.load(Ordering::Relaxed));
        let still = Duration::from_millis(still);
        Live {
            alive: still <= self.watchdog,
            still_for_seconds: still.as_secs_f64(),
            watchdog_seconds: self.watchdog.as_secs(),
        }
    }

    pub fn ready(&self) -> Ready {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut waiting_for = Vec::new();
        if self.ended.load(Ordering::Relaxed) {
            waiting_for.push("nothing: it is ending".to_owned());
        }
        if !status.joined {
            waiting_for.push("the consumer group".to_owned());
        }
        if status.opening > 0 {
            waiting_for.push(format!("the state of {} partitions", status.opening));
        }
        let reachable = status.breaker == "closed";
        if !reachable {
            waiting_for.push("what is written to: the breaker is not closed".to_owned());
        }
        let ago = |at: i64| Duration::from_millis(u64::try_from(wall_ms() - at).unwrap_or(0));
        Ready {
            ready: waiting_for.is_empty(),
            waiting_for,
            joined: status.joined,
            opening: status.opening,
            sink: if reachable { "reachable" } else { "unreachable" },
            breaker: status.breaker,
            last_error: status.cause.filter(|_| !reachable),
            last_record_seconds_ago: self.last_record_ms().map(|at| ago(at).as_secs_f64()),
            partitions: status.standings,
        }
    }
}

impl Probed for Health {
    fn live(&self) -> Judged {
        let live = Health::live(self);
        Judged { good: live.alive, json: json(&live) }
    }
    fn ready(&self) -> Judged {
        let ready = Health::ready(self);
        Judged { good: ready.ready, json: json(&ready) }
    }
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("text and numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_does_not_turn_is_not_alive() {
        let health = Health::new(Duration::ZERO);
        health.turned();
        assert!(health.live().still_for_seconds < 1.0);
        while health.live().alive {
            std::thread::yield_now(); // Until a millisecond is over.
        }
        assert!(Health::new(Duration::from_secs(60)).live().alive, "a start takes its time");
    }

    #[test]
    fn ready_once_it_has_joined_and_loaded_and_while_the_sink_answers() {
        let health = Health::new(Duration::from_secs(60));
        assert_eq!(health.ready().waiting_for, ["the consumer group"]);
        let well = Status { joined: true, breaker: "closed", ..Status::default() };
        for (status, waits) in [
            (well.clone(), 0),
            (Status { opening: 2, ..well.clone() }, 1),
            (Status { breaker: "open", cause: Some("reset".into()), ..well.clone() }, 1),
            (Status { breaker: "half-open", joined: false, ..well.clone() }, 2),
        ] {
            health.set(status.clone());
            let ready = health.ready();
            assert_eq!((ready.ready, ready.waiting_for.len()), (waits == 0, waits), "{status:?}");
            assert_eq!(ready.last_error.is_some(), status.cause.is_some());
        }
        health.end();
        assert!(!health.ready().ready);
        assert!(health.live().alive);
    }
}
