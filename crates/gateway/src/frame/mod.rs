//! A frame: one event (or any other packet), encoded once and shared by everyone who gets it.
//!
//! The encoding is that of a WebSocket frame, header and payload; long-polling cuts the header off again
//! (see [`crate::out`]). So a queue can outlive an upgrade, and a broadcast is encoded once whatever its
//! recipients use. A frame is a `prefix`, which may differ per recipient, and a `body`, which is shared; a `suffix` of
//! a few bytes may follow. For plain WebSocket clients it has a second encoding ([`plain`]), for event streams a third
//! ([`stream`]).

mod offset;
mod plain;
mod prefix;
mod stream;
mod tail;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tidings_protocol::websocket::{self, Opcode};

use offset::Keep;
use plain::Rest;
use prefix::{Prefix, Suffix};
pub use tail::Tail;

/// An encoded packet. Cheap to clone; see the module's description.
#[derive(Clone)]
pub struct Frame {
    prefix: Prefix,
    body: Bytes,
    suffix: Suffix,
    /// Each a complete WebSocket frame of its own, to be sent right after the text.
    attachments: Option<Arc<[Bytes]>>,
    /// Length of `42`, of the quoted name, for metrics and to find where a namespace goes.
    name: u16,
    keep: Keep,
    /// See [`Frame::marked`].
    mark: Option<u64>,
    rest: Rest,
    /// The key under which plain clients find the argument.
    key: Option<&'static str>,
    /// The `type` that plain clients see, if it is not the event's name.
    plain_type: Option<&'static str>,
    /// The encoding for plain clients, once one of them was sent it.
    plain: OnceLock<Arc<Frame>>,
    /// See [`Frame::with_retry`].
    retry: Option<u64>,
    /// The encoding for event streams, once one of them was sent it.
    stream: OnceLock<Arc<Frame>>,
    /// The body, once it had to wait for somebody.
    whole: OnceLock<Arc<Bytes>>,
}

impl Frame {
    /// An event: `42["name",arg,…]`. `args` are JSON texts and are not checked.
    pub fn event(name: &str, args: &[&str]) -> Self {
        let name = quoted(name);
        let length = 4 + name.len() + args.iter().map(|arg| arg.len() + 1).sum::<usize>();
        let mut frame = framed(Opcode::Text, length);
        frame.extend_from_slice(b"42[");
        frame.extend_from_slice(name.as_bytes());
        for arg in args {
            frame.push(b',');
            frame.extend_from_slice(arg.as_bytes());
        }
        frame.push(b']');
        Self::shared(frame.into(), name.len())
    }

    /// An event whose text is `42["name",` + head + tail + `]`: `head` holds what differs per recipient
    /// and is copied into the frame, `tail` is shared. Plain clients see one object if `head` opens it and `tail`
    /// closes it.
    pub fn event_with_head(name: &str, head: &str, tail: &Tail) -> Self {
        let name = quoted(name);
        let length = 4 + name.len() + head.len() + tail.bytes.len();
        let header = websocket::header(Opcode::Text, length);
        let prefix =
            Prefix::concat(&[header.as_slice(), b"42[", name.as_bytes(), b",", head.as_bytes()]);
        let shared = Self::shared(tail.bytes.clone(), name.len());
        Self { prefix, rest: tail.rest, ..shared }
    }

