//! A sink of one's own, exact because each row remembers which record wrote it last, put through the suite that every sink
//! must pass:
//!
//!     cargo run -p sinks --example sink
use async_trait::async_trait;
use sinks::{
    Batch, Cell, Op, Partition, Receipt, Sink, SinkError, TwoOwners, View,
    conformance::{Backend, Rows, Supports, views},
    state::memory::Memory,
};
use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex},
};

/// A row, and the record that wrote it last.
struct Stored {
    owner: Partition,
    offset: i64,
    /// `None`: that record deleted it. Owner and offset are kept, or a late and older write would bring the row back.
    row: Option<Vec<Cell>>,
}

/// The rows of all views, by view and key.
type Items = HashMap<(String, Vec<Cell>), Stored>;

/// Stands for a database that writes a row only if a condition holds. Clones are the same database.
#[derive(Clone, Default)]
struct Table(Arc<Mutex<Items>>);

#[async_trait]
impl Sink for Table {
    async fn write(&self, batch: &Batch) -> Result<Receipt, SinkError> {
        let mut rows = self.0.lock().map_err(|_| SinkError::Fenced)?;
        for write in &batch.writes {
            let row = match &write.op {
                Op::Put(row) => Some(row.clone()),
                Op::Delete => None,
                Op::Share(_) => return Err(SinkError::fatal(anyhow::anyhow!("keeps no totals"))),
            };
            let (owner, offset) = (batch.partition.clone(), write.offset);
            let new = Stored { owner, offset, row };
            match rows.entry((write.view.into(), write.key.clone())) {
                Entry::Vacant(free) => _ = free.insert(new),
                // One primary key in two partitions: nothing says which of its changes came last.
                Entry::Occupied(old) if old.get().owner != new.owner => {
                    return Err(TwoOwners::new(write, &new.owner, &old.get().owner).into());
                }
                // The condition: what comes again, or from an owner that others have replaced, changes nothing.
                Entry::Occupied(mut old) if old.get().offset < new.offset => _ = old.insert(new),
                Entry::Occupied(_) => {}
            }
        }
        Ok(Receipt::default())
    }
}

impl Table {
    /// What people see of a view.
    fn shown(&self, view: &View) -> Rows {
        let rows = self.0.lock().expect("nobody panicked");
        let shown = rows.iter().filter(|((name, _), _)| name == view.name);
        shown.filter_map(|((_, key), stored)| Some((key.clone(), stored.row.clone()?))).collect()
    }
}

/// The suite asks for storage by name: the same name twice is the same storage, as two processes would have it.
async fn keeps_every_promise() {
    let supports = Supports { totals: false, stock: false, seeds: 10, ..Supports::default() };
    let stored: Mutex<HashMap<String, (Table, Memory)>> = Mutex::default();
    let open = |name: &str| {
        let mut stored = stored.lock().expect("nobody panicked");
        let new = || (Table::default(), Memory::new(vec![]));
        stored.entry(name.to_owned()).or_insert_with(new).clone()
    };
    let make = async |name: &str| {
        let (table, state) = open(name);
        Backend { sink: Some(Arc::new(table)), state: Arc::new(state) }
    };
    views(supports, make, async |name: &str, view: &View| open(name).0.shown(view)).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    keeps_every_promise().await;
    println!("every promise is kept");
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn keeps_every_promise() {
        super::keeps_every_promise().await;
    }
}
