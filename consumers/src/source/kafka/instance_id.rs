//! The name under which a process is a static member of its group (`group.instance.id`): a process that is killed and
//! started again at the same place is known at once, and nobody waits for the session of the dead one to end.
//!
//! Kafka fences the older of two processes of one name, so a name must never be had twice. Ours says which kernel (the
//! boot's id), which network namespace of it (a container's, a pod's, or the machine's), and which number there. A
//! number is held by a socket of that number in that namespace, which the kernel takes back in the moment in which the
//! process ends, however it ends. A process that is stopped holds its number, and another one gets the next.
//!
//! Where one of the three is unknown (no Linux, a sandbox that hides them) a process is a member under a new name each
//! time, as it is if it shall be: `group.instance.id` set to `none`.

/// Processes of one group in one network namespace; more than that join under new names.
const NUMBERS: usize = 256;

/// A name in a group, ours as long as this value lives.
pub(super) struct Membership {
    pub id: String,
    _held: imp::Held,
}

impl Membership {
    pub fn take(group: &str) -> Option<Self> {
        let place = imp::place()?;
        let (number, held) = (0..NUMBERS).find_map(|n| Some((n, imp::hold(group, n)?)))?;
        Some(Self { id: format!("{place}-{number}"), _held: held })
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::{
        fs,
        os::{
            linux::net::SocketAddrExt as _,
            unix::net::{SocketAddr, UnixListener},
        },
    };

    pub type Held = UnixListener;

    /// Host, boot, network namespace. The host's name is for people, and for machines that are copied while they run.
    pub fn place() -> Option<String> {
        let read = |path| fs::read_to_string(path).ok();
        let host = read("/proc/sys/kernel/hostname").unwrap_or_default();
        let boot = read("/proc/sys/kernel/random/boot_id")?;
        let namespace = fs::read_link("/proc/self/ns/net").ok()?;
        let namespace = namespace.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?;
        let name = |text: &str| -> String {
            let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
            text.trim().chars().map(plain).take(63).collect()
        };
        Some(format!("{}-{}-{}", name(&host), name(&boot), name(namespace)))
    }

    /// In the namespace's own list of names, not in a folder: there it leaves nothing behind. The kernel takes 107 bytes;
    /// groups that are equal up to there share their numbers, which does no harm.
    pub fn hold(group: &str, number: usize) -> Option<Held> {
        let name = format!("cdc-member-{number}-{group}");
        let name = &name.as_bytes()[..name.len().min(107)];
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).ok()?).ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub enum Held {}

    pub fn place() -> Option<String> {
        None
    }

    pub fn hold(_group: &str, _number: usize) -> Option<Held> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::Membership;
    use std::collections::HashSet;

    #[test]
    fn a_name_is_had_once_and_comes_back_to_the_next_one_in_its_place() {
        let take = |group| Membership::take(group).expect("Linux tells all of it");
        let members: Vec<_> = (0..5).map(|_| take("membership-test")).collect();
        let ids: HashSet<_> = members.iter().map(|member| member.id.clone()).collect();
        assert_eq!(ids.len(), 5);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        assert!(ids.iter().all(|id| id.len() <= 249 && id.chars().all(allowed)), "{ids:?}");
        let mut members = members.into_iter();
        let (first, second) = (members.next().expect("five"), members.next().expect("five"));
        let freed = second.id.clone();
        drop(second);
        assert_eq!(take("membership-test").id, freed);
        assert_eq!(take("membership-test-of-another-group").id, first.id);
        let long = "g".repeat(249);
        let (one, other) = (take(&long), take(&long));
        assert_ne!(one.id, other.id);
    }
}