    /// Plain clients get the event's one argument as the member `key` of their object, instead of its fields beside
    /// `type`: for arguments that have a field `type` of their own.
    #[must_use]
    pub fn under_key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self.forget_forms();
        self
    }

    /// Plain clients get the event by this name.
    #[must_use]
    pub fn plain_type(mut self, name: &'static str) -> Self {
        self.plain_type = Some(name);
        self.forget_forms();
        self
    }

    /// The same event with binary attachments; its arguments hold `{"_placeholder":true,"num":n}` for each.
    #[must_use]
    pub fn with_attachments(self, attachments: &[Bytes]) -> Self {
        if attachments.is_empty() {
            return self;
        }
        let mut frame = self.rewritten(&format!("45{}-", attachments.len()), 2);
        frame.attachments = Some(binary_frames(attachments));
        frame
    }

    /// Any text message of the Engine.IO layer, its packet type included.
    pub(crate) fn text(parts: &[&str]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum();
        let mut frame = framed(Opcode::Text, length);
        for part in parts {
            frame.extend_from_slice(part.as_bytes());
        }
        Self::shared(frame.into(), 0)
    }

    pub(crate) fn text_with(parts: &[&str], attachments: &[Bytes]) -> Self {
        let mut frame = Self::text(parts);
        if !attachments.is_empty() {
            frame.attachments = Some(binary_frames(attachments));
        }
        frame
    }

    pub(crate) fn binary(payload: &[u8]) -> Self {
        Self::shared(websocket::frame(Opcode::Binary, payload), 0)
    }

    /// A frame that is already encoded, such as a ping.
    pub(crate) fn encoded(frame: Bytes) -> Self {
        Self::shared(frame, 0)
    }

    fn shared(body: Bytes, name: usize) -> Self {
        Self {
            prefix: Prefix::EMPTY,
            body,
            suffix: Suffix::EMPTY,
            attachments: None,
            name: short(name),
            keep: Keep::Broadcast,
            mark: None,
            rest: Rest::Other,
            key: None,
            plain_type: None,
            plain: OnceLock::new(),
            retry: None,
            stream: OnceLock::new(),
            whole: OnceLock::new(),
        }
    }

    /// The other encodings are to be made again.
    fn forget_forms(&mut self) {
        self.plain = OnceLock::new();
        self.stream = OnceLock::new();
        self.whole = OnceLock::new();
    }

    /// The event's name as it stands in the JSON text; empty for anything but an event.
    pub fn name(&self) -> &str {
        let text = self.first_payload();
        let Some(at) = text.iter().position(|b| *b == b'[') else { return "" };
        let quoted = text.get(at + 2..at + usize::from(self.name));
        quoted.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Bytes this frame takes on a WebSocket.
    pub fn len(&self) -> usize {
        self.parts().map(<[u8]>::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The frame as the members of `namespace` get it; borrowed for the main one.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Cow<'_, Self> {
        if namespace == "/" || self.name == 0 {
            return Cow::Borrowed(self);
        }
        let text = self.first_payload();
        let at = text.iter().position(|b| *b == b'[').unwrap_or_default();
        let start = String::from_utf8_lossy(&text[..at]);
        Cow::Owned(self.rewritten(&format!("{start}{namespace},"), at))
    }

    /// Puts `start` in the place of the first `cut` bytes of the text.
    fn rewritten(&self, start: &str, cut: usize) -> Self {
        let (prefix, body) = (self.prefix.as_slice(), &self.body);
        let length = self.payload_length() + start.len() - cut;
        let mut frame = self.clone();
        frame.forget_forms();
        if prefix.is_empty() {
            let mut whole = framed(Opcode::Text, length);
            whole.extend_from_slice(start.as_bytes());
            whole.extend_from_slice(&body[header_length(body) + cut..]);
            frame.body = whole.into();
        } else {
            let header = websocket::header(Opcode::Text, length);
            let rest = &prefix[header_length(prefix) + cut..];
            frame.prefix = Prefix::concat(&[header.as_slice(), start.as_bytes(), rest]);
        }
        frame
    }

    fn payload_length(&self) -> usize {
        let prefix = self.prefix.as_slice();
        let first = if prefix.is_empty() { &self.body[..] } else { prefix };
        prefix.len() + self.body.len() + self.suffix().len() - header_length(first)
    }

    /// The start of the text, without the header: all of it unless the frame has a head.
    fn first_payload(&self) -> &[u8] {
        let prefix = self.prefix.as_slice();
        let first = if prefix.is_empty() { &self.body[..] } else { prefix };
        first.get(header_length(first)..).unwrap_or_default()
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        self.prefix.as_slice()
    }

    pub(crate) fn body(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn suffix(&self) -> &[u8] {
        self.suffix.as_slice()
    }

    pub(crate) fn attachments(&self) -> &[Bytes] {
        self.attachments.as_deref().unwrap_or_default()
    }

    /// Whether the body is all of it: then it is the same for all.
    pub(crate) fn is_whole(&self) -> bool {
        self.prefix().is_empty() && self.suffix().is_empty() && self.attachments.is_none()
    }

    /// The body, if it is all of it, for those whom it waits for.
    pub(crate) fn whole(&self) -> Option<&Arc<Bytes>> {
        let share = || Arc::new(self.body.clone());
        self.is_whole().then(|| self.whole.get_or_init(share))
    }

    /// Everything that goes on the wire, in order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let attachments = self.attachments().iter().map(|bytes| &bytes[..]);
        [self.prefix(), &self.body[..], self.suffix()].into_iter().chain(attachments)
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame").field("name", &self.name()).field("len", &self.len()).finish()
    }
}

/// Length of the header at the start of an unmasked WebSocket frame.
pub(crate) fn header_length(frame: &[u8]) -> usize {
    match frame.get(1).map(|length| length & 0x7f) {
        Some(127) => 10,
        Some(126) => 4,
        Some(_) => 2,
        None => 0,
    }
}

/// A buffer that holds the header of a frame whose payload of `length` bytes comes next.
fn framed(opcode: Opcode, length: usize) -> Vec<u8> {
    let header = websocket::header(opcode, length);
    let mut frame = Vec::with_capacity(header.as_slice().len() + length);
    frame.extend_from_slice(header.as_slice());
    frame
}

fn binary_frames(attachments: &[Bytes]) -> Arc<[Bytes]> {
    attachments.iter().map(|payload| websocket::frame(Opcode::Binary, payload)).collect()
}

fn quoted(name: &str) -> String {
    serde_json::Value::from(name).to_string()
}

fn short(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}
