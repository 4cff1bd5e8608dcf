//! One table: its key, what is read of it, and what of that comes with every change.
use super::AREA;
use crate::doctor::{connect::Nulls, report::Check};
use consumers::source_table::{SourceTable, SourceType};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;

/// What is known of one table.
#[derive(Default)]
struct Facts {
    /// `d`, `n`, `f` or `i`; none: there is no such table.
    identity: Option<char>,
    partitioned: bool,
    primary_key: Vec<String>,
    columns: BTreeMap<String, Column>,
    publications: BTreeMap<String, Publication>,
    /// PostgreSQL 18 can send generated columns, and says of which it does.
    publishes_generated: bool,
}

struct Column {
    /// As `format_type` says it.
    kind: String,
    /// Computed by PostgreSQL from other columns.
    generated: bool,
    /// NULL may stand in it, and a default is declared.
    nullable_default: bool,
}

/// How it publishes the table.
struct Publication {
    /// Inserts, updates and deletes.
    whole: bool,
    /// Columns that are sent; none: this server does not say.
    columns: Option<BTreeSet<String>>,
    /// It has a WHERE for this table.
    filtered: bool,
}

pub(super) async fn check(
    client: &Client,
    table: &SourceTable,
    nulls: Nulls,
) -> anyhow::Result<Vec<Check>> {
    let (schema, name) = (&table.schema, &table.name);
    let found = client
        .query_opt(
            "select c.oid, c.relreplident::text, c.relkind = 'p' from pg_class c \
             join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')",
            &[schema, name],
        )
        .await?;
    let mut facts = Facts::default();
    if let Some(row) = found {
        let oid: u32 = row.get(0);
        facts.identity = row.get::<_, String>(1).chars().next();
        facts.partitioned = row.get(2);
        let key = client
            .query(
                "select a.attname::text from pg_index i join pg_attribute a \
                 on a.attrelid = i.indrelid and a.attnum = any(i.indkey) where i.indrelid = $1 and i.indisprimary",
                &[&oid],
            )
            .await?;
        facts.primary_key = key.iter().map(|row| row.get(0)).collect();
        let columns = client
            .query(
                "select attname::text, format_type(atttypid, atttypmod), \
                 coalesce(to_jsonb(a)->>'attgenerated', '') <> '', not attnotnull and atthasdef from pg_attribute a \
                 where attrelid = $1 and attnum > 0 and not attisdropped",
                &[&oid],
            )
            .await?;
        let column = |row: &tokio_postgres::Row| {
            let column =
                Column { kind: row.get(1), generated: row.get(2), nullable_default: row.get(3) };
            (row.get(0), column)
        };
        facts.columns = columns.iter().map(column).collect();
        let publications = client
            .query(
                "select p.pubname::text, p.pubinsert and p.pubupdate and p.pubdelete, \
                 (to_jsonb(t)->'attnames')::text, \
                 to_jsonb(t)->>'rowfilter' is not null from pg_publication_tables t \
                 join pg_publication p on p.pubname = t.pubname where t.schemaname = $1 and t.tablename = $2",
                &[schema, name],
            )
            .await?;
        let publication = |row: &tokio_postgres::Row| {
            let columns: Option<String> = row.get(2);
            let columns = columns.and_then(|list| serde_json::from_str(&list).ok());
            (row.get(0), Publication { whole: row.get(1), columns, filtered: row.get(3) })
        };
        facts.publications = publications.iter().map(publication).collect();
        let version =
            client.query_one("select current_setting('server_version_num')::int4", &[]).await?;
        facts.publishes_generated = version.get::<_, i32>(0) >= 180_000;
    }
    Ok(judge_table(table, &facts, nulls))
}

