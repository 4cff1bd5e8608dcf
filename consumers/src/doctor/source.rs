//! PostgreSQL: whether it can be decoded from, whether the tables are published, and what they have.
use super::{
    Patience, clock,
    needs::{Need, Needs},
    report::Check,
};
use crate::{postgres::Dsn, runtime::wall_ms};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Client;

const AREA: &str = "postgres";
const SLOT_LAG_BYTES_MAX: i64 = 1 << 30;

/// `needs`: by full name of the table; a table that several services read is there once.
pub(super) async fn check(
    dsn: Dsn,
    needs: Vec<Needs>,
    marker: String,
    patience: Patience,
) -> Vec<Check> {
    let place = dsn.place();
    let fix = "check --source-dsn (or SOURCE_DSN): host, port, database, user, password; pg_hba.conf must let it in";
    let client = match patience.wait(dsn.connect()).await {
        Ok(Ok(client)) => client,
        Ok(Err(e)) => return vec![Check::problem(AREA, place, format!("{e:#}")).fix(fix)],
        Err(late) => return vec![Check::problem(AREA, place, late).fix(fix)],
    };
    let mut checks = Vec::new();
    let mut add =
        |what: &str, found: Result<anyhow::Result<Vec<Check>>, String>| match found {
            Ok(Ok(found)) => checks.extend(found),
            Ok(Err(e)) => checks.push(Check::problem(AREA, what, format!("{e:#}")).fix(
                "the user of --source-dsn needs to read pg_catalog (pg_monitor shows all of it)",
            )),
            Err(late) => checks
                .push(Check::problem(AREA, what, late).fix("look for locks: pg_stat_activity")),
        };
    add("server", patience.wait(server(&client, &place)).await);
    add("slots", patience.wait(slots(&client)).await);
    for needs in &needs {
        add(&needs.full_name(), patience.wait(table(&client, needs)).await);
    }
    add("marker table", patience.wait(marked(&client, &marker)).await);
    checks
}

async fn server(client: &Client, place: &str) -> anyhow::Result<Vec<Check>> {
    let begun = wall_ms();
    let row = client
        .query_one(
            "select current_setting('server_version'), current_setting('wal_level'), \
             current_setting('max_replication_slots')::int8, current_setting('max_wal_senders')::int8, \
             (select count(*) from pg_replication_slots), (select count(*) from pg_stat_replication), \
             (extract(epoch from clock_timestamp()) * 1000)::int8, pg_is_in_recovery()",
            &[],
        )
        .await?;
    let middle = begun + (wall_ms() - begun) / 2;
    let (version, wal_level): (String, String) = (row.get(0), row.get(1));
    let (slots_max, senders_max): (i64, i64) = (row.get(2), row.get(3));
    let (slots, senders): (i64, i64) = (row.get(4), row.get(5));
    let now_ms: i64 = row.get(6);
    let standby: bool = row.get(7);
    let what = if standby { ", a standby" } else { "" };
    let mut checks = vec![Check::ok(AREA, place, format!("PostgreSQL {version}{what}"))];
    checks.push(match wal_level.as_str() {
        "logical" => Check::ok(AREA, "wal_level", "logical"),
        other => Check::problem(AREA, "wal_level", format!("{other}: changes cannot be decoded"))
            .fix("alter system set wal_level = logical; then restart PostgreSQL"),
    });
    for (setting, used, max) in
        [("max_replication_slots", slots, slots_max), ("max_wal_senders", senders, senders_max)]
    {
        checks.push(room(setting, used, max));
    }
    checks.push(clock::judge("PostgreSQL", middle - now_ms));
    Ok(checks)
}

/// One more is needed only by a connector that is not there yet, so none left is no problem by itself.
fn room(setting: &str, used: i64, max: i64) -> Check {
    let found = format!("{used} of {max} used");
    if used < max {
        return Check::ok(AREA, setting, found);
    }
    Check::warning(AREA, setting, format!("{found}: none is left for a new connector"))
        .fix(format!("alter system set {setting} = {}; then restart PostgreSQL", max + 5))
}

