use super::*;
use flate2::{Compression, write::GzEncoder};
use sinks::state::Basis;
use std::io::Write as _;

/// What other programs write, and what is no file of records.
mod forms;

struct Got {
    at: String,
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn poll(source: &mut Ndjson, assigned: &mut Vec<Partition>) -> (Flow, Vec<Got>) {
    let mut got = Vec::new();
    let flow = source.poll(Duration::ZERO, &mut |signal| match signal {
        Signal::Assigned(p) => assigned.push(p),
        Signal::Record(r) => got.push(Got {
            at: r.partition.to_string(),
            offset: r.offset,
            timestamp_ms: r.timestamp_ms,
            key: r.key.map(<[u8]>::to_vec),
            value: r.value.map(<[u8]>::to_vec),
            headers: r.headers.0.list(),
        }),
        _ => panic!("neither revoked nor broken"),
    });
    (flow.expect("readable"), got)
}

/// Everything from the start, in the order of delivery.
fn read_all(source: &mut Ndjson) -> Vec<Got> {
    let mut assigned = Vec::new();
    poll(source, &mut assigned);
    for partition in &assigned {
        source.seek(partition, 0).expect("seek");
        source.resume(partition).expect("resume");
    }
    let mut all = Vec::new();
    loop {
        let (flow, got) = poll(source, &mut Vec::new());
        all.extend(got);
        if flow == Flow::End {
            return all;
        }
    }
}

fn line(topic: &str, partition: i32, offset: i64, timestamp: i64) -> String {
    format!(
        r#"{{"topic":"{topic}","partition":{partition},"offset":{offset},"timestamp":{timestamp},"key":null,"value":"v","headers":{{}}}}"#
    )
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        if name.ends_with(".gz") {
            let mut gz = GzEncoder::new(File::create(path).expect("a file"), Compression::fast());
            gz.write_all(text.as_bytes()).expect("written");
            gz.finish().expect("written");
        } else {
            std::fs::write(path, text).expect("written");
        }
    }
    folder
}

fn open(folder: &tempfile::TempDir, reads: impl Fn(&str) -> bool) -> anyhow::Result<Ndjson> {
    Ndjson::open(folder.path().to_str().expect("UTF-8"), reads)
}

#[test]
fn files_are_interleaved_by_time_and_partitions_keep_their_order() {
    let a = [line("t.a", 0, 5, 10), line("t.a", 0, 7, 30), line("t.a", 2, 0, 20)].join("\n");
    let b = [line("t.b", 0, 0, 15), String::new(), line("t.b", 0, 1, 5)].join("\n") + "\n";
    let other = line("t.other", 0, 0, 1);
    let folder =
        folder(&[("a.ndjson", &a), ("b.ndjson.gz", &b), ("c.ndjson", &other), ("d.txt", "?")]);
    let mut source = open(&folder, |topic| topic != "t.other").expect("opens");
    assert_eq!(source.skipped(), &BTreeMap::from([("t.other".to_owned(), 1)]));
    let order: Vec<_> =
        read_all(&mut source).iter().map(|g| format!("{}@{}", g.at, g.offset)).collect();
    assert_eq!(order, ["t.a/0@5", "t.b/0@0", "t.b/0@1", "t.a/2@0", "t.a/0@7"]);
    let probe = source.probe();
    let bounds = |topic, index| probe.bounds(&Partition::new(topic, index)).ok();
    assert_eq!(bounds("t.a", 0), Some(Bounds { begin: 5, end: 8, partitions: 3 }));
    assert_eq!(bounds("t.b", 0), Some(Bounds { begin: 0, end: 2, partitions: 1 }));
    assert_eq!(bounds("t.a", 1), None);
    let at = |ms| probe.offset_at(&Partition::new("t.a", 0), ms).expect("known");
    assert_eq!([at(0), at(10), at(11), at(30), at(31)], [Some(5), Some(5), Some(7), Some(7), None]);
    let shown = probe.shown("t.a").expect("files only show it");
    assert_eq!((shown.basis, &shown.counts[..2]), (Basis::Keys, &[3, 4][..]));
    assert_eq!(shown.spans, BTreeMap::from([(0, (5, 8)), (2, (0, 1))]));
}

