//! Kafka Connect: the connector that feeds the topics, and those of its settings that matter here.
use super::{Patience, needs::Needs, report::Check};
use crate::http;
use serde_json::Value;

const AREA: &str = "connect";

pub(super) async fn check(url: String, needs: Vec<Needs>, patience: Patience) -> Vec<Check> {
    let place = http::place(&url);
    let fix = "check --connect-url (or CONNECT_URL), and that Kafka Connect runs";
    let asked = format!("{}/connectors?expand=status&expand=info", url.trim_end_matches('/'));
    let limit = patience.0;
    let asked = tokio::task::spawn_blocking(move || http::get(&asked, limit));
    let answer = match patience.wait(asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => Err(e.to_string()),
        Err(late) => Err(late),
    };
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            let found = format!("answers with status {}", answer.status);
            return vec![Check::problem(AREA, place, found).fix(fix)];
        }
        Err(why) => return vec![Check::problem(AREA, place, why).fix(fix)],
    };
    match serde_json::from_slice(&answer.body) {
        Ok(connectors) => judge(&connectors, &needs, &url),
        Err(_) => {
            vec![Check::problem(AREA, place, "answers, but not as Kafka Connect does").fix(fix)]
        }
    }
}

/// `connectors`: as `GET /connectors?expand=status&expand=info` gives them.
fn judge(connectors: &Value, needs: &[Needs], url: &str) -> Vec<Check> {
    let all = connectors.as_object().into_iter().flatten();
    let ours: Vec<(&String, &Value)> =
        all.filter(|(_, c)| feeds(&c["info"]["config"], needs)).collect();
    if ours.is_empty() {
        let topics: Vec<&str> = needs.iter().map(|needs| needs.topic.as_str()).collect();
        let found = format!("no PostgreSQL connector writes to {}", topics.join(", "));
        return vec![
            Check::problem(AREA, "connector", found)
                .fix("register one with this topic.prefix, or correct TOPIC_PREFIX"),
        ];
    }
    let mut checks = Vec::new();
    for (name, connector) in ours {
        checks.push(state(name, &connector["status"], url));
        checks.extend(settings(name, &connector["info"]["config"]));
    }
    checks
}

fn text<'a>(config: &'a Value, key: &str) -> Option<&'a str> {
    config[key].as_str()
}

fn feeds(config: &Value, needs: &[Needs]) -> bool {
    let is_postgres = text(config, "connector.class")
        .is_some_and(|class| class.to_ascii_lowercase().contains("postgres"));
    let prefix = text(config, "topic.prefix").map(|prefix| format!("{prefix}."));
    is_postgres && prefix.is_some_and(|p| needs.iter().any(|needs| needs.topic.starts_with(&p)))
}

fn state(name: &str, status: &Value, url: &str) -> Check {
    let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let label = format!("connector {name}");
    let parts = std::iter::once(&status["connector"]).chain(tasks);
    let failed = parts.clone().find(|part| part["state"] == "FAILED");
    let base = http::place(url);
    if let Some(part) = failed {
        let trace = part["trace"].as_str().unwrap_or_default();
        let first = trace.lines().next().unwrap_or_default();
        let cause = trace.lines().rev().find_map(|line| line.strip_prefix("Caused by: "));
        let found = match cause {
            Some(cause) => format!("FAILED: {first} (caused by {cause})"),
            None => format!("FAILED: {first}"),
        };
        let fix = format!(
            "mend the cause, then curl -X POST 'http://{base}/connectors/{name}/restart?includeTasks=true&onlyFailed=true'"
        );
        return Check::problem(AREA, label, found).fix(fix);
    }
    let states: Vec<&str> = parts.map(|part| part["state"].as_str().unwrap_or("unknown")).collect();
    if tasks.is_empty() {
        return Check::problem(AREA, label, "has no task: nothing is read from PostgreSQL")
            .fix("look at the log of Kafka Connect; a rebalance of its workers may be under way");
    }
    match states.iter().find(|state| **state != "RUNNING") {
        None => Check::ok(AREA, label, format!("RUNNING, with {} task(s)", tasks.len())),
        Some(other) => Check::warning(AREA, label, format!("{other}: no changes arrive meanwhile"))
            .fix(format!("curl -X PUT http://{base}/connectors/{name}/resume")),
    }
}

