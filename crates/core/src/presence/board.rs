//! Everybody who is here, by user and by room.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    Card, Details, Entry, Settings, Socket, Status,
    person::{Device, Person},
    place::Place,
};
use crate::{ids::UserId, room::RoomName, time::Timestamp};

/// Names one connection for as long as the node runs; from 1 on, and never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub u64);

impl DeviceId {
    /// Of all connections of other nodes, which are known by their public ids.
    pub(super) const ELSEWHERE: Self = Self(0);
}

/// What a user's own devices are told.
#[derive(Debug, Clone)]
pub struct Own {
    pub status: Status,
    pub invisible: bool,
    pub details: Details,
}

pub struct Board {
    pub(super) settings: Settings,
    pub(super) people: HashMap<UserId, Person>,
    pub(super) rooms: HashMap<RoomName, Place>,
    /// Who may look different since the last tick.
    pub(super) touched: HashSet<UserId>,
    /// Rooms that have something to be told.
    pub(super) dirty: HashSet<RoomName>,
    /// When whose ended connections cease to count.
    pub(super) leaving: BTreeSet<(Timestamp, UserId)>,
    /// Users with connections here whom others see.
    pub(super) online: usize,
    /// Rooms of which it is to be found out who is there on other nodes.
    pub(super) unread: HashSet<RoomName>,
}