fn judge_table(table: &SourceTable, facts: &Facts, nulls: Nulls) -> Vec<Check> {
    let name = table.full_name();
    let Some(identity) = facts.identity else {
        return vec![
            Check::problem(AREA, &name, "there is no such table")
                .fix("correct PRODUCTS_TABLE, ORDERS_TABLE, ORDER_ITEMS_TABLE or TOPIC_PREFIX (its last part is the schema)"),
        ];
    };
    let mut checks = vec![keyed(table, facts, &name, identity)];
    let missing: Vec<&str> = table
        .all_columns()
        .map(AsRef::as_ref)
        .filter(|column| !facts.columns.contains_key(*column))
        .collect();
    if !missing.is_empty() {
        checks.push(
            Check::problem(AREA, &name, format!("has no column {}", missing.join(", ")))
                .fix("PRODUCTS_COLUMNS, ORDERS_COLUMNS, ORDER_ITEMS_COLUMNS say how yours are called: price=unit_price"),
        );
    }
    for wanted in table.columns.iter().chain(&table.key) {
        let column = &wanted.name;
        let there = facts.columns.get(column).map(|there| &there.kind);
        if let Some(kind) = there.filter(|kind| !fits(kind, wanted.kind)) {
            let found = format!("column {column} is {kind}, and is read as {}", word(wanted.kind));
            checks.push(
                Check::problem(AREA, &name, found)
                    .fix("name another column (..._COLUMNS), or change its type"),
            );
        }
    }
    checks.push(published(facts, &name));
    checks.extend(unsent(table, facts, &name));
    checks.extend(defaulted(table, facts, &name, nulls));
    checks
}

/// Of what is read: the columns, the key first, for which this holds.
fn those<'a>(
    table: &'a SourceTable,
    facts: &Facts,
    is: impl Fn(&str, &Column) -> bool,
) -> Vec<&'a str> {
    let is = |name: &&str| facts.columns.get(*name).is_some_and(|column| is(name, column));
    table.all_columns().map(AsRef::as_ref).filter(is).collect()
}

/// Columns and rows that changes come without.
fn unsent(table: &SourceTable, facts: &Facts, name: &str) -> Vec<Check> {
    let whole: Vec<(&String, &Publication)> =
        facts.publications.iter().filter(|(_, sent)| sent.whole).collect();
    let unlisted = |sent: &Publication, column: &str| {
        sent.columns.as_ref().is_some_and(|columns| !columns.contains(column))
    };
    let mut said: Vec<(String, String)> = Vec::new();
    let mut lacking = 0;
    for (publication, sent) in &whole {
        let before = said.len();
        let computed =
            those(table, facts, |column, of| of.generated && unlisted(sent, column)).join(", ");
        if facts.publishes_generated && !computed.is_empty() {
            let found = format!(
                "publication {publication} leaves out {computed}, which is generated: {IN_SNAPSHOTS}"
            );
            let fix = format!(
                "for STORED ones alter publication {publication} set (publish_generated_columns = stored), or {ORDINARY}"
            );
            said.push((found, fix));
        }
        let left_out =
            those(table, facts, |column, of| !of.generated && unlisted(sent, column)).join(", ");
        if !left_out.is_empty() {
            let found = format!("publication {publication} leaves out {left_out}");
            let fix = format!(
                "alter publication {publication} set table ... with these columns of {name} too, or without a list; \
                 then a new snapshot"
            );
            said.push((found, fix));
        }
        if sent.filtered {
            let found = format!(
                "publication {publication} sends only rows that its WHERE lets through: the views have no others"
            );
            let fix = format!(
                "alter publication {publication} set table ... with {name} without WHERE; then a new snapshot"
            );
            said.push((found, fix));
        }
        lacking += usize::from(said.len() > before);
    }
    // Which publication the connector uses is not known here: where one is whole, it may be that one.
    let say = if lacking == whole.len() { Check::problem } else { Check::warning };
    let mut checks: Vec<Check> =
        said.into_iter().map(|(found, fix)| say(AREA, name, found).fix(fix)).collect();
    let computed = those(table, facts, |_, of| of.generated).join(", ");
    if !facts.publishes_generated && !computed.is_empty() {
        let found = format!(
            "{computed} is generated, and PostgreSQL before 18 sends no generated columns: {IN_SNAPSHOTS}"
        );
        checks.push(Check::problem(AREA, name, found).fix(ORDINARY));
    }
    checks
}

