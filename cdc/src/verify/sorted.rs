//! Sorting more rows than fit into memory: runs in a temporary file each, merged as they are read.
//!
//! Memory: the budget, and a small buffer for each run. The files have no name and are gone with the process.
use anyhow::Context;
use sinks::Cell;
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{BufReader, BufWriter, Read, Seek, Write},
};

/// Key and columns.
pub type Row = (Vec<Cell>, Vec<Cell>);

/// More runs than this are merged into one before the next is written: each is an open file.
const RUNS_MAX: usize = 64;
const BUFFER_BYTES: usize = 64 << 10;
/// What a row takes beside its cells, about.
const ROW_BYTES_EXTRA: usize = 160;

pub struct Sorter {
    budget_bytes: usize,
    held: Vec<Row>,
    held_bytes: usize,
    runs: Vec<File>,
}

impl Sorter {
    pub fn new(budget_bytes: usize) -> Self {
        Self { budget_bytes, held: Vec::new(), held_bytes: 0, runs: Vec::new() }
    }

    pub fn push(&mut self, row: Row) -> anyhow::Result<()> {
        let cells = row.0.iter().chain(&row.1);
        self.held_bytes += cells.map(|cell| cell.size() + 32).sum::<usize>() + ROW_BYTES_EXTRA;
        self.held.push(row);
        if self.held_bytes >= self.budget_bytes {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> anyhow::Result<()> {
        self.held.sort_unstable();
        let run = write_run(std::mem::take(&mut self.held).into_iter().map(Ok))?;
        self.held_bytes = 0;
        self.runs.push(run);
        if self.runs.len() >= RUNS_MAX {
            let merged = write_run(Merged::new(std::mem::take(&mut self.runs), Vec::new())?)?;
            self.runs.push(merged);
        }
        Ok(())
    }

    /// All rows, in the order of their keys (of their columns, where keys are equal).
    pub fn finish(mut self) -> anyhow::Result<Merged> {
        self.held.sort_unstable();
        Merged::new(self.runs, self.held)
    }
}

fn write_run(rows: impl Iterator<Item = anyhow::Result<Row>>) -> anyhow::Result<File> {
    let file = tempfile::tempfile().context("no temporary file to sort in: see TMPDIR")?;
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    for row in rows {
        let bytes = serde_json::to_vec(&row?)?;
        let written = out
            .write_all(&u32::try_from(bytes.len())?.to_le_bytes())
            .and_then(|()| out.write_all(&bytes));
        written.context("the temporary folder is full: see TMPDIR")?;
    }
    let mut file = out.into_inner().context("the temporary folder is full: see TMPDIR")?;
    file.rewind()?;
    Ok(file)
}

/// The runs, side by side.
pub struct Merged {
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(Row, usize)>>,
    held: std::vec::IntoIter<Row>,
}
impl Merged {
    fn new(runs: Vec<File>, held: Vec<Row>) -> anyhow::Result<Self> {
        let runs: Vec<_> =
            runs.into_iter().map(|run| BufReader::with_capacity(BUFFER_BYTES, run)).collect();
        let mut merged = Self { runs, heads: BinaryHeap::new(), held: held.into_iter() };
        for at in 0..=merged.runs.len() {
            merged.pull(at)?;
        }
        Ok(merged)
    }

    /// The next row of a run; the one after the last run is what is still in memory.
    fn pull(&mut self, at: usize) -> anyhow::Result<()> {
        let row = match self.runs.get_mut(at) {
            Some(run) => read_row(run)?,
            None => self.held.next(),
        };
        self.heads.extend(row.map(|row| Reverse((row, at))));
        Ok(())
    }
}
impl Iterator for Merged {
    type Item = anyhow::Result<Row>;
    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((row, at)) = self.heads.pop()?;
        Some(self.pull(at).map(|()| row))
    }
}

fn read_row(run: &mut BufReader<File>) -> anyhow::Result<Option<Row>> {
    let mut length = [0; 4];
    match run.read(&mut length[..1])? {
        0 => return Ok(None),
        _ => run.read_exact(&mut length[1..])?,
    }
    let mut bytes = vec![0; usize::try_from(u32::from_le_bytes(length))?];
    run.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))] // many small files each
        #[test]
        fn as_a_map_in_memory(rows in proptest::collection::btree_map(("[a-z]{0,3}", any::<i64>()), any::<i64>(), 0..400)) {
            let rows: BTreeMap<Vec<Cell>, Vec<Cell>> = rows
                .into_iter()
                .map(|((word, n), value)| (vec![word.into(), n.into()], vec![value.into()]))
                .collect();
            // A run for every two or three rows: more of them than are kept open.
            let mut sorter = Sorter::new(2 * ROW_BYTES_EXTRA + 200);
            let mut shuffled: Vec<_> = rows.clone().into_iter().collect();
            shuffled.sort_by_key(|(_, value)| value.clone());
            for row in shuffled {
                sorter.push(row).unwrap();
            }
            prop_assert!(sorter.runs.len() <= RUNS_MAX);
            let sorted: Vec<Row> = sorter.finish().unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(sorted, rows.into_iter().collect::<Vec<_>>());
        }
    }
}
