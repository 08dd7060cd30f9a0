//! What nodes say to one another through Redis.
//!
//! A text: the version, the node that speaks, the kind, and what the kind needs; all but the
//! last word without spaces, the last one JSON. Nodes of versions N and N−1 share a bus: what is
//! in another version or of an unknown kind is ignored and counted, unknown JSON fields are let be.

mod form;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;
use tidings_core::{
    ids::NodeId,
    inbox::InboxChange,
    notification::Message,
    room::{Epoch, Position, RoomName, RoomSignal},
    signal::NodeSignal,
};

pub(super) use form::{Bodies, event_text};
use form::{Change, Event, Lost, text};

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
            "history" | "kept" => Heard::Room(Arc::new(remembered(self.rest)?)),
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

    /// The same, of one that its speaker has heard already.
    pub(super) fn kept(&self) -> Vec<u8> {
        self.say("kept", "")
    }

    /// What stands before the text of an event without a position.
    pub(super) fn event(&self) -> Vec<u8> {
        self.say("event", "")
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
