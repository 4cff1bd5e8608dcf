//! Thousands of random expressions over random rows.
use super::{
    random::{Random, TABLE},
    seed::{number, seed},
    server::Server,
};
use sql::{Catalogue, Code, bind_expression};
use std::collections::BTreeMap;
use views::Cell;

const ROWS: usize = 10;

/// What an expression is for a row: a text, null, or an error's code.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Value(Option<String>),
    Error(String),
}

#[test]
fn expressions_are_what_postgresql_makes_of_them() {
    let Some(server) = Server::connect() else { return };
    let seed = seed();
    let count = number("TEST_SQL_EXPRESSIONS").unwrap_or(4_000);
    println!("TEST_SQL_EXPRESSIONS={count}");
    let mut random = Random::new(seed);
    let catalogue = Catalogue::parse(TABLE).expect("the table");
    let table = &catalogue.tables()[0];
    server.run(&TABLE.replace("create table", "create temporary table"));
    server.run(
        "create function pg_temp.attempt(query text) returns text language plpgsql as $$
         declare answer text;
         begin execute query into answer; return 'v' || answer;
         exception when others then return 'e' || sqlstate; end $$",
    );
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for id in 1..=ROWS {
        let values = random.row();
        server.run(&format!("insert into every values ({id}, {})", values.join(", ")));
        let mut row = vec![Cell::Int(id as i64)];
        for (value, column) in values.iter().zip(&table.columns[1..]) {
            row.push(cell(value, &column.sql_type.to_string(), table));
        }
        rows.push(row);
    }
    let mut refused: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let (mut bound, mut values, mut errors, mut left_out, mut wrong) = (0, 0, 0, 0, Vec::new());
    for _ in 0..count {
        let text = format!("({})::text", random.expression());
        let expr = match bind_expression(&text, table) {
            Ok(bound) => bound.expr,
            Err(problem) => {
                let why = problem.what.split_once(": ").map_or(&*problem.what, |(_, why)| why);
                refused.entry(why.to_owned()).or_insert((0, text)).0 += 1;
                continue;
            }
        };
        bound += 1;
        for (row, theirs) in rows.iter().zip(asked(&server, &text)) {
            let ours = match expr.of(row) {
                Ok(cell) => Answer::Value(match &*cell {
                    Cell::Null => None,
                    cell => Some(cell.to_string()),
                }),
                Err(error) if error.code == Code::FeatureNotSupported => {
                    left_out += 1;
                    continue;
                }
                Err(error) => Answer::Error(error.code.sqlstate().into()),
            };
            match ours {
                Answer::Value(_) => values += 1,
                Answer::Error(_) => errors += 1,
            }
            if ours != theirs && !is_as_good(&ours, &theirs) {
                wrong
                    .push(format!("{text}\n   row {row:?}\n   here {ours:?}\n   there {theirs:?}"));
                break;
            }
        }
        if wrong.len() >= 25 {
            break;
        }
    }
    println!(
        "{bound} expressions bound: {values} values and {errors} errors as PostgreSQL's, {left_out} left out"
    );
    let mut refused: Vec<_> = refused.into_iter().collect();
    refused.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (why, (count, text)) in refused.iter().take(40) {
        println!("refused {count} times: {why}: {text}");
    }
    assert!(wrong.is_empty(), "seed {seed}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(bound * 2 > count, "seed {seed}: most were refused");
    assert!(values > 20 * left_out, "seed {seed}: too many were left out");
}

/// A text that is no number, or no time, may be called so for one of several reasons.
fn is_as_good(ours: &Answer, theirs: &Answer) -> bool {
    let are_both = |codes: &[&str]| {
        [ours, theirs]
            .iter()
            .all(|one| matches!(one, Answer::Error(code) if codes.contains(&&**code)))
    };
    are_both(&["22003", "22P02"]) || are_both(&["22007", "22008", "22009", "22023"])
}

/// The value of a constant.
fn cell(value: &str, sql_type: &str, table: &sql::Table) -> Cell {
    if sql_type == "text[]" {
        let inner = value.trim_start_matches("'{").split('}').next().unwrap_or_default();
        if value.starts_with("null") {
            return Cell::Null;
        }
        let texts = inner.split(',').filter(|text| !text.is_empty());
        let text = |text: &str| (text != "NULL").then(|| text.trim_matches('"').to_owned());
        return Cell::List(views::List(texts.map(text).collect()));
    }
    let bound = bind_expression(&format!("({value})::{sql_type}"), table).expect("a constant");
    bound.expr.of(&[]).expect("a value").into_owned()
}

/// What PostgreSQL makes of the expression for each row.
fn asked(server: &Server, text: &str) -> Vec<Answer> {
    match server.column(&format!("select {text} from every order by every.id")) {
        Ok(values) => values.into_iter().map(Answer::Value).collect(),
        Err(_) => {
            let query = format!("select {text} from every where id = ").replace('\'', "''");
            let each =
                format!("select pg_temp.attempt('{query}' || id) from every order by every.id");
            let answers = server.column(&each).expect("the attempts");
            answers
                .into_iter()
                .map(|answer| match answer {
                    Some(answer) if answer.starts_with('e') => {
                        Answer::Error(answer[1..].to_owned())
                    }
                    Some(answer) => Answer::Value(Some(answer[1..].to_owned())),
                    None => Answer::Value(None),
                })
                .collect()
        }
    }
}
