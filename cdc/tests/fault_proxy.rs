//! The fault proxy itself, before an upstream of this file's own: a test with faults is worth what its proxy is.
mod proxy;

use proxy::{Counts, Fault, Proxy, Target};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What upstream got: request line and headers, and the body's raw bytes.
type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers each request with its own number, in chunks when the path asks so; keeps connections open.
fn upstream() -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let all = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, seen) = (stream.expect("a connection"), all.clone());
            std::thread::spawn(move || answer_all(stream, &seen));
        }
    });
    (address, seen)
}

fn answer_all(mut stream: TcpStream, seen: &Seen) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    while let Some((head, body)) = request(&mut reader) {
        let chunked = head.contains("chunked-answer");
        let status = if head.contains("refused") { "400 Bad Request" } else { "200 OK" };
        let number = {
            let mut seen = seen.lock().expect("whole");
            seen.push((head, body));
            format!("answer {}", seen.len())
        };
        let length = number.len();
        let answer = match chunked {
            true => format!(
                "HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{number}\r\n0\r\nx-sum: 1\r\n\r\n"
            ),
            false => format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{number}"),
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let mut body = vec![];
    if let Some(length) = lower.split("content-length: ").nth(1) {
        let length = length.split("\r\n").next()?.parse().ok()?;
        body.resize(length, 0);
        reader.read_exact(&mut body).ok()?;
    } else if lower.contains("transfer-encoding: chunked") {
        while !body.ends_with(b"0\r\n\r\n") {
            reader.read_until(b'\n', &mut body).ok()?;
        }
    }
    Some((head, body))
}

struct Client(BufReader<TcpStream>);
impl Client {
    fn dial(proxy: &Proxy) -> std::io::Result<Self> {
        let stream = TcpStream::connect(proxy.address().trim_start_matches("http://"))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(BufReader::new(stream)))
    }
    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("sent");
    }
    fn post(&mut self, operation: &str, body: &str) {
        let length = body.len();
        self.send(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.{operation}\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ));
    }
    fn get(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    /// Head and body of an answer that says its length.
    fn answer(&mut self) -> std::io::Result<(String, String)> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = head.to_lowercase();
        let length = length.split("content-length: ").nth(1).expect("a length");
        let mut body =
            vec![0; length.split("\r\n").next().expect("a line").parse().expect("a number")];
        self.0.read_exact(&mut body)?;
        Ok((head, String::from_utf8(body).expect("text")))
    }
    fn status(&mut self) -> String {
        self.answer().expect("an answer").0[9..12].to_owned()
    }
    /// Everything until the end of the connection, and whether that was a reset.
    fn rest(mut self) -> (Vec<u8>, bool) {
        let mut all = vec![];
        let end = self.0.read_to_end(&mut all);
        (all, end.is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionReset))
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        std::thread::yield_now();
    }
}

