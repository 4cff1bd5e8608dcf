//! Plans over tables that are no shop's: keys of text and uuid, of two and three columns, texts that are not sent,
//! greatest and smallest values; against the same views computed from the tables as they are in the end.
mod aggregates;
mod firsts;
mod types;

use super::*;
use crate::{
    handlers::tests::harness::{LaneId, Rng, ShownView, World},
    source_table::SourceType,
};
use sinks::{
    Column, Condition, Decimal, Expr, Merge, Type,
    plan::{Aggregate, Own, Part},
};
use std::collections::{BTreeMap, BTreeSet};

const SEEDS: u64 = 150;
const STEPS: usize = 150;
const TICKETS: usize = 0;
const COMMENTS: usize = 1;
/// `tickets`, and the two that are made of it and `comments`.
const BY_TICKET: &str = "by_ticket";
const BY_STATUS: &str = "by_status";
const BY_WORD: &str = "by_word";
/// Of two parts of `tickets` and one of `comments`, whose keys meet.
const BY_NAME: &str = "by_name";

fn tables() -> Vec<Table> {
    let tickets = SourceTable::new("tickets", 't')
        .key("project", SourceType::Text)
        .key("id", SourceType::Text)
        .column("title", SourceType::Text)
        .column("status", SourceType::Text)
        .column("assignee", SourceType::Text)
        .column("points", SourceType::Int)
        .column("cost", SourceType::Decimal)
        .column("opened", SourceType::Time);
    let comments = SourceTable::new("comments", 'c')
        .key("project", SourceType::Text)
        .key("ticket", SourceType::Text)
        .key("n", SourceType::Int)
        .column("likes", SourceType::Int);
    vec![Table::new(tickets), Table::new(comments)]
}

const PROJECT: Column = Column::new("project", Type::Text);
const ID: Column = Column::new("id", Type::Text);

fn by_ticket() -> Plan {
    const OWN: &[Column] = &[Column::new("title", Type::Text)];
    const SHOWN: &[Column] = &[
        Column::new("title", Type::Text),
        Column::new("comments", Type::Int),
        Column::new("likes", Type::Int),
        Column::new("least_liked", Type::Int),
    ];
    let view = View::rows(BY_TICKET, &[PROJECT, ID], OWN)
        .with_totals(&[Merge::Sum, Merge::Sum, Merge::Min])
        .showing(
            SHOWN,
            vec![Expr::Own(0), Expr::Total(0).or_zero(), Expr::Total(1).or_zero(), Expr::Total(2)],
        );
    let own = Own {
        table: TICKETS,
        filter: Condition::Known(Expr::Own(0)),
        each: None,
        key: vec![Expr::Key(0), Expr::Key(1)],
        columns: vec![Expr::Own(0)],
    };
    let comments = Part {
        table: COMMENTS,
        filter: Condition::Always,
        key: vec![Expr::Key(0), Expr::Key(1)],
        aggregates: vec![
            Aggregate::Count,
            Aggregate::Sum(Type::Int, Expr::Own(0)),
            Aggregate::Min(Expr::Own(0)),
        ],
    };
    Plan::new(view, Some(own), vec![comments])
}

/// Its key is made of a text that may not be sent and of one that is.
fn by_status() -> Plan {
    const KEY: &[Column] =
        &[Column::new("status", Type::Text), Column::new("assignee", Type::Text)];
    const SHOWN: &[Column] = &[
        Column::new("tickets", Type::Int),
        Column::new("cost", Type::Decimal),
        Column::new("cheapest", Type::Decimal),
        Column::new("most_points", Type::Int),
        Column::new("newest", Type::Time),
        Column::new("last_title", Type::Text),
    ];
    use Merge::{Max, Min, Sum};
    let view = View::totals(BY_STATUS, KEY, &[Sum, Sum, Min, Max, Max, Max], SHOWN);
    let tickets = Part {
        table: TICKETS,
        filter: Condition::Known(Expr::Own(3)),
        key: vec![Expr::Own(1), Expr::Own(2)],
        aggregates: vec![
            Aggregate::Count,
            Aggregate::Sum(Type::Decimal, Expr::Own(4)),
            Aggregate::Min(Expr::Own(4)),
            Aggregate::Max(Expr::Own(3)),
            Aggregate::Max(Expr::Own(5)),
            Aggregate::Max(Expr::Own(0)),
        ],
    };
    Plan::new(view, None, vec![tickets])
}

