//! The suite of whatever shows views, for the reports beside a state in memory: in a folder, in a folder that fails
//! now and then, and in S3 where `TEST_S3_ENDPOINT` names one.
mod place;
mod shown;

use sinks::{
    View,
    conformance::{Backend, Rows, Shop, Supports, views},
    objects::{Dir, Objects, S3},
    reports::{Reports, Settings, Top},
    state::memory::Memory,
};
use std::{collections::HashMap, sync::Arc, time::SystemTime};
use tokio::sync::Mutex;

/// The latest report as rows; none before the first.
async fn latest(objects: &dyn Objects, view: &View) -> Rows {
    let name = format!("reports/{}/latest.json", view.name);
    let Some(object) = objects.get(&name).await.unwrap() else { return Rows::new() };
    let report: serde_json::Value = serde_json::from_slice(&object.bytes).unwrap();
    let rows = report["rows"].as_array().unwrap();
    let shown: Rows = rows.iter().map(|row| shown::row(view, row)).collect();
    assert_eq!(shown.len(), rows.len(), "{name} shows a key once");
    shown
}

/// `open` gives a handle on the objects of that name, as another process would have; `see` one that never fails.
async fn keeps_every_promise(
    seeds: u64,
    open: impl AsyncFn(&str) -> Arc<dyn Objects>,
    see: impl AsyncFn(&str) -> Arc<dyn Objects>,
) {
    let supports = Supports { stock: false, rows: false, seeds, ..Supports::default() };
    let states: Mutex<HashMap<String, Memory>> = Mutex::default();
    let top = Top { view: Shop::DAILY, by: "revenue", rows: 1_000 };
    let settings = Settings { tops: vec![top], summary: vec![] };
    let make = async |name: &str| {
        let views = Shop::views(&supports);
        let reports = Reports::new(open(name).await, views, settings.clone(), 1);
        let mut states = states.lock().await;
        let state = states.entry(name.to_owned()).or_insert_with(|| Memory::new(vec![]));
        Backend { sink: Some(Arc::new(reports)), state: Arc::new(state.clone()) }
    };
    let read = async |name: &str, view: &View| latest(&*see(name).await, view).await;
    views(supports.clone(), make, read).await;
}

#[tokio::test]
async fn reports_in_a_folder_keep_every_promise() {
    let root = tempfile::tempdir().unwrap();
    let open = async |name: &str| -> Arc<dyn Objects> {
        Arc::new(Dir::open(root.path().join(name)).await.unwrap()) as _
    };
    keeps_every_promise(3, open, open).await;
}

#[tokio::test]
async fn reports_in_a_failing_folder_keep_every_promise() {
    let root = tempfile::tempdir().unwrap();
    let see = async |name: &str| -> Arc<dyn Objects> {
        Arc::new(Dir::open(root.path().join(name)).await.unwrap()) as _
    };
    let open = async |name: &str| -> Arc<dyn Objects> {
        let dir = Dir::open(root.path().join(name)).await.unwrap();
        Arc::new(shown::Flaky::new(dir, 5)) as _
    };
    keeps_every_promise(2, open, see).await;
}

#[tokio::test]
async fn reports_in_s3_keep_every_promise() {
    let Ok(url) = std::env::var("TEST_S3_ENDPOINT") else {
        std::io::Write::write_all(
            &mut std::io::stderr(),
            b"left out: the views suite for reports in S3 needs TEST_S3_ENDPOINT\n",
        )
        .expect("stderr");
        return;
    };
    let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let bucket = format!("reports-{}-{nanos}", std::process::id());
    let made = place::s3_client(&url).await.create_bucket().bucket(&bucket).send().await;
    made.expect("a bucket, with the credentials that `scripts/aws.sh env` prints");
    let open = async |name: &str| -> Arc<dyn Objects> {
        let prefix = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Arc::new(S3::open(&bucket, &prefix, &place::endpoint(&url)).await) as _
    };
    keeps_every_promise(1, open, open).await;
}
