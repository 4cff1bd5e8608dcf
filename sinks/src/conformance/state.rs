//! The promises of [`State`] and [`PartitionState`].
use crate::{
    Batch, Checkpoint, Key, Mark, Origin, Partition, PartitionState, SinkError, State,
    state::{Basis, Shown, find_count},
};
use std::{collections::BTreeSet, sync::Arc};

/// Puts a store of states through every promise of [`State`] and [`PartitionState`].
pub async fn state(make: impl AsyncFn(&str) -> Arc<dyn State>) {
    begins_empty(&make).await;
    commits_rows_with_position(&make).await;
    reads_in_order_asked(&make).await;
    scans_prefix_in_key_order(&make).await;
    fences_stale_lane(&make).await;
    shows_stale_lane_nothing_newer(&make).await;
    recognises_repeat(&make).await;
    refuses_wrong_place(&make).await;
    keeps_partitions_apart(&make).await;
    refuses_renamed_topic(&make).await;
    keeps_count_of_partitions(&make).await;
    counts_by_lanes(&make).await;
    raises_count_when_sure(&make).await;
    opens_again(&make).await;
    ends_with_close(&make).await;
    holds_large_values_and_many_rows(&make).await;
}

type Rows<'a> = &'a [(&'a str, Option<&'a str>)];

fn place(index: i32) -> Partition {
    Partition::new("shop.products", index)
}

fn batch(partition: &Partition, start: i64, next: i64, rows: Rows) -> Batch {
    let own = |text: &str| text.as_bytes().to_vec();
    let rows = rows.iter().map(|(key, value)| (own(key), value.map(own))).collect();
    batch_of(partition, start, next, rows)
}

fn batch_of(
    partition: &Partition,
    start: i64,
    next: i64,
    rows: Vec<(Key, Option<Vec<u8>>)>,
) -> Batch {
    let checkpoint = Checkpoint {
        next,
        last: Some(Mark {
            offset: next - 1,
            timestamp_ms: 1_700_000_000_000 + next,
            key_digest: u64::MAX,
            is_delete: true,
        }),
        fingerprint: "v1".into(),
        partitions: 4,
        trimmed: Some(3),
        bad_run: 2,
        origins: vec![Origin {
            connector: "shop".into(),
            database: "db".into(),
            schema: "public".into(),
            table: "products".into(),
        }],
    };
    Batch::new(partition.clone(), 'p', start, vec![], rows, checkpoint, BTreeSet::new())
}

async fn open(state: &Arc<dyn State>, partition: &Partition) -> Arc<dyn PartitionState> {
    state.open(partition).await.unwrap_or_else(|e| panic!("opening {partition} failed: {e}"))
}

async fn commit(lane: &dyn PartitionState, batch: &Batch) {
    if let Err(e) = lane.commit(batch).await {
        panic!("the commit {:?} of {} failed: {e}", batch.span, batch.partition);
    }
}

async fn expect_fenced(lane: &dyn PartitionState, batch: &Batch, what: &str) {
    match lane.commit(batch).await {
        Err(SinkError::Fenced) => {}
        Err(other) => panic!("{what}: expected Fenced, got: {other}"),
        Ok(_) => panic!("{what}: expected Fenced, but it was committed"),
    }
}

async fn expect_rows(lane: &dyn PartitionState, what: &str, rows: Rows<'_>) {
    let keys: Vec<Key> = rows.iter().map(|(key, _)| key.as_bytes().to_vec()).collect();
    let found = lane.get(&keys).await.unwrap_or_else(|e| panic!("{what}: reading failed: {e}"));
    let found: Vec<Option<String>> =
        found.into_iter().map(|v| v.map(|v| String::from_utf8_lossy(&v).into_owned())).collect();
    let expected: Vec<Option<String>> =
        rows.iter().map(|(_, value)| value.map(str::to_owned)).collect();
    assert_eq!(
        found,
        expected,
        "{what}: rows under {:?}",
        rows.iter().map(|r| r.0).collect::<Vec<_>>()
    );
}

