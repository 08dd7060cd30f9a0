//! What time does to a session: pings, overdue pongs, and everything else that has a deadline.

use std::sync::Arc;

use crate::frame::Frame;
use crate::reason::DisconnectReason;

use super::close::Ending;
use super::link::{Deadlines, Flushed, Link, Transport};
use super::session::{PING, PLAIN_PING, Session};

enum Verdict {
    Fine,
    Ping,
    /// A sign of life that nobody answers.
    Comment,
    Forget,
    Close(DisconnectReason, Ending),
}

impl Session {
    /// Does what is due, and says when to come again.
    pub(crate) fn on_time(self: &Arc<Self>, now: u64) -> Option<u64> {
        let mut link = self.lock();
        let verdict = judge(&link, now);
        match verdict {
            Verdict::Fine => link.deadlines.next(),
            Verdict::Ping => {
                // Counted from when the ping was due, so that a late tick does not make clients' patience longer.
                link.deadlines.beat += self.gateway.ping_timeout;
                link.pinged = true;
                let next = link.deadlines.next();
                drop(link);
                self.send_ping();
                next
            }
            Verdict::Comment => {
                link.deadlines.beat += self.gateway.ping_interval;
                let next = link.deadlines.next();
                if link.out.is_empty() {
                    // Something that waits would do as well, and must not grow by this.
                    link.out.push(&Frame::comment());
                }
                drop(link);
                self.waker.wake();
                next
            }
            Verdict::Forget => {
                drop(link);
                self.cut();
                self.forget();
                None
            }
            Verdict::Close(reason, ending) => {
                drop(link);
                self.close(reason, ending);
                None
            }
        }
    }

    /// A ping is queued even behind a full buffer: three bytes, one at a time.
    fn send_ping(self: &Arc<Self>) {
        let mut link = self.lock();
        link.out.push(&Frame::encoded(if self.is_plain() { PLAIN_PING } else { PING }));
        let (corked, dirty) = (link.corks > 0, link.dirty);
        drop(link);
        if !corked && !dirty && self.flush() != Flushed::All {
            self.waker.wake();
        }
    }

    /// The client answered. The next ping comes an interval after the one that was answered, however long that took.
    /// A pong that nobody asked for postpones nothing.
    pub(crate) fn on_pong(self: &Arc<Self>) {
        let now = self.gateway.clock.now();
        let mut link = self.lock();
        if link.closed.is_none() && link.pinged {
            let pinged = link.deadlines.beat.saturating_sub(self.gateway.ping_timeout);
            let next = (pinged + self.gateway.ping_interval).max(now);
            link.deadlines.beat = next;
            link.pinged = false;
            // The wheel has the time at which the pong would have been overdue, usually the earlier one.
            if self.gateway.ping_interval < self.gateway.ping_timeout {
                self.gateway.wheel.hasten(self, next);
            }
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// A plain client is authenticated. Whether it is not too late.
    pub(crate) fn stop_awaiting(&self) -> bool {
        let mut link = self.lock();
        link.deadlines.connect = 0;
        link.closed.is_none()
    }

    /// We read again: the client gets its full patience for a pong that may be waiting.
    pub(crate) fn resume(&self) {
        let now = self.gateway.clock.now();
        let mut link = self.lock();
        link.paused = false;
        if link.pinged && link.deadlines.beat > 0 {
            link.deadlines.beat = now + self.gateway.ping_timeout;
        }
    }

    /// From now on a namespace must be joined within the time for it, or the connection is closed.
    pub(crate) fn await_namespace(self: &Arc<Self>) {
        let at = self.gateway.clock.now() + self.gateway.config.connect_timeout.as_millis() as u64;
        let mut link = self.lock();
        if link.closed.is_none() {
            link.deadlines.connect = at;
            drop(link);
            self.gateway.wheel.hasten(self, at);
        }
    }

    /// Whether the pong is overdue, also between two ticks.
    pub(crate) fn is_overdue(&self) -> bool {
        let link = self.lock();
        let silent = if link.pinged { 0 } else { self.gateway.ping_timeout };
        let patience = link.deadlines.beat + silent;
        link.closed.is_none()
            && !link.paused
            && Deadlines::passed(patience, self.gateway.clock.now())
    }
}

fn judge(link: &Link, now: u64) -> Verdict {
    let due = &link.deadlines;
    if link.closed.is_some() {
        return if Deadlines::passed(due.forget, now) { Verdict::Forget } else { Verdict::Fine };
    }
    if Deadlines::passed(due.connect, now) {
        return Verdict::Close(DisconnectReason::ConnectTimeout, Ending::Flush);
    }
    if Deadlines::passed(due.drain, now) {
        return Verdict::Close(DisconnectReason::SlowConsumer, Ending::Abort);
    }
    match Deadlines::passed(due.beat, now) {
        false => Verdict::Fine,
        true if matches!(link.transport, Transport::Stream(_)) => Verdict::Comment,
        true if !link.pinged => Verdict::Ping,
        // What is due again at once would spin; another tick is soon enough.
        true if link.paused => Verdict::Fine,
        true => Verdict::Close(DisconnectReason::PingTimeout, Ending::Abort),
    }
}
