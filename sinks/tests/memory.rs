//! State and views in memory.
use sinks::{
    State,
    conformance::{self, Backend, Shop, Supports},
    state::memory::Memory,
};
use std::{collections::HashMap, sync::Arc, sync::Mutex};

/// Memories by name: a name stands for storage that outlives its user.
#[derive(Default)]
struct Named(Mutex<HashMap<String, Memory>>);
impl Named {
    fn get(&self, name: &str, make: impl FnOnce() -> Memory) -> Memory {
        self.0.lock().unwrap().entry(name.into()).or_insert_with(make).clone()
    }
}

#[tokio::test]
async fn keeps_the_promises_of_a_state() {
    let named = Named::default();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(named.get(name, || Memory::new(vec![]))) as _
    })
    .await;
}

#[tokio::test]
async fn keeps_the_promises_of_views() {
    let named = Named::default();
    let supports =
        Supports { text_bytes: Some((10_000, 10_001)), seeds: 40, ..Supports::default() };
    let views = Shop::views(&supports);
    let open =
        |name: &str| named.get(name, || Memory::new(views.clone()).with_value_bytes_max(10_000));
    conformance::views(
        supports,
        async |name: &str| Backend { sink: None, state: Arc::new(open(name)) },
        async |name: &str, view| open(name).rows(view.name),
    )
    .await;
}

#[tokio::test]
async fn a_clone_outlives_the_service_that_wrote_it() {
    let memory = Memory::new(vec![]);
    let partition = sinks::Partition::new("t", 0);
    let checkpoint = sinks::Checkpoint { next: 5, ..Default::default() };
    let batch = sinks::Batch::new(partition.clone(), 'p', 0, vec![], vec![], checkpoint, [].into());
    let service = memory.clone();
    service.open(&partition).await.unwrap().commit(&batch).await.unwrap();
    drop(service);
    assert_eq!(memory.open(&partition).await.unwrap().checkpoint().unwrap().next, 5);
}
