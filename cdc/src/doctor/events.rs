//! What the newest records of a topic look like, and what the services would make of them. Names fields, never values.
use super::{report::Check, topic::AREA as KAFKA};
use consumers::{
    config::Config,
    engine::notices,
    handler::Handler,
    runtime::wall_ms,
    service,
    source_table::{SourceTable, SourceType},
};
use debezium::{Change, Decoder, DoubtKind, Envelope, Formats, Limits, Op, ParseError};
use serde_json::Value;
use sinks::Partition;
use std::{collections::BTreeMap, sync::Arc};

const AREA: &str = "events";
/// A producer's clock that is further ahead than this is off.
const AHEAD_MS_MAX: i64 = 5_000;

/// A record, owned.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub partition: Partition,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}
impl Seen {
    fn place(&self) -> String {
        format!("{} offset {}", self.partition, self.offset)
    }
}

/// What the service's handler makes of a change: whether it is one of its own, or why it would be a dead letter.
type Read = Box<dyn Fn(&Change<'_>) -> Result<bool, String> + Send>;

fn reader(config: &Config) -> Read {
    let handler = service::handler(config);
    Box::new(move |change| match handler.read(change) {
        Ok(fact) => Ok(fact.is_some()),
        Err(rejected) => Err(rejected.0),
    })
}

/// As every service that reads this topic would read them.
pub(super) fn check(table: &SourceTable, seen: &[Seen], configs: &[Arc<Config>]) -> Vec<Check> {
    let label = format!("topic {}", table.topic());
    if seen.is_empty() {
        return vec![Check::ok(
            AREA,
            label,
            "holds no records yet: nothing is known of their form",
        )];
    }
    let reads =
        |config: &&Arc<Config>| config.tables.iter().any(|read| read.topic() == table.topic());
    let readers: Vec<&Arc<Config>> = configs.iter().filter(reads).collect();
    let Some(first) = readers.first() else { return Vec::new() };
    let mut checks = form(table, seen, &first.formats);
    for config in readers {
        let (service, formats) = (config.service.name(), &config.formats);
        checks.extend(letters(service, table, seen, formats, &reader(config)));
    }
    checks.extend(ahead(&label, seen, wall_ms()));
    checks
}

/// Envelope, schema, key, and how decimals and times are written.
fn form(table: &SourceTable, seen: &[Seen], formats: &Formats) -> Vec<Check> {
    let label = format!("topic {}", table.topic());
    let mut decoder = Decoder::new(formats.clone(), Limits::default());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unread: Vec<(&Seen, ParseError)> = Vec::new();
    let mut newest: Option<&Seen> = None;
    let mut doubtful = BTreeMap::new();
    for record in seen {
        let decoded = decoder.decode(table.topic(), record.key.as_deref(), record.value.as_deref());
        let kind = match decoded {
            Ok(Envelope::Change(change)) => {
                doubt(table, &change, &mut doubtful);
                if change.after.is_some()
                    && newest.is_none_or(|n| record.timestamp_ms >= n.timestamp_ms)
                {
                    newest = Some(record);
                }
                match change.op {
                    Op::Create => "created",
                    Op::Update => "updated",
                    Op::Delete => "deleted",
                    Op::Read => "snapshot",
                }
            }
            Ok(Envelope::Tombstone) => "tombstones",
            Ok(Envelope::Truncate(_)) => "truncated",
            Ok(_) => "others",
            Err(e) => {
                unread.push((record, e));
                continue;
            }
        };
        *kinds.entry(kind).or_default() += 1;
    }
    let mut checks = Vec::new();
    if !kinds.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        checks.push(Check::ok(AREA, &label, format!("newest records: {}", kinds.join(", "))));
    }
    checks.extend(unreadable(&label, &unread, seen.len()));
    if let Some(newest) = newest {
        checks.push(key(&label, table, newest));
        checks.extend(columns(&label, table, newest, formats));
    }
    for ((column, kind), _) in doubtful.into_iter().filter(|(_, is_so)| *is_so) {
        let (found, fix) = notices::said(kind);
        checks.push(Check::warning(AREA, &label, format!("{column} {found}")).fix(fix));
    }
    checks
}

