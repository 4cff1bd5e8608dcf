//! What a view is: its key, its columns, and how the parts that partitions hold make the row that people see.
#![deny(clippy::disallowed_methods)]

use crate::{
    Cell, First,
    canonical::Text,
    computed::Failed,
    expr::{Condition, Expr, Parts},
};
use decimal::Decimal;
use std::fmt;

/// What the values of a column are. Any of them may be null, but for those of most keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Whole numbers of 64 bits.
    Int,
    Text,
    /// Decimals of any number of digits.
    Decimal,
    /// Moments, in microseconds.
    Time,
    /// Sets of words.
    Words,
    /// True or false.
    Bool,
    /// Floating-point numbers of 64 bits, `NaN` and infinite ones among them.
    Float,
    /// Days of the calendar.
    Date,
    Uuid,
    /// Strings of bytes.
    Bytes,
    /// Texts of JSON, compared as texts: no key is made of them.
    Json,
    /// Lists of texts, of which any may be null: no key is made of them.
    List,
}
impl Type {
    /// As it is stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Text => "text",
            Self::Decimal => "decimal",
            Self::Time => "time",
            Self::Words => "words",
            Self::Bool => "bool",
            Self::Float => "float",
            Self::Date => "date",
            Self::Uuid => "uuid",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::List => "list",
        }
    }
}

/// A column of a key, of a shown row or of an owner's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
}
impl Column {
    pub const fn new(name: &'static str, kind: Type) -> Self {
        Self { name, kind }
    }
}

/// How one column of the partitions' shares becomes one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// The sum of all shares; null counts as nothing.
    Sum,
    /// The greatest of all shares; anything is greater than null.
    Max,
    /// The smallest of all shares but null.
    Min,
    /// The first distinct tuples of all shares, in an order. The column is [`Cell::Tuples`], null where there are none, and
    /// no column is shown as it is: expressions such as [`Expr::TupleCount`] make values of it.
    First(First),
}
impl Merge {
    /// Whether a share's column says nothing: a sum of 0, no greatest or smallest value, no tuples.
    pub fn is_nothing(self, column: &Cell) -> bool {
        match self {
            Self::Sum => column.is_zero(),
            Self::Max | Self::Min => *column == Cell::Null,
            Self::First(_) => column.tuples().is_empty(),
        }
    }
}
/// As it is stored and compared, `sum` or `first 3 desc asc`: never another text, and never one with a comma.
impl fmt::Display for Merge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sum => f.write_str("sum"),
            Self::Max => f.write_str("max"),
            Self::Min => f.write_str("min"),
            Self::First(first) => first.fmt(f),
        }
    }
}

/// By what people look rows up, beside the key. Declared, and never guessed from the names of columns: a sink that
/// needs an index for that keeps one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    pub name: &'static str,
    /// One or two: what is looked up, and by what it is ordered.
    pub key: &'static [IndexKey],
    /// The columns that are found there, beside those of the keys.
    pub shows: &'static [&'static str],
}

/// What an index is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexKey {
    /// A shown column.
    Column(&'static str),
    /// The text column `of` in lower case, cut to what a key may have, as an attribute `name`.
    Lower { name: &'static str, of: &'static str },
    /// The same text in every row, as an attribute `name`: for an index over all rows.
    Same { name: &'static str, text: &'static str },
}
impl IndexKey {
    /// The attribute that is made for the index; `None`: it is a shown column.
    pub fn made(&self) -> Option<&'static str> {
        match self {
            Self::Column(_) => None,
            Self::Lower { name, .. } | Self::Same { name, .. } => Some(*name),
        }
    }
}

/// When a row raises an alert: once, each time it comes to be flagged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlertWhen {
    /// The shown column that is not null as long as the alert stands.
    pub flag: &'static str,
    /// The shown column, of whole numbers, whose value is told with the alert.
    pub value: &'static str,
    /// The table in which a store of tables keeps the alerts that were raised.
    pub table: &'static str,
}

/// What else, beside key and columns, shapes a view's rows: stores that keep rows compare it with what they were made
/// with.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Settings under the names that people know.
    pub text: Text,
    /// Reads what an earlier version of this program wrote for such rules; `None`: it is no such text.
    pub earlier: fn(&str) -> Option<Text>,
}

