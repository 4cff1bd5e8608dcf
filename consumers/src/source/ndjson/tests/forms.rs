//! What other programs write is read, and what is no file of records is called what it is.
use super::*;

const VALUE: &str = r#"{"before":null,"after":{"id":7},"source":{"name":"db","schema":"public","table":"products","ts_ms":5},"op":"c"}"#;
const TOPIC: &str = "db.public.products";

fn opened(name: &str, bytes: &[u8]) -> anyhow::Result<Ndjson> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    // The source keeps the file open.
    Ndjson::open(path.to_str().expect("UTF-8"), |_| true)
}
fn all(name: &str, bytes: &[u8]) -> Vec<Got> {
    read_all(&mut opened(name, bytes).unwrap_or_else(|e| panic!("{name}: {e:#}")))
}
fn error(name: &str, bytes: &[u8]) -> String {
    format!("{:#}", opened(name, bytes).err().expect("refused"))
}
fn text(bytes: Option<&Vec<u8>>) -> Option<&str> {
    bytes.map(|bytes| std::str::from_utf8(bytes).expect("UTF-8"))
}

#[test]
fn kcat_is_read() {
    let payload = serde_json::Value::from(VALUE).to_string();
    let lines = [
        format!(
            r#"{{"topic":"t","partition":0,"offset":3,"tstype":"create","ts":17,"broker":1,"headers":["a","1","b",null,"a","2"],"key":"7","payload":{payload}}}"#
        ),
        r#"{"topic":"t","partition":0,"offset":4,"tstype":"create","ts":18,"key":null,"payload":null}"#.to_owned(),
    ];
    let got = all("kcat", lines.join("\n").as_bytes());
    let [change, tombstone] = &got[..] else { panic!("two records") };
    assert_eq!((change.offset, change.timestamp_ms), (3, 17));
    assert_eq!((text(change.key.as_ref()), text(change.value.as_ref())), (Some("7"), Some(VALUE)));
    let header = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|v| v.into()));
    assert_eq!(change.headers, [header("a", Some("1")), header("b", None), header("a", Some("2"))]);
    assert_eq!((&tombstone.key, &tombstone.value, tombstone.timestamp_ms), (&None, &None, 18));
}

