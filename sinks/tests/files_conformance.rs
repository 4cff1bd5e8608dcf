//! The suite of whatever shows views, for the folder of files: put together as the services do, and over a folder
//! that fails now and then.
mod shown;

use sinks::{
    View,
    conformance::{Backend, Rows, Shop, Supports, views},
    files::{self, Files},
    objects::Dir,
    reports::Settings,
    state::sqlite::Sqlite,
};
use std::{fs, path::Path, sync::Arc};

/// The view's file as rows; none before the first.
fn file(folder: &Path, view: &View) -> Rows {
    let Ok(text) = fs::read_to_string(folder.join(format!("{}.ndjson", view.name))) else {
        return Rows::new();
    };
    let lines = || text.lines().map(|line| shown::row(view, &serde_json::from_str(line).unwrap()));
    assert!(lines().is_sorted_by(|a, b| a.0 < b.0), "{}: each key once, in order", view.name);
    lines().collect()
}

fn supports(seeds: u64) -> Supports {
    Supports { totals: false, seeds, ..Supports::default() }
}

#[tokio::test]
async fn files_keep_every_promise() {
    const TEXT_BYTES_MAX: usize = 16 << 20;
    let root = tempfile::tempdir().unwrap();
    let text_bytes = Some((TEXT_BYTES_MAX, TEXT_BYTES_MAX + 1));
    let supports = Supports { text_bytes, ..supports(2) };
    let make = async |name: &str| {
        let folder = root.path().join(name);
        let opened = files::open(&folder, 1, "shop", Shop::views(&supports), Settings::default())
            .await
            .unwrap();
        Backend { sink: Some(opened.sink), state: opened.state }
    };
    let read = async |name: &str, view: &View| file(&root.path().join(name), view);
    views(supports.clone(), make, read).await;
}

#[tokio::test]
async fn files_in_a_failing_folder_keep_every_promise() {
    let root = tempfile::tempdir().unwrap();
    let supports = supports(1);
    let make = async |name: &str| {
        let folder = root.path().join(name);
        let dir = shown::Flaky::new(Dir::open(&folder).await.unwrap(), 5);
        let views = Shop::views(&supports);
        let state = Sqlite::open(folder.join(".state.db"), 1, "shop", views.clone()).unwrap();
        let files = Files::new(Arc::new(dir), views, Arc::new(state.clone()));
        Backend { sink: Some(Arc::new(files)), state: Arc::new(state) }
    };
    let read = async |name: &str, view: &View| file(&root.path().join(name), view);
    views(supports.clone(), make, read).await;
}
