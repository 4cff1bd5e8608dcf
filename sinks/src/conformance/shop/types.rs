//! Views with a column of every type, and with keys of every type that a key may have.
use super::{Dice, Log, Record, Supports, source_ts_ms};
use crate::{Cell, Column, Float, List, Merge, Op, Type, View, Write};
use std::collections::BTreeMap;
use views::Decimal;

/// Rows with a column of every type, under keys of two columns.
const BY_BOOL: &str = "rows_by_bool";
const BY_DATE: &str = "rows_by_date";
const BY_BYTES: &str = "rows_by_bytes";
/// Rows under a key of all these types.
const BY_ALL: &str = "rows_by_all";
/// Totals under a key of which each column may be null, where the sink has such keys.
const EXTREMES: &str = "extremes";

const IS: Column = Column::new("is", Type::Bool);
const RATE: Column = Column::new("rate", Type::Float);
const DAY: Column = Column::new("day", Type::Date);
const WHO: Column = Column::new("who", Type::Uuid);
const HASH: Column = Column::new("hash", Type::Bytes);
const VALUE: Column = Column::new("value", Type::Float);

const EVERY: &[Column] = &[
    Column::new("an_int", Type::Int),
    Column::new("a_text", Type::Text),
    Column::new("a_decimal", Type::Decimal),
    Column::new("a_time", Type::Time),
    Column::new("words", Type::Words),
    Column::new("a_bool", Type::Bool),
    Column::new("a_float", Type::Float),
    Column::new("a_date", Type::Date),
    Column::new("a_uuid", Type::Uuid),
    Column::new("some_bytes", Type::Bytes),
    Column::new("some_json", Type::Json),
    Column::new("a_list", Type::List),
];

/// Rows with a column of every type, and rows under keys of every type.
pub fn rows() -> Vec<View> {
    vec![
        View::rows(BY_BOOL, const { &[IS, RATE] }, EVERY),
        View::rows(BY_DATE, const { &[DAY, WHO] }, EVERY),
        View::rows(BY_BYTES, const { &[HASH, IS] }, &[VALUE]),
        View::rows(BY_ALL, const { &[WHO, RATE, IS, DAY, HASH] }, &[VALUE]),
    ]
}

/// The greatest and smallest values of every type that has an order.
pub fn totals() -> View {
    use Merge::{Max, Min, Sum};
    const SHOWN: &[Column] = &[
        Column::new("rows", Type::Int),
        Column::new("max_rate", Type::Float),
        Column::new("min_rate", Type::Float),
        Column::new("max_day", Type::Date),
        Column::new("min_who", Type::Uuid),
        Column::new("max_hash", Type::Bytes),
        Column::new("max_list", Type::List),
        Column::new("ever", Type::Bool),
    ];
    let key = const { &[RATE, DAY, WHO, IS, HASH] };
    View::totals(EXTREMES, key, &[Sum, Max, Min, Max, Min, Max, Max, Max], SHOWN)
}

/// Gives each record writes into these views. A key lives in the partition of its number's parity.
pub(super) fn fill(log: &mut Log, dice: &mut Dice, supports: &Supports) {
    let (index, tag) = (u64::try_from(log.partition.index).unwrap_or_default(), log.tag);
    let mut counts: BTreeMap<Vec<Cell>, i64> = BTreeMap::new();
    for Record { offset, writes } in &mut log.records {
        let number = dice.roll(3) * 2 + index;
        let gone = dice.roll(4) == 0;
        let more = match tag {
            'p' if supports.rows => a_row(dice, number, gone),
            'd' if supports.totals => {
                let mut key = key_of_all(dice);
                if supports.null_keys {
                    key = key.into_iter().map(|cell| or_null(dice, 3, cell)).collect();
                }
                let count = counts.entry(key.clone()).or_default();
                *count = if gone { 0 } else { *count + 1 };
                vec![(EXTREMES, key, Op::Share(share(dice, *count)))]
            }
            _ => continue,
        };
        writes.extend(more.into_iter().map(|(view, key, op)| Write {
            offset: *offset,
            source_ts_ms: source_ts_ms(*offset),
            view,
            key,
            op,
        }));
    }
}

