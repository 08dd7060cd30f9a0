//! The connections of other nodes, as far as somebody here is told of them.
//!
//! They sit on the board like those of this node: what a user's devices add up to, grace, who is
//! invisible and what a room is told is one and the same for all. On the board are those of users
//! who are in a room that is followed here, or who have a connection here too.

use std::collections::HashSet;

use super::{
    Board, Details, Entry, Socket, Status,
    person::{Device, Person},
};
use crate::{
    ids::UserId,
    registry::{Connection, Incarnation, Record},
    room::RoomName,
    time::Timestamp,
};

/// Who is listening, and whom it believes.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    pub me: Incarnation,
    pub lives: &'a dyn Fn(Incarnation) -> bool,
}

/// Of which rooms a record tells.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// Of no other.
    Room(&'a RoomName),
    All,
}

impl Scope<'_> {
    fn covers(&self, room: &RoomName) -> bool {
        match self {
            Self::Room(one) => *one == room,
            Self::All => true,
        }
    }
}

impl Board {
    /// Takes what is known of a user's connections on other nodes. What is older than what was
    /// heard before is dropped.
    pub fn hear(&mut self, record: &Record, scope: Scope<'_>, here: Here<'_>, now: Timestamp) {
        let user = &record.user;
        let counts = |one: &&Connection| one.at != here.me && (here.lives)(one.at);
        let others: Vec<&Connection> = record.connections.iter().filter(counts).collect();
        let is_new = match self.people.get(user) {
            Some(person) if person.heard > record.version => return,
            Some(_) => false,
            None => true,
        };
        let is_seen = |one: &&Connection| {
            one.rooms.iter().any(|room| scope.covers(room) && self.follows(room))
        };
        if is_new && !others.iter().any(is_seen) {
            return;
        }
        let person = self.people.entry(user.clone()).or_default();
        let is_told_here = person.devices.iter().any(Device::is_here);
        person.take(&others, record.version, is_told_here, now);
        if is_new {
            // Whether it is news depends on the rooms: one that is held has told nobody yet.
            let held = |room: &RoomName| self.rooms.get(room).is_some_and(|p| p.hold.is_some());
            if others.iter().any(|one| one.rooms.iter().any(held)) {
                person.shown = person.view();
                person.since = person.earliest().unwrap_or(now);
            }
        }
        for device in person.devices.iter().filter(|device| !device.is_here()) {
            if let Some(gone) = device.gone {
                self.leaving.insert((gone.plus(self.settings.grace), user.clone()));
            }
        }
        self.seat_elsewhere(user, &others, scope);
        self.touched.insert(user.clone());
    }

    /// Puts connections into the rooms that their record tells of.
    fn seat_elsewhere(&mut self, user: &UserId, others: &[&Connection], scope: Scope<'_>) {
        let Some(person) = self.people.get_mut(user) else { return };
        let is_visible = person.shown.status != Status::Offline;
        for device in person.devices.iter_mut().filter(|device| !device.is_here()) {
            let same = |one: &&&Connection| device.socket.as_ref() == Some(&one.socket);
            // What has ended stays where it was, for the time of grace.
            let Some(known) = others.iter().find(same) else { continue };
            let (rooms, dirty) = (&mut self.rooms, &mut self.dirty);
            device.rooms.retain(|room| {
                let stays = !scope.covers(room) || known.rooms.contains(room);
                if !stays && let Some(place) = rooms.get_mut(room) {
                    place.rise_elsewhere(user);
                    dirty.insert(room.clone());
                }
                stays
            });
            for room in known.rooms.iter().filter(|room| scope.covers(room)) {
                let Some(place) = rooms.get_mut(room).filter(|place| place.listeners > 0) else {
                    continue;
                };
                if !device.rooms.contains(room) {
                    place.sit_elsewhere(user, is_visible);
                    device.rooms.push(room.clone());
                    dirty.insert(room.clone());
                }
            }
        }
    }

