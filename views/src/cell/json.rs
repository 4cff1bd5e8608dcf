//! Values as JSON that people read: what a column of JSON shows of a key's tuples.
use super::{Cell, List};
use serde::de::IgnoredAny;

impl Cell {
    /// Writes the value as JSON, without spaces: `null`, numbers and bools as such (but for `NaN` and infinite ones, which
    /// are texts), JSON as it is, words, lists and tuples as arrays, and all else as the text that people read. Decimals
    /// have no zeros at their end: equal numbers have one text.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Cell::Null => out.push_str("null"),
            Cell::Int(_) | Cell::Bool(_) => out.push_str(&self.to_string()),
            Cell::Decimal(decimal) => out.push_str(&decimal.normalized().to_plain_string()),
            Cell::Float(number) if number.get().is_finite() => out.push_str(&number.to_string()),
            Cell::Json(text) if is_json(text) => out.push_str(text),
            Cell::Text(text) | Cell::Json(text) => write_text(out, text),
            Cell::Words(words) => array(out, words, |out, word| write_text(out, word)),
            Cell::List(List(texts)) => array(out, texts, |out, text| match text {
                Some(text) => write_text(out, text),
                None => out.push_str("null"),
            }),
            Cell::Tuples(tuples) => array(out, tuples, |out, tuple| {
                array(out, tuple, |out, cell| cell.write_json(out));
            }),
            Cell::Time(_) | Cell::Float(_) | Cell::Date(_) | Cell::Uuid(_) | Cell::Bytes(_) => {
                write_text(out, &self.to_string());
            }
        }
    }
}

/// Writes each between brackets.
pub(crate) fn array<T>(
    out: &mut String,
    all: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (at, one) in all.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, one);
    }
    out.push(']');
}

/// The text as JSON, in quotes.
pub(crate) fn write_text(out: &mut String, text: &str) {
    // A text always is JSON.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Float, tests::cell};
    use proptest::prelude::*;

    fn json(cell: &Cell) -> String {
        let mut out = String::new();
        cell.write_json(&mut out);
        out
    }

    proptest! {
        #[test]
        fn any_value_is_json(cell in cell()) {
            let json = json(&cell);
            prop_assert!(is_json(&json), "{json}");
        }
    }

    /// What `to_jsonb` of PostgreSQL says of these values is equal, but for times, which it writes in the session's zone.
    #[test]
    fn values_are_written_so() {
        let decimal = |text: &str| Cell::Decimal(text.parse().expect("a decimal"));
        for (cell, want) in [
            (Cell::Null, "null"),
            (Cell::Int(-7), "-7"),
            (Cell::Bool(true), "true"),
            (decimal("19.50"), "19.5"),
            (decimal("1e3"), "1000"),
            (Cell::Float(Float::new(1e20)), "1e+20"),
            (Cell::Float(Float::new(f64::NAN)), r#""NaN""#),
            (Cell::Text("a\n\"ü".into()), r#""a\n\"ü""#),
            (Cell::Time(1), r#""1970-01-01T00:00:00.000001Z""#),
            (Cell::Date(0), r#""1970-01-01""#),
            (Cell::Bytes(vec![0xde]), r#""\\xde""#),
            (Cell::Json(r#"{"a": [1]}"#.into()), r#"{"a": [1]}"#),
            (Cell::Json("{".into()), r#""{""#),
            (Cell::List(List(vec![Some("a".into()), None])), r#"["a",null]"#),
            (Cell::Words(["b".to_owned(), "a".to_owned()].into()), r#"["a","b"]"#),
            (Cell::Tuples(vec![vec![Cell::Int(1), Cell::Null], vec![]]), "[[1,null],[]]"),
        ] {
            assert_eq!(json(&cell), want);
        }
    }
}
