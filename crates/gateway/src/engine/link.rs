//! The sending side of a session: its queue, what carries it, and its deadlines, all under one lock.

use std::task::Waker;
use std::{io, mem};

use bytes::Bytes;

use crate::cut::Cut;
use crate::frame::Frame;
use crate::out::Out;
use crate::reason::DisconnectReason;

use super::linger::Goodbye;
use super::pipe::Pipe;

/// In this order, so that what a write needs lies together.
#[repr(C)]
pub(crate) struct Link {
    pub(crate) out: Out,
    pub(crate) transport: Transport,
    /// Bytes of `out` that the node's sum has.
    accounted: usize,
    pub(crate) closed: Option<DisconnectReason>,
    /// A write failed; the connection's task is about to find out.
    pub(crate) broken: bool,
    /// While above zero, frames are only queued: whoever corked will flush them together.
    pub(crate) corks: u8,
    /// A flusher has this session on its list.
    pub(crate) dirty: bool,
    /// A frame was refused and the queue has not fallen to its half since.
    pub(crate) full: bool,
    /// Our own handlers are behind, so nothing is read: silence is not the client's fault.
    pub(crate) paused: bool,
    /// A ping was sent, and its pong has not come.
    pub(crate) pinged: bool,
    pub(crate) deadlines: Deadlines,
}

/// Milliseconds on the gateway's clock; 0 is never.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// When to ping or, if that was done, when the pong is overdue.
    pub(crate) beat: u64,
    /// When a namespace must have been joined.
    pub(crate) connect: u64,
    /// When a full buffer must have drained.
    pub(crate) drain: u64,
    /// When a closed polling session is forgotten.
    pub(crate) forget: u64,
}

impl Deadlines {
    pub(crate) fn next(&self) -> Option<u64> {
        [self.beat, self.connect, self.drain, self.forget].into_iter().filter(|at| *at > 0).min()
    }

    pub(crate) fn passed(deadline: u64, now: u64) -> bool {
        deadline > 0 && now >= deadline
    }
}

pub(crate) enum Transport {
    /// In a box: most sessions are WebSockets, and what carries them is smaller.
    Polling(Box<Polling>),
    WebSocket(Pipe),
    Stream(Streaming),
    /// The WebSocket or the stream is closed, and with it the session.
    Gone,
}

/// The body of an HTTP response, which takes from the queue what the connection has room for.
pub(crate) struct Streaming {
    pub(crate) cut: Cut,
    /// After the end: the last words are on their way.
    pub(crate) goodbye: Option<Goodbye>,
}

#[derive(Default)]
pub(crate) struct Polling {
    /// A GET that waits for something to send.
    pub(crate) poll: Option<Waker>,
    /// A POST is being read.
    pub(crate) posting: bool,
    pub(crate) probe: Probe,
    /// After the end: what one last poll is told.
    pub(crate) farewell: Option<&'static str>,
}

/// How far an upgrade has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    #[default]
    None,
    /// A WebSocket claimed the session and has sent nothing yet.
    Claimed,
    /// It was probed: polls are answered at once, so that the client can move.
    Probed,
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    All,
    /// The kernel takes no more: the task has to wait until it does.
    Waiting,
    Broken,
}

impl Link {
    pub(crate) fn new(transport: Transport, unsent: Bytes, deadlines: Deadlines) -> Self {
        let corks = u8::from(matches!(transport, Transport::WebSocket(_)));
        Self {
            out: Out::beginning_with(unsent),
            accounted: 0,
            transport,
            closed: None,
            broken: false,
            corks,
            dirty: false,
            full: false,
            paused: false,
            pinged: false,
            deadlines,
        }
    }

    /// Sends `frame` as directly as the state allows: written at once if nothing is in its way, unless `later`.
    /// Returns whether the session has become dirty: somebody has to flush it.
    pub(crate) fn send(&mut self, frame: &Frame, later: bool) -> Sent {
        let waits = later || self.corks > 0 || self.dirty;
        match &mut self.transport {
            Transport::WebSocket(stream) if !waits => {
                let idle = self.out.is_empty() && !stream.is_behind();
                match self.out.write_or_push(frame, |slices| stream.try_write_vectored(slices)) {
                    Ok(()) if idle && (!self.out.is_empty() || stream.is_behind()) => Sent::Blocked,
                    Ok(()) => Sent::Done,
                    Err(_) => {
                        self.broken = true;
                        Sent::Blocked
                    }
                }
            }
            Transport::WebSocket(_) => {
                // Behind a blocked queue the task will write it; behind a cork whoever corked.
                let lonely = later && self.corks == 0 && !self.dirty && self.out.is_empty();
                self.out.push(frame);
                self.dirty |= lonely;
                if lonely { Sent::Dirty } else { Sent::Done }
            }
            Transport::Polling(_) => {
                self.out.push(frame);
                if self.corks == 0 {
                    self.wake_poll();
                }
                Sent::Done
            }
            Transport::Stream(_) => {
                self.out.push(frame);
                if self.corks == 0 { Sent::Blocked } else { Sent::Done }
            }
            Transport::Gone => Sent::Done,
        }
    }

    /// Whether something waits that the client has not taken, and not only for us to write it.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.out.is_empty() && !self.dirty && self.corks == 0
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        let behind = matches!(&self.transport, Transport::WebSocket(stream) if stream.is_behind());
        self.out.is_empty() && !behind
    }

    pub(crate) fn is_secure(&self) -> bool {
        matches!(&self.transport, Transport::WebSocket(stream) if stream.is_secure())
    }

    pub(crate) fn flush(&mut self) -> Flushed {
        match &mut self.transport {
            Transport::WebSocket(stream) => {
                let flushed = self.out.flush(|slices| stream.try_write_vectored(slices));
                match flushed.and_then(|all| Ok(stream.catch_up()? && all)) {
                    Ok(true) => Flushed::All,
                    Ok(false) => Flushed::Waiting,
                    Err(error) => {
                        self.broken |= error.kind() != io::ErrorKind::WouldBlock;
                        Flushed::Broken
                    }
                }
            }
            Transport::Polling(_) => {
                if !self.out.is_empty() {
                    self.wake_poll();
                }
                Flushed::All
            }
            Transport::Stream(_) if self.out.is_empty() => Flushed::All,
            Transport::Stream(_) => Flushed::Waiting,
            Transport::Gone => Flushed::Broken,
        }
    }

    /// How the queue has changed since the last time, for the node's sum.
    pub(crate) fn account(&mut self) -> (usize, usize) {
        let now = self.out.bytes();
        (mem::replace(&mut self.accounted, now), now)
    }

    pub(crate) fn wake_poll(&mut self) {
        if let Transport::Polling(polling) = &self.transport
            && let Some(waker) = &polling.poll
        {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn polling(&mut self) -> Option<&mut Polling> {
        match &mut self.transport {
            Transport::Polling(polling) => Some(polling),
            _ => None,
        }
    }
}

/// What became of a frame that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Done,
    /// Some of it waits for the kernel: wake the task.
    Blocked,
    /// It waits for a flusher: put the session on a list.
    Dirty,
}
