//! The settings of a binary as one table: flag, environment variable, default, help. The command line, the listing of
//! all values and the messages about wrong ones are made from it.
//!
//! A flag wins over the environment, the environment over the default; an empty value counts as none.
mod show;

pub use show::{columns, is_secret, without_userinfo};

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource};
use std::{collections::BTreeMap, fmt};

/// A setting. `S` says which of several services that share a table is meant; `()` where there is one.
pub struct Setting<S: 'static> {
    /// The flag is `--` and this.
    pub name: &'static str,
    pub env: &'static str,
    pub default: Preset<S>,
    /// What the help calls the value.
    pub value: &'static str,
    /// The group that the help shows it in.
    pub heading: &'static str,
    pub help: &'static str,
    /// The services that have it.
    pub services: &'static [S],
}

/// The value of a setting that nobody gave.
pub enum Preset<S> {
    /// The help says what happens without it.
    None,
    Is(&'static str),
    /// It depends on the service.
    Of(fn(S) -> String),
    /// The setting is on or off, and off by default.
    Off,
    /// None; the flag may be given several times. What the environment says is gathered by whoever owns the setting.
    Repeated,
}

impl<S: Copy> Setting<S> {
    /// The value that counts when nobody gave one.
    pub fn default(&self, service: S) -> Option<String> {
        match self.default {
            Preset::None | Preset::Repeated => None,
            Preset::Is(text) => Some(text.to_owned()),
            Preset::Of(text) => Some(text(service)),
            Preset::Off => Some("false".to_owned()),
        }
    }

    fn arg(&self, service: Option<S>, see: &str) -> Arg {
        let default = match (&self.default, service) {
            (Preset::None | Preset::Off | Preset::Repeated, _) => String::new(),
            (Preset::Is(text), _) => format!(" [default: {text}]"),
            (Preset::Of(text), Some(service)) => format!(" [default: {}]", text(service)),
            (Preset::Of(_), None) => format!(" [default: see {see}]"),
        };
        let arg = Arg::new(self.name)
            .long(self.name)
            .env(self.env)
            .hide_env_values(true)
            .help_heading(self.heading)
            .help(format!("{}{default}", self.help));
        match self.default {
            Preset::Off => arg
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true"),
            Preset::Repeated => arg.value_name(self.value).env(None).action(ArgAction::Append),
            _ => arg.value_name(self.value),
        }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Flag,
    Environment,
    /// It follows from another setting, which is shown by this name.
    Other(&'static str),
    Default,
}
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::Other(name) => name,
            Origin::Default => "default",
        })
    }
}

/// What a setting came to, unchecked.
#[derive(Debug, Clone)]
pub struct Given {
    /// Without spaces around it; never empty.
    pub value: Option<String>,
    pub origin: Origin,
}

/// What all settings came to, by their names.
pub type Givens = BTreeMap<&'static str, Given>;

/// All settings of a binary.
pub struct Table<S: 'static> {
    pub settings: &'static [Setting<S>],
    /// The service as [`Setting::services`] lists it: services that come and go at run time are listed as one.
    pub as_listed: fn(S) -> S,
    /// The command that shows every value, as messages quote it: "`cdc config SERVICE`".
    pub see: &'static str,
}

impl<S: Copy + PartialEq> Table<S> {
    fn has(&self, setting: &Setting<S>, service: S) -> bool {
        setting.services.contains(&(self.as_listed)(service))
    }

    /// Adds the settings to a command; with a service, those that it has.
    pub fn arguments(&self, command: Command, service: Option<S>) -> Command {
        let wanted = |s: &&Setting<S>| service.is_none_or(|service| self.has(s, service));
        let wanted = self.settings.iter().filter(wanted);
        wanted.fold(command, |command, setting| command.arg(setting.arg(service, self.see)))
    }

    /// Adds only the settings of these names: for commands that need little.
    pub fn some(&self, command: Command, names: &[&str]) -> Command {
        let wanted = self.settings.iter().filter(|setting| names.contains(&setting.name));
        wanted.fold(command, |command, setting| command.arg(setting.arg(None, self.see)))
    }

    /// What each setting came to, but for repeated ones. A command need not have all of them.
    pub fn given(&self, matches: &ArgMatches, service: S) -> Givens {
        let one = |setting: &Setting<S>| {
            let ours = self.has(setting, service);
            let known = ours && matches.try_contains_id(setting.name).unwrap_or(false);
            let value = known.then(|| matches.get_one::<String>(setting.name)).flatten();
            let value = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
            // clap panics when it is asked for what the command does not have.
            let source = value.is_some().then(|| matches.value_source(setting.name)).flatten();
            let origin = match source {
                Some(ValueSource::CommandLine) => Origin::Flag,
                Some(ValueSource::EnvVariable) => Origin::Environment,
                _ => Origin::Default,
            };
            let value = value.or_else(|| setting.default(service).filter(|v| !v.is_empty()));
            (setting.name, Given { value, origin })
        };
        let single = self.settings.iter().filter(|s| !matches!(s.default, Preset::Repeated));
        single.map(one).collect()
    }