#[test]
fn without_a_fault_everything_passes_as_it_is() {
    let (address, seen) = upstream();
    let proxy = Proxy::start(address);
    let mut client = Client::dial(&proxy).expect("listens");
    client.post("GetItem", "{}");
    assert_eq!(client.answer().expect("an answer").1, "answer 1");
    let chunks = "5;chunk-signature=ab\r\nhello\r\n0\r\n\r\n";
    client.send(
        "PUT /b/k HTTP/1.1\r\nContent-Encoding: aws-chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    client.send(chunks);
    assert_eq!(client.answer().expect("an answer").1, "answer 2");
    client.send("PUT /b/k HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let mut interim = String::new();
    client.0.read_line(&mut interim).expect("asked to go on");
    client.0.read_line(&mut interim).expect("asked to go on");
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(client.answer().expect("an answer").1, "answer 3");
    client.get("/b/k?chunked-answer");
    client.send("GET /b/?list-type=2 HTTP/1.1\r\nConnection: close\r\n\r\n");
    let (rest, _) = client.rest();
    let rest = String::from_utf8(rest).expect("text");
    assert!(rest.contains("8\r\nanswer 4\r\n0\r\nx-sum: 1\r\n\r\nHTTP/1.1 200 OK"), "{rest}");
    assert!(rest.ends_with("answer 5"), "{rest}");
    let seen = seen.lock().expect("whole");
    assert_eq!(seen[1].1, chunks.as_bytes());
    assert_eq!(seen[2].1, b"body");
    assert!(!seen[2].0.contains("Expect"), "{}", seen[2].0);
    let counts = proxy.counts();
    let operations = [("GetItem", 1), ("GetObject", 1), ("ListObjectsV2", 1), ("PutObject", 2)];
    let operations = operations.map(|(name, count)| (name.to_owned(), count)).into();
    assert_eq!(counts, Counts { requests: 5, carried_out: 5, operations, ..Counts::default() });
}

#[test]
fn a_cut_refuses_resets_and_ends_on_the_same_port() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address);
    let mut idle = Client::dial(&proxy).expect("listens");
    idle.post("GetItem", "{}");
    assert_eq!(idle.status(), "200");
    proxy.set(Fault::Slow(3_600_000));
    let mut waiting = Client::dial(&proxy).expect("listens");
    waiting.post("UpdateItem", "{}");
    until("carried out", || proxy.counts().carried_out == 2);
    proxy.set(Fault::Cut);
    let refused = Client::dial(&proxy).err().map(|e| e.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(idle.rest(), (vec![], true));
    assert_eq!(waiting.rest(), (vec![], true), "in the middle of a request");
    proxy.set(Fault::None);
    let mut client = Client::dial(&proxy).expect("listens again");
    client.get("/b/k");
    assert_eq!(client.answer().expect("an answer").1, "answer 3");
}

#[test]
fn targets_are_told_apart() {
    let (address, seen) = upstream();
    let proxy = Proxy::start(address);
    proxy.set_for(Target::DynamoDb, Fault::Cut);
    let mut dynamo = Client::dial(&proxy).expect("listens");
    dynamo.post("GetItem", "{}");
    assert_eq!(dynamo.rest(), (vec![], true));
    let mut s3 = Client::dial(&proxy).expect("listens");
    s3.get("/b/k");
    assert_eq!(s3.status(), "200");
    proxy.set_for(Target::S3, Fault::Reset);
    s3.get("/b/k");
    assert_eq!(s3.rest(), (vec![], true));
    proxy.set_for(Target::DynamoDb, Fault::None);
    let mut dynamo = Client::dial(&proxy).expect("listens");
    dynamo.post("GetItem", "{}");
    assert_eq!(dynamo.status(), "200");
    assert_eq!(seen.lock().expect("whole").len(), 2, "the others never arrived");
}

#[test]
fn errors_are_made_up_in_the_services_own_form_and_nothing_arrives() {
    let (address, seen) = upstream();
    let proxy = Proxy::start(address);
    let mut client = Client::dial(&proxy).expect("listens");
    let mut codes = std::collections::BTreeSet::new();
    proxy.set(Fault::Throttle { percent: 100 });
    for _ in 0..50 {
        client.post("UpdateItem", "{}");
        let (head, body) = client.answer().expect("an answer");
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let code = body["__type"].as_str().expect("a type").rsplit('#').next().expect("a code");
        codes.insert(code.to_owned());
    }
    let all =
        ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];
    assert!(codes.iter().eq(all), "{codes:?}");
    client.get("/b/k");
    let (head, body) = client.answer().expect("an answer");
    assert!(
        head.starts_with("HTTP/1.1 503") && body.contains("<Code>SlowDown</Code>"),
        "{head}{body}"
    );
    proxy.set(Fault::ServerErrors { percent: 100 });
    client.get("/b/k");
    assert!(["500", "503"].contains(&client.status().as_str()));
    let (code, message) = ("ExpiredTokenException", "The security token is expired");
    let operation = Some("UpdateItem");
    proxy.set(Fault::Canned { status: 400, code, message, percent: 100, operation });
    client.post("UpdateItem", "{}");
    assert!(client.answer().expect("an answer").1.contains("#ExpiredTokenException"));
    client.post("GetItem", "{}");
    assert_eq!(client.answer().expect("an answer").1, "answer 1", "another operation passes");
    proxy.set(Fault::Garbage { percent: 100 });
    client.post("GetItem", "{}");
    let (head, body) = client.answer().expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200") && body.starts_with('<'), "{head}{body}");
    assert_eq!(seen.lock().expect("whole").len(), 1);
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.made_up, counts.carried_out), (55, 54, 1));
}

