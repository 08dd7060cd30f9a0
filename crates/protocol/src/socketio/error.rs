//! Why a packet was refused.

use super::PacketType;
use crate::json;

/// A violation by the client. Its connection is to be closed, as the reference server does ("parse error").
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No text at all.
    #[error("empty packet")]
    EmptyPacket,
    /// A type outside of `0`–`6`.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
    /// Not a number followed by `-`, or more than allowed.
    #[error("illegal number of attachments")]
    BadAttachmentCount,
    /// Above [`super::MAX_ACK_ID`], on a packet that has none, or missing on an acknowledgement.
    #[error("illegal acknowledgement id")]
    BadAckId,
    /// Malformed or too deep.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// JSON, but not what this type of packet carries.
    #[error("invalid payload for a packet of type {0:?}")]
    BadPayload(PacketType),
    /// An event name that the libraries use for themselves.
    #[error("reserved event name")]
    ReservedEvent,
    /// A placeholder without a `num`, or with one that no attachment has.
    #[error("placeholder without an attachment")]
    BadPlaceholder,
    /// A binary message that no packet announced.
    #[error("binary data while none was expected")]
    UnexpectedBinary,
    /// A text message while attachments are missing.
    #[error("text while binary data was expected")]
    UnexpectedText,
    /// The packet and its attachments pass the limit.
    #[error("packet longer than {limit} bytes")]
    TooBig {
        /// The limit that the decoder was made with.
        limit: usize,
    },
}
