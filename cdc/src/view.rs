//! `cdc view`: what the file of a view in SQL comes to, or why it is refused; and what `cdc run FILE` runs.
mod answer;
mod declared;

use clap::{Arg, ArgMatches, Command};
use consumers::{config::EXIT_HALTED, declared::Declared};
use sql::{Catalogue, File, NormalForm, Problem};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

const FILE: &str = "file";
const TABLES: &str = "tables";

/// The argument that names a file of tables, for views that do not bring theirs along.
pub fn tables_argument() -> Arg {
    Arg::new(TABLES)
        .long("tables")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("The tables of a view's source, as create table statements; without it they stand in the view's file itself")
}

/// The view of this file, as a service that runs.
///
/// # Errors
/// What is wrong with the view, as people read it.
pub fn declared(path: &Path, matches: &ArgMatches) -> Result<&'static Declared, String> {
    let (name, text) = read_file(path)?;
    let view = View::read(&name, &text, matches)?;
    let shown = |problem: Problem| problem.show(&name, &text);
    let compiled = view.form.compile(&view.file.view, &view.catalogue).map_err(shown)?;
    declared::declared(&view.file, &view.catalogue, &view.form, compiled).map_err(shown)
}

pub fn command() -> Command {
    let file = Arg::new(FILE)
        .required(true)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(
            "The file of one view: create materialized view NAME with (sink = '...') as select ...",
        );
    let check = Command::new("check")
        .about("Says what a view in SQL comes to, or where and why it is refused")
        .arg(file)
        .arg(tables_argument())
        .after_help(
            "Prints the view's row, its owner's part, and what each table adds to it. Exit code 0; 1: the view is refused, \
             with the line, the reason and a way on. `cdc run FILE` runs the view.\n\n\
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
    let path = matches.get_one::<PathBuf>(FILE).ok_or("no file")?;
    let (name, text) = read_file(path)?;
    let View { file, catalogue, form } = View::read(&name, &text, matches)?;
    Ok(form.explain(&file.view.name, &catalogue))
}

/// A view that was checked.
struct View {
    file: File,
    catalogue: Catalogue,
    form: NormalForm,
}
impl View {
    /// Reads the view in this text of a file, with the tables that the command line names. `Err`: what is wrong, as people
    /// read it.
    fn read(name: &str, text: &str, matches: &ArgMatches) -> Result<Self, String> {
        let shown = |problem: Problem| problem.show(name, text);
        let file = File::parse(text).map_err(shown)?;
        let catalogue = match matches.get_one::<PathBuf>(TABLES) {
            Some(path) => {
                let (name, text) = read_file(path)?;
                Catalogue::parse(&text).map_err(|problem| problem.show(&name, &text))?
            }
            None => file.tables.clone(),
        };
        let bound = file.bind(&catalogue).map_err(shown)?;
        let form = NormalForm::of(&bound, &catalogue).map_err(shown)?;
        Ok(Self { file, catalogue, form })
    }
}

/// The name of a file as people wrote it, and its text.
fn read_file(path: &Path) -> Result<(String, String), String> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok((name, text)),
        Err(why) => Err(format!("{name}: {why}")),
    }
}
