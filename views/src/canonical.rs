//! Settings as canonical text, for what is stored and compared later: `inventory rules 1; stock_mode=derived;
//! low_stock_threshold=10`. A head, then each setting under the name that people know it by.
//!
//! Two different lists never give one text: what could end a value, and whatever breaks a line, is escaped. The order
//! is the caller's and never changes. What is not set is left out, so that a setting that comes later changes no
//! stored text until it is used.
//!
//! Absent on purpose: `{:?}`. Renaming a private field must not change what a state is bound to.
use std::fmt::Display;

/// Between the parts of a text.
pub const BETWEEN: &str = "; ";

/// A text in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// `head`: what the settings are of, such as `inventory rules 1`.
    pub fn new(head: &str) -> Self {
        Self(escaped(head))
    }

    /// Adds a setting. `name`: as for [`setting`].
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.0.push_str(BETWEEN);
        self.0.push_str(&setting(name, value));
        self
    }

    /// Adds a setting if it says anything: for those whose empty value means that they are not set.
    #[must_use]
    pub fn with_set(self, name: &str, value: impl Display) -> Self {
        let value = value.to_string();
        if value.is_empty() { self } else { self.with(name, value) }
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// One setting as it stands in a text. `name`: lower case letters, digits, `_` and `.`.
pub fn setting(name: &str, value: impl Display) -> String {
    debug_assert!(is_name(name), "{name}");
    format!("{name}={}", escaped(&value.to_string()))
}

/// What differs between two texts that are not the same, for people: each setting as
/// `low_stock_threshold: 10 became 5`, in the order of `is`; a head's number as `rules 1 became 2`.
pub fn difference(was: &str, is: &str) -> String {
    let found = match (parts(was), parts(is)) {
        (Some(was), Some(is)) => differences(&was, &is),
        _ => vec![],
    };
    if found.is_empty() {
        // Nobody is helped by a screen of a program's insides.
        return "what is stored cannot be compared setting by setting".to_owned();
    }
    found.join(", ")
}

fn differences(was: &Parts<'_>, is: &Parts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if was.head != is.head {
        found.push(heads(was.head, is.head));
    }
    let of = |parts: &Parts<'_>, name: &str| {
        let known = parts.settings.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| (*value).to_owned())
    };
    let shown = |value: Option<String>| match value.as_deref() {
        None => "not set".to_owned(),
        Some("") => "\"\"".to_owned(),
        Some(value) => value.to_owned(),
    };
    let only_was = was.settings.iter().filter(|(name, _)| of(is, name).is_none());
    for (name, _) in is.settings.iter().chain(only_was) {
        let (old, new) = (of(was, name), of(is, name));
        if old != new {
            found.push(format!("{name}: {} became {}", shown(old), shown(new)));
        }
    }
    found
}

struct Parts<'a> {
    head: &'a str,
    settings: Vec<(&'a str, &'a str)>,
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_.".contains(&c))
}

/// `None`: it is no text of ours.
fn parts(text: &str) -> Option<Parts<'_>> {
    let setting = |part| str::split_once(part, '=').filter(|(name, _)| is_name(name));
    let mut all = text.split(BETWEEN);
    let head = all.next()?;
    Some(Parts { head, settings: all.map(setting).collect::<Option<_>>()? })
}

fn heads(was: &str, is: &str) -> String {
    match (was.rsplit_once(' '), is.rsplit_once(' ')) {
        (Some((before, old)), Some((same, new))) if before == same => {
            let word = before.rsplit(' ').next().unwrap_or(before);
            format!("{word} {old} became {new}")
        }
        _ => format!("{was} became {is}"),
    }
}

/// One line without `;`. Every `\` is doubled first, so nothing else can read as an escape.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            ';' => text.extend(c.escape_unicode()),
            c if c.is_control() => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_this() {
        let text = Text::new("inventory rules 1")
            .with("products_table", "a;b\\c\n=d")
            .with("low_stock_threshold", 10)
            .with("empty", "")
            .with_set("column_formats", "");
        let is = "inventory rules 1; products_table=a\\u{3b}b\\\\c\\u{a}=d; low_stock_threshold=10; empty=";
        assert_eq!(text.finish(), is);
    }

    #[test]
    fn differences_are_said_in_few_words() {
        let of = difference;
        assert_eq!(of("i rules 1; a=10; b=2", "i rules 1; a=5; b=2"), "a: 10 became 5");
        assert_eq!(of("i rules 1; a=1", "i rules 2; a=1"), "rules 1 became 2");
        assert_eq!(of("idle 1", "busy 1"), "idle 1 became busy 1");
        assert_eq!(of("i; a=1", "i; a=1; b="), "b: not set became \"\"");
        assert_eq!(of("i; b=x; a=1", "i; a=2"), "a: 1 became 2, b: x became not set");
        assert_eq!(of("i; a=x=y", "i; a=x=z"), "a: x=y became x=z");
        for odd in ["i; Settings { a: 1 }", "i; A=1", "i; a", "i; a=1; "] {
            assert_eq!(of(odd, "i; a=1"), "what is stored cannot be compared setting by setting");
        }
        assert_eq!(
            of("something else entirely", "i; a=1"),
            "something else entirely became i, a: not set became 1"
        );
    }

    proptest! {
        /// Values of letters that mean something here.
        #[test]
        fn two_lists_never_give_one_text(
            a in proptest::collection::vec("[;=\\\\ nu{}3b\n]{0,4}", 1..4),
            b in proptest::collection::vec("[;=\\\\ nu{}3b\n]{0,4}", 1..4),
        ) {
            let text = |values: &[String]| {
                let all = values.iter().enumerate();
                all.fold(Text::new("x 1"), |text, (n, value)| text.with(&format!("s{n}"), value)).finish()
            };
            prop_assert_eq!(a == b, text(&a) == text(&b));
            let (was, is) = (text(&a), text(&b));
            let found = differences(&parts(&was).unwrap(), &parts(&is).unwrap());
            prop_assert_eq!(found.is_empty(), a == b);
            prop_assert!(!text(&a).contains('\n'));
        }
    }
}
