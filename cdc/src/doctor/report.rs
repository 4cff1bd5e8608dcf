//! What was looked at, what was found, and how to mend it.
use serde::Serialize;
use std::fmt::Write as _;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    /// A run works, and something about it deserves attention.
    Warning,
    /// A run fails, halts, or is wrong.
    Problem,
    /// Not looked at; `found` says why.
    Skipped,
}
impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Problem => "problem",
            Status::Skipped => "skipped",
        }
    }
}

/// One line. `fix`: a command or a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub area: &'static str,
    pub name: String,
    pub status: Status,
    pub found: String,
    pub fix: Option<String>,
}
impl Check {
    pub fn ok(area: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(area, name, Status::Ok, found)
    }
    pub fn skipped(area: &'static str, name: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(area, name, Status::Skipped, why)
    }
    pub fn warning(area: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(area, name, Status::Warning, found)
    }
    pub fn problem(area: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(area, name, Status::Problem, found)
    }
    #[must_use]
    pub fn fix(mut self, how: impl Into<String>) -> Self {
        self.fix = Some(how.into());
        self
    }

    fn new(
        area: &'static str,
        name: impl Into<String>,
        status: Status,
        found: impl Into<String>,
    ) -> Self {
        // A line is a line, whatever a server's error holds.
        let found = found.into().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { area, name: name.into(), status, found, fix: None }
    }
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub service: String,
    pub checks: Vec<Check>,
    pub problems: usize,
    pub warnings: usize,
}
impl Report {
    pub fn new(service: impl Into<String>, checks: Vec<Check>) -> Self {
        let count = |status| checks.iter().filter(|check| check.status == status).count();
        let (problems, warnings) = (count(Status::Problem), count(Status::Warning));
        Self { service: service.into(), checks, problems, warnings }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for Check { area, name, status, found, fix } in &self.checks {
            // Strings grow: this cannot fail.
            let _ = writeln!(text, "{:7}  {area}: {name}: {found}", status.word());
            if let Some(fix) = fix {
                let _ = writeln!(text, "         fix: {fix}");
            }
        }
        let counted = |n: usize, what: &str| match n {
            0 => format!("no {what}s"),
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let (problems, warnings) =
            (counted(self.problems, "problem"), counted(self.warnings, "warning"));
        let _ = writeln!(text, "{}: {problems}, {warnings}", self.service);
        text
    }

    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_a_fix_follows_it() {
        let checks = vec![
            Check::ok("kafka", "brokers", "3\n  brokers"),
            Check::problem("kafka", "topic x", "does not exist").fix("make it"),
            Check::skipped("connect", "connector", "no --connect-url"),
        ];
        let report = Report::new("search-indexer", checks);
        assert_eq!(
            report.text(),
            "ok       kafka: brokers: 3 brokers\n\
             problem  kafka: topic x: does not exist\n         fix: make it\n\
             skipped  connect: connector: no --connect-url\n\
             search-indexer: 1 problem, no warnings\n"
        );
        let json: serde_json::Value =
            serde_json::from_str(&report.json().expect("JSON")).expect("JSON");
        assert_eq!(json["problems"], 1);
        assert_eq!(json["checks"][1]["status"], "problem");
        assert_eq!(json["checks"][1]["fix"], "make it");
        assert_eq!(json["checks"][0]["fix"], serde_json::Value::Null);
    }
}
