//! The issue tracker's database and what Debezium makes of its changes: records with JSON keys, each where Kafka's
//! partitioner puts its key.
use crate::rng::Rng;
use consumers::engine::placement::home;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PARTITIONS: i32 = 3;
const TICKETS: usize = 0;
const COMMENTS: usize = 1;
/// What Debezium sends in the place of a long text that an update left alone.
const NOT_SENT: &str = "__debezium_unavailable_value";
/// Keys of DynamoDB are not empty; otherwise a text may be anything.
const PROJECTS: [&str; 4] = ["web", "web/app", "dépôt \"b\"", "a\\/"];
const TITLES: [&str; 4] = ["The page is slow", "The page is blank", "", "Übergröße/☂"];
const STATUSES: [&str; 3] = ["open", "in review", "done"];

type Row = serde_json::Map<String, Value>;

struct Table {
    name: &'static str,
    key: &'static [&'static str],
    /// Those that are not sent when an update leaves them alone.
    long: &'static [&'static str],
}
const TABLES: [Table; 2] = [
    Table { name: "tickets", key: &["project", "id"], long: &["title", "status", "assignee"] },
    Table { name: "comments", key: &["id"], long: &[] },
];

pub struct Source {
    rng: Rng,
    /// The tables as they are, by what a record's key says.
    rows: [BTreeMap<String, Row>; 2],
    next: BTreeMap<(usize, i32), i64>,
    /// The file of all changes.
    pub lines: Vec<String>,
}
impl Source {
    /// After a history of so many records or a few more.
    pub fn after(records: usize, seed: u64) -> Self {
        let (rows, next, lines) = Default::default();
        let mut source = Self { rng: Rng(seed), rows, next, lines };
        while source.lines.len() < records {
            source.change();
        }
        source
    }

    /// Something happens to a row that may be there.
    fn change(&mut self) {
        let table = if self.rng.one_in(3) { TICKETS } else { COMMENTS };
        let new = self.draw(table);
        let Some(old) = self.rows[table].get(&key_of(table, &new)).cloned() else {
            return self.create(table, new);
        };
        match self.rng.below(10) {
            0 | 1 => self.delete(table, &old),
            2 => self.rename(table, &old),
            _ => self.update(table, &old, new),
        }
    }

    fn create(&mut self, table: usize, row: Row) {
        self.send(table, &key_of(table, &row), Some(("c", None, Some(&row))));
        self.rows[table].insert(key_of(table, &row), row);
    }

    /// Some columns become others. A comment may name another ticket then, or none.
    fn update(&mut self, table: usize, old: &Row, mut new: Row) {
        for (name, value) in &mut new {
            if self.rng.one_in(2) {
                *value = old[name].clone();
            }
        }
        let mut sent = new.clone();
        for name in TABLES[table].long {
            if new[*name] == old[*name] && new[*name].is_string() && self.rng.one_in(2) {
                sent[*name] = NOT_SENT.into();
            }
        }
        self.send(table, &key_of(table, &new), Some(("u", None, Some(&sent))));
        self.rows[table].insert(key_of(table, &new), new);
    }

    /// `before` has the key alone, as under REPLICA IDENTITY DEFAULT.
    fn delete(&mut self, table: usize, row: &Row) {
        let key = key_of(table, row);
        let mut before = row.clone();
        let others = before.iter_mut().filter(|(name, _)| !is_key(table, name));
        others.for_each(|(_, value)| *value = Value::Null);
        self.send(table, &key, Some(("d", Some(&before), None)));
        self.send(table, &key, None);
        self.rows[table].remove(&key);
    }

    /// Its primary key changes: Debezium writes that the old row is gone and a new one is there, often in another
    /// partition.
    fn rename(&mut self, table: usize, old: &Row) {
        let mut new = self.draw(table);
        let others = new.iter_mut().filter(|(name, _)| !is_key(table, name));
        others.for_each(|(name, value)| *value = old[name].clone());
        if !self.rows[table].contains_key(&key_of(table, &new)) {
            self.delete(table, old);
            self.create(table, new);
        }
    }

