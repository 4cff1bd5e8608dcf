//! A process that answers as DynamoDB does ([`bench::stand_in`]), so that what its answers cost is not counted with those
//! who ask. `GET /counts`: what was asked, as JSON. `GET /items/TABLE`: every item, one a line.
use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt as _,
};
use bench::stand_in::{Attribute, Item, Store, Written};
use clap::Parser;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

#[derive(Parser)]
#[command(about = "Answers as DynamoDB does, from memory, until it is killed")]
struct Args {
    /// Where it listens.
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// A table that is there from the beginning, and the attributes of its key.
    #[arg(long, value_name = "NAME=HASH[,RANGE]")]
    table: Vec<String>,
    /// A file to which each write goes: when it took place, in microseconds since 1970, its key, and every partition's
    /// entry in the item.
    #[arg(long)]
    journal: Option<PathBuf>,
}

struct Served {
    store: Store,
    journal: Option<BufWriter<File>>,
}
type Shared = Arc<Mutex<Served>>;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut store = Store::default();
    for table in &args.table {
        let (name, key) = table.split_once('=').context("--table: give NAME=HASH[,RANGE]")?;
        store.make(name, &key.split(',').collect::<Vec<_>>());
    }
    let file = |path: &PathBuf| File::create(path).with_context(|| path.display().to_string());
    let journal = args.journal.as_ref().map(file).transpose()?.map(BufWriter::new);
    let served = Arc::new(Mutex::new(Served { store, journal }));
    let app = Router::new()
        .route("/", post(answer))
        .route("/counts", get(counts))
        .route("/items/{table}", get(items))
        .with_state(served);
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    io.block_on(async {
        let listener = tokio::net::TcpListener::bind(&args.listen).await;
        let listener = listener.with_context(|| args.listen.clone())?;
        // An answer is small, and must not wait for another one.
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        axum::serve(listener, app).await.context("the server")
    })
}

async fn answer(State(served): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    let operation = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default();
    let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
    let Served { store, journal } = &mut *served;
    let note = |written: Written<'_>| {
        if let Some(journal) = journal {
            note(journal, &written);
        }
    };
    let (status, body) = match store.answer(operation, &body, note) {
        Ok(body) => (StatusCode::OK, body),
        Err(refused) => (StatusCode::BAD_REQUEST, refused.body()),
    };
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (status, kind, body.to_string()).into_response()
}

/// A line of the journal. A disk that is full shows when the journal is read.
fn note(journal: &mut BufWriter<File>, written: &Written<'_>) {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let is_entry = |name: &str| {
        let mut letters = name.bytes();
        letters.next().is_some_and(|tag| tag.is_ascii_lowercase())
            && letters.len() > 0
            && letters.all(|digit| digit.is_ascii_digit())
    };
    let entries: BTreeMap<&String, &Attribute> = written
        .item
        .iter()
        .filter(|(name, value)| is_entry(name) && matches!(value, Attribute::B(_)))
        .collect();
    let key: BTreeMap<&String, &Attribute> =
        written.key.iter().map(|name| (name, &written.item[name])).collect();
    let line =
        json!({ "at_us": at as u64, "table": written.table, "key": key, "entries": entries });
    let _ = writeln!(journal, "{line}").and_then(|()| journal.flush());
}

async fn counts(State(served): State<Shared>) -> String {
    let served = served.lock().unwrap_or_else(PoisonError::into_inner);
    json!(served.store.counts()).to_string()
}

async fn items(State(served): State<Shared>, Path(table): Path<String>) -> String {
    let served = served.lock().unwrap_or_else(PoisonError::into_inner);
    served.store.items(&table).map(json_line).collect()
}
fn json_line(item: &Item) -> String {
    let line: Value = json!(item);
    format!("{line}\n")
}
