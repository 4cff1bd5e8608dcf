use super::*;
use crate::{
    Column, Condition, Decimal, Direction, Expr, First, Index, Merge, Op, Type, Write,
    dynamodb::keyed::{Shape, Step},
};

const ID: &[Column] = &[Column::new("id", Type::Int)];
const OWN: &[Column] = &[Column::new("name", Type::Text)];
const SHOWN: &[Column] = &[
    Column::new("name", Type::Text),
    Column::new("worth", Type::Decimal),
    Column::new("latest", Type::Time),
];

fn view() -> View {
    View::rows("cards", ID, OWN)
        .with_totals(&[Merge::Sum, Merge::Max])
        .showing(SHOWN, vec![Expr::Own(0), Expr::Total(0), Expr::Total(1)])
        .existing(Condition::Known(Expr::Own(0)))
        .indexed(&[Index {
            name: "by-name",
            key: &[IndexKey::Lower { name: "name_lower", of: "name" }],
            shows: &[],
        }])
}
fn shape() -> Shape {
    Shape::Merged(Box::new(Merged::of(&view()).expect("few columns")))
}
fn writer<'a>(shape: &'a Shape, entry: &'a str) -> Writer<'a> {
    Writer { shape, generation: 3, entry, source: "orders/1", now_ms: 0 }
}
fn ask(offset: i64, op: Op) -> Ask {
    let mut ask = Ask::default();
    let write = Write { offset, source_ts_ms: 7, view: "cards", key: vec![1.into()], op };
    ask.add(&shape(), &write).expect("any share");
    ask
}
fn share(worth: &str, latest: i64) -> Op {
    let worth: Decimal = worth.parse().expect("a number");
    Op::Share(vec![worth.into(), Cell::Time(latest)])
}
fn put(item: Request) -> Item {
    match item.action {
        Action::Put(item) => item,
        Action::Update(changes) => panic!("not whole: {changes:?}"),
    }
}
fn of(entry: &str, ask: &Ask, seen: Option<&Item>) -> Request {
    let shape = shape();
    let writer = writer(&shape, entry);
    let seen = seen.map(|item| writer.sight(item).expect("an item of ours"));
    writer.aim(ask, seen.as_ref()).expect("fits")
}

/// Stored in tables: never to be changed.
#[test]
fn an_item_is_as_ever() {
    let item = put(of("o1", &ask(300, share("1.50", 64)), None));
    let want = Item::from([
        (GEN.to_owned(), Value::Int(3)),
        (VERSION.to_owned(), Value::Int(1)),
        (CHANGED.to_owned(), Value::Int(7)),
        (UPDATED.to_owned(), Value::Text("1970-01-01T00:00:00.000Z".into())),
        ("o1".to_owned(), Value::Bytes(vec![0xac, 2, 1, 4, 1, 4, 0x96, 2, 0x80, 1])),
    ]);
    assert_eq!(item, want, "no row without its owner");

    let request = of("p0", &ask(5, Op::Put(vec!["Tea".into()])), Some(&item));
    let Action::Update(changes) = request.action else { panic!("an update") };
    for change in [
        Change::Set(VERSION, Value::Int(2)),
        Change::Set("name", Value::Text("Tea".into())),
        Change::Set("name_lower", Value::Text("tea".into())),
        Change::Set("latest", Value::Int(64)),
        Change::Set(LIVE, Value::Int(1)),
        Change::Set(super::OWN, Value::Text("p0".into())),
        Change::Set(OWN_PART, Value::Bytes(vec![1, 3, 3, b'T', b'e', b'a'])),
        Change::SetEntry("p0".into(), Value::Bytes(vec![5, 1])),
    ] {
        assert!(changes.contains(&change), "{change:?}: {changes:?}");
    }
    let entry = item["o1"].clone();
    let when = [
        When::Is(GEN.into(), Value::Int(3)),
        When::Is(VERSION.into(), Value::Int(1)),
        When::Is("o1".into(), entry),
    ];
    assert_eq!(request.condition, When::All(when.into()));
}

#[test]
fn a_row_that_goes_takes_all_that_is_shown_along_and_leaves_entries() {
    let mut item = put(of("p0", &ask(5, Op::Put(vec!["Tea".into()])), None));
    assert!(item.contains_key("name_lower") && item.contains_key(LIVE));
    item.insert("o1".into(), Value::Bytes(Entry { offset: 1, share: vec![] }.write()));
    let request = of("p0", &ask(6, Op::Delete), Some(&item));
    let Action::Update(changes) = request.action else { panic!("an update") };
    for name in ["name", "worth", "latest", "name_lower", LIVE, OWN_PART] {
        assert!(changes.contains(&Change::Remove(name)), "{name}");
    }
    assert!(changes.contains(&Change::SetEntry("p0".into(), Value::Bytes(vec![6, 1]))));
    assert!(!changes.contains(&Change::Remove(super::OWN)), "it stays its owner's");
}

