//! State as SlateDB, in a folder and on S3.
use sinks::{State, conformance, state::slatedb::SlateDb};
use std::sync::Arc;

#[tokio::test]
async fn keeps_the_promises_of_a_state_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(SlateDb::folder(dir.path().join(name), 1, "inventory").unwrap()) as _
    })
    .await;
}
