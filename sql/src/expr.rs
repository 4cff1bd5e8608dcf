//! Typed expressions: what is left of a text of SQL once names, types and casts are settled.
mod text;

use crate::types::{Kind, SqlType};
use views::Cell;

/// A value made of a row's cells. All implicit casts of PostgreSQL are explicit here: both sides of a comparison have one
/// type, and each function gets what it is declared for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The cell at this place of the row.
    Column(usize),
    /// The same for every row.
    Value(Cell),
    /// Three-valued: false if any is false, else null if any is null. Later ones are not looked at once one is false.
    And(Vec<Expr>),
    /// Three-valued: true if any is true, else null if any is null. Later ones are not looked at once one is true.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>),
    /// `is true`, `is false`: never null.
    Is(Box<Expr>, bool),
    /// Of two values of one type; null if any is null.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `is not distinct from`: null is as null, and the answer is never null.
    Same(Box<Expr>, Box<Expr>),
    /// The value behind the first condition that is true, or the last one.
    Case(Vec<(Expr, Expr)>, Box<Expr>),
    /// The first that is not null.
    Coalesce(Vec<Expr>),
    /// Null if both are equal; else the first.
    NullIf(Box<Expr>, Box<Expr>),
    /// The greatest of those that are not null.
    Greatest(Vec<Expr>),
    /// The smallest of those that are not null.
    Least(Vec<Expr>),
    /// Whether the text is in the list of texts, as `text = any(list)` says it.
    IsAny(Box<Expr>, Box<Expr>),
    /// The texts one after the other, nulls as nothing.
    Concat(Vec<Expr>),
    /// The texts behind the first, with the first between them; those that are null are left out.
    ConcatWith(Vec<Expr>),
    /// The words of the texts, as [`views::words`] tells them.
    Words(Vec<Expr>),
    /// Null if any argument is null.
    Call(Function, Vec<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
}
impl Comparison {
    /// As SQL writes it.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What reckons with numbers of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    /// The rest of a division, with the sign of the first number.
    Modulo,
}
impl Arithmetic {
    const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
        }
    }
}

/// A period as PostgreSQL keeps it: its three parts are added one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interval {
    pub months: i32,
    pub days: i32,
    pub us: i64,
}

/// A part of a date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Microseconds,
    Milliseconds,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    /// The following are not for `date_trunc`.
    Epoch,
    Dow,
    Isodow,
    Doy,
    Isoyear,
}
impl Field {
    pub(crate) const ALL: [(&'static str, Self); 18] = [
        ("microseconds", Self::Microseconds),
        ("milliseconds", Self::Milliseconds),
        ("second", Self::Second),
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
        ("decade", Self::Decade),
        ("century", Self::Century),
        ("millennium", Self::Millennium),
        ("epoch", Self::Epoch),
        ("dow", Self::Dow),
        ("isodow", Self::Isodow),
        ("doy", Self::Doy),
        ("isoyear", Self::Isoyear),
    ];
    /// The field of this name, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
    }
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
    /// Whether `date_trunc` cuts at it.
    pub(crate) fn is_cut(self) -> bool {
        !matches!(self, Self::Epoch | Self::Dow | Self::Isodow | Self::Doy | Self::Isoyear)
    }
}

/// What makes a value of others, of which none is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// Of two numbers of this kind; the result is of the same kind.
    Arithmetic(Arithmetic, Kind),
    Negate(Kind),
    Abs(Kind),
    Sign(Kind),
    /// To whole numbers: of `numeric` half away from zero, of floats half to even.
    Round(Kind),
    Trunc(Kind),
    Ceil(Kind),
    Floor(Kind),
    /// A `numeric` to so many digits behind the point.
    RoundTo,
    TruncTo,
    /// Of two `numeric`: the whole part of the quotient.
    WholeQuotient,

    /// A date and a number of days.
    AddDays,
    SubtractDays,
    DaysBetween,
    /// The first moment of a date, to be compared with a time.
    StartOfDay,
    /// A time and a period.
    AddInterval(Interval),
    DateTrunc(Field),
    /// A part of a time, or, where the kind says so, of a date.
    Extract(Field, Kind),
    /// A time and an origin: the beginning of the period of so many microseconds, counted from the origin.
    DateBin(i64),
    /// A time moved by so many microseconds: from one zone to another.
    Shift(i64),

    Join,
    JoinBytes,
    /// Characters.
    Length,
    /// Bytes of a text or a string of bytes.
    Bytes,
    Substring,
    SubstringBytes,
    Left,
    Right,
    PadLeft,
    PadRight,
    /// Characters of the second text taken off the first, at its beginning, its end or both.
    TrimStart,
    TrimEnd,
    Trim,
    Replace,
    SplitPart,
    StartsWith,
    Position,
    Repeat,
    Reverse,
    /// ASCII letters alone.
    Upper,
    Lower,
    /// A text and a pattern in which a backslash takes away a sign's meaning.
    Like,
    /// A pattern with another sign in the place of the backslash, made into one with the backslash.
    LikeEscape,

    /// The member of this name, or the element at this place.
    JsonMember {
        binary: bool,
        text: bool,
    },
    JsonElement {
        binary: bool,
        text: bool,
    },
    /// The text at this place of a list, counted from 1.
    Element,
    /// How many elements a list has.
    Elements,
    /// An explicit or implicit cast.
    Cast(Kind, SqlType),
}