#[test]
fn what_is_there_is_not_sent_again() {
    let shape = shape();
    let item = put(of("o1", &ask(300, share("1.50", 64)), None));
    let writer = writer(&shape, "o1");
    let sight = writer.sight(&item).expect("ours");
    let mut again = ask(300, share("9", 1));
    assert_eq!(writer.next(&mut again, Some(&sight)), Step::Done);
    let mut next = ask(301, share("1.50", 64));
    assert!(matches!(writer.next(&mut next, Some(&sight)), Step::Send(_)), "without effect");
}

#[test]
fn no_shares_make_no_row() {
    let columns = const { &[Column::new("n", Type::Int)] };
    let view = View::totals("t", ID, &[Merge::Sum], columns).existing(Condition::Always);
    let merged = Merged::of(&view).expect("few columns");
    let row = |shares: [Vec<Cell>; 2]| {
        let mut held = Held::default();
        for (at, share) in shares.into_iter().enumerate() {
            held.entries.insert(format!("o{at}"), Entry { offset: 7, share });
        }
        merged.row(&held).expect("a row or none")
    };
    assert_eq!(merged.row(&Held::default()), Ok(None));
    assert_eq!(row([vec![], vec![0.into()]]), None, "as in a table of a database");
    assert_eq!(row([vec![], vec![2.into()]]), Some(vec![2.into()]));
}

/// Were the write left out, as one that DynamoDB refuses, the state would hold what no item does.
#[test]
fn a_row_that_cannot_be_made_is_no_refusal() {
    struct Dear;
    impl crate::computed::Compute for Dear {
        fn of(&self, parts: crate::Parts<'_>) -> Result<Cell, crate::Failed> {
            let worth = parts.totals.first().and_then(Cell::decimal);
            let is_dear = worth.is_some_and(|worth| *worth > 100);
            if is_dear { Err(crate::Failed("too dear".to_owned())) } else { Ok(1.into()) }
        }
        fn may_fail(&self) -> bool {
            true
        }
    }
    let columns = const { &[Column::new("n", Type::Int)] };
    let dear = Expr::Computed(crate::computed::Computed::new("dear", Dear));
    let view = view().indexed(&[]).showing(columns, vec![dear]);
    let shape = Shape::Merged(Box::new(Merged::of(&view).expect("few columns")));
    let (one, other) = (writer(&shape, "o1"), writer(&shape, "o2"));
    let own =
        put(writer(&shape, "a0").aim(&ask(1, Op::Put(vec!["Tea".into()])), None).expect("fits"));
    let sight = one.sight(&own).expect("ours");
    let step =
        |writer: &Writer<'_>, worth: &str| writer.next(&mut ask(7, share(worth, 1)), Some(&sight));
    assert!(matches!(step(&one, "100"), Step::Send(_)));
    assert_eq!(step(&other, "100.01"), Step::NoRow("cards.n: too dear".to_owned()));
}

