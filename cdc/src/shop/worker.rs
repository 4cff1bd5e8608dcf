//! The loop of one worker: the next transaction, when it is due; a new connection when the old one is lost.
use super::{
    counts::Counts,
    plan::{Known, Market, Plan},
    trade::{self, Ended, Till},
};
use anyhow::{Context, anyhow};
use serving::postgres::Dsn;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep, timeout};

/// How soon a wait notices that the end was asked for.
const GLANCE: Duration = Duration::from_millis(20);
/// How far a rate may be caught up with after a pause.
const CATCH_UP: Duration = Duration::from_millis(100);
/// A transaction that takes longer has lost its server.
const TRANSACTION_MAX: Duration = Duration::from_secs(300);
/// After so many transactions a worker looks at the tables again: the others change them too.
const LOOK_AGAIN: u64 = 1_000;
const BACKOFF_MS: (u64, u64) = (100, 2_000);

/// What all workers share.
pub struct Shop {
    pub dsn: Dsn,
    pub seed: u64,
    pub market: Market,
    pub opens: SystemTime,
    pub reconnect: Duration,
    /// Between two transactions of any worker; zero: as fast as it goes.
    pub interval: Duration,
    pub until: Option<Instant>,
    pub stop: Arc<AtomicBool>,
    pub gate: Mutex<Gate>,
    pub counts: Mutex<Counts>,
}

/// Who may begin when.
pub struct Gate {
    /// How many more transactions; `None`: no bound.
    pub left: Option<u64>,
    pub due: Instant,
}

/// Never poisoned for long: nothing panics while it is held, and counts stay whole.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shop {
    fn is_closed(&self) -> bool {
        self.stop.load(Relaxed) || self.until.is_some_and(|until| Instant::now() >= until)
    }
    /// When the next transaction may begin; `None`: there is none.
    fn ticket(&self) -> Option<Instant> {
        let mut gate = lock(&self.gate);
        if let Some(left) = &mut gate.left {
            *left = left.checked_sub(1)?;
        }
        if self.interval.is_zero() {
            return Some(Instant::now());
        }
        let due = gate.due.max(Instant::now() - CATCH_UP);
        gate.due = due + self.interval;
        Some(due)
    }
    /// `false`: the end came first.
    async fn wait_until(&self, due: Instant) -> bool {
        loop {
            if self.is_closed() {
                return false;
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            sleep(left.min(GLANCE)).await;
        }
    }

    /// Until the shop closes.
    pub async fn work(&self, worker: u64) -> anyhow::Result<()> {
        let mut plan = Plan::new(self.seed, worker, self.market, self.opens);
        let Some((mut till, mut known)) = self.reconnect(None).await? else { return Ok(()) };
        let mut done = 0;
        while let Some(due) = self.ticket() {
            if !self.wait_until(due).await {
                break;
            }
            let transaction = plan.next(&known);
            let Ok(ended) = timeout(TRANSACTION_MAX, till.perform(&transaction)).await else {
                return Err(anyhow!("PostgreSQL has not answered for {TRANSACTION_MAX:?}"));
            };
            lock(&self.counts).add(transaction.kind, &ended);
            done += 1;
            match ended {
                Ended::Committed(done) => done.tell(&mut known),
                Ended::RolledBack => {}
                Ended::Unknown(error) => {
                    let Some(again) = self.reconnect(Some(error)).await? else { break };
                    (till, known) = again;
                }
                Ended::Failed(error) if trade::is_lost(&error) || till.is_closed() => {
                    let Some(again) = self.reconnect(Some(error)).await? else { break };
                    (till, known) = again;
                }
                Ended::Failed(error) if trade::is_chance(&error) => {}
                Ended::Failed(error) => {
                    let what = transaction.kind.name();
                    return Err(anyhow!(error).context(format!("`{what}` was refused")));
                }
            }
            if done % LOOK_AGAIN == 0 {
                // Where this fails, so does the next transaction, and that is counted.
                known = till.known().await.unwrap_or(known);
            }
        }
        Ok(())
    }

    /// A connection, after `lost`, within the time for it; `None`: the shop closed first.
    async fn reconnect(
        &self,
        lost: Option<tokio_postgres::Error>,
    ) -> anyhow::Result<Option<(Till, Known)>> {
        let give_up = Instant::now() + self.reconnect;
        let mut pause_ms = BACKOFF_MS.0;
        loop {
            if self.is_closed() {
                return Ok(None);
            }
            let why = match self.connect().await {
                Ok(connected) => {
                    lock(&self.counts).reconnected += u64::from(lost.is_some());
                    return Ok(Some(connected));
                }
                Err(why) => why,
            };
            if lost.is_none() {
                return Err(why);
            }
            if Instant::now() >= give_up {
                let seconds = self.reconnect.as_secs();
                return Err(why.context(format!("PostgreSQL was away for {seconds} s")));
            }
            let due = (Instant::now() + Duration::from_millis(pause_ms)).min(give_up);
            self.wait_until(due).await;
            pause_ms = (pause_ms * 2).min(BACKOFF_MS.1);
        }
    }

    async fn connect(&self) -> anyhow::Result<(Till, Known)> {
        let mut till = Till::open(self.dsn.connect().await?).await?;
        let known = till.known().await.context("the shop's tables cannot be read")?;
        Ok((till, known))
    }
}
