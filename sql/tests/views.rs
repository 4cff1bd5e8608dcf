//! Views over random tables: the normal form, with rows in several partitions that come and go, is what a simple interpreter
//! makes of the query.
#[path = "oracle/interpreter.rs"]
mod interpreter;
#[path = "oracle/lanes.rs"]
mod lanes;
#[path = "oracle/random_views.rs"]
mod random_views;
#[path = "oracle/seed.rs"]
mod seed;
#[path = "oracle/shop.rs"]
mod shop;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sql::{File, NormalForm};

#[test]
fn the_normal_form_is_the_query() {
    let seed = seed::seed();
    let mut random = StdRng::seed_from_u64(seed);
    let catalogue = shop::catalogue();
    for round in 0..20 {
        let mut rows = |first: i64| -> Vec<Vec<Vec<views::Cell>>> {
            let count = random.random_range(0..12);
            let tables = catalogue.tables().iter();
            let of = |table: &sql::Table| {
                let rows = shop::rows(&mut random, &table.name, first, count);
                rows.iter().map(|row| shop::cells(table, row)).collect()
            };
            tables.map(of).collect()
        };
        let (tables, gone) = (rows(1), rows(1_000));
        let more: Vec<String> = (0..100).map(|_| random_views::view(&mut random)).collect();
        let known = shop::VIEWS.iter().chain(OWN_VIEWS).copied();
        for (text, is_random) in
            known.map(|text| (text, false)).chain(more.iter().map(|text| (&**text, true)))
        {
            let whole = format!("create materialized view v as {text}");
            let made = File::parse(&whole).and_then(|file| {
                let bound = file.bind(&catalogue)?;
                Ok((NormalForm::of(&bound, &catalogue)?, bound))
            });
            let (form, bound) = match made {
                Ok(made) => made,
                Err(_) if is_random => continue,
                Err(problem) => panic!("{}", problem.show("v", &whole)),
            };
            let mut want = interpreter::rows(&bound.relation, &tables).expect("rows");
            let mut have = lanes::rows(&form, &tables, &gone, &mut random).expect("rows");
            want.sort();
            have.sort();
            let explained = || form.explain("v", &catalogue);
            assert_eq!(
                format!("{have:?}"),
                format!("{want:?}"),
                "seed {seed} round {round}\n{text}\n{}",
                explained()
            );
        }
    }
}

/// Views with functions of our own.
const OWN_VIEWS: &[&str] = &[
    "select id, name, words(name, description) as tokens from products",
    "select w.token, p.id from products p cross join unnest(words(p.name, p.description)) as w(token) where w.token <> 'a' and p.price > 1",
    "select w.token, count(*) n, max(price) as most from products, unnest(words(name)) as w(token) group by w.token",
    "select t.tag, count(*) n from comments cross join unnest(tags) as t(tag) where tag is not null group by t.tag",
];
