//! What a service answers over HTTP.
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Status and body.
pub fn get(at: SocketAddr, path: &str) -> (u16, String) {
    request(at, &format!("GET {path} HTTP/1.0\r\n\r\n"))
}
pub fn put(at: SocketAddr, path: &str, body: &str) -> (u16, String) {
    request(at, &format!("PUT {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

fn request(at: SocketAddr, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.write_all(text.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    (status, body.to_owned())
}

/// The sum of all series of this name that have all these labels (`reason="malformed"`); `None`: there are none.
pub fn metric(at: SocketAddr, name: &str, labels: &[&str]) -> Option<f64> {
    let (status, text) = get(at, "/metrics");
    assert_eq!(status, 200, "{text}");
    let ours = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    let values = ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or(0.0) + value))
}