fn next(lane: &dyn PartitionState) -> Option<i64> {
    lane.checkpoint().map(|at| at.next)
}

async fn begins_empty(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("empty").await;
    let lane = open(&state, &place(0)).await;
    assert_eq!(lane.checkpoint(), None, "a new partition has no checkpoint");
    expect_rows(&*lane, "a new partition", &[("a", None)]).await;
    assert_eq!(lane.get(&[]).await.expect("no keys").len(), 0, "no keys, no rows");
    assert_eq!(lane.scan(b"").await.expect("scan").len(), 0, "a new partition has no rows");
}

async fn commits_rows_with_position(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("commit").await;
    let lane = open(&state, &place(0)).await;
    let first = batch(&place(0), 5, 10, &[("a", Some("1")), ("b", Some("2"))]);
    commit(&*lane, &first).await;
    expect_rows(&*lane, "after the first commit", &[("a", Some("1")), ("b", Some("2"))]).await;
    let second = batch(&place(0), 10, 17, &[("a", None), ("b", Some("")), ("never", None)]);
    commit(&*lane, &second).await;
    let after = &[("a", None), ("b", Some("")), ("never", None)];
    expect_rows(&*lane, "after the second commit (a removed, b empty)", after).await;
    let again = open(&state, &place(0)).await;
    assert_eq!(again.checkpoint(), Some(second.checkpoint), "the whole checkpoint is kept");
    expect_rows(&*again, "after opening again", after).await;
}

async fn reads_in_order_asked(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("order").await;
    let lane = open(&state, &place(0)).await;
    let rows = &[("a", Some("1")), ("b", Some("2")), ("c", Some("3"))];
    commit(&*lane, &batch(&place(0), 0, 1, rows)).await;
    let asked = &[("c", Some("3")), ("x", None), ("a", Some("1")), ("c", Some("3")), ("", None)];
    expect_rows(&*lane, "keys out of order, twice, missing, empty", asked).await;
}

async fn scans_prefix_in_key_order(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("scan").await;
    let lane = open(&state, &place(0)).await;
    let keys: Vec<Key> = vec![
        b"p".to_vec(),
        b"p\x00".to_vec(),
        b"pa".to_vec(),
        b"p\xff\xff".to_vec(),
        b"q".to_vec(),
        b"o\xff".to_vec(),
    ];
    let rows = keys.iter().rev().map(|key| (key.clone(), Some(key.clone()))).collect();
    commit(&*lane, &batch_of(&place(0), 0, 1, rows)).await;
    commit(&*lane, &batch_of(&place(0), 1, 2, vec![(b"pa".to_vec(), None)])).await;
    let found = lane.scan(b"p").await.expect("scan");
    let expected: Vec<(Key, Vec<u8>)> =
        [&b"p"[..], b"p\x00", b"p\xff\xff"].map(|key| (key.to_vec(), key.to_vec())).into();
    assert_eq!(found, expected, "all keys that begin with p, in order, without the removed one");
    assert_eq!(lane.scan(b"").await.expect("scan").len(), 5, "an empty prefix is everything");
    assert_eq!(lane.scan(b"\xff").await.expect("scan").len(), 0, "nothing begins with 0xff");
}

async fn fences_stale_lane(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let at = place(0);
    let (here, there) = (make("fence").await, make("fence").await);
    let stale = open(&here, &at).await;
    commit(&*stale, &batch(&at, 0, 10, &[("a", Some("old"))])).await;
    let owner = open(&there, &at).await;
    assert_eq!(next(&*owner), Some(10), "the new owner goes on where the old one stood");
    expect_fenced(
        &*stale,
        &batch(&at, 10, 20, &[("a", Some("stale"))]),
        "an owner before the last",
    )
    .await;
    expect_rows(&*owner, "after the stale commit", &[("a", Some("old"))]).await;
    commit(&*owner, &batch(&at, 10, 15, &[("a", Some("new"))])).await;
    expect_fenced(
        &*stale,
        &batch(&at, 15, 20, &[("a", Some("stale"))]),
        "a stale owner that guesses right",
    )
    .await;
    expect_rows(&*owner, "after both", &[("a", Some("new"))]).await;
    let last = open(&here, &at).await;
    assert_eq!(next(&*last), Some(15), "nothing of the stale owner moved the position");
    expect_rows(&*last, "after opening once more", &[("a", Some("new"))]).await;
}

