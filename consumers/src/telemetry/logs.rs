//! Where log lines go, and which: set once, changeable while the process runs.
use crate::config::Logs;
use std::{
    io::{IsTerminal, stdout},
    sync::OnceLock,
};
use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// What is logged, and changeable while the process runs.
#[derive(Clone)]
pub struct Filter(reload::Handle<EnvFilter, Registry>);

static FILTER: OnceLock<Filter> = OnceLock::new();

impl Filter {
    /// Of this process, once [`init`] was called.
    pub fn of_this_process() -> Option<Self> {
        FILTER.get().cloned()
    }
    /// As it stands, with what was added to it.
    pub fn now(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default() + "\n"
    }
    pub fn set(&self, wanted: &str) -> Result<(), String> {
        let filter = with_quiet(wanted).map_err(|e| format!("`{wanted}`: {e}"))?;
        self.0.reload(filter).map_err(|e| e.to_string())?;
        tracing::info!(filter = wanted, "log level changed");
        Ok(())
    }
}

/// SlateDB and its store say much at info, and call it an error that another owner took a partition over, as it ought
/// to; rdkafka calls it one that we closed its queue ourselves. Whoever names them in the filter gets what it asks for.
fn with_quiet(wanted: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let quiet = [
        ("slatedb", ",slatedb=warn,slatedb::dispatcher=off,object_store=warn"),
        ("rdkafka", ",rdkafka::consumer::base_consumer=off"),
    ];
    let quiet = quiet.into_iter().filter(|(name, _)| !wanted.contains(name));
    let quiet: String = quiet.map(|(_, directives)| directives).collect();
    EnvFilter::try_new(format!("{wanted}{quiet}"))
}

/// Call once, first thing.
pub fn init(logs: &Logs) {
    let filter = with_quiet(&logs.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let plain = tracing_subscriber::fmt::layer().with_writer(stdout);
    let all = tracing_subscriber::registry().with(filter);
    // An error means that somebody (a test) has set one already.
    let set = match logs.json {
        true => all.with(plain.json().flatten_event(true)).try_init(),
        false => all.with(plain.with_ansi(stdout().is_terminal())).try_init(),
    };
    if set.is_ok() {
        let _ = FILTER.set(Filter(handle));
    }
}
