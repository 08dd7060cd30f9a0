//! What a server or an emitter asks of all servers.

use std::time::Duration;

use rmpv::Value;

use super::{
    Malformed, Result, Selection,
    event::{Event, namespace},
    msgpack,
    shape::{field, id, is_set, rooms, text},
};

/// A request, and what an answer to it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of who asks; emitters have none, or all the same.
    pub uid: Option<String>,
    /// `None`: no answer is wanted.
    pub id: Option<String>,
    pub ask: Ask,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The ids of the sockets in any of these rooms; without any, of all.
    Sockets {
        rooms: Vec<String>,
    },
    AllRooms,
    Join {
        whom: Whom,
        rooms: Vec<String>,
    },
    Leave {
        whom: Whom,
        rooms: Vec<String>,
    },
    /// With `close` their whole connections end.
    Disconnect {
        whom: Whom,
        close: bool,
    },
    /// Everything about the sockets.
    Fetch {
        whom: Selection,
    },
    /// An event for the servers themselves.
    ServerSideEmit,
    /// An event that clients acknowledge.
    Emit {
        namespace: String,
        event: Event,
        to: Selection,
        timeout: Option<Duration>,
    },
}

/// The sockets that something is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    Selected(Selection),
    /// As older adapters ask: this one, and its server confirms it.
    One(String),
}

impl Request {
    /// `None`: a kind of request that is not known, as newer servers may send.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let value = msgpack::read(bytes)?;
        let kind = field(&value, "type").and_then(Value::as_u64);
        let ask = match kind.ok_or(Malformed::Shape("the request's type"))? {
            0 => Ask::Sockets { rooms: rooms(&value, "rooms")? },
            1 => Ask::AllRooms,
            2 => Ask::Join { whom: whom(&value)?, rooms: moved(&value)? },
            3 => Ask::Leave { whom: whom(&value)?, rooms: moved(&value)? },
            4 => Ask::Disconnect { whom: whom(&value)?, close: is_set(&value, "close") },
            5 => Ask::Fetch { whom: selection(&value)? },
            6 => Ask::ServerSideEmit,
            7 => emit(&value)?,
            _ => return Ok(None),
        };
        let (uid, id) = (id(&value, "uid")?, id(&value, "requestId")?);
        Ok(Some(Self { uid, id, ask }))
    }
}

fn selection(value: &Value) -> Result<Selection> {
    Selection::read(field(value, "opts").ok_or(Malformed::Shape("opts"))?)
}

fn whom(value: &Value) -> Result<Whom> {
    match field(value, "opts") {
        Some(options) => Selection::read(options).map(Whom::Selected),
        None => {
            let sid = id(value, "sid")?;
            sid.map(Whom::One).ok_or(Malformed::Shape("opts"))
        }
    }
}

/// The rooms to join or leave.
fn moved(value: &Value) -> Result<Vec<String>> {
    match field(value, "room") {
        Some(room) => Ok(vec![text(room).ok_or(Malformed::Shape("room"))?]),
        None => rooms(value, "rooms"),
    }
}

