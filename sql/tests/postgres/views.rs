//! Views over random tables: the interpreter's rows and the normal form's are PostgreSQL's.
use super::{interpreter, lanes, server::Server, shop};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sql::{BoundQuery, File, Kind, NormalForm};
use views::Cell;

#[test]
fn views_are_what_postgresql_makes_of_them() {
    let Some(server) = Server::connect() else { return };
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seed = std::env::var("TEST_SQL_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(clock.as_nanos() as u64);
    println!("TEST_SQL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let catalogue = shop::catalogue();
    server.run(
        &shop::TABLES
            .replace("create table", "create temporary table")
            .replace("create type tier", "create type pg_temp.tier")
            .replace("tier tier", "tier pg_temp.tier"),
    );
    let mut compared = 0;
    for round in 0..10 {
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
        for text in shop::VIEWS {
            let file =
                File::parse(&format!("create materialized view v as {text}")).expect("a view");
            let bound = file.bind(&catalogue).expect("a bound view");
            let form = NormalForm::of(&bound, &catalogue).expect("a normal form");
            let theirs = sorted(
                server
                    .rows(&asked(text, &bound))
                    .unwrap_or_else(|error| panic!("{error:?}\n{text}")),
            );
            let texts = |rows: Vec<Vec<Cell>>| {
                sorted(rows.iter().map(|row| row.iter().map(shown).collect()).collect())
            };
            let simple = texts(interpreter::rows(&bound.relation, &tables).expect("rows"));
            let normal = texts(lanes::rows(&form, &tables, &gone, &mut random).expect("rows"));
            assert_eq!(simple, theirs, "seed {seed} round {round}: the interpreter\n{text}");
            assert_eq!(
                normal,
                theirs,
                "seed {seed} round {round}: the normal form\n{text}\n{}",
                form.explain("v", &catalogue)
            );
            compared += theirs.len();
        }
    }
    println!("{compared} rows of views as PostgreSQL's");
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
