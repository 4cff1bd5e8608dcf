//! The first of a key's distinct tuples in an order: what bounded sets and the first N rows of a group are made of.
//!
//! The first N of a union are the first N of the parts' first N. So what partitions say merges in any order, as sums do.
#![deny(clippy::disallowed_methods)]

use crate::{Cell, plan::bucket};
use std::{cmp::Ordering, fmt};

/// In which direction one value of the tuples is ordered. Nulls are where PostgreSQL puts them, if it is not told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `asc`: the smallest first, nulls last.
    Ascending,
    /// `desc`: nulls first, then the greatest.
    Descending,
}
impl Direction {
    /// As it is stored and compared: never another word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        }
    }
}

/// Which of a key's tuples are kept: of those that differ, the first `limit` in this order.
///
/// A tuple is a row of values, and tuples are ordered by their first value, where it is the same by the second, and so on.
/// Values of one place are of one type, and have the order of [`Cell`]: texts are ordered by their bytes, as under
/// `collate "C"`. Equal numbers are one, whatever zeros they end with.
///
/// Every partition's share has up to `limit` tuples of a key. Where a sink keeps the shares of a key in one item, as
/// DynamoDB does, partitions times limit times the bytes of a tuple must fit into it, beside what is shown of them: of
/// DynamoDB's 400 KB, 12 partitions leave 33 KB to each. A write beyond that is refused and named, as any other that does
/// not fit.
///
/// With a limit of one more than a bound it is a set that is known as long as it is within the bound:
/// `case when count(distinct x) <= 2 then count(distinct x) end`. SQL counts no nulls, so rows without a value are filtered
/// out. With the primary key among its values, each row has a tuple of its own: these are the first rows of each group.
///
/// ```
/// use views::{
///     Cell, Column, Condition, Direction::{Ascending, Descending}, Expr, First, JsonItem, Merge, Plan, Type, View,
///     plan::{Aggregate, Part},
/// };
///
/// // select customer,
/// //   case when count(distinct country) <= 2 then count(distinct country) end as countries,
/// //   (array_agg(id::text order by total desc, id))[:2] as dearest,
/// //   to_json((array_agg(json_build_object('id', id, 'total', total) order by total desc, id))[:2]) as orders
/// // from orders group by customer
/// const COUNTRIES: First = First { limit: 2 + 1, order: &[Ascending] };
/// const DEAREST: First = First { limit: 2, order: &[Descending, Ascending] };
/// const MERGE: &[Merge] = &[Merge::Sum, Merge::First(COUNTRIES), Merge::First(DEAREST)];
/// let (customer, country, total) = (Expr::Own(0), Expr::Own(1), Expr::Own(2));
/// let aggregates = vec![
///     Aggregate::Count,
///     Aggregate::First {
///         first: COUNTRIES,
///         values: vec![country.clone()],
///         filter: Condition::Known(country),
///     },
///     Aggregate::First {
///         first: DEAREST,
///         values: vec![total, Expr::Key(0)],
///         filter: Condition::Always,
///     },
/// ];
/// let countries = Expr::Total(1).tuple_count();
/// let shows = vec![
///     countries.clone().when(Condition::Below(countries, 2 + 1)),
///     Expr::Total(2).tuple_texts(1),
///     Expr::Total(2).tuple_json(JsonItem::Object(vec![("id", 1), ("total", 0)])),
/// ];
/// const KEY: &[Column] = &[Column::new("customer", Type::Int)];
/// const SHOWN: &[Column] = &[
///     Column::new("countries", Type::Int),
///     Column::new("dearest", Type::List),
///     Column::new("orders", Type::Json),
/// ];
/// let view = View::totals("customers", KEY, MERGE, SHOWN).showing(SHOWN, shows);
/// let part = Part { table: 0, filter: Condition::Always, key: vec![customer], aggregates };
/// let plan = Plan::new(view, None, vec![part]);
///
/// // What three partitions say that have one order each.
/// let share = |id: i64, country: &str, total: &str| {
///     let row = [7.into(), country.into(), Cell::Decimal(total.parse().unwrap())];
///     plan.parts[0].of(&[id.into()], &row).unwrap().amounts
/// };
/// let shares = [share(1, "nl", "5.00"), share(2, "be", "19.50"), share(3, "nl", "7.25")];
/// let total = plan.view.total(shares.iter().map(Vec::as_slice));
/// let shown = plan.view.show(None, &total).unwrap().unwrap();
/// assert_eq!(shown[0], Cell::Int(2));
/// assert_eq!(shown[1].to_string(), r#"["2","3"]"#);
/// assert_eq!(shown[2].to_string(), r#"[{"id":2,"total":19.5},{"id":3,"total":7.25}]"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct First {
    /// How many tuples are kept, 1 to [`First::LIMIT_MAX`].
    pub limit: usize,
    /// One for each value of a tuple.
    pub order: &'static [Direction],
}
impl First {
    /// The greatest limit. Each partition's share holds so many tuples at most, and so does the merged column.
    pub const LIMIT_MAX: usize = 1_000;

