//! Answers to requests.

use bytes::Bytes;
use rmpv::Value;
use serde::Serialize;

use super::{
    json,
    msgpack::{self, object},
};

/// Answers of servers, told from those of clients by a type of their own.
const SERVER_SIDE_EMIT: u64 = 6;
const CLIENT_COUNT: u64 = 8;
const ACKNOWLEDGED: u64 = 9;

/// What is answered to the request with some id.
#[derive(Debug)]
pub enum Answer<'a> {
    Sockets(&'a [String]),
    Rooms(&'a [String]),
    Fetched(&'a [SocketDetails]),
    /// It was done to the one socket that was named.
    Done,
    /// An event for servers was heard, and there is nothing to say to it.
    Heard,
    /// So many clients will acknowledge an event.
    ClientCount(usize),
    /// What one of them said: a JSON text, with what its placeholders stand for. `None`: nothing.
    Acknowledged(Option<&'a str>, &'a [Bytes]),
}

/// A socket as another server sees it.
#[derive(Debug, Serialize)]
pub struct SocketDetails {
    pub id: String,
    pub handshake: serde_json::Value,
    pub rooms: Vec<String>,
    pub data: serde_json::Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<u64>,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sockets: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "sockets")]
    fetched: Option<&'a [SocketDetails]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<()>,
}

impl Answer<'_> {
    pub fn write(&self, request_id: &str) -> Vec<u8> {
        let mut written = Written {
            r#type: None,
            request_id,
            sockets: None,
            fetched: None,
            rooms: None,
            client_count: None,
            data: None,
        };
        match self {
            Self::Sockets(ids) => written.sockets = Some(ids),
            Self::Rooms(names) => written.rooms = Some(names),
            Self::Fetched(sockets) => written.fetched = Some(sockets),
            Self::Done => {}
            Self::Heard => (written.r#type, written.data) = (Some(SERVER_SIDE_EMIT), Some(())),
            Self::ClientCount(count) => {
                (written.r#type, written.client_count) = (Some(CLIENT_COUNT), Some(*count));
            }
            Self::Acknowledged(said, attachments) => {
                return acknowledged(request_id, *said, attachments);
            }
        }
        // Plain fields into memory: cannot fail.
        serde_json::to_vec(&written).unwrap_or_default()
    }
}

fn acknowledged(request_id: &str, said: Option<&str>, attachments: &[Bytes]) -> Vec<u8> {
    let (kind, id) = (("type", ACKNOWLEDGED.into()), ("requestId", request_id.into()));
    let Some(said) = said else { return msgpack::write(&object([kind, id])) };
    // What a client may say is bounded; beyond what another server reads it is as good as nothing.
    let mut said = json::parse(said.as_bytes()).unwrap_or(Value::Nil);
    json::attach(&mut said, attachments);
    msgpack::write(&object([kind, id, ("packet", said)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer<'_>) -> String {
        String::from_utf8(answer.write("PqO9Ej")).unwrap()
    }

    #[test]
    fn answers_are_written_as_node_writes_them() {
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(text(&Answer::Rooms(&names)), r#"{"requestId":"PqO9Ej","rooms":["a","b"]}"#);
        assert_eq!(text(&Answer::Sockets(&[])), r#"{"requestId":"PqO9Ej","sockets":[]}"#);
        assert_eq!(
            text(&Answer::ClientCount(1)),
            r#"{"type":8,"requestId":"PqO9Ej","clientCount":1}"#
        );
        assert_eq!(text(&Answer::Heard), r#"{"type":6,"requestId":"PqO9Ej","data":null}"#);
        assert_eq!(text(&Answer::Done), r#"{"requestId":"PqO9Ej"}"#);
        let details = SocketDetails {
            id: "S1".into(),
            handshake: serde_json::json!({ "issued": 1 }),
            rooms: vec!["S1".into()],
            data: serde_json::json!({}),
        };
        assert_eq!(
            text(&Answer::Fetched(&[details])),
            r#"{"requestId":"PqO9Ej","sockets":[{"id":"S1","handshake":{"issued":1},"rooms":["S1"],"data":{}}]}"#
        );
    }

    #[test]
    fn acknowledgements_are_messagepack() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(&Answer::Acknowledged(Some(r#""a2""#), &[]).write("PqO9Ej")),
            "83a47479706509a9726571756573744964a650714f39456aa67061636b6574a26132"
        );
        let said = r#"{"file":{"_placeholder":true,"num":0}}"#;
        let bytes = Answer::Acknowledged(Some(said), &[Bytes::from_static(&[7])]).write("r");
        assert!(hex(&bytes).ends_with("a67061636b657481a466696c65c40107"));
        assert!(!hex(&Answer::Acknowledged(None, &[]).write("r")).contains("a67061636b6574"));
    }
}
