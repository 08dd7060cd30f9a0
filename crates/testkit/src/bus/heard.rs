use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tidings_core::{
    ids::{Rev, UserId},
    inbox::InboxChange,
    ports::BusSink,
    room::{Position, RoomEvent, RoomName, RoomSignal},
    signal::NodeSignal,
};
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_secs(20);

/// A sink that remembers everything.
#[derive(Default)]
pub struct Heard {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    changes: Vec<Arc<InboxChange>>,
    rooms: Vec<Arc<RoomSignal>>,
    signals: Vec<Arc<NodeSignal>>,
    /// Of what was kept.
    places: Vec<Position>,
    missed: usize,
}

impl BusSink for Heard {
    fn receive(&self, change: Arc<InboxChange>) {
        self.state.lock().unwrap().changes.push(change);
        self.changed.notify_waiters();
    }

    fn receive_room(&self, signal: Arc<RoomSignal>) {
        self.state.lock().unwrap().rooms.push(signal);
        self.changed.notify_waiters();
    }

    fn receive_signal(&self, signal: Arc<NodeSignal>) -> u64 {
        self.state.lock().unwrap().signals.push(signal);
        self.changed.notify_waiters();
        2
    }

    fn placed(&self, _: &RoomName, _: u64, position: Option<Position>) {
        self.state.lock().unwrap().places.extend(position);
        self.changed.notify_waiters();
    }

    fn missed(&self) {
        self.state.lock().unwrap().missed += 1;
        self.changed.notify_waiters();
    }
}

impl Heard {
    /// Waits until something holds of what was heard.
    async fn until<T>(&self, what: &str, look: impl Fn(&State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = look(&self.state.lock().unwrap()) {
                    return found;
                }
                // The notification may have come before it was waited for.
                let _ = tokio::time::timeout(Duration::from_millis(50), changed).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        waited.unwrap_or_else(|_| panic!("waited in vain: {what}"))
    }

    pub fn changes(&self) -> Vec<Arc<InboxChange>> {
        self.state.lock().unwrap().changes.clone()
    }

    /// The revs that were heard of a user.
    pub fn revs(&self, user: &UserId) -> Vec<Rev> {
        let changes = self.changes();
        changes.iter().filter(|change| change.user == *user).map(|change| change.rev).collect()
    }

    pub async fn rev(&self, user: &UserId, rev: Rev) -> Arc<InboxChange> {
        let this = |change: &&Arc<InboxChange>| change.user == *user && change.rev == rev;
        self.until(&format!("rev {} of {user}", rev.0), |state| {
            state.changes.iter().find(this).cloned()
        })
        .await
    }

    pub fn rooms(&self) -> Vec<Arc<RoomSignal>> {
        self.state.lock().unwrap().rooms.clone()
    }

    pub fn events(&self) -> Vec<RoomEvent> {
        let event = |signal: Arc<RoomSignal>| match &*signal {
            RoomSignal::Event(event) => Some(event.clone()),
            _ => None,
        };
        self.rooms().into_iter().filter_map(event).collect()
    }

    pub async fn room_signals(&self, count: usize) -> Vec<Arc<RoomSignal>> {
        self.until(&format!("{count} signals of rooms"), |state| {
            (state.rooms.len() >= count).then(|| state.rooms.clone())
        })
        .await
    }

    /// The places that events of this node were given.
    pub async fn places(&self, count: usize) -> Vec<Position> {
        self.until(&format!("{count} places"), |state| {
            (state.places.len() >= count).then(|| state.places.clone())
        })
        .await
    }

    pub fn signals(&self) -> Vec<Arc<NodeSignal>> {
        self.state.lock().unwrap().signals.clone()
    }

    pub async fn signal(&self, wanted: &NodeSignal) {
        self.until("a signal", |state| {
            state.signals.iter().any(|signal| **signal == *wanted).then_some(())
        })
        .await;
    }

    /// How often something may have been missed.
    pub fn missed(&self) -> usize {
        self.state.lock().unwrap().missed
    }

    pub async fn missed_more_than(&self, before: usize) {
        self.until("that something was missed", |state| (state.missed > before).then_some(()))
            .await;
    }
}