const IN_SNAPSHOTS: &str = "a snapshot has it, a change has not and would be a dead letter";
const ORDINARY: &str = "an ordinary column that a trigger fills, or another column (..._COLUMNS)";

/// Columns in which NULL may arrive as their default.
fn defaulted(table: &SourceTable, facts: &Facts, name: &str, nulls: Nulls) -> Option<Check> {
    let columns = those(table, facts, |_, of| of.nullable_default && !of.generated);
    if columns.is_empty() || nulls == Nulls::Kept {
        return None;
    }
    let found = format!("{} may be NULL and has a default", columns.join(", "));
    let fix = "value.converter.replace.null.with.default=false beside value.converter in the connector (Kafka 3.5 or \
               later), then a new snapshot and GENERATION";
    Some(match nulls {
        Nulls::Replaced => Check::problem(
            AREA,
            name,
            format!("{found}: the connector's converter writes that default where NULL stands"),
        )
        .fix(fix),
        _ => Check::warning(
            AREA,
            name,
            format!(
                "{found}: Kafka Connect's JsonConverter writes that default where NULL stands, if nothing else is said"
            ),
        )
        .fix(fix),
    })
}

/// Key and REPLICA IDENTITY. None is required; without any, PostgreSQL refuses updates and deletes of a published table.
fn keyed(table: &SourceTable, facts: &Facts, name: &str, identity: char) -> Check {
    let word = match identity {
        'd' => "DEFAULT",
        'n' => "NOTHING",
        'f' => "FULL",
        'i' => "an index",
        _ => "unknown",
    };
    let found = match facts.primary_key.as_slice() {
        [] => format!("REPLICA IDENTITY {word}, no primary key"),
        key => format!("REPLICA IDENTITY {word}, primary key ({})", key.join(", ")),
    };
    let primary_key = format!("alter table {name} add primary key ({})", table.key_names());
    if identity == 'n' {
        let found =
            format!("{found}: PostgreSQL refuses updates and deletes once the table is published");
        return Check::problem(AREA, name, found)
            .fix(format!("alter table {name} replica identity default"));
    }
    if facts.primary_key.is_empty() {
        let found = match identity {
            'd' => format!(
                "{found}: PostgreSQL refuses updates and deletes once the table is published"
            ),
            _ => format!("{found}: records have no key, so the changes of a row are in no order"),
        };
        return Check::problem(AREA, name, found).fix(primary_key);
    }
    if !facts.primary_key.iter().eq(table.key.iter().map(|column| &column.name)) {
        let found = format!("{found}; rows are told apart by {}", table.key_names());
        return Check::problem(AREA, name, found)
            .fix("name the primary key's column (..._COLUMNS: id=YOURS); it must be one column");
    }
    Check::ok(AREA, name, found)
}

fn published(facts: &Facts, name: &str) -> Check {
    let whole: Vec<&str> = facts
        .publications
        .iter()
        .filter(|(_, sent)| sent.whole)
        .map(|(name, _)| name.as_str())
        .collect();
    if !whole.is_empty() {
        let found = format!("published by {}: inserts, updates, deletes", whole.join(", "));
        let check = Check::ok(AREA, name, found);
        if facts.partitioned {
            return Check::warning(AREA, name, "is partitioned: events carry the partitions' names unless the publication says otherwise")
                .fix(format!("alter publication {} set (publish_via_partition_root = true)", whole[0]));
        }
        return check;
    }
    match facts.publications.keys().next() {
        Some(publication) => {
            let found = format!("publication {publication} leaves out inserts, updates or deletes");
            Check::problem(AREA, name, found)
                .fix(format!("alter publication {publication} set (publish = 'insert, update, delete, truncate')"))
        }
        None => Check::problem(AREA, name, "is in no publication: its changes are not sent")
            .fix(format!("alter publication PUBLICATION add table {name} (or let the connector make its publication)")),
    }
}

