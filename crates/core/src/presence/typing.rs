//! Who is typing where. It ends by itself.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use super::DeviceId;
use crate::{ids::UserId, room::RoomName, time::Timestamp};

/// Rooms that one connection may type in at the same time.
const MAX_ROOMS: usize = 8;

/// A connection types in as many rooms as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("you are typing in {MAX_ROOMS} rooms already")]
pub struct TooManyTyping;

/// Everybody who is typing. A user with several devices types once.
pub struct Typists {
    /// How long one start counts.
    span: Duration,
    devices: HashMap<DeviceId, Typist>,
    rooms: HashMap<RoomName, HashMap<UserId, usize>>,
    due: BTreeSet<(Timestamp, DeviceId, RoomName)>,
    /// Who ceased without saying so, since the last tick.
    ended: BTreeSet<(RoomName, UserId)>,
}

struct Typist {
    user: UserId,
    rooms: Vec<(RoomName, Timestamp)>,
}

impl Typists {
    pub fn new(span: Duration) -> Self {
        Self {
            span,
            devices: HashMap::new(),
            rooms: HashMap::new(),
            due: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Somebody types, or still does. Says whether the user did not until now.
    pub fn start(
        &mut self,
        user: &UserId,
        device: DeviceId,
        room: &RoomName,
        now: Timestamp,
    ) -> Result<bool, TooManyTyping> {
        let until = now.plus(self.span);
        let typist = self
            .devices
            .entry(device)
            .or_insert_with(|| Typist { user: user.clone(), rooms: Vec::new() });
        if let Some((_, end)) = typist.rooms.iter_mut().find(|(typed, _)| typed == room) {
            self.due.remove(&(*end, device, room.clone()));
            self.due.insert((until, device, room.clone()));
            *end = until;
            return Ok(false);
        }
        if typist.rooms.len() >= MAX_ROOMS {
            return Err(TooManyTyping);
        }
        typist.rooms.push((room.clone(), until));
        self.due.insert((until, device, room.clone()));
        let devices = self.rooms.entry(room.clone()).or_default().entry(user.clone()).or_default();
        *devices += 1;
        // Typing again before anybody heard of the end.
        let resumed = self.ended.remove(&(room.clone(), user.clone()));
        Ok(*devices == 1 && !resumed)
    }

    /// Says whether the user types there no more, on any device.
    pub fn stop(&mut self, device: DeviceId, room: &RoomName) -> bool {
        let Some(typist) = self.devices.get_mut(&device) else { return false };
        let Some(at) = typist.rooms.iter().position(|(typed, _)| typed == room) else {
            return false;
        };
        let (_, end) = typist.rooms.swap_remove(at);
        let user = typist.user.clone();
        if typist.rooms.is_empty() {
            self.devices.remove(&device);
        }
        self.due.remove(&(end, device, room.clone()));
        self.forget(&user, room)
    }

    /// One device less types there. Says whether it was the user's last.
    fn forget(&mut self, user: &UserId, room: &RoomName) -> bool {
        let Some(users) = self.rooms.get_mut(room) else { return false };
        let Some(devices) = users.get_mut(user) else { return false };
        *devices -= 1;
        if *devices > 0 {
            return false;
        }
        users.remove(user);
        if users.is_empty() {
            self.rooms.remove(room);
        }
        true
    }

    /// A connection left a room: the next tick says what came of it.
    pub fn leave(&mut self, user: &UserId, device: DeviceId, room: &RoomName) {
        if self.stop(device, room) {
            self.ended.insert((room.clone(), user.clone()));
        }
    }

    /// Who ceased by the clock, or by going away.
    pub fn tick(&mut self, now: Timestamp) -> Vec<(RoomName, UserId)> {
        while let Some((at, _, _)) = self.due.first()
            && *at <= now
            && let Some((_, device, room)) = self.due.pop_first()
        {
            if let Some(typist) = self.devices.get(&device) {
                let user = typist.user.clone();
                self.leave(&user, device, &room);
            }
        }
        std::mem::take(&mut self.ended).into_iter().collect()
    }

    /// Users who are typing, each counted once per room.
    pub fn count(&self) -> usize {
        self.rooms.values().map(HashMap::len).sum()
    }
}
