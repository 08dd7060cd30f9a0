//! One connected device of one user.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tidings_core::{
    ids::{DeviceId, NotificationId, Rev, UserId},
    inbox::InboxChange,
    time::Timestamp,
};
use tidings_gateway::{DisconnectReason, Frame, Socket};

use super::{events, held::Held, shown::Shown};
use crate::{auth::Claims, limiter::Level, metrics::Metrics, presence::Link, rooms::JoinedRooms};

/// Changes of one device that may wait: for its pending ones while it opens, later for one
/// that is missing.
const MAX_HELD: usize = 256;

/// A device between CONNECT and its end.
pub struct InboxSession {
    pub user: UserId,
    pub device: Option<DeviceId>,
    pub socket: Arc<Socket>,
    claims: Mutex<Arc<Claims>>,
    /// When the client last said something, in milliseconds.
    active_at: AtomicI64,
    pub opened_at: Timestamp,
    pub messages: Level,
    pub acks: Level,
    pub rooms: JoinedRooms,
    pub presence: Link,
    position: Mutex<Position>,
}

/// How far this device has been told.
#[derive(Default)]
struct Position {
    /// It was sent its pending changes, and follows.
    live: bool,
    /// It has been told everything up to here.
    sent: Rev,
    /// Changes that came too early.
    held: Held,
    /// It misses something that does not come by itself: its send buffer was full, too much was
    /// held, or it is pages behind. A query tells it from `sent` on, and until then nothing does.
    lagging: bool,
    /// Notifications that it shows as provisional: the change that adds one confirms it instead.
    shown: Shown,
    /// That query is under way. What comes meanwhile is held again.
    repairing: bool,
}

impl Position {
    fn next(&self) -> Rev {
        Rev(self.sent.0 + 1)
    }
}

/// What a query found after `since`, up to `to`.
pub(super) struct Found<'a> {
    pub(super) since: Rev,
    pub(super) to: Rev,
    pub(super) frames: &'a [Frame],
    /// How many of the frames carry it.
    pub(super) carry: usize,
    /// The notifications that are in it, also as removed.
    pub(super) ids: &'a [NotificationId],
}

/// What became of a page that a query found.
pub(super) enum PageOutcome {
    /// The device knows everything up to its end.
    Told,
    /// The device was told otherwise meanwhile, up to here: the page is out of date.
    Stale(Rev),
    /// There is no room for it; there will be, or the connection ends.
    Refused,
}

/// How a change is encoded, and who counts it when it is sent. One for all devices of a user.
pub(super) trait Delivery {
    fn frames(&self, change: &InboxChange) -> [Frame; 2];
    /// For a device that shows what this change adds already.
    fn confirmation(&self, change: &InboxChange) -> [Frame; 2];
    fn sent(&self, change: &InboxChange);
}

/// Code and message for a device whose token was taken back.
pub(crate) const REVOKED: (&str, &str) = ("TOKEN_REVOKED", "Token revoked");

/// The same for one that is its user's oldest, where a user may have no more.
pub(super) const SURPLUS: (&str, &str) =
    ("CONNECTION_LIMIT", "Too many connections of this user; the oldest is closed");

/// How long a dismissed event stream shall stay away, in milliseconds.
const DISMISSED_RETRY: u64 = 60_000;

/// Close codes of plain WebSockets (RFC 6455 §7.4.2: 4000–4999 are the application's).
fn close_code(code: &str) -> u16 {
    match code {
        "TOKEN_EXPIRED" => 4401,
        "TOKEN_REVOKED" => 4403,
        "IDLE" => 4408,
        "CONNECTION_LIMIT" => 4409,
        _ => 4400,
    }
}

impl InboxSession {
    pub(super) fn new(
        socket: Arc<Socket>,
        claims: Claims,
        device: Option<DeviceId>,
        now: Timestamp,
    ) -> Self {
        Self {
            user: claims.sub.clone(),
            device,
            socket,
            claims: Mutex::new(Arc::new(claims)),
            active_at: AtomicI64::new(now.as_millis()),
            opened_at: now,
            messages: Level::default(),
            acks: Level::default(),
            rooms: JoinedRooms::default(),
            presence: Link::default(),
            position: Mutex::default(),
        }
    }

