use super::*;
use crate::{Column, Direction, Float, JsonItem, List, cell::tests::cell};
use proptest::prelude::*;

const KEY: &[Column] = &[Column::new("group", Type::Text)];
const N: &[Column] = &[Column::new("n", Type::Int)];

fn decimal(text: &str) -> Cell {
    Cell::Decimal(text.parse().expect("a decimal"))
}

#[test]
fn a_row_adds_what_its_aggregates_say_and_null_adds_nothing() {
    let aggregates = vec![
        Aggregate::Count,
        Aggregate::Sum(Type::Int, Expr::Own(1)),
        Aggregate::Sum(Type::Decimal, Expr::Own(1).times(Expr::Own(2))),
        Aggregate::Max(Expr::Own(2)),
    ];
    let part = Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates };
    let id = [Cell::Int(7)];
    let row = ["a".into(), Cell::Int(3), decimal("1.50")];
    let want = Contribution {
        key: vec!["a".into()],
        amounts: vec![Cell::Int(1), Cell::Int(3), decimal("4.50"), decimal("1.50")],
    };
    assert_eq!(part.of(&id, &row), Some(want));
    let unknown = ["a".into(), Cell::Null, Cell::Null];
    let amounts = part.of(&id, &unknown).expect("its key is known").amounts;
    assert_eq!(amounts, [Cell::Int(1), Cell::Int(0), decimal("0"), Cell::Null]);
    assert_eq!(part.of(&id, &[Cell::Null, Cell::Int(3), Cell::Null]), None);
    let none = Part { filter: Condition::Known(Expr::Own(2)), ..part };
    assert_eq!(none.of(&id, &unknown), None);
}

#[test]
fn whole_numbers_add_to_a_sum_of_decimals() {
    let sum = Aggregate::Sum(Type::Decimal, Expr::Own(0));
    assert_eq!(sum.amount(Parts::of_row(&[], &[Cell::Int(3)])), decimal("3"));
}

#[test]
fn a_row_has_one_part_for_each_of_its_words() {
    let own = Own {
        table: 0,
        filter: Condition::Always,
        each: Some(Expr::Words(vec![Expr::Own(0)])),
        key: vec![Expr::Own(1), Expr::Key(0)],
        columns: vec![],
    };
    let id = [Cell::Int(7)];
    let parts = own.of(&id, &["Red, red wine".into()], &mut WordsOfRow::default());
    let keys: Vec<Vec<Cell>> = parts.into_iter().map(|part| part.0).collect();
    assert_eq!(keys, [["red".into(), Cell::Int(7)], ["wine".into(), Cell::Int(7)]]);
    assert_eq!(own.row_of(&keys[1], 1), Some(id.to_vec()));
    assert!(own.of(&id, &[Cell::Null], &mut WordsOfRow::default()).is_empty());
}

#[test]
fn a_share_says_something_as_long_as_one_column_does() {
    let aggregates = vec![Aggregate::Sum(Type::Int, Expr::Own(0)), Aggregate::Max(Expr::Own(0))];
    let part = Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates };
    const BOTH: &[Column] = &[N[0], N[0]];
    let view = View::totals("v", KEY, &[Merge::Sum, Merge::Max], BOTH);
    let plan = Plan::new(view, None, vec![part]);
    assert!(plan.is_nothing(&[Cell::Int(0), Cell::Null]));
    assert!(!plan.is_nothing(&[Cell::Int(0), Cell::Int(0)]), "the greatest value is 0");
    assert!(!plan.is_nothing(&[Cell::Int(2), Cell::Null]));
}

#[test]
#[should_panic(expected = "v: columns of the shares")]
fn a_plan_makes_what_its_view_is_made_of() {
    let part =
        Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates: vec![] };
    let _ = Plan::new(View::totals("v", KEY, &[Merge::Sum], N), None, vec![part]);
}

