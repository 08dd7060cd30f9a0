//! Which operation is next.

use std::{collections::BTreeSet, time::Duration};

use rand::Rng as _;
use tidings_core::{
    idempotency::IdempotencyClaim,
    ids::{Rev, UserId},
    inbox::{InboxOp, OpenFrom, PageQuery},
    notification::NewMessage,
    ports::{Accept, Clock as _, PruneBefore, Store},
    time::Timestamp,
    user::User,
};

use super::{deed::Deed, dice::Dice, look::Look};
use crate::message;

/// Notifications older than this go; it bounds the inboxes of a long run.
const KEPT: Duration = Duration::from_millis(2_000);

#[derive(Debug, Clone)]
pub(super) enum Step {
    Do(Deed, Timestamp),
    Ask(Look),
}

impl Step {
    pub(super) async fn run(&self, store: &dyn Store) -> String {
        match self {
            Self::Do(deed, now) => deed.run(store, *now).await,
            Self::Ask(look) => look.run(store).await,
        }
    }
}

/// All happens in the month that the clock starts in. A store with partitions takes a month out whole, which counts as
/// several changes where the other makes one: that is tested by itself.
const MONTH: Duration = Duration::from_secs(31 * 86_400);
/// Of it so much is for all short steps.
const LEFT: Duration = Duration::from_secs(86_400);
/// Long jumps of the clock that find room in it, about.
const JUMPS: f64 = 40.0;

pub(super) struct Script {
    dice: Dice,
    /// How likely a step is to be after a long jump.
    jumpy: f64,
    /// The clock does not go as far.
    end: Timestamp,
    /// No two notifications expire at the same instant: which of them goes first is free.
    expiries: BTreeSet<Timestamp>,
}

impl Script {
    pub(super) fn new(seed: u64, steps: u64) -> Self {
        let dice = Dice::new(seed);
        let end = dice.clock.now().plus(MONTH);
        let jumpy = (JUMPS / steps as f64).min(0.000_5);
        Self { dice, jumpy, end, expiries: BTreeSet::new() }
    }

    /// Makes every inbox, in one order.
    pub(super) fn opening(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for user in self.dice.users.clone() {
            let now = self.dice.clock.tick();
            steps.push(Step::Do(Deed::See(user.clone()), now));
            let first = message(now).id(self.dice.new_id(now)).to(&[user]).build();
            let accept = Accept { messages: vec![first], idempotency: None, now };
            steps.push(Step::Do(Deed::Accept(accept), now));
        }
        steps
    }

    pub(super) fn next(&mut self) -> Step {
        if self.dice.chance(0.2) {
            return Step::Ask(self.look());
        }
        // Keys count for a day.
        let jump = Duration::from_secs(3_600 * self.dice.rng.random_range(1..30));
        let finds_room = self.dice.clock.now().plus(jump + LEFT) < self.end;
        let now = match self.dice.chance(self.jumpy) && finds_room {
            true => self.dice.clock.advance(jump),
            false => self.dice.clock.tick(),
        };
        Step::Do(self.deed(now), now)
    }

    fn deed(&mut self, now: Timestamp) -> Deed {
        let batch = self.dice.rng.random_range(1..6);
        let limit = self.dice.rng.random_range(1..20);
        match self.dice.rng.random_range(0..1_000) {
            0..330 => Deed::Accept(self.accept(now)),
            330..350 => Deed::AcceptInOrder((0..limit).map(|_| self.accept(now)).collect()),
            350..700 => self.change(),
            700..790 => self.acknowledge(),
            790..850 => Deed::Announce { most: 3, batch },
            850..880 => Deed::Retract { id: self.dice.id(), batch },
            880..900 => Deed::Withdraw { most: 3, batch },
            900..930 => Deed::Expire { limit },
            930..945 => Deed::Retain { before: now.minus(KEPT) },
            945..965 => self.prune(now),
            965..970 => Deed::See(self.dice.user()),
            970..980 => Deed::Put(self.person(now)),
            980..992 => Deed::Join(self.dice.room(), self.dice.some_users()),
            _ => Deed::Leave(self.dice.room(), self.dice.some_users()),
        }
    }

    fn accept(&mut self, now: Timestamp) -> Accept {
        let count = match self.dice.rng.random_range(0..1_000) {
            // More items than are stored at once.
            0 => 110,
            1..200 => self.dice.rng.random_range(2..=4),
            _ => 1,
        };
        let messages = (0..count).map(|_| self.message(now, count > 100)).collect();
        let idempotency = self.dice.chance(0.1).then(|| IdempotencyClaim {
            scope: format!("sender-{}", self.dice.rng.random_range(0..2)),
            key: format!("key-{}", self.dice.rng.random_range(0..200)),
            fingerprint: [u8::from(self.dice.chance(0.1)); 32],
            note: format!("note of {now}"),
        });
        Accept { messages, idempotency, now }
    }

