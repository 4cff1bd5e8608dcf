use super::*;
use crate::doctor::report::Status;
use consumers::source_table::SourceType;
use serde_json::json;

const JSON: (&str, &str) = ("value.converter", "org.apache.kafka.connect.json.JsonConverter");
const KEPT: (&str, &str) = ("value.converter.replace.null.with.default", "false");

fn tables() -> Vec<SourceTable> {
    let orders = SourceTable::new("orders", 'o')
        .key("id", SourceType::Int)
        .column("status", SourceType::Text)
        .column("total", SourceType::Decimal)
        .column("created_at", SourceType::Time);
    vec![orders.in_topic("shop.public.orders")]
}
fn connector_in(state: &str, task: &str, more: &[(&str, &str)]) -> Value {
    let mut config = json!({
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "topic.prefix": "shop", "database.password": "hunter2",
    });
    for (key, value) in more {
        config[*key] = json!(value);
    }
    let trace = "org.apache.kafka.X: it broke\n\tat a.b\nCaused by: java.Y: slot is gone\n";
    json!({"cdc": {
        "info": {"config": config},
        "status": {"connector": {"state": state}, "tasks": [{"id": 0, "state": task, "trace": trace}]},
    }})
}
fn connector(more: &[(&str, &str)]) -> Value {
    connector_in("RUNNING", "RUNNING", more)
}
fn bad(connectors: &Value) -> Vec<Check> {
    let against = Against { placeholder: "__debezium_unavailable_value", tables_known: false };
    let all = judge(connectors, &tables(), "http://h:1", &against);
    assert!(all.iter().all(|check| !format!("{check:?}").contains("hunter2")), "{all:?}");
    all.into_iter().filter(|check| check.status != Status::Ok).collect()
}
fn one(connectors: &Value, status: Status, word: &str) {
    let found = bad(connectors);
    assert_eq!(found.len(), 1, "{word}: {found:?}");
    assert_eq!(found[0].status, status, "{found:?}");
    assert!(found[0].found.contains(word) && found[0].fix.is_some(), "{word}: {found:?}");
}

#[test]
fn a_running_connector_is_well() {
    assert_eq!(bad(&connector(&[])), []);
    let schemaless = ("value.converter.schemas.enable", "false");
    for well in [
        &[JSON][..],
        &[JSON, KEPT, schemaless, ("decimal.handling.mode", "string")],
        &[JSON, KEPT, schemaless, ("value.converter.decimal.format", "NUMERIC")],
        &[("skipped.operations", "none"), ("tombstones.on.delete", "false")],
        &[("unavailable.value.placeholder", "__debezium_unavailable_value")],
        &[("message.key.columns", "public.orders:id;public.items:a,b")],
        &[("table.include.list", "public.orders"), ("column.exclude.list", "public.orders.note")],
        &[("column.mask.with.12.chars", "public.customers.(.*)")],
        &[("binary.handling.mode", "hex"), ("converters", "")],
    ] {
        assert_eq!(bad(&connector(well)), [], "{well:?}");
    }
}

#[test]
fn a_connector_that_does_not_feed_or_run_is_said() {
    one(&json!({}), Status::Problem, "no PostgreSQL connector writes to shop.public.orders");
    one(&connector(&[("topic.prefix", "other")]), Status::Problem, "no PostgreSQL");
    let failed = connector_in("RUNNING", "FAILED", &[]);
    one(&failed, Status::Problem, "it broke (caused by java.Y: slot is gone)");
    one(&connector_in("PAUSED", "PAUSED", &[]), Status::Warning, "PAUSED");
}

#[test]
fn a_router_may_lead_from_another_prefix() {
    let routed = connector(&[
        ("topic.prefix", "other"),
        ("transforms", "r"),
        ("transforms.r.type", "org.apache.kafka.connect.transforms.RegexRouter"),
    ]);
    let found: Vec<String> = bad(&routed).into_iter().map(|check| check.found).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("topic.prefix is another"), "{found:?}");
}

#[test]
fn several_connectors_share_the_tables() {
    let mut two = connector(&[("table.include.list", "public.orders")]);
    let other = connector(&[("table.include.list", "public.products")]);
    two["other"] = other["cdc"].clone();
    assert_eq!(bad(&two), []);
    two["cdc"] = other["cdc"].clone();
    one(&two, Status::Problem, "none of 2 connectors writes public.orders");
}

