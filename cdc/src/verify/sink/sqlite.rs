//! Views in a SQLite file, also that of a folder: one position for all of them, so one pass is exact.
use super::super::{
    compare::merge,
    outcome::{Outcome, ViewOutcome},
    session::Session,
    sorted::Row,
};
use anyhow::Context;
use sinks::{SinkError, View, state::sqlite::FileReader};
use std::{
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

/// Rows between the reader's thread and the comparison.
const AHEAD: usize = 256;

pub fn verify(session: &mut Session<'_>, file: &Path, views: &[View]) -> anyhow::Result<Outcome> {
    let advice = "Wait longer with --wait-seconds, or start the service.";
    session.wait_for_service(
        || {
            if !file.exists() {
                return Ok(Default::default());
            }
            Ok(open(session, file)?.positions()?)
        },
        advice,
    )?;
    let look = open(session, file)?;
    let position = look.positions()?;
    session.extend(&position)?;
    let mut outcome = Outcome { position, views: Vec::new(), notes: Vec::new() };
    let mut look = Some(look);
    for view in views {
        let mut of_view = ViewOutcome::new(view.name);
        let columns: Vec<&str> = view.columns.iter().map(|column| column.name).collect();
        let want = session.expected(view, &outcome.position)?;
        let taken = look.take().context("one reader of the file")?;
        let compared = thread::scope(|scope| {
            let (to, from) = mpsc::sync_channel::<Result<Row, SinkError>>(AHEAD);
            let reader = scope.spawn(move || {
                let read = taken.rows(view, |key, row| to.send(Ok((key, row))).is_ok());
                if let Err(e) = read {
                    let _ = to.send(Err(e));
                }
                taken
            });
            let have = from.into_iter().map(|row| Ok(row?));
            let compared = merge(want, have, |pair| {
                of_view.take(pair, &columns);
                Ok(())
            });
            (compared, reader.join().ok())
        });
        compared.0?;
        look = compared.1;
        outcome.views.push(of_view);
    }
    Ok(outcome)
}

fn open(session: &Session<'_>, file: &Path) -> Result<FileReader, SinkError> {
    FileReader::open(file, session.config.generation, session.config.service.name())
}

/// Of a folder with files of rows.
pub fn in_folder(dir: &Path) -> PathBuf {
    dir.join(".state.db")
}
