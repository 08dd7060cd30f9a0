use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use super::{Answer, within};

/// A Socket.IO client that polls by hand, from an address of its own.
pub struct Polling {
    http: reqwest::Client,
    server: SocketAddr,
    pub from: Ipv4Addr,
    pub sid: String,
    /// As a browser keeps it.
    pub cookie: Option<String>,
}

impl Polling {
    pub async fn open(server: SocketAddr, from: Ipv4Addr) -> Self {
        let mut client =
            Self { http: caller(from), server, from, sid: String::new(), cookie: None };
        let answer = client.poll_once().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let open = answer.text.strip_prefix('0').expect("an open packet");
        let open: Value = serde_json::from_str(open).expect("JSON");
        assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
        client.sid = open["sid"].as_str().expect("a sid").to_owned();
        let cookie = answer.header("set-cookie").split(';').next().filter(|text| !text.is_empty());
        client.cookie = cookie.map(str::to_owned);
        client
    }

    /// Another way to the network.
    pub fn move_to(&mut self, from: Ipv4Addr) {
        self.http = caller(from);
        self.from = from;
    }

    fn path(&self, transport: &str) -> String {
        let session =
            if self.sid.is_empty() { String::new() } else { format!("&sid={}", self.sid) };
        format!("/socket.io/?EIO=4&transport={transport}{session}")
    }

    fn request(&self, method: http::Method) -> reqwest::RequestBuilder {
        let url = format!("http://{}{}", self.server, self.path("polling"));
        let request = self.http.request(method, url);
        match &self.cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        }
    }

    pub async fn poll_once(&self) -> Answer {
        Answer::of(self.request(http::Method::GET)).await
    }

    pub async fn say(&self, packet: impl Into<String>) -> Answer {
        Answer::of(self.request(http::Method::POST).body(packet.into())).await
    }

    /// CONNECT; returns when everything that waited has come.
    pub async fn join(&self, auth: &Value) -> Value {
        let answer = self.say(format!("40{auth}")).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "ok"));
        self.wait("notifications:pending").await
    }

    /// Polls until this event comes.
    pub async fn wait(&self, name: &str) -> Value {
        within(async {
            loop {
                let answer = self.poll_once().await;
                assert_eq!(answer.status, 200, "{}", answer.text);
                for packet in answer.text.split('\x1e') {
                    if packet == "2" {
                        self.say("3").await;
                    }
                    if let Some(body) = event(packet, name) {
                        return body;
                    }
                }
            }
        })
        .await
    }

    /// Goes over to a WebSocket.
    pub async fn upgrade(self) -> Upgraded {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((self.from, 0).into()).expect("bound");
        let stream = within(socket.connect(self.server)).await.expect("a listener");
        let url = format!("ws://{}{}", self.server, self.path("websocket"));
        let mut request = url.into_client_request().expect("a request");
        if let Some(cookie) = &self.cookie {
            request.headers_mut().insert("cookie", cookie.parse().expect("a header"));
        }
        let (mut socket, _) = within(client_async(request, stream)).await.expect("a WebSocket");
        within(socket.send(Message::text("2probe"))).await.expect("sent");
        let answer = within(socket.next()).await.expect("open").expect("a message");
        assert_eq!(answer, Message::text("3probe"));
        // A poll that is under way ends by then, and no other begins.
        within(socket.send(Message::text("5"))).await.expect("sent");
        Upgraded(socket)
    }
}

/// One that has gone over.
pub struct Upgraded(WebSocketStream<TcpStream>);

impl Upgraded {
    pub async fn wait(&mut self, name: &str) -> Value {
        loop {
            let message = within(self.0.next()).await.expect("open").expect("a message");
            let text = message.into_text().expect("text");
            if text == "2" {
                within(self.0.send(Message::text("3"))).await.expect("sent");
            }
            if let Some(body) = event(&text, name) {
                return body;
            }
        }
    }
}

/// What an EVENT packet of this name carries.
fn event(packet: &str, name: &str) -> Option<Value> {
    let mut arguments: Value = serde_json::from_str(packet.strip_prefix("42")?).expect("JSON");
    (arguments[0] == name).then(|| arguments[1].take())
}

fn caller(from: Ipv4Addr) -> reqwest::Client {
    let http = reqwest::Client::builder().no_proxy().local_address(Some(from.into()));
    http.build().expect("a client")
}
