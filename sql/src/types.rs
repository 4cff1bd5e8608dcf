//! The types of PostgreSQL that views may use.
use std::{fmt, sync::Arc};

/// A type without its length or scale: what operators and functions are chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Text,
    Varchar,
    /// `char(n)`: blanks at the end do not count.
    Bpchar,
    Bool,
    Date,
    /// Without a time zone: microseconds since 1970-01-01 00:00 of an unnamed place.
    Timestamp,
    /// A moment: microseconds since 1970, UTC.
    Timestamptz,
    /// Only as a constant.
    Interval,
    Uuid,
    Bytea,
    Json,
    Jsonb,
    TextArray,
    Enum,
    /// A set of words, of our own `words(...)`.
    Words,
    /// A quoted constant, or null, whose type is told by its place.
    Unknown,
    /// A type of PostgreSQL that no view may look at.
    Other,
}

impl Kind {
    /// As PostgreSQL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int2 => "smallint",
            Self::Int4 => "integer",
            Self::Int8 => "bigint",
            Self::Numeric => "numeric",
            Self::Float4 => "real",
            Self::Float8 => "double precision",
            Self::Text => "text",
            Self::Varchar => "character varying",
            Self::Bpchar => "character",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Bytea => "bytea",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::TextArray => "text[]",
            Self::Enum => "enum",
            Self::Words => "words",
            Self::Unknown => "unknown",
            Self::Other => "other",
        }
    }

    pub(crate) const fn is_integer(self) -> bool {
        matches!(self, Self::Int2 | Self::Int4 | Self::Int8)
    }
    pub(crate) const fn is_float(self) -> bool {
        matches!(self, Self::Float4 | Self::Float8)
    }
    pub(crate) const fn is_number(self) -> bool {
        self.is_integer() || self.is_float() || matches!(self, Self::Numeric)
    }
    /// Texts of any kind: those that have a collation.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Varchar | Self::Bpchar)
    }

    /// What a view keeps of such values. `None`: no column has this type.
    pub const fn cell(self) -> Option<views::Type> {
        use views::Type;
        Some(match self {
            Self::Int2 | Self::Int4 | Self::Int8 => Type::Int,
            Self::Numeric => Type::Decimal,
            Self::Float4 | Self::Float8 => Type::Float,
            Self::Text | Self::Varchar | Self::Bpchar | Self::Enum => Type::Text,
            Self::Bool => Type::Bool,
            Self::Date => Type::Date,
            Self::Timestamp | Self::Timestamptz => Type::Time,
            Self::Uuid => Type::Uuid,
            Self::Bytea => Type::Bytes,
            Self::Json | Self::Jsonb => Type::Json,
            Self::TextArray => Type::List,
            Self::Words => Type::Words,
            Self::Interval | Self::Unknown | Self::Other => return None,
        })
    }
}
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An enum of the source: its name and its labels in their order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EnumType {
    pub name: String,
    pub labels: Vec<String>,
}

/// A type with what a cast to it, or a column of it, says beside its kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// Any kind without more.
    Plain(Kind),
    /// `numeric(precision, scale)`: at most so many digits, so many of them behind the point.
    Numeric {
        precision: u16,
        scale: i16,
    },
    /// `varchar(n)`: at most so many characters.
    Varchar(u32),
    /// `char(n)`: filled with blanks up to so many characters.
    Bpchar(u32),
    Enum(Arc<EnumType>),
    /// A type of this name, of which nothing is known: the table may have such columns, as long as no view looks at them.
    Other(Arc<str>),
}

impl SqlType {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Plain(kind) => *kind,
            Self::Numeric { .. } => Kind::Numeric,
            Self::Varchar(_) => Kind::Varchar,
            Self::Bpchar(_) => Kind::Bpchar,
            Self::Enum(_) => Kind::Enum,
            Self::Other(_) => Kind::Other,
        }
    }
}
impl From<Kind> for SqlType {
    fn from(kind: Kind) -> Self {
        Self::Plain(kind)
    }
}
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(kind) => kind.fmt(f),
            Self::Numeric { precision, scale } => write!(f, "numeric({precision},{scale})"),
            Self::Varchar(length) => write!(f, "character varying({length})"),
            Self::Bpchar(length) => write!(f, "character({length})"),
            Self::Enum(of) => f.write_str(&of.name),
            Self::Other(name) => f.write_str(name),
        }
    }
}
