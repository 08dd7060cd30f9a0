use std::{collections::VecDeque, net::SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use super::within;

/// A Socket.IO client over a WebSocket that speaks the wire by hand.
pub struct Client {
    stream: WebSocketStream<Box<dyn Wire>>,
    /// Events that came while something else was waited for.
    events: VecDeque<(String, Value)>,
    /// Every event since it was last looked at, with all its arguments.
    record: Vec<(String, Vec<Value>)>,
    asked: u64,
    /// As the JavaScript client remembers them: what it hands in to be recovered.
    pid: Value,
    offset: Value,
}

/// TCP, or TLS.
pub trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// What the server sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    Connected(Value),
    Refused(Value),
    Event(String, Value),
    Ack(u64, Value),
    /// DISCONNECT: do not come back.
    Disconnect,
    /// The transport was closed.
    Closed,
}

/// The HTTP answer to a handshake that was turned away.
#[derive(Debug)]
pub struct Refused {
    pub status: u16,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Client {
    pub async fn open(address: SocketAddr) -> Self {
        Self::try_open(address, "", &[]).await.expect("a connection")
    }

    /// For a server that may be gone at any moment.
    pub async fn connect_if_there(address: SocketAddr, auth: Value) -> Option<Self> {
        let stream = within(TcpStream::connect(address)).await.ok()?;
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let stream: Box<dyn Wire> = Box::new(stream);
        let (stream, _) = within(client_async(url, stream)).await.ok()?;
        let mut client = Self::on(stream);
        client.text().await?;
        within(client.stream.send(Message::text(format!("40{auth}")))).await.ok()?;
        matches!(client.packet().await, Packet::Connected(_)).then_some(client)
    }

    fn on(stream: WebSocketStream<Box<dyn Wire>>) -> Self {
        let events = VecDeque::new();
        Self { stream, events, record: Vec::new(), asked: 0, pid: Value::Null, offset: Value::Null }
    }

    /// What it says in CONNECT when it comes back, beside `auth`.
    pub fn coming_back(&self, mut auth: Value) -> Value {
        auth["pid"] = self.pid.clone();
        auth["offset"] = self.offset.clone();
        auth
    }

    /// Events that have come and that nobody has asked for.
    pub fn heard(&mut self) -> Vec<(String, Value)> {
        self.events.drain(..).collect()
    }

    /// Every event that has come since this was last called, with all its arguments.
    pub fn heard_with_meta(&mut self) -> Vec<(String, Vec<Value>)> {
        std::mem::take(&mut self.record)
    }

    /// The first two arguments of the next event of this name.
    pub async fn wait_with_meta(&mut self, name: &str) -> (Value, Value) {
        let data = self.wait(name).await;
        let found = self.record.iter().rev().find(|(event, args)| event == name && args[0] == data);
        (data, found.expect("it was recorded").1[1].clone())
    }

    /// The next event, or `None` if the connection has ended.
    pub async fn event_if_any(&mut self) -> Option<(String, Value)> {
        match self.next().await {
            Packet::Event(name, body) => Some((name, body)),
            Packet::Closed => None,
            other => panic!("{other:?}"),
        }
    }

    /// `query` is appended to the one that Socket.IO needs.
    pub async fn try_open(
        address: SocketAddr,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Refused> {
        let stream = within(TcpStream::connect(address)).await.expect("a listener");
        Self::upgrade(stream, address, query, headers).await
    }

    /// Through a proxy that says whom it speaks for.
    pub async fn try_open_from(address: SocketAddr, ips: &str) -> Result<Self, Refused> {
        Self::try_open(address, "", &[("x-forwarded-for", ips)]).await
    }

    /// As `open`, with a receive buffer that stays as small as it is: while nobody reads, little
    /// is on the way.
    pub async fn open_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8 << 10).expect("set");
        let stream = within(socket.connect(address)).await.expect("a listener");
        Self::upgrade(stream, address, "", &[]).await.expect("a connection")
    }

    /// On a stream that is there.
    pub async fn over(stream: impl Wire + 'static) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::upgrade(stream, address, "", &[]).await.expect("a connection")
    }

