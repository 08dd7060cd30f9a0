//! The hub: follows the bus for every user with a device here.
//!
//! Each user's changes are numbered without gaps, and each session knows how far its device
//! has been told. What is known already is dropped; what comes too early waits for what is
//! missing, but not for long: then the user is reported and the store is asked.

use std::{
    cell::OnceCell,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
};

use parking_lot::Mutex;
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange},
    ports::Clock,
};
use tidings_gateway::{Frame, Table, Tail};
use tokio::sync::mpsc;

use super::{
    devices::Devices,
    events::{self, Encoder},
    provisional::Expected,
    session::{Delivery, Found, InboxSession, PageOutcome, SURPLUS},
};
use crate::metrics::Metrics;

const SHARDS: usize = 64;

pub struct InboxHub {
    shards: Vec<Mutex<Table<Devices>>>,
    hasher: RandomState,
    encoder: Encoder,
    gaps: mpsc::UnboundedSender<UserId>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    connections_per_user: usize,
    /// Confirmations that are looked after.
    pub(super) expected: Mutex<Expected>,
}

impl InboxHub {
    /// The receiver hears of users whose changes have gaps.
    pub fn new(
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        connections_per_user: usize,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<UserId>) {
        // Each user is in the queue at most once (`reported`), so that it is bounded by them.
        let (gaps, reported) = mpsc::unbounded_channel();
        let hub = Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            encoder: Encoder::default(),
            gaps,
            metrics,
            clock,
            connections_per_user,
            expected: Mutex::default(),
        };
        (Arc::new(hub), reported)
    }

    fn shard(&self, user: &UserId) -> &Mutex<Table<Devices>> {
        let hash = self.hasher.hash_one(user);
        // In range by the remainder; the vector has exactly SHARDS entries.
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    /// The user has connected more often than it may, here or on other nodes.
    pub fn close_surplus(&self, user: &UserId, sockets: &[Arc<str>]) -> u64 {
        let is_meant = |session: &&Arc<InboxSession>| {
            sockets.iter().any(|socket| **socket == *session.socket.id())
        };
        let mut closed = 0;
        for session in self.sessions_of(user).iter().filter(is_meant) {
            session.dismiss(&self.metrics, SURPLUS.0, SURPLUS.1);
            closed += 1;
        }
        closed
    }

    /// Adds a session. Gives those that have to go for it, the user's oldest.
    pub(crate) fn register(&self, session: &Arc<InboxSession>) -> Vec<Arc<InboxSession>> {
        let mut shard = self.shard(&session.user).lock();
        match shard.get_mut(&session.user) {
            Some(devices) => devices.add(session, self.connections_per_user),
            None => {
                shard.insert(Devices::of(session));
                Vec::new()
            }
        }
    }

    pub(super) fn unregister(&self, session: &Arc<InboxSession>) {
        let mut shard = self.shard(&session.user).lock();
        if shard.get_mut(&session.user).is_some_and(|devices| devices.remove(session)) {
            shard.remove(&session.user);
        }
    }

    /// The session has been sent everything up to `snapshot`: from now on it follows.
    pub(super) fn go_live(&self, session: &Arc<InboxSession>, snapshot: Rev, more: bool) {
        if session.go_live(snapshot, more, &self.delivery()) {
            self.report(&session.user);
        }
    }

    /// Sends what a query found.
    pub(super) fn page(&self, session: &InboxSession, found: &Found<'_>) -> PageOutcome {
        session.page(found, &self.delivery())
    }

    /// The user's gaps are being repaired: new ones are to be reported again. Gives the
    /// sessions concerned.
    pub(super) fn take_gapped(&self, user: &UserId) -> Vec<Arc<InboxSession>> {
        let mut shard = self.shard(user).lock();
        let Some(devices) = shard.get_mut(user) else { return Vec::new() };
        devices.set_reported(false);
        devices.iter().filter(|session| session.needs_repair()).cloned().collect()
    }

    /// Something is missing for this user's devices.
    pub fn report(&self, user: &UserId) {
        if let Some(devices) = self.shard(user).lock().get_mut(user) {
            self.report_devices(devices);
        }
    }

    fn report_devices(&self, devices: &mut Devices) {
        if !devices.is_reported() {
            devices.set_reported(true);
            // Fails only when the server ends.
            let _ = self.gaps.send(devices.user().clone());
        }
    }

    fn delivery(&self) -> HubDelivery<'_> {
        HubDelivery { hub: self, encoded: OnceCell::new() }
    }

    pub fn sessions_of(&self, user: &UserId) -> Vec<Arc<InboxSession>> {
        let shard = self.shard(user).lock();
        shard.get(user).map(|devices| devices.iter().cloned().collect()).unwrap_or_default()
    }

    /// Everybody with a device here.
    pub(super) fn users(&self) -> Vec<UserId> {
        self.shards
            .iter()
            .flat_map(|shard| {
                shard.lock().values().map(|devices| devices.user().clone()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// Whether a device of this user was not told of this rev.
    pub(super) fn misses(&self, user: &UserId, rev: Rev) -> bool {
        self.sessions_of(user).iter().any(|session| session.misses(rev))
    }

    /// What this user's devices were not told up to this rev is asked for.
    pub(super) fn ask_for(&self, user: &UserId, rev: Rev) {
        for session in self.sessions_of(user) {
            session.fall_behind_of(rev);
        }
        self.report(user);
    }

    /// Whether nobody is connected.
    pub(crate) fn is_empty(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().is_empty())
    }

    /// Every session for which `wanted` holds.
    pub fn sessions_where(&self, wanted: impl Fn(&InboxSession) -> bool) -> Vec<Arc<InboxSession>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let sessions = shard.values().flat_map(Devices::iter);
            found.extend(sessions.filter(|session| wanted(session)).cloned());
        }
        found
    }

    /// Takes a change from the bus.
    pub fn receive(&self, change: Arc<InboxChange>) {
        let mut shard = self.shard(&change.user).lock();
        let Some(devices) = shard.get_mut(&change.user) else { return };
        let delivery = self.delivery();
        let mut gap = false;
        for session in devices.iter() {
            gap |= session.receive(&change, &delivery);
        }
        if gap {
            self.report_devices(devices);
        }
    }
}

