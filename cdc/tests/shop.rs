//! `cdc shop` on a real PostgreSQL: `TEST_POSTGRES_DSN` (postgres://USER:PASSWORD@HOST:PORT/DATABASE, of a user who may
//! make databases). Each test makes a database of its own and drops it.
use serde_json::Value;
use serving::postgres::Dsn;
use std::{
    collections::BTreeSet,
    io::Read,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;
use tokio_postgres::Client;

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(120);
const SCHEMA: &str = include_str!("../../scripts/shop/schema.sql");
/// All that a shop's tables hold.
const CONTENTS: &str = "select (select jsonb_agg(t order by id) from products t)::text
    || (select jsonb_agg(t order by id) from orders t)::text
    || (select jsonb_agg(t order by id) from order_items t)::text";

struct Database {
    io: Runtime,
    server: String,
    name: String,
}
impl Database {
    /// `None`: there is no server to try it on.
    fn empty(name: &str) -> Option<Self> {
        let Ok(dsn) = std::env::var("TEST_POSTGRES_DSN") else {
            eprintln!("left out: no TEST_POSTGRES_DSN");
            return None;
        };
        let (server, _) =
            dsn.rsplit_once('/').expect("postgres://USER:PASSWORD@HOST:PORT/DATABASE");
        let io = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("I/O");
        let name = format!("shop_test_{}_{name}", std::process::id());
        io.block_on(async {
            let client = connect(&dsn).await;
            client.batch_execute(&format!("create database {name}")).await.expect("a database");
        });
        Some(Self { io, server: server.to_owned(), name })
    }
    fn with_shop(name: &str) -> Option<Self> {
        let database = Self::empty(name)?;
        database.io.block_on(async {
            database.client().await.batch_execute(SCHEMA).await.expect("the shop's tables");
        });
        Some(database)
    }
    fn dsn(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }
    async fn client(&self) -> Client {
        connect(&self.dsn()).await
    }
    fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        let row = async { self.client().await.query_one(sql, &[]).await.expect("an answer") };
        self.io.block_on(row).get(0)
    }
    fn shop(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command.arg("shop").env("SOURCE_DSN", self.dsn()).args(args.split_whitespace());
        command
    }
    /// Runs it to its end, which must be a good one.
    fn trade(&self, args: &str) -> Value {
        let Output { status, stdout, stderr } =
            self.shop(args).arg("--json").output().expect("it runs");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        serde_json::from_slice(&stdout).expect("one document")
    }
}
impl Drop for Database {
    /// Not where the server is gone: the test has failed already.
    fn drop(&mut self) {
        let dsn = Dsn::parse(&format!("{}/postgres", self.server), None, "cdc").expect("a DSN");
        let sql = format!("drop database {} with (force)", self.name);
        let dropped = self.io.block_on(async {
            Ok::<_, anyhow::Error>(dsn.connect().await?.batch_execute(&sql).await?)
        });
        if let Err(error) = dropped {
            eprintln!("{} is left: {error:#}", self.name);
        }
    }
}
async fn connect(dsn: &str) -> Client {
    Dsn::parse(dsn, None, "cdc").expect("a DSN").connect().await.expect("a connection")
}

/// Within [`PATIENCE`].
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < limit, "timed out: {what}");
        std::thread::yield_now();
    }
}
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut status = None;
    until("it ends", || {
        status = child.try_wait().expect("a child");
        status.is_some()
    });
    let mut text = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut text).expect("text");
    (status.and_then(|status| status.code()), text)
}
fn number(document: &Value, name: &str) -> u64 {
    document[name].as_u64().unwrap_or_else(|| panic!("{name} in {document}"))
}

#[test]
fn the_same_seed_makes_the_same_shop_and_goes_on_alike() {
    let Some(a) = Database::with_shop("same_a") else { return };
    let b = Database::with_shop("same_b").expect("a second");
    for (seed, transactions) in [(5, 400), (6, 200)] {
        let args = format!("--seed {seed} --rate 0 --products 60 --transactions {transactions}");
        for shop in [&a, &b] {
            let told = shop.trade(&args);
            assert_eq!(number(&told, "transactions"), transactions);
            assert_eq!((number(&told, "failed"), number(&told, "unknown")), (0, 0), "{told}");
        }
        assert!(a.one::<String>(CONTENTS) == b.one::<String>(CONTENTS), "seed {seed}: they differ");
    }
    a.trade("--seed 7 --rate 0 --transactions 50");
    b.trade("--seed 8 --rate 0 --transactions 50");
    assert!(a.one::<String>(CONTENTS) != b.one::<String>(CONTENTS), "the seed has no effect");
}

