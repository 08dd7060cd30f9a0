//! One connection: it opens, answers pings, and writes down what it gets.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Instant};

use anyhow::{Context as _, bail, ensure};
use tidings_load::wire as frames;
use tidings_protocol::websocket::Opcode;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    board::{Board, Receipt},
    wire,
};

/// Bytes read at once; one buffer for all connections.
const SCRATCH: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// How a connection gets in.
#[derive(Clone)]
pub(super) enum Hello {
    /// Socket.IO over a WebSocket, with this token.
    SocketIo { token: String },
    /// It is in as soon as it is accepted: frames follow.
    Bare,
    /// As `SocketIo`; then it joins a room, and sends what it is told to.
    InRoom { token: String, join: String, orders: Rc<Orders> },
}

/// Texts that a connection is to send.
#[derive(Default)]
pub(super) struct Orders {
    texts: RefCell<Vec<String>>,
    given: tokio::sync::Notify,
}

impl Orders {
    pub(super) fn give(&self, text: &str) {
        self.texts.borrow_mut().push(text.to_owned());
        self.given.notify_one();
    }
}

pub(super) struct Connection {
    client: usize,
    stream: TcpStream,
    started: Instant,
    /// Sent once the WebSocket is open.
    connect: Vec<u8>,
    /// What has arrived and is not a whole frame yet.
    rest: Vec<u8>,
    board: Rc<Board>,
    /// Of one in a room: what it says when it is connected.
    join: Option<String>,
    orders: Option<Rc<Orders>>,
}

impl Connection {
    /// Runs until the connection ends, which is always a failure: who wants it closed ends
    /// the task.
    pub(super) async fn run(address: SocketAddr, client: usize, hello: Hello, board: Rc<Board>) {
        let followed = Self::follow(address, client, hello, Rc::clone(&board)).await;
        if let Err(problem) = followed {
            board.failed(format!("{problem:#}"));
        }
    }

    async fn follow(
        address: SocketAddr,
        client: usize,
        hello: Hello,
        board: Rc<Board>,
    ) -> anyhow::Result<()> {
        let started = Instant::now();
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let rest = Vec::new();
        let connect = Vec::new();
        let (join, orders) = (None, None);
        let mut this = Self { client, stream, started, connect, rest, board, join, orders };
        match hello {
            Hello::SocketIo { token } => this.open(address, &token).await?,
            Hello::Bare => this.board.connected(started.elapsed()),
            Hello::InRoom { token, join, orders } => {
                (this.join, this.orders) = (Some(join), Some(orders));
                this.open(address, &token).await?;
            }
        }
        loop {
            this.handle_frames().await?;
            this.wait().await?;
        }
    }

    async fn open(&mut self, address: SocketAddr, token: &str) -> anyhow::Result<()> {
        self.connect = wire::connect(token);
        let request = wire::upgrade(&address.to_string());
        self.stream.write_all(request.as_bytes()).await?;
        self.read_answer().await
    }

    /// Returns when more has come; says meanwhile what it is told to.
    async fn wait(&mut self) -> anyhow::Result<()> {
        let Some(orders) = self.orders.clone() else { return self.read().await };
        loop {
            tokio::select! {
                read = self.stream.readable() => {
                    read?;
                    return self.read().await;
                }
                () = orders.given.notified() => {}
            }
            for text in orders.texts.take() {
                self.stream.write_all(&frames::text(&text)).await?;
            }
        }
    }

    /// Reads the answer to the handshake; what follows it stays in `rest`.
    async fn read_answer(&mut self) -> anyhow::Result<()> {
        loop {
            if let Some(end) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                let status = self.rest.get(9..12).unwrap_or_default();
                let status = String::from_utf8_lossy(status).into_owned();
                ensure!(status == "101", "the handshake was answered {status}");
                self.rest.drain(..end + 4);
                return Ok(());
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        loop {
            self.stream.readable().await?;
            let Self { stream, rest, .. } = self;
            let read = BUFFER.with_borrow_mut(|buffer| {
                let count = stream.try_read(buffer)?;
                rest.extend_from_slice(buffer.get(..count).unwrap_or_default());
                std::io::Result::Ok(count)
            });
            match read {
                Ok(0) => bail!("the server closed the connection"),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn handle_frames(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut used = 0;
        loop {
            let rest = self.rest.get(used..).unwrap_or_default();
            let Ok(next) = frames::frame(rest) else { bail!("the server sent no WebSocket frame") };
            let Some(frame) = next else { break };
            used += frame.length;
            match frame.opcode {
                Opcode::Text => {}
                Opcode::Close => {
                    bail!("the server closed: {}", String::from_utf8_lossy(frame.payload))
                }
                _ => continue,
            }
            let took = now - self.started;
            self.board.heard(self.client, frame.payload, frame.length, now);
            match frame.payload {
                [b'0', ..] => {
                    self.board.opened.borrow_mut().upgraded.add(took);
                    self.stream.write_all(&self.connect).await?;
                    self.connect = Vec::new();
                }
                [b'2'] => self.stream.write_all(&frames::text("3")).await?,
                [b'4', b'0', ..] => self.board.opened.borrow_mut().joined.add(took),
                [b'4', b'4', ..] => bail!("refused: {}", String::from_utf8_lossy(frame.payload)),
                payload if payload.starts_with(b"42[\"connected\"") => {
                    self.board.connected(took);
                    if let Some(join) = self.join.take() {
                        self.stream.write_all(&frames::text(&join)).await?;
                    }
                }
                payload if payload.starts_with(b"42[\"notification\",") => {
                    self.board.frame_bytes.set(frame.length);
                    if let Some(number) = wire::number(payload) {
                        self.board.received(Receipt { number, client: self.client, at: now });
                    }
                }
                // The counter that follows each notification, pending ones, and the like.
                _ => {}
            }
        }
        self.rest.drain(..used);
        Ok(())
    }
}
