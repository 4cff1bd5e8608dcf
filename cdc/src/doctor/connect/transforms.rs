//! The connector's `transforms`: what each means for rows, and for exactness.
use super::{judge::Judge, pattern};

/// Each that may touch the topics that are read.
pub(super) fn check(judge: &mut Judge<'_>) {
    for name in judge.list("transforms") {
        let key = |what: &str| format!("transforms.{name}.{what}");
        let class = judge.or(&key("type"), "").to_owned();
        if class.is_empty() || is_left_alone(judge, &name) {
            continue;
        }
        let (kind, part) = class.split_once('$').unwrap_or((&class, ""));
        let short = kind.rsplit('.').next().unwrap_or(kind);
        let of_key = part == "Key";
        let called = format!("transform `{name}` is {class}");
        match meaning(judge, &name, short, of_key) {
            Meaning::Harmless => {}
            Meaning::Attention(why, fix) => judge.warning(format!("{called}: {why}"), fix),
            Meaning::Harm(why, fix) => judge.problem(format!("{called}: {why}"), fix),
        }
    }
}

enum Meaning {
    Harmless,
    Attention(String, String),
    Harm(String, String),
}
fn harm(why: impl Into<String>, fix: impl Into<String>) -> Meaning {
    Meaning::Harm(why.into(), fix.into())
}
fn attention(why: impl Into<String>, fix: impl Into<String>) -> Meaning {
    Meaning::Attention(why.into(), fix.into())
}

/// What every event needs, of the members at its top.
const NEEDED: [&str; 3] = ["op", "source", "after"];
const OUT: &str = "remove it from the connector's `transforms`";
const WHOLE: &str =
    "remove it from the connector's `transforms`: the consumers need the whole envelope";

