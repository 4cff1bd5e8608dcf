//! Reading columns within the sink's limits, and the keys under which handlers keep their rows.
use super::Limits;
use crate::handler::Reject;
use bigdecimal::BigDecimal;
use debezium::{Change, Field, Kept, Op, Row};
use sinks::Key;

/// Largest quantity of one line, either way: what PostgreSQL's `integer` holds. An `i64` then holds the sum of any
/// 2,147,483,648 lines and a stock within [`STOCK_MAX`] minus it, so sums neither overflow nor saturate.
pub(super) const QUANTITY_MAX: i64 = i32::MAX as i64;
/// Largest base stock, either way.
pub(super) const STOCK_MAX: i64 = i64::MAX / 2;

/// The row as it is now; `None`: deleted. Create, update and snapshot read are one thing.
pub(super) fn after<'c, 'r>(change: &'c Change<'r>) -> Result<Option<&'c Row<'r>>, Reject> {
    match (&change.op, &change.after) {
        (Op::Delete, _) => Ok(None),
        (_, Some(row)) => Ok(Some(row)),
        (_, None) => Err(Reject(format!(
            "{}: `after` is missing; a create, update or read must carry the row",
            change.source.table
        ))),
    }
}

/// The primary key: of the new row, or, of a deleted one, from the record's key, else from `before`, where only the
/// key columns can be believed. A key that cannot be read is missed by nobody as long as the row itself has the
/// columns.
pub(super) fn primary_key(change: &Change<'_>, column: &str) -> Result<i64, Reject> {
    if let Some(row) = after(change)? {
        return int(row, column);
    }
    let Change { key, key_problem, before, .. } = change;
    let from_key = key.as_ref().map(|key| int(key, column));
    if let Some(Ok(id)) = from_key {
        return Ok(id);
    }
    let from_before = before.as_ref().map(|before| int(before, column));
    if let Some(Ok(id)) = from_before {
        return Ok(id);
    }
    let table = &change.source.table;
    let no_key = match (from_key, key_problem) {
        (Some(Err(e)), _) => format!("in the record's key, {e}"),
        (_, Some(problem)) => problem.to_string(),
        _ => "the record has no key".to_owned(),
    };
    let no_before = match from_before {
        Some(Err(e)) => format!("in `before`, {e}"),
        _ => "`before` is null".to_owned(),
    };
    Err(Reject(format!(
        "{table}.{column}: the delete names no row ({no_key}; {no_before}): give the table a primary key or \
         REPLICA IDENTITY FULL, and the connector JSON keys \
         (key.converter=org.apache.kafka.connect.json.JsonConverter)"
    )))
}

fn int(row: &Row<'_>, column: &str) -> Result<i64, Reject> {
    let [id] = row.fields([column])?;
    Ok(id.int()?)
}

/// Of a column, for messages: `table.column`.
pub(super) struct Name<'a>(pub &'a str, pub &'a str);
impl Name<'_> {
    pub(super) fn reject(&self, why: impl std::fmt::Display) -> Reject {
        Reject(format!("{}.{}: {why}", self.0, self.1))
    }
}

/// A text of at most `bytes_max`, or word that it was not sent because it did not change.
pub(super) fn text(
    field: &Field<'_>,
    name: &Name<'_>,
    bytes_max: usize,
) -> Result<Kept<Option<String>>, Reject> {
    let kept = field.kept(|f| f.nullable(Field::text))?;
    if let Kept::New(Some(text)) = &kept
        && text.len() > bytes_max
    {
        return Err(name.reject(format_args!(
            "{} bytes are too large, the view holds {bytes_max}; shorten it at the source",
            text.len()
        )));
    }
    Ok(match kept {
        Kept::New(text) => Kept::New(text.map(std::borrow::Cow::into_owned)),
        Kept::Unchanged => Kept::Unchanged,
    })
}

/// A decimal that every sink takes. Zeros at the end are no digits: they are left out of what would not fit with them,
/// and kept as they were sent otherwise.
pub(super) fn decimal(
    field: &Field<'_>,
    name: &Name<'_>,
    limits: &Limits,
) -> Result<Option<BigDecimal>, Reject> {
    let Some(value) = field.nullable(Field::decimal)? else { return Ok(None) };
    let max = limits.digits_max;
    let exponent = |value: &BigDecimal| value.as_bigint_and_scale().1.unsigned_abs();
    if exponent(&value) <= max && value.digits() <= max {
        return Ok(Some(value));
    }
    let shorter = value.normalized();
    if shorter.digits() > max {
        return Err(name.reject(format_args!(
            "{} digits are more than the {max} that the view holds",
            shorter.digits()
        )));
    }
    match (exponent(&value) <= max, exponent(&shorter) <= max) {
        (true, _) => Ok(Some(value)),
        (_, true) => Ok(Some(shorter)),
        // A short number with a huge exponent would become a huge text.
        _ => Err(name
            .reject(format_args!("its exponent is beyond the {max} digits that the view holds"))),
    }
}

/// An integer between `-max` and `max`.
pub(super) fn bounded(field: &Field<'_>, name: &Name<'_>, max: i64) -> Result<Option<i64>, Reject> {
    match field.nullable(Field::int)? {
        Some(n) if n.unsigned_abs() > max.unsigned_abs() => {
            Err(name.reject(format_args!("beyond {max}, the largest that sums are safe with")))
        }
        n => Ok(n),
    }
}

/// What stands there now: the new value, or the last one known.
pub(super) fn onto<T>(kept: Kept<Option<T>>, old: impl FnOnce() -> Option<T>) -> Option<T> {
    match kept {
        Kept::New(value) => value,
        Kept::Unchanged => old(),
    }
}

/// Key of a kept row: a letter for the table, and the primary key.
pub(super) fn row_key(letter: char, id: i64) -> Key {
    let mut key = Key::with_capacity(24);
    key.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
    key.push(b'/');
    push_number(&mut key, id);
    key
}
/// The number as text, without what formatting costs.
pub(super) fn push_number(text: &mut Vec<u8>, number: i64) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
/// Of every row of the table.
pub(super) fn row_prefix(letter: char) -> Key {
    format!("{letter}/").into_bytes()
}
/// The primary key in a key made by [`row_key`] with this letter.
pub(super) fn row_id(letter: char, key: &[u8]) -> Option<i64> {
    let (found, id) = std::str::from_utf8(key).ok()?.split_once('/')?;
    if found.chars().eq([letter]) { id.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_are_as_ever(id: i64) {
            prop_assert_eq!(row_key('o', id), format!("o/{id}").into_bytes());
            prop_assert_eq!(row_id('o', &row_key('o', id)), Some(id));
        }
    }

    #[test]
    fn keys_at_the_ends() {
        for id in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(row_key('i', id), format!("i/{id}").into_bytes());
        }
    }
}
