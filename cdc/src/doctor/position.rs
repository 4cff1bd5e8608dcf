//! Where the stored state stands against the logs, and the halts that would come of it. Looks, takes nothing over.
use super::{Patience, report::Check};
use consumers::{
    config::{Config, Sink, State},
    engine::{self, OpenedPartition},
    policy::Policy,
    service,
    source::Bounds,
};
use sinks::{
    Checkpoint, Mark, Partition, SinkError,
    objects::Place,
    state::{refuse_renamed, slatedb::SlateDb, sqlite::Sqlite},
};
use std::{collections::BTreeMap, sync::Arc};

const AREA: &str = "state";

type Stored = BTreeMap<Partition, Checkpoint>;

pub(super) async fn check(
    config: &Arc<Config>,
    bounds: &BTreeMap<Partition, Bounds>,
    patience: Patience,
) -> (Vec<Check>, Vec<(Partition, Mark)>) {
    let label = config.service.name();
    let none = Vec::new();
    let is_ours =
        |partition: &Partition| config.kafka.topics.iter().any(|t| **t == *partition.topic);
    let ours: BTreeMap<Partition, Bounds> = bounds
        .iter()
        .filter(|(partition, _)| is_ours(partition))
        .map(|(partition, bounds)| (partition.clone(), *bounds))
        .collect();
    if config.sink.is_in_aws() && config.state == State::Memory {
        return (vec![Check::skipped(AREA, label, "STATE=memory keeps nothing")], none);
    }
    let fix = "see the sentence; a new GENERATION, with tables and a group of its own, builds everything anew";
    let problem = |found: String, fix: &str| vec![Check::problem(AREA, label, found).fix(fix)];
    match patience.wait(stored(config.clone(), ours.keys().cloned().collect())).await {
        Err(late) => (problem(late, "check STATE, S3_BUCKET and the network"), none),
        Ok(Err(e)) => (problem(e.to_string(), fix), none),
        Ok(Ok(stored)) => {
            let rules = service::fingerprint(config);
            let checks = judge(label, &ours, &stored, &rules, &config.policy, config.generation);
            (checks, marks(&ours, &stored))
        }
    }
}

/// The records applied last that are still in the log: they tell whether it is still the same log.
fn marks(bounds: &BTreeMap<Partition, Bounds>, stored: &Stored) -> Vec<(Partition, Mark)> {
    let one = |(partition, bounds): (&Partition, &Bounds)| {
        let mark = stored.get(partition)?.last.clone()?;
        let is_there = (bounds.begin..bounds.end).contains(&mark.offset);
        is_there.then(|| (partition.clone(), mark))
    };
    bounds.iter().filter_map(one).collect()
}

/// Of a log that holds another record where one was applied.
pub(super) fn made_anew(config: &Config, partition: &Partition, mark: &Mark) -> Check {
    let found = format!("would halt: {}", engine::made_anew(mark.offset));
    Check::problem(AREA, format!("{} {partition}", config.service.name()), found)
        .fix(format!("GENERATION={} with tables and a group of its own", config.generation + 1))
}

async fn stored(config: Arc<Config>, wanted: Vec<Partition>) -> Result<Stored, SinkError> {
    let (generation, service) = (config.generation, config.service.name());
    let file = match &config.sink {
        Sink::Sqlite(file) => Some(file.clone()),
        Sink::Dir(dir) => Some(dir.join(".state.db")),
        Sink::DynamoDb | Sink::Reports => None,
    };
    if let Some(file) = file {
        let peek = tokio::task::spawn_blocking(move || Sqlite::peek(file, generation, service));
        let all = peek.await.map_err(SinkError::transient)??.unwrap_or_default();
        for partition in &wanted {
            refuse_renamed(all.iter().map(|(held, _)| &*held.topic), &partition.topic)?;
        }
        return Ok(all.into_iter().collect());
    }
    let state = match &config.state {
        State::SlateDb(Place::Dir(dir)) if !dir.exists() => return Ok(Stored::new()),
        State::SlateDb(Place::Dir(dir)) => SlateDb::folder(dir, generation, service)?,
        State::SlateDb(Place::S3 { bucket, prefix }) => {
            let store = service::s3_store(bucket, &config.aws).map_err(SinkError::Fatal)?;
            SlateDb::new(store, prefix, generation, service)
        }
        State::Memory | State::InSink => return Ok(Stored::new()),
    };
    let mut found = Stored::new();
    for partition in wanted {
        if let Some(checkpoint) = state.peek(&partition).await? {
            found.insert(partition, checkpoint);
        }
    }
    Ok(found)
}

