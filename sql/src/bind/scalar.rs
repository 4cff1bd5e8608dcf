//! Expressions: names, types and operators are settled, implicit casts are written out.
mod call;
mod coerce;
mod forms;
mod operator;

use super::{
    functions, literal, operators,
    resolve::{self, Make, NotChosen, Signature, WithConstant, becomes, common},
};
use crate::{
    catalogue, eval,
    expr::{Comparison, Expr, Field, Function},
    file::{folded, parts},
    problem::{Place, Problem},
    types::{Kind, SqlType},
};
use sqlparser::ast::{
    self, AccessExpr, BinaryOperator, CastKind, CeilFloorKind, Expr as Ast, FunctionArg,
    FunctionArgExpr, FunctionArguments, InTarget, Subscript, TrimWhereField, UnaryOperator, Value,
};
use std::borrow::Cow;
use views::Cell;

/// By what texts are ordered. The greater one of two sides counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Collation {
    /// The database's own: nobody knows it here.
    Default,
    /// By bytes: the column is declared so.
    C,
}

/// An expression with its type.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub expr: Expr,
    pub sql_type: SqlType,
    pub collation: Collation,
}
impl Typed {
    pub fn new(expr: Expr, kind: Kind) -> Self {
        Self { expr, sql_type: kind.into(), collation: Collation::Default }
    }
    pub fn kind(&self) -> Kind {
        self.sql_type.kind()
    }
    fn collated(mut self, all: &[Collation]) -> Self {
        self.collation = all.iter().copied().max().unwrap_or(Collation::Default);
        self
    }
}

/// What an expression stands in: a query, or a part of one.
pub(crate) trait Around {
    fn column(&mut self, name: &[String], place: Place) -> Result<Typed, Problem>;
    /// `None`: the function is no aggregate, and is bound as any other.
    fn aggregate(
        &mut self,
        name: &str,
        call: &ast::Function,
        place: Place,
    ) -> Result<Option<Typed>, Problem>;
    /// `exists (select ...)`.
    fn exists(&mut self, query: &ast::Query, place: Place) -> Result<Typed, Problem>;
    /// `(select ...)` as a value.
    fn value_of(&mut self, query: &ast::Query, place: Place) -> Result<Typed, Problem>;
    /// The enums of the tables.
    fn enums(&self) -> Vec<std::sync::Arc<crate::types::EnumType>>;
}

/// Words that PostgreSQL takes for functions of the session wherever they stand without quotes.
const SESSION_WORDS: [&str; 11] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "user",
];

/// Binds one expression.
pub(crate) fn bind(expr: &Ast, around: &mut dyn Around, place: Place) -> Result<Typed, Problem> {
    Scalars { around, place }.bind(expr)
}
/// Binds a condition.
pub(crate) fn bind_condition(
    expr: &Ast,
    around: &mut dyn Around,
    place: Place,
) -> Result<Expr, Problem> {
    Scalars { around, place }.condition(expr)
}

struct Scalars<'a> {
    around: &'a mut dyn Around,
    /// Of what is around, where the parser knows no place.
    place: Place,
}

type Bound = Result<Typed, Problem>;

