//! How fast records are read: `cargo run --release -p debezium --example decode_rate [MILLIONS]`.
//! Shop tables of the recordings, each record decoded and a handler's columns read and converted.
//!
//! `decode_rate ROUNDS FOLDER [TOPIC]` measures nothing itself: it reads the folder's records (of topics that end so)
//! as a service does, so many times, for what counts instructions. Two counts of different ROUNDS, subtracted, leave
//! out what the start costs:
//!
//! `valgrind --tool=callgrind target/release/examples/decode_rate 20 json-schemaless .orders`
#[path = "../tests/recording/mod.rs"]
mod recording;

use debezium::{Change, Decoder, Envelope, Field, FieldError, Formats, Limits, Row};
use recording::{FORMATS, Record};
use std::{hint::black_box, time::Instant};

/// Rounds over the recorded records between two looks at the clock. The best batch is what the code costs; the
/// average also has whatever else the machine was doing.
const BATCH: usize = 50;

/// ns that this process was on a CPU; the wall clock's where the system does not say.
fn cpu_ns(start: Instant) -> u128 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok();
    let on_cpu = stat.and_then(|s| s.split(' ').next()?.parse().ok());
    on_cpu.unwrap_or_else(|| start.elapsed().as_nanos())
}

fn read(change: &Change, row: &Row) -> Result<(), FieldError> {
    match change.source.table.as_ref() {
        "products" => {
            let [id, name, price] = row.fields(["id", "name", "price"])?;
            black_box((id.int()?, name.text()?, price.nullable(Field::decimal)?));
        }
        "orders" => {
            let [id, status, total, at] = row.fields(["id", "status", "total", "created_at"])?;
            black_box((id.int()?, status.text()?, total.decimal()?, at.time_us()?));
        }
        _ => {
            let names = ["id", "order_id", "product_id", "quantity", "unit_price"];
            let [id, order, product, quantity, price] = row.fields(names)?;
            black_box((id.int()?, order.int()?, product.int()?, quantity.int()?));
            black_box(price.decimal()?);
        }
    }
    Ok(())
}

fn run(folder: &str, topic: &str, full: bool, records_min: usize) {
    let shop = |r: &Record| r.value.is_some() && r.topic.ends_with(topic);
    let records: Vec<Record> = recording::folder(folder).into_iter().filter(shop).collect();
    let bytes: usize = records.iter().filter_map(|r| r.value.as_ref()).map(String::len).sum();
    let mut decoder = Decoder::new(Formats::parse(FORMATS).unwrap_or_default(), Limits::default());
    let (start, cpu_start) = (Instant::now(), cpu_ns(Instant::now()));
    let (mut done, mut failed, mut best_ns) = (0_usize, 0_usize, u128::MAX);
    while done < records_min {
        let batch = Instant::now();
        for _ in 0..BATCH {
            for record in &records {
                failed += usize::from(visit(&mut decoder, record, full).is_none());
            }
        }
        best_ns = best_ns.min(batch.elapsed().as_nanos() / (BATCH * records.len()) as u128);
        done += BATCH * records.len();
    }
    let cpu = cpu_ns(start) - cpu_start;
    println!(
        "{folder:<17} {topic:<13} {:<16} {:>5} bytes, ns/record: {best_ns:>5} in the best batch, {:>5} on average; \
         {:>7} records/s at best, {:.2} CPU-s/million; {failed} failed",
        if full { "decode + fields" } else { "decode" },
        bytes / records.len(),
        cpu / done as u128,
        1_000_000_000 / best_ns.max(1),
        cpu as f64 / done as f64 / 1e3,
    );
}

/// `None`: not understood.
fn visit(decoder: &mut Decoder, record: &Record, full: bool) -> Option<()> {
    let decoded = decoder.decode(&record.topic, record.key(), record.value()).ok()?;
    if let Envelope::Change(change) = &decoded
        && let Some(row) = &change.after
        && full
    {
        read(change, row).ok()?;
    }
    black_box(&decoded);
    Some(())
}

/// As a service reads a record: rows go by the topic's table, key and row are compared before a handler sees them.
fn serve(decoder: &mut Decoder, record: &Record) -> Option<()> {
    let table = record.topic.rsplit('.').next()?;
    let decoded = decoder.decode_of(&record.topic, table, record.key(), record.value()).ok()?;
    if let Envelope::Change(change) = &decoded
        && let Some(row) = &change.after
    {
        if let Some(key) = &change.key {
            let ([left], [right]) = (key.fields(["id"]).ok()?, row.fields(["id"]).ok()?);
            black_box(left.raw() == right.raw());
        }
        match table {
            "products" | "orders" | "order_items" => read(change, row).ok()?,
            _ => {
                for field in row.columns().ok()? {
                    black_box(field.kept(|f| f.nullable(Field::json)).ok()?);
                }
            }
        }
    }
    black_box(&decoded);
    Some(())
}

fn count(rounds: usize, folder: &str, topic: &str) {
    let mut records = recording::folder(folder);
    records.retain(|record| record.topic.ends_with(topic));
    let bytes: usize = records.iter().filter_map(|r| r.value.as_ref()).map(String::len).sum();
    let mut decoder = Decoder::new(Formats::parse(FORMATS).unwrap_or_default(), Limits::default());
    let mut failed = 0;
    for _ in 0..rounds {
        failed = records.iter().filter(|r| serve(&mut decoder, r).is_none()).count();
    }
    println!("{} records of {bytes} bytes, {rounds} times; {failed} failed", records.len());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [rounds, folder, topic @ ..] = words.as_slice() {
        let topic = topic.first().map_or("", String::as_str);
        return count(rounds.parse().unwrap_or(1), folder, topic);
    }
    let millions: f64 = words.first().and_then(|n| n.parse().ok()).unwrap_or(0.2);
    let records_min = (millions * 1e6) as usize;
    for folder in ["json-schemaless", "json-with-schema"] {
        for topic in [".products", ".orders", ".order_items"] {
            run(folder, topic, false, records_min);
            run(folder, topic, true, records_min);
        }
    }
}
