//! What a view is made of: what a row of a source table puts into the owner's part, and adds to shares.
//!
//! A source row is its primary key ([`Expr::Key`]) and its other columns in the order in which they are declared
//! ([`Expr::Own`]). Pure, and total: whatever the cells are, there is a value. But for [`Expr::Computed`], which may
//! have none: rows for which [`Plan::check`] says so are to be kept away from all else here.
#![deny(clippy::disallowed_methods)]

use crate::{
    Cell, First, Merge, Type, View, canonical_key,
    computed::Failed,
    expr::{Condition, Expr, Parts},
};
use decimal::Decimal;
use std::cmp::Ordering;

/// A view, and what each source table says of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What people see, and how it is made of the parts.
    pub view: View,
    /// Who puts the owner's part; `None` where the view has none. It is written apart from shares: where a table does both
    /// for one view, what is between the two may show, and raise an alert.
    pub own: Option<Own>,
    /// Who adds to the shares. Their aggregates, one part after the other, are the shares' columns.
    pub parts: Vec<Part>,
}

/// The owner's part of a row: made of one source row.
#[derive(Debug, Clone)]
pub struct Own {
    /// The place of the table in the handler's list of tables.
    pub table: usize,
    /// Rows for which it does not hold have no part.
    pub filter: Condition,
    /// A set of words: the row has one part for each of them, and the word stands behind the row's columns.
    pub each: Option<Expr>,
    /// It must hold the primary key, and the word where there is one: no two rows may put the same part.
    pub key: Vec<Expr>,
    /// One for each column of the view's owner's part.
    pub columns: Vec<Expr>,
}

/// What the rows of one table add up to, for each key.
#[derive(Debug, Clone)]
pub struct Part {
    /// The place of the table in the handler's list of tables.
    pub table: usize,
    /// Rows for which it does not hold add nothing; nor do those that have a null in their key.
    pub filter: Condition,
    /// One for each key column of the view.
    pub key: Vec<Expr>,
    /// One for each column that the part has in a share.
    pub aggregates: Vec<Aggregate>,
}

