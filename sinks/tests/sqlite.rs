//! State and views in one SQLite file.
mod killed;

use sinks::Decimal;
use sinks::{
    Batch, Cell, Checkpoint, Column, Op, Partition, PartitionState, SinkError, State, Type, View,
    Write,
    conformance::{self, Backend, Shop, Supports, shop},
    state::sqlite::{FileReader, Settings, Sqlite},
};
use std::{path::Path, sync::Arc};

#[tokio::test]
async fn keeps_the_promises_of_a_state() {
    let dir = tempfile::tempdir().unwrap();
    conformance::state(async |name: &str| -> Arc<dyn State> {
        Arc::new(Sqlite::open(dir.path().join(name), 1, "inventory", vec![]).unwrap()) as _
    })
    .await;
}

#[tokio::test]
async fn keeps_the_promises_of_views() {
    let dir = tempfile::tempdir().unwrap();
    let text_bytes = Some((10_000, 10_001));
    let supports = Supports { merged: true, text_bytes, seeds: 4, ..Supports::default() };
    let views = Shop::views(&supports);
    let open = |name: &str| {
        let settings = Settings { value_bytes_max: 10_000, ..Settings::default() };
        Sqlite::open_with(dir.path().join(name), 1, "shop", views.clone(), settings).unwrap()
    };
    conformance::views(
        supports,
        async |name: &str| Backend { sink: None, state: Arc::new(open(name)) },
        async |name: &str, view| open(name).rows(view.name).await.unwrap(),
    )
    .await;
}

fn views() -> Vec<View> {
    Shop::views(&Supports::default())
}

fn open(path: &Path) -> Sqlite {
    Sqlite::open(path, 1, "shop", views()).unwrap()
}

fn fatal<T>(answer: Result<T, SinkError>) -> String {
    match answer {
        Err(SinkError::Fatal(cause)) => format!("{cause:#}"),
        Err(other) => panic!("expected Fatal, got: {other}"),
        Ok(_) => panic!("expected Fatal, but it worked"),
    }
}

fn partition() -> Partition {
    killed::partition()
}

fn write(offset: i64, view: &'static str, key: Vec<Cell>, op: Op) -> Write {
    Write { offset, source_ts_ms: 1_700_000_000_000 + offset, view, key, op }
}

fn stock(offset: i64, id: i64, base: i64) -> Write {
    let own = vec!["tea".into(), "19.50".parse::<Decimal>().unwrap().into(), base.into()];
    write(offset, Shop::STOCK, vec![id.into()], Op::Put(own))
}

fn batch(partition: &Partition, start: i64, end: i64, writes: Vec<Write>) -> Batch {
    let checkpoint = Checkpoint { next: end, ..Checkpoint::default() };
    let rows = vec![(b"end".to_vec(), Some(end.to_string().into_bytes()))];
    Batch::new(partition.clone(), 'p', start, writes, rows, checkpoint, [].into())
}

async fn lane(store: &Sqlite) -> Arc<dyn PartitionState> {
    store.open(&partition()).await.unwrap()
}

#[tokio::test]
#[ignore = "the child of goes_on_after_sigkill"]
async fn committing_child() {
    let Ok(dir) = std::env::var(killed::DIR) else { return };
    killed::commit_until_killed(&open(&Path::new(&dir).join("x.db"))).await;
}

#[tokio::test]
async fn goes_on_after_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    for commits in [3, 1, 40, 7] {
        let told = killed::kill_after("committing_child", dir.path(), commits);
        let store = open(&dir.path().join("x.db"));
        let lane = lane(&store).await;
        let stands = killed::check(&lane, told).await;
        let shown = store.rows(Shop::STOCK).await.unwrap();
        assert_eq!(
            shown[&vec![Cell::Int(1)]][4],
            Cell::Int(stands),
            "the view is of the same commit"
        );
        lane.commit(&killed::batch(stands + 1)).await.unwrap();
    }
}

