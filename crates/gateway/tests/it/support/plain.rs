use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tidings_gateway::{DisconnectReason, Frame, Plain, PlainError, PlainMessage, PlainSocket};

use super::{Call, Recorder};

#[async_trait]
impl Plain for Recorder {
    async fn opened(&self, socket: &Arc<PlainSocket>) {
        if socket.is_stream() {
            socket.authenticated();
            let room = socket.handshake().query_param("room");
            room.into_iter().for_each(|room| socket.join(&room));
        }
        let _ = socket.emit(&Frame::event("welcome", &[r#"{"connectionId":1}"#]));
    }

    async fn message(&self, socket: &Arc<PlainSocket>, message: Result<PlainMessage, PlainError>) {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                self.record(Call::Bad(error));
                let error = format!(r#"{{"message":"{error}"}}"#);
                let _ = socket.emit(&Frame::event("error", &[&error]));
                return;
            }
        };
        let body: Value = serde_json::from_str(message.body.get()).expect("JSON");
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        match &*message.kind {
            "auth" => {
                socket.authenticated();
                let _ = socket.emit(&Frame::event("ready", &[]));
            }
            "join" => {
                socket.join(&text("room"));
                let _ = socket.emit(&Frame::event("joined", &["{}"]));
            }
            "wait" => self.gate.notified().await,
            "close" => socket.close(4000, &text("reason")),
            "leave-me" => socket.disconnect(false),
            "panic" => panic!("asked for by a test"),
            _ => {}
        }
        self.record(Call::Message(message.kind, message.body.get().to_owned()));
    }

    fn closed(&self, _: &Arc<PlainSocket>, reason: DisconnectReason) {
        self.record(Call::Disconnected(reason));
    }

    fn overflowed(&self, _: &Arc<PlainSocket>) {
        self.record(Call::Overflowed);
    }

    async fn drained(&self, _: &Arc<PlainSocket>) {
        self.record(Call::Drained);
    }
}