/// One column of a share.
///
/// SQL's other aggregates of this kind are expressions over these. A `filter (where c)` of a sum, of a greatest or of a
/// smallest value is an [`Expr::When`] around the value, since null adds nothing:
///
/// ```
/// use views::{Cell, Column, Condition, Expr, Merge, Plan, Type, View, plan::{Aggregate, Part}};
///
/// // select team, count(*) as n, bool_and(done) as all_done, bool_or(done) as any_done,
/// //   round(avg(hours), 2) as mean, sum(hours) as hours, sum(hours) filter (where done) as done_hours
/// // from tasks group by team
/// let (team, done, hours) = (Expr::Own(0), Expr::Own(1), Expr::Own(2));
/// let known = |of: &Expr| Aggregate::CountIf(Condition::Known(of.clone())); // count(of)
/// let is_done = Condition::Equal(done.clone(), Expr::Value(Cell::Bool(true)));
/// let aggregates = vec![
///     Aggregate::Count,
///     known(&done),
///     Aggregate::CountIf(is_done.clone()), // count(*) filter (where done)
///     known(&hours),
///     Aggregate::Sum(Type::Decimal, hours.clone()),
///     Aggregate::CountIf(Condition::Known(hours.clone().when(is_done.clone()))),
///     Aggregate::Sum(Type::Decimal, hours.when(is_done)),
/// ];
/// let [n, with_done, are_done, with_hours, sum, done_with_hours, done_sum] =
///     [0, 1, 2, 3, 4, 5, 6].map(Expr::Total);
/// let any = |of: &Expr| Condition::NotZero(of.clone());
/// let shows = vec![
///     n,
///     // All that are known are true; null where none is known.
///     Expr::Is(Condition::Equal(are_done.clone(), with_done.clone()).into()).when(any(&with_done)),
///     Expr::Is(any(&are_done).into()).when(any(&with_done)),
///     Expr::Average { sum: sum.clone().into(), count: with_hours.clone().into(), places: 2 },
///     sum.when(any(&with_hours)), // the sum of nothing is null
///     done_sum.when(any(&done_with_hours)),
/// ];
/// const SHOWN: &[Column] = &[
///     Column::new("n", Type::Int),
///     Column::new("all_done", Type::Bool),
///     Column::new("any_done", Type::Bool),
///     Column::new("mean", Type::Decimal),
///     Column::new("hours", Type::Decimal),
///     Column::new("done_hours", Type::Decimal),
/// ];
/// const KEY: &[Column] = &[Column::new("team", Type::Text)];
/// let view = View::totals("teams", KEY, &[Merge::Sum; 7], SHOWN);
/// let part = Part { table: 0, filter: Condition::Always, key: vec![team], aggregates };
/// let plan = Plan::new(view.showing(SHOWN, shows), None, vec![part]);
///
/// let share = |done: Cell, hours: Cell| plan.parts[0].of(&[], &["a".into(), done, hours]).unwrap().amounts;
/// let shown = |shares: &[Vec<Cell>]| {
///     let total = plan.view.total(shares.iter().map(Vec::as_slice));
///     plan.view.show(None, &total).unwrap().unwrap()
/// };
/// let decimal = |text: &str| Cell::Decimal(text.parse().unwrap());
/// let [yes, no] = [true, false].map(Cell::Bool);
/// let shares = [share(yes.clone(), 3.into()), share(no.clone(), 2.into()), share(Cell::Null, Cell::Null)];
/// let row = [3.into(), no, yes, decimal("2.50"), decimal("5"), decimal("3")];
/// assert_eq!(shown(&shares), row);
/// assert_eq!(shown(&shares[2..])[1..], [const { Cell::Null }; 5]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aggregate {
    /// How many rows there are.
    Count,
    /// For how many rows the condition holds: `count(*) filter (where c)`; with [`Condition::Known`], `count(x)`.
    CountIf(Condition),
    /// The sum of these values, whole numbers or decimals as the type says; null adds nothing, and the sum of nothing
    /// is 0. A sum of whole numbers that 64 bits do not hold becomes the nearest that they do, and is wrong from then on:
    /// whoever reads the values keeps them within bounds.
    Sum(Type, Expr),
    /// The greatest value, null if none is known. All are of one type. The state keeps all of them, by [`bucket`].
    Max(Expr),
    /// The smallest value, as [`Aggregate::Max`] is the greatest.
    Min(Expr),
    /// The first of the distinct tuples of these values, as [`First`] says; null if there are none. The state keeps all of
    /// them, by buckets of their first value as [`bucket`] has them, and in one row the first of each bucket: up to `limit`
    /// tuples times the buckets of a key, which are read with every record of it. So a great limit is for keys whose first
    /// values lie close together, and a set of many far-off values is dear.
    First {
        /// How many, and in which order.
        first: First,
        /// What a row's tuple is made of. Each is of one type for all rows.
        values: Vec<Expr>,
        /// Rows for which it does not hold have no tuple.
        filter: Condition,
    },
}
impl Aggregate {
    /// How the partitions' columns become one.
    pub fn merge(&self) -> Merge {
        match self {
            Self::Count | Self::CountIf(_) | Self::Sum(..) => Merge::Sum,
            Self::Max(_) => Merge::Max,
            Self::Min(_) => Merge::Min,
            Self::First { first, .. } => Merge::First(*first),
        }
    }

    /// What this row adds to a sum; for a greatest or smallest value, or the first ones: the row's own, null if it has none.
    fn amount(&self, row: Parts<'_>) -> Cell {
        match self {
            Self::Count => Cell::Int(1),
            Self::CountIf(condition) => Cell::Int(condition.holds(row).into()),
            Self::Sum(kind, value) => match value.of(row) {
                Cell::Null => self.nothing(),
                Cell::Int(number) if *kind == Type::Decimal => Cell::Decimal(number.into()),
                known => known,
            },
            Self::Max(value) | Self::Min(value) => value.of(row),
            Self::First { values, filter, .. } if filter.holds(row) => {
                let tuple: Vec<Cell> = values.iter().map(|value| value.of(row)).collect();
                // Equal numbers are shown as one text, whichever of them came first.
                Cell::Tuples(vec![canonical_key(&tuple).into_owned()])
            }
            Self::First { .. } => Cell::Null,
        }
    }

