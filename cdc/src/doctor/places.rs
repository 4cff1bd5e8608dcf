//! Where dead letters, reports and state are written: tried with an object of our own, which is removed again.
use super::{Patience, report::Check};
use consumers::{
    config::{Config, Sink, State},
    service,
};

use sinks::{
    SinkError,
    objects::{Bytes, Endpoint, Objects, Place, Put, When},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

const FREE_BYTES_MIN: u64 = 1 << 30;

/// Places by what they are tried as: each once, whichever services use it.
/// `unusable`: buckets that were looked at already, and need no second word.
pub(super) async fn check(
    configs: Vec<Arc<Config>>,
    unusable: &BTreeSet<String>,
    patience: Patience,
) -> Vec<Check> {
    let mut wanted: BTreeMap<(&'static str, String), (Place, Endpoint)> = BTreeMap::new();
    for config in &configs {
        let endpoint = service::endpoint(&config.aws);
        for (what, place) in places_of(config) {
            wanted.entry((what, place.to_string())).or_insert((place, endpoint.clone()));
        }
    }
    let mut checks = Vec::new();
    for ((what, name), (place, endpoint)) in wanted {
        if let Place::S3 { bucket, .. } = &place
            && unusable.contains(bucket)
        {
            checks.push(Check::skipped(
                what,
                name,
                format!("bucket {bucket} cannot be used, see above"),
            ));
            continue;
        }
        let tried = async {
            match &place {
                Place::Dir(dir) => folder(what, &name, dir).await,
                Place::S3 { .. } => match place.open(&endpoint).await {
                    Ok(objects) => vec![tell(what, &name, probe(&*objects).await)],
                    Err(e) => vec![tell(what, &name, Err(e.into()))],
                },
            }
        };
        match patience.wait(tried).await {
            Ok(found) => checks.extend(found),
            Err(late) => checks.push(tell(what, &name, Err(Trouble::text(late)))),
        }
    }
    checks
}

fn places_of(config: &Config) -> Vec<(&'static str, Place)> {
    let mut places = vec![("dlq", config.dlq.clone())];
    match &config.sink {
        Sink::Sqlite(file) => {
            let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty());
            places.push(("sink", Place::Dir(dir.unwrap_or(Path::new(".")).to_owned())));
        }
        Sink::Dir(dir) => places.push(("sink", Place::Dir(dir.clone()))),
        Sink::DynamoDb | Sink::Reports => {
            match &config.state {
                State::SlateDb(Place::S3 { bucket, prefix }) => {
                    let prefix = format!("{prefix}/state/{}", config.service.name());
                    let prefix = prefix.trim_matches('/').to_owned();
                    places.push(("state", Place::S3 { bucket: bucket.clone(), prefix }));
                }
                State::SlateDb(dir) => places.push(("state", dir.clone())),
                State::Memory | State::InSink => {}
            }
            if let (Sink::Reports, Some(bucket)) = (&config.sink, &config.aws.bucket) {
                let prefix = "reports".to_owned();
                places.push(("reports", Place::S3 { bucket: bucket.clone(), prefix }));
            }
        }
    }
    places
}

/// What went wrong, and what to do, where it is not in the text.
struct Trouble {
    text: String,
    fix: Option<&'static str>,
}
impl Trouble {
    fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), fix: None }
    }
}
impl From<SinkError> for Trouble {
    fn from(e: SinkError) -> Self {
        Self::text(e.to_string())
    }
}

fn tell(what: &'static str, name: &str, tried: Result<(), Trouble>) -> Check {
    let usual = match what {
        "dlq" => "DLQ: let this user, or role, read and write there, or name another place",
        "state" => "STATE: let this user, or role, read and write there, or name another place",
        "reports" => "S3_BUCKET: let this role read and write there, or name another bucket",
        _ => "SINK: let this user write there, or name another place",
    };
    match tried {
        Ok(()) => Check::ok(what, name, "put, conditional put, get, list and delete work"),
        Err(Trouble { text, fix }) => Check::problem(what, name, text).fix(fix.unwrap_or(usual)),
    }
}

/// Puts an object, tries everything that a run does to one, and removes it whatever happened.
async fn probe(objects: &dyn Objects) -> Result<(), Trouble> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!(".doctor/{}-{}", std::process::id(), since.as_nanos());
    let tried = try_all(objects, &name).await;
    let removed = objects.delete(&name).await;
    tried?;
    removed?;
    match objects.get(&name).await? {
        None => Ok(()),
        Some(_) => Err(Trouble::text(format!(
            "{} was deleted, and is still there",
            objects.address(&name)
        ))),
    }
}