/// A logical slot, as PostgreSQL shows it.
struct Slot {
    name: String,
    plugin: String,
    active: bool,
    wal_status: String,
    /// Behind the log's end, and kept for it on disk.
    behind_bytes: i64,
    kept_bytes: i64,
}

async fn slots(client: &Client) -> anyhow::Result<Vec<Check>> {
    let rows = client
        .query(
            "select slot_name::text, coalesce(plugin::text, ''), active, coalesce(wal_status, 'unknown'), \
             coalesce(pg_wal_lsn_diff(here, confirmed_flush_lsn), 0)::int8, \
             coalesce(pg_wal_lsn_diff(here, restart_lsn), 0)::int8 \
             from pg_replication_slots, \
             (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as here) w \
             where slot_type = 'logical' and database = current_database() order by slot_name",
            &[],
        )
        .await?;
    if rows.is_empty() {
        return Ok(vec![
            Check::warning(
                AREA,
                "slots",
                "there is no logical replication slot: nothing reads the changes",
            )
            .fix("register the Debezium connector: it makes its slot"),
        ]);
    }
    let slot = |row: &tokio_postgres::Row| {
        judge_slot(&Slot {
            name: row.get(0),
            plugin: row.get(1),
            active: row.get(2),
            wal_status: row.get(3),
            behind_bytes: row.get(4),
            kept_bytes: row.get(5),
        })
    };
    Ok(rows.iter().map(slot).collect())
}

fn judge_slot(slot: &Slot) -> Check {
    let name = format!("slot {}", slot.name);
    let mib = |bytes: i64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
    let found = format!(
        "{}, {}, {} behind, {} of WAL kept for it, wal_status {}",
        slot.plugin,
        if slot.active { "active" } else { "not active" },
        mib(slot.behind_bytes),
        mib(slot.kept_bytes),
        slot.wal_status
    );
    match slot.wal_status.as_str() {
        "lost" => {
            Check::problem(AREA, name, format!("{found}: changes are gone for good")).fix(format!(
                "select pg_drop_replication_slot('{}'); then a new snapshot and a new GENERATION",
                slot.name
            ))
        }
        "unreserved" => Check::warning(AREA, name, format!("{found}: about to be lost"))
            .fix("let the connector catch up now, and raise max_slot_wal_keep_size"),
        _ if !slot.active => {
            Check::warning(AREA, name, format!("{found}: nobody reads it, and WAL piles up"))
                .fix("start its connector, or drop the slot if nobody needs it")
        }
        _ if slot.behind_bytes > SLOT_LAG_BYTES_MAX => Check::warning(AREA, name, found).fix(
            "the connector does not keep up, or has nothing to confirm: set heartbeat.interval.ms",
        ),
        _ => Check::ok(AREA, name, found),
    }
}

/// What is known of one table.
#[derive(Default)]
struct Facts {
    /// `d`, `n`, `f` or `i`; none: there is no such table.
    identity: Option<char>,
    partitioned: bool,
    primary_key: Vec<String>,
    /// Column and `format_type`.
    columns: BTreeMap<String, String>,
    /// Publications with it, each with whether it publishes inserts, updates and deletes.
    publications: BTreeMap<String, bool>,
}

async fn table(client: &Client, needs: &Needs) -> anyhow::Result<Vec<Check>> {
    let (schema, table) = (needs.schema(), needs.table.as_str());
    let found = client
        .query_opt(
            "select c.oid, c.relreplident::text, c.relkind = 'p' from pg_class c \
             join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2 and c.relkind in ('r', 'p')",
            &[&schema, &table],
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
                "select attname::text, format_type(atttypid, atttypmod) from pg_attribute \
                 where attrelid = $1 and attnum > 0 and not attisdropped",
                &[&oid],
            )
            .await?;
        facts.columns = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let publications = client
            .query(
                "select p.pubname::text, p.pubinsert and p.pubupdate and p.pubdelete from pg_publication_tables t \
                 join pg_publication p on p.pubname = t.pubname where t.schemaname = $1 and t.tablename = $2",
                &[&schema, &table],
            )
            .await?;
        facts.publications = publications.iter().map(|row| (row.get(0), row.get(1))).collect();
    }
    Ok(judge_table(needs, &facts))
}

