//! The JSON in what is said.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange},
    notification::{Item, Message},
    room::{Audience, Except, History, Memory, Position, RoomEvent, RoomName},
    time::Timestamp,
};

/// The last body that was written: all recipients of an announcement have the same.
#[derive(Default)]
pub(in super::super) struct Bodies(Option<(Arc<Message>, Arc<RawValue>)>);

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

pub(super) fn text(value: &impl Serialize) -> String {
    // Nothing that is said has keys that are no text, or anything else that JSON cannot have.
    serde_json::to_string(value).unwrap_or_default()
}

/// A change; `M` is the body of what was added, written as it stands and read as what it is.
#[derive(Serialize, Deserialize)]
pub(super) struct Change<M> {
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
    pub(super) fn of(change: &InboxChange, bodies: &mut Bodies) -> Self {
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
pub(super) struct Lost {
    pub(super) room: RoomName,
    pub(super) users: Vec<UserId>,
}

/// An event of a room, without its position.
#[derive(Serialize, Deserialize)]
pub(super) struct Event<'a> {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
}

/// The JSON text of an event.
pub(in super::super) fn event_text(event: &RoomEvent) -> String {
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
        memory: event.memory,
    })
}

impl Event<'_> {
    pub(super) fn at(self, position: Option<Position>) -> RoomEvent {
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
            memory: self.memory,
            position,
        }
    }
}
