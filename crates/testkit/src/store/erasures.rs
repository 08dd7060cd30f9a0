//! The erasure of users.

use tidings_core::{
    announcement::AnnouncementState::Cancelled,
    audit::{Actor, AuditEntry, AuditFilter, AuditId, Happening},
    connection::{ClientKind, Connection, ConnectionFilter, ConnectionId, ConnectionNote, Ground},
    erasure::{ErasureId, NewErasure, name_of_remains},
    ids::{DeviceId, Rev, RoomId, UserId},
    inbox::{InboxOp, OpenFrom},
    notification::Notification,
    ports::Accept,
    time::Timestamp,
};
use tokio::task::JoinSet;

use super::{
    StoreHarness,
    world::{HOUR, SECOND, World, ids},
};
use crate::{user, users};

impl World<'_> {
    async fn begins_to_erase(&self, user: &UserId) -> ErasureId {
        let requested_at = self.clock.tick();
        let id = ErasureId::new_v7(requested_at, [3; 10]);
        let settles_at = requested_at.plus(SECOND);
        let new = NewErasure { id, user: user.clone(), requested_at, settles_at };
        let begun = self.store.begin_erasure(new).await.unwrap();
        assert_eq!((begun.id, begun.finished_at), (id, None));
        id
    }

    /// Goes on until nothing is found; returns how many rows went in each call.
    async fn erase_rows(&self, id: ErasureId, limit: usize) -> Vec<u64> {
        let mut steps = Vec::new();
        loop {
            let now = self.clock.tick();
            let progress = self.store.advance_erasure(id, limit, now).await.unwrap();
            if progress.rows == 0 {
                return steps;
            }
            steps.push(progress.rows);
        }
    }

    async fn finishes_to_erase(&self, id: ErasureId) {
        self.later(SECOND);
        self.erase_rows(id, 100).await;
        assert!(self.store.erasure(id).await.unwrap().unwrap().finished_at.is_some());
        assert!(self.store.due_erasures(10).await.unwrap().is_empty());
    }

    async fn erase(&self, user: &UserId) -> ErasureId {
        let id = self.begins_to_erase(user).await;
        self.finishes_to_erase(id).await;
        id
    }

    async fn has_nothing_of(&self, user: &UserId) {
        assert_eq!(self.counters(user).await, (0, 0));
        assert!(self.list(self.query(user)).await.is_empty());
        let pending = self.store.open(user, OpenFrom::Newest).await.unwrap().pending;
        assert!(pending.items.is_empty() && !pending.reset);
    }

    async fn connects(&self, name: &str) -> ConnectionId {
        let at = self.clock.tick();
        let id = ConnectionId::of("node", name, at);
        let connection = Connection {
            id,
            user: user(name),
            socket_id: name.to_owned(),
            node: "node".to_owned(),
            client: ClientKind::Sse,
            device: None,
            ip: [127, 0, 0, 1].into(),
            user_agent: None,
            connected_at: at,
            seen_at: at,
            disconnected_at: None,
            reason: None,
            ground: Ground { token: [7; 32], ends_at: at.plus(HOUR) },
        };
        let note = ConnectionNote::Opened(Box::new(connection));
        self.store.note_connections(vec![note]).await.unwrap();
        id
    }

    async fn record(&self, happening: Happening) -> AuditEntry {
        let at = self.clock.tick();
        let entry = happening.entry(AuditId::new_v7(at, [7; 10]), at);
        self.store.append_audit(vec![entry.clone()]).await.unwrap();
        entry
    }

    async fn audit_log(&self) -> Vec<AuditEntry> {
        self.store.audit(AuditFilter::default(), None, 100).await.unwrap()
    }

    async fn find_one(&self, user: &UserId, id: tidings_core::ids::NotificationId) -> Notification {
        self.find(user, id).await.unwrap()
    }
}

pub async fn nothing_of_a_user_is_left(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let room = RoomId::new("group:1").unwrap();
    let both = [w.alice.clone(), w.bob.clone()];
    w.put_users(&both).await;
    w.store.add_members(&room, &both, 10).await.unwrap();
    let own = w.accept_one(w.message().dedupe("key")).await.id;
    let archived = w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Archive(vec![archived])).await;
    let deleted = w.send(&w.alice).await;
    w.change(&w.alice, InboxOp::Delete(vec![deleted])).await;
    let shared = w.accept_one(w.message().to(&both)).await.id;
    let phone = DeviceId::new("phone").unwrap();
    w.store.acknowledge(&w.alice, Some(&phone), Rev(2), w.clock.tick()).await.unwrap();
    w.connects("alice").await;
    let bobs = w.connects("bob").await;
    w.sink.take();

    let id = w.begins_to_erase(&w.alice).await;
    w.has_nothing_of(&w.alice).await;
    assert!(w.store.user(&w.alice).await.unwrap().is_none());
    assert_eq!(w.store.due_erasures(10).await.unwrap(), [id]);
    w.finishes_to_erase(id).await;

    w.has_nothing_of(&w.alice).await;
    w.has_nothing_of(&user(&name_of_remains(id))).await;
    for gone in [own, archived, deleted] {
        assert!(!w.store.exists(gone).await.unwrap());
        assert!(w.store.retract(gone, 10, w.clock.tick()).await.unwrap().is_none(), "no body");
    }
    assert_eq!(w.list(w.query(&w.bob)).await, [shared]);
    assert_eq!(w.store.members(&room, None, 10).await.unwrap(), [user("bob")]);
    let left = w.store.connections(ConnectionFilter::default(), None, 10).await.unwrap();
    assert_eq!(left.iter().map(|one| one.id).collect::<Vec<_>>(), [bobs]);
    assert!(w.sink.take().is_empty(), "there is nobody to be told");
    // What the key stood for is gone with it.
    assert!(!w.accept_one(w.message().dedupe("key")).await.duplicate);
}

