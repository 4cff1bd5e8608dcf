//! How a shown value is made of a row's parts, and how a part is made of a source row.
#![deny(clippy::disallowed_methods)]

use crate::{
    Cell, List,
    cell::json::{array, write_text},
    computed::{Computed, Failed},
    words::words,
};
use chrono::{DateTime, Datelike};
use decimal::Decimal;

/// The parts of one row: what its expressions are evaluated over.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The primary key of a source row; empty for a view's row.
    pub key: &'a [Cell],
    /// The columns of the owner's part, empty where there is none; or those of a source row beside its key.
    pub own: &'a [Cell],
    /// The merged columns of all partitions' shares.
    pub totals: &'a [Cell],
}
impl<'a> Parts<'a> {
    /// A source row, which has no shares.
    pub fn of_row(key: &'a [Cell], own: &'a [Cell]) -> Self {
        Self { key, own, totals: &[] }
    }
    /// A view's row.
    pub fn of_view(own: &'a [Cell], totals: &'a [Cell]) -> Self {
        Self { key: &[], own, totals }
    }
    /// The cell at this place where key, columns and totals stand one behind the other; `None`: there is none.
    pub fn cell(self, mut at: usize) -> Option<&'a Cell> {
        for cells in [self.key, self.own, self.totals] {
            match at.checked_sub(cells.len()) {
                None => return cells.get(at),
                Some(beyond) => at = beyond,
            }
        }
        None
    }
}

/// A value made of a row's parts. As in SQL, arithmetic with null is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// This column of a source row's primary key.
    Key(usize),
    /// This column of the owner's part, or of a source row, beside its key.
    Own(usize),
    /// This merged column.
    Total(usize),
    /// The same for every row.
    Value(Cell),
    /// `coalesce(a, 0)`. The 0 is a whole number, also where `a` is a decimal.
    OrZero(Box<Expr>),
    /// `coalesce(a, value)`: a value of the type that `a` has.
    Or(Box<Expr>, Cell),
    /// `a - b` of whole numbers; one that 64 bits do not hold becomes the nearest that they do.
    Minus(Box<Expr>, Box<Expr>),
    /// `a * b` of whole numbers or decimals; a whole number that 64 bits do not hold becomes the nearest that they do.
    Times(Box<Expr>, Box<Expr>),
    /// The UTC day of a time, as `YYYY-MM-DD`; null for years that are not 1 to 9999.
    Day(Box<Expr>),
    /// The words of these texts, as [`words`] tells them.
    Words(Vec<Expr>),
    /// `round(sum / nullif(count, 0), places)`, exact and half away from zero, as PostgreSQL does it.
    Average { sum: Box<Expr>, count: Box<Expr>, places: u32 },
    /// `case when condition then value end`.
    When(Box<Condition>, Box<Expr>),
    /// True where the condition holds, and false where it does not: never null, also where SQL's comparison is.
    Is(Box<Condition>),
    /// How many tuples a merged column of [`crate::Merge::First`] has; 0 of all else.
    TupleCount(Box<Expr>),
    /// The value at the second place of the tuple at the first one, both from 0; null where there is none. The value of the
    /// first tuple is what `distinct on` keeps.
    TupleValue(Box<Expr>, usize, usize),
    /// The values at this place of all tuples, in their order, as a list of texts: each as people read it ([`Cell`]), decimals
    /// without zeros at their end; null where there are no tuples. PostgreSQL's `array_agg(trim_scale(x)::text order by ..)`
    /// is the same, but that it writes times in the session's zone.
    TupleTexts(Box<Expr>, usize),
    /// An array of JSON, without spaces, with one item for each tuple, in their order; null where there are no tuples. It
    /// is the text of another form than PostgreSQL's `json_agg(.. order by ..)` makes, and equal to that as `jsonb`. Values
    /// are as [`Cell::write_json`] has them.
    TupleJson(Box<Expr>, JsonItem),
    /// A value that is made elsewhere. This one alone may fail.
    Computed(Computed),
}

