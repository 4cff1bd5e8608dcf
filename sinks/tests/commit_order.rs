//! The commit promise, step by step: dead letters -> sink writes -> alerts shown -> alerts let go of -> state, and a
//! step that fails keeps every later one from happening.
use async_trait::async_trait;
use sinks::{
    Alert, Batch, Checkpoint, Committer, Dlq, Key, Letter, Partition, PartitionState, Receipt,
    Sink, SinkError, State, dlq::Reason,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

const STEPS: [&str; 5] = ["letters", "writes", "shown", "told", "state"];

/// Every part at once: writes down what it is asked for, and fails at one step.
struct Parts {
    done: Mutex<Vec<&'static str>>,
    fails_at: Option<&'static str>,
}
impl Parts {
    fn step(&self, name: &'static str) -> Result<(), SinkError> {
        if self.fails_at == Some(name) {
            return Err(SinkError::transient(anyhow::anyhow!("{name} fails")));
        }
        self.done.lock().expect("one thread").push(name);
        Ok(())
    }
}

#[async_trait]
impl Dlq for Parts {
    async fn publish(&self, _: &[Letter]) -> Result<(), SinkError> {
        self.step("letters")
    }
}
#[async_trait]
impl Sink for Parts {
    async fn write(&self, _: &Batch) -> Result<Receipt, SinkError> {
        self.step("writes")?;
        let alert = Alert { name: "t/0/6/1".into(), key: vec![1.into()], value: Some(3) };
        Ok(Receipt { alerts: vec![alert] })
    }
    async fn told(&self, _: &Partition, _: &[Alert]) -> Result<(), SinkError> {
        self.step("told")
    }
}
#[async_trait]
impl State for Parts {
    async fn keep_count(&self, _: &str, _: i32) -> Result<(), SinkError> {
        Err(SinkError::Fenced)
    }
    async fn count(&self, _: &str) -> Result<Option<i32>, SinkError> {
        Err(SinkError::Fenced)
    }
    async fn checkpoints(&self, _: &str) -> Result<Vec<(i32, Checkpoint)>, SinkError> {
        Err(SinkError::Fenced)
    }
    async fn raise_count(&self, _: &str, _: i32) -> Result<(), SinkError> {
        Err(SinkError::Fenced)
    }
    async fn open(&self, _: &Partition) -> Result<Arc<dyn PartitionState>, SinkError> {
        Err(SinkError::Fenced)
    }
}
#[async_trait]
impl PartitionState for Parts {
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }
    async fn get(&self, _: &[Key]) -> Result<Vec<Option<Vec<u8>>>, SinkError> {
        Err(SinkError::Fenced)
    }
    async fn scan(&self, _: &[u8]) -> Result<Vec<(Key, Vec<u8>)>, SinkError> {
        Err(SinkError::Fenced)
    }
    async fn commit(&self, _: &Batch) -> Result<Receipt, SinkError> {
        self.step("state")?;
        Ok(Receipt::default())
    }
}

async fn commit(fails_at: Option<&'static str>) -> (bool, Vec<&'static str>) {
    let parts = Arc::new(Parts { done: Mutex::default(), fails_at });
    let committer =
        Committer { dlq: parts.clone(), sink: Some(parts.clone()), state: parts.clone() };
    let partition = Partition::new("t", 0);
    let checkpoint = Checkpoint { next: 7, ..Checkpoint::default() };
    let batch = Batch::new(partition.clone(), 't', 5, vec![], vec![], checkpoint, BTreeSet::new());
    let batch = Arc::new(batch);
    let letter = Letter {
        partition,
        offset: 5,
        timestamp_ms: 0,
        key: None,
        value: None,
        headers: vec![],
        reason: Reason::Malformed,
        error: "not JSON".into(),
        replayed: None,
    };
    let show = async |alerts: Vec<Alert>| {
        assert_eq!(alerts.len(), 1);
        parts.step("shown")
    };
    let result = committer.commit_showing(&*parts, &batch, &[letter], show).await;
    (result.is_ok(), parts.done.lock().expect("one thread").clone())
}

#[tokio::test]
async fn each_step_is_durable_before_the_next() {
    assert_eq!(commit(None).await, (true, STEPS.to_vec()));
}

#[tokio::test]
async fn a_step_that_fails_is_the_last() {
    for (n, step) in STEPS.into_iter().enumerate() {
        assert_eq!(commit(Some(step)).await, (false, STEPS[..n].to_vec()), "{step} fails");
    }
}
