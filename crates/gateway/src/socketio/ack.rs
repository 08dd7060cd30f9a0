//! Acknowledgements, both ways.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use tidings_protocol::socketio;
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

/// Acknowledgements that one socket may owe us.
const MAX_WAITING: usize = 1_024;

type Answer = oneshot::Sender<Vec<Box<RawValue>>>;
type Answered = oneshot::Receiver<Vec<Box<RawValue>>>;

/// The events of ours that wait for an acknowledgement. Nothing is allocated until there is one.
#[derive(Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Default)]
struct State {
    asked: Option<Box<Asked>>,
    closed: bool,
}

#[derive(Default)]
struct Asked {
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
        let asked = state.asked.get_or_insert_default();
        if asked.answers.len() >= MAX_WAITING {
            return Err(AckError::Full);
        }
        let id = asked.next;
        asked.next += 1;
        let (answer, answered) = oneshot::channel();
        asked.answers.push((id, answer));
        Ok((id, answered))
    }

    /// Takes an answer out; an unknown id is a late one, and ignored.
    pub(super) fn end(&self, id: u64) -> Option<Answer> {
        let mut state = self.0.lock();
        let asked = state.asked.as_mut()?;
        let at = asked.answers.iter().position(|(other, _)| *other == id)?;
        Some(asked.answers.swap_remove(at).1)
    }

    /// Fails all of them.
    pub(super) fn close(&self) {
        let mut state = self.0.lock();
        state.closed = true;
        let asked = state.asked.take();
        drop(state);
        drop(asked);
    }
}
