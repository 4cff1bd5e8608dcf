//! Kafka by rdkafka's `BaseConsumer`, polled by one thread.
//!
//! The stored state says where a partition starts, so a new partition is assigned paused and stays silent until the
//! engine has sought and resumed it. The group's committed offsets are only acknowledgements: what operators see as
//! lag. What may be acknowledged, `engine/batches.rs` says when it is durable; it is sent every few seconds, and at
//! the end. A rebalance never waits for the network.
//!
//! Absent on purpose: partition queues (dropping one can make its partition unreachable), auto commit, stored
//! offsets, and any start position taken from the group.
mod advice;
mod callbacks;
mod headers;
mod instance_id;
mod joining;
mod place;
mod questions;
mod range;
mod settings;

pub use headers::Lazy;
pub use range::Range;
pub use settings::{Settings, problem};

use super::{Bounds, Flow, Headers, Link, ListHeaders, Probe, Record, Signal, Source};
use advice::{MADE_ANEW, advice, out_of_range};
use anyhow::{Context as _, bail};
use callbacks::{Client, Event, log_commit_error};
use instance_id::Membership;
use joining::{client, subscribe};
use place::{Place, list};
use questions::{Questions, absent, ends, watermarks};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
};
use sinks::Partition;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

/// Records handed over by one poll, at most: between polls the engine acts.
const RECORDS_MAX: usize = 1_024;
/// While a seek waits for librdkafka to start the partition.
const RETRY: Duration = Duration::from_millis(10);
/// librdkafka answers a seek from memory; a late answer is asked for again.
const SEEK_WAIT: Duration = Duration::from_millis(200);
const QUESTION_WAIT: Duration = Duration::from_secs(10);
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);
/// Between looks for topics that are not there; each takes twice as long as the one before to come.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(600);

pub struct Kafka {
    /// Always there until dropped.
    client: Option<Arc<Client>>,
    /// The same, for those who ask; it may change.
    current: Arc<Mutex<Weak<Client>>>,
    /// The name of ours in the group; `None`: the user's, or a new one each time.
    membership: Option<Membership>,
    places: Vec<Place>,
    /// Of the last record: records come in runs.
    last: usize,
    /// Where every partition ended at the start; `None`: go on for ever.
    ends: Option<HashMap<(String, i32), i64>>,
    ack_every: Duration,
    ack_last: Instant,
    complained: HashMap<i32, Instant>,
    /// When topics that are not there are looked for; `None`: all are there, or a look is under way.
    look_at: Option<Instant>,
    look_pause: Duration,
    seeking_since: Option<Instant>,
    settings: Arc<Settings>,
    link: Arc<Link>,
}