/// Of the columns that are read: whether some record bears a doubt out, and none shows that there is nothing to it.
fn doubt(
    table: &SourceTable,
    change: &Change<'_>,
    so_far: &mut BTreeMap<(String, DoubtKind), bool>,
) {
    for doubt in change.doubts.list() {
        // Rounded amounts have a line of their own.
        let is_read = table.columns.iter().any(|column| column.name == doubt.column);
        if !is_read || doubt.kind == DoubtKind::Floating {
            continue;
        }
        if let Some(is_so) = change.bears_out(doubt) {
            let known = so_far.entry((doubt.column.clone(), doubt.kind)).or_insert(is_so);
            *known &= is_so;
        }
    }
}

/// The first of them stands for all.
fn unreadable(label: &str, unread: &[(&Seen, ParseError)], of: usize) -> Option<Check> {
    let (record, error) = unread.first()?;
    let fix = match error {
        ParseError::NotEnvelope | ParseError::Unwrapped => {
            "remove ExtractNewRecordState (and other transforms that unwrap) from the connector's `transforms`"
        }
        ParseError::Binary
        | ParseError::Glue
        | ParseError::StructText
        | ParseError::CloudEvents => {
            "key.converter and value.converter=org.apache.kafka.connect.json.JsonConverter in the connector"
        }
        ParseError::Json { .. } => {
            "the topic must be written by Debezium alone, with the JSON converter: see who else writes there"
        }
        _ => "see who writes this topic: a Debezium event has `op`, `source` and `after`",
    };
    let found = format!(
        "{} of {of} newest records cannot be read: {}: {error}",
        unread.len(),
        record.place()
    );
    let said = if unread.len() == of { Check::problem } else { Check::warning };
    Some(said(AREA, label, found).fix(fix))
}

/// Debezium's JSON with its schema, if it has one.
fn open(bytes: &[u8]) -> Option<(Value, Option<Value>)> {
    let mut whole: Value = serde_json::from_slice(bytes).ok()?;
    match (whole.get("schema").is_some(), whole.get_mut("payload").map(Value::take)) {
        (true, Some(payload)) => Some((payload, Some(whole["schema"].take()))),
        _ => serde_json::from_slice(bytes).ok().map(|plain| (plain, None)),
    }
}

fn key(label: &str, table: &SourceTable, record: &Seen) -> Check {
    let primary_key = format!(
        "alter table {} add primary key ({}), or message.key.columns in the connector; then a new snapshot",
        table.full_name(),
        table.key_names()
    );
    let Some(bytes) = &record.key else {
        let found = "records have no key, so the changes of a row are in no order";
        return Check::problem(AREA, label, found).fix(primary_key);
    };
    let Some((Value::Object(columns), _)) = open(bytes) else {
        let found = "the records' key is not JSON as Debezium writes it: a row is told by its own columns, a deleted one \
                     by its `before`, and another key than the primary key is not noticed";
        return Check::warning(AREA, label, found)
            .fix("key.converter=org.apache.kafka.connect.json.JsonConverter in the connector");
    };
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let found = format!("keyed by ({})", names.join(", "));
    if names.iter().eq(table.key.iter().map(|column| &column.name)) {
        return Check::ok(AREA, label, found);
    }
    let found = format!("{found}; rows are told apart by {}", table.key_names());
    Check::problem(AREA, label, found)
        .fix(format!("name the key's column (..._COLUMNS: id=YOURS), or {primary_key}"))
}

/// How the connector writes decimals and times, as this record has them.
fn columns(label: &str, table: &SourceTable, record: &Seen, formats: &Formats) -> Vec<Check> {
    let Some((payload, schema)) = record.value.as_deref().and_then(open) else { return Vec::new() };
    let fields = schema.as_ref().and_then(|schema| member(&schema["fields"], "after"));
    let (mut said, mut rounded) = (Vec::new(), Vec::new());
    for column in &table.columns {
        let name = column.name.as_str();
        let value = &payload["after"][name];
        let field = fields.and_then(|after| member(&after["fields"], name));
        let how = match column.kind {
            SourceType::Decimal => decimal(value, field),
            SourceType::Time => time(value, field),
            _ => continue,
        };
        if how == DOUBLE {
            rounded.push(name);
        }
        said.push(format!("{name} as {how}"));
    }
    let configured = formats.to_string();
    let with = match (&schema, configured.is_empty()) {
        (Some(_), _) => "with schema".to_owned(),
        (None, true) => "without schema, no COLUMN_FORMATS".to_owned(),
        (None, false) => format!("without schema, COLUMN_FORMATS={configured}"),
    };
    said.insert(0, with);
    let mut checks = vec![Check::ok(AREA, label, said.join("; "))];
    if !rounded.is_empty() {
        let found = format!("{}: amounts are rounded before they are sent", rounded.join(", "));
        checks.push(Check::warning(AREA, label, found).fix(
            "decimal.handling.mode=string (or precise, with schemas) in the connector, then a new snapshot and GENERATION",
        ));
    }
    checks
}

