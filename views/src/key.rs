//! Keys: which of them are one key, which columns can make one, and their bytes.
mod bytes;

pub use bytes::{read_key, write_key};

use crate::{Cell, Type, View};
use decimal::Decimal;
use std::{borrow::Cow, collections::BTreeSet};

/// The form in which a key is stored and compared. Two keys that SQL takes for equal have one form: `1.0` and `1.00` are
/// one number, and stores that keep a key as text would make two rows of them.
pub fn canonical_key(key: &[Cell]) -> Cow<'_, [Cell]> {
    if !key.iter().any(|cell| matches!(cell, Cell::Decimal(_))) {
        return Cow::Borrowed(key);
    }
    let canonical = |cell: &Cell| match cell {
        Cell::Decimal(decimal) => Cell::Decimal(shortest(decimal)),
        other => other.clone(),
    };
    Cow::Owned(key.iter().map(canonical).collect())
}

/// Without zeros at the end of its fraction.
fn shortest(decimal: &Decimal) -> Decimal {
    decimal.normalized().written_out()
}

impl View {
    /// Why no table can have these columns and tell its rows apart by this key; `None`: one can.
    pub fn unfit(&self) -> Option<String> {
        if self.key.is_empty() {
            return Some("it has no key column".to_owned());
        }
        if let Some(column) = self.key.iter().find(|column| column.kind == Type::Words) {
            let name = column.name;
            return Some(format!("its key column `{name}` is a set of words, which is no key"));
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
        assert!(why(&[ID], &[WORDS, ID]).contains("`id` twice"));
        assert!(why(&[ID, ID], &[]).contains("`id` twice"));
    }
}