    /// Flags that were given although this service has no such setting.
    pub fn pointless(&self, matches: &ArgMatches, service: S) -> Vec<&'static str> {
        let other = self.settings.iter().filter(|s| !self.has(s, service));
        let is_given = |s: &&Setting<S>| {
            matches.try_contains_id(s.name).unwrap_or(false)
                && matches.value_source(s.name) == Some(ValueSource::CommandLine)
        };
        other.filter(is_given).map(|s| s.name).collect()
    }

    /// The name of the environment variable of a setting, or nothing if there is no such setting.
    pub fn env_of(&self, name: &str) -> &'static str {
        self.settings.iter().find(|s| s.name == name).map_or("", |s| s.env)
    }

    /// The variable of this table that an environment variable is nearly, but not quite, called.
    pub fn nearly(&self, name: &str) -> Option<&'static str> {
        let mut known = self.settings.iter().map(|s| s.env);
        if known.clone().any(|k| k == name) {
            return None;
        }
        // Short names are near to too many others.
        known.find(|k| k.len() >= 8 && distance(name, k) <= 2)
    }

    /// The settings of this service, each with the value it came to and where that is from.
    pub fn rows(&self, given: &Givens, service: S) -> Vec<[String; 3]> {
        let ours = self.settings.iter().filter(|s| self.has(s, service));
        let rows = ours.filter_map(|setting| {
            let Given { value, origin } = given.get(setting.name)?;
            let value = value.as_deref().map_or("-".to_owned(), without_userinfo);
            Some([setting.env.to_owned(), value, origin.to_string()])
        });
        rows.collect()
    }
}

/// The environment's variables; those that are not UTF-8 are none of ours.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect()
}

/// Everything that is wrong with the settings of a run, a sentence each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    pub texts: Vec<String>,
    /// As [`Table::see`].
    pub see: &'static str,
}
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.texts.len() {
            1 => writeln!(f, "A setting is wrong:")?,
            n => writeln!(f, "{n} settings are wrong:")?,
        }
        self.texts.iter().try_for_each(|text| writeln!(f, "  - {text}"))?;
        write!(f, "{} shows every setting, its value and where it came from.", self.see)
    }
}
impl std::error::Error for Problems {}

/// How many letters to change, add or take away to make one text the other. Texts whose lengths differ by more than two
/// are infinitely far from each other.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > 2 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let best = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Shape {
        Round,
        Square,
    }
    const BOTH: &[Shape] = &[Shape::Round, Shape::Square];

    const fn setting(
        name: &'static str,
        env: &'static str,
        default: Preset<Shape>,
        services: &'static [Shape],
    ) -> Setting<Shape> {
        Setting { name, env, default, value: "X", heading: "All", help: "Help", services }
    }
    static TABLE: Table<Shape> = Table {
        settings: &[
            setting("colour", "TEST_COLOUR", Preset::Is("red"), BOTH),
            setting("size", "TEST_SIZE", Preset::Of(|s| format!("{s:?}")), BOTH),
            setting("edges", "TEST_EDGES", Preset::None, &[Shape::Square]),
            setting("wobbly", "TEST_WOBBLY", Preset::Off, BOTH),
            setting("dot", "TEST_DOT_*", Preset::Repeated, BOTH),
        ],
        as_listed: |shape| shape,
        see: "`shapes show`",
    };

    fn matches(args: &[&str]) -> ArgMatches {
        let command = TABLE.arguments(Command::new("test"), None);
        command.get_matches_from([&["test"], args].concat())
    }

    #[test]
    fn flags_win_and_empty_values_are_none() {
        let given = TABLE.given(&matches(&["--colour=", "--size= 7 ", "--wobbly"]), Shape::Round);
        let shown = |name: &str| (given[name].value.as_deref(), given[name].origin);
        assert_eq!(shown("colour"), (Some("red"), Origin::Default));
        assert_eq!(shown("size"), (Some("7"), Origin::Flag));
        assert_eq!(shown("wobbly"), (Some("true"), Origin::Flag));
        assert!(!given.contains_key("dot"), "whoever owns it gathers it");
        let given = TABLE.given(&matches(&[]), Shape::Square);
        assert_eq!(given["size"].value.as_deref(), Some("Square"));
        assert_eq!(given["edges"].value, None);
    }

    #[test]
    fn settings_of_another_service_and_misspelt_variables_are_noticed() {
        let given = matches(&["--edges=4"]);
        assert_eq!(TABLE.pointless(&given, Shape::Round), ["edges"]);
        assert!(TABLE.pointless(&given, Shape::Square).is_empty());
        assert_eq!(TABLE.nearly("TEST_COLOR"), Some("TEST_COLOUR"));
        assert_eq!(TABLE.nearly("TEST_COLOUR"), None, "it is that one");
        assert_eq!(TABLE.nearly("UNRELATED"), None);
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let problems = |n: usize| {
            let texts = (1..=n).map(|i| format!("problem {i}.")).collect();
            Problems { texts, see: TABLE.see }.to_string()
        };
        assert!(
            problems(1).starts_with("A setting is wrong:\n  - problem 1.\n`shapes show` shows")
        );
        assert!(problems(2).starts_with("2 settings are wrong:\n  - problem 1.\n  - problem 2.\n"));
    }
}
