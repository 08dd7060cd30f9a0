//! What dead nodes leave behind.

use std::sync::Arc;

use tidings_core::{
    ports::Registry,
    registry::{Leftover, Seats},
};

use super::{LONG, SHORT, connection, dead_node, node, room, seats, until};
use crate::{user, users};

pub async fn what_a_dead_node_left_is_found_and_taken_away(registry: Arc<dyn Registry>) {
    let dead = dead_node(&registry, "a").await;
    let live = node(&registry, "b", LONG).await;
    let names = users("u", 50);
    let of = |me| names.iter().map(|n| (n.clone(), vec![connection(me, "s")])).collect::<Vec<_>>();
    registry.put(dead, &of(dead)).await.unwrap();
    registry.put(live, &[(user("alice"), vec![connection(live, "l")])]).await.unwrap();
    registry.put(dead, &[(user("alice"), vec![connection(dead, "d")])]).await.unwrap();
    // What ended before is not left.
    registry.put(dead, &[(names[0].clone(), vec![])]).await.unwrap();
    let places: Vec<Seats> = names.iter().map(|name| seats("post:1", name.as_str(), 1)).collect();
    registry.put_seats(dead, &places).await.unwrap();
    registry.put_seats(live, &[seats("post:1", "alice", 1)]).await.unwrap();
    let (mut of_users, mut of_rooms) = (0, 0);
    loop {
        let left = registry.leftovers(dead, 20).await.unwrap();
        assert!(left.len() <= 20);
        if left.is_empty() {
            break;
        }
        for one in left {
            match one {
                Leftover::User(user) => {
                    of_users += 1;
                    registry.put(dead, &[(user, vec![])]).await.unwrap();
                }
                Leftover::Seats(room, user) => {
                    of_rooms += 1;
                    let nothing = Seats { room, user, connections: 0 };
                    registry.put_seats(dead, &[nothing]).await.unwrap();
                }
            }
        }
    }
    assert_eq!((of_users, of_rooms), (50, 50));
    let alice = registry.records(&[user("alice")]).await.unwrap();
    assert_eq!(alice[0].connections, [connection(live, "l")]);
    let there = registry.room(&room("post:1")).await.unwrap();
    assert_eq!(there.count(|_| true), (1, 1));
    assert_eq!(registry.leftovers(live, 20).await.unwrap().len(), 2);
}

pub async fn one_node_clears_away_and_another_if_it_dies_too(registry: Arc<dyn Registry>) {
    let dead = dead_node(&registry, "a").await;
    let (b, c) = (node(&registry, "b", LONG).await, node(&registry, "c", LONG).await);
    assert!(registry.claim(b, dead, SHORT).await.unwrap());
    assert!(registry.claim(b, dead, LONG).await.unwrap(), "it goes on");
    assert!(!registry.claim(c, dead, LONG).await.unwrap());
    assert!(!registry.claim(c, b, LONG).await.unwrap(), "it lives");
    assert!(registry.claim(b, dead, SHORT).await.unwrap());
    until(async || registry.claim(c, dead, LONG).await.unwrap()).await;
    registry.bury(dead).await.unwrap();
    assert!(!registry.claim(c, dead, LONG).await.unwrap(), "it is known no more");
}