    /// The column of a share to which nothing was added, or all was taken away.
    fn is_nothing(&self, column: &Cell) -> bool {
        match self {
            Self::Count | Self::CountIf(_) | Self::Sum(..) => column.is_zero(),
            Self::Max(_) | Self::Min(_) | Self::First { .. } => *column == Cell::Null,
        }
    }

    /// The column of a share to which other parts of the plan were added only. As if rows had come and gone: what a view
    /// shows is told by the rows that there are.
    fn nothing(&self) -> Cell {
        match self {
            Self::Sum(Type::Decimal, _) => Cell::Decimal(Decimal::ZERO),
            Self::Count | Self::CountIf(_) | Self::Sum(..) => Cell::Int(0),
            Self::Max(_) | Self::Min(_) | Self::First { .. } => Cell::Null,
        }
    }

    /// Whether all values have to be kept, since the next one shows when one that is shown goes.
    pub fn keeps_values(&self) -> bool {
        matches!(self, Self::Max(_) | Self::Min(_) | Self::First { .. })
    }

    /// The order in which the values of rows are kept.
    pub fn compare(&self, a: &Cell, b: &Cell) -> Ordering {
        match self {
            Self::First { first, .. } => first.compare(tuple(a), tuple(b)),
            _ => a.cmp(b),
        }
    }

    /// In which bucket the value of a row is: as [`bucket`], and in the order of [`Aggregate::compare`].
    pub fn bucket(&self, value: &Cell) -> i64 {
        match self {
            Self::First { first, .. } => first.bucket(tuple(value)),
            _ => bucket(value),
        }
    }

    /// What is shown of values in their order, or of what is shown of buckets in theirs; `None`: nothing. For aggregates that
    /// keep values.
    pub fn shown<'c>(&self, mut values: impl DoubleEndedIterator<Item = &'c Cell>) -> Option<Cell> {
        match self {
            Self::Min(_) => values.next().cloned(),
            Self::First { first, .. } => {
                let tuples = values.flat_map(Cell::tuples).take(first.limit);
                let tuples: Vec<Vec<Cell>> = tuples.cloned().collect();
                (!tuples.is_empty()).then_some(Cell::Tuples(tuples))
            }
            _ => values.next_back().cloned(),
        }
    }

    /// What it is made of, and for which rows.
    fn made_of(&self) -> (&[Expr], &Condition) {
        match self {
            Self::Count => (&[], &Condition::Always),
            Self::CountIf(condition) => (&[], condition),
            Self::Sum(_, value) | Self::Max(value) | Self::Min(value) => {
                (std::slice::from_ref(value), &Condition::Always)
            }
            Self::First { values, filter, .. } => (values, filter),
        }
    }
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (values, condition) = self.made_of();
        values.iter().chain(condition.exprs())
    }
    fn check(&self, row: Parts<'_>) -> Result<(), Failed> {
        let (values, condition) = self.made_of();
        if !condition.try_holds(row)? {
            return Ok(());
        }
        values.iter().try_for_each(|value| value.try_of(row).map(drop))
    }

    /// Why a plan cannot have it; `None`: it can.
    fn wrong(&self) -> Option<String> {
        let ordered = if self.keeps_values() { self.made_of().0 } else { &[] };
        if ordered.iter().any(Expr::may_mix_numbers) {
            let why = "an order of values that may be whole numbers or decimals: say which 0 is meant by Expr::or";
            return Some(why.to_owned());
        }
        match self {
            Self::Sum(Type::Int | Type::Decimal, _) => None,
            Self::Sum(..) => Some("a sum of values that are no exact numbers".to_owned()),
            Self::First { first, values, .. } => {
                let max = First::LIMIT_MAX;
                if !(1..=max).contains(&first.limit) {
                    return Some(format!(
                        "a limit of {}, which is none of 1 to {max}",
                        first.limit
                    ));
                }
                let is_ordered = !values.is_empty() && values.len() == first.order.len();
                (!is_ordered).then(|| "not one direction for each value of a tuple".to_owned())
            }
            Self::Count | Self::CountIf(_) | Self::Max(_) | Self::Min(_) => None,
        }
    }
}