/// A materialized view: a star of one owner's part and any number of shares.
///
/// The *owner's part* of a row is what the partition says in which the row's own record is: it is put and deleted
/// whole. A *share* is what one partition says about a key that any partition may add to; shares are merged column by
/// column. The row that people see is made of both, by [`View::row`].
///
/// ```
/// use views::{Cell, Column, Expr, Merge, Type, View};
///
/// // select c.id, c.name, coalesce(t.orders, 0) as orders
/// // from customers c left join (select customer_id, count(*) as orders from orders group by 1) t on t.customer_id = c.id
/// const ID: Column = Column::new("id", Type::Int);
/// const NAME: Column = Column::new("name", Type::Text);
/// const ORDERS: Column = Column::new("orders", Type::Int);
/// let customers = View::rows("customers", &[ID], &[NAME])
///     .with_totals(&[Merge::Sum])
///     .showing(&[NAME, ORDERS], vec![Expr::Own(0), Expr::Total(0).or_zero()]);
/// let shares = [[Cell::Int(2)], [Cell::Int(3)]];
/// let shares = || shares.iter().map(|share| &share[..]);
/// let shown = customers.row(Some(&["Ada".into()]), shares());
/// assert_eq!(shown, Ok(Some(vec!["Ada".into(), Cell::Int(5)])));
/// assert_eq!(customers.row(None, shares()), Ok(None), "orders of a customer that is not there yet");
/// ```
#[derive(Debug, Clone)]
pub struct View {
    pub name: &'static str,
    pub key: &'static [Column],
    /// What people see, after the key.
    pub columns: &'static [Column],
    /// The columns of the owner's part; `None`: there is no owner, and rows are made of shares alone.
    pub own: Option<&'static [Column]>,
    /// How each column of the shares is merged; empty: there are no shares.
    pub totals: &'static [Merge],
    /// How each of `columns` is made.
    pub shows: Vec<Expr>,
    /// When there is a row. Where there are owners, only as long as the owner's part is there, too.
    pub exists: Condition,
    pub alert: Option<AlertWhen>,
    pub indexes: &'static [Index],
    pub rules: Rules,
}

impl View {
    /// A view whose rows have one owner each, shown as they are written.
    pub fn rows(name: &'static str, key: &'static [Column], columns: &'static [Column]) -> Self {
        Self {
            name,
            key,
            columns,
            own: Some(columns),
            totals: &[],
            shows: (0..columns.len()).map(Expr::Own).collect(),
            exists: Condition::Always,
            alert: None,
            indexes: &[],
            rules: Rules {
                text: Text::new("rows"),
                earlier: |text| (text == "rows").then(|| Text::new("rows")),
            },
        }
    }

    /// A view whose rows are the merge of every partition's share of their key. The first column of a share counts
    /// source rows: where it is 0, there is no row. Shown are all merged columns.
    pub fn totals(
        name: &'static str,
        key: &'static [Column],
        merge: &'static [Merge],
        columns: &'static [Column],
    ) -> Self {
        let rules = Rules { text: merged("totals", merge), earlier: totals_of_earlier };
        Self {
            own: None,
            totals: merge,
            shows: (0..columns.len()).map(Expr::Total).collect(),
            exists: Condition::NotZero(Expr::Total(0)),
            rules,
            ..Self::rows(name, key, columns)
        }
    }

    /// Adds shares to a view of rows. Its rules are `star` and how the shares are merged, until others are set.
    #[must_use]
    pub fn with_totals(mut self, merge: &'static [Merge]) -> Self {
        self.totals = merge;
        self.rules = Rules { text: merged("star", merge), earlier: |_| None };
        self
    }

    /// Shows these columns, each made by its expression.
    ///
    /// # Panics
    /// If there is not one expression for each column.
    #[must_use]
    pub fn showing(mut self, columns: &'static [Column], shows: Vec<Expr>) -> Self {
        assert_eq!(columns.len(), shows.len(), "{}: one expression a column", self.name);
        (self.columns, self.shows) = (columns, shows);
        self
    }

    /// There is a row only where this holds.
    #[must_use]
    pub fn existing(mut self, exists: Condition) -> Self {
        self.exists = exists;
        self
    }

    /// Raises alerts.
    ///
    /// # Panics
    /// If it does not show the columns that the alert is about.
    #[must_use]
    pub fn alerting(mut self, alert: AlertWhen) -> Self {
        for name in [alert.flag, alert.value] {
            assert!(self.shown_at(name).is_some(), "{}: shows no column {name}", self.name);
        }
        self.alert = Some(alert);
        self
    }

    /// Says by what people look rows up.
    #[must_use]
    pub fn indexed(mut self, indexes: &'static [Index]) -> Self {
        self.indexes = indexes;
        self
    }