#[test]
fn settings_that_do_harm_are_said_with_a_fix() {
    use Status::{Problem, Warning};
    for (set, status, word) in [
        (&[("decimal.handling.mode", "double")][..], Warning, "rounded"),
        (&[JSON, KEPT, ("value.converter.schemas.enable", "false")], Warning, "scale"),
        (&[("time.precision.mode", "connect")], Warning, "public.orders.created_at is cut"),
        (
            &[("unavailable.value.placeholder", "__cflt_unavailable_value")],
            Problem,
            "__cflt_unavailable_value, and __debezium_unavailable_value is expected",
        ),
        (&[("snapshot.mode", "never")], Warning, "never seen"),
        (&[("snapshot.mode", "initial_only")], Problem, "no change is sent"),
        (&[("snapshot.mode", "always")], Warning, "reads the tables anew"),
        (&[("snapshot.mode", "custom")], Warning, "not judged"),
        (&[("snapshot.select.statement.overrides", "public.orders")], Warning, "SELECT leaves out"),
        (
            &[("snapshot.include.collection.list", "public.products")],
            Warning,
            "no snapshot is taken of public.orders",
        ),
        (&[("skipped.operations", "t,d")], Problem, "left out"),
        (&[("slot.drop.on.stop", "true")], Problem, "never sent"),
        (&[("event.processing.failure.handling.mode", "warn")], Problem, "is left out"),
        (&[("errors.tolerance", "all")], Problem, "is left out"),
        (&[("producer.override.acks", "1")], Problem, "lost"),
        (
            &[("producer.override.max.in.flight.requests.per.connection", "5")],
            Problem,
            "another order",
        ),
        (&[("producer.override.partitioner.class", "x.Y")], Warning, "default partitioner"),
        (&[("table.include.list", "public.products")], Problem, "leaves out public.orders"),
        (&[("table.exclude.list", "public.(.*)")], Problem, "leaves out public.orders"),
        (&[("table.include.list", "public.(orders|items)")], Warning, "not judged"),
        (&[("schema.exclude.list", "public")], Problem, "leaves out public"),
        (&[("column.exclude.list", "public.orders.total")], Problem, "orders.total"),
        (&[("column.include.list", "(.*).id")], Problem, "orders.status"),
        (
            &[("column.mask.hash.SHA-256.with.salt.hunter2", "public.orders.status")],
            Problem,
            "column.mask.hash.SHA-256 alters public.orders.status",
        ),
        (&[("column.truncate.to.20.chars", "public.orders.[st].*")], Warning, "not judged"),
        (&[("message.key.columns", "public.orders:customer_id")], Problem, "by (customer_id)"),
        (&[("message.key.columns", "(.*).orders:id,status")], Problem, "by (id, status)"),
        (&[("message.key.columns", "public.(orders|items):a")], Warning, "not judged"),
        (&[("converters", "isbn")], Warning, "not judged"),
        (&[("post.processors", "reselector")], Warning, "not judged"),
    ] {
        one(&connector(set), status, word);
    }
}

#[test]
fn converters_that_are_not_read_are_called_what_they_are() {
    use Status::{Problem, Warning};
    let debezium = "io.debezium.converters.";
    let confluent = "io.confluent.connect.";
    let kafka = "org.apache.kafka.connect.";
    for (half, class, status, word) in [
        ("value", format!("{confluent}avro.AvroConverter"), Problem, "Avro is not read yet"),
        ("key", format!("{confluent}avro.AvroConverter"), Warning, "told by its own columns"),
        ("value", format!("{confluent}protobuf.ProtobufConverter"), Problem, "Protobuf"),
        ("value", format!("{confluent}json.JsonSchemaConverter"), Problem, "schema registry"),
        ("value", format!("{debezium}CloudEventsConverter"), Problem, "CloudEvents are not"),
        ("value", format!("{kafka}storage.StringConverter"), Problem, "Struct{...}"),
        ("key", format!("{kafka}storage.StringConverter"), Warning, "told by its own columns"),
        ("key", format!("{kafka}converters.ByteArrayConverter"), Problem, "the task fails"),
        ("value", "com.example.Ours".to_owned(), Warning, "not judged"),
    ] {
        one(&connector(&[(&format!("{half}.converter"), class.as_str())]), status, word);
    }
    // Kafka Connect looks at it only beside a converter.
    one(&connector(&[KEPT]), Warning, "passes it over");
}

#[test]
fn what_becomes_of_nulls_is_told_where_records_cannot_tell() {
    let string = ("decimal.handling.mode", "string");
    let schemaless = ("value.converter.schemas.enable", "false");
    let bare = connector(&[JSON, schemaless, string]);
    one(&bare, Status::Warning, "NULL in a column with a DEFAULT");
    let nulls = |connectors: &Value| {
        let answer = Answer { url: "http://h:1".into(), connectors: Ok(connectors.clone()) };
        answer.nulls(&tables())
    };
    assert_eq!(nulls(&bare), Nulls::Replaced);
    assert_eq!(nulls(&connector(&[JSON, KEPT])), Nulls::Kept);
    assert_eq!(nulls(&connector(&[])), Nulls::Unknown);
    let mut both = connector(&[JSON, KEPT]);
    both["other"] = bare["cdc"].clone();
    assert_eq!(nulls(&both), Nulls::Replaced, "the worst of both");
    let against = Against { placeholder: "__debezium_unavailable_value", tables_known: true };
    let all = judge(&bare, &tables(), "http://h:1", &against);
    assert!(all.iter().all(|check| check.status == Status::Ok), "PostgreSQL tells: {all:?}");
}

