//! What a node cannot say because too much waits to be said.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use support::OnRedis;
use tidings_core::{
    ids::{NodeId, UserId},
    ports::{Bus as _, BusSink},
    room::{RoomName, RoomSignal},
};
use tidings_testkit::{bus::Heard, redis::Redis};

/// More than may wait.
const TOO_MANY: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_told_to_look_for_who_lost_a_room_and_was_not_named() {
    let redis = Redis::start(&[]);
    let nodes = OnRedis::at(&redis.url()).patient();
    let (heard, unheard) = <(Arc<Heard>, Arc<Heard>)>::default();
    let join = async |name: &str, sink: &Arc<Heard>| {
        let sink = Arc::clone(sink) as Arc<dyn BusSink>;
        nodes.connect(NodeId::new(name).unwrap(), sink).await
    };
    let (here, there) = (join("here", &unheard).await, join("there", &heard).await);
    let room = RoomName::parse("post:1").unwrap();
    there.subscribe_room(&room).await.unwrap();
    // Nobody takes Redis for dead, and no connection is made anew.
    redis.freeze();
    let users = vec![UserId::new("alice").unwrap()];
    let lost = Arc::new(RoomSignal::MembershipLost { room, users });
    let mut said = 0;
    while here.publish_room(&lost).await.is_ok() {
        said += 1;
        assert!(said < TOO_MANY, "nothing is ever too much");
    }
    let before = heard.missed();
    redis.resume();
    heard.missed_more_than(before).await;
    assert_eq!((here.stats().connects, there.stats().connects), (1, 1));
    assert_eq!(there.stats().lagged, 0);
}
