//! `kill -9` in the middle of a random history of an issue tracker, again and again, then a quiet end: every row of every
//! view of `examples/plan.rs`, keyed by a text and a uuid, is what SQL says of the tables as they are then.
//!
//! On SQLite always; on DynamoDB when `TEST_DYNAMODB_ENDPOINT` is set. `PLAN_SEED` tells an earlier story again; the moments
//! of the kills are others each time.
#[cfg(feature = "aws")]
mod dynamodb;
#[allow(dead_code)] // Its `main`.
#[path = "../../examples/plan.rs"]
mod plan;
#[path = "../simulation/rng.rs"]
mod rng;
mod source;

use rng::Rng;
use rusqlite::{Connection, types::Value};
use source::Source;
use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Far more than any of it takes.
const PATIENCE: Duration = Duration::from_secs(300);
const KILLS: usize = 10;
const KILLS_MIN: usize = 8;
/// How many records a batch of the example has, at most.
const BATCH: usize = 20;
/// How many batches may become durable that a killed process had no time to tell of: one a partition.
const UNTOLD: usize = 6;
/// What the example says when it begins, and for each batch.
const MOVED: [&str; 2] = ["goes on with", "durable up to"];

/// What each view shows, in SQL over the source's tables.
const VIEWS: [(&str, &str); 5] = [
    (
        "tickets_now",
        "select t.project, t.id, t.title, t.status, t.assignee, count(c.id) as comments, \
           coalesce(sum(c.likes), 0) as likes \
         from tickets t left join comments c on c.project = t.project and c.ticket = t.id \
         where t.title is not null group by t.project, t.id",
    ),
    (
        "tickets_by_status",
        "select project, status, count(*) as tickets, coalesce(sum(points), 0) as points, max(opened) as newest \
         from tickets where status is not null group by project, status",
    ),
    ("ticket_cards", "select project, id, title, status, assignee from tickets"),
    (
        "ticket_votes",
        "select project, id, title, points, likes, points - likes as ahead, \
           case when points - likes < 0 then 1 end as wanted \
         from (select t.*, coalesce(sum(c.likes), 0) as likes \
           from tickets t left join comments c on c.project = t.project and c.ticket = t.id group by t.project, t.id) \
         where points is not null",
    ),
    (
        "projects",
        "select project, count(*) as tickets, count(distinct assignee) as assignees, \
           (select json_group_array(json_object('id', id, 'title', title, 'points', points)) \
            from (select id, title, points from tickets t where t.project = p.project \
              order by points desc nulls first, id limit 3)) as biggest \
         from tickets p group by project",
    ),
];

/// One history, and where the example keeps what it makes of it.
struct Story {
    rng: Rng,
    source: Source,
    folder: tempfile::TempDir,
    sink: String,
}
impl Story {
    fn new(records: usize, sink: String) -> Self {
        let seed = std::env::var("PLAN_SEED").ok().and_then(|text| text.parse().ok());
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let seed = seed.unwrap_or(u64::from(since.subsec_nanos()));
        println!("{sink}: PLAN_SEED={seed}");
        let source = Source::after(records, seed);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("changes.ndjson"), source.lines.join("\n"))
            .expect("written");
        Self { rng: Rng(!seed), source, folder, sink }
    }
    fn inside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The example as a process of its own: this test's binary has it.
    fn start(&self) -> Child {
        Command::new(std::env::current_exe().expect("this binary"))
            .args(["the_example", "--exact", "--ignored", "--nocapture"])
            .env("PLAN_FOLDER", self.folder.path())
            .env("PLAN_SINK", &self.sink)
            .envs(aws())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts")
    }

    /// SIGKILL as soon as it has told so many times that it moved on; whether it was killed before its end.
    fn killed_after(&self, moves: usize) -> bool {
        let mut child = self.start();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let told = lines.by_ref().map_while(Result::ok).filter(|line| is_move(line));
        told.take(moves).for_each(drop); // the pipe stays open
        child.kill().expect("killed, or ended");
        let status = child.wait().expect("gone");
        let killed = status.signal() == Some(9);
        assert!(killed || status.success(), "{status}: see above");
        killed
    }

    /// To its end; how many batches became durable.
    fn finish(&self) -> usize {
        let output = self.start().wait_with_output().expect("an end");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        text.lines().filter(|line| line.contains(MOVED[1])).count()
    }

    /// Kills it over and over, then lets it finish; nothing became a dead letter.
    fn kill_again_and_again(&mut self) {
        let mut left = self.source.lines.len() / BATCH;
        let mut kills = 0;
        for kill in 0..KILLS {
            // Each kill leaves something to do for those after it.
            let moves = 1 + self.rng.pick(1.max(2 * left / (KILLS - kill + 2)));
            kills += usize::from(self.killed_after(moves));
            left = left.saturating_sub(moves + UNTOLD);
        }
        let batches = self.finish();
        println!("{}: {kills} times kill -9, then {batches} batches to the end", self.sink);
        assert!(kills >= KILLS_MIN, "not more kills than that before it was done");
        let letters = files(&self.inside("letters"));
        let first = letters.first().map(|file| std::fs::read_to_string(file).unwrap_or_default());
        assert_eq!(first, None, "{} dead letters", letters.len());
    }
}

