//! What a transactional store keeps of one key of one view, and what a write does to it. Pure: no I/O, no clock.
#![deny(clippy::disallowed_methods)]

use crate::{Alert, Batch, Cell, Failed, Op, Partition, Refusal, SinkError, View, Write};
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap, hash_map::Entry};

/// Number of a lane within a store: partitions are told apart by it inside a part.
pub(super) type LaneId = i64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub own: Option<Vec<Cell>>,
    pub shares: BTreeMap<LaneId, Vec<Cell>>,
    /// The newest source commit time of all writes that ever touched the key, ms since 1970.
    pub source_ts_ms: i64,
    /// The row as people see it.
    pub shown: Option<Vec<Cell>>,
}

impl Part {
    /// Carries out one write. The alert, if the row as shown turned to one that raises it.
    ///
    /// # Errors
    /// There is no right row: see [`View::row`].
    pub fn apply(
        &mut self,
        view: &View,
        lane: LaneId,
        partition: &Partition,
        asked: &Asked<'_>,
    ) -> Result<Option<Alert>, SinkError> {
        let write = asked.write;
        let was_alerting = view.is_alerting(self.shown.as_deref());
        match &write.op {
            Op::Put(own) => self.own = Some(own.clone()),
            Op::Delete => self.own = None,
            Op::Share(share) if view.is_nothing(share) => {
                self.shares.remove(&lane);
            }
            Op::Share(share) => {
                self.shares.insert(lane, share.clone());
            }
        }
        self.source_ts_ms = self.source_ts_ms.max(asked.source_ts_ms);
        self.show(view).map_err(|failed| {
            let offset = write.offset;
            SinkError::fatal(anyhow::anyhow!(
                "{partition} offset {offset}: {}",
                failed.with_advice()
            ))
        })?;
        let crosses = !was_alerting && view.is_alerting(self.shown.as_deref());
        Ok(crosses.then(|| Alert {
            name: Alert::name(&Alert::cause(&partition.to_string(), write.offset), &write.key),
            key: write.key.clone(),
            value: view.alert_value(self.shown.as_deref()),
        }))
    }

    /// Makes the shown row of the parts.
    ///
    /// # Errors
    /// Those of [`View::row`].
    pub fn show(&mut self, view: &View) -> Result<(), Failed> {
        self.shown = view.row(self.own.as_deref(), self.shares.values().map(Vec::as_slice))?;
        Ok(())
    }

    /// Nothing in it that a later write needs. The part of a row with owner and shares stays for good: shares outlive and
    /// precede their owner, and `source_ts_ms` would otherwise depend on which partition came first.
    pub fn is_spent(&self, view: &View) -> bool {
        !view.is_star() && self.own.is_none() && self.shares.is_empty()
    }
}

/// What a batch asks of one key of one view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Index of the view.
    pub at: usize,
    pub write: &'a Write,
    /// The newest of the writes that this one stands for, ms since 1970.
    pub source_ts_ms: i64,
    /// The first of them.
    pub first: &'a Write,
}

/// Of the writes that stand (in offset order, with the index of their view), those that count, in the order in which
/// their keys were first written: a key's last one. All of a view with alerts: each of them may raise one.
pub(super) fn coalesce<'a>(views: &[View], writes: &[(usize, &'a Write)]) -> Vec<Asked<'a>> {
    let mut all: Vec<Asked<'a>> = Vec::with_capacity(writes.len());
    let mut places: HashMap<(usize, &[Cell]), usize, RandomState> = HashMap::default();
    for (at, write) in writes.iter().copied() {
        let asked = Asked { at, write, source_ts_ms: write.source_ts_ms, first: write };
        if views[at].alert.is_some() {
            all.push(asked);
            continue;
        }
        match places.entry((at, write.key.as_slice())) {
            Entry::Vacant(place) => {
                place.insert(all.len());
                all.push(asked);
            }
            Entry::Occupied(place) => {
                let known = &mut all[*place.get()];
                let source_ts_ms = known.source_ts_ms.max(write.source_ts_ms);
                *known = Asked { write, source_ts_ms, ..*known };
            }
        }
    }
    all
}

