//! Parts, all in the same order, side by side: memory for one line of each.
use super::part::{Line, Part};
use crate::Cell;
use anyhow::ensure;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Calls `visit` once for each key of each view, with the shares of the partitions that have one, in the order of
/// view name and key text.
pub fn merge(
    parts: &[Part],
    mut visit: impl FnMut(&str, &str, &[Vec<Cell>]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut sources: Vec<_> = parts.iter().map(Part::lines).collect();
    let mut heads = BinaryHeap::new();
    let mut held: Vec<Vec<Cell>> = vec![Vec::new(); parts.len()];
    let mut pull = |at: usize, held: &mut Vec<Vec<Cell>>| -> anyhow::Result<_> {
        let Some(line) = sources[at].next() else { return Ok(None) };
        let Line(view, key, share) = line?;
        held[at] = share;
        Ok(Some(((view, key.get()), at)))
    };
    for at in 0..parts.len() {
        heads.extend(pull(at, &mut held)?.map(Reverse));
    }
    let mut shares = Vec::with_capacity(parts.len());
    while let Some(&Reverse((at_key, _))) = heads.peek() {
        shares.clear();
        while let Some(&Reverse((key, at))) = heads.peek()
            && key == at_key
        {
            heads.pop();
            shares.push(std::mem::take(&mut held[at]));
            if let Some(next) = pull(at, &mut held)? {
                let name = parts[at].name();
                ensure!(next.0 > key, "the lines of the part of {name} are out of order");
                heads.push(Reverse(next));
            }
        }
        visit(at_key.0, at_key.1, &shares)?;
    }
    Ok(())
}
