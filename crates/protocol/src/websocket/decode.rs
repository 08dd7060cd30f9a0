//! Frames of a client → messages (RFC 6455 §5 and §6.2).

use std::mem;

use bytes::Bytes;

use super::head::{Head, HeadReader};
use super::{CloseFrame, Error, MAX_CONTROL, Message, Opcode, mask, utf8};

/// Decodes the byte stream of one client, cut anywhere.
///
/// At rest, between two messages, it holds no heap memory: every buffer leaves with its message. Within
/// a message it holds what has arrived of it, never what a header announces.
#[derive(Debug)]
pub struct Decoder {
    max_message: usize,
    head: HeadReader,
    /// The frame whose payload is arriving.
    frame: Option<Frame>,
    /// Set from the first frame of a data message to its last.
    message: Option<Kind>,
    /// The payload of that message so far, unmasked.
    data: Vec<u8>,
    /// How much of `data` is known to be UTF-8, if it is text.
    checked: usize,
    /// The payload of a control frame, which may come between two fragments.
    control: Vec<u8>,
    /// The first error is the last: a stream out of step is never read again.
    failed: Option<Error>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    opcode: Opcode,
    fin: bool,
    /// Rotated so that it fits the next byte.
    key: [u8; 4],
    remaining: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

impl Decoder {
    /// A decoder that refuses messages of more than `max_message` bytes, over all their fragments.
    pub fn new(max_message: usize) -> Decoder {
        Decoder {
            max_message,
            head: HeadReader::default(),
            frame: None,
            message: None,
            data: Vec::new(),
            checked: 0,
            control: Vec::new(),
            failed: None,
        }
    }

    /// Consumes bytes from the front of `input` up to the end of one message.
    ///
    /// `Ok(None)` means that `input` is used up and what it held of a message is kept inside. After an
    /// error every further call answers the same error. After [`Message::Close`] the caller stops reading
    /// (RFC 6455 §5.5.1).
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.advance(input);
        if let Err(error) = result {
            *self = Decoder { failed: Some(error), ..Decoder::new(self.max_message) };
        }
        result
    }

    /// Whether it stands between two messages: then it is as good as a new one.
    pub fn is_at_rest(&self) -> bool {
        self.failed.is_none()
            && self.frame.is_none()
            && self.message.is_none()
            && self.head.buffered() == 0
    }

    /// How many received bytes are kept inside: an incomplete header, frame or message.
    pub fn buffered(&self) -> usize {
        self.head.buffered() + self.data.len() + self.control.len()
    }

    /// How many bytes of heap memory those take: 0 at rest, otherwise at most the limit of a message
    /// and one control frame.
    pub fn heap_size(&self) -> usize {
        self.data.capacity() + self.control.capacity()
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.head.read(input)? {
                    Some(head) => self.begin(head)?,
                    None => return Ok(None),
                },
            };
            let frame = self.fill(frame, input);
            if frame.remaining > 0 {
                self.check_early(frame)?;
                self.frame = Some(frame);
                return Ok(None);
            }
            if let Some(message) = self.finish(frame)? {
                return Ok(Some(message));
            }
        }
    }

    /// Places a frame in its message and checks the size limit, before a byte of it is kept.
    fn begin(&mut self, head: Head) -> Result<Frame, Error> {
        let kind = match (head.opcode, self.message) {
            (Opcode::Text, None) => Some(Kind::Text),
            (Opcode::Binary, None) => Some(Kind::Binary),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Error::UnfinishedMessage),
            (Opcode::Continuation, None) => return Err(Error::UnexpectedContinuation),
            (_, message) => message,
        };
        self.message = kind;
        let too_big = Error::TooBig { limit: self.max_message };
        let remaining = usize::try_from(head.len).map_err(|_| too_big)?;
        let left = self.max_message.saturating_sub(self.data.len());
        if !head.opcode.is_control() && remaining > left {
            return Err(too_big);
        }
        Ok(Frame { opcode: head.opcode, fin: head.fin, key: head.key, remaining })
    }

    /// Takes what `input` holds of the frame's payload.
    fn fill(&mut self, mut frame: Frame, input: &mut &[u8]) -> Frame {
        let chunk = input.split_off(..frame.remaining.min(input.len())).unwrap_or_default();
        let alone = frame.fin && frame.opcode != Opcode::Continuation;
        let buffer = if frame.opcode.is_control() { &mut self.control } else { &mut self.data };
        // A frame on its own says how much will come; a fragment says nothing of those behind it.
        let limit = if frame.opcode.is_control() { MAX_CONTROL } else { self.max_message };
        let whole = if alone { buffer.len() + frame.remaining } else { limit };
        reserve(buffer, chunk.len(), whole);
        let start = buffer.len();
        buffer.extend_from_slice(chunk);
        frame.key = mask::apply(buffer.get_mut(start..).unwrap_or_default(), frame.key);
        frame.remaining -= chunk.len();
        frame
    }

    fn finish(&mut self, frame: Frame) -> Result<Option<Message>, Error> {
        match frame.opcode {
            Opcode::Ping => Ok(Some(Message::Ping(self.take_control()))),
            Opcode::Pong => Ok(Some(Message::Pong(self.take_control()))),
            Opcode::Close => Ok(Some(Message::Close(CloseFrame::parse(&self.take_control())?))),
            Opcode::Text | Opcode::Binary | Opcode::Continuation if frame.fin => {
                self.finish_message()
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                self.check_early(frame)?;
                Ok(None)
            }
        }
    }

    fn finish_message(&mut self) -> Result<Option<Message>, Error> {
        self.checked = 0;
        let data = mem::take(&mut self.data);
        match self.message.take() {
            // One pass over a message that came in one piece: `check_early` has not seen it.
            Some(Kind::Text) => {
                let text = String::from_utf8(data).map_err(|_| Error::InvalidUtf8)?;
                Ok(Some(Message::Text(text)))
            }
            Some(Kind::Binary) => Ok(Some(Message::Binary(Bytes::from(data)))),
            None => Err(Error::UnexpectedContinuation),
        }
    }

    /// Refuses text that nothing to come can make valid.
    fn check_early(&mut self, frame: Frame) -> Result<(), Error> {
        if self.message == Some(Kind::Text) && !frame.opcode.is_control() {
            self.checked = utf8::check_prefix(&self.data, self.checked)?;
        }
        Ok(())
    }

    fn take_control(&mut self) -> Bytes {
        Bytes::from(mem::take(&mut self.control))
    }
}

/// Makes room for `more` bytes. Grows by doubling, so that a message of a million fragments is not
/// copied a million times, but never beyond `whole`: the limit holds for memory, not only for lengths.
fn reserve(buffer: &mut Vec<u8>, more: usize, whole: usize) {
    let needed = buffer.len().saturating_add(more);
    if needed > buffer.capacity() {
        let doubled = buffer.capacity().saturating_mul(2).min(whole);
        buffer.reserve_exact(needed.max(doubled) - buffer.len());
    }
}
