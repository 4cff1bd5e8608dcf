//! Against librdkafka's in-process broker.
use super::{joining::CLOSE_WAIT, place::LOOKS, *};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(60);
const TOPIC: &str = "dbserver1.public.products";

struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}
impl Broker {
    fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic(TOPIC, partitions, 1).expect("a topic");
        let producer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("message.max.bytes", "20000000")
            .create()
            .expect("a producer");
        Self { cluster, producer }
    }
    /// Records whose value is their offset, as text.
    fn fill(&self, index: i32, offsets: std::ops::Range<i64>) {
        for offset in offsets {
            let value = offset.to_string();
            self.send(BaseRecord::to(TOPIC).partition(index).key("k").payload(&value));
        }
        self.flush();
    }
    fn send(&self, record: BaseRecord<'_, str, str>) {
        self.producer.send(record).map_err(|(e, _)| e).expect("queued");
    }
    fn flush(&self) {
        self.producer.flush(PATIENCE).expect("produced");
    }
    fn settings(&self) -> Settings {
        Settings {
            bootstrap_servers: self.cluster.bootstrap_servers(),
            group_id: "inventory-service-group".into(),
            client_id: "test".into(),
            topics: vec![TOPIC.into()],
            until_end: false,
            ack_interval: Duration::from_millis(100),
            // The mock broker takes a session for a rebalance; members notice one by their heartbeat.
            properties: BTreeMap::from([
                ("session.timeout.ms".into(), "6000".into()),
                ("heartbeat.interval.ms".into(), "500".into()),
            ]),
        }
    }
    fn member(&self, change: impl FnOnce(&mut Settings)) -> Member {
        let mut settings = self.settings();
        change(&mut settings);
        Member {
            source: Kafka::new(&settings).expect("a consumer"),
            owned: BTreeSet::new(),
            revoked: Vec::new(),
            broken: Vec::new(),
            seen: Vec::new(),
        }
    }
    fn committed(&self) -> BTreeMap<i32, i64> {
        let asker: rdkafka::consumer::BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "inventory-service-group")
            .create()
            .expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(TOPIC, 0, 1);
        let found = asker.committed_offsets(list, PATIENCE).expect("an answer");
        let one = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            e.offset().to_raw().map(|offset| (e.partition(), offset))
        };
        found.elements().iter().filter_map(one).collect()
    }
}

struct Seen {
    index: i32,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

struct Member {
    source: Kafka,
    owned: BTreeSet<i32>,
    revoked: Vec<i32>,
    broken: Vec<String>,
    seen: Vec<Seen>,
}
impl Member {
    fn poll(&mut self) -> Flow {
        self.try_poll().expect("polling goes on")
    }
    fn try_poll(&mut self) -> anyhow::Result<Flow> {
        let (owned, revoked) = (&mut self.owned, &mut self.revoked);
        let (seen, broken) = (&mut self.seen, &mut self.broken);
        self.source.poll(Duration::from_millis(20), &mut |signal| match signal {
            Signal::Assigned(p) => assert!(owned.insert(p.index), "assigned twice"),
            Signal::Revoked(p) => {
                assert!(owned.remove(&p.index), "revoked what it had not");
                revoked.push(p.index);
            }
            Signal::Broken(_, why) => broken.push(why),
            Signal::Record(r) => {
                assert!(owned.contains(&r.partition.index), "a record of a partition not owned");
                seen.push(Seen {
                    index: r.partition.index,
                    offset: r.offset,
                    key: r.key.map(<[u8]>::to_vec),
                    value: r.value.map(<[u8]>::to_vec),
                    headers: r.headers.0.list(),
                });
            }
        })
    }
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self, &Flow) -> bool) {
        let started = Instant::now();
        loop {
            let flow = self.poll();
            if done(self, &flow) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "waited too long for: {what}; owned {:?}, broken {:?}, {} records",
                self.owned,
                self.broken,
                self.seen.len()
            );
        }
    }
    fn error(&mut self) -> anyhow::Error {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Err(error) = self.try_poll() {
                return error;
            }
        }
        panic!("goes on without an error");
    }
    fn joined(mut self, partitions: usize) -> Self {
        self.until("an assignment", |m, _| m.owned.len() == partitions);
        self
    }
    fn start(&mut self, index: i32, next: i64) {
        self.source.seek(&at(index), next).expect("seek");
        self.source.resume(&at(index)).expect("resume");
    }
    fn offsets(&self, index: i32) -> Vec<i64> {
        self.seen.iter().filter(|s| s.index == index).map(|s| s.offset).collect()
    }
    fn take(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.seen).iter().map(|s| s.offset).collect()
    }
}

