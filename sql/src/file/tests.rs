use super::*;
use crate::types::Kind;

fn problem(text: &str) -> String {
    let problem = File::parse(text).expect_err("a problem");
    match &problem.instead {
        Some(way) => format!("{problem} -> {way}"),
        None => problem.to_string(),
    }
}

#[test]
fn a_file_has_tables_and_one_view() {
    let text = "create type state as enum ('open', 'done');
        create table Tickets (id uuid primary key, \"Title\" varchar(80), state state not null, points numeric(6, 2),
          tags text[], code char(4) collate \"C\");
        create table audit.log (a int, b bigint, at timestamptz, primary key (b, a));
        -- the view
        create materialized view cards with (sink = 'sqlite:a.db', sink = 'dynamodb:cards', topics = 'shop.public.*') as
        select id from tickets;";
    let file = File::parse(text).expect("a file");
    assert_eq!(
        (file.view.name.as_str(), file.view.place),
        ("cards", Place { line: 6, column: 34 })
    );
    let options: Vec<_> = file.view.options.iter().map(|one| (&*one.name, &*one.value)).collect();
    assert_eq!(
        options,
        [("sink", "sqlite:a.db"), ("sink", "dynamodb:cards"), ("topics", "shop.public.*")]
    );
    let [tickets, log] = file.tables.tables() else { panic!("two tables") };
    assert_eq!(
        (&*tickets.schema, &*tickets.name, &tickets.key[..]),
        ("public", "tickets", &[0][..])
    );
    let types: Vec<String> = tickets.columns.iter().map(|one| one.sql_type.to_string()).collect();
    assert_eq!(
        types,
        ["uuid", "character varying(80)", "state", "numeric(6,2)", "text[]", "character(4)"]
    );
    assert!(
        tickets.columns[0].not_null && tickets.columns[2].not_null && !tickets.columns[1].not_null
    );
    assert!(tickets.columns[5].is_c && tickets.column("Title") == Some(1));
    assert_eq!((&*log.schema, &log.key[..]), ("audit", &[1, 0][..]));
    assert_eq!(log.columns[2].sql_type.kind(), Kind::Timestamptz);
}

#[test]
fn what_is_no_file_is_told_with_its_place() {
    for (text, want) in [
        (
            "",
            "1:1: the file declares no view -> write create materialized view NAME with (sink = '...') as select ...",
        ),
        (
            "create view v as select 1",
            "1:1: a plain view keeps no rows -> write create materialized view",
        ),
        (
            "create materialized view v as select 1;\ncreate materialized view w as select 1",
            "2:1: the file declares a second view -> write one file for each view",
        ),
        (
            "create materialized view v as\n selct 1",
            "2:2: the syntax asks for SELECT, VALUES, or a subquery in the query body, found: selct",
        ),
        (
            "create materialized view v as select 1 from t where",
            "1:1: the syntax asks for an expression, found: EOF",
        ),
        (
            "create materialized view v with (snk = 'a') as select 1",
            "1:34: a view has no option snk -> did you mean sink?",
        ),
        (
            "create materialized view v with (join = 'a', join = 'b') as select 1",
            "1:46: the option join is given twice",
        ),
        ("create materialized view v as select 'a", "1:38: Unterminated string literal"),
        (
            "drop table t",
            "1:1: DROP TABLE is no statement of a view's file -> a file has create table, create type and create materialized view",
        ),
        (
            "create materialized view v (a) as select 1",
            "1:29: the columns' names stand in the select list -> write select ... as NAME",
        ),
        ("create table t (a int, a int)", "1:24: a second column a"),
        (
            "create table t (id int, primary key (idd))",
            "1:1: the key names a column idd that is not there -> did you mean id?",
        ),
        (
            "create table t (a numeric(0))",
            "1:17: numeric(0,0) is no type -> a precision is 1 to 1000, a scale -1000 to 1000",
        ),
    ] {
        assert_eq!(problem(text), want, "{text}");
    }
}

#[test]
fn long_and_deep_texts_are_refused_and_harm_nobody() {
    let view = |what: &str| format!("create materialized view v as select {what}");
    for (text, want) in [
        (view(&"(".repeat(10_000)), "more than 50 parentheses"),
        (view(&"1 + ".repeat(10_000)), "more than 500 operators"),
        (view(&"not ".repeat(10_000)), "more than 500 operators"),
        (view(&"- ".repeat(400)), "nested too deeply"),
        (view(&"case when true then ".repeat(400)), "not expected here"),
        (view(&"a::int".repeat(1_000)), "more than 500 operators"),
        (view(&format!("1 {}", "union all select 1 ".repeat(9_000))), "more than 500 operators"),
        (" ".repeat(BYTES_MAX + 1), "and a view at most"),
    ] {
        let found = problem(&text);
        assert!(found.contains(want), "{found}");
    }
    let wide: Vec<String> = (0..10_000).map(|at| format!("c{at}")).collect();
    assert!(File::parse(&view(&wide.join(", "))).is_ok());
}

#[test]
fn columns_of_unknown_types_harm_no_table() {
    let text = "create table t (id int primary key, a money, b timestamp(3), c numerc, d interval, e int[])";
    let catalogue = Catalogue::parse(text).expect("a table");
    let types: Vec<String> =
        catalogue.tables()[0].columns.iter().map(|one| one.sql_type.to_string()).collect();
    assert_eq!(types, ["integer", "money", "timestamp", "numerc", "interval", "int[]"]);
    let kinds = catalogue.tables()[0].columns.iter().map(|one| one.sql_type.kind());
    assert_eq!(kinds.filter(|kind| *kind == Kind::Other).count(), 4);
}

#[test]
fn a_catalogue_is_read_by_itself() {
    let catalogue = Catalogue::parse("create table t (a int primary key)").expect("a table");
    assert_eq!(catalogue.tables().len(), 1);
    let problem = Catalogue::parse("create table t (a int").expect_err("no end");
    assert_eq!(problem.place, Place::START);
}
