//! The rows that a program ended with, one JSON array a line: `["VIEW", KEY, {COLUMN: VALUE, ..}]`, which
//! `bench/compare.py` holds against PostgreSQL's.
use anyhow::Context as _;
use serde::Serialize;
use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

pub struct Answers(BufWriter<File>);

impl Answers {
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self(BufWriter::new(file)))
    }

    /// # Errors
    /// The file cannot be written.
    pub fn row(
        &mut self,
        view: &str,
        key: impl Serialize,
        columns: impl Serialize,
    ) -> anyhow::Result<()> {
        serde_json::to_writer(&mut self.0, &(view, key, columns))?;
        self.0.write_all(b"\n")?;
        Ok(())
    }

    /// # Errors
    /// The file cannot be written.
    pub fn close(mut self) -> anyhow::Result<()> {
        Ok(self.0.flush()?)
    }
}

/// An amount in hundredths, as text.
pub fn amount(cents: impl Into<i128>) -> String {
    let cents = cents.into();
    let sign = if cents < 0 { "-" } else { "" };
    let cents = cents.unsigned_abs();
    format!("{sign}{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_two_digits_behind_the_point() {
        let texts = [0_i64, 5, -5, 1_990, -1_990].map(amount);
        assert_eq!(texts, ["0.00", "0.05", "-0.05", "19.90", "-19.90"]);
    }
}