/// A mixture of its own rows and the next owner's would make a keyed sink's stale owner send what nobody should ask for.
async fn shows_stale_lane_nothing_newer(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let at = place(0);
    let (here, there) = (make("stale-reads").await, make("stale-reads").await);
    let stale = open(&here, &at).await;
    commit(&*stale, &batch(&at, 0, 10, &[("a", Some("old"))])).await;
    let owner = open(&there, &at).await;
    for next in 11..20 {
        let rows: Rows<'_> = &[("a", Some("new")), ("b", Some("new"))];
        commit(&*owner, &batch(&at, next - 1, next, rows)).await;
        match stale.get(&[b"a".to_vec(), b"b".to_vec()]).await {
            Ok(found) => assert_eq!(found, [Some(b"old".to_vec()), None], "as it left them"),
            Err(SinkError::Fenced) => {}
            Err(other) => panic!("a stale owner's read: {other}"),
        }
        match stale.scan(b"").await {
            Ok(found) => assert_eq!(found, [(b"a".to_vec(), b"old".to_vec())], "as it left them"),
            Err(SinkError::Fenced) => {}
            Err(other) => panic!("a stale owner's scan: {other}"),
        }
    }
}

async fn recognises_repeat(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("repeat").await;
    let lane = open(&state, &place(0)).await;
    let first = batch(&place(0), 0, 10, &[("a", Some("1"))]);
    let receipt = lane.commit(&first).await.expect("first commit");
    assert_eq!(
        lane.commit(&first).await.expect("the same batch again"),
        receipt,
        "the same receipt"
    );
    let other = batch(&place(0), 0, 10, &[("a", Some("2"))]);
    expect_fenced(&*lane, &other, "another batch over the same offsets").await;
    expect_rows(&*lane, "after another batch over the same offsets", &[("a", Some("1"))]).await;
    let again = open(&state, &place(0)).await;
    again.commit(&first).await.expect("the same batch again, by the next owner");
    commit(&*again, &batch(&place(0), 10, 11, &[("a", Some("3"))])).await;
    expect_fenced(&*again, &first, "a repeat of the batch before the last").await;
    expect_rows(&*again, "after the old repeat", &[("a", Some("3"))]).await;
}

async fn refuses_wrong_place(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("place").await;
    for (index, (start, end, what)) in
        [(9, 20, "an overlap"), (11, 20, "a gap"), (0, 10, "a batch of the past")]
            .into_iter()
            .enumerate()
    {
        let at = place(index as i32);
        let lane = open(&state, &at).await;
        commit(&*lane, &batch(&at, 0, 10, &[("a", Some("1"))])).await;
        expect_fenced(&*lane, &batch(&at, start, end, &[("a", Some("2")), ("b", Some("2"))]), what)
            .await;
        let again = open(&state, &at).await;
        assert_eq!(next(&*again), Some(10), "{what} moved the position");
        expect_rows(&*again, what, &[("a", Some("1")), ("b", None)]).await;
    }
}

async fn keeps_partitions_apart(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("apart").await;
    let places = [place(0), place(1), Partition::new("shop.order_items", 0)];
    for (at, value) in places.iter().zip(["1", "2", "3"]) {
        commit(&*open(&state, at).await, &batch(at, 0, 10, &[("a", Some(value))])).await;
    }
    for (at, value) in places.iter().zip(["1", "2", "3"]) {
        let lane = open(&state, at).await;
        expect_rows(&*lane, "three partitions with the same key", &[("a", Some(value))]).await;
        assert_eq!(
            lane.scan(b"").await.expect("scan").len(),
            1,
            "a scan of {at} sees one partition"
        );
    }
}

