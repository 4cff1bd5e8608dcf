//! What a part of a query comes to: rows of tables, two tables side by side, or a star.
use super::{
    Maker, PartAggregate,
    facts::{self, Side},
};
use crate::{expr::Expr, problem::Problem, relation::Relation};

/// Rows of one table, and what is shown of each.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub table: usize,
    pub each: Option<Expr>,
    /// Over the row's cells, and the element behind them.
    pub filter: Expr,
    pub columns: Vec<Expr>,
}

/// Rows of two tables that meet in other columns than a key of both.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    pub left: Leaf,
    pub right: Leaf,
    pub is_left: bool,
    /// Equal expressions over the left and over the right row.
    pub on: Vec<(Expr, Expr)>,
    /// Over the left row's cells and, from the left table's width on, the right row's.
    pub columns: Vec<Expr>,
}

/// How long and how deep an expression may become.
const EXPRESSION_MAX: usize = 2_000;
const DEPTH_MAX: usize = 1_200;

/// Slots of a star while it is made: of the key from 0 on, of the owner's row from here on: its table's columns.
pub(super) const OWN: usize = 1 << 20;
/// Of the parts from here on, so many for each.
pub(super) const PARTS: usize = 1 << 30;
pub(super) const PART: usize = 1 << 20;
/// The slot of a part's aggregate.
pub(super) fn slot(part: usize, aggregate: usize) -> Expr {
    Expr::Column(PARTS + part * PART + aggregate)
}

#[derive(Debug, Clone)]
pub(super) struct Star {
    pub key_width: usize,
    pub own: Option<OwnRows>,
    pub parts: Vec<super::Part>,
    pub columns: Vec<Expr>,
    pub exists: Expr,
    /// What of a group's key may be null: such groups are in no view. Where the star is joined to another, its null meets
    /// nothing.
    pub null_key: Option<String>,
}
#[derive(Debug, Clone)]
pub(super) struct OwnRows {
    pub table: usize,
    pub each: Option<Expr>,
    pub filter: Expr,
    pub key: Vec<Expr>,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// All rows of each.
    Rows(Vec<Leaf>),
    Pairs(Box<Pairs>),
    Star(Box<Star>),
}

