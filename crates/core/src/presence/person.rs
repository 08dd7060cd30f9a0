//! A user and the devices that the user is here with.

use std::sync::Arc;

use super::{Card, Details, DeviceId, Entry, Settings, Socket, Status};
use crate::{
    ids::UserId,
    registry::{Connection, Incarnation},
    room::RoomName,
    time::Timestamp,
};

/// Connections of one user that have ended and still count for a while.
const MAX_GONE: usize = 4;

pub(super) struct Device {
    /// No other has it, unless it is elsewhere.
    pub(super) id: DeviceId,
    /// The node that it hangs on, if that is another.
    pub(super) elsewhere: Option<Incarnation>,
    /// Known from its first room on, and from the start where other nodes have to know it.
    pub(super) socket: Option<Socket>,
    card: Card,
    /// When its client last said something about its presence, or else when it connected.
    said: (Option<Timestamp>, Timestamp),
    /// Silent for too long, since then.
    lapsed: Option<Timestamp>,
    /// The connection ended. For a while it counts as if it had not, rooms included: its client
    /// may be only reloading.
    pub(super) gone: Option<Timestamp>,
    pub(super) rooms: Vec<RoomName>,
}

impl Device {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.is_some()
    }

    pub(super) fn is_here(&self) -> bool {
        self.elsewhere.is_none()
    }

    /// One of another node.
    pub(super) fn of(connection: &Connection) -> Self {
        let mut device = Self {
            id: DeviceId::ELSEWHERE,
            elsewhere: None,
            socket: Some(Arc::clone(&connection.socket)),
            card: Card::default(),
            said: (None, connection.opened_at),
            lapsed: None,
            gone: None,
            rooms: Vec::new(),
        };
        device.take(connection);
        device
    }

    /// It is as its node says, except for its rooms and its end.
    pub(super) fn take(&mut self, connection: &Connection) {
        self.elsewhere = Some(connection.at);
        let details = Arc::clone(&connection.details);
        let (status, invisible) = (connection.status, connection.invisible);
        self.card = Card { status, invisible, details };
        self.said = (connection.said_at, connection.opened_at);
        self.lapsed = connection.lapsed;
    }

    /// As other nodes know one of this.
    pub(super) fn as_known_elsewhere(&self, me: Incarnation) -> Option<Connection> {
        let (said_at, opened_at) = self.said;
        Some(Connection {
            said_at,
            status: self.card.status,
            invisible: self.card.invisible,
            details: Arc::clone(&self.card.details),
            lapsed: self.lapsed,
            gone: self.gone,
            rooms: self.rooms.clone(),
            ..Connection::new(me, self.socket.clone()?, opened_at)
        })
    }

    fn counts(&self) -> bool {
        self.lapsed.is_none() && self.card.status != Status::Offline
    }
}

/// What others see of a user.
#[derive(Clone, PartialEq)]
pub(super) struct View {
    pub(super) status: Status,
    pub(super) details: Arc<Details>,
}

impl View {
    fn offline() -> Self {
        Self { status: Status::Offline, details: Details::none() }
    }
}

pub(super) struct Person {
    pub(super) devices: Vec<Device>,
    /// As of the last tick.
    pub(super) shown: View,
    pub(super) invisible_shown: bool,
    /// Since when others see the user here.
    pub(super) since: Timestamp,
    /// When others last did.
    pub(super) last_seen: Option<Timestamp>,
    /// The version of what was last heard of the user's connections elsewhere.
    pub(super) heard: u64,
    /// It is one of those online here.
    pub(super) counted: bool,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            devices: Vec::new(),
            shown: View::offline(),
            invisible_shown: false,
            since: Timestamp::EPOCH,
            last_seen: None,
            heard: 0,
            counted: false,
        }
    }
}

impl Person {
    pub(super) fn add(
        &mut self,
        id: DeviceId,
        socket: Option<Socket>,
        card: Option<Card>,
        now: Timestamp,
    ) {
        // Nearly everybody has one, and there are many.
        self.devices.reserve_exact(1);
        self.devices.push(Device {
            id,
            elsewhere: None,
            socket,
            said: (card.is_some().then_some(now), now),
            card: card.unwrap_or_default(),
            lapsed: None,
            gone: None,
            rooms: Vec::new(),
        });
    }