fn at(index: i32) -> Partition {
    Partition::new(TOPIC, index)
}

#[test]
fn starts_where_it_is_told_and_nothing_comes_before() {
    let broker = Broker::new(1);
    broker.fill(0, 0..100);
    let mut member = broker.member(|_| {}).joined(1);
    for _ in 0..20 {
        member.poll();
    }
    assert!(member.seen.is_empty(), "paused until sought and resumed");
    member.start(0, 40);
    member.until("the rest", |m, _| m.seen.len() >= 60);
    assert_eq!(member.take(), (40..100).collect::<Vec<_>>());
}

#[test]
fn pause_seek_and_resume_never_deliver_a_wrong_record() {
    let broker = Broker::new(1);
    broker.fill(0, 0..5_000);
    let mut member = broker.member(|_| {}).joined(1);
    let mut random = 20_261_121_u64;
    println!("seed {random}");
    for round in 0..12 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let from = i64::try_from((random >> 33) % 4_900).expect("small");
        let way = round % 3;
        if way == 0 {
            member.source.pause(&at(0)).expect("pause");
            member.poll();
            assert!(member.take().is_empty() || round == 0, "a record while paused");
        }
        member.seen.clear();
        member.start(0, from);
        if way == 1 {
            // Changed its mind before the next poll.
            member.source.pause(&at(0)).expect("pause");
            member.source.resume(&at(0)).expect("resume");
        }
        member.until("records after a seek", |m, _| m.seen.len() >= 100);
        let seen = member.take();
        let expected: Vec<i64> = (from..).take(seen.len()).collect();
        assert_eq!(seen, expected, "round {round}");
        member.source.pause(&at(0)).expect("pause");
        member.poll();
        assert!(member.take().is_empty(), "a record after a pause, round {round}");
        if way == 2 {
            // Without a seek it goes on where it was.
            member.source.resume(&at(0)).expect("resume");
            let next = expected.last().expect("some") + 1;
            if next < 5_000 {
                member.until("records after a resume", |m, _| !m.seen.is_empty());
                let seen = member.take();
                assert_eq!(seen, (next..).take(seen.len()).collect::<Vec<_>>(), "round {round}");
            }
        }
    }
}

#[test]
fn a_second_member_takes_only_what_moves() {
    for strategy in ["cooperative-sticky", "range"] {
        let broker = Broker::new(4);
        (0..4).for_each(|index| broker.fill(index, 0..10));
        let set = |s: &mut Settings| {
            s.properties.insert("partition.assignment.strategy".into(), strategy.into());
        };
        let mut first = broker.member(set).joined(4);
        (0..4).for_each(|index| first.start(index, 0));
        first.until("everything", |m, _| m.seen.len() == 40);
        let mut second = broker.member(set);
        let started = Instant::now();
        while first.owned.len() != 2 || second.owned.len() != 2 {
            first.poll();
            second.poll();
            assert!(started.elapsed() < PATIENCE, "{strategy}: waited too long for a rebalance");
        }
        assert!(first.owned.is_disjoint(&second.owned), "{strategy}");
        if strategy == "cooperative-sticky" {
            let moved: BTreeSet<i32> = first.revoked.iter().copied().collect();
            assert_eq!(moved, second.owned, "only what moved was revoked");
            broker.fill(*first.owned.first().expect("kept"), 10..20);
            first.until("a kept partition reads on", |m, _| m.seen.len() == 50);
        }
        for index in second.owned.clone() {
            second.start(index, 7);
        }
        second.until("the moved partitions", |m, _| m.seen.len() >= 6);
        for index in second.owned.clone() {
            assert_eq!(second.offsets(index), [7, 8, 9], "{strategy}");
        }
        drop(second);
        first.until("the partitions back", |m, _| m.owned.len() == 4);
    }
}