fn by_word() -> Plan {
    let word = Column::new("word", Type::Text);
    let key: &'static [Column] = Box::leak(Box::new([word, PROJECT, ID]));
    let own = Own {
        table: TICKETS,
        filter: Condition::Always,
        each: Some(Expr::Words(vec![Expr::Own(0)])),
        key: vec![Expr::Own(6), Expr::Key(0), Expr::Key(1)],
        columns: vec![],
    };
    Plan::of_rows(View::rows(BY_WORD, key, &[]), own)
}

fn by_name() -> Plan {
    const SHOWN: &[Column] = &[
        Column::new("with_status", Type::Int),
        Column::new("most_points", Type::Int),
        Column::new("assigned", Type::Int),
        Column::new("cost", Type::Decimal),
        Column::new("cheapest", Type::Decimal),
        Column::new("comments", Type::Int),
        Column::new("likes", Type::Int),
    ];
    use Merge::{Max, Min, Sum};
    let view = View::totals(
        BY_NAME,
        const { &[Column::new("name", Type::Text)] },
        &[Sum, Max, Sum, Sum, Min, Sum, Sum],
        SHOWN,
    );
    let part = |table, key, aggregates| Part {
        table,
        filter: Condition::Always,
        key: vec![key],
        aggregates,
    };
    let parts = vec![
        part(TICKETS, Expr::Own(1), vec![Aggregate::Count, Aggregate::Max(Expr::Own(3))]),
        part(
            TICKETS,
            Expr::Own(2),
            vec![
                Aggregate::Count,
                Aggregate::Sum(Type::Decimal, Expr::Own(4)),
                Aggregate::Min(Expr::Own(4)),
            ],
        ),
        part(
            COMMENTS,
            Expr::Key(0),
            vec![Aggregate::Count, Aggregate::Sum(Type::Int, Expr::Own(0))],
        ),
    ];
    Plan::new(view.existing(Condition::Known(Expr::Total(0))), None, parts)
}

fn handler_of(plans: Vec<Plan>) -> PlanHandler {
    PlanHandler::new(tables(), plans, "tests 1".into())
}
fn handler() -> PlanHandler {
    handler_of(vec![by_ticket(), by_status(), by_word()])
}

/// The tables as they are, by primary key.
#[derive(Default)]
struct Source {
    rows: [BTreeMap<Vec<Cell>, Vec<Cell>>; 2],
}
impl Source {
    /// Something happens to a row; the row's partition, and what its record says.
    fn step(&mut self, rng: &mut Rng) -> (LaneId, Fact) {
        let table = rng.below(2);
        let key = key(rng, table);
        // A row stays in its partition.
        let lane = (if table == TICKETS { 't' } else { 'c' }, i64::from(key[1] == "b".into()));
        let gone = rng.chance(20);
        let old = self.rows[table].get(&key);
        let mut unchanged = vec![];
        let row = (!gone).then(|| {
            let mut row = columns(rng, table);
            // A long text that did not change is not sent.
            if let (TICKETS, Some(old)) = (table, old) {
                for at in [0, 1].into_iter().filter(|_| rng.chance(40)) {
                    row[at] = old[at].clone();
                    unchanged.push(at);
                }
            }
            row
        });
        match &row {
            Some(row) => self.rows[table].insert(key.clone(), row.clone()),
            None => self.rows[table].remove(&key),
        };
        let sent = row.map(|mut row| {
            unchanged.iter().for_each(|at: &usize| row[*at] = Cell::Null);
            row
        });
        (lane, Fact { table, key, row: sent, unchanged })
    }

