//! What may stand in the select list of a grouped query: keys, aggregates, and what is made of them.
use super::{AGGREGATES, Column, refuse};
use crate::{
    catalogue::Catalogue,
    expr::Expr,
    problem::{Place, Problem},
    relation::{Aggregate, Relation},
};

pub(super) struct Grouped<'a> {
    columns: &'a [Column],
    keys: Vec<Expr>,
    catalogue: &'a Catalogue,
}
impl<'a> Grouped<'a> {
    pub fn new(columns: &'a [Column], keys: Vec<Expr>, catalogue: &'a Catalogue) -> Self {
        Self { columns, keys, catalogue }
    }

    /// The expression over keys and aggregates. Aggregates keep their places until all keys are known: a column that
    /// depends on a primary key among the keys becomes a key itself.
    pub fn over(&mut self, expr: &Expr, place: Place) -> Result<Expr, Problem> {
        let mut problem = None;
        let over = expr.replaced(&mut |part| {
            if let Some(key) = self.keys.iter().position(|key| key == part) {
                return Some(Expr::Column(key));
            }
            match part {
                Expr::Column(at) if *at >= AGGREGATES => Some(part.clone()),
                Expr::Column(at) if self.depends_on_keys(*at) => {
                    self.keys.push(part.clone());
                    Some(Expr::Column(self.keys.len() - 1))
                }
                Expr::Column(at) => {
                    problem.get_or_insert(*at);
                    Some(part.clone())
                }
                _ => None,
            }
        });
        match problem {
            None => Ok(over),
            Some(at) => {
                let name = self
                    .columns
                    .get(at)
                    .and_then(|column| column.name.as_deref())
                    .unwrap_or("a subquery");
                refuse(
                    place,
                    format!("{name} is neither in group by nor in an aggregate"),
                    "add it to group by, or write max(x)",
                )
            }
        }
    }

    /// Whether the whole primary key of the column's table is among the keys.
    fn depends_on_keys(&self, at: usize) -> bool {
        let Some((instance, table, _)) = self.columns.get(at).and_then(|column| column.source)
        else {
            return false;
        };
        let key = &self.catalogue.tables()[table].key;
        let is_key = |place: &usize| {
            self.keys.iter().any(|key| {
                matches!(key, Expr::Column(at)
                    if self.columns.get(*at).and_then(|column| column.source) == Some((instance, table, *place)))
            })
        };
        !key.is_empty() && key.iter().all(is_key)
    }

    /// With the aggregates behind all keys.
    pub fn numbered(&self, expr: &Expr) -> Expr {
        let keys = self.keys.len();
        expr.with_columns(&mut |at| {
            Expr::Column(if at >= AGGREGATES { at - AGGREGATES + keys } else { at })
        })
    }
    pub fn relation(&self, relation: Relation, aggregates: Vec<Aggregate>) -> Relation {
        Relation::Group(Box::new(relation), self.keys.clone(), aggregates)
    }
}
