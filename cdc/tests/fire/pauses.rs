//! How long partitions stood still: sampled from outside, every 100 ms, from what the groups acknowledge.
use crate::{
    broker::{Group, Positions},
    fleet::{Place, SERVICES, lines},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

const EVERY: Duration = Duration::from_millis(100);

/// The longest time in which records waited and none was acknowledged.
#[derive(Debug, Default, Clone, Copy)]
struct Still {
    /// Since when, while records wait; and what was acknowledged then.
    since: Option<(Instant, i64)>,
    longest: Duration,
}
impl Still {
    fn sample(&mut self, now: Instant, next: i64, end: i64) {
        match self.since {
            _ if next >= end => self.since = None,
            Some((since, before)) if before == next => {
                self.longest = self.longest.max(now.duration_since(since));
            }
            _ => self.since = Some((now, next)),
        }
    }
}

/// service name and partition
type Name = (&'static str, String, i32);

pub struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<BTreeMap<Name, Still>>,
    begun: chrono::DateTime<chrono::Utc>,
}

/// Seconds, of the partition that stood longest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pauses {
    pub stayed: f64,
    pub moved: f64,
    pub count_stayed: usize,
    pub count_moved: usize,
}

impl Watch {
    pub fn start(place: &Place) -> anyhow::Result<Self> {
        let mut groups = vec![];
        for service in SERVICES {
            groups
                .push((service.name(), Group::new(&place.group(service), place.topics(service))?));
        }
        let over = Arc::new(AtomicBool::new(false));
        let end = over.clone();
        let thread = thread::Builder::new().name("pauses".into()).spawn(move || {
            let mut all = BTreeMap::new();
            while !end.load(SeqCst) {
                for (service, group) in &groups {
                    // Kafka is there; a question that failed is asked again.
                    if let (Ok(at), Ok(ends)) = (group.committed(), group.ends()) {
                        sample(&mut all, service, &at, &ends);
                    }
                }
                thread::sleep(EVERY);
            }
            all
        })?;
        Ok(Self { over, thread, begun: chrono::Utc::now() })
    }

    /// `logs`: of every process; they say which partitions moved since the start.
    pub fn end(self, logs: &[(consumers::config::Service, PathBuf)]) -> anyhow::Result<Pauses> {
        self.over.store(true, SeqCst);
        let all = self.thread.join().map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        let mut moved = BTreeSet::new();
        for (service, log) in logs {
            for line in lines(log) {
                let time = line["timestamp"].as_str().map(chrono::DateTime::parse_from_rfc3339);
                let recent = matches!(time, Some(Ok(time)) if time >= self.begun);
                if recent && (line["message"] == "assigned" || line["message"] == "revoked") {
                    let names = line["partitions"].as_str().unwrap_or_default();
                    moved.extend(names.split(' ').map(|name| (service.name(), name.to_owned())));
                }
            }
        }
        let mut pauses = Pauses::default();
        for ((service, topic, index), still) in all {
            let seconds = still.longest.as_secs_f64();
            if moved.contains(&(service, format!("{topic}/{index}"))) {
                pauses.moved = pauses.moved.max(seconds);
                pauses.count_moved += 1;
            } else {
                pauses.stayed = pauses.stayed.max(seconds);
                pauses.count_stayed += 1;
            }
        }
        Ok(pauses)
    }
}

fn sample(
    all: &mut BTreeMap<Name, Still>,
    service: &'static str,
    at: &Positions,
    ends: &Positions,
) {
    let now = Instant::now();
    for ((topic, index), end) in ends {
        let next = at.get(&(topic.clone(), *index)).copied().unwrap_or(0);
        all.entry((service, topic.clone(), *index)).or_default().sample(now, next, *end);
    }
}
