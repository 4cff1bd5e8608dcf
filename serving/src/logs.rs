//! Where log lines go, and which: set once, changeable while the process runs.
use std::{
    io::{IsTerminal, stdout},
    sync::OnceLock,
};
use tracing_subscriber::{
    EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// How log lines look, and which are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logs {
    pub json: bool,
    /// A filter as `tracing-subscriber` reads it.
    pub filter: String,
}

/// Directives for libraries that say too much, too little, or call an error what is none: each counts unless the filter
/// names the library (the first text), so whoever asks for its lines gets them. The second text begins with a comma.
pub type Quiet = &'static [(&'static str, &'static str)];

/// Whether a filter can be read.
///
/// # Errors
/// What `tracing-subscriber` says about it.
pub fn check(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(|_| ()).map_err(|e| e.to_string())
}

/// The filter of this process, changeable while it runs.
#[derive(Clone)]
pub struct Filter {
    handle: reload::Handle<EnvFilter, Registry>,
    quiet: Quiet,
}

static FILTER: OnceLock<Filter> = OnceLock::new();

impl Filter {
    /// Of this process, once [`init`] was called.
    pub fn of_this_process() -> Option<Self> {
        FILTER.get().cloned()
    }
    /// The filter as it stands, the directives for quiet libraries included, and a line end.
    pub fn now(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default() + "\n"
    }
    /// Takes another filter from now on.
    ///
    /// # Errors
    /// A sentence that says why the filter cannot be read.
    pub fn set(&self, wanted: &str) -> Result<(), String> {
        let filter = with_quiet(wanted, self.quiet).map_err(|e| format!("`{wanted}`: {e}"))?;
        self.handle.reload(filter).map_err(|e| e.to_string())?;
        tracing::info!(filter = wanted, "log level changed");
        Ok(())
    }
}

fn with_quiet(
    wanted: &str,
    quiet: Quiet,
) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    let quiet = quiet.iter().filter(|(name, _)| !wanted.contains(name));
    let quiet: String = quiet.map(|(_, directives)| *directives).collect();
    EnvFilter::try_new(format!("{wanted}{quiet}"))
}

/// Writes log lines to standard output from now on. To be called once, before anything is logged.
pub fn init(logs: &Logs, quiet: Quiet) {
    let filter = with_quiet(&logs.filter, quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let plain = tracing_subscriber::fmt::layer().with_writer(stdout);
    let all = tracing_subscriber::registry().with(filter);
    // An error means that somebody (a test) has set one already.
    let set = match logs.json {
        true => all.with(plain.json().flatten_event(true)).try_init(),
        false => all.with(plain.with_ansi(stdout().is_terminal())).try_init(),
    };
    if set.is_ok() {
        let _ = FILTER.set(Filter { handle, quiet });
    }
}
