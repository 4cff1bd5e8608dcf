//! Values that are made elsewhere, such as by what a compiler of SQL has made: the plan of a view holds them as any other
//! expression.
#![deny(clippy::disallowed_methods)]

use crate::{Cell, Parts};
use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

/// What makes such a value.
pub trait Compute: Send + Sync + UnwindSafe + RefUnwindSafe {
    /// The value for these parts, and the same each time.
    ///
    /// # Errors
    /// Why there is none, as the source would say it, too: a number beyond its type, say. Without values of the row.
    fn of(&self, parts: Parts<'_>) -> Result<Cell, Failed>;

    /// Whether there may be parts for which it fails.
    fn may_fail(&self) -> bool;
}

/// A value that is made elsewhere, with what it says: two of one text are equal.
#[derive(Clone)]
pub struct Computed {
    text: Arc<str>,
    compute: Arc<dyn Compute>,
}
impl Computed {
    /// `text`: what it computes of which parts, another text for whatever may be another value.
    pub fn new(text: &str, compute: impl Compute + 'static) -> Self {
        Self { text: text.into(), compute: Arc::new(compute) }
    }
    pub(crate) fn of(&self, parts: Parts<'_>) -> Result<Cell, Failed> {
        self.compute.of(parts)
    }
    pub(crate) fn may_fail(&self) -> bool {
        self.compute.may_fail()
    }
}
impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Computed").field(&self.text).finish()
    }
}
impl PartialEq for Computed {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl Eq for Computed {}

/// Why an expression has no value. It shows no value of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub String);
impl Failed {
    /// What to say where a shown row has no such value, and so nothing may be shown any more.
    pub fn with_advice(&self) -> String {
        format!("{self}: PostgreSQL has no such row either; change the view")
    }

    /// The same, with what it was made for before it.
    #[must_use]
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl std::error::Error for Failed {}