/// What is shown before it is stored.
impl InboxHub {
    /// Shows a notification to those of these users who have devices here.
    pub fn show(&self, id: NotificationId, users: &[UserId], body: &str) -> u64 {
        let tail = OnceCell::new();
        let mut shown = 0;
        for user in users {
            let shard = self.shard(user).lock();
            let Some(devices) = shard.get(user) else { continue };
            let tail = tail.get_or_init(|| Tail::new(body));
            let frame = events::provisional(user, tail);
            for session in devices.iter() {
                if session.show(id, &frame) {
                    self.metrics.spool.shown();
                    shown += 1;
                }
            }
        }
        shown
    }

    pub fn withdraw(
        &self,
        id: NotificationId,
        users: &[UserId],
        by: Option<NotificationId>,
    ) -> u64 {
        let frame = OnceCell::new();
        let mut concerned = 0;
        for user in users {
            for session in self.sessions_of(user) {
                session.withdraw(id, || frame.get_or_init(|| events::withdrawn(id, by)).clone());
                concerned += 1;
            }
        }
        concerned
    }

    /// Whether a device of this user shows it as provisional.
    pub(crate) fn was_shown(&self, user: &UserId, id: NotificationId) -> bool {
        let shard = self.shard(user).lock();
        shard.get(user).is_some_and(|devices| devices.iter().any(|s| s.shows(id)))
    }

    /// What this user's devices were shown was stored and they were not told: the store is asked.
    pub(super) fn fall_behind(&self, user: &UserId) {
        for session in self.sessions_of(user) {
            session.fall_behind();
        }
        self.report(user);
    }
}

/// Encodes a change once for all devices of its user.
struct HubDelivery<'a> {
    hub: &'a InboxHub,
    encoded: OnceCell<(Rev, [Frame; 2])>,
}

impl Delivery for HubDelivery<'_> {
    fn frames(&self, change: &InboxChange) -> [Frame; 2] {
        let (rev, frames) =
            self.encoded.get_or_init(|| (change.rev, self.hub.encoder.change(change)));
        if *rev == change.rev { frames.clone() } else { self.hub.encoder.change(change) }
    }

    fn confirmation(&self, change: &InboxChange) -> [Frame; 2] {
        self.hub.encoder.confirmation(change)
    }

    fn sent(&self, change: &InboxChange) {
        if let ChangeKind::Added { .. } = &change.kind {
            let latency = self.hub.clock.now().since(change.at);
            self.hub.metrics.notification_delivered("websocket", latency);
        }
    }
}
