//! `cdc`: every service, and what helps to run them.
use std::process::ExitCode;

fn main() -> ExitCode {
    consumers::command_line::cdc()
}