#[test]
fn nothing_comes_before_a_seek_or_while_paused_and_a_seek_goes_back() {
    let text: Vec<String> = (0..3_000).map(|n| line("t", 0, n * 2, n)).collect();
    let folder = folder(&[("t.ndjson", &text.join("\n"))]);
    let mut source = open(&folder, |_| true).expect("opens");
    let partition = Partition::new("t", 0);
    let mut assigned = Vec::new();
    assert!(poll(&mut source, &mut assigned).1.is_empty());
    assert_eq!(assigned, std::slice::from_ref(&partition));
    source.resume(&partition).expect("resume");
    let (flow, got) = poll(&mut source, &mut assigned);
    assert!(got.is_empty() && flow == Flow::Idle, "not positioned yet");
    source.seek(&partition, 999).expect("seek");
    let (flow, got) = poll(&mut source, &mut assigned);
    assert_eq!((flow, got[0].offset, got.len()), (Flow::More, 1_000, RECORDS_MAX));
    source.pause(&partition).expect("pause");
    let (flow, got) = poll(&mut source, &mut assigned);
    assert!(got.is_empty() && flow == Flow::Idle);
    source.resume(&partition).expect("resume");
    assert_eq!(poll(&mut source, &mut assigned).1[0].offset, 1_000 + 2 * RECORDS_MAX as i64);
    while poll(&mut source, &mut assigned).0 != Flow::End {}
    source.seek(&partition, 5_998).expect("seek");
    let (flow, got) = poll(&mut source, &mut assigned);
    assert_eq!((flow, got.len(), got[0].offset), (Flow::More, 1, 5_998));
    assert_eq!(poll(&mut source, &mut assigned).0, Flow::End);
    assert_eq!(assigned.len(), 1);
}

#[test]
fn values_keys_and_headers_come_as_they_were() {
    let text = [
        r#"{"topic":"t","partition":0,"offset":0,"timestamp":1,"key":"{\"id\":1}","value":null,"headers":{"b":"2","a":null,"b":"3"}}"#,
        r#"{"topic":"t","partition":0,"offset":1,"key_base64":"/wA=","value_base64":"gIE="}"#,
        r#"{"topic":"t","partition":0,"offset":2,"timestamp":null,"key":null,"value":"\u00e9\ud83d\ude00","headers":null}"#,
    ];
    let folder = folder(&[("t.ndjson", &text.join("\r\n"))]);
    let all = read_all(&mut open(&folder, |_| true).expect("opens"));
    let [tombstone, bytes, text] = &all[..] else { panic!("three records") };
    assert_eq!(tombstone.key.as_deref(), Some(&b"{\"id\":1}"[..]));
    assert_eq!((&tombstone.value, tombstone.timestamp_ms), (&None, 1));
    let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|v| v.into()));
    let headers = [header("b", Some("2")), header("a", None), header("b", Some("3"))];
    assert_eq!(tombstone.headers, headers);
    assert_eq!(bytes.key.as_deref(), Some(&[255, 0][..]));
    assert_eq!(bytes.value.as_deref(), Some(&[0x80, 0x81][..]));
    assert_eq!(bytes.timestamp_ms, -1);
    assert_eq!((&text.key, text.value.as_deref()), (&None, Some("é😀".as_bytes())));
}