fn member<'a>(fields: &'a Value, name: &str) -> Option<&'a Value> {
    fields.as_array()?.iter().find(|field| field["field"] == name)
}

const DOUBLE: &str = "double";

fn decimal(value: &Value, field: Option<&Value>) -> String {
    let kind = field.and_then(|f| f["type"].as_str());
    let name = field.and_then(|f| f["name"].as_str()).unwrap_or_default();
    match (name.rsplit('.').next().unwrap_or_default(), kind, value) {
        ("Decimal", ..) => {
            let scale = field.and_then(|f| f["parameters"]["scale"].as_str()).unwrap_or("?");
            format!("bytes, scale {scale} (precise)")
        }
        ("VariableScaleDecimal", ..) => "bytes, each with its scale (precise)".to_owned(),
        (_, Some("string"), _) => "text (string)".to_owned(),
        (_, Some("double" | "float"), _) => DOUBLE.to_owned(),
        (_, Some(other), _) => other.to_owned(),
        (_, None, Value::String(text)) if text.parse::<sinks::Decimal>().is_ok() => {
            "text (string)".to_owned()
        }
        (_, None, Value::String(_)) => "bytes (precise), whose scale nothing tells".to_owned(),
        (_, None, Value::Number(n)) if n.is_f64() => DOUBLE.to_owned(),
        (_, None, Value::Number(_)) => "whole number".to_owned(),
        (_, None, Value::Object(_)) => "bytes, each with its scale (precise)".to_owned(),
        (_, None, Value::Null) => "null in this record".to_owned(),
        (_, None, _) => "something else".to_owned(),
    }
}

fn time(value: &Value, field: Option<&Value>) -> String {
    let name = field.and_then(|f| f["name"].as_str()).unwrap_or_default();
    let how = match (name.rsplit('.').next().unwrap_or_default(), value) {
        ("Timestamp", _) => "ms",
        ("MicroTimestamp", _) => "µs",
        ("NanoTimestamp", _) => "ns",
        ("ZonedTimestamp" | "IsoTimestamp", _) => "text (ISO 8601)",
        ("Date", _) => "days",
        ("", Value::Number(_)) => "a bare number",
        ("", Value::String(_)) => "text",
        ("", Value::Null) => "null in this record",
        _ => "something else",
    };
    how.to_owned()
}

/// Records that this service would put into the dead-letter queue.
fn letters(
    service: &str,
    table: &SourceTable,
    seen: &[Seen],
    formats: &Formats,
    read: &Read,
) -> Vec<Check> {
    let label = format!("topic {}", table.topic());
    let mut decoder = Decoder::new(formats.clone(), Limits::default());
    let (mut changes, mut others, mut dead) = (0, 0, Vec::new());
    for record in seen {
        let decoded = decoder.decode(table.topic(), record.key.as_deref(), record.value.as_deref());
        let Ok(Envelope::Change(change)) = decoded else { continue };
        changes += 1;
        match read(&change) {
            Ok(true) => {}
            Ok(false) => others += 1,
            Err(why) => dead.push((record, why)),
        }
    }
    let mut checks = Vec::new();
    if others > 0 {
        let found = format!(
            "{others} of {changes} changes are of another table than {}: skipped",
            table.name
        );
        checks.push(Check::warning(AREA, &label, format!("{service}: {found}")).fix(
            "correct the topic settings; of a partitioned table, publish_via_partition_root = true",
        ));
    }
    let Some((record, why)) = dead.first() else {
        if changes > 0 && others == 0 {
            checks.push(Check::ok(AREA, &label, format!("{service}: reads all of them")));
        }
        return checks;
    };
    let found = format!(
        "{service}: {} of {changes} changes would be dead letters: {}: {why}",
        dead.len(),
        record.place()
    );
    let said = if dead.len() == changes { Check::problem } else { Check::warning };
    checks.push(said(AREA, &label, found).fix(remedy(table, why)));
    checks
}