impl Kafka {
    /// Joins the group. With `until_end` asks the broker first, for a minute at most, where every partition ends.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let link = Arc::default();
        let mut membership = None;
        if settings.may_be_static() {
            membership = Membership::take(&settings.group_id);
        }
        let client = client(settings, membership.as_ref(), &link)?;
        let ends = settings.until_end.then(|| ends(&client, settings)).transpose()?;
        subscribe(&client, settings)?;
        Ok(Self {
            current: Arc::new(Mutex::new(Arc::downgrade(&client))),
            client: Some(client),
            membership,
            places: Vec::new(),
            last: 0,
            ends,
            ack_every: settings.ack_interval,
            ack_last: Instant::now(),
            complained: HashMap::new(),
            look_at: (!settings.until_end).then(Instant::now),
            look_pause: COMPLAIN_EVERY,
            seeking_since: None,
            settings: Arc::new(settings.clone()),
            link,
        })
    }

    /// What it tells of itself.
    pub fn link(&self) -> Arc<Link> {
        self.link.clone()
    }

    fn client(&self) -> anyhow::Result<Arc<Client>> {
        self.client.clone().context("the Kafka client is closed")
    }

    /// The broker takes another one for us: a request of ours that came late, after we had joined once more, or a copy
    /// of this machine. Either way we do not insist on the name.
    fn is_fenced_by_our_name(&self, client: &Client) -> bool {
        let fatal = || client.client().fatal_error().map(|(code, _)| code);
        self.membership.is_some() && fatal() == Some(Code::FencedInstanceId)
    }

    /// Under a new name. What was ours is not, until the group says so again.
    fn join_again(&mut self, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<()> {
        tracing::warn!(
            "Kafka knows another process by our name in the group: joining under a new one"
        );
        self.link.joined.store(false, Ordering::Relaxed);
        for place in self.places.drain(..) {
            visit(Signal::Revoked(place.partition));
        }
        let (old, name) = (self.client.take(), self.membership.take());
        thread::spawn(move || drop((old, name)));
        let client = client(&self.settings, None, &self.link)?;
        subscribe(&client, &self.settings)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&client);
        self.client = Some(client);
        Ok(())
    }

    fn place(&mut self, partition: &Partition) -> Option<&mut Place> {
        self.places.iter_mut().find(|p| p.partition == *partition)
    }

    /// Tells librdkafka what was asked for since the last poll: seeks first, resumes only after theirs.
    fn settle(&mut self, client: &Client) -> anyhow::Result<()> {
        let pausing = list(&self.places, |p| p.paused && !p.held);
        if pausing.count() > 0 {
            client.pause(&pausing).context("partitions cannot be paused")?;
            self.places.iter_mut().filter(|p| p.paused).for_each(|p| p.held = true);
        }
        self.seek_all(client);
        let ready = |p: &Place| !p.paused && p.held && !p.seeking && p.next.is_some();
        let resuming = list(&self.places, ready);
        if resuming.count() > 0 {
            client.resume(&resuming).context("partitions cannot be resumed")?;
            self.places.iter_mut().filter(|p| ready(p)).for_each(|p| p.held = false);
        }
        Ok(())
    }

    /// A seek fails as long as librdkafka has not started the partition; it stays wanted until it works.
    fn seek_all(&mut self, client: &Client) {
        let mut wanted = TopicPartitionList::new();
        for place in self.places.iter().filter(|p| p.seeking && !p.broken) {
            let next = Offset::Offset(place.next.unwrap_or(0));
            // Only a negative offset is refused here, and the engine has none.
            let _ =
                wanted.add_partition_offset(&place.partition.topic, place.partition.index, next);
        }
        if wanted.count() == 0 {
            self.seeking_since = None;
            return;
        }
        let since = *self.seeking_since.get_or_insert_with(Instant::now);
        let problem = match client.seek_partitions(wanted, SEEK_WAIT) {
            Ok(done) => {
                let mut problem = None;
                for element in done.elements() {
                    match element.error() {
                        Ok(()) => {
                            let (topic, index) = (element.topic(), element.partition());
                            let mut all = self.places.iter_mut();
                            if let Some(place) = all.find(|p| p.is(topic, index)) {
                                place.seeking = false;
                            }
                        }
                        Err(e) => problem = Some(e),
                    }
                }
                problem
            }
            Err(e) => Some(e),
        };
        if let Some(error) = problem
            && since.elapsed() > COMPLAIN_EVERY
        {
            tracing::warn!(%error, "a partition cannot be positioned yet, still trying");
            self.seeking_since = Some(Instant::now());
        }
    }

    /// What the callbacks noted. A revoked partition is forgotten before anything else is delivered.
    fn tell(&mut self, client: &Client, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<()> {
        while let Some(event) = client.context().next() {
            match event {
                Event::Assigned(partition) => {
                    let at = (partition.topic.to_string(), partition.index);
                    // A partition made after the start counts as ended: it had nothing then.
                    let end = self.ends.as_ref().map(|ends| ends.get(&at).copied().unwrap_or(0));
                    self.places.retain(|p| p.partition != partition);
                    self.places.push(Place::new(partition.clone(), end));
                    visit(Signal::Assigned(partition));
                }
                Event::Revoked(partition) => {
                    self.places.retain(|p| p.partition != partition);
                    visit(Signal::Revoked(partition));
                }
                Event::Committed(offsets) => {
                    for (topic, index, next) in offsets {
                        if let Some(p) = self.places.iter_mut().find(|p| p.is(&topic, index)) {
                            p.committed = Some(next);
                        }
                    }
                }
                Event::Drained(fetched) => self.note_drained(&fetched),
                Event::Broken(partition, why) => {
                    if let Some(place) = self.place(&partition)
                        && !place.broken
                    {
                        place.broken = true;
                        visit(Signal::Broken(partition, why));
                    }
                }
                Event::MadeAnew(topic) => {
                    let ours = |p: &&mut Place| *p.partition.topic == *topic && !p.broken;
                    for place in self.places.iter_mut().filter(ours) {
                        place.broken = true;
                        visit(Signal::Broken(place.partition.clone(), MADE_ANEW.to_owned()));
                    }
                }
                Event::LookAgain => {
                    self.look_at = Some(Instant::now() + self.look_pause);
                    self.look_pause = (self.look_pause * 2).min(LOOK_EVERY_MAX);
                }
                Event::Failed(why) => bail!(why),
            }
        }
        Ok(())
    }

    fn note_drained(&mut self, fetched: &[(String, i32, i64)]) {
        for place in &mut self.places {
            let found = fetched.iter().find(|(topic, index, _)| place.is(topic, *index));
            let all = found.is_some_and(|(.., next)| place.end.is_some_and(|end| *next >= end));
            place.drained =
                if all && !place.held && !place.seeking { place.drained + 1 } else { 0 };
        }
    }

    fn deliver(&mut self, message: &BorrowedMessage<'_>, visit: &mut dyn FnMut(Signal<'_>)) {
        let (topic, index, offset) = (message.topic(), message.partition(), message.offset());
        if !self.places.get(self.last).is_some_and(|p| p.is(topic, index)) {
            match self.places.iter().position(|p| p.is(topic, index)) {
                Some(at) => self.last = at,
                None => return, // Revoked.
            }
        }
        let place = &mut self.places[self.last];
        let Some(next) = place.next.filter(|_| !place.seeking && !place.broken) else { return };
        if place.held || offset < next {
            // librdkafka is not where it was told to be: tell it again, and come back to `next`.
            place.seeking = true;
            return;
        }
        place.next = Some(offset + 1);
        place.drained = 0;
        visit(Signal::Record(Record {
            partition: &place.partition,
            offset,
            timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
            key: message.key(),
            value: message.payload(),
            headers: Headers(&Lazy(message)),
        }));
    }

    /// Whatever passes by itself is only logged: librdkafka goes on trying.
    fn react(&mut self, client: &Arc<Client>, error: &KafkaError) -> anyhow::Result<()> {
        let reason = client.context().reason();
        let code = match error {
            KafkaError::PartitionEOF(_) => return Ok(()),
            KafkaError::MessageConsumptionFatal(code) => {
                let (code, reason) = client.client().fatal_error().unwrap_or((*code, reason));
                bail!("Kafka refuses this member for good: {reason} ({code}). {}", advice(code));
            }
            KafkaError::MessageConsumption(code) => *code,
            other => bail!("reading from Kafka failed: {other}"),
        };
        match code {
            Code::AutoOffsetReset => self.find_out_of_range(client),
            Code::Authentication
            | Code::InvalidSessionTimeout
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed => {
                bail!("Kafka refuses us: {reason} ({code}). {}", advice(code))
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic if self.ends.is_some() => {
                bail!("{reason}. {}", advice(code))
            }
            _ => self.complain(code, &reason),
        }
        Ok(())
    }

    /// Once a while for each kind of error.
    fn complain(&mut self, code: Code, reason: &str) {
        let now = Instant::now();
        let last: Option<&Instant> = self.complained.get(&(code as i32));
        let again = last.is_none_or(|at| now.duration_since(*at) >= COMPLAIN_EVERY);
        if again {
            self.complained.insert(code as i32, now);
            tracing::warn!(error = %code, reason, advice = advice(code), "Kafka, going on");
        }
    }

    /// A topic that is not there may come; that it is under another prefix is said meanwhile, now and then. Asks the
    /// broker on a thread of its own.
    fn look_for_topics(&mut self, client: &Arc<Client>) {
        if self.look_at.is_none_or(|at| Instant::now() < at) {
            return;
        }
        self.look_at = None;
        let (client, settings) = (Arc::downgrade(client), self.settings.clone());
        thread::spawn(move || {
            let Some(client) = client.upgrade() else { return };
            match absent(&client, &settings.topics) {
                Ok(None) => return,
                Ok(Some(missing)) => tracing::warn!(
                    "Kafka has no topic {missing}. Waiting for it: Debezium makes a topic with its first change. A \
                     topic that this user may not Describe looks the same"
                ),
                // Whoever reads says that no broker answers.
                Err(error) => tracing::debug!(%error, "which topics there are is unknown"),
            }
            client.context().tell(Event::LookAgain);
        });
    }

    /// librdkafka says that a position is out of range, but not whose. Asks the broker, on a thread of its own.
    fn find_out_of_range(&self, client: &Arc<Client>) {
        let active = self.places.iter().filter(|p| !p.held && !p.broken);
        let places: Vec<_> = active.filter_map(|p| Some((p.partition.clone(), p.next?))).collect();
        let client = client.clone();
        thread::spawn(move || {
            let mut found = false;
            for (partition, next) in places {
                match watermarks(&client, &partition) {
                    Ok((begin, end)) if next < begin || next > end => {
                        found = true;
                        let why = out_of_range(&partition, next, begin, end);
                        client.context().tell(Event::Broken(partition, why));
                    }
                    Ok(_) => {}
                    Err(e) => {
                        tracing::warn!(%partition, error = %e, "the log's bounds are unknown");
                    }
                }
            }
            if !found {
                client.context().tell(Event::Failed(
                    "Kafka reports a position as out of range, but every partition's position is within its log. \
                     Restart the service: it goes on where its state stands."
                        .to_owned(),
                ));
            }
        });
    }

    fn unacknowledged(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for place in self.places.iter().filter(|p| p.acknowledged > p.committed) {
            if let Some(next) = place.acknowledged {
                let (topic, index) = (&place.partition.topic, place.partition.index);
                let _ = list.add_partition_offset(topic, index, Offset::Offset(next));
            }
        }
        list
    }

    fn acknowledge_when_due(&mut self, client: &Client) {
        if self.ack_last.elapsed() < self.ack_every {
            return;
        }
        self.ack_last = Instant::now();
        let list = self.unacknowledged();
        if list.count() > 0
            && let Err(e) = client.commit(&list, CommitMode::Async)
        {
            log_commit_error(&e);
        }
    }

    fn has_ended(&self) -> bool {
        self.ends.is_some()
            && !self.places.is_empty()
            && self.places.iter().all(Place::is_delivered)
    }

    fn poll_client(
        &mut self,
        client: &Arc<Client>,
        wait: Duration,
        visit: &mut dyn FnMut(Signal<'_>),
    ) -> anyhow::Result<Flow> {
        self.settle(client)?;
        self.acknowledge_when_due(client);
        self.look_for_topics(client);
        let unsettled = self.places.iter().any(|p| p.seeking && !p.broken);
        let mut wait = if unsettled { wait.min(RETRY) } else { wait };
        let mut records = 0;
        while records < RECORDS_MAX {
            let polled = client.poll(wait);
            self.tell(client, visit)?;
            match polled {
                None => break,
                Some(Ok(message)) => self.deliver(&message, visit),
                Some(Err(error)) => self.react(client, &error)?,
            }
            records += 1;
            wait = Duration::ZERO;
        }
        Ok(match records {
            _ if self.has_ended() => Flow::End,
            0 => Flow::Idle,
            _ => Flow::More,
        })
    }
}

impl Source for Kafka {
    fn poll(&mut self, wait: Duration, visit: &mut dyn FnMut(Signal<'_>)) -> anyhow::Result<Flow> {
        let client = self.client()?;
        match self.poll_client(&client, wait, visit) {
            Err(_) if self.is_fenced_by_our_name(&client) => {
                drop(client);
                self.join_again(visit)?;
                Ok(Flow::Idle)
            }
            polled => polled,
        }
    }

    fn seek(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()> {
        if let Some(place) = self.place(partition) {
            place.next = Some(next.max(0));
            place.seeking = true;
            // Whoever seeks has looked at the log again.
            place.broken = false;
            place.drained = 0;
        }
        Ok(())
    }

    fn pause(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(place) = self.place(partition) {
            place.paused = true;
        }
        Ok(())
    }

    fn resume(&mut self, partition: &Partition) -> anyhow::Result<()> {
        if let Some(place) = self.place(partition) {
            place.paused = false;
        }
        Ok(())
    }

    fn acknowledge(&mut self, partition: &Partition, next: i64) -> anyhow::Result<()> {
        if let Some(place) = self.place(partition) {
            place.acknowledged = place.acknowledged.max(Some(next));
        }
        Ok(())
    }

    /// An answer that does not come in time is logged, not an error: the group's offsets are advisory.
    fn flush(&mut self, wait: Duration) -> anyhow::Result<()> {
        let list = self.unacknowledged();
        if list.count() == 0 {
            return Ok(());
        }
        let client = self.client()?;
        let (answer, answered) = mpsc::channel();
        // librdkafka waits for the answer without bound.
        thread::spawn(move || {
            let _ = answer.send(client.commit(&list, CommitMode::Sync));
        });
        match answered.recv_timeout(wait) {
            Ok(Ok(())) => {
                self.places.iter_mut().for_each(|p| p.committed = p.acknowledged);
            }
            Ok(Err(e)) => log_commit_error(&e),
            Err(_) => tracing::warn!("the broker did not confirm the acknowledged offsets in time"),
        }
        Ok(())
    }

    fn probe(&self) -> Arc<dyn Probe> {
        Arc::new(Questions(self.current.clone(), self.settings.clone()))
    }
}

#[cfg(test)]
mod tests;
