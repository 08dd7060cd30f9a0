//! What this node knows of the connections of others, and what it lets them know.

use std::collections::HashSet;

use tidings_core::{
    ids::UserId,
    presence::{Entry, Here, Scope},
    registry::{Connection, Incarnation, Record},
    room::RoomName,
    time::Timestamp,
};

use super::{PresenceHub, RoomView};
use crate::inbox::InboxHub;

impl PresenceHub {
    /// A user's connections here, those included that count for a while yet.
    pub(crate) fn of_this_node(
        &self,
        hub: &InboxHub,
        user: &UserId,
        me: Incarnation,
    ) -> Vec<Connection> {
        let board = self.board.lock();
        board.of_this_node(user, me).unwrap_or_else(|| {
            let sessions = hub.sessions_of(user);
            let aside = sessions.iter().filter(|session| session.presence.is_aside());
            let known = aside
                .map(|session| Connection::new(me, session.socket.id().into(), session.opened_at));
            known.collect()
        })
    }

    /// A node says what is known of a user, to a room that somebody here may be in or to the
    /// user's own devices.
    pub(crate) fn hear(&self, hub: &InboxHub, room: &RoomName, record: &Record, now: Timestamp) {
        self.take(Some(hub), record, Scope::Room(room), now);
    }

    /// The same, of all rooms.
    pub(crate) fn hear_all(&self, hub: &InboxHub, record: &Record, now: Timestamp) {
        self.take(Some(hub), record, Scope::All, now);
    }

    /// What was found out about who is in a room.
    pub(crate) fn hear_each(&self, records: &[Record], now: Timestamp) {
        for record in records {
            self.take(None, record, Scope::All, now);
        }
    }

    fn take(&self, hub: Option<&InboxHub>, record: &Record, scope: Scope<'_>, now: Timestamp) {
        let Some(me) = self.cluster.me() else { return };
        let mut board = self.board.lock();
        if record.is_shared(me) {
            // Connections here and elsewhere make a difference to each other.
            for session in hub.into_iter().flat_map(|hub| hub.sessions_of(&record.user)) {
                self.step_up(&mut board, &session);
            }
        }
        let lives = |at| self.cluster.lives(at);
        board.hear(record, scope, Here { me, lives: &lives }, now);
    }

    /// What others may know of a user with connections on other nodes; `None`: there are none.
    pub(crate) fn of_record(
        &self,
        hub: &InboxHub,
        record: &Record,
        now: Timestamp,
    ) -> Option<Entry> {
        let me = self.cluster.me()?;
        let counts = |one: &&Connection| one.at != me && self.cluster.lives(one.at);
        let mut connections: Vec<Connection> =
            record.connections.iter().filter(counts).cloned().collect();
        if connections.is_empty() {
            return None;
        }
        // Of this node it may be a moment behind.
        connections.extend(self.of_this_node(hub, &record.user, me));
        Some(self.board.lock().of_connections(&record.user, &connections, now))
    }

    /// What others may know of a user who is on the board.
    pub(crate) fn of_user(&self, user: &UserId) -> Option<Entry> {
        self.board.lock().of_user(user)
    }

    /// Whether who is in a room, on whatever node, is known here.
    pub(crate) fn knows_room(&self, room: &RoomName) -> bool {
        self.board.lock().has_read(room)
    }

    /// A room of which no more is known here than these.
    pub(crate) fn as_room(
        &self,
        mut users: Vec<Entry>,
        after: Option<&UserId>,
        limit: usize,
    ) -> RoomView {
        users.retain(|entry| entry.connected_at.is_some());
        users.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
        let online = users.len();
        users.retain(|entry| after.is_none_or(|after| entry.user_id > *after));
        let has_more = users.len() > limit;
        users.truncate(limit);
        RoomView { online, large: online > self.large_room, users, has_more }
    }

    /// A node is dead: its connections have ended, now.
    pub(crate) fn lost(&self, node: Incarnation, now: Timestamp) {
        self.board.lock().lost(node, now);
    }

    /// Connections of other nodes that are known here.
    pub(crate) fn elsewhere(&self) -> usize {
        self.board.lock().elsewhere()
    }

    /// Something may have been missed: of all rooms it is found out again who is there.
    pub(crate) fn read_again(&self) {
        self.board.lock().read_again();
        self.cluster.unread.notify_one();
    }

    pub(crate) fn take_unread(&self) -> HashSet<RoomName> {
        self.board.lock().take_unread()
    }

    pub(crate) fn put_off(&self, rooms: Vec<RoomName>) {
        self.board.lock().put_off(rooms);
    }

    pub(crate) fn has_been_read(&self, room: &RoomName) {
        self.board.lock().has_been_read(room);
    }

    pub(crate) fn elsewhere_in(&self, room: &RoomName) -> Vec<UserId> {
        self.board.lock().elsewhere_in(room)
    }
}
