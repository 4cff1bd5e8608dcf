//! What the brokers say of a topic and of a group, judged.
use super::report::Check;
use std::collections::BTreeMap;

pub(super) const AREA: &str = "kafka";
const HOUR_MS: i64 = 3_600_000;

/// A topic as the brokers know it.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    pub partitions: Vec<i32>,
    /// The fewest copies that a partition has.
    pub copies: usize,
    /// Partitions that nobody leads now.
    pub leaderless: Vec<i32>,
}

/// Partitions and copies.
pub(super) fn shape(name: &str, topic: &Topic) -> Vec<Check> {
    let label = format!("topic {name}");
    let count = topic.partitions.len();
    let mut checks = vec![Check::ok(
        AREA,
        &label,
        format!("{count} partition(s), {} copies of each", topic.copies),
    )];
    if !topic.leaderless.is_empty() {
        let list: Vec<String> = topic.leaderless.iter().map(i32::to_string).collect();
        checks.push(
            Check::problem(AREA, &label, format!("nobody leads partition {}", list.join(", ")))
                .fix("bring the brokers back that hold it: kafka-topics.sh --describe --unavailable-partitions"),
        );
    }
    checks
}

/// `set`: the topic's settings by name, those of the brokers included.
pub(super) fn settings(
    name: &str,
    topic: &Topic,
    set: &BTreeMap<String, String>,
    servers: &str,
) -> Vec<Check> {
    let label = format!("topic {name}");
    let number = |key: &str| set.get(key).and_then(|text| text.parse::<i64>().ok());
    let alter = |what: &str| {
        format!(
            "kafka-configs.sh --bootstrap-server {servers} --alter --topic {name} --add-config {what}"
        )
    };
    let policy = set.get("cleanup.policy").map_or("delete", String::as_str);
    let (keep_ms, keep_bytes) = (number("retention.ms"), number("retention.bytes"));
    let mut checks = Vec::new();
    if policy.contains("compact") {
        checks.push(compacted(
            &label,
            policy,
            number("min.compaction.lag.ms").unwrap_or(0),
            &alter,
        ));
    }
    if policy.contains("delete") {
        let (days, lasting) = (keep_ms.unwrap_or(-1), "retention.ms=604800000");
        let found = match days {
            ..0 => format!("cleanup.policy={policy}, kept for ever"),
            ms => format!("cleanup.policy={policy}, kept for {}", lasts(ms)),
        };
        let short = (0..24 * HOUR_MS).contains(&days);
        checks.push(match short {
            true => Check::warning(
                AREA,
                &label,
                format!("{found}: an outage that lasts longer loses changes, and halts"),
            )
            .fix(alter(lasting)),
            false => Check::ok(AREA, &label, found),
        });
        if let Some(bytes) = keep_bytes.filter(|bytes| *bytes >= 0) {
            checks.push(
                Check::warning(
                    AREA,
                    &label,
                    format!(
                        "retention.bytes={bytes}: a burst removes changes, however new they are"
                    ),
                )
                .fix(alter("retention.bytes=-1")),
            );
        }
    }
    if set.get("unclean.leader.election.enable").is_some_and(|on| on == "true") {
        checks.push(
            Check::warning(
                AREA,
                &label,
                "unclean.leader.election.enable=true: offsets may be used twice",
            )
            .fix(alter("unclean.leader.election.enable=false")),
        );
    }
    if topic.copies > 1 && number("min.insync.replicas").unwrap_or(1) < 2 {
        checks.push(
            Check::warning(
                AREA,
                &label,
                "min.insync.replicas=1: a record may be on one broker only",
            )
            .fix(alter("min.insync.replicas=2")),
        );
    }
    checks
}

/// Compaction removes changes that a restart, or a process that lost its partition, may still read.
fn compacted(label: &str, policy: &str, lag_ms: i64, alter: &dyn Fn(&str) -> String) -> Check {
    let fix = format!("{} (or min.compaction.lag.ms=604800000)", alter("cleanup.policy=delete"));
    match lag_ms {
        ..=0 => {
            let found = format!(
                "cleanup.policy={policy} without min.compaction.lag.ms: changes that are read again may be gone by \
                 then, and sums come out wrong"
            );
            Check::problem(AREA, label, found).fix(fix)
        }
        ms => {
            let found = format!("cleanup.policy={policy}, changes stay for {} at least", lasts(ms));
            if ms < 24 * HOUR_MS {
                return Check::warning(
                    AREA,
                    label,
                    format!("{found}: a state restored from before that is wrong"),
                )
                .fix(fix);
            }
            Check::ok(AREA, label, found)
        }
    }
}

