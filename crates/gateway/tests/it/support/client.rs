use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Server;

/// Everything a test waits for comes long before this, or never.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}

/// Waits for something that nothing announces.
pub async fn eventually(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// What a client speaks on: TCP, or TLS.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn connect(address: SocketAddr) -> Result<TcpStream, tungstenite::Error> {
    let stream = within(TcpStream::connect(address)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection with a receive buffer that stays as small as it is.
pub async fn narrow(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(8 << 10).expect("set");
    within(socket.connect(server.address)).await.expect("connected")
}

/// A WebSocket client that speaks Engine.IO by hand.
pub struct Ws {
    stream: WebSocketStream<Box<dyn Stream>>,
}

impl Ws {
    pub async fn try_open(address: SocketAddr, query: &str) -> Result<Self, tungstenite::Error> {
        Self::try_plain(address, &format!("/socket.io/?{query}")).await
    }

    pub async fn try_plain(address: SocketAddr, path: &str) -> Result<Self, tungstenite::Error> {
        Self::over(connect(address).await?, path).await
    }

    /// On a stream that is there.
    pub async fn over(
        stream: impl Stream + 'static,
        path: &str,
    ) -> Result<Self, tungstenite::Error> {
        let stream: Box<dyn Stream> = Box::new(stream);
        let (stream, _) = within(client_async(format!("ws://localhost{path}"), stream)).await?;
        Ok(Self { stream })
    }

    /// A plain WebSocket, without anything above it.
    pub async fn plain(server: &Server, path: &str) -> Self {
        Self::try_plain(server.address, path).await.expect("a WebSocket")
    }

    /// A WebSocket whose frames are written by hand.
    pub async fn plain_raw(server: &Server, path: &str) -> Raw {
        let stream = connect(server.address).await.expect("connected");
        let upgraded = within(client_async(format!("ws://localhost{path}"), stream)).await;
        Raw(upgraded.expect("a WebSocket").0.into_inner())
    }

    /// A session that has got its open packet.
    pub async fn open(server: &Server) -> Self {
        let mut ws = Self::bare(server, "EIO=4&transport=websocket").await;
        assert!(ws.text().await.starts_with('0'));
        ws
    }

    pub async fn bare(server: &Server, query: &str) -> Self {
        Self::try_open(server.address, query).await.expect("a WebSocket")
    }

    /// A socket connected to `/`; returns its id too.
    pub async fn connect(server: &Server) -> (Self, String) {
        let mut ws = Self::open(server).await;
        let id = ws.join_namespace("40").await;
        (ws, id)
    }

    /// As `connect`, with a receive buffer that stays as small as it is: when it does not read, little is on the way.
    pub async fn connect_narrow(server: &Server) -> (Self, String) {
        Self::join_over(narrow(server).await).await
    }

    /// A socket connected to `/` on a stream that is there.
    pub async fn join_over(stream: impl Stream + 'static) -> (Self, String) {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let mut ws = Self::over(stream, path).await.expect("a WebSocket");
        assert!(ws.text().await.starts_with('0'));
        let id = ws.join_namespace("40").await;
        (ws, id)
    }

    /// Sends a CONNECT and takes the reply and the `auth` event.
    pub async fn join_namespace(&mut self, connect: &str) -> String {
        self.send(connect).await;
        let reply = self.told().await;
        let at = reply.find('{').unwrap_or_else(|| panic!("{reply:?}"));
        let data: Value = serde_json::from_str(&reply[at..]).expect("JSON");
        assert_eq!(data.as_object().expect("an object").len(), 1, "only the sid: {data}");
        assert!(self.told().await.contains("[\"auth\""));
        data["sid"].as_str().expect("a sid").to_owned()
    }

    pub async fn send(&mut self, text: &str) {
        within(self.stream.send(Message::text(text))).await.expect("sent");
    }

    /// As `send`, but the server may have closed.
    pub async fn try_send(&mut self, message: Message) -> Result<(), tungstenite::Error> {
        within(self.stream.send(message)).await
    }

    pub async fn send_binary(&mut self, bytes: &[u8]) {
        let message = Message::binary(Bytes::copy_from_slice(bytes));
        within(self.stream.send(message)).await.expect("sent");
    }

    pub async fn message(&mut self) -> Option<Message> {
        within(self.stream.next()).await.and_then(Result::ok)
    }

    /// The next text, whatever it is.
    pub async fn text(&mut self) -> String {
        match self.message().await {
            Some(Message::Text(text)) => text.to_string(),
            other => panic!("no text but {other:?}"),
        }
    }

    /// The next text that is no ping. Pings are answered, as clients do: one may come at any moment.
    pub async fn told(&mut self) -> String {
        loop {
            match self.message().await {
                Some(Message::Text(ping)) if ping == "2" => self.send("3").await,
                Some(Message::Text(text)) => return text.to_string(),
                // Reading it answered it.
                Some(Message::Ping(_)) => {}
                other => panic!("no text but {other:?}"),
            }
        }
    }

    pub async fn binary(&mut self) -> Vec<u8> {
        match self.message().await {
            Some(Message::Binary(bytes)) => bytes.to_vec(),
            other => panic!("no binary message but {other:?}"),
        }
    }

    /// Reads until the server closes; what it sent before, and its close frame if there was one.
    pub async fn closed(&mut self) -> (Vec<String>, Option<CloseFrame>) {
        let mut before = Vec::new();
        let mut frame = None;
        while let Some(message) = self.message().await {
            match message {
                Message::Text(text) => before.push(text.to_string()),
                Message::Close(close) => frame = close,
                _ => {}
            }
        }
        (before, frame)
    }

    pub async fn close(mut self) {
        let _ = within(self.stream.close(None)).await;
    }
}

/// A TCP stream that was made a WebSocket.
pub struct Raw(TcpStream);

impl Raw {
    pub async fn send(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.expect("sent");
    }

    /// Reads to the end; the code of the close frame, which comes last and has a short reason.
    pub async fn close_code(&mut self) -> u16 {
        let mut bytes = Vec::new();
        within(self.0.read_to_end(&mut bytes)).await.expect("closed properly");
        let at = bytes.iter().position(|byte| *byte == 0x88).expect("a close frame");
        u16::from_be_bytes([bytes[at + 2], bytes[at + 3]])
    }
}

/// A long-polling client.
pub struct Poller {
    client: reqwest::Client,
    pub url: String,
}

impl Poller {
    pub async fn open(server: &Server) -> Self {
        Self::open_with(server, reqwest::Client::new()).await
    }

    pub async fn open_with(server: &Server, client: reqwest::Client) -> Self {
        let url = server.url("EIO=4&transport=polling");
        let open = within(client.get(&url).send()).await.expect("answered");
        assert_eq!(open.status(), 200);
        let open = within(open.text()).await.expect("text");
        let data: Value = serde_json::from_str(&open[1..]).expect("JSON");
        let url = format!("{url}&sid={}", data["sid"].as_str().expect("a sid"));
        Self { client, url }
    }

    /// Connected to `/`.
    pub async fn connect(server: &Server) -> Self {
        Self::connect_with(server, reqwest::Client::new()).await
    }

    pub async fn connect_with(server: &Server, client: reqwest::Client) -> Self {
        let poller = Self::open_with(server, client).await;
        assert_eq!(poller.post("40").await, (200, "ok".into()));
        let mut told = false;
        while !told {
            let (status, body) = poller.poll().await;
            assert_eq!(status, 200, "{body}");
            for packet in body.split('\x1e') {
                told |= packet.starts_with("42[\"auth\"");
                // A ping may come at any moment.
                match packet {
                    "2" => assert_eq!(poller.post("3").await.0, 200),
                    other => assert!(other.starts_with('4') && !other.starts_with("44"), "{body}"),
                }
            }
        }
        poller
    }

    pub fn sid(&self) -> &str {
        self.url.rsplit('=').next().expect("a sid")
    }

    pub async fn poll(&self) -> (u16, String) {
        let response = within(self.client.get(&self.url).send()).await.expect("answered");
        (response.status().as_u16(), within(response.text()).await.expect("text"))
    }

    /// A poll on its way, on a connection of its own.
    pub fn polling(&self) -> tokio::task::JoinHandle<(u16, String)> {
        let asking = self.client.get(&self.url).send();
        tokio::spawn(async move {
            let response = asking.await.expect("answered");
            (response.status().as_u16(), response.text().await.expect("text"))
        })
    }

    pub async fn post(&self, body: impl Into<reqwest::Body>) -> (u16, String) {
        let response =
            within(self.client.post(&self.url).body(body).send()).await.expect("answered");
        (response.status().as_u16(), within(response.text()).await.expect("text"))
    }
}
