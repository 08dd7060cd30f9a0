//! Bare Engine.IO, without Socket.IO on top.

use std::sync::Arc;

use tidings_gateway::{DisconnectReason, Engine, Message, Session};
use tokio::sync::mpsc;

use crate::support::{Poller, Server, Ws, config, within};

/// Echoes and tells what happens.
struct Echo(mpsc::UnboundedSender<String>);

impl Engine for Echo {
    fn opened(&self, session: &Arc<Session>) {
        let _ = self.0.send(format!("opened {}", session.transport()));
    }

    fn message(&self, session: &Arc<Session>, message: Message) {
        let sent = match message {
            Message::Text(text) if text == "close" => {
                session.close_transport(DisconnectReason::Replaced);
                Ok(())
            }
            Message::Text(text) => session.send_text(&text),
            Message::Binary(bytes) => session.send_binary(&bytes),
        };
        assert!(sent.is_ok());
    }

    fn closed(&self, session: &Arc<Session>, reason: DisconnectReason) {
        let _ = self.0.send(format!("closed {reason} {}", session.is_open()));
    }
}

#[tokio::test]
async fn messages_both_ways_on_both_transports() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::build(config(), |builder| builder.engine(Arc::new(Echo(tell))));
    let mut next = async || within(told.recv()).await.expect("told");

    let mut ws = Ws::open(&server).await;
    assert_eq!(next().await, "opened websocket");
    ws.send("4hello").await;
    assert_eq!(ws.text().await, "4hello");
    ws.send_binary(&[1, 2]).await;
    assert_eq!(ws.binary().await, [1, 2]);
    ws.send("4close").await;
    assert!(ws.closed().await.1.is_some());
    assert_eq!(next().await, "closed replaced false");

    let poller = Poller::open(&server).await;
    assert_eq!(next().await, "opened polling");
    assert_eq!(poller.post("4a\x1ebAQIDBA==\x1e4b").await, (200, "ok".into()));
    assert_eq!(poller.poll().await, (200, "4a\x1ebAQIDBA==\x1e4b".into()));
    assert_eq!(poller.post("1").await.0, 200);
    assert_eq!(next().await, "closed transport close false");
}
