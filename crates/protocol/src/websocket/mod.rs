//! WebSocket frames as a server reads and writes them (RFC 6455, version 13, no extensions).
//!
//! [`Decoder`] turns the bytes of a client into [`Message`]s; [`frame`], [`close_frame`] and [`header`]
//! write the frames of the server, which are never masked and never fragmented; [`accept_key`] answers
//! the opening handshake.

mod decode;
mod encode;
mod error;
mod handshake;
mod head;
mod mask;
mod message;
mod utf8;

pub use decode::Decoder;
pub use encode::{Header, MAX_CLOSE_REASON, close_frame, encode_header, frame, header};
pub use error::Error;
pub use handshake::{accept_key, is_valid_key};
pub use message::{CloseFrame, Message, Opcode, is_valid_close_code};

/// The largest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;