impl Maker<'_> {
    pub(super) fn shape(&mut self, relation: &Relation) -> Result<Shape, Problem> {
        match relation {
            Relation::Table(table) => {
                let columns =
                    (0..self.catalogue.tables()[*table].columns.len()).map(Expr::Column).collect();
                Ok(Shape::Rows(vec![Leaf {
                    table: *table,
                    each: None,
                    filter: Expr::TRUE,
                    columns,
                }]))
            }
            Relation::Filter(of, condition) => {
                let shape = self.shape(of)?;
                self.filtered(shape, condition)
            }
            Relation::Project(of, columns) => {
                let mut shape = self.shape(of)?;
                let project = |old: &mut Vec<Expr>| {
                    let new = columns.iter().map(|column| over(column, old)).collect();
                    *old = new;
                };
                let made: Vec<&[Expr]> = match &mut shape {
                    Shape::Rows(leaves) => {
                        leaves.iter_mut().for_each(|leaf| project(&mut leaf.columns));
                        leaves.iter().map(|leaf| &leaf.columns[..]).collect()
                    }
                    Shape::Pairs(pairs) => {
                        project(&mut pairs.columns);
                        vec![&pairs.columns]
                    }
                    Shape::Star(star) => {
                        project(&mut star.columns);
                        vec![&star.columns]
                    }
                };
                let is_long = |expr: &Expr| {
                    let (size, depth) = expr.extent();
                    size > EXPRESSION_MAX || depth > DEPTH_MAX
                };
                if made.into_iter().flatten().any(is_long) {
                    return self.refuse(
                        "an expression is too long once the sub-selects in it are written out",
                        "split the view",
                    );
                }
                Ok(shape)
            }
            Relation::Expand(of, list) => match self.shape(of)? {
                Shape::Rows(mut leaves) if leaves.len() == 1 && leaves[0].each.is_none() => {
                    let leaf = &mut leaves[0];
                    leaf.each = Some(over(list, &leaf.columns));
                    leaf.columns.push(Expr::Column(self.width(leaf.table)));
                    Ok(Shape::Rows(leaves))
                }
                _ => self.refuse(
                    "unnest stands behind one table",
                    "unnest in a sub-select over one table",
                ),
            },
            Relation::Group(of, keys, aggregates) => {
                let shape = self.shape(of)?;
                self.grouped(shape, keys, aggregates)
            }
            Relation::Join(join) => {
                let (left, right) = (self.shape(&join.left)?, self.shape(&join.right)?);
                self.joined(left, right, join)
            }
            Relation::Union(all) => {
                let mut leaves = Vec::new();
                for one in all {
                    match self.shape(one)? {
                        Shape::Rows(more) => leaves.extend(more),
                        _ => {
                            return self.refuse(
                                "union all is of tables",
                                "group each side, and join them by the key",
                            );
                        }
                    }
                }
                Ok(Shape::Rows(leaves))
            }
        }
    }

    /// The columns of a table: an element stands behind them.
    pub(super) fn width(&self, table: usize) -> usize {
        self.catalogue.tables()[table].columns.len()
    }

    fn filtered(&self, mut shape: Shape, condition: &Expr) -> Result<Shape, Problem> {
        match &mut shape {
            Shape::Rows(leaves) => {
                for leaf in leaves {
                    let condition = over(condition, &leaf.columns);
                    leaf.filter = std::mem::replace(&mut leaf.filter, Expr::TRUE).and(condition);
                }
            }
            Shape::Star(star) => {
                let condition = over(condition, &star.columns);
                star.exists = std::mem::replace(&mut star.exists, Expr::TRUE).and(condition);
            }
            Shape::Pairs(pairs) => {
                let width = self.width(pairs.left.table);
                let condition = over(condition, &pairs.columns);
                let all = match condition {
                    Expr::And(all) => all,
                    one => vec![one],
                };
                for one in all {
                    let right = |expr: &Expr| expr.with_columns(&mut |at| Expr::Column(at - width));
                    match facts::side(&one, width) {
                        Side::Left | Side::Neither => add(&mut pairs.left.filter, one),
                        Side::Right if !pairs.is_left => add(&mut pairs.right.filter, right(&one)),
                        Side::Right => {
                            return self.refuse(
                                "where looks at the table that is joined with left join, after the join",
                                "write the condition behind on, or write join",
                            );
                        }
                        Side::Both => {
                            return self.refuse(
                                "where compares columns of two tables",
                                "write on a.x = b.y; other comparisons of two tables are not taken",
                            );
                        }
                    }
                }
            }
        }
        Ok(shape)
    }

    /// The rows of one table as a star: its primary key, with the word before it where there is one, and an owner.
    pub(super) fn star_of_rows(&self, leaf: Leaf) -> Result<Star, Problem> {
        let table = &self.catalogue.tables()[leaf.table];
        if table.key.is_empty() {
            return self.refuse(
                format!("{} has no primary key: its rows are not told apart", table.name),
                "group by columns, or give the table a primary key",
            );
        }
        let mut key: Vec<Expr> = table.key.iter().copied().map(Expr::Column).collect();
        if leaf.each.is_some() {
            if !matches!(leaf.each, Some(Expr::Words(_))) {
                return self.refuse(
                    "a list may have the same element twice, and rows of a view are told apart by it",
                    "group by the element and count(*)",
                );
            }
            key.insert(0, Expr::Column(table.columns.len()));
        }
        let columns = leaf.columns.iter().map(|column| {
            column.with_columns(&mut |at| {
                let of_key = key.iter().position(|key| *key == Expr::Column(at));
                Expr::Column(of_key.unwrap_or(OWN + at))
            })
        });
        let columns = columns.collect();
        let own = OwnRows { table: leaf.table, each: leaf.each, filter: leaf.filter, key };
        Ok(Star {
            key_width: own.key.len(),
            own: Some(own),
            parts: Vec::new(),
            columns,
            exists: Expr::TRUE,
            null_key: None,
        })
    }

    /// The star with its owner's rows as a part: there is one of each key at most, and so the greatest value is the value.
    pub(super) fn without_owner(&self, mut star: Star) -> Result<Star, Problem> {
        let Some(own) = star.own.take() else { return Ok(star) };
        if own.each.is_some() {
            return self.refuse("words are joined to nothing", "join first, and unnest behind it");
        }
        let part = star.parts.len();
        let mut used = Vec::new();
        let mut move_own = |expr: &Expr| {
            expr.with_columns(&mut |at| {
                if !(OWN..PARTS).contains(&at) {
                    return Expr::Column(at);
                }
                let column = at - OWN;
                let place = used.iter().position(|known| *known == column).unwrap_or_else(|| {
                    used.push(column);
                    used.len() - 1
                });
                slot(part, place + 1)
            })
        };
        star.columns = star.columns.iter().map(&mut move_own).collect();
        let is_there =
            Expr::compare(crate::expr::Comparison::Greater, count(slot(part, 0)), Expr::int(0));
        star.exists = is_there.and(move_own(&star.exists));
        let values = used.iter().map(|column| PartAggregate::Max(Expr::Column(*column)));
        let aggregates = std::iter::once(PartAggregate::Rows).chain(values).collect();
        star.parts.push(super::Part {
            table: own.table,
            filter: own.filter,
            each: None,
            key: own.key,
            aggregates,
        });
        Ok(star)
    }
}

/// A count of a slot that is null where nothing was counted.
pub(super) fn count(slot: Expr) -> Expr {
    Expr::Coalesce(vec![slot, Expr::int(0)])
}
fn add(filter: &mut Expr, condition: Expr) {
    *filter = std::mem::replace(filter, Expr::TRUE).and(condition);
}
/// An expression over columns that are expressions themselves.
pub(super) fn over(expr: &Expr, columns: &[Expr]) -> Expr {
    expr.with_columns(&mut |at| columns.get(at).cloned().unwrap_or(Expr::Value(views::Cell::Null)))
}