fn meaning(judge: &Judge<'_>, name: &str, short: &str, of_key: bool) -> Meaning {
    let or = |what: &str, default: &'static str| {
        judge.or(&format!("transforms.{name}.{what}"), default).to_owned()
    };
    let all = |keys: &[&str]| {
        keys.iter()
            .flat_map(|key| judge.list(&format!("transforms.{name}.{key}")))
            .collect::<Vec<_>>()
    };
    let needed = |list: &[String]| {
        let named = list.iter().filter(|entry| {
            let member = entry.split(':').next().unwrap_or_default();
            NEEDED.contains(&member)
        });
        named.cloned().collect::<Vec<_>>()
    };
    match short {
        "ExtractNewRecordState" | "UnwrapFromEnvelope" => harm("it takes the envelope away", WHOLE),
        "Flatten" | "HoistField" | "ExtractField" | "ValueToKey"
            if of_key || short == "ValueToKey" =>
        {
            other_key("it makes another key of the record's")
        }
        "Flatten" | "HoistField" | "ExtractField" => harm("it takes the envelope apart", WHOLE),
        "ByLogicalTableRouter" | "ToLogicalTopicRouter" => router(&or),
        "RegexRouter" | "TimescaleDb" => attention(
            "it moves records to other topics: if two tables meet in one, their rows cannot be told apart by the \
             topic, and the services halt at the second one",
            "see that each topic that is read holds the records of one table",
        ),
        "TimestampRouter" => {
            harm("it names topics by the time: a row's changes are in many topics", OUT)
        }
        "ContentBasedRouter" => harm(
            "it chooses topics by what is in a row: the changes of one row may be in two, which have no order",
            OUT,
        ),
        "EventRouter" => harm("it makes outbox messages of changes: no rows are left", OUT),
        "Filter" => harm(
            "it drops records, and the views keep what these would have changed",
            "remove it, or bind it by a predicate to topics that are not read, or to tombstones",
        ),
        "PartitionRouting" => attention(
            "it places records by columns of its choice: when such a column changes, a row's changes are in two \
             partitions, which have no order",
            "partition by columns of the primary key that never change, and say so to the services (PLACEMENT=custom)",
        ),
        "ReplaceField" | "MaskField" if of_key => {
            let fields =
                all(&["exclude", "blacklist", "include", "whitelist", "renames", "fields"]);
            other_key(&format!("it changes the key ({})", fields.join(", ")))
        }
        "ReplaceField" => {
            let mut lost = needed(&all(&["exclude", "blacklist", "renames"]));
            let kept = all(&["include", "whitelist"]);
            if !kept.is_empty() {
                let is_lost = |member: &&&str| !kept.iter().any(|kept| kept == **member);
                lost.extend(NEEDED.iter().filter(is_lost).map(ToString::to_string));
            }
            match lost.is_empty() {
                true => Meaning::Harmless,
                false => {
                    harm(format!("it takes {} away from the envelope", lost.join(", ")), WHOLE)
                }
            }
        }
        "MaskField" => match needed(&all(&["fields"])) {
            masked if masked.is_empty() => Meaning::Harmless,
            masked => harm(format!("it masks {} of the envelope", masked.join(", ")), WHOLE),
        },
        "InsertField" if of_key => other_key("it adds a column to the key"),
        "Cast" | "TimestampConverter" if of_key => {
            attention("it writes the key's columns as another type", OUT)
        }
        "Cast" => attention(
            "columns of rows lie too deep for it, and members of the envelope that it makes text of (ts_ms) make every \
             record a dead letter",
            OUT,
        ),
        "TimestampConverter" => attention(
            "columns of rows lie too deep for it (time.precision.mode says how they are written), and an envelope \
             whose ts_ms is no number is a dead letter",
            OUT,
        ),
        "TimezoneConverter" => attention(
            "it moves instants from one time zone to another: not judged; days and times of the views are in UTC",
            "leave times in UTC, as the connector sends them",
        ),
        "InsertField"
        | "InsertHeader"
        | "DropHeaders"
        | "HeaderFrom"
        | "SetSchemaMetadata"
        | "ExtractChangedRecordState"
        | "ExtractSchemaToNewRecord"
        | "SchemaChangeEventFilter"
        | "ActivateTracingSpan"
        | "DecodeLogicalDecodingMessageContent"
        | "VectorToJsonConverter"
        | "GeometryFormatTransformer" => Meaning::Harmless,
        _ => attention(
            "not judged: whether rows are whole and in order behind it is not known",
            "see that it neither drops, nor moves, nor alters records of the topics that are read",
        ),
    }
}

fn other_key(what: &str) -> Meaning {
    harm(
        format!(
            "{what}: changes of one row may then be in several partitions, or rows under one key"
        ),
        "remove it: records are keyed by the table's primary key",
    )
}

/// Records of several tables in one topic.
fn router(or: &impl Fn(&str, &'static str) -> String) -> Meaning {
    if or("key.enforce.uniqueness", "true") == "false" {
        return attention(
            "it puts records of several tables into one topic, by keys that do not tell these tables apart: right \
             only if they are the partitions of one table",
            "see that no two of these tables can have the same id",
        );
    }
    harm(
        "it puts records of several tables into one topic and adds a column to their key \
         (key.enforce.uniqueness=true): rows of equal ids would be one",
        "key.enforce.uniqueness=false if these tables are the partitions of one table; else a topic for each table",
    )
}

/// Its predicate certainly lets none of the topics' rows through.
fn is_left_alone(judge: &Judge<'_>, name: &str) -> bool {
    let Some(predicate) = judge.given(&format!("transforms.{name}.predicate")) else {
        return false;
    };
    let negated = judge.or(&format!("transforms.{name}.negate"), "false") == "true";
    let kind = judge.or(&format!("predicates.{predicate}.type"), "");
    if kind.ends_with(".RecordIsTombstone") {
        // No change of a row is a tombstone, and without them a delete is still there.
        return !negated;
    }
    if !kind.ends_with(".TopicNameMatches") {
        return false;
    }
    let pattern = judge.or(&format!("predicates.{predicate}.pattern"), "");
    judge.tables().iter().all(|table| pattern::matches(pattern, table.topic()) == Some(negated))
}
