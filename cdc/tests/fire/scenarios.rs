//! What is done to it. Each scenario runs under load, heals what it broke, waits until all is caught up, and checks.
mod disk;
mod processes;
mod slot;
mod topics;

use crate::{
    attacks::{Attack, Component},
    fleet::SERVICES,
    proxy::{Fault, Target},
    world::World,
};

type Scenario = fn(&mut World) -> anyhow::Result<String>;

/// In the order in which they run: the last ones end what came before.
pub const ALL: &[(&str, Scenario)] = &[
    ("killed", killed),
    ("zombie", zombie),
    ("scaled", processes::scaled),
    ("kafka", |world| down(world, Component::Kafka)),
    ("connect", |world| down(world, Component::Connect)),
    ("postgres", |world| down(world, Component::Postgres)),
    ("throttled", |world| sink(world, Fault::Throttle { percent: 60 })),
    ("slow", |world| sink(world, Fault::Slow(1_500))),
    ("cut", |world| sink(world, Fault::Cut)),
    ("answers-lost", |world| sink(world, Fault::LoseAnswers { percent: 30 })),
    ("disk-full", disk::full),
    ("terminated", processes::terminated),
    ("snapshot-again", topics::snapshot_again),
    ("slot-lost", slot::lost),
    ("partitions-added", topics::partitions_added),
    ("topic-made-anew", topics::made_anew),
];

/// Checks, and says in one line what was seen.
fn checked(world: &mut World, name: &str, recovered: f64) -> anyhow::Result<String> {
    world.check(name)?;
    let seen = &world.seen;
    Ok(format!(
        "caught up in {recovered:.1} s; {} transactions so far; {} rows exact, {} letters, {} crossings ({} told again), at least {} \
         duplicates absorbed",
        world.load.transactions(),
        seen.rows,
        seen.letters,
        seen.crossings,
        seen.told_again,
        seen.duplicates
    ))
}

fn all(world: &mut World, name: &str, attacks: &[Attack]) -> anyhow::Result<String> {
    let mut longest = 0f64;
    for attack in attacks {
        longest = longest.max(attack.carry_out(world)?);
    }
    checked(world, name, longest)
}

fn killed(world: &mut World) -> anyhow::Result<String> {
    let mut attacks = vec![];
    for (which, service) in SERVICES.into_iter().enumerate() {
        attacks.push(Attack::Kill { service, which, awaited: which == 0 });
    }
    attacks.push(Attack::KillAll { service: SERVICES[0] });
    all(world, "killed", &attacks)
}

fn zombie(world: &mut World) -> anyhow::Result<String> {
    let [inventory, analytics, _] = SERVICES;
    let attacks = [
        Attack::Zombie { service: inventory, which: 0 },
        Attack::ZombieAll { service: analytics },
        Attack::ZombieAll { service: inventory },
    ];
    all(world, "zombie", &attacks)
}

fn down(world: &mut World, component: Component) -> anyhow::Result<String> {
    all(world, component.name(), &[Attack::Down { component, seconds: 3 }])
}

/// Both targets, then one alone.
fn sink(world: &mut World, fault: Fault) -> anyhow::Result<String> {
    let on = |target, seconds| Attack::Sink { target, fault, seconds };
    let attacks = [on(None, 6), on(Some(Target::DynamoDb), 4), on(Some(Target::S3), 4)];
    all(world, attacks[0].kind(), &attacks)
}
