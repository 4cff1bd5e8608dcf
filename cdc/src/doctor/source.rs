//! PostgreSQL: whether it can be decoded from, whether the tables are published, and what they have.
mod table;

use super::{Patience, clock, connect::Nulls, report::Check};
use consumers::{runtime::wall_ms, source_table::SourceTable};
use serving::postgres::Dsn;
use std::collections::BTreeMap;
use tokio_postgres::Client;

const AREA: &str = "postgres";
const SLOT_LAG_BYTES_MAX: i64 = 1 << 30;

/// `tables`: each once, also where several services read it. `nulls`: what the connector makes of NULL in a column with
/// a default.
pub(super) async fn check(
    dsn: Dsn,
    tables: Vec<SourceTable>,
    marker: String,
    nulls: Nulls,
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
    for table in &tables {
        add(&table.full_name(), patience.wait(table::check(&client, table, nulls)).await);
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
pub(super) fn merge<'a>(all: impl IntoIterator<Item = &'a SourceTable>) -> Vec<SourceTable> {
    let mut merged: BTreeMap<&str, SourceTable> = BTreeMap::new();
    for table in all {
        let there = merged.entry(table.topic()).or_insert_with(|| table.clone());
        for column in &table.columns {
            if !there.columns.iter().any(|known| known.name == column.name) {
                there.columns.push(column.clone());
            }
        }
    }
    merged.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::Status;

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
