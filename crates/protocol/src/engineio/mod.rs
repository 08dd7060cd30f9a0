//! Engine.IO protocol version 4: the layer that carries Socket.IO over WebSocket or HTTP long-polling.
//!
//! On a WebSocket each text message is one packet ([`decode_ref`], [`decode_text`]) and each binary
//! message one [`Packet::Binary`]. Over HTTP a body holds several packets, separated by the byte `1E`
//! ([`decode_payload`], [`PayloadBuilder`]).

mod handshake;
mod packet;
mod payload;

pub use handshake::{ErrorCode, OpenPacket, Upgrade};
pub use packet::{Error, Packet, PacketRef, decode_ref, decode_text, encode_text};
pub use payload::{PayloadBuilder, PayloadLimits, binary_len, decode_payload, encode_payload};

/// The record separator between the packets of a polling body.
pub const SEPARATOR: u8 = 0x1e;