    fn message(&mut self, now: Timestamp, to_everybody: bool) -> NewMessage {
        let known = self.dice.chance(0.02);
        let id = if known { self.dice.id() } else { self.dice.new_id(now) };
        let mut new = message(now).id(id);
        new = match self.dice.rng.random_range(0..100) {
            _ if to_everybody => new.to(&self.dice.users),
            0..3 => new.to_all(),
            3..6 => new.to_room(&self.dice.room()),
            _ => new.to(&self.dice.some_users()),
        };
        if self.dice.chance(0.2) {
            new = new.dedupe(&format!("key-{}", self.dice.rng.random_range(0..60)));
        }
        if self.dice.chance(0.15) {
            new = new.expires_at(self.expiry(now));
        }
        if self.dice.chance(0.05) {
            new = new.keep_for(Duration::from_millis(self.dice.rng.random_range(1..100_000_000)));
        }
        if self.dice.chance(0.03) {
            new = new.send_at(now.plus(Duration::from_millis(self.dice.rng.random_range(0..900))));
        }
        if self.dice.chance(0.3) {
            new =
                new.kind("comment").tenant(["acme", "Zürich 🎉"][self.dice.rng.random_range(0..2)]);
        }
        if self.dice.chance(0.2) {
            new =
                new.actor(self.dice.user().as_str()).data(r#"{ "b":1.50, "a":"\u0000é", "a":[] }"#);
        }
        new.build()
    }

    fn expiry(&mut self, now: Timestamp) -> Timestamp {
        self.expiries = self.expiries.split_off(&now);
        let mut at = now.plus(Duration::from_millis(self.dice.rng.random_range(1..1_500)));
        while !self.expiries.insert(at) {
            at = at.plus(Duration::from_millis(1));
        }
        at
    }

    fn change(&mut self) -> Deed {
        let up_to = (!self.dice.chance(0.3)).then(|| self.dice.rev());
        let op = match self.dice.rng.random_range(0..80) {
            0..20 => InboxOp::Read(self.dice.ids()),
            20..32 => InboxOp::Unread(self.dice.ids()),
            32..40 => InboxOp::Seen(self.dice.ids()),
            40..50 => InboxOp::Archive(self.dice.ids()),
            50..58 => InboxOp::Unarchive(self.dice.ids()),
            58..68 => InboxOp::Delete(self.dice.ids()),
            68..78 => InboxOp::ReadAll { up_to },
            _ => InboxOp::Clear { up_to: up_to.map(|rev| Rev(rev.0 / 2)) },
        };
        Deed::Change(self.dice.anybody(), op)
    }

    fn acknowledge(&mut self) -> Deed {
        let device = self.dice.chance(0.8).then(|| self.dice.device());
        Deed::Acknowledge(self.dice.anybody(), device, self.dice.rev())
    }

    fn prune(&mut self, now: Timestamp) -> Deed {
        let before = PruneBefore {
            tombstones: self.dice.past(now),
            idempotency: now.minus(Duration::from_secs(24 * 3_600)),
            announcements: self.dice.past(now),
        };
        // Without a bound: of keys of one age, which go first is free.
        let limit = 1_000_000;
        Deed::Prune { before, limit }
    }

    fn person(&mut self, now: Timestamp) -> User {
        let name = self.dice.chance(0.8).then(|| format!("Name at {now}"));
        User { id: self.dice.user(), name, avatar_url: None, created_at: now }
    }

    fn look(&mut self) -> Look {
        let user = self.dice.anybody();
        let now = self.dice.clock.tick();
        match self.dice.rng.random_range(0..100) {
            0..35 => Look::Page(self.query(user)),
            35..60 => Look::Sync(user, self.dice.rev(), self.dice.limit()),
            60..66 => Look::RevAt(user, self.dice.past(now)),
            66..72 => Look::Open(user, OpenFrom::Newest),
            72..76 => Look::Open(user, OpenFrom::Since(self.dice.rev())),
            76..86 => Look::Open(user, OpenFrom::Device(self.dice.device())),
            86..92 => Look::Notification(user, self.dice.id()),
            92..95 => Look::Exists(self.dice.id()),
            95..97 => Look::Announcement(self.dice.id()),
            _ => Look::Due(now),
        }
    }

    fn query(&mut self, user: UserId) -> PageQuery {
        let numbered = self.dice.chance(0.2);
        PageQuery {
            user,
            limit: self.dice.limit().min(100),
            before: (!numbered && self.dice.chance(0.5)).then(|| self.dice.rev()),
            page: numbered.then(|| self.dice.rng.random_range(1..4)),
            unread_only: self.dice.chance(0.4),
            archived: self.dice.chance(0.3),
            kind: self.dice.chance(0.2).then(|| "comment".to_owned()),
            tenant: self.dice.chance(0.2).then(|| "acme".to_owned()),
        }
    }

    /// Every inbox, every list, every cursor, every job.
    pub(super) fn everything(&mut self) -> Vec<Step> {
        let mut looks =
            vec![Look::States(self.dice.users.clone()), Look::Due(self.dice.clock.tick())];
        for user in self.dice.users.clone() {
            looks.extend([Look::State(user.clone()), Look::User(user.clone())]);
            for (unread_only, archived) in [(false, false), (true, false), (false, true)] {
                let list = PageQuery {
                    user: user.clone(),
                    limit: 100,
                    before: None,
                    page: None,
                    unread_only,
                    archived,
                    kind: None,
                    tenant: None,
                };
                looks.push(Look::Page(PageQuery { page: Some(1), ..list.clone() }));
                looks.push(Look::List(list));
            }
            looks.push(Look::CatchUp(user.clone(), Rev(0), 200));
            for _ in 0..2 {
                looks.push(Look::CatchUp(user.clone(), self.dice.rev(), self.dice.limit()));
            }
            let devices = Dice::devices().into_iter().map(OpenFrom::Device);
            looks.extend(devices.map(|from| Look::Open(user.clone(), from)));
        }
        looks.extend(Dice::rooms().into_iter().map(Look::Members));
        looks.extend(self.dice.recent().into_iter().map(Look::Announcement));
        looks.into_iter().map(Step::Ask).collect()
    }
}
