//! Aggregates that are made of totals: counts of what is known, filtered ones, averages, sums of nothing, `bool_and` and
//! `bool_or`; against the same computed from the tables as they are in the end.
use super::*;

/// Of tickets by status, which may not be sent.
const COUNTED: &str = "counted";

fn counted() -> Plan {
    const SHOWN: &[Column] = &[
        Column::new("tickets", Type::Int),
        Column::new("with_points", Type::Int),
        Column::new("all_small", Type::Bool),
        Column::new("any_small", Type::Bool),
        Column::new("mean_cost", Type::Decimal),
        Column::new("cost", Type::Decimal),
        Column::new("cost_of_ann", Type::Decimal),
    ];
    let (assignee, points, cost) = (Expr::Own(2), Expr::Own(3), Expr::Own(4));
    let of_ann = Condition::Equal(assignee, Expr::Value("ann".into()));
    let aggregates = vec![
        Aggregate::Count,
        Aggregate::CountIf(Condition::Known(points.clone())),
        Aggregate::CountIf(Condition::Below(points, 3)),
        Aggregate::CountIf(Condition::Known(cost.clone())),
        Aggregate::Sum(Type::Decimal, cost.clone()),
        Aggregate::CountIf(Condition::Known(cost.clone().when(of_ann.clone()))),
        Aggregate::Sum(Type::Decimal, cost.when(of_ann)),
    ];
    let [tickets, known, small, costs, cost, costs_of_ann, cost_of_ann] =
        [0, 1, 2, 3, 4, 5, 6].map(Expr::Total);
    let any = |of: &Expr| Condition::NotZero(of.clone());
    let shows = vec![
        tickets,
        known.clone(),
        Expr::Is(Condition::Equal(small.clone(), known.clone()).into()).when(any(&known)),
        Expr::Is(any(&small).into()).when(any(&known)),
        Expr::Average { sum: cost.clone().into(), count: costs.clone().into(), places: 2 },
        cost.when(any(&costs)),
        cost_of_ann.when(any(&costs_of_ann)),
    ];
    let key = const { &[Column::new("status", Type::Text)] };
    let view = View::totals(COUNTED, key, &[Merge::Sum; 7], SHOWN).showing(SHOWN, shows);
    let filter = Condition::Always;
    let part = Part { table: TICKETS, filter, key: vec![Expr::Own(1)], aggregates };
    Plan::new(view, None, vec![part])
}

/// ```sql
/// select status, count(*), count(points), bool_and(points < 3), bool_or(points < 3), round(avg(cost), 2), sum(cost),
///   sum(cost) filter (where assignee = 'ann')
/// from tickets where status is not null group by status
/// ```
fn counted_in(source: &Source) -> ShownView {
    let mut groups: BTreeMap<Vec<Cell>, Vec<&Vec<Cell>>> = BTreeMap::new();
    for row in source.rows[TICKETS].values().filter(|row| row[1] != Cell::Null) {
        groups.entry(vec![row[1].clone()]).or_default().push(row);
    }
    let row = |rows: Vec<&Vec<Cell>>| {
        let points: Vec<i64> = rows.iter().filter_map(|row| row[3].int()).collect();
        let costs = |of: &dyn Fn(&Vec<Cell>) -> bool| {
            let rows = rows.iter().filter(|row| of(row));
            rows.filter_map(|row| row[4].decimal().cloned()).collect::<Vec<_>>()
        };
        let sum = |costs: &[Decimal]| -> Option<Decimal> {
            let sum = costs.iter().fold(Decimal::ZERO, |sum, cost| sum + cost);
            (!costs.is_empty()).then_some(sum)
        };
        let (all, of_ann) = (costs(&|_| true), costs(&|row| row[2] == "ann".into()));
        let mean = sum(&all).and_then(|sum| sum.round_quotient(all.len() as i64, 2));
        let is = |is: bool| if points.is_empty() { Cell::Null } else { Cell::Bool(is) };
        vec![
            Cell::Int(rows.len() as i64),
            Cell::Int(points.len() as i64),
            is(points.iter().all(|points| *points < 3)),
            is(points.iter().any(|points| *points < 3)),
            mean.into(),
            sum(&all).into(),
            sum(&of_ann).into(),
        ]
    };
    groups.into_iter().map(|(key, rows)| (key, row(rows))).collect()
}

#[test]
fn aggregates_made_of_totals_equal_those_computed_from_the_tables() {
    for seed in 0..SEEDS {
        let (source, mut world) = history(seed, vec![counted()]);
        assert_eq!(world.shown()[COUNTED], counted_in(&source), "seed {seed}");
        world.truncate("tickets", 't');
        assert!(world.shown()[COUNTED].is_empty(), "seed {seed}");
        world.truncate("comments", 'c');
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}