#[test]
fn acknowledged_offsets_are_committed() {
    let broker = Broker::new(2);
    (0..2).for_each(|index| broker.fill(index, 0..10));
    let mut member = broker.member(|_| {}).joined(2);
    (0..2).for_each(|index| member.start(index, 0));
    member.until("everything", |m, _| m.seen.len() == 20);
    member.source.acknowledge(&at(0), 4).expect("acknowledge");
    member.until("a commit", |_, _| broker.committed().get(&0) == Some(&4));
    member.source.acknowledge(&at(1), 10).expect("acknowledge");
    member.source.flush(PATIENCE).expect("flush");
    assert_eq!(broker.committed(), BTreeMap::from([(0, 4), (1, 10)]));
    // What the group committed does not move where a member starts.
    drop(member);
    let mut member = broker.member(|_| {}).joined(2);
    member.start(0, 1);
    member.until("records", |m, _| !m.seen.is_empty());
    assert_eq!(member.take()[0], 1);
}

#[test]
fn until_end_ends_where_the_log_ended_at_the_start() {
    let broker = Broker::new(3);
    broker.fill(0, 0..50);
    broker.fill(1, 0..20);
    let mut member = broker.member(|s| s.until_end = true);
    broker.fill(0, 50..60);
    member = member.joined(3);
    assert_ne!(member.poll(), Flow::End, "nothing was positioned yet");
    (0..3).for_each(|index| member.start(index, 0));
    member.until("the end", |_, flow| *flow == Flow::End);
    assert!(member.offsets(0).len() >= 50);
    assert_eq!(member.offsets(1).len(), 20);
    member.start(1, 5);
    let flow = member.poll();
    // On a slow machine one poll may bring all of it.
    assert!(flow != Flow::End || member.offsets(1).len() == 35, "a seek went back");
    member.until("the end again", |_, flow| *flow == Flow::End);
    assert_eq!(member.offsets(1)[20..], (5..20).collect::<Vec<_>>());
}

#[test]
fn until_end_names_topics_that_do_not_exist() {
    let broker = Broker::new(1);
    let mut settings = broker.settings();
    settings.until_end = true;
    settings.topics = vec![TOPIC.into(), "dbserver1.public.nowhere".into()];
    let error = Kafka::new(&settings).err().expect("refused").to_string();
    assert!(error.contains("dbserver1.public.nowhere") && !error.contains(TOPIC), "{error}");
    settings.topics = vec!["shop.public.products".into()];
    let error = Kafka::new(&settings).err().expect("refused").to_string();
    assert!(error.contains("TOPIC_PREFIX=dbserver1.public. would fit"), "{error}");
}

/// It may be made later, with the first change.
#[test]
fn a_service_waits_for_a_topic_and_is_told_when_to_look_again() {
    let broker = Broker::new(1);
    let missing = ["shop.public.products".to_owned()];
    let mut member = broker.member(|s| s.topics = missing.to_vec());
    assert!(member.source.look_at.is_some(), "a first look");
    let client = member.source.client().expect("open");
    let found = absent(&client, &missing).expect("an answer").expect("missing");
    assert!(found.to_string().contains("TOPIC_PREFIX=dbserver1.public. would fit"), "{found}");
    member.until("the look's end", |m, _| m.source.look_at.is_some_and(|at| at > Instant::now()));
    assert_eq!(member.source.look_pause, 2 * COMPLAIN_EVERY, "the next pause is longer");
    broker.cluster.create_topic(&missing[0], 1, 1).expect("a topic");
    member.source.look_at = Some(Instant::now());
    member.until("the topic", |m, _| !m.owned.is_empty());
    assert_eq!(absent(&client, &missing).expect("an answer"), None);
}

/// Markers of transactions and compaction leave the last offsets without records.
#[test]
fn an_end_without_a_record_is_an_end_once_the_looks_agree() {
    let mut place = Place::new(at(0), Some(10));
    (place.next, place.held) = (Some(8), false);
    assert!(!place.is_delivered());
    place.drained = LOOKS - 1;
    assert!(!place.is_delivered());
    place.drained = LOOKS;
    assert!(place.is_delivered());
    place.seeking = true;
    assert!(!place.is_delivered());
}