    pub fn claims(&self) -> Arc<Claims> {
        Arc::clone(&self.claims.lock())
    }

    /// Takes a renewed token of the same user.
    pub(super) fn renew(&self, claims: Claims) {
        *self.claims.lock() = Arc::new(claims);
    }

    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.claims.lock().expires_at() <= now
    }

    pub(super) fn touch(&self, now: Timestamp) {
        // Ordered with what presence makes of the silence before it.
        self.active_at.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Tells the client why, and ends its connection in a way that tells it not to come back by
    /// itself: a DISCONNECT packet, or the close code of a plain WebSocket.
    pub fn dismiss(&self, metrics: &Metrics, code: &'static str, message: &str) {
        metrics.dismissed(code);
        // The close itself says it too, should there be no room for this.
        // A stream has no way of ending that keeps its client away, so that is asked to take its time.
        let _ = self.socket.emit(&events::error(code, message).with_retry(DISMISSED_RETRY));
        if self.socket.is_plain() {
            self.socket.close(close_code(code), message);
        } else {
            self.socket.disconnect(true);
        }
    }

    /// How long the client has been silent. One that reads a stream can say nothing: it is there as
    /// long as it reads.
    pub fn idle(&self, now: Timestamp) -> Duration {
        if self.socket.is_stream() {
            return Duration::ZERO;
        }
        now.since(Timestamp::from_millis(self.active_at.load(Ordering::SeqCst)))
    }

    /// The rev that the device has been told up to; zero while it opens.
    pub(super) fn sent(&self) -> Rev {
        self.position.lock().sent
    }

    /// Takes a change: sends it if it is the next, holds it if it is early, drops it if it is
    /// known. Returns whether one is missing that the store should be asked for.
    pub(super) fn receive(&self, change: &Arc<InboxChange>, delivery: &impl Delivery) -> bool {
        let mut position = self.position.lock();
        if change.rev <= position.sent || position.lagging {
            return false;
        }
        if position.live && position.held.is_empty() && change.rev == position.next() {
            self.tell(&mut position, change, delivery);
            return false;
        }
        if position.held.len() >= MAX_HELD {
            position.held.clear();
            position.lagging = true;
            return position.live;
        }
        position.held.put(change);
        if !position.live {
            return false;
        }
        self.release(&mut position, delivery);
        !position.held.is_empty()
    }

    /// The pending changes up to `snapshot` are sent: what came meanwhile follows. With `more`
    /// the device is further behind than that. Returns whether something is missing.
    pub(super) fn go_live(&self, snapshot: Rev, more: bool, delivery: &impl Delivery) -> bool {
        let mut position = self.position.lock();
        position.live = true;
        position.lagging |= more;
        self.advance(&mut position, snapshot, delivery);
        position.lagging || !position.held.is_empty()
    }

    /// If something is missing and nobody is at it: from where the store has to be asked.
    pub(super) fn begin_repair(&self) -> Option<Rev> {
        let mut position = self.position.lock();
        let missing = position.lagging || !position.held.is_empty();
        if !position.live || position.repairing || !missing {
            return None;
        }
        position.repairing = true;
        // Before the query: what it does not find any more must be held, not dropped.
        position.lagging = false;
        Some(position.sent)
    }

    /// Sends what a query found.
    pub(super) fn page(&self, found: &Found<'_>, delivery: &impl Delivery) -> PageOutcome {
        let mut position = self.position.lock();
        if position.sent != found.since {
            return PageOutcome::Stale(position.sent);
        }
        if !self.emit(&mut position, found.frames, found.carry) {
            return PageOutcome::Refused;
        }
        position.shown.forget(found.ids);
        self.advance(&mut position, found.to, delivery);
        PageOutcome::Told
    }

    /// Whether there is something to repair again.
    pub(super) fn end_repair(&self, failed: bool) -> bool {
        let mut position = self.position.lock();
        position.repairing = false;
        position.lagging |= failed;
        failed || !position.held.is_empty()
    }

    pub(super) fn lags(&self) -> bool {
        self.position.lock().lagging
    }

    /// Whether the store has to be asked for what is missing.
    pub(super) fn needs_repair(&self) -> bool {
        let position = self.position.lock();
        position.live && (position.lagging || !position.held.is_empty())
    }

    fn advance(&self, position: &mut Position, to: Rev, delivery: &impl Delivery) {
        position.sent = position.sent.max(to);
        position.held.forget_up_to(position.sent);
        self.release(position, delivery);
    }

    /// Sends what now follows without a gap.
    fn release(&self, position: &mut Position, delivery: &impl Delivery) {
        while !position.lagging
            && let Some(change) = position.held.take(position.next())
        {
            self.tell(position, &change, delivery);
        }
    }

    /// Sends the change that is the next.
    fn tell(&self, position: &mut Position, change: &InboxChange, delivery: &impl Delivery) {
        let is_shown = position.shown.is_added_by(change);
        let frames = match is_shown {
            true => delivery.confirmation(change),
            false => delivery.frames(change),
        };
        if self.emit(position, &frames, 1) {
            position.sent = change.rev;
            position.shown.settle(change);
            if !is_shown {
                delivery.sent(change);
            }
        }
    }

    /// Whether the first frames, which carry the change, were sent. The others only follow from
    /// them; a device that missed one lags and hears it later.
    fn emit(&self, position: &mut Position, frames: &[Frame], carry: usize) -> bool {
        let sent = self.socket.emit_together(frames);
        if sent < frames.len() {
            // Full: told again when there is room. Closed: there is nobody to tell.
            position.lagging = true;
            position.held.clear();
        }
        sent >= carry
    }
}