fn judge_table(needs: &Needs, facts: &Facts) -> Vec<Check> {
    let name = needs.full_name();
    let Some(identity) = facts.identity else {
        return vec![
            Check::problem(AREA, &name, "there is no such table")
                .fix("correct PRODUCTS_TABLE, ORDERS_TABLE, ORDER_ITEMS_TABLE or TOPIC_PREFIX (its last part is the schema)"),
        ];
    };
    let mut checks = vec![keyed(needs, facts, &name, identity)];
    let missing: Vec<&str> = std::iter::once(&needs.id)
        .chain(needs.columns.iter().map(|(column, _)| column))
        .filter(|column| !facts.columns.contains_key(*column))
        .map(String::as_str)
        .collect();
    if !missing.is_empty() {
        checks.push(
            Check::problem(AREA, &name, format!("has no column {}", missing.join(", ")))
                .fix("PRODUCTS_COLUMNS, ORDERS_COLUMNS, ORDER_ITEMS_COLUMNS say how yours are called: price=unit_price"),
        );
    }
    let wanted = needs.columns.iter().cloned().chain([(needs.id.clone(), Need::Int)]);
    for (column, need) in wanted {
        if let Some(kind) = facts.columns.get(&column).filter(|kind| !fits(kind, need)) {
            let found = format!("column {column} is {kind}, and is read as {}", word(need));
            checks.push(
                Check::problem(AREA, &name, found)
                    .fix("name another column (..._COLUMNS), or change its type"),
            );
        }
    }
    checks.push(published(facts, &name));
    checks
}

/// Key and REPLICA IDENTITY. None is required; without any, PostgreSQL refuses updates and deletes of a published table.
fn keyed(needs: &Needs, facts: &Facts, name: &str, identity: char) -> Check {
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
    let primary_key = format!("alter table {name} add primary key ({})", needs.id);
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
    if facts.primary_key != [needs.id.clone()] {
        let found = format!("{found}; rows are told apart by {}", needs.id);
        return Check::problem(AREA, name, found)
            .fix("name the primary key's column (..._COLUMNS: id=YOURS); it must be one column");
    }
    Check::ok(AREA, name, found)
}

fn published(facts: &Facts, name: &str) -> Check {
    let whole: Vec<&str> =
        facts.publications.iter().filter(|(_, all)| **all).map(|(name, _)| name.as_str()).collect();
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

fn word(need: Need) -> &'static str {
    match need {
        Need::Int => "a whole number",
        Need::Text => "text",
        Need::Decimal => "a decimal",
        Need::Time => "an instant",
    }
}

/// `kind`: as `format_type` says it.
fn fits(kind: &str, need: Need) -> bool {
    let base = kind.split('(').next().unwrap_or_default().trim();
    let is_int = ["smallint", "integer", "bigint"].contains(&base);
    match need {
        Need::Int => is_int,
        Need::Text => {
            !is_int && !["bytea", "boolean", "numeric"].contains(&base) && !kind.ends_with("[]")
        }
        Need::Decimal => is_int || ["numeric", "money", "real", "double precision"].contains(&base),
        Need::Time => kind.starts_with("timestamp") || base == "date",
    }
}

async fn marked(client: &Client, marker: &str) -> anyhow::Result<Vec<Check>> {
    let row = client.query_one("select to_regclass($1) is not null", &[&marker]).await?;
    let found = match row.get(0) {
        true => format!(
            "{marker} is there: `cdc verify --marker-table {marker}` waits for a row of its own"
        ),
        false => format!(
            "there is no {marker}: `cdc verify` has to go by the slot (--marker-table names another)"
        ),
    };
    Ok(vec![Check::ok(AREA, "marker table", found)])
}