    /// A node is dead: its connections have ended.
    pub fn lost(&mut self, node: Incarnation, now: Timestamp) {
        for (user, person) in &mut self.people {
            let of_it = |d: &&mut Device| d.elsewhere == Some(node) && d.gone.is_none();
            for device in person.devices.iter_mut().filter(of_it) {
                device.gone = Some(now);
                self.leaving.insert((now.plus(self.settings.grace), user.clone()));
            }
        }
    }

    /// Whether somebody here is told of the room.
    pub fn follows(&self, room: &RoomName) -> bool {
        self.rooms.get(room).is_some_and(|place| place.listeners > 0)
    }

    /// Whether it is known who is there on other nodes.
    pub fn has_read(&self, room: &RoomName) -> bool {
        let place = self.rooms.get(room).filter(|place| place.listeners > 0);
        place.is_some_and(|place| place.hold.is_none()) && !self.unread.contains(room)
    }

    /// Rooms of which it is to be found out who is there on other nodes, each once.
    pub fn take_unread(&mut self) -> HashSet<RoomName> {
        std::mem::take(&mut self.unread)
    }

    /// Something may have been missed: of every room that is followed it is found out again.
    pub fn read_again(&mut self) {
        let followed = self.rooms.iter().filter(|(_, place)| place.listeners > 0);
        self.unread.extend(followed.map(|(room, _)| room.clone()));
    }

    /// It could not be found out of these rooms: it is tried again.
    pub fn put_off(&mut self, rooms: impl IntoIterator<Item = RoomName>) {
        for room in rooms {
            if self.follows(&room) {
                self.unread.insert(room);
            }
        }
    }

    /// Users who are thought to be in a room with connections of other nodes.
    pub fn elsewhere_in(&self, room: &RoomName) -> Vec<UserId> {
        let Some(place) = self.rooms.get(room).filter(|place| place.elsewhere > 0) else {
            return Vec::new();
        };
        let sits = |device: &Device| !device.is_here() && device.rooms.contains(room);
        let is_there = |user: &&UserId| {
            self.people.get(*user).is_some_and(|person| person.devices.iter().any(sits))
        };
        place.seats.keys().filter(is_there).cloned().collect()
    }

    /// Everybody who is in a room on other nodes has been heard of.
    pub fn has_been_read(&mut self, room: &RoomName) {
        if let Some(place) = self.rooms.get_mut(room) {
            place.hold = None;
            self.dirty.insert(room.clone());
        }
    }

    /// What others may know of a user who has these connections, metadata included.
    pub fn of_connections(&self, user: &UserId, all: &[Connection], now: Timestamp) -> Entry {
        let mut person = Person::default();
        let is_over = |gone: Timestamp| gone.plus(self.settings.grace) <= now;
        for one in all.iter().filter(|one| !one.gone.is_some_and(is_over)) {
            person.devices.push(Device::of(one));
        }
        person.shown = person.view();
        person.since = person.earliest().unwrap_or(now);
        let mut entry = person.entry(user);
        entry.metadata.clone_from(&person.shown.details.metadata);
        entry
    }

    /// What other nodes know of a user's connections here; `None`: the user is not on the board.
    pub fn of_this_node(&self, user: &UserId, me: Incarnation) -> Option<Vec<Connection>> {
        let devices = &self.people.get(user)?.devices;
        // One that goes on as another is there, and has not gone.
        let goes_on = |gone: &Device| {
            devices.iter().any(|other| !other.is_gone() && other.socket == gone.socket)
        };
        let is_known = |d: &&Device| d.is_here() && !(d.is_gone() && goes_on(d));
        let here = devices.iter().filter(is_known);
        Some(here.filter_map(|device| device.as_known_elsewhere(me)).collect())
    }

    /// Connections of other nodes that are known here.
    pub fn elsewhere(&self) -> usize {
        let devices = self.people.values().flat_map(|person| &person.devices);
        devices.filter(|device| !device.is_here() && !device.is_gone()).count()
    }