#[test]
#[should_panic(expected = "v: a sum of values that are no exact numbers")]
fn a_plan_sums_no_floats() {
    let aggregates = vec![Aggregate::Sum(Type::Float, Expr::Own(0))];
    let part = Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates };
    let _ = Plan::new(View::totals("v", KEY, &[Merge::Sum], N), None, vec![part]);
}

/// What a plan says that keeps the first of tuples of two values, shown so.
fn plan_of_first(limit: usize, values: usize, shown: Expr) -> Result<Plan, String> {
    let first = First { limit, order: &[Direction::Ascending, Direction::Descending] };
    let values = (0..values).map(Expr::Own).collect();
    let aggregates = vec![Aggregate::First { first, values, filter: Condition::Always }];
    let part = Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates };
    let merge = Box::leak(Box::new([Merge::First(first)]));
    let view = View::totals("v", KEY, merge, N).showing(N, vec![shown]);
    let made = std::panic::catch_unwind(|| Plan::new(view, None, vec![part]));
    made.map_err(|why| *why.downcast::<String>().expect("a text"))
}

#[test]
fn a_plan_keeps_a_bounded_number_of_tuples_and_shows_none_of_them_bare() {
    let count = || Expr::Total(0).tuple_count();
    for limit in [1, First::LIMIT_MAX] {
        assert!(plan_of_first(limit, 2, count()).is_ok());
    }
    let why = |limit, values, shown| plan_of_first(limit, values, shown).expect_err("refused");
    assert_eq!(why(0, 2, count()), "v: a limit of 0, which is none of 1 to 1000");
    assert_eq!(why(1_001, 2, count()), "v: a limit of 1001, which is none of 1 to 1000");
    for values in [0, 1, 3] {
        assert_eq!(
            why(1, values, count()),
            "v: not one direction for each value of a tuple",
            "{values}"
        );
    }
    let bare = Expr::Total(0);
    for shown in [bare.clone(), bare.clone().when(Condition::Always), bare.or_zero()] {
        assert_eq!(why(1, 2, shown), "v: tuples in column n");
    }
}

#[test]
fn what_would_be_wrong_in_silence_is_no_plan() {
    let refused = |aggregates: Vec<Aggregate>| {
        let merge: Vec<Merge> = aggregates.iter().map(Aggregate::merge).collect();
        let columns = const { &[Column::new("n", Type::Int)] };
        let view =
            View::totals("v", const { &[Column::new("k", Type::Int)] }, merge.leak(), columns);
        let view = view.showing(columns, vec![Expr::Value(1.into())]);
        let part =
            Part { table: 0, filter: Condition::Always, key: vec![Expr::Own(0)], aggregates };
        let made = std::panic::catch_unwind(|| Plan::new(view, None, vec![part]));
        made.err().map(|why| *why.downcast::<String>().expect("a text"))
    };
    let known = || Aggregate::CountIf(Condition::Known(Expr::Own(1)));
    assert_eq!(refused(vec![Aggregate::Count, known()]), None);
    let why = "v: a part counts some of its rows, and not all of them";
    assert_eq!(refused(vec![Aggregate::Max(Expr::Own(0)), known()]).as_deref(), Some(why));
    let why = refused(vec![known(), Aggregate::Count]).expect("refused");
    assert!(why.contains("counts some rows only"), "{why}");
    for mixed in [Expr::Own(1).or_zero(), Expr::Own(1).or_zero().times(Expr::Own(0))] {
        let why = refused(vec![Aggregate::Count, Aggregate::Max(mixed)]).expect("refused");
        assert!(why.contains("say which 0 is meant"), "{why}");
    }
    let zero = Cell::Decimal(Decimal::ZERO);
    assert_eq!(refused(vec![Aggregate::Count, Aggregate::Max(Expr::Own(1).or(zero))]), None);
    let whole = Expr::Own(1).or_zero().minus(Expr::Own(0));
    assert_eq!(refused(vec![Aggregate::Count, Aggregate::Min(whole)]), None);
}

