//! Rows of several tables one below the other.
use super::{
    Maker, Part, PartAggregate,
    group::is_some_of,
    shape::{Leaf, Star, slot},
};
use crate::{expr::Expr, problem::Problem};
use views::Cell;

impl Maker<'_> {
    /// A star without an owner, whose rows are each one row of one of the tables. A constant tells the tables apart, and the
    /// primary keys their rows: then no two rows have one key, and the greatest value is the value.
    pub(super) fn star_of_union(&self, leaves: &[Leaf]) -> Result<Star, Problem> {
        let tables: Vec<_> =
            leaves.iter().map(|leaf| &self.catalogue.tables()[leaf.table]).collect();
        let primary = |leaf: usize, column: usize| match &leaves[leaf].columns[column] {
            Expr::Column(at) => tables[leaf].key.contains(at),
            _ => false,
        };
        let constant = |leaf: usize, column: usize| match &leaves[leaf].columns[column] {
            Expr::Value(cell) if *cell != Cell::Null => Some(cell.clone()),
            _ => None,
        };
        let width = leaves.first().map_or(0, |leaf| leaf.columns.len());
        let all = || 0..leaves.len();
        let is_key = |column: &usize| {
            all().all(|leaf| primary(leaf, *column) || constant(leaf, *column).is_some())
        };
        let key: Vec<usize> = (0..width).filter(is_key).collect();
        let tells_apart = |column: &usize| {
            let mut cells: Vec<Cell> = all().filter_map(|leaf| constant(leaf, *column)).collect();
            cells.sort();
            cells.dedup();
            cells.len() == leaves.len()
        };
        let has_key = |leaf: usize| {
            let shown = |at: &usize| {
                key.iter().any(|column| leaves[leaf].columns[*column] == Expr::Column(*at))
            };
            !tables[leaf].key.is_empty() && tables[leaf].key.iter().all(shown)
        };
        let is_plain = leaves.iter().all(|leaf| leaf.each.is_none());
        if !is_plain || !key.iter().any(tells_apart) || !all().all(has_key) {
            return self.refuse(
                "rows of several tables one below the other: two of them may have one key",
                "add a constant that tells the tables apart, select 'a' as kind, id, ..., or group them: select k, count(*) from (... union all ...) u group by k",
            );
        }
        let others: Vec<usize> = (0..width).filter(|column| !key.contains(column)).collect();
        let part = |leaf: &Leaf| Part {
            table: leaf.table,
            filter: leaf.filter.clone(),
            each: None,
            key: key.iter().map(|column| leaf.columns[*column].clone()).collect(),
            aggregates: std::iter::once(PartAggregate::Rows)
                .chain(
                    others.iter().map(|column| PartAggregate::Max(leaf.columns[*column].clone())),
                )
                .collect(),
        };
        let shown = |column: usize| match key.iter().position(|key| *key == column) {
            Some(place) => Expr::Column(place),
            None => {
                let place = others.iter().position(|other| *other == column).unwrap_or(0);
                Expr::Coalesce(all().map(|leaf| slot(leaf, place + 1)).collect())
            }
        };
        Ok(Star {
            key_width: key.len(),
            own: None,
            parts: leaves.iter().map(part).collect(),
            columns: (0..width).map(shown).collect(),
            exists: is_some_of(all().map(|leaf| slot(leaf, 0)).collect()),
            null_key: None,
        })
    }
}
