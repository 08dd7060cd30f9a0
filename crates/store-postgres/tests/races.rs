//! What many nodes do at once holds as if they had done it one after the other.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use tidings_core::{
    ids::RoomId,
    ports::{Accept, Inboxes, Memberships, NewMembers, Revocations, Users},
    revocation::{Revocation, Revoked},
    time::Timestamp,
};
use tidings_store_postgres::{Options, PostgresStore, migrations};
use tidings_testkit::{
    ManualClock, RecordingSink, message,
    postgres::{Database, Postgres},
    users,
};

async fn nodes(count: usize) -> (Database<'static>, Vec<PostgresStore>) {
    let migrate = |url: String| async move {
        migrations::up(&url.parse().unwrap()).await.unwrap();
    };
    let database = Postgres::shared().database_prepared(migrate).await;
    let mut nodes = Vec::new();
    for _ in 0..count {
        let options = Options::new(database.url().parse().unwrap(), RecordingSink::new());
        nodes.push(PostgresStore::open(options).await.unwrap());
    }
    (database, nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_never_overfilled() {
    let (_database, nodes) = nodes(2).await;
    let room = RoomId::new("group:small").unwrap();
    let everybody = users("u", 40);
    let adding = everybody.chunks(2).enumerate().map(|(n, pair)| {
        let (node, room, pair) = (nodes[n % 2].clone(), room.clone(), pair.to_vec());
        tokio::spawn(async move { node.add_members(&room, &pair, 11).await.unwrap() })
    });
    let mut added = 0;
    for task in adding.collect::<Vec<_>>() {
        match task.await.unwrap() {
            NewMembers::Added(count) => added += count,
            NewMembers::Full { members } => assert_eq!(members, 10),
        }
    }
    assert_eq!(added, 10, "pairs, and one place is left");
    assert_eq!(nodes[0].members(&room, None, 100).await.unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_revocations_stand_than_may() {
    let (_database, nodes) = nodes(2).await;
    let now = ManualClock::default().tick();
    let revoking = (0..24).map(|n| {
        let node = nodes[n % 2].clone();
        let revoked = Revoked::Jti { jti: format!("jti-{n}") };
        let revocation = Revocation { revoked, ends_at: Timestamp::from_millis(i64::MAX) };
        tokio::spawn(async move { node.revoke(revocation, now, 10).await.unwrap() })
    });
    let mut stand = 0;
    for task in revoking.collect::<Vec<_>>() {
        stand += usize::from(task.await.unwrap());
    }
    assert_eq!(stand, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_id_on_two_nodes_one_is_stored() {
    let (_database, nodes) = nodes(2).await;
    let now = ManualClock::default().tick();
    for _ in 0..20 {
        let to_all = message(now).to_all().build();
        let accepting = [&nodes[0], &nodes[1]].map(|node| {
            let accept = Accept { messages: vec![to_all.clone()], idempotency: None, now };
            let node = node.clone();
            tokio::spawn(async move { node.accept(accept).await.unwrap() })
        });
        for task in accepting {
            let accepted = task.await.unwrap().accepted;
            assert_eq!(accepted[0].id, to_all.message.id);
        }
    }
}

/// Lists in opposite orders would wait for each other if they took their rows as they come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_in_any_order_never_wait_for_each_other() {
    let (database, nodes) = nodes(2).await;
    let clock = ManualClock::default();
    let everybody = users("u", 50);
    for user in &everybody {
        nodes[0].see_user(user, clock.tick()).await.unwrap();
    }
    let room = RoomId::new("group:large").unwrap();
    let working = (0..16).map(|n| {
        let (node, room, mut list) = (nodes[n % 2].clone(), room.clone(), everybody.clone());
        if n % 4 < 2 {
            list.reverse();
        }
        let seen: Vec<_> = list.iter().map(|user| (user.clone(), clock.tick())).collect();
        tokio::spawn(async move {
            node.saw_users(&seen).await.unwrap();
            node.add_members(&room, &list, 100).await.unwrap();
            node.remove_members(&room, &list).await.unwrap();
        })
    });
    for task in working.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(database.execute(deadlocks), "0");
}