/// The tables as anybody reads them, with nothing but SQLite.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_read_plain_tables() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let store = open(&path);
    let words = Cell::Words(["tea".to_owned(), "blue".to_owned()].into());
    let writes = vec![
        stock(0, 7, 12),
        write(
            1,
            Shop::INDEX,
            vec![7.into()],
            Op::Put(vec!["Tea".into(), "".into(), Cell::Null, "茶".into(), words]),
        ),
        write(1, Shop::TOKENS, vec!["tea".into(), 7.into()], Op::Put(vec![])),
        write(2, Shop::DAILY, vec![Cell::Null], Op::Share(vec![1.into(), Decimal::from(5).into()])),
        write(3, Shop::DAILY, vec![Cell::Null], Op::Share(vec![2.into(), Decimal::from(9).into()])),
        stock(4, 7, 9),
    ];
    lane(&store).await.commit(&batch(&partition(), 0, 5, writes)).await.unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    let one = |columns: &str, table: &str| -> String {
        conn.query_row(&format!("SELECT json_array({columns}) FROM {table}"), [], |row| row.get(0))
            .unwrap()
    };
    let inventory = "product_id, name, price, base_stock, sold, stock_quantity, low_stock, updated_at, source_ts_ms";
    assert_eq!(
        one(inventory, "inventory_realtime"),
        r#"[7,"tea","19.50",9,0,9,1,"2023-11-14T22:13:20.004Z",1700000000004]"#
    );
    assert_eq!(
        one(
            "product_id, name, description, price, category, search_tokens",
            "product_search_index"
        ),
        r#"[7,"Tea","",null,"茶","blue tea"]"#
    );
    assert_eq!(one("token, product_id", "product_search_tokens"), r#"["tea",7]"#);
    assert_eq!(one("count(*)", "daily_sales"), "[1]", "one row for the days that are null");
    assert_eq!(one("day, orders, revenue", "daily_sales"), r#"[null,2,"9"]"#);
    assert_eq!(
        one("name, product_id, stock_quantity, source_ts_ms", "low_stock_alerts"),
        r#"["shop.products/0/4/7",7,9,1700000000004]"#
    );
    assert_eq!(store.alerts().await.unwrap().len(), 1);
}

/// SQL's PRIMARY KEY takes no two nulls for one, and text no two numbers.
#[tokio::test]
async fn keys_that_are_one_are_one_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let store = open(&path);
    let key = |region: Cell, rate: &str| {
        vec![region, 1.into(), Cell::Decimal(rate.parse::<Decimal>().unwrap())]
    };
    let keys = [
        key(Cell::Null, "1.0"),
        key(Cell::Null, "1.00"),
        key("".into(), "1"),
        key(Cell::Null, "1"),
        key("".into(), "1.000"),
    ];
    let share = |n: usize| Op::Share(vec![(n as i64 + 1).into()]);
    let lane = lane(&store).await;
    for (n, key) in keys.into_iter().enumerate() {
        let writes = vec![write(n as i64, Shop::REGIONS, key, share(n))];
        lane.commit(&batch(&partition(), n as i64, n as i64 + 1, writes)).await.unwrap();
    }
    let conn = rusqlite::Connection::open(&path).unwrap();
    let sql = "SELECT json_group_array(json_array(region, channel, rate, orders)) \
               FROM (SELECT * FROM regional_sales ORDER BY region)";
    let all: String = conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(all, r#"[[null,1,"1",4],["",1,"1",5]]"#);
    let parts: i64 =
        conn.query_row("SELECT count(*) FROM cdc_state_parts", [], |row| row.get(0)).unwrap();
    assert_eq!(parts, 2);
}

/// `verify` compares streams of rows: out of order, it would see differences that are none.
#[tokio::test]
async fn rows_are_read_in_the_order_of_their_keys() {
    const NAME: Column = Column::new("name", Type::Text);
    const KEYS: [&[Column]; 3] = [
        &[Column::new("rate", Type::Decimal), NAME],
        &[Column::new("since", Type::Time), NAME],
        &[NAME, Column::new("n", Type::Int)],
    ];
    let decimal = |text: &str| Cell::Decimal(text.parse().unwrap());
    let texts =
        ["-10.5", "-10", "-9.75", "-9.5", "-0.05", "0", "0.5", "1", "1.05", "9", "10", "100.5"];
    let decimals = texts.map(decimal).into_iter().collect::<Vec<_>>();
    let times =
        [-62_000_000_000_000_000, -1, 0, 1, 500_000, 999_999, 1_000_000, 253_000_000_000_000_000];
    let names = ["", "A", "a", "a\\", "größe", "茶"].map(Cell::from).to_vec();
    let firsts = [decimals, times.map(Cell::Time).to_vec(), names];
    for (key, firsts) in KEYS.into_iter().zip(firsts) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.db");
        let view = View::totals(
            "v",
            key,
            &[sinks::Merge::Sum],
            const { &[Column::new("n_rows", Type::Int)] },
        );
        let store = Sqlite::open(&path, 1, "shop", vec![view.clone()]).unwrap();
        let seconds = match key[1].kind {
            Type::Int => [Cell::Null, (-2).into(), 10.into()],
            _ => [Cell::Null, "a".into(), "b".into()],
        };
        let pairs =
            firsts.iter().flat_map(|first| seconds.iter().map(move |second| (first, second)));
        let mut keys: Vec<Vec<Cell>> =
            pairs.map(|(first, second)| vec![first.clone(), second.clone()]).collect();
        keys.push(vec![Cell::Null, seconds[1].clone()]);
        keys.sort();
        // Written in another order.
        let half = keys.len() / 2;
        let turned = keys[half..].iter().chain(&keys[..half]).rev();
        let share = || Op::Share(vec![1.into()]);
        let writes = turned.map(|key| write(0, "v", key.clone(), share())).collect();
        lane(&store).await.commit(&batch(&partition(), 0, 1, writes)).await.unwrap();
        let mut found = vec![];
        let read = FileReader::open(&path, 1, "shop").unwrap().rows(&view, |key, _| {
            found.push(key);
            true
        });
        read.unwrap();
        assert_eq!(found, keys);
    }
}

