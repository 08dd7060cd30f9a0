//! HTTP/1.1 on a connection that stays open, as a server of the application would post.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// One connection.
pub struct Http {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// From when the request was handed to the kernel to the last byte of the answer.
    pub took: Duration,
}

impl Http {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends a whole request and waits for its answer.
    pub async fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        let sent = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        loop {
            let answer = tidings_load::answer(&self.received)
                .map_err(|_| anyhow!("the answer is no HTTP"))?;
            if let Some(answer) = answer {
                let (status, body, length) = (answer.status, answer.body.to_vec(), answer.length);
                self.received.drain(..length);
                return Ok(Answer { status, body, took: sent.elapsed() });
            }
            let more = self.stream.read_buf(&mut self.received).await?;
            ensure!(more > 0, "the server closed the connection before it answered");
        }
    }
}
