//! The last words of a run: what became of it, what it could not process or did not find, and the command that shows
//! more.
use crate::{
    config::{Config, EXIT_INCOMPLETE, without_userinfo},
    engine::Counters,
    runtime::Exit,
    source::prefix::Missing,
};
use sinks::objects::Place;

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    pub exit: Exit,
    /// Read to its end, but the views do not show all of it.
    pub incomplete: bool,
}
impl Ended {
    pub fn code(&self) -> u8 {
        if self.incomplete { EXIT_INCOMPLETE } else { 0 }
    }
}

/// Writes the last lines. `missing`: topics that the files do not have although another prefix does.
pub(super) fn say(
    config: &Config,
    counters: &Counters,
    exit: Exit,
    missing: Option<&Missing>,
) -> Ended {
    match exit {
        Exit::Finished => tracing::info!("finished: everything is durable"),
        Exit::Drained => tracing::info!("stopped: everything begun is durable"),
        Exit::Abandoned => tracing::warn!(
            "stopped before everything begun was durable; nothing is lost, the next start reads it again"
        ),
    }
    let at_end = config.until_end && exit == Exit::Finished;
    let dead = letters(config, counters);
    if let Some(text) = &dead {
        match at_end && !config.allow_dead_letters {
            true => tracing::warn!(
                "{text} (exit code {EXIT_INCOMPLETE}; with ALLOW_DEAD_LETTERS=true it is 0)"
            ),
            false => tracing::warn!("{text}"),
        }
    }
    if let Some(missing) = missing {
        tracing::warn!("nothing was read of {missing}");
    }
    let incomplete = dead.is_some() && !config.allow_dead_letters || missing.is_some();
    Ended { exit, incomplete: at_end && incomplete }
}

/// How many dead letters this run made, and the command that lists them; `None`: none.
pub(super) fn letters(config: &Config, counters: &Counters) -> Option<String> {
    let new: u64 = counters.letters.values().sum();
    let again = counters.failed_again;
    let reasons: Vec<String> =
        counters.letters.iter().map(|(why, n)| format!("{why} {n}")).collect();
    let what = match (new, again) {
        (0, 0) => return None,
        (0, again) => format!("{again} replayed dead letters are dead again"),
        (new, 0) => format!("{new} records are dead letters ({})", reasons.join(", ")),
        (new, again) => format!(
            "{new} records are dead letters ({}), and {again} replayed ones are dead again",
            reasons.join(", ")
        ),
    };
    let command = command(config);
    Some(format!("{what}: the views lack what they ask for. To see why: {command}"))
}

/// As it can be pasted into a shell in the same folder.
fn command(config: &Config) -> String {
    let mut command = format!("cdc dlq list --dlq {}", quoted(&config.dlq.to_string()));
    // The command knows the names of services alone; without one it lists all letters that are there.
    if config.service.declared().is_none() {
        command.push_str(&format!(" --service {}", config.service.name()));
    }
    command.push_str(&format!(" --generation {}", config.generation));
    if let Place::S3 { .. } = config.dlq {
        command.push_str(&format!(" --aws-region {}", quoted(&config.aws.region)));
        if let Some(url) = &config.aws.s3_endpoint {
            let url = quoted(&without_userinfo(url));
            command.push_str(&format!(" --aws-endpoint-url {url}"));
        }
    }
    command
}

fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Service, arguments};

    fn config(args: &[&str]) -> Config {
        let command = arguments(clap::Command::new("test"), Some(Service::Inventory));
        let args = ["test", "--sink", "sqlite:x.db"].iter().chain(args);
        let matches = command.try_get_matches_from(args).expect("a command line");
        Config::new(Service::Inventory, &matches, &[]).expect("settings")
    }
    fn counters(invalid: u64, failed_again: u64) -> Counters {
        let letters = [("invalid", invalid)].into_iter().filter(|(_, n)| *n > 0).collect();
        Counters { letters, failed_again, ..Counters::default() }
    }

    #[test]
    fn the_command_lists_the_letters_of_this_run() {
        let here = config(&["--dlq", "dir:my letters", "--generation", "3"]);
        assert_eq!(
            command(&here),
            "cdc dlq list --dlq 'dir:my letters' --service inventory-service --generation 3"
        );
        let s3 = ["--dlq", "s3://bkt/dlq", "--aws-region", "eu-west-1"];
        let there = config(&[&s3[..], &["--aws-endpoint-url", "http://localhost:4566"]].concat());
        assert_eq!(
            command(&there),
            "cdc dlq list --dlq s3://bkt/dlq --service inventory-service --generation 1 --aws-region eu-west-1 \
             --aws-endpoint-url http://localhost:4566"
        );
    }

    #[test]
    fn letters_make_a_run_to_the_end_incomplete_unless_they_are_allowed() {
        let until_end = ["--dlq", "dir:d", "--until-end"];
        let allowed = [&until_end[..], &["--allow-dead-letters"]].concat();
        let code = |args: &[&str], counters: Counters, exit| {
            say(&config(args), &counters, exit, None).code()
        };
        assert_eq!(code(&until_end, counters(0, 0), Exit::Finished), 0);
        assert_eq!(code(&until_end, counters(1, 0), Exit::Finished), EXIT_INCOMPLETE);
        assert_eq!(code(&until_end, counters(0, 1), Exit::Finished), EXIT_INCOMPLETE);
        assert_eq!(code(&allowed, counters(1, 0), Exit::Finished), 0);
        // A service that is stopped has not ended.
        assert_eq!(code(&until_end, counters(1, 0), Exit::Drained), 0);
        assert_eq!(code(&["--dlq", "dir:d"], counters(1, 0), Exit::Drained), 0);
    }

    #[test]
    fn topics_under_another_prefix_are_not_allowed_by_allowing_letters() {
        let there = ["b.products"].into_iter().collect();
        let missing = crate::source::prefix::missing(&["a.products".to_owned()], &there);
        let allowed = config(&["--dlq", "dir:d", "--until-end", "--allow-dead-letters"]);
        let ended = say(&allowed, &Counters::default(), Exit::Finished, missing.as_ref());
        assert_eq!(ended.code(), EXIT_INCOMPLETE);
    }
}
