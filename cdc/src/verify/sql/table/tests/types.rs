//! Columns of every type: as PostgreSQL has them, as the log says them, and as views hold them.
use super::*;
use crate::verify::row_key;
use sinks::{Float, List};

fn things() -> SourceTable {
    SourceTable::new("things", 't')
        .key("who", SourceType::Uuid)
        .key("rate", SourceType::Float)
        .column("single", SourceType::Float)
        .column("is_on", SourceType::Bool)
        .column("day", SourceType::Date)
        .column("hash", SourceType::Bytes)
        .column("said", SourceType::Json)
        .column("known", SourceType::Json)
        .column("tags", SourceType::List)
}

#[test]
fn columns_are_read_as_views_hold_them() {
    let own =
        [("who", "uuid"), ("rate", "double precision"), ("single", "real"), ("known", "jsonb")];
    let own = own.map(|(column, own)| (("things".to_owned(), column.to_owned()), own.to_owned()));
    let table = Table::new(&things(), "depot", &own.into());
    let sql = table.patched(1, None);
    for part in [
        "k1 uuid, k2 double precision, c1 double precision, c2 boolean, c3 date, c4 bytea, kept4 boolean, c5 text, kept5 boolean",
        "c7 text[], kept7 boolean",
        r#"t."who"::uuid as "who", t."rate"::text::double precision as "rate", t."single"::text::double precision as "single""#,
        r#"t."known"::text as "known", t."tags"::text::text[] as "tags""#,
        r#"p.k1::uuid, p.k2::text::double precision, p.c1, p.c2, p.c3, case when p.kept4 then t."hash"::bytea else p.c4 end"#,
    ] {
        assert!(sql.contains(part), "{part}\n{sql}");
    }
}

const WHO: &str = "0190a5c8-7e1d-7cc3-98a1-00000000000a";

/// The cells of the row that [`Things`] begins with, beside its key.
fn cells() -> Vec<Cell> {
    let tags = vec![Some("a,\"b\"\\".to_owned()), None, Some("NULL".into()), Some(String::new())];
    vec![
        Cell::Float(Float::new(1.1)),
        Cell::Bool(true),
        Cell::Date(19_849),
        Cell::Bytes(vec![0, 0xde, 0x5c]),
        Cell::Json("{\"b\":  1, \"a\": \"\\u00e9\"}".into()),
        Cell::Json("{\"a\": [1, 2.50]}".into()),
        Cell::List(List(tags)),
    ]
}
/// All columns but the lists, of which a row is not counted by.
fn all_columns() -> Vec<&'static str> {
    vec!["who", "rate", "single", "is_on", "day", "hash", "said", "known"]
}

#[test]
fn postgres_shows_values_of_every_type_as_views_do() {
    let Some(depot) = Depot::make("every") else { return };
    depot.run(&format!(
        "set search_path = {}; \
         create table things (who uuid, rate float8, single real, is_on boolean, day date, hash bytea, said json, \
                              known jsonb, tags varchar[], primary key (who, rate)); \
         insert into things values \
           ('{WHO}', '-0', 1.1, true, '2024-05-06', '\\x00de5c', '{{\"b\":  1, \"a\": \"\\u00e9\"}}', \
            '{{\"a\":[1,2.50]}}', array['a,\"b\"\\', null, 'NULL', '']), \
           ('{WHO}', 'NaN', '-Infinity', null, 'infinity', null, null, null, null), \
           ('{WHO}', 1.2345678901234567e-300, 'NaN', false, '0001-01-01', '', 'null', '\"\"', '{{}}');",
        depot.schema
    ));
    let snapshot = depot.snapshot();
    let table = Table { counted_by: all_columns(), ..depot.table(&snapshot, &things()) };
    let of = |rate: f64| {
        let who = Cell::parse(Type::Uuid, WHO).expect("a UUID");
        RowKey::of(&[who, Cell::Float(Float::new(rate))]).expect("a key")
    };
    let (zero, nan, tiny) = (of(0.0), of(f64::NAN), of(1.234_567_890_123_456_7e-300));
    let counted = snapshot.keys_of(&table, &[&zero, &nan, &tiny]).expect("keys");
    let texts = |cells: &[Cell]| cells.iter().map(row_key::text).collect::<Vec<_>>();
    assert_eq!(counted[&zero][2..], texts(&cells()[..6]));
    let nothing = vec![Cell::Null; 5];
    let infinite = [vec![Cell::Float(Float::new(f64::NEG_INFINITY))], nothing].concat();
    assert_eq!(counted[&nan][2..], texts(&infinite), "an infinite date is null");
    assert_eq!(counted[&tiny][2], Some("NaN".to_owned()));
    // What the log says instead is the same, and what was not sent stands in the snapshot.
    let columns = things().columns.iter().map(|column| column.alias).collect::<Vec<_>>();
    let shown = |patch: &Patch| {
        let mut json = Vec::new();
        table.json(patch.clone(), None, &mut json);
        let lists = table.columns.iter().map(Column::shown).collect::<Vec<_>>().join(", ");
        let sql =
            format!("with {} select {lists} from things t where rate = 0", table.patched(1, None));
        let kinds =
            things().columns.iter().map(|c| Shown::new(c.alias, c.kind.cell_type())).collect();
        let mut rows = snapshot.rows(&sql, &[json], kinds).expect("rows");
        rows.next().expect("one").expect("a row")
    };
    let said = cells().iter().map(|cell| Kept::New(row_key::text(cell))).collect::<Vec<_>>();
    let patch = |values: Vec<Kept<Option<String>>>| {
        Patch::from([(zero.clone(), Some(columns.iter().copied().zip(values).collect()))])
    };
    assert_eq!(shown(&Patch::new()), cells());
    assert_eq!(shown(&patch(said.clone())), cells());
    let source = things();
    let unsent = said.into_iter().zip(&source.columns);
    let unsent =
        unsent.map(|(said, c)| if c.kind.may_be_unsent() { Kept::Unchanged } else { said });
    assert_eq!(shown(&patch(unsent.collect())), cells());
    assert_eq!(shown(&patch(vec![Kept::New(None); 7])), vec![Cell::Null; 7]);
}