/// What is shown before it is stored.
impl InboxSession {
    /// Shows a notification as provisional; `false`: it will get it when it is stored.
    pub(super) fn show(&self, id: NotificationId, frame: &Frame) -> bool {
        let mut position = self.position.lock();
        if !position.live || !position.shown.may_have(id) || self.socket.emit(frame).is_err() {
            return false;
        }
        position.shown.put(id);
        true
    }

    pub(super) fn shows(&self, id: NotificationId) -> bool {
        self.position.lock().shown.has(id)
    }

    /// Everything that it shows as provisional.
    pub(super) fn shown(&self) -> Vec<NotificationId> {
        self.position.lock().shown.all().to_vec()
    }

    pub(super) fn withdraw(&self, id: NotificationId, frame: impl FnOnce() -> Frame) {
        let mut position = self.position.lock();
        if !position.shown.has(id) {
            return;
        }
        position.shown.forget(&[id]);
        if self.socket.emit(&frame()).is_err() {
            // It would show for ever what is not there. When it comes back it forgets what is provisional.
            drop(position);
            self.socket.close_transport(DisconnectReason::SlowConsumer);
        }
    }

    /// Whether it was not told of this rev, and nobody is about to ask for it.
    pub(super) fn misses(&self, rev: Rev) -> bool {
        let position = self.position.lock();
        position.live && !position.lagging && !position.repairing && position.sent < rev
    }

    /// The store has this rev; if it was not told of it, it is to be asked.
    pub(super) fn fall_behind_of(&self, rev: Rev) {
        let mut position = self.position.lock();
        if position.live && position.sent < rev {
            position.lagging = true;
            position.held.clear();
        }
    }

    /// It misses a change that nobody will send it.
    pub(super) fn fall_behind(&self) {
        let mut position = self.position.lock();
        if position.live && !position.shown.all().is_empty() {
            position.lagging = true;
            position.held.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The allocator makes 192 bytes of it, with the counts of its `Arc`, and 16 in the hub for each user.
    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<InboxSession>() <= 176, "{}", size_of::<InboxSession>());
        assert!(size_of::<crate::inbox::devices::Devices>() <= 16);
        assert!(size_of::<Claims>() <= 96, "{}", size_of::<Claims>());
    }
}