fn emit(value: &Value) -> Result<Ask> {
    let packet = field(value, "packet").ok_or(Malformed::Shape("the packet"))?;
    let options = field(value, "opts").ok_or(Malformed::Shape("opts"))?;
    let timeout = field(options, "flags").and_then(|flags| field(flags, "timeout"));
    Ok(Ask::Emit {
        namespace: namespace(packet)?,
        event: Event::read(packet)?,
        to: Selection::read(options)?,
        timeout: timeout.and_then(Value::as_u64).map(Duration::from_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Request {
        Request::read(json.as_bytes()).unwrap().unwrap()
    }

    fn selected(rooms: &[&str]) -> Selection {
        Selection { rooms: rooms.iter().map(|room| (*room).to_owned()).collect(), except: vec![] }
    }

    #[test]
    fn requests_are_read_as_node_writes_them() {
        let fetch = read(
            r#"{"uid":"3lIhPN","requestId":"U4aIox","type":5,"opts":{"rooms":[],"except":[]}}"#,
        );
        assert_eq!((fetch.uid.as_deref(), fetch.id.as_deref()), (Some("3lIhPN"), Some("U4aIox")));
        assert_eq!(fetch.ask, Ask::Fetch { whom: Selection::default() });
        assert_eq!(read(r#"{"uid":"3lIhPN","requestId":"PBM8uP","type":1}"#).ask, Ask::AllRooms);
        let rooms = vec!["room1".to_owned()];
        assert_eq!(
            read(r#"{"uid":"a","requestId":"b","type":0,"rooms":["room1"]}"#).ask,
            Ask::Sockets { rooms }
        );
        let join = read(
            r#"{"uid":"3lIhPN","type":2,"opts":{"rooms":["room1"],"except":[]},"rooms":["j1","j2"]}"#,
        );
        let rooms = vec!["j1".to_owned(), "j2".to_owned()];
        assert_eq!(join.ask, Ask::Join { whom: Whom::Selected(selected(&["room1"])), rooms });
        assert_eq!(join.id, None);
        let leave = read(r#"{"type":3,"opts":{"rooms":["room1"],"except":[]},"rooms":["k1"]}"#);
        assert_eq!(leave.uid, None);
        assert_eq!(
            leave.ask,
            Ask::Leave { whom: Whom::Selected(selected(&["room1"])), rooms: vec!["k1".into()] }
        );
        let close = read(r#"{"type":4,"opts":{"rooms":["zzz"],"except":[]},"close":true}"#);
        assert_eq!(
            close.ask,
            Ask::Disconnect { whom: Whom::Selected(selected(&["zzz"])), close: true }
        );
        let told = read(r#"{"uid":"emitter","type":6,"data":["sse","y"]}"#);
        assert_eq!((told.id, told.ask), (None, Ask::ServerSideEmit));
        let asked = read(r#"{"uid":"3lIhPN","requestId":"jMqFW_","type":6,"data":["sse","x"]}"#);
        assert_eq!(asked.id.as_deref(), Some("jMqFW_"));
    }

    #[test]
    fn older_requests_name_one_socket() {
        let join = read(r#"{"requestId":"r","type":2,"sid":"S1","room":"a"}"#);
        assert_eq!(join.ask, Ask::Join { whom: Whom::One("S1".into()), rooms: vec!["a".into()] });
    }

    #[test]
    fn broadcasts_with_acknowledgements_are_messagepack() {
        let hex = "85a3756964a6336c4968504ea9726571756573744964a650714f39456aa47479706507a67061636b657483a47479706502a46461746191a171a36e7370a12fa46f70747383a5726f6f6d7390a665786365707490a5666c61677381a774696d656f7574cd03e8";
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let request = Request::read(&bytes).unwrap().unwrap();
        assert_eq!(request.id.as_deref(), Some("PqO9Ej"));
        let Ask::Emit { namespace, event, to, timeout } = request.ask else { panic!() };
        assert_eq!((namespace.as_str(), event.name.as_str(), event.args.len()), ("/", "q", 0));
        assert_eq!((to, timeout), (Selection::default(), Some(Duration::from_secs(1))));
        for cut in 0..bytes.len() {
            assert!(Request::read(&bytes[..cut]).is_err());
        }
    }

    #[test]
    fn what_is_no_request_is_refused_and_what_is_new_is_let_be() {
        for bad in [
            "{}",
            r#"{"type":"1"}"#,
            r#"{"type":2,"rooms":["a"]}"#,
            r#"{"type":5,"requestId":"r"}"#,
            r#"{"type":1,"requestId":"a#b"}"#,
            r#"{"type":1,"requestId":7}"#,
            r#"{"type":7,"requestId":"r","opts":{}}"#,
        ] {
            assert!(Request::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Request::read(br#"{"type":99}"#), Ok(None));
    }
}
