//! `cdc`: every service, and what helps to run them.
use std::process::ExitCode;

fn main() -> ExitCode {
    cdc::command_line::cdc()
}