    async fn upgrade(
        stream: impl Wire + 'static,
        address: SocketAddr,
        query: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Refused> {
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket{query}");
        let mut request: Request<()> = url.into_client_request().expect("a request");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a header"));
        }
        let stream: Box<dyn Wire> = Box::new(stream);
        match within(client_async(request, stream)).await {
            Ok((stream, _)) => {
                let mut client = Self::on(stream);
                let open = client.text().await.expect("an open packet");
                assert!(open.starts_with('0'), "{open}");
                Ok(client)
            }
            Err(Error::Http(response)) => Err(Refused {
                status: response.status().as_u16(),
                retry_after: response
                    .headers()
                    .get("retry-after")
                    .map(|value| value.to_str().expect("text").to_owned()),
                body: response
                    .body()
                    .as_deref()
                    .and_then(|body| serde_json::from_slice(body).ok())
                    .unwrap_or_default(),
            }),
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn send(&mut self, text: impl Into<String>) {
        within(self.stream.send(Message::text(text.into()))).await.expect("sent");
    }

    /// CONNECT with what another connection has; gives the answer. Events that come before it stay in line.
    pub async fn resume(&mut self, auth: Value) -> Value {
        self.send(format!("40{auth}")).await;
        loop {
            match self.packet().await {
                Packet::Connected(data) => return data,
                Packet::Event(name, body) => self.events.push_back((name, body)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// CONNECT; the test fails if it is refused.
    pub async fn join(&mut self, auth: Value) {
        if let Err(refusal) = self.try_join(auth).await {
            panic!("refused: {refusal}");
        }
    }

    pub async fn try_join(&mut self, auth: Value) -> Result<Value, Value> {
        self.send(format!("40{auth}")).await;
        match self.packet().await {
            Packet::Connected(data) => Ok(data),
            Packet::Refused(data) => Err(data),
            other => panic!("{other:?}"),
        }
    }

    pub async fn emit(&mut self, name: &str, arg: Value) {
        self.send(format!("42{}", json!([name, arg]))).await;
    }

    /// Emits and gives what comes back in the acknowledgement.
    pub async fn ask(&mut self, name: &str, arg: Value) -> Value {
        self.asked += 1;
        self.send(format!("42{}{}", self.asked, json!([name, arg]))).await;
        loop {
            match self.packet().await {
                Packet::Ack(id, answer) => {
                    assert_eq!(id, self.asked);
                    return answer;
                }
                Packet::Event(name, body) => self.events.push_back((name, body)),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next event of this name; others stay in line.
    pub async fn wait(&mut self, name: &str) -> Value {
        if let Some(at) = self.events.iter().position(|(event, _)| event == name) {
            return self.events.remove(at).expect("it is there").1;
        }
        loop {
            match self.packet().await {
                Packet::Event(event, body) if event == name => return body,
                Packet::Event(event, body) => self.events.push_back((event, body)),
                other => panic!("waited for {name}: {other:?}"),
            }
        }
    }

    /// The next event, whatever it is.
    pub async fn event(&mut self) -> (String, Value) {
        match self.next().await {
            Packet::Event(name, body) => (name, body),
            other => panic!("{other:?}"),
        }
    }

    /// Everything that the server had sent when it answered a question asked now.
    pub async fn drain(&mut self) -> Vec<(String, Value)> {
        assert_eq!(self.ask("heartbeat", Value::Null).await["ok"], true);
        self.events.drain(..).collect()
    }

    /// As `packet`, but those in line come first.
    pub async fn next(&mut self) -> Packet {
        match self.events.pop_front() {
            Some((name, body)) => Packet::Event(name, body),
            None => self.packet().await,
        }
    }

    /// Reads to the end; gives the events, and whether a DISCONNECT came.
    pub async fn until_closed(&mut self) -> (Vec<(String, Value)>, bool) {
        let mut events: Vec<_> = self.events.drain(..).collect();
        let mut told = false;
        loop {
            match self.packet().await {
                Packet::Event(name, body) => events.push((name, body)),
                Packet::Disconnect => told = true,
                Packet::Closed => return (events, told),
                Packet::Ack(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next packet from the wire; pings are answered.
    pub async fn packet(&mut self) -> Packet {
        loop {
            let Some(text) = self.text().await else { return Packet::Closed };
            match text.as_bytes() {
                b"2" => self.send("3").await,
                b"1" => return Packet::Closed,
                [b'4', b'0', ..] => {
                    let data = json(&text[2..]);
                    self.pid = data["pid"].clone();
                    return Packet::Connected(data);
                }
                [b'4', b'1', ..] => return Packet::Disconnect,
                [b'4', b'4', ..] => return Packet::Refused(json(&text[2..])),
                [b'4', b'2', ..] => {
                    let mut args = json(&text[2..]);
                    let name = args[0].as_str().expect("a name").to_owned();
                    if let Some(offset) = args.as_array().and_then(|args| args.last()?.as_str()) {
                        self.offset = offset.into();
                    }
                    let all = args.as_array().map(|args| args[1..].to_vec());
                    self.record.push((name.clone(), all.unwrap_or_default()));
                    return Packet::Event(name, args[1].take());
                }
                [b'4', b'3', ..] => {
                    let at = text.find('[').expect("an answer");
                    let id = text[2..at].parse().expect("an id");
                    return Packet::Ack(id, json(&text[at..])[0].take());
                }
                _ => panic!("{text:?}"),
            }
        }
    }

    async fn text(&mut self) -> Option<String> {
        loop {
            match within(self.stream.next()).await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(other)) => panic!("{other:?}"),
            }
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|problem| panic!("{problem}: {text}"))
}
