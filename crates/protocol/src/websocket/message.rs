//! What a WebSocket connection carries, above its frames.

use bytes::Bytes;

use super::Error;

/// One message of the peer: data with its fragments put together, or a control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, valid UTF-8.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// To be answered by a pong with the same payload (RFC 6455 §5.5.2).
    Ping(Bytes),
    /// An answer to a ping, or unsolicited.
    Pong(Bytes),
    /// The peer closes; nothing that it sends afterwards counts (RFC 6455 §5.5.1).
    Close(Option<CloseFrame>),
}

/// The payload of a close frame, when there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The status code (RFC 6455 §7.4).
    pub code: u16,
    /// For humans and logs; often empty.
    pub reason: String,
}

impl CloseFrame {
    /// Reads the payload of a close frame (RFC 6455 §5.5.1).
    pub(super) fn parse(payload: &[u8]) -> Result<Option<CloseFrame>, Error> {
        match payload.split_first_chunk::<2>() {
            None if payload.is_empty() => Ok(None),
            None => Err(Error::TruncatedCloseCode),
            Some((code, reason)) => {
                let code = u16::from_be_bytes(*code);
                if !is_valid_close_code(code) {
                    return Err(Error::InvalidCloseCode(code));
                }
                let reason = std::str::from_utf8(reason).map_err(|_| Error::InvalidUtf8)?;
                Ok(Some(CloseFrame { code, reason: reason.to_owned() }))
            }
        }
    }
}

/// Whether a code may appear in a close frame. 1004 is undefined; 1005, 1006 and 1015 are reserved for
/// local use (RFC 6455 §7.4.1); 1012–1014 were registered with IANA later; 3000–4999 belong to
/// libraries and applications.
pub fn is_valid_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The kind of a frame (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the message of an earlier frame.
    Continuation,
    /// Starts a text message.
    Text,
    /// Starts a binary message.
    Binary,
    /// Control: close.
    Close,
    /// Control: ping.
    Ping,
    /// Control: pong.
    Pong,
}

impl Opcode {
    /// The four bits on the wire.
    pub fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0x0,
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }

    /// The opcode of four bits from the wire.
    pub fn from_bits(bits: u8) -> Result<Opcode, Error> {
        match bits {
            0x0 => Ok(Opcode::Continuation),
            0x1 => Ok(Opcode::Text),
            0x2 => Ok(Opcode::Binary),
            0x8 => Ok(Opcode::Close),
            0x9 => Ok(Opcode::Ping),
            0xA => Ok(Opcode::Pong),
            other => Err(Error::UnknownOpcode(other)),
        }
    }

    /// Close, ping and pong: short, never fragmented, allowed between the fragments of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}
