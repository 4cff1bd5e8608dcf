//! HTTP/1.1 messages as they lie on the wire: where they end, and no more of them than a proxy has to know.
use std::io::{Error, ErrorKind, Result};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 256 << 20;

pub struct Head {
    /// With the empty line at its end.
    pub raw: Vec<u8>,
    /// The request line or the status line.
    pub first: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
}
impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
    fn says(&self, name: &str, word: &str) -> bool {
        let has = |text: &str| text.split(',').any(|one| one.trim().eq_ignore_ascii_case(word));
        self.header(name).is_some_and(has)
    }
    pub fn closes(&self) -> bool {
        self.says("connection", "close") || self.first.contains("HTTP/1.0")
    }
    pub fn waits_for_continue(&self) -> bool {
        self.says("expect", "100-continue")
    }
    pub fn status(&self) -> Option<u16> {
        self.first.split(' ').nth(1)?.parse().ok()
    }
    /// The head without one of its headers.
    pub fn without(&self, name: &str) -> Vec<u8> {
        let is_it = |line: &[u8]| {
            line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
                && line.get(name.len()) == Some(&b':')
        };
        self.raw
            .split_inclusive(|b| *b == b'\n')
            .filter(|line| !is_it(line))
            .flatten()
            .copied()
            .collect()
    }
}

/// As sent, and what it means.
#[derive(Default)]
pub struct Body {
    pub raw: Vec<u8>,
    pub content: Vec<u8>,
}

/// One side of a connection.
pub struct Wire(BufReader<TcpStream>);

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        // Small messages wait for nothing.
        let _ = stream.set_nodelay(true);
        Self(BufReader::new(stream))
    }

    pub fn stream(&self) -> &TcpStream {
        self.0.get_ref()
    }

    /// Whether the other side has closed, or sent what nobody asked for.
    pub fn is_used_up(&self) -> bool {
        let nothing_yet = |e: Error| e.kind() == ErrorKind::WouldBlock;
        !self.0.buffer().is_empty() || !self.stream().try_read(&mut [0]).is_err_and(nothing_yet)
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.get_mut().write_all(bytes).await
    }

    /// `None`: closed, before anything came.
    pub async fn head(&mut self) -> Result<Option<Head>> {
        let (mut raw, mut lines) = (Vec::new(), Vec::new());
        loop {
            let line = self.line().await?;
            raw.extend_from_slice(&line);
            if raw.len() > HEAD_BYTES_MAX {
                return Err(wrong("a head that does not end"));
            }
            if line.is_empty() {
                return if raw.is_empty() {
                    Ok(None)
                } else {
                    Err(ErrorKind::UnexpectedEof.into())
                };
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            match (text.is_empty(), lines.is_empty()) {
                (true, true) => raw.clear(),
                (true, false) => break,
                (false, _) => lines.push(text),
            }
        }
        let first = lines.remove(0);
        let pair = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_lowercase(), value.trim().to_owned()))
        };
        let headers = lines.iter().filter_map(pair).collect();
        Ok(Some(Head { raw, first, headers }))
    }

    /// A request without a length has no body.
    pub async fn request_body(&mut self, head: &Head) -> Result<Body> {
        if head.says("transfer-encoding", "chunked") {
            return self.chunks().await;
        }
        self.counted(length(head)?.unwrap_or(0)).await
    }

    /// An answer without a length ends with the connection.
    pub async fn answer_body(&mut self, head: &Head, method: &str) -> Result<Body> {
        if method == "HEAD" || matches!(head.status(), Some(100..200 | 204 | 304)) {
            return Ok(Body::default());
        }
        if head.says("transfer-encoding", "chunked") {
            return self.chunks().await;
        }
        if let Some(bytes) = length(head)? {
            return self.counted(bytes).await;
        }
        let mut raw = Vec::new();
        (&mut self.0).take(BODY_BYTES_MAX as u64).read_to_end(&mut raw).await?;
        Ok(Body { content: raw.clone(), raw })
    }

    async fn counted(&mut self, bytes: usize) -> Result<Body> {
        let mut raw = vec![0; bytes];
        self.0.read_exact(&mut raw).await?;
        Ok(Body { content: raw.clone(), raw })
    }

    /// Up to the empty line after the trailers.
    async fn chunks(&mut self) -> Result<Body> {
        let mut body = Body::default();
        loop {
            let line = self.line().await?;
            let text = String::from_utf8_lossy(&line);
            let size = text.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| wrong("a chunk without a size"))?;
            body.raw.extend_from_slice(&line);
            if size == 0 {
                break;
            }
            if size > BODY_BYTES_MAX - body.content.len() {
                return Err(wrong("a body that is too large"));
            }
            let mut chunk = vec![0; size + 2];
            self.0.read_exact(&mut chunk).await?;
            body.raw.extend_from_slice(&chunk);
            body.content.extend_from_slice(&chunk[..size]);
        }
        loop {
            let line = self.line().await?;
            body.raw.extend_from_slice(&line);
            match line.as_slice() {
                b"" => return Err(ErrorKind::UnexpectedEof.into()),
                b"\r\n" | b"\n" => return Ok(body),
                _ => {}
            }
        }
    }

    /// With its end; empty: closed.
    async fn line(&mut self) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        (&mut self.0).take(HEAD_BYTES_MAX as u64).read_until(b'\n', &mut line).await?;
        match line.last() {
            None | Some(b'\n') => Ok(line),
            Some(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn length(head: &Head) -> Result<Option<usize>> {
    let Some(text) = head.header("content-length") else { return Ok(None) };
    let bytes: usize = text.parse().map_err(|_| wrong("a length that is no number"))?;
    if bytes > BODY_BYTES_MAX { Err(wrong("a body that is too large")) } else { Ok(Some(bytes)) }
}

fn wrong(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
