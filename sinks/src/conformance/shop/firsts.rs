//! A view of the first tuples of each key, of values of every type: its shares are larger than others, and hold tuples.
use super::{Dice, Log, Record, Supports, source_ts_ms, types};
use crate::{
    Cell, Column, Direction, Expr, First, JsonItem, Merge, Op, Type, View, Write, canonical_key,
};
use std::collections::BTreeMap;

const FIRSTS: &str = "first_things";
const FIRST: First = First {
    limit: 3,
    order: {
        use Direction::{Ascending, Descending};
        &[Descending, Ascending, Ascending, Descending, Ascending]
    },
};

/// What is shown of a key: how many rows and tuples there are, the first values as texts, as JSON, and one alone.
pub fn view() -> View {
    const SHOWN: &[Column] = &[
        Column::new("rows", Type::Int),
        Column::new("tuples", Type::Int),
        Column::new("firsts", Type::List),
        Column::new("things", Type::Json),
        Column::new("one", Type::Int),
    ];
    let tuples = || Expr::Total(1);
    let object = JsonItem::Object(vec![("a", 1), ("b \"2\"", 2), ("c", 3), ("d", 4)]);
    let shows = vec![
        Expr::Total(0),
        tuples().tuple_count(),
        tuples().tuple_texts(0),
        tuples().tuple_json(object),
        tuples().tuple_value(0, 0),
    ];
    let key = const { &[Column::new("place", Type::Int)] };
    View::totals(FIRSTS, key, &[Merge::Sum, Merge::First(FIRST)], SHOWN).showing(SHOWN, shows)
}

/// Gives each record a write into this view. Any partition may have a share of any key.
pub(super) fn fill(log: &mut Log, dice: &mut Dice, supports: &Supports) {
    if log.tag != 'd' || !supports.totals {
        return;
    }
    let mut things: BTreeMap<i64, Vec<Vec<Cell>>> = BTreeMap::new();
    for Record { offset, writes } in &mut log.records {
        let key = dice.roll(3) as i64;
        let of_key = things.entry(key).or_default();
        match dice.roll(6) {
            0 => of_key.clear(),
            1 => drop(of_key.pop()),
            _ => of_key.push(tuple(dice)),
        }
        let first = FIRST.merge(Cell::Null, &Cell::Tuples(of_key.clone()));
        let offset = *offset;
        writes.push(Write {
            offset,
            source_ts_ms: source_ts_ms(offset),
            view: FIRSTS,
            key: vec![key.into()],
            op: Op::Share(vec![Cell::Int(of_key.len() as i64), first]),
        });
    }
}

/// A whole number, which is often the same or null, then values of any types. Equal numbers have one form, as a plan makes it.
fn tuple(dice: &mut Dice) -> Vec<Cell> {
    let number = [Cell::Null, 7.into(), (-1).into(), 300.into()][dice.roll(4) as usize].clone();
    let every = types::every(dice);
    // Of each three types one.
    let from = dice.roll(3) as usize;
    let values = every.into_iter().skip(from).step_by(3);
    let tuple: Vec<Cell> = [number].into_iter().chain(values).collect();
    canonical_key(&tuple).into_owned()
}
