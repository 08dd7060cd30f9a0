//! What waits to be sent to one client: complete WebSocket frames, in order, and how far the first is written.
//!
//! No I/O here: a transport passes in its way of writing, and a test a writer that takes what it likes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;
use tidings_protocol::engineio::PayloadBuilder;

use crate::frame::{Frame, header_length};

/// Slices given to one `writev`: enough for 32 frames, and they fit on the stack.
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

#[derive(Debug, Default)]
pub(crate) struct Out {
    items: VecDeque<Item>,
    /// Bytes of the first item that were written already.
    offset: usize,
    bytes: usize,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// A queue in which the end of something that is no frame stands before all frames.
    pub(crate) fn beginning_with(body: Bytes) -> Self {
        let mut out = Self::default();
        if !body.is_empty() {
            out.items = spare_queue();
            out.push_item(Item { prefix: None, body, continues: true });
        }
        out
    }

    /// Bytes not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, frame: &Frame) {
        if self.items.capacity() == 0 {
            self.items = spare_queue();
        }
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
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for part in frame.parts().filter(|part| !part.is_empty()) {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
        let written = match write(&slices[..count]) {
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
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = self.fill(&mut slices);
            match write(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
        self.offset = 0;
        give_back(std::mem::take(&mut self.items));
    }

    /// Takes everything as the body of a long poll.
    pub(crate) fn take_payload(&mut self) -> Bytes {
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
        self.clear();
        payload.finish()
    }

    /// Takes what is to be written next by somebody else, about [`CHUNK`] bytes. A large body is shared, not copied.
    pub(crate) fn take_chunk(&mut self) -> Option<Bytes> {
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
                return Some(self.given(item.body));
            }
            chunk.extend_from_slice(&item.body);
        }
        (!chunk.is_empty()).then(|| self.given(chunk.into()))
    }

    /// An idle queue holds nothing.
    fn given(&mut self, chunk: Bytes) -> Bytes {
        if self.items.is_empty() {
            give_back(std::mem::take(&mut self.items));
        }
        chunk
    }

    /// Drops everything. Whether that tore a frame, or what stands before all frames.
    pub(crate) fn clear(&mut self) -> bool {
        let torn = self.offset > 0 || self.items.front().is_some_and(|first| first.continues);
        self.bytes = 0;
        self.offset = 0;
        self.items.clear();
        give_back(std::mem::take(&mut self.items));
        torn
    }
}

thread_local! {
    static SPARE: RefCell<Vec<VecDeque<Item>>> = const { RefCell::new(Vec::new()) };
}

fn spare_queue() -> VecDeque<Item> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

