//! What a schema shows of the connector's settings, where a value alone does not: settings by which values are no
//! longer what the source has. Whoever shows these values can say so.
use crate::{
    Change,
    schema::{Kind, Schema},
};
use std::sync::Arc;

/// In what a column's values may differ from the source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtKind {
    /// NULL is allowed, and there is a default: `replace.null.with.default`, which is true where nothing is said, writes
    /// that default where NULL stands.
    NullOrDefault,
    /// A floating-point number: `decimal.handling.mode=double` rounds.
    Floating,
    /// Milliseconds, whatever the column has: `time.precision.mode=connect` cuts.
    Milliseconds,
}

/// One column of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub column: String,
    pub kind: DoubtKind,
    /// As JSON has it.
    default: Option<Box<str>>,
}
impl Doubt {
    /// `default`: of a column that may be null.
    pub(crate) fn of(
        column: &str,
        schema_type: Option<&str>,
        schema_name: Option<&str>,
        kind: Kind,
        default: Option<&str>,
    ) -> impl Iterator<Item = Self> {
        let doubt = |kind, default: Option<&str>| Self {
            column: column.to_owned(),
            kind,
            default: default.map(Box::from),
        };
        let floating =
            kind == Kind::Single || (kind == Kind::Plain && schema_type == Some("double"));
        let cut = schema_name == Some("org.apache.kafka.connect.data.Timestamp");
        let all = [
            default.map(|default| doubt(DoubtKind::NullOrDefault, Some(default))),
            floating.then(|| doubt(DoubtKind::Floating, None)),
            cut.then(|| doubt(DoubtKind::Milliseconds, None)),
        ];
        all.into_iter().flatten()
    }
}

/// The doubts that a record's schema gives rise to; without a schema there are none.
#[derive(Debug, Clone, Default)]
pub struct Doubts(pub(crate) Option<Arc<Schema>>);
impl Doubts {
    pub fn list(&self) -> &[Doubt] {
        self.0.as_deref().map_or(&[], |schema| &schema.doubts)
    }
}

impl Change<'_> {
    /// Whether this record's row bears the doubt out. `Some(false)`: it shows that there is nothing to it (NULL is
    /// sent as NULL). `None`: it does not tell.
    pub fn bears_out(&self, doubt: &Doubt) -> Option<bool> {
        let value = self.after.as_ref()?.raw(&doubt.column)?;
        match (doubt.kind, value) {
            (DoubtKind::NullOrDefault, "null") => Some(false),
            (DoubtKind::NullOrDefault, value) => {
                (doubt.default.as_deref() == Some(value)).then_some(true)
            }
            (_, value) => (value != "null").then_some(true),
        }
    }
}
