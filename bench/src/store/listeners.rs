//! Connected clients that note when each notification arrives.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::{process::Server, stats::Samples, token};

/// In front of the instant at which a notification was due.
const MARK: &[u8] = b"\"message\":\"t=";
const DIGITS: usize = 16;
/// For a connection to be told that it is in.
const PATIENCE: Duration = Duration::from_secs(10);

/// What they got. Each has an inbox of its own.
pub struct Listeners {
    pub received: Arc<AtomicU64>,
    latencies: Arc<Mutex<Samples>>,
    tasks: JoinSet<()>,
}

/// Microseconds since this process first asked.
fn micros(at: Instant) -> u128 {
    static START: OnceLock<Instant> = OnceLock::new();
    at.saturating_duration_since(*START.get_or_init(|| at)).as_micros()
}

/// The text of a notification that is due at `due`.
pub fn mark(due: Instant) -> String {
    format!("t={:0DIGITS$}", micros(due))
}

impl Listeners {
    pub async fn connect(server: &Server, users: &[String]) -> anyhow::Result<Self> {
        micros(Instant::now());
        let (received, latencies) = (Arc::default(), Arc::default());
        let mut tasks = JoinSet::new();
        for user in users {
            let stream = join(server.address, &token::sign_for(user)?).await?;
            tasks.spawn(listen(stream, Arc::clone(&received), Arc::clone(&latencies)));
        }
        Ok(Self { received, latencies, tasks })
    }

    /// What arrived; all have left then.
    pub fn leave(mut self) -> Samples {
        self.tasks.abort_all();
        std::mem::take(&mut *self.latencies.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn join(address: SocketAddr, token: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut received = Vec::new();
    wait_for(&mut stream, &mut received, b"pingInterval").await?;
    stream.write_all(&frame(&format!("40{{\"token\":\"{token}\"}}"))).await?;
    wait_for(&mut stream, &mut received, b"40{\"sid\"").await?;
    Ok(stream)
}

async fn wait_for(
    stream: &mut TcpStream,
    received: &mut Vec<u8>,
    text: &[u8],
) -> anyhow::Result<()> {
    let waiting = async {
        while !received.windows(text.len()).any(|window| window == text) {
            ensure!(stream.read_buf(received).await? > 0, "the server closed the connection");
        }
        Ok(())
    };
    tokio::time::timeout(PATIENCE, waiting).await.context("a client was not let in")?
}

/// A text frame, masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut frame = vec![0x81, 0x80 | 126, length[0], length[1], 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn listen(mut stream: TcpStream, received: Arc<AtomicU64>, latencies: Arc<Mutex<Samples>>) {
    let mut bytes = Vec::with_capacity(1 << 16);
    // A run is shorter than the time that a client has for its first heartbeat.
    while stream.read_buf(&mut bytes).await.is_ok_and(|more| more > 0) {
        let now = micros(Instant::now());
        let (dues, rest) = dues(&bytes);
        bytes.drain(..rest);
        let mut latencies = latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for due in &dues {
            let micros = u64::try_from(now.saturating_sub(*due)).unwrap_or(u64::MAX);
            latencies.add(Duration::from_micros(micros));
        }
        received.fetch_add(dues.len() as u64, Relaxed);
    }
}

/// The marks in what was received, and how much of it need not be looked at again.
fn dues(bytes: &[u8]) -> (Vec<u128>, usize) {
    let whole = MARK.len() + DIGITS;
    let (mut dues, mut at) = (Vec::new(), 0);
    while let Some(window) = bytes.get(at..at + whole) {
        let digits = window.strip_prefix(MARK).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(due) => {
                dues.push(due);
                at += whole;
            }
            None => at += 1,
        }
    }
    (dues, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_also_when_they_arrive_in_parts() {
        let text = format!("..{}0000000000000007\"}}..", String::from_utf8_lossy(MARK));
        let (found, rest) = dues(text.as_bytes());
        assert_eq!(found, [7]);
        assert!(rest < text.len());
        let (found, rest) = dues(&text.as_bytes()[..20]);
        assert_eq!((found.len(), rest), (0, 0));
    }
}