pub async fn whoever_comes_back_begins_a_new_inbox(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    w.send_many(&w.alice, 5).await;
    let id = w.begins_to_erase(&w.alice).await;
    let sync = w.sync(&w.alice, 5, 10).await;
    assert!(sync.reset && sync.items.is_empty());
    // At once, while the old one is still being taken apart.
    let first = w.send(&w.alice).await;
    w.finishes_to_erase(id).await;
    w.reopen().await;
    let second = w.send(&w.alice).await;
    for since in 1..=5 {
        let sync = w.sync(&w.alice, since, 10).await;
        assert!(sync.reset, "a rev of the old inbox: {since}");
        assert_eq!(ids(&sync.items), [second, first]);
    }
    let (rev, unread) = w.counters(&w.alice).await;
    assert_eq!(unread, 2);
    let sync = w.sync(&w.alice, rev - 1, 10).await;
    assert!(!sync.reset);
    assert_eq!(ids(&sync.items), [second]);
    // Again and again.
    w.erase(&w.alice).await;
    w.erase(&w.alice).await;
    let third = w.send(&w.alice).await;
    for since in [1, 5, rev] {
        let sync = w.sync(&w.alice, since, 10).await;
        assert!(sync.reset, "{since}");
        assert_eq!(ids(&sync.items), [third]);
    }
    assert!(w.counters(&w.alice).await.0 > rev);
}

pub async fn an_erased_actor_is_nobody(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.put_users(&users("user", 2)).await;
    w.put_user(&w.alice).await;
    let data = r#"{"actorId":"alice","nul":"\u0000"}"#;
    let by_alice = w.message().to(std::slice::from_ref(&w.bob)).actor("alice").data(data);
    let mut by_alice = vec![w.accept_one(by_alice).await.id];
    for _ in 0..4 {
        let message = w.message().to(std::slice::from_ref(&w.bob)).actor("alice");
        by_alice.push(w.accept_one(message).await.id);
    }
    let other = w.message().to(std::slice::from_ref(&w.bob)).actor("user-1").data(data);
    let other = w.accept_one(other).await.id;
    let before = w.counters(&w.bob).await;
    assert!(w.find_one(&w.bob, by_alice[0]).await.message.actor.is_some());
    let untouched = w.find_one(&w.bob, other).await;

    let id = w.begins_to_erase(&w.alice).await;
    assert_eq!(w.erase_rows(id, 2).await, [2, 2, 1]);
    for id in by_alice {
        let message = w.find_one(&w.bob, id).await.message;
        assert_eq!((&message.actor, &message.actor_id), (&None, &None));
        assert_eq!(message.message, "Bob liked your post");
    }
    let after = w.find_one(&w.bob, other).await;
    assert_eq!((&after.message.actor, after.item), (&untouched.message.actor, untouched.item));
    assert_eq!(after.message.data.get(), data, "the application's own");
    assert_eq!(w.counters(&w.bob).await, before);
}

pub async fn waiting_announcements_leave_the_user_out(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let both = [w.alice.clone(), w.bob.clone()];
    w.put_users(&both).await;
    let at = w.clock.tick().plus(HOUR);
    let for_both = w.accept_one(w.message().to(&both).send_at(at)).await.id;
    let for_alice = w.accept_one(w.message().send_at(at)).await.id;
    let for_all = w.accept_one(w.message().to_all().send_at(at)).await.id;
    let id = w.begins_to_erase(&w.alice).await;
    let after = w.accept_one(w.message().send_at(at)).await.id;
    w.finishes_to_erase(id).await;

    let cancelled = w.store.announcement(for_alice).await.unwrap().unwrap();
    assert_eq!(cancelled.state, Cancelled);
    assert!(w.store.retract(for_alice, 10, w.clock.tick()).await.unwrap().is_none(), "no body");
    w.clock.set(at);
    for (announcement, added) in [(for_both, 1), (for_alice, 0), (for_all, 1), (after, 1)] {
        assert_eq!(w.announce(announcement, 10).await, added);
    }
    assert_eq!(w.list(w.query(&w.bob)).await, [for_all, for_both]);
    assert_eq!(w.list(w.query(&w.alice)).await, [after], "for whoever comes back");
}

