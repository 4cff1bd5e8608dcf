//! Stands for the subcommands that ask the source, in a build without the feature `postgres`: each is there, and says why it
//! cannot be carried out.
use clap::{Arg, Command};
use consumers::config::EXIT_CONFIG;
use std::process::ExitCode;

macro_rules! absent {
    ($($name:ident)*) => { $(
        pub mod $name {
            pub fn command() -> clap::Command {
                super::command(stringify!($name))
            }
            pub fn run(_: &clap::ArgMatches) -> std::process::ExitCode {
                super::run(stringify!($name))
            }
        }
    )* };
}
absent!(doctor shop verify);

/// Takes any arguments.
fn command(name: &'static str) -> Command {
    let any = Arg::new("any").num_args(0..).allow_hyphen_values(true).trailing_var_arg(true);
    Command::new(name).about("Not in this build").arg(any.hide(true)).disable_help_flag(true)
}

fn run(name: &str) -> ExitCode {
    eprintln!(
        "cdc {name}: this build has no PostgreSQL: build it without --no-default-features, or with --features postgres"
    );
    ExitCode::from(EXIT_CONFIG)
}
