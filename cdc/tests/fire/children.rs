//! Child processes that never outlive this one: ended when dropped, at SIGINT and SIGTERM, and by the kernel should this
//! process be killed itself (`setpriv`, where it is installed).
use anyhow::Context;
use std::{
    collections::BTreeSet,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SIGKILL for all of them, with whatever they started.
pub fn end_all() {
    for pid in running().iter() {
        let _ = signal(&format!("-{pid}"), "KILL");
    }
}

fn signal(pid: &str, name: &str) -> anyhow::Result<()> {
    let status = Command::new("kill").args([&format!("-{name}"), "--", pid]).status()?;
    anyhow::ensure!(status.success(), "no SIG{name} for {pid}");
    Ok(())
}

pub struct Child {
    child: std::process::Child,
}
impl Child {
    /// In a process group of its own. Both outputs go to `log`.
    pub fn start(
        program: &str,
        args: &[String],
        env: &[(&str, &str)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = std::fs::File::create(log).with_context(|| format!("{}", log.display()))?;
        let guard = Command::new("setpriv").arg("--version").stdout(Stdio::null()).status();
        let mut command = match guard {
            Ok(status) if status.success() => {
                let mut guarded = Command::new("setpriv");
                guarded.args(["--pdeathsig", "KILL", "--", program]);
                guarded
            }
            _ => Command::new(program),
        };
        command.args(args).envs(env.iter().copied()).process_group(0);
        // They would count more than the flag that names the proxy.
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_DYNAMODB"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("{program} cannot be started"))?;
        running().insert(child.id());
        Ok(Self { child })
    }
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
    /// `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        signal(&self.pid().to_string(), name)
    }
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        running().remove(&self.pid());
        Ok(())
    }
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            running().remove(&self.pid());
        }
        Ok(status)
    }
    pub fn wait(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        let mut status = None;
        crate::until("a process to end", within, || {
            status = self.ended()?;
            Ok(status.is_some())
        })?;
        status.context("it has ended")
    }
}
impl Drop for Child {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            let _ = self.kill();
        }
    }
}
