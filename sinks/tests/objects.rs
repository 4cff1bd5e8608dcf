//! What every store of objects promises, against a folder and, where there is one, S3.
mod place;
use bytes::Bytes;
use place::{endpoint, places};
use proptest::prelude::*;
use sinks::{
    SinkError,
    objects::{Dir, Objects, Place, Put, S3, When, segment},
};
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

fn tag(put: Put) -> sinks::objects::Tag {
    match put {
        Put::Done(tag) => tag,
        Put::Held => panic!("the condition held against it"),
    }
}

#[tokio::test]
async fn a_put_is_there_and_conditions_are_told_apart() {
    for place in places().await {
        let (o, again) = (&place.objects, &place.again);
        assert_eq!(o.get("a/b.json").await.unwrap(), None);
        let first = tag(o.put("a/b.json", "one".into(), When::IfAbsent).await.unwrap());
        let seen = again.get("a/b.json").await.unwrap().unwrap();
        assert_eq!((seen.bytes.as_ref(), &seen.tag), (&b"one"[..], &first));

        assert_eq!(again.put("a/b.json", "two".into(), When::IfAbsent).await.unwrap(), Put::Held);
        let second =
            tag(o.put("a/b.json", "two".into(), When::IfMatch(first.clone())).await.unwrap());
        let stale = again.put("a/b.json", "three".into(), When::IfMatch(first)).await.unwrap();
        assert_eq!(stale, Put::Held);
        assert_eq!(o.get("a/b.json").await.unwrap().unwrap().bytes, "two");

        let missing = o.put("a/none.json", "x".into(), When::IfMatch(second)).await.unwrap();
        assert_eq!(missing, Put::Held);
        tag(o.put("a/b.json", "four".into(), When::Always).await.unwrap());
        assert_eq!(o.get("a/b.json").await.unwrap().unwrap().bytes, "four");
        o.delete("a/b.json").await.unwrap();
        o.delete("a/b.json").await.unwrap();
        assert_eq!(o.get("a/b.json").await.unwrap(), None);
        tag(o.put("a/b.json", "five".into(), When::IfAbsent).await.unwrap());
    }
}

/// The answer to a put was lost: it is asked for again, and told from somebody else's.
#[tokio::test]
async fn a_repeated_put_is_done_and_not_held() {
    for place in places().await {
        let o = &place.objects;
        let first = tag(o.put("n", "one".into(), When::IfAbsent).await.unwrap());
        assert_eq!(
            o.put("n", "one".into(), When::IfAbsent).await.unwrap(),
            Put::Done(first.clone())
        );
        let second = tag(o.put("n", "two".into(), When::IfMatch(first.clone())).await.unwrap());
        let repeat = o.put("n", "two".into(), When::IfMatch(first)).await.unwrap();
        assert_eq!(repeat, Put::Done(second));
    }
}