#[test]
fn a_row_has_a_tuple_where_the_filter_holds() {
    let first = First { limit: 1, order: &[Direction::Ascending] };
    let filter = Condition::Below(Expr::Own(1), 5);
    let aggregate = Aggregate::First { first, values: vec![Expr::Own(0)], filter };
    let of = |value: Cell, n: i64| aggregate.amount(Parts::of_row(&[], &[value, n.into()]));
    let tuple = |value: Cell| Cell::Tuples(vec![vec![value]]);
    assert_eq!(of("a".into(), 5), Cell::Null);
    assert_eq!(of("a".into(), 4), tuple("a".into()));
    assert_eq!(of(Cell::Null, 4), tuple(Cell::Null), "a null is a value");
    // Whichever of equal numbers comes first, they are one text.
    assert_eq!(format!("{:?}", of(decimal("1.50"), 4)), format!("{:?}", tuple(decimal("1.5"))));
    assert_eq!(format!("{:?}", of(float(-0.0), 4)), format!("{:?}", tuple(float(0.0))));
    assert!(aggregate.is_nothing(&Cell::Null) && !aggregate.is_nothing(&tuple(Cell::Null)));
}

#[test]
fn sums_of_which_no_row_is_a_part_are_0() {
    let part = |aggregates| Part {
        table: 0,
        filter: Condition::Always,
        key: vec![Expr::Own(0)],
        aggregates,
    };
    let first = vec![Aggregate::Count, Aggregate::Sum(Type::Decimal, Expr::Own(0))];
    let second = vec![Aggregate::Max(Expr::Own(0)), Aggregate::Sum(Type::Int, Expr::Own(0))];
    const ALL: &[Column] = &[N[0], N[0], N[0], N[0]];
    let view = View::totals("v", KEY, &[Merge::Sum, Merge::Sum, Merge::Max, Merge::Sum], ALL);
    let plan = Plan::new(view, None, vec![part(first), part(second)]);
    let mut share = [Cell::Null, Cell::Null, Cell::Null, Cell::Int(7)];
    plan.fill(&mut share);
    assert_eq!(share, [Cell::Int(0), decimal("0"), Cell::Null, Cell::Int(7)]);
    assert!(!plan.is_nothing(&share));
    let places: Vec<usize> = plan.parts().map(|(at, _)| at).collect();
    assert_eq!(places, [0, 2]);
}

/// Part of the keys of state rows: never to be changed.
#[test]
fn buckets_as_ever() {
    let words = |words: &[&str]| Cell::Words(words.iter().map(|word| (*word).to_owned()).collect());
    for (value, want) in [
        (Cell::Int(-1), -1),
        (Cell::Int(1_023), 0),
        (Cell::Int(1_024), 1),
        (Cell::Time(-1), -1),
        (Cell::Time(86_400_000_000), 1),
        (decimal("-0.5"), 0),
        (decimal("-1.5"), -1),
        (decimal("2048.75"), 2),
        (decimal("1e30"), i64::MAX / 1_024),
        (decimal("-1e30"), i64::MIN / 1_024),
        ("".into(), 0),
        ("red".into(), 0x7265),
        (words(&[]), 0),
        (words(&["red", "a"]), 0x6100),
        (Cell::Bool(false), 0),
        (Cell::Bool(true), 1),
        (float(f64::NEG_INFINITY), 0x3f),
        (float(-0.0), 0x2_0000),
        (float(1.0), 0x2_ffc0),
        (float(1.0 + 1.0 / 64.0), 0x2_ffc1),
        (float(f64::NAN), 0x3_ffe0),
        (Cell::Date(-1), -1),
        (Cell::Date(32), 1),
        (Cell::Uuid([0x12; 16]), 0x1212),
        (Cell::Bytes(vec![0xff, 0xfe, 0xfd]), 0xfffe),
        (Cell::Json("{}".into()), 0x7b7d),
        (Cell::List(List(vec![])), 0),
        (Cell::List(["red"].into()), 0x7265),
        (Cell::List(List(vec![None])), 0x1_0000),
    ] {
        assert_eq!(bucket(&value), want, "{value:?}");
    }
}

