//! State and views in one SQLite file.
use sinks::{State, conformance, state::sqlite::Sqlite};
use std::sync::Arc;

#[tokio::test]
async fn keeps_the_promises_of_a_state() {
    let dir = tempfile::tempdir().unwrap();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(Sqlite::open(dir.path().join(name), 1, "inventory", vec![]).unwrap()) as _
    })
    .await;
}
