//! Letters as lines or as one JSON document, written as they come.
use super::letters::Item;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    List,
    /// What was, or would be, done with each.
    Deeds,
}

pub struct Table {
    json: bool,
    kind: Kind,
    rows: u64,
    counts: BTreeMap<String, u64>,
    out: io::Stdout,
}

impl Table {
    pub fn new(json: bool, kind: Kind) -> Self {
        let table = Self { json, kind, rows: 0, counts: BTreeMap::new(), out: io::stdout() };
        if json {
            table.write("{\"letters\":[");
        }
        table
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Nobody reads any more: no matter.
    fn write(&self, text: &str) {
        let _ = self.out.lock().write_all(text.as_bytes());
    }

    pub fn letter(&mut self, item: &Item) {
        let letter = &item.found.letter;
        let time = item.found.time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let state = item.state();
        if self.json {
            self.row(&summary(item));
        } else {
            if self.rows == 0 {
                self.write("STATE         WRITTEN               REASON     LETTER\n");
            }
            let place = format!(
                "topic {}, partition {}, offset {}: ",
                letter.partition.topic, letter.partition.index, letter.offset
            );
            let error = item.mark.as_ref().and_then(|mark| mark.error.as_ref());
            let error = error.unwrap_or(&letter.error);
            let error = error.strip_prefix(&place).unwrap_or(error);
            let reason = letter.reason.as_str();
            self.write(&format!("{state:<13} {time}  {reason:<10} {}\n    {error}\n", item.name));
        }
        self.rows += 1;
        self.count(&format!("{state} {} {}", item.found.service, letter.reason.as_str()));
    }

    pub fn deed(&mut self, deed: &str, item: &Item, why: &str, offset: Option<i64>) {
        if self.json {
            let mut row = summary(item);
            row["deed"] = json!(deed);
            row["why"] = json!(why);
            row["at"] = json!(offset);
            self.row(&row);
        } else {
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            self.write(&format!("{deed:<14} {}{why}\n", item.name));
        }
        self.rows += 1;
        self.count(deed);
    }

    fn row(&self, row: &Value) {
        let comma = if self.rows > 0 { "," } else { "" };
        self.write(&format!("{comma}\n{row}"));
    }
    fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// `more`: there are others than these.
    pub fn finish(&self, more: bool, odd: &[String]) {
        odd.iter().for_each(|text| eprintln!("passed over: {text}"));
        if self.json {
            let counts = json!(self.counts);
            self.write(&format!(
                "\n],\"count\":{},\"more\":{more},\"counts\":{counts}}}\n",
                self.rows
            ));
            return;
        }
        let plural = if self.rows == 1 { "letter" } else { "letters" };
        let more = if more { " and more" } else { "" };
        let gap = if self.kind == Kind::List && self.rows > 0 { "\n" } else { "" };
        self.write(&format!("{gap}{} {plural}{more}\n", self.rows));
        for (what, count) in &self.counts {
            self.write(&format!("  {count:>6} {what}\n"));
        }
    }
}

/// Everything but keys, values and the values of headers.
pub fn summary(item: &Item) -> Value {
    let letter = &item.found.letter;
    let size = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
    let header =
        |(name, value): &(String, Option<Vec<u8>>)| json!({"name": name, "bytes": size(value)});
    json!({
        "name": item.name,
        "address": item.address,
        "service": item.found.service,
        "generation": item.found.generation,
        "topic": &*letter.partition.topic,
        "partition": letter.partition.index,
        "offset": letter.offset,
        "timestamp_ms": letter.timestamp_ms,
        "written": item.found.time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "reason": letter.reason.as_str(),
        "error": letter.error,
        "key_bytes": size(&letter.key),
        "value_bytes": size(&letter.value),
        "headers": letter.headers.iter().map(header).collect::<Vec<_>>(),
        "state": item.state(),
        "mark": item.mark,
    })
}
