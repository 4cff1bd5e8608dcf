//! Which shape the items of a view have.
use super::{
    key::{self, SORT_KEY},
    keyed::{self, Shape},
};
use crate::{Condition, Expr, IndexKey, Merge, SinkError, Type, View};
use anyhow::anyhow;

/// What the items of a view look like. An error names the view that no item can hold, and says why.
pub(super) fn shape_of(view: &View) -> Result<Shape, SinkError> {
    let names: Vec<&'static str> = view.columns.iter().map(|column| column.name).collect();
    let wrong = |why: &str| {
        Err(SinkError::Fatal(anyhow!("view `{}` cannot be kept in DynamoDB: {why}", view.name)))
    };
    if let Some(why) = view.unfit() {
        return wrong(&why);
    }
    let shape = if is_as_written(view) {
        let indexed = view.indexes.iter().flat_map(|index| index.key).copied().collect();
        Shape::Row(keyed::Row { columns: names, indexed })
    } else if let Some(sum) = view.own.and_then(|own| sum_of(view, own.len(), view.totals)) {
        Shape::Sum(sum)
    } else {
        match keyed::Merged::of(view) {
            Ok(merged) => Shape::Merged(Box::new(merged)),
            Err(why) => return wrong(&why),
        }
    };
    match names_of(view).find(|name| is_ours(view, &shape, name)) {
        Some(name) => wrong(&format!("column `{name}` is ours")),
        None => Ok(shape),
    }
}

/// Whether an owner's part is the row that people see, and raises no alert.
fn is_as_written(view: &View) -> bool {
    let shown = view.shows.iter().enumerate();
    view.is_rows()
        && view.own == Some(view.columns)
        && shown.into_iter().all(|(at, shown)| *shown == Expr::Own(at))
        && view.exists == Condition::Always
        && view.alert.is_none()
}

/// Every attribute that the view itself asks for: of its columns, and of its indexes.
fn names_of(view: &View) -> impl Iterator<Item = &'static str> {
    let columns = view.key.iter().chain(view.columns).map(|column| column.name);
    columns.chain(made_by(view))
}
/// The attributes that indexes are made by, beside those of columns.
fn made_by(view: &View) -> impl Iterator<Item = &'static str> {
    view.indexes.iter().flat_map(|index| index.key).filter_map(IndexKey::made)
}
/// Whether items have an attribute of this name that says something else.
fn is_ours(view: &View, shape: &Shape, name: &str) -> bool {
    const ALWAYS: [&str; 8] = [
        keyed::GEN,
        keyed::AT,
        keyed::OWN,
        keyed::LIVE,
        keyed::EXPIRES,
        keyed::DUE,
        keyed::CHANGED,
        keyed::UPDATED,
    ];
    let is_column = || view.key.iter().chain(view.columns).any(|column| column.name == name);
    ALWAYS.contains(&name)
        || name == SORT_KEY && key::is_joined(view)
        || shape.has_entries() && keyed::is_entry(name)
        || matches!(shape, Shape::Merged(_)) && [keyed::VERSION, keyed::OWN_PART].contains(&name)
        || made_by(view).any(|made| made == name) && is_column()
}

