//! The disk of the DLQ's folder is full.
use crate::{
    PATIENCE,
    broker::{Group, reached},
    check::{Truth, letters},
    fleet::{Replica, tail, views},
    load::Poison,
    stack::KAFKA,
    until,
    world::World,
};
use anyhow::{Context, ensure};
use consumers::config::Service;
use sinks::{
    objects::{Endpoint, Place},
    state::sqlite::Sqlite,
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A small disk of its own; unmounted when dropped.
struct Disk(PathBuf);
impl Disk {
    fn mount(at: PathBuf) -> anyhow::Result<Option<Self>> {
        std::fs::create_dir_all(&at)?;
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"])
            .arg(&at)
            .output();
        Ok(done.is_ok_and(|out| out.status.success()).then_some(Self(at)))
    }
    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
    /// To the last byte.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.filler())?;
        while file.write_all(&[0; 512]).is_ok() {}
        Ok(())
    }
}
impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn arguments(world: &World, dir: &Path, letters: &Path) -> Vec<String> {
    let text = |name: &str, value: String| [format!("--{name}"), value];
    [
        text("kafka-bootstrap-servers", KAFKA.to_owned()),
        text("kafka-group-id", format!("{}-disk", world.unique)),
        text("topic-prefix", world.fleet.place.topic_prefix.clone()),
        text("ack-interval-seconds", "1".to_owned()),
        text("sink", format!("sqlite:{}", dir.join("disk.db").display())),
        text("dlq", format!("dir:{}", letters.display())),
        text("log-format", "json".to_owned()),
    ]
    .concat()
}

/// The partition of the letter stands before its record for as long as the letter cannot be written.
pub fn full(world: &mut World) -> anyhow::Result<String> {
    let dir = world.fleet.place.logs.join("disk");
    let place = dir.join("letters");
    let Some(disk) = Disk::mount(place.clone())? else {
        return Ok("left out: no tmpfs can be mounted here".to_owned());
    };
    let service = Service::Inventory;
    let group = Group::new(&format!("{}-disk", world.unique), world.fleet.place.topics(service))?;
    let args = arguments(world, &dir, &place);
    let mut replica = Replica::start_with(service, &args, world.fleet.place.logs.join("disk.log"))?;
    world.drain()?;
    let before = group.ends()?;
    caught_up(&mut replica, &group, &before)?;
    disk.fill()?;
    for n in 0..8 {
        world.load.send_poison(["products", "order_items"][n / 4])?;
    }
    world.load.flush()?;
    let poisoned: Vec<_> = group
        .ends()?
        .into_iter()
        .filter(|(partition, end)| before.get(partition).is_some_and(|before| end > before))
        .map(|(partition, _)| partition)
        .collect();
    ensure!(poisoned.len() >= 2, "poison in {poisoned:?}");
    world.load.resume();
    until("the service to say that the disk is full", PATIENCE, || {
        replica.check()?;
        Ok(std::fs::read_to_string(&replica.log)?.contains("No space left"))
    })?;
    world.recover("DLQ disk full, other services")?;
    let at = group.committed()?;
    for partition in &poisoned {
        ensure!(at[partition] <= before[partition], "{partition:?} moved past a lost letter");
    }
    std::fs::remove_file(disk.filler())?;
    world.drain()?;
    caught_up(&mut replica, &group, &group.ends()?)?;
    replica.child.signal("TERM")?;
    let status = replica.child.wait(PATIENCE)?;
    ensure!(status.success(), "SIGTERM: {status}: {}", tail(&replica.log));
    let found = exact(world, &dir, &place)?;
    drop(disk);
    world.check("disk full")?;
    let count = poisoned.len();
    Ok(format!("{count} partitions stood; {found} letters once each after space was made"))
}

fn caught_up(
    replica: &mut Replica,
    group: &Group,
    ends: &crate::broker::Positions,
) -> anyhow::Result<()> {
    until("the service with the small disk to catch up", PATIENCE, || {
        replica.check()?;
        Ok(reached(&group.committed()?, ends))
    })
}

/// Its letters, each once, and its views.
fn exact(world: &World, dir: &Path, place: &Path) -> anyhow::Result<usize> {
    let service = Service::Inventory;
    let topics = world.fleet.place.topics(service);
    let poison = world.load.poison();
    let mut expected: Vec<Poison> =
        poison.into_iter().filter(|poison| topics.contains(&poison.topic)).collect();
    expected.sort();
    let objects = world.io.block_on(Place::Dir(place.to_owned()).open(&Endpoint::default()))?;
    let mut found: Vec<Poison> =
        letters(&world.io, &*objects)?.into_iter().map(|letter| letter.1).collect();
    found.sort();
    ensure!(found == expected, "{} letters for {} poison records", found.len(), expected.len());
    let truth = Truth::read(&world.stack.views()?)?;
    let store = Sqlite::open(dir.join("disk.db"), 1, service.name(), views(service))?;
    for view in views(service) {
        let rows = world.io.block_on(store.rows(view.name)).context("the file's rows")?;
        let differences = truth.answers().compare(&view, &rows)?;
        ensure!(differences.is_empty(), "{:#?}", &differences[..differences.len().min(8)]);
    }
    Ok(found.len())
}