#[test]
fn what_can_mean_one_thing_only_is_read() {
    let line = r#"{"topic":"t","partition":"0","offset":"12","timestamp":"2026-11-29T10:00:00+01:00","key":{ "id": 7 },"value":{"name": "a \" b" , "n":1.50},"headers":null}"#;
    let got = all("x.ndjson", line.as_bytes());
    assert_eq!((got[0].offset, got[0].timestamp_ms), (12, 1_795_942_800_000));
    assert_eq!(text(got[0].key.as_ref()), Some(r#"{"id":7}"#), "as Debezium writes it");
    assert_eq!(text(got[0].value.as_ref()), Some(r#"{"name":"a \" b","n":1.50}"#), "every digit");
}

#[test]
fn the_console_consumer_is_read_and_the_change_says_the_topic() {
    let values = format!("{VALUE}\nnull\n\n{VALUE}\n");
    let got = all("values", values.as_bytes());
    let of = |got: &[Got]| {
        got.iter().map(|g| (g.at.clone(), g.offset, g.timestamp_ms)).collect::<Vec<_>>()
    };
    let place = format!("{TOPIC}/0");
    assert_eq!(of(&got), [(place.clone(), 0, 5), (place.clone(), 1, -1), (place.clone(), 3, 5)]);
    assert_eq!(
        (text(got[0].value.as_ref()), &got[1].value, &got[0].key),
        (Some(VALUE), &None, &None)
    );
    let keyed = format!("{{\"id\":7}}\t{VALUE}\r\n{{\"id\":7}}\tnull\r\n");
    let got = all("keyed", keyed.as_bytes());
    assert_eq!(of(&got), [(place.clone(), 0, 5), (place, 1, -1)]);
    assert_eq!(text(got[1].key.as_ref()), Some(r#"{"id":7}"#));
    assert_eq!((text(got[0].value.as_ref()), &got[1].value), (Some(VALUE), &None));
    // Keys 1 and 3 lie in partitions 0 and 1 of two.
    let printed = format!(
        "CreateTime:17\tPartition:1\tOffset:9\t{{\"id\":3}}\t{VALUE}\nCreateTime:18\tPartition:0\tOffset:4\t{{\"id\":1}}\t{VALUE}"
    );
    let mut source = opened("printed", printed.as_bytes()).expect("read");
    let got = read_all(&mut source);
    assert_eq!(of(&got), [(format!("{TOPIC}/1"), 9, 17), (format!("{TOPIC}/0"), 4, 18)]);
    assert_eq!(source.probe().shown(TOPIC).expect("shown").counts[0], 2);
}

#[test]
fn lines_without_a_topic_go_to_the_topic_that_is_set_for_their_table() {
    let folder = folder(&[("a.jsonl", VALUE)]);
    let topics = vec!["eu.shop.products".to_owned()];
    let rules = Rules { topics: topics.clone(), ..Rules::default() };
    let path = folder.path().to_str().expect("UTF-8");
    let mut source =
        Ndjson::open_by(&rules, path, |topic| topics.iter().any(|t| t == topic)).expect("read");
    assert_eq!(read_all(&mut source)[0].at, "eu.shop.products/0");
    let mut source = Ndjson::open(path, |topic| topic == "another").expect("read");
    assert!(read_all(&mut source).is_empty());
    assert_eq!(source.skipped(), &BTreeMap::from([(TOPIC.to_owned(), 1)]));
}

#[test]
fn lines_without_a_topic_must_all_be_of_one_and_in_one_file() {
    let other = VALUE.replace("products", "orders");
    let why = error("two", format!("{VALUE}\n{other}").as_bytes());
    assert!(
        why.contains("line 2") && why.contains("db.public.orders") && why.contains("line 1"),
        "{why}"
    );
    let why = error("none", b"{\"id\":7}\t{\"id\":7,\"name\":\"secret\"}");
    assert!(why.contains("without their topic") && !why.contains("secret"), "{why}");
    let record = format!(r#"{{"topic":"{TOPIC}","partition":0,"offset":9,"value":null}}"#);
    for second in [VALUE, &record] {
        let folder = folder(&[("a.ndjson", VALUE), ("b.ndjson", second)]);
        let why = format!("{:#}", open(&folder, |_| true).err().expect("refused"));
        assert!(why.contains("more than one file"), "{why}");
    }
    let why = error("mixed", format!("{VALUE}\nwords").as_bytes());
    assert!(why.contains("line 2: the line is not one JSON value"), "{why}");
    let why = error("mixed", format!("7\t{VALUE}\nwords").as_bytes());
    assert!(why.contains("line 2: not key and value"), "{why}");
}

#[test]
fn what_a_file_begins_with_counts_and_not_its_name() {
    let one = line("t", 0, 4, 0);
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(one.as_bytes()).expect("packed");
    let gz = gz.finish().expect("packed");
    let zst = zstd::encode_all(one.as_bytes(), 1).expect("packed");
    let bom = ["\u{feff}", &one].concat();
    for (name, bytes) in [
        ("gzip.ndjson", &gz[..]),
        ("plain.ndjson.gz", one.as_bytes()),
        ("zstd.ndjson", &zst),
        ("bom.ndjson", bom.as_bytes()),
    ] {
        assert_eq!(all(name, bytes)[0].offset, 4, "{name}");
    }
    let wide: Vec<u8> = one.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = one.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for (name, bytes, says) in [
        ("UTF-16 with its mark", [&[0xff, 0xfe][..], &wide].concat(), "iconv -f UTF-16 "),
        ("UTF-16", wide, "iconv -f UTF-16LE"),
        ("UTF-16, big end first", big, "iconv -f UTF-16BE"),
        ("bzip2", b"BZh91AY".to_vec(), "bzip2 -dc"),
        ("Parquet", b"PAR1....".to_vec(), "Parquet"),
        ("an image", b"\x89PNG\r\n\x1a\n\0\0\0\r".to_vec(), "binary"),
        ("cut gzip", gz[..gz.len() - 9].to_vec(), "it was cut"),
        ("cut zstd", zst[..zst.len() - 3].to_vec(), "it was cut"),
    ] {
        let why = error(name, &bytes);
        assert!(why.contains(says) && why.contains(name), "{name}: {why}");
    }
}

#[test]
fn lists_pretty_records_and_cut_files_are_called_so() {
    let one = line("t", 0, 4, 0);
    let pretty = serde_json::to_string_pretty(
        &serde_json::from_str::<serde_json::Value>(&one).expect("JSON"),
    );
    let pretty = pretty.expect("JSON");
    for (what, text, says) in [
        ("a list", format!("[{one},{one}]"), "line 1: the file is one JSON list"),
        ("a list of lines", format!("[\n{one},\n{one}\n]"), "jq -c '.[]'"),
        ("pretty", pretty.clone(), "jq -c ."),
        (
            "pretty, later",
            format!("{one}\n{pretty}\n{pretty}"),
            "line 2: a record goes on over several lines",
        ),
        ("cut", format!("{one}\n{}", &one[..30]), "line 2: the file ends in the middle"),
        (
            "cut value",
            format!("{VALUE}\n{}\n", &VALUE[..30]),
            "line 2: the file ends in the middle",
        ),
        ("two in a line", format!("{one}{one}"), "not one JSON object"),
    ] {
        let why = error(what, text.as_bytes());
        assert!(why.contains(says), "{what}: {why}");
    }
}

#[test]
fn a_folder_is_read_by_its_endings() {
    let two = [line("t", 0, 1, 0), line("t", 0, 2, 0), line("t", 0, 3, 0)];
    let folder = folder(&[
        ("a.jsonl", &two[0]),
        ("b.ndjson", &two[1]),
        ("c.jsonl.gz", &two[2]),
        ("d.json", "?"),
    ]);
    let got = read_all(&mut open(&folder, |_| true).expect("read"));
    assert_eq!(got.iter().map(|g| g.offset).collect::<Vec<_>>(), [1, 2, 3]);
}
