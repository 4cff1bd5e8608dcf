//! The three services as files: they parse, bind, and come to the stars that their plans in Rust are. What they come to is in
//! `golden/`; `TEST_SQL_GOLDEN=write` writes it anew.
use sql::{File, NormalForm};
use std::path::Path;

fn explained(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
    let text = std::fs::read_to_string(&path).expect("an example");
    let shown = |problem: sql::Problem| -> ! { panic!("{}", problem.show(file, &text)) };
    let parsed = File::parse(&text).unwrap_or_else(|problem| shown(problem));
    let bound = parsed.bind(&parsed.tables).unwrap_or_else(|problem| shown(problem));
    let form = NormalForm::of(&bound, &parsed.tables).unwrap_or_else(|problem| shown(problem));
    form.explain(&parsed.view.name, &parsed.tables)
}

fn check(service: &str, files: &[&str]) {
    let have: String = files.iter().map(|file| explained(file)).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{service}.txt"));
    if std::env::var("TEST_SQL_GOLDEN").is_ok() {
        std::fs::write(&path, &have).expect("a file");
    }
    let want = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(have, want, "{service}");
}

#[test]
fn inventory_is_an_owner_and_one_sum() {
    check("inventory", &["inventory.sql"]);
}

#[test]
fn analytics_are_sums_alone() {
    let files = ["daily_sales", "customer_metrics", "order_status", "product_sales"]
        .map(|name| format!("analytics/{name}.sql"));
    check("analytics", &files.each_ref().map(String::as_str));
}

#[test]
fn search_is_owners_alone() {
    check("search", &["search_index.sql", "search_tokens.sql"]);
}
