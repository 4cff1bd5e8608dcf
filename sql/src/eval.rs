//! The value of an expression for one row, as PostgreSQL gives it: the same value, or the same kind of error.
mod cast;
mod float;
mod json;
mod like;
mod number;
mod text;
pub(crate) mod time;

use crate::expr::{Comparison, Expr, Function};
use std::borrow::Cow;
use views::{Cell, Parts, words};

pub(crate) use cast::cast;

/// Why there is no value. It shows no value of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}: {what}", code.name())]
pub struct EvalError {
    pub code: Code,
    pub what: &'static str,
}

/// PostgreSQL's names of what went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    DivisionByZero,
    NumericValueOutOfRange,
    DatetimeFieldOverflow,
    InvalidDatetimeFormat,
    InvalidTextRepresentation,
    InvalidEscapeSequence,
    SubstringError,
    InvalidParameterValue,
    ProgramLimitExceeded,
    /// PostgreSQL has a value, which is not made here.
    FeatureNotSupported,
}
impl Code {
    /// As PostgreSQL's table of error codes calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DivisionByZero => "division_by_zero",
            Self::NumericValueOutOfRange => "numeric_value_out_of_range",
            Self::DatetimeFieldOverflow => "datetime_field_overflow",
            Self::InvalidDatetimeFormat => "invalid_datetime_format",
            Self::InvalidTextRepresentation => "invalid_text_representation",
            Self::InvalidEscapeSequence => "invalid_escape_sequence",
            Self::SubstringError => "substring_error",
            Self::InvalidParameterValue => "invalid_parameter_value",
            Self::ProgramLimitExceeded => "program_limit_exceeded",
            Self::FeatureNotSupported => "feature_not_supported",
        }
    }
    /// The five characters that PostgreSQL sends.
    pub const fn sqlstate(self) -> &'static str {
        match self {
            Self::DivisionByZero => "22012",
            Self::NumericValueOutOfRange => "22003",
            Self::DatetimeFieldOverflow => "22008",
            Self::InvalidDatetimeFormat => "22007",
            Self::InvalidTextRepresentation => "22P02",
            Self::InvalidEscapeSequence => "22025",
            Self::SubstringError => "22011",
            Self::InvalidParameterValue => "22023",
            Self::ProgramLimitExceeded => "54000",
            Self::FeatureNotSupported => "0A000",
        }
    }
}

/// An error of this name.
fn fail<T>(code: Code, what: &'static str) -> Result<T, EvalError> {
    Err(EvalError { code, what })
}

type Value<'a> = Result<Cow<'a, Cell>, EvalError>;
type Made = Result<Cell, EvalError>;

const NULL: Cell = Cell::Null;

impl Expr {
    /// The value for this row. Where a cell is missing it is null.
    ///
    /// # Errors
    /// As PostgreSQL: overflow, division by zero, a text that is no value of the type that it is cast to, and the like.
    pub fn of<'a>(&'a self, row: &'a [Cell]) -> Result<Cow<'a, Cell>, EvalError> {
        self.of_parts(Parts::of_row(row, &[]))
    }

    /// The same of a row whose cells are in several lists, one behind the other.
    ///
    /// # Errors
    /// Those of [`Expr::of`].
    pub fn of_parts<'a>(&'a self, row: Parts<'a>) -> Result<Cow<'a, Cell>, EvalError> {
        match self {
            Self::Column(at) => Ok(Cow::Borrowed(row.cell(*at).unwrap_or(&NULL))),
            Self::Value(cell) => Ok(Cow::Borrowed(cell)),
            Self::And(all) => until(all, row, false),
            Self::Or(all) => until(all, row, true),
            Self::Not(a) => Ok(match truth(&*a.of_parts(row)?) {
                Some(is) => bool(!is),
                None => null(),
            }),
            Self::IsNull(a) => Ok(bool(*a.of_parts(row)? == Cell::Null)),
            Self::Is(a, is) => Ok(bool(truth(&*a.of_parts(row)?) == Some(*is))),
            Self::Compare(how, a, b) => {
                let (a, b) = (a.of_parts(row)?, b.of_parts(row)?);
                if *a == Cell::Null || *b == Cell::Null {
                    return Ok(null());
                }
                Ok(bool(how.holds(&a, &b)))
            }
            Self::Same(a, b) => Ok(bool(a.of_parts(row)? == b.of_parts(row)?)),
            Self::Case(branches, last) => {
                for (when, then) in branches {
                    if truth(&*when.of_parts(row)?) == Some(true) {
                        return then.of_parts(row);
                    }
                }
                last.of_parts(row)
            }
            Self::Coalesce(all) => {
                for one in all {
                    let value = one.of_parts(row)?;
                    if *value != Cell::Null {
                        return Ok(value);
                    }
                }
                Ok(null())
            }
            Self::NullIf(a, b) => {
                let a = a.of_parts(row)?;
                let b = b.of_parts(row)?;
                let is_same = *a != Cell::Null && a == b;
                Ok(if is_same { null() } else { a })
            }
            Self::Greatest(all) => extreme(all, row, Comparison::Greater),
            Self::Least(all) => extreme(all, row, Comparison::Less),
            Self::IsAny(a, list) => is_any(&*a.of_parts(row)?, &*list.of_parts(row)?),
            Self::Concat(all) => text::concat(&values(all, row)?).map(Cow::Owned),
            Self::ConcatWith(all) => text::concat_with(&values(all, row)?).map(Cow::Owned),
            Self::Words(all) => {
                let texts = values(all, row)?;
                let all = texts.iter().filter_map(|text| text.text()).flat_map(words);
                Ok(Cow::Owned(Cell::Words(all.collect())))
            }
            Self::Call(of, all) => call(of, all, row),
        }
    }

