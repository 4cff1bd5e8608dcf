//! What happens to topics: every row comes again, partitions are added, a topic is deleted and made anew.
use super::checked;
use crate::{
    PATIENCE,
    broker::{self, total},
    check::{changed, dump},
    fleet::{Replica, SERVICES, tail},
    stack::stack,
    until,
    world::World,
};
use anyhow::ensure;
use consumers::config::Service;

/// All tables again, as `r`, in both of Debezium's ways: nothing in any sink changes.
pub fn snapshot_again(world: &mut World) -> anyhow::Result<String> {
    world.drain()?;
    let before = dump(&world.io, &world.aws, &world.fleet)?;
    let mut came = 0;
    for kind in ["incremental", "blocking"] {
        let logs = |world: &World| -> anyhow::Result<i64> {
            let (analytics, search) =
                (world.group(Service::Analytics)?.ends()?, world.group(Service::Search)?.ends()?);
            Ok(total(&analytics) + total(&search))
        };
        let held = logs(world)?;
        let count = "select (select count(*) from products) + (select count(*) from orders) \
                     + (select count(*) from order_items)";
        let rows: i64 = stack(&["psql", "-Atc", count])?.trim().parse()?;
        let collections = r#"["public.products", "public.orders", "public.order_items"]"#;
        let request = format!(
            "insert into debezium_signal values ('{kind}-{held}', 'execute-snapshot', \
             '{{\"type\": \"{kind}\", \"data-collections\": {collections}}}')"
        );
        stack(&["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", &request])?;
        until(&format!("the {kind} snapshot"), PATIENCE, || Ok(logs(world)? >= held + rows))?;
        world.drain()?;
        came += logs(world)? - held;
        let after = dump(&world.io, &world.aws, &world.fleet)?;
        let changed = changed(&before, &after);
        let some = &changed[..changed.len().min(5)];
        ensure!(changed.is_empty(), "{kind}: {} items changed: {some:#?}", changed.len());
    }
    world.check("snapshot again")?;
    Ok(format!("{came} records came again, {} items and reports are the same", before.len()))
}

/// Halts before anything is applied, says the way forward, and that way works: topics under another prefix, with a
/// snapshot of their own, and a new generation.
pub fn partitions_added(world: &mut World) -> anyhow::Result<String> {
    world.drain()?;
    let before = dump(&world.io, &world.aws, &world.fleet)?;
    world.fleet.scale_all(0)?;
    let topic = format!("{}products", world.fleet.place.topic_prefix);
    broker::add_partitions(&world.io, &topic, 3)?;
    // Connect's producer would notice within five minutes.
    world.stack.kill("connect")?;
    world.stack.up("connect")?;
    world.load.resume();
    let added = |world: &World| -> anyhow::Result<i64> {
        Ok(world.group(Service::Search)?.ends()?.get(&(topic.clone(), 2)).copied().unwrap_or(0))
    };
    until("a row to go to the new partition", PATIENCE, || {
        world.stack.restart_failed_tasks();
        Ok(added(world)? > 0)
    })?;
    world.load.pause()?;
    for service in [Service::Inventory, Service::Search] {
        halts(world, service, &["has 3 partitions", "GENERATION"])?;
    }
    let after = dump(&world.io, &world.aws, &world.fleet)?;
    let changed = changed(&before, &after);
    ensure!(changed.is_empty(), "{} items changed before the halt: {changed:#?}", changed.len());
    stack(&["delete-connector"])?;
    until("the old connector to let go of its slot", PATIENCE, || {
        let drop = "select pg_drop_replication_slot('cdc')";
        Ok(stack(&["psql", "-Atc", drop]).is_ok())
    })?;
    stack(&[
        "create-connector",
        "shop",
        "topic.prefix=again",
        "topic.creation.lines.include=again\\.public\\.order_items",
        "topic.creation.internal.include=again\\.message",
        "slot.name=again",
        "publication.name=again",
    ])?;
    world.load.send_to("again.public.");
    world.deploy(2, "again.public.")?;
    world.load.resume();
    let recovered = world.recover("new generation")?;
    checked(world, "new generation", recovered)
}

/// A service that is started ends with exit code 1 and a sentence with these words.
fn halts(world: &World, service: Service, words: &[&str]) -> anyhow::Result<()> {
    let name = format!("halts-{}", words.join("-").replace(' ', "-").to_lowercase());
    let mut replica = Replica::start(&world.fleet.place, service, &name)?;
    let status = replica.child.wait(PATIENCE)?;
    let last = tail(&replica.log);
    ensure!(status.code() == Some(1), "{}: {status}: {last}", service.name());
    let halt = last.lines().find(|line| line.contains("halted")).unwrap_or_default();
    ensure!(words.iter().all(|word| halt.contains(word)), "{}: {last}", service.name());
    Ok(())
}

/// Shorter than it was, then longer: both times the service halts before it applies anything.
pub fn made_anew(world: &mut World) -> anyhow::Result<String> {
    world.drain()?;
    let before = dump(&world.io, &world.aws, &world.fleet)?;
    for service in SERVICES {
        world.fleet.scale(service, 0)?;
    }
    let topic = format!("{}orders", world.fleet.place.topic_prefix);
    let group = world.group(Service::Analytics)?;
    let stood: Vec<i64> =
        group.ends()?.into_iter().filter(|((name, _), _)| *name == topic).map(|p| p.1).collect();
    ensure!(stood.len() == 2 && stood.iter().all(|end| *end > 0), "{topic} stands at {stood:?}");
    // It would make the topic by itself, with the broker's count of partitions.
    stack(&["down", "connect"])?;
    broker::make_anew(&world.io, &topic, 2)?;
    halts(world, Service::Analytics, &["made anew", "GENERATION"])?;
    let producer = broker::producer()?;
    for (index, end) in stood.iter().enumerate() {
        for n in 0..=*end {
            let key = format!(r#"{{"id":{n}}}"#);
            broker::send(&producer, &topic, Some(i32::try_from(index)?), key.as_bytes(), b"{}")?;
        }
    }
    broker::flush(&producer)?;
    halts(world, Service::Analytics, &["made anew", "GENERATION"])?;
    let after = dump(&world.io, &world.aws, &world.fleet)?;
    let changed = changed(&before, &after);
    ensure!(changed.is_empty(), "{} items changed before the halt: {changed:#?}", changed.len());
    Ok("halts on a shorter and on a longer log; no sink changed".to_owned())
}
