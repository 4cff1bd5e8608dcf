//! What is known of an expression without a row: whether it may be null, and how many digits it has behind the point.
use crate::{
    catalogue::Table,
    expr::{Arithmetic, Comparison, Expr, Field, Function},
    types::{Kind, SqlType},
};
use views::Cell;

/// Whether the value may be null, for rows of the table that pass the filter. Columns behind the table's are elements: a word
/// is never null.
pub(super) fn may_be_null(expr: &Expr, table: &Table, filter: &Expr) -> bool {
    let known = not_null_by(filter);
    of(expr, &|at| {
        table.columns.get(at).is_some_and(|column| !column.not_null) && !known.contains(&at)
    })
}

fn of(expr: &Expr, is_nullable: &dyn Fn(usize) -> bool) -> bool {
    let one = |expr: &Expr| of(expr, is_nullable);
    match expr {
        Expr::Column(at) => is_nullable(*at),
        Expr::Value(cell) => *cell == Cell::Null,
        Expr::IsNull(_) | Expr::Is(..) | Expr::Same(..) | Expr::Concat(_) | Expr::Words(_) => false,
        Expr::Case(branches, last) => one(last) || branches.iter().any(|(_, then)| one(then)),
        Expr::Coalesce(all) | Expr::Greatest(all) | Expr::Least(all) => all.iter().all(one),
        Expr::NullIf(..) | Expr::IsAny(..) => true,
        Expr::ConcatWith(all) => all.first().is_none_or(one),
        Expr::Call(
            Function::JsonMember { .. } | Function::JsonElement { .. } | Function::Element,
            _,
        ) => true,
        other => other.children().into_iter().any(one),
    }
}

/// The columns that a row needs for the condition to be true.
fn not_null_by(filter: &Expr) -> Vec<usize> {
    let mut known = Vec::new();
    let all = match filter {
        Expr::And(all) => &all[..],
        one => std::slice::from_ref(one),
    };
    for one in all {
        match one {
            Expr::Not(inner) => {
                if let Expr::IsNull(inner) = &**inner {
                    strict(inner, &mut known);
                }
            }
            Expr::Compare(_, a, b) => {
                strict(a, &mut known);
                strict(b, &mut known);
            }
            Expr::Column(at) => known.push(*at),
            _ => {}
        }
    }
    known
}

/// The columns without which the value is null.
fn strict(expr: &Expr, known: &mut Vec<usize>) {
    match expr {
        Expr::Column(at) => known.push(*at),
        Expr::Call(_, all) => all.iter().for_each(|one| strict(one, known)),
        _ => {}
    }
}

/// The digits behind the point that every value has. `None`: they differ from row to row. Whole numbers have none.
pub(super) fn scale(expr: &Expr, table: &Table) -> Option<i64> {
    let one = |expr: &Expr| scale(expr, table);
    let same = |all: &mut dyn Iterator<Item = &Expr>| {
        let mut scales = all.filter(|expr| **expr != Expr::Value(Cell::Null)).map(one);
        let first = scales.next()??;
        scales.all(|other| other == Some(first)).then_some(first)
    };
    match expr {
        Expr::Column(at) => match &table.columns.get(*at)?.sql_type {
            SqlType::Numeric { scale, .. } => Some(i64::from(*scale).max(0)),
            other => other.kind().is_integer().then_some(0),
        },
        Expr::Value(Cell::Decimal(number)) => Some(number.fractional_digit_count().max(0)),
        Expr::Value(Cell::Int(_)) => Some(0),
        Expr::Case(branches, last) => {
            same(&mut branches.iter().map(|(_, then)| then).chain([&**last]))
        }
        Expr::Coalesce(all) | Expr::Greatest(all) | Expr::Least(all) => same(&mut all.iter()),
        Expr::NullIf(a, _) => one(a),
        Expr::Call(function, all) => match (function, &all[..]) {
            (Function::Cast(_, SqlType::Numeric { scale, .. }), _) => {
                Some(i64::from(*scale).max(0))
            }
            (Function::Cast(from, to), [a]) if to.kind() == Kind::Numeric => {
                if from.is_integer() {
                    Some(0)
                } else if *from == Kind::Numeric {
                    one(a)
                } else {
                    None
                }
            }
            (Function::Arithmetic(Arithmetic::Add | Arithmetic::Subtract, _), [a, b]) => {
                Some(one(a)?.max(one(b)?))
            }
            (Function::Arithmetic(Arithmetic::Multiply, _), [a, b]) => Some(one(a)? + one(b)?),
            (Function::Negate(_) | Function::Abs(_), [a]) => one(a),
            (
                Function::Round(_)
                | Function::Trunc(_)
                | Function::Ceil(_)
                | Function::Floor(_)
                | Function::Sign(_),
                _,
            ) => Some(0),
            (Function::WholeQuotient, _) => Some(0),
            (Function::Extract(field, of), _) => Some(match field {
                Field::Epoch | Field::Second if *of != Kind::Date => 6,
                Field::Milliseconds => 3,
                _ => 0,
            }),
            (Function::RoundTo | Function::TruncTo, [_, Expr::Value(Cell::Int(places))]) => {
                Some((*places).max(0))
            }
            _ => None,
        },
        _ => None,
    }
}

/// A division whose divisor may be 0. Those by `nullif(x, 0)` and by other numbers never fail.
pub(super) fn may_divide_by_zero(expr: &Expr) -> bool {
    let fails = match expr {
        Expr::Call(
            Function::Arithmetic(Arithmetic::Divide | Arithmetic::Modulo, _)
            | Function::WholeQuotient,
            all,
        ) => all.get(1).is_none_or(|divisor| !is_not_zero(divisor)),
        _ => false,
    };
    fails || expr.children().into_iter().any(may_divide_by_zero)
}
fn is_not_zero(expr: &Expr) -> bool {
    match expr {
        Expr::Value(cell) => !cell.is_zero() || *cell == Cell::Null,
        Expr::NullIf(_, b) => matches!(&**b, Expr::Value(cell) if cell.is_zero()),
        Expr::Call(Function::Cast(..) | Function::Negate(_) | Function::Abs(_), all) => {
            all.iter().all(is_not_zero)
        }
        _ => false,
    }
}

/// The equalities of a join's condition between its left and its right side, each as left and right expression; and all that
/// is not one.
pub(super) fn equalities(on: &Expr, left_width: usize) -> (Vec<(Expr, Expr)>, Vec<Expr>) {
    let all = match on {
        Expr::And(all) => all.clone(),
        one => vec![one.clone()],
    };
    let (mut pairs, mut rest) = (Vec::new(), Vec::new());
    for one in all {
        if let Expr::Compare(Comparison::Equal, a, b) = &one {
            let right = |expr: &Expr| expr.with_columns(&mut |at| Expr::Column(at - left_width));
            match (side(a, left_width), side(b, left_width)) {
                (Side::Left, Side::Right) => {
                    pairs.push(((**a).clone(), right(b)));
                    continue;
                }
                (Side::Right, Side::Left) => {
                    pairs.push(((**b).clone(), right(a)));
                    continue;
                }
                _ => {}
            }
        }
        if !one.is_true() {
            rest.push(one);
        }
    }
    (pairs, rest)
}

/// Which side of a join an expression is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Constants.
    Neither,
    Left,
    Right,
    Both,
}
pub(super) fn side(expr: &Expr, left_width: usize) -> Side {
    let (mut left, mut right) = (false, false);
    expr.each_column(&mut |at| if at < left_width { left = true } else { right = true });
    match (left, right) {
        (false, false) => Side::Neither,
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        (true, true) => Side::Both,
    }
}
