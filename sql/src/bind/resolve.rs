//! Which of several operators or functions of one name is meant: PostgreSQL's rules, over the types that are known here.
use crate::{expr::Function, types::Kind};

/// An operator or function for arguments of these types.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub arguments: Vec<Kind>,
    pub result: Kind,
    pub make: Make,
}

/// What a call becomes.
#[derive(Debug, Clone)]
pub(super) enum Make {
    Call(Function),
    /// Some arguments are part of the function, and must be constants.
    Constant(WithConstant),
    Compare(crate::expr::Comparison),
    /// PostgreSQL has it, and it is not taken here: why, and what to write instead.
    Refused(&'static str, &'static str),
}

/// Functions whose first argument is a constant, or all but the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WithConstant {
    /// A field and a timestamp.
    DateTrunc,
    /// A field, a moment and a zone.
    DateTruncIn,
    /// A period, a time and an origin.
    DateBin,
    /// A time and a period, added or taken away.
    Plus,
    Minus,
    /// A period and a time.
    PlusLater,
}

/// What kinds of types there are: PostgreSQL prefers one type of each.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Category {
    Number,
    Text,
    Bool,
    Time,
    Period,
    Other(Kind),
    Unknown,
}
fn category(kind: Kind) -> Category {
    match kind {
        Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Numeric | Kind::Float4 | Kind::Float8 => {
            Category::Number
        }
        Kind::Text | Kind::Varchar | Kind::Bpchar => Category::Text,
        Kind::Bool => Category::Bool,
        Kind::Date | Kind::Timestamp | Kind::Timestamptz => Category::Time,
        Kind::Interval => Category::Period,
        Kind::Unknown => Category::Unknown,
        other => Category::Other(other),
    }
}
fn is_preferred(kind: Kind) -> bool {
    matches!(kind, Kind::Float8 | Kind::Text | Kind::Bool | Kind::Timestamptz | Kind::Interval)
}

/// Whether a value of one type is taken for one of the other without a word.
pub(super) fn is_implicit(from: Kind, to: Kind) -> bool {
    use Kind::{
        Bpchar, Date, Float4, Float8, Int2, Int4, Int8, Numeric, Text, Timestamp, Timestamptz,
        Unknown, Varchar,
    };
    if from == to || from == Unknown {
        return true;
    }
    match from {
        Int2 => matches!(to, Int4 | Int8 | Numeric | Float4 | Float8),
        Int4 => matches!(to, Int8 | Numeric | Float4 | Float8),
        Int8 => matches!(to, Numeric | Float4 | Float8),
        Numeric => matches!(to, Float4 | Float8),
        Float4 => to == Float8,
        Text | Varchar | Bpchar => matches!(to, Text | Varchar | Bpchar),
        Date => matches!(to, Timestamp | Timestamptz),
        Timestamp => to == Timestamptz,
        _ => false,
    }
}

/// Why none was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotChosen {
    NoneFits,
    Ambiguous,
}

/// The place of the one that is meant.
pub(super) fn choose(all: &[Signature], given: &[Kind]) -> Result<usize, NotChosen> {
    let is_unknown = |kind: &Kind| *kind == Kind::Unknown;
    // A constant without a type beside a value is first tried as one of that value's type.
    if let ([a, b], true) = (given, given.iter().any(is_unknown)) {
        let known = if is_unknown(a) { *b } else { *a };
        if let Some(at) = exact(all, &[known, known]) {
            return Ok(at);
        }
    }
    if let Some(at) = exact(all, given) {
        return Ok(at);
    }
    let fits = |one: &Signature| {
        one.arguments.len() == given.len()
            && one.arguments.iter().zip(given).all(|(want, kind)| is_implicit(*kind, *want))
    };
    let mut left: Vec<usize> = (0..all.len()).filter(|at| fits(&all[*at])).collect();
    if left.is_empty() {
        return Err(NotChosen::NoneFits);
    }
    let argument = |at: usize, place: usize| all[at].arguments[place];
    let places = || (0..given.len()).filter(|place| !is_unknown(&given[*place]));
    keep_most(&mut left, |at| {
        places().filter(|place| argument(at, *place) == given[*place]).count()
    });
    keep_most(&mut left, |at| {
        let is_good = |place: &usize| {
            let (want, kind) = (argument(at, *place), given[*place]);
            want == kind || (is_preferred(want) && category(want) == category(kind))
        };
        places().filter(is_good).count()
    });
    if left.len() == 1 {
        return Ok(left[0]);
    }
    if given.iter().any(is_unknown) {
        by_category(all, given, &mut left);
        if left.len() == 1 {
            return Ok(left[0]);
        }
        // All known arguments of one type: then the unknown ones are of it, too.
        let mut known = places().map(|place| given[place]);
        if let Some(first) = known.next().filter(|first| known.all(|other| other == *first)) {
            let fits = |at: &usize| all[*at].arguments.iter().all(|want| is_implicit(first, *want));
            left.retain(fits);
            if left.len() == 1 {
                return Ok(left[0]);
            }
        }
    }
    Err(NotChosen::Ambiguous)
}

fn exact(all: &[Signature], given: &[Kind]) -> Option<usize> {
    all.iter().position(|one| one.arguments == given)
}

fn keep_most(left: &mut Vec<usize>, count: impl Fn(usize) -> usize) {
    let most = left.iter().map(|at| count(*at)).max().unwrap_or(0);
    left.retain(|at| count(*at) == most);
}

/// Gives each constant without a type a category: that of texts if any candidate takes one there, else the one that all
/// candidates agree on.
fn by_category(all: &[Signature], given: &[Kind], left: &mut Vec<usize>) {
    let mut wanted = Vec::new();
    for (place, _) in given.iter().enumerate().filter(|(_, kind)| **kind == Kind::Unknown) {
        let kinds: Vec<Kind> = left.iter().map(|at| all[*at].arguments[place]).collect();
        let text = kinds.iter().find(|kind| category(**kind) == Category::Text);
        let Some(first) = text.or(kinds.first()) else { return };
        let chosen = category(*first);
        if text.is_none() && kinds.iter().any(|kind| category(*kind) != chosen) {
            return;
        }
        let has_preferred =
            kinds.iter().any(|kind| category(*kind) == chosen && is_preferred(*kind));
        wanted.push((place, chosen, has_preferred));
    }
    let fits = |at: &usize| {
        wanted.iter().all(|(place, chosen, has_preferred)| {
            let kind = all[*at].arguments[*place];
            category(kind) == *chosen && (!has_preferred || is_preferred(kind))
        })
    };
    let fitting: Vec<usize> = left.iter().copied().filter(fits).collect();
    if !fitting.is_empty() {
        *left = fitting;
    }
}

/// The one type of the branches of a `case`, and the like: the first that the others become without a word.
pub(super) fn common(kinds: &[Kind]) -> Result<Kind, (Kind, Kind)> {
    let mut chosen = Kind::Unknown;
    for kind in kinds.iter().copied().filter(|kind| *kind != Kind::Unknown) {
        if chosen == Kind::Unknown {
            chosen = kind;
        } else if kind != chosen {
            if category(kind) != category(chosen) {
                return Err((chosen, kind));
            }
            let is_wider = is_implicit(chosen, kind) && !is_implicit(kind, chosen);
            if !is_preferred(chosen) && is_wider {
                chosen = kind;
            }
        }
    }
    Ok(if chosen == Kind::Unknown { Kind::Text } else { chosen })
}

/// Whether the result of `common` may be made of this type.
pub(super) fn becomes(from: Kind, to: Kind) -> bool {
    is_implicit(from, to)
}
