//! `cdc view`: what the file of a view in SQL comes to, or why it is refused. Nothing runs such a file yet: services are
//! plans in Rust.
use clap::{Arg, ArgMatches, Command};
use consumers::config::EXIT_HALTED;
use sql::{Catalogue, File, NormalForm, Problem};
use std::{path::PathBuf, process::ExitCode};

const FILE: &str = "file";
const TABLES: &str = "tables";

pub fn command() -> Command {
    let file = Arg::new(FILE)
        .required(true)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(
            "The file of one view: create materialized view NAME with (sink = '...') as select ...",
        );
    let tables = Arg::new(TABLES)
        .long("tables")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The tables of the source, as create table statements; without it they stand in FILE itself");
    let check = Command::new("check")
        .about("Says what a view in SQL comes to, or where and why it is refused")
        .arg(file)
        .arg(tables)
        .after_help(
            "Prints the view's row, its owner's part, and what each table adds to it. Exit code 0; 1: the view is refused, \
             with the line, the reason and a way on. No service runs such a file yet.\n\n\
             Examples:\n  cdc view check sql/examples/inventory.sql\n  cdc view check view.sql --tables tables.sql",
        );
    Command::new("view")
        .about("Views in SQL: what they come to")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(check)
}

pub fn run(matches: &ArgMatches) -> ExitCode {
    let Some(("check", matches)) = matches.subcommand() else { return ExitCode::from(EXIT_HALTED) };
    match check(matches) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{}", why.trim_end());
            ExitCode::from(EXIT_HALTED)
        }
    }
}

/// What the view comes to; `Err`: what is wrong, as people read it.
fn check(matches: &ArgMatches) -> Result<String, String> {
    let (name, text) = read(matches, FILE)?.ok_or("no file")?;
    let shown = |problem: Problem| problem.show(&name, &text);
    let file = File::parse(&text).map_err(shown)?;
    let catalogue = match read(matches, TABLES)? {
        Some((name, text)) => {
            Catalogue::parse(&text).map_err(|problem| problem.show(&name, &text))?
        }
        None => file.tables.clone(),
    };
    let bound = file.bind(&catalogue).map_err(shown)?;
    let form = NormalForm::of(&bound, &catalogue).map_err(shown)?;
    Ok(form.explain(&file.view.name, &catalogue))
}

/// The name of a file that an argument names, and its text.
fn read(matches: &ArgMatches, argument: &str) -> Result<Option<(String, String)>, String> {
    let Some(path) = matches.get_one::<PathBuf>(argument) else { return Ok(None) };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((name, text))),
        Err(why) => Err(format!("{name}: {why}")),
    }
}
