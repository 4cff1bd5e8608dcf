//! The normal form that all views come to: a star.
//!
//! A row of a view is what its owner says, one row of one table, and what the rows of any tables add up to for its key. All
//! that is shown is an expression over the key, the owner's columns and those sums; so is whether there is a row.
//!
//! It is exact because each part adds up over any split of its table's rows: counts and sums by addition, greatest and
//! smallest values by taking the greatest or smallest.
mod explain;
mod facts;
mod finish;
mod group;
mod join;
mod shape;
mod union;

use crate::{
    catalogue::Catalogue,
    expr::Expr,
    problem::{Place, Problem},
    relation::BoundQuery,
    types::{Kind, SqlType},
};

/// A view in normal form.
///
/// Expressions of `columns` and `exists` are over *slots*: the key's cells, then the owner's columns, then the columns of all
/// parts, one part after the other. A slot of a part to which nothing was added is null or, for counts and sums, 0: the
/// expressions give the same for both.
///
/// None of them divides by 0. They may fail as PostgreSQL's would where a value is out of the range of its type: then there
/// is no right row, and whoever shows rows has to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalForm {
    /// The columns of the view's key, by their places in `columns`.
    pub key: Vec<usize>,
    /// What people see, in the order of the select list.
    pub columns: Vec<ShownColumn>,
    /// When there is a row. Where there is an owner, only as long as its part is there.
    pub exists: Expr,
    /// At most one.
    pub own: Option<Own>,
    pub parts: Vec<Part>,
}

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownColumn {
    pub name: String,
    pub sql_type: SqlType,
    /// Over slots.
    pub value: Expr,
}

/// The owner's part: made of one row of a table, by expressions over that row's cells. Behind them stands the element, where
/// there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The table's place in the catalogue.
    pub table: usize,
    /// Rows for which it is not true have no part.
    pub filter: Expr,
    /// A set of words: the row has one part for each of them.
    pub each: Option<Expr>,
    /// The primary key, and the word where there is one.
    pub key: Vec<Expr>,
    pub columns: Vec<Expr>,
}

/// What rows of one table add to the row of their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The table's place in the catalogue.
    pub table: usize,
    /// Rows for which it is not true add nothing, nor do those with a null in their key.
    pub filter: Expr,
    /// A set of words, or a list: the row adds once for each of them.
    pub each: Option<Expr>,
    pub key: Vec<Expr>,
    pub aggregates: Vec<PartAggregate>,
}

/// One column of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartAggregate {
    /// How many rows there are.
    Rows,
    /// How many of these are not null.
    Count(Expr),
    /// The sum of those that are not null: whole numbers of 64 bits, or `numeric` with a fixed number of digits behind the
    /// point.
    Sum(Expr, Kind),
    Min(Expr),
    Max(Expr),
}
impl NormalForm {
    /// Brings a view into normal form.
    ///
    /// # Errors
    /// If the view is no star, has no key, or would not be the same after a failure: with the place where its select list
    /// begins, the reason and a way on.
    pub fn of(query: &BoundQuery, catalogue: &Catalogue) -> Result<Self, Problem> {
        let mut maker = Maker { catalogue, place: query.place };
        let shape = maker.shape(&query.relation)?;
        maker.finish(shape, &query.columns)
    }
}

struct Maker<'a> {
    catalogue: &'a Catalogue,
    /// Where problems are told: relations have no places.
    place: Place,
}
impl Maker<'_> {
    fn refuse<T>(&self, what: impl Into<String>, instead: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.place, what).instead(instead))
    }
}
