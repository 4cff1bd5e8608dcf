//! Sets up to a bound and the first N rows of a group, against the same computed from the tables as they are in the end.
use super::*;
use sinks::{Direction, First, JsonItem};
use std::cmp::Ordering;

/// Of tickets by assignee and of comments by project, whose names meet.
const TOPS: &str = "tops";
const STATUSES_MAX: usize = 1;
const CARDS: usize = 3;
const EARLIEST: usize = 2;
const LIKES: usize = 2;

fn tops() -> Plan {
    use Direction::{Ascending, Descending};
    const STATUSES: First = First { limit: STATUSES_MAX + 1, order: &[Ascending] };
    const DEAREST: First =
        First { limit: CARDS, order: &[Descending, Ascending, Ascending, Ascending] };
    const SOONEST: First = First { limit: EARLIEST, order: &[Ascending, Descending] };
    const MOST_LIKED: First = First { limit: LIKES, order: &[Descending] };
    const NUMBERS: First = First { limit: First::LIMIT_MAX, order: &[Ascending, Descending] };
    const MERGE: &[Merge] = &[
        Merge::Sum,
        Merge::First(STATUSES),
        Merge::First(DEAREST),
        Merge::First(SOONEST),
        Merge::Max,
        Merge::Sum,
        Merge::First(MOST_LIKED),
        Merge::First(NUMBERS),
    ];
    const SHOWN: &[Column] = &[
        Column::new("tickets", Type::Int),
        Column::new("statuses", Type::Int),
        Column::new("costs", Type::List),
        Column::new("cards", Type::Json),
        Column::new("dearest", Type::Text),
        Column::new("earliest", Type::Json),
        Column::new("most_points", Type::Int),
        Column::new("comments", Type::Int),
        Column::new("likes", Type::Json),
        Column::new("numbers", Type::Int),
        Column::new("tickets_of_numbers", Type::List),
    ];
    let first = |first, values, filter| Aggregate::First { first, values, filter };
    let (title, status, points) = (Expr::Own(0), Expr::Own(1), Expr::Own(3));
    let (cost, opened, likes) = (Expr::Own(4), Expr::Own(5), Expr::Own(0));
    let key_of_ticket = [Expr::Key(0), Expr::Key(1)];
    let card = [vec![cost], key_of_ticket.to_vec(), vec![title]].concat();
    let of_tickets = vec![
        Aggregate::Count,
        first(STATUSES, vec![status.clone()], Condition::Known(status)),
        first(DEAREST, card, Condition::Always),
        first(SOONEST, vec![opened, points.clone()], Condition::Always),
        Aggregate::Max(points),
    ];
    let of_comments = vec![
        Aggregate::Count,
        first(MOST_LIKED, vec![likes.clone()], Condition::Below(likes, 5_000)),
        first(NUMBERS, vec![Expr::Key(2), Expr::Key(1)], Condition::Always),
    ];
    let part = |table, key, aggregates| Part {
        table,
        filter: Condition::Always,
        key: vec![key],
        aggregates,
    };
    let parts =
        vec![part(TICKETS, Expr::Own(2), of_tickets), part(COMMENTS, Expr::Key(0), of_comments)];
    let statuses = Expr::Total(1).tuple_count();
    let few = Condition::Below(statuses.clone(), STATUSES_MAX as i64 + 1);
    let object = JsonItem::Object(vec![("project", 1), ("id", 2), ("title", 3), ("cost", 0)]);
    let shows = vec![
        Expr::Total(0),
        statuses.when(few),
        Expr::Total(2).tuple_texts(0),
        Expr::Total(2).tuple_json(object),
        Expr::Total(2).tuple_value(0, 3),
        Expr::Total(3).tuple_json(JsonItem::Array(vec![0, 1])),
        Expr::Total(4),
        Expr::Total(5),
        Expr::Total(6).tuple_json(JsonItem::Value(0)),
        Expr::Total(7).tuple_count(),
        Expr::Total(7).tuple_texts(1),
    ];
    let key = const { &[Column::new("name", Type::Text)] };
    let view = View::totals(TOPS, key, MERGE, SHOWN).showing(SHOWN, shows);
    Plan::new(view.existing(Condition::Known(Expr::Total(0))), None, parts)
}

/// As PostgreSQL orders: nulls are last, or first where the order is descending.
fn in_order(a: &Cell, b: &Cell, is_descending: bool) -> Ordering {
    match (a, b) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) if is_descending => Ordering::Less,
        (Cell::Null, _) => Ordering::Greater,
        (_, Cell::Null) if is_descending => Ordering::Greater,
        (_, Cell::Null) => Ordering::Less,
        (a, b) if is_descending => b.cmp(a),
        (a, b) => a.cmp(b),
    }
}

