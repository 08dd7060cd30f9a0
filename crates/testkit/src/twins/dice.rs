//! What is random, and the names that it is thrown among.

use std::{collections::VecDeque, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tidings_core::{
    ids::{DeviceId, NotificationId, Rev, RoomId, UserId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{ManualClock, user, users};

const USERS: usize = 10;
const ROOMS: usize = 3;
/// More than a user may have.
const DEVICES: usize = 25;
/// Messages that are remembered.
const RECENT: usize = 300;

pub(super) struct Dice {
    pub(super) rng: StdRng,
    pub(super) clock: ManualClock,
    pub(super) users: Vec<UserId>,
    recent: VecDeque<NotificationId>,
    /// How many messages were ever made.
    made: u64,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            clock: ManualClock::default(),
            users: users("user", USERS),
            recent: VecDeque::new(),
            made: 0,
        }
    }

    pub(super) fn user(&mut self) -> UserId {
        self.users.choose(&mut self.rng).unwrap().clone()
    }

    /// Now and then one whom nobody has heard of.
    pub(super) fn anybody(&mut self) -> UserId {
        if self.rng.random_bool(0.03) { user("nobody") } else { self.user() }
    }

    pub(super) fn some_users(&mut self) -> Vec<UserId> {
        let count = self.rng.random_range(1..=USERS);
        self.users.choose_multiple(&mut self.rng, count).cloned().collect()
    }

    pub(super) fn rooms() -> Vec<RoomId> {
        (0..ROOMS).map(|n| RoomId::new(format!("team:{n}")).unwrap()).collect()
    }

    pub(super) fn room(&mut self) -> RoomId {
        Self::rooms().swap_remove(self.rng.random_range(0..ROOMS))
    }

    pub(super) fn devices() -> Vec<DeviceId> {
        (0..DEVICES).map(|n| DeviceId::new(format!("device-{n}")).unwrap()).collect()
    }

    pub(super) fn device(&mut self) -> DeviceId {
        Self::devices().swap_remove(self.rng.random_range(0..DEVICES))
    }

    /// The id of a new message: rising, as ids of one server do.
    pub(super) fn new_id(&mut self, now: Timestamp) -> NotificationId {
        self.made += 1;
        let mut tail = [0; 10];
        tail[2..].copy_from_slice(&self.made.to_be_bytes());
        let ms = u64::try_from(now.as_millis()).unwrap();
        let id = NotificationId(uuid::Builder::from_unix_timestamp_millis(ms, &tail).into_uuid());
        self.recent.push_back(id);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        id
    }

    /// Mostly of a recent message, now and then of none.
    pub(super) fn id(&mut self) -> NotificationId {
        let count = self.recent.len();
        let newest = count.saturating_sub(40);
        let place = match self.rng.random_range(0..20) {
            0 => return NotificationId(Uuid::from_u128(self.rng.random())),
            1..5 => self.rng.random_range(0..count.max(1)),
            _ => self.rng.random_range(newest..count.max(newest + 1)),
        };
        self.recent.get(place).copied().unwrap_or(NotificationId(Uuid::nil()))
    }

    pub(super) fn ids(&mut self) -> Vec<NotificationId> {
        let count = self.rng.random_range(1..=5);
        (0..count).map(|_| self.id()).collect()
    }

    pub(super) fn recent(&self) -> Vec<NotificationId> {
        self.recent.iter().copied().collect()
    }

    /// From all the revs that inboxes may be at, mostly of those that they are at now.
    pub(super) fn rev(&mut self) -> Rev {
        let most = 1 + 2 * self.made;
        let least = if self.rng.random_bool(0.7) { most / 2 } else { 0 };
        Rev(self.rng.random_range(least..=most))
    }

    pub(super) fn limit(&mut self) -> usize {
        [1, 2, 7, 20, 50, 200][self.rng.random_range(0..6)]
    }

    /// An instant of the last seconds of the clock.
    pub(super) fn past(&mut self, now: Timestamp) -> Timestamp {
        now.minus(Duration::from_millis(self.rng.random_range(0..3_000)))
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }
}