#[test]
fn a_share_is_a_share_and_the_same_one_for_the_same_seed() {
    let hit = |seed| {
        let (address, _) = upstream();
        let proxy = Proxy::seeded(address, seed);
        proxy.set(Fault::ServerErrors { percent: 30 });
        let mut client = Client::dial(&proxy).expect("listens");
        let mut one = || {
            client.get("/b/k");
            client.status() != "200"
        };
        (0..300).map(|_| one()).collect::<Vec<bool>>()
    };
    let first = hit(7);
    let count = first.iter().filter(|hit| **hit).count();
    assert!((60..120).contains(&count), "{count} of 300 for 30 %");
    assert_eq!(first, hit(7));
    assert_ne!(first, hit(8));
}

#[test]
fn lost_and_halved_answers_are_of_requests_that_were_carried_out() {
    let (address, seen) = upstream();
    let proxy = Proxy::start(address);
    proxy.set(Fault::LoseAnswers { percent: 100 });
    let mut client = Client::dial(&proxy).expect("listens");
    client.post("UpdateItem", "{}");
    assert_eq!(client.rest().0, b"");
    proxy.set(Fault::HalveAnswers { percent: 100 });
    let mut client = Client::dial(&proxy).expect("listens");
    client.post("UpdateItem", "{}");
    let (half, _) = client.rest();
    assert!(half.starts_with(b"HTTP/1.1 200") && !half.ends_with(b"answer 2"), "{half:?}");
    assert_eq!(seen.lock().expect("whole").len(), 2);
    let counts = proxy.counts();
    assert_eq!((counts.lost, counts.halved, counts.carried_out), (1, 1, 2));
}

#[test]
fn a_stall_never_answers_and_never_arrives() {
    let (address, seen) = upstream();
    let proxy = Proxy::start(address);
    proxy.set(Fault::Stall);
    let mut client = Client::dial(&proxy).expect("accepts");
    client.post("UpdateItem", "{}");
    until("stalled", || proxy.counts().stalled == 1);
    proxy.set(Fault::None);
    assert_eq!(client.rest(), (vec![], true), "let go when it ends");
    assert_eq!(seen.lock().expect("whole").len(), 0);
}

#[test]
fn the_ledger_knows_crossings_that_nobody_was_told_of() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address);
    let update = |name: &str| {
        format!(
            r##"{{"TableName":"inventory","Key":{{"product_id":{{"N":"7"}}}},
            "UpdateExpression":"SET #sold = #sold + :v0, #o3 = :v1 ADD #alerts_due :v2",
            "ExpressionAttributeNames":{{"#sold":"sold","#o3":"o3","#alerts_due":"alerts_due"}},
            "ExpressionAttributeValues":{{":v0":{{"N":"1"}},":v1":{{"B":"AA=="}},":v2":{{"SS":["{name}"]}}}}}}"##
        )
    };
    let told = update("o3:1").replace("ADD #", "DELETE #");
    let put =
        r#"{"TableName":"inventory","Item":{"product_id":{"N":"8"},"alerts_due":{"SS":["p0:5"]}}}"#;
    proxy.set(Fault::LoseAnswers { percent: 100 });
    for (operation, body) in [
        ("UpdateItem", update("o3:1")),
        ("UpdateItem", told),
        ("PutItem", put.to_owned()),
        ("GetItem", update("o3:2")),
    ] {
        let mut client = Client::dial(&proxy).expect("listens");
        client.post(operation, &body);
        assert_eq!(client.rest().0, b"");
    }
    proxy.set(Fault::None);
    let mut client = Client::dial(&proxy).expect("listens");
    let body = update("o3:3");
    let length = body.len();
    client.send(&format!(
        "POST /refused HTTP/1.1\r\nX-Amz-Target: D.UpdateItem\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.status(), "400", "a condition that did not hold is no crossing");
    proxy.set(Fault::Throttle { percent: 100 });
    client.post("UpdateItem", &update("o3:4"));
    assert_eq!(client.status(), "400");
    let ledger = proxy.ledger();
    let ledger: Vec<_> =
        ledger.iter().map(|c| (c.table.as_str(), c.key.as_str(), c.name.as_str())).collect();
    assert_eq!(ledger, [("inventory", "7", "o3:1"), ("inventory", "8", "p0:5")]);
}

#[test]
fn dropped_is_stopped() {
    let (address, _) = upstream();
    let proxy = Proxy::start(address);
    let mut client = Client::dial(&proxy).expect("listens");
    client.get("/b/k");
    assert_eq!(client.status(), "200");
    let gone = proxy.address();
    drop(proxy);
    let gone = gone.trim_start_matches("http://");
    until("nobody listens", || TcpStream::connect(gone).is_err());
    assert_eq!(client.rest().0, b"");
}
