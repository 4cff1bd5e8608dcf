//! `cdc view check`: what the file of a view in SQL comes to, or where and why it is refused.
use std::{path::Path, process::Command};

fn check(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut cdc = Command::new(env!("CARGO_BIN_EXE_cdc"));
    let ran = cdc.current_dir(dir).args(["view", "check"]).args(arguments).output().expect("cdc");
    let said = if ran.status.success() { ran.stdout } else { ran.stderr };
    (ran.status.code(), String::from_utf8(said).expect("text"))
}

#[test]
fn a_view_and_its_tables_in_one_file_or_in_two() {
    let dir = tempfile::tempdir().expect("a folder");
    let tables =
        "create table orders (id int primary key, status text not null, total numeric(10, 2));\n";
    let view = "create materialized view by_status with (sink = 'sqlite:x.db') as\n\
                select status, count(*) as orders, sum(total) as spent from orders group by status;\n";
    let write =
        |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    write("whole.sql", &format!("{tables}{view}"));
    write("tables.sql", tables);
    write("view.sql", view);
    let (code, whole) = check(dir.path(), &["whole.sql"]);
    assert_eq!(code, Some(0), "{whole}");
    assert!(whole.starts_with("by_status: one row for each status text"), "{whole}");
    assert!(whole.contains("public.orders"), "{whole}");
    assert_eq!(check(dir.path(), &["view.sql", "--tables", "tables.sql"]), (Some(0), whole));
}

#[test]
fn what_is_refused_is_shown_with_its_line_and_a_way_on() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = "create table t (id int primary key, at timestamptz);\n\
                create materialized view v as\nselect id from t where at > now();\n";
    std::fs::write(dir.path().join("recent.sql"), text).expect("a file");
    let (code, said) = check(dir.path(), &["recent.sql"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--> recent.sql:3:") && said.contains("filter when reading"), "{said}");
    assert!(said.contains("select id from t where at > now()"), "the line: {said}");

    std::fs::write(dir.path().join("tables.sql"), "create tabel t (id int)").expect("a file");
    let (code, said) = check(dir.path(), &["recent.sql", "--tables", "tables.sql"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("--> tables.sql:1:"), "{said}");
    let (code, said) = check(dir.path(), &["missing.sql"]);
    assert!(code == Some(1) && said.starts_with("missing.sql: "), "{said}");
}
