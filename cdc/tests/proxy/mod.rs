//! A proxy before DynamoDB and S3 (plain HTTP/1.1) that makes faults by whole requests: which of them never arrive,
//! which are carried out and not answered, which are answered with an error. Whoever dials it names it as endpoint.
//!
//! * A request is read to its end before anything is decided about it, and goes upstream whole, at most once.
//! * What went upstream is followed to its answer, also when the client is gone or cut off meanwhile: so
//!   [`Proxy::ledger`] knows what took effect although nobody was told.
//! * Choices come from a seed, in the order in which requests arrive.
//! * Dropped: it stops; its connections are reset.
//!
//! Absent on purpose: TLS, HTTP/2, retries, bodies above 256 MiB.
#![allow(dead_code, reason = "each test file uses its part of this")]
mod alerts;
mod answers;
mod connection;
mod http;

pub use alerts::Crossing;
use connection::Shared;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, mpsc::sync_channel},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
    sync::{mpsc, watch},
};

/// Shares are in percent of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nobody listens, and open connections are reset, also in the middle of an answer. For one target alone: its
    /// requests are reset when their head has come.
    Cut,
    /// The request is read, the connection reset; nothing reaches upstream.
    Reset,
    /// Carried out at once, answered this many ms later.
    Slow(u64),
    /// Accepted and read, never answered, nothing reaches upstream. Reset when the fault ends.
    Stall,
    /// Carried out, not answered; the connection is closed.
    LoseAnswers {
        percent: u8,
    },
    /// Carried out, half of the answer is sent, the connection is closed.
    HalveAnswers {
        percent: u8,
    },
    /// Not carried out: status 200, and a body that is no answer to anything.
    Garbage {
        percent: u8,
    },
    /// Not carried out. DynamoDB: 400 with one of its three codes for it; S3: 503 `SlowDown`.
    Throttle {
        percent: u8,
    },
    /// Not carried out: 500 or 503.
    ServerErrors {
        percent: u8,
    },
    /// Not carried out: this error. No code: a page such as a load balancer makes.
    Canned {
        status: u16,
        code: &'static str,
        message: &'static str,
        percent: u8,
        /// Only requests of this name: `UpdateItem`, `PutObject`.
        operation: Option<&'static str>,
    },
}

/// Told apart by the header `x-amz-target`, which DynamoDB's requests have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    DynamoDb,
    S3,
}

/// How many requests met what, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read to their end.
    pub requests: u64,
    /// Answered by upstream, with whatever.
    pub carried_out: u64,
    /// Upstream gave no answer.
    pub unanswered: u64,
    pub reset: u64,
    pub slowed: u64,
    pub stalled: u64,
    pub lost: u64,
    pub halved: u64,
    /// Answered here: garbage, throttling, server errors, canned ones.
    pub made_up: u64,
    /// `GetItem`, `PutObject`, ... -> requests.
    pub operations: BTreeMap<String, u64>,
}

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

type Faults = [Fault; 2];
/// Called when the door is as the faults want it.
type Told = std::sync::mpsc::SyncSender<()>;

pub struct Proxy {
    runtime: Option<Runtime>,
    address: SocketAddr,
    shared: Arc<Shared>,
    faults: watch::Sender<Faults>,
    door: mpsc::UnboundedSender<Told>,
}

impl Proxy {
    pub fn start(upstream: SocketAddr) -> Self {
        Self::seeded(upstream, 1)
    }

    pub fn seeded(upstream: SocketAddr, seed: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a thread");
        let entered = runtime.enter();
        let (faults, seen) = watch::channel([Fault::None; 2]);
        let shared = Arc::new(Shared::new(upstream, seen, seed));
        // Bound and never listening: while nobody listens, the port stays ours.
        let held = socket("127.0.0.1:0".parse().expect("an address"));
        let address = held.local_addr().expect("an address");
        let (door, asked) = mpsc::unbounded_channel();
        runtime.spawn(keep_door(held, listen(address), shared.clone(), asked));
        drop(entered);
        Self { runtime: Some(runtime), address, shared, faults, door }
    }

    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, for everybody. Connections that are to be cut may see the answer under way.
    pub fn set(&self, fault: Fault) {
        self.change(|faults| *faults = [fault; 2]);
    }

    /// The other target's fault stays as it is.
    pub fn set_for(&self, target: Target, fault: Fault) {
        self.change(|faults| faults[target as usize] = fault);
    }

    fn change(&self, change: impl FnOnce(&mut Faults)) {
        self.faults.send_modify(change);
        let (told, done) = sync_channel(1);
        self.door.send(told).expect("the proxy runs");
        done.recv_timeout(PATIENCE).expect("the proxy runs");
    }

    pub fn counts(&self) -> Counts {
        self.shared.counts().clone()
    }

    /// Every crossing that DynamoDB has taken down, in the order of its answers. Waits for what is upstream now.
    pub fn ledger(&self) -> Vec<Crossing> {
        let until = Instant::now() + PATIENCE;
        while self.shared.is_busy() {
            assert!(Instant::now() < until, "upstream does not answer");
            std::thread::yield_now();
        }
        self.shared.ledger().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Also allowed inside of another runtime.
            runtime.shutdown_background();
        }
    }
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(address).expect("a port");
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    socket(address).listen(1024).expect("the port is held for us")
}

/// Accepts while anybody may come in.
async fn keep_door(
    held: TcpSocket,
    listener: TcpListener,
    shared: Arc<Shared>,
    mut asked: mpsc::UnboundedReceiver<Told>,
) {
    let address = held.local_addr().expect("an address");
    let mut listener = Some(listener);
    loop {
        let arrival = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            told = asked.recv() => {
                let Some(told) = told else { return };
                let open = shared.faults() != [Fault::Cut; 2];
                listener = match listener.take() {
                    Some(listener) => open.then_some(listener),
                    None => open.then(|| listen(address)),
                };
                let _ = told.send(());
            }
            arrival = arrival => {
                if let Ok((client, _)) = arrival {
                    tokio::spawn(shared.clone().serve(client));
                }
            }
        }
    }
}
