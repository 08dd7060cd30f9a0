//! What rides on Engine.IO: Socket.IO, or something of one's own.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::Session;
use crate::hub::Hub;
use crate::reason::DisconnectReason;

pub(crate) enum Layer {
    Engine(Arc<dyn Engine>),
    /// One hub per namespace; a handful, so a scan finds one fastest.
    SocketIo(Vec<Arc<Hub>>),
}

/// A message of the Engine.IO layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Binary(Bytes),
}

/// Serves bare Engine.IO sessions. The calls for one session come one after another.
#[allow(unused_variables)]
pub trait Engine: Send + Sync + 'static {
    fn opened(&self, session: &Arc<Session>) {}
    fn message(&self, session: &Arc<Session>, message: Message);
    fn closed(&self, session: &Arc<Session>, reason: DisconnectReason) {}
}
