//! A handler of one's own, complete: customers per country. It runs on files here, through the same loop as the services:
//!
//!     cargo run -p consumers --example handler                    # some changes of its own
//!     cargo run -p consumers --example handler -- changes.ndjson  # yours, of a topic that ends with `.customers`
use consumers::{
    engine::Engine,
    handler::{Handler, Keys, Reject, Step, plus},
    policy::Policy,
    runtime::{self, Env, Monotonic},
    source::ndjson::Ndjson,
    source_table::{SourceTable, SourceType, of_topic},
};
use debezium::{Change, Decoder, Field};
use sinks::Decimal;
use sinks::{
    Cell, Column, Committer, Key, Merge, Type, View,
    dlq::ObjectDlq,
    objects::{Endpoint, Place},
    state::memory::Memory,
};
use std::sync::{Arc, atomic::AtomicBool};

struct Countries;
/// A customer, and the country they count in now: none if deleted, or null.
type Fact = (i64, Option<String>);

impl Handler for Countries {
    type Fact = Fact;
    fn tables(&self) -> Vec<SourceTable> {
        let customers = SourceTable::new("customers", 'c');
        vec![customers.key("id", SourceType::Int).column("country", SourceType::Text)]
    }
    fn views(&self) -> Vec<View> {
        let key = const { &[Column::new("country", Type::Text)] };
        let columns = const { &[Column::new("customers", Type::Decimal)] };
        vec![View::totals("customers_by_country", key, &[Merge::Sum], columns)]
    }
    fn fingerprint(&self) -> String {
        "countries rules 1".into()
    }
    fn read(&self, change: &Change<'_>) -> Result<Option<Fact>, Reject> {
        let key = change.key.as_ref().ok_or(Reject("customers.id: no record key".into()))?;
        let [id] = key.fields(["id"])?;
        let Some(row) = &change.after else { return Ok(Some((id.int()?, None))) };
        let [country] = row.fields(["country"])?;
        Ok(Some((id.int()?, country.nullable(Field::text)?.map(String::from))))
    }
    fn needs(&self, (id, country): &Fact, keys: &mut Keys) {
        keys.row(format!("c/{id}"));
        country.iter().for_each(|to| keys.share("customers_by_country", &[to.as_str().into()]));
    }
    fn follow(&self, key: &[u8], row: &[u8], keys: &mut Keys) {
        if let (true, Ok(from)) = (key.starts_with(b"c/"), serde_json::from_slice::<String>(row)) {
            keys.share("customers_by_country", &[from.into()]); // counted there until now
        }
    }
    fn apply(&self, (id, to): Fact, step: &mut Step<'_>) {
        let at = format!("c/{id}");
        let from: Option<String> = step.row(at.as_bytes());
        if from == to {
            return;
        }
        for (country, more) in [(from, -1), (to.clone(), 1)] {
            let Some(key) = country.map(|country| vec![Cell::from(country)]) else { continue };
            let share = step.share("customers_by_country", &key);
            let count = plus(share.first(), &Decimal::from(more));
            let share = if count.is_zero() { vec![] } else { vec![count] };
            step.set_share("customers_by_country", key, share);
        }
        if let Some(to) = to { step.keep(at, &to) } else { step.drop_row(at) }
    }
    fn truncated(&self, table: &str) -> Option<Key> {
        (table == "customers").then(|| b"c/".to_vec())
    }
    fn gone(&self, key: &[u8]) -> Option<Fact> {
        Some((std::str::from_utf8(key.strip_prefix(b"c/")?).ok()?.parse().ok()?, None))
    }
}

/// Reads the file to its end and returns how many customers each country has. Records that cannot be processed are in the
/// folder `letters` afterwards.
fn count(file: &str, letters: &str) -> anyhow::Result<Vec<(String, String)>> {
    let io = tokio::runtime::Runtime::new()?;
    let place: Place = format!("dir:{letters}").parse().map_err(anyhow::Error::msg)?;
    let letters = io.block_on(place.open(&Endpoint::default()))?;
    // Views and positions are gone at the end; `Sqlite` would keep them in a file.
    let state = Memory::new(Countries.views());
    let committer = Committer {
        dlq: Arc::new(ObjectDlq::new(letters, "countries", 1)),
        sink: None,
        state: Arc::new(state.clone()),
    };
    let tables = Countries.tables();
    let source = Ndjson::open(file, |topic| of_topic(&tables, topic).is_some())?;
    let engine = Engine::new(Countries, Decoder::default(), Policy::default());
    let env = Env {
        clock: &Monotonic::default(),
        io: io.handle().clone(),
        stop: &AtomicBool::new(false),
        grace_ms: 10_000,
        until_end: true,
    };
    runtime::run(source, engine, committer, &mut (), &env)?;
    let rows = state.rows("customers_by_country").into_iter();
    Ok(rows.map(|(key, row)| (sinks::key_text(&key), sinks::key_text(&row))).collect())
}

/// What Debezium sends when customers come, move and go.
fn changes() -> String {
    let changes = [
        (0, 1, "c", Some("FI")),
        (1, 2, "c", Some("FI")),
        (2, 3, "c", Some("SE")),
        (3, 2, "u", Some("NO")),
        (4, 3, "d", None),
        // Sent twice, as Kafka may do: it asks for nothing.
        (5, 2, "u", Some("NO")),
    ];
    let line = |(offset, id, op, country): (i64, i64, &str, Option<&str>)| {
        let row = country.map(|country| serde_json::json!({"id": id, "country": country}));
        let source = serde_json::json!({"connector": "postgresql", "name": "shop", "ts_ms": 1,
            "snapshot": "false", "db": "shop", "schema": "public", "table": "customers"});
        let value = serde_json::json!({"before": null, "after": row, "source": source, "op": op, "ts_ms": 2});
        serde_json::json!({"topic": "shop.public.customers", "partition": 0, "offset": offset, "timestamp": 3,
            "key": format!("{{\"id\":{id}}}"), "value": value.to_string()})
        .to_string()
    };
    changes.map(line).join("\n")
}

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let file = std::env::args().nth(1).unwrap_or(inside("changes.ndjson"));
    if std::env::args().len() == 1 {
        std::fs::write(&file, changes())?;
    }
    for (country, customers) in count(&file, &inside("letters"))? {
        println!("{country} {customers}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_are_counted_where_they_are_now() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(inside("x.ndjson"), changes()).expect("written");
        let counted = count(&inside("x.ndjson"), &inside("letters")).expect("exact");
        assert_eq!(counted, [("FI".into(), "1".into()), ("NO".into(), "1".into())]);
    }
}
