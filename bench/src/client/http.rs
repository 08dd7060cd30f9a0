//! HTTP/1.1 on connections that stay open, as a server of the application would post.

use std::{
    cell::RefCell,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const NOTIFICATIONS: &str = "/api/v1/notifications";
/// Servers close connections that are silent for longer; such a one is not used again.
const FRESH: Duration = Duration::from_secs(3);

/// One connection, and the headers that all its requests have.
pub struct Http {
    stream: TcpStream,
    head: String,
    used_at: Instant,
    received: Vec<u8>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// When the request was handed to the kernel.
    pub sent: Instant,
    /// From then to the last byte of the answer.
    pub took: Duration,
}

impl Http {
    pub async fn connect(address: SocketAddr, key: &str) -> anyhow::Result<Self> {
        Self::connect_to(address, key, NOTIFICATIONS).await
    }

    async fn connect_to(address: SocketAddr, key: &str, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect to the API")?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: \
             application/json\r\nAuthorization: Bearer {key}\r\nContent-Length: "
        );
        Ok(Self { stream, head, used_at: Instant::now(), received: Vec::new() })
    }

    /// Posts to the path that the connection is for.
    pub async fn post(&mut self, body: &str) -> anyhow::Result<Answer> {
        let request = format!("{}{}\r\n\r\n{body}", self.head, body.len());
        let sent = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let (status, body) = self.answer().await?;
        self.used_at = Instant::now();
        Ok(Answer { status, body, sent, took: self.used_at - sent })
    }

    async fn answer(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        self.received.clear();
        loop {
            if let Some((status, range)) = parse(&self.received)? {
                return Ok((status, self.received.get(range).unwrap_or_default().to_vec()));
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                bail!("the API closed the connection before it answered");
            }
        }
    }
}

/// Status and body of an answer that is there whole.
fn parse(bytes: &[u8]) -> anyhow::Result<Option<(u16, std::ops::Range<usize>)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let status = head.split(' ').nth(1).context("no status in the answer")?.parse()?;
    let mut length = None;
    let mut chunked = false;
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>()?);
        }
        chunked |= name.eq_ignore_ascii_case("transfer-encoding");
    }
    let start = end + 4;
    let stop = match (length, chunked) {
        (Some(length), _) => start + length,
        // Nobody looks into these: it is enough to know where they end.
        (None, true) => match bytes.ends_with(b"0\r\n\r\n") {
            true => bytes.len(),
            false => return Ok(None),
        },
        (None, false) => start,
    };
    Ok((bytes.len() >= stop).then_some((status, start..stop)))
}

/// Connections that are free: each request takes one, or a new one, so that none waits for
/// another.
pub struct Pool {
    address: SocketAddr,
    key: String,
    path: String,
    free: RefCell<Vec<Http>>,
}

impl Pool {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self::at(address, key, NOTIFICATIONS)
    }

    /// Posts to another path.
    pub fn at(address: SocketAddr, key: &str, path: &str) -> Self {
        let (key, path) = (key.to_owned(), path.to_owned());
        Self { address, key, path, free: RefCell::default() }
    }

    pub async fn post(&self, body: &str) -> anyhow::Result<Answer> {
        let free = self.free.borrow_mut().pop();
        let mut http = match free.filter(|http| http.used_at.elapsed() < FRESH) {
            Some(http) => http,
            None => Http::connect_to(self.address, &self.key, &self.path).await?,
        };
        let answer = http.post(body).await?;
        self.free.borrow_mut().push(http);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        let answer = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(answer).unwrap(), Some((201, 43..45)));
        assert_eq!(parse(&answer[..44]).unwrap(), None);
        assert_eq!(parse(&answer[..10]).unwrap(), None);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().unwrap().0, 200);
        assert_eq!(parse(&chunked[..55]).unwrap(), None);
    }
}
