//! Texts that nobody means well: each is a clear error, or a view, in no time; and nothing panics.
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sql::{Catalogue, File, NormalForm, Problem};
use std::fmt::Write;

const TABLES: &str = "create table t (id int primary key, n numeric(9,2), x int, s text, b bool, at timestamptz, j jsonb, l text[]);
    create table u (id int primary key, t int, x int);";

fn made(text: &str) -> Result<NormalForm, Problem> {
    let catalogue = Catalogue::parse(TABLES).expect("the tables");
    let file = File::parse(&format!("create materialized view v as {text}"))?;
    NormalForm::of(&file.bind(&catalogue)?, &catalogue)
}

#[test]
fn long_chains_are_views() {
    let chain = |sign: &str, part: &str| vec![part; 480].join(sign);
    assert!(made(&format!("select id, {} as y from t", chain(" + ", "x"))).is_ok());
    assert!(
        made(&format!("select id from t where {}", chain(" and ", "x > 1"))).is_err(),
        "960 operators"
    );
    assert!(made(&format!("select id from t where {}", vec!["x > 1"; 240].join(" or "))).is_ok());
    assert!(made(&format!("select id, {} as y from t", chain(" || ", "s"))).is_ok());
    let deep = format!("{}x{}", "(1 + ".repeat(15), ")".repeat(15));
    let problem = made(&format!("select id, {deep} as y from t"));
    assert!(problem.is_ok(), "{problem:?}");
}

#[test]
fn what_grows_beyond_all_bounds_is_refused() {
    let mut doubled = "select id, x from t".to_owned();
    for at in 0..18 {
        doubled = format!("select id, x + x as x from ({doubled}) q{at}");
    }
    let problem = made(&doubled).expect_err("2^18 terms");
    assert!(problem.what.contains("too long"), "{problem}");
    let mut ctes = "with c0 as (select id, x from t)".to_owned();
    for at in 1..60 {
        let before = at - 1;
        let _ = write!(
            ctes,
            ", c{at} as (select a.id, a.x from c{before} a join c{before} b on a.id = b.id)"
        );
    }
    let problem = made(&format!("{ctes} select id from c59")).expect_err("2^59 tables");
    assert!(problem.what.contains("too long"), "{problem}");
}

#[test]
fn ten_thousand_columns_are_bound_at_once() {
    let columns: Vec<String> = (0..10_000).map(|at| format!("c{at} int")).collect();
    let catalogue =
        Catalogue::parse(&format!("create table w (id int primary key, {})", columns.join(", ")))
            .expect("a table");
    let all: Vec<String> = (0..10_000).map(|at| format!("c{at}")).collect();
    for text in [format!("select id, {} from w", all.join(", ")), "select * from w".to_owned()] {
        let file = File::parse(&format!("create materialized view v as {text}")).expect("a file");
        let form =
            NormalForm::of(&file.bind(&catalogue).expect("a query"), &catalogue).expect("a form");
        assert_eq!(form.columns.len(), 10_001);
    }
}

#[test]
fn no_text_makes_a_panic() {
    let clock =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    let seed = clock.as_nanos() as u64;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    const WORDS: &str = "select from where group by having distinct t u id n x s b at j l 1 0 2.5 -1 'a' '' '2024-01-01' '12' null true ( ) ( ) , , . \
        + - * / % || -> ->> = <> < <= and or not is in between like case when then else end coalesce( nullif( count(*) count( sum( avg( min( max( \
        filter join left on using union all with as q exists( date_trunc('day', extract(year round( substring( for words( unnest( cross at time zone \
        'UTC' interval '1 day' ::int ::numeric(5,2) ::text ::date collate \"C\" t.id u.t q.x t.* * [1] any( escape greatest( date_bin( lpad( split_part(";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let templates = [
        "select id, {} as y from t",
        "select id from t where {}",
        "select x, {} as y from t where x is not null group by x",
        "select t.id, {} as y from t left join u on {}",
        "{}",
    ];
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut text = templates[random.random_range(0..templates.len())].to_owned();
        while text.contains("{}") {
            let soup: Vec<&str> = (0..random.random_range(1..9))
                .map(|_| words[random.random_range(0..words.len())])
                .collect();
            text = text.replacen("{}", &soup.join(" "), 1);
        }
        match made(&text) {
            Ok(_) => taken += 1,
            Err(problem) => assert!(problem.place.line > 0 && !problem.what.is_empty(), "{text}"),
        }
    }
    println!("{taken} were taken");
}
