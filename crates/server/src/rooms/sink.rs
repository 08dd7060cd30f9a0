//! Where the bus delivers what this node subscribed to.

use std::sync::Arc;

use tidings_core::{inbox::InboxChange, ports::BusSink, room::RoomSignal, signal::NodeSignal};

use super::{Application, RoomHub};
use crate::{auth::Revocations, inbox::InboxHub};

pub struct NodeSink {
    pub inboxes: Arc<InboxHub>,
    pub rooms: Arc<RoomHub>,
    pub revocations: Arc<Revocations>,
    pub application: Option<Arc<Application>>,
}

impl BusSink for NodeSink {
    fn receive(&self, change: Arc<InboxChange>) {
        self.inboxes.receive(change);
    }

    fn receive_room(&self, signal: Arc<RoomSignal>) {
        self.rooms.receive(signal);
    }

    fn receive_signal(&self, signal: Arc<NodeSignal>) {
        match &*signal {
            NodeSignal::Revoked(revocation) => self.revocations.add([revocation.clone()]),
            NodeSignal::AskAgain { room, users } => {
                if let Some(application) = &self.application {
                    application.forget(room, users);
                }
            }
            NodeSignal::Provisional { id, users, body } => self.inboxes.show(*id, users, body),
            NodeSignal::Withdrawn { id, users, replaced_by } => {
                self.inboxes.withdraw(*id, users, *replaced_by);
            }
        }
    }
}