/// `select distinct .. order by .. limit ..`.
fn first_of(mut rows: Vec<Vec<Cell>>, descending: &[bool], limit: usize) -> Vec<Vec<Cell>> {
    rows.sort_by(|a, b| {
        let each = a.iter().zip(b).zip(descending).map(|((a, b), down)| in_order(a, b, *down));
        each.fold(Ordering::Equal, Ordering::then)
    });
    rows.dedup();
    rows.truncate(limit);
    rows
}

/// What people see of a value of these tables, as text and as JSON.
fn said(cell: &Cell) -> (Option<String>, String) {
    match cell {
        Cell::Null => (None, "null".into()),
        Cell::Int(number) => (Some(number.to_string()), number.to_string()),
        Cell::Text(text) => (Some(text.clone()), serde_json::to_string(text).expect("JSON")),
        Cell::Decimal(cost) => {
            let texts = ["0", "-1.5", "10000", "0.7"];
            let is_it = |text: &&str| text.parse::<Decimal>().expect("a number") == *cost;
            let text = texts.into_iter().find(is_it).expect("a known cost").to_owned();
            (Some(text.clone()), text)
        }
        Cell::Time(_) => (Some(cell.to_string()), format!("\"{cell}\"")),
        other => panic!("{other:?}"),
    }
}
fn list(rows: &[Vec<Cell>], at: usize) -> Cell {
    let texts: Vec<Option<String>> = rows.iter().map(|row| said(&row[at]).0).collect();
    if rows.is_empty() { Cell::Null } else { Cell::List(sinks::List(texts)) }
}
fn json(rows: &[Vec<Cell>], item: impl Fn(&[String]) -> String) -> Cell {
    let values = |row: &Vec<Cell>| row.iter().map(|cell| said(cell).1).collect::<Vec<_>>();
    let items: Vec<String> = rows.iter().map(|row| item(&values(row))).collect();
    if rows.is_empty() { Cell::Null } else { Cell::Json(format!("[{}]", items.join(","))) }
}

/// For each name:
///
/// ```sql
/// select count(*), case when count(distinct status) <= 1 then count(distinct status) end,
///   array_agg(trim_scale(cost)::text order by cost desc, project, id, title) -- of the first 3 rows
/// from tickets where assignee = name
/// ```
/// and so on.
fn tops_in(source: &Source) -> ShownView {
    let tickets = || source.rows[TICKETS].iter();
    let comments = || source.rows[COMMENTS].iter();
    let names = tickets().map(|(_, row)| row[2].clone()).chain(comments().map(|c| c.0[0].clone()));
    let names: BTreeSet<Cell> = names.filter(|name| *name != Cell::Null).collect();
    let row = |name: &Cell| {
        let tickets: Vec<(&Vec<Cell>, &Vec<Cell>)> =
            tickets().filter(|(_, row)| row[2] == *name).collect();
        let comments: Vec<(&Vec<Cell>, &Vec<Cell>)> =
            comments().filter(|(key, _)| key[0] == *name).collect();
        let statuses: BTreeSet<&Cell> = tickets.iter().map(|(_, row)| &row[1]).collect();
        let statuses = statuses.iter().filter(|status| ***status != Cell::Null).count();
        let card = |(key, row): &(&Vec<Cell>, &Vec<Cell>)| {
            [&row[4], &key[0], &key[1], &row[0]].map(Cell::clone).to_vec()
        };
        let cards = tickets.iter().map(card).collect();
        let cards = first_of(cards, &[true, false, false, false], CARDS);
        let opened = tickets.iter().map(|(_, row)| vec![row[5].clone(), row[3].clone()]);
        let opened = first_of(opened.collect(), &[false, true], EARLIEST);
        let likes = comments.iter().map(|(_, row)| row[0].clone());
        let likes = likes.filter(|likes| likes.int().is_some_and(|likes| likes < 5_000));
        let likes = first_of(likes.map(|likes| vec![likes]).collect(), &[true], LIKES);
        let numbers = comments.iter().map(|(key, _)| vec![key[2].clone(), key[1].clone()]);
        let numbers = first_of(numbers.collect(), &[false, true], usize::MAX);
        let object = |row: &[String]| {
            let [cost, project, id, title] = row else { panic!("four values") };
            format!("{{\"project\":{project},\"id\":{id},\"title\":{title},\"cost\":{cost}}}")
        };
        vec![
            Cell::Int(tickets.len() as i64),
            Cell::from((statuses <= STATUSES_MAX).then_some(statuses as i64)),
            list(&cards, 0),
            json(&cards, object),
            cards.first().map_or(Cell::Null, |card| card[3].clone()),
            json(&opened, |row| format!("[{}]", row.join(","))),
            tickets.iter().filter_map(|(_, row)| row[3].int()).max().into(),
            Cell::Int(comments.len() as i64),
            json(&likes, |row| row[0].clone()),
            Cell::Int(numbers.len() as i64),
            list(&numbers, 1),
        ]
    };
    names.iter().map(|name| (vec![name.clone()], row(name))).collect()
}

