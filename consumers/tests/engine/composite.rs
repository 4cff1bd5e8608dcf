//! A table whose primary key has two columns, a UUID and a text: rows that differ in one of them are two rows, and every
//! record finds its own.
use super::*;
use consumers::{engine::Exceptions, removal::CLEAN_TO, replay::LogCheck};
use debezium::{FieldError, Row};
use sinks::{Cell, Column, Letter, Op, Type};
use std::collections::{BTreeMap, HashMap};

const VIEW: &str = "things_by_key";
const TENANT: Column = Column::new("tenant", Type::Text);
const CODE: Column = Column::new("code", Type::Text);

/// Shows rows of `things` by their primary key of these columns.
struct Things(&'static [Column]);

#[derive(Clone)]
struct Thing {
    key: Vec<String>,
    n: Option<i64>,
}
impl Things {
    fn key_of(&self, row: &Row<'_>) -> Result<Vec<String>, FieldError> {
        let names: Vec<&str> = self.0.iter().map(|column| column.name).collect();
        row.values(&names)?.iter().map(|field| Ok(field.text()?.into_owned())).collect()
    }
}
impl Handler for Things {
    type Fact = Thing;
    fn tables(&self) -> Vec<SourceTable> {
        let table = SourceTable::new("things", 't').column("n", SourceType::Int);
        vec![self.0.iter().fold(table, |table, column| table.key(column.name, SourceType::Text))]
    }
    fn views(&self) -> Vec<View> {
        vec![View::rows(VIEW, self.0, const { &[Column::new("n", Type::Int)] })]
    }
    fn fingerprint(&self) -> String {
        "things 1".into()
    }
    fn read(&self, change: &Change<'_>) -> Result<Option<Thing>, Reject> {
        if change.op != debezium::Op::Delete {
            let after = change.after.as_ref().ok_or_else(|| Reject("no row".into()))?;
            let n = after.values(&["n"])?[0].int()?;
            return Ok(Some(Thing { key: self.key_of(after)?, n: Some(n) }));
        }
        let images = [&change.key, &change.before];
        let mut keys = images.into_iter().flatten().filter_map(|row| self.key_of(row).ok());
        let key = keys.next().ok_or_else(|| Reject("things: the delete names no row".into()))?;
        Ok(Some(Thing { key, n: None }))
    }
    fn needs(&self, _: &Thing, _: &mut Keys) {}
    fn apply(&self, Thing { key, n }: Thing, step: &mut Step<'_>) {
        let key = key.into_iter().map(Cell::from).collect();
        match n {
            Some(n) => step.put(VIEW, key, vec![n.into()]),
            None => step.delete(VIEW, key),
        }
    }
    fn truncated(&self, _: &str) -> Option<Key> {
        None
    }
    fn gone(&self, _: &[u8]) -> Option<Thing> {
        None
    }
}

const ONE: &str = "0190a5c8-7e1d-7cc3-98a1-5a0b6e1f2a3b";
const TWO: &str = "0190a5c8-7e1d-7cc3-98a1-5a0b6e1f2a3c";

/// A record's key, its value, and up to where a removal was judged.
#[derive(Clone)]
struct Sent {
    key: String,
    value: Option<String>,
    clean_to: Option<i64>,
}
fn key(tenant: &str, code: &str) -> String {
    format!(r#"{{"tenant":"{tenant}","code":"{code}"}}"#)
}
/// The same key, with its columns in the other order.
fn turned(tenant: &str, code: &str) -> String {
    format!(r#"{{"code":"{code}","tenant":"{tenant}"}}"#)
}
fn image(tenant: &str, code: &str, n: i64) -> String {
    format!(r#"{{"n":{n},"code":"{code}","tenant":"{tenant}"}}"#)
}
fn sent(key: &str, op: &str, before: &str, after: &str) -> Sent {
    let value = format!(
        r#"{{"before":{before},"after":{after},"source":{{"connector":"postgresql","name":"shop","ts_ms":5,"snapshot":"false","db":"shop","schema":"public","table":"things"}},"op":"{op}","ts_ms":6}}"#
    );
    Sent { key: key.to_owned(), value: Some(value), clean_to: None }
}
fn put(tenant: &str, code: &str, n: i64) -> Sent {
    sent(&key(tenant, code), "u", "null", &image(tenant, code, n))
}
fn tombstone(key: &str) -> Sent {
    Sent { key: key.to_owned(), value: None, clean_to: None }
}
fn of_table(table: &str, sent: Sent) -> Sent {
    let name = format!(r#""table":"{table}""#);
    Sent { value: sent.value.map(|value| value.replace(r#""table":"things""#, &name)), ..sent }
}

/// What became of records of offsets from 0 on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    rows: BTreeMap<Vec<String>, i64>,
    letters: Vec<(i64, String)>,
    warnings: Vec<String>,
    halted: String,
}
impl Seen {
    fn write(&mut self, batch: &Batch) {
        for write in &batch.writes {
            let key = write.key.iter().map(Cell::to_string).collect();
            match &write.op {
                Op::Put(row) => drop(self.rows.insert(key, row[0].int().expect("a number"))),
                _ => drop(self.rows.remove(&key)),
            }
        }
    }
    fn told(&mut self, letters: &[Letter]) {
        self.letters.extend(letters.iter().map(|letter| (letter.offset, letter.error.clone())));
    }
}

fn run(columns: &'static [Column], partitions: i32, log: &[Sent]) -> Seen {
    run_trusting(columns, partitions, log, Exceptions::default())
}
fn run_trusting(
    columns: &'static [Column],
    partitions: i32,
    log: &[Sent],
    trust: Exceptions,
) -> Seen {
    let policy = Policy { doubt_ms: None, linger_ms: 0, ..Policy::default() };
    let mut engine = Engine::new(Things(columns), Decoder::default(), policy).trusting(trust);
    let mut seen = Seen::default();
    let (mut state, mut checkpoint): (HashMap<Key, Vec<u8>>, _) = (HashMap::new(), None);
    let (mut next, mut flowing) = (0, false);
    engine.handle(0, Event::Assigned(partition()));
    loop {
        while let Some(action) = engine.poll() {
            match action {
                Action::Open(ticket) => {
                    let bounds = bounds(0, log.len() as i64, partitions);
                    let checkpoint: Option<Checkpoint> = checkpoint.clone();
                    let opened = OpenedPartition { checkpoint, bounds, start: None };
                    engine.handle(1, Event::Opened(ticket, Ok(opened)));
                }
                Action::Fetch(ticket, keys) => {
                    let found = keys.iter().map(|key| state.get(key).cloned()).collect();
                    engine.handle(1, Event::Fetched(ticket, Ok(found)));
                }
                Action::CheckLog(ticket, check) => {
                    engine.handle(1, Event::LogChecked(ticket, Ok(judged(log, &check))));
                }
                Action::Commit(ticket, batch, letters) => {
                    seen.write(&batch);
                    seen.told(&letters);
                    for (key, row) in batch.rows.clone() {
                        match row {
                            Some(row) => drop(state.insert(key, row)),
                            None => drop(state.remove(&key)),
                        }
                    }
                    checkpoint = Some(batch.checkpoint.clone());
                    engine.handle(1, Event::Committed(ticket, Ok(Receipt::default())));
                }
                Action::Seek(_, to) => next = usize::try_from(to).expect("an offset"),
                Action::Resume(_) => flowing = true,
                Action::Pause(_) => flowing = false,
                Action::Warn(text) if !text.starts_with("dead letter ") => seen.warnings.push(text),
                Action::Halt(why) => seen.halted = why,
                _ => {}
            }
        }
        if !flowing || next >= log.len() {
            return seen;
        }
        next += 1;
        shown(log, next - 1, |record| engine.handle(1, Event::Record(*record)));
        engine.handle(1, Event::Drain);
    }
}
fn shown<T>(log: &[Sent], offset: usize, with: impl FnOnce(&Record<'_>) -> T) -> T {
    let Sent { key, value, clean_to } = &log[offset];
    let header = |to: &i64| (CLEAN_TO.to_owned(), Some(to.to_string().into_bytes()));
    let headers: Vec<(String, Option<Vec<u8>>)> = clean_to.iter().map(header).collect();
    with(&Record {
        partition: &partition(),
        offset: offset as i64,
        timestamp_ms: 1_000,
        key: Some(key.as_bytes()),
        value: value.as_deref().map(str::as_bytes),
        headers: Headers(&headers),
    })
}
fn judged(log: &[Sent], check: &LogCheck) -> consumers::replay::Verdict {
    let mut checker = check.checker(&partition().topic);
    for offset in check.from..check.to {
        shown(log, offset as usize, |record| checker.see(record));
    }
    check.verdict(&checker)
}

const BOTH: &[Column] = &[TENANT, CODE];
/// What is left, and nothing else was to be said.
#[track_caller]
fn leaves(log: &[Sent], rows: &[(&str, &str, i64)]) {
    let row = |(tenant, code, n): &(&str, &str, i64)| {
        (vec![(*tenant).to_owned(), (*code).to_owned()], *n)
    };
    let rows = rows.iter().map(row).collect();
    assert_eq!(run(BOTH, 1, log), Seen { rows, ..Seen::default() });
}

#[test]
fn rows_that_differ_in_one_column_of_the_key_are_two_rows() {
    leaves(
        &[put(ONE, "a", 1), put(TWO, "a", 2), put(ONE, "b", 3), put(ONE, "a", 4)],
        &[(ONE, "a", 4), (ONE, "b", 3), (TWO, "a", 2)],
    );
    // Texts that would be one number, and one text if they were merely joined.
    leaves(
        &[
            put("1", "1", 1),
            put("1.0", "1", 2),
            put("01", "1", 3),
            put("1/", "1", 4),
            put("1", "/1", 5),
        ],
        &[("1", "1", 1), ("1.0", "1", 2), ("01", "1", 3), ("1/", "1", 4), ("1", "/1", 5)],
    );
}

#[test]
fn an_update_of_one_column_of_the_key_takes_the_old_row_away() {
    let renamed = |key: &str, from: (&str, &str), to: (&str, &str)| {
        sent(key, "u", &key_of(from), &image(to.0, to.1, 9))
    };
    fn key_of((tenant, code): (&str, &str)) -> String {
        key(tenant, code)
    }
    let others = [put(ONE, "b", 1), put(TWO, "a", 2)];
    for key in [key(ONE, "c"), turned(ONE, "c"), key(ONE, "a"), turned(ONE, "a")] {
        let update = renamed(&key, (ONE, "a"), (ONE, "c"));
        let log = [others[0].clone(), others[1].clone(), put(ONE, "a", 3), update];
        leaves(&log, &[(ONE, "b", 1), (ONE, "c", 9), (TWO, "a", 2)]);
    }
    // Another text, though the same number.
    let update = renamed(&key(ONE, "1.0"), (ONE, "1"), (ONE, "1.0"));
    leaves(&[put(ONE, "1", 3), update], &[(ONE, "1.0", 9)]);
    // The row that it had is in `before`, with its columns in whatever order: it is no other key.
    let same = sent(
        &key(ONE, "a"),
        "u",
        &image(ONE, "a", 3),
        &turned(ONE, "a").replace('}', r#","n":4}"#),
    );
    leaves(&[put(ONE, "a", 3), same], &[(ONE, "a", 4)]);
}

#[test]
fn a_delete_and_a_tombstone_take_their_own_row_away() {
    let rows = [put(ONE, "a", 1), put(ONE, "b", 2), put(TWO, "a", 3)];
    let left = [(ONE, "b", 2), (TWO, "a", 3)];
    for key in [key(ONE, "a"), turned(ONE, "a")] {
        let delete = sent(&key, "d", &image(ONE, "a", 1), "null");
        for last in [vec![tombstone(&key)], vec![delete.clone()], vec![delete, tombstone(&key)]] {
            leaves(&[&rows[..], &last].concat(), &left);
        }
    }
}

#[test]
fn a_key_with_its_columns_in_another_order_is_the_same_row() {
    let again = sent(&turned(ONE, "a"), "u", "null", &image(ONE, "a", 2));
    leaves(&[put(ONE, "a", 1), again, put(ONE, "b", 3)], &[(ONE, "a", 2), (ONE, "b", 3)]);
}

/// As with a key of one column: rows say their own key, and what names no row is a letter.
#[test]
fn a_key_that_lacks_a_column_goes_the_same_way_for_any_number_of_columns() {
    const ONLY: &[Column] = &[CODE];
    let of_tenant = format!(r#"{{"tenant":"{ONE}"}}"#);
    let cases: [(&'static [Column], &str, Vec<String>); 2] =
        [(ONLY, "{}", vec!["a".into()]), (BOTH, &of_tenant, vec![ONE.into(), "a".into()])];
    for (columns, key, row) in cases {
        let before = image(ONE, "a", 1);
        let made = sent(key, "c", "null", &before);
        let made = run(columns, 1, std::slice::from_ref(&made));
        let rows = BTreeMap::from([(row, 1)]);
        assert_eq!(made, Seen { rows: rows.clone(), ..Seen::default() });
        let delete = |before: &str| sent(key, "d", before, "null");
        let log = [sent(key, "c", "null", &before), delete(&before)];
        assert_eq!(run(columns, 1, &log), Seen::default(), "it is in `before`");
        for nameless in [delete("null"), tombstone(key)] {
            let found = run(columns, 1, &[sent(key, "c", "null", &before), nameless]);
            let [(1, why)] = &found.letters[..] else { panic!("one letter: {found:?}") };
            assert!(why.ends_with("things: the delete names no row"), "{why}");
            assert_eq!((&found.rows, found.halted.as_str()), (&rows, ""));
        }
    }
}

#[test]
fn what_halts_and_what_is_dead_names_all_columns_of_the_key() {
    let wider = format!(r#"{{"tenant":"{ONE}","code":"a","shop":7}}"#);
    let text = format!("Struct{{tenant={ONE},code=a,shop=7}}");
    for key in [&wider, &text] {
        let found = run(BOTH, 1, &[put(ONE, "b", 1), sent(key, "c", "null", &image(ONE, "a", 1))]);
        assert_eq!(found.rows.len(), 1, "what came before stands");
        for words in
            ["offset 1", "`shop`", "told apart by tenant, code alone", "KEY_COLUMNS=things.shop"]
        {
            assert!(found.halted.contains(words), "{words}: {}", found.halted);
        }
    }
    let moved = sent(&key(ONE, "b"), "u", &key(ONE, "a"), &image(ONE, "b", 1));
    let found = run(BOTH, 2, &[moved]);
    let why = "changes the primary key (tenant, code), and the topic has 2 partitions";
    assert!(found.halted.contains(why), "{}", found.halted);

    let crossed = sent(&key(ONE, "b"), "u", "null", &image(ONE, "a", 1));
    let found = run(BOTH, 1, &[crossed]);
    let [(0, why)] = &found.letters[..] else { panic!("one letter: {found:?}") };
    assert!(why.contains(" things (tenant, code): the record's key and its row"), "{why}");

    let unread = sent("Struct{tenant=", "c", "null", &image(ONE, "a", 1));
    let found = run(BOTH, 1, &[unread]);
    let [warning] = &found.warnings[..] else { panic!("one warning: {found:?}") };
    assert!(warning.contains("by their own columns tenant, code:"), "{warning}");
    for text in [&found.halted, why, warning] {
        assert!(!text.contains(ONE), "no value in {text}");
    }
}

/// A text of the row is not taken for names of columns, nor shown as one.
#[test]
fn a_text_in_a_key_of_string_converter_may_look_like_another_column() {
    for (tenant, code) in [(ONE, "a,shop=7"), ("a,b=c", "d=e,f"), ("a,tenant=b", "a"), ("", "=,")] {
        let text = format!("Struct{{tenant={tenant},code={code}}}");
        for op in ["c", "d"] {
            let image = image(tenant, code, 1);
            let (before, after) = if op == "c" { ("null", &*image) } else { (&*image, "null") };
            let found = run(BOTH, 1, &[sent(&text, op, before, after)]);
            let rows = usize::from(op == "c");
            assert_eq!((found.rows.len(), found.halted.as_str()), (rows, ""), "{text}");
            assert!(found.letters.is_empty(), "{found:?}");
        }
        let wider = format!("Struct{{tenant={tenant},code={code},shop=7}}");
        let found = run(BOTH, 1, &[sent(&wider, "c", "null", &image(tenant, code, 1))]);
        assert!(found.halted.contains("the column `shop`"), "{wider}: {}", found.halted);
    }
}

/// A column that the operator vouches for is no part of the key.
#[test]
fn a_column_beside_the_key_tells_no_rows_apart() {
    let wider = |shop: i64| format!(r#"{{"shop":{shop},"tenant":"{ONE}","code":"a"}}"#);
    let trust =
        Exceptions { key_columns: vec![("things".into(), "shop".into())], ..Exceptions::default() };
    let log = [
        sent(&wider(1), "c", "null", &image(ONE, "a", 1)),
        sent(&wider(2), "u", "null", &image(ONE, "a", 2)),
        put(ONE, "b", 3),
        tombstone(&wider(3)),
    ];
    let seen = run_trusting(BOTH, 1, &log, trust);
    let rows = BTreeMap::from([(vec![ONE.to_owned(), "b".to_owned()], 3)]);
    assert_eq!(seen, Seen { rows, ..Seen::default() });
}

#[test]
fn which_partition_of_the_table_a_row_is_from_is_kept_by_its_whole_key() {
    let at = |part: &str, sent: Sent| of_table(part, sent);
    let one = at("things_1", put(ONE, "a", 1));
    leaves(
        &[one.clone(), at("things_2", put(ONE, "b", 2)), at("things_2", put(TWO, "a", 3))],
        &[(ONE, "a", 1), (ONE, "b", 2), (TWO, "a", 3)],
    );
    let turned_key = sent(&turned(ONE, "a"), "c", "null", &image(ONE, "a", 4));
    let found = run(BOTH, 1, &[one.clone(), at("things_2", turned_key)]);
    assert!(found.halted.contains("both have a row with this key"), "{found:?}");
    // Gone from the one, it may be made in the other: also where the record's key lacks a column.
    let of_tenant = format!(r#"{{"tenant":"{ONE}"}}"#);
    for key in [key(ONE, "a"), of_tenant] {
        let gone = at("things_1", sent(&key, "d", &image(ONE, "a", 1), "null"));
        leaves(&[one.clone(), gone, at("things_2", put(ONE, "a", 2))], &[(ONE, "a", 2)]);
    }
}

/// A row that the source has not, looked for in the log by its whole key.
#[test]
fn a_removal_takes_its_own_row_away_unless_that_one_is_newer() {
    let removal = |key: String, clean_to| Sent { key, value: None, clean_to: Some(clean_to) };
    for key in [key(ONE, "a"), turned(ONE, "a")] {
        let of_others = [
            put(ONE, "a", 1),
            put(ONE, "b", 2),
            put(TWO, "a", 3),
            removal(key.clone(), 1),
            put(ONE, "b", 4),
        ];
        leaves(&of_others, &[(ONE, "b", 4), (TWO, "a", 3)]);
        let raced = [put(ONE, "a", 1), put(ONE, "b", 2), put(ONE, "a", 3), removal(key, 1)];
        let found = run(BOTH, 1, &raced);
        assert_eq!(found.rows.len(), 2);
        assert!(found.warnings.iter().any(|text| text.contains("at offset 2")), "{found:?}");
    }
}