impl Expr {
    /// `a and b`, without a level for each.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Value(Cell::Bool(true)), other) => other,
            (one, Self::Value(Cell::Bool(true))) => one,
            (Self::And(mut all), Self::And(more)) => {
                all.extend(more);
                Self::And(all)
            }
            (Self::And(mut all), other) => {
                all.push(other);
                Self::And(all)
            }
            (one, Self::And(more)) => Self::And(std::iter::once(one).chain(more).collect()),
            (one, other) => Self::And(vec![one, other]),
        }
    }
    /// Always true.
    pub const TRUE: Self = Self::Value(Cell::Bool(true));

    pub(crate) fn is_true(&self) -> bool {
        *self == Self::TRUE
    }
    #[must_use]
    pub(crate) fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }
    pub(crate) fn int(number: i64) -> Self {
        Self::Value(Cell::Int(number))
    }
    pub(crate) fn compare(how: Comparison, a: Self, b: Self) -> Self {
        Self::Compare(how, Box::new(a), Box::new(b))
    }

    /// The expressions that this one is made of.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Column(_) | Self::Value(_) => Vec::new(),
            Self::Not(a) | Self::IsNull(a) | Self::Is(a, _) => vec![a],
            Self::Compare(_, a, b) | Self::Same(a, b) | Self::NullIf(a, b) | Self::IsAny(a, b) => {
                vec![a, b]
            }
            Self::Case(branches, last) => {
                branches.iter().flat_map(|(when, then)| [when, then]).chain([&**last]).collect()
            }
            Self::And(all) | Self::Or(all) | Self::Coalesce(all) | Self::Greatest(all) => {
                all.iter().collect()
            }
            Self::Least(all) | Self::Concat(all) | Self::ConcatWith(all) => all.iter().collect(),
            Self::Words(all) | Self::Call(_, all) => all.iter().collect(),
        }
    }

    /// The same with each column replaced by what `column` says of it.
    #[must_use]
    pub fn with_columns(&self, column: &mut dyn FnMut(usize) -> Self) -> Self {
        self.replaced(&mut |expr| match expr {
            Self::Column(at) => Some(column(*at)),
            _ => None,
        })
    }

    /// The same with each expression in it replaced for which `with` has another one, from the outermost on.
    #[must_use]
    pub fn replaced(&self, with: &mut dyn FnMut(&Self) -> Option<Self>) -> Self {
        if let Some(other) = with(self) {
            return other;
        }
        let mut one = |expr: &Self| Box::new(expr.replaced(with));
        match self {
            Self::Column(_) | Self::Value(_) => self.clone(),
            Self::Not(a) => Self::Not(one(a)),
            Self::IsNull(a) => Self::IsNull(one(a)),
            Self::Is(a, is) => Self::Is(one(a), *is),
            Self::Compare(how, a, b) => Self::Compare(*how, one(a), one(b)),
            Self::Same(a, b) => Self::Same(one(a), one(b)),
            Self::NullIf(a, b) => Self::NullIf(one(a), one(b)),
            Self::IsAny(a, b) => Self::IsAny(one(a), one(b)),
            Self::Case(branches, last) => {
                let branches =
                    branches.iter().map(|(when, then)| (*one(when), *one(then))).collect();
                Self::Case(branches, one(last))
            }
            Self::And(all) => Self::And(all.iter().map(|expr| *one(expr)).collect()),
            Self::Or(all) => Self::Or(all.iter().map(|expr| *one(expr)).collect()),
            Self::Coalesce(all) => Self::Coalesce(all.iter().map(|expr| *one(expr)).collect()),
            Self::Greatest(all) => Self::Greatest(all.iter().map(|expr| *one(expr)).collect()),
            Self::Least(all) => Self::Least(all.iter().map(|expr| *one(expr)).collect()),
            Self::Concat(all) => Self::Concat(all.iter().map(|expr| *one(expr)).collect()),
            Self::ConcatWith(all) => Self::ConcatWith(all.iter().map(|expr| *one(expr)).collect()),
            Self::Words(all) => Self::Words(all.iter().map(|expr| *one(expr)).collect()),
            Self::Call(of, all) => {
                Self::Call(of.clone(), all.iter().map(|expr| *one(expr)).collect())
            }
        }
    }

    /// Of how many expressions it is made, and how many of them stand in each other.
    pub fn extent(&self) -> (usize, usize) {
        let add = |(size, depth): (usize, usize), child: &Self| {
            let (more, below) = child.extent();
            (size + more, depth.max(below))
        };
        let (size, depth) = self.children().into_iter().fold((0, 0), add);
        (size + 1, depth + 1)
    }

    /// Calls with the place of each column that occurs.
    pub fn each_column(&self, then: &mut dyn FnMut(usize)) {
        match self {
            Self::Column(at) => then(*at),
            other => other.children().into_iter().for_each(|child| child.each_column(then)),
        }
    }
}