fn word(kind: SourceType) -> &'static str {
    match kind {
        SourceType::Int => "a whole number",
        SourceType::Text => "text",
        SourceType::Decimal => "a decimal",
        SourceType::Time => "an instant",
        SourceType::Bool => "true or false",
        SourceType::Float => "a floating-point number",
        SourceType::Date => "a date",
        SourceType::Uuid => "a UUID",
        SourceType::Bytes => "bytes",
        SourceType::Json => "JSON",
        SourceType::List => "a list of texts",
    }
}

/// `kind`: as `format_type` says it.
fn fits(kind: &str, read_as: SourceType) -> bool {
    let base = kind.split('(').next().unwrap_or_default().trim();
    let is_int = ["smallint", "integer", "bigint"].contains(&base);
    match read_as {
        SourceType::Int => is_int,
        SourceType::Text => {
            !is_int && !["bytea", "boolean", "numeric"].contains(&base) && !kind.ends_with("[]")
        }
        SourceType::Decimal => {
            is_int || ["numeric", "money", "real", "double precision"].contains(&base)
        }
        SourceType::Time => kind.starts_with("timestamp") || base == "date",
        SourceType::Bool => base == "boolean",
        SourceType::Float => ["real", "double precision"].contains(&base),
        SourceType::Date => kind == "date",
        SourceType::Uuid => kind == "uuid",
        SourceType::Bytes => kind == "bytea",
        SourceType::Json => ["json", "jsonb"].contains(&kind),
        SourceType::List => kind.strip_suffix("[]").is_some_and(is_text_in_lists),
    }
}