#[test]
fn each_transform_is_judged_by_what_it_does() {
    use Status::{Ok, Problem, Warning};
    let kafka = "org.apache.kafka.connect.transforms.";
    let debezium = "io.debezium.transforms.";
    let tombstones = [
        ("predicate", "p"),
        ("p", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
    ];
    let named = "org.apache.kafka.connect.transforms.predicates.TopicNameMatches";
    let others = [("predicate", "p"), ("p", named), ("pattern", "shop.public.audit")];
    let ours = [("predicate", "p"), ("p", named), ("pattern", "shop.public.(.*)")];
    for (class, set, status, word) in [
        (format!("{debezium}ExtractNewRecordState"), &[][..], Problem, "envelope"),
        (format!("{kafka}Flatten$Value"), &[], Problem, "apart"),
        (format!("{kafka}ExtractField$Key"), &[("field", "id")], Problem, "another key"),
        (format!("{kafka}ValueToKey"), &[("fields", "op")], Problem, "another key"),
        (format!("{debezium}ByLogicalTableRouter"), &[], Problem, "adds a column to their key"),
        (format!("{debezium}ToLogicalTopicRouter"), &[], Problem, "adds a column to their key"),
        (
            format!("{debezium}ByLogicalTableRouter"),
            &[("key.enforce.uniqueness", "false")],
            Warning,
            "partitions of one table",
        ),
        (format!("{kafka}RegexRouter"), &[], Warning, "other topics"),
        (format!("{kafka}TimestampRouter"), &[], Problem, "topics by the time"),
        (format!("{debezium}ContentBasedRouter"), &[], Problem, "no order"),
        (format!("{debezium}Filter"), &[], Problem, "drops records"),
        (format!("{kafka}Filter"), &ours, Problem, "drops records"),
        (format!("{kafka}Filter"), &others, Ok, ""),
        (format!("{kafka}Filter"), &tombstones, Ok, ""),
        (
            format!("{kafka}Filter"),
            &[tombstones[0], tombstones[1], ("negate", "true")],
            Problem,
            "drops records",
        ),
        (format!("{kafka}ReplaceField$Value"), &[("exclude", "ts_us,transaction")], Ok, ""),
        (format!("{kafka}ReplaceField$Value"), &[("exclude", "source")], Problem, "takes source"),
        (format!("{kafka}ReplaceField$Value"), &[("include", "op,after")], Problem, "source"),
        (format!("{kafka}ReplaceField$Value"), &[("renames", "op:kind")], Problem, "op:kind"),
        (format!("{kafka}ReplaceField$Key"), &[("exclude", "id")], Problem, "changes the key (id)"),
        (format!("{kafka}MaskField$Value"), &[("fields", "after")], Problem, "masks after"),
        (format!("{kafka}MaskField$Value"), &[("fields", "transaction")], Ok, ""),
        (format!("{kafka}InsertField$Value"), &[("static.field", "x")], Ok, ""),
        (format!("{kafka}InsertField$Key"), &[("static.field", "x")], Problem, "to the key"),
        (format!("{kafka}TimestampConverter$Value"), &[("field", "ts_ms")], Warning, "too deep"),
        (format!("{kafka}Cast$Value"), &[("spec", "ts_ms:string")], Warning, "too deep"),
        (format!("{debezium}TimezoneConverter"), &[], Warning, "not judged"),
        (format!("{debezium}partitions.PartitionRouting"), &[], Warning, "two partitions"),
        (format!("{debezium}outbox.EventRouter"), &[], Problem, "outbox"),
        ("com.example.Mine$Value".to_owned(), &[], Warning, "not judged"),
    ] {
        let key = |what: &str| match what {
            "p" => "predicates.p.type".to_owned(),
            "pattern" => "predicates.p.pattern".to_owned(),
            _ => format!("transforms.t.{what}"),
        };
        let set: Vec<(String, &str)> = set.iter().map(|(what, to)| (key(what), *to)).collect();
        let mut config = vec![("transforms", "a, t"), ("transforms.t.type", class.as_str())];
        config.extend(set.iter().map(|(key, to)| (key.as_str(), *to)));
        match status {
            Ok => assert_eq!(bad(&connector(&config)), [], "{config:?}"),
            status => one(&connector(&config), status, word),
        }
    }
}
