//! The audit log.

use std::net::IpAddr;

use tidings_core::{
    audit::{Actor, AuditEntry, AuditFilter, AuditId, EventName, Happening},
    ids::RoomId,
    time::Timestamp,
};

use super::{
    StoreHarness,
    world::{SECOND, World},
};
use crate::user;

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn entry(at: Timestamp, happening: Happening) -> AuditEntry {
    // Random enough: no two entries of a case have the same instant.
    happening.entry(AuditId::new_v7(at, [7; 10]), at)
}

fn refused(w: &World<'_>, name: &str, room: &str) -> AuditEntry {
    let happening = Happening::new("room.refused", Actor::User(user(name)))
        .from(HOME)
        .room(&RoomId::new(room).unwrap())
        .target("a target")
        .with("reason", "not a member");
    entry(w.clock.tick(), happening)
}

fn revoked(w: &World<'_>) -> AuditEntry {
    entry(w.clock.tick(), Happening::new("key.revoked", Actor::Operator).target("key_1"))
}

async fn listed(w: &World<'_>, filter: AuditFilter) -> Vec<AuditEntry> {
    w.store.audit(filter, None, 100).await.unwrap()
}

pub async fn entries_are_listed_newest_first_by_cursor(harness: &dyn StoreHarness) {
    let mut w = World::new(harness).await;
    let entries = vec![refused(&w, "ana", "post:1"), revoked(&w), refused(&w, "bo", "post:2")];
    w.store.append_audit(entries.clone()).await.unwrap();
    w.reopen().await;
    let none = AuditFilter::default();
    let first = w.store.audit(none.clone(), None, 2).await.unwrap();
    assert_eq!(first, [entries[2].clone(), entries[1].clone()], "whole, as they were appended");
    let rest = w.store.audit(none.clone(), Some(first[1].id), 2).await.unwrap();
    assert_eq!(rest, [entries[0].clone()]);
    assert!(w.store.audit(none, Some(rest[0].id), 2).await.unwrap().is_empty());
}

pub async fn filters_are_combined(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let first = refused(&w, "ana", "post:1");
    let second = refused(&w, "ana", "post:2");
    let third = refused(&w, "bo", "post:1");
    let fourth = revoked(&w);
    let all = [&first, &second, &third, &fourth].map(Clone::clone);
    w.store.append_audit(all.to_vec()).await.unwrap();
    let none = AuditFilter::default;
    let room = || Some(RoomId::new("post:1").unwrap());
    let event = |name| Some(EventName::of(name));
    for (filter, found) in [
        (AuditFilter { event: event("key.revoked"), ..none() }, vec![&fourth]),
        (AuditFilter { event: event("key.made"), ..none() }, vec![]),
        (AuditFilter { user: Some(user("ana")), ..none() }, vec![&second, &first]),
        (AuditFilter { room: room(), ..none() }, vec![&third, &first]),
        (AuditFilter { ip: Some(HOME), ..none() }, vec![&third, &second, &first]),
        (AuditFilter { user: Some(user("ana")), room: room(), ..none() }, vec![&first]),
        (AuditFilter { ip: Some(HOME), event: event("key.revoked"), ..none() }, vec![]),
        (AuditFilter { since: Some(third.at), ..none() }, vec![&fourth, &third]),
        (AuditFilter { until: Some(second.at), ..none() }, vec![&first]),
        (
            AuditFilter {
                since: Some(second.at),
                until: Some(fourth.at),
                user: Some(user("ana")),
                ..none()
            },
            vec![&second],
        ),
    ] {
        let found: Vec<AuditEntry> = found.into_iter().cloned().collect();
        assert_eq!(listed(&w, filter.clone()).await, found, "{filter:?}");
    }
}

pub async fn what_happened_again_is_counted(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let first = refused(&w, "ana", "post:1");
    w.store.append_audit(vec![first.clone()]).await.unwrap();
    let again = AuditEntry { count: 5, last_at: w.clock.tick(), ..first };
    w.store.append_audit(vec![again.clone(), revoked(&w)]).await.unwrap();
    let found = listed(&w, AuditFilter::default()).await;
    assert_eq!((found.len(), &found[1]), (2, &again));
}

pub async fn old_entries_are_removed_in_batches(harness: &dyn StoreHarness) {
    let w = World::new(harness).await;
    let old: Vec<AuditEntry> = (0..5).map(|_| revoked(&w)).collect();
    w.store.append_audit(old).await.unwrap();
    w.later(SECOND);
    let kept = revoked(&w);
    w.store.append_audit(vec![kept.clone()]).await.unwrap();
    let mut steps = Vec::new();
    loop {
        match w.store.purge_audit(kept.at, 2).await.unwrap() {
            0 => break,
            rows => steps.push(rows),
        }
    }
    assert_eq!(steps, [2, 2, 1]);
    assert_eq!(listed(&w, AuditFilter::default()).await, [kept]);
}