/// A trigger sees what an owner of the shop would: rows inserted, updated, deleted, and stocks that cross the threshold.
#[test]
fn everything_happens_and_what_is_counted_is_what_changed() {
    const WITNESS: &str = "
        create table seen (at bigserial, tx bigint default txid_current(), what text);
        create function see() returns trigger language plpgsql as
        $$ begin insert into seen (what) values (tg_table_name || ' ' || tg_op); return null; end $$;
        create trigger see after insert or update or delete on products for each row execute function see();
        create trigger see after insert or update or delete on orders for each row execute function see();
        create trigger see after insert or update or delete on order_items for each row execute function see();";
    let Some(shop) = Database::with_shop("witness") else { return };
    shop.io.block_on(async {
        shop.client().await.batch_execute(WITNESS).await.expect("a witness");
    });
    let told = shop.trade("--rate 0 --products 60 --transactions 2500");
    let seen = u64::try_from(shop.one::<i64>("select count(*) from seen")).expect("positive");
    assert_eq!(seen, number(&told, "rows") + number(&told, "filled"), "{told}");
    let transactions = shop.one::<i64>("select count(distinct tx) from seen");
    let with_rows = number(&told, "committed") - number(&told, "idle") + 1;
    assert_eq!(u64::try_from(transactions).expect("positive"), with_rows);
    assert!(number(&told, "rolled_back") > 20, "{told}");
    assert!(number(&told, "idle") * 5 < number(&told, "committed"), "{told}");
    let kinds = told["kinds"].as_object().expect("kinds");
    assert_eq!(kinds.len(), 23);
    for (name, kind) in kinds {
        assert!(kind["rows"].as_u64() > Some(0), "{name} never changed a row: {told}");
    }
    let whats: BTreeSet<String> =
        BTreeSet::from_iter(shop.one::<Vec<String>>("select array_agg(distinct what) from seen"));
    assert_eq!(whats.len(), 9, "{whats:?}");
    // Restocked: it was low. So often did a stock cross the threshold.
    let restocked = kinds["restock"]["rows"].as_u64().expect("a number");
    assert!(restocked > 100, "{restocked} restocked");
    let hot: f64 = shop.one(
        "select max(n) / sum(n)::float8 from (select count(*) n from order_items group by product_id) p",
    );
    assert!(hot > 0.06, "the hottest product has {hot} of the lines");
}

#[test]
fn several_workers_and_shops_take_no_id_twice() {
    let Some(shop) = Database::with_shop("workers") else { return };
    let other = shop.shop("--rate 0 --workers 2 --seed 2 --transactions 600 --json");
    let other = { other }.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    let told = shop.trade("--rate 0 --workers 4 --transactions 1200");
    let (code, text) = end(other);
    assert_eq!(code, Some(0));
    let other: Value = serde_json::from_str(&text).expect("one document");
    for told in [&told, &other] {
        assert_eq!(number(told, "unknown"), 0, "{told}");
        assert_eq!(told["failed_by_sqlstate"].get("23505"), None, "an id was taken twice: {told}");
    }
    assert_eq!(number(&told, "transactions"), 1200);
    assert_eq!(number(&other, "transactions"), 600);
    assert_eq!(number(&told, "filled") + number(&other, "filled"), 200, "only one of them fills");
}

#[test]
fn ids_go_on_from_what_is_there() {
    let Some(shop) = Database::with_shop("ids") else { return };
    shop.trade("--rate 0 --products 20 --transactions 50");
    shop.io.block_on(async {
        let sql =
            "drop schema cdc_shop cascade; insert into orders values (900, 1, 'new', 0, now())";
        shop.client().await.batch_execute(sql).await.expect("done by hand");
    });
    let told = shop.trade("--rate 0 --transactions 100");
    assert_eq!((number(&told, "failed"), number(&told, "filled")), (0, 0), "{told}");
    assert!(shop.one::<i32>("select max(id) from orders") > 900);
}

#[test]
fn lost_connections_are_made_again() {
    const CUT: &str =
        "select count(*) filter (where pg_terminate_backend(pid)) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    let Some(shop) = Database::with_shop("cut") else { return };
    let mut running = shop.shop("--rate 0 --workers 2 --seconds 600 --json");
    let running = running.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    for _ in 0..5 {
        let orders = shop.one::<i64>("select count(*) from orders");
        until("it trades", || shop.one::<i64>("select count(*) from orders") > orders + 20);
        assert!(shop.one::<i64>(CUT) > 0);
    }
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    let (code, text) = end(running);
    assert_eq!(code, Some(0), "SIGTERM is a good end");
    let told: Value = serde_json::from_str(&text).expect("one document");
    assert!(number(&told, "reconnected") >= 5, "{told}");
    assert!(number(&told, "failed") + number(&told, "unknown") > 0, "{told}");
}

#[test]
fn without_tables_it_says_how_to_make_them() {
    let Some(shop) = Database::empty("bare") else { return };
    let Output { status, stderr, .. } = shop.shop("--transactions 1").output().expect("it runs");
    let text = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1));
    assert!(
        text.contains("products, orders, order_items") && text.contains("scripts/seed.sh"),
        "{text}"
    );
}

#[test]
fn a_wrong_command_line_is_64() {
    for args in [
        "",
        "--transactions 1 --rate -1",
        "--seconds x",
        "--seconds 1 --zipf 99",
        "--seconds 1 --workers 0",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdc"));
        command.arg("shop").env("SOURCE_DSN", "postgres://nobody@127.0.0.1:1/none");
        let output = command.args(args.split_whitespace()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(64), "{args}");
    }
}