    pub(super) fn device(&mut self, id: DeviceId) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.id == id)
    }

    /// A connection ended. Gives a device that has to be forgotten now, if there are too many.
    pub(super) fn end(&mut self, id: DeviceId, now: Timestamp) -> Option<Device> {
        self.device(id)?.gone = Some(now);
        let gone = self.devices.iter().filter(|device| device.gone.is_some()).count();
        let oldest = self.devices.iter().position(|device| device.gone.is_some())?;
        (gone > MAX_GONE).then(|| self.devices.remove(oldest))
    }

    /// Takes out the devices whose time has passed.
    pub(super) fn bury(&mut self, settings: &Settings, now: Timestamp) -> Vec<Device> {
        let over =
            |device: &mut Device| device.gone.is_some_and(|gone| gone.plus(settings.grace) <= now);
        self.devices.extract_if(.., over).collect()
    }

    /// Whether more than one device is there, and some here to hear of its user.
    pub(super) fn has_several(&self) -> bool {
        let there = || self.devices.iter().filter(|device| device.gone.is_none());
        there().count() > 1 && there().any(Device::is_here)
    }

    /// Whether nobody here has to do with it any more: it has no connection here, and none in a
    /// room that is followed.
    pub(super) fn is_stranger(&self) -> bool {
        self.devices.iter().all(|device| !device.is_here() && device.rooms.is_empty())
    }

    /// Since when it has been here, as far as that can be told of one that was not heard of before.
    pub(super) fn earliest(&self) -> Option<Timestamp> {
        self.devices.iter().filter(|device| device.counts()).map(|device| device.said.1).min()
    }

    pub(super) fn say(&mut self, id: DeviceId, card: Card, now: Timestamp) {
        let Some(device) = self.device(id) else { return };
        device.card = card;
        device.said.0 = Some(now);
    }

    pub(super) fn lapse(&mut self, id: DeviceId, since: Option<Timestamp>) {
        if let Some(device) = self.device(id) {
            device.lapsed = since;
        }
    }

    /// What the devices add up to, as the user's own devices see it.
    pub(super) fn own(&self) -> View {
        let counting = || self.devices.iter().filter(|device| device.counts());
        let Some(status) = counting().map(|device| device.card.status).max() else {
            return View::offline();
        };
        // Where the user last did something; a connection that has said nothing yet takes
        // nothing away from one that has.
        let latest = counting().max_by_key(|device| device.said);
        View { status, details: latest.map(|d| Arc::clone(&d.card.details)).unwrap_or_default() }
    }

    /// Also by a device that is silent: who hides does not come out by doing nothing.
    pub(super) fn is_invisible(&self) -> bool {
        self.devices.iter().any(|device| device.card.invisible)
    }

    pub(super) fn view(&self) -> View {
        if self.is_invisible() { View::offline() } else { self.own() }
    }

    /// When the user ceased to be seen, if that is now.
    pub(super) fn ceased(&self, buried: &[Device], now: Timestamp) -> Timestamp {
        let is_there = |device: &Device| device.gone.is_none() && device.lapsed.is_none();
        if self.devices.iter().any(is_there) {
            return now;
        }
        let ends = self.devices.iter().chain(buried);
        ends.filter_map(|device| device.lapsed.or(device.gone)).max().unwrap_or(now)
    }

    pub(super) fn entry(&self, user: &UserId) -> Entry {
        if self.shown.status == Status::Offline {
            return Entry::offline(user.clone(), self.last_seen);
        }
        let details = &self.shown.details;
        Entry {
            user_id: user.clone(),
            status: self.shown.status,
            current_feature: details.current_feature.clone(),
            role: details.role.clone(),
            device: details.device.clone(),
            connected_at: Some(self.since),
            last_seen: None,
            metadata: None,
        }
    }

    /// Rooms of all devices; one may come several times.
    pub(super) fn rooms(&self) -> impl Iterator<Item = &RoomName> {
        self.devices.iter().flat_map(|device| &device.rooms)
    }
}
