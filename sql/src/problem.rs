//! What is wrong with a file, where, and what to write instead.
use sqlparser::{
    ast::Spanned,
    tokenizer::{Location, Span},
};
use std::fmt;

/// A place in a file's text. Both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}
impl Place {
    /// The beginning of a file.
    pub const START: Self = Self { line: 1, column: 1 };

    pub(crate) fn of_location(location: Location) -> Option<Self> {
        (location.line > 0).then_some(Self { line: location.line, column: location.column })
    }
    pub(crate) fn of_span(span: Span) -> Option<Self> {
        Self::of_location(span.start)
    }
    /// Where this part of a statement begins; the parser does not know it of every part: then the place of what is around.
    pub(crate) fn of(part: &impl Spanned, around: Self) -> Self {
        Self::of_span(part.span()).unwrap_or(around)
    }
}

/// Why a file is refused: a place in its text, one sentence that says why, and a way on where one is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}: {what}", place.line, place.column)]
pub struct Problem {
    pub place: Place,
    /// One sentence without a full stop at its end.
    pub what: String,
    /// What to write or to do, if it is known.
    pub instead: Option<String>,
}

impl Problem {
    /// A problem without a way on.
    pub fn new(place: Place, what: impl Into<String>) -> Self {
        Self { place, what: what.into(), instead: None }
    }
    /// Says what to do instead.
    #[must_use]
    pub fn instead(mut self, way: impl Into<String>) -> Self {
        self.instead = Some(way.into());
        self
    }
    /// Adds the names that look like the one that was not found.
    #[must_use]
    pub(crate) fn near<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let near = near(name, known);
        if near.is_empty() {
            self
        } else {
            self.instead(format!("did you mean {}?", near.join(" or ")))
        }
    }

    /// The problem as a compiler shows it: the file's name and the place, the line, a caret below it, and the way on. `text`
    /// is the whole text of the file.
    ///
    /// ```
    /// let text = "select now()";
    /// let problem = sql::File::parse(text).expect_err("no view");
    /// assert_eq!(problem.show("recent.sql", text), "\
    /// error: the file declares no view
    ///  --> recent.sql:1:1
    ///   |
    /// 1 | select now()
    ///   | ^
    ///   = write create materialized view NAME with (sink = '...') as select ...
    /// ");
    /// ```
    pub fn show(&self, file: &str, text: &str) -> String {
        Shown { problem: self, file, text }.to_string()
    }
}

struct Shown<'a> {
    problem: &'a Problem,
    file: &'a str,
    text: &'a str,
}
impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longer lines are cut around the place.
        const WIDTH: usize = 120;
        const BEFORE: usize = 60;
        let Self { problem, file, text } = self;
        let Place { line, column } = problem.place;
        let index = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        let shown = text.lines().nth(index(line)).unwrap_or_default();
        let column_at = index(column);
        let from = if shown.chars().count() > WIDTH { column_at.saturating_sub(BEFORE) } else { 0 };
        // A tab or a control character has no width that is known.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let part: String = shown.chars().skip(from).take(WIDTH).map(plain).collect();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "error: {}", problem.what)?;
        writeln!(f, "{margin}--> {file}:{line}:{column}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {part}")?;
        writeln!(f, "{margin} | {}^", " ".repeat(column_at.saturating_sub(from).min(WIDTH)))?;
        if let Some(way) = &problem.instead {
            writeln!(f, "{margin} = {way}")?;
        }
        Ok(())
    }
}

/// At most three of the known names that differ from this one by little.
fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let most = name.chars().count().div_ceil(3).clamp(1, 3);
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|other| (changes(name, other), other))
        .filter(|(changes, _)| *changes <= most)
        .collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// How many characters are to be put in, taken out or replaced to make one of the other.
fn changes(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, one) in a.chars().take(64).enumerate() {
        let mut before = at;
        row[0] = at + 1;
        for (place, other) in b.iter().enumerate() {
            let replaced = before + usize::from(one != *other);
            before = row[place + 1];
            row[place + 1] = replaced.min(before + 1).min(row[place] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_by_little_are_near() {
        assert_eq!(near("custmer_id", ["id", "customer_id", "custom"]), ["customer_id"]);
        assert_eq!(near("lenght", ["length", "left"]), ["length"]);
        assert!(near("x", ["name", "price"]).is_empty());
    }

    #[test]
    fn long_lines_are_cut_and_tabs_are_blanks() {
        let text = format!("\t{}x", "a".repeat(500));
        let problem = Problem::new(Place { line: 1, column: 502 }, "no");
        let shown = problem.show("f.sql", &text);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[3].find('x'), lines[4].find('^'), "{shown}");
        assert!(lines[3].len() < 140);
    }
}