async fn refuses_renamed_topic(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("renamed").await;
    let lane = open(&state, &place(0)).await;
    commit(&*lane, &batch(&place(0), 0, 10, &[("a", Some("1"))])).await;
    let others = ["shop.order_items", "products.shop", "shop.old_products", "shop.größe"];
    for topic in others {
        let at = Partition::new(topic, 0);
        commit(&*open(&state, &at).await, &batch(&at, 0, 10, &[("a", Some("2"))])).await;
    }
    let again = make("renamed").await;
    for (was, now) in [
        ("shop.products", "store.products"),
        ("shop.products", "shop.public.products"),
        ("shop.products", "products"),
        ("shop.order_items", "order_items"),
    ] {
        for index in [0, 1] {
            let why = match again.open(&Partition::new(now, index)).await {
                Err(SinkError::Fatal(why)) => format!("{why:#}"),
                Err(other) => panic!("{now} after {was}: expected Fatal, got: {other}"),
                Ok(_) => panic!("{now} was opened beside {was}, the same table"),
            };
            let names = [was, now, "TOPIC_PREFIX", "GENERATION"];
            assert!(names.iter().all(|name| why.contains(name)), "{now} after {was}: {why}");
        }
    }
    let encoded = again.open(&Partition::new("store.größe", 0)).await;
    assert!(matches!(encoded, Err(SinkError::Fatal(_))), "a store that encodes names compares too");
    commit(&*lane, &batch(&place(0), 10, 11, &[("a", Some("3"))])).await; // a refusal fences nobody
    for topic in others {
        let lane = open(&again, &Partition::new(topic, 0)).await;
        assert_eq!(next(&*lane), Some(10), "{topic} goes on");
    }
    let lane = open(&again, &place(0)).await;
    assert_eq!(next(&*lane), Some(11), "the name before goes on after a refusal");
    assert_eq!(next(&*open(&again, &place(1)).await), None, "and so do its other partitions");
}

async fn expect_other_count(state: &Arc<dyn State>, kept: i32, now: i32, what: &str) {
    let why = match state.keep_count("shop.products", now).await {
        Err(SinkError::Fatal(why)) => format!("{why:#}"),
        Err(other) => panic!("{what}: expected Fatal, got: {other}"),
        Ok(()) => panic!("{what}: {now} partitions were taken, the state was made with {kept}"),
    };
    let says = ["shop.products", &format!("has {now}"), &format!("with {kept}"), "GENERATION"];
    assert!(says.iter().all(|text| why.contains(text)), "{what}: {why}");
}

async fn keeps_count_of_partitions(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let (here, there) = (make("count").await, make("count").await);
    let keep = async |state: &Arc<dyn State>, topic: &str, n: i32| {
        state.keep_count(topic, n).await.unwrap_or_else(|e| panic!("{n} of {topic}: {e}"));
    };
    keep(&here, "shop.products", 4).await;
    keep(&there, "shop.products", 4).await;
    expect_other_count(&there, 4, 6, "before any lane was opened").await;
    let lane = open(&here, &place(0)).await;
    expect_other_count(&there, 4, 6, "beside a lane without a checkpoint").await;
    commit(&*lane, &batch(&place(0), 0, 10, &[("a", Some("1"))])).await; // a refusal fences nobody
    expect_other_count(&there, 4, 6, "for a partition that is new").await;
    expect_other_count(&here, 4, 3, "fewer").await;
    keep(&there, "shop.order_items", 6).await;
    keep(&make("another count").await, "shop.products", 6).await;
    let again = make("count").await;
    keep(&again, "shop.products", 4).await;
    expect_other_count(&again, 4, 6, "after opening the store again").await;
    let renamed = again.keep_count("store.products", 4).await;
    assert!(matches!(renamed, Err(SinkError::Fatal(_))), "a renamed topic is refused here too");
    let lane = open(&again, &place(0)).await;
    assert_eq!(next(&*lane), Some(10), "refusals moved nothing and left no topic behind");
}