    fn by_ticket(&self) -> ShownView {
        let mut shown = ShownView::new();
        for (key, ticket) in self.rows[TICKETS].iter().filter(|(_, row)| row[0] != Cell::Null) {
            let of = self.rows[COMMENTS].iter().filter(|(comment, _)| comment[..2] == key[..]);
            let likes: Vec<&Cell> = of.map(|(_, row)| &row[0]).collect();
            let known: Vec<i64> = likes.iter().filter_map(|cell| cell.int()).collect();
            let row = vec![
                ticket[0].clone(),
                Cell::Int(likes.len() as i64),
                Cell::Int(known.iter().sum()),
                known.iter().min().copied().into(),
            ];
            shown.insert(key.clone(), row);
        }
        shown
    }

    fn by_status(&self) -> ShownView {
        let mut groups: BTreeMap<Vec<Cell>, Vec<&Vec<Cell>>> = BTreeMap::new();
        for row in self.rows[TICKETS].values() {
            if row[1] != Cell::Null && row[2] != Cell::Null && row[3] != Cell::Null {
                groups.entry(row[1..3].to_vec()).or_default().push(row);
            }
        }
        let known = |rows: &[&Vec<Cell>], at: usize| -> BTreeSet<Cell> {
            rows.iter().map(|row| row[at].clone()).filter(|cell| *cell != Cell::Null).collect()
        };
        let or_null = |cell: Option<&Cell>| cell.cloned().unwrap_or(Cell::Null);
        let row = |rows: Vec<&Vec<Cell>>| {
            let costs = rows.iter().filter_map(|row| row[4].decimal());
            let sum = costs.fold(Decimal::from(0), |sum, cost| sum + cost);
            vec![
                Cell::Int(rows.len() as i64),
                Cell::Decimal(sum),
                or_null(known(&rows, 4).first()),
                or_null(known(&rows, 3).last()),
                or_null(known(&rows, 5).last()),
                or_null(known(&rows, 0).last()),
            ]
        };
        groups.into_iter().map(|(key, rows)| (key, row(rows))).collect()
    }

    fn by_word(&self) -> ShownView {
        let mut shown = ShownView::new();
        for (key, row) in &self.rows[TICKETS] {
            for word in row[0].text().into_iter().flat_map(sinks::words) {
                shown.insert([&[word.into()], key.as_slice()].concat(), vec![]);
            }
        }
        shown
    }

    fn by_name(&self) -> ShownView {
        let column = |table: usize, at: usize| {
            self.rows[table].iter().map(move |(key, row)| (key, row, row.get(at)))
        };
        let named = |at: usize, name: &Cell| {
            let rows = column(TICKETS, at).filter(|(_, _, cell)| *cell == Some(name));
            rows.map(|(_, row, _)| row).collect::<Vec<_>>()
        };
        let comments = |name: &Cell| {
            let rows = self.rows[COMMENTS].iter().filter(|(key, _)| key[0] == *name);
            rows.map(|(_, row)| row).collect::<Vec<_>>()
        };
        let of_tickets = [1, 2].into_iter().flat_map(|at| column(TICKETS, at));
        let names = of_tickets.filter_map(|(_, _, name)| name.cloned());
        let names = names.chain(self.rows[COMMENTS].keys().map(|key| key[0].clone()));
        let names: BTreeSet<Cell> = names.filter(|name| *name != Cell::Null).collect();
        let row = |name: &Cell| {
            let (status, assigned, comments) = (named(1, name), named(2, name), comments(name));
            let costs: Vec<&Decimal> = assigned.iter().filter_map(|row| row[4].decimal()).collect();
            vec![
                Cell::Int(status.len() as i64),
                status.iter().filter_map(|row| row[3].int()).max().into(),
                Cell::Int(assigned.len() as i64),
                Cell::Decimal(costs.iter().fold(Decimal::ZERO, |sum, cost| sum + *cost)),
                costs.iter().min().map(|cost| (*cost).clone()).into(),
                Cell::Int(comments.len() as i64),
                Cell::Int(comments.iter().filter_map(|row| row[0].int()).sum()),
            ]
        };
        names.iter().map(|name| (vec![name.clone()], row(name))).collect()
    }

    fn views(&self) -> BTreeMap<&'static str, ShownView> {
        let views = [self.by_ticket(), self.by_status(), self.by_word(), self.by_name()];
        [BY_TICKET, BY_STATUS, BY_WORD, BY_NAME].into_iter().zip(views).collect()
    }
}