    /// Says in words of its own what shapes the rows: see [`Rules`].
    #[must_use]
    pub fn ruled(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Whether a row has an owner and nothing else: it is shown as its owner says, whatever stood there before.
    pub fn is_rows(&self) -> bool {
        self.own.is_some() && self.totals.is_empty()
    }
    /// Whether a row is made of shares alone.
    pub fn is_totals(&self) -> bool {
        self.own.is_none()
    }
    /// Whether a row is made of an owner's part and of shares.
    pub fn is_star(&self) -> bool {
        self.own.is_some() && !self.totals.is_empty()
    }

    /// Whether a share says nothing: it counts as one that is not there.
    pub fn is_nothing(&self, share: &[Cell]) -> bool {
        share.iter().zip(self.totals).all(|(column, how)| how.is_nothing(column))
    }

    /// Merges the partitions' shares of one key; empty for views without shares.
    pub fn total<'a>(&self, shares: impl Iterator<Item = &'a [Cell]>) -> Vec<Cell> {
        let mut total = vec![Cell::Null; self.totals.len()];
        for share in shares {
            for ((sum, cell), how) in total.iter_mut().zip(share).zip(self.totals) {
                let old = std::mem::replace(sum, Cell::Null);
                *sum = match how {
                    Merge::Sum => add(old, cell),
                    Merge::Max => old.max(cell.clone()),
                    Merge::Min if old == Cell::Null || (*cell != Cell::Null && *cell < old) => {
                        cell.clone()
                    }
                    Merge::Min => old,
                    Merge::First(first) => first.merge(old, cell),
                };
            }
        }
        total
    }

    /// The row that people see, or `None` where there is none. `own`: the owner's part; `shares`: one of each partition
    /// that has any.
    ///
    /// # Errors
    /// A column has no value for these parts, or nobody can say whether there is a row: there is no right row then, and
    /// none may be shown. Only views with [`Expr::Computed`] can come to that.
    pub fn row<'a>(
        &self,
        own: Option<&[Cell]>,
        shares: impl Iterator<Item = &'a [Cell]> + Clone,
    ) -> Result<Option<Vec<Cell>>, Failed> {
        // As there is no group of no rows, there is no row of no shares.
        if self.is_totals() && shares.clone().all(|share| self.is_nothing(share)) {
            return Ok(None);
        }
        self.show(own, &self.total(shares))
    }

    /// The row that people see, as [`View::row`] makes it of shares that are merged: `total` is of [`View::total`].
    ///
    /// # Errors
    /// Those of [`View::row`].
    pub fn show(&self, own: Option<&[Cell]>, total: &[Cell]) -> Result<Option<Vec<Cell>>, Failed> {
        if self.own.is_some() && own.is_none() {
            return Ok(None);
        }
        let parts = Parts::of_view(own.unwrap_or_default(), total);
        let is_there = self.exists.try_holds(parts);
        if !is_there.map_err(|failed| failed.of(format_args!("whether {} has a row", self.name)))? {
            return Ok(None);
        }
        let shown = self.columns.iter().zip(&self.shows).map(|(column, shown)| {
            let value = shown.try_of(parts);
            value.map_err(|failed| failed.of(format_args!("{}.{}", self.name, column.name)))
        });
        shown.collect::<Result<_, _>>().map(Some)
    }

    /// Whether a row as shown is one that an alert stands for.
    pub fn is_alerting(&self, shown: Option<&[Cell]>) -> bool {
        let flag = self.alert.and_then(|alert| shown?.get(self.shown_at(alert.flag)?));
        flag.is_some_and(|flag| *flag != Cell::Null)
    }

    /// The value that an alert tells of this row.
    pub fn alert_value(&self, shown: Option<&[Cell]>) -> Option<i64> {
        shown?.get(self.shown_at(self.alert?.value)?)?.int()
    }

    /// The place of a shown column.
    fn shown_at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

fn merged(head: &str, merge: &[Merge]) -> Text {
    let words: Vec<String> = merge.iter().map(Merge::to_string).collect();
    Text::new(head).with("merge", words.join(", "))
}
/// Reads `totals of [Sum, Max]`.
fn totals_of_earlier(text: &str) -> Option<Text> {
    let list = text.strip_prefix("totals of [")?.strip_suffix(']')?;
    let merge = list.split(", ").map(|merge| match merge {
        "Sum" => Some(Merge::Sum),
        "Max" => Some(Merge::Max),
        _ => None,
    });
    Some(merged("totals", &merge.collect::<Option<Vec<_>>>()?))
}

