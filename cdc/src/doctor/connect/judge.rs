//! One connector's configuration, and what is said of it.
use super::AREA;
use crate::doctor::report::Check;
use consumers::source_table::SourceTable;
use serde_json::Value;

/// One connector, and what is said of it.
pub(super) struct Judge<'a> {
    label: String,
    config: &'a Value,
    tables: &'a [SourceTable],
    said: Vec<Check>,
}
impl<'a> Judge<'a> {
    /// `tables`: those that this connector captures, as far as they are read.
    pub(super) fn new(name: &str, config: &'a Value, tables: &'a [SourceTable]) -> Self {
        Self { label: format!("connector {name}"), config, tables, said: Vec::new() }
    }
    pub(super) fn given(&self, key: &str) -> Option<&'a str> {
        self.config[key].as_str()
    }
    pub(super) fn or<'d>(&self, key: &str, default: &'d str) -> &'d str
    where
        'a: 'd,
    {
        self.given(key).unwrap_or(default)
    }
    /// What stands between commas.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let entries = self.or(key, "").split(',').map(str::trim);
        entries.filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
    }
    pub(super) fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.config.as_object().into_iter().flat_map(|config| config.keys().map(String::as_str))
    }
    pub(super) fn tables(&self) -> &'a [SourceTable] {
        self.tables
    }
    pub(super) fn problem(&mut self, found: impl Into<String>, fix: impl Into<String>) {
        self.said.push(Check::problem(AREA, &self.label, found).fix(fix));
    }
    pub(super) fn warning(&mut self, found: impl Into<String>, fix: impl Into<String>) {
        self.said.push(Check::warning(AREA, &self.label, found).fix(fix));
    }
    pub(super) fn ok(&mut self, found: impl Into<String>) {
        self.said.push(Check::ok(AREA, &self.label, found));
    }
    /// All that was said.
    pub(super) fn said(self) -> Vec<Check> {
        self.said
    }
}