#[test]
fn the_first_of_each_group_equal_those_computed_from_the_tables() {
    for seed in 0..SEEDS {
        let (mut source, mut world) = history(seed, vec![tops()]);
        assert_eq!(world.shown()[TOPS], tops_in(&source), "seed {seed}");
        world.truncate("comments", 'c');
        source.rows[COMMENTS].clear();
        assert_eq!(world.shown()[TOPS], tops_in(&source), "seed {seed}: without comments");
        world.truncate("tickets", 't');
        assert!(world.shown()[TOPS].is_empty(), "seed {seed}");
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}

/// What stands in the state after these facts, the handler's rows `r..` left out: `key: row`.
fn kept(handler: &PlanHandler, facts: &[Fact]) -> Vec<String> {
    let (mut rows, mut writes) = (Rows::default(), vec![]);
    for fact in facts {
        let mut keys = Keys::default();
        handler.needs(fact, &mut keys);
        let unknown: Vec<Key> = keys.iter().filter(|key| !rows.knows(key)).cloned().collect();
        unknown.into_iter().for_each(|key| rows.learn(key, None));
        handler.apply(fact.clone(), &mut Step::new(&mut rows, &mut writes, 0, 0));
        assert_eq!(rows.take_fault(), None);
    }
    let changed = rows.take_changed().expect("rows that can be stored");
    let is_kept = |key: &Key| key.starts_with(b"^") || key.starts_with(b"<");
    let kept = changed.into_iter().filter_map(|(key, row)| Some((key, row?)));
    let text = |(key, row): (Key, Vec<u8>)| format!("{}: {row:02x?}", key.escape_ascii());
    kept.filter(|(key, _)| is_kept(key)).map(text).collect()
}

/// Stored: never to be changed.
#[test]
fn rows_of_all_values_are_as_ever() {
    let fact = |id: &str, points: Option<i64>| {
        let mut row = vec![Cell::Null; 6];
        (row[1], row[2], row[3]) = ("open".into(), "ann".into(), points.into());
        Fact { table: TICKETS, key: vec!["p".into(), id.into()], row: Some(row), unchanged: vec![] }
    };
    let facts =
        [fact("a", Some(5)), fact("b", Some(7)), fact("c", Some(5)), fact("d", Some(2_000))];
    let part = |aggregate| Part {
        table: TICKETS,
        filter: Condition::Always,
        key: vec![Expr::Own(2)],
        aggregates: vec![aggregate],
    };
    let key = const { &[Column::new("name", Type::Text)] };
    let of = |merge: &'static [Merge], aggregate| {
        const SHOWN: &[Column] = &[Column::new("shown", Type::Int)];
        let view = View::totals("v", key, merge, SHOWN).showing(SHOWN, vec![Expr::Value(0.into())]);
        kept(&handler_of(vec![Plan::new(view, None, vec![part(aggregate)])]), &facts)
    };
    assert_eq!(
        of(&[Merge::Max], Aggregate::Max(Expr::Own(3))),
        [
            r"<v\x00\x18Pann\x00\x01: [01, 01, 00, 01, 0e, 01, 02, 01, a0, 1f]",
            r"^v\x00\x18Pann\x00\x01\x18: [01, 01, 0a, 01, 04, 01, 0e, 01, 02]",
            r"^v\x00\x18Pann\x00\x01\x19\x01: [01, 01, a0, 1f, 01, 02]",
        ]
    );
    assert_eq!(
        of(&[Merge::Min], Aggregate::Min(Expr::Own(3)))[0],
        r"<v\x00\x18Pann\x00\x01: [01, 01, 00, 01, 0a, 01, 02, 01, a0, 1f]"
    );
    const TWO: First = First { limit: 2, order: &[Direction::Descending, Direction::Ascending] };
    let values = vec![Expr::Own(3), Expr::Key(1)];
    let filter = Condition::Always;
    assert_eq!(
        of(&[Merge::First(TWO)], Aggregate::First { first: TWO, values, filter }),
        [
            "<v\\x00\\x18Pann\\x00\\x01: [01, 01, 03, 0d, 01, 02, 01, a0, 1f, 03, 01, 64, \
             01, 01, 0d, 02, 02, 01, 0e, 03, 01, 62, 02, 01, 0a, 03, 01, 61]",
            r"^v\x00\x18Pann\x00\x01\x17\xfe: [01, 0d, 01, 02, 01, a0, 1f, 03, 01, 64, 01, 02]",
            "^v\\x00\\x18Pann\\x00\\x01\\x17\\xff: [01, 0d, 01, 02, 01, 0e, 03, 01, 62, 01, 02, \
             0d, 01, 02, 01, 0a, 03, 01, 61, 01, 02, 0d, 01, 02, 01, 0a, 03, 01, 63, 01, 02]",
        ]
    );
}