/// Every halt a line of its own, with the engine's own sentence; what is well in one line.
fn judge(
    label: &str,
    bounds: &BTreeMap<Partition, Bounds>,
    stored: &Stored,
    fingerprint: &str,
    policy: &Policy,
    generation: u64,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let (mut well, mut behind, mut fresh) = (Vec::new(), 0, 0);
    for (partition, bounds) in bounds {
        let checkpoint = stored.get(partition).cloned();
        let (is_first, next) = (checkpoint.is_none(), checkpoint.as_ref().map(|c| c.next));
        let trimmed = checkpoint.as_ref().and_then(|c| c.trimmed);
        let standing = OpenedPartition { checkpoint, bounds: *bounds, start: None };
        match engine::foresee(standing, fingerprint, policy) {
            Err(why) => checks.push(
                Check::problem(AREA, format!("{label} {partition}"), format!("would halt: {why}")).fix(format!(
                    "GENERATION={} with tables and a group of its own, unless the sentence names another way",
                    generation + 1
                )),
            ),
            Ok((_, Some(warning))) => checks.push(
                Check::warning(AREA, format!("{label} {partition}"), warning)
                    .fix("a new Debezium snapshot (an incremental one by signal will do), before or after the start"),
            ),
            Ok(_) if is_first => fresh += 1,
            Ok(_) => {
                let next = next.unwrap_or_default();
                behind += bounds.end - next;
                well.push(format!("{partition} at {next} of {} to {}", bounds.begin, bounds.end));
            }
        }
        if let Some(begin) = trimmed {
            let found = format!(
                "its state was made when the log began at offset {begin}: rows that did not change since are missing"
            );
            checks.push(
                Check::warning(AREA, format!("{label} {partition}"), found)
                    .fix("a new Debezium snapshot, if there was none since"),
            );
        }
    }
    if !well.is_empty() {
        let found = format!("goes on, records behind: {behind} ({})", well.join(", "));
        checks.push(Check::ok(AREA, label, found));
    }
    if fresh > 0 {
        let found =
            format!("nothing stored for {fresh} partition(s): they are read from their beginning");
        checks.push(Check::ok(AREA, label, found));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn found(checkpoint: Option<Checkpoint>, begin: i64, end: i64) -> Vec<Check> {
        let partition = Partition::new("shop.public.orders", 0);
        let bounds = [(partition.clone(), Bounds { begin, end, partitions: 2 })].into();
        let stored = checkpoint.map(|checkpoint| (partition, checkpoint)).into_iter().collect();
        judge("analytics-service", &bounds, &stored, "rules", &Policy::default(), 3)
    }
    fn at(next: i64) -> Checkpoint {
        Checkpoint { next, fingerprint: "rules".into(), partitions: 2, ..Checkpoint::default() }
    }

    #[test]
    fn a_state_within_its_log_goes_on() {
        let checks = found(Some(at(7)), 2, 9);
        assert_eq!(checks.len(), 1, "{checks:?}");
        assert_eq!(checks[0].status, Status::Ok);
        assert!(
            checks[0].found.contains("records behind: 2 (shop.public.orders/0 at 7 of 2 to 9)"),
            "{checks:?}"
        );
        assert_eq!(found(None, 0, 9)[0].status, Status::Ok);
    }

    #[test]
    fn every_halt_is_foreseen_in_the_engines_words() {
        for (checkpoint, begin, end, word) in [
            (at(1), 2, 9, "the log begins at offset 2"),
            (at(10), 0, 9, "the log ends at offset 9"),
            (Checkpoint { partitions: 1, ..at(7) }, 0, 9, "keys have moved"),
            (Checkpoint { fingerprint: "old".into(), ..at(7) }, 0, 9, "other rules or settings"),
        ] {
            let checks = found(Some(checkpoint), begin, end);
            assert_eq!(checks.len(), 1, "{checks:?}");
            assert_eq!(checks[0].status, Status::Problem, "{checks:?}");
            assert!(
                checks[0].found.starts_with("would halt: ") && checks[0].found.contains(word),
                "{checks:?}"
            );
            assert!(
                checks[0].fix.as_deref().unwrap_or_default().starts_with("GENERATION=4"),
                "{checks:?}"
            );
        }
    }

    #[test]
    fn a_trimmed_log_is_a_warning_before_and_after_the_start() {
        for checks in
            [found(None, 5, 9), found(Some(Checkpoint { trimmed: Some(5), ..at(7) }), 5, 9)]
        {
            let warned: Vec<_> = checks.iter().filter(|c| c.status == Status::Warning).collect();
            assert_eq!(warned.len(), 1, "{checks:?}");
            assert!(warned[0].found.contains("at offset 5"), "{checks:?}");
        }
    }
}
