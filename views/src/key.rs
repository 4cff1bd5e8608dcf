//! Keys: which of them are one key, which columns can make one, and their bytes.
mod bytes;

pub use bytes::{read_key, write_key};

use crate::{Cell, Type, View};
use decimal::Decimal;
use std::{borrow::Cow, collections::BTreeSet};

/// The form in which a key is stored and compared. Two keys that SQL takes for equal have one form: `1.0` and `1.00` are
/// one number, as `0` and `-0` are, and stores that keep a key as text would make two rows of them.
pub fn canonical_key(key: &[Cell]) -> Cow<'_, [Cell]> {
    if !key.iter().any(|cell| matches!(cell, Cell::Decimal(_) | Cell::Float(_))) {
        return Cow::Borrowed(key);
    }
    let canonical = |cell: &Cell| match cell {
        Cell::Decimal(decimal) => Cell::Decimal(shortest(decimal)),
        Cell::Float(number) => Cell::Float(number.canonical()),
        other => other.clone(),
    };
    Cow::Owned(key.iter().map(canonical).collect())
}

/// Without zeros at the end of its fraction.
fn shortest(decimal: &Decimal) -> Decimal {
    decimal.normalized().written_out()
}

/// What values of this type are, if no key can be made of them. Two texts of JSON may be one value.
fn no_key(kind: Type) -> Option<&'static str> {
    match kind {
        Type::Words => Some("a set of words"),
        Type::Json => Some("JSON"),
        Type::List => Some("a list"),
        Type::Int | Type::Text | Type::Decimal | Type::Time => None,
        Type::Bool | Type::Float | Type::Date | Type::Uuid | Type::Bytes => None,
    }
}

impl View {
    /// Why no table can have these columns and tell its rows apart by this key; `None`: one can.
    pub fn unfit(&self) -> Option<String> {
        if self.key.is_empty() {
            return Some("it has no key column".to_owned());
        }
        if let Some((name, what)) = self.key.iter().find_map(|c| Some((c.name, no_key(c.kind)?))) {
            return Some(format!("its key column `{name}` is {what}, which is no key"));
        }
        let mut names = BTreeSet::new();
        let mut all = self.key.iter().chain(self.columns).map(|column| column.name);
        let twice = all.find(|name| !names.insert(*name))?;
        Some(format!("it has the column `{twice}` twice"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    const ID: Column = Column::new("id", Type::Int);
    const WORDS: Column = Column::new("words", Type::Words);

    #[test]
    fn equal_numbers_are_one_key() {
        let json = |text: &str| {
            let key = [Cell::from("a"), Cell::Decimal(text.parse().expect("a number"))];
            serde_json::to_string(&canonical_key(&key)).expect("JSON")
        };
        for (same, one) in [
            (&["1.0", "1.00", "1", "1e0", "10e-1"][..], r#"["a",{"d":"1"}]"#),
            (&["0", "0.00", "-0.0", "0e7"], r#"["a",{"d":"0"}]"#),
            (&["-1.50", "-1.5"], r#"["a",{"d":"-1.5"}]"#),
            (&["1e3", "1000", "1000.0"], r#"["a",{"d":"1000"}]"#),
        ] {
            for text in same {
                assert_eq!(json(text), one, "{text}");
            }
        }
    }

    #[test]
    fn equal_floats_are_one_key() {
        let zeros = [0.0, -0.0].map(|zero| [Cell::Float(crate::Float::new(zero))]);
        let texts = zeros.map(|zero| canonical_key(&zero)[0].to_string());
        assert_eq!(texts, ["0", "0"]);
    }

    #[test]
    fn other_keys_are_as_they_are() {
        let key = [Cell::Null, Cell::from("1.0"), Cell::Int(10), Cell::Time(0)];
        assert!(matches!(canonical_key(&key), Cow::Borrowed(same) if same == key));
    }

    #[test]
    fn a_view_that_no_table_can_be_says_why() {
        assert_eq!(View::rows("v", &[ID], &[WORDS]).unfit(), None);
        let why = |key, columns| View::rows("v", key, columns).unfit().expect("unfit");
        assert!(why(&[], &[ID]).contains("no key column"));
        assert!(why(&[ID, WORDS], &[]).contains("`words`"));
        const JSON: Column = Column::new("said", Type::Json);
        const LIST: Column = Column::new("tags", Type::List);
        assert_eq!(why(&[JSON], &[ID]), "its key column `said` is JSON, which is no key");
        assert_eq!(why(&[ID, LIST], &[]), "its key column `tags` is a list, which is no key");
        const FLOAT: Column = Column::new("rate", Type::Float);
        assert_eq!(View::rows("v", &[FLOAT], &[JSON, LIST]).unfit(), None);
        assert!(why(&[ID], &[WORDS, ID]).contains("`id` twice"));
        assert!(why(&[ID, ID], &[]).contains("`id` twice"));
    }
}