impl Scalars<'_> {
    fn at(&self, expr: &Ast) -> Place {
        Place::of(expr, self.place)
    }

    fn refuse<T>(
        &self,
        place: Place,
        what: impl Into<String>,
        instead: &str,
    ) -> Result<T, Problem> {
        Err(Problem::new(place, what).instead(instead))
    }

    fn bind(&mut self, expr: &Ast) -> Bound {
        let place = self.at(expr);
        let outer = std::mem::replace(&mut self.place, place);
        let bound = self.bind_at(expr, place);
        self.place = outer;
        bound
    }

    fn bind_at(&mut self, expr: &Ast, place: Place) -> Bound {
        if is_chained(expr) {
            return self.refuse(
                place,
                "comparisons do not follow each other in PostgreSQL",
                "put one of them in parentheses",
            );
        }
        match expr {
            Ast::Nested(inner) => self.bind(inner),
            // These words are functions without parentheses, also where a column has their name.
            Ast::Identifier(name)
                if name.quote_style.is_none() && SESSION_WORDS.contains(&&*folded(name)) =>
            {
                let name = folded(name);
                let (why, instead) = functions::refused(&name).unwrap_or_default();
                self.refuse(place, format!("{name}: {why}"), instead)
            }
            Ast::Identifier(name) => self.around.column(&[folded(name)], place),
            Ast::CompoundIdentifier(names) => {
                let names: Vec<String> = names.iter().map(folded).collect();
                self.around.column(&names, place)
            }
            Ast::Value(value) => self.literal(&value.value, place),
            Ast::TypedString(text) => {
                let to = self.type_of(&text.data_type, place)?;
                match &text.value.value {
                    Value::SingleQuotedString(text) => self.read(text, &to, place),
                    other => self.refuse(place, format!("{other} is no text"), "write TYPE 'TEXT'"),
                }
            }
            Ast::Interval(interval) => literal::interval(interval, place),
            Ast::UnaryOp { op, expr } => self.unary(*op, expr, place),
            Ast::BinaryOp { left, op, right } => self.binary(left, op, right, place),
            Ast::IsNull(inner) => Ok(is_null(self.value(inner)?.expr)),
            Ast::IsNotNull(inner) => Ok(not(is_null(self.value(inner)?.expr))),
            Ast::IsTrue(inner) => self.is(inner, true, false),
            Ast::IsNotTrue(inner) => self.is(inner, true, true),
            Ast::IsFalse(inner) => self.is(inner, false, false),
            Ast::IsNotFalse(inner) => self.is(inner, false, true),
            Ast::IsUnknown(inner) => {
                Ok(is_null(Typed::new(self.condition(inner)?, Kind::Bool).expr))
            }
            Ast::IsNotUnknown(inner) => Ok(not(is_null(self.condition(inner)?))),
            Ast::IsDistinctFrom(a, b) => Ok(not(self.same(a, b, place)?)),
            Ast::IsNotDistinctFrom(a, b) => Ok(Typed::new(self.same(a, b, place)?, Kind::Bool)),
            Ast::Between { low, .. } if is_no_low_bound(low) => self.refuse(
                place,
                "PostgreSQL does not take this behind between",
                "put it in parentheses",
            ),
            Ast::Between { expr, negated, low, high } => {
                let (value, low, high) = (self.bind(expr)?, self.bind(low)?, self.bind(high)?);
                let low = self.operator(">=", value.clone(), low, place)?;
                let high = self.operator("<=", value, high, place)?;
                Ok(negate_if(*negated, Expr::And(vec![low.expr, high.expr])))
            }
            Ast::In { expr, target: InTarget::List(list), negated, global: false } => {
                let any = self.in_list(expr, list, place)?;
                Ok(negate_if(*negated, any))
            }
            Ast::In { .. } => self.refuse(
                place,
                "in (select ...) is not taken here",
                "write exists (select 1 from TABLE where TABLE.COLUMN = ...)",
            ),
            Ast::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), *negated, place)
            }
            Ast::ILike { .. } => self.refuse(
                place,
                "ilike depends on the locale beyond ASCII",
                "write lower(x collate \"C\") like 'pattern' for ASCII letters",
            ),
            Ast::SimilarTo { .. } | Ast::RLike { .. } => self.refuse(
                place,
                "regular expressions are PostgreSQL's own and depend on the locale",
                "like, starts_with and split_part are exact",
            ),
            Ast::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                self.is_any(left, right, place)
            }
            Ast::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), place)
            }
            Ast::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
            } => {
                let to = self.type_of(data_type, place)?;
                let value = self.bind(expr)?;
                self.explicit(value, &to, place)
            }
            Ast::Collate { expr, collation } => self.collate(expr, collation, place),
            Ast::AtTimeZone { timestamp, time_zone } => {
                self.at_time_zone(timestamp, time_zone, place)
            }
            Ast::Extract { field, expr, .. } => self.extract(&field.to_string(), expr, place),
            Ast::Ceil {
                expr,
                field: CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => {
                let value = self.bind(expr)?;
                self.call("ceil", vec![value], place)
            }
            Ast::Floor {
                expr,
                field: CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => {
                let value = self.bind(expr)?;
                self.call("floor", vec![value], place)
            }
            Ast::Position { expr, r#in } => {
                let (what, all) = (self.bind(expr)?, self.bind(r#in)?);
                self.call("strpos", vec![all, what], place)
            }
            Ast::Substring { expr, substring_from, substring_for, .. } => {
                let mut arguments = vec![self.bind(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), _) => arguments.push(self.bind(from)?),
                    (None, _) => arguments.push(Typed::new(Expr::int(1), Kind::Int4)),
                }
                if let Some(length) = substring_for {
                    arguments.push(self.bind(length)?);
                }
                self.call("substring", arguments, place)
            }
            Ast::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                let mut arguments = vec![self.bind(expr)?];
                for one in trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten())
                {
                    arguments.push(self.bind(one)?);
                }
                self.call(name, arguments, place)
            }
            Ast::CompoundFieldAccess { root, .. }
                if !matches!(
                    **root,
                    Ast::Identifier(_) | Ast::CompoundIdentifier(_) | Ast::Nested(_)
                ) =>
            {
                self.refuse(
                    place,
                    "PostgreSQL does not take [...] behind this",
                    "put it in parentheses",
                )
            }
            Ast::CompoundFieldAccess { root, access_chain } => {
                self.subscript(root, access_chain, place)
            }
            Ast::Function(call) => self.function(call, place),
            Ast::Exists { subquery, negated } => {
                let found = self.around.exists(subquery, place)?;
                Ok(negate_if(*negated, found.expr))
            }
            Ast::Subquery(query) => self.around.value_of(query, place),
            Ast::Array(_) => {
                self.refuse(place, "arrays are not made here", "write the values as columns")
            }
            Ast::Tuple(_) => self.refuse(
                place,
                "rows in parentheses are not compared here",
                "compare column by column",
            ),
            other => self.refuse(
                place,
                format!("{} is not taken here", name_of(other)),
                "see the table of what is taken",
            ),
        }
    }
}

