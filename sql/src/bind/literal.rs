//! Constants.
use super::scalar::{Collation, Typed};
use crate::{
    eval::time::{HOUR_US, SECOND_US},
    expr::{Expr, Field, Interval},
    problem::{Place, Problem},
    types::Kind,
};
use sqlparser::ast;
use views::{Cell, List};

/// A number, with a sign before it or none: of the first of `integer`, `bigint` and `numeric` that holds it.
pub(super) fn number(text: &str, place: Place) -> Result<Typed, Problem> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && let Ok(number) = text.parse::<i64>() {
        let kind = if i32::try_from(number).is_ok() { Kind::Int4 } else { Kind::Int8 };
        return Ok(Typed::new(Expr::int(number), kind));
    }
    let cell =
        crate::eval::cast(std::borrow::Cow::Owned(text.into()), Kind::Text, &Kind::Numeric.into());
    match cell {
        Ok(cell) => Ok(Typed::new(Expr::Value(cell.into_owned()), Kind::Numeric)),
        Err(_) => Err(Problem::new(place, format!("{text} is no number that is taken here"))),
    }
}

/// A text between quotes, whose type its place tells.
pub(super) fn text(text: &str, place: Place) -> Result<Typed, Problem> {
    if text.contains('\0') {
        return Err(Problem::new(place, "a text of PostgreSQL has no zero character"));
    }
    let (expr, sql_type) = (Expr::Value(text.into()), Kind::Unknown.into());
    Ok(Typed { expr, sql_type, collation: Collation::Default })
}

/// A part of a date or time by its name.
pub(super) fn field(name: &str, place: Place) -> Result<Field, Problem> {
    Field::named(name.trim_matches('\'')).ok_or_else(|| {
        Problem::new(
            place,
            format!("{} is no part of a time that is taken here", name.to_ascii_lowercase()),
        )
        .near(&name.to_ascii_lowercase(), Field::ALL.iter().map(|(name, _)| *name))
    })
}

/// A period stands in an expression as a list of its three parts: no column has this type.
fn of_period(period: Interval) -> Typed {
    let parts = [period.months.to_string(), period.days.to_string(), period.us.to_string()];
    Typed::new(Expr::Value(Cell::List(List::from(parts))), Kind::Interval)
}
pub(super) fn period_of(value: &Expr) -> Option<Interval> {
    let Expr::Value(Cell::List(parts)) = value else { return None };
    let part = |at: usize| parts.0.get(at)?.as_deref()?.parse::<i64>().ok();
    let (months, days) = (part(0)?.try_into().ok()?, part(1)?.try_into().ok()?);
    Some(Interval { months, days, us: part(2)? })
}

pub(super) fn interval(interval: &ast::Interval, place: Place) -> Result<Typed, Problem> {
    let ast::Expr::Value(value) = &*interval.value else {
        return Err(
            Problem::new(place, "a period is a constant here").instead("write interval '1 day'")
        );
    };
    let ast::Value::SingleQuotedString(text) = &value.value else {
        return Err(
            Problem::new(place, "a period stands between quotes").instead("write interval '1 day'")
        );
    };
    if interval.leading_precision.is_some() || interval.last_field.is_some() {
        return Err(Problem::new(place, "a period with fields behind it is not taken here")
            .instead("write interval '1 day'"));
    }
    match &interval.leading_field {
        None => period(text, place),
        Some(unit) => period(&format!("{text} {unit}"), place),
    }
}

/// Reads numbers with units, as `1 day 12 hours`, and at the end `HH:MM` or `HH:MM:SS`.
pub(super) fn period(text: &str, place: Place) -> Result<Typed, Problem> {
    let bad = || {
        Problem::new(place, format!("'{text}' is no period that is taken here"))
            .instead("write whole numbers with units: '1 month', '7 days', '90 minutes', '01:30'")
    };
    let mut total = Interval::default();
    let mut words = text.split_whitespace().peekable();
    if words.peek().is_none() {
        return Err(bad());
    }
    while let Some(word) = words.next() {
        if word.contains(':') {
            let us = clock(word).ok_or_else(bad)?;
            total.us = total.us.checked_add(us).ok_or_else(bad)?;
            continue;
        }
        let number: i64 = word.parse().map_err(|_| bad())?;
        let unit = words.next().ok_or_else(bad)?.to_ascii_lowercase();
        add(&mut total, number, &unit).ok_or_else(bad)?;
    }
    Ok(of_period(total))
}

fn add(total: &mut Interval, number: i64, unit: &str) -> Option<()> {
    let small = |factor: i64| i32::try_from(number.checked_mul(factor)?).ok();
    let us = |unit: i64| number.checked_mul(unit);
    match unit.strip_suffix('s').unwrap_or(unit) {
        "year" => total.months = total.months.checked_add(small(12)?)?,
        "month" | "mon" => total.months = total.months.checked_add(small(1)?)?,
        "week" => total.days = total.days.checked_add(small(7)?)?,
        "day" => total.days = total.days.checked_add(small(1)?)?,
        "hour" => total.us = total.us.checked_add(us(HOUR_US)?)?,
        "minute" | "min" => total.us = total.us.checked_add(us(60 * SECOND_US)?)?,
        "second" | "sec" => total.us = total.us.checked_add(us(SECOND_US)?)?,
        "millisecond" => total.us = total.us.checked_add(us(1_000)?)?,
        "microsecond" => total.us = total.us.checked_add(number)?,
        _ => return None,
    }
    Some(())
}

/// `HH:MM` or `HH:MM:SS`, with a sign or without.
fn clock(text: &str) -> Option<i64> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let part = |text: &str| -> Option<i64> {
        let is_number =
            (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok())?
    };
    let mut parts = rest.split(':');
    let (hours, minutes) = (part(parts.next()?)?, part(parts.next()?)?);
    let seconds = parts.next().map_or(Some(0), part)?;
    let fits = minutes < 60 && seconds < 60 && parts.next().is_none();
    fits.then_some(sign * (hours * 3_600 + minutes * 60 + seconds) * SECOND_US)
}

/// Microseconds that clocks of this zone are ahead of UTC: `'UTC'`, a period, or an offset of digits, which PostgreSQL takes
/// as POSIX does: `'+02'` is *west* of Greenwich.
pub(super) fn zone_of(value: &Expr, place: Place) -> Result<i64, Problem> {
    if let Some(period) = period_of(value) {
        if period.months == 0 && period.days == 0 {
            return Ok(period.us);
        }
        return Err(Problem::new(place, "a zone is no days away"));
    }
    let Expr::Value(Cell::Text(name)) = value else {
        return Err(Problem::new(place, "a time zone is a constant here")
            .instead("write at time zone 'UTC'"));
    };
    if matches!(name.to_ascii_uppercase().as_str(), "UTC" | "GMT" | "Z" | "ETC/UTC" | "UCT") {
        return Ok(0);
    }
    match crate::eval::time::zone_of(name) {
        Some(west) if name.starts_with(['+', '-']) => Ok(-west),
        _ => Err(Problem::new(
            place,
            format!("the rules of the zone {name} change, with the tables of each machine"),
        )
        .instead("write at time zone 'UTC', or a fixed offset: interval '2 hours'")),
    }
}
