//! Places in rooms.

use std::sync::Arc;

use tidings_core::ports::{Registry, Seated};

use super::{LONG, node, room, seats};

pub async fn a_room_is_counted_over_all_nodes(registry: Arc<dyn Registry>) {
    let (a, b) = (node(&registry, "a", LONG).await, node(&registry, "b", LONG).await);
    registry.put_seats(a, &[seats("post:1", "alice", 2), seats("post:1", "bob", 1)]).await.unwrap();
    registry
        .put_seats(b, &[seats("post:1", "alice", 1), seats("post:2", "alice", 1)])
        .await
        .unwrap();
    let there = registry.room(&room("post:1")).await.unwrap();
    assert_eq!(there.count(|_| true), (2, 4));
    assert_eq!(there.count(|at| at == b), (1, 1));
    registry.put_seats(a, &[seats("post:1", "alice", 1), seats("post:1", "bob", 0)]).await.unwrap();
    let there = registry.room(&room("post:1")).await.unwrap();
    assert_eq!((there.users.len(), there.count(|_| true)), (1, (1, 2)));
    registry.put_seats(a, &[seats("post:1", "alice", 0)]).await.unwrap();
    registry.put_seats(b, &[seats("post:1", "alice", 0)]).await.unwrap();
    assert!(registry.room(&room("post:1")).await.unwrap().users.is_empty());
}

pub async fn a_room_is_full_for_others_only(registry: Arc<dyn Registry>) {
    let (a, b) = (node(&registry, "a", LONG).await, node(&registry, "b", LONG).await);
    let take = async |me, name: &str, connections| {
        registry.seat(me, &seats("dm:1", name, connections), 2).await.unwrap()
    };
    assert_eq!(take(a, "alice", 1).await, Seated::Yes { users: 1 });
    assert_eq!(take(b, "bob", 1).await, Seated::Yes { users: 2 });
    assert_eq!(take(a, "carol", 1).await, Seated::Full);
    assert_eq!(take(b, "alice", 1).await, Seated::Yes { users: 2 });
    registry.put_seats(a, &[seats("dm:1", "alice", 0)]).await.unwrap();
    assert_eq!(take(a, "carol", 1).await, Seated::Full, "alice is there yet");
    registry.put_seats(b, &[seats("dm:1", "alice", 0)]).await.unwrap();
    assert_eq!(take(a, "carol", 1).await, Seated::Yes { users: 2 });
}

pub async fn the_last_place_is_taken_once(registry: Arc<dyn Registry>) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let registry = Arc::clone(&registry);
        tasks.spawn(async move {
            let me = node(&registry, &format!("n{n}"), LONG).await;
            registry.seat(me, &seats("dm:1", &format!("u{n}"), 1), 7).await.unwrap()
        });
    }
    let taken = tasks.join_all().await;
    assert_eq!(taken.iter().filter(|one| **one != Seated::Full).count(), 7);
}