/// Whether the write says whose the row is. Rows without columns say nothing but that they are there: they come and go
/// with a row that has some, in the same transaction, and that one shows it.
pub(super) fn names_owner(view: &View, write: &Write) -> bool {
    matches!(write.op, Op::Put(_) | Op::Delete) && view.own.is_some_and(|own| !own.is_empty())
}

/// The writes that stand, with the index of their view. Writes that can never be made are refused together, unless
/// their record is dead-lettered already: then they are left out. A store without views keeps none.
pub(super) fn admit<'a>(
    views: &[View],
    batch: &'a Batch,
    value_bytes_max: usize,
) -> Result<Vec<(usize, &'a Write)>, SinkError> {
    if views.is_empty() {
        return Ok(vec![]);
    }
    let (mut stand, mut refused) = (Vec::with_capacity(batch.writes.len()), vec![]);
    for write in &batch.writes {
        let at = views.iter().position(|view| view.name == write.view).ok_or_else(|| {
            fault(
                batch,
                write,
                "this store was opened without that view: give it all of the service's views",
            )
        })?;
        check_shape(&views[at], batch, write)?;
        match refusal(&views[at], write, value_bytes_max) {
            None => stand.push((at, write)),
            Some(_) if batch.dead_lettered.contains(&write.offset) => {}
            Some(reason) => refused.push(Refusal { offset: write.offset, reason }),
        }
    }
    if refused.is_empty() { Ok(stand) } else { Err(SinkError::Refused(refused)) }
}

/// A write that does not fit its view is a bug in the handler: no dead letter, nothing is guessed.
fn check_shape(view: &View, batch: &Batch, write: &Write) -> Result<(), SinkError> {
    let puts = view.own.map(<[_]>::len);
    let shares = Some(view.totals.len()).filter(|columns| *columns > 0);
    let fits = match &write.op {
        Op::Put(own) => Some(own.len()) == puts,
        Op::Delete => puts.is_some(),
        // An empty share: none any more.
        Op::Share(share) => {
            shares.is_some_and(|columns| share.is_empty() || share.len() == columns)
        }
    };
    if fits && write.key.len() == view.key.len() {
        return Ok(());
    }
    Err(fault(batch, write, "the write has another shape than the view: please report this bug"))
}

fn fault(batch: &Batch, write: &Write, what: &str) -> SinkError {
    SinkError::fatal(anyhow::anyhow!(
        "{} offset {}, view {}: {what}",
        batch.partition,
        write.offset,
        write.view
    ))
}

fn refusal(view: &View, write: &Write, value_bytes_max: usize) -> Option<String> {
    let too_large = |cell: &Cell| cell.size() > value_bytes_max;
    let null_key = !view.is_totals();
    for (column, cell) in view.key.iter().zip(&write.key) {
        if too_large(cell) {
            return Some(reason(view, column.name, cell.size(), value_bytes_max));
        }
        if null_key && *cell == Cell::Null {
            return Some(format!("{}.{}: a key must not be null", view.name, column.name));
        }
    }
    match &write.op {
        Op::Put(cells) => {
            cells.iter().enumerate().find(|(_, cell)| too_large(cell)).map(|(at, cell)| {
                let own = view.own.unwrap_or_default();
                let name = own.get(at).map_or("?", |column| column.name);
                reason(view, name, cell.size(), value_bytes_max)
            })
        }
        Op::Share(cells) => cells
            .iter()
            .find(|cell| too_large(cell))
            .map(|cell| reason(view, "a total", cell.size(), value_bytes_max)),
        Op::Delete => None,
    }
}