/// What [`Expr::TupleJson`] makes of a tuple. Places are those of its values, from 0; one that it does not have is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonItem {
    /// The value at this place: `json_agg(x)`.
    Value(usize),
    /// An array of the values at these places: `json_agg(json_build_array(x, y))`.
    Array(Vec<usize>),
    /// An object of the values at these places under these names: `json_agg(json_build_object('x', x, 'y', y))`. No name is
    /// there twice.
    Object(Vec<(&'static str, usize)>),
}
impl JsonItem {
    fn write(&self, out: &mut String, tuple: &[Cell]) {
        let value = |out: &mut String, at: &usize| {
            tuple.get(*at).unwrap_or(&Cell::Null).write_json(out);
        };
        match self {
            Self::Value(at) => value(out, at),
            Self::Array(places) => array(out, places, value),
            Self::Object(named) => {
                out.push('{');
                for (at, (name, place)) in named.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(out, name);
                    out.push(':');
                    value(out, place);
                }
                out.push('}');
            }
        }
    }
}

/// A condition over a row's parts. A comparison with null does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Every row.
    Always,
    /// `a is not null`.
    Known(Expr),
    /// `a <> 0`.
    NotZero(Expr),
    /// `a < b`, of whole numbers.
    Below(Expr, i64),
    /// `a = b`, of two values of one type, or of a whole number and a decimal. Values of other types are not equal.
    Equal(Expr, Expr),
    /// The value is true: neither false nor null.
    True(Expr),
}

