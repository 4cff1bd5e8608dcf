//! An item that was removed and made anew: what was aimed at the first one must not reach the second.
use super::{
    bugs::{Bug, planted},
    source::{Key, TALLIES},
    table::{Failure, Table},
};
use sinks::{
    Cell, Decimal, Op, Write,
    dynamodb::{
        keyed::{Ask, Merged, Shape, Step, Writer},
        request::{Item, Request},
    },
};

const KEY: Key = Key::Tally(1);

/// What the partition sends for this share of so many lines of one unit each, seeing this item.
fn request(entry: &str, offset: i64, lines: i64, seen: Option<&Item>) -> Request {
    let shape = Shape::Merged(Box::new(Merged::of(&TALLIES).expect("few columns")));
    let writer = Writer { shape: &shape, generation: 1, entry, source: entry, now_ms: 0 };
    let worth = Decimal::from_parts((lines * 25).into(), 2);
    let one = Cell::from((lines > 0).then_some(1));
    let largest = one.int().map_or(Cell::Null, |one| Cell::Tuples(vec![vec![one.into()]]));
    let op = Op::Share(vec![lines.into(), lines.into(), worth.into(), one.clone(), one, largest]);
    let mut ask = Ask::default();
    let write = Write { offset, source_ts_ms: 0, view: "tallies", key: vec![1.into()], op };
    ask.add(&shape, &write).expect("any share");
    let seen = seen.map(|item| writer.sight(item).expect("an item of ours"));
    match writer.next(&mut ask, seen.as_ref()) {
        Step::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

/// Whether the late request is stored in the item's second life, which counts as many writes as the first.
fn reaches_the_second_life(bug: Bug) -> bool {
    let mut table = Table::default();
    let mut write = |entry: &str, offset: i64, lines: i64, seen: Option<&Item>| {
        let request = request(entry, offset, lines, seen);
        table.carry_out(KEY, &request, entry).ok().expect("as it was seen")
    };
    let first = write("o1", 0, 1, None);
    let empty = write("o1", 1, 0, Some(&first));
    let late = planted(bug, KEY, "o0", request("o0", 5, 2, Some(&empty)));
    table.items.remove(&KEY);
    let mut write = |entry: &str, offset: i64, lines: i64, seen: Option<&Item>| {
        let request = request(entry, offset, lines, seen);
        table.carry_out(KEY, &request, entry).ok().expect("as it was seen")
    };
    let first = write("o2", 7, 3, None);
    let second = write("o2", 8, 4, Some(&first));
    assert_eq!(second["v"], empty["v"]);
    match table.carry_out(KEY, &late, "o0") {
        Ok(_) => true,
        Err(Failure::Condition(item)) => {
            assert_eq!(item, Some(second));
            false
        }
        Err(Failure::Refused) => panic!("refused"),
    }
}

#[test]
fn a_count_of_writes_is_not_taken_for_that_of_another_life() {
    assert!(!reaches_the_second_life(Bug::None));
    assert!(reaches_the_second_life(Bug::WitnessNotInCondition));
}