pub async fn the_log_keeps_what_happened_and_not_who_it_was(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let did = Happening::new("room.refused", Actor::User(w.alice.clone()))
        .from([127, 0, 0, 1].into())
        .target("alice");
    let did = w.record(did).await;
    let done = Happening::new("user.updated", Actor::ApiKey("key".into())).about(&w.alice);
    let done = w.record(done).await;
    let by = Happening::new("x", Actor::User(w.alice.clone())).about(&w.bob);
    let by = w.record(by).await;
    let others = w.record(Happening::new("x", Actor::User(w.bob.clone()))).await;
    let id = w.begins_to_erase(&w.alice).await;
    w.erase_rows(id, 1).await;
    // One that was on its way.
    let late = w.record(Happening::new("connected", Actor::User(w.alice.clone()))).await;
    assert!(w.store.erasure(id).await.unwrap().unwrap().finished_at.is_none(), "not settled");
    w.finishes_to_erase(id).await;

    let erased = |entry: &AuditEntry| {
        let mut entry = entry.clone();
        entry.forget(&user("alice"));
        entry
    };
    let expected = [erased(&late), others, erased(&by), erased(&done), erased(&did)];
    assert_eq!(w.audit_log().await, expected);
    assert_eq!(expected[4].actor, Actor::Erased);
    let about = AuditFilter { user: Some(w.alice.clone()), ..AuditFilter::default() };
    assert!(w.store.audit(about, None, 10).await.unwrap().is_empty());
    // What is done by whoever comes back is theirs.
    let new = w.record(Happening::new("connected", Actor::User(w.alice.clone()))).await;
    assert_eq!(w.audit_log().await[0], new);
}

pub async fn it_goes_on_in_batches_after_a_restart(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let sent = w.fill(&w.alice, 50).await;
    w.change(&w.alice, InboxOp::Delete(sent[..20].to_vec())).await;
    let id = w.begins_to_erase(&w.alice).await;
    let first = w.store.advance_erasure(id, 7, w.clock.tick()).await.unwrap();
    assert_eq!((first.rows, first.finished), (7, false));
    w.reopen().await;
    assert_eq!(w.store.due_erasures(10).await.unwrap(), [id]);
    let steps = w.erase_rows(id, 7).await;
    assert!(steps.iter().all(|rows| *rows <= 7), "{steps:?}");
    assert_eq!(steps.iter().sum::<u64>(), 23 + 20, "items and tombstones");
    w.finishes_to_erase(id).await;
    for id in sent {
        assert!(w.store.retract(id, 10, w.clock.tick()).await.unwrap().is_none());
    }
    let again = w.store.advance_erasure(id, 7, w.clock.tick()).await.unwrap();
    assert_eq!((again.rows, again.finished), (0, true));
}

pub async fn asked_for_again_it_is_the_same(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send(&w.alice).await;
    let now = w.clock.tick();
    let id = ErasureId::new_v7(now, [1; 10]);
    let new = NewErasure { id, user: w.alice.clone(), requested_at: now, settles_at: now };
    let first = w.store.begin_erasure(new.clone()).await.unwrap();
    let after = w.send(&w.alice).await;
    assert_eq!(w.store.begin_erasure(new).await.unwrap(), first);
    assert_eq!(w.list(w.query(&w.alice)).await, [after], "what came since is not erased");
    let unknown = ErasureId::new_v7(Timestamp::from_millis(5), [9; 10]);
    assert!(w.store.erasure(unknown).await.unwrap().is_none());
    assert!(w.store.advance_erasure(unknown, 1, w.clock.tick()).await.unwrap().finished);
}

/// Whatever the moment, what is accepted is in the inbox whole, or erased whole.
pub async fn accepts_beside_an_erasure_find_an_inbox(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    w.send(&w.alice).await;
    for round in 0..10 {
        let mut tasks = JoinSet::new();
        for _ in 0..20 {
            let (store, now) = (w.store.clone(), w.clock.tick());
            let messages = vec![crate::message(now).build()];
            tasks.spawn(async move {
                let accept = Accept { messages, idempotency: None, now };
                assert_eq!(store.accept(accept).await.unwrap().accepted[0].recipients, 1);
            });
        }
        let erased = w.begins_to_erase(&w.alice).await;
        tasks.join_all().await;
        let (rev, unread) = w.counters(&w.alice).await;
        let page = tidings_core::inbox::PageQuery { limit: 100, ..w.query(&w.alice) };
        assert_eq!(w.list(page).await.len() as u64, unread, "round {round}");
        let sync = w.sync(&w.alice, rev.saturating_sub(unread), 100).await;
        assert_eq!(sync.items.len() as u64, unread, "contiguous");
        w.finishes_to_erase(erased).await;
    }
}