/// By the column that the sentence names.
fn remedy(table: &SourceTable, why: &str) -> String {
    let at = |column: &str| why.contains(&format!("{}.{column}:", table.name));
    let column = table.columns.iter().find(|column| at(&column.name));
    let table = &table.name;
    match column.map(|column| (&column.name, column.kind)) {
        _ if why.contains("the column is missing") => {
            "..._COLUMNS say how your columns are called (price=unit_price); column.include.list of the connector must have them".to_owned()
        }
        Some((column, SourceType::Decimal)) => format!(
            "decimal.handling.mode=string in the connector, or COLUMN_FORMATS={table}.{column}=decimal(SCALE)"
        ),
        Some((column, SourceType::Date)) => {
            format!("COLUMN_FORMATS={table}.{column}=days (or iso), or schemas.enable=true")
        }
        Some((column, SourceType::Bytes)) => format!(
            "COLUMN_FORMATS={table}.{column}=hex (or base64, base64-url-safe), as binary.handling.mode of the connector says"
        ),
        Some((column, SourceType::Time)) => {
            format!("COLUMN_FORMATS={table}.{column}=micros (or millis, nanos, days, iso), or schemas.enable=true")
        }
        _ => "the sentence names the field; mend the row at the source, or let it be a dead letter".to_owned(),
    }
}

