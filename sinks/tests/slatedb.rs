//! State as SlateDB, in a folder and on S3.
mod killed;

use sinks::{
    Batch, Checkpoint, Partition, PartitionState, SinkError, State, conformance,
    state::slatedb::{self, Settings, SlateDb, few_retries, object_store},
};
use std::{
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

fn folder(dir: impl AsRef<Path>) -> SlateDb {
    SlateDb::folder(dir, 1, "inventory").unwrap()
}

#[tokio::test]
async fn keeps_the_promises_of_a_state_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(folder(dir.path().join(name))) as _
    })
    .await;
}

#[tokio::test]
async fn keeps_the_promises_of_a_state_on_s3() {
    let Ok(endpoint) = std::env::var("TEST_S3_ENDPOINT") else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: no TEST_S3_ENDPOINT: the state suite on S3\n",
        )
        .expect("stderr");
        return;
    };
    let bucket = "state-conformance";
    make_bucket(&endpoint, bucket).await;
    let run = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        let prefix = format!("run-{run}/{name}");
        Arc::new(SlateDb::s3_at(Some(&endpoint), bucket, &prefix, 1, "inventory").unwrap()) as _
    })
    .await;
}

async fn make_bucket(endpoint: &str, bucket: &str) {
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .load()
        .await;
    let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let client = aws_sdk_s3::Client::from_conf(config);
    if let Err(cause) = client.create_bucket().bucket(bucket).send().await {
        let there = client.head_bucket().bucket(bucket).send().await;
        assert!(there.is_ok(), "the bucket can be neither made nor found: {cause:?}");
    }
}

#[tokio::test]
#[ignore = "the child of goes_on_after_sigkill"]
async fn committing_child() {
    let Ok(dir) = std::env::var(killed::DIR) else { return };
    killed::commit_until_killed(&folder(dir)).await;
}