fn float(number: f64) -> Cell {
    Cell::Float(Float::new(number))
}

#[test]
fn a_key_without_the_rows_own_names_no_row() {
    let own = Own {
        table: 0,
        filter: Condition::Always,
        each: Some(Expr::Own(0)),
        key: vec![Expr::Own(1), Expr::Key(1)],
        columns: vec![],
    };
    assert_eq!(own.row_of(&["red".into(), Cell::Int(7)], 2), None);
    assert!(
        own.of(&[Cell::Int(1), Cell::Int(7)], &["red".into()], &mut WordsOfRow::default())
            .is_empty(),
        "no set of words"
    );
}

proptest! {
    #[test]
    fn buckets_of_one_type_are_ordered_as_their_values_are(a in cell(), b in cell()) {
        if std::mem::discriminant(&a) == std::mem::discriminant(&b) {
            prop_assert!(a > b || bucket(&a) <= bucket(&b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn buckets_of_floats_are_ordered_as_they_are(a: u64, b: f64, near: f64) {
        let next = f64::from_bits(near.to_bits().wrapping_add(1));
        for (a, b) in [(f64::from_bits(a), b), (near, next), (near, -near), (b, near)] {
            let (a, b) = (float(a), float(b));
            prop_assert!(a > b || bucket(&a) <= bucket(&b), "{a:?} {b:?}");
        }
    }

    /// Whatever a cell is, an expression has a value.
    #[test]
    fn expressions_are_total(a in cell(), b in cell(), limit: i64) {
        let row = [a, b];
        let parts = Parts::of_row(&[], &row);
        let (a, b) = (Expr::Own(0), Expr::Own(1));
        let known = Condition::NotZero(a.clone()).holds(parts);
        let all = [
            a.clone().or_zero(),
            a.clone().minus(b.clone()),
            a.clone().times(b.clone()),
            a.clone().day(),
            a.clone().flag_below(limit),
            Expr::Words(vec![a.clone(), b.clone()]),
            Expr::Average { sum: a.clone().into(), count: b.into(), places: 2 },
            Expr::Is(Condition::Known(a.clone()).into()),
            a.clone().tuple_count(),
            a.clone().tuple_value(0, 1),
            a.clone().tuple_texts(1),
            a.tuple_json(JsonItem::Array(vec![1, 0])),
        ];
        for kind in [Type::Int, Type::Decimal, Type::Float] {
            let sums = all.iter().map(|expr| Aggregate::Sum(kind, expr.clone()).amount(parts));
            prop_assert_eq!(sums.count(), all.len());
        }
        prop_assert!(known || row[0].is_zero());
    }

    #[test]
    fn buckets_are_ordered_as_their_values_are(a: i64, b: i64, near in -3_000_i64..3_000, scale in -2_i16..6) {
        let decimal = |digits: i64| Cell::Decimal(Decimal::from_parts(digits.into(), scale));
        let text = |number: i64| Cell::Text(char::from_u32(number.unsigned_abs() as u32 % 0xd7ff).into_iter().collect());
        for (a, b) in [(a, b), (near, a % 3_000), (near, near + 1)] {
            for of in [Cell::Int as fn(i64) -> Cell, Cell::Time] {
                prop_assert!((a <= b) == (of(a) <= of(b)));
                prop_assert!(a > b || bucket(&of(a)) <= bucket(&of(b)));
            }
            for (a, b) in [(decimal(a), decimal(b)), (text(a), text(b))] {
                prop_assert!(a > b || bucket(&a) <= bucket(&b), "{a:?} {b:?}");
            }
        }
    }
}
