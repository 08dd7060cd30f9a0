//! Presence and typing, as this node sees them.
//!
//! The domain ([`tidings_core::presence`]) knows who is here; this is how it hears of it and how
//! the rooms hear from it. Frames are built once per room and tick. They are states, not
//! messages: at most once, and not for clients that are behind, who are told everything again
//! when they have caught up.

pub(crate) mod commands;
mod events;
mod link;
mod nodes;
mod tell;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tidings_core::{
    ids::UserId,
    presence::{Board, DeviceId, Entry, Own, Settings, Socket, Typists, Update},
    room::RoomName,
    time::Timestamp,
};

pub use link::Link;
pub(crate) use tell::{tell, tell_typing};

use crate::{
    cluster::Cluster,
    config,
    inbox::{InboxHub, InboxSession},
};

/// Users whose last moment may wait to be written; of more it is not kept.
const MAX_UNWRITTEN: usize = 100_000;

/// How long a room that is new here waits to be told, at most, for what other nodes know of it.
const HOLD: Duration = Duration::from_secs(1);

pub struct PresenceHub {
    cluster: Arc<Cluster>,
    board: Mutex<Board>,
    typists: Mutex<Typists>,
    large_room: usize,
    next: AtomicU64,
    /// Users whose only connection stands aside. Changes under the board's lock.
    aside: AtomicUsize,
    /// When users were last seen, as far as the store has not heard of it.
    unwritten: Mutex<HashMap<UserId, Timestamp>>,
}

/// A room as somebody asked about it sees it.
pub(crate) struct RoomView {
    pub(crate) online: usize,
    pub(crate) large: bool,
    /// Some of those who are here, by id.
    pub(crate) users: Vec<Entry>,
    pub(crate) has_more: bool,
}

impl PresenceHub {
    pub fn new(config: &config::Presence, cluster: Arc<Cluster>) -> Self {
        let settings = Settings {
            grace: config.grace,
            large_room: config.large_room,
            large_pause: config.large_tick,
            hold: cluster.is_shared().then_some(HOLD),
        };
        Self {
            cluster,
            board: Mutex::new(Board::new(settings)),
            large_room: config.large_room,
            typists: Mutex::new(Typists::new(config.typing)),
            next: AtomicU64::new(1),
            aside: AtomicUsize::new(0),
            unwritten: Mutex::default(),
        }
    }

    /// A connection begins: its user is here. If that is all there is to say (one connection, in no room, that says
    /// nothing of itself), it stands aside, and is put on the board by the first thing that makes a difference. Gives
    /// the sessions that have to go for it.
    pub(crate) fn connect(
        &self,
        hub: &InboxHub,
        session: &Arc<InboxSession>,
        now: Timestamp,
    ) -> Vec<Arc<InboxSession>> {
        let mut board = self.board.lock();
        let others = hub.sessions_of(&session.user);
        let displaced = hub.register(session);
        for other in &others {
            self.step_up(&mut board, other);
        }
        if board.knows(&session.user) || session.presence.card().is_some() {
            self.seat(&mut board, session, now);
        } else {
            session.presence.stand_aside();
            self.aside.fetch_add(1, Ordering::Relaxed);
        }
        drop(board);
        self.cluster.touch(&session.user);
        displaced
    }

    /// It ends, and counts on for the time of grace. Called while the hub still has it, so that its user is seen all the
    /// while.
    pub(crate) fn disconnect(&self, session: &InboxSession, now: Timestamp) {
        let Some(device) = ({
            let mut board = self.board.lock();
            let device = self.step_up(&mut board, session);
            if let Some(device) = device {
                board.disconnect(&session.user, device, now);
            }
            device
        }) else {
            return;
        };
        self.cluster.touch(&session.user);
        let mut typists = self.typists.lock();
        for (room, _) in session.rooms.all() {
            typists.leave(&session.user, device, &room);
        }
    }

    /// Puts a connection on the board, unless it is there.
    fn seat(&self, board: &mut Board, session: &InboxSession, now: Timestamp) -> DeviceId {
        let known = session.presence.device();
        known.unwrap_or_else(|| {
            let device = self.begin(session);
            let socket = self.known_socket(session);
            board.connect(&session.user, device, socket, session.presence.card(), now);
            device
        })
    }

    /// The same for one that stands aside: it has been here all the time. `None`: it is not here yet.
    fn step_up(&self, board: &mut Board, session: &InboxSession) -> Option<DeviceId> {
        if session.presence.step_up() {
            self.aside.fetch_sub(1, Ordering::Relaxed);
            let socket = self.known_socket(session);
            board.has_been(&session.user, self.begin(session), socket, session.opened_at);
        }
        session.presence.device()
    }

    /// The public id of a connection, if other nodes know it by that.
    fn known_socket(&self, session: &InboxSession) -> Option<Socket> {
        self.cluster.is_shared().then(|| session.socket.id().into())
    }

    fn begin(&self, session: &InboxSession) -> DeviceId {
        let device = DeviceId(self.next.fetch_add(1, Ordering::Relaxed));
        session.presence.begin(device);
        device
    }

