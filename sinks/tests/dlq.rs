//! Dead letters come back as they went in, whatever is in them, and are never lost to a name that is taken.
mod place;
use bytes::Bytes;
use place::{folder, places};
use proptest::prelude::*;
use sinks::{
    Dlq, Letter, Partition,
    dlq::{ObjectDlq, Reason, list, read_letter},
    objects::{Objects, When},
};
use std::sync::Arc;

fn letter(topic: &str, offset: i64) -> Letter {
    Letter {
        partition: Partition::new(topic, 3),
        offset,
        timestamp_ms: 1_700_000_000_000,
        key: Some(b"{\"id\":7}".to_vec()),
        value: Some(vec![0, 0xff, b'{', 0x80]),
        headers: vec![("h".into(), Some(vec![0xfe])), ("h".into(), None)],
        reason: Reason::Invalid,
        error: format!("{topic}/3/{offset}: field total: not a number"),
        replayed: None,
    }
}

#[tokio::test]
async fn a_letter_is_found_under_its_name_and_once_only() {
    for place in places().await {
        let (o, dlq) =
            (&*place.objects, ObjectDlq::new(place.objects.clone(), "analytics-service", 1));
        let letters: Vec<Letter> =
            (8..40).map(|offset| letter("shop.public.orders", offset)).collect();
        dlq.publish(&letters).await.unwrap();
        let first = o.get("analytics-service/shop.public.orders/3/8.json").await.unwrap().unwrap();
        // Again, with another word on it, from another process: the one that is there stays.
        let mut again = letters.clone();
        again[0].error = "another text".into();
        ObjectDlq::new(place.again.clone(), "analytics-service", 1).publish(&again).await.unwrap();
        let names = list(o, "analytics-service/").await.unwrap();
        assert_eq!(names.len(), letters.len());
        for (name, letter) in names.iter().zip(&letters) {
            let found = read_letter(o, name).await.unwrap().unwrap();
            assert_eq!((&found.letter, found.generation), (letter, 1), "in the order of offsets");
            assert_eq!(found.service, "analytics-service");
        }
        assert_eq!(o.get(&names[0]).await.unwrap().unwrap(), first);
        assert!(read_letter(o, "analytics-service/none.json").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn the_stored_form_is_what_it_says() {
    let place = folder().await;
    let dlq = ObjectDlq::new(place.objects.clone(), "s", 2);
    dlq.publish(&[letter("t", 8)]).await.unwrap();
    let stored = place.objects.get("s/t/3/8.g2.json").await.unwrap().unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&stored.bytes).unwrap();
    let time = json.as_object_mut().unwrap().remove("time").unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(time.as_str().unwrap()).is_ok());
    let wanted = serde_json::json!({
        "service": "s", "generation": 2, "topic": "t", "partition": 3, "offset": 8,
        "timestamp_ms": 1_700_000_000_000_i64, "reason": "invalid",
        "error": "t/3/8: field total: not a number",
        "key_base64": "eyJpZCI6N30=", "value_base64": "AP97gA==",
        "headers": [{"name": "h", "value_base64": "/g=="}, {"name": "h", "value_base64": null}],
    });
    assert_eq!(json, wanted);
}

#[tokio::test]
async fn another_record_under_the_same_name_is_kept_beside_it() {
    for place in places().await {
        let dlq = ObjectDlq::new(place.objects.clone(), "s", 1);
        let (one, mut two) = (letter("t", 8), letter("t", 8));
        two.value = None;
        for _ in 0..2 {
            dlq.publish(std::slice::from_ref(&one)).await.unwrap();
            dlq.publish(std::slice::from_ref(&two)).await.unwrap();
        }
        let names = list(&*place.objects, "s/t/").await.unwrap();
        assert_eq!(names.len(), 2);
        let mut found = Vec::new();
        for name in &names {
            found.push(read_letter(&*place.objects, name).await.unwrap().unwrap().letter);
        }
        assert!(found.contains(&one) && found.contains(&two));
        // A torn or foreign object in the way hides nothing either.
        let mess = Bytes::from("{");
        let _ = place.objects.put("s/t/3/9.json", mess, When::IfAbsent).await.unwrap();
        dlq.publish(&[letter("t", 9)]).await.unwrap();
        assert_eq!(list(&*place.objects, "s/t/").await.unwrap().len(), 4);
        assert!(read_letter(&*place.objects, "s/t/3/9.json").await.is_err());
    }
}

#[tokio::test]
async fn generations_and_hostile_topics_do_not_hide_letters() {
    let root = tempfile::tempdir().unwrap();
    let inside = root.path().join("inside");
    let o: Arc<dyn Objects> = Arc::new(sinks::objects::Dir::open(&inside).await.unwrap());
    let topics = ["../../etc", "/abs", "..", ".", "", "a/b", ".tmp", "nul\0", &"long".repeat(200)];
    for (generation, topic) in topics.iter().flat_map(|topic| [(1, topic), (2, topic)]) {
        let dlq = ObjectDlq::new(o.clone(), "../service", generation);
        dlq.publish(&[letter(topic, 1)]).await.unwrap();
    }
    let names = list(&*o, "").await.unwrap();
    assert_eq!(names.len(), 2 * topics.len());
    for name in &names {
        let found = read_letter(&*o, name).await.unwrap().unwrap();
        assert!(topics.contains(&&*found.letter.partition.topic));
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1, "nothing beside the folder");
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..200))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn bytes_survive_exactly(
        key in bytes(), value in bytes(),
        headers in prop::collection::vec((".{0,20}", bytes()), 0..4),
        topic in ".{0,20}", partition in 0..i32::MAX, offset in 0..i64::MAX, timestamp_ms in -1..i64::MAX,
        error in ".{0,100}", reason in prop::sample::select(vec![Reason::Malformed, Reason::Invalid, Reason::Refused]),
    ) {
        let sent = Letter {
            partition: Partition::new(&topic, partition),
            offset, timestamp_ms, key, value, headers, reason, error, replayed: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let place = folder().await;
            ObjectDlq::new(place.objects.clone(), "s", 1).publish(std::slice::from_ref(&sent)).await.unwrap();
            let names = list(&*place.objects, "").await.unwrap();
            assert_eq!(names.len(), 1);
            read_letter(&*place.objects, &names[0]).await.unwrap().unwrap()
        });
        prop_assert_eq!(found.letter, sent);
    }
}
