//! What an operator vouches for: source tables and key columns that the service would halt at.
use super::reading::Check;
use crate::{engine::Exceptions, source_table::SourceTable};

impl Check {
    /// `tables`: those that the service reads.
    pub fn exceptions(&mut self, tables: &[SourceTable]) -> Exceptions {
        let tables: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        Exceptions {
            source_tables: self.pairs("source-tables", '=', &tables),
            key_columns: self.pairs("key-columns", '.', &tables),
        }
    }

    /// `TABLE=NAME,..` or `TABLE.NAME,..`.
    fn pairs(&mut self, name: &str, between: char, tables: &[&str]) -> Vec<(String, String)> {
        let text = self.text(name).unwrap_or_default();
        let mut pairs = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match entry.split_once(between) {
                Some((table, what))
                    if tables.contains(&table.trim()) && !what.trim().is_empty() =>
                {
                    pairs.push((table.trim().to_owned(), what.trim().to_owned()));
                }
                Some((table, what)) if !what.trim().is_empty() => {
                    let why = format!(
                        "`{}` is no table of this service: {}.",
                        table.trim(),
                        tables.join(", ")
                    );
                    self.wrong(name, &why);
                }
                _ => {
                    let form = if between == '=' { "TABLE=SCHEMA.NAME" } else { "TABLE.COLUMN" };
                    self.wrong(name, &format!("`{entry}` is not {form}."));
                }
            }
        }
        pairs
    }
}