impl Expr {
    /// The expression for `coalesce(self, 0)`.
    #[must_use]
    pub fn or_zero(self) -> Self {
        Self::OrZero(Box::new(self))
    }
    /// The expression for `coalesce(self, value)`.
    #[must_use]
    pub fn or(self, value: impl Into<Cell>) -> Self {
        Self::Or(Box::new(self), value.into())
    }
    /// The expression for `self - other`.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self::Minus(Box::new(self), Box::new(other))
    }
    /// The expression for `self * other`.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        Self::Times(Box::new(self), Box::new(other))
    }
    /// The expression for the UTC day of `self`.
    #[must_use]
    pub fn day(self) -> Self {
        Self::Day(Box::new(self))
    }
    /// The expression for `case when self < limit then 1 end`.
    #[must_use]
    pub fn flag_below(self, limit: i64) -> Self {
        Self::When(Box::new(Condition::Below(self, limit)), Box::new(Self::Value(Cell::Int(1))))
    }

    /// The expression for `case when condition then self end`.
    #[must_use]
    pub fn when(self, condition: Condition) -> Self {
        Self::When(Box::new(condition), Box::new(self))
    }

    /// The expression for how many tuples `self` has.
    #[must_use]
    pub fn tuple_count(self) -> Self {
        Self::TupleCount(Box::new(self))
    }
    /// The expression for one value of one tuple of `self`.
    #[must_use]
    pub fn tuple_value(self, tuple: usize, at: usize) -> Self {
        Self::TupleValue(Box::new(self), tuple, at)
    }
    /// The expression for one value of each tuple of `self`, as a list of texts.
    #[must_use]
    pub fn tuple_texts(self, at: usize) -> Self {
        Self::TupleTexts(Box::new(self), at)
    }
    /// The expression for the tuples of `self` as JSON.
    #[must_use]
    pub fn tuple_json(self, item: JsonItem) -> Self {
        Self::TupleJson(Box::new(self), item)
    }

    /// Whether its value may be tuples where the merged columns at these places are. Nobody is shown these.
    pub(crate) fn may_be_tuples(&self, is_first: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Self::Total(at) => is_first(*at),
            Self::Value(cell) => matches!(cell, Cell::Tuples(_)),
            Self::OrZero(value) | Self::Or(value, _) | Self::When(_, value) => {
                value.may_be_tuples(is_first)
            }
            Self::Key(_) | Self::Own(_) | Self::Minus(..) | Self::Times(..) | Self::Day(_) => false,
            Self::Words(_) | Self::Average { .. } | Self::Is(_) | Self::TupleCount(_) => false,
            Self::TupleValue(..) | Self::TupleTexts(..) | Self::TupleJson(..) => false,
            Self::Computed(_) => false,
        }
    }

    /// Whether its values may be whole numbers and decimals, by [`Expr::OrZero`]: these have no order among each other.
    pub(crate) fn may_mix_numbers(&self) -> bool {
        match self {
            Self::OrZero(_) => true,
            Self::Times(a, b) => a.may_mix_numbers() || b.may_mix_numbers(),
            Self::Or(value, _) | Self::When(_, value) => value.may_mix_numbers(),
            _ => false,
        }
    }

    /// The value for these parts; null where it fails, too. For expressions that cannot fail, and for parts for which
    /// [`Expr::try_of`] did not.
    pub fn of(&self, parts: Parts<'_>) -> Cell {
        self.try_of(parts).unwrap_or(Cell::Null)
    }

    /// Whether there may be parts for which it fails.
    pub fn may_fail(&self) -> bool {
        match self {
            Self::Key(_) | Self::Own(_) | Self::Total(_) | Self::Value(_) => false,
            Self::OrZero(a) | Self::Or(a, _) | Self::Day(a) | Self::TupleCount(a) => a.may_fail(),
            Self::TupleValue(a, ..) | Self::TupleTexts(a, _) | Self::TupleJson(a, _) => {
                a.may_fail()
            }
            Self::Minus(a, b) | Self::Times(a, b) => a.may_fail() || b.may_fail(),
            Self::Average { sum, count, .. } => sum.may_fail() || count.may_fail(),
            Self::Words(all) => all.iter().any(Self::may_fail),
            Self::When(condition, value) => {
                value.may_fail() || condition.exprs().any(Self::may_fail)
            }
            Self::Is(condition) => condition.exprs().any(Self::may_fail),
            Self::Computed(computed) => computed.may_fail(),
        }
    }

    /// The value for these parts. Null where a part or a column is missing.
    ///
    /// # Errors
    /// Those of [`Expr::Computed`] in it.
    pub fn try_of(&self, parts: Parts<'_>) -> Result<Cell, Failed> {
        Ok(match self {
            Self::Key(at) => parts.key.get(*at).cloned().unwrap_or(Cell::Null),
            Self::Own(at) => parts.own.get(*at).cloned().unwrap_or(Cell::Null),
            Self::Total(at) => parts.totals.get(*at).cloned().unwrap_or(Cell::Null),
            Self::Value(cell) => cell.clone(),
            Self::OrZero(value) => match value.try_of(parts)? {
                Cell::Null => Cell::Int(0),
                known => known,
            },
            Self::Or(value, other) => match value.try_of(parts)? {
                Cell::Null => other.clone(),
                known => known,
            },
            Self::Minus(a, b) => match (a.try_of(parts)?, b.try_of(parts)?) {
                (Cell::Int(a), Cell::Int(b)) => Cell::Int(a.saturating_sub(b)),
                _ => Cell::Null,
            },
            Self::Times(a, b) => times(&a.try_of(parts)?, &b.try_of(parts)?),
            Self::Day(time) => match time.try_of(parts)? {
                Cell::Time(us) => day(us).into(),
                _ => Cell::Null,
            },
            Self::Words(texts) => {
                let texts = texts.iter().map(|text| text.try_of(parts));
                let texts: Vec<Cell> = texts.collect::<Result<_, _>>()?;
                Cell::Words(texts.iter().filter_map(Cell::text).flat_map(words).collect())
            }
            Self::Average { sum, count, places } => {
                match (sum.try_of(parts)?, count.try_of(parts)?) {
                    (Cell::Decimal(sum), Cell::Int(count)) => {
                        sum.round_quotient(count, *places).into()
                    }
                    _ => Cell::Null,
                }
            }
            Self::When(condition, value) => {
                if condition.try_holds(parts)? {
                    value.try_of(parts)?
                } else {
                    Cell::Null
                }
            }
            Self::Is(condition) => Cell::Bool(condition.try_holds(parts)?),
            Self::TupleCount(tuples) => {
                Cell::Int(i64::try_from(tuples.try_of(parts)?.tuples().len()).unwrap_or(i64::MAX))
            }
            Self::TupleValue(tuples, tuple, at) => {
                let tuples = tuples.try_of(parts)?;
                let value = tuples.tuples().get(*tuple).and_then(|tuple| tuple.get(*at));
                value.cloned().unwrap_or(Cell::Null)
            }
            Self::TupleTexts(tuples, at) => texts(&tuples.try_of(parts)?, *at),
            Self::TupleJson(tuples, item) => match tuples.try_of(parts)?.tuples() {
                [] => Cell::Null,
                tuples => {
                    let mut json = String::new();
                    array(&mut json, tuples, |out, tuple| item.write(out, tuple));
                    Cell::Json(json)
                }
            },
            Self::Computed(computed) => computed.of(parts)?,
        })
    }
}