#[test]
fn a_line_that_is_no_record_names_its_file_and_line_but_no_value() {
    let wrong = [
        (
            r#"{"topic":"t","partition":0,"offset":1,"value":"secret""#,
            "ends in the middle of this line",
        ),
        ("secret", "not one JSON object"),
        (
            r#"{"topic":"t","partition":0,"offset":"secret","value":null}"#,
            "`offset` is a text, and must be a whole number",
        ),
        (
            r#"{"topic":"t","partition":0,"offset":1.5,"value":null}"#,
            "`offset` is a number with a fraction",
        ),
        (
            r#"{"topic":"t","partition":99999999999,"offset":1,"value":null}"#,
            "`partition` is a number",
        ),
        (r#"{"topic":"t","offset":1,"value":null}"#, "there is no `partition`"),
        (r#"{"topic":["secret"],"partition":0,"offset":1,"value":null}"#, "`topic` is a list"),
        (
            r#"{"topic":"t","partition":0,"offset":1,"timestamp":"secret","value":null}"#,
            "`timestamp` is a text that is neither a number nor a time",
        ),
        (
            r#"{"topic":"t","partition":0,"offset":1,"timestamp":1.5,"value":null}"#,
            "`timestamp` is a number with a fraction or an exponent, and must be ms since 1970",
        ),
        (
            r#"{"topic":"t","partition":0,"offset":1,"value":null,"headers":{"retries":3}}"#,
            "`headers.retries` is a number, and must be text or null",
        ),
        (
            r#"{"topic":"t","partition":0,"offset":1,"value":null,"headers":["secret"]}"#,
            "names and values in turn",
        ),
        (r#"{"topic":"t","partition":0,"offset":1,"value":["secret"]}"#, "`value` is a list"),
        (r#"{"topic":"t","partition":0,"offset":1,"key":true,"value":null}"#, "`key` is a boolean"),
        (r#"{"topic":"t","partition":0,"offset":1,"value":"\udc00"}"#, "half a surrogate pair"),
        (
            r#"{"topic":"t","partition":0,"offset":1,"offset":2,"value":null}"#,
            "`offset` occurs twice",
        ),
        (r#"{"topic":"t","partition":0,"offset":1,"values":"secret"}"#, "neither `value`"),
        (r#"{"topic":"t","partition":0,"offset":-1,"value":null}"#, "negative"),
        (
            r#"{"topic":"t","partition":0,"offset":1,"value":"secret","value_base64":""}"#,
            "exclude each other",
        ),
        (r#"{"topic":"t","partition":0,"offset":1,"value_base64":"secret!"}"#, "not base64"),
        (r#"{"before":null,"after":{"id":"secret"},"op":"c"}"#, "there is no `topic`"),
    ];
    for (text, why) in wrong {
        let text = [line("t", 0, 0, 0), String::new(), text.to_owned()].join("\n");
        let folder = folder(&[("shop.ndjson", &text)]);
        let error = format!("{:#}", open(&folder, |_| true).err().expect("refused"));
        assert!(error.contains("shop.ndjson, line 3") && error.contains(why), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn what_is_missing_or_twice_is_refused() {
    let error = |opened: anyhow::Result<Ndjson>| format!("{:#}", opened.err().expect("refused"));
    assert!(error(Ndjson::open("/nowhere/at.ndjson", |_| true)).contains("/nowhere/at.ndjson"));
    let other = error(open(&folder(&[("a.txt", "")]), |_| true));
    assert!(other.contains("but a.txt"), "{other}");
    assert!(error(open(&folder(&[("a.txt", "")]), |_| true)).contains("holds no *.ndjson"));
    let one = line("t", 0, 4, 0);
    let twice = folder(&[("a.ndjson", &one), ("b.ndjson", &one)]);
    assert!(error(open(&twice, |_| true)).contains("t/0: offset 4 occurs twice"));
    // Of a topic that nobody reads here, it does not matter.
    assert!(open(&twice, |_| false).is_ok());
    // Files cut in two are one log.
    let halves = folder(&[("1.ndjson", &line("t", 0, 9, 0)), ("2.ndjson", &line("t", 0, 8, 1))]);
    let all = read_all(&mut open(&halves, |_| true).expect("opens"));
    assert_eq!(all.iter().map(|g| g.offset).collect::<Vec<_>>(), [8, 9]);
}

#[test]
fn a_file_cut_short_while_it_is_read_is_an_error_not_a_panic() {
    let text: Vec<String> = (0..10).map(|n| line("t", 0, n, n)).collect();
    let folder = folder(&[("t.ndjson", &text.join("\n"))]);
    let mut source = open(&folder, |_| true).expect("opens");
    let partition = Partition::new("t", 0);
    poll(&mut source, &mut Vec::new());
    std::fs::write(folder.path().join("t.ndjson"), "{}").expect("written");
    source.seek(&partition, 0).expect("seek");
    source.resume(&partition).expect("resume");
    let error = source.poll(Duration::ZERO, &mut |_| ()).expect_err("changed");
    assert!(format!("{error:#}").contains("changed while it was read"));
}

#[test]
fn no_record_of_a_topic_read_here_is_an_end() {
    let folder = folder(&[("t.ndjson", &line("t", 0, 0, 0))]);
    assert!(read_all(&mut open(&folder, |_| false).expect("opens")).is_empty());
}

#[test]
fn the_probe_reads_a_part_of_the_log_and_disturbs_nobody() {
    let lines: Vec<String> = [3, 4, 7, 9].iter().map(|n| line("t", 0, *n, *n)).collect();
    let folder = folder(&[("a.ndjson", &lines.join("\n")), ("b.ndjson.gz", &line("t", 1, 0, 0))]);
    let path = folder.path().display().to_string();
    let mut source = Ndjson::open(&path, |_| true).expect("readable");
    let probe = source.probe();
    let read = |from, to, most: usize| {
        let mut seen = Vec::new();
        let whole = probe.read(&Partition::new("t", 0), from, to, &mut |record| {
            assert_eq!(record.value, Some(&b"v"[..]));
            seen.push(record.offset);
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (whole.expect("readable"), seen)
    };
    assert_eq!(read(3, 9, 9), (true, vec![3, 4, 7]));
    assert_eq!(read(5, 100, 1), (true, vec![7]));
    assert_eq!(read(4, 4, 9), (true, vec![]));
    assert_eq!(read(2, 9, 9), (false, vec![]), "it does not reach back so far");
    assert_eq!(read_all(&mut source).len(), 5);
}