fn reason(view: &View, column: &str, bytes: usize, bytes_max: usize) -> String {
    format!("{}.{column}: {bytes} bytes, at most {bytes_max} are kept", view.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertWhen, Column, Condition, Expr, Merge, Type, dynamodb::keyed};

    const BASE: Column = Column::new("base", Type::Int);

    /// A row and a sum, which raises an alert below 10.
    fn stock(name: &'static str, key: &'static [Column]) -> View {
        let left = Expr::Own(0).minus(Expr::Total(0).or_zero());
        let columns = const { &[Column::new("left", Type::Int), Column::new("low", Type::Int)] };
        View::rows(name, key, &[BASE])
            .with_totals(&[Merge::Sum])
            .showing(columns, vec![left.clone(), left.flag_below(10)])
            .existing(Condition::Known(Expr::Own(0)))
            .alerting(AlertWhen { flag: "low", value: "left", table: "alerts" })
    }

    /// The name of the alert that a store raises when a product of this key is first seen, low on stock.
    fn raised(key: &'static [Column], cells: Vec<Cell>) -> String {
        let view = stock("stock", key);
        let row = vec![3.into()];
        let write =
            Write { offset: 7, source_ts_ms: 0, view: "stock", key: cells, op: Op::Put(row) };
        let partition = Partition::new("shop.public.products", 2);
        let asked = Asked { at: 0, write: &write, source_ts_ms: 0, first: &write };
        Part::default().apply(&view, 0, &partition, &asked).expect("a row").expect("an alert").name
    }
    /// In DynamoDB: the item keeps the writer's half of it.
    fn kept_on_items(cells: &[Cell]) -> String {
        let shape = keyed::Shape::Row(keyed::Row::default());
        let source = "shop.public.products/2";
        let writer = keyed::Writer { shape: &shape, generation: 1, entry: "p2", source, now_ms: 0 };
        assert_eq!(
            writer.alert(7),
            "shop.public.products/2/7",
            "kept on items of running services"
        );
        Alert::name(&writer.alert(7), cells)
    }

    #[test]
    fn the_last_write_of_a_key_stands_for_all_but_where_each_may_be_an_alert() {
        let key = const { &[Column::new("id", Type::Int)] };
        let views = [View::rows("rows", key, &[]), stock("stock", key)];
        let write = |offset, source_ts_ms, at: usize, id: i64, op| {
            (at, Write { offset, source_ts_ms, view: views[at].name, key: vec![id.into()], op })
        };
        let share = |n: i64| Op::Share(vec![n.into()]);
        let writes = [
            write(1, 9, 0, 1, Op::Put(vec![])),
            write(2, 5, 1, 1, share(1)),
            write(3, 5, 0, 2, Op::Delete),
            write(4, 7, 0, 1, Op::Delete),
            write(5, 5, 1, 1, share(2)),
        ];
        let standing: Vec<(usize, &Write)> =
            writes.iter().map(|(at, write)| (*at, write)).collect();
        let found = coalesce(&views, &standing);
        let said = |asked: &Asked<'_>| {
            (asked.at, asked.first.offset, asked.write.offset, asked.source_ts_ms)
        };
        let found: Vec<_> = found.iter().map(said).collect();
        assert_eq!(found, [(0, 1, 4, 9), (1, 2, 2, 5), (0, 3, 3, 5), (1, 5, 5, 5)]);
    }

    #[test]
    fn an_alert_has_one_name_in_all_sinks() {
        let one = const { &[Column::new("product_id", Type::Int)] };
        let two =
            const { &[Column::new("shop", Type::Text), Column::new("product_id", Type::Int)] };
        let cases: [(&'static [Column], Vec<Cell>, &str); 3] = [
            // As every version has stored it: never to be changed.
            (one, vec![42.into()], "shop.public.products/2/7/42"),
            (two, vec!["north".into(), 42.into()], "shop.public.products/2/7/north/42"),
            (two, vec!["a/b\\".into(), 42.into()], "shop.public.products/2/7/a\\/b\\\\/42"),
        ];
        for (key, cells, name) in cases {
            assert_eq!(raised(key, cells.clone()), name);
            assert_eq!(kept_on_items(&cells), name);
        }
        assert_eq!(crate::key_text(&["a/b\\".into()]), "a/b\\", "one column, as it is");
    }
}
