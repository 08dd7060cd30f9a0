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
    room::{RoomEvent, RoomName, RoomSignal},
};
use tidings_gateway::{Frame, Gateway, Target};
use tokio::sync::mpsc;

use super::join::own_room;
use crate::inbox::{InboxSession, session_of};

/// Lost memberships that may wait to be looked at; beyond that all are looked at.
const WAITING: usize = 1_024;

/// Knows who is in which room, and says there what comes from the bus.
pub struct RoomHub {
    /// There from the start of serving to its end: the gateway holds us too.
    gateway: RwLock<Option<Gateway>>,
    /// The users in each room, with their number of connections; without own rooms.
    rooms: Mutex<HashMap<RoomName, BTreeMap<UserId, usize>>>,
    lost: mpsc::Sender<Arc<RoomSignal>>,
    overrun: AtomicBool,
}

/// Who is in a room of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    pub users: usize,
    pub connections: usize,
}

/// As many users are in the room as its kind allows.
pub(super) struct Full;

impl RoomHub {
    /// The receiver hears of memberships that were lost.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Arc<RoomSignal>>) {
        let (lost, receiver) = mpsc::channel(WAITING);
        let hub = Self {
            gateway: RwLock::default(),
            rooms: Mutex::default(),
            lost,
            overrun: AtomicBool::new(false),
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

    /// Puts a connection into a room, unless `most` other users are in it.
    pub(super) fn enter(
        &self,
        session: &InboxSession,
        room: &RoomName,
        most: usize,
    ) -> Result<(), Full> {
        let mut rooms = self.rooms.lock();
        if let Some(users) = rooms.get(room)
            && users.len() >= most
            && !users.contains_key(&session.user)
        {
            return Err(Full);
        }
        let users = rooms.entry(room.clone()).or_default();
        *users.entry(session.user.clone()).or_default() += 1;
        session.socket.join(room.as_str());
        Ok(())
    }

    pub(super) fn leave(&self, session: &InboxSession, room: &RoomName) {
        let mut rooms = self.rooms.lock();
        session.socket.leave(room.as_str());
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
    }

    pub fn presence(&self, room: &RoomName) -> Presence {
        let gateway = self.gateway.read();
        let connections = gateway.as_ref().map_or(0, |g| g.member_count("/", room.as_str()));
        let users = self.rooms.lock().get(room).map(BTreeMap::len);
        // A user's own room has nobody else in it.
        Presence { users: users.unwrap_or(connections.min(1)), connections }
    }

    /// Takes what came from the bus.
    pub(super) fn receive(&self, signal: Arc<RoomSignal>) {
        match &*signal {
            RoomSignal::Event(event) => self.emit(event),
            RoomSignal::MembershipLost { .. } => {
                if self.lost.try_send(signal).is_err() {
                    self.overrun.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Whether lost memberships did not find room to wait, since it was last asked.
    pub fn take_overrun(&self) -> bool {
        self.overrun.swap(false, Ordering::Relaxed)
    }

    fn emit(&self, event: &RoomEvent) {
        let Some(gateway) = self.gateway() else { return };
        // A user's connections are all in the user's own room.
        let own_rooms = event.except.users.iter().map(own_room);
        let except: Vec<String> = own_rooms.chain(event.except.sockets.iter().cloned()).collect();
        let except: Vec<&str> = except.iter().map(String::as_str).collect();
        let rooms = [event.room.as_str()];
        let recipients = gateway.to("/", Target::rooms(&rooms).except(&except));
        if event.audiences.is_empty() && !event.volatile {
            recipients.emit(&Frame::event(&event.name, &[event.data.get()]));
            return;
        }
        // Encoded once for each audience that is there.
        let mut frames: HashMap<u64, Option<Frame>> = HashMap::new();
        for socket in recipients.sockets() {
            if event.volatile && socket.send_queue_bytes() > 0 {
                continue;
            }
            let Some(session) = session_of(&socket) else { continue };
            let audience = event.audience(&session.claims().roles);
            let encode = || Some(Frame::event(&event.name, &[&event.view(audience)?]));
            if let Some(frame) = frames.entry(audience).or_insert_with(encode) {
                // Who cannot take it misses it: room events are at most once.
                let _ = socket.emit(frame);
            }
        }
    }
}
