//! Broadcasts.

use bytes::Bytes;
use rmpv::Value;

use super::{
    Malformed, Result,
    json::{self, Binary},
    msgpack::{self, object},
    shape::{field, id, is_set, rooms, text},
};

/// The type of packet that is an event.
const EVENT: u64 = 2;
/// Longest name of an event, in bytes.
const MAX_NAME: usize = 256;

/// An event for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    /// JSON texts; where an attachment belongs is its placeholder.
    pub args: Vec<String>,
    pub attachments: Vec<Bytes>,
    /// If there are attachments: the arguments for clients without Socket.IO, as JSON with base64 in it.
    pub encoded: Option<Vec<String>>,
}

/// Whom a message is for: sockets in any of the rooms (without any: all) that are in none of the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    pub rooms: Vec<String>,
    pub except: Vec<String>,
}

/// An event that a server or an emitter sends to clients of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broadcast {
    /// Of the sender.
    pub uid: String,
    pub namespace: String,
    pub event: Event,
    pub to: Selection,
    pub volatile: bool,
}

impl Event {
    /// Reads a packet.
    pub(super) fn read(packet: &Value) -> Result<Self> {
        if field(packet, "type").and_then(Value::as_u64) != Some(EVENT) {
            return Err(Malformed::Shape("the packet's type"));
        }
        let data = field(packet, "data").and_then(Value::as_array);
        let (name, values) = data
            .and_then(|data| data.split_first())
            .ok_or(Malformed::Shape("the packet's data"))?;
        let name = text(name).filter(|name| (1..=MAX_NAME).contains(&name.len()));
        let name = name.ok_or(Malformed::Shape("the event's name"))?;
        let mut attachments = Vec::new();
        let args = written(values, &mut Binary::Attached(&mut attachments))?;
        let encoded = match attachments.is_empty() {
            true => None,
            false => Some(written(values, &mut Binary::Encoded)?),
        };
        Ok(Self { name, args, attachments, encoded })
    }
}

fn written(values: &[Value], binary: &mut Binary<'_>) -> Result<Vec<String>> {
    let write = |value| {
        let mut text = String::new();
        json::write(value, &mut text, binary).map(|()| text)
    };
    values.iter().map(write).collect()
}

/// A packet's namespace; the main one need not be named.
pub(super) fn namespace(packet: &Value) -> Result<String> {
    match field(packet, "nsp") {
        None => Ok("/".to_owned()),
        Some(name) => text(name).ok_or(Malformed::Shape("the packet's namespace")),
    }
}

impl Selection {
    pub(super) fn read(value: &Value) -> Result<Self> {
        Ok(Self { rooms: rooms(value, "rooms")?, except: rooms(value, "except")? })
    }

    fn to_value(&self, volatile: bool) -> Value {
        let list = |names: &[String]| -> Value {
            Value::Array(names.iter().map(|name| name.as_str().into()).collect())
        };
        let flags = if volatile { object([("volatile", true.into())]) } else { object([]) };
        object([("rooms", list(&self.rooms)), ("except", list(&self.except)), ("flags", flags)])
    }
}

