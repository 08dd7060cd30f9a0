use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::Value;
use serde_json::value::RawValue;
use tidings_gateway::{
    ConnectError, DisconnectReason, Event, Frame, Kept, Namespace, Returning, Socket,
};

use super::{Server, Ws};

/// A namespace whose clients say who they are, and may come back as who they were.
#[derive(Default)]
pub struct Desk {
    pub ended: Mutex<Vec<DisconnectReason>>,
    /// Rooms that nobody may enter again.
    pub closed_rooms: Mutex<Vec<String>>,
    /// What those who came back had of what was marked.
    pub marks: Mutex<Vec<Option<u64>>>,
}

#[async_trait]
impl Namespace for Desk {
    async fn connect(
        &self,
        socket: &Arc<Socket>,
        auth: Option<Box<RawValue>>,
    ) -> Result<(), ConnectError> {
        let auth: Value =
            auth.and_then(|auth| serde_json::from_str(auth.get()).ok()).unwrap_or_default();
        if auth["hello"] == true {
            let _ = socket.emit(&Frame::event("hello", &[]).unrecoverable());
        }
        socket.set_data(Arc::new(auth["user"].as_str().unwrap_or_default().to_owned()));
        Ok(())
    }

    async fn recover(
        &self,
        socket: &Arc<Socket>,
        returning: &Returning,
    ) -> Result<Vec<String>, ()> {
        if socket.data::<String>() != returning.kept::<String>() || socket.recovered() {
            return Err(());
        }
        self.marks.lock().push(returning.mark());
        let closed = self.closed_rooms.lock();
        Ok(returning.rooms.iter().filter(|room| !closed.contains(room)).cloned().collect())
    }

    fn keep(&self, socket: &Arc<Socket>) -> Option<Kept> {
        socket.data::<String>().map(|user| user as Kept)
    }

    async fn connected(&self, socket: &Arc<Socket>) {
        let data = format!(r#"{{"recovered":{}}}"#, socket.recovered());
        let _ = socket.emit(&Frame::event("connected", &[&data]));
    }

    async fn event(&self, socket: &Arc<Socket>, event: Event) {
        let arg = event.args.first().map(|arg| arg.get().trim_matches('"').to_owned());
        match (&*event.name, arg) {
            ("join", Some(room)) => socket.join(&room),
            ("out", _) => return socket.disconnect(false),
            ("file", _) => {
                let file = Frame::event("file", &[r#"{"_placeholder":true,"num":0}"#])
                    .with_attachments(&event.attachments);
                let _ = socket.emit(&file);
                return;
            }
            _ => {}
        }
        if let Some(ack) = event.ack {
            let _ = ack.send("[]");
        } else {
            let _ = socket.emit(&Frame::event("done", &["\"poison\"", "1"]).unrecoverable());
        }
    }

    fn disconnected(&self, _: &Arc<Socket>, reason: DisconnectReason) {
        self.ended.lock().push(reason);
    }
}

/// A client with the rule of the JavaScript one: a last argument that is a string is the offset.
pub struct Peer {
    pub ws: Ws,
    pub sid: String,
    pub pid: String,
    pub offset: Option<String>,
    /// Names and first arguments of the events it got.
    pub events: Vec<(String, Value)>,
    /// Of those, how many came before the reply to CONNECT.
    pub early: usize,
    /// The offset of the first event.
    pub first: Option<String>,
}

impl Peer {
    pub async fn new(server: &Server, user: &str) -> Self {
        Self::open(server, &format!(r#"{{"user":"{user}"}}"#), None).await
    }

    async fn open(server: &Server, auth: &str, before: Option<Self>) -> Self {
        let mut ws = Ws::open(server).await;
        ws.send(&format!("40{auth}")).await;
        let offset = before.and_then(|before| before.offset);
        let mut peer = Self {
            ws,
            sid: String::new(),
            pid: String::new(),
            offset,
            events: Vec::new(),
            early: 0,
            first: None,
        };
        while peer.sid.is_empty() {
            peer.read().await;
        }
        peer.early = peer.events.len();
        peer.until("connected").await;
        peer
    }

    /// Comes back on another connection, whatever has become of this one.
    pub async fn back(self, server: &Server, user: &str) -> Self {
        let claim = self.claim(user);
        Self::open(server, &claim, Some(self)).await
    }

    pub async fn back_with(self, server: &Server, claim: &str) -> Self {
        Self::open(server, claim, Some(self)).await
    }

    pub fn claim(&self, user: &str) -> String {
        let offset = self.offset.as_deref().unwrap_or_default();
        format!(r#"{{"pid":"{}","offset":"{offset}","user":"{user}"}}"#, self.pid)
    }

    pub async fn read(&mut self) {
        let text = self.ws.text().await;
        if let Some(data) = text.strip_prefix("40") {
            let data: Value = serde_json::from_str(data).expect("JSON");
            let field = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
            (self.sid, self.pid) = (field("sid"), field("pid"));
        } else if let Some(at) = text.strip_prefix('4').and_then(|rest| rest.find('[')) {
            let mut args: Vec<Value> = serde_json::from_str(&text[at + 1..]).expect("JSON");
            let last = args.pop().expect("an offset");
            self.offset = Some(last.as_str().unwrap_or_else(|| panic!("none: {text}")).to_owned());
            self.first = self.first.take().or_else(|| self.offset.clone());
            let first = args.get(1).cloned().unwrap_or_default();
            self.events.push((args[0].as_str().expect("a name").to_owned(), first));
        }
    }

    pub async fn until(&mut self, name: &str) {
        while self.events.last().is_none_or(|(last, _)| last != name) {
            self.read().await;
        }
    }

    pub async fn join(&mut self, room: &str) {
        self.ws.send(&format!("42[\"join\",\"{room}\"]")).await;
        self.until("done").await;
    }

    /// What events called `n` brought, since the last time.
    pub fn numbers(&mut self) -> Vec<u64> {
        let events = std::mem::take(&mut self.events);
        events.iter().filter(|(name, _)| name == "n").filter_map(|(_, n)| n.as_u64()).collect()
    }

    pub fn is_recovered(&self) -> bool {
        self.events.iter().any(|(name, data)| name == "connected" && data["recovered"] == true)
    }
}
