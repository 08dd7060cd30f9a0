//! Everybody in every room of this node.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use tidings_core::{
    ids::UserId,
    room::{EventFilter, Position, RoomEvent, RoomName, RoomSignal},
};
use tidings_gateway::{Frame, Gateway, Target};
use tokio::sync::mpsc;

use super::{
    EventTypes,
    heard::Heard,
    history::{Holds, frame},
    join::own_room,
    lens::{Filters, Viewers, room_of_filter, room_of_viewer},
    trail::{Told, Trails},
};
use crate::{cluster::Cluster, inbox::InboxSession};

/// Lost memberships that may wait to be looked at; beyond that all are looked at.
const WAITING: usize = 1_024;

/// Knows who is in which room, and says there what comes from the bus.
pub struct RoomHub {
    /// There from the start of serving to its end: the gateway holds us too.
    gateway: RwLock<Option<Gateway>>,
    /// The users in each room, with their number of connections; without own rooms.
    rooms: Mutex<HashMap<RoomName, BTreeMap<UserId, usize>>>,
    cluster: Arc<Cluster>,
    lost: mpsc::Sender<Arc<RoomSignal>>,
    overrun: AtomicBool,
    pub(super) viewers: Viewers,
    pub(super) filters: Filters,
    pub(super) holds: Holds,
    pub(super) heard: Heard,
    pub(crate) trails: Trails,
}

/// Who is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    pub users: usize,
    pub connections: usize,
}

/// As many users are in the room as its kind allows.
pub(super) struct Full;

impl RoomHub {
    /// The receiver hears of memberships that were lost.
    pub fn new(
        types: &EventTypes,
        cluster: Arc<Cluster>,
    ) -> (Arc<Self>, mpsc::Receiver<Arc<RoomSignal>>) {
        let (lost, receiver) = mpsc::channel(WAITING);
        let hub = Self {
            gateway: RwLock::default(),
            rooms: Mutex::default(),
            cluster,
            lost,
            overrun: AtomicBool::new(false),
            viewers: Viewers::new(types.roles()),
            filters: Filters::default(),
            holds: Holds::default(),
            heard: Heard::default(),
            trails: Trails::default(),
        };
        (Arc::new(hub), receiver)
    }

    /// From now on what is said reaches the sockets of this gateway.
    pub fn attach(&self, gateway: Gateway) {
        *self.gateway.write() = Some(gateway);
    }

    /// Lets go of the gateway, which holds us too.
    pub fn detach(&self) {
        *self.gateway.write() = None;
    }

    /// `None`: nothing is served now.
    pub(crate) fn gateway(&self) -> Option<Gateway> {
        self.gateway.read().clone()
    }

    /// Puts a connection into a room, unless `most` other users of this node are in it.
    /// `announced`: how many connections of its user other nodes know of.
    pub(super) fn enter(
        &self,
        session: &InboxSession,
        room: &RoomName,
        filter: Option<&EventFilter>,
        most: usize,
        announced: Option<usize>,
    ) -> Result<(), Full> {
        let mut rooms = self.rooms.lock();
        if let Some(users) = rooms.get(room)
            && users.len() >= most
            && !users.contains_key(&session.user)
        {
            return Err(Full);
        }
        let users = rooms.entry(room.clone()).or_default();
        let connections = users.entry(session.user.clone()).or_default();
        *connections += 1;
        let is_news = announced != Some(*connections);
        self.listen(session, room.as_str(), filter);
        drop(rooms);
        if is_news {
            self.cluster.touch_seats(room, &session.user);
        }
        Ok(())
    }

    /// Joins the rooms of the gateway for one of ours.
    pub(super) fn listen(&self, session: &InboxSession, room: &str, filter: Option<&EventFilter>) {
        for name in gateway_rooms(session, room, filter) {
            session.socket.join(&name);
        }
    }

    pub(super) fn unlisten(
        &self,
        session: &InboxSession,
        room: &str,
        filter: Option<&EventFilter>,
    ) {
        for name in gateway_rooms(session, room, filter) {
            session.socket.leave(&name);
        }
    }

    pub(super) fn leave(
        &self,
        session: &InboxSession,
        room: &RoomName,
        filter: Option<&EventFilter>,
    ) {
        let mut rooms = self.rooms.lock();
        self.unlisten(session, room.as_str(), filter);
        let Some(users) = rooms.get_mut(room) else { return };
        if let Some(connections) = users.get_mut(&session.user) {
            *connections -= 1;
            if *connections == 0 {
                users.remove(&session.user);
            }
        }
        if users.is_empty() {
            rooms.remove(room);
        }
        drop(rooms);
        self.cluster.touch_seats(room, &session.user);
    }

    /// Whether somebody here is to be told now of what a room remembers.
    fn is_news(&self, signal: &Arc<RoomSignal>, position: Position) -> bool {
        let room = signal.room();
        // Also who may come back is to be told.
        self.trails.is_open(room) && self.heard.take(signal, position)
    }

    /// Somebody here does not listen to a room any more.
    pub(super) fn stop_listening(&self, room: &RoomName) {
        if self.trails.close(room) {
            self.heard.forget(room);
        }
    }

