//! Expressions as people read them.
use super::{Expr, Function, Interval};
use std::fmt;
use views::Cell;

impl Expr {
    /// The expression as text, columns by the names that `name` gives them.
    pub fn text(&self, name: &dyn Fn(usize) -> String) -> String {
        let one = |expr: &Self| expr.text(name);
        let list =
            |all: &[Self], between: &str| all.iter().map(one).collect::<Vec<_>>().join(between);
        // What would otherwise read as if the outer one stood within it.
        let within = |expr: &Self| match expr {
            Self::Not(_) | Self::IsNull(_) | Self::Is(..) => format!("({})", one(expr)),
            _ => one(expr),
        };
        match self {
            Self::Column(at) => name(*at),
            Self::Value(cell) => constant(cell),
            Self::And(all) => format!("({})", list(all, " and ")),
            Self::Or(all) => format!("({})", list(all, " or ")),
            Self::Not(a) => format!("not {}", one(a)),
            Self::IsNull(a) => format!("{} is null", within(a)),
            Self::Is(a, is) => format!("{} is {is}", within(a)),
            Self::Compare(how, a, b) => format!("({} {} {})", one(a), how.sign(), one(b)),
            Self::Same(a, b) => format!("({} is not distinct from {})", one(a), one(b)),
            Self::Case(branches, last) => {
                let branch =
                    |(when, then): &(Self, Self)| format!(" when {} then {}", one(when), one(then));
                let branches: String = branches.iter().map(branch).collect();
                format!("case{branches} else {} end", one(last))
            }
            Self::Coalesce(all) => format!("coalesce({})", list(all, ", ")),
            Self::NullIf(a, b) => format!("nullif({}, {})", one(a), one(b)),
            Self::Greatest(all) => format!("greatest({})", list(all, ", ")),
            Self::Least(all) => format!("least({})", list(all, ", ")),
            Self::IsAny(a, b) => format!("({} = any({}))", one(a), one(b)),
            Self::Concat(all) => format!("concat({})", list(all, ", ")),
            Self::ConcatWith(all) => format!("concat_ws({})", list(all, ", ")),
            Self::Words(all) => format!("words({})", list(all, ", ")),
            Self::Call(Function::Arithmetic(how, _), all) => {
                format!("({})", list(all, &format!(" {} ", how.sign())))
            }
            Self::Call(Function::Negate(_), all) => format!("(- {})", list(all, "")),
            Self::Call(Function::Cast(_, to), all) => {
                format!("{}::{to}", all.iter().map(within).collect::<String>())
            }
            Self::Call(of, all) => format!("{of}({})", list(all, ", ")),
        }
    }
}

/// A constant as SQL writes it.
fn constant(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Int(_) | Cell::Decimal(_) | Cell::Bool(_) => cell.to_string(),
        other => format!("'{}'", other.to_string().replace('\'', "''")),
    }
}

/// By its variant, and what it holds beside: fingerprints may hold it.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DateTrunc(field) => write!(f, "date_trunc[{}]", field.name()),
            Self::Extract(field, of) => write!(f, "extract[{}, {of}]", field.name()),
            Self::DateBin(us) => write!(f, "date_bin[{us} us]"),
            Self::Shift(us) => write!(f, "shift[{us} us]"),
            Self::AddInterval(Interval { months, days, us }) => {
                write!(f, "add_interval[{months} months {days} days {us} us]")
            }
            Self::JsonMember { text: false, .. } => f.write_str("json_member"),
            Self::JsonMember { .. } => f.write_str("json_member_text"),
            Self::JsonElement { text: false, .. } => f.write_str("json_element"),
            Self::JsonElement { .. } => f.write_str("json_element_text"),
            Self::Abs(_) => f.write_str("abs"),
            Self::Sign(_) => f.write_str("sign"),
            Self::Round(_) | Self::RoundTo => f.write_str("round"),
            Self::Trunc(_) | Self::TruncTo => f.write_str("trunc"),
            Self::Ceil(_) => f.write_str("ceil"),
            Self::Floor(_) => f.write_str("floor"),
            Self::WholeQuotient => f.write_str("div"),
            Self::AddDays => f.write_str("add_days"),
            Self::SubtractDays => f.write_str("subtract_days"),
            Self::StartOfDay => f.write_str("start_of_day"),
            Self::DaysBetween => f.write_str("days_between"),
            Self::Join | Self::JoinBytes => f.write_str("join"),
            Self::Length => f.write_str("length"),
            Self::Bytes => f.write_str("octet_length"),
            Self::Substring | Self::SubstringBytes => f.write_str("substring"),
            Self::Left => f.write_str("left"),
            Self::Right => f.write_str("right"),
            Self::PadLeft => f.write_str("lpad"),
            Self::PadRight => f.write_str("rpad"),
            Self::TrimStart => f.write_str("ltrim"),
            Self::TrimEnd => f.write_str("rtrim"),
            Self::Trim => f.write_str("btrim"),
            Self::Replace => f.write_str("replace"),
            Self::SplitPart => f.write_str("split_part"),
            Self::StartsWith => f.write_str("starts_with"),
            Self::Position => f.write_str("strpos"),
            Self::Repeat => f.write_str("repeat"),
            Self::Reverse => f.write_str("reverse"),
            Self::Upper => f.write_str("upper"),
            Self::Lower => f.write_str("lower"),
            Self::Like => f.write_str("like"),
            Self::LikeEscape => f.write_str("like_escape"),
            Self::Element => f.write_str("element"),
            Self::Elements => f.write_str("cardinality"),
            Self::Arithmetic(..) | Self::Negate(_) | Self::Cast(..) => f.write_str("operator"),
        }
    }
}