/// The values of a row's tuple.
fn tuple(value: &Cell) -> &[Cell] {
    value.tuples().first().map_or(&[], Vec::as_slice)
}

/// What one source row adds to a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The key of the view's row, without nulls.
    pub key: Vec<Cell>,
    /// One for each aggregate.
    pub amounts: Vec<Cell>,
}

impl Plan {
    /// A view of rows of this table, each shown as its owner says.
    ///
    /// # Panics
    /// If the owner's part has other columns than the view asks for.
    pub fn of_rows(view: View, own: Own) -> Self {
        Self::new(view, Some(own), Vec::new())
    }

    /// # Panics
    /// If the plan does not make what the view is made of: a mistake of whoever wrote it.
    pub fn new(view: View, own: Option<Own>, parts: Vec<Part>) -> Self {
        let name = view.name;
        let columns = own.as_ref().map(|own| own.columns.len());
        assert_eq!(columns, view.own.map(<[_]>::len), "{name}: the owner's part");
        let keys = own.iter().map(|own| &own.key).chain(parts.iter().map(|part| &part.key));
        for key in keys {
            assert_eq!(key.len(), view.key.len(), "{name}: columns of the key");
        }
        let plan = Self { view, own, parts };
        let wrong = plan.aggregates().find_map(Aggregate::wrong);
        assert!(wrong.is_none(), "{name}: {}", wrong.unwrap_or_default());
        let merge: Vec<Merge> = plan.aggregates().map(Aggregate::merge).collect();
        assert_eq!(merge, plan.view.totals, "{name}: columns of the shares");
        let shows_by_some = plan.view.exists == Condition::NotZero(Expr::Total(0))
            && matches!(plan.aggregates().next(), Some(Aggregate::CountIf(_)));
        assert!(
            !shows_by_some,
            "{name}: there is a row where its first total is not 0, which counts some rows only"
        );
        let counts_some = |part: &&Part| {
            part.aggregates.iter().any(|one| matches!(one, Aggregate::CountIf(_)))
                && !part.aggregates.contains(&Aggregate::Count)
        };
        // A share of nothing but zeros is none: groups in which no row is counted would have no row.
        let uncounted =
            plan.view.is_totals().then(|| plan.parts.iter().find(counts_some)).flatten();
        assert!(uncounted.is_none(), "{name}: a part counts some of its rows, and not all of them");
        let is_first = |at: usize| matches!(merge.get(at), Some(Merge::First(_)));
        let mut shown = plan.view.columns.iter().zip(&plan.view.shows);
        let bare = shown.find(|(_, shown)| shown.may_be_tuples(&is_first));
        let bare = bare.map(|(column, _)| column.name);
        assert!(bare.is_none(), "{name}: tuples in column {}", bare.unwrap_or_default());
        plan
    }

    /// The parts, each with the place of its first column in a share.
    pub fn parts(&self) -> impl Iterator<Item = (usize, &Part)> {
        self.parts.iter().scan(0, |next, part| {
            let at = *next;
            *next += part.aggregates.len();
            Some((at, part))
        })
    }

    /// Whether any of it is made elsewhere: see [`Expr::Computed`].
    pub fn has_computed(&self) -> bool {
        let own = self.own.iter().flat_map(Own::exprs);
        let parts = self.parts.iter().flat_map(Part::exprs);
        let mut all = own.chain(parts).chain(&self.view.shows).chain(self.view.exists.exprs());
        all.any(|expr| matches!(expr, Expr::Computed(_)))
    }

    /// Whether there may be rows of this table that [`Plan::check`] finds something wrong with.
    pub fn may_fail(&self, table: usize) -> bool {
        let own = self.own.iter().filter(|own| own.table == table).flat_map(Own::exprs);
        let parts = self.parts.iter().filter(|part| part.table == table).flat_map(Part::exprs);
        own.chain(parts).any(Expr::may_fail)
    }