    /// Which of two tuples comes first.
    pub fn compare(&self, a: &[Cell], b: &[Cell]) -> Ordering {
        let mut each = a.iter().zip(b).zip(self.order).map(|((a, b), direction)| {
            let ascending = (*a == Cell::Null, a).cmp(&(*b == Cell::Null, b));
            match direction {
                Direction::Ascending => ascending,
                Direction::Descending => ascending.reverse(),
            }
        });
        each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The first tuples of two columns of shares; null where neither has any.
    pub fn merge(&self, a: Cell, b: &Cell) -> Cell {
        let mut all = match a {
            Cell::Tuples(tuples) => tuples,
            _ => Vec::new(),
        };
        all.extend_from_slice(b.tuples());
        all.sort_by(|a, b| self.compare(a, b));
        all.dedup();
        all.truncate(self.limit);
        if all.is_empty() { Cell::Null } else { Cell::Tuples(all) }
    }

    /// As [`bucket`] of a tuple's first value, but ordered as the tuples are.
    pub fn bucket(&self, tuple: &[Cell]) -> i64 {
        let ascending = match tuple.first() {
            None | Some(Cell::Null) => i64::MAX,
            Some(value) => bucket(value),
        };
        match self.order.first() {
            Some(Direction::Descending) => !ascending,
            Some(Direction::Ascending) | None => ascending,
        }
    }
}

/// As it is stored and compared, `first 3 desc asc`: never another text.
impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "first {}", self.limit)?;
        self.order.iter().try_for_each(|direction| write!(f, " {}", direction.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::plain;
    use Direction::{Ascending, Descending};
    use proptest::prelude::*;

    const DOWN_UP: First = First { limit: 3, order: &[Descending, Ascending] };

    fn tuples(of: &[(Option<i64>, Option<&str>)]) -> Cell {
        let tuple = |(number, text): &(Option<i64>, Option<&str>)| {
            vec![Cell::from(*number), Cell::from(*text)]
        };
        Cell::Tuples(of.iter().map(tuple).collect())
    }

    /// `order by n desc, t`, as PostgreSQL has it.
    #[test]
    fn nulls_are_where_postgresql_puts_them() {
        let all = tuples(&[
            (None, Some("a")),
            (None, None),
            (Some(7), Some("a")),
            (Some(7), Some("b")),
            (Some(7), None),
            (Some(-1), Some("a")),
        ]);
        let all = all.tuples();
        assert!(all.is_sorted_by(|a, b| DOWN_UP.compare(a, b).is_lt()));
        let buckets: Vec<i64> = all.iter().map(|tuple| DOWN_UP.bucket(tuple)).collect();
        assert!(buckets.is_sorted(), "{buckets:?}");
        assert_eq!((buckets[0], buckets[5]), (i64::MIN, 0), "part of keys: never to be changed");
        let up = First { limit: 1, order: &[Ascending] };
        assert_eq!(up.bucket(&[Cell::Null]), i64::MAX, "part of keys: never to be changed");
        assert_eq!(up.bucket(&[Cell::Int(-1)]), -1);
    }

    #[test]
    fn equal_tuples_are_one_and_what_is_behind_the_limit_is_left_out() {
        let one = tuples(&[(Some(9), None), (Some(5), Some("a"))]);
        let two = tuples(&[(Some(9), None), (Some(8), Some("z")), (Some(7), Some("z"))]);
        let want = tuples(&[(Some(9), None), (Some(8), Some("z")), (Some(7), Some("z"))]);
        assert_eq!(DOWN_UP.merge(one.clone(), &two), want);
        assert_eq!(DOWN_UP.merge(Cell::Null, &one), one);
        assert_eq!(DOWN_UP.merge(Cell::Null, &Cell::Null), Cell::Null);
        assert_eq!(DOWN_UP.merge(Cell::Tuples(vec![]), &Cell::Null), Cell::Null);
    }

    #[test]
    fn it_is_told_by_this_text() {
        assert_eq!(DOWN_UP.to_string(), "first 3 desc asc");
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Ascending), Just(Descending)]
    }

    proptest! {
        /// Whatever the parts are and in whatever order they come.
        #[test]
        fn the_first_of_a_union_are_the_first_of_the_firsts(
            parts in proptest::collection::vec(
                proptest::collection::vec((proptest::option::of(0_i64..4), proptest::option::of("[ab]")), 0..5), 0..4),
            limit in 1_usize..5, down in direction(), other in direction(), swap: bool,
        ) {
            let order: &'static [Direction] = match (down, other) {
                (Ascending, Ascending) => &[Ascending, Ascending],
                (Ascending, Descending) => &[Ascending, Descending],
                (Descending, Ascending) => &[Descending, Ascending],
                (Descending, Descending) => &[Descending, Descending],
            };
            let first = First { limit, order };
            let tuples = |part: &[(Option<i64>, Option<String>)]| -> Vec<Vec<Cell>> {
                part.iter().map(|(n, t)| vec![Cell::from(*n), t.clone().into()]).collect()
            };
            let mut want: Vec<Vec<Cell>> = parts.iter().flat_map(|part| tuples(part)).collect();
            want.sort_by(|a, b| first.compare(a, b));
            want.dedup();
            want.truncate(limit);
            let mut shares: Vec<Cell> = parts.iter()
                .map(|part| first.merge(Cell::Null, &Cell::Tuples(tuples(part)))).collect();
            if swap {
                shares.reverse();
            }
            let merged = shares.iter().fold(Cell::Null, |all, share| first.merge(all, share));
            prop_assert_eq!(merged.tuples(), want);
        }

        #[test]
        fn buckets_are_ordered_as_tuples_are(a in plain(), b in plain(), down in direction()) {
            let first = First { limit: 1, order: if down == Ascending { &[Ascending] } else { &[Descending] } };
            let is_one_type = std::mem::discriminant(&a) == std::mem::discriminant(&b);
            if is_one_type || a == Cell::Null || b == Cell::Null {
                let (a, b) = ([a], [b]);
                prop_assert!(first.compare(&a, &b).is_gt() || first.bucket(&a) <= first.bucket(&b));
            }
        }
    }
}
