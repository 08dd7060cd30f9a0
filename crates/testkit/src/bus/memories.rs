//! What is kept of rooms for clients that come back on another node.

use std::{sync::Arc, time::Duration};

use tidings_core::room::{History, Memory, Position, RoomEvent, RoomSignal};

use super::{
    BusHarness, Node, node,
    rooms::{event, room},
};

const LIMITS: History = History { messages: 5, age: Duration::from_secs(60) };

async fn say(from: &Node, event: &RoomEvent, id: u64) {
    let memory = Some(Memory { id, limits: LIMITS });
    let signal = Arc::new(RoomSignal::Event(RoomEvent { memory, ..event.clone() }));
    from.bus.publish_room(&signal).await.unwrap();
}

fn ids<'a>(events: impl IntoIterator<Item = &'a RoomEvent>) -> Vec<u64> {
    events.into_iter().filter_map(|event| Some(event.memory?.id)).collect()
}

pub async fn what_is_kept_is_heard_once_and_has_a_place(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let room = room();
    let event = event(&room, "said");
    for node in [&here, &there] {
        node.bus.subscribe_room(&room).await.unwrap();
    }
    let start = here.bus.room_past(&room, None, LIMITS, event.at).await.unwrap().position;
    for id in 1..=3 {
        say(&here, &event, id).await;
        // It is heard here without waiting for anybody.
        assert_eq!(here.heard.events().len() as u64, id);
    }
    let places: Vec<Position> = here.heard.places(3).await;
    there.heard.room_signals(3).await;
    let heard = there.heard.events();
    assert_eq!((ids(&heard), ids(&here.heard.events())), (vec![1, 2, 3], vec![1, 2, 3]));
    let told: Vec<Position> = heard.iter().filter_map(|event| event.position).collect();
    assert_eq!(told, places);
    assert!(places.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    let past = there.bus.room_past(&room, Some(places[0]), LIMITS, event.at).await.unwrap();
    let missed: Vec<RoomEvent> = past.missed.unwrap().iter().map(of).collect();
    assert_eq!((ids(&missed), past.position), (vec![2, 3], places[2]));
    let all = there.bus.room_past(&room, Some(start), LIMITS, event.at).await.unwrap();
    assert_eq!(all.missed.unwrap().len(), 3);
    for id in 4..=6 {
        say(&there, &event, id).await;
    }
    there.heard.places(3).await;
    let all = here.bus.room_past(&room, Some(start), LIMITS, event.at).await.unwrap();
    assert!(all.missed.is_none(), "more was said than is kept");
    here.heard.room_signals(6).await;
    assert_eq!((here.heard.events().len(), there.heard.events().len()), (6, 6));
}

fn of(signal: &Arc<RoomSignal>) -> RoomEvent {
    match &**signal {
        RoomSignal::Event(event) => event.clone(),
        other => panic!("{other:?}"),
    }
}