#[test]
fn survives_broker_errors() {
    let broker = Broker::new(1);
    broker.fill(0, 0..100);
    let mut member = broker.member(|_| {}).joined(1);
    let transport = [RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT; 3];
    let other = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
    ];
    broker.cluster.request_errors(RDKafkaApiKey::Fetch, &transport);
    broker.cluster.request_errors(RDKafkaApiKey::Fetch, &other);
    broker.cluster.request_errors(RDKafkaApiKey::ListOffsets, &other);
    member.start(0, 3);
    member.until("everything", |m, _| m.seen.len() == 97);
    assert_eq!(member.take(), (3..100).collect::<Vec<_>>());
    broker.cluster.broker_down(-1).expect("down");
    for _ in 0..50 {
        member.poll();
    }
    broker.cluster.broker_up(-1).expect("up");
    broker.fill(0, 100..110);
    // A long absence may have cost the membership: then it is assigned again, as for real.
    member.until("the broker back", |m, _| {
        if m.owned.contains(&0) && m.revoked.pop().is_some() {
            m.start(0, 100);
        }
        m.seen.last().is_some_and(|s| s.offset == 109)
    });
    assert_eq!(member.take(), (100..110).collect::<Vec<_>>());
    let errors = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION];
    broker.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &errors);
    member.source.acknowledge(&at(0), 110).expect("acknowledge");
    member.source.flush(PATIENCE).expect("a refused commit is no error");
}

#[test]
fn a_position_out_of_range_breaks_its_partition_only() {
    let broker = Broker::new(2);
    (0..2).for_each(|index| broker.fill(index, 0..10));
    let mut member = broker.member(|_| {}).joined(2);
    member.start(0, 1_000);
    member.start(1, 0);
    member.until("a broken partition", |m, _| !m.broken.is_empty() && m.seen.len() == 10);
    assert_eq!(member.broken.len(), 1);
    let why = &member.broken[0];
    assert!(
        why.contains(&format!("{TOPIC}/0: offset 1000")) && why.contains("GENERATION"),
        "{why}"
    );
    assert!(member.offsets(0).is_empty());
}

#[test]
fn tombstones_headers_and_large_values_come_as_they_are() {
    let broker = Broker::new(1);
    let headers = || {
        OwnedHeaders::new()
            .insert(Header { key: "__debezium.newkey", value: Some("{\"id\":2}") })
            .insert(Header { key: "empty", value: None::<&str> })
    };
    broker.send(BaseRecord::to(TOPIC).partition(0).key("a").headers(headers()));
    // Above what one fetch asks for; the mock broker keeps no more than 5 MB.
    let large = "x".repeat(4_700_000);
    broker.send(BaseRecord::to(TOPIC).partition(0).key("b").payload(&large));
    broker.send(BaseRecord::to(TOPIC).partition(0).payload("c"));
    broker.flush();
    let mut member = broker.member(|_| {}).joined(1);
    member.start(0, 0);
    member.until("three records", |m, _| m.seen.len() == 3);
    let [tombstone, big, keyless] = &member.seen[..] else { panic!("three") };
    assert_eq!((tombstone.key.as_deref(), &tombstone.value), (Some(&b"a"[..]), &None));
    let expected = [
        ("__debezium.newkey".to_owned(), Some(b"{\"id\":2}".to_vec())),
        ("empty".to_owned(), None),
    ];
    assert_eq!(tombstone.headers, expected);
    assert_eq!(big.value.as_ref().map(Vec::len), Some(large.len()));
    assert_eq!((&keyless.key, keyless.value.as_deref()), (&None, Some(&b"c"[..])));
    assert!(keyless.headers.is_empty());
}

#[test]
fn the_probe_answers_from_any_thread_and_not_after_the_end() {
    let broker = Broker::new(3);
    broker.fill(1, 0..7);
    let member = broker.member(|_| {});
    let probe = member.source.probe();
    let asked = thread::spawn(move || (probe.bounds(&at(1)), probe));
    let (bounds, probe) = asked.join().expect("no panic");
    assert_eq!(bounds.expect("bounds"), Bounds { begin: 0, end: 7, partitions: 3 });
    drop(member);
    assert!(probe.bounds(&at(1)).is_err());
}