#[test]
fn a_view_that_cannot_be_a_table_is_refused_by_name() {
    const ID: Column = Column::new("id", Type::Int);
    const NAME: Column = Column::new("name", Type::Text);
    const WORDS: Column = Column::new("words", Type::Words);
    const UPDATED: Column = Column::new("updated_at", Type::Time);
    let dir = tempfile::tempdir().unwrap();
    let why = |view: View| fatal(Sqlite::open(dir.path().join("x.db"), 1, "shop", vec![view]));
    let named = View { key: const { &[NAME, ID] }, ..shop::bins() };
    let summed = |columns| View::rows("v", &[ID], columns).with_totals(&[sinks::Merge::Sum]);
    for (view, words) in [
        (
            View::rows("v", const { &[ID, WORDS] }, &[]),
            "view v cannot be a table: its key column `words`",
        ),
        (View::rows("v", &[], &[ID]), "no key column"),
        (View::rows("v", &[ID], const { &[NAME, NAME] }), "the column `name` twice"),
        (summed(const { &[UPDATED] }), "column `updated_at` is ours"),
        (named, "column `name` is ours in the table of alerts"),
    ] {
        let why = why(view);
        assert!(why.contains(words), "{why}");
    }
    let taken = View::rows("v", &[ID], const { &[NAME, UPDATED] });
    assert!(Sqlite::open(dir.path().join("x.db"), 1, "shop", vec![taken]).is_ok());
}

#[tokio::test]
async fn services_share_a_file_and_keep_to_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let all = views();
    let groups = [("inventory", &all[..1]), ("search", &all[1..3]), ("analytics", &all[3..])];
    let threads = groups.map(|(service, views)| {
        let (path, views) = (path.clone(), views.to_vec());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let lane = lane(&Sqlite::open(&path, 1, service, views).unwrap()).await;
                for n in 0..30 {
                    lane.commit(&batch(&partition(), n, n + 1, vec![])).await.unwrap();
                }
            });
        })
    });
    for thread in threads {
        thread.join().unwrap();
    }
    for (service, views) in groups {
        let lane = lane(&Sqlite::open(&path, 1, service, views.to_vec()).unwrap()).await;
        assert_eq!(lane.checkpoint().unwrap().next, 30, "{service}");
    }
    let text = fatal(Sqlite::open(&path, 1, "other", all[..1].to_vec()));
    assert!(text.contains("inventory_realtime is kept by inventory"), "{text}");
}

#[tokio::test]
async fn another_generation_or_shape_needs_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let store = open(&path);
    lane(&store).await.commit(&batch(&partition(), 0, 1, vec![stock(0, 7, 12)])).await.unwrap();
    for generation in [0, 2] {
        let text = fatal(Sqlite::open(&path, generation, "shop", views()));
        assert!(
            text.contains("holds generation 1 of shop") && text.contains("file of its own"),
            "{text}"
        );
    }
    let mut changed = views();
    changed[0] = shop::stock(false, 10);
    let text = fatal(Sqlite::open(&path, 1, "shop", changed));
    assert!(text.contains("inventory_realtime was made with other columns or settings"), "{text}");
    assert_eq!(store.rows(Shop::STOCK).await.unwrap().len(), 1, "nothing was changed");
}

#[tokio::test]
async fn a_file_of_another_layout_or_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    drop(open(&path));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let text = fatal(Sqlite::open(&path, 1, "shop", views()));
    assert!(text.contains("x.db") && text.contains("layout 99"), "{text}");
    let path = dir.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let text = fatal(Sqlite::open(&path, 1, "shop", views()));
    assert!(text.contains("another program"), "{text}");
    let text = fatal(Sqlite::open(dir.path().join("none/x.db"), 1, "shop", views()));
    assert!(text.contains("does the folder exist"), "{text}");
}