/// A write into one of the views of rows.
fn a_row(dice: &mut Dice, number: u64, gone: bool) -> Vec<(&'static str, Vec<Cell>, Op)> {
    let is = Cell::Bool(dice.roll(2) == 0);
    let (view, key) = match dice.roll(4) {
        0 => (BY_BOOL, vec![is, plain_float(dice, number)]),
        1 => (BY_DATE, vec![date(number), uuid(number)]),
        2 => (BY_BYTES, vec![Cell::Bytes(vec![0xff, number as u8, 0]), is]),
        _ => (BY_ALL, vec![uuid(number), float(dice), is, date(dice.roll(2)), bytes(dice)]),
    };
    let row = if matches!(view, BY_BOOL | BY_DATE) { every(dice) } else { vec![float(dice)] };
    vec![(view, key, if gone { Op::Delete } else { Op::Put(row) })]
}

/// A value of each type, in the order of the columns.
pub(super) fn every(dice: &mut Dice) -> Vec<Cell> {
    let decimal = Decimal::from_parts((dice.roll(100_000) as i64).into(), 2);
    let words = ["blue", "größe"][..dice.roll(3) as usize].iter().map(|word| (*word).to_owned());
    let json = ["{\"b\":  1, \"a\": [null]}", "null", "\"\\u00e9 \\\"\""][dice.roll(3) as usize];
    let row = vec![
        Cell::Int(i64::MIN + dice.roll(2) as i64),
        Cell::from(["", "/\\\u{1}", "茶"][dice.roll(3) as usize]),
        Cell::Decimal(decimal),
        Cell::Time(dice.roll(3) as i64 - 1),
        Cell::Words(words.collect()),
        Cell::Bool(dice.roll(2) == 0),
        float(dice),
        date(dice.roll(6)),
        uuid(dice.roll(6)),
        bytes(dice),
        Cell::Json(json.to_owned()),
        list(dice),
    ];
    let is_kept = |cell: &Cell| matches!(cell, Cell::Words(_));
    row.into_iter().map(|cell| if is_kept(&cell) { cell } else { or_null(dice, 6, cell) }).collect()
}

/// Any float: also those that no number of DynamoDB is.
fn float(dice: &mut Dice) -> Cell {
    const ALL: [f64; 9] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -0.0,
        0.0,
        f64::MAX,
        5e-324,
        0.1 + 0.2,
        -1.234_567_890_123_456_7e19,
    ];
    Cell::Float(Float::new(ALL[dice.roll(9) as usize]))
}
/// One that may be a key everywhere. `0` and `-0` are one key.
fn plain_float(dice: &mut Dice, number: u64) -> Cell {
    let number = match number {
        0 if dice.roll(2) == 0 => -0.0,
        number => number as f64 * 0.1,
    };
    Cell::Float(Float::new(number))
}
fn date(number: u64) -> Cell {
    Cell::Date([-719_162, 0, -1, 19_849, 2_932_896, 1][number as usize % 6])
}
fn uuid(number: u64) -> Cell {
    let mut uuid = *b"\xff23456789abcdef\0";
    uuid[15] = number as u8;
    Cell::Uuid(uuid)
}
fn bytes(dice: &mut Dice) -> Cell {
    Cell::Bytes([&b""[..], b"\0", b"\0\xff/", b"\\x"][dice.roll(4) as usize].to_vec())
}
fn list(dice: &mut Dice) -> Cell {
    let texts = [None, Some(""), Some("a,\"b\"\\"), Some("é")];
    let length = dice.roll(4);
    let pick = |_| texts[dice.roll(4) as usize].map(str::to_owned);
    Cell::List(List((0..length).map(pick).collect()))
}

fn key_of_all(dice: &mut Dice) -> Vec<Cell> {
    let number = dice.roll(2);
    vec![
        plain_float(dice, number),
        date(number),
        uuid(number),
        Cell::Bool(dice.roll(2) == 0),
        bytes(dice),
    ]
}
/// Null once in so many times.
fn or_null(dice: &mut Dice, times: u64, cell: Cell) -> Cell {
    if dice.roll(times) == 0 { Cell::Null } else { cell }
}
fn share(dice: &mut Dice, count: i64) -> Vec<Cell> {
    if count == 0 {
        return [vec![Cell::Int(0)], vec![Cell::Null; 7]].concat();
    }
    let is = Cell::Bool(dice.roll(2) == 0);
    let day = date(dice.roll(6));
    let who = uuid(dice.roll(6));
    vec![Cell::Int(count), float(dice), float(dice), day, who, bytes(dice), list(dice), is]
}
