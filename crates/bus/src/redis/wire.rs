//! What nodes say to one another through Redis.
//!
//! A text: the version, the node that speaks, the kind, and what the kind needs; all but the
//! last word without spaces, the last one JSON. Nodes of versions N and N−1 share a bus: what is
//! in another version or of an unknown kind is ignored and counted, unknown JSON fields are let be.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::{
    ids::{NodeId, NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::{Item, Message},
    room::{Audience, Epoch, Except, History, Position, RoomEvent, RoomName, RoomSignal},
    signal::NodeSignal,
    time::Timestamp,
};

/// Of what is said; a change that the version before does not understand takes the next one.
const VERSION: &str = "1";
/// Longest message that is looked at: an event of the largest payload, and what is around it.
pub(super) const MAX_MESSAGE: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
#[error("a message on the bus is not understood: {0}")]
pub(super) struct Unreadable(pub(super) String);

/// Something that was heard.
#[derive(Debug)]
pub(super) enum Heard {
    Change(Arc<InboxChange>),
    Room(Arc<RoomSignal>),
    Signal(Arc<NodeSignal>),
    /// A signal whose speaker wants to know whom it concerned.
    Question(u64, Arc<NodeSignal>),
    Answer(u64, u64),
    /// Own, sent to see it come back.
    Probe(u64),
    /// The node lives.
    Beat,
    /// The node goes.
    Farewell,
    /// The node could not say everything: what can be asked for is to be asked for.
    Missed,
}

/// One message: who spoke, and what.
#[derive(Debug)]
pub(super) struct Spoken<'a> {
    pub(super) from: &'a str,
    kind: &'a str,
    rest: &'a str,
}

impl<'a> Spoken<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Result<Self, Unreadable> {
        if payload.len() > MAX_MESSAGE {
            return Err(Unreadable(format!("it has {} bytes", payload.len())));
        }
        let text = std::str::from_utf8(payload).map_err(|e| Unreadable(e.to_string()))?;
        let mut words = text.splitn(4, ' ');
        let version = words.next().unwrap_or_default();
        if version != VERSION {
            return Err(Unreadable(format!(
                "version {}",
                version.chars().take(8).collect::<String>()
            )));
        }
        match (words.next(), words.next()) {
            (Some(from), Some(kind)) => {
                Ok(Self { from, kind, rest: words.next().unwrap_or_default() })
            }
            _ => Err(Unreadable("it ends early".to_owned())),
        }
    }

    /// Whether the speaker has delivered it to itself already.
    pub(super) fn is_echo(&self, node: &NodeId) -> bool {
        self.from == node.as_str() && !matches!(self.kind, "history" | "probe" | "answer")
    }

    pub(super) fn heard(&self) -> Result<Heard, Unreadable> {
        let heard = match self.kind {
            "change" => Heard::Change(Arc::new(json::<Change<Message>>(self.rest)?.into())),
            "event" => Heard::Room(Arc::new(RoomSignal::Event(json::<Event>(self.rest)?.at(None)))),
            "history" => Heard::Room(Arc::new(remembered(self.rest)?)),
            "lost" => {
                let Lost { room, users } = json(self.rest)?;
                Heard::Room(Arc::new(RoomSignal::MembershipLost { room, users }))
            }
            "presence" => {
                let (room, record) = first(self.rest)?;
                let room = RoomName::parse(room).map_err(|e| Unreadable(e.to_string()))?;
                Heard::Room(Arc::new(RoomSignal::Presence { room, record: json(record)? }))
            }
            "signal" => Heard::Signal(Arc::new(json(self.rest)?)),
            "question" => {
                let (id, signal) = first(self.rest)?;
                Heard::Question(number(id)?, Arc::new(json(signal)?))
            }
            "answer" => {
                let (id, concerned) = first(self.rest)?;
                Heard::Answer(number(id)?, number(concerned)?)
            }
            "probe" => Heard::Probe(number(self.rest)?),
            "beat" => Heard::Beat,
            "farewell" => Heard::Farewell,
            "missed" => Heard::Missed,
            other => {
                let kind: String = other.chars().take(20).collect();
                return Err(Unreadable(format!("kind {kind}")));
            }
        };
        Ok(heard)
    }
}