/// All below this folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().map_while(Result::ok);
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| below(entry.path())).collect()
}

fn is_move(line: &str) -> bool {
    MOVED.iter().any(|said| line.contains(said))
}

/// Two queries have the same rows, and have some: what one has and the other has not is told.
fn assert_same(db: &Connection, view: &str, wanted: &str, found: &str) {
    let count = |sql: &str| rows(db, &format!("select count(*) from ({sql})"))[0][0].clone();
    for (what, one, other) in [("missing", wanted, found), ("wrong", found, wanted)] {
        let differences =
            rows(db, &format!("select * from ({one}) except select * from ({other})"));
        let some = &differences[..differences.len().min(5)];
        assert!(some.is_empty(), "{view}: {} rows are {what}: {some:#?}", differences.len());
    }
    assert_eq!(count(wanted), count(found), "{view}: a row that is there twice");
    assert_ne!(count(wanted), Value::Integer(0), "{view}: nothing was compared");
    println!("{view}: {:?} rows as SQL says", count(wanted));
}

fn rows(db: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut select = db.prepare(sql).expect(sql);
    let width = select.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..width).map(|at| row.get(at)).collect();
    select.query_map([], row).and_then(Iterator::collect).expect(sql)
}

fn columns_of(db: &Connection, sql: &str) -> Vec<String> {
    let select = db.prepare(sql).expect(sql);
    select.column_names().into_iter().map(str::to_owned).collect()
}

/// Everything in the file, but who had a partition when.
fn everything(file: &Path) -> Vec<String> {
    let db = Connection::open(file).expect("the file");
    let tables = rows(&db, "select name from sqlite_master where type = 'table'");
    let all = |name: &[Value]| {
        let Value::Text(name) = &name[0] else { panic!("a table without name") };
        let columns = if name == "cdc_state_lanes" { "topic, partition, next" } else { "*" };
        let rows = rows(&db, &format!("select {columns} from {name}"));
        rows.iter().map(|row| format!("{name}: {row:?}")).collect::<Vec<_>>()
    };
    let mut everything: Vec<String> = tables.iter().flat_map(|name| all(name)).collect();
    everything.sort();
    everything
}

#[test]
fn on_sqlite() {
    let mut story = Story::new(6_000, "sqlite".into());
    story.kill_again_and_again();
    let (db, file) = (story.source.in_sql().expect("the source"), story.inside("views.db"));
    db.execute("attach ? as kept", [file.to_str()]).expect("the views");
    for (view, sql) in VIEWS {
        let columns = columns_of(&db, sql).join(", ");
        assert_same(&db, view, sql, &format!("select {columns} from kept.{view}"));
    }
    let before = everything(&file);
    assert_eq!(story.finish(), 0, "nothing is left to do");
    assert_eq!(everything(&file), before);
}

/// Not by itself: what the other tests start and kill.
#[test]
#[ignore = "the others start it"]
fn the_example() {
    let set = |name| std::env::var(name).ok();
    let Some((folder, sink)) = set("PLAN_FOLDER").zip(set("PLAN_SINK")) else { return };
    // One that hangs is no reason for the others to wait for ever: this thread ends with the process.
    std::thread::spawn(|| {
        std::thread::sleep(PATIENCE);
        eprintln!("the example never got to its end");
        std::process::exit(1);
    });
    let file = format!("{folder}/changes.ndjson");
    plan::run(&file, folder.as_ref(), &sink).expect("applied");
}

#[test]
fn the_changes_that_come_with_the_example_are_all_applied() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/plan.ndjson");
    plan::run(file, folder.path(), "sqlite").expect("applied");
    let db = Connection::open(folder.path().join("views.db")).expect("the views");
    let found = rows(&db, "select title, status, comments, likes from tickets_now order by id");
    let row = |title: &str, status: &str, likes: i64| {
        vec![Value::Text(title.into()), Value::Text(status.into()), 1.into(), likes.into()]
    };
    let want = [row("The page is slow", "done", 2), row("The page is blank", "open", 5)];
    assert_eq!(found, want);
}

/// What the example reaches the emulator by; nothing without one.
fn aws() -> Vec<(&'static str, String)> {
    let Ok(endpoint) = std::env::var("TEST_DYNAMODB_ENDPOINT") else { return vec![] };
    let anyone = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let anyone = anyone.map(|(name, value)| (name, value.to_owned()));
    anyone.into_iter().chain([("AWS_ENDPOINT_URL_DYNAMODB", endpoint)]).collect()
}
