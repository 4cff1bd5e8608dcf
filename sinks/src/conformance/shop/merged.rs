//! Views whose rows are merged of more than one sum: of decimals, of greatest and smallest values, with and without an
//! owner's part, an alert and indexes.
use super::{Dice, Log, Record, Shop, Supports, source_ts_ms};
use crate::{
    AlertWhen, Cell, Column, Condition, Expr, Index, IndexKey, Merge, Op, Type, View, Write,
};
use std::collections::BTreeMap;
use views::Decimal;

const fn int(name: &'static str) -> Column {
    Column::new(name, Type::Int)
}
const ID: &[Column] = &[int("product_id")];
const NAME: Column = Column::new("name", Type::Text);
const WORTH: Column = Column::new("worth", Type::Decimal);
/// Lines, units, worth, the most and the least units of a line.
const MERGE: &[Merge] = &[Merge::Sum, Merge::Sum, Merge::Sum, Merge::Max, Merge::Min];
const PARTS: [Column; 5] = [int("lines"), int("units"), WORTH, int("most"), int("least")];

pub(super) fn views() -> [View; 3] {
    [shelves(), cards(), tallies()]
}

/// With an alert: what is left of a product.
fn shelves() -> View {
    const SHOWN: &[Column] = &[
        int("base_stock"),
        int("left_over"),
        PARTS[0],
        PARTS[1],
        PARTS[2],
        PARTS[3],
        PARTS[4],
        int("low_stock"),
    ];
    let left = Expr::Own(0).minus(Expr::Total(1).or_zero());
    let mut shows = vec![Expr::Own(0), left.clone()];
    shows.extend((0..5).map(Expr::Total));
    shows.push(left.flag_below(10));
    View::rows(Shop::SHELVES, ID, const { &[int("base_stock")] })
        .with_totals(MERGE)
        .showing(SHOWN, shows)
        .existing(Condition::Known(Expr::Own(0)))
        .alerting(AlertWhen { flag: "low_stock", value: "left_over", table: "shelf_alerts" })
        .indexed(&[Index {
            name: "low-index",
            key: &[IndexKey::Column("low_stock"), IndexKey::Column("left_over")],
            shows: &["units"],
        }])
}

/// Without an alert. A product that has no name is not there for readers, though it has a row.
fn cards() -> View {
    const SHOWN: &[Column] = &[NAME, PARTS[0], PARTS[2], PARTS[3], PARTS[4]];
    let totals = [0, 2, 3, 4].map(Expr::Total);
    View::rows(Shop::CARDS, ID, const { &[NAME] })
        .with_totals(MERGE)
        .showing(SHOWN, [Expr::Own(0)].into_iter().chain(totals).collect())
        .existing(Condition::Known(Expr::Own(0)))
        .indexed(&[Index {
            name: "name-index",
            key: &[IndexKey::Lower { name: "name_lower", of: "name" }],
            shows: &["lines"],
        }])
}

/// Without an owner, and with an alert.
fn tallies() -> View {
    const SHOWN: &[Column] = &[PARTS[0], PARTS[1], PARTS[2], PARTS[3], PARTS[4], int("few")];
    let few = Expr::Total(1).flag_below(5);
    View::totals(Shop::TALLIES, ID, MERGE, &SHOWN[..5])
        .showing(SHOWN, (0..5).map(Expr::Total).chain([few]).collect())
        .alerting(AlertWhen { flag: "few", value: "units", table: "tally_alerts" })
}

/// The share of these lines.
pub(in crate::conformance) fn share(lines: &[i64]) -> Op {
    if lines.is_empty() {
        return Op::Share(vec![]);
    }
    let units: i64 = lines.iter().sum();
    let worth = Decimal::from_parts((units * 25).into(), 2);
    let [most, least] = [lines.iter().max(), lines.iter().min()].map(|of| of.copied().into());
    Op::Share(vec![(lines.len() as i64).into(), units.into(), worth.into(), most, least])
}

/// Gives each record writes of these views.
pub(super) fn writes(log: &mut Log, dice: &mut Dice, supports: &Supports) {
    if !supports.merged {
        return;
    }
    let (index, tag) = (i64::from(log.partition.index), log.tag);
    let mut lines: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for Record { offset, writes } in &mut log.records {
        let mut ask = |view, id: i64, op| {
            let (offset, key) = (*offset, vec![id.into()]);
            writes.push(Write { offset, source_ts_ms: source_ts_ms(offset), view, key, op });
        };
        match tag {
            'p' => {
                let id = dice.roll(4) as i64 * 2 + index;
                let name = [Cell::Null, "".into(), "Tea".into(), "größe".into()];
                let [shelf, card] = match dice.roll(4) {
                    0 => [Op::Delete, Op::Delete],
                    name_at => [
                        Op::Put(vec![(dice.roll(40) as i64).into()]),
                        Op::Put(vec![name[name_at as usize].clone()]),
                    ],
                };
                ask(Shop::SHELVES, id, shelf);
                ask(Shop::CARDS, id, card);
            }
            'o' => {
                let id = dice.roll(8) as i64;
                let of_id = lines.entry(id).or_default();
                match dice.roll(4) {
                    0 => of_id.clear(),
                    1 => drop(of_id.pop()),
                    _ => of_id.push(dice.roll(9) as i64 - 2),
                }
                for view in [Shop::SHELVES, Shop::CARDS, Shop::TALLIES] {
                    ask(view, id, share(of_id));
                }
            }
            _ => {}
        }
    }
}