/// `EPOCH OFFSET JSON`: an event with its position.
fn remembered(text: &str) -> Result<RoomSignal, Unreadable> {
    let (epoch, rest) = first(text)?;
    let (offset, event) = first(rest)?;
    let epoch = Epoch::try_from(epoch.to_owned()).map_err(|e| Unreadable(e.to_owned()))?;
    let position = Position { epoch, offset: number(offset)? };
    Ok(RoomSignal::Event(json::<Event>(event)?.at(Some(position))))
}

/// An event out of a history, where its position stands apart.
pub(super) fn kept(event: &str, position: Position) -> Result<RoomSignal, Unreadable> {
    Ok(RoomSignal::Event(json::<Event>(event)?.at(Some(position))))
}

fn first(text: &str) -> Result<(&str, &str), Unreadable> {
    text.split_once(' ').ok_or_else(|| Unreadable("it ends early".to_owned()))
}

fn number(text: &str) -> Result<u64, Unreadable> {
    text.parse().map_err(|_| Unreadable("a number is missing".to_owned()))
}

fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|problem| Unreadable(problem.to_string()))
}

/// How this node speaks.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    node: NodeId,
}

impl Voice {
    pub(super) fn new(node: NodeId) -> Self {
        Self { node }
    }

    fn say(&self, kind: &str, rest: &str) -> Vec<u8> {
        let length = self.node.as_str().len() + kind.len() + rest.len() + 4;
        let mut text = String::with_capacity(length);
        for word in [VERSION, " ", self.node.as_str(), " ", kind, " ", rest] {
            text.push_str(word);
        }
        text.into_bytes()
    }

    pub(super) fn change(&self, change: &InboxChange, bodies: &mut Bodies) -> Vec<u8> {
        self.say("change", &text(&Change::of(change, bodies)))
    }

    pub(super) fn room(&self, signal: &RoomSignal) -> Vec<u8> {
        match signal {
            RoomSignal::Event(event) => self.say("event", &event_text(event)),
            RoomSignal::MembershipLost { room, users } => {
                self.say("lost", &text(&Lost { room: room.clone(), users: users.clone() }))
            }
            RoomSignal::Presence { room, record } => {
                self.say("presence", &format!("{room} {}", text(record)))
            }
        }
    }

    /// What stands before the position and the text of an event that is remembered.
    pub(super) fn history(&self) -> Vec<u8> {
        self.say("history", "")
    }

    pub(super) fn signal(&self, signal: &NodeSignal) -> Vec<u8> {
        self.say("signal", &text(signal))
    }

    pub(super) fn question(&self, id: u64, signal: &NodeSignal) -> Vec<u8> {
        self.say("question", &format!("{id} {}", text(signal)))
    }

    pub(super) fn answer(&self, id: u64, concerned: u64) -> Vec<u8> {
        self.say("answer", &format!("{id} {concerned}"))
    }

    pub(super) fn probe(&self, number: u64) -> Vec<u8> {
        self.say("probe", &number.to_string())
    }

    pub(super) fn beat(&self) -> Vec<u8> {
        self.say("beat", "")
    }

    pub(super) fn farewell(&self) -> Vec<u8> {
        self.say("farewell", "")
    }

    pub(super) fn missed(&self) -> Vec<u8> {
        self.say("missed", "")
    }
}

/// The last body that was written: all recipients of an announcement have the same.
#[derive(Default)]
pub(super) struct Bodies(Option<(Arc<Message>, Arc<RawValue>)>);

impl Bodies {
    fn of(&mut self, message: &Arc<Message>) -> Arc<RawValue> {
        if let Some((last, body)) = &self.0
            && Arc::ptr_eq(last, message)
        {
            return Arc::clone(body);
        }
        // Nothing in it can fail to be written, as with all that is said.
        let body: Arc<RawValue> =
            serde_json::value::to_raw_value(&**message).unwrap_or_default().into();
        self.0 = Some((Arc::clone(message), Arc::clone(&body)));
        body
    }
}