/// States made before counts were kept.
async fn counts_by_lanes(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("count by lanes").await;
    let lanes = [open(&state, &place(0)).await, open(&state, &place(1)).await];
    commit(&*lanes[1], &batch(&place(1), 0, 10, &[])).await;
    expect_other_count(&state, 4, 6, "the checkpoint of a lane says 4").await;
    state.keep_count("shop.products", 4).await.expect("the count of the lanes");
    expect_other_count(&make("count by lanes").await, 4, 6, "once kept").await;
    commit(&*lanes[1], &batch(&place(1), 10, 11, &[])).await;
    let state = make("count without checkpoints").await;
    drop(open(&state, &place(0)).await);
    state.keep_count("shop.products", 6).await.expect("nothing stands against it");
    expect_other_count(&state, 6, 4, "once kept").await;
}

/// Files do not say how many partitions there are: see [`find_count`].
async fn raises_count_when_sure(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("shown").await;
    let find = async |basis: Basis, counts: &[i32], spans: &[(i32, (i64, i64))]| {
        let spans = spans.iter().copied().collect();
        find_count(&*state, "shop.products", &Shown { basis, counts: counts.to_vec(), spans }).await
    };
    let refused = async |basis, counts: &[i32], spans: &[(i32, (i64, i64))], what: &str| match find(
        basis, counts, spans,
    )
    .await
    {
        Err(SinkError::Fatal(why)) => format!("{why:#}"),
        other => panic!("{what}: expected Fatal, got {other:?}"),
    };
    let found = |n: Result<i32, SinkError>, what: &str| n.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert_eq!(state.count("shop.products").await.expect("a count"), None);
    assert_eq!(found(find(Basis::Keys, &[2, 3, 5], &[]).await, "the first"), 2);
    assert_eq!(found(find(Basis::Keys, &[1, 2], &[]).await, "fewer would do"), 2);
    assert_eq!(state.count("shop.products").await.expect("a count"), Some(2));
    let lane = open(&state, &place(0)).await;
    commit(&*lane, &batch(&place(0), 3, 10, &[("a", Some("1"))])).await; // began at 3
    let at = state.checkpoints("shop.products").await.expect("checkpoints");
    assert_eq!(at.iter().map(|(index, at)| (*index, at.next)).collect::<Vec<_>>(), [(0, 10)]);
    let whole = [(0, (3, 10)), (2, (0, 1))];
    for (basis, spans, what) in [
        (Basis::Keys, &[(0, (4, 10)), (2, (0, 1))][..], "the files begin later than the state"),
        (Basis::Keys, &[(0, (0, 9)), (2, (0, 1))], "they end before it"),
        (Basis::Keys, &[(2, (0, 1))], "they do not have the lane at all"),
        (Basis::Nothing, &whole, "nobody knows where keys belong"),
    ] {
        let why = refused(basis, &[3], spans, what).await;
        assert!(why.contains("TOPIC_PARTITIONS=shop.products=3"), "{what}: {why}");
        assert_eq!(state.count("shop.products").await.expect("a count"), Some(2), "{what}");
    }
    assert_eq!(found(find(Basis::Keys, &[1, 3, 6], &whole).await, "all is seen"), 3);
    commit(&*lane, &batch(&place(0), 10, 11, &[])).await; // nobody was fenced
    let again = make("shown").await;
    again.keep_count("shop.products", 3).await.expect("the count that was raised");
    expect_other_count(&again, 3, 2, "once raised").await;
    refused(Basis::Keys, &[1], &whole, "the kept count does not fit, and a smaller one does").await;
    refused(Basis::Told { placed: true }, &[2], &[], "fewer were told").await;
    assert_eq!(found(find(Basis::Told { placed: true }, &[6], &[]).await, "told"), 6);
    expect_other_count(&make("shown").await, 6, 3, "once told").await;

    // Keys that lie by rules which nobody knows: from then on, only files with everything prove anything.
    let (part, whole) = ([(0, (5, 12))], [(0, (0, 12)), (6, (0, 1))]);
    let why = refused(Basis::Apart, &[2], &part, "not all is seen").await;
    assert!(why.contains("PLACEMENT=custom") && why.contains("whole log"), "{why}");
    assert_eq!(state.count("shop.products").await.expect("a count"), Some(6));
    assert_eq!(found(find(Basis::Apart, &[7], &whole).await, "all is seen"), 7);
    assert_eq!(state.count("shop.products").await.expect("a count"), Some(-7));
    assert_eq!(make("shown").await.count("shop.products").await.expect("a count"), Some(-7));
    refused(Basis::Keys, &[1, 7], &part, "some records fit by chance").await;
    assert_eq!(found(find(Basis::Keys, &[1, 7], &whole).await, "all is seen"), 7);
    assert_eq!(found(find(Basis::Nothing, &[1, 7], &part).await, "the operator said so"), 7);
    assert_eq!(state.count("shop.products").await.expect("a count"), Some(-7));
    state.keep_count("shop.products", 7).await.expect("the broker says so too");
    expect_other_count(&state, 7, 8, "then as now").await;
}

