//! What became of a replayed letter is a mark beside it: never another letter, never an older word over a newer one.
mod place;
use bytes::Bytes;
use place::places;
use sinks::{
    Dlq, Letter, Partition,
    dlq::{
        Index, ObjectDlq, Outcome, Reason, ReplayMark, ReplayStatus, Replayed, letter_name, list,
        mark_name, read_mark, write_mark,
    },
    objects::{Objects, When},
};

const SERVICE: &str = "inventory-service";

fn letter(offset: i64) -> Letter {
    Letter {
        partition: Partition::new("t", 3),
        offset,
        timestamp_ms: 5,
        key: Some(b"k".to_vec()),
        value: Some(b"v".to_vec()),
        headers: vec![],
        reason: Reason::Invalid,
        error: format!("offset {offset}"),
        replayed: None,
    }
}
fn replay(offset: i64, of: i64, outcome: Outcome) -> Letter {
    Letter { replayed: Some(Replayed { of, outcome }), ..letter(offset) }
}
fn name(offset: i64) -> String {
    letter_name(SERVICE, 1, &Partition::new("t", 3), offset)
}
async fn mark(objects: &dyn Objects, offset: i64) -> ReplayMark {
    read_mark(objects, &name(offset)).await.unwrap().expect("a mark")
}

#[tokio::test]
async fn a_failure_marks_its_letter_once_each() {
    for place in places().await {
        let o = &*place.objects;
        let dlq = ObjectDlq::new(place.objects.clone(), SERVICE, 1);
        dlq.publish(&[letter(8)]).await.unwrap();
        assert!(read_mark(o, &name(8)).await.unwrap().is_none(), "new");
        for _ in 0..2 {
            dlq.publish(&[replay(20, 8, Outcome::FailedAgain)]).await.unwrap();
        }
        let first = mark(o, 8).await;
        assert_eq!((first.state, first.at, first.failures), (ReplayStatus::FailedAgain, 20, 1));
        assert_eq!(first.error.as_deref(), Some("offset 20"));
        dlq.publish(&[replay(30, 8, Outcome::FailedAgain)]).await.unwrap();
        // A stale owner, late.
        dlq.publish(&[replay(20, 8, Outcome::FailedAgain)]).await.unwrap();
        let last = mark(o, 8).await;
        assert_eq!((last.at, last.failures, last.failed_at), (30, 2, Some(30)));
        dlq.publish(&[replay(40, 8, Outcome::MovedOn)]).await.unwrap();
        let moved = mark(o, 8).await;
        assert_eq!((moved.state, moved.at, moved.failures), (ReplayStatus::MovedOn, 40, 2));
        assert_eq!(list(o, "").await.unwrap(), [name(8)], "one letter, and no other");
    }
}

#[tokio::test]
async fn without_its_letter_a_failed_replay_is_a_letter() {
    for place in places().await {
        let dlq = ObjectDlq::new(place.objects.clone(), SERVICE, 1);
        for _ in 0..2 {
            dlq.publish(&[replay(20, 8, Outcome::FailedAgain)]).await.unwrap();
        }
        assert_eq!(list(&*place.objects, "").await.unwrap(), [name(20)]);
    }
}

#[tokio::test]
async fn marks_are_replaced_by_who_saw_them() {
    for place in places().await {
        let o = &*place.objects;
        let sent = |known: Option<&ReplayMark>| {
            known.is_none().then(|| ReplayMark::next(known, ReplayStatus::Sent, 9))
        };
        let first = write_mark(o, &name(8), sent).await.unwrap();
        assert_eq!(first.as_ref().map(|m| m.state), Some(ReplayStatus::Sent));
        assert_eq!(write_mark(o, &name(8), sent).await.unwrap(), first, "stays");
        let applied =
            |known: Option<&ReplayMark>| Some(ReplayMark::next(known, ReplayStatus::Applied, 9));
        write_mark(o, &name(8), applied).await.unwrap();
        assert_eq!(mark(o, 8).await.state, ReplayStatus::Applied);
        // What cannot be read is no word at all.
        let mess = Bytes::from("{");
        let _ = o.put(&mark_name(&name(8)), mess, When::Always).await.unwrap();
        assert!(read_mark(o, &name(8)).await.unwrap().is_none());
        write_mark(o, &name(8), sent).await.unwrap();
        assert_eq!(mark(o, 8).await.state, ReplayStatus::Sent);
    }
}

#[tokio::test]
async fn the_index_is_in_the_order_of_the_records_and_knows_marks() {
    for place in places().await {
        let o = &*place.objects;
        let names = [
            "a/t/2/9.json",
            "a/t/2/10.json",
            "a/t/2/10.g2.json",
            "a/t/10/1.json",
            "a/u/0/3.json",
            "b/t/0/1.json",
        ];
        for name in names.iter().rev().chain(&["a/t/2/10.mark.json", "a/t/2/11.mark.json"]) {
            let _ = o.put(name, Bytes::from("{}"), When::IfAbsent).await.unwrap();
        }
        let index = Index::read(o, "").await.unwrap();
        let found: Vec<(String, bool)> = (0..index.len()).filter_map(|at| index.get(at)).collect();
        let wanted = [
            ("a/t/2/9.json", false),
            ("a/t/2/10.json", true),
            ("a/t/2/10.g2.json", false),
            ("a/t/10/1.json", false),
            ("a/u/0/3.json", false),
            ("b/t/0/1.json", false),
        ];
        assert_eq!(found, wanted.map(|(name, marked)| (name.to_owned(), marked)));
        assert_eq!(Index::read(o, "b/").await.unwrap().len(), 1);
        assert!(index.get(index.len()).is_none() && !index.is_empty());
    }
}
