use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

use super::{TestServer, within};

/// A client of the plain WebSocket endpoint that speaks JSON.
pub struct Plain(pub WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Plain {
    /// Opens a WebSocket and hears the welcome.
    pub async fn open(server: &TestServer, path: &str) -> Self {
        match Self::try_open(server, path).await {
            Ok(plain) => plain,
            Err(status) => panic!("refused with {status}"),
        }
    }

    /// `Err` is the status of the answer.
    pub async fn try_open(server: &TestServer, path: &str) -> Result<Self, u16> {
        let url = format!("ws://{}{path}", server.address);
        let mut plain = match within(connect_async(url)).await {
            Ok((socket, _)) => Self(socket),
            Err(Error::Http(response)) => return Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        };
        let welcome = plain.next().await.expect("a welcome");
        assert_eq!(welcome["type"], "welcome");
        assert!(welcome["connectionId"].is_string() && welcome["timestamp"].is_string());
        Ok(plain)
    }

    pub async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }

    /// The next message; `Err` is the close code.
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("JSON"));
                }
                Some(Ok(Message::Close(Some(frame)))) => return Err(frame.code.into()),
                Some(Ok(_)) => {}
                other => panic!("the connection broke: {other:?}"),
            }
        }
    }

    /// The next message of a type; others before it are passed over.
    pub async fn hear(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.expect("open");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The code that the server closes with.
    pub async fn end(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}
