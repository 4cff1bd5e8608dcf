//! Lists of texts.
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt};

/// A list of texts, any of which may be null: a `text[]` of PostgreSQL, of one dimension. It has PostgreSQL's order: element
/// by element, texts by their bytes, a null after every text, and a list that begins another before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct List(pub Vec<Option<String>>);

impl Ord for List {
    fn cmp(&self, other: &Self) -> Ordering {
        fn nulls_last(list: &List) -> impl Iterator<Item = (bool, Option<&str>)> {
            list.0.iter().map(|text| (text.is_none(), text.as_deref()))
        }
        nulls_last(self).cmp(nulls_last(other))
    }
}
impl PartialOrd for List {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As JSON: `["a",null]`.
impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}
impl<T: Into<String>, const N: usize> From<[T; N]> for List {
    fn from(texts: [T; N]) -> Self {
        Self(texts.into_iter().map(|text| Some(text.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_ordered_as_in_postgresql() {
        let list = |texts: &[Option<&str>]| List(texts.iter().map(|t| t.map(Into::into)).collect());
        let up = [
            list(&[]),
            list(&[Some("")]),
            list(&[Some(""), None]),
            list(&[Some("a")]),
            list(&[Some("a"), Some("a")]),
            list(&[Some("a"), Some("b")]),
            list(&[Some("a"), None]),
            list(&[Some("b")]),
            list(&[None]),
            list(&[None, Some("")]),
        ];
        assert!(up.is_sorted_by(|a, b| a < b));
    }
}
