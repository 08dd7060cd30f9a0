//! What is said in rooms.

use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_core::{
    ids::UserId,
    room::{Audience, Except, RoomEvent, RoomName, RoomSignal},
    time::Timestamp,
};

use super::{BusHarness, node, unique};

pub(crate) fn room() -> RoomName {
    RoomName::parse(&format!("post:{}", unique("room"))).unwrap()
}

pub(crate) fn event(room: &RoomName, name: &str) -> RoomEvent {
    RoomEvent {
        room: room.clone(),
        name: name.to_owned(),
        data: RawValue::from_string(r#"{"n": [1, 2.50, "é"]}"#.to_owned()).unwrap(),
        audiences: Arc::new([]),
        except: Except::default(),
        volatile: false,
        at: Timestamp::from_millis(1_700_000_000_123),
        history: None,
        memory: None,
        position: None,
    }
}

pub async fn events_reach_the_nodes_in_the_room_in_order(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let (one, two) = (room(), room());
    there.bus.subscribe_room(&one).await.unwrap();
    for n in 0..100 {
        for room in [&two, &one] {
            let signal = RoomSignal::Event(event(room, &format!("event-{n}")));
            here.bus.publish_room(&Arc::new(signal)).await.unwrap();
        }
    }
    there.heard.room_signals(100).await;
    let names: Vec<String> = there.heard.events().into_iter().map(|event| event.name).collect();
    assert_eq!(names, (0..100).map(|n| format!("event-{n}")).collect::<Vec<_>>());
    assert!(there.heard.events().iter().all(|event| event.room == one));
    assert!(here.heard.rooms().is_empty());
}

pub async fn every_field_of_an_event_arrives(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let room = room();
    there.bus.subscribe_room(&room).await.unwrap();
    let audience = Audience { role: "lead".to_owned(), fields: ["n".to_owned()].into() };
    let full = RoomEvent {
        audiences: Arc::new([audience]),
        except: Except {
            users: vec![UserId::new("bob").unwrap()],
            sockets: vec!["socket".to_owned()],
        },
        volatile: true,
        ..event(&room, "task:update")
    };
    let signal = Arc::new(RoomSignal::Event(full));
    here.bus.publish_room(&signal).await.unwrap();
    let heard = there.heard.room_signals(1).await;
    assert_eq!(format!("{:?}", heard[0]), format!("{signal:?}"));
}

pub async fn lost_memberships_are_told(harness: &impl BusHarness) {
    let (here, there) = (node(harness, "here").await, node(harness, "there").await);
    let room = room();
    here.bus.subscribe_room(&room).await.unwrap();
    there.bus.subscribe_room(&room).await.unwrap();
    let users = vec![UserId::new("alice").unwrap(), UserId::new("bob").unwrap()];
    let signal = Arc::new(RoomSignal::MembershipLost { room, users });
    here.bus.publish_room(&signal).await.unwrap();
    for node in [&here, &there] {
        let heard = node.heard.room_signals(1).await;
        assert_eq!(format!("{:?}", heard[0]), format!("{signal:?}"));
    }
}
