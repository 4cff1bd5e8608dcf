//! PostgreSQL, Kafka and Connect for this test alone, by `scripts/stack.sh`: a name and ports of its own, wiped at the
//! end.
use anyhow::{Context, bail, ensure};
use serving::postgres::Dsn;
use std::{
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use crate::until;

/// Of the first connector's topics.
pub const PREFIX: &str = "shop.public.";

const SETTINGS: [(&str, &str); 8] = [
    ("STACK_NAME", "fire"),
    ("PG_PORT", "15472"),
    ("KAFKA_PORT", "19472"),
    ("KAFKA_CONTROLLER_PORT", "19473"),
    ("CONNECT_PORT", "18472"),
    ("TOPIC_PREFIX", "shop"),
    ("PG_DATABASE", "shop"),
    ("READY_TIMEOUT_S", "300"),
];
pub const DSN: &str = "postgres://postgres:postgres@127.0.0.1:15472/shop";
pub const KAFKA: &str = "127.0.0.1:19472";
pub const CONNECT: &str = "http://127.0.0.1:18472";

/// What is there before the connector. Little: each word of a product is a write, and the emulator is slow.
const STOCK: &str = "
    select setseed(0.1);
    select maker.add_product(nextval('maker.product_id')::int) from generate_series(1, 60);
    update products set description = maker.long_description() where id = 7;
    select maker.place_order(maker.up_to(4)) from generate_series(1, 60)";

fn scripts() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts")
}

/// Runs `stack.sh`; its output, or an error with what it said.
pub fn stack(args: &[&str]) -> anyhow::Result<String> {
    let Output { status, stdout, stderr } = Command::new(scripts().join("stack.sh"))
        .args(args)
        .envs(SETTINGS)
        .output()
        .context("scripts/stack.sh cannot be run")?;
    let said = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "stack.sh {} failed: {said}", args.join(" "));
    String::from_utf8(stdout).context("stack.sh did not speak UTF-8")
}

/// A running stack with the shop in it and a connector that streams.
pub struct Stack;
impl Stack {
    pub fn start() -> anyhow::Result<Self> {
        stack(&["wipe"])?;
        let made = Self;
        stack(&["up", "kafka", "postgres", "connect"])?;
        for part in ["schema", "maker", "trade"] {
            let file = scripts().join("shop").join(format!("{part}.sql"));
            let file = file.to_str().context("the project's path is not UTF-8")?;
            stack(&["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", file])?;
        }
        stack(&["psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", STOCK])?;
        stack(&["create-connector", "shop"])?;
        Ok(made)
    }

    /// SIGKILL.
    pub fn kill(&self, component: &str) -> anyhow::Result<()> {
        stack(&["kill", component]).map(drop)
    }

    /// A killed PostgreSQL refuses to start while processes of the old one are still ending.
    pub fn up(&self, component: &str) -> anyhow::Result<()> {
        let mut last = String::new();
        for _ in 0..10 {
            match stack(&["up", component]) {
                Ok(_) => return Ok(()),
                Err(e) => last = format!("{e:#}"),
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        bail!("{component} does not come back: {last}")
    }

    /// PostgreSQL's answers, as `scripts/shop/views.sql` asks for them: one JSON object.
    pub fn views(&self) -> anyhow::Result<String> {
        let file = scripts().join("shop/views.sql");
        stack(&["psql", "-q", "-f", file.to_str().context("the project's path is not UTF-8")?])
    }

    /// Until everything that is committed now is in Kafka, and Kafka has confirmed it. What a fault left failed in
    /// Connect is started again, as an operator would.
    pub fn settle(&self, io: &tokio::runtime::Runtime, within: Duration) -> anyhow::Result<()> {
        let dsn = Dsn::parse(DSN, None, "cdc")?;
        let client = io.block_on(dsn.connect())?;
        let lsn: String =
            io.block_on(client.query_one("select pg_current_wal_insert_lsn()::text", &[]))?.get(0);
        let nudge = "select pg_logical_emit_message(true, 'settle', '')";
        let confirmed = "select coalesce(bool_and(confirmed_flush_lsn >= ($1::text)::pg_lsn), false) \
                         from pg_replication_slots";
        until("the changes to reach Kafka", within, || {
            self.restart_failed_tasks();
            io.block_on(client.execute(nudge, &[]))?;
            std::thread::sleep(Duration::from_millis(300));
            Ok(io.block_on(client.query_one(confirmed, &[&lsn]))?.get(0))
        })
    }

    /// Best effort: while Connect is coming up it does not answer.
    pub fn restart_failed_tasks(&self) {
        let status = curl(&["-m", "5", &format!("{CONNECT}/connectors/cdc/status")]);
        if status.is_ok_and(|text| text.contains("\"state\":\"FAILED\"")) {
            let url = format!("{CONNECT}/connectors/cdc/restart?includeTasks=true&onlyFailed=true");
            let _ = curl(&["-m", "30", "-X", "POST", &url]);
        }
    }
}
impl Drop for Stack {
    fn drop(&mut self) {
        if let Err(e) = stack(&["wipe"]) {
            println!("the stack is still there: {e:#}");
        }
    }
}

pub fn curl(args: &[&str]) -> anyhow::Result<String> {
    let out = Command::new("curl").args(["-s", "-S", "-f"]).args(args).output()?;
    ensure!(out.status.success(), "curl: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