#[tokio::test]
async fn goes_on_after_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    for commits in [3, 1, 10] {
        let told = killed::kill_after("committing_child", dir.path(), commits);
        let lane = folder(dir.path()).open(&killed::partition()).await.unwrap();
        let stands = killed::check(&lane, told).await;
        lane.commit(&killed::batch(stands + 1)).await.unwrap();
        lane.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_look_takes_nothing_over_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (state, partition) = (folder(dir.path()), killed::partition());
    assert_eq!(state.peek(&partition).await.unwrap(), None);
    let lane = state.open(&partition).await.unwrap();
    assert_eq!(state.peek(&partition).await.unwrap(), None, "opened, nothing stored");
    lane.commit(&killed::batch(1)).await.unwrap();
    // Somebody else looks, and the owner goes on.
    let looker = folder(dir.path());
    let seen = looker.peek(&partition).await.unwrap();
    assert_eq!(seen.as_ref(), Some(&killed::batch(1).checkpoint));
    lane.commit(&killed::batch(2)).await.unwrap();
    let seen = looker.peek(&partition).await.unwrap();
    assert_eq!(seen.map(|checkpoint| checkpoint.next), Some(killed::batch(2).checkpoint.next));
    let renamed = Partition::new(&format!("other.{}", partition.topic), 0);
    let why = looker.peek(&renamed).await.map(|_| ()).unwrap_err().to_string();
    assert!(why.contains("set TOPIC_PREFIX back"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_size_told_is_that_of_the_tables_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let partition = Partition::new("size.products", 0);
    assert_eq!(slatedb::size(&partition), None, "not opened yet");
    let lane = fill(dir.path(), &partition).await;
    // A table is in the manifest a while after it was written.
    let (told, stored) = loop {
        let told = slatedb::size(&partition).expect("opened");
        let stored = files(dir.path(), &partition, "compacted");
        if told.tables >= 3 && stored.len() == told.tables as usize {
            break (told, stored);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let stored: u64 = stored.iter().map(|file| file.metadata().unwrap().len()).sum();
    let rest = stored.checked_sub(told.table_bytes).expect("no more than there is");
    assert!(rest < u64::from(told.tables) * 1_000, "{told:?}, and {stored} bytes in files");
    lane.close().await.unwrap();
    // Whoever opens it next knows at once.
    let again = folder(dir.path()).open(&partition).await.unwrap();
    let told_again = slatedb::size(&partition).expect("opened");
    assert!(told_again.table_bytes >= told.table_bytes, "{told:?}, then {told_again:?}");
    again.close().await.unwrap();
}

/// A small state is in no table at all.
#[tokio::test]
async fn rows_that_only_the_log_holds_count_too() {
    let dir = tempfile::tempdir().unwrap();
    let partition = Partition::new("log.products", 0);
    let lane = folder(dir.path()).open(&partition).await.unwrap();
    for n in 0..2 {
        let rows = vec![(vec![n], Some(vec![7; 10_000]))];
        let checkpoint = Checkpoint { next: i64::from(n) + 1, ..Checkpoint::default() };
        let at = i64::from(n);
        let batch = Batch::new(partition.clone(), 'p', at, vec![], rows, checkpoint, [].into());
        lane.commit(&batch).await.unwrap();
    }
    // Told with each commit, of what was there before it.
    let told = slatedb::size(&partition).expect("opened");
    assert_eq!((told.tables, told.table_bytes), (0, 0));
    assert!((10_000..30_000).contains(&told.log_bytes), "{told:?}");
    lane.close().await.unwrap();
}

/// A rebalance may give a partition to one process and then to another before the first has opened it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opened_by_many_at_once_is_fenced_never_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut fenced = 0;
    for index in 0..20 {
        let partition = Partition::new("shop.public.products", index);
        let open = || {
            let (state, partition) = (folder(dir.path()), partition.clone());
            tokio::spawn(async move { state.open(&partition).await.map(drop) })
        };
        for opened in [open(), open(), open(), open()] {
            match opened.await.expect("no panic") {
                Ok(()) => {}
                Err(SinkError::Fenced) => fenced += 1,
                Err(other) => panic!("partition {index}: {other}"),
            }
        }
        folder(dir.path()).open(&partition).await.expect("now alone");
    }
    assert!(fenced > 0, "never at the same moment: this test sees nothing");
}

#[tokio::test]
async fn generations_and_services_lie_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (at, (generation, service)) in
        [(1, "inventory"), (2, "inventory"), (1, "search")].into_iter().enumerate()
    {
        let lane = SlateDb::folder(dir.path(), generation, service)
            .unwrap()
            .open(&killed::partition())
            .await
            .unwrap();
        assert_eq!(lane.checkpoint(), None);
        lane.commit(&killed::batch(at as i64)).await.unwrap();
        lane.close().await.unwrap();
    }
    assert!(dir.path().join("state/search/1/shop.products/0/manifest").is_dir());
    assert!(dir.path().join("state/inventory/2/shop.products/0/manifest").is_dir());
}

/// The client gives up long before a lane does: it is the caller who decides what happens next.
#[tokio::test]
async fn a_failing_store_is_asked_a_few_times_and_then_transient() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for connection in server.incoming() {
            let mut connection = connection.unwrap();
            let mut request = vec![];
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).unwrap();
                request.push(byte[0]);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let answer =
                b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(answer).unwrap();
        }
    });
    let client = object_store::aws::AmazonS3Builder::new()
        .with_endpoint(url)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name("state")
        .with_skip_signature(true)
        .with_retry(few_retries());
    let state = SlateDb::new(Arc::new(client.build().unwrap()), "", 1, "inventory");
    let opened = state.open(&killed::partition()).await;
    let Err(SinkError::Transient(cause)) = opened else { panic!("expected Transient") };
    let text = format!("{cause:#}");
    assert!(text.contains("state/inventory/1") && text.contains("503"), "{text}");
    assert_eq!(asked.load(Ordering::SeqCst), 1 + few_retries().max_retries);
    let patience = Duration::from_millis(Settings::default().answer_ms_max);
    assert!(few_retries().retry_timeout < patience / 4);
}

/// A commit that was given up may still land: only the same batch may follow.
#[tokio::test]
async fn a_silent_store_is_transient_and_only_a_repeat_may_follow() {
    let slow = object_store::throttle::ThrottledStore::new(
        object_store::memory::InMemory::new(),
        Default::default(),
    );
    let slow = Arc::new(slow);
    let settings = Settings { answer_ms_max: 3_000, ..Settings::default() };
    let state = SlateDb::with_settings(slow.clone(), "a/b", 1, "inventory", settings);
    let lane = state.open(&killed::partition()).await.unwrap();
    lane.commit(&killed::batch(0)).await.unwrap();
    let second = killed::batch(1);
    slow.config_mut(|config| config.wait_put_per_call = Duration::from_secs(5));
    match lane.commit(&second).await {
        Err(SinkError::Transient(cause)) => {
            let text = format!("{cause:#}");
            assert!(text.contains("a/b/state/inventory/1/shop.products/0"), "{text}");
        }
        other => panic!("expected Transient, got {other:?}"),
    }
    let rows = lane.get(&[b"row 7".to_vec()]).await.unwrap();
    assert_eq!(rows, [Some(b"0".to_vec())], "what is not durable is not seen");
    let checkpoint = Checkpoint { next: 2, ..Checkpoint::default() };
    let other = Batch::new(killed::partition(), 'p', 1, vec![], vec![], checkpoint, [].into());
    assert!(
        matches!(lane.commit(&other).await, Err(SinkError::Fenced)),
        "another batch in its place"
    );
    slow.config_mut(|config| config.wait_put_per_call = Duration::ZERO);
    lane.commit(&killed::batch(1)).await.unwrap();
    lane.commit(&killed::batch(2)).await.unwrap();
    assert_eq!(lane.get(&[b"row 7".to_vec()]).await.unwrap(), [Some(b"2".to_vec())]);
}

