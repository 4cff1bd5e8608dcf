use super::*;
use crate::source_table::SourceType;
use sinks::Partition;

fn reading_of(table: SourceTable) -> Reading {
    Reading::of(&table, &Formats::default())
}
/// Memberships of tenants.
fn composite() -> Reading {
    let table = SourceTable::new("t", 't').key("tenant", SourceType::Text);
    reading_of(table.key("code", SourceType::Text).key("n", SourceType::Decimal))
}

type List = Vec<(String, Option<Vec<u8>>)>;

fn replay(offset: i64) -> Replay {
    Replay { service: "s".into(), generation: 2, offset, clean_to: offset + 5 }
}
fn list(replay: &Replay) -> List {
    let one = |(name, value): (&str, String)| (name.to_owned(), Some(value.into_bytes()));
    replay.headers().into_iter().map(one).collect()
}

#[test]
fn headers_come_back_as_they_went() {
    let mut headers = list(&replay(7));
    headers.insert(0, ("trace".into(), None));
    assert_eq!(Replay::of(Headers(&headers)), Some(("s".into(), Ok(replay(7)))));
    assert!(Replay::of(Headers(&())).is_none());
    assert!(Replay::of(Headers(&vec![("trace".to_owned(), None)])).is_none());
    for (at, bad) in [(1, "x"), (2, "-1"), (3, ""), (3, "99999999999999999999")] {
        let mut headers = list(&replay(7));
        headers[at].1 = Some(bad.into());
        let found = Replay::of(Headers(&headers)).expect("says that it is a replay");
        assert!(found.1.is_err(), "{at} {bad}: {found:?}");
    }
}

