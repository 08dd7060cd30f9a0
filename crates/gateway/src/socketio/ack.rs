//! Acknowledgements, both ways.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_protocol::socketio::{self, Packet};
use tokio::sync::oneshot;

use crate::frame::Frame;
use crate::namespace::{AckError, SendError};

use super::socket::Socket;

/// Answers one event, once. Dropping it answers nothing.
pub struct AckSender {
    socket: Arc<Socket>,
    id: u64,
}

impl AckSender {
    pub(super) fn new(socket: &Arc<Socket>, id: u64) -> Self {
        Self { socket: socket.clone(), id }
    }

    /// `args` is the JSON array of the callback's arguments.
    pub fn send(self, args: &str) -> Result<(), SendError> {
        self.send_with(args, &[])
    }

    pub fn send_values(self, args: &[impl Serialize]) -> Result<(), SendError> {
        match serde_json::to_string(args) {
            Ok(args) => self.send(&args),
            // A value that is no JSON (a map with odd keys) is our own mistake; the client hears nothing.
            Err(error) => {
                tracing::error!(%error, "an acknowledgement cannot be encoded");
                Ok(())
            }
        }
    }

    /// As `send`, with the attachments that the placeholders in `args` stand for.
    pub fn send_with(self, args: &str, attachments: &[Bytes]) -> Result<(), SendError> {
        let packet =
            socketio::encode_ack(self.socket.namespace(), self.id, args, attachments.len());
        self.socket.send_packet(&Frame::text_with(&["4", &packet], attachments))
    }
}

impl fmt::Debug for AckSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AckSender").field(&self.id).finish()
    }
}

/// What a client said to an event of ours.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// As sent, each a JSON text; placeholders of attachments are untouched.
    pub args: Vec<Box<RawValue>>,
    pub attachments: Vec<Bytes>,
}

impl Socket {
    /// Sends an event and waits for its acknowledgement. `args` are JSON texts. A plain client
    /// cannot acknowledge: it counts as closed.
    pub async fn emit_with_ack(
        self: &Arc<Self>,
        name: &str,
        args: &[&str],
        timeout: Duration,
    ) -> Result<Vec<Box<RawValue>>, AckError> {
        let asked = self.ask(&Frame::event(name, args))?;
        asked.answer(timeout).await.map(|said| said.args)
    }

    /// The same with an event that is encoded already, for many to share, and with attachments both ways. It is sent
    /// when this returns.
    pub fn ask(self: &Arc<Self>, frame: &Frame) -> Result<Asked, AckError> {
        if self.is_plain() {
            return Err(AckError::Closed);
        }
        let (id, answered) = self.waiting.begin()?;
        let asked = Asked { socket: self.clone(), id, answered };
        let asking = frame.in_namespace(self.namespace()).asking(id);
        self.send_packet(&asking).map_err(|error| match error {
            SendError::Closed => AckError::Closed,
            SendError::Full => AckError::Full,
        })?;
        self.session().gateway.metrics.message_sent(frame.name(), 1);
        Ok(asked)
    }

    pub(super) fn acknowledged(&self, id: u64, packet: Packet) {
        if let Some(answer) = self.waiting.end(id) {
            let args = packet.args().into_iter().map(ToOwned::to_owned).collect();
            // Whoever asked may have given up just now.
            let _ = answer.send(Acknowledged { args, attachments: packet.attachments });
        }
    }
}

/// An event that was sent and waits to be acknowledged. Who drops it waits no more.
pub struct Asked {
    socket: Arc<Socket>,
    id: u64,
    answered: Answered,
}

impl Asked {
    pub async fn answer(mut self, timeout: Duration) -> Result<Acknowledged, AckError> {
        match tokio::time::timeout(timeout, &mut self.answered).await {
            Ok(Ok(said)) => Ok(said),
            Ok(Err(_)) => Err(AckError::Closed),
            Err(_) => Err(AckError::Timeout),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.socket.waiting.end(self.id);
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asked").field(&self.id).finish()
    }
}

/// Acknowledgements that one socket may owe us.
const MAX_WAITING: usize = 1_024;

type Answer = oneshot::Sender<Acknowledged>;
type Answered = oneshot::Receiver<Acknowledged>;

/// The events of ours that wait for an acknowledgement. Nothing is allocated until there is one.
#[derive(Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Default)]
struct State {
    owed: Option<Box<Owed>>,
    closed: bool,
}

#[derive(Default)]
struct Owed {
    next: u64,
    /// Few at a time: a list takes less than a map.
    answers: Vec<(u64, Answer)>,
}

impl Waiting {
    /// An id and what will bring its answer.
    pub(super) fn begin(&self) -> Result<(u64, Answered), AckError> {
        let mut state = self.0.lock();
        if state.closed {
            return Err(AckError::Closed);
        }
        let owed = state.owed.get_or_insert_default();
        if owed.answers.len() >= MAX_WAITING {
            return Err(AckError::Full);
        }
        let id = owed.next;
        owed.next += 1;
        let (answer, answered) = oneshot::channel();
        owed.answers.push((id, answer));
        Ok((id, answered))
    }

    /// Takes an answer out; an unknown id is a late one, and ignored.
    pub(super) fn end(&self, id: u64) -> Option<Answer> {
        let mut state = self.0.lock();
        let owed = state.owed.as_mut()?;
        let at = owed.answers.iter().position(|(other, _)| *other == id)?;
        Some(owed.answers.swap_remove(at).1)
    }

    /// Fails all of them.
    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        let owed = state.owed.take();
        drop(state);
        drop(owed);
    }
}