fn pick<T: Clone>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())].clone()
}
fn key(rng: &mut Rng, table: usize) -> Vec<Cell> {
    let mut key: Vec<Cell> =
        vec![pick(rng, &["p", "p/q", "", "é"]).into(), pick(rng, &["a", "b", "a\0b", "/"]).into()];
    if table == COMMENTS {
        key.push(Cell::Int(pick(rng, &[-1, 0, 1, 300, i64::MAX])));
    }
    key
}
fn columns(rng: &mut Rng, table: usize) -> Vec<Cell> {
    let number = |rng: &mut Rng| pick(rng, &[Some(0), Some(-3), Some(5), Some(5_000), None]).into();
    if table == COMMENTS {
        return vec![number(rng)];
    }
    let text = |rng: &mut Rng, of: &[Option<&str>]| pick(rng, of).into();
    let cost = pick(rng, &[Some((0, 0)), Some((-150, 2)), Some((1, -4)), Some((7, 1)), None]);
    let day = 86_400_000_000;
    let opened = pick(rng, &[Some(0), Some(-1), Some(day), Some(day + 1), Some(40 * day), None]);
    vec![
        text(rng, &[Some("Red wine"), Some("red"), Some(""), Some("zebra"), None]),
        text(rng, &[Some("open"), Some("done"), None]),
        text(rng, &[Some("ann"), Some("open"), Some("p"), None]),
        number(rng),
        cost.map(|(digits, scale)| Decimal::from_parts(i64::from(digits).into(), scale)).into(),
        opened.map_or(Cell::Null, Cell::Time),
    ]
}

/// What stands in the tables after a random history of this seed, and what the views of these plans have then, whatever was
/// applied again on the way.
fn history(seed: u64, plans: Vec<Plan>) -> (Source, World<PlanHandler>) {
    println!("seed {seed}");
    let mut rng = Rng(seed);
    let (mut source, mut world) = (Source::default(), World::new(handler_of(plans)));
    for _ in 0..STEPS {
        let (lane, fact) = source.step(&mut rng);
        world.append(lane, fact);
    }
    world.run(&mut rng, 4);
    (source, world)
}

#[test]
fn any_plan_equals_its_views_computed_from_the_tables() {
    for seed in 0..SEEDS {
        let plans = vec![by_ticket(), by_status(), by_word(), by_name()];
        let (mut source, mut world) = history(seed, plans);
        assert_eq!(world.shown(), source.views(), "seed {seed}");
        world.truncate("comments", 'c');
        source.rows[COMMENTS].clear();
        assert_eq!(world.shown(), source.views(), "seed {seed}: without comments");
        world.truncate("tickets", 't');
        assert!(world.shown().values().all(BTreeMap::is_empty), "seed {seed}");
        assert_eq!(world.rows_kept(), 0, "seed {seed}");
    }
}

#[test]
fn a_state_row_leads_to_the_owners_part() {
    let handler = handler();
    let key: Vec<Cell> = vec!["p".into(), "a".into()];
    let at = handler.owner_key(BY_TICKET, &key).expect("it has an owner");
    assert_eq!(handler.gone(&at).map(|fact| (fact.table, fact.key)), Some((TICKETS, key.clone())));
    let row = [vec!["Red wine".into()], vec![Cell::Null; 5]].concat();
    let stored = sinks::encode_row(&row);
    assert_eq!(handler.own_part(BY_TICKET, &key, &stored), Some(vec!["Red wine".into()]));
    let word = |word: &str| vec![word.into(), "p".into(), "a".into()];
    assert_eq!(handler.owner_key(BY_WORD, &word("red")), Some(at));
    assert_eq!(handler.own_part(BY_WORD, &word("red"), &stored), Some(vec![]));
    assert_eq!(handler.own_part(BY_WORD, &word("blue"), &stored), None, "no word of the title");
    assert_eq!(handler.owner_key(BY_STATUS, &["open".into(), "ann".into()]), None);
}