impl Condition {
    /// Whether it holds for these parts; not where it fails, either, as with [`Expr::of`].
    pub fn holds(&self, parts: Parts<'_>) -> bool {
        self.try_holds(parts).unwrap_or(false)
    }

    /// The expressions that it looks at.
    pub(crate) fn exprs(&self) -> impl Iterator<Item = &Expr> {
        let (first, second) = match self {
            Self::Always => (None, None),
            Self::Known(a) | Self::NotZero(a) | Self::Below(a, _) | Self::True(a) => {
                (Some(a), None)
            }
            Self::Equal(a, b) => (Some(a), Some(b)),
        };
        first.into_iter().chain(second)
    }

    /// Whether it holds for these parts.
    ///
    /// # Errors
    /// Those of [`Expr::Computed`] in it.
    pub fn try_holds(&self, parts: Parts<'_>) -> Result<bool, Failed> {
        Ok(match self {
            Self::Always => true,
            Self::Known(value) => value.try_of(parts)? != Cell::Null,
            Self::NotZero(value) => !value.try_of(parts)?.is_zero(),
            Self::Below(value, limit) => value.try_of(parts)?.int().is_some_and(|n| n < *limit),
            Self::Equal(a, b) => is_equal(&a.try_of(parts)?, &b.try_of(parts)?),
            Self::True(value) => value.try_of(parts)? == Cell::Bool(true),
        })
    }
}

fn is_equal(a: &Cell, b: &Cell) -> bool {
    match (a, b) {
        (Cell::Null, _) => false,
        (Cell::Decimal(a), Cell::Int(b)) | (Cell::Int(b), Cell::Decimal(a)) => a == b,
        (a, b) => a == b,
    }
}

/// The values at this place of each tuple.
fn texts(tuples: &Cell, at: usize) -> Cell {
    let text = |tuple: &Vec<Cell>| match tuple.get(at)? {
        Cell::Null => None,
        Cell::Decimal(decimal) => Some(decimal.normalized().to_plain_string()),
        known => Some(known.to_string()),
    };
    match tuples.tuples() {
        [] => Cell::Null,
        tuples => Cell::List(List(tuples.iter().map(text).collect())),
    }
}

fn times(a: &Cell, b: &Cell) -> Cell {
    match (a, b) {
        (Cell::Int(a), Cell::Int(b)) => Cell::Int(a.saturating_mul(*b)),
        (Cell::Decimal(a), Cell::Decimal(b)) => Cell::Decimal(a * b),
        (Cell::Decimal(a), Cell::Int(b)) | (Cell::Int(b), Cell::Decimal(a)) => {
            Cell::Decimal(a * Decimal::from(*b))
        }
        _ => Cell::Null,
    }
}

