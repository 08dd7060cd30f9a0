//! Where the bus delivers what this node subscribed to.

use std::sync::Arc;

use tidings_core::{
    inbox::InboxChange,
    ports::{BusSink, Clock},
    room::RoomSignal,
    signal::NodeSignal,
};
use tokio::sync::Notify;

use crate::{
    auth::Revocations,
    inbox::InboxHub,
    presence::PresenceHub,
    rooms::{Application, RoomHub},
};

/// That the bus may have lost something.
#[derive(Default)]
pub struct Missed(pub Notify);

pub struct NodeSink {
    pub inboxes: Arc<InboxHub>,
    pub rooms: Arc<RoomHub>,
    pub presence: Arc<PresenceHub>,
    pub clock: Arc<dyn Clock>,
    pub revocations: Arc<Revocations>,
    pub application: Option<Arc<Application>>,
    pub missed: Arc<Missed>,
}

impl BusSink for NodeSink {
    fn receive(&self, change: Arc<InboxChange>) {
        self.inboxes.receive(change);
    }

    fn receive_room(&self, signal: Arc<RoomSignal>) {
        match &*signal {
            RoomSignal::Presence { room, record } => {
                self.presence.hear(&self.inboxes, room, record, self.clock.now());
            }
            _ => self.rooms.receive(signal),
        }
    }

    fn receive_signal(&self, signal: Arc<NodeSignal>) -> u64 {
        match &*signal {
            NodeSignal::Revoked(revocation) => {
                self.revocations.add([revocation.clone()]);
                1
            }
            NodeSignal::AskAgain { room, users } => {
                if let Some(application) = &self.application {
                    application.forget(room, users);
                }
                1
            }
            NodeSignal::Provisional { id, users, body } => self.inboxes.show(*id, users, body),
            NodeSignal::Withdrawn { id, users, replaced_by } => {
                self.inboxes.withdraw(*id, users, *replaced_by)
            }
            NodeSignal::Surplus { user, sockets } => self.inboxes.close_surplus(user, sockets),
        }
    }

    fn missed(&self) {
        self.missed.0.notify_one();
    }
}
