//! What was done, counted.
use super::{
    steps::Kind,
    trade::{Done, Ended},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time::Duration,
};

#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Products inserted because there was none.
    pub filled: u64,
    pub kinds: BTreeMap<Kind, PerKind>,
    pub rolled_back: u64,
    /// Undone by PostgreSQL or by a lost connection, by SQLSTATE.
    pub failed: BTreeMap<String, u64>,
    /// It is not known whether PostgreSQL committed them.
    pub unknown: u64,
    pub reconnected: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerKind {
    pub committed: u64,
    pub rows: u64,
    /// Committed, and there was nothing to do.
    pub idle: u64,
}

impl Counts {
    pub fn add(&mut self, kind: Kind, ended: &Ended) {
        match ended {
            Ended::Committed(Done { rows, .. }) => {
                let count = self.kinds.entry(kind).or_default();
                count.committed += 1;
                count.rows += rows;
                count.idle += u64::from(*rows == 0);
            }
            Ended::RolledBack => self.rolled_back += 1,
            Ended::Failed(error) => {
                let state = error.code().map_or("connection lost", |state| state.code());
                *self.failed.entry(state.to_owned()).or_default() += 1;
            }
            Ended::Unknown(_) => self.unknown += 1,
        }
    }
    fn sum(&self, of: impl Fn(&PerKind) -> u64) -> u64 {
        self.kinds.values().map(of).sum()
    }
    pub fn committed(&self) -> u64 {
        self.sum(|kind| kind.committed)
    }
    pub fn rows(&self) -> u64 {
        self.sum(|kind| kind.rows)
    }
    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }
    /// However they ended.
    pub fn transactions(&self) -> u64 {
        self.committed() + self.rolled_back + self.failed() + self.unknown
    }

    /// For `--json`.
    pub fn document(&self, seed: u64, workers: u64, taken: Duration) -> Value {
        let kind = |(kind, n): (&Kind, &PerKind)| {
            let n = json!({ "committed": n.committed, "rows": n.rows, "idle": n.idle });
            (kind.name().to_owned(), n)
        };
        json!({
            "seed": seed,
            "workers": workers,
            "seconds": taken.as_secs_f64(),
            "transactions": self.transactions(),
            "per_second": per_second(self.transactions(), taken),
            "committed": self.committed(),
            "rolled_back": self.rolled_back,
            "failed": self.failed(),
            "failed_by_sqlstate": self.failed,
            "unknown": self.unknown,
            "rows": self.rows(),
            "idle": self.sum(|kind| kind.idle),
            "filled": self.filled,
            "reconnected": self.reconnected,
            "kinds": self.kinds.iter().map(kind).collect::<serde_json::Map<_, _>>(),
        })
    }
    /// For people.
    pub fn summary(&self, taken: Duration) -> String {
        let mut text = format!(
            "{} transactions in {:.1} s ({:.1}/s), {self}\n{:<20}{:>12}{:>12}{:>16}\n",
            self.transactions(),
            taken.as_secs_f64(),
            per_second(self.transactions(), taken),
            "kind",
            "committed",
            "rows",
            "nothing to do",
        );
        for (kind, n) in &self.kinds {
            let name = kind.name();
            // Writing to a String does not fail.
            let _ = writeln!(text, "{name:<20}{:>12}{:>12}{:>16}", n.committed, n.rows, n.idle);
        }
        text
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<String> = self.failed.iter().map(|(s, n)| format!("{s}: {n}")).collect();
        write!(
            f,
            "{} rows changed, {} rolled back, {} failed{}, {} unknown",
            self.rows(),
            self.rolled_back,
            self.failed(),
            if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) },
            self.unknown
        )?;
        if self.reconnected > 0 {
            write!(f, ", {} reconnected", self.reconnected)?;
        }
        Ok(())
    }
}

fn per_second(count: u64, taken: Duration) -> f64 {
    let seconds = taken.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