    /// Whether there is a value of everything that the view makes of this row of this table.
    ///
    /// # Errors
    /// The row has no place in the view, and neither in PostgreSQL's own answer: it would fail, too.
    pub fn check(&self, table: usize, key: &[Cell], columns: &[Cell]) -> Result<(), Failed> {
        let of_view = |failed: Failed| failed.of(self.view.name);
        if let Some(own) = self.own.as_ref().filter(|own| own.table == table) {
            own.check(key, columns).map_err(of_view)?;
        }
        let mut parts = self.parts.iter().filter(|part| part.table == table);
        parts.try_for_each(|part| part.check(key, columns)).map_err(of_view)
    }

    /// What each column of a share is.
    fn aggregates(&self) -> impl Iterator<Item = &Aggregate> {
        self.parts.iter().flat_map(|part| &part.aggregates)
    }

    /// Sets the sums to which nothing was added yet to 0: those of parts whose rows never had this key.
    pub fn fill(&self, share: &mut [Cell]) {
        for (column, aggregate) in share.iter_mut().zip(self.aggregates()) {
            if *column == Cell::Null {
                *column = aggregate.nothing();
            }
        }
    }

    /// Whether a share says nothing any more: it is removed then.
    pub fn is_nothing(&self, share: &[Cell]) -> bool {
        share.iter().zip(self.aggregates()).all(|(column, aggregate)| aggregate.is_nothing(column))
    }
}

/// The sets of words of one source row that were made already: views of one table often ask for the same, and to cut a
/// text costs more than all else that is done to a row.
#[derive(Debug, Default)]
pub struct WordsOfRow<'e>(Vec<(&'e Expr, Cell)>);
impl<'e> WordsOfRow<'e> {
    /// The value of the expression for this row, which is the same at each call.
    fn of(&mut self, expr: &'e Expr, row: Parts<'_>) -> Cell {
        if !matches!(expr, Expr::Words(_)) {
            return expr.of(row);
        }
        if let Some((_, words)) = self.0.iter().find(|(known, _)| *known == expr) {
            return words.clone();
        }
        let words = expr.of(row);
        self.0.push((expr, words.clone()));
        words
    }
}

impl Own {
    /// The owner's parts that this row puts, each with its key, in the order of the keys. `words`: of this row, from view
    /// to view.
    pub fn of<'e>(
        &'e self,
        key: &[Cell],
        columns: &[Cell],
        words: &mut WordsOfRow<'e>,
    ) -> Vec<(Vec<Cell>, Vec<Cell>)> {
        let row = Parts::of_row(key, columns);
        if !self.filter.holds(row) {
            return Vec::new();
        }
        let Some(each) = &self.each else {
            let mut all =
                |exprs: &'e [Expr]| exprs.iter().map(|expr| words.of(expr, row)).collect();
            return vec![(all(&self.key), all(&self.columns))];
        };
        let Cell::Words(each) = words.of(each, row) else { return Vec::new() };
        let mut longer = columns.to_vec();
        longer.push(Cell::Null);
        let one = |word: String| {
            longer[columns.len()] = Cell::Text(word);
            let row = Parts::of_row(key, &longer);
            let all = |exprs: &[Expr]| exprs.iter().map(|expr| expr.of(row)).collect();
            (all(&self.key), all(&self.columns))
        };
        let mut parts: Vec<_> = each.into_iter().map(one).collect();
        parts.sort_unstable();
        parts
    }

    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        self.filter.exprs().chain(&self.each).chain(&self.key).chain(&self.columns)
    }
    fn check(&self, key: &[Cell], columns: &[Cell]) -> Result<(), Failed> {
        let row = Parts::of_row(key, columns);
        if !self.filter.try_holds(row)? {
            return Ok(());
        }
        let all = |row: Parts<'_>| {
            let mut exprs = self.key.iter().chain(&self.columns);
            exprs.try_for_each(|expr| expr.try_of(row).map(drop))
        };
        let Some(each) = &self.each else { return all(row) };
        let Cell::Words(each) = each.try_of(row)? else { return Ok(()) };
        let mut longer = columns.to_vec();
        longer.push(Cell::Null);
        each.into_iter().try_for_each(|word| {
            longer[columns.len()] = Cell::Text(word);
            all(Parts::of_row(key, &longer))
        })
    }

    /// The primary key, of so many columns, of the row that puts the part with this key.
    pub fn row_of(&self, key: &[Cell], width: usize) -> Option<Vec<Cell>> {
        let column = |at: usize| {
            let place = self.key.iter().position(|expr| *expr == Expr::Key(at))?;
            key.get(place).cloned()
        };
        (0..width).map(column).collect()
    }
}