/// Stored: never to be changed.
#[test]
fn state_rows_are_kept_under_these_keys() {
    let handler = handler();
    let (project, id): (Cell, Cell) = ("p".into(), "a".into());
    assert_eq!(handler.row_key(TICKETS, &[project, id]), b"rt/\x50p\x00\x01\x50a\x00\x01");
    let mut keys = Keys::default();
    handler.needs(&ticket("red", "open"), &mut keys);
    let keys: Vec<String> = keys.iter().map(|key| key.escape_ascii().to_string()).collect();
    assert_eq!(
        keys,
        [
            r#"<by_status\x00\x19\x02Popen\x00\x01Pann\x00\x01"#,
            r#"<by_status\x00\x19\x03Popen\x00\x01Pann\x00\x01"#,
            r#"<by_status\x00\x19\x04Popen\x00\x01Pann\x00\x01"#,
            r#"<by_status\x00\x19\x05Popen\x00\x01Pann\x00\x01"#,
            r#"=by_status\x00[\"open\",\"ann\"]"#,
            r#"^by_status\x00\x19\x03Popen\x00\x01Pann\x00\x01\x18"#,
            r#"^by_status\x00\x19\x05Popen\x00\x01Pann\x00\x01\x1are"#,
            r#"rt/Pp\x00\x01Pa\x00\x01"#,
        ]
    );
}

#[test]
fn plans_that_would_take_rows_for_others_are_refused() {
    let why = |tables: Vec<Table>, plans: Vec<Plan>| {
        let made = std::panic::catch_unwind(|| PlanHandler::new(tables, plans, String::new()));
        *made.err().expect("refused").downcast::<String>().expect("a text")
    };
    let [tickets, comments] = <[Table; 2]>::try_from(tables()).expect("two tables");
    let named = |name: &'static str| {
        let mut plan = by_word();
        plan.view.name = name;
        plan
    };
    assert_eq!(why(vec![tickets.clone(); 2], vec![]), "tickets: another table has its tag");
    let no_key = Table::new(SourceTable::new("empty", 'e'));
    assert_eq!(why(vec![tickets.clone(), no_key], vec![]), "empty: the table has no key");
    let both = vec![tickets.clone(), comments];
    assert_eq!(why(both.clone(), vec![named("a"), named("a")]), "a: another view has its name");
    assert!(why(both, vec![named("a\0b")]).ends_with("a zero character in a view's name"));
    assert_eq!(why(vec![tickets], vec![by_ticket()]), "by_ticket: no such table");
}

fn ticket(title: &str, status: &str) -> Fact {
    let row = vec![title.into(), status.into(), "ann".into(), 5.into(), Cell::Null, Cell::Null];
    Fact { table: TICKETS, key: vec!["p".into(), "a".into()], row: Some(row), unchanged: vec![] }
}

#[test]
fn what_a_change_leaves_alone_is_not_written() {
    let mut world = World::new(handler());
    let mut views = |fact| -> BTreeSet<&'static str> {
        world.feed(('t', 0), fact).iter().map(|write| write.view).collect()
    };
    assert_eq!(views(ticket("red", "open")), [BY_STATUS, BY_TICKET, BY_WORD].into());
    assert_eq!(views(ticket("red", "done")), [BY_STATUS].into(), "the title is as it was");
    assert_eq!(views(ticket("Red", "done")), [BY_STATUS, BY_TICKET].into(), "the same word");
    assert_eq!(views(ticket("Red", "done")), BTreeSet::new());
}

#[test]
fn a_row_that_is_as_it_was_is_not_stored_again() {
    let (handler, mut rows, mut writes) = (handler(), Rows::default(), vec![]);
    let mut keys = Keys::default();
    handler.needs(&ticket("red", "open"), &mut keys);
    keys.iter().for_each(|key| rows.learn(key.clone(), None));
    let mut stored = || {
        handler.apply(ticket("red", "open"), &mut Step::new(&mut rows, &mut writes, 0, 0));
        rows.take_changed().expect("rows that can be stored").len()
    };
    assert!(stored() > 0);
    assert_eq!(stored(), 0);
}

#[test]
fn a_truncate_is_of_one_table() {
    let handler = handler();
    assert_eq!(handler.truncated("tickets").as_deref(), Some(&b"rt/"[..]));
    assert_eq!(handler.truncated("comments").as_deref(), Some(&b"rc/"[..]));
    assert_eq!(handler.truncated("others"), None);
}

