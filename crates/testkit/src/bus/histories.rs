//! What rooms remember.

use std::{sync::Arc, time::Duration};

use tidings_core::{
    ports::Bus,
    room::{Epoch, History, Past, Position, RoomEvent, RoomName, RoomSignal},
    time::Timestamp,
};

use super::{
    BusHarness, node,
    rooms::{event, room},
};

const LIMITS: History = History { messages: 5, age: Duration::from_secs(60) };

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
}

async fn say(bus: &dyn Bus, room: &RoomName, name: &str, seconds: i64) {
    let event = RoomEvent { history: Some(LIMITS), at: at(seconds), ..event(room, name) };
    bus.publish_room(&Arc::new(RoomSignal::Event(event))).await.unwrap();
}

async fn past(bus: &dyn Bus, room: &RoomName, since: Option<Position>, seconds: i64) -> Past {
    bus.room_past(room, since, LIMITS, at(seconds)).await.unwrap()
}

fn names(past: &Past) -> Option<Vec<String>> {
    let name = |signal: &Arc<RoomSignal>| match &**signal {
        RoomSignal::Event(event) => event.name.clone(),
        other => panic!("{other:?}"),
    };
    past.missed.as_ref().map(|missed| missed.iter().map(name).collect())
}

fn some(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

pub async fn a_room_remembers_for_who_comes_back(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let room = room();
    let start = past(&*here.bus, &room, None, 0).await;
    assert!(start.missed.is_none());
    let nothing_yet = past(&*here.bus, &room, Some(start.position), 0).await;
    assert_eq!(names(&nothing_yet), some(&[]));
    say(&*here.bus, &room, "a", 0).await;
    say(&*there.bus, &room, "b", 1).await;
    let both = past(&*there.bus, &room, Some(start.position), 2).await;
    assert_eq!(names(&both), some(&["a", "b"]));
    say(&*here.bus, &room, "c", 2).await;
    let rest = past(&*here.bus, &room, Some(both.position), 2).await;
    assert_eq!(names(&rest), some(&["c"]));
    assert_eq!(names(&past(&*here.bus, &room, Some(rest.position), 2).await), some(&[]));
}

pub async fn what_is_too_old_or_too_much_is_forgotten(harness: &impl BusHarness) {
    let here = node(harness, "here").await;
    let room = room();
    let start = past(&*here.bus, &room, None, 0).await.position;
    say(&*here.bus, &room, "0", 0).await;
    let first = past(&*here.bus, &room, Some(start), 0).await.position;
    for n in 1..=5 {
        say(&*here.bus, &room, &n.to_string(), n).await;
    }
    assert!(past(&*here.bus, &room, Some(start), 5).await.missed.is_none(), "by number");
    let rest = past(&*here.bus, &room, Some(first), 5).await;
    assert_eq!(names(&rest), some(&["1", "2", "3", "4", "5"]));
    assert!(past(&*here.bus, &room, Some(first), 62).await.missed.is_none(), "by age");
    let last = rest.position;
    assert_eq!(names(&past(&*here.bus, &room, Some(last), 62).await), some(&[]));
}

pub async fn positions_come_in_order_on_every_node(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let room = room();
    for node in [&here, &there] {
        node.bus.subscribe_room(&room).await.unwrap();
    }
    let start = past(&*here.bus, &room, None, 0).await.position;
    for _ in 0..50 {
        tokio::join!(say(&*here.bus, &room, "here", 0), say(&*there.bus, &room, "there", 0));
    }
    let mut orders = Vec::new();
    for node in [&here, &there] {
        node.heard.room_signals(100).await;
        let events = node.heard.events();
        let positions: Vec<Position> =
            events.iter().map(|event| event.position.expect("a position")).collect();
        assert!(positions.windows(2).all(|pair| pair[0].offset < pair[1].offset));
        assert!(positions.iter().all(|position| position.epoch == start.epoch));
        orders.push(events.into_iter().map(|event| event.name).collect::<Vec<_>>());
    }
    assert_eq!(orders[0], orders[1]);
}

pub async fn a_strange_position_is_not_believed(harness: &impl BusHarness) {
    let here = node(harness, "here").await;
    let room = room();
    say(&*here.bus, &room, "a", 0).await;
    let now = past(&*here.bus, &room, None, 0).await.position;
    let strange = [
        Position { epoch: Epoch(now.epoch.0 ^ 1), ..now },
        Position { offset: now.offset + 100, ..now },
    ];
    for position in strange {
        let past = past(&*here.bus, &room, Some(position), 0).await;
        assert!(past.missed.is_none() && past.position == now);
    }
}