impl Part {
    fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let aggregates = self.aggregates.iter().flat_map(Aggregate::exprs);
        self.filter.exprs().chain(&self.key).chain(aggregates)
    }
    fn check(&self, key: &[Cell], columns: &[Cell]) -> Result<(), Failed> {
        let row = Parts::of_row(key, columns);
        if !self.filter.try_holds(row)? {
            return Ok(());
        }
        for value in &self.key {
            if value.try_of(row)? == Cell::Null {
                return Ok(());
            }
        }
        self.aggregates.iter().try_for_each(|aggregate| aggregate.check(row))
    }

    /// The key that this row adds to; `None`: it adds to none.
    pub fn key_of(&self, key: &[Cell], columns: &[Cell]) -> Option<Vec<Cell>> {
        let row = Parts::of_row(key, columns);
        if !self.filter.holds(row) {
            return None;
        }
        let mut at = Vec::with_capacity(self.key.len());
        for value in &self.key {
            match value.of(row) {
                Cell::Null => return None,
                known => at.push(known),
            }
        }
        Some(at)
    }

    /// What this row adds, and to which key; `None`: nothing.
    pub fn of(&self, key: &[Cell], columns: &[Cell]) -> Option<Contribution> {
        let at = self.key_of(key, columns)?;
        let row = Parts::of_row(key, columns);
        let amounts = self.aggregates.iter().map(|aggregate| aggregate.amount(row)).collect();
        Some(Contribution { key: at, amounts })
    }
}

/// Values of one type that lie close together have one bucket, and buckets are ordered as their values are: a state keeps
/// the values of one bucket in one row, and the extreme of each bucket in another. Times have one for each UTC day, dates
/// for 32 days, and floats 64 between a power of two and the next.
pub fn bucket(value: &Cell) -> i64 {
    const DAY_US: i64 = 86_400_000_000;
    const WHOLE: i64 = 1_024;
    const DAYS: i64 = 32;
    const FLOAT_BITS: u32 = 18;
    match value {
        Cell::Null => i64::MIN,
        Cell::Int(number) => number.div_euclid(WHOLE),
        Cell::Time(us) => us.div_euclid(DAY_US),
        Cell::Decimal(decimal) => whole(decimal).div_euclid(WHOLE),
        Cell::Text(text) | Cell::Json(text) => two_bytes(text.as_bytes()),
        Cell::Words(words) => words.first().map_or(0, |word| two_bytes(word.as_bytes())),
        Cell::Bool(is_so) => i64::from(*is_so),
        // The bits that are left fit.
        Cell::Float(number) => (number.ordered() >> (u64::BITS - FLOAT_BITS)) as i64,
        Cell::Date(days) => i64::from(*days).div_euclid(DAYS),
        Cell::Uuid(uuid) => two_bytes(uuid),
        Cell::Bytes(bytes) => two_bytes(bytes),
        Cell::List(list) => match list.0.first() {
            None => 0,
            Some(Some(text)) => two_bytes(text.as_bytes()),
            Some(None) => 1 << 16,
        },
        // No value of a row: see `Aggregate::bucket`.
        Cell::Tuples(_) => 0,
    }
}

/// The first two, as one number.
fn two_bytes(bytes: &[u8]) -> i64 {
    let byte = |at| bytes.get(at).copied().map_or(0, i64::from);
    byte(0) << 8 | byte(1)
}

/// Without what is behind the point; the nearest that 64 bits hold.
fn whole(decimal: &Decimal) -> i64 {
    let beyond = if *decimal < 0 { i64::MIN } else { i64::MAX };
    decimal.truncated().map_or(beyond, |whole| i64::try_from(whole).unwrap_or(beyond))
}

#[cfg(test)]
mod tests;
