//! One fault, held for a while, healed, and the time until all is caught up. Scenarios and the random schedule are
//! made of these.
use crate::{
    fleet::SERVICES,
    proxy::{Fault, Target},
    world::World,
};
use consumers::config::Service;
use std::{fmt, thread, time::Duration};

/// Longer than the session timeout of 6 s.
pub const ZOMBIE_S: u64 = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// SIGKILL; `awaited`: the others have taken over before it comes back.
    Kill {
        service: Service,
        which: usize,
        awaited: bool,
    },
    /// SIGKILL of every replica of a service at once.
    KillAll {
        service: Service,
    },
    /// Stopped for longer than the session timeout while the others take over.
    Zombie {
        service: Service,
        which: usize,
    },
    /// All replicas of a service, so that nobody takes over.
    ZombieAll {
        service: Service,
    },
    /// Down to one replica and up again.
    Scale {
        service: Service,
    },
    /// SIGKILL; down for some seconds.
    Down {
        component: Component,
        seconds: u64,
    },
    Sink {
        target: Option<Target>,
        fault: Fault,
        seconds: u64,
    },
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    Kafka,
    Connect,
    Postgres,
}
impl Component {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Connect => "connect",
            Self::Postgres => "postgres",
        }
    }
}

impl Attack {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "replica killed",
            Self::KillAll { .. } => "all replicas killed",
            Self::Zombie { .. } => "zombie, taken over",
            Self::ZombieAll { .. } => "zombies, not taken over",
            Self::Scale { .. } => "scaled",
            Self::Down { component: Component::Kafka, .. } => "Kafka killed",
            Self::Down { component: Component::Connect, .. } => "Connect killed",
            Self::Down { component: Component::Postgres, .. } => "PostgreSQL killed",
            Self::Sink { fault, .. } => match fault {
                Fault::Throttle { .. } => "sink throttled",
                Fault::Slow(_) => "sink slow",
                Fault::Cut => "sink cut off",
                Fault::LoseAnswers { .. } => "answers lost",
                Fault::HalveAnswers { .. } => "answers halved",
                Fault::ServerErrors { .. } => "sink errors",
                Fault::Stall => "sink stalled",
                Fault::Reset => "connections reset",
                _ => "sink",
            },
        }
    }

    /// Under load; everything is healed and caught up on return. Seconds of the recovery.
    pub fn carry_out(&self, world: &mut World) -> anyhow::Result<f64> {
        world.load.resume();
        match *self {
            Self::Kill { service, which, awaited } => {
                let all = world.fleet.of(service);
                world.fleet.kill(all[which % all.len()])?;
                if awaited {
                    world.recover("replica killed, taken over")?;
                }
                world.fleet.start(service)?;
            }
            Self::KillAll { service } => {
                while let Some(at) = world.fleet.of(service).first() {
                    world.fleet.kill(*at)?;
                }
                world.fleet.scale(service, 3)?;
            }
            Self::Zombie { service, which } => {
                let all = world.fleet.of(service);
                let at = all[which % all.len()];
                world.fleet.replicas[at].child.signal("STOP")?;
                hold(ZOMBIE_S);
                // The others have its partitions by now; it does not know.
                world.fleet.replicas[at].child.signal("CONT")?;
            }
            Self::ZombieAll { service } => {
                let all = world.fleet.of(service);
                let to_all = |world: &World, signal| {
                    all.iter().try_for_each(|at| world.fleet.replicas[*at].child.signal(signal))
                };
                to_all(world, "STOP")?;
                hold(ZOMBIE_S);
                to_all(world, "CONT")?;
            }
            Self::Scale { service } => {
                world.fleet.scale(service, 1)?;
                world.recover("scaled down")?;
                world.fleet.scale(service, 3)?;
            }
            Self::Down { component, seconds } => {
                world.stack.kill(component.name())?;
                hold(seconds);
                world.stack.up(component.name())?;
            }
            Self::Sink { target, fault, seconds } => {
                match target {
                    Some(target) => world.proxy.set_for(target, fault),
                    None => world.proxy.set(fault),
                }
                hold(seconds);
                world.proxy.set(Fault::None);
            }
        }
        world.faults.entry(self.kind()).and_modify(|n| *n += 1).or_insert(1);
        world.recover(self.kind())
    }
}

/// How long a fault lasts; nothing is concluded from it.
fn hold(seconds: u64) {
    thread::sleep(Duration::from_secs(seconds));
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match self {
            Self::Kill { service, which, awaited } => {
                let how = if *awaited { ", taken over" } else { "" };
                write!(f, ": {} {which}{how}", service.name())
            }
            Self::Zombie { service, which } => write!(f, ": {} {which}", service.name()),
            Self::KillAll { service } | Self::ZombieAll { service } | Self::Scale { service } => {
                write!(f, ": {}", service.name())
            }
            Self::Down { seconds, .. } => write!(f, ": {seconds} s"),
            Self::Sink { target, fault, seconds } => {
                let target = target.map_or("all".to_owned(), |target| format!("{target:?}"));
                write!(f, ": {target}, {fault:?}, {seconds} s")
            }
        }
    }
}

/// Every kind that a random schedule may hold, with chosen targets and durations.
pub fn choose(rng: &mut crate::rng::Rng) -> Attack {
    let service = SERVICES[rng.pick(SERVICES.len())];
    let (which, seconds) = (rng.pick(3), 3 + rng.below(8));
    let target = [None, Some(Target::DynamoDb), Some(Target::S3)][rng.pick(3)];
    let percent = [20, 50, 80][rng.pick(3)];
    let sink = |fault| Attack::Sink { target, fault, seconds };
    let down = |component| Attack::Down { component, seconds };
    match rng.below(16) {
        0 | 1 => Attack::Kill { service, which, awaited: rng.one_in(2) },
        2 => Attack::KillAll { service },
        3 => Attack::Zombie { service, which },
        4 => Attack::ZombieAll { service },
        5 => Attack::Scale { service },
        6 => down(Component::Kafka),
        7 => down(Component::Connect),
        8 => down(Component::Postgres),
        9 => sink(Fault::Throttle { percent }),
        10 => sink(Fault::Slow(500 + 500 * rng.below(5))),
        11 => sink(Fault::Cut),
        12 => sink(Fault::LoseAnswers { percent: percent.min(50) }),
        13 => sink(Fault::HalveAnswers { percent: percent.min(50) }),
        14 => sink(Fault::ServerErrors { percent }),
        _ => sink(Fault::Stall),
    }
}