fn give_back(queue: VecDeque<Item>) {
    if (1..=SPARE_CAPACITY).contains(&queue.capacity()) {
        // Not on a thread that is ending: the queue is then simply freed.
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_QUEUES {
                spare.push(queue);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::frame::Tail;

    use super::*;

    fn wire(frames: &[Frame]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|frame| frame.parts().flatten().copied().collect::<Vec<_>>())
            .collect()
    }

    /// Takes at most `room` bytes, like a socket whose buffer is nearly full.
    fn write(taken: &mut Vec<u8>, room: usize, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = taken.len();
        taken.extend(slices.iter().flat_map(|slice| slice.iter()).take(room));
        Ok(taken.len() - before)
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let attachment = proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from);
        let attachments = proptest::collection::vec(attachment, 0..4);
        ("[a-z]{1,200}", "[0-9]{1,300}", any::<bool>(), attachments).prop_map(
            |(name, data, headed, attachments)| {
                let frame = match headed {
                    true => Frame::event_with_head(&name, &data, &Tail::new(&data)),
                    false => Frame::event(&name, &[&data]),
                };
                frame.with_attachments(&attachments)
            },
        )
    }

    proptest! {
        /// Whatever the kernel takes, and whether a frame was written at once or queued, the bytes on the wire
        /// are those of the frames, one after another.
        #[test]
        fn order_is_kept_under_partial_writes(
            frames in proptest::collection::vec(frame(), 1..30),
            rooms in proptest::collection::vec((0usize..400, any::<bool>()), 1..60),
        ) {
            let mut out = Out::default();
            let mut taken = Vec::new();
            let mut rooms = rooms.into_iter().cycle();
            let mut next = || rooms.next().unwrap_or_default();
            for frame in &frames {
                let (room, direct) = next();
                match direct {
                    true => out.write_or_push(frame, |slices| write(&mut taken, room, slices)).expect("no error"),
                    false => out.push(frame),
                }
                let (mut room, flush) = next();
                if flush {
                    let all = out.flush(|slices| {
                        let written = write(&mut taken, room, slices);
                        room = 0;
                        written
                    });
                    prop_assert_eq!(all.expect("no error"), out.is_empty());
                }
            }
            let waiting = out.bytes();
            prop_assert_eq!(taken.len() + waiting, wire(&frames).len());
            out.flush(|slices| write(&mut taken, 7, slices)).expect("no error");
            prop_assert_eq!(out.bytes(), 0);
            prop_assert_eq!(taken, wire(&frames));
        }
    }

    #[test]
    fn frames_that_wait_leave_in_one_write() {
        let frames: Vec<Frame> = (0..20).map(|n| Frame::event("n", &[&n.to_string()])).collect();
        let mut out = Out::default();
        for frame in &frames {
            out.push(frame);
        }
        let mut writes = 0;
        let mut taken = Vec::new();
        let all = out.flush(|slices| {
            writes += 1;
            write(&mut taken, usize::MAX, slices)
        });
        assert_eq!((all.expect("no error"), writes), (true, 1));
        assert_eq!(taken, wire(&frames));
    }

    #[test]
    fn an_error_is_told_and_an_idle_queue_holds_nothing() {
        let frame = Frame::event("n", &[]);
        let mut out = Out::default();
        assert!(out.write_or_push(&frame, |_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
        out.push(&frame);
        assert!(out.flush(|_| Err(io::ErrorKind::BrokenPipe.into())).is_err());
        out.push(&frame);
        assert!(out.flush(|slices| write(&mut Vec::new(), usize::MAX, slices)).expect("no error"));
        assert_eq!((out.items.capacity(), out.bytes()), (0, 0));
    }

    #[test]
    fn a_frame_torn_by_clearing_is_noticed() {
        let frame = Frame::event("n", &[]);
        let mut out = Out::default();
        out.push(&frame);
        assert!(!out.clear());
        out.push(&frame);
        let mut room = 3;
        let _ = out.flush(|slices| write(&mut Vec::new(), std::mem::take(&mut room), slices));
        assert!(out.clear());
    }

    #[test]
    fn chunks_are_whole_events_and_large_bodies_are_not_copied() {
        let mut out = Out::default();
        let large = Tail::new(&format!("\"{}\"}}", "x".repeat(CHUNK)));
        let frames = [
            Frame::event_with_head("a", "{\"a\":1,\"b\":", &large),
            Frame::event("b", &["{}"]),
            Frame::event("c", &[]),
        ];
        frames.iter().for_each(|frame| out.push(frame.stream()));
        let mut chunks = Vec::new();
        while let Some(chunk) = out.take_chunk() {
            chunks.push(chunk);
            let waiting: usize = out.items.iter().map(Item::len).sum();
            assert_eq!(out.bytes(), waiting);
        }
        assert_eq!((out.bytes(), out.items.capacity(), chunks.len()), (0, 0, 3));
        assert_eq!(chunks[1].as_ptr(), frames[0].stream().body().as_ptr(), "shared");
        let parts = |frame: &Frame| frame.stream().parts().collect::<Vec<_>>().concat();
        assert_eq!(chunks.concat(), frames.iter().flat_map(parts).collect::<Vec<_>>());
    }

    #[test]
    fn a_payload_has_the_packets_without_their_frames() {
        let mut out = Out::default();
        out.push(&Frame::event_with_head("n", "1,", &Tail::new("2")));
        out.push(&Frame::event("b", &["{}"]).with_attachments(&[Bytes::from_static(&[1, 2, 3])]));
        out.push(&Frame::text(&["2"]));
        assert_eq!(out.take_payload(), "42[\"n\",1,2]\x1e451-[\"b\",{}]\x1ebAQID\x1e2");
        assert!(out.is_empty());
    }
}
