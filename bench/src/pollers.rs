//! Clients of HTTP long-polling, each on one connection: a poll, what it brought, the next poll.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
};

use crate::{http::Http, token};

/// Clients that come in at a time.
const ABREAST: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);

/// What has come, of all of them.
#[derive(Default)]
struct Counts {
    ready: AtomicU64,
    events: AtomicU64,
    polls: AtomicU64,
}

/// Pollers on a thread of their own; they end with it, when this is dropped.
pub struct Pollers {
    counts: Arc<Counts>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<anyhow::Result<()>>>,
}

impl Pollers {
    /// Has so many come in and join `room`; returns when all are in.
    pub fn gather(address: SocketAddr, count: usize, room: &str) -> anyhow::Result<Self> {
        let counts = Arc::<Counts>::default();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (shared, room) = (Arc::clone(&counts), room.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, serve(address, count, &room, shared, stopped))
        });
        let mut pollers = Self { counts, stop: Some(stop), thread: Some(thread) };
        let end = Instant::now() + PATIENCE;
        while pollers.counts.ready.load(Relaxed) < count as u64 {
            if pollers.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished) {
                pollers.end()?;
            }
            ensure!(Instant::now() < end, "pollers did not get in");
            std::thread::park_timeout(Duration::from_millis(1));
        }
        Ok(pollers)
    }

    /// Events that came, and polls that brought something.
    pub fn counts(&self) -> (u64, u64) {
        (self.counts.events.load(Relaxed), self.counts.polls.load(Relaxed))
    }

    /// Sends them away; fails if one was lost before.
    pub fn end(&mut self) -> anyhow::Result<()> {
        drop(self.stop.take());
        match self.thread.take().map(std::thread::JoinHandle::join) {
            Some(ended) => ended.map_err(|_| anyhow::anyhow!("the pollers' thread broke"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Pollers {
    fn drop(&mut self) {
        // Who wants to know how it ended has asked.
        let _ = self.end();
    }
}

async fn serve(
    address: SocketAddr,
    count: usize,
    room: &str,
    counts: Arc<Counts>,
    stopped: tokio::sync::oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let doors = Arc::new(Semaphore::new(ABREAST));
    let mut pollers = JoinSet::new();
    for number in 0..count {
        let token = token::sign_for_room(&format!("poller-{number}"), room)?;
        let (counts, doors) = (Arc::clone(&counts), Arc::clone(&doors));
        let room = room.to_owned();
        pollers.spawn_local(async move {
            let turn = doors.acquire_owned().await?;
            let mut poller = Poller::open(address).await?;
            poller.join(&token, &room).await?;
            counts.ready.fetch_add(1, Relaxed);
            drop(turn);
            loop {
                let answer = poller.poll().await?;
                let events = answer.matches("42[\"bench\"").count() as u64;
                counts.events.fetch_add(events, Relaxed);
                counts.polls.fetch_add(u64::from(events > 0), Relaxed);
                if answer.split('\x1e').any(|packet| packet == "2") {
                    poller.post("3").await?;
                }
            }
        });
    }
    tokio::select! {
        _ = stopped => Ok(()),
        Some(ended) = pollers.join_next() => ended?,
    }
}

struct Poller {
    http: Http,
    host: String,
    path: String,
}

impl Poller {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let http = Http::connect(address).await?;
        let path = "/socket.io/?EIO=4&transport=polling".to_owned();
        let mut this = Self { http, host: address.to_string(), path };
        let open = this.poll().await?;
        let open: serde_json::Value =
            serde_json::from_str(open.strip_prefix('0').unwrap_or_default())?;
        this.path.push_str("&sid=");
        this.path.push_str(open["sid"].as_str().context("no sid")?);
        Ok(this)
    }

    /// Comes in and joins a room; returns when that is confirmed.
    async fn join(&mut self, token: &str, room: &str) -> anyhow::Result<()> {
        self.post(&format!("40{{\"token\":\"{token}\"}}")).await?;
        while !self.poll().await?.contains("[\"connected\"") {}
        self.post(&format!("420[\"room:join\",\"{room}\"]")).await?;
        while !self.poll().await?.contains("430[") {}
        Ok(())
    }

    async fn poll(&mut self) -> anyhow::Result<String> {
        let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\n\r\n", self.path, self.host);
        self.ask(&request).await
    }

    async fn post(&mut self, body: &str) -> anyhow::Result<()> {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            self.path,
            self.host,
            body.len()
        );
        self.ask(&request).await.map(drop)
    }

    async fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        let answer = self.http.ask(request).await?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(answer.status == 200, "answered {}: {body}", answer.status);
        Ok(body)
    }
}
