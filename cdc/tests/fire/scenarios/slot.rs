//! The connector's slot is lost, rows are deleted while nobody listens, and a new snapshot comes, under traffic.
use super::checked;
use crate::{
    PATIENCE,
    fleet::{CREDENTIALS, SERVICES, lines},
    stack::{CONNECT, DSN, curl, stack},
    until,
    world::World,
};
use anyhow::{Context as _, ensure};
use consumers::config::Service;
use std::process::Command;

/// Rows that the first snapshot had, with whatever hangs on them.
const DELETE: &str = "
    begin;
    delete from order_items where order_id <= 8 or product_id in (3, 4);
    delete from orders where id <= 8;
    delete from products where id in (3, 4);
    commit;";

/// Each service says that a second snapshot came; the rows that are left over are taken out through the log, and then
/// everything is exact.
pub fn lost(world: &mut World) -> anyhow::Result<String> {
    world.drain()?;
    stack(&["stop-connector"])?;
    curl(&["-m", "30", "-X", "DELETE", &format!("{CONNECT}/connectors/cdc/offsets")])?;
    until("the slot to be free", PATIENCE, || {
        Ok(stack(&["psql", "-Atc", "select pg_drop_replication_slot('cdc')"]).is_ok())
    })?;
    let noticed = SERVICES.map(|service| notices(world, service));
    world.load.resume();
    stack(&["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", DELETE])?;
    stack(&["resume-connector"])?;
    let recovered = world.recover("slot-lost")?;
    for (service, before) in SERVICES.into_iter().zip(noticed) {
        until(&format!("{} to speak of the snapshot", service.name()), PATIENCE, || {
            Ok(notices(world, service) > before)
        })?;
    }
    let mut removed = 0;
    for service in SERVICES {
        removed += repair(world, service)?;
    }
    // The two products for inventory, the eight orders for analytics, and what hung on them, at least.
    ensure!(removed >= 10, "only {removed} rows were removed through the log");
    let said = checked(world, "slot lost", recovered)?;
    Ok(format!("{removed} rows removed through the log; {said}"))
}

/// How often its processes said that another snapshot came.
fn notices(world: &World, service: Service) -> usize {
    let logs = world.fleet.logs.iter().filter(|(of, _)| *of == service);
    let is_one = |line: &serde_json::Value| {
        line["message"].as_str().is_some_and(|text| text.contains("another snapshot of table"))
    };
    logs.map(|(_, log)| lines(log).iter().filter(|line| is_one(line)).count()).sum()
}

/// Ends with exact; how many rows went through the log.
fn repair(world: &World, service: Service) -> anyhow::Result<u64> {
    let out = Command::new(env!("CARGO_BIN_EXE_cdc"))
        .args([
            "verify",
            service.name(),
            "--source-dsn",
            DSN,
            "--marker-table",
            "public.cdc_marker",
        ])
        .args(["--repair", "--yes", "--json", "--wait-seconds", "120"])
        .args(world.fleet.place.arguments(service))
        .envs(CREDENTIALS)
        .output()?;
    let (said, errors) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    let name = service.name();
    ensure!(out.status.success(), "cdc verify {name} --repair: {}\n{said}{errors}", out.status);
    let words = " rows removed through the log";
    let Some(line) = said.lines().find(|line| line.contains(words)) else { return Ok(0) };
    let count = line.split(words).next().and_then(|text| text.rsplit(['"', ' ']).next());
    let count = count.and_then(|text| text.parse().ok());
    count.with_context(|| format!("no count in {line}"))
}