/// It would be refused for good, whatever the writer does.
#[test]
fn what_does_not_fit_into_an_item_is_refused_by_name() {
    let shape = shape();
    let writer = writer(&shape, "o1");
    let mut item = put(of("p0", &ask(5, Op::Put(vec!["Tea".into()])), None));
    let wide = |worth: &str| {
        let share = vec![Cell::Decimal(worth.parse().expect("a number"))];
        Value::Bytes(Entry { offset: 9, share }.write())
    };
    item.insert("o2".into(), wide("1e37"));
    let refused = |ask: &mut Ask, item: &Item| {
        let sight = writer.sight(item).expect("ours");
        match writer.next(ask, Some(&sight)) {
            Step::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    };
    let why = refused(&mut ask(1, share("0.25", 0)), &item);
    assert_eq!(why, "cards.worth: 40 digits are more than the 38 of a number");
    let long = Entry { offset: 9, share: vec![Cell::Null, "x".repeat(300_000).into()] };
    item.insert("o2".into(), Value::Bytes(long.write()));
    let text = "y".repeat(200_000);
    let why = refused(&mut ask(1, Op::Share(vec![Cell::Null, text.as_str().into()])), &item);
    assert!(why.starts_with("cards: a row and all") && why.contains("409600"), "{why}");
    assert!(!why.contains("yy"));
}

const DEAREST: First = First { limit: 2, order: &[Direction::Descending, Direction::Ascending] };

/// The dearest of a group, as a list of texts.
fn of_firsts() -> Shape {
    const SHOWN: &[Column] = &[Column::new("n", Type::Int), Column::new("dearest", Type::List)];
    let shows = vec![Expr::Total(0), Expr::Total(1).tuple_texts(1)];
    let view = View::totals("tops", ID, &[Merge::Sum, Merge::First(DEAREST)], SHOWN);
    Shape::Merged(Box::new(Merged::of(&view.showing(SHOWN, shows)).expect("few columns")))
}
fn tuples(of: &[(i64, &str)]) -> Op {
    let tuple = |(price, name): &(i64, &str)| vec![Cell::Int(*price), Cell::from(*name)];
    Op::Share(vec![(of.len() as i64).into(), Cell::Tuples(of.iter().map(tuple).collect())])
}
fn asked_of_firsts(shape: &Shape, op: Op) -> Ask {
    let mut ask = Ask::default();
    let write = Write { offset: 5, source_ts_ms: 7, view: "tops", key: vec![1.into()], op };
    ask.add(shape, &write).expect("any share");
    ask
}

/// Stored in tables: never to be changed.
#[test]
fn tuples_in_an_item_are_as_ever() {
    let shape = of_firsts();
    let send = |entry: &str, op: Op, seen: Option<&Item>| {
        let seen = seen.map(|item| writer(&shape, entry).sight(item).expect("an item of ours"));
        writer(&shape, entry).aim(&asked_of_firsts(&shape, op), seen.as_ref()).expect("fits")
    };
    let item = put(send("o1", tuples(&[(7, "b"), (-1, "a")]), None));
    let entry = [&[5, 1, 1, 4, 13, 2][..], &[2, 1, 14, 3, 1, b'b'], &[2, 1, 1, 3, 1, b'a']];
    assert_eq!(item["o1"], Value::Bytes(entry.concat()));
    assert_eq!(item["dearest"], Value::List(["b", "a"].into()));

    let request = send("o2", tuples(&[(7, "a")]), Some(&item));
    let Action::Update(changes) = request.action else { panic!("an update") };
    for change in
        [Change::Set("n", Value::Int(3)), Change::Set("dearest", Value::List(["a", "b"].into()))]
    {
        assert!(changes.contains(&change), "{change:?}: {changes:?}");
    }
}

/// A letter or a write that is left out, as of any other item: nothing waits for it to fit.
#[test]
fn tuples_that_do_not_fit_into_an_item_are_refused_by_name() {
    let shape = of_firsts();
    let long = "y".repeat(150_000);
    let mut ask = asked_of_firsts(&shape, tuples(&[(7, &long), (5, &long)]));
    // As texts and in the entry.
    let why = match writer(&shape, "o1").next(&mut ask, None) {
        Step::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(why.starts_with("tops: a row and all") && why.contains("409600"), "{why}");
    assert!(!why.contains("yy"));
}

#[test]
fn items_that_nobody_here_wrote_are_named() {
    let shape = shape();
    let writer = writer(&shape, "o1");
    let item = put(of("o1", &ask(300, share("1.50", 64)), None));
    let with = |name: &str, value: Option<Value>| {
        let mut item = item.clone();
        match value {
            Some(value) => item.insert(name.into(), value),
            None => item.remove(name),
        };
        writer.sight(&item).expect_err("not ours")
    };
    assert_eq!(with(VERSION, None), "attribute `v` is missing");
    assert_eq!(with("o2", Some(Value::Int(1))), "attribute `o2` is not binary");
    assert_eq!(with("o2", Some(Value::Bytes(vec![5, 14]))), "attribute `o2` is unreadable");
    assert_eq!(with(OWN_PART, Some(Value::Bytes(vec![9]))), "attribute `own_part` is unreadable");
    // Another generation's is replaced whole, whatever it holds.
    let older =
        Item::from([(GEN.to_owned(), Value::Int(2)), ("o1".to_owned(), Value::Bytes(vec![5, 14]))]);
    let sight = writer.sight(&older).expect("nothing that matters");
    let request = writer.aim(&ask(0, share("1", 1)), Some(&sight)).expect("fits");
    assert_eq!(put(request)[VERSION], Value::Int(1));
}

#[test]
fn shares_that_make_another_row_than_is_shown_are_noticed() {
    let shape = shape();
    let mut item = put(of("p0", &ask(5, Op::Put(vec!["Tea".into()])), None));
    let entry = |worth: &str| {
        let share = vec![Cell::Decimal(worth.parse().expect("a number"))];
        Value::Bytes(Entry { offset: 9, share }.write())
    };
    item.insert("o2".into(), entry("2.00"));
    item.insert("worth".into(), Value::Int(2)); // as DynamoDB gives it back
    assert_eq!(shape.shares_in(&item), shape.shares_of(&[]));
    item.insert("o2".into(), entry("3.00"));
    assert_ne!(shape.shares_in(&item), shape.shares_of(&[]));
    item.insert("o2".into(), Value::Bytes(vec![]));
    assert_eq!(shape.shares_in(&item), "an entry that cannot be read".into());
}

#[test]
fn a_repair_writes_the_whole_item_and_counts() {
    let Shape::Merged(merged) = shape() else { unreachable!() };
    let old = put(of("o1", &ask(300, share("1.50", 64)), None));
    let share = vec![Cell::Decimal(Decimal::from_parts(25.into(), 1)), Cell::Null];
    let entries = BTreeMap::from([("o1".to_owned(), Entry { offset: 300, share })]);
    let made = merged.mended(Some(&old), &entries, Some(&["Tea".into()]));
    assert_eq!(made[VERSION], Value::Int(2));
    assert_eq!(made["worth"], Value::Number(Decimal::from_parts(25.into(), 1)));
    assert_eq!(
        Entry::read(match &made["o1"] {
            Value::Bytes(b) => b,
            _ => &[],
        }),
        entries.get("o1").cloned()
    );
    let none = merged.mended(None, &entries, None);
    assert!(none[VERSION] == Value::Int(1) && !none.contains_key(LIVE) && none.contains_key("o1"));
}
