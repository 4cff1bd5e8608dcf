//! Objects as files below a folder. Safe between threads and between processes.
//!
//! A put writes a file of its own below `.tmp`, syncs it, and only then gives it its name, so a crash leaves at most
//! a file in `.tmp` that nobody reads. Puts that look at what is there first hold the lock of `.lock` meanwhile; the
//! system lets go of it when a process dies.
use super::{Object, Objects, Put, Tag, When, bad_name, check_name, digest};
use crate::SinkError;
use anyhow::anyhow;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions, TryLockError},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

const TMP: &str = ".tmp";
const LOCK: &str = ".lock";
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// Longer than any put takes: what is older in `.tmp` was left by a crash.
const LEFTOVER_AGE_MIN: Duration = Duration::from_secs(3600);
const SETTLED_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub struct Dir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Random: processes that share the folder may have the same id, in containers for instance.
    nonce: u64,
    count: AtomicU64,
    /// Folders whose entry in the folder above this process knows to be durable.
    settled: Mutex<HashSet<PathBuf>>,
}

impl Dir {
    /// Makes the folder if need be.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, SinkError> {
        let nonce = RandomState::new().build_hasher().finish();
        let (root, count) = (root.into(), AtomicU64::new(0));
        let inner = Inner { root, nonce, count, settled: Mutex::default() };
        let dir = Self(Arc::new(inner));
        dir.run(|inner| {
            let tmp = inner.root.join(TMP);
            fs::create_dir_all(&tmp).map_err(|e| failed(&tmp, "made", e))?;
            inner.sweep(&tmp);
            Ok(())
        })
        .await?;
        Ok(dir)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, SinkError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let inner = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(e) => Err(SinkError::transient(e)),
        }
    }
}

#[async_trait]
impl Objects for Dir {
    async fn get(&self, name: &str) -> Result<Option<Object>, SinkError> {
        let path = self.0.path(name)?;
        self.run(move |_| read(&path)).await
    }

    async fn put(&self, name: &str, bytes: Bytes, when: When) -> Result<Put, SinkError> {
        let path = self.0.path(name)?;
        self.run(move |inner| inner.put(&path, &bytes, &when)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        let prefix = prefix.to_owned();
        self.run(move |inner| inner.list(&prefix)).await
    }

    async fn delete(&self, name: &str) -> Result<(), SinkError> {
        let path = self.0.path(name)?;
        self.run(move |inner| {
            let _lock = inner.lock()?;
            match fs::remove_file(&path) {
                Ok(()) => inner.settle(&path),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
                Err(e) => Err(failed(&path, "removed", e)),
            }
        })
        .await
    }

    fn address(&self, name: &str) -> String {
        self.0.root.join(name).display().to_string()
    }
}

impl Inner {
    fn path(&self, name: &str) -> Result<PathBuf, SinkError> {
        check_name(name).map_err(|why| bad_name(name, why))?;
        if matches!(name.split('/').next(), Some(TMP | LOCK)) {
            return Err(bad_name(name, "is one that the folder uses itself"));
        }
        Ok(self.root.join(name))
    }

    fn put(&self, path: &Path, bytes: &[u8], when: &When) -> Result<Put, SinkError> {
        let tmp = self.write_aside(bytes)?;
        let done = self.name_it(&tmp, path, bytes, when);
        // Gone already where it was renamed, otherwise of no use any more. Nobody else's has this name.
        let _ = fs::remove_file(&tmp);
        done
    }

    /// A synced file below `.tmp`; on failure nothing is left there.
    fn write_aside(&self, bytes: &[u8]) -> Result<PathBuf, SinkError> {
        let folder = self.root.join(TMP);
        fs::create_dir_all(&folder).map_err(|e| failed(&folder, "made", e))?;
        let (tmp, mut file) = loop {
            let count = self.count.fetch_add(1, Ordering::Relaxed);
            let tmp = folder.join(format!("{}-{:016x}-{count}", std::process::id(), self.nonce));
            match OpenOptions::new().write(true).create_new(true).open(&tmp) {
                Ok(file) => break (tmp, file),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(failed(&tmp, "made", e)),
            }
        };
        if let Err(e) = file.write_all(bytes).and_then(|()| file.sync_all()) {
            let _ = fs::remove_file(&tmp);
            return Err(failed(&tmp, "written", e));
        }
        Ok(tmp)
    }