/// Whether Debezium sends an element of this type as a text that says the value.
fn is_text_in_lists(kind: &str) -> bool {
    const OTHERS: [&str; 12] = [
        "smallint", "integer", "bigint", "numeric", "real", "double", "money", "boolean", "bytea",
        "date", "time", "bit",
    ];
    !kind.ends_with("[]") && !OTHERS.iter().any(|other| kind.starts_with(other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn products() -> SourceTable {
        SourceTable::new("products", 'p')
            .key("id", SourceType::Int)
            .column("price", SourceType::Decimal)
            .column("name", SourceType::Text)
            .in_topic("shop.sales.products")
    }
    fn column(kind: &str) -> Column {
        Column { kind: kind.to_owned(), generated: false, nullable_default: false }
    }
    fn whole() -> Publication {
        let columns = ["id", "price", "name", "more"].map(str::to_owned);
        Publication { whole: true, columns: Some(columns.into()), filtered: false }
    }
    fn unlist(facts: &mut Facts, column: &str) {
        for publication in facts.publications.values_mut() {
            publication.columns.as_mut().expect("a list").remove(column);
        }
    }
    fn of<'a>(facts: &'a mut Facts, column: &str) -> &'a mut Column {
        facts.columns.get_mut(column).expect("it is there")
    }
    fn facts() -> Facts {
        let columns =
            [("id", "bigint"), ("price", "numeric(10,2)"), ("name", "character varying(80)")];
        Facts {
            identity: Some('d'),
            partitioned: false,
            primary_key: vec!["id".into()],
            columns: columns.map(|(name, kind)| (name.to_owned(), column(kind))).into(),
            publications: [("cdc".to_owned(), whole())].into(),
            publishes_generated: false,
        }
    }
    fn bad(change: impl FnOnce(&mut Facts)) -> Vec<Check> {
        let mut facts = facts();
        change(&mut facts);
        let all = judge_table(&products(), &facts, Nulls::Replaced);
        all.into_iter().filter(|check| check.status != Status::Ok).collect()
    }

    #[test]
    fn a_fit_table_is_well() {
        assert_eq!(bad(|_| {}), []);
        assert_eq!(bad(|facts| facts.identity = Some('f')), []);
        assert_eq!(products().full_name(), "sales.products");
    }

    #[test]
    fn what_a_table_lacks_is_said_with_a_fix() {
        type Change = fn(&mut Facts);
        let cases: [(Change, &str); 14] = [
            (|f| f.identity = None, "no such table"),
            (|f| f.identity = Some('n'), "refuses updates"),
            (|f| f.primary_key.clear(), "refuses updates"),
            (|f| (f.identity, f.primary_key) = (Some('f'), vec![]), "no order"),
            (|f| f.primary_key = vec!["id".into(), "region".into()], "told apart by id"),
            (|f| drop(f.columns.remove("price")), "no column price"),
            (|f| of(f, "price").kind = "text".into(), "price is text"),
            (|f| f.publications.clear(), "no publication"),
            (|f| f.publications.values_mut().for_each(|p| p.whole = false), "leaves out inserts"),
            (|f| of(f, "price").generated = true, "price is generated"),
            (
                |f| {
                    unlist(f, "price");
                    f.publishes_generated = true;
                    of(f, "price").generated = true;
                },
                "leaves out price, which is generated",
            ),
            (|f| unlist(f, "name"), "publication cdc leaves out name"),
            (|f| f.publications.values_mut().for_each(|p| p.filtered = true), "WHERE"),
            (|f| of(f, "price").nullable_default = true, "default where NULL stands"),
        ];
        for (change, word) in cases {
            let found = bad(change);
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert!(found[0].found.contains(word) && found[0].fix.is_some(), "{found:?}");
            assert_eq!(found[0].status, Status::Problem);
        }
    }

    #[test]
    fn what_is_sent_and_what_nulls_are_kept_in_is_well() {
        // PostgreSQL 18 sends it, and says so; what is not read may be left out or have defaults.
        let well = bad(|facts| {
            facts.publishes_generated = true;
            of(facts, "price").generated = true;
            unlist(facts, "more");
            let more = Column { nullable_default: true, ..column("integer") };
            facts.columns.insert("more".into(), more);
        });
        assert_eq!(well, []);
        let found = bad(|facts| {
            unlist(facts, "name");
            facts.publications.insert("all".into(), whole());
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].status, Status::Warning, "the connector may use the other: {found:?}");
        let mut facts = facts();
        of(&mut facts, "price").nullable_default = true;
        let judged = |nulls| defaulted(&products(), &facts, "t", nulls).map(|check| check.status);
        assert_eq!(judged(Nulls::Kept), None);
        assert_eq!(judged(Nulls::Unknown), Some(Status::Warning));
        assert_eq!(judged(Nulls::Replaced), Some(Status::Problem));
    }

    #[test]
    fn types_of_the_source_fit_what_they_are_read_as() {
        use SourceType::{Bool, Bytes, Date, Float, Json, List, Text, Time, Uuid};
        for (read_as, fitting, others) in [
            (Bool, &["boolean"][..], &["bit(1)", "integer"][..]),
            (Float, &["real", "double precision"], &["numeric(10,2)", "money", "text"]),
            (Date, &["date"], &["timestamp(3) without time zone", "date[]"]),
            (Time, &["date", "timestamp with time zone"], &["time without time zone"]),
            (Uuid, &["uuid"], &["text", "uuid[]"]),
            (Bytes, &["bytea"], &["text", "bytea[]"]),
            (Json, &["json", "jsonb"], &["text", "jsonb[]", "hstore"]),
            (
                List,
                &["text[]", "character varying(20)[]", "uuid[]", "mood[]"],
                &[
                    "text",
                    "integer[]",
                    "numeric(10,2)[]",
                    "bytea[]",
                    "date[]",
                    "double precision[]",
                ],
            ),
            (Text, &["text", "uuid", "jsonb"], &["bytea", "boolean", "text[]"]),
        ] {
            for kind in fitting {
                assert!(fits(kind, read_as), "{kind} as {}", word(read_as));
            }
            for kind in others {
                assert!(!fits(kind, read_as), "{kind} as {}", word(read_as));
            }
        }
    }
}
