//! decode(encode(x)) == x, for whatever x and however the stream is cut.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use tidings_protocol::engineio::{self, PayloadLimits};
use tidings_protocol::json;
use tidings_protocol::socketio::{self, Namespace, PacketType};
use tidings_protocol::websocket::{CloseFrame, Decoder, Message, Opcode};

use crate::support::{masked, packets};

/// A message as a client may send it.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    key: [u8; 4],
    /// Where data is cut into fragments.
    cuts: Vec<Index>,
    /// A ping behind each fragment but the last.
    pings: bool,
}

impl Sent {
    /// The bytes, and what is to be received.
    fn write(&self, stream: &mut Vec<u8>, expected: &mut Vec<Message>) {
        match &self.message {
            Message::Text(text) => self.fragments(Opcode::Text, text.as_bytes(), stream, expected),
            Message::Binary(data) => self.fragments(Opcode::Binary, data, stream, expected),
            Message::Ping(data) => stream.extend(masked(true, Opcode::Ping, data, self.key)),
            Message::Pong(data) => stream.extend(masked(true, Opcode::Pong, data, self.key)),
            Message::Close(close) => {
                let payload = close
                    .as_ref()
                    .map(|close| [&close.code.to_be_bytes(), close.reason.as_bytes()].concat());
                stream.extend(masked(true, Opcode::Close, &payload.unwrap_or_default(), self.key));
            }
        }
        expected.push(self.message.clone());
    }

    fn fragments(
        &self,
        first: Opcode,
        data: &[u8],
        stream: &mut Vec<u8>,
        expected: &mut Vec<Message>,
    ) {
        let mut cuts: Vec<usize> = self.cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut opcode, mut start) = (first, 0);
        for cut in cuts {
            stream.extend(masked(false, opcode, &data[start..cut], self.key));
            if self.pings {
                stream.extend(masked(true, Opcode::Ping, b"?", self.key));
                expected.push(Message::Ping(Bytes::from_static(b"?")));
            }
            (opcode, start) = (Opcode::Continuation, cut);
        }
        stream.extend(masked(true, opcode, &data[start..], self.key));
    }
}

fn data(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

fn sent() -> impl Strategy<Value = Sent> {
    let close = (prop_oneof![1000..=1003u16, 1007..=1014u16, 3000..=4999u16], "\\PC{0,30}")
        .prop_map(|(code, reason)| CloseFrame { code, reason });
    let message = prop_oneof![
        4 => "\\PC{0,200}".prop_map(Message::Text),
        4 => data(300).prop_map(Message::Binary),
        1 => data(126).prop_map(Message::Ping),
        1 => data(126).prop_map(Message::Pong),
        1 => proptest::option::of(close).prop_map(Message::Close),
    ];
    (message, any::<[u8; 4]>(), vec(any::<Index>(), 0..5), any::<bool>())
        .prop_map(|(message, key, cuts, pings)| Sent { message, key, cuts, pings })
}

/// Any JSON within what JavaScript and serde_json both hold.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn namespace() -> impl Strategy<Value = Namespace> {
    prop_oneof![Just(Namespace::ROOT), "/[^,?]{0,12}".prop_map(|name| Namespace::new(&name))]
}

/// An event or an acknowledgement with a placeholder for each attachment.
fn socketio_packet() -> impl Strategy<Value = socketio::Packet> {
    let ack = proptest::option::of(0..=socketio::MAX_ACK_ID);
    let name = any::<String>()
        .prop_filter("reserved", |name| !socketio::RESERVED_EVENTS.contains(&name.as_str()));
    (any::<bool>(), namespace(), ack, name, vec(value(), 0..4), vec(data(50), 0..4)).prop_map(
        |(is_ack, namespace, ack, name, args, attachments)| {
            let mut items = if is_ack { vec![] } else { vec![Value::from(name)] };
            items.extend(args);
            items.extend(
                (0..attachments.len()).map(|num| json!({"_placeholder": true, "num": num})),
            );
            let kind = match (is_ack, attachments.is_empty()) {
                (false, true) => PacketType::Event,
                (false, false) => PacketType::BinaryEvent,
                (true, true) => PacketType::Ack,
                (true, false) => PacketType::BinaryAck,
            };
            let ack = if is_ack { ack.or(Some(0)) } else { ack };
            let data = Some(serde_json::value::to_raw_value(&items).unwrap());
            socketio::Packet { kind, namespace, ack, data, attachments }
        },
    )
}