#[test]
fn leaving_takes_seconds_at_most_even_without_a_broker() {
    let broker = Broker::new(1);
    let mut member = broker.member(|_| {}).joined(1);
    member.source.acknowledge(&at(0), 0).expect("acknowledge");
    broker.cluster.broker_down(-1).expect("down");
    let started = Instant::now();
    member.source.flush(Duration::from_millis(200)).expect("flush");
    drop(member);
    assert!(started.elapsed() < CLOSE_WAIT + Duration::from_secs(2), "{:?}", started.elapsed());
}

/// Without that the broker would wait for the session of a member that is gone for good.
#[test]
fn a_static_member_leaves_its_group_when_it_ends() {
    let broker = Broker::new(1);
    let member = broker.member(|_| {}).joined(1);
    let client = member.source.client().expect("open");
    assert!(member.source.membership.is_some() || !cfg!(target_os = "linux"));
    assert!(!client.context().has_left());
    drop(member);
    assert!(client.context().has_left());
}

#[test]
fn a_name_of_the_users_or_none_at_all_is_left_as_it_is() {
    let broker = Broker::new(1);
    let with = |name: &str, value: &str| {
        let mut settings = broker.settings();
        settings.properties.insert(name.into(), value.into());
        settings
    };
    let id = |settings: &Settings| {
        let config = settings.client_config().expect("fine");
        config.get("group.instance.id").map(str::to_owned)
    };
    assert!(broker.settings().may_be_static());
    for (name, value, wanted) in [
        ("group.instance.id", "pod-0", Some("pod-0")),
        ("group.instance.id", "none", None),
        ("group.protocol", "consumer", None),
    ] {
        let mut settings = with(name, value);
        if name == "group.protocol" {
            settings.properties.retain(|name, _| name == "group.protocol");
        }
        assert!(!settings.may_be_static(), "{name}={value}");
        assert_eq!(id(&settings).as_deref(), wanted, "{name}={value}");
    }
}

/// A late request of a member's own may fence it: it goes on under another name.
#[test]
fn a_member_fenced_by_its_own_name_joins_again_under_another() {
    let broker = Broker::new(1);
    broker.fill(0, 0..10);
    let mut member = broker.member(|_| {});
    if member.source.membership.is_none() {
        return; // No Linux.
    }
    let probe = member.source.probe();
    member.until("an assignment", |m, _| m.owned.len() == 1);
    member.start(0, 0);
    member.until("the records", |m, _| m.seen.len() == 10);
    let fenced = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID];
    broker.cluster.request_errors(RDKafkaApiKey::Heartbeat, &fenced);
    member.until("the loss", |m, _| m.revoked == [0]);
    assert!(member.source.membership.is_none());
    broker.fill(0, 10..20);
    member.until("another assignment", |m, _| m.owned.len() == 1);
    member.start(0, 10);
    member.until("the rest", |m, _| m.seen.len() == 20);
    assert_eq!(member.offsets(0), (0..20).collect::<Vec<_>>());
    assert_eq!(probe.bounds(&at(0)).expect("asks the new client").end, 20);
}

#[test]
fn a_member_fenced_by_a_name_of_the_users_ends() {
    let broker = Broker::new(1);
    let id = |s: &mut Settings| drop(s.properties.insert("group.instance.id".into(), "a".into()));
    let mut member = broker.member(id).joined(1);
    let fenced = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID];
    broker.cluster.request_errors(RDKafkaApiKey::Heartbeat, &fenced);
    let error = member.error().to_string();
    assert!(error.contains("give every process one of its own"), "{error}");
}

#[test]
fn a_session_that_the_broker_does_not_allow_ends_the_service_and_names_the_setting() {
    let broker = Broker::new(1);
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT];
    broker.cluster.request_errors(RDKafkaApiKey::JoinGroup, &refused);
    let error = broker.member(|_| {}).error().to_string();
    assert!(error.contains("KAFKA_PROPERTIES_SESSION_TIMEOUT_MS"), "{error}");
    assert!(error.contains("group.min.session.timeout.ms"), "{error}");
}