async fn opens_again(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let at = place(0);
    for round in 0..5 {
        let lane = open(&make("again").await, &at).await;
        assert_eq!(next(&*lane), (round > 0).then_some(round), "position in round {round}");
        let before = round.to_string();
        if round > 0 {
            expect_rows(&*lane, "of the round before", &[("round", Some(&before))]).await;
        }
        let now = (round + 1).to_string();
        commit(&*lane, &batch(&at, round, round + 1, &[("round", Some(&now))])).await;
        if round % 2 == 0 {
            lane.close().await.expect("close");
        }
    }
}

async fn ends_with_close(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("close").await;
    let lane = open(&state, &place(0)).await;
    commit(&*lane, &batch(&place(0), 0, 1, &[("a", Some("1"))])).await;
    lane.close().await.expect("close");
    lane.close().await.expect("closing twice is harmless");
    expect_fenced(&*lane, &batch(&place(0), 1, 2, &[("a", Some("2"))]), "a commit after close")
        .await;
    assert!(
        matches!(lane.get(&[b"a".to_vec()]).await, Err(SinkError::Fenced)),
        "get after close: Fenced"
    );
    assert!(matches!(lane.scan(b"").await, Err(SinkError::Fenced)), "scan after close: Fenced");
    let again = open(&state, &place(0)).await;
    lane.close().await.expect("closing what another owner holds is harmless");
    expect_rows(&*again, "after close", &[("a", Some("1"))]).await;
    commit(&*again, &batch(&place(0), 1, 2, &[("a", Some("2"))])).await;
}

async fn holds_large_values_and_many_rows(make: &impl AsyncFn(&str) -> Arc<dyn State>) {
    let state = make("large").await;
    let lane = open(&state, &place(0)).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let key = |n: u32| format!("row {n:05}").into_bytes();
    let mut rows: Vec<(Key, Option<Vec<u8>>)> =
        (0..5_000).map(|n| (key(n), Some(vec![n as u8; 40]))).collect();
    rows.push((vec![0, 255, 0], Some(large.clone())));
    commit(&*lane, &batch_of(&place(0), 0, 1, rows)).await;
    drop(lane);
    let lane = open(&state, &place(0)).await;
    let found = lane.get(&[vec![0, 255, 0], key(0), key(4_999), key(5_000)]).await.expect("get");
    assert!(found[0].as_ref() == Some(&large), "a value of 3 MB comes back whole");
    assert_eq!(found[1..], [Some(vec![0; 40]), Some(vec![135; 40]), None], "of 5,000 rows");
    assert_eq!(lane.scan(b"row ").await.expect("scan").len(), 5_000, "of 5,000 rows");
    let asked: Vec<Key> = (0..5_000).map(key).collect();
    let found = lane.get(&asked).await.expect("get 5,000 rows");
    assert!(
        found.iter().enumerate().all(|(n, v)| v.as_deref() == Some(&[n as u8; 40][..])),
        "5,000 rows at once"
    );
}