impl Broadcast {
    /// Reads `[uid, packet, options]`.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let value = msgpack::read(bytes)?;
        let parts = value.as_array().map(Vec::as_slice);
        let Some([uid, packet, options, ..]) = parts else {
            return Err(Malformed::Shape("the broadcast"));
        };
        let uid = object([("uid", uid.clone())]);
        let uid = id(&uid, "uid")?.ok_or(Malformed::Shape("uid"))?;
        let flags = field(options, "flags");
        Ok(Self {
            uid,
            namespace: namespace(packet)?,
            event: Event::read(packet)?,
            to: Selection::read(options)?,
            volatile: flags.is_some_and(|flags| is_set(flags, "volatile")),
        })
    }

    /// An event with one argument, a JSON text, as a server with this id sends it.
    pub fn write(
        uid: &str,
        namespace: &str,
        name: &str,
        data: &str,
        to: &Selection,
        volatile: bool,
    ) -> Result<Vec<u8>> {
        let data = Value::Array(vec![name.into(), json::parse(data.as_bytes())?]);
        let packet = object([("type", EVENT.into()), ("data", data), ("nsp", namespace.into())]);
        Ok(msgpack::write(&Value::Array(vec![uid.into(), packet, to.to_value(volatile)])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    fn selection(rooms: &[&str], except: &[&str]) -> Selection {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection { rooms: names(rooms), except: names(except) }
    }

    fn read(hex: &str) -> (String, Vec<String>, Selection, bool) {
        let broadcast = Broadcast::read(&bytes(hex)).unwrap();
        assert_eq!(broadcast.namespace, "/");
        let Event { name, args, .. } = broadcast.event;
        (name, args, broadcast.to, broadcast.volatile)
    }

    // As redis-adapter 8.3 and redis-emitter 5.1 publish them.
    const TO_ALL: &str = "93a6336c4968504e83a47479706502a46461746194a568656c6c6f01a13281a161c3a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380";
    const TO_ONE: &str = "93a6336c4968504e83a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7391a5726f6f6d31a665786365707490a5666c61677380";
    const TO_TWO: &str = "93a6336c4968504e83a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7392a27231a27232a665786365707491a27233a5666c61677380";
    const VOLATILE: &str = "93a6336c4968504e83a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677382a8766f6c6174696c65c3a8636f6d7072657373c2";
    const BINARY: &str = "93a6336c4968504e83a47479706502a46461746192a362696ec403010203a36e7370a12f83a5726f6f6d7390a665786365707490a5666c61677380";
    const CHAT: &str = "93a669513637653583a47479706502a46461746192a36d7367a178a36e7370a52f6368617483a5726f6f6d7391a26331a665786365707490a5666c61677380";
    const EMITTER_BINARY: &str = "93a7656d697474657283a47479706502a46461746193a568656c6c6fa177c401ffa36e7370a12f83a5726f6f6d7390a5666c61677380a665786365707490";
    const EMITTER_EXCEPT: &str = "93a7656d697474657283a47479706502a46461746191a568656c6c6fa36e7370a12f83a5726f6f6d7391a5726f6f6d31a5666c61677381a8766f6c6174696c65c3a665786365707491a178";

    #[test]
    fn broadcasts_are_read_as_node_writes_them() {
        let args = vec!["1".to_owned(), r#""2""#.to_owned(), r#"{"a":true}"#.to_owned()];
        assert_eq!(read(TO_ALL), ("hello".into(), args, Selection::default(), false));
        assert_eq!(read(TO_ONE).2, selection(&["room1"], &[]));
        assert_eq!(read(TO_TWO).2, selection(&["r1", "r2"], &["r3"]));
        assert!(read(VOLATILE).3);
        assert_eq!(read(EMITTER_EXCEPT).2, selection(&["room1"], &["x"]));
        assert!(read(EMITTER_EXCEPT).3);
        assert_eq!(Broadcast::read(&bytes(EMITTER_EXCEPT)).unwrap().uid, "emitter");
        assert_eq!(Broadcast::read(&bytes(CHAT)).unwrap().namespace, "/chat");
    }

    #[test]
    fn binary_arguments_are_attachments() {
        let event = Broadcast::read(&bytes(BINARY)).unwrap().event;
        assert_eq!(event.args, [r#"{"_placeholder":true,"num":0}"#]);
        assert_eq!(event.attachments, [Bytes::from_static(&[1, 2, 3])]);
        assert_eq!(event.encoded, Some(vec![r#""AQID""#.to_owned()]));
        let event = Broadcast::read(&bytes(EMITTER_BINARY)).unwrap().event;
        assert_eq!(event.args, [r#""w""#, r#"{"_placeholder":true,"num":0}"#]);
        assert_eq!(event.attachments, [Bytes::from_static(&[255])]);
    }

    #[test]
    fn broadcasts_are_written_as_node_writes_them() {
        let write = |data: &str, to: &Selection, volatile| {
            Broadcast::write("3lIhPN", "/", "hello", data, to, volatile).unwrap()
        };
        let first_with = |hex: &str| hex.replacen("91a568656c6c6f", "92a568656c6c6f01", 1);
        assert_eq!(write("1", &selection(&["room1"], &[]), false), bytes(&first_with(TO_ONE)));
        let two = selection(&["r1", "r2"], &["r3"]);
        assert_eq!(write("1", &two, false), bytes(&first_with(TO_TWO)));
        let again = Broadcast::read(&write(r#"{"z":1,"a":[null]}"#, &two, true)).unwrap();
        assert_eq!(again.event.args, [r#"{"z":1,"a":[null]}"#]);
        assert!(again.volatile && again.to == two);
    }

    #[test]
    fn what_is_no_broadcast_is_refused() {
        let packet = |kind: u64, data: Value| object([("type", kind.into()), ("data", data)]);
        let hello = || Value::Array(vec!["hello".into()]);
        let broadcast = |uid: Value, packet, options| {
            Broadcast::read(&msgpack::write(&Value::Array(vec![uid, packet, options])))
        };
        let fine = |packet| broadcast("x".into(), packet, object([]));
        assert_eq!(fine(packet(2, hello())).unwrap().namespace, "/");
        for bad in [
            fine(packet(3, hello())),
            fine(packet(2, Value::Array(vec![]))),
            fine(packet(2, Value::Array(vec![true.into()]))),
            fine(packet(2, Value::Array(vec!["x".repeat(257).into()]))),
            fine(packet(2, "hello".into())),
            fine(Value::Nil),
            broadcast(Value::Nil, packet(2, hello()), object([])),
            broadcast("x".repeat(65).into(), packet(2, hello()), object([])),
            broadcast("x".into(), packet(2, hello()), object([("rooms", "r".into())])),
            broadcast(
                "x".into(),
                packet(2, hello()),
                object([("rooms", Value::Array(vec![Value::Nil]))]),
            ),
            Broadcast::read(b"not MessagePack"),
            Broadcast::read(b"{\"a\":1}"),
            Broadcast::read(&[]),
        ] {
            assert!(bad.is_err(), "{bad:?}");
        }
        let many = Value::Array(vec!["r".into(); 10_001]);
        let problem = broadcast("x".into(), packet(2, hello()), object([("rooms", many)]));
        assert_eq!(problem, Err(Malformed::TooMany("rooms")));
    }

    #[test]
    fn rooms_may_be_numbers() {
        let options = object([("rooms", Value::Array(vec![7.into(), "a".into()]))]);
        assert_eq!(Selection::read(&options).unwrap(), selection(&["7", "a"], &[]));
    }
}
