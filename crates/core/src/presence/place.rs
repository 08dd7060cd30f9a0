//! A room, as far as presence goes: who sits in it, and what it was told of whom.

use std::collections::{BTreeSet, HashMap};

use super::Socket;
use crate::{ids::UserId, time::Timestamp};

#[derive(Default)]
pub(super) struct Place {
    pub(super) seats: HashMap<UserId, Seat>,
    /// Users whom the room was told to be here.
    pub(super) online: usize,
    /// Who is to be looked at in the next tick, and whether what is seen of them changed.
    pub(super) changed: HashMap<UserId, bool>,
    /// Connections that have yet to be told everything: they are new, or were too slow for an
    /// update.
    pub(super) newcomers: BTreeSet<Socket>,
    pub(super) large: bool,
    pub(super) told_at: Timestamp,
    /// Connections of this node that are in it. While there are some, the room is followed.
    pub(super) listeners: u32,
    /// Seats of connections on other nodes.
    pub(super) elsewhere: u32,
    /// It is not known yet who is there on other nodes: nothing is told before that is, or this.
    pub(super) hold: Option<Timestamp>,
}

#[derive(Default)]
pub(super) struct Seat {
    /// The user's devices in the room, those included that count for a while yet.
    pub(super) devices: u32,
    /// The room was told that the user is here.
    pub(super) told: bool,
}

impl Place {
    pub(super) fn sit(&mut self, user: &UserId, socket: &Socket) {
        self.seats.entry(user.clone()).or_default().devices += 1;
        self.changed.entry(user.clone()).or_default();
        self.newcomers.insert(socket.clone());
    }

    /// The same for a connection of another node.
    pub(super) fn sit_elsewhere(&mut self, user: &UserId, is_visible: bool) {
        self.elsewhere += 1;
        let seat = self.seats.entry(user.clone()).or_default();
        seat.devices += 1;
        if self.hold.is_none() {
            self.changed.entry(user.clone()).or_default();
        } else if is_visible && !seat.told {
            // It was there before anybody was told anything.
            seat.told = true;
            self.online += 1;
        }
    }

    pub(super) fn rise_elsewhere(&mut self, user: &UserId) {
        self.elsewhere = self.elsewhere.saturating_sub(1);
        self.rise(user, None);
    }

    pub(super) fn rise(&mut self, user: &UserId, socket: Option<&Socket>) {
        if let Some(seat) = self.seats.get_mut(user) {
            seat.devices = seat.devices.saturating_sub(1);
        }
        self.changed.entry(user.clone()).or_default();
        if let Some(socket) = socket {
            self.newcomers.remove(socket);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seats.is_empty() && self.changed.is_empty() && self.listeners == 0
    }

    /// Large from more than `most` on, and until there is some air again: a room at the edge
    /// must not send everything anew each time that somebody passes it.
    pub(super) fn is_large(&self, most: usize) -> bool {
        if self.large { self.online > most - most / 4 } else { self.online > most }
    }
}
