//! Topics that are to be read and are not there: which ones, and the prefix under which they would be.
use crate::source_table::before_name;
use sinks::state::table_of;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Names in one sentence, at most.
const NAMES_MAX: usize = 10;
/// Where a topic that does not begin with a prefix can be named.
const BY_NAME: &str = "PRODUCTS_TOPIC, ORDERS_TOPIC or ORDER_ITEMS_TOPIC";

/// What of the topics to be read is not there. Its text says what would fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub topics: Vec<String>,
    /// None of the topics to be read is there.
    pub all: bool,
    /// Other prefixes, and the topics of theirs that fit; those that fit the most topics.
    fits: BTreeMap<String, Vec<String>>,
}

/// Holds the topics to be read against those that are there. `None`: none is missing.
pub fn missing(wanted: &[String], there: &BTreeSet<&str>) -> Option<Missing> {
    let topics: Vec<String> =
        wanted.iter().filter(|topic| !there.contains(topic.as_str())).cloned().collect();
    if topics.is_empty() {
        return None;
    }
    let mut fits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in topics.iter().map(|topic| table_of(topic)) {
        for topic in there.iter().filter(|topic| !wanted.iter().any(|wanted| wanted == *topic)) {
            if let Some(prefix) = before_name(topic, table) {
                fits.entry(prefix.to_owned()).or_default().push((*topic).to_owned());
            }
        }
    }
    let most = fits.values().map(Vec::len).max().unwrap_or(0);
    fits.retain(|_, topics| topics.len() == most);
    Some(Missing { all: topics.len() == wanted.len(), topics, fits })
}

impl Missing {
    /// Topics of the same tables are there, under another prefix.
    pub fn is_elsewhere(&self) -> bool {
        !self.fits.is_empty()
    }

    /// What to set, if anything fits.
    pub fn advice(&self) -> Option<String> {
        let found = names(self.fits.values().flatten().map(String::as_str));
        let prefixes: Vec<String> = self
            .fits
            .keys()
            .filter(|prefix| self.all && !prefix.is_empty())
            .map(|prefix| format!("TOPIC_PREFIX={prefix}"))
            .collect();
        match prefixes.len() {
            _ if self.fits.is_empty() => None,
            0 => Some(format!("{found}: there; if meant, name it by {BY_NAME}")),
            1 => Some(format!("{} would fit: there is {found}", prefixes[0])),
            _ => Some(format!(
                "one of these would fit: {}; there is {found}",
                names(prefixes.iter().map(String::as_str))
            )),
        }
    }
}

/// The topics, and what would fit.
impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names(self.topics.iter().map(String::as_str)))?;
        match self.advice() {
            Some(advice) => write!(f, " ({advice})"),
            None => {
                write!(f, " (check TOPIC_PREFIX and the settings that name a topic: {BY_NAME})")
            }
        }
    }
}

/// The first few, with commas, and how many more.
pub fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<&str> = all.collect();
    let shown = all.len().min(NAMES_MAX);
    let text = all[..shown].join(", ");
    match all.len() - shown {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(wanted: &[&str], there: &[&str]) -> Option<Missing> {
        let wanted: Vec<String> = wanted.iter().map(|topic| (*topic).to_owned()).collect();
        missing(&wanted, &there.iter().copied().collect())
    }

    #[test]
    fn nothing_is_missing_where_all_is_there() {
        assert_eq!(look(&["a.s.products"], &["a.s.products", "b.s.products", "x"]), None);
        assert_eq!(look(&[], &["x"]), None);
    }

    #[test]
    fn the_prefix_that_fits_the_most_tables_is_named() {
        let there = ["b.s.products", "b.s.order_items", "c.s.products", "b.s.orders"];
        let missing = look(&["a.s.products", "a.s.order_items"], &there).expect("missing");
        assert!(missing.all && missing.is_elsewhere());
        assert_eq!(
            missing.to_string(),
            "a.s.products, a.s.order_items (TOPIC_PREFIX=b.s. would fit: there is b.s.products, b.s.order_items)"
        );
    }

    #[test]
    fn several_that_fit_are_listed() {
        let missing = look(&["a.products"], &["b.products", "c.products"]).expect("missing");
        let text = missing.to_string();
        assert!(
            text.contains("one of these would fit: TOPIC_PREFIX=b., TOPIC_PREFIX=c."),
            "{text}"
        );
        let many: Vec<String> = (0..14).map(|n| format!("p{n:02}.products")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = look(&["a.products"], &many).expect("missing").to_string();
        assert!(text.contains("TOPIC_PREFIX=p09. and 4 more"), "{text}");
    }

    /// Another prefix would lose the topics that are right.
    #[test]
    fn where_some_are_there_the_others_are_to_be_named() {
        let there = ["a.products", "b.order_items"];
        let missing = look(&["a.products", "a.order_items"], &there).expect("missing");
        assert!(!missing.all && missing.is_elsewhere());
        let text = missing.to_string();
        assert!(text.contains("b.order_items") && text.contains("ORDER_ITEMS_TOPIC"), "{text}");
        assert!(!text.contains("TOPIC_PREFIX="), "{text}");
        // An empty prefix cannot be set.
        let text = look(&["a.products"], &["products"]).expect("missing").to_string();
        assert!(text.contains("name it by PRODUCTS_TOPIC"), "{text}");
    }

    #[test]
    fn only_whole_names_of_tables_fit() {
        let there = ["b.old_products", "b.products.dlq", "products_2", "b.Products"];
        let missing = look(&["a.products"], &there).expect("missing");
        assert!(!missing.is_elsewhere() && missing.advice().is_none());
        assert!(missing.to_string().contains("check TOPIC_PREFIX"), "{missing}");
    }
}
