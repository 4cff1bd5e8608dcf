//! What operators and probes ask over HTTP, on a thread of its own: it answers while the work of the process is stuck.
use crate::logs::Filter;
use anyhow::Context;
use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

/// What histograms gathered is sorted into their buckets this often, or memory would grow until the next scrape.
const UPKEEP: Duration = Duration::from_secs(5);

/// The answer to a probe.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Status 200, else 503.
    pub good: bool,
    /// JSON in one line, for whoever asks with curl.
    pub json: String,
}

/// How the process is, as probes ask it. Answered on the server's thread, so it must not block.
pub trait Probed: Send + Sync {
    /// Whether the process works at all, or ought to be started anew.
    fn live(&self) -> Judged;
    /// Whether it does what it is there for.
    fn ready(&self) -> Judged;
}

/// What is answered: `/metrics`, `/health/live`, `/health/ready`, `/log-level`.
#[derive(Clone)]
pub struct Served {
    pub metrics: PrometheusHandle,
    pub health: Arc<dyn Probed>,
    /// `None`: the log is not ours, as in a test.
    pub filter: Option<Filter>,
}

/// Answers from now on, until the process ends. Returns the address that is listened at.
///
/// # Errors
/// The socket or the thread cannot be had.
pub fn serve(listener: TcpListener, served: Served) -> anyhow::Result<SocketAddr> {
    listener.set_nonblocking(true).context("the HTTP socket")?;
    let at = listener.local_addr().context("the HTTP socket")?;
    let io = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let app = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/log-level", get(log_level).put(set_log_level))
        .with_state(served.clone())
        .into_make_service_with_connect_info::<SocketAddr>();
    thread::Builder::new().name("http".to_owned()).spawn(move || {
        io.block_on(async move {
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(UPKEEP).await;
                    served.metrics.run_upkeep();
                }
            });
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "no HTTP"),
            };
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%error, "HTTP has ended");
            }
        });
    })?;
    Ok(at)
}

async fn metrics(State(served): State<Served>) -> Response {
    let text = served.metrics.render();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn judged(judged: Judged) -> Response {
    let status = if judged.good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], judged.json + "\n").into_response()
}
async fn live(State(served): State<Served>) -> Response {
    judged(served.health.live())
}
async fn ready(State(served): State<Served>) -> Response {
    judged(served.health.ready())
}

async fn log_level(State(served): State<Served>) -> Response {
    match &served.filter {
        Some(filter) => filter.now().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Only from this machine or pod (`kubectl port-forward`): logs are a way to fill disks.
async fn set_log_level(
    State(served): State<Served>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    wanted: String,
) -> Response {
    if !from.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from this machine: kubectl port-forward\n")
            .into_response();
    }
    let Some(filter) = &served.filter else { return StatusCode::NOT_FOUND.into_response() };
    match filter.set(wanted.trim()) {
        Ok(()) => filter.now().into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}