fn engineio_packet() -> impl Strategy<Value = engineio::Packet> {
    use engineio::Packet;
    let text = || "[^\u{1e}]{0,60}";
    prop_oneof![
        text().prop_map(Packet::Open),
        Just(Packet::Close),
        text().prop_map(Packet::Ping),
        text().prop_map(Packet::Pong),
        text().prop_map(Packet::Message),
        data(60).prop_map(Packet::Binary),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

proptest! {
    #[test]
    fn websocket_messages_survive_any_cut(sent in vec(sent(), 1..8), pieces in vec(1..40usize, 1..30)) {
        let (mut stream, mut expected) = (Vec::new(), Vec::new());
        for message in &sent {
            message.write(&mut stream, &mut expected);
        }
        let mut decoder = Decoder::new(1000);
        let mut received = Vec::new();
        let (mut rest, mut sizes) = (stream.as_slice(), pieces.iter().cycle());
        while !rest.is_empty() {
            let (mut input, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            rest = later;
            while let Some(message) = decoder.decode(&mut input).unwrap() {
                received.push(message);
            }
            prop_assert!(input.is_empty());
        }
        prop_assert_eq!(received, expected);
        prop_assert_eq!((decoder.heap_size(), decoder.buffered()), (0, 0));
    }

    #[test]
    fn engineio_payloads_round_trip(packets in vec(engineio_packet(), 1..10)) {
        let body = engineio::encode_payload(&packets);
        prop_assert_eq!(engineio::decode_payload(&body, PayloadLimits { max_packets: 10 }), Ok(packets));
    }

    #[test]
    fn engineio_texts_round_trip(text in any::<String>()) {
        let packet = engineio::Packet::Message(text);
        prop_assert_eq!(engineio::decode_text(engineio::encode_text(&packet)), Ok(packet));
    }

    #[test]
    fn socketio_packets_round_trip(packet in socketio_packet()) {
        let mut decoder = packets();
        let mut received = decoder.text(&packet.encode());
        for attachment in &packet.attachments {
            prop_assert_eq!(&received, &Ok(None));
            received = decoder.binary(attachment.clone());
        }
        prop_assert_eq!(received, Ok(Some(packet)));
        prop_assert!(!decoder.is_waiting());
    }

    #[test]
    fn socketio_names_and_arguments_round_trip(name in any::<String>(), args in vec(value(), 0..5)) {
        prop_assume!(!socketio::RESERVED_EVENTS.contains(&name.as_str()));
        let items: Vec<Value> = std::iter::once(Value::from(name.as_str())).chain(args.iter().cloned()).collect();
        let text = socketio::encode_event("/", None, &Value::from(items).to_string(), 0);
        let packet = packets().text(&text).unwrap().unwrap();
        let (received, raw) = packet.event().unwrap();
        prop_assert_eq!(received, name);
        let written: Vec<&str> = raw.iter().map(|arg| arg.get()).collect();
        let expected: Vec<String> = args.iter().map(Value::to_string).collect();
        prop_assert_eq!(written, expected);
    }

    #[test]
    fn depth_is_that_of_the_value(value in value(), pretty in any::<bool>()) {
        let text = if pretty { format!("{value:#}") } else { value.to_string() };
        let depth = depth(&value);
        prop_assert!(json::outline(&text, depth).is_ok());
        if depth > 0 {
            prop_assert_eq!(json::outline(&text, depth - 1), Err(json::Error::TooDeep { limit: depth - 1 }));
        }
    }
}