impl Board {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            people: HashMap::new(),
            rooms: HashMap::new(),
            touched: HashSet::new(),
            dirty: HashSet::new(),
            leaving: BTreeSet::new(),
            online: 0,
            unread: HashSet::new(),
        }
    }

    /// `socket`: its public id, where other nodes have to know it. `card`: what the client said of
    /// itself already, if it did.
    pub fn connect(
        &mut self,
        user: &UserId,
        id: DeviceId,
        socket: Option<Socket>,
        card: Option<Card>,
        now: Timestamp,
    ) {
        if let Some(socket) = &socket {
            self.move_here(user, socket);
        }
        self.people.entry(user.clone()).or_default().add(id, socket, card, now);
        self.touched.insert(user.clone());
    }

    /// A user of whom nothing is known here has been here since then, with this one connection,
    /// which has said nothing of itself: nobody is told, because nobody was there to tell.
    pub fn has_been(
        &mut self,
        user: &UserId,
        id: DeviceId,
        socket: Option<Socket>,
        since: Timestamp,
    ) {
        if self.knows(user) {
            return self.connect(user, id, socket, None, since);
        }
        let mut person = Person { since, counted: true, ..Person::default() };
        person.add(id, socket, None, since);
        person.shown = person.view();
        self.people.insert(user.clone(), person);
        self.online += 1;
    }

    /// Whether the user is here, or was until just now.
    pub fn knows(&self, user: &UserId) -> bool {
        self.people.contains_key(user)
    }

    /// A connection ended. It counts on for the time of grace, rooms included.
    pub fn disconnect(&mut self, user: &UserId, id: DeviceId, now: Timestamp) {
        let Some(person) = self.people.get_mut(user) else { return };
        let Some(device) = person.device(id).filter(|device| !device.is_gone()) else { return };
        let rooms = device.rooms.clone();
        let forgotten = person.end(id, now);
        self.leaving.insert((now.plus(self.settings.grace), user.clone()));
        if let Some(device) = forgotten {
            self.unseat(user, &device);
            self.touched.insert(user.clone());
        }
        for room in &rooms {
            self.stop_listening(room);
        }
    }

    /// A client said something of itself. Gives what the user's own devices see then.
    pub fn say(&mut self, user: &UserId, id: DeviceId, card: Card, now: Timestamp) -> Option<Own> {
        let person = self.people.get_mut(user)?;
        person.say(id, card, now);
        self.touched.insert(user.clone());
        Some(own(person))
    }

    /// A connection has been silent for too long, since `silent_since`; or (`None`) it has
    /// spoken again.
    pub fn lapse(&mut self, user: &UserId, id: DeviceId, silent_since: Option<Timestamp>) {
        if let Some(person) = self.people.get_mut(user) {
            person.lapse(id, silent_since);
            self.touched.insert(user.clone());
        }
    }

    /// `socket`: the public id of the connection.
    pub fn enter(
        &mut self,
        user: &UserId,
        id: DeviceId,
        socket: &str,
        room: &RoomName,
        now: Timestamp,
    ) {
        let Some(device) = self.people.get_mut(user).and_then(|person| person.device(id)) else {
            return;
        };
        if device.rooms.contains(room) {
            return;
        }
        device.rooms.push(room.clone());
        let socket = device.socket.get_or_insert_with(|| socket.into());
        let place = self.rooms.entry(room.clone()).or_default();
        place.sit(user, socket);
        place.listeners += 1;
        if place.listeners == 1
            && let Some(hold) = self.settings.hold
        {
            place.hold = Some(now.plus(hold));
            self.unread.insert(room.clone());
        }
        self.dirty.insert(room.clone());
    }

    /// A connection left a room. So have those of its user that have ended: they counted only in
    /// case that the user comes back to where it was.
    pub fn leave(&mut self, user: &UserId, id: DeviceId, room: &RoomName) {
        let Some(person) = self.people.get_mut(user) else { return };
        let Some(place) = self.rooms.get_mut(room) else { return };
        let mut listened = false;
        let concerned = |d: &&mut Device| d.is_here() && (d.id == id || d.is_gone());
        for device in person.devices.iter_mut().filter(concerned) {
            let before = device.rooms.len();
            device.rooms.retain(|other| other != room);
            if device.rooms.len() < before {
                listened |= !device.is_gone();
                place.rise(user, device.socket.as_ref());
                self.dirty.insert(room.clone());
            }
        }
        if listened {
            self.stop_listening(room);
        }
    }

    /// Connections that missed an update: they are told everything when they have caught up.
    pub fn missed(&mut self, room: &RoomName, sockets: impl IntoIterator<Item = Socket>) {
        let Some(place) = self.rooms.get_mut(room) else { return };
        place.newcomers.extend(sockets);
        if !place.newcomers.is_empty() {
            self.dirty.insert(room.clone());
        }
    }

    pub(super) fn unseat(&mut self, user: &UserId, device: &Device) {
        for room in &device.rooms {
            if let Some(place) = self.rooms.get_mut(room) {
                match device.is_here() {
                    true => place.rise(user, device.socket.as_ref()),
                    false => place.rise_elsewhere(user),
                }
                self.dirty.insert(room.clone());
            }
        }
    }

    /// Users with connections here whom others see.
    pub fn online(&self) -> usize {
        self.online
    }

    /// What others may know of a user, metadata included; `None`: nothing is known here.
    pub fn of_user(&self, user: &UserId) -> Option<Entry> {
        let person = self.people.get(user)?;
        let mut entry = person.entry(user);
        entry.metadata = person.shown.details.metadata.clone();
        Some(entry)
    }

    /// Users in a room whom others see there, without order, and how many they are.
    pub fn in_room<'a>(&'a self, room: &RoomName) -> impl Iterator<Item = &'a UserId> {
        let place = self.rooms.get(room);
        let seats = place.into_iter().flat_map(|place| &place.seats);
        seats.filter(|(_, seat)| seat.told).map(|(user, _)| user)
    }

    pub fn count_in_room(&self, room: &RoomName) -> usize {
        self.rooms.get(room).map_or(0, |place| place.online)
    }

    pub fn is_large(&self, room: &RoomName) -> bool {
        self.rooms.get(room).is_some_and(|place| place.large)
    }

    /// Whether others see this user now, whatever the last tick told them.
    pub fn is_visible(&self, user: &UserId) -> bool {
        self.people.get(user).is_some_and(|person| !person.is_invisible())
    }
}

pub(super) fn own(person: &Person) -> Own {
    let view = person.own();
    Own {
        status: view.status,
        invisible: person.is_invisible(),
        details: Details::clone(&view.details),
    }
}
