//! Where the bus delivers what this node subscribed to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tidings_core::{
    ids::NodeId,
    inbox::InboxChange,
    ports::{BusSink, Clock},
    room::{Position, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};
use tokio::sync::Notify;

use super::{Departure, Departures};
use crate::{
    auth::Revocations,
    inbox::InboxHub,
    presence::PresenceHub,
    recovery::Recovery,
    rooms::{Application, RoomHub},
};

/// After a node was lost, for so long what it stores is looked for: it may live, and only Redis be away for it.
const WATCH: Duration = Duration::from_secs(120);

/// That the bus may have lost something.
#[derive(Default)]
pub struct Missed {
    pub told: Notify,
    /// Ever: every connection begins with it.
    ever: AtomicBool,
    /// Until then something may be missing at any time.
    watch_until: Mutex<Option<Timestamp>>,
}

impl Missed {
    /// Whether other nodes were ever heard.
    pub fn has_joined(&self) -> bool {
        self.ever.load(Ordering::Relaxed)
    }

    /// A node went without a word.
    pub(crate) fn lost_a_node(&self, now: Timestamp) {
        *self.watch_until.lock() = Some(now.plus(WATCH));
        self.told.notify_one();
    }

    /// Whether something may be missing though the bus is well.
    pub(crate) fn may_miss(&self, now: Timestamp) -> bool {
        self.watch_until.lock().is_some_and(|until| now < until)
    }
}

pub struct NodeSink {
    pub inboxes: Arc<InboxHub>,
    pub rooms: Arc<RoomHub>,
    pub presence: Arc<PresenceHub>,
    pub clock: Arc<dyn Clock>,
    pub revocations: Arc<Revocations>,
    pub application: Option<Arc<Application>>,
    pub missed: Arc<Missed>,
    pub departures: Arc<Departures>,
    pub recovery: Arc<Recovery>,
    pub node: NodeId,
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
            NodeSignal::Rebalance { node, connections, over_ms } => {
                if *node != self.node {
                    return 0;
                }
                let over = Duration::from_millis(*over_ms);
                self.departures.ask(Departure { connections: *connections, over })
            }
            NodeSignal::Provisional { id, users, body } => self.inboxes.show(*id, users, body),
            NodeSignal::Withdrawn { id, users, replaced_by } => {
                self.inboxes.withdraw(*id, users, *replaced_by)
            }
            NodeSignal::Release { log, pid, user, to } => {
                let gateway = self.rooms.gateway();
                let Some(gateway) = gateway.filter(|here| here.log("/").as_ref() == Some(log))
                else {
                    return 0;
                };
                drop(gateway);
                self.recovery.release(pid, user, to);
                1
            }
            NodeSignal::Released { pid, parked } => self.recovery.released(pid, *parked),
            NodeSignal::Surplus { user, sockets } => self.inboxes.close_surplus(user, sockets),
        }
    }

    fn placed(&self, room: &RoomName, id: u64, position: Option<Position>) {
        self.rooms.trails.placed(room, id, position);
    }

    fn missed(&self) {
        self.missed.ever.store(true, Ordering::Relaxed);
        self.missed.told.notify_one();
    }
}