#[tokio::test]
async fn lists_by_prefix_in_byte_order() {
    for place in places().await {
        let o = &place.objects;
        for name in ["x/b/2", "x/b/10", "x/bc", "x/a", "y/b/1", "x/b/.parts/1"] {
            tag(o.put(name, "1".into(), When::IfAbsent).await.unwrap());
        }
        assert_eq!(o.list("x/b/").await.unwrap(), ["x/b/.parts/1", "x/b/10", "x/b/2"]);
        assert_eq!(o.list("x/b").await.unwrap().len(), 4);
        assert_eq!(o.list("").await.unwrap().len(), 6);
        assert!(o.list("z").await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_conditional_puts_exactly_one_wins() {
    for place in places().await {
        for round in 0..5 {
            let name = format!("race/{round}");
            let mut when = When::IfAbsent;
            for turn in 0..3 {
                let tries = (0..8).map(|who| {
                    let o = if who % 2 == 0 { &place.objects } else { &place.again };
                    let (o, name, when) = (Arc::clone(o), name.clone(), when.clone());
                    tokio::spawn(async move {
                        put_through(&*o, &name, format!("{turn}-{who}"), when).await
                    })
                });
                let mut won = Vec::new();
                for done in futures::future::join_all(tries).await {
                    if let (Put::Done(tag), text) = done.unwrap() {
                        won.push((tag, text));
                    }
                }
                assert_eq!(won.len(), 1, "round {round}, turn {turn}");
                let there = place.objects.get(&name).await.unwrap().unwrap();
                assert_eq!((&there.tag, there.bytes.as_ref()), (&won[0].0, won[0].1.as_bytes()));
                when = When::IfMatch(there.tag);
            }
        }
    }
}

/// Racing requests may be told to come again.
async fn put_through(o: &dyn Objects, name: &str, text: String, when: When) -> (Put, String) {
    loop {
        match o.put(name, Bytes::from(text.clone()), when.clone()).await {
            Ok(put) => return (put, text),
            Err(SinkError::Transient(_)) => tokio::task::yield_now().await,
            Err(e) => panic!("{e}"),
        }
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    for place in places().await {
        let o = &place.objects;
        for name in ["", "../x", "a/../../x", "/etc/x", "a//b", "a/.", "a\\b", "a\0b", "a\nb"] {
            let put = o.put(name, "x".into(), When::Always).await;
            assert!(matches!(put, Err(SinkError::Fatal(_))), "{name:?}");
            assert!(matches!(o.get(name).await, Err(SinkError::Fatal(_))), "{name:?}");
        }
    }
    let folder = place::folder().await;
    for name in [".tmp/x", ".lock"] {
        assert!(folder.objects.put(name, "x".into(), When::Always).await.is_err(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn any_text_becomes_one_segment_that_stays_inside(a in ".{0,300}", b in ".{0,300}") {
        let at = segment(&a);
        prop_assert!(!at.is_empty() && at.len() <= 200);
        prop_assert!(!at.starts_with('.') && !at.contains(['/', '\\', '\0']));
        prop_assert_eq!(a == b, at == segment(&b));
    }
}

#[test]
fn segments_of_hostile_topics() {
    let hostile =
        ["", ".", "..", "../..", "/", "a/b", "a\\b", ".tmp", "a\0", "%", "%2F", "Ä", "a b"];
    let segments: BTreeSet<String> = hostile.iter().map(|t| segment(t)).collect();
    assert_eq!(segments.len(), hostile.len());
    assert_eq!(segment("shop.public.orders-v_2"), "shop.public.orders-v_2");
    assert_eq!(segment("../x"), "%2E.%2Fx");
}

#[test]
fn places_as_operators_write_them() {
    let read = |text: &str| text.parse::<Place>().map(|place| place.to_string());
    assert_eq!(read("s3://bucket/a/b/").unwrap(), "s3://bucket/a/b");
    assert_eq!(read("s3://bucket").unwrap(), "s3://bucket");
    assert_eq!(read("dir:some/dir").unwrap(), "dir:some/dir");
    let bare: Place = "s3://bucket".parse().unwrap();
    assert_eq!(bare.or_prefix("dlq").to_string(), "s3://bucket/dlq");
    for wrong in
        ["", "dir:", "s3://", "s3://b", "s3://bucket/../x", "s3://buc ket/x", "/tmp/x", "file:x"]
    {
        let why = read(wrong).unwrap_err();
        assert!(why.contains("s3://BUCKET/PREFIX") || why.contains("prefix"), "{wrong}: {why}");
    }
}

/// A crash before the rename leaves a file that is neither listed, nor read, nor in the way.
#[tokio::test]
async fn leftovers_of_a_crash_are_ignored() {
    let root = tempfile::tempdir().unwrap();
    let o = Dir::open(root.path()).await.unwrap();
    for count in 0..3 {
        fs::write(root.path().join(format!(".tmp/{}-{count}", std::process::id())), "torn")
            .unwrap();
    }
    fs::write(root.path().join(".lock"), "").unwrap();
    tag(o.put("a", "whole".into(), When::IfAbsent).await.unwrap());
    assert_eq!(o.list("").await.unwrap(), ["a"]);
    assert_eq!(o.get("a").await.unwrap().unwrap().bytes, "whole");
    let left: Vec<_> = fs::read_dir(root.path().join(".tmp")).unwrap().collect();
    assert_eq!(left.len(), 3, "the put cleans up its own file, and only that");
}

/// Owners of one folder write at the same time: none takes another's unfinished file for its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unfinished_files_of_others_are_left_alone() {
    let place = place::folder().await;
    let owners = [&place.objects, &place.again].into_iter().enumerate().map(|(who, o)| {
        let o = Arc::clone(o);
        tokio::spawn(async move {
            for n in 0..300 {
                let (name, text) = (format!("{who}/{}", n % 3), format!("{who} {n}"));
                tag(o.put(&name, Bytes::from(text.clone()), When::Always).await.unwrap());
                assert_eq!(o.get(&name).await.unwrap().unwrap().bytes, text);
            }
        })
    });
    for done in futures::future::join_all(owners).await {
        done.unwrap();
    }
}

#[tokio::test]
async fn old_leftovers_are_swept_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join(".tmp")).unwrap();
    let (old, young) = (root.path().join(".tmp/1-1"), root.path().join(".tmp/1-2"));
    fs::write(&old, "torn").unwrap();
    fs::write(&young, "under way").unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let ago = std::time::SystemTime::now() - day;
    fs::File::options().write(true).open(&old).unwrap().set_modified(ago).unwrap();
    Dir::open(root.path()).await.unwrap();
    assert_eq!((old.exists(), young.exists()), (false, true));
}

#[tokio::test]
async fn a_dead_process_lets_go_of_the_lock() {
    let root = tempfile::tempdir().unwrap();
    let o = Dir::open(root.path()).await.unwrap();
    let lock = fs::File::create(root.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let put = tokio::spawn({
        let o = o.clone();
        async move { o.put("a", "1".into(), When::Always).await }
    });
    // IfAbsent needs no lock; when it is through, the other one has had its chance to slip past.
    tag(o.put("b", "1".into(), When::IfAbsent).await.unwrap());
    assert!(!put.is_finished() && o.get("a").await.unwrap().is_none());
    drop(lock);
    tag(put.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_leaves_nothing_torn() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().to_str().unwrap().to_owned();
    let mount = |args: &[&str]| std::process::Command::new(args[0]).args(&args[1..]).output();
    let made = mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", &at]);
    if !made.is_ok_and(|out| out.status.success()) {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: the full disk, because this user may not mount a small one\n",
        )
        .expect("stderr");
        return;
    }
    let o = Dir::open(root.path()).await.unwrap();
    tag(o.put("small", "old".into(), When::IfAbsent).await.unwrap());
    let big = Bytes::from(vec![b'x'; 1 << 20]);
    let absent = o.put("big", big.clone(), When::IfAbsent).await;
    let always = o.put("small", big, When::Always).await;
    let kept = o.get("small").await.unwrap().unwrap().bytes;
    let (names, after) =
        (o.list("").await.unwrap(), o.put("next", "1".into(), When::IfAbsent).await);
    mount(&["umount", &at]).unwrap();
    for full in [absent, always] {
        let text = full.as_ref().unwrap_err().to_string();
        assert!(
            matches!(full, Err(SinkError::Transient(_))) && text.contains("disk is full"),
            "{text}"
        );
    }
    assert_eq!((kept, names), (Bytes::from("old"), vec!["small".to_owned()]));
    tag(after.unwrap());
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_halts_with_advice() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let e = Dir::open(root.path().join("file/below")).await.unwrap_err();
    assert!(matches!(e, SinkError::Fatal(_)) && e.to_string().contains("move it away"), "{e}");
}

#[tokio::test]
async fn s3_says_what_is_wrong_with_the_bucket_or_the_network() {
    let nobody = S3::open("bucket", "", &endpoint("http://127.0.0.1:9")).await;
    let e = nobody.get("a").await.unwrap_err();
    assert!(matches!(e, SinkError::Transient(_)), "{e}");
    let Ok(url) = std::env::var("TEST_S3_ENDPOINT") else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: S3, because TEST_S3_ENDPOINT is not set\n",
        )
        .expect("stderr");
        return;
    };
    let s3 = S3::open("there-is-no-such-bucket", "p", &endpoint(&url)).await;
    for e in [
        s3.put("a", "1".into(), When::IfAbsent).await.unwrap_err(),
        s3.get("a").await.unwrap_err(),
        s3.list("").await.unwrap_err(),
    ] {
        let fatal = matches!(e, SinkError::Fatal(_));
        assert!(fatal && e.to_string().contains("there-is-no-such-bucket does not exist"), "{e}");
    }
}

/// Passes on connections; while `cut`, the answer is thrown away together with the connection.
fn proxy(upstream: String, cut: Arc<AtomicBool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) =
                (client.unwrap(), TcpStream::connect(&upstream).unwrap());
            let (mut requests, mut to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut requests, &mut to_server));
            let cut = cut.clone();
            thread::spawn(move || {
                let mut answer = [0; 65536];
                while let Ok(bytes @ 1..) = server.read(&mut answer) {
                    if cut.load(Ordering::SeqCst) || client.write_all(&answer[..bytes]).is_err() {
                        break;
                    }
                }
                // Both may be gone already.
                let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
            });
        }
    });
    format!("http://{at}")
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_recognised_as_our_own() {
    let Ok(url) = std::env::var("TEST_S3_ENDPOINT") else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: S3, because TEST_S3_ENDPOINT is not set\n",
        )
        .expect("stderr");
        return;
    };
    let bucket = format!("lost-answers-{}", std::process::id());
    place::s3_client(&url).await.create_bucket().bucket(&bucket).send().await.unwrap();
    let cut = Arc::new(AtomicBool::new(false));
    let through = proxy(url.trim_start_matches("http://").to_owned(), cut.clone());
    let s3 = S3::open(&bucket, "p", &endpoint(&through)).await;
    let other = S3::open(&bucket, "p", &endpoint(&url)).await;
    let mut when = When::IfAbsent;
    for text in ["one", "two", "three"] {
        cut.store(true, Ordering::SeqCst);
        let lost = s3.put("a", text.into(), when.clone()).await.unwrap_err();
        assert!(matches!(lost, SinkError::Transient(_)), "{lost}");
        assert_eq!(other.get("a").await.unwrap().unwrap().bytes, text, "it took effect");
        cut.store(false, Ordering::SeqCst);
        let again = tag(s3.put("a", text.into(), when.clone()).await.unwrap());
        assert_eq!(other.put("a", "foreign".into(), when).await.unwrap(), Put::Held);
        when = When::IfMatch(again);
    }
}
