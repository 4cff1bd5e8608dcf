//! librdkafka's callbacks: rebalances (partitions that are assigned and revoked), errors, statistics. They run inside
//! `poll`, on its thread, and never wait for the network: they note what happened, and the poll loop tells it. What a
//! partition that comes or goes means is decided in `engine.rs` (lanes come and go).
use crate::source::{End, Link};
use metrics::counter;
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use sinks::Partition;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub(super) type Client = BaseConsumer<Context>;

pub(super) enum Event {
    Assigned(Partition),
    Revoked(Partition),
    /// The broker has these offsets now: topic, partition, next.
    Committed(Vec<(String, i32, i64)>),
    /// The next offset to fetch, while nothing fetched waits for us: topic, partition, next.
    Drained(Vec<(String, i32, i64)>),
    Broken(Partition, String),
    /// The topic has another id now: it was deleted and made anew.
    MadeAnew(String),
    /// Topics that are to be read were not there, or no broker could say.
    LookAgain,
    /// Nothing can go on.
    Failed(String),
}

#[derive(Default)]
pub(super) struct Context {
    events: Mutex<VecDeque<Event>>,
    /// The id of each topic, as last heard of.
    ids: Mutex<HashMap<String, String>>,
    /// Text of the error event that poll returns next as a bare code.
    reason: Mutex<String>,
    /// We told the group that we leave.
    left: AtomicBool,
    pub link: Arc<Link>,
}

/// A panic elsewhere while the lock was held leaves whole values: they are only ever pushed and taken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub fn of(link: Arc<Link>) -> Self {
        Self { link, ..Self::default() }
    }
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
    pub fn tell(&self, event: Event) {
        lock(&self.events).push_back(event);
    }
    pub fn next(&self) -> Option<Event> {
        lock(&self.events).pop_front()
    }
    pub fn reason(&self) -> String {
        lock(&self.reason).clone()
    }

    /// Told before anything of the new log can be fetched: librdkafka logs the new id before it fetches by it.
    fn identify(&self, topic: &str, id: &str) {
        let was = lock(&self.ids).insert(topic.to_owned(), id.to_owned());
        if was.is_some_and(|was| was != id) {
            self.tell(Event::MadeAnew(topic.to_owned()));
        }
    }

    /// Paused before anything can be delivered: we are inside `poll`, and a pause outdates what was fetched before
    /// it. The offset is a number because a logical one (the beginning) makes librdkafka ask the broker, and an
    /// answer that comes after the seek silently undoes the seek (`outdated offset response` in 2.12.1).
    fn assign(&self, client: &Client, list: &mut TopicPartitionList) -> KafkaResult<()> {
        list.set_all_offsets(Offset::Offset(0))?;
        match client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => client.incremental_assign(list)?,
            _ => client.assign(list)?,
        }
        if list.count() > 0 {
            client.pause(list)?;
        }
        Ok(())
    }

    fn unassign(&self, client: &Client, list: &TopicPartitionList) -> KafkaResult<()> {
        match client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => client.incremental_unassign(list),
            _ => client.unassign(),
        }
    }
}

/// Topic and id of librdkafka's line `Topic NAME changed id from ID to ID`: the only place where it tells of ids (its
/// calls that give them are not in the Rust client), and all that it does about a topic made anew: it fetches on at
/// the old position. `debug=metadata` makes it write that line, see [`super::settings`].
fn new_id(message: &str) -> Option<(&str, &str)> {
    let (before, after) = message.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once(' ')?;
    let (_, id) = after.split_once(" to ")?;
    let id = id.trim();
    // Brokers before Kafka 2.8 have none.
    let is_none = id.bytes().all(|byte| byte == b'A');
    (!is_none).then_some((topic, id))
}

/// What librdkafka calls its line that it leaves the group, from where on closing waits for the broker's answer. It has
/// no call that tells. `debug=cgrp` makes it write that line.
const LEAVES: &str = "LEAVE";

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|e| Partition::new(e.topic(), e.partition())).collect()
}