#[test]
fn properties_pass_through_and_three_are_ours() {
    let mut settings = Settings {
        bootstrap_servers: "localhost:1".into(),
        group_id: "g".into(),
        client_id: "c".into(),
        topics: vec![TOPIC.into()],
        until_end: false,
        ack_interval: Duration::from_secs(5),
        properties: BTreeMap::new(),
    };
    let mut set = |name: &str, value: &str| {
        settings.properties.insert(name.into(), value.into());
        settings.client_config()
    };
    let config = set("session.timeout.ms", "20000").expect("fine");
    assert_eq!(config.get("session.timeout.ms"), Some("20000"));
    assert_eq!(config.get("heartbeat.interval.ms"), Some("2000"));
    assert_eq!(config.get("auto.offset.reset"), Some("error"));
    let all = set("auto.offset.reset", "latest").expect_err("ours");
    assert!(all[0].contains("auto.offset.reset") && all[0].contains("Remove"), "{all:?}");
    let all = set("sasl.pasword", "secret").expect_err("unknown");
    assert!(all.len() == 2 && !all.join("").contains("secret"), "{all:?}");
    let all = set("fetch.wait.max.ms", "soon").expect_err("not a number");
    assert!(all.iter().any(|text| text.contains("fetch.wait.max.ms")), "{all:?}");
}

#[test]
fn tls_and_sasl_are_built_in() {
    let broker = Broker::new(1);
    let member = broker.member(|s| {
        for (name, value) in [
            ("bootstrap.servers", "localhost:1"),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "u"),
            ("sasl.password", "p"),
            ("group.instance.id", "pod-0"),
        ] {
            s.properties.insert(name.into(), value.into());
        }
    });
    drop(member);
    let native = ClientConfig::new().create_native_config().expect("a configuration");
    let features = native.get("builtin.features").expect("features");
    for wanted in ["ssl", "sasl_scram", "sasl_plain", "gzip", "zstd", "lz4", "snappy"] {
        assert!(features.split(',').any(|f| f.trim() == wanted), "{wanted} is not in {features}");
    }
}

#[test]
fn a_part_of_the_log_is_read_beside_the_member_and_outside_the_group() {
    let broker = Broker::new(2);
    broker.fill(1, 0..20);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "cdc-replay-service", value: Some("s") })
        .insert(Header { key: "trace", value: Some("7") });
    broker.send(BaseRecord::to(TOPIC).partition(1).key("k").payload("20").headers(headers));
    broker.flush();
    let member = broker.member(|_| {}).joined(2);
    let probe = member.source.probe();
    let read = |from, to, most: usize| {
        let (mut seen, mut ours) = (Vec::new(), Vec::new());
        let whole = probe.read(&at(1), from, to, &mut |record| {
            assert_eq!(record.value, Some(record.offset.to_string().as_bytes()));
            ours.extend(record.headers.0.list_with("cdc-replay-"));
            seen.push(record.offset);
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (whole.expect("an answer"), seen, ours)
    };
    assert_eq!(read(5, 9, 9), (true, vec![5, 6, 7, 8], vec![]));
    assert_eq!(read(5, 9, 2), (true, vec![5, 6], vec![]));
    assert_eq!(read(9, 9, 9), (true, vec![], vec![]));
    let header = ("cdc-replay-service".to_owned(), Some(b"s".to_vec()));
    assert_eq!(read(19, 21, 9), (true, vec![19, 20], vec![header]));
    let beyond = probe.read(&at(1), 20, 30, &mut |_| ControlFlow::Continue(()));
    let why = beyond.expect_err("nobody can have seen so far").to_string();
    assert!(why.contains("ends before offset 30"), "{why}");
    assert_eq!(member.revoked, Vec::<i32>::new());
    let range = Range::new(&broker.settings()).expect("a client");
    assert_eq!(range.bounds(&at(1)).expect("an answer"), (0, 21));
    assert_eq!(range.acknowledged(&at(1)).expect("an answer"), None);
}