#[test]
#[should_panic(expected = "tickets.title: Day")]
fn a_bound_is_for_columns_of_its_type() {
    let [tickets, _] = <[Table; 2]>::try_from(tables()).expect("two tables");
    let _ = tickets.bound("title", Bound::Day);
}

/// What the handler says of a new row of its first table: the fact, or why not.
fn read(handler: &PlanHandler, after: &str) -> Result<Fact, String> {
    use debezium::{Decoder, Envelope, Formats, Limits};
    let table = &handler.tables[0].source.name;
    let value = format!(r#"{{"op":"c","after":{after},"source":{{"table":"{table}","ts_ms":1}}}}"#);
    let mut decoder = Decoder::new(Formats::default(), Limits::default());
    match decoder.decode(table, None, Some(value.as_bytes())).expect("an envelope") {
        Envelope::Change(change) => {
            let fact = handler.read(&change).map_err(|reject| reject.to_string())?;
            Ok(fact.expect("of its table"))
        }
        _ => panic!("no change"),
    }
}

#[test]
fn a_value_at_its_bound_is_read_and_one_beyond_is_not() {
    use SourceType::{Decimal, Int, Text};
    let columns =
        [("bytes", Text), ("words", Text), ("lower", Text), ("size", Int), ("digits", Decimal)];
    let notes = SourceTable::new("notes", 'n').key("id", Int);
    let notes = columns.into_iter().fold(notes, |table, (name, kind)| table.column(name, kind));
    let notes = Table::new(notes)
        .bound("bytes", Bound::Bytes(4))
        .bound("words", Bound::BytesWithWords(16))
        .bound("lower", Bound::LowerBytes(4))
        .bound("size", Bound::Size(3))
        .bound("digits", Bound::Digits(3));
    let handler = PlanHandler::new(vec![notes], vec![], String::new());
    let says = |name: &str, value: &str| {
        let cell = |of: &str| if of == name { value.to_owned() } else { "null".to_owned() };
        let row = columns.map(|(of, _)| format!(r#""{of}":{}"#, cell(of))).join(",");
        read(&handler, &format!(r#"{{"id":1,{row}}}"#)).map(|_| ())
    };
    for (name, fits, beyond) in [
        ("bytes", r#""abcd""#, r#""abcde""#),
        // 6 bytes, and 2 words of 2 bytes and 3 more.
        ("words", r#""ab cd.""#, r#""ab cd..""#),
        // 3 bytes each in lower case.
        ("lower", r#""ABCD""#, r#""ȺȺ""#),
        ("size", "-3", "-4"),
        ("size", "3", "4"),
        ("digits", r#""1.2500""#, r#""1.251""#),
    ] {
        assert_eq!(says(name, fits), Ok(()), "{name}");
        let why = says(name, beyond).expect_err("beyond");
        assert!(why.starts_with(&format!("notes.{name}: ")), "{why}");
    }
}

#[test]
fn equal_keys_are_read_as_equal_cells() {
    let table = SourceTable::new("rates", 'r')
        .key("rate", SourceType::Decimal)
        .key("since", SourceType::Time);
    let handler = PlanHandler::new(vec![Table::new(table)], vec![], String::new());
    let key = |rate: &str, since: &str| {
        let row = format!(r#"{{"rate":"{rate}","since":"{since}"}}"#);
        read(&handler, &row).map(|fact| format!("{:?} {}", fact.key[1], fact.key[0]))
    };
    let one = Ok("Time(1) 1.5".to_owned());
    assert_eq!(key("1.50", "1970-01-01T00:00:00.000001Z"), one);
    assert_eq!(key("1.5", "1970-01-01T00:00:00.0000010Z"), one);
    let why = key("1.5", "infinity").expect_err("no key");
    assert_eq!(why, "rates.since: an infinite time cannot be in a key");
}

/// DynamoDB's items name a partition by the tag and a number.
#[test]
#[should_panic(expected = "orders: its tag is none of a to z")]
fn a_tables_tag_is_a_small_letter() {
    let table = Table::new(SourceTable::new("orders", 'O').key("id", SourceType::Int));
    let _ = PlanHandler::new(vec![table], vec![], "rules 1".into());
}