/// `YYYY-MM-DD` in UTC of a time in microseconds since 1970; `None` for years that are not 1 to 9999, which are written
/// otherwise.
pub fn day(us: i64) -> Option<String> {
    let date = DateTime::from_timestamp_micros(us)?.date_naive();
    let year = u32::try_from(date.year()).ok().filter(|year| (1..=9999).contains(year))?;
    // By hand: formatting costs more than all else that is done to a time.
    let digit = |number: u32| char::from(b'0' + (number % 10) as u8);
    let mut text = String::with_capacity(10);
    text.extend([year / 1_000, year / 100, year / 10, year].map(digit));
    for part in [date.month(), date.day()] {
        text.extend(['-', digit(part / 10), digit(part)]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts<'a>(own: &'a [Cell], totals: &'a [Cell]) -> Parts<'a> {
        Parts::of_view(own, totals)
    }
    fn decimal(text: &str) -> Cell {
        Cell::Decimal(text.parse().unwrap())
    }

    #[test]
    fn null_makes_null_but_for_coalesce() {
        let none = parts(&[Cell::Null], &[]);
        let sum = Expr::Own(0).minus(Expr::Total(0));
        assert_eq!(sum.of(none), Cell::Null);
        assert_eq!(Expr::Own(0).or_zero().minus(Expr::Total(0).or_zero()).of(none), Cell::Int(0));
        assert_eq!(sum.of(parts(&[5.into()], &[8.into()])), Cell::Int(-3));
        assert_eq!(sum.of(parts(&[i64::MIN.into()], &[1.into()])), Cell::Int(i64::MIN));
        assert!(!Condition::Below(Expr::Own(0), 10).holds(none));
        assert!(!Condition::Known(Expr::Own(7)).holds(none));
        assert!(!Condition::NotZero(Expr::Own(0)).holds(none));
    }

    #[test]
    fn a_flag_is_one_or_null() {
        let flag = Expr::Own(0).flag_below(10);
        for (stock, want) in [(9, Cell::Int(1)), (10, Cell::Null), (-1, Cell::Int(1))] {
            assert_eq!(flag.of(parts(&[stock.into()], &[])), want);
        }
    }

    #[test]
    fn equal_is_of_values_and_never_of_nulls() {
        let equal = |a: Cell, b: Cell| {
            let equal = Condition::Equal(Expr::Own(0), Expr::Own(1));
            let (row, swapped) = ([a.clone(), b.clone()], [b, a]);
            let is = |row: &[Cell]| Expr::Is(Box::new(equal.clone())).of(parts(row, &[]));
            assert_eq!(is(&row), is(&swapped));
            is(&row) == Cell::Bool(true)
        };
        assert!(equal(Cell::Bool(true), Cell::Bool(true)) && equal("a".into(), "a".into()));
        assert!(equal(decimal("1.50"), decimal("1.5")) && equal(decimal("2.0"), 2.into()));
        assert!(!equal(decimal("2.5"), 2.into()) && !equal("2".into(), 2.into()));
        assert!(!equal(Cell::Null, Cell::Null) && !equal(Cell::Null, 0.into()));
    }

    #[test]
    fn averages_round_half_away_from_zero() {
        let average = Expr::Average {
            sum: Box::new(Expr::Total(1)),
            count: Box::new(Expr::Total(0)),
            places: 2,
        };
        let of = |sum: &str, count: i64| average.of(parts(&[], &[count.into(), decimal(sum)]));
        for (sum, count, want) in [
            ("0.03", 2, "0.02"),
            ("-0.03", 2, "-0.02"),
            ("10", 3, "3.33"),
            ("20", 3, "6.67"),
            ("1e3", 3, "333.33"),
            ("0.015", 1, "0.02"),
            ("7", 1, "7.00"),
        ] {
            assert_eq!(of(sum, count).to_string(), want, "{sum} / {count}");
        }
        assert_eq!(of("1", 0), Cell::Null);
        assert_eq!(of("1", -1), Cell::Null);
    }

    #[test]
    fn tuples_are_counted_listed_and_made_json() {
        let tuple = |price: &str, title: Cell| vec![decimal(price), title, Cell::Bool(true)];
        let tuples = Cell::Tuples(vec![tuple("19.50", "a \"b\"".into()), tuple("7", Cell::Null)]);
        let (some, none) = ([tuples], [Cell::Null]);
        let of = |expr: &Expr| [&some, &none].map(|totals| expr.of(parts(&[], totals)));
        let first = Expr::Total(0);
        assert_eq!(of(&first.clone().tuple_count()), [Cell::Int(2), Cell::Int(0)]);
        assert_eq!(of(&first.clone().tuple_value(1, 0)), [decimal("7"), Cell::Null]);
        assert_eq!(of(&first.clone().tuple_value(2, 0)), [Cell::Null, Cell::Null]);
        let list = |texts: [Option<&str>; 2]| {
            Cell::List(List(texts.map(|text| text.map(str::to_owned)).into()))
        };
        assert_eq!(
            of(&first.clone().tuple_texts(0)),
            [list([Some("19.5"), Some("7")]), Cell::Null]
        );
        assert_eq!(of(&first.clone().tuple_texts(1)), [list([Some("a \"b\""), None]), Cell::Null]);
        for (item, want) in [
            (JsonItem::Value(1), r#"["a \"b\"",null]"#),
            (JsonItem::Array(vec![2, 0, 9]), "[[true,19.5,null],[true,7,null]]"),
            (
                JsonItem::Object(vec![("t\"", 1), ("price", 0)]),
                r#"[{"t\"":"a \"b\"","price":19.5},{"t\"":null,"price":7}]"#,
            ),
            (JsonItem::Object(vec![]), "[{},{}]"),
        ] {
            let json = of(&first.clone().tuple_json(item));
            assert_eq!(json, [Cell::Json(want.into()), Cell::Null]);
        }
    }

    proptest! {
        #[test]
        fn days_are_as_ever(us in FIRST_US..=LAST_US, other: i64) {
            for us in [us, other] {
                let date = DateTime::from_timestamp_micros(us).map(|time| time.date_naive());
                let date = date.filter(|date| (1..=9999).contains(&date.year()));
                let parts = date.map(|date| (date.year(), date.month(), date.day()));
                let want = parts.map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"));
                prop_assert_eq!(day(us), want);
            }
        }
    }

    const FIRST_US: i64 = -62_135_596_800_000_000;
    const LAST_US: i64 = 253_402_300_799_999_999;

    #[test]
    fn days_at_the_ends() {
        for (us, want) in [
            (FIRST_US - 1, None),
            (FIRST_US, Some("0001-01-01")),
            (-1, Some("1969-12-31")),
            (0, Some("1970-01-01")),
            (LAST_US, Some("9999-12-31")),
            (LAST_US + 1, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ] {
            assert_eq!(day(us).as_deref(), want, "{us}");
        }
    }

    #[test]
    fn products_are_exact_and_null_makes_null() {
        let product = |a: Cell, b: Cell| Expr::Own(0).times(Expr::Own(1)).of(parts(&[a, b], &[]));
        assert_eq!(product(3.into(), decimal("1.25")), decimal("3.75"));
        assert_eq!(product(decimal("0.1"), decimal("0.1")), decimal("0.01"));
        assert_eq!(product(3.into(), (-4).into()), Cell::Int(-12));
        assert_eq!(product(3.into(), Cell::Null), Cell::Null);
    }
}