/// What is set, in one line, and each setting that does harm.
fn settings(name: &str, config: &Value) -> Vec<Check> {
    let label = format!("connector {name}");
    let or = |key, default| text(config, key).unwrap_or(default);
    let decimal = or("decimal.handling.mode", "precise");
    let snapshot = or("snapshot.mode", "initial");
    let schemas = or("value.converter.schemas.enable", "the worker's");
    let mut checks = vec![Check::ok(
        AREA,
        &label,
        format!(
            "decimal.handling.mode={decimal}, time.precision.mode={}, tombstones.on.delete={}, snapshot.mode={snapshot}, \
             value.converter={}, schemas {schemas}, slot.name={}, publication.name={}",
            or("time.precision.mode", "adaptive"),
            or("tombstones.on.delete", "true"),
            or("value.converter", "the worker's"),
            or("slot.name", "debezium"),
            or("publication.name", "dbz_publication"),
        ),
    )];
    let mut say = |check: Check, fix: &str| checks.push(check.fix(fix));
    let transforms = or("transforms", "").split(',').map(str::trim).filter(|t| !t.is_empty());
    for transform in transforms {
        let kind = config[format!("transforms.{transform}.type")].as_str().unwrap_or_default();
        if kind.contains("ExtractNewRecordState") {
            let found = format!("transform `{transform}` is {kind}: it takes the envelope away");
            say(
                Check::problem(AREA, &label, found),
                "remove it from the connector's `transforms`: the consumers need the whole envelope",
            );
        }
    }
    for key in ["key.converter", "value.converter"] {
        let converter = or(key, "");
        if ["Avro", "Protobuf"].iter().any(|kind| converter.contains(kind)) {
            say(
                Check::problem(AREA, &label, format!("{key}={converter}: only JSON is read")),
                &format!("{key}=org.apache.kafka.connect.json.JsonConverter"),
            );
        }
    }
    if decimal == "double" {
        say(
            Check::warning(
                AREA,
                &label,
                "decimal.handling.mode=double: amounts are rounded before they are sent",
            ),
            "decimal.handling.mode=string (or precise, with schemas), then a new snapshot and GENERATION",
        );
    }
    if decimal == "precise" && schemas == "false" {
        say(
            Check::warning(
                AREA,
                &label,
                "decimals are bytes, and without schemas nothing tells their scale",
            ),
            "decimal.handling.mode=string, or COLUMN_FORMATS=TABLE.COLUMN=decimal(SCALE) for each of them",
        );
    }
    if ["never", "no_data", "schema_only"].contains(&snapshot) {
        say(
            Check::warning(
                AREA,
                &label,
                format!(
                    "snapshot.mode={snapshot}: rows from before the connector's first start are never seen"
                ),
            ),
            "take a snapshot (snapshot.mode=initial, or an incremental one by signal), unless there were none",
        );
    }
    let skipped = or("skipped.operations", "t");
    if skipped.split(',').any(|op| ["c", "u", "d"].contains(&op.trim())) {
        say(
            Check::problem(
                AREA,
                &label,
                format!("skipped.operations={skipped}: changes are left out"),
            ),
            "skipped.operations=t",
        );
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;
    use serde_json::json;

    fn needs() -> Vec<Needs> {
        vec![Needs {
            topic: "shop.public.orders".into(),
            table: "orders".into(),
            id: "id".into(),
            columns: vec![],
        }]
    }
    fn connector(state: &str, task: &str, more: &[(&str, &str)]) -> Value {
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
    fn bad(connectors: &Value) -> Vec<Check> {
        let all = judge(connectors, &needs(), "http://h:1");
        assert!(all.iter().all(|check| !format!("{check:?}").contains("hunter2")), "{all:?}");
        all.into_iter().filter(|check| check.status != Status::Ok).collect()
    }

    #[test]
    fn a_running_connector_is_well() {
        assert_eq!(bad(&connector("RUNNING", "RUNNING", &[])), []);
    }

    #[test]
    fn what_does_harm_is_said_with_a_fix() {
        for (connectors, status, word) in [
            (json!({}), Status::Problem, "no PostgreSQL connector writes to shop.public.orders"),
            (
                connector("RUNNING", "RUNNING", &[("topic.prefix", "other")]),
                Status::Problem,
                "no PostgreSQL",
            ),
            (
                connector("RUNNING", "FAILED", &[]),
                Status::Problem,
                "it broke (caused by java.Y: slot is gone)",
            ),
            (connector("PAUSED", "PAUSED", &[]), Status::Warning, "PAUSED"),
            (
                connector(
                    "RUNNING",
                    "RUNNING",
                    &[
                        ("transforms", "a, unwrap"),
                        ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState"),
                    ],
                ),
                Status::Problem,
                "envelope",
            ),
            (
                connector(
                    "RUNNING",
                    "RUNNING",
                    &[("value.converter", "io.confluent.connect.avro.AvroConverter")],
                ),
                Status::Problem,
                "only JSON",
            ),
            (
                connector("RUNNING", "RUNNING", &[("decimal.handling.mode", "double")]),
                Status::Warning,
                "rounded",
            ),
            (
                connector("RUNNING", "RUNNING", &[("value.converter.schemas.enable", "false")]),
                Status::Warning,
                "scale",
            ),
            (
                connector("RUNNING", "RUNNING", &[("snapshot.mode", "never")]),
                Status::Warning,
                "never seen",
            ),
            (
                connector("RUNNING", "RUNNING", &[("skipped.operations", "t,d")]),
                Status::Problem,
                "left out",
            ),
        ] {
            let found = bad(&connectors);
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert_eq!(found[0].status, status, "{found:?}");
            assert!(found[0].found.contains(word) && found[0].fix.is_some(), "{found:?}");
        }
    }
}
