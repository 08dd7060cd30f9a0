//! Messages that clients of ours emit, for servers that pass them on.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tidings_protocol::socketio;

use crate::{
    engine::Engine,
    ledger::UNICAST,
    mark::Mark,
    socket::Stage,
    template::{Template, Values},
    wire,
};

/// An event that clients of ours emit, and the server passes on.
#[derive(Debug, Clone)]
pub struct Emit {
    pub event: String,
    pub argument: Template,
    pub namespace: String,
    pub room: String,
    pub fill: String,
    pub users: Arc<Vec<String>>,
}

impl Emit {
    fn frame(&self, number: usize, mark: Mark) -> Vec<u8> {
        let user = self.users.get(number).map_or("", String::as_str);
        let values = Values {
            number,
            user,
            room: &self.room,
            mark: Some(mark),
            fill: &self.fill,
            token: "",
        };
        let name = serde_json::Value::from(self.event.as_str());
        let data = format!("[{name},{}]", self.argument.render(&values));
        wire::text(&format!("4{}", socketio::encode_event(&self.namespace, None, &data, 0)))
    }
}

impl Engine {
    pub(crate) fn emit(&mut self, emit: &Emit, to: Option<usize>, due: u64, turn: u64) {
        let index = to.map_or(turn, |to| to as u64) % self.senders.len().max(1) as u64;
        let index = usize::try_from(index).unwrap_or(0);
        let place = self.senders.get(index).copied().unwrap_or(usize::MAX);
        let (sockets, _, mut room) = self.parts();
        let sender = sockets.get_mut(place).filter(|socket| socket.stage == Stage::Ready);
        let Some(socket) = sender else {
            return room.tally.not_taken.add("the client that emits is not connected");
        };
        let own = |to: usize| UNICAST + u32::try_from(to).unwrap_or(0);
        let stream = to.map_or(u32::try_from(index).unwrap_or(0), own);
        let mark = Mark { number: room.ledger.take(stream), due, stream };
        let deliveries = if to.is_some() { 1 } else { room.ledger.members.load(Relaxed) };
        room.ledger.expected.fetch_add(deliveries, Relaxed);
        room.tally.lateness.add(room.clock.now().saturating_sub(due));
        let frame = emit.frame(to.unwrap_or(0), mark);
        if let Err(reason) = socket.send(&frame) {
            socket.end(reason, &mut room);
        }
    }
}
