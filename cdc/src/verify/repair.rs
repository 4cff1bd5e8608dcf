//! `--repair`: rewrites what differs, and nothing else.
//!
//! Fenced: a DynamoDB item is written under the condition that it is the one that was looked at, a report under its
//! tag, a SQLite row in one transaction with the state that it is made of. A service that moves on meanwhile wins, and
//! the key is looked at again. What a partition's share is comes from that partition's own state, opened without
//! taking it over. Where the state itself says something else than the source, nothing is written: the next change
//! would bring it back. Rows that the log has and the source has not were removed before (`removals.rs`); what differs
//! otherwise needs a new snapshot, or a new generation.
mod dynamodb;

use super::{Options, Verified, outcome::Outcome};
use anyhow::{Context, bail};
use consumers::{
    config::{Config, Sink},
    service,
};
use sinks::{
    Cell, View,
    state::sqlite::{Find, show_anew},
};
use std::{
    io::{BufRead, IsTerminal, Write},
    path::Path,
};
use tokio::runtime::Runtime;

/// What came of it; the second look says what is exact now.
#[derive(Debug, Default)]
pub struct Done {
    pub repaired: usize,
    pub notes: Vec<String>,
}

/// Asks at the terminal. Without one nobody can say yes.
pub fn confirmed(found: &Verified) -> bool {
    let count: usize = found
        .outcome
        .iter()
        .flat_map(|outcome| &outcome.views)
        .map(|view| view.differences.len())
        .sum();
    let question = format!("Rewrite {count} rows of {}?", found.service.name());
    is_agreed(&question, "Not repaired", "repairs")
}

/// Asks at the terminal. Without one nobody can say yes: `refused` says what was not done, `does` what --yes does.
pub(super) fn is_agreed(question: &str, refused: &str, does: &str) -> bool {
    let input = std::io::stdin();
    if !input.is_terminal() {
        eprintln!("{refused}: without a terminal nobody can confirm; --yes {does} without asking.");
        return false;
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = input.lock().read_line(&mut answer).is_ok();
    read && matches!(answer.trim(), "y" | "Y" | "yes")
}

pub fn repair(
    config: &Config,
    options: &Options,
    io: &Runtime,
    found: &Verified,
) -> anyhow::Result<Done> {
    let outcome = found.outcome.as_ref().context("nothing was found")?;
    match &config.sink {
        Sink::Sqlite(file) => sqlite(config, file, outcome),
        _ if super::shows_reports(config) => reports(config, io, outcome),
        Sink::Dir(dir) => sqlite(config, &super::sink::sqlite::in_folder(dir), outcome),
        Sink::DynamoDb | Sink::Reports => dynamodb::repair(config, options, io, outcome),
    }
}

/// A key of the view, and no placeholder for one that does not read.
fn is_key(view: &View, key: &[Cell]) -> bool {
    key.len() == view.key.len()
}

fn sqlite(config: &Config, file: &Path, outcome: &Outcome) -> anyhow::Result<Done> {
    let views = service::views(config);
    let mut rows = Vec::new();
    for of_view in &outcome.views {
        let Some(view) = views.iter().find(|view| view.name == of_view.view) else { continue };
        let keys = of_view.differences.iter().filter(|d| is_key(view, &d.key));
        rows.extend(keys.map(|difference| (view, difference.key.clone())));
    }
    let handler = service::handler(config);
    let own = |view: &View, key: &[Cell], find: &mut Find<'_>| {
        let stored = find(&handler.owner_key(view.name, key)?)?;
        handler.own_part(view.name, key, &stored)
    };
    show_anew(file, config.service.name(), &rows, &own)?;
    let note = "made anew from the state in the same file; what still differs is wrong there too, and needs a new \
                GENERATION";
    Ok(Done { repaired: rows.len(), notes: vec![note.to_owned()] })
}

fn reports(config: &Config, io: &Runtime, outcome: &Outcome) -> anyhow::Result<Done> {
    let reports = super::open_reports(config, io)?;
    let mut done = Done::default();
    for view in outcome.views.iter().filter(|view| !view.is_exact()) {
        let there = io.block_on(reports.latest(&view.view))?;
        if io.block_on(reports.mend(&view.view, there.as_ref()))? {
            done.repaired += 1;
        } else {
            done.notes.push(format!("{}: published anew meanwhile, left as it is", view.view));
        }
    }
    if done.repaired == 0 && done.notes.is_empty() {
        bail!("no report to repair");
    }
    done.notes.push(
        "made anew from the parts that the services keep; what still differs is wrong there too, and needs a new \
         GENERATION"
            .to_owned(),
    );
    Ok(done)
}