    /// A connection of another node goes on here.
    pub(super) fn move_here(&mut self, user: &UserId, socket: &Socket) {
        let Some(person) = self.people.get_mut(user) else { return };
        let moved = |d: &Device| !d.is_here() && d.socket.as_ref() == Some(socket);
        let Some(at) = person.devices.iter().position(moved) else { return };
        let device = person.devices.remove(at);
        self.unseat(user, &device);
    }

    /// A connection of this node ceased to hear a room.
    pub(super) fn stop_listening(&mut self, room: &RoomName) {
        let Some(place) = self.rooms.get_mut(room) else { return };
        place.listeners = place.listeners.saturating_sub(1);
        if place.listeners > 0 {
            return;
        }
        self.unread.remove(room);
        place.hold = None;
        if place.elsewhere == 0 {
            return;
        }
        // Nobody is left to be told of those on other nodes, and nothing will be heard of them.
        place.elsewhere = 0;
        let users: Vec<UserId> = place.seats.keys().cloned().collect();
        for user in users {
            self.let_go(&user, room);
        }
    }

    fn let_go(&mut self, user: &UserId, room: &RoomName) {
        let Some(person) = self.people.get_mut(user) else { return };
        let mut risen = 0;
        for device in person.devices.iter_mut().filter(|device| !device.is_here()) {
            let before = device.rooms.len();
            device.rooms.retain(|other| other != room);
            risen += u32::from(device.rooms.len() < before);
        }
        if risen == 0 {
            return;
        }
        if let Some(place) = self.rooms.get_mut(room)
            && let Some(seat) = place.seats.get_mut(user)
        {
            seat.devices = seat.devices.saturating_sub(risen);
            if seat.devices == 0 {
                place.online -= usize::from(seat.told);
                place.seats.remove(user);
                place.changed.remove(user);
            }
        }
        self.forget_stranger(user);
    }

    /// Forgets somebody with whom nobody here has to do any more.
    pub(super) fn forget_stranger(&mut self, user: &UserId) {
        if self.people.get(user).is_some_and(Person::is_stranger)
            && let Some(person) = self.people.remove(user)
        {
            self.online -= usize::from(person.counted);
        }
    }
}

impl Person {
    /// Takes what is known of the connections elsewhere. `all_of_it`: also what is only for those
    /// who ask, and for the user's own devices.
    fn take(&mut self, others: &[&Connection], version: u64, all_of_it: bool, now: Timestamp) {
        let is_news = version > self.heard;
        self.heard = version;
        for known in others {
            let known = match known.details.metadata {
                Some(_) if !all_of_it => &without_metadata(known),
                _ => known,
            };
            let same = |d: &&mut Device| d.socket.as_ref() == Some(&known.socket);
            let gone = known.gone.map(|gone| gone.min(now));
            match self.devices.iter_mut().find(same) {
                // It goes on here, and its node does not know that yet.
                Some(device) if device.is_here() => {}
                Some(device) => {
                    // A room is told less than the user's own devices.
                    if is_news || known.details.metadata.is_some() {
                        device.take(known);
                    }
                    device.gone = if gone.is_some() { device.gone.or(gone) } else { None };
                }
                None => {
                    self.devices.reserve_exact(1);
                    let mut device = Device::of(known);
                    device.gone = gone;
                    self.devices.push(device);
                }
            }
        }
        let is_known = |device: &Device| {
            others.iter().any(|known| device.socket.as_ref() == Some(&known.socket))
        };
        let ended = |d: &&mut Device| !d.is_here() && d.gone.is_none() && !is_known(d);
        for device in self.devices.iter_mut().filter(ended) {
            device.gone = Some(now);
        }
    }
}

fn without_metadata(connection: &Connection) -> Connection {
    let details = Details { metadata: None, ..Details::clone(&connection.details) };
    Connection { details: std::sync::Arc::new(details), ..connection.clone() }
}

#[cfg(test)]
#[path = "elsewhere_tests.rs"]
mod tests;