fn text(value: &impl Serialize) -> String {
    // Nothing that is said has keys that are no text, or anything else that JSON cannot have.
    serde_json::to_string(value).unwrap_or_default()
}

/// A change; `M` is the body of what was added, written as it stands and read as what it is.
#[derive(Serialize, Deserialize)]
struct Change<M> {
    user: UserId,
    rev: Rev,
    unread: u64,
    at: Timestamp,
    kind: Kind<M>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind<M> {
    Added { item: Item, message: M },
    Updated(Vec<Item>),
    Removed(Vec<NotificationId>),
    ReadAll(Rev),
    Cleared(Rev),
}

impl Change<Arc<RawValue>> {
    fn of(change: &InboxChange, bodies: &mut Bodies) -> Self {
        let kind = match &change.kind {
            ChangeKind::Added { item, message } => {
                Kind::Added { item: item.clone(), message: bodies.of(message) }
            }
            ChangeKind::Updated(items) => Kind::Updated(items.clone()),
            ChangeKind::Removed(ids) => Kind::Removed(ids.clone()),
            ChangeKind::ReadAll { up_to } => Kind::ReadAll(*up_to),
            ChangeKind::Cleared { up_to } => Kind::Cleared(*up_to),
        };
        let InboxChange { user, rev, unread, at, .. } = change;
        Self { user: user.clone(), rev: *rev, unread: *unread, at: *at, kind }
    }
}

impl From<Change<Message>> for InboxChange {
    fn from(change: Change<Message>) -> Self {
        let kind = match change.kind {
            Kind::Added { item, message } => ChangeKind::Added { item, message: Arc::new(message) },
            Kind::Updated(items) => ChangeKind::Updated(items),
            Kind::Removed(ids) => ChangeKind::Removed(ids),
            Kind::ReadAll(up_to) => ChangeKind::ReadAll { up_to },
            Kind::Cleared(up_to) => ChangeKind::Cleared { up_to },
        };
        let Change { user, rev, unread, at, .. } = change;
        Self { user, rev, unread, at, kind }
    }
}

#[derive(Serialize, Deserialize)]
struct Lost {
    room: RoomName,
    users: Vec<UserId>,
}

/// An event of a room, without its position.
#[derive(Serialize, Deserialize)]
struct Event<'a> {
    room: Cow<'a, RoomName>,
    name: Cow<'a, str>,
    data: Cow<'a, RawValue>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    audiences: Cow<'a, [Audience]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    except_users: Cow<'a, [UserId]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    except_sockets: Cow<'a, [String]>,
    #[serde(default)]
    volatile: bool,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    history: Option<History>,
}

/// The JSON text of an event.
pub(super) fn event_text(event: &RoomEvent) -> String {
    text(&Event {
        room: Cow::Borrowed(&event.room),
        name: Cow::Borrowed(&event.name),
        data: Cow::Borrowed(&event.data),
        audiences: Cow::Borrowed(&event.audiences),
        except_users: Cow::Borrowed(&event.except.users),
        except_sockets: Cow::Borrowed(&event.except.sockets),
        volatile: event.volatile,
        at: event.at,
        history: event.history,
    })
}

impl Event<'_> {
    fn at(self, position: Option<Position>) -> RoomEvent {
        RoomEvent {
            room: self.room.into_owned(),
            name: self.name.into_owned(),
            data: self.data.into_owned(),
            audiences: self.audiences.iter().cloned().collect(),
            except: Except {
                users: self.except_users.into_owned(),
                sockets: self.except_sockets.into_owned(),
            },
            volatile: self.volatile,
            at: self.at,
            history: self.history,
            position,
        }
    }
}

#[cfg(test)]
mod tests {
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
        said.extend(
            format!("{} {} {}", position.epoch, position.offset, event_text(&event())).bytes(),
        );
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
}