fn lasts(ms: i64) -> String {
    match ms {
        ms if ms >= 48 * HOUR_MS => format!("{:.1} days", ms as f64 / (24 * HOUR_MS) as f64),
        ms if ms >= HOUR_MS => format!("{:.1} hours", ms as f64 / HOUR_MS as f64),
        ms => format!("{:.1} minutes", ms as f64 / 60_000.0),
    }
}

/// `strategy`: what our members offer; `protocol`: what the present members agreed on.
pub(super) fn group(
    label: &str,
    state: &str,
    protocol: &str,
    members: usize,
    strategy: &str,
) -> Check {
    if members == 0 {
        return Check::ok(AREA, label, "no member runs now");
    }
    let found = format!("{state}, {members} member(s), partitions assigned by {protocol}");
    let is_ours = protocol.is_empty() || strategy.split(',').any(|ours| ours.trim() == protocol);
    if !is_ours {
        return Check::problem(
            AREA,
            label,
            format!("{found}: ours use {strategy} and cannot join them"),
        )
        .fix("stop the other members, or set a KAFKA_GROUP_ID of its own");
    }
    if state != "Stable" {
        return Check::warning(AREA, label, format!("{found}: members come or go"))
            .fix("look again in a minute; if it goes on, members die or do not poll");
    }
    Check::ok(AREA, label, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn judge(copies: usize, set: &[(&str, &str)]) -> Vec<Check> {
        let topic = Topic { partitions: vec![0, 1], copies, leaderless: vec![] };
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let all = settings("shop.public.orders", &topic, &set, "b:9092");
        all.into_iter().filter(|check| check.status != Status::Ok).collect()
    }

    #[test]
    fn a_topic_that_keeps_its_changes_is_well() {
        assert_eq!(judge(1, &[("cleanup.policy", "delete"), ("retention.ms", "604800000")]), []);
        assert_eq!(judge(3, &[("retention.ms", "-1"), ("min.insync.replicas", "2")]), []);
        assert_eq!(
            judge(1, &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "604800000")]),
            []
        );
    }

    #[test]
    fn what_loses_changes_is_said_with_a_command() {
        for (copies, set, status, word) in [
            (
                1,
                &[("cleanup.policy", "compact")][..],
                Status::Problem,
                "without min.compaction.lag.ms",
            ),
            (
                1,
                &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "60000")],
                Status::Warning,
                "1.0 minutes",
            ),
            (
                1,
                &[("cleanup.policy", "delete"), ("retention.ms", "3600000")],
                Status::Warning,
                "1.0 hours",
            ),
            (1, &[("retention.bytes", "1000")], Status::Warning, "retention.bytes=1000"),
            (1, &[("unclean.leader.election.enable", "true")], Status::Warning, "used twice"),
            (3, &[("min.insync.replicas", "1")], Status::Warning, "one broker only"),
        ] {
            let found = judge(copies, set);
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert_eq!(found[0].status, status, "{found:?}");
            assert!(found[0].found.contains(word), "{found:?}");
            let fix = found[0].fix.as_deref().unwrap_or_default();
            assert!(fix.contains("kafka-configs.sh --bootstrap-server b:9092"), "{fix}");
        }
    }

    #[test]
    fn a_group_of_others_is_a_problem() {
        let status = |state, protocol, members| {
            group("g", state, protocol, members, "cooperative-sticky").status
        };
        assert_eq!(status("Empty", "", 0), Status::Ok);
        assert_eq!(status("Stable", "cooperative-sticky", 2), Status::Ok);
        assert_eq!(status("PreparingRebalance", "", 2), Status::Warning);
        assert_eq!(status("Stable", "range", 1), Status::Problem);
    }

    #[test]
    fn a_partition_without_leader_is_a_problem() {
        let topic = Topic { partitions: vec![0, 1], copies: 1, leaderless: vec![1] };
        let found = shape("t", &topic);
        assert!(
            found.iter().any(|c| c.status == Status::Problem && c.found.ends_with("partition 1")),
            "{found:?}"
        );
    }
}