/// Whose a row is that such a file holds, nobody wrote down: it is taken for whoever writes it next.
#[tokio::test]
async fn a_file_from_before_owners_were_kept_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let [a, b] = [0, 1].map(|index| Partition::new("shop.public.products", index));
    let store = open(&path);
    let first = batch(&a, 0, 2, vec![stock(0, 1, 10), stock(1, 2, 10)]);
    store.open(&a).await.unwrap().commit(&first).await.unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("DROP TABLE cdc_state_owners").unwrap();
    drop(conn);
    let store = open(&path);
    let (lane_a, lane_b) = (store.open(&a).await.unwrap(), store.open(&b).await.unwrap());
    lane_a.commit(&batch(&a, 2, 3, vec![stock(2, 1, 20)])).await.unwrap();
    let why = fatal(lane_b.commit(&batch(&b, 0, 1, vec![stock(0, 1, 5)])).await);
    assert!(why.contains("shop.public.products/1 offset 0: its row of view"), "{why}");
    assert!(why.contains("is owned by shop.public.products/0"), "{why}");
    lane_b.commit(&batch(&b, 0, 1, vec![stock(0, 2, 5)])).await.unwrap();
    let gone = write(3, Shop::STOCK, vec![2.into()], Op::Delete);
    let why = fatal(lane_a.commit(&batch(&a, 3, 4, vec![gone])).await);
    assert!(why.contains("is owned by shop.public.products/1"), "{why}");
    let shown = store.rows(Shop::STOCK).await.unwrap();
    let base = |id: i64| shown[&vec![Cell::Int(id)]][2].int();
    assert_eq!((base(1), base(2)), (Some(20), Some(5)));
}

#[tokio::test]
async fn a_locked_file_is_transient() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let settings = Settings { busy_ms_max: 20, ..Settings::default() };
    let store = Sqlite::open_with(&path, 1, "shop", views(), settings).unwrap();
    let lane = lane(&store).await;
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let batch = batch(&partition(), 0, 1, vec![stock(0, 7, 12)]);
    assert!(matches!(lane.commit(&batch).await, Err(SinkError::Transient(_))));
    assert_eq!(lane.get(&[b"end".to_vec()]).await.unwrap(), [None], "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    lane.commit(&batch).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_transient_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    let settings = Settings { pages_max: Some(60), ..Settings::default() };
    let store = Sqlite::open_with(&path, 1, "shop", views(), settings).unwrap();
    let full = lane(&store).await;
    let mut n = 0;
    let text = loop {
        let writes = (0..50).map(|id| stock(n, n * 50 + id, 12)).collect();
        match full.commit(&batch(&partition(), n, n + 1, writes)).await {
            Ok(_) => n += 1,
            Err(SinkError::Transient(cause)) => break format!("{cause:#}"),
            Err(other) => panic!("expected Transient, got: {other}"),
        }
        assert!(n < 1_000, "60 pages never filled up");
    };
    assert!(text.contains("make room"), "{text}");
    drop((full, store));
    let store = open(&path);
    let lane = lane(&store).await;
    assert_eq!(lane.checkpoint().map_or(0, |at| at.next), n);
    assert_eq!(store.rows(Shop::STOCK).await.unwrap().len() as i64, n * 50, "whole batches only");
    lane.commit(&batch(&partition(), n, n + 1, vec![stock(n, -1, 12)])).await.unwrap();
}

/// A closed file of a few hundred pages.
async fn filled(path: &Path) {
    let store = open(path);
    let writes = (0..2_000).map(|id| stock(id, id, 12)).collect();
    lane(&store).await.commit(&batch(&partition(), 0, 2_000, writes)).await.unwrap();
}

async fn use_it(path: &Path) -> Result<(), SinkError> {
    let store = Sqlite::open(path, 1, "shop", views())?;
    let lane = store.open(&partition()).await?;
    lane.scan(b"").await?;
    for view in views() {
        store.rows(view.name).await?;
    }
    let next = lane.checkpoint().map_or(0, |at| at.next);
    let writes = (0..2_000).map(|id| stock(next, id, 3)).collect();
    lane.commit(&batch(&partition(), next, next + 1, writes)).await?;
    Ok(())
}

