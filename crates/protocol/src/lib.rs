//! Sans-IO codecs of Tidings: WebSocket server frames ([`websocket`]), Engine.IO v4 ([`engineio`])
//! and Socket.IO v5 ([`socketio`]).
//!
//! Nothing here reads a socket, a clock or a global: bytes or text go in, messages or errors come out.
//! Everything that is decoded was sent by a stranger, so three rules hold in the whole crate:
//!
//! - no input panics;
//! - memory follows what was *received*, never what a header *declares*, and is bounded by a limit
//!   that the caller gives;
//! - a decoder at rest, between two messages, holds no heap memory: an idle connection is nearly free.

pub mod engineio;
pub mod json;
pub mod socketio;
pub mod websocket;
