//! What waits to be sent to one client: complete WebSocket frames, in order, and how far the first is written.
//!
//! No I/O here: a transport passes in its way of writing, and a test a writer that takes what it likes.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use tidings_protocol::engineio::PayloadBuilder;

use crate::frame::{Frame, header_length};

/// Slices given to one write: enough for 32 frames, and they fit on the stack.
const SLICES: usize = 64;
/// Spare queues kept per thread, so that a broadcast allocates nothing per recipient and
/// an idle connection keeps nothing.
const SPARE_QUEUES: usize = 16_384;
const SPARE_CAPACITY: usize = 8;
/// Bytes handed to an HTTP response at once.
const CHUNK: usize = 8 << 10;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;

/// One WebSocket frame, or the end of the one before.
#[derive(Debug)]
struct Item {
    prefix: Option<Box<[u8]>>,
    body: Bytes,
    continues: bool,
}

impl Item {
    fn prefix(&self) -> &[u8] {
        self.prefix.as_deref().unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.prefix().len() + self.body.len()
    }
}

/// What waits for one client: mostly nothing, and else mostly one frame of a broadcast, which takes no memory of its own.
#[derive(Debug, Default)]
pub(crate) enum Out {
    #[default]
    Empty,
    /// A frame that is the same for all, and of which nothing was written yet.
    One(Arc<Bytes>),
    Many(Box<Queue>),
}

