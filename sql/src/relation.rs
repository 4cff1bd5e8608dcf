//! A bound query: operators of relational algebra over tables, each row a list of cells.
use crate::{
    expr::Expr,
    types::{Kind, SqlType},
};

/// What makes rows of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// The rows of the table at this place of the catalogue, all its columns.
    Table(usize),
    /// Those for which the condition is true.
    Filter(Box<Relation>, Expr),
    /// One row for each, made of these.
    Project(Box<Relation>, Vec<Expr>),
    /// One row for each element of a set of words or a list of texts, which stands behind the row.
    Expand(Box<Relation>, Expr),
    /// One row for each key: the key, then the aggregates. Without keys it is one row, also of no rows.
    Group(Box<Relation>, Vec<Expr>, Vec<Aggregate>),
    /// Rows of both sides, one behind the other, for which the condition is true.
    Join(Box<Join>),
    /// All rows of all of them.
    Union(Vec<Relation>),
}

impl Relation {
    /// Of how many operators it is made.
    pub fn size(&self) -> usize {
        1 + match self {
            Self::Table(_) => 0,
            Self::Filter(of, _)
            | Self::Project(of, _)
            | Self::Expand(of, _)
            | Self::Group(of, ..) => of.size(),
            Self::Join(join) => join.left.size() + join.right.size(),
            Self::Union(all) => all.iter().map(Self::size).sum(),
        }
    }
}

/// Two relations side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub left: Relation,
    pub right: Relation,
    /// Columns of the left side.
    pub left_width: usize,
    /// Columns of the right side.
    pub right_width: usize,
    /// Whether rows of the left side stay that find none, with nulls behind them.
    pub is_left: bool,
    /// Over the columns of both.
    pub on: Expr,
}

/// A value of all rows of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    pub of: AggregateOf,
    /// Only rows for which it is true count.
    pub filter: Option<Expr>,
}

/// As SQL has them: all but the first pass nulls over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AggregateOf {
    /// `count(*)`.
    Rows,
    Count(Expr),
    /// A sum of values of this kind: whole numbers up to 32 bits give a `bigint`, all others a `numeric`.
    Sum(Expr, Kind),
    /// The sum, divided by the count as `numeric`.
    Average(Expr, Kind),
    Min(Expr),
    Max(Expr),
    /// `bool_and`, `every`.
    All(Expr),
    /// `bool_or`.
    Any(Expr),
}
impl AggregateOf {
    /// What it is made of; nothing for `count(*)`.
    pub fn argument(&self) -> Option<&Expr> {
        match self {
            Self::Rows => None,
            Self::Count(of) | Self::Min(of) | Self::Max(of) | Self::All(of) | Self::Any(of) => {
                Some(of)
            }
            Self::Sum(of, _) | Self::Average(of, _) => Some(of),
        }
    }
    /// The same of another expression.
    #[must_use]
    pub fn with(&self, change: &mut dyn FnMut(&Expr) -> Expr) -> Self {
        match self {
            Self::Rows => Self::Rows,
            Self::Count(of) => Self::Count(change(of)),
            Self::Sum(of, kind) => Self::Sum(change(of), *kind),
            Self::Average(of, kind) => Self::Average(change(of), *kind),
            Self::Min(of) => Self::Min(change(of)),
            Self::Max(of) => Self::Max(change(of)),
            Self::All(of) => Self::All(change(of)),
            Self::Any(of) => Self::Any(change(of)),
        }
    }
}

/// A column of a view, as the select list declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    pub name: String,
    pub sql_type: SqlType,
}

/// The query of a view, bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundQuery {
    pub relation: Relation,
    /// In the order of the select list.
    pub columns: Vec<OutputColumn>,
    /// Where the select list begins.
    pub place: crate::problem::Place,
}
