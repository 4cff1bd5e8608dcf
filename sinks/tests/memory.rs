//! State and views in memory.
use sinks::{State, conformance, state::memory::Memory};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn keeps_the_promises_of_a_state() {
    let named = Mutex::new(HashMap::<String, Memory>::new());
    conformance::state(async |name: &str| -> Arc<dyn State> {
        let memory =
            named.lock().unwrap().entry(name.into()).or_insert_with(|| Memory::new(vec![])).clone();
        Arc::new(memory) as _
    })
    .await;
}