async fn try_all(objects: &dyn Objects, name: &str) -> Result<(), Trouble> {
    let [one, two, three] = [&b"1"[..], b"2", b"3"].map(Bytes::from_static);
    let unconditional = || Trouble {
        text: "the store does not keep the conditions of puts (If-None-Match, If-Match)".to_owned(),
        fix: Some("use S3, or a store with conditional puts: without them results are not exact"),
    };
    let Put::Done(first) = objects.put(name, one.clone(), When::IfAbsent).await? else {
        return Err(Trouble::text(format!("{} is there already", objects.address(name))));
    };
    if objects.put(name, two.clone(), When::IfAbsent).await? != Put::Held {
        return Err(unconditional());
    }
    let there = objects.get(name).await?;
    if there.map(|object| object.bytes) != Some(one) {
        return Err(Trouble::text(format!(
            "{} reads other than it was written",
            objects.address(name)
        )));
    }
    let Put::Done(_) = objects.put(name, two, When::IfMatch(first.clone())).await? else {
        return Err(unconditional());
    };
    if objects.put(name, three, When::IfMatch(first)).await? != Put::Held {
        return Err(unconditional());
    }
    let names = objects.list(".doctor/").await?;
    if !names.iter().any(|listed| listed == name) {
        return Err(Trouble::text(format!("{} is not listed", objects.address(name))));
    }
    Ok(())
}

/// A folder is tried below the first folder above it that is there, so that nothing of a run's is made.
async fn folder(what: &'static str, name: &str, dir: &Path) -> Vec<Check> {
    let above = dir.to_owned();
    let at = match tokio::task::spawn_blocking(move || nearest(&above)).await {
        Ok(Ok(at)) => at,
        Ok(Err(why)) => return vec![tell(what, name, Err(Trouble::text(why)))],
        Err(e) => return vec![tell(what, name, Err(Trouble::text(e.to_string())))],
    };
    let tried = async {
        let made = tempfile::Builder::new().prefix(".cdc-doctor-").tempdir_in(&at);
        let probed =
            made.map_err(|e| Trouble::text(format!("{} cannot be written to: {e}", at.display())))?;
        let objects = Place::Dir(probed.path().to_owned()).open(&Endpoint::default()).await?;
        probe(&*objects).await
    };
    let mut check = tell(what, name, tried.await);
    if check.fix.is_none() && at != dir {
        check.found.push_str("; the folder will be made at the first start");
    }
    let space = tokio::task::spawn_blocking(move || free_bytes(&at)).await;
    let free = space.ok().flatten().map(|bytes| space_left(what, name, bytes));
    std::iter::once(check).chain(free).collect()
}

fn space_left(what: &'static str, name: &str, bytes: u64) -> Check {
    let found = format!("{:.1} GiB free", bytes as f64 / f64::from(1 << 30));
    if bytes >= FREE_BYTES_MIN {
        return Check::ok(what, name, found);
    }
    Check::warning(what, name, found)
        .fix("make room: a full disk stops everything until there is some")
}

fn nearest(dir: &Path) -> Result<PathBuf, String> {
    let dir = std::path::absolute(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    for above in dir.ancestors() {
        match above.metadata() {
            Ok(found) if found.is_dir() => return Ok(above.to_owned()),
            Ok(_) => {
                return Err(format!("{} is a file, no folder can be made there", above.display()));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(format!("{} cannot be looked at: {e}", above.display())),
        }
    }
    Err(format!("nothing above {} is there", dir.display()))
}

/// As `df` says it; `None`: not known.
fn free_bytes(dir: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(dir).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kib: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    kib.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn tried(dir: &Path) -> Vec<Check> {
        let io =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        io.block_on(folder("dlq", "dir:x", dir))
    }

    #[test]
    fn a_folder_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        for (at, word) in
            [(dir.path().to_owned(), "work"), (dir.path().join("a/b"), "will be made")]
        {
            let checks = tried(&at);
            assert_eq!(checks[0].status, Status::Ok, "{checks:?}");
            assert!(checks[0].found.contains(word), "{checks:?}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "nothing is left");
    }

    #[test]
    fn a_file_in_the_way_is_a_problem() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        for at in [file.clone(), file.join("dlq")] {
            let checks = tried(&at);
            assert_eq!((checks.len(), checks[0].status), (1, Status::Problem), "{checks:?}");
            assert!(
                checks[0].fix.as_deref().is_some_and(|fix| fix.starts_with("DLQ: ")),
                "{checks:?}"
            );
        }
    }

    #[test]
    fn little_room_is_a_warning() {
        assert_eq!(space_left("dlq", "x", FREE_BYTES_MIN).status, Status::Ok);
        assert_eq!(space_left("dlq", "x", FREE_BYTES_MIN - 1).status, Status::Warning);
    }
}