    /// Whether the condition is true for this row: neither false nor null.
    ///
    /// # Errors
    /// Those of [`Expr::of`].
    pub fn holds(&self, row: &[Cell]) -> Result<bool, EvalError> {
        Ok(truth(&*self.of(row)?) == Some(true))
    }
}

impl Comparison {
    /// Whether it holds for two values of one type.
    fn holds(self, a: &Cell, b: &Cell) -> bool {
        let order = a.cmp(b);
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

fn null<'a>() -> Cow<'a, Cell> {
    Cow::Owned(Cell::Null)
}
fn bool<'a>(is: bool) -> Cow<'a, Cell> {
    Cow::Owned(Cell::Bool(is))
}
fn truth(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(is) => Some(*is),
        _ => None,
    }
}

fn values<'a>(all: &'a [Expr], row: Parts<'a>) -> Result<Vec<Cow<'a, Cell>>, EvalError> {
    all.iter().map(|one| one.of_parts(row)).collect()
}

/// `and` ends at the first false, `or` at the first true.
fn until<'a>(all: &'a [Expr], row: Parts<'a>, end: bool) -> Value<'a> {
    let mut has_null = false;
    for one in all {
        match truth(&*one.of_parts(row)?) {
            Some(is) if is == end => return Ok(bool(end)),
            Some(_) => {}
            None => has_null = true,
        }
    }
    Ok(if has_null { null() } else { bool(!end) })
}

fn extreme<'a>(all: &'a [Expr], row: Parts<'a>, how: Comparison) -> Value<'a> {
    let mut best = null();
    for one in all {
        let value = one.of_parts(row)?;
        if *value != Cell::Null && (*best == Cell::Null || how.holds(&value, &best)) {
            best = value;
        }
    }
    Ok(best)
}

fn is_any<'a>(value: &Cell, list: &Cell) -> Value<'a> {
    let Cell::List(list) = list else { return Ok(null()) };
    if list.0.is_empty() {
        return Ok(bool(false));
    }
    let Some(text) = value.text() else { return Ok(null()) };
    if list.0.iter().any(|one| one.as_deref() == Some(text)) {
        return Ok(bool(true));
    }
    Ok(if list.0.contains(&None) { null() } else { bool(false) })
}

fn call<'a>(of: &'a Function, all: &'a [Expr], row: Parts<'a>) -> Value<'a> {
    // Nearly all functions have at most three arguments; the first two need no memory.
    let nothing = Cow::Borrowed(&NULL);
    let (a, b, more) = match all {
        [a] => (a.of_parts(row)?, nothing, None),
        [a, b] => (a.of_parts(row)?, b.of_parts(row)?, None),
        [a, b, c] => (a.of_parts(row)?, b.of_parts(row)?, Some(c.of_parts(row)?)),
        _ => return fail(Code::FeatureNotSupported, "a function of more than three arguments"),
    };
    let is_null = |value: &Cow<'_, Cell>| **value == Cell::Null;
    if is_null(&a) || (all.len() > 1 && is_null(&b)) || more.as_ref().is_some_and(is_null) {
        return Ok(null());
    }
    if let Function::Cast(from, to) = of {
        return cast(a, *from, to);
    }
    make(of, &a, &b, more.as_deref()).map(Cow::Owned)
}

fn make(of: &Function, a: &Cell, b: &Cell, c: Option<&Cell>) -> Made {
    match of {
        Function::Arithmetic(how, kind) if kind.is_float() => float::arithmetic(*how, *kind, a, b),
        Function::Arithmetic(how, kind) => number::arithmetic(*how, *kind, a, b),
        Function::Negate(kind)
        | Function::Abs(kind)
        | Function::Sign(kind)
        | Function::Round(kind)
        | Function::Trunc(kind)
        | Function::Ceil(kind)
        | Function::Floor(kind) => {
            if kind.is_float() {
                float::of_one(of, *kind, a)
            } else {
                number::of_one(of, *kind, a)
            }
        }
        Function::RoundTo | Function::TruncTo | Function::WholeQuotient => number::of_two(of, a, b),
        Function::AddDays
        | Function::SubtractDays
        | Function::DaysBetween
        | Function::StartOfDay
        | Function::AddInterval(_)
        | Function::DateTrunc(_)
        | Function::Extract(..)
        | Function::DateBin(_)
        | Function::Shift(_) => time::make(of, a, b),
        Function::JsonMember { .. } | Function::JsonElement { .. } => json::get(of, a, b),
        Function::Element => Ok(element(a, b)),
        Function::Elements => match a {
            Cell::List(list) => Ok(Cell::Int(list.0.len() as i64)),
            _ => wrong(),
        },
        Function::Cast(..) => wrong(),
        _ => text::make(of, a, b, c),
    }
}

fn element(list: &Cell, at: &Cell) -> Cell {
    let (Cell::List(list), Cell::Int(at)) = (list, at) else { return Cell::Null };
    let at = at.checked_sub(1).and_then(|at| usize::try_from(at).ok());
    at.and_then(|at| list.0.get(at)).cloned().flatten().into()
}

/// A cell of another type than the expression's: the row is not what it was bound for.
fn wrong<T>() -> Result<T, EvalError> {
    fail(Code::FeatureNotSupported, "a value of another type than declared")
}

/// Bytes that a made text may have.
const BYTES_MAX: usize = 1 << 26;
