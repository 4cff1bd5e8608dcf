//! One GET, bounded in time and size. HTTP/1.0, so that no answer comes in chunks. The `health` command of a binary asks
//! the binary's own server that way.
use crate::tls;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Arg, ArgMatches, Command};
use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::{Duration, Instant},
};

const BODY_BYTES_MAX: u64 = 16 << 20;

/// What a server has answered.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}
impl Answer {
    /// The value of the first header of this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

struct Url<'a> {
    tls: bool,
    user: Option<&'a str>,
    host: &'a str,
    port: u16,
    path: &'a str,
}

/// `http[s]://[USER:PASSWORD@]HOST[:PORT]/PATH`. Errors never show the user's part.
fn parse(url: &str) -> Result<Url<'_>, String> {
    let form = || "write http://HOST:PORT or https://HOST:PORT".to_owned();
    let (scheme, rest) = url.split_once("://").ok_or_else(form)?;
    let tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(form()),
    };
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, place) = match place.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, place),
    };
    let after_host = place.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match place[after_host..].rfind(':') {
        Some(at) => {
            let (host, port) = place.split_at(after_host + at);
            (host, port[1..].parse().map_err(|_| form())?)
        }
        None => (place, if tls { 443 } else { 80 }),
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() {
        return Err(form());
    }
    Ok(Url { tls, user, host, port, path: if path.is_empty() { "/" } else { path } })
}

/// The host and port of a URL, for people to read: never user or password.
pub fn place(url: &str) -> String {
    parse(url).map_or_else(|why| why, |url| format!("{}:{}", url.host, url.port))
}

/// Asks `http[s]://[USER:PASSWORD@]HOST[:PORT]/PATH`, and blocks for about `limit` at most. TLS trusts the authorities of
/// `SSL_CERT_FILE`, else those of the system.
///
/// # Errors
/// A sentence that names host and port, never user or password: the address cannot be read, nobody answers in time, the
/// answer is larger than 16 MiB or no HTTP.
pub fn get(url: &str, limit: Duration) -> Result<Answer, String> {
    let url = parse(url)?;
    let at = format!("{}:{}", url.host, url.port);
    let failed = |e: std::io::Error| format!("{at} does not answer: {e}");
    let end = Instant::now() + limit;
    let mut addresses = (url.host, url.port).to_socket_addrs().map_err(failed)?;
    let address = addresses.next().ok_or_else(|| format!("{at} has no address"))?;
    let stream = TcpStream::connect_timeout(&address, limit).map_err(failed)?;
    stream.set_read_timeout(Some(limit)).map_err(failed)?;
    stream.set_write_timeout(Some(limit)).map_err(failed)?;
    let user = url.user.map(|user| format!("Authorization: Basic {}\r\n", STANDARD.encode(user)));
    let request = format!(
        "GET {} HTTP/1.0\r\nHost: {at}\r\nAccept: application/json\r\n{}Connection: close\r\n\r\n",
        url.path,
        user.unwrap_or_default()
    );
    let bytes = if url.tls {
        exchange(tls::connect(url.host, &at, stream)?, &request, end)
    } else {
        exchange(stream, &request, end)
    };
    read(&bytes.map_err(failed)?).ok_or_else(|| format!("{at} answers, but not HTTP"))
}

fn exchange(
    mut stream: impl Read + Write,
    request: &str,
    end: Instant,
) -> std::io::Result<Vec<u8>> {
    stream.write_all(request.as_bytes())?;
    let (mut bytes, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        match stream.read(&mut part) {
            // A server that closes without a word of TLS has still said everything.
            Ok(0) => return Ok(bytes),
            Err(_) if !bytes.is_empty() && read(&bytes).is_some_and(|a| a.is_whole()) => {
                return Ok(bytes);
            }
            Err(e) => return Err(e),
            Ok(n) => bytes.extend_from_slice(&part[..n]),
        }
        if Instant::now() > end || bytes.len() as u64 > BODY_BYTES_MAX {
            return Err(std::io::Error::other("the answer is too long or too slow"));
        }
    }
}
impl Answer {
    fn is_whole(&self) -> bool {
        let length = self.header("content-length").and_then(|n| n.parse().ok());
        length.is_none_or(|length: usize| self.body.len() >= length)
    }
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..at]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/")?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Some(Answer {
        status,
        headers: lines.filter_map(header).collect(),
        body: bytes[at + 4..].to_vec(),
    })
}

/// The command `health`, without the setting that says where the service listens. `meaning`: what it means that the
/// service is live, and ready, for its help.
pub fn health_command(meaning: &'static str) -> Command {
    let what = Arg::new("what")
        .value_name("WHAT")
        .value_parser(["live", "ready"])
        .default_value("live")
        .help(meaning);
    Command::new("health").arg(what).about(
        "Asks a running service on this machine how it is; exit code 0: well, 1: not, or no answer. For HEALTHCHECK",
    )
}

/// Carries out [`health_command`] on the service that listens at this address, and prints its answer. An address that
/// means all interfaces is asked through the loopback one.
pub fn health(matches: &ArgMatches, mut at: SocketAddr) -> ExitCode {
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let what = matches.get_one::<String>("what").expect("it has a default");
    let url = format!("http://{at}/health/{what}");
    match get(&url, Duration::from_secs(3)) {
        Ok(answer) => {
            println!("{}", String::from_utf8_lossy(&answer.body).trim_end());
            ExitCode::from(u8::from(answer.status != 200))
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = parse("https://me:p@ss@connect.example:8443/a?b=c").expect("a URL");
        assert!(url.tls);
        assert_eq!((url.user, url.host, url.port), (Some("me:p@ss"), "connect.example", 8443));
        assert_eq!(url.path, "/a?b=c");
        let url = parse("http://[::1]:8083").expect("a URL");
        assert_eq!((url.host, url.port, url.path), ("::1", 8083, "/"));
        assert_eq!(parse("http://h").expect("a URL").port, 80);
        assert!(
            parse("connect:8083").is_err()
                && parse("ftp://h").is_err()
                && parse("http://:1").is_err()
        );
        assert_eq!(place("http://me:secret@h:1"), "h:1");
    }

    #[test]
    fn answers_are_read_whole() {
        let answer = read(b"HTTP/1.1 404 Not Found\r\nDate: now\r\nContent-Length: 3\r\n\r\nab")
            .expect("HTTP");
        assert_eq!(
            (answer.status, answer.header("date"), &*answer.body),
            (404, Some("now"), &b"ab"[..])
        );
        assert!(!answer.is_whole());
        assert!(read(b"SSH-2.0\r\n\r\n").is_none());
    }
}
