//! A process that commits until it is killed, and what must stand afterwards.
use sinks::{Batch, Cell, Checkpoint, Op, Partition, PartitionState, State, Write};
use std::{
    io::{BufRead, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

pub const DIR: &str = "KILLED_DIR";

pub fn partition() -> Partition {
    Partition::new("shop.products", 0)
}

/// Batch number `n` sets every row to `n`, and the stock of product 1 to `n`.
pub fn batch(n: i64) -> Batch {
    let rows =
        (0..50).map(|row| (format!("row {row}").into_bytes(), Some(n.to_string().into_bytes())));
    let write = Write {
        offset: n,
        source_ts_ms: n,
        view: "inventory_realtime",
        key: vec![Cell::Int(1)],
        op: Op::Put(vec!["tea".into(), Cell::Null, n.into()]),
    };
    let checkpoint = Checkpoint { next: n + 1, ..Checkpoint::default() };
    Batch::new(partition(), 'p', n, vec![write], rows.collect(), checkpoint, [].into())
}

/// The child: goes on from where the state stands, telling each commit, until it is killed.
pub async fn commit_until_killed(state: &dyn State) {
    let lane = state.open(&partition()).await.unwrap();
    for n in lane.checkpoint().map_or(0, |at| at.next).. {
        lane.commit(&batch(n)).await.unwrap();
        println!("\ncommitted {n}");
        std::io::stdout().flush().unwrap();
    }
}

/// The parent: starts `test` of this binary as a child on `dir`, kills it after `commits` commits; the last one told.
pub fn kill_after(test: &str, dir: &Path, commits: usize) -> i64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = lines
        .filter_map(|line| line.unwrap().strip_prefix("committed ").map(|n| n.parse().unwrap()));
    let last = told.by_ref().take(commits).last(); // the pipe stays open
    child.kill().unwrap(); // SIGKILL: nothing in the child can tidy up
    child.wait().unwrap();
    last.expect("the child ended before it committed anything")
}

/// Rows and position are of one commit, and none that was told is missing. Its number.
pub async fn check(lane: &Arc<dyn PartitionState>, told: i64) -> i64 {
    let stands = lane.checkpoint().expect("a checkpoint").next - 1;
    assert!(stands >= told, "commit {told} was told, but the state stands at {stands}");
    let rows = lane.scan(b"row ").await.unwrap();
    assert_eq!(rows.len(), 50);
    for (_, value) in rows {
        assert_eq!(value, stands.to_string().into_bytes(), "every row is of commit {stands}");
    }
    stands
}