    fn name_it(
        &self,
        tmp: &Path,
        path: &Path,
        bytes: &[u8],
        when: &When,
    ) -> Result<Put, SinkError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|e| failed(folder, "made", e))?;
        }
        if *when == When::IfAbsent {
            match fs::hard_link(tmp, path) {
                Ok(()) => return self.finish(path, bytes),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => return self.meet(path, bytes),
                // A file system without hard links: look and rename under the lock, as everybody there does.
                Err(e)
                    if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                }
                Err(e) => return Err(failed(path, "made", e)),
            }
        }
        let _lock = self.lock()?;
        let holds = match when {
            When::Always => true,
            When::IfAbsent => read(path)?.is_none(),
            When::IfMatch(tag) => read(path)?.is_some_and(|object| object.tag == *tag),
        };
        if !holds {
            return self.meet(path, bytes);
        }
        fs::rename(tmp, path).map_err(|e| failed(path, "replaced", e))?;
        self.finish(path, bytes)
    }

    fn finish(&self, path: &Path, bytes: &[u8]) -> Result<Put, SinkError> {
        self.settle(path)?;
        Ok(Put::Done(Tag(digest(bytes))))
    }

    /// The condition does not hold. What is there may be of an earlier try, which may have ended before it settled.
    fn meet(&self, path: &Path, bytes: &[u8]) -> Result<Put, SinkError> {
        self.settle(path)?;
        match read(path)? {
            Some(object) if object.bytes == bytes => Ok(Put::Done(object.tag)),
            _ => Ok(Put::Held),
        }
    }

    /// Makes the entry of this file durable, and those of the folders above it, up to the root.
    fn settle(&self, path: &Path) -> Result<(), SinkError> {
        let sync = |folder: &Path| {
            File::open(folder).and_then(|f| f.sync_all()).map_err(|e| failed(folder, "synced", e))
        };
        let mut folder = path.parent().unwrap_or(&self.root);
        sync(folder)?;
        while folder != self.root
            && let Some(above) = folder.parent()
        {
            if self.settled().contains(folder) {
                break;
            }
            sync(above)?;
            let mut settled = self.settled();
            if settled.len() >= SETTLED_MAX {
                settled.clear();
            }
            settled.insert(folder.to_owned());
            folder = above;
        }
        Ok(())
    }

    fn settled(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held until dropped, or until this process ends.
    fn lock(&self) -> Result<File, SinkError> {
        let path = self.root.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| failed(&path, "made", e))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(e)) => return Err(failed(&path, "locked", e)),
                Err(TryLockError::WouldBlock) if begun.elapsed() > LOCK_WAIT_MAX => {
                    return Err(SinkError::transient(anyhow!(
                        "another process has held {} for {} s; find it with `fuser`, and end it if it hangs",
                        path.display(),
                        LOCK_WAIT_MAX.as_secs()
                    )));
                }
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, SinkError> {
        let (mut names, mut todo) = (Vec::new(), vec![String::new()]);
        while let Some(folder) = todo.pop() {
            let at = self.root.join(&folder);
            let entries = match fs::read_dir(&at) {
                Ok(entries) => entries,
                Err(e) if matches!(e.kind(), ErrorKind::NotFound) => continue,
                Err(e) => return Err(failed(&at, "listed", e)),
            };
            for entry in entries {
                let entry = entry.map_err(|e| failed(&at, "listed", e))?;
                // A name that is not UTF-8 is none of ours.
                let Ok(last) = entry.file_name().into_string() else { continue };
                if folder.is_empty() && matches!(last.as_str(), TMP | LOCK) {
                    continue;
                }
                let name = format!("{folder}{last}");
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => {
                        let below = format!("{name}/");
                        if below.starts_with(prefix) || prefix.starts_with(&below) {
                            todo.push(below);
                        }
                    }
                    Ok(kind) if kind.is_file() && name.starts_with(prefix) => names.push(name),
                    _ => {}
                }
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Failures are left for the next start: nobody reads what lies here.
    fn sweep(&self, tmp: &Path) {
        let Ok(entries) = fs::read_dir(tmp) else { return };
        for entry in entries.flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).map(|at| at.elapsed());
            if matches!(age, Ok(Ok(age)) if age > LEFTOVER_AGE_MIN) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<Object>, SinkError> {
    match fs::read(path) {
        Ok(bytes) => {
            let tag = Tag(digest(&bytes));
            Ok(Some(Object { bytes: bytes.into(), tag }))
        }
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(failed(path, "read", e)),
    }
}

/// What an operator can do about it decides the class.
fn failed(path: &Path, what: &str, cause: io::Error) -> SinkError {
    let at = path.display();
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            SinkError::Transient(anyhow::Error::new(cause).context(format!(
                "disk is full: {at} cannot be {what}; make room, it goes on by itself"
            )))
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            SinkError::Fatal(anyhow::Error::new(cause).context(format!(
                "{at} cannot be {what}: let this user write there, or name another folder"
            )))
        }
        ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::AlreadyExists => {
            SinkError::Fatal(anyhow::Error::new(cause).context(format!(
                "{at} cannot be {what}: something else has its place; move it away"
            )))
        }
        _ => SinkError::Transient(
            anyhow::Error::new(cause).context(format!("{at} cannot be {what}")),
        ),
    }
}