fn is_null(expr: Expr) -> Typed {
    Typed::new(Expr::IsNull(Box::new(expr)), Kind::Bool)
}

fn not(inner: impl Into<NotOf>) -> Typed {
    Typed::new(inner.into().0.negated(), Kind::Bool)
}

/// What may be negated: a bound condition, or one that is an expression already.
struct NotOf(Expr);

impl From<Expr> for NotOf {
    fn from(expr: Expr) -> Self {
        Self(expr)
    }
}

impl From<Typed> for NotOf {
    fn from(typed: Typed) -> Self {
        Self(typed.expr)
    }
}

fn negate_if(negated: bool, expr: Expr) -> Typed {
    Typed::new(if negated { expr.negated() } else { expr }, Kind::Bool)
}

/// Operators of one strength of which PostgreSQL takes no two in a row without parentheses.
#[derive(PartialEq, Eq)]
enum Strength {
    Is,
    Comparison,
    Pattern,
}
fn strength(expr: &Ast) -> Option<Strength> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    Some(match expr {
        Ast::IsNull(_) | Ast::IsNotNull(_) | Ast::IsTrue(_) | Ast::IsNotTrue(_) => Strength::Is,
        Ast::IsFalse(_) | Ast::IsNotFalse(_) | Ast::IsUnknown(_) => Strength::Is,
        Ast::IsNotUnknown(_) | Ast::IsDistinctFrom(..) | Ast::IsNotDistinctFrom(..) => Strength::Is,
        Ast::BinaryOp { op: Eq | NotEq | Lt | LtEq | Gt | GtEq, .. } => Strength::Comparison,
        Ast::Like { .. } | Ast::In { .. } | Ast::Between { .. } => Strength::Pattern,
        _ => return None,
    })
}
/// Whether one of its sides is an operator of the same strength, without parentheses.
fn is_chained(expr: &Ast) -> bool {
    let Some(of) = strength(expr) else { return false };
    let sides = match expr {
        Ast::IsNull(a) | Ast::IsNotNull(a) | Ast::IsTrue(a) | Ast::IsNotTrue(a) => [Some(a), None],
        Ast::IsFalse(a) | Ast::IsNotFalse(a) | Ast::IsUnknown(a) => [Some(a), None],
        Ast::IsNotUnknown(a) | Ast::In { expr: a, .. } => [Some(a), None],
        Ast::IsDistinctFrom(a, b) | Ast::IsNotDistinctFrom(a, b) => [Some(a), Some(b)],
        Ast::BinaryOp { left: a, right: b, .. } => [Some(a), Some(b)],
        Ast::Like { expr: a, pattern: b, .. } | Ast::Between { expr: a, high: b, .. } => {
            [Some(a), Some(b)]
        }
        _ => [None, None],
    };
    sides.into_iter().flatten().any(|side| strength(side).as_ref() == Some(&of))
}

/// What PostgreSQL's grammar takes behind `between` only in parentheses.
fn is_no_low_bound(expr: &Ast) -> bool {
    matches!(
        expr,
        Ast::Collate { .. }
            | Ast::AtTimeZone { .. }
            | Ast::Like { .. }
            | Ast::In { .. }
            | Ast::IsNull(_)
            | Ast::IsNotNull(_)
    )
}

/// What kind of expression it is: the name of the parser's variant.
fn name_of(expr: &Ast) -> String {
    let text = expr.to_string();
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { format!("{short}...") } else { short }
}
