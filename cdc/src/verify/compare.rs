//! Two sorted streams of rows, side by side.
use super::sorted::Row;
use anyhow::bail;
use sha2::{Digest as _, Sha256};
use sinks::Cell;
use std::cmp::Ordering;

/// One key, as the source and the sink have it.
#[derive(Debug, PartialEq, Eq)]
pub enum Pair {
    Both { want: Row, have: Row },
    Missing(Row),
    Extra(Row),
}

/// Calls `visit` once for each key. Memory: one row of each.
pub fn merge(
    want: impl Iterator<Item = anyhow::Result<Row>>,
    have: impl Iterator<Item = anyhow::Result<Row>>,
    mut visit: impl FnMut(Pair) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut want = Ascending::new(want, "PostgreSQL's rows");
    let mut have = Ascending::new(have, "the sink's rows");
    let (mut left, mut right) = (want.next()?, have.next()?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(want), Some(have)) => want.0.cmp(&have.0),
        };
        let (mut taken_left, mut taken_right) = (None, None);
        if order.is_le() {
            taken_left = std::mem::replace(&mut left, want.next()?);
        }
        if order.is_ge() {
            taken_right = std::mem::replace(&mut right, have.next()?);
        }
        match (taken_left, taken_right) {
            (Some(want), Some(have)) => visit(Pair::Both { want, have })?,
            (Some(want), None) => visit(Pair::Missing(want))?,
            (None, Some(have)) => visit(Pair::Extra(have))?,
            (None, None) => {}
        }
    }
}

/// A stream whose keys must ascend: out of order, a merge would see differences that are none.
struct Ascending<I> {
    rows: I,
    last: Option<Vec<Cell>>,
    what: &'static str,
}
impl<I: Iterator<Item = anyhow::Result<Row>>> Ascending<I> {
    fn new(rows: I, what: &'static str) -> Self {
        Self { rows, last: None, what }
    }
    fn next(&mut self) -> anyhow::Result<Option<Row>> {
        let Some(row) = self.rows.next().transpose()? else { return Ok(None) };
        if self.last.as_ref().is_some_and(|last| *last >= row.0) {
            bail!("{} are not in the order of their keys, or have a key twice", self.what);
        }
        self.last = Some(row.0.clone());
        Ok(Some(row))
    }
}

/// Of a set of rows, whatever their order: the sum of each row's SHA-256. Equal where the rows are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u64; 4]);
impl Digest {
    pub fn add(&mut self, key: &[Cell], row: &[Cell]) {
        let mut hash = Sha256::new();
        for cell in key.iter().chain(row) {
            let text = plain(cell);
            hash.update([u8::from(*cell == Cell::Null)]);
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
        for (sum, part) in self.0.iter_mut().zip(hash.finalize().chunks_exact(8)) {
            let part = part.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            *sum = sum.wrapping_add(part);
        }
    }
    pub fn hex(&self) -> String {
        self.0.iter().map(|part| format!("{part:016x}")).collect()
    }
}

/// One text for one value: `1.50` and `1.5` are one, and so are `-0` and `0` of a float.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Decimal(d) => d.normalized().to_plain_string(),
        Cell::Float(number) => number.canonical().to_string(),
        cell => cell.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rows(map: &BTreeMap<u8, u8>) -> impl Iterator<Item = anyhow::Result<Row>> + '_ {
        map.iter().map(|(k, v)| Ok((vec![Cell::Int((*k).into())], vec![Cell::Int((*v).into())])))
    }

    proptest! {
        #[test]
        fn as_two_maps(
            want in proptest::collection::btree_map(any::<u8>(), 0..3u8, 0..60),
            have in proptest::collection::btree_map(any::<u8>(), 0..3u8, 0..60),
        ) {
            let mut seen = BTreeMap::new();
            merge(rows(&want), rows(&have), |pair| {
                let (key, found) = match pair {
                    Pair::Both { want, have } => (want.0.clone(), (Some(want.1), Some(have.1))),
                    Pair::Missing(row) => (row.0, (Some(row.1), None)),
                    Pair::Extra(row) => (row.0, (None, Some(row.1))),
                };
                assert!(seen.insert(key, found).is_none());
                Ok(())
            }).unwrap();
            let row = |map: &BTreeMap<u8, u8>, k: u8| map.get(&k).map(|v| vec![Cell::Int((*v).into())]);
            let all: std::collections::BTreeSet<u8> = want.keys().chain(have.keys()).copied().collect();
            let expected: BTreeMap<_, _> = all
                .into_iter()
                .map(|k| (vec![Cell::Int(k.into())], (row(&want, k), row(&have, k))))
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn out_of_order_is_no_answer() {
        let row = |n: i64| Ok((vec![Cell::Int(n)], vec![]));
        let wrong = [row(2), row(1)].into_iter();
        assert!(merge(wrong, std::iter::empty(), |_| Ok(())).is_err());
        let twice = [row(2), row(2)].into_iter();
        assert!(merge(std::iter::empty(), twice, |_| Ok(())).is_err());
    }

    #[test]
    fn digests_tell_rows_apart_and_not_their_order() {
        let digest = |rows: &[(i64, &str)]| {
            let mut digest = Digest::default();
            rows.iter().for_each(|(k, d)| {
                digest.add(&[(*k).into()], &[Cell::Decimal(d.parse().unwrap()), Cell::Null]);
            });
            digest
        };
        assert_eq!(digest(&[(1, "1.50"), (2, "0")]), digest(&[(2, "0.00"), (1, "1.5")]));
        assert_ne!(digest(&[(1, "1.5")]), digest(&[(1, "15")]));
        let float = |number: f64| {
            let mut digest = Digest::default();
            digest.add(&[], &[Cell::Float(sinks::Float::new(number))]);
            digest
        };
        assert_eq!(float(-0.0), float(0.0));
        assert_ne!(float(1.5), float(-1.5));
        assert_ne!(digest(&[(1, "1"), (2, "2")]), digest(&[(1, "2"), (2, "1")]));
        let mut null = Digest::default();
        null.add(&[Cell::Null], &[]);
        let mut empty = Digest::default();
        empty.add(&["".into()], &[]);
        assert_ne!(null, empty);
    }
}
