//! Socket.IO protocol version 5: namespaces, events, acknowledgements and binary attachments, written as
//! `<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]` inside an Engine.IO message.
//!
//! [`Decoder`] reads the packets of a client; the `encode_…` functions and [`Head`] write those of the
//! server. Both work without the Engine.IO type `4` in front.

mod decode;
mod encode;
mod error;
mod namespace;
mod packet;
mod placeholder;

pub use decode::Decoder;
pub use encode::{
    Head, encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event,
};
pub use error::Error;
pub use namespace::Namespace;
pub use packet::{Packet, PacketType, RESERVED_EVENTS};

/// The largest ack id: what a JavaScript number holds exactly, 2^53 - 1.
pub const MAX_ACK_ID: u64 = (1 << 53) - 1;