#[tokio::test]
async fn garbage_and_cut_files_are_fatal_and_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let garbage: Vec<u8> = (0..whole.len()).map(|n| (n * 31 % 251) as u8).collect();
    for bytes in [&garbage[..], &whole[..whole.len() / 2], &whole[..4096], &whole[..100]] {
        for tail in ["x.db-wal", "x.db-shm"] {
            let _ = std::fs::remove_file(dir.path().join(tail));
        }
        std::fs::write(&path, bytes).unwrap();
        let text = fatal(use_it(&path).await);
        assert!(
            text.contains("x.db") && text.contains("damaged") && text.contains("move it away"),
            "{text}"
        );
    }
}

/// Flipped bytes: either nothing breaks, or the error is for an operator. Never a panic, never a wrong reaction.
#[tokio::test]
async fn flipped_bytes_never_panic_and_damage_is_fatal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    filled(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let mut noticed = 0;
    for seed in 1..=40_u64 {
        let path = dir.path().join(format!("{seed}.db"));
        let mut bytes = whole.clone();
        let mut at = seed;
        for _ in 0..24 {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let len = bytes.len() as u64;
            bytes[((at >> 20) % len) as usize] ^= 1 << (at >> 61);
        }
        std::fs::write(&path, bytes).unwrap();
        match use_it(&path).await {
            Ok(()) => {}
            Err(SinkError::Fatal(cause)) => {
                noticed += 1;
                assert!(
                    format!("{cause:#}").contains(&format!("{seed}.db")),
                    "seed {seed}: {cause:#}"
                );
            }
            Err(other) => panic!("seed {seed}: expected Fatal, got: {other}"),
        }
    }
    assert!(noticed > 5, "only {noticed} of 40 damaged files were noticed");
}

#[tokio::test]
#[ignore = "a measurement: cargo test -p sinks --test sqlite measure -- --ignored --nocapture"]
async fn measure() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("x.db"));
    let lane = lane(&store).await;
    let writes_max = 5_000;
    for round in 0..6_i64 {
        let start = round * writes_max;
        let row = |n: i64| {
            let id = (n * 7_919) % 20_000;
            let value = vec![7; 40];
            let write = if n % 2 == 0 {
                stock(start + n, id, 12)
            } else {
                write(start + n, Shop::STOCK, vec![id.into()], Op::Share(vec![round.into()]))
            };
            (write, (id.to_be_bytes().to_vec(), Some(value)))
        };
        let (writes, rows): (Vec<_>, Vec<_>) = (0..writes_max).map(row).unzip();
        let checkpoint = Checkpoint { next: start + writes_max, ..Checkpoint::default() };
        let batch = Batch::new(partition(), 'p', start, writes, rows, checkpoint, [].into());
        let begin = std::time::Instant::now();
        lane.commit(&batch).await.unwrap();
        let took = begin.elapsed();
        println!(
            "{writes_max} writes, as many rows: {took:?}, {:.0}/s",
            writes_max as f64 / took.as_secs_f64()
        );
    }
}

#[test]
fn services_that_start_together_make_the_file_once() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let path = dir.path().join(format!("{round}.db"));
        let start = Arc::new(std::sync::Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let (path, start) = (path.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    Sqlite::open(&path, 1, &format!("service {n}"), vec![]).map(drop)
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    }
}

/// As versions before canonical texts left the file.
#[tokio::test]
async fn a_files_earlier_texts_are_accepted_once_and_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.db");
    drop(open(&path));
    let conn = rusqlite::Connection::open(&path).unwrap();
    let shapes = || -> Vec<String> {
        let mut select = conn.prepare("SELECT shape FROM cdc_state_views ORDER BY id").unwrap();
        select.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let (canonical, first) = (shapes(), views()[0].name);
    assert!(canonical[0].starts_with("stock; stock_mode=derived; low_stock_threshold=10; key="));
    let earlier = |low_below: i64| {
        format!(
            "stock Derived, low below {low_below}; product_id Int -> name Text, price Decimal, base_stock Int, sold \
             Int, stock_quantity Int, low_stock Int"
        )
    };
    let was = |text: &str| {
        conn.execute("UPDATE cdc_state_views SET shape = ? WHERE name = ?", [text, first]).unwrap();
    };
    was(&earlier(10));
    drop(open(&path));
    assert_eq!(shapes(), canonical, "rewritten");
    drop(open(&path));
    let said = "low_stock_threshold: 5 became 10";
    for text in [earlier(5), canonical[0].replace("threshold=10", "threshold=5")] {
        was(&text);
        let told = fatal(Sqlite::open(&path, 1, "shop", views()));
        assert!(
            told.contains(&format!("other columns or settings ({said}): set them back")),
            "{told}"
        );
        assert_eq!(shapes()[0], text, "left as it was");
    }
}
