use std::sync::Arc;

use serde_json::value::RawValue;
use tidings_core::{
    ids::{NodeId, UserId},
    room::{Epoch, Except, Position, RoomEvent, RoomName, RoomSignal},
    time::Timestamp,
};

use super::*;

fn voice() -> Voice {
    Voice::new(NodeId::new("node-1").unwrap())
}

fn event() -> RoomEvent {
    RoomEvent {
        room: RoomName::parse("post:1").unwrap(),
        name: "task:update".to_owned(),
        data: RawValue::from_string(r#"{"a": 1}"#.to_owned()).unwrap(),
        audiences: Arc::new([]),
        except: Except { users: vec![UserId::new("bob").unwrap()], sockets: vec![] },
        volatile: false,
        at: Timestamp::from_millis(5),
        history: None,
        memory: None,
        position: None,
    }
}

#[test]
fn an_event_is_read_as_it_was_written() {
    let said = voice().room(&RoomSignal::Event(event()));
    let spoken = Spoken::read(&said).unwrap();
    assert!(spoken.is_echo(&NodeId::new("node-1").unwrap()));
    assert!(!spoken.is_echo(&NodeId::new("node-2").unwrap()));
    let Heard::Room(signal) = spoken.heard().unwrap() else { panic!("no event") };
    let RoomSignal::Event(read) = &*signal else { panic!("no event") };
    assert_eq!(format!("{read:?}"), format!("{:?}", event()));
}

#[test]
fn a_remembered_event_has_its_position_and_is_never_an_echo() {
    let position = Position { epoch: Epoch(7), offset: 3 };
    let mut said = voice().history();
    said.extend(format!("{} {} {}", position.epoch, position.offset, event_text(&event())).bytes());
    let spoken = Spoken::read(&said).unwrap();
    assert!(!spoken.is_echo(&NodeId::new("node-1").unwrap()));
    let Heard::Room(signal) = spoken.heard().unwrap() else { panic!("no event") };
    let RoomSignal::Event(read) = &*signal else { panic!("no event") };
    assert_eq!(read.position, Some(position));
}

#[test]
fn what_is_not_understood_is_an_error_and_nothing_worse() {
    let bad: [&[u8]; 9] = [
        b"",
        b"1",
        b"1 node-2",
        b"2 node-2 change {}",
        b"1 node-2 gossip {}",
        b"1 node-2 change {",
        b"1 node-2 question x {}",
        b"1 node-2 history 00 1 {}",
        b"1 \xff change {}",
    ];
    for payload in bad {
        let heard = Spoken::read(payload).and_then(|spoken| spoken.heard());
        assert!(heard.is_err(), "{:?}", String::from_utf8_lossy(payload));
    }
    assert!(Spoken::read(&vec![b' '; MAX_MESSAGE + 1]).is_err());
}

#[test]
fn unknown_fields_are_let_be() {
    let said = r#"1 node-2 lost {"room":"post:1","users":["alice"],"since":"tomorrow"}"#;
    assert!(Spoken::read(said.as_bytes()).unwrap().heard().is_ok());
}