#[test]
fn keys_are_equal_however_they_are_written() {
    let (mut decoder, reading) =
        (Decoder::default(), Reading { table: "t".into(), ..Reading::default() });
    let mut form = |key: &str| KeyForm::of(&mut decoder, "t", &reading, Some(key.as_bytes()));
    let schema = r#"{"schema":{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false,"name":"t.Key"},"payload":{"id":1}}"#;
    let one = form(r#"{"id":1}"#);
    assert!(one.is_readable());
    for same in [r#"{ "id" : 1 }"#, r#"{"\u0069d":1}"#, schema] {
        assert_eq!(form(same), one, "{same}");
    }
    for same in [r#"{"id":"1"}"#, r#"{"id":1.00}"#, r#"{"id":{"scale":0,"value":"AQ=="}}"#] {
        assert_eq!(form(same), one, "a column that was widened: {same}");
    }
    for other in [
        r#"{"id":2}"#,
        r#"{"id":"01"}"#,
        r#"{"id":1.5}"#,
        r#"{"id":1,"b":null}"#,
        r#"{"no":1}"#,
        "",
        "{",
    ] {
        assert_ne!(form(other), one, "{other}");
    }
    assert_eq!(form(r#"{"a":1,"b":"é"}"#), form(r#"{"b":"\u00e9","a":1}"#));
    assert!(!form("{").is_readable() && !form("null").is_readable());
}

struct Shown {
    checker: LogChecker,
    partition: Partition,
}
impl Shown {
    fn new() -> Self {
        let whose = Whose { service: "s".into(), generation: 2 };
        Self {
            checker: LogChecker::new("t", whose, Reading::default()),
            partition: Partition::new("t", 0),
        }
    }
    fn see(&mut self, offset: i64, key: Option<&str>, value: Option<&str>, headers: &List) {
        self.checker.see(&Record {
            partition: &self.partition,
            offset,
            timestamp_ms: 0,
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            headers: Headers(headers),
        });
    }
}
const KEY: &str = r#"{"id":1}"#;

#[test]
fn the_same_key_later_has_moved_on_and_the_first_one_counts() {
    let mut shown = Shown::new();
    shown.checker.add_candidate(Some(KEY.as_bytes()), Some(b"{"), 10, None);
    shown.checker.add_candidate(Some(br#"{"id":2}"#), Some(b"{"), 11, None);
    shown.see(10, Some(KEY), Some("{"), &vec![]);
    shown.see(12, Some(r#"{"id":3}"#), Some("{"), &vec![]);
    assert!(shown.checker.verdicts().values().all(|verdict| *verdict == Verdict::Clean));
    // What cannot be read otherwise counts too.
    shown.see(13, Some(r#"{"id": 1}"#), Some("{"), &vec![]);
    shown.see(14, Some(KEY), Some("{"), &vec![]);
    let verdicts = shown.checker.verdicts();
    assert_eq!((verdicts[&10], verdicts[&11]), (Verdict::MovedOn { at: 13 }, Verdict::Clean));
    assert!(!shown.checker.is_done());
    let truncate = r#"{"before":null,"after":null,"source":{"connector":"postgresql","ts_ms":5,"table":"t"},"op":"t","ts_ms":6}"#;
    shown.see(15, None, Some(truncate), &vec![]);
    assert_eq!(shown.checker.verdicts()[&11], Verdict::MovedOn { at: 15 });
    assert!(shown.checker.is_done());
}

/// `id` went from bigint to numeric(20,0) between the letter and the next change: with a schema, and by configuration.
#[test]
fn a_key_that_was_widened_is_the_same_key() {
    let decimal = r#"{"schema":{"type":"struct","fields":[{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"},"field":"id"}]},"payload":{"id":"AQ=="}}"#;
    let bare = r#"{"id":"AQ=="}"#;
    for (formats, key, wanted) in [
        ("", decimal, Verdict::MovedOn { at: 12 }),
        ("t.id=decimal(0)", bare, Verdict::MovedOn { at: 12 }),
        ("u.id=decimal(0)", bare, Verdict::Clean),
        ("t.id=decimal(0)", r#"{"id":"Ag=="}"#, Verdict::Clean),
    ] {
        let mut shown = Shown::new();
        let reading = Reading {
            table: "t".into(),
            formats: Formats::parse(formats).unwrap(),
            ..Reading::default()
        };
        shown.checker = LogChecker::of("t", shown.checker.whose.clone(), reading);
        shown.checker.add_candidate(Some(KEY.as_bytes()), Some(b"{"), 10, None);
        shown.see(12, Some(key), Some("{"), &vec![]);
        assert_eq!(shown.checker.verdicts()[&10], wanted, "{formats} {key}");
    }
}

const DELETE: &str = r#"{"before":{"id":1},"after":null,"source":{"connector":"postgresql","ts_ms":5,"table":"t"},"op":"d","ts_ms":6}"#;

/// Debezium writes one after every delete: a delete that was dead could never be replayed if it counted.
#[test]
fn a_tombstone_is_newer_than_what_is_no_delete_itself() {
    for is_delete in [false, true] {
        let mut shown = Shown::new();
        let value: &[u8] = if is_delete { DELETE.as_bytes() } else { b"{" };
        shown.checker.add_candidate(Some(KEY.as_bytes()), Some(value), 10, None);
        shown.see(11, Some(r#"{"id":2}"#), None, &vec![]);
        shown.see(12, Some(KEY), None, &vec![]);
        let wanted = if is_delete { Verdict::Clean } else { Verdict::MovedOn { at: 12 } };
        assert_eq!(shown.checker.verdicts()[&10], wanted, "{is_delete}");
        let delete = r#"{"before":{"id":1},"after":null,"source":{"connector":"postgresql","ts_ms":5,"table":"t"},"op":"d","ts_ms":6}"#;
        shown.see(13, Some(KEY), Some(delete), &vec![]);
        let wanted = if is_delete { Verdict::MovedOn { at: 13 } } else { wanted };
        assert_eq!(shown.checker.verdicts()[&10], wanted, "{is_delete}");
    }
    let mut shown = Shown::new();
    shown.checker.add_candidate(Some(b"Struct{id=1}"), Some(b"{"), 10, None);
    shown.see(11, Some("Struct{id=1}"), None, &vec![]);
    assert_eq!(shown.checker.verdicts()[&10], Verdict::Clean, "it names no row");
}

#[test]
fn an_earlier_replay_of_the_letter_counts_unless_it_failed_and_no_other_does() {
    for (failed_to, whose, wanted) in [
        (None, replay(10), Verdict::Replayed { at: 20 }),
        (Some(19), replay(10), Verdict::Replayed { at: 20 }),
        (Some(20), replay(10), Verdict::Clean),
        // Of another letter of the key; of another service or generation, which would block ours for good.
        (None, replay(9), Verdict::Clean),
        (None, Replay { service: "x".into(), ..replay(10) }, Verdict::Clean),
        (None, Replay { generation: 1, ..replay(10) }, Verdict::Clean),
    ] {
        let mut shown = Shown::new();
        shown.checker.add_candidate(Some(KEY.as_bytes()), Some(b"{"), 10, failed_to);
        shown.see(20, Some(KEY), Some("{"), &list(&whose));
        assert_eq!(shown.checker.verdicts()[&10], wanted, "{failed_to:?} {whose:?}");
        // Nor does a truncate that somebody sent again.
        let truncate = r#"{"before":null,"after":null,"source":{"connector":"postgresql","ts_ms":5,"table":"t"},"op":"t","ts_ms":6}"#;
        let other = Replay { service: "x".into(), ..replay(10) };
        shown.see(21, None, Some(truncate), &list(&other));
        assert_eq!(shown.checker.verdicts()[&10], wanted, "{failed_to:?} {whose:?}");
    }
}

/// Keys that were text once, with other columns beside, or none, name the row all the same: its images do.
#[test]
fn a_row_is_the_same_however_its_key_is_written() {
    let change = |op: &str, id: i64, before: &str| {
        format!(
            r#"{{"before":{before},"after":{{"id":{id}}},"source":{{"connector":"postgresql","ts_ms":5,"table":"t"}},"op":"{op}","ts_ms":6}}"#
        )
    };
    let keys = [
        Some("Struct{id=1}"),
        Some(KEY),
        Some(r#"{"id":1,"shop":7}"#),
        Some(r#"{"shop":7}"#),
        None,
    ];
    for letter in keys {
        for newer in keys {
            let mut shown = Shown::new();
            let reading = reading_of(SourceTable::new("t", 't').key("id", SourceType::Int));
            shown.checker = LogChecker::of("t", shown.checker.whose.clone(), reading);
            let value = change("u", 1, "null");
            shown.checker.add_candidate(
                letter.map(str::as_bytes),
                Some(value.as_bytes()),
                10,
                None,
            );
            let elsewhere = newer.map(|key| key.replace('1', "2"));
            shown.see(11, elsewhere.as_deref(), Some(&change("u", 2, "null")), &vec![]);
            assert_eq!(shown.checker.verdicts()[&10], Verdict::Clean, "{letter:?} {newer:?}");
            shown.see(12, newer, Some(&change("u", 1, "null")), &vec![]);
            assert_eq!(
                shown.checker.verdicts()[&10],
                Verdict::MovedOn { at: 12 },
                "{letter:?} {newer:?}"
            );
        }
    }
    let mut shown = Shown::new();
    let reading = reading_of(SourceTable::new("t", 't').key("id", SourceType::Int));
    shown.checker = LogChecker::of("t", shown.checker.whose.clone(), reading);
    shown.checker.add_candidate(
        Some(KEY.as_bytes()),
        Some(change("u", 1, "null").as_bytes()),
        10,
        None,
    );
    let moved = change("u", 2, r#"{"id":1}"#);
    shown.see(11, Some(r#"{"id":2}"#), Some(&moved), &vec![]);
    assert_eq!(
        shown.checker.verdicts()[&10],
        Verdict::MovedOn { at: 11 },
        "it has another key now"
    );
}

const TENANT: &str = "0190a5c8-7e1d-7cc3-98a1-5a0b6e1f2a3b";

#[test]
fn a_key_of_several_columns_is_equal_by_meaning() {
    let (mut decoder, reading) = (Decoder::default(), composite());
    let mut form = |key: &str| KeyForm::of(&mut decoder, "t", &reading, Some(key.as_bytes()));
    let key = |code: &str, n: &str| format!(r#"{{"tenant":"{TENANT}","code":{code},"n":{n}}}"#);
    let one = form(&key(r#""a/1""#, "1"));
    assert!(one.is_readable());
    for same in [
        key(r#""\u0061/1""#, "1"),
        key(r#""a/1""#, "1.00"),
        key(r#""a/1""#, r#""1.0""#),
        format!(r#"{{"n":1,"code":"a/1","tenant":"{TENANT}"}}"#),
        format!(r#"{{"n":1,"beside":7,"code":"a/1","tenant":"{TENANT}"}}"#),
    ] {
        assert_eq!(form(&same), one, "{same}");
    }
    for other in [
        key(r#""a""#, "1"),
        key(r#""a/1""#, "1.5"),
        key(r#""A/1""#, "1"),
        format!(r#"{{"tenant":"a/1","code":"{TENANT}","n":1}}"#),
        format!(r#"{{"tenant":"{TENANT}","code":"a/1"}}"#),
    ] {
        assert_ne!(form(&other), one, "{other}");
    }
    // Digits of a text are no number.
    let texts = [r#""1""#, r#""1.0""#, r#""01""#, r#""1e0""#, r#""+1""#];
    let forms: std::collections::BTreeSet<KeyForm> =
        texts.iter().map(|text| form(&key(text, "1"))).collect();
    assert_eq!(forms.len(), texts.len());
    let missing = form(&format!(r#"{{"tenant":"{TENANT}","code":"a/1"}}"#));
    assert!(!missing.is_readable(), "it names no row");
}

/// Whether a record of this key and row, at offset 12, is newer than the letter, or what a removal was judged by, of the
/// row `a` at offset 10.
fn is_newer(whose: Option<Whose>, key: &str, value: Option<&str>) -> bool {
    let of_letter = format!(r#"{{"tenant":"{TENANT}","code":"a","n":1}}"#);
    let check = LogCheck {
        whose,
        reading: composite(),
        key: Some(of_letter.into_bytes()),
        value: None,
        offset: 10,
        from: 11,
        to: 20,
    };
    let mut shown = Shown::new();
    shown.checker = check.checker("t");
    shown.see(12, Some(key), value, &vec![]);
    match check.verdict(&shown.checker) {
        Verdict::MovedOn { at: 12 } => true,
        Verdict::Clean => false,
        other => panic!("{other:?}"),
    }
}

/// Letters and removals alike: rows that differ in one column of the key are others.
#[test]
fn a_row_of_a_key_of_several_columns_has_moved_on_by_itself_alone() {
    let row = |code: &str| format!(r#"{{"tenant":"{TENANT}","code":"{code}","n":1}}"#);
    let turned = |code: &str| format!(r#"{{"n":"1.0","code":"{code}","tenant":"{TENANT}"}}"#);
    let partial = format!(r#"{{"tenant":"{TENANT}"}}"#);
    let change = |before: &str, after: &str| {
        format!(
            r#"{{"before":{before},"after":{after},"source":{{"connector":"postgresql","ts_ms":5,"table":"t"}},"op":"u","ts_ms":6}}"#
        )
    };
    let of_service = Some(Whose { service: "s".into(), generation: 2 });
    for whose in [None, of_service] {
        for (code, newer) in [("a", true), ("b", false)] {
            let updated = change("null", &row(code));
            for key in [row(code), turned(code), partial.clone(), "Struct{tenant=1}".to_owned()] {
                let found = is_newer(whose.clone(), &key, Some(&updated));
                assert_eq!(found, newer, "{whose:?} {key}");
            }
        }
        let moved = change(&row("a"), &row("b"));
        assert!(is_newer(whose.clone(), &row("b"), Some(&moved)), "it has another key now");
        // A delete that is looked for is said again by a tombstone, and one that names no row says nothing.
        assert!(!is_newer(whose.clone(), &turned("a"), None));
        assert!(!is_newer(whose, &partial, None));
    }
}
