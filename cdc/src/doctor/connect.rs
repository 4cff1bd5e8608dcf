//! Kafka Connect: the connector that feeds the topics, and those of its settings that matter here.
mod converters;
mod judge;
mod pattern;
mod settings;
#[cfg(test)]
mod tests;
mod transforms;

use super::{Patience, report::Check};
use consumers::source_table::SourceTable;
use judge::Judge;
use serde_json::Value;
use serving::ask;
use settings::Against;

pub(super) use converters::Nulls;

const AREA: &str = "connect";

/// What Kafka Connect said.
pub(super) struct Answer {
    url: String,
    /// As `GET /connectors?expand=status&expand=info` gives them, or why there are none.
    connectors: Result<Value, Check>,
}

pub(super) async fn ask(url: String, patience: Patience) -> Answer {
    let place = ask::place(&url);
    let fix = "check --connect-url (or CONNECT_URL), and that Kafka Connect runs";
    let asked = format!("{}/connectors?expand=status&expand=info", url.trim_end_matches('/'));
    let limit = patience.0;
    let asked = tokio::task::spawn_blocking(move || ask::get(&asked, limit));
    let answer = match patience.wait(asked).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(e)) => Err(e.to_string()),
        Err(late) => Err(late),
    };
    let found = match answer {
        Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
            .map_err(|_| "answers, but not as Kafka Connect does".to_owned()),
        Ok(answer) => Err(format!("answers with status {}", answer.status)),
        Err(why) => Err(why),
    };
    let connectors = found.map_err(|why| Check::problem(AREA, place, why).fix(fix));
    Answer { url, connectors }
}

impl Answer {
    /// `placeholder`: what the services take for a value that was not sent. `tables_known`: PostgreSQL is looked at.
    pub(super) fn judge(
        self,
        tables: &[SourceTable],
        placeholder: &str,
        tables_known: bool,
    ) -> Vec<Check> {
        let against = Against { placeholder, tables_known };
        match self.connectors {
            Ok(connectors) => judge(&connectors, tables, &self.url, &against),
            Err(check) => vec![check],
        }
    }

    /// What becomes of NULL in columns with a default: the worst of the connectors that feed these topics.
    pub(super) fn nulls(&self, tables: &[SourceTable]) -> Nulls {
        let Ok(connectors) = &self.connectors else { return Nulls::Unknown };
        let ours = feeding(connectors, tables);
        let of = |(name, connector): &(&String, &Value)| {
            Nulls::of(&Judge::new(name, &connector["info"]["config"], tables))
        };
        ours.iter().map(of).max().unwrap_or(Nulls::Unknown)
    }
}

fn judge(
    connectors: &Value,
    tables: &[SourceTable],
    url: &str,
    against: &Against<'_>,
) -> Vec<Check> {
    let ours = feeding(connectors, tables);
    if ours.is_empty() {
        let topics: Vec<&str> = tables.iter().map(SourceTable::topic).collect();
        let found = format!("no PostgreSQL connector writes to {}", topics.join(", "));
        return vec![
            Check::problem(AREA, "connector", found)
                .fix("register one with this topic.prefix, or correct TOPIC_PREFIX"),
        ];
    }
    let mut checks = Vec::new();
    let mut missing: Vec<&SourceTable> = tables.iter().collect();
    for (name, connector) in &ours {
        let config = &connector["info"]["config"];
        checks.push(state(name, &connector["status"], url));
        let label = format!("connector {name}");
        let own: Vec<SourceTable> =
            tables.iter().filter(|table| is_written(config, table)).cloned().collect();
        let own = match own.is_empty() {
            false => own,
            true => {
                let found = "its topic.prefix is another; whether its routing transform writes to the topics that are read is not judged";
                checks.push(
                    Check::warning(AREA, label, found)
                        .fix("look at the `kafka` and `events` lines of these topics"),
                );
                tables.to_vec()
            }
        };
        // Several connectors may share the tables; what one of them leaves out, another has.
        let own: Vec<SourceTable> = match ours.len() {
            1 => own,
            _ => own.into_iter().filter(|table| settings::captures(config, table)).collect(),
        };
        missing.retain(|table| !own.contains(table));
        checks.extend(settings::check(Judge::new(name, config, &own), against));
    }
    for table in missing {
        let found = format!(
            "none of {} connectors writes {} to {}",
            ours.len(),
            table.full_name(),
            table.topic()
        );
        checks.push(
            Check::problem(AREA, "connector", found).fix(
                "add the table to one connector's table.include.list, or correct TOPIC_PREFIX",
            ),
        );
    }
    checks
}

/// PostgreSQL connectors that write to topics that are read; where none does by its prefix, those that route.
fn feeding<'a>(connectors: &'a Value, tables: &[SourceTable]) -> Vec<(&'a String, &'a Value)> {
    let is_postgres = |(_, connector): &(&String, &Value)| {
        let class = connector["info"]["config"]["connector.class"].as_str();
        class.is_some_and(|class| class.to_ascii_lowercase().contains("postgres"))
    };
    let all: Vec<_> = connectors.as_object().into_iter().flatten().filter(is_postgres).collect();
    let config = |connector: &'a Value| &connector["info"]["config"];
    let by_prefix: Vec<_> = all
        .iter()
        .filter(|(_, c)| tables.iter().any(|table| is_written(config(c), table)))
        .copied()
        .collect();
    if !by_prefix.is_empty() {
        return by_prefix;
    }
    let routes = |config: &Value| {
        let settings = config.as_object().into_iter().flatten();
        settings.into_iter().any(|(key, value)| {
            key.starts_with("transforms.")
                && key.ends_with(".type")
                && value.as_str().is_some_and(|class| class.contains("Router"))
        })
    };
    all.into_iter().filter(|(_, c)| routes(config(c))).collect()
}

/// By the prefix, as Debezium names topics.
fn is_written(config: &Value, table: &SourceTable) -> bool {
    let delimiter = config["topic.delimiter"].as_str().unwrap_or(".");
    let prefix = config["topic.prefix"].as_str().map(|prefix| format!("{prefix}{delimiter}"));
    prefix.is_some_and(|prefix| table.topic().starts_with(&prefix))
}

fn state(name: &str, status: &Value, url: &str) -> Check {
    let tasks = status["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let label = format!("connector {name}");
    let parts = std::iter::once(&status["connector"]).chain(tasks);
    let failed = parts.clone().find(|part| part["state"] == "FAILED");
    let base = ask::place(url);
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
