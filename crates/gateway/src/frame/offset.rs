//! A frame with an offset as its last argument, for clients that can be recovered.

use std::io::{Cursor, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::websocket::{self, Opcode};

use crate::recovery::Offset;

use super::prefix::TINY;
use super::{Frame, Prefix, Suffix, header_length};

/// Whether an event is kept for clients that come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// If it is broadcast.
    Broadcast,
    Always,
    Never,
}

impl Frame {
    /// Kept for a client that comes back ([`Config::recovery`](crate::Config::recovery)) also if it is emitted to a
    /// single socket. Broadcasts are without this.
    #[must_use]
    pub fn recoverable(mut self) -> Self {
        self.keep = Keep::Always;
        self
    }

    /// Never kept for clients that come back, since it has another way to reach them, or is worth nothing later.
    #[must_use]
    pub fn unrecoverable(mut self) -> Self {
        self.keep = Keep::Never;
        self
    }

    /// Never kept, and numbered by the application itself: what a client that comes back has certainly received is told
    /// by [`Returning::mark`](crate::Returning::mark), or as an event stream by its `Last-Event-ID`. Marks ascend on each connection.
    #[must_use]
    pub fn marked(mut self, mark: u64) -> Self {
        self.mark = Some(mark);
        self.forget_forms();
        self.unrecoverable()
    }

    pub(crate) fn mark(&self) -> Option<u64> {
        self.mark
    }

    pub(crate) fn is_recoverable(&self) -> bool {
        self.keep == Keep::Always
    }

    pub(crate) fn is_unrecoverable(&self) -> bool {
        self.keep == Keep::Never
    }

    /// The event with another argument at its end. Its body is shared, whatever its size.
    pub(crate) fn with_offset(&self, offset: Offset) -> Self {
        let mut bytes = Cursor::new([0; TINY]);
        // Four characters, a dot and twice at most twenty digits fit.
        let _ = write!(bytes, ",\"{offset}\"]");
        let end = bytes.position() as usize;
        let suffix = &bytes.get_ref()[..end];
        let length = self.payload_length() + suffix.len() - 1;
        let header = websocket::header(Opcode::Text, length);
        let (prefix, body) = (self.prefix(), self.body());
        let skips =
            if prefix.is_empty() { [0, header_length(body)] } else { [header_length(prefix), 0] };
        Self {
            prefix: Prefix::concat(&[header.as_slice(), &prefix[skips[0]..]]),
            // The bracket that closes the arguments comes after the offset.
            body: body.slice(skips[1]..body.len().saturating_sub(1)),
            suffix: Suffix::new(suffix),
            attachments: self.attachments.clone(),
            ..Self::shared(Bytes::new(), 0)
        }
    }

    /// The event with the id that its acknowledgement shall have. Its body is shared, whatever its size.
    pub(crate) fn asking(&self, id: u64) -> Self {
        let text = self.first_payload();
        // Behind the type, the attachments and the namespace.
        let at = text.iter().position(|byte| *byte == b'[').unwrap_or_default();
        let id = id.to_string();
        let header = websocket::header(Opcode::Text, self.payload_length() + id.len());
        let start = [header.as_slice(), &text[..at], id.as_bytes()];
        let (prefix, body) = if self.prefix().is_empty() {
            let cut = header_length(&self.body) + at;
            (Prefix::concat(&start), self.body.slice(cut..))
        } else {
            (Prefix::concat(&[&start.concat(), &text[at..]]), self.body.clone())
        };
        let (suffix, attachments) = (self.suffix.clone(), self.attachments.clone());
        Self { prefix, suffix, attachments, ..Self::shared(body, 0) }
    }

    /// The same in one piece, for many recipients.
    pub(crate) fn flattened(self) -> Self {
        let whole = [self.prefix(), &self.body[..], self.suffix()].concat();
        Self::stored(whole.into(), self.attachments)
    }

    /// A frame of which nothing but the encoding was kept.
    pub(crate) fn stored(body: Bytes, attachments: Option<Arc<[Bytes]>>) -> Self {
        Self { attachments, ..Self::shared(body, 0) }
    }

    pub(crate) fn shared_attachments(&self) -> Option<Arc<[Bytes]>> {
        self.attachments.clone()
    }
}
