//! Scaled, with the pauses measured; and told to stop.
use super::checked;
use crate::{
    PATIENCE,
    broker::{Group, total},
    fleet::{Place, Replica, SERVICES, records_read, tail},
    pauses::{Pauses, Watch},
    until,
    world::World,
};
use anyhow::ensure;
use consumers::config::Service;
use std::time::Instant;

/// 1 -> 3 -> 1 -> 3. Partitions that stay with their owner go on meanwhile.
pub fn scaled(world: &mut World) -> anyhow::Result<String> {
    world.load.resume();
    world.fleet.scale_all(1)?;
    world.recover("scaled down")?;
    let still = watched(world, |_| Ok(()))?;
    let up = watched(world, |world| world.fleet.scale_all(3))?;
    let down = watched(world, |world| world.fleet.scale_all(1))?;
    world.fleet.scale_all(3)?;
    let recovered = world.recover("scaled up")?;
    ensure!(up.count_moved > 0, "no partition moved");
    let text = |p: Pauses| {
        format!(
            "{:.1} s for {} that stayed, {:.1} s for {} that moved",
            p.stayed, p.count_stayed, p.moved, p.count_moved
        )
    };
    let said = checked(world, "scaled", recovered)?;
    Ok(format!(
        "longest without an acknowledgement: nothing done {:.1} s; 1 -> 3 {}; 3 -> 1 {}; {said}",
        still.stayed.max(still.moved),
        text(up),
        text(down)
    ))
}

fn watched(
    world: &mut World,
    change: impl FnOnce(&mut World) -> anyhow::Result<()>,
) -> anyhow::Result<Pauses> {
    let watch = Watch::start(&world.fleet.place)?;
    change(world)?;
    // Everybody who came has joined, or whoever went has been replaced.
    world.recover("scaled")?;
    for service in SERVICES {
        let wanted = world.fleet.count(service).min(world.fleet.place.topics(service).len() * 2);
        until("every replica to have partitions", PATIENCE, || {
            let replicas = world.fleet.replicas.iter().filter(|r| r.service == service);
            let busy = replicas.filter(|r| {
                crate::fleet::lines(&r.log).iter().any(|line| {
                    line["message"] == "assigned" && line["partitions"].as_str() != Some("")
                })
            });
            Ok(busy.count() >= wanted)
        })?;
    }
    world.recover("scaled")?;
    watch.end(&world.fleet.logs)
}

/// SIGTERM in the middle of a backlog, to one replica alone, with the usual grace: everything begun is durable and
/// acknowledged, what was read ahead is given back, and the next start applies the rest, not one record twice.
pub fn terminated(world: &mut World) -> anyhow::Result<String> {
    let place = Place {
        unique: format!("{}-term", world.unique),
        bucket: format!("{}-term", world.unique),
        ..world.fleet.place.clone()
    };
    let service = Service::Inventory;
    world.aws.prepare(&world.io, &place)?;
    let group = Group::new(&place.group(service), place.topics(service))?;
    let start = |name: &str| {
        let mut args = place.arguments(service);
        args.extend(["--batch-records", "20"].map(str::to_owned));
        Replica::start_with(service, &args, place.logs.join(format!("terminated-{name}.log")))
    };
    world.load.resume();
    let mut first = start("first")?;
    until("the first records to be acknowledged", PATIENCE, || {
        first.check()?;
        Ok(total(&group.committed()?) > 0)
    })?;
    let left = total(&group.ends()?) - total(&group.committed()?);
    let begun = Instant::now();
    first.child.signal("TERM")?;
    let status = first.child.wait(PATIENCE)?;
    let seconds = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "SIGTERM: {status}: {}", tail(&first.log));
    ensure!(tail(&first.log).contains("everything begun is durable"), "{}", tail(&first.log));
    let ((read, back), acknowledged) = (records_read(&first.log), total(&group.committed()?));
    ensure!(
        i64::try_from(read - back)? == acknowledged,
        "{read} records were read, {back} given back, {acknowledged} are acknowledged"
    );
    let mut second = start("second")?;
    world.load.pause()?;
    world.stack.settle(&world.io, PATIENCE)?;
    let ends = group.ends()?;
    until("the second run to reach the end", PATIENCE, || {
        second.check()?;
        Ok(total(&group.committed()?) == total(&ends))
    })?;
    second.child.signal("TERM")?;
    let status = second.child.wait(PATIENCE)?;
    ensure!(status.success(), "SIGTERM: {status}: {}", tail(&second.log));
    let ((again, _), log) = (records_read(&second.log), total(&ends));
    ensure!(
        i64::try_from(read - back + again)? == log,
        "{read} less {back}, and {again} records were applied, the log has {log}"
    );
    Ok(format!(
        "exit code 0 after {seconds:.1} s with {left} records waiting; {read} read, {back} given back, {again} read \
         after it: {log} in the log"
    ))
}