    /// Also of a client that comes back, before its connection has begun.
    pub(crate) fn enter(&self, session: &InboxSession, room: &RoomName, now: Timestamp) {
        let mut board = self.board.lock();
        let device = self.step_up(&mut board, session);
        let device = device.unwrap_or_else(|| self.seat(&mut board, session, now));
        board.enter(&session.user, device, session.socket.id(), room, now);
        drop(board);
        self.cluster.touch(&session.user);
        self.cluster.unread.notify_one();
    }

    pub(crate) fn leave(&self, session: &InboxSession, room: &RoomName) {
        let Some(device) = session.presence.device() else { return };
        self.board.lock().leave(&session.user, device, room);
        self.cluster.touch_left(&session.user, room);
        self.typists.lock().leave(&session.user, device, room);
    }

    /// Gives what the user's own devices see then.
    pub(crate) fn update(
        &self,
        session: &InboxSession,
        update: Update,
        now: Timestamp,
    ) -> Option<Own> {
        let mut board = self.board.lock();
        let device = self.step_up(&mut board, session)?;
        let card = session.presence.change(update);
        self.cluster.touch(&session.user);
        board.say(&session.user, device, card, now)
    }

    /// The client said something, whatever it was.
    pub(crate) fn heard(&self, session: &InboxSession) {
        if session.presence.wake()
            && let Some(device) = session.presence.device()
        {
            self.board.lock().lapse(&session.user, device, None);
            self.cluster.touch(&session.user);
        }
    }

    /// The client seems to have been silent for too long.
    pub(crate) fn lapse(&self, session: &InboxSession, now: Timestamp, ttl: std::time::Duration) {
        let mut board = self.board.lock();
        let Some(device) = self.step_up(&mut board, session) else { return };
        session.presence.sleep();
        let idle = session.idle(now);
        if idle < ttl {
            // It spoke just now, perhaps before it could see that it sleeps.
            session.presence.wake();
            return;
        }
        board.lapse(&session.user, device, Some(now.minus(idle)));
        self.cluster.touch(&session.user);
    }

    pub fn online(&self) -> usize {
        self.online_with(&self.board.lock())
    }

    fn online_with(&self, board: &Board) -> usize {
        board.online() + self.aside.load(Ordering::Relaxed)
    }

    pub fn typing(&self) -> usize {
        self.typists.lock().count()
    }

    /// Who is in a room, by id, after `after`, as far as it is known here.
    pub(crate) fn in_room(
        &self,
        room: &RoomName,
        after: Option<&UserId>,
        limit: usize,
    ) -> RoomView {
        let board = self.board.lock();
        let mut users: Vec<&UserId> =
            board.in_room(room).filter(|user| after.is_none_or(|after| *user > after)).collect();
        let has_more = users.len() > limit;
        if has_more {
            users.select_nth_unstable(limit);
            users.truncate(limit);
        }
        users.sort_unstable();
        RoomView {
            online: board.count_in_room(room),
            large: board.is_large(room),
            users: users.into_iter().filter_map(|user| board.of_user(user)).collect(),
            has_more,
        }
    }

    /// What is known here of users, in their order. Who is not here has no time of being last
    /// seen unless the store has yet to hear of it.
    pub(crate) fn of_users(&self, hub: &InboxHub, users: &[UserId]) -> Vec<Entry> {
        let board = self.board.lock();
        let unwritten = self.unwritten.lock();
        let entry = |user: &UserId| {
            let known = board.of_user(user).or_else(|| aside(hub, user));
            let mut entry = known.unwrap_or_else(|| Entry::offline(user.clone(), None));
            if entry.connected_at.is_none() && entry.last_seen.is_none() {
                entry.last_seen = unwritten.get(user).copied();
            }
            entry
        };
        users.iter().map(entry).collect()
    }

    pub(crate) fn remember_seen(&self, seen: Vec<(UserId, Timestamp)>) {
        let mut unwritten = self.unwritten.lock();
        for (user, at) in seen {
            if unwritten.len() < MAX_UNWRITTEN || unwritten.contains_key(&user) {
                unwritten.insert(user, at);
            }
        }
    }

    /// What the store has yet to hear. It stays known here until it was [`written`](Self::written).
    pub(crate) fn unwritten(&self, most: usize) -> Vec<(UserId, Timestamp)> {
        let unwritten = self.unwritten.lock();
        unwritten.iter().take(most).map(|(user, at)| (user.clone(), *at)).collect()
    }

    pub(crate) fn written(&self, seen: &[(UserId, Timestamp)]) {
        let mut unwritten = self.unwritten.lock();
        for (user, at) in seen {
            if unwritten.get(user) == Some(at) {
                unwritten.remove(user);
            }
        }
    }
}

/// What others see of a user whose only connection stands aside.
fn aside(hub: &InboxHub, user: &UserId) -> Option<Entry> {
    let sessions = hub.sessions_of(user);
    let session = sessions.iter().find(|session| session.presence.is_aside())?;
    Some(Entry::online(user.clone(), session.opened_at))
}