/// The newest record's time is that of the machine that wrote it.
fn ahead(label: &str, seen: &[Seen], now_ms: i64) -> Option<Check> {
    let newest = seen.iter().map(|record| record.timestamp_ms).max()?;
    let ahead_ms = newest.saturating_sub(now_ms);
    (ahead_ms > AHEAD_MS_MAX).then(|| {
        let found =
            format!("the newest record is {:.1} s from the future", ahead_ms as f64 / 1_000.0);
        Check::warning(KAFKA, label, found)
            .fix("set this machine's clock, or that of Kafka Connect")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use serde_json::json;

    fn orders() -> SourceTable {
        SourceTable::new("orders", 'o')
            .key("id", SourceType::Int)
            .column("total", SourceType::Decimal)
            .column("created_at", SourceType::Time)
            .in_topic("shop.public.orders")
    }
    fn value(total: &Value) -> Value {
        json!({
            "op": "c", "ts_ms": 2, "before": null,
            "after": {"id": 1, "total": total, "created_at": "2026-01-01T00:00:00Z"},
            "source": {"table": "orders", "ts_ms": 1},
        })
    }
    fn seen(key: Option<&str>, value: Option<&[u8]>) -> Seen {
        Seen {
            partition: Partition::new("shop.public.orders", 0),
            offset: 7,
            timestamp_ms: 5,
            key: key.map(|key| key.as_bytes().to_vec()),
            value: value.map(<[u8]>::to_vec),
        }
    }
    fn judged(record: Seen) -> Vec<Check> {
        let read: Read = Box::new(|change| {
            let after = change.after.as_ref().ok_or("none")?;
            let [total] = after.fields(["total"]).map_err(|e| e.to_string())?;
            total.decimal().map(|_| true).map_err(|e| e.to_string())
        });
        let (table, seen, formats) = (orders(), [record], Formats::default());
        let mut checks = form(&table, &seen, &formats);
        checks.extend(letters("analytics-service", &table, &seen, &formats, &read));
        checks
    }
    fn bad(record: Seen) -> Vec<Check> {
        judged(record).into_iter().filter(|check| check.status != Status::Ok).collect()
    }

    #[test]
    fn an_envelope_is_well_and_told_apart() {
        let bytes = value(&json!("12.50")).to_string();
        let checks = judged(seen(Some(r#"{"id":1}"#), Some(bytes.as_bytes())));
        assert!(checks.iter().all(|check| check.status == Status::Ok), "{checks:?}");
        let text = checks.iter().map(|c| c.found.as_str()).collect::<Vec<_>>().join("; ");
        for part in [
            "1 created",
            "keyed by (id)",
            "without schema",
            "total as text (string)",
            "created_at as text",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("12.50"), "a value: {text}");
    }

    #[test]
    fn the_schema_tells_the_mode() {
        let field = json!({"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "field": "total",
                           "parameters": {"scale": "2"}});
        assert_eq!(decimal(&json!("MDk="), Some(&field)), "bytes, scale 2 (precise)");
        let time_field = json!({"type": "int64", "name": "io.debezium.time.MicroTimestamp"});
        assert_eq!(time(&json!(1), Some(&time_field)), "µs");
        let whole = json!({"schema": {"type": "struct"}, "payload": {"op": "c"}}).to_string();
        let (payload, schema) = open(whole.as_bytes()).expect("JSON");
        assert_eq!((payload["op"].as_str(), schema.is_some()), (Some("c"), true));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_with_a_fix() {
        let key = Some(r#"{"id":1}"#);
        let unwrapped = json!({"id": 1, "total": "1.50"}).to_string();
        let bare = value(&json!("MDk=")).to_string();
        let plain = value(&json!("1.50")).to_string();
        for (record, status, word, fix) in [
            (
                seen(key, Some(unwrapped.as_bytes())),
                Status::Problem,
                "not an envelope",
                "ExtractNewRecordState",
            ),
            (seen(key, Some(b"\0\0\0\0\x01abc")), Status::Problem, "zero byte", "JsonConverter"),
            (seen(key, Some(b"hello")), Status::Problem, "not JSON", "Debezium alone"),
            (
                seen(key, Some(bare.as_bytes())),
                Status::Problem,
                "would be dead letters",
                "COLUMN_FORMATS=orders.total=decimal(SCALE)",
            ),
            (seen(None, Some(plain.as_bytes())), Status::Problem, "no key", "add primary key (id)"),
            (
                seen(Some(r#"{"number":1}"#), Some(plain.as_bytes())),
                Status::Problem,
                "keyed by (number)",
                "id=YOURS",
            ),
        ] {
            let found = bad(record);
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert_eq!(found[0].status, status, "{found:?}");
            assert!(found[0].found.contains(word), "{found:?}");
            assert!(found[0].fix.as_deref().unwrap_or_default().contains(fix), "{found:?}");
        }
        let double = value(&json!(1.25)).to_string();
        let found = bad(seen(key, Some(double.as_bytes())));
        assert!(
            found.iter().any(|c| c.status == Status::Warning && c.found.contains("rounded")),
            "{found:?}"
        );
    }

    #[test]
    fn a_default_where_null_may_stand_is_a_warning_unless_a_null_is_sent() {
        let with = |total: Value| {
            let columns = json!([{"type": "string", "optional": true, "default": "0", "field": "total"},
                {"type": "int64", "name": "org.apache.kafka.connect.data.Timestamp", "field": "created_at"}]);
            let schema = json!({"type": "struct", "fields": [
                {"type": "struct", "fields": columns, "field": "after"}]});
            let mut payload = value(&total);
            payload["after"]["created_at"] = json!(1);
            let bytes = json!({"schema": schema, "payload": payload}).to_string();
            seen(Some(r#"{"id":1}"#), Some(bytes.as_bytes()))
        };
        let said = |records: &[Seen]| {
            let all = form(&orders(), records, &Formats::default());
            let bad = all.into_iter().filter(|check| check.status == Status::Warning);
            bad.map(|check| check.found).collect::<Vec<_>>()
        };
        let cut = said(&[with(json!("7"))]);
        assert!(cut.len() == 1 && cut[0].starts_with("created_at is sent in millis"), "{cut:?}");
        let both = said(&[with(json!("7")), with(json!("0"))]);
        assert!(both.len() == 2 && both[1].starts_with("total may be NULL"), "{both:?}");
        assert_eq!(said(&[with(json!("0")), with(Value::Null)]), cut);
    }

    #[test]
    fn a_few_bad_records_among_good_ones_are_a_warning() {
        let good = value(&json!("1.50")).to_string();
        let seen = [
            seen(Some(r#"{"id":1}"#), Some(good.as_bytes())),
            seen(None, Some(b"hello")),
            seen(None, None),
        ];
        let found = form(&orders(), &seen, &Formats::default());
        let warned: Vec<_> = found.iter().filter(|c| c.status != Status::Ok).collect();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!(warned[0].status, Status::Warning);
        assert!(warned[0].found.starts_with("1 of 3 newest records"), "{warned:?}");
    }

    #[test]
    fn records_from_the_future_show_a_wrong_clock() {
        let seen = [seen(None, None)];
        assert_eq!(ahead("t", &seen, 0), None);
        assert!(ahead("t", &seen, -6_000).is_some());
    }
}