/// What waits; there is something.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Item>,
    /// Bytes of the first item that were written already.
    offset: usize,
    bytes: usize,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// A queue in which the end of something that is no frame stands before all frames.
    pub(crate) fn beginning_with(body: Bytes) -> Self {
        let mut out = Self::default();
        if !body.is_empty() {
            let item = Item { prefix: None, body, continues: true };
            out.change(|queue| queue.push_item(item));
        }
        out
    }

    /// Bytes not written yet.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(body) => body.len(),
            Self::Many(queue) => queue.bytes,
        }
    }

    pub(crate) fn push(&mut self, frame: &Frame) {
        match frame.whole() {
            Some(body) if self.is_empty() => *self = Self::One(Arc::clone(body)),
            _ => self.change(|queue| queue.push(frame)),
        }
    }

    /// Changes what waits, as a queue. An idle one holds nothing.
    fn change<T>(&mut self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = match mem::take(self) {
            Self::Many(queue) => queue,
            Self::Empty => spare_queue(),
            Self::One(body) => {
                let mut queue = spare_queue();
                let body = Bytes::clone(&body);
                queue.push_item(Item { prefix: None, body, continues: false });
                queue
            }
        };
        let changed = change(&mut queue);
        match queue.items.is_empty() {
            true => give_back(queue),
            false => *self = Self::Many(queue),
        }
        changed
    }

    fn advance(&mut self, written: usize) {
        match self {
            Self::One(body) if body.len() <= written => *self = Self::Empty,
            _ => self.change(|queue| queue.advance(written)),
        }
    }

    /// Writes `frame` without queueing it if nothing is queued; what is refused is queued.
    pub(crate) fn write_or_push(
        &mut self,
        frame: &Frame,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        if !self.is_empty() || frame.attachments().len() > SLICES - 3 {
            self.push(frame);
            return Ok(());
        }
        let written = match frame.is_whole() {
            true => write(&[IoSlice::new(frame.body())]),
            false => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let mut count = 0;
                for part in frame.parts().filter(|part| !part.is_empty()) {
                    slices[count] = IoSlice::new(part);
                    count += 1;
                }
                write(&slices[..count])
            }
        };
        let written = match written {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if written < frame.len() {
            self.push(frame);
            self.advance(written);
        }
        Ok(())
    }

    /// Writes as much as is taken, several frames at a time. `Ok(true)` when nothing is left.
    pub(crate) fn flush(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        loop {
            let written = match self {
                Self::Empty => return Ok(true),
                Self::One(body) => write(&[IoSlice::new(body)]),
                Self::Many(queue) => {
                    let mut slices = [IoSlice::new(&[]); SLICES];
                    let count = queue.fill(&mut slices);
                    write(&slices[..count])
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes everything as the body of a long poll.
    pub(crate) fn take_payload(&mut self) -> Bytes {
        self.change(Queue::take_payload)
    }

    /// Takes what is to be written next by somebody else, about [`CHUNK`] bytes. A large body is shared, not copied.
    pub(crate) fn take_chunk(&mut self) -> Option<Bytes> {
        self.change(Queue::take_chunk)
    }

    /// Drops everything. Whether that tore a frame, or what stands before all frames.
    pub(crate) fn clear(&mut self) -> bool {
        let Self::Many(queue) = mem::take(self) else { return false };
        let torn = queue.offset > 0 || queue.items.front().is_some_and(|first| first.continues);
        give_back(queue);
        torn
    }
}

impl Queue {
    fn push(&mut self, frame: &Frame) {
        let prefix = frame.prefix();
        let prefix = (!prefix.is_empty()).then(|| prefix.into());
        self.push_item(Item { prefix, body: frame.body().clone(), continues: false });
        if !frame.suffix().is_empty() {
            let body = Bytes::copy_from_slice(frame.suffix());
            self.push_item(Item { prefix: None, body, continues: true });
        }
        for attachment in frame.attachments() {
            self.push_item(Item { prefix: None, body: attachment.clone(), continues: false });
        }
    }

    fn push_item(&mut self, item: Item) {
        self.bytes += item.len();
        self.items.push_back(item);
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let mut skip = self.offset;
        let mut count = 0;
        for part in self.items.iter().flat_map(|item| [item.prefix(), &item.body[..]]) {
            if count == SLICES {
                break;
            }
            if skip < part.len() {
                slices[count] = IoSlice::new(&part[skip..]);
                count += 1;
            }
            skip = skip.saturating_sub(part.len());
        }
        count
    }

    fn advance(&mut self, written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        self.offset += written;
        while let Some(first) = self.items.front() {
            if self.offset < first.len() {
                return;
            }
            self.offset -= first.len();
            self.items.pop_front();
        }
    }

    fn take_payload(&mut self) -> Bytes {
        let mut payload = PayloadBuilder::new();
        let mut items = self.items.iter().peekable();
        while let Some(item) = items.next() {
            let parts = [item.prefix(), &item.body[..]];
            let first = if item.prefix().is_empty() { parts[1] } else { parts[0] };
            let header = header_length(first);
            match first.first() {
                Some(&TEXT) => {
                    let skips = if item.prefix().is_empty() { [0, header] } else { [header, 0] };
                    let text = parts
                        .iter()
                        .zip(skips)
                        .map(|(part, skip)| part.get(skip..).unwrap_or_default());
                    let end = items.next_if(|next| next.continues).map(|end| &end.body[..]);
                    payload.push_text_parts(text.chain(end));
                }
                Some(&BINARY) => payload.push_binary(item.body.get(header..).unwrap_or_default()),
                // Control frames mean nothing there.
                _ => {}
            }
        }
        self.items.clear();
        payload.finish()
    }

    fn take_chunk(&mut self) -> Option<Bytes> {
        let mut chunk = Vec::new();
        while let Some(item) = self.items.front_mut() {
            let shares = item.body.len() >= CHUNK;
            if !chunk.is_empty() && (shares || chunk.len() + item.len() > CHUNK) {
                break;
            }
            self.bytes = self.bytes.saturating_sub(item.len());
            match item.prefix.take() {
                Some(prefix) if shares => {
                    self.bytes += item.body.len();
                    return Some(prefix.into_vec().into());
                }
                prefix => chunk.extend_from_slice(prefix.as_deref().unwrap_or_default()),
            }
            let Some(item) = self.items.pop_front() else { break };
            if shares {
                return Some(item.body);
            }
            chunk.extend_from_slice(&item.body);
        }
        (!chunk.is_empty()).then(|| chunk.into())
    }
}

thread_local! {
    /// In their boxes, so that to queue again allocates nothing.
    #[allow(clippy::vec_box, reason = "a connection takes the box, not what is in it")]
    static SPARE: RefCell<Vec<Box<Queue>>> = const { RefCell::new(Vec::new()) };
}

fn spare_queue() -> Box<Queue> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(mut queue: Box<Queue>) {
    queue.items.clear();
    (queue.offset, queue.bytes) = (0, 0);
    if queue.items.capacity() <= SPARE_CAPACITY {
        // Not on a thread that is ending: the queue is then simply freed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_QUEUES {
                spare.push(queue);
            }
        });
    }
}
