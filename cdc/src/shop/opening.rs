//! Before the first transaction: tables that must be there, numbers that nobody else takes, products to sell.
use super::{
    plan::{Market, Plan},
    trade::Till,
};
use anyhow::{Context, bail, ensure};
use serving::postgres::Dsn;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::SystemTime,
};
use tokio_postgres::Client;

const TABLES: [&str; 3] = ["products", "orders", "order_items"];
/// Where the shop's clock stands when the tables are empty: 2026-01-01.
const FIRST_DAY: &str = "2026-01-01 00:00:00+00";

/// Sequences give each worker, of any process, ids of its own; they go on from the highest id there is. One shop after
/// the other.
const NUMBERS: &str = "
    select pg_advisory_xact_lock(hashtext('cdc shop'));
    create schema if not exists cdc_shop;
    create sequence if not exists cdc_shop.product_id as int;
    create sequence if not exists cdc_shop.order_id as int;
    create sequence if not exists cdc_shop.line_id;
    select setval('cdc_shop.product_id', top) from cdc_shop.product_id, (select max(id) top from products) t
      where top > last_value or top = last_value and not is_called;
    select setval('cdc_shop.order_id', top) from cdc_shop.order_id, (select max(id) top from orders) t
      where top > last_value or top = last_value and not is_called;
    select setval('cdc_shop.line_id', top) from cdc_shop.line_id, (select max(id) top from order_items) t
      where top > last_value or top = last_value and not is_called;";

/// The shop's clock, and how many products were filled in.
pub async fn open(
    dsn: &Dsn,
    seed: u64,
    market: Market,
    stop: &AtomicBool,
) -> anyhow::Result<(SystemTime, u64)> {
    let client = dsn.connect().await?;
    look_for_tables(&client, dsn).await?;
    let sql = format!(
        "select greatest('{FIRST_DAY}', (select max(created_at) from orders), (select max(updated_at) from products))"
    );
    let opens =
        client.query_one(&sql, &[]).await.context("the shop's clock cannot be read")?.get(0);
    let mut till = Till::open(client).await?;
    till.batch("begin").await?;
    till.batch(NUMBERS).await.context(
        "schema cdc_shop, for sequences, cannot be made: the user needs CREATE on the database",
    )?;
    let filled =
        fill(&mut till, seed, market, opens, stop).await.context("no products could be added")?;
    till.batch("commit").await?;
    Ok((opens, filled))
}

async fn look_for_tables(client: &Client, dsn: &Dsn) -> anyhow::Result<()> {
    let mut missing = Vec::new();
    for table in TABLES {
        let sql = "select to_regclass($1::text) is null";
        if client.query_one(sql, &[&table]).await.context("no table can be looked for")?.get(0) {
            missing.push(table);
        }
    }
    if !missing.is_empty() {
        bail!(
            "no table {} at {}: make the shop with scripts/seed.sh (or scripts/shop/schema.sql alone)",
            missing.join(", "),
            dsn.place()
        );
    }
    Ok(())
}

/// An empty shop gets its products, all or none.
async fn fill(
    till: &mut Till,
    seed: u64,
    market: Market,
    opens: SystemTime,
    stop: &AtomicBool,
) -> anyhow::Result<u64> {
    if till.known().await?.products > 0 {
        return Ok(0);
    }
    // No worker has this number.
    let mut plan = Plan::new(seed, u64::MAX, market, opens);
    for _ in 0..market.products {
        ensure!(!stop.load(Relaxed), "stopped");
        let id = till.new_product_id().await?;
        let (product, at) = plan.product();
        till.add_product(id, &product, at).await?;
    }
    Ok(u64::try_from(market.products).unwrap_or(0))
}