#[tokio::test]
async fn too_long_keys_are_an_error_not_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let lane = folder(dir.path()).open(&killed::partition()).await.unwrap();
    let checkpoint = Checkpoint { next: 1, ..Checkpoint::default() };
    let rows = vec![(vec![7; 70_000], Some(vec![]))];
    let batch = Batch::new(killed::partition(), 'p', 0, vec![], rows, checkpoint, [].into());
    assert!(matches!(lane.commit(&batch).await, Err(SinkError::Fatal(_))));
    assert_eq!(lane.get(&[vec![7; 70_000]]).await.unwrap(), [None]);
}

/// A process that slept for long: its successor's compaction has deleted the tables that it knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_owner_that_misses_tables_is_fenced_and_an_owner_is_told_of_damage() {
    let dir = tempfile::tempdir().unwrap();
    let partition = killed::partition();
    fill(dir.path(), &partition).await.close().await.unwrap();
    let stale = folder(dir.path()).open(&partition).await.unwrap();
    let owner = folder(dir.path()).open(&partition).await.unwrap();
    for file in files(dir.path(), &partition, "compacted") {
        std::fs::remove_file(file).unwrap();
    }
    let key = 0_u32.to_be_bytes().to_vec();
    assert!(matches!(stale.get(std::slice::from_ref(&key)).await, Err(SinkError::Fenced)));
    assert!(matches!(stale.scan(b"").await, Err(SinkError::Fenced)));
    assert!(matches!(owner.get(&[key]).await, Err(SinkError::Fatal(_))));
    assert!(matches!(owner.scan(b"").await, Err(SinkError::Fatal(_))));
}

fn files(dir: &Path, partition: &Partition, kind: &str) -> Vec<PathBuf> {
    let dir = dir.join(format!("state/inventory/1/{partition}")).join(kind);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && path.metadata().unwrap().len() > 0);
    files.sort();
    files
}

async fn read_everything(dir: &Path) -> Result<usize, SinkError> {
    let lane: Arc<dyn PartitionState> =
        folder(dir).open(&Partition::new("shop.products", 0)).await?;
    let found = lane.scan(b"").await?.len();
    let keys: Vec<Vec<u8>> = (0..2_000_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    lane.get(&keys).await?;
    Ok(found)
}

/// 2,000 rows, most of them in tables, the last in the log.
async fn fill(dir: &Path, partition: &Partition) -> Arc<dyn PartitionState> {
    let store = object_store::local::LocalFileSystem::new_with_prefix(dir).unwrap();
    let settings = Settings { table_bytes: 64 << 10, ..Settings::default() };
    let state = SlateDb::with_settings(Arc::new(store), "", 1, "inventory", settings);
    let lane = state.open(partition).await.unwrap();
    for n in 0..20_u32 {
        let rows = (0..100)
            .map(|row| ((n * 100 + row).to_be_bytes().to_vec(), Some(vec![7; 100])))
            .collect();
        let checkpoint = Checkpoint { next: i64::from(n) + 1, ..Checkpoint::default() };
        let batch =
            Batch::new(partition.clone(), 'p', i64::from(n), vec![], rows, checkpoint, [].into());
        lane.commit(&batch).await.unwrap();
    }
    lane
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_an_error_that_names_the_place_and_what_to_do() {
    for (kind, whole) in [
        ("wal", false),
        ("compacted", false),
        ("compacted", true),
        ("wal", true),
        ("manifest", true),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), &killed::partition()).await.close().await.unwrap();
        let damaged = files(dir.path(), &killed::partition(), kind);
        assert!(!damaged.is_empty(), "nothing to damage in {kind}");
        for file in damaged {
            let mut bytes = std::fs::read(&file).unwrap();
            if whole {
                bytes.fill(0x5a);
            } else {
                bytes[20] ^= 0x10;
            }
            std::fs::write(&file, bytes).unwrap();
        }
        match read_everything(dir.path()).await {
            Err(SinkError::Fatal(cause)) => {
                let text = format!("{cause:#}");
                assert!(text.contains("state/inventory/1/shop.products/0"), "{kind}: {text}");
                assert!(text.contains("GENERATION"), "{kind}: {text}");
            }
            Err(other) => panic!("{kind}: expected Fatal, got {other}"),
            Ok(rows) => panic!("{kind}: the damage was not noticed, {rows} rows"),
        }
    }
}
