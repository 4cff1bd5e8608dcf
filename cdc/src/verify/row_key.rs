//! The key of a table's row, or of a view's: one value or several, of any type.
use chrono::{DateTime, SecondsFormat};
use consumers::source_table::SourceType;
use sinks::{Cell, List, key_text};
use std::fmt;

/// The values of a key as text, in the order in which its columns are declared. None of them is null.
///
/// Equal keys are equal texts, whether the log, a view or PostgreSQL says them: each value is written by [`text`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey(Box<[Box<str>]>);

impl RowKey {
    /// `None`: one of the cells is no value of a key.
    pub fn of(cells: &[Cell]) -> Option<Self> {
        cells.iter().map(text).collect()
    }
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
    pub fn value(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(AsRef::as_ref)
    }
}
impl FromIterator<String> for RowKey {
    fn from_iter<I: IntoIterator<Item = String>>(values: I) -> Self {
        Self(values.into_iter().map(String::into_boxed_str).collect())
    }
}
impl From<i64> for RowKey {
    fn from(number: i64) -> Self {
        Self::from_iter([number.to_string()])
    }
}
/// As people read the key of a view's row.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<Cell> = self.values().map(Cell::from).collect();
        f.write_str(&key_text(&cells))
    }
}

/// One text for one value, and one that PostgreSQL reads as the column's type. `None`: null, or a set of words or
/// tuples, which no key has.
pub fn text(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null | Cell::Words(_) | Cell::Tuples(_) => None,
        Cell::Int(number) => Some(number.to_string()),
        Cell::Text(text) | Cell::Json(text) => Some(text.clone()),
        Cell::Float(number) => Some(number.canonical().to_string()),
        Cell::Bool(_) | Cell::Date(_) | Cell::Uuid(_) | Cell::Bytes(_) => Some(cell.to_string()),
        Cell::List(list) => Some(array(list)),
        Cell::Decimal(decimal) => Some(decimal.normalized().to_plain_string()),
        Cell::Time(us) => {
            let time = DateTime::from_timestamp_micros(*us)?;
            Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
        }
    }
}

/// As PostgreSQL writes an array: `{"a",NULL}`.
fn array(list: &List) -> String {
    let text = |text: &Option<String>| match text {
        None => "NULL".to_owned(),
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", list.0.iter().map(text).collect::<Vec<_>>().join(","))
}

/// The same of a value that the window holds as text. `None`: it is no value of this kind.
pub fn text_of(kind: SourceType, value: &str) -> Option<String> {
    // Lists are in no key of a view.
    text(&Cell::parse(kind.cell_type(), value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_equal_texts_whoever_says_them() {
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        let of = |cell: Cell| RowKey::of(&[cell]).expect("a key");
        assert_eq!(of(decimal("1.50")), of(decimal("1.5")));
        assert_eq!(text_of(SourceType::Decimal, "1.500"), text(&decimal("1.5")));
        assert_eq!(of(Cell::Int(7)), RowKey::from(7));
        assert_eq!(text_of(SourceType::Int, "7"), text(&Cell::Int(7)));
        let midnight = Cell::Time(1_704_067_200_000_000);
        assert_eq!(text(&midnight).as_deref(), Some("2024-01-01T00:00:00.000000Z"));
        assert_eq!(text_of(SourceType::Time, "2024-01-01T01:00:00+01:00"), text(&midnight));
        assert_eq!(text_of(SourceType::Int, "many"), None);
    }

    #[test]
    fn nothing_null_is_a_key() {
        assert_eq!(RowKey::of(&[Cell::Int(1), Cell::Null]), None);
        assert_eq!(RowKey::of(&[Cell::Words(Default::default())]), None);
    }

    #[test]
    fn values_of_every_type_are_texts_that_postgresql_reads() {
        let list = List(vec![Some("a,\"b\"\\".into()), None, Some("NULL".into())]);
        assert_eq!(text(&Cell::List(list)).as_deref(), Some(r#"{"a,\"b\"\\",NULL,"NULL"}"#));
        for (kind, value, one) in [
            (SourceType::Float, "-0", "0"),
            (SourceType::Float, "1e20", "1e+20"),
            (SourceType::Bool, "true", "true"),
            (SourceType::Date, "2024-05-06", "2024-05-06"),
            (SourceType::Bytes, "\\xDE", "\\xde"),
            (SourceType::Json, "{\"a\":  1}", "{\"a\":  1}"),
        ] {
            assert_eq!(text_of(kind, value).as_deref(), Some(one), "{kind:?}");
        }
        assert_eq!(text_of(SourceType::Uuid, "nobody"), None);
    }

    #[test]
    fn people_read_it_as_the_key_of_a_views_row() {
        assert_eq!(RowKey::from(-7).to_string(), "-7");
        let several = RowKey::of(&["a/b".into(), Cell::Int(2)]).expect("a key");
        assert_eq!(several.to_string(), key_text(&["a/b".into(), Cell::Int(2)]));
        assert_eq!(several.to_string(), r"a\/b/2");
    }
}
