//! Removes letters that were listed first, and no others.
use super::{Stop, filter, filter::Filter, flag, json, letters::Letters, place, table};
use clap::{Arg, ArgMatches, Command};
use consumers::config;
use sinks::dlq::{ReplayStatus, mark_name, read_mark};
use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
};

pub fn command() -> Command {
    let command = Command::new("purge")
        .about("Removes letters, after a confirmation")
        .after_help(
            "Letters that are `new` are only removed with --include-new, and letters that are `sent` never: \
             `cdc dlq replay` finds out what became of them. Once a letter is gone, so is the only copy of its \
             record, unless Kafka still holds it.\n\n\
             Examples:\n  \
             cdc dlq purge --dlq dir:dlq --state applied --dry-run\n  \
             cdc dlq purge --dlq s3://my-bucket/dlq --service search --older-than 30d --yes",
        );
    let older = Arg::new("older-than").long("older-than").value_name("AGE");
    filter::arguments(config::some(command, &super::PLACE))
        .arg(filter::state())
        .arg(older.help("Written longer ago than this: 12h, 30d"))
        .arg(flag("include-new", "Also those that were never replayed"))
        .arg(flag("dry-run", "Only says which"))
        .arg(flag("yes", "Does not ask"))
        .arg(json())
}

pub async fn run(matches: &ArgMatches) -> Result<ExitCode, Stop> {
    let mut filter = Filter::read(matches)?;
    if let Some(text) = matches.get_one::<String>("older-than") {
        let age = filter::age(text).map_err(|why| Stop::Wrong(format!("--older-than: {why}")))?;
        let before = chrono::Utc::now() - age;
        filter.until = Some(filter.until.map_or(before, |until| until.min(before)));
    }
    let (dry, yes) = (matches.get_flag("dry-run"), matches.get_flag("yes"));
    if !dry && !yes && !std::io::stdin().is_terminal() {
        let why = "this removes letters for good: say --yes, or --dry-run to see which";
        return Err(Stop::Wrong(why.to_owned()));
    }
    let mut letters = Letters::find(place(matches).await?, filter).await?;
    let mut table = table::Table::new(matches.get_flag("json"), table::Kind::Deeds);
    // Names and states only, of those that go.
    let mut listed: Vec<(String, Option<ReplayStatus>)> = vec![];
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    while let Some(item) = letters.next().await? {
        let state = item.mark.as_ref().map(|mark| mark.state);
        let keep = match state {
            None if !matches.get_flag("include-new") => "it is new: say --include-new",
            Some(ReplayStatus::Sent) => "it is sent: `cdc dlq replay` finds out what became of it",
            _ => "",
        };
        if !keep.is_empty() {
            table.deed("kept", &item, keep, None);
            continue;
        }
        table.deed(if dry { "would remove" } else { "to remove" }, &item, "", None);
        *counts.entry(item.state()).or_default() += 1;
        listed.push((item.name, state));
    }
    table.finish(false, letters.odd());
    if dry || listed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !yes && !confirmed(listed.len(), &counts)? {
        eprintln!("nothing was removed");
        return Ok(ExitCode::SUCCESS);
    }
    let objects = &*letters.objects;
    let mut removed = 0;
    for (name, state) in &listed {
        // Replayed since it was listed: another letter than the one that was listed.
        if read_mark(objects, name).await?.map(|mark| mark.state) != *state {
            eprintln!("kept: {name} has changed since it was listed");
            continue;
        }
        // The letter first: a mark alone says nothing, a letter without its mark would be new.
        objects.delete(name).await?;
        objects.delete(&mark_name(name)).await?;
        removed += 1;
    }
    eprintln!("{removed} removed");
    Ok(ExitCode::SUCCESS)
}

fn confirmed(count: usize, counts: &BTreeMap<&str, u64>) -> Result<bool, Stop> {
    let states: Vec<String> = counts.iter().map(|(state, n)| format!("{n} {state}")).collect();
    eprint!("Remove {count} letters ({})? Type yes: ", states.join(", "));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
