//! Joins: stars of one key become one star.
use super::{
    Maker,
    facts::equalities,
    shape::{Leaf, PART, PARTS, Pairs, Shape, Star},
};
use crate::{expr::Expr, problem::Problem, relation::Join};
use views::Cell;

impl Maker<'_> {
    pub(super) fn joined(
        &mut self,
        left: Shape,
        right: Shape,
        join: &Join,
    ) -> Result<Shape, Problem> {
        let (on, rest) = equalities(&join.on, join.left_width);
        if on.is_empty() {
            return self.refuse(
                "a join without an equality: every row would meet every row",
                "write on a.x = b.y",
            );
        }
        if let (Shape::Rows(a), Shape::Rows(b)) = (&left, &right)
            && let ([a], [b]) = (&a[..], &b[..])
            && !self.is_by_keys(a, b, &on)
        {
            return self.pairs(a.clone(), b.clone(), on, &rest, join);
        }
        let (left, right) = (self.star_of(left)?, self.star_of(right)?);
        let right = self.without_owner(right)?;
        self.merged(left, right, &on, &rest, join).map(|star| Shape::Star(Box::new(star)))
    }

    /// A star of any shape.
    pub(super) fn star_of(&mut self, shape: Shape) -> Result<Star, Problem> {
        match shape {
            Shape::Star(star) => Ok(*star),
            Shape::Rows(mut leaves) if leaves.len() == 1 => self.star_of_rows(leaves.remove(0)),
            Shape::Rows(leaves) => self.star_of_union(&leaves),
            Shape::Pairs(pairs) => self.no_star(&pairs),
        }
    }

    /// A join by another column than the key of the view.
    fn no_star<T>(&self, pairs: &Pairs) -> Result<T, Problem> {
        let table = |leaf: &Leaf| &self.catalogue.tables()[leaf.table];
        let (left, right) = (table(&pairs.left), table(&pairs.right));
        let name = |table: &crate::catalogue::Table, at: usize| {
            table.columns.get(at).map_or_else(
                || "element".into(),
                |column| format!("{}.{}", table.name, column.name),
            )
        };
        let on = pairs.on.iter().map(|(a, b)| {
            format!("{} = {}", a.text(&|at| name(left, at)), b.text(&|at| name(right, at)))
        });
        self.refuse(
            format!(
                "{} joins two tables by a key that is not the view's key: their rows lie in different partitions, which no order relates",
                on.collect::<Vec<_>>().join(" and ")
            ),
            format!(
                "group {} by the columns of the join first; or keep both tables in a sink that speaks SQL, with join = 'when read'",
                right.name
            ),
        )
    }

    /// Whether both tables meet in the whole primary key of both.
    fn is_by_keys(&self, a: &Leaf, b: &Leaf, on: &[(Expr, Expr)]) -> bool {
        let keys = |leaf: &Leaf| self.catalogue.tables()[leaf.table].key.clone();
        let (a_key, b_key) = (keys(a), keys(b));
        let is_pair = |(left, right): &(usize, usize)| {
            on.iter().any(|(one, other)| {
                let of = |expr: &Expr, leaf: &Leaf| super::shape::over(expr, &leaf.columns);
                of(one, a) == Expr::Column(*left) && of(other, b) == Expr::Column(*right)
            })
        };
        let meets = |left: &usize| b_key.iter().any(|right| is_pair(&(*left, *right)));
        let is_met = |right: &usize| a_key.iter().any(|left| is_pair(&(*left, *right)));
        let is_plain =
            a.each.is_none() && b.each.is_none() && a_key.len() == b_key.len() && !a_key.is_empty();
        is_plain && a_key.iter().all(meets) && b_key.iter().all(is_met)
    }

    fn pairs(
        &self,
        left: Leaf,
        mut right: Leaf,
        on: Vec<(Expr, Expr)>,
        rest: &[Expr],
        join: &Join,
    ) -> Result<Shape, Problem> {
        use super::facts::{Side, side};
        let width = self.width(left.table);
        if left.each.is_some() || right.each.is_some() {
            return self.refuse("words are joined to nothing", "join first, and unnest behind it");
        }
        let of = |expr: &Expr, leaf: &Leaf| super::shape::over(expr, &leaf.columns);
        let mut left = left;
        for one in rest {
            let right_only =
                one.with_columns(&mut |at| Expr::Column(at.saturating_sub(join.left_width)));
            match side(one, join.left_width) {
                Side::Right => {
                    let condition = of(&right_only, &right);
                    right.filter = std::mem::replace(&mut right.filter, Expr::TRUE).and(condition);
                }
                Side::Left | Side::Neither if !join.is_left => {
                    let condition = of(one, &left);
                    left.filter = std::mem::replace(&mut left.filter, Expr::TRUE).and(condition);
                }
                _ => {
                    return self.refuse(
                        "the condition of a join compares columns of two tables in another way than a.x = b.y",
                        "write a.x = b.y, and conditions over the joined table alone",
                    );
                }
            }
        }
        let on = on.iter().map(|(a, b)| (of(a, &left), of(b, &right))).collect();
        let right_columns = right
            .columns
            .iter()
            .map(|column| column.with_columns(&mut |at| Expr::Column(at + width)));
        let columns = left.columns.iter().cloned().chain(right_columns).collect();
        Ok(Shape::Pairs(Box::new(Pairs { left, right, is_left: join.is_left, on, columns })))
    }

    /// Both stars as one: the left one's key is that of the right one.
    fn merged(
        &self,
        left: Star,
        right: Star,
        on: &[(Expr, Expr)],
        rest: &[Expr],
        join: &Join,
    ) -> Result<Star, Problem> {
        let over = super::shape::over;
        // The slot of the left key for each slot of the right key.
        let mut keys = vec![None; right.key_width];
        let mut is_by_key = left.key_width == right.key_width;
        for (a, b) in on {
            match (over(a, &left.columns), over(b, &right.columns)) {
                (Expr::Column(a), Expr::Column(b)) if a < left.key_width && b < right.key_width => {
                    keys[b] = Some(a);
                }
                _ => is_by_key = false,
            }
        }
        let keys: Option<Vec<usize>> = keys.into_iter().collect();
        let Some(keys) =
            keys.filter(|keys| is_by_key && (0..left.key_width).all(|at| keys.contains(&at)))
        else {
            return self.refuse(
                "a join by another key than the view's: its rows lie in different partitions, which no order relates",
                "join by the whole primary key of the first table, and group the other one by the columns that meet it",
            );
        };
        let first = left.parts.len();
        let moved = |expr: &Expr| {
            expr.with_columns(&mut |at| {
                Expr::Column(if at < right.key_width {
                    keys[at]
                } else if at >= PARTS {
                    at + first * PART
                } else {
                    at
                })
            })
        };
        let right_columns: Vec<Expr> = right.columns.iter().map(moved).collect();
        let both: Vec<Expr> = left.columns.iter().chain(&right_columns).cloned().collect();
        let mut is_there = moved(&right.exists);
        for one in rest {
            is_there = is_there.and(over(one, &both));
        }
        let Star { key_width, own, mut parts, mut columns, mut exists, null_key } = left;
        for mut part in right.parts {
            let mut key = vec![Expr::TRUE; key_width];
            for (at, expr) in part.key.into_iter().enumerate() {
                key[keys[at]] = expr;
            }
            part.key = key;
            parts.push(part);
        }
        if join.is_left {
            // Where nothing but rows decides whether the right side is there, most of its columns are null by themselves.
            let is_by_rows = rest.is_empty() && matches!(right.exists, Expr::Compare(..));
            let is_null = |column: &Expr| column.of(&[]).is_ok_and(|cell| *cell == Cell::Null);
            let has_key = |column: &Expr| {
                let mut has = false;
                column.each_column(&mut |at| has |= at < key_width);
                has
            };
            let shown = |column: Expr| {
                if is_by_rows && !has_key(&column) && is_null(&column) {
                    return column;
                }
                Expr::Case(vec![(is_there.clone(), column)], Box::new(Expr::Value(Cell::Null)))
            };
            columns.extend(right_columns.into_iter().map(shown));
        } else {
            columns.extend(right_columns);
            exists = exists.and(is_there);
        }
        // A null meets nothing: behind an inner join there is none.
        let null_key = null_key.filter(|_| join.is_left);
        Ok(Star { key_width, own, parts, columns, exists, null_key })
    }
}
