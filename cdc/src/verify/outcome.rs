//! What a comparison came to.
use super::{
    compare::{Digest, Pair},
    log::Positions,
    sorted::Row,
};
use sinks::Cell;

/// Differences that are kept; more are counted only.
pub const KEPT_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Missing,
    Extra,
    Different,
}
impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::Different => "different",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub want: Cell,
    pub have: Cell,
}

#[derive(Debug, Clone)]
pub struct Difference {
    pub kind: Kind,
    pub key: Vec<Cell>,
    /// Of a row that is there and different.
    pub fields: Vec<Field>,
    /// What else is known: a dead letter, why it cannot be repaired.
    pub note: Option<String>,
}

/// Of one view, or report.
#[derive(Debug, Default)]
pub struct ViewOutcome {
    pub view: String,
    /// Of the source.
    pub rows: u64,
    pub missing: u64,
    pub extra: u64,
    pub different: u64,
    /// Differences that were not looked at a second time, being too many.
    pub unconfirmed: u64,
    pub source: Digest,
    pub sink: Digest,
    pub differences: Vec<Difference>,
}
impl ViewOutcome {
    pub fn new(view: &str) -> Self {
        Self { view: view.to_owned(), ..Self::default() }
    }
    pub fn is_exact(&self) -> bool {
        self.missing + self.extra + self.different + self.unconfirmed == 0
    }

    /// Counts a pair; `columns`: names of the row's cells.
    pub fn take(&mut self, pair: Pair, columns: &[&str]) {
        self.count(&pair);
        if let Some(difference) = difference(pair, columns) {
            self.add(difference);
        }
    }
    /// Rows and digests only.
    pub fn count(&mut self, pair: &Pair) {
        match pair {
            Pair::Both { want, have } => {
                self.rows += 1;
                self.source.add(&want.0, &want.1);
                self.sink.add(&have.0, &have.1);
            }
            Pair::Missing(want) => {
                self.rows += 1;
                self.source.add(&want.0, &want.1);
            }
            Pair::Extra(have) => self.sink.add(&have.0, &have.1),
        }
    }
    pub fn add(&mut self, difference: Difference) {
        match difference.kind {
            Kind::Missing => self.missing += 1,
            Kind::Extra => self.extra += 1,
            Kind::Different => self.different += 1,
        }
        if self.differences.len() < KEPT_MAX {
            self.differences.push(difference);
        }
    }
}

/// A pair of what one key has; `None`: neither has it.
pub fn pair(key: &[Cell], want: Option<Vec<Cell>>, have: Option<Vec<Cell>>) -> Option<Pair> {
    let row = |cells| -> Row { (key.to_vec(), cells) };
    Some(match (want, have) {
        (Some(want), Some(have)) => Pair::Both { want: row(want), have: row(have) },
        (Some(want), None) => Pair::Missing(row(want)),
        (None, Some(have)) => Pair::Extra(row(have)),
        (None, None) => return None,
    })
}

/// `None`: equal.
pub fn difference(pair: Pair, columns: &[&str]) -> Option<Difference> {
    let (kind, key, fields) = match pair {
        Pair::Missing((key, _)) => (Kind::Missing, key, Vec::new()),
        Pair::Extra((key, _)) => (Kind::Extra, key, Vec::new()),
        Pair::Both { want, have } => {
            let both = columns.iter().zip(want.1).zip(have.1);
            let fields: Vec<Field> = both
                .filter(|((_, want), have)| want != have)
                .map(|((name, want), have)| Field { name: (*name).to_owned(), want, have })
                .collect();
            if fields.is_empty() {
                return None;
            }
            (Kind::Different, want.0, fields)
        }
    };
    Some(Difference { kind, key, fields, note: None })
}

/// Of a service.
#[derive(Debug)]
pub struct Outcome {
    /// At which the sink was verified.
    pub position: Positions,
    pub views: Vec<ViewOutcome>,
    /// Worth knowing, though no difference.
    pub notes: Vec<String>,
}