impl ConsumerContext for Context {
    fn rebalance(&self, client: &Client, what: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let found = partitions(list);
        let names: Vec<String> = found.iter().map(Partition::to_string).collect();
        let names = names.join(" ");
        counter!("cdc_rebalances_total").increment(1);
        let done = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(partitions = %names, "assigned");
            self.link.joined.store(true, Ordering::Relaxed);
            let done = self.assign(client, list);
            found.into_iter().for_each(|p| self.tell(Event::Assigned(p)));
            done
        } else {
            let lost = client.assignment_lost();
            tracing::info!(partitions = %names, lost, "revoked");
            if lost {
                self.link.joined.store(false, Ordering::Relaxed);
            }
            found.into_iter().for_each(|p| self.tell(Event::Revoked(p)));
            self.unassign(client, list)
        };
        if let Err(e) = done {
            self.tell(Event::Failed(format!(
                "a rebalance of the consumer group could not be carried out ({names}): {e}. Restart the service."
            )));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                let known = offsets.elements();
                let done =
                    known.iter().filter(|e| e.error().is_ok()).filter_map(|e| match e.offset() {
                        Offset::Offset(next) => Some((e.topic().to_owned(), e.partition(), next)),
                        _ => None,
                    });
                self.tell(Event::Committed(done.collect()));
            }
            Err(e) => log_commit_error(&e),
        }
    }
}

/// The group's offsets only show the lag: losing some is no harm, the next ones say it again.
pub(super) fn log_commit_error(error: &KafkaError) {
    use RDKafkaErrorCode::{IllegalGeneration, NoOffset, RebalanceInProgress, UnknownMemberId};
    match error {
        KafkaError::ConsumerCommit(
            IllegalGeneration | UnknownMemberId | NoOffset | RebalanceInProgress,
        ) => tracing::debug!(%error, "offsets not acknowledged, the group is changing"),
        _ => tracing::warn!(%error, "offsets not acknowledged, trying again with the next ones"),
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "METADATA"
            && let Some((topic, id)) = new_id(message)
        {
            self.identify(topic, id);
        }
        if facility == LEAVES {
            self.left.store(true, Ordering::Relaxed);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, "{message}");
            }
            _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, _code: KafkaError, reason: &str) {
        reason.clone_into(&mut lock(&self.reason));
    }

    fn stats(&self, statistics: Statistics) {
        let known = statistics.topics.values().flat_map(|topic| {
            let known = topic.partitions.values().filter(|p| p.partition >= 0 && p.hi_offset >= 0);
            known.map(|p| {
                let is_reached = p.fetchq_cnt == 0 && p.next_offset >= p.hi_offset;
                let end = End { offset: p.hi_offset, is_reached };
                (Partition::new(&topic.topic, p.partition), end)
            })
        });
        self.link.set_ends(known);
        let topics = statistics.topics.into_values();
        let places = topics.flat_map(|t| {
            let name = t.topic;
            t.partitions
                .into_values()
                .filter(|p| p.partition >= 0 && p.fetchq_cnt == 0)
                .map(move |p| (name.clone(), p.partition, p.next_offset))
        });
        self.tell(Event::Drained(places.collect()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_id_of_a_topic_is_told_once() {
        let context = Context::default();
        let line = |from, to| format!("[thrd:main]: Topic shop.a changed id from {from} to {to}");
        let none = "AAAAAAAAAAAAAAAAAAAAAA";
        for (from, to) in [(none, "x1"), ("x1", none), (none, "x1"), ("x1", "x1")] {
            context.log(RDKafkaLogLevel::Debug, "METADATA", &line(from, to));
            assert!(context.next().is_none(), "{from} {to}");
        }
        // Also when librdkafka forgot the topic meanwhile.
        context.log(RDKafkaLogLevel::Debug, "METADATA", &line(none, "y2"));
        assert!(matches!(context.next(), Some(Event::MadeAnew(topic)) if topic == "shop.a"));
        assert!(context.next().is_none());
    }
}
