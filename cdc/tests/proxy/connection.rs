//! One client's connection, request by request.
use super::{
    Counts, Fault, Faults, Target,
    alerts::{Crossing, crossings},
    answers::made_up,
    http::{Body, Head, Wire},
};
use std::{
    io::{Error, ErrorKind, Result},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpStream, sync::watch};

pub struct Shared {
    upstream: SocketAddr,
    faults: watch::Receiver<Faults>,
    counts: Mutex<Counts>,
    ledger: Mutex<Vec<Crossing>>,
    random: Mutex<u64>,
    /// Requests that are upstream now.
    under_way: AtomicUsize,
}

struct Request {
    head: Head,
    body: Body,
    method: String,
    target: Target,
    operation: String,
}

/// What to do with one request.
enum Course {
    Answer(Vec<u8>),
    Pass { slow_ms: u64, lose: bool, halve: bool },
    Reset,
    Stall,
}
const PASS: Course = Course::Pass { slow_ms: 0, lose: false, halve: false };

/// How a connection is left.
enum End {
    Closed,
    Reset,
}

impl Shared {
    pub fn new(upstream: SocketAddr, faults: watch::Receiver<Faults>, seed: u64) -> Self {
        Self {
            upstream,
            faults,
            counts: Mutex::default(),
            ledger: Mutex::default(),
            random: Mutex::new(seed),
            under_way: AtomicUsize::new(0),
        }
    }
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn ledger(&self) -> MutexGuard<'_, Vec<Crossing>> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn faults(&self) -> Faults {
        *self.faults.borrow()
    }
    pub fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::SeqCst) > 0
    }

    /// SplitMix64.
    fn random(&self) -> u64 {
        let mut state = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    pub async fn serve(self: Arc<Self>, client: TcpStream) {
        let mut wire = Wire::new(client);
        // Of the request under way; both, while it is not known.
        let target = Mutex::new(None);
        let end = tokio::select! {
            biased;
            () = self.cut(&target) => End::Reset,
            end = self.requests(&mut wire, &target) => end.unwrap_or(End::Closed),
        };
        if matches!(end, End::Reset) {
            let _ = wire.stream().set_zero_linger();
        }
    }

    async fn cut(&self, target: &Mutex<Option<Target>>) {
        let mut faults = self.faults.clone();
        let is_cut = |faults: &Faults| match *target.lock().unwrap_or_else(PoisonError::into_inner)
        {
            Some(target) => faults[target as usize] == Fault::Cut,
            None => *faults == [Fault::Cut; 2],
        };
        // An error: the proxy is gone.
        let _ = faults.wait_for(is_cut).await;
    }

    async fn requests(
        self: &Arc<Self>,
        client: &mut Wire,
        target: &Mutex<Option<Target>>,
    ) -> Result<End> {
        let mut upstream = None;
        loop {
            let known = |now| *target.lock().unwrap_or_else(PoisonError::into_inner) = now;
            known(None);
            let Some(head) = client.head().await? else { return Ok(End::Closed) };
            known(Some(target_of(&head)));
            let fault = self.faults()[target_of(&head) as usize];
            if fault == Fault::Cut {
                self.counts().reset += 1;
                return Ok(End::Reset);
            }
            if head.waits_for_continue() {
                client.send(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let body = client.request_body(&head).await?;
            let request = Request::new(head, body);
            let closes = request.head.closes();
            match self.course(&request) {
                Course::Answer(bytes) => client.send(&bytes).await?,
                Course::Reset => return Ok(End::Reset),
                Course::Stall => {
                    let mut faults = self.faults.clone();
                    let over = |now: &Faults| now[request.target as usize] != Fault::Stall;
                    let _ = faults.wait_for(over).await;
                    return Ok(End::Reset);
                }
                Course::Pass { slow_ms, lose, halve } => {
                    let passed = tokio::spawn(self.clone().pass(request, upstream.take()));
                    let (answer, again) = passed.await.map_err(Error::other)??;
                    upstream = again;
                    if slow_ms > 0 {
                        tokio::time::sleep(Duration::from_millis(slow_ms)).await;
                    }
                    match (lose, halve) {
                        (true, _) => return Ok(End::Closed),
                        (_, true) => {
                            client.send(&answer[..answer.len() / 2]).await?;
                            return Ok(End::Closed);
                        }
                        _ => client.send(&answer).await?,
                    }
                    if upstream.is_none() {
                        return Ok(End::Closed);
                    }
                }
            }
            if closes {
                return Ok(End::Closed);
            }
        }
    }

    /// Decides, and counts.
    fn course(&self, request: &Request) -> Course {
        let fault = self.faults()[request.target as usize];
        let random = self.random();
        let hits = |percent: u8| random % 100 < u64::from(percent);
        let mut counts = self.counts();
        counts.requests += 1;
        *counts.operations.entry(request.operation.clone()).or_default() += 1;
        let course = match fault {
            Fault::None => PASS,
            Fault::Cut | Fault::Reset => Course::Reset,
            Fault::Slow(slow_ms) => Course::Pass { slow_ms, lose: false, halve: false },
            Fault::Stall => Course::Stall,
            Fault::LoseAnswers { percent } => {
                Course::Pass { slow_ms: 0, lose: hits(percent), halve: false }
            }
            Fault::HalveAnswers { percent } => {
                Course::Pass { slow_ms: 0, lose: false, halve: hits(percent) }
            }
            Fault::Canned { operation: Some(name), .. } if name != request.operation => PASS,
            Fault::Garbage { percent }
            | Fault::Throttle { percent }
            | Fault::ServerErrors { percent }
            | Fault::Canned { percent, .. } => {
                if hits(percent) {
                    let choice = usize::try_from(random >> 33).unwrap_or(0);
                    let answer = made_up(fault, request.target, choice);
                    Course::Answer(answer.bytes(request.target, &request.method))
                } else {
                    PASS
                }
            }
        };
        let counted = match &course {
            Course::Answer(_) => &mut counts.made_up,
            Course::Reset => &mut counts.reset,
            Course::Stall => &mut counts.stalled,
            Course::Pass { lose: true, .. } => &mut counts.lost,
            Course::Pass { halve: true, .. } => &mut counts.halved,
            Course::Pass { slow_ms: 1.., .. } => &mut counts.slowed,
            Course::Pass { .. } => return course,
        };
        *counted += 1;
        course
    }

    /// Sends the request upstream, to its end whatever becomes of the client. The connection, if it can go on.
    async fn pass(
        self: Arc<Self>,
        request: Request,
        upstream: Option<Wire>,
    ) -> Result<(Vec<u8>, Option<Wire>)> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let answer = self.ask(&request, upstream).await;
        match &answer {
            Ok((head, ..)) => {
                self.counts().carried_out += 1;
                if head.status() == Some(200) && request.target == Target::DynamoDb {
                    let new = crossings(&request.operation, &request.body.content);
                    self.ledger().extend(new);
                }
            }
            Err(_) => self.counts().unanswered += 1,
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        let (head, body, wire) = answer?;
        let again = if head.closes() { None } else { Some(wire) };
        Ok(([head.raw, body.raw].concat(), again))
    }

    async fn ask(&self, request: &Request, upstream: Option<Wire>) -> Result<(Head, Body, Wire)> {
        let mut wire = match upstream.filter(|wire| !wire.is_used_up()) {
            Some(wire) => wire,
            None => Wire::new(TcpStream::connect(self.upstream).await?),
        };
        wire.send(&request.head.without("expect")).await?;
        wire.send(&request.body.raw).await?;
        loop {
            let head = wire.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
            if matches!(head.status(), Some(100..200)) {
                continue;
            }
            let body = wire.answer_body(&head, &request.method).await?;
            return Ok((head, body, wire));
        }
    }
}

fn target_of(head: &Head) -> Target {
    if head.header("x-amz-target").is_some() { Target::DynamoDb } else { Target::S3 }
}

impl Request {
    fn new(head: Head, body: Body) -> Self {
        let mut words = head.first.split(' ');
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let operation = match head.header("x-amz-target") {
            Some(name) => name.rsplit('.').next().unwrap_or(name),
            None => s3_operation(method, path),
        };
        let (method, operation) = (method.to_owned(), operation.to_owned());
        Self { method, operation, target: target_of(&head), head, body }
    }
}

/// As far as it shows in method and address: `/BUCKET/KEY?QUERY`.
fn s3_operation<'a>(method: &'a str, path: &str) -> &'a str {
    let (name, query) = path.split_once('?').unwrap_or((path, ""));
    let has = |word: &str| query.split('&').any(|one| one.split('=').next() == Some(word));
    let is_bucket = !name.trim_matches('/').contains('/');
    match method {
        "GET" if is_bucket => "ListObjectsV2",
        "GET" => "GetObject",
        "HEAD" if is_bucket => "HeadBucket",
        "HEAD" => "HeadObject",
        "PUT" if is_bucket => "CreateBucket",
        "PUT" if has("partNumber") => "UploadPart",
        "PUT" => "PutObject",
        "DELETE" if has("uploadId") => "AbortMultipartUpload",
        "DELETE" => "DeleteObject",
        "POST" if has("delete") => "DeleteObjects",
        "POST" if has("uploads") => "CreateMultipartUpload",
        "POST" if has("uploadId") => "CompleteMultipartUpload",
        other => other,
    }
}