    /// A connection has heard a room up to there. If it is alone here, so has this node, and what is lost from now on
    /// can be told.
    pub(super) fn know(&self, room: &RoomName, session: &InboxSession, position: Position) {
        let rooms = self.rooms.lock();
        let is_alone = rooms.get(room).is_some_and(|users| {
            users.len() == 1
                && users.get(&session.user).is_some_and(|connections| *connections == 1)
        });
        if is_alone {
            self.heard.begin_at(room, position);
        }
    }

    /// How many connections of a user are in a room here.
    pub(crate) fn connections_of(&self, room: &RoomName, user: &UserId) -> usize {
        let rooms = self.rooms.lock();
        rooms.get(room).and_then(|users| users.get(user)).copied().unwrap_or_default()
    }

    /// Who is in a room here, each with how many connections.
    pub(crate) fn users_in(&self, room: &RoomName) -> Vec<(UserId, usize)> {
        let rooms = self.rooms.lock();
        let users = rooms.get(room).into_iter().flatten();
        users.map(|(user, connections)| (user.clone(), *connections)).collect()
    }

    /// On this node.
    pub fn presence(&self, room: &RoomName) -> Presence {
        let gateway = self.gateway.read();
        let connections = gateway.as_ref().map_or(0, |g| g.member_count("/", room.as_str()));
        let users = self.rooms.lock().get(room).map(BTreeMap::len);
        // A user's own room has nobody else in it.
        Presence { users: users.unwrap_or(connections.min(1)), connections }
    }

    /// Takes what came from the bus.
    pub fn receive(&self, signal: Arc<RoomSignal>) {
        match &*signal {
            // What the room remembers comes in the order of its positions.
            RoomSignal::Event(event) => match event.position {
                _ if event.memory.is_some() => self.say_kept(&signal, event),
                Some(position) if !self.is_news(&signal, position) => {}
                Some(_) => self.say_remembered(&signal),
                None => drop(self.emit(event, &[])),
            },
            RoomSignal::MembershipLost { .. } => {
                if self.lost.try_send(signal).is_err() {
                    self.overrun.store(true, Ordering::Relaxed);
                }
            }
            // Presence hears of it.
            RoomSignal::Presence { .. } => {}
        }
    }

    /// The rooms of the gateway whose sockets did not ask for events of this name.
    pub(crate) fn deaf_to(&self, room: &RoomName, name: &str) -> Vec<String> {
        self.filters.deaf_to(room, name)
    }

    /// Whether lost memberships did not find room to wait, since it was last asked.
    pub fn take_overrun(&self) -> bool {
        self.overrun.swap(false, Ordering::Relaxed)
    }

    /// Says an event that is kept for who comes back on another node, and notes what was told.
    fn say_kept(&self, signal: &Arc<RoomSignal>, event: &RoomEvent) {
        let Some((trail, memory)) = self.trails.of(&event.room).zip(event.memory) else { return };
        // Held while it is said: what is told of the trail is of what is in the log.
        let mut trail = trail.lock();
        let told = match self.holds.is_empty() {
            true => self.emit(event, &[]),
            false => self.holds.say(signal, |left_out| self.emit(event, left_out)),
        };
        match event.position {
            None if !self.trails.awaits(&event.room, memory.id) => trail.told_in_passing(told),
            position => trail.told(told, memory.id, position),
        }
    }

    /// Gives the positions in the log at which it was said.
    pub(super) fn emit(&self, event: &RoomEvent, left_out: &[String]) -> Told {
        let Some(gateway) = self.gateway() else { return Told::default() };
        // A user's connections are all in the user's own room.
        let own_rooms = event.except.users.iter().map(own_room);
        let mut except: Vec<String> =
            own_rooms.chain(event.except.sockets.iter().cloned()).collect();
        except.extend(self.filters.deaf_to(&event.room, &event.name));
        except.extend_from_slice(left_out);
        let say = |rooms: &[String], frame: &Frame| {
            send(&gateway, rooms, &except, event.volatile, frame).unwrap_or_default()
        };
        if event.audiences.is_empty() {
            let at = say(&[event.room.to_string()], &frame(event, event.data.get()));
            return (at, at);
        }
        // Encoded once for each view that somebody has; who has none does not hear of it.
        let mut told = None;
        for (audience, rooms) in self.viewers.views(event) {
            if let Some(view) = event.view(audience) {
                let at = say(&rooms, &frame(event, &view));
                told = Some((told.map_or(at, |(first, _)| first), at));
            }
        }
        told.unwrap_or_default()
    }
}

/// The rooms of the gateway that a connection has for one of ours: that of everybody, and those of who sees alike.
pub(super) fn gateway_rooms(
    session: &InboxSession,
    room: &str,
    filter: Option<&EventFilter>,
) -> impl Iterator<Item = String> {
    let viewer = session.rooms.viewer().map(|viewer| room_of_viewer(room, &viewer));
    let filter = filter.map(|filter| room_of_filter(room, filter));
    [Some(room.to_owned()), viewer, filter].into_iter().flatten()
}

/// Who cannot take it misses it: room events are at most once.
fn send(
    gateway: &Gateway,
    rooms: &[String],
    except: &[String],
    volatile: bool,
    frame: &Frame,
) -> Option<u64> {
    let rooms: Vec<&str> = rooms.iter().map(String::as_str).collect();
    let except: Vec<&str> = except.iter().map(String::as_str).collect();
    let recipients = gateway.to("/", Target::rooms(&rooms).except(&except));
    let recipients = if volatile { recipients.volatile() } else { recipients };
    recipients.emit_unless_behind(frame, usize::MAX).position
}
