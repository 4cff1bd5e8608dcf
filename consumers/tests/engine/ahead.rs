//! While a batch is being committed, the rows of the next one are fetched; each answer counts for its own question only.
use super::*;

/// Keeps how often each row changed, under the row's id.
struct Counts;
impl Handler for Counts {
    type Fact = i64;
    fn tables(&self) -> Vec<SourceTable> {
        Idle.tables()
    }
    fn views(&self) -> Vec<View> {
        vec![]
    }
    fn fingerprint(&self) -> String {
        Idle.fingerprint()
    }
    fn read(&self, change: &Change<'_>) -> Result<Option<i64>, Reject> {
        let row = change.after.as_ref().ok_or_else(|| Reject("no row".into()))?;
        let [id] = row.fields(["id"])?;
        Ok(Some(id.int()?))
    }
    fn needs(&self, id: &i64, keys: &mut Keys) {
        keys.row(id.to_string());
    }
    fn apply(&self, id: i64, step: &mut Step<'_>) {
        let key = id.to_string().into_bytes();
        let times: i64 = step.row(&key).unwrap_or(0);
        step.keep(key, &(times + 1));
    }
    fn truncated(&self, _: &str) -> Option<Key> {
        None
    }
    fn gone(&self, _: &[u8]) -> Option<i64> {
        None
    }
}

/// A lane whose batches have one record each, and what it asked for.
struct Bench(Engine<Counts>);
impl Bench {
    fn new() -> Self {
        let policy = Policy { batch_records_max: 1, ..Policy::default() };
        let mut engine = Engine::new(Counts, Decoder::default(), policy);
        engine.handle(0, Event::Assigned(partition()));
        let open = std::iter::from_fn(|| engine.poll()).find_map(|action| match action {
            Action::Open(ticket) => Some(ticket),
            _ => None,
        });
        let opened =
            OpenedPartition { checkpoint: Some(stored(0)), bounds: bounds(0, 9, 1), start: None };
        engine.handle(0, Event::Opened(open.expect("asks for the state"), Ok(opened)));
        while engine.poll().is_some() {}
        Self(engine)
    }
    /// A change of the row with this id.
    fn feed(&mut self, offset: i64, id: i64) {
        let key = format!(r#"{{"id":{id}}}"#);
        let value = row("c").replace(r#""id":1}"#, &format!(r#""id":{id}}}"#));
        let record = Record {
            partition: &partition(),
            offset,
            timestamp_ms: 1_000 + offset,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            headers: Headers(&()),
        };
        self.0.handle(1, Event::Record(record));
    }
    /// The questions since the last call: `fetch` with its keys, or `commit` with the rows that change.
    fn asked(&mut self) -> Vec<(Ticket, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = |action| match action {
            Action::Fetch(ticket, keys) => {
                let keys: Vec<String> = keys.iter().map(|key| text(key)).collect();
                Some((ticket, format!("fetch {}", keys.join(" "))))
            }
            Action::Commit(ticket, batch, _) => {
                let row = |(key, row): &(Key, Option<Vec<u8>>)| {
                    format!("{}={}", text(key), text(row.as_deref().unwrap_or_default()))
                };
                let rows: Vec<String> = batch.rows.iter().map(row).collect();
                Some((ticket, format!("commit {}", rows.join(" "))))
            }
            _ => None,
        };
        std::iter::from_fn(|| self.0.poll()).filter_map(told).collect()
    }
    /// The only question since the last call.
    fn one(&mut self, wanted: &str) -> Ticket {
        let asked = self.asked();
        let [(ticket, what)] = &asked[..] else { panic!("{asked:?}, not {wanted}") };
        assert_eq!(what, wanted);
        ticket.clone()
    }
    fn fetched(&mut self, ticket: &Ticket, row: Option<&str>) {
        let row = row.map(|row| row.as_bytes().to_vec());
        self.0.handle(2, Event::Fetched(ticket.clone(), Ok(vec![row])));
    }
    fn committed(&mut self, ticket: Ticket) {
        self.0.handle(2, Event::Committed(ticket, Ok(Receipt::default())));
    }
    /// Row 1 is being committed, row 2 is asked for.
    fn begun() -> (Self, Ticket, Ticket) {
        let mut bench = Self::new();
        bench.feed(0, 1);
        let fetch = bench.one("fetch 1");
        bench.fetched(&fetch, Some("5"));
        let commit = bench.one("commit 1=6");
        bench.feed(1, 2);
        let ahead = bench.one("fetch 2");
        (bench, commit, ahead)
    }
}

#[test]
fn rows_that_came_while_a_batch_was_committed_are_not_fetched_again() {
    let (mut bench, commit, ahead) = Bench::begun();
    bench.fetched(&ahead, Some("7"));
    assert!(bench.asked().is_empty(), "one batch at a time");
    bench.committed(commit);
    bench.one("commit 2=8");
}

#[test]
fn the_next_batch_waits_for_what_was_asked_before_its_turn() {
    let (mut bench, commit, ahead) = Bench::begun();
    bench.committed(commit);
    assert!(bench.asked().is_empty(), "it is asked for already");
    bench.fetched(&ahead, Some("7"));
    bench.one("commit 2=8");
    bench.fetched(&ahead, Some("9"));
    assert!(bench.asked().is_empty(), "a second answer");
}

#[test]
fn no_row_is_fetched_that_the_batch_in_flight_changes() {
    let mut bench = Bench::new();
    bench.feed(0, 1);
    let fetch = bench.one("fetch 1");
    bench.fetched(&fetch, Some("5"));
    let commit = bench.one("commit 1=6");
    bench.feed(1, 1);
    assert!(bench.asked().is_empty(), "it is in hand");
    bench.committed(commit);
    bench.one("commit 1=7");
}

#[test]
fn what_could_not_be_fetched_ahead_is_asked_for_in_its_turn() {
    let (mut bench, commit, ahead) = Bench::begun();
    let lost = || SinkError::transient(anyhow::anyhow!("connection reset"));
    bench.0.handle(2, Event::Fetched(ahead.clone(), Err(lost())));
    assert!(bench.asked().is_empty(), "its turn has not come");
    bench.committed(commit);
    let fetch = bench.one("fetch 2");
    bench.fetched(&ahead, Some("9"));
    assert!(bench.asked().is_empty(), "an answer to another question");
    bench.fetched(&fetch, Some("7"));
    bench.one("commit 2=8");
}

#[test]
fn an_answer_that_a_stop_has_outlived_changes_nothing() {
    let (mut bench, commit, ahead) = Bench::begun();
    bench.0.handle(2, Event::Stop);
    bench.committed(commit);
    bench.fetched(&ahead, Some("7"));
    assert!(bench.asked().is_empty());
    assert!(bench.0.is_idle(true));
    assert_eq!(bench.0.positions().next().map(|(_, next)| next), Some(1));
}
