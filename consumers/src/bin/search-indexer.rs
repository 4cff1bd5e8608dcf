//! The search-indexer, as it is deployed.
use std::process::ExitCode;

fn main() -> ExitCode {
    consumers::command_line::service(consumers::config::Service::Search)
}
