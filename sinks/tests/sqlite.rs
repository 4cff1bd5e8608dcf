//! State and views in one SQLite file.
use sinks::{
    State,
    conformance::{self, Backend, Shop, Supports},
    state::sqlite::{Settings, Sqlite},
};
use std::sync::Arc;

#[tokio::test]
async fn keeps_the_promises_of_a_state() {
    let dir = tempfile::tempdir().unwrap();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(Sqlite::open(dir.path().join(name), 1, "inventory", vec![]).unwrap()) as _
    })
    .await;
}

#[tokio::test]
async fn keeps_the_promises_of_views() {
    let dir = tempfile::tempdir().unwrap();
    let supports = Supports { text_bytes: Some((10_000, 10_001)), seeds: 4, ..Supports::default() };
    let views = Shop::views(&supports);
    let open = |name: &str| {
        let settings = Settings { value_bytes_max: 10_000, ..Settings::default() };
        Sqlite::open_with(dir.path().join(name), 1, "shop", views.clone(), settings).unwrap()
    };
    conformance::views(
        supports,
        async |name: &str| Backend { sink: None, state: Arc::new(open(name)) },
        async |name: &str, view| open(name).rows(view.name).await.unwrap(),
    )
    .await;
}
