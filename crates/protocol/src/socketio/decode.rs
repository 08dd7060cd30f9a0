//! Messages of a client → packets.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{Error, MAX_ACK_ID, Namespace, Packet, PacketType, RESERVED_EVENTS, placeholder};
use crate::json::{self, MAX_DEPTH, Token};

/// Decodes the messages of one client and puts binary packets together.
///
/// Between two packets it holds no heap memory. While attachments are missing it holds the packet and
/// those that have come, at most `max_bytes_total` of them.
#[derive(Debug)]
pub struct Decoder {
    // A connection has one of these for as long as it is open.
    max_attachments: u32,
    max_bytes_total: u32,
    pending: Option<Box<Pending>>,
}

/// A packet whose attachments are arriving.
#[derive(Debug)]
struct Pending {
    packet: Packet,
    missing: usize,
    /// Of the text and the attachments so far.
    bytes: usize,
}

impl Decoder {
    /// A decoder for packets of at most `max_attachments`, and `max_bytes_total` with their text;
    /// of either not more than fits into 32 bits.
    pub fn new(max_attachments: usize, max_bytes_total: usize) -> Decoder {
        let bounded = |limit| u32::try_from(limit).unwrap_or(u32::MAX);
        Decoder {
            max_attachments: bounded(max_attachments),
            max_bytes_total: bounded(max_bytes_total),
            pending: None,
        }
    }

    /// Takes a text message, without the Engine.IO type. `None` means that attachments are to follow.
    pub fn text(&mut self, text: &str) -> Result<Option<Packet>, Error> {
        if self.pending.take().is_some() {
            return Err(Error::UnexpectedText);
        }
        if text.len() > self.max_bytes_total as usize {
            return Err(self.too_big());
        }
        let (packet, missing) = parse(text, self.max_attachments as usize)?;
        if missing == 0 {
            return Ok(Some(packet));
        }
        self.pending = Some(Box::new(Pending { packet, missing, bytes: text.len() }));
        Ok(None)
    }

    /// Takes a binary message: the next attachment. `None` means that more are to follow.
    pub fn binary(&mut self, data: Bytes) -> Result<Option<Packet>, Error> {
        let mut pending = self.pending.take().ok_or(Error::UnexpectedBinary)?;
        pending.bytes = pending.bytes.saturating_add(data.len());
        if pending.bytes > self.max_bytes_total as usize {
            return Err(self.too_big());
        }
        pending.packet.attachments.push(data);
        pending.missing -= 1;
        if pending.missing == 0 {
            return Ok(Some(pending.packet));
        }
        self.pending = Some(pending);
        Ok(None)
    }

    /// Whether the next message must be an attachment.
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// How many received bytes are kept inside.
    pub fn buffered(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes)
    }

    fn too_big(&self) -> Error {
        Error::TooBig { limit: self.max_bytes_total as usize }
    }
}

/// Reads a packet from its text, and how many attachments follow.
fn parse(text: &str, max_attachments: usize) -> Result<(Packet, usize), Error> {
    let mut chars = text.chars();
    let digit = chars.next().ok_or(Error::EmptyPacket)?;
    let kind = PacketType::from_digit(digit).ok_or(Error::UnknownType(digit))?;
    let (attachments, rest) = match kind.is_binary() {
        true => parse_attachments(chars.as_str(), max_attachments)?,
        false => (0, chars.as_str()),
    };
    let (namespace, rest) = parse_namespace(rest);
    let (ack, rest) = parse_ack(rest)?;
    check_ack(kind, ack)?;
    let data = parse_data(kind, rest, attachments)?;
    Ok((Packet { kind, namespace, ack, data, attachments: Vec::new() }, attachments))
}

/// `<count>-`
fn parse_attachments(text: &str, max: usize) -> Result<(usize, &str), Error> {
    let (digits, rest) = split_digits(text);
    let rest = rest.strip_prefix('-').ok_or(Error::BadAttachmentCount)?;
    let count = digits.parse().map_err(|_| Error::BadAttachmentCount)?;
    if count > max { Err(Error::BadAttachmentCount) } else { Ok((count, rest)) }
}

/// `<namespace>,`, where the comma may be missing at the end of the text. Clients of old put a query string
/// behind the name; it is no part of it.
fn parse_namespace(text: &str) -> (Namespace, &str) {
    if !text.starts_with('/') {
        return (Namespace::ROOT, text);
    }
    let (name, rest) = text.split_once(',').unwrap_or((text, ""));
    let name = name.split_once('?').map_or(name, |(name, _query)| name);
    (Namespace::new(name), rest)
}

/// The digits in front of the data.
fn parse_ack(text: &str) -> Result<(Option<u64>, &str), Error> {
    let (digits, rest) = split_digits(text);
    if digits.is_empty() {
        return Ok((None, rest));
    }
    match digits.parse() {
        Ok(id) if id <= MAX_ACK_ID => Ok((Some(id), rest)),
        _ => Err(Error::BadAckId),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// An event may have an id, an acknowledgement must, the others have nothing to acknowledge.
fn check_ack(kind: PacketType, ack: Option<u64>) -> Result<(), Error> {
    let lawful = kind.is_event() || kind.is_ack() == ack.is_some();
    if lawful { Ok(()) } else { Err(Error::BadAckId) }
}

/// Checks the JSON of a packet. One pass finds its depth and its shape, one of serde_json its syntax.
fn parse_data(
    kind: PacketType,
    text: &str,
    attachments: usize,
) -> Result<Option<Box<RawValue>>, Error> {
    let bad = Error::BadPayload(kind);
    if text.is_empty() {
        let optional =
            matches!(kind, PacketType::Connect | PacketType::Disconnect | PacketType::ConnectError);
        return if optional { Ok(None) } else { Err(bad) };
    }
    let outline = json::outline(text, MAX_DEPTH)?;
    let fits = match kind {
        PacketType::Connect => outline.root == Some(Token::OpenObject),
        PacketType::Disconnect => false,
        PacketType::ConnectError => {
            matches!(outline.root, Some(Token::OpenObject | Token::String(_)))
        }
        PacketType::Ack | PacketType::BinaryAck => outline.root == Some(Token::OpenArray),
        PacketType::Event | PacketType::BinaryEvent => {
            outline.root == Some(Token::OpenArray) && is_event_name(outline.first)?
        }
    };
    if !fits {
        return Err(bad);
    }
    let data = json::raw(text)?;
    if kind.is_binary() {
        placeholder::check(data.get(), attachments)?;
    }
    Ok(Some(data))
}

/// A string that is not reserved, or a number: what the reference server accepts.
fn is_event_name(first: Option<Token<'_>>) -> Result<bool, Error> {
    match first {
        Some(Token::String(written)) => {
            let name = json::unescape(written)?;
            if RESERVED_EVENTS.contains(&name.as_ref()) {
                Err(Error::ReservedEvent)
            } else {
                Ok(true)
            }
        }
        Some(Token::Scalar(scalar)) => {
            Ok(scalar.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        }
        _ => Ok(false),
    }
}