/// The columns are the owner's `own`, the sum, the quantity and the flag; anything else cannot be written as a
/// difference to what stands there.
fn sum_of(view: &View, own: usize, totals: &[Merge]) -> Option<keyed::Sum> {
    let names: Vec<&'static str> = view.columns.iter().map(|column| column.name).collect();
    let (as_written, made) = view.shows.split_at_checked(own)?;
    let [sum, quantity, Expr::When(condition, _)] = made else { return None };
    let Condition::Below(flagged, below) = condition.as_ref() else { return None };
    let Condition::Known(Expr::Own(base)) = &view.exists else { return None };
    let (base, alert) = (*base, view.alert?);
    let [sum_name, quantity_name, flag_name] = *names.get(own..)? else { return None };
    let is_sum = *sum == Expr::Total(0).or_zero() && totals == [Merge::Sum];
    let is_less_sum = *quantity == Expr::Own(base).minus(sum.clone());
    let fits = as_written.iter().enumerate().all(|(at, shown)| *shown == Expr::Own(at))
        && is_sum
        && (is_less_sum || *quantity == Expr::Own(base))
        && flagged == quantity
        && base < own
        && view.columns[base].kind == Type::Int
        && (alert.flag, alert.value) == (flag_name, quantity_name);
    fits.then(|| keyed::Sum {
        columns: names[..own].to_vec(),
        base,
        sum: sum_name,
        quantity: quantity_name,
        is_less_sum,
        flag: flag_name,
        below: *below,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AlertWhen, Column, Index, conformance::shop};

    const ID: Column = Column::new("id", Type::Int);
    const SEATS: Column = Column::new("seats", Type::Int);
    const TITLE: Column = Column::new("title", Type::Text);

    /// Seats that are left of an event, by columns that no shop has.
    fn events(quantity: Expr, below: i64) -> View {
        const SHOWN: &[Column] = &[
            SEATS,
            TITLE,
            Column::new("taken", Type::Int),
            Column::new("left", Type::Int),
            Column::new("nearly_full", Type::Int),
        ];
        let taken = Expr::Total(0).or_zero();
        let flag = quantity.clone().flag_below(below);
        View::rows("events", &[ID], const { &[SEATS, TITLE] })
            .with_totals(&[Merge::Sum])
            .showing(SHOWN, vec![Expr::Own(0), Expr::Own(1), taken, quantity, flag])
            .existing(Condition::Known(Expr::Own(0)))
            .alerting(AlertWhen { flag: "nearly_full", value: "left", table: "alerts" })
    }
    fn left() -> Expr {
        Expr::Own(0).minus(Expr::Total(0).or_zero())
    }
    fn refused(view: &View) -> String {
        match shape_of(view) {
            Err(SinkError::Fatal(why)) => why.to_string(),
            other => panic!("{:?} was taken: {other:?}", view.name),
        }
    }

    #[test]
    fn any_row_with_one_sum_is_taken_whatever_its_columns_are_called() {
        let Ok(Shape::Sum(sum)) = shape_of(&events(left(), 5)) else { panic!("a sum") };
        assert_eq!(sum.columns, ["seats", "title"]);
        assert_eq!((sum.base_name(), sum.sum, sum.quantity), ("seats", "taken", "left"));
        assert_eq!((sum.flag, sum.below, sum.is_less_sum), ("nearly_full", 5, true));
        let Ok(Shape::Sum(sum)) = shape_of(&events(Expr::Own(0), 5)) else { panic!("a sum") };
        assert!(!sum.is_less_sum, "the quantity is the column itself");
        for view in [shop::stock(true, 10), shop::stock(false, 10)] {
            assert!(matches!(shape_of(&view), Ok(Shape::Sum(_))));
        }
        for view in [shop::index(), shop::tokens()] {
            assert!(matches!(shape_of(&view), Ok(Shape::Row(_))));
        }
    }

    #[test]
    fn what_cannot_be_written_as_a_difference_is_merged() {
        let totals = View::totals("events", &[ID], &[Merge::Sum], &[SEATS]);
        let hidden = View::rows("events", &[ID], &[SEATS]).existing(Condition::Known(Expr::Own(0)));
        let mut odd: Vec<View> = vec![
            totals,
            hidden,
            events(Expr::Own(1).minus(Expr::Total(0).or_zero()), 5), // the flag's base is another column
            events(Expr::Total(0).or_zero(), 5),
            events(left(), 5).with_totals(&[Merge::Max]),
            events(left(), 5).with_totals(&[Merge::Sum, Merge::Sum]),
            events(left(), 5).existing(Condition::Always),
            events(left(), 5).existing(Condition::Known(Expr::Own(1))), // text is no base
            events(left(), 5).alerting(AlertWhen {
                flag: "left",
                value: "nearly_full",
                table: "alerts",
            }),
            // Rows alone raise no alerts.
            View::rows("events", &[ID], const { &[SEATS, TITLE] }).alerting(AlertWhen {
                flag: "title",
                value: "seats",
                table: "alerts",
            }),
        ];
        let mut silent = events(left(), 5);
        silent.alert = None;
        let mut swapped = events(left(), 5);
        swapped.shows.swap(0, 1);
        odd.extend([silent, swapped]);
        for view in &odd {
            assert!(matches!(shape_of(view), Ok(Shape::Merged(_))), "{view:?}");
        }
    }

    #[test]
    fn what_can_be_no_item_is_refused_by_name() {
        assert!(refused(&View::rows("events", &[], &[ID])).contains("no key column"));
        assert!(refused(&View::rows("events", &[ID], &[ID])).contains("`id` twice"));
        let totals = |columns| View::totals("events", &[ID], &[Merge::Sum], columns);
        const OURS: &[&[Column]] = &[
            &[Column::new("v", Type::Int)],
            &[Column::new("own_part", Type::Int)],
            &[Column::new("live", Type::Int)],
            &[Column::new("o63", Type::Int)],
        ];
        for columns in OURS {
            let why = refused(&totals(columns));
            assert!(why.contains(&format!("column `{}` is ours", columns[0].name)), "{why}");
        }
        let name = |at: usize| &*format!("c_{at}").leak();
        let wide = |columns| (0..columns).map(|at| Column::new(name(at), Type::Int)).collect();
        let of = |columns: Vec<Column>| totals(columns.leak());
        let why = refused(&of(wide(253)));
        assert!(why.contains("253 columns, and one update sets 252 at most"), "{why}");
        assert!(matches!(shape_of(&of(wide(252))), Ok(Shape::Merged(_))));
    }

    #[test]
    fn columns_that_items_have_for_themselves_are_refused_by_name() {
        const OURS: &[Column] = &[Column::new("gen", Type::Int)];
        const AT: &[Column] = &[Column::new("at", Type::Int)];
        const UPDATED: &[Column] = &[Column::new("updated_at", Type::Time)];
        const JOINED: &[Column] = &[Column::new("sort_key", Type::Text)];
        const WIDE: &[Column] = &[ID, SEATS, TITLE];
        for (key, columns, name) in [
            (&[ID][..], OURS, "gen"),
            (AT, &[], "at"),
            (&[ID], UPDATED, "updated_at"),
            (WIDE, JOINED, "sort_key"),
        ] {
            let why = refused(&View::rows("events", key, columns));
            assert!(why.contains(&format!("column `{name}` is ours")), "{why}");
        }
        for (key, columns) in [(WIDE, &[][..]), (&[ID], JOINED)] {
            assert!(shape_of(&View::rows("events", key, columns)).is_ok());
        }
        let mut entry = events(left(), 5);
        entry.key = const { &[Column::new("p0", Type::Int)] };
        assert!(refused(&entry).contains("column `p0` is ours"), "an entry of a partition");
        let made = &[Index {
            name: "by-title",
            key: &[IndexKey::Lower { name: "seats", of: "title" }],
            shows: &[],
        }];
        let view = View::rows("events", &[ID], const { &[SEATS, TITLE] }).indexed(made);
        assert!(refused(&view).contains("column `seats` is ours"));
    }
}
