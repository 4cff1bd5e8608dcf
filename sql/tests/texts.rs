//! What the state of a view is bound to: another text for whatever may show other rows, and the same text again for the same view.
use sql::{File, NormalForm};

const TABLES: &str = "create table t (id int primary key, k text not null, paid boolean, own1 int, \"a + b\" int, a int, b int);";

fn text(tables: &str, query: &str) -> String {
    let whole = format!("{tables} create materialized view v as {query}");
    let made = File::parse(&whole).and_then(|file| {
        let bound = file.bind(&file.tables)?;
        NormalForm::of(&bound, &file.tables)?.compile(&file.view, &file.tables)
    });
    made.unwrap_or_else(|problem| panic!("{}", problem.show("v", &whole))).text
}

#[test]
fn views_that_differ_have_texts_that_differ() {
    let pairs = [
        ("select id from t where paid is not null", "select id from t where (not paid) is null"),
        ("select id from t where not (paid is true)", "select id from t where (not paid) is true"),
        (
            "select id, (not paid)::text as x from t",
            "select id, not (paid::text = 'true') as x from t",
        ),
        ("select id, \"a + b\" as x from t", "select id, a + b as x from t"),
        (
            "select k, count(*) as n from t group by k",
            "select k, count(paid) as n from t group by k",
        ),
        ("select id, a as x from t", "select id, b as x from t"),
        ("select id, a as x from t", "select id, a as y from t"),
    ];
    for (one, other) in pairs {
        assert_ne!(text(TABLES, one), text(TABLES, other), "{one}\n{other}");
        assert_eq!(text(TABLES, one), text(TABLES, one));
    }
    let query = "select id, a as x from t";
    assert_ne!(text(TABLES, query), text(&TABLES.replace("a int,", "a bigint,"), query));
    assert_ne!(text(TABLES, query), text(&TABLES.replace("a int,", "a int not null,"), query));
}

#[test]
fn words_are_bound_to_their_version_of_unicode() {
    let (major, ..) = views::UNICODE_VERSION;
    let words = text(TABLES, "select id, words(k) as w from t");
    assert!(words.contains(&format!("unicode {major}.")), "{words}");
    assert!(!text(TABLES, "select id from t").contains("unicode"));
}

#[test]
fn keys_whose_digits_would_be_lost_are_refused() {
    for (kind, is_run) in
        [("numeric", false), ("numeric(10,2)", false), ("numeric(10)", true), ("uuid", true)]
    {
        let whole = format!(
            "create table t (id {kind} primary key, x int); create materialized view v as select id, x from t"
        );
        let file = File::parse(&whole).expect("a file");
        let bound = file.bind(&file.tables).expect("a query");
        let form = NormalForm::of(&bound, &file.tables).expect("a view");
        let compiled = form.compile(&file.view, &file.tables);
        assert_eq!(compiled.is_ok(), is_run, "{kind}: {:?}", compiled.err());
    }
}