    /// A row with any key and any columns.
    fn draw(&mut self, table: usize) -> Row {
        let rng = &mut self.rng;
        let row = if table == TICKETS {
            json!({
                "project": one_of(rng, &PROJECTS), "id": uuid("6f0c1d34", rng.below(20)),
                "title": or_null(rng, |rng| one_of(rng, &TITLES)),
                "status": or_null(rng, |rng| one_of(rng, &STATUSES)),
                "assignee": or_null(rng, |rng| one_of(rng, &["ann", "bob"])),
                "points": number(rng), "opened": or_null(rng, time),
            })
        } else {
            json!({
                "id": uuid("b81e77c0", rng.below(300)), "project": or_null(rng, |rng| one_of(rng, &PROJECTS)),
                // Tickets that were never there have comments, too.
                "ticket": or_null(rng, |rng| uuid("6f0c1d34", rng.below(21))), "likes": number(rng),
            })
        };
        row.as_object().cloned().unwrap_or_default()
    }

    /// A record: an operation with the rows before and after, or a tombstone.
    fn send(
        &mut self,
        table: usize,
        key: &str,
        change: Option<(&str, Option<&Row>, Option<&Row>)>,
    ) {
        let partition = home(key.as_bytes(), PARTITIONS);
        let next = self.next.entry((table, partition)).or_default();
        let offset = *next;
        // Now and then an offset is no record, as after compaction.
        *next += 1 + i64::from(self.rng.one_in(10));
        let (name, at) = (TABLES[table].name, 1_767_323_045_000 + self.lines.len() as i64);
        let source = json!({"connector": "postgresql", "name": "tracker", "ts_ms": at, "snapshot": "false",
            "db": "tracker", "schema": "public", "table": name});
        let value = change.map(|(op, before, after)| {
            json!({"before": before, "after": after, "source": source, "op": op, "ts_ms": at})
                .to_string()
        });
        let line = json!({"topic": format!("tracker.public.{name}"), "partition": partition, "offset": offset,
            "timestamp": at, "key": key, "value": value});
        self.lines.push(line.to_string());
    }

    /// The tables as they are in the end, in a database that is asked for the views.
    pub fn in_sql(&self) -> rusqlite::Result<Connection> {
        let db = Connection::open_in_memory()?;
        db.execute_batch(
            "create table tickets (project text, id text, title text, status text, assignee text, points int, \
               opened text, primary key (project, id));
             create table comments (id text primary key, project text, ticket text, likes int);",
        )?;
        let rows = |table: usize| Value::from_iter(self.rows[table].values().cloned()).to_string();
        db.execute(
            "insert into tickets select value->>'project', value->>'id', value->>'title', value->>'status', \
               value->>'assignee', value->>'points', value->>'opened' from json_each(?)",
            [rows(TICKETS)],
        )?;
        db.execute(
            "insert into comments select value->>'id', value->>'project', value->>'ticket', value->>'likes' \
               from json_each(?)",
            [rows(COMMENTS)],
        )?;
        Ok(db)
    }
}

fn is_key(table: usize, name: &str) -> bool {
    TABLES[table].key.contains(&name)
}
fn key_of(table: usize, row: &Row) -> String {
    let columns = TABLES[table].key.iter().map(|name| ((*name).to_owned(), row[*name].clone()));
    Value::from_iter(columns).to_string()
}

fn or_null<T: Into<Value>>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Value {
    if rng.one_in(6) { Value::Null } else { value(rng).into() }
}
fn one_of(rng: &mut Rng, texts: &[&'static str]) -> &'static str {
    texts[rng.pick(texts.len())]
}
fn number(rng: &mut Rng) -> Value {
    or_null(rng, |rng| rng.below(12) as i64 - 3)
}
fn uuid(first: &str, number: u64) -> String {
    format!("{first}-{number:04x}-4000-8000-000000000000")
}
/// Never whole milliseconds: all are written with as many digits, and are ordered as their texts are.
fn time(rng: &mut Rng) -> String {
    let [day, hour, thousandths] = [28, 24, 1_000].map(|below| rng.below(below));
    format!("2026-02-{:02}T{hour:02}:59:07.{thousandths:03}001Z", day + 1)
}
