use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex as Lock;
use serde_json::json;
use serde_json::value::RawValue;
use tidings_gateway::{
    ConnectError, DisconnectReason, Event, Frame, Gateway, Namespace, PlainError, Socket, Target,
};
use tokio::sync::{Mutex, Notify, mpsc};

use super::within;

/// What a handler was called with.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Connect(String),
    Connected,
    Event(String, String),
    Disconnected(DisconnectReason),
    Overflowed,
    /// Of a plain client.
    Message(String, String),
    Bad(PlainError),
    Drained,
    /// The end of something that waited inside a handler.
    Done(String),
}

/// A namespace that does what its clients ask for and keeps a record.
pub struct Recorder {
    calls: mpsc::UnboundedSender<Call>,
    called: Mutex<mpsc::UnboundedReceiver<Call>>,
    /// Handlers that were told to wait, wait for this.
    pub gate: Notify,
    gateway: OnceLock<Gateway>,
    pub sockets: Lock<Vec<Weak<Socket>>>,
}

impl Recorder {
    pub fn new() -> Arc<Self> {
        let (calls, called) = mpsc::unbounded_channel();
        Arc::new(Self {
            calls,
            called: Mutex::new(called),
            gate: Notify::new(),
            gateway: OnceLock::new(),
            sockets: Lock::default(),
        })
    }

    pub fn attach(&self, gateway: &Gateway) {
        let _ = self.gateway.set(gateway.clone());
    }

    pub(super) fn record(&self, call: Call) {
        let _ = self.calls.send(call);
    }

    pub async fn next(&self) -> Call {
        within(async { self.called.lock().await.recv().await }).await.expect("a call")
    }

    /// Everything up to `last`, which is waited for.
    pub async fn until(&self, last: Call) -> Vec<Call> {
        let mut calls = Vec::new();
        while calls.last() != Some(&last) {
            calls.push(self.next().await);
        }
        calls
    }

    /// What was recorded up to now.
    pub async fn drain(&self) -> Vec<Call> {
        let mut called = self.called.lock().await;
        std::iter::from_fn(|| called.try_recv().ok()).collect()
    }

    async fn message(&self, socket: &Arc<Socket>, event: Event) {
        let args: Vec<&str> = event.args.iter().map(|arg| arg.get()).collect();
        let text = |n: usize| -> String {
            args.get(n).and_then(|arg| serde_json::from_str(arg).ok()).unwrap_or_default()
        };
        match &*event.name {
            "message" => {
                let back = Frame::event("message-back", &args).with_attachments(&event.attachments);
                let _ = socket.emit(&back);
            }
            "message-with-ack" => {
                if let Some(ack) = event.ack {
                    let _ = ack.send_with(&format!("[{}]", args.join(",")), &event.attachments);
                }
            }
            "join" => {
                socket.join(&text(0));
                let _ = socket.emit(&Frame::event("joined", &[]));
            }
            "leave" => {
                socket.leave(&text(0));
                let _ = socket.emit(&Frame::event("left", &[]));
            }
            "shout" => {
                // To a room ("" is all), except a room or socket.
                let (room, except) = (text(0), text(1));
                let rooms: Vec<&str> = room.split(' ').filter(|room| !room.is_empty()).collect();
                let except: Vec<&str> = except.split(' ').filter(|room| !room.is_empty()).collect();
                let target = Target::rooms(&rooms).except(&except);
                let gateway = self.gateway.get().expect("attached");
                let count =
                    gateway.to(socket.namespace(), target).emit(&Frame::event("heard", &args[2..]));
                let _ = socket.emit(&Frame::event("shouted", &[&count.to_string()]));
            }
            "wait" => {
                self.gate.notified().await;
                self.record(Call::Done(format!("wait {}", socket.is_connected())));
            }
            "ask" | "ask-briefly" => {
                let patience = match &*event.name {
                    "ask" => Duration::from_secs(60),
                    _ => Duration::from_millis(500),
                };
                let answer = socket.emit_with_ack("question", &["1"], patience).await;
                let answer = match answer {
                    Ok(args) => args.iter().map(|arg| arg.get()).collect::<Vec<_>>().join(","),
                    Err(error) => error.to_string(),
                };
                self.record(Call::Done(answer));
            }
            "leave-me" => socket.disconnect(false),
            "go-away" => socket.disconnect(true),
            "come-back" => socket.close_transport(DisconnectReason::Replaced),
            "panic" => panic!("asked for by a test"),
            _ => {}
        }
    }
}

#[async_trait]
impl Namespace for Recorder {
    async fn connect(
        &self,
        socket: &Arc<Socket>,
        auth: Option<Box<RawValue>>,
    ) -> Result<(), ConnectError> {
        let auth = auth.map(|auth| auth.get().to_owned()).unwrap_or_default();
        self.record(Call::Connect(auth.clone()));
        if auth.contains("wait") {
            self.gate.notified().await;
        }
        if auth.contains("refuse") {
            let data = json!({ "code": "AUTH_FAILED" });
            return Err(ConnectError::with_data("Authentication failed", data));
        }
        socket.set_data(Arc::new(auth));
        self.sockets.lock().push(Arc::downgrade(socket));
        Ok(())
    }

    async fn connected(&self, socket: &Arc<Socket>) {
        self.record(Call::Connected);
        let auth = socket.data::<String>().filter(|auth| !auth.is_empty());
        let auth = auth.map_or_else(|| "{}".to_owned(), |auth| (*auth).clone());
        let _ = socket.emit(&Frame::event("auth", &[&auth]));
    }

    async fn event(&self, socket: &Arc<Socket>, event: Event) {
        let args = event.args.iter().map(|arg| arg.get()).collect::<Vec<_>>().join(",");
        self.record(Call::Event(event.name.clone(), args));
        self.message(socket, event).await;
    }

    fn disconnected(&self, _: &Arc<Socket>, reason: DisconnectReason) {
        self.record(Call::Disconnected(reason));
    }

    fn overflowed(&self, _: &Arc<Socket>) {
        self.record(Call::Overflowed);
    }

    async fn drained(&self, _: &Arc<Socket>) {
        self.record(Call::Drained);
    }
}
