//! Reads settings one by one and collects what is wrong with them.
use super::{Givens, Origin, settings::TABLE, without_userinfo};
use std::{fmt, str::FromStr};

/// Reads settings one by one and collects what is wrong with them.
pub struct Check {
    pub given: Givens,
    pub problems: Vec<String>,
}

impl Check {
    /// The value, if there is one.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.given.get(name).and_then(|g| g.value.clone())
    }

    /// Notes a problem of a setting: its names, its value and where that came from, and why it cannot be used.
    pub(super) fn wrong(&mut self, name: &str, why: &str) {
        let env = TABLE.env_of(name);
        let origin = self.given.get(name).map_or(Origin::Default, |g| g.origin);
        let value = match self.text(name) {
            Some(value) => format!("`{}` (from the {origin})", without_userinfo(&value)),
            None => "not given".to_owned(),
        };
        self.problems.push(format!("--{name} or {env}: {value}: {why}"));
    }

    /// The value as a `T`; `form` says how it has to be written.
    pub(super) fn parse<T: FromStr>(&mut self, name: &str, form: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        let text = self.text(name)?;
        text.parse().inspect_err(|why| self.wrong(name, &format!("{why}. {form}"))).ok()
    }

    /// The value as a whole number within these bounds; `_` between digits is allowed.
    pub(super) fn number(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.replace('_', "").parse().ok().filter(|n| (min..=max).contains(n));
        if number.is_none() {
            self.wrong(name, &format!("give a whole number from {min} to {max}."));
        }
        number
    }

    /// What the chosen word stands for.
    pub(super) fn one_of<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(choice, _)| *choice == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            self.wrong(name, &format!("give one of: {}.", names.join(", ")));
        }
        found
    }
}
