//! Tokens that were taken back.

use tidings_core::{
    revocation::{Revocation, Revoked},
    time::Timestamp,
};

use super::{
    StoreHarness,
    world::{HOUR, SECOND, World},
};
use crate::user;

fn of_user(name: &str, before: Timestamp, ends_at: Timestamp) -> Revocation {
    Revocation { revoked: Revoked::User { user: user(name), before }, ends_at }
}

fn of_jti(jti: &str, ends_at: Timestamp) -> Revocation {
    Revocation { revoked: Revoked::Jti { jti: jti.to_owned() }, ends_at }
}

fn of_token(byte: u8, ends_at: Timestamp) -> Revocation {
    Revocation { revoked: Revoked::Token { hash: [byte; 32] }, ends_at }
}

impl World<'_> {
    async fn revoke(&self, revocation: &Revocation) -> bool {
        self.store.revoke(revocation.clone(), self.clock.tick(), 100).await.unwrap()
    }

    /// The latest first.
    async fn revoked_since(&self, since: Timestamp) -> Vec<Revocation> {
        self.store.revocations(since, 100).await.unwrap()
    }
}

pub async fn what_is_revoked_is_kept(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let end = w.clock.tick().plus(HOUR);
    let all = [of_user("ana", w.clock.tick(), end), of_jti("j", end), of_token(7, end)];
    for revocation in &all {
        assert!(w.revoke(revocation).await);
    }
    w.reopen().await;
    let [first, second, third] = all;
    assert_eq!(w.revoked_since(Timestamp::EPOCH).await, [third.clone(), second, first]);
    let since = w.clock.tick();
    assert!(w.revoked_since(since).await.is_empty());
    assert_eq!(w.store.revocations(Timestamp::EPOCH, 1).await.unwrap(), [third]);
}

pub async fn of_two_for_the_same_the_later_holds(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let (early, late) = (w.clock.tick(), w.later(SECOND));
    assert!(w.revoke(&of_user("ana", late, early)).await);
    let since = w.clock.tick();
    assert!(w.revoke(&of_user("ana", early, late)).await);
    assert_eq!(w.revoked_since(since).await, [of_user("ana", late, late)], "and it is news");
}

pub async fn only_so_many_stand_at_once(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let end = w.clock.tick().plus(HOUR);
    let now = w.clock.tick();
    assert!(w.store.revoke(of_jti("a", end), now, 1).await.unwrap());
    assert!(!w.store.revoke(of_jti("b", end), now, 1).await.unwrap());
    assert!(w.store.revoke(of_jti("a", end), now, 1).await.unwrap(), "it stands already");
    assert_eq!(w.revoked_since(Timestamp::EPOCH).await.len(), 1);
}

pub async fn ended_ones_are_removed_in_batches(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let end = w.clock.tick().plus(SECOND);
    for n in 0..5 {
        w.revoke(&of_token(n, end)).await;
    }
    let kept = of_token(9, end.plus(HOUR));
    w.revoke(&kept).await;
    let mut steps = Vec::new();
    loop {
        match w.store.purge_revocations(end, 2).await.unwrap() {
            0 => break,
            rows => steps.push(rows),
        }
    }
    assert_eq!(steps, [2, 2, 1]);
    assert_eq!(w.revoked_since(Timestamp::EPOCH).await, [kept]);
}
