//! Views over random tables: the interpreter's rows and the normal form's are PostgreSQL's.
use super::{
    interpreter, lanes, random_views,
    seed::{number, seed},
    server::Server,
    shop,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sql::{BoundQuery, File, Kind, NormalForm};
use std::collections::BTreeMap;
use views::Cell;

#[test]
fn views_are_what_postgresql_makes_of_them() {
    let Some(server) = Server::connect() else { return };
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let catalogue = shop::catalogue();
    server.run(
        &shop::TABLES
            .replace("create table", "create temporary table")
            .replace("create type tier", "create type pg_temp.tier")
            .replace("tier tier", "tier pg_temp.tier"),
    );
    let rounds = number("TEST_SQL_ROUNDS");
    let (mut compared, mut views, mut errors) = (0, 0, 0);
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..rounds.unwrap_or(10) {
        let mut tables = Vec::new();
        let mut gone = Vec::new();
        for table in catalogue.tables() {
            server.run(&format!("truncate {}", table.name));
            let count = random.random_range(0..12);
            let rows = shop::rows(&mut random, &table.name, 1, count);
            for row in &rows {
                server.run(&format!("insert into {} values ({})", table.name, row.join(", ")));
            }
            tables.push(rows.iter().map(|row| shop::cells(table, row)).collect::<Vec<_>>());
            let rows = shop::rows(&mut random, &table.name, 1_000, 5);
            gone.push(rows.iter().map(|row| shop::cells(table, row)).collect::<Vec<_>>());
        }
        let more: Vec<String> = (0..100).map(|_| random_views::view(&mut random)).collect();
        for text in shop::VIEWS.iter().copied().chain(more.iter().map(String::as_str)) {
            let is_random = more.iter().any(|one| one == text);
            let file =
                File::parse(&format!("create materialized view v as {text}")).expect("a view");
            let made = file
                .bind(&catalogue)
                .and_then(|bound| Ok((NormalForm::of(&bound, &catalogue)?, bound)));
            let (form, bound) = match made {
                Ok(made) => made,
                Err(problem) if is_random => {
                    *refused.entry(problem.what).or_insert(0) += 1;
                    continue;
                }
                Err(problem) => panic!("{problem}\n{text}"),
            };
            let theirs = server.rows(&asked(text, &bound));
            let texts = |rows: Vec<Vec<Cell>>| {
                sorted(rows.iter().map(|row| row.iter().map(shown).collect()).collect())
            };
            let simple = interpreter::rows(&bound.relation, &tables).map(texts);
            let normal = lanes::rows(&form, &tables, &gone, &mut random).map(texts);
            let Ok(theirs) = theirs.map(sorted) else {
                assert!(
                    is_random && simple.is_err(),
                    "seed {seed} round {round}: no error here\n{text}"
                );
                errors += 1;
                continue;
            };
            let told =
                || format!("seed {seed} round {round}\n{text}\n{}", form.explain("v", &catalogue));
            assert_eq!(simple.as_ref(), Ok(&theirs), "the interpreter: {}", told());
            assert_eq!(normal.as_ref(), Ok(&theirs), "the normal form: {}", told());
            compared += theirs.len();
            views += 1;
        }
    }
    for (what, count) in &refused {
        println!("refused {count} times: {what}");
    }
    println!(
        "{compared} rows of {views} views as PostgreSQL's, {errors} views with an error as there"
    );
}

/// The view's rows as texts; times as microseconds since 1970, whatever the session's settings are.
fn asked(text: &str, bound: &BoundQuery) -> String {
    let column = |column: &sql::OutputColumn| match column.sql_type.kind() {
        Kind::Timestamp | Kind::Timestamptz => {
            format!("(extract(epoch from {}) * 1000000)::bigint::text", column.name)
        }
        _ => format!("q.{}::text", column.name),
    };
    let columns: Vec<String> = bound.columns.iter().map(column).collect();
    format!("select {} from ({text}) q", columns.join(", "))
}
fn shown(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Null => None,
        Cell::Time(us) => Some(us.to_string()),
        other => Some(other.to_string()),
    }
}
fn sorted(mut rows: Vec<Vec<Option<String>>>) -> Vec<Vec<Option<String>>> {
    rows.sort();
    rows
}