/// Each table once, with the columns of all services that read it.
pub(super) fn merge(all: impl IntoIterator<Item = Needs>) -> Vec<Needs> {
    let mut merged: BTreeMap<String, Needs> = BTreeMap::new();
    for needs in all {
        match merged.get_mut(&needs.topic) {
            None => {
                merged.insert(needs.topic.clone(), needs);
            }
            Some(there) => {
                let known: BTreeSet<String> =
                    there.columns.iter().map(|(name, _)| name.clone()).collect();
                there
                    .columns
                    .extend(needs.columns.into_iter().filter(|(name, _)| !known.contains(name)));
            }
        }
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

    fn needs() -> Needs {
        let columns = vec![("price".into(), Need::Decimal), ("name".into(), Need::Text)];
        Needs {
            topic: "shop.sales.products".into(),
            table: "products".into(),
            id: "id".into(),
            columns,
        }
    }
    fn facts() -> Facts {
        let columns =
            [("id", "bigint"), ("price", "numeric(10,2)"), ("name", "character varying(80)")];
        Facts {
            identity: Some('d'),
            partitioned: false,
            primary_key: vec!["id".into()],
            columns: columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(),
            publications: [("cdc".to_owned(), true)].into(),
        }
    }
    fn bad(change: impl FnOnce(&mut Facts)) -> Vec<Check> {
        let mut facts = facts();
        change(&mut facts);
        let all = judge_table(&needs(), &facts);
        all.into_iter().filter(|check| check.status != Status::Ok).collect()
    }

    #[test]
    fn a_fit_table_is_well() {
        assert_eq!(bad(|_| {}), []);
        assert_eq!(bad(|facts| facts.identity = Some('f')), []);
        assert_eq!(needs().full_name(), "sales.products");
    }

    #[test]
    fn what_a_table_lacks_is_said_with_a_fix() {
        type Change = fn(&mut Facts);
        let cases: [(Change, &str); 9] = [
            (|f| f.identity = None, "no such table"),
            (|f| f.identity = Some('n'), "refuses updates"),
            (|f| f.primary_key.clear(), "refuses updates"),
            (|f| (f.identity, f.primary_key) = (Some('f'), vec![]), "no order"),
            (|f| f.primary_key = vec!["id".into(), "region".into()], "told apart by id"),
            (|f| drop(f.columns.remove("price")), "no column price"),
            (|f| drop(f.columns.insert("price".into(), "text".into())), "price is text"),
            (|f| f.publications.clear(), "no publication"),
            (|f| _ = f.publications.insert("cdc".into(), false), "leaves out"),
        ];
        for (change, word) in cases {
            let found = bad(change);
            assert_eq!(found.len(), 1, "{word}: {found:?}");
            assert!(found[0].found.contains(word) && found[0].fix.is_some(), "{found:?}");
            assert_eq!(found[0].status, Status::Problem);
        }
    }

    #[test]
    fn slots_are_judged_by_what_is_left_of_them() {
        let slot = |active, wal_status: &str, behind_bytes| {
            let (name, plugin) = ("cdc".to_owned(), "pgoutput".to_owned());
            let wal_status = wal_status.to_owned();
            judge_slot(&Slot { name, plugin, active, wal_status, behind_bytes, kept_bytes: 9 })
                .status
        };
        assert_eq!(slot(true, "reserved", 0), Status::Ok);
        assert_eq!(slot(true, "extended", 2 << 30), Status::Warning);
        assert_eq!(slot(false, "reserved", 0), Status::Warning);
        assert_eq!(slot(true, "unreserved", 0), Status::Warning);
        assert_eq!(slot(false, "lost", 0), Status::Problem);
    }
}
