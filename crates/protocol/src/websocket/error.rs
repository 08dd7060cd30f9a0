//! Why a client's bytes were refused, and the close code that tells it so.

/// A violation by the client. The connection is to be closed with [`Error::close_code`]: what follows
/// in the stream cannot be trusted to be frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// RSV1–3 have a meaning only with an extension, and none is negotiated (RFC 6455 §5.2).
    #[error("reserved bits are set")]
    ReservedBits,
    /// Opcodes 3–7 and 11–15 are reserved (RFC 6455 §5.2).
    #[error("unknown opcode {0}")]
    UnknownOpcode(u8),
    /// Every frame of a client is masked (RFC 6455 §5.1).
    #[error("frame is not masked")]
    Unmasked,
    /// Control frames are never fragmented (RFC 6455 §5.5).
    #[error("fragmented control frame")]
    FragmentedControl,
    /// Control frames carry at most 125 bytes (RFC 6455 §5.5).
    #[error("control frame longer than 125 bytes")]
    ControlTooLong,
    /// The top bit of a 64-bit length is zero (RFC 6455 §5.2).
    #[error("invalid frame length")]
    InvalidLength,
    /// A continuation without a message to continue (RFC 6455 §5.4).
    #[error("continuation frame without a message")]
    UnexpectedContinuation,
    /// Fragments of two messages are not interleaved (RFC 6455 §5.4).
    #[error("new message before the end of the last one")]
    UnfinishedMessage,
    /// A close payload is empty or starts with a code of two bytes (RFC 6455 §5.5.1).
    #[error("close frame with a payload of one byte")]
    TruncatedCloseCode,
    /// A code that must not appear on the wire (RFC 6455 §7.4).
    #[error("invalid close code {0}")]
    InvalidCloseCode(u16),
    /// Text and close reasons are UTF-8 (RFC 6455 §8.1).
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// The message, over all its fragments, passes the limit.
    #[error("message longer than {limit} bytes")]
    TooBig {
        /// The limit that the decoder was made with.
        limit: usize,
    },
}

impl Error {
    /// The code for the close frame (RFC 6455 §7.4.1): 1002 protocol error, 1007 not UTF-8, 1009 too big.
    pub fn close_code(&self) -> u16 {
        match self {
            Error::InvalidUtf8 => 1007,
            Error::TooBig { .. } => 1009,
            _ => 1002,
        }
    }
}
