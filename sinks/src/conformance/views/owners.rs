//! One primary key in two partitions: the row stays its owner's, the other partition stops and says why.
use super::{super::shop::Log, Process, Suite};
use crate::{
    Batch, Cell, Op, SinkError, TwoOwners, View,
    conformance::{
        Backend,
        shop::{Rows, Shop, Supports, merged, partitions, uuid},
    },
};
use std::collections::BTreeSet;
use views::Decimal;

const TOLD: &str = "one key in two partitions";
/// What a sentence must not show.
const KEY: i64 = 777_001;
const NAME: &str = "a hidden name";

fn put(view: &'static str, stock: i64) -> Op {
    let (name, price) = (Cell::from(NAME), Cell::Decimal(Decimal::from_parts(1950.into(), 2)));
    Op::Put(match view {
        Shop::STOCK => vec![name, price, stock.into()],
        Shop::BINS | Shop::SHELVES => vec![stock.into()],
        Shop::MEMBERS => vec![format!("{NAME} {stock}").into()],
        _ => vec![name, Cell::from(""), price, Cell::Null, Cell::Words(BTreeSet::new())],
    })
}
/// Keys of several columns differ in one of them only.
fn key(view: &str, number: i64) -> Vec<Cell> {
    match view {
        Shop::BINS => vec![NAME.into(), number.into(), NAME.into()],
        Shop::MEMBERS => vec![NAME.into(), uuid(number).into()],
        _ => vec![number.into()],
    }
}

impl<M: AsyncFn(&str) -> Backend, R: AsyncFn(&str, &View) -> Rows> Suite<M, R> {
    /// Rows that say nothing but that they are there need not show whose they are: they come with one that does.
    pub(super) async fn one_key_two_partitions(&self) {
        let Supports { stock, rows, merged, .. } = self.supports;
        let supported = [
            (stock, Shop::STOCK),
            (rows, Shop::INDEX),
            (stock, Shop::BINS),
            (rows, Shop::MEMBERS),
            (merged, Shop::SHELVES),
        ];
        for (_, view) in supported.into_iter().filter(|view| view.0) {
            for deleted in [false, true] {
                for second in [put(view, 40), Op::Delete] {
                    self.second_owner(view, deleted, second).await;
                }
            }
        }
    }

    /// The owner's row, `deleted` or not, and what the other partition's first record asks of it.
    async fn second_owner(&self, view: &'static str, deleted: bool, second: Op) {
        let is_put = matches!(second, Op::Put(_));
        let name = format!("two-owners-{view}-{deleted}-{is_put}");
        let told = format!("{TOLD}, {view}, deleted: {deleted}, put: {is_put}");
        let [owner, other, sales, ..] = &partitions()[..] else { unreachable!("six of them") };
        let mut logs = [
            Log::new(owner.clone(), 'p', 3),
            Log::new(other.clone(), 'p', 5),
            Log::new(sales.clone(), 'o', 0),
        ];
        let share = match view {
            Shop::STOCK | Shop::BINS => Some(Op::Share(vec![7.into()])),
            Shop::SHELVES => Some(merged::share(&[7])),
            _ => None,
        };
        if let Some(share) = share {
            logs[2].push(1, vec![(view, key(view, KEY), share)]);
        }
        logs[0].push(1, vec![(view, key(view, KEY), put(view, 30))]);
        if deleted {
            logs[0].push(1, vec![(view, key(view, KEY), Op::Delete)]);
        }
        let mut astray = Log::new(other.clone(), 'p', 5);
        let elsewhere: i64 = KEY + 1;
        astray.push(2, vec![(view, key(view, elsewhere), put(view, 50))]);
        astray.push(2, vec![(view, key(view, KEY), second)]);
        astray.push(2, vec![(view, key(view, KEY), put(view, 60))]);

        // A partition's share of the row makes it nobody's.
        let mut process = self.process(&name, &logs, None).await;
        let length = logs[2].records.len();
        if length > 0 {
            process.commit(&told, 2, &logs[2].cut(0, length, &[])).await;
        }
        for _ in 0..2 {
            process.commit(&told, 0, &logs[0].cut(0, logs[0].records.len(), &[])).await;
        }
        // From one process and from another, with what came before in the batch and without, however often.
        for _ in 0..2 {
            for _ in 0..2 {
                stops(&told, &process, &astray.cut(0, 3, &[]), astray.records[1].offset).await;
            }
            process = self.process(&name, &logs, None).await;
        }
        assert_eq!(process.at[1], 0, "{told}: the position moved");
        // What came before stands, or can be made to.
        logs[1].records.extend(astray.records.drain(..1));
        process.commit(&told, 1, &logs[1].cut(0, 1, &[])).await;
        astray.begin = logs[1].place(1);
        stops(&told, &process, &astray.cut(0, 2, &[]), astray.records[0].offset).await;
        self.check_views(&told, &name, &logs).await;

        // The owner goes on.
        for (record, op) in [put(view, 20), Op::Delete, put(view, 10)].into_iter().enumerate() {
            let from = logs[0].records.len();
            logs[0].push(record as i64, vec![(view, key(view, KEY), op)]);
            let process = self.process(&name, &logs, None).await;
            process.commit(&told, 0, &logs[0].cut(from, from + 1, &[])).await;
        }
        let process = self.process(&name, &logs, None).await;
        stops(&told, &process, &astray.cut(0, 1, &[]), astray.records[0].offset).await;
        self.check_end(&told, &name, &logs).await;
    }
}

async fn stops(told: &str, process: &Process, batch: &Batch, offset: i64) {
    let error = match process.committer.commit(&*process.lanes[1], batch, &[]).await {
        Err(SinkError::Fatal(error)) => error,
        Err(other) => panic!("{told}: expected Fatal, got: {other}"),
        Ok(_) => panic!("{told}: a second owner's write was taken"),
    };
    let text = format!("{error:#}");
    let Some(found) = error.downcast_ref::<TwoOwners>() else {
        panic!("{told}: expected TwoOwners, got: {text}")
    };
    let view = batch.writes.last().map(|write| write.view);
    assert_eq!(Some(found.view.as_str()), view, "{told}: the view");
    let place = (&found.partition, found.offset);
    assert_eq!(place, (&batch.partition, offset), "{told}: the record that asked");
    assert_eq!(found.owner, partitions()[0].to_string(), "{told}: the owner");
    for named in [&found.view, &found.partition.to_string(), &offset.to_string(), &found.owner] {
        assert!(text.contains(named.as_str()), "{told}: {named} is not in: {text}");
    }
    for value in [KEY.to_string().as_str(), uuid(KEY).as_str(), NAME] {
        assert!(!text.contains(value), "{told}: a sentence must not hold the value: {text}");
    }
}