fn add(a: Cell, b: &Cell) -> Cell {
    match (a, b) {
        (Cell::Null, b) => b.clone(),
        (a, Cell::Null) => a,
        (Cell::Int(a), Cell::Int(b)) => Cell::Int(a.saturating_add(*b)),
        (Cell::Decimal(a), Cell::Decimal(b)) => Cell::Decimal(a + b),
        (Cell::Decimal(a), Cell::Int(b)) => Cell::Decimal(a + Decimal::from(*b)),
        (Cell::Int(a), Cell::Decimal(b)) => Cell::Decimal(b + Decimal::from(a)),
        (a, _) => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    const ID: Column = Column::new("id", Type::Int);
    const N: Column = Column::new("n", Type::Int);

    #[test]
    fn rules_tell_views_of_other_parts_apart() {
        let text = |view: View| view.rules.text.finish();
        assert_eq!(text(View::rows("v", &[ID], &[N])), "rows");
        let totals = View::totals("v", &[ID], &[Merge::Sum, Merge::Max], &[N, N]);
        assert_eq!((totals.rules.earlier)("rows"), None);
        assert_eq!((totals.rules.earlier)("totals of [Sum, Max]"), Some(totals.rules.text.clone()));
        assert_eq!(text(totals), "totals; merge=sum, max");
        let star = View::rows("v", &[ID], &[N]).with_totals(&[Merge::Sum]);
        assert_eq!((star.rules.earlier)("rows"), None, "it is no view of rows");
        assert_eq!(text(star), "star; merge=sum");
        let first = First { limit: 10, order: &[Direction::Descending, Direction::Ascending] };
        let merge = Box::leak(Box::new([Merge::Sum, Merge::First(first), Merge::Min]));
        let tops = View::totals("v", &[ID], merge, &[]);
        assert_eq!(text(tops), "totals; merge=sum, first 10 desc asc, min");
    }

    #[test]
    fn no_shares_make_no_row_of_totals() {
        let mut view = View::totals("v", &[ID], &[Merge::Sum], &[N]);
        view.exists = Condition::Always;
        let row = |shares: &[&[Cell]]| view.row(None, shares.iter().copied());
        assert_eq!(row(&[]), Ok(None));
        assert_eq!(row(&[&[], &[Cell::Int(0)]]), Ok(None));
        assert_eq!(row(&[&[], &[Cell::Int(2)]]), Ok(Some(vec![Cell::Int(2)])));
        let star = View::rows("v", &[ID], &[N]).with_totals(&[Merge::Sum]);
        assert_eq!(star.row(Some(&[Cell::Int(1)]), [].into_iter()), Ok(Some(vec![Cell::Int(1)])));
    }

    #[test]
    fn a_greatest_value_of_0_says_something() {
        let view = View::totals("v", &[ID], &[Merge::Sum, Merge::Max], &[N, N]);
        assert!(view.is_nothing(&[]) && view.is_nothing(&[Cell::Int(0), Cell::Null]));
        assert!(!view.is_nothing(&[Cell::Int(0), Cell::Int(0)]));
        assert!(!view.is_nothing(&[Cell::Int(1), Cell::Null]));
        let first = Merge::First(First { limit: 1, order: &[Direction::Ascending] });
        assert!(first.is_nothing(&Cell::Null) && first.is_nothing(&Cell::Tuples(vec![])));
        assert!(!first.is_nothing(&Cell::Tuples(vec![vec![Cell::Null]])), "a tuple of null");
    }

    #[test]
    fn a_value_that_fails_is_an_error_and_no_row() {
        struct Odd;
        impl crate::computed::Compute for Odd {
            fn of(&self, parts: Parts<'_>) -> Result<Cell, Failed> {
                match parts.cell(0).and_then(Cell::int) {
                    Some(n) if n % 2 == 0 => Err(Failed("even".to_owned())),
                    _ => Ok(Cell::Int(1)),
                }
            }
            fn may_fail(&self) -> bool {
                true
            }
        }
        let odd = || Expr::Computed(crate::computed::Computed::new("odd", Odd));
        let of = |view: &View, n: i64| view.row(Some(&[n.into()]), [].into_iter());
        let shown = View::rows("v", &[ID], &[N]).showing(&[N], vec![odd()]);
        assert_eq!(of(&shown, 3), Ok(Some(vec![Cell::Int(1)])));
        assert_eq!(of(&shown, 4), Err(Failed("v.n: even".to_owned())));
        assert_eq!(
            shown.row(None, [].into_iter()),
            Ok(None),
            "nobody asks where there is no owner"
        );
        let there = Condition::Equal(odd(), Expr::Value(1.into()));
        let there = View::rows("v", &[ID], &[N]).existing(there);
        assert_eq!(of(&there, 3), Ok(Some(vec![Cell::Int(3)])));
        assert_eq!(of(&there, 4), Err(Failed("whether v has a row: even".to_owned())));
    }

    #[test]
    #[should_panic(expected = "v: shows no column low")]
    fn an_alert_is_about_columns_that_are_shown() {
        let alert = AlertWhen { flag: "low", value: "n", table: "alerts" };
        let _ = View::rows("v", &[ID], &[N]).alerting(alert);
    }
}
