//! The events that the server sends about an inbox, and their encoding.
//!
//! Each is marked with the rev up to which its device is told by it: to one that comes back, the store is asked for the
//! rest.

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tidings_core::{
    ids::{NotificationId, Rev, UserId},
    inbox::{ChangeKind, InboxChange, InboxState, Sync},
    notification::{Actor, Item, Message, Notification},
    time::Timestamp,
};
use tidings_gateway::{Frame, Socket, Tail};

/// An item's state, without its body.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemState<'a> {
    #[serde(flatten)]
    item: &'a Item,
    read: bool,
    /// Said of an item that the device was shown before it was stored, with what only the store knew.
    #[serde(skip_serializing_if = "Option::is_none")]
    provisional: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Actor>,
}

impl<'a> ItemState<'a> {
    fn of(item: &'a Item) -> Self {
        Self { item, read: item.is_read(), provisional: None, actor: None }
    }

    fn confirmed(item: &'a Item, message: &'a Message) -> Self {
        let actor = message.actor.as_ref();
        Self { provisional: Some(false), actor, ..Self::of(item) }
    }
}

/// `notification:updated`: what changed, apart from what came new.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Updated<'a> {
    rev: Rev,
    unread: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    items: Vec<ItemState<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    removed: &'a [NotificationId],
    #[serde(skip_serializing_if = "Option::is_none")]
    read_up_to: Option<Rev>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared_up_to: Option<Rev>,
}

/// Encodes changes. Remembers the body of the last message: an announcement comes as many
/// changes in a row that share one.
#[derive(Default)]
pub(super) struct Encoder {
    last: Mutex<Option<(NotificationId, Tail)>>,
}

impl Encoder {
    /// The change itself, and the counter that follows from it.
    pub(super) fn change(&self, change: &InboxChange) -> [Frame; 2] {
        let first = match &change.kind {
            // A notification has a `type` of its own: plain clients get it under a key.
            ChangeKind::Added { message, item } => {
                let head = item.head(&change.user);
                Frame::event_with_head("notification", &head, &self.tail(message))
                    .under_key("notification")
            }
            other => event("notification:updated", &updated(change, other)),
        };
        [first.marked(change.rev.0), count(change.rev, change.unread)]
    }

    /// As `change`, for a device that shows what is added already.
    pub(super) fn confirmation(&self, change: &InboxChange) -> [Frame; 2] {
        let ChangeKind::Added { message, item } = &change.kind else { return self.change(change) };
        let items = vec![ItemState::confirmed(item, message)];
        let updated =
            Updated { rev: change.rev, unread: change.unread, items, ..Updated::default() };
        let first = event("notification:updated", &updated).marked(change.rev.0);
        [first, count(change.rev, change.unread)]
    }

    fn tail(&self, message: &Message) -> Tail {
        let mut last = self.last.lock();
        if let Some((id, tail)) = &*last
            && *id == message.id
        {
            return tail.clone();
        }
        let tail = Tail::new(&String::from_utf8_lossy(&message.tail()));
        *last = Some((message.id, tail.clone()));
        tail
    }
}

fn updated<'a>(change: &InboxChange, kind: &'a ChangeKind) -> Updated<'a> {
    let mut updated = Updated { rev: change.rev, unread: change.unread, ..Updated::default() };
    match kind {
        // Has an event of its own.
        ChangeKind::Added { .. } => {}
        ChangeKind::Updated(items) => {
            updated.items = items.iter().map(ItemState::of).collect();
        }
        ChangeKind::Removed(ids) => updated.removed = ids,
        ChangeKind::ReadAll { up_to } => updated.read_up_to = Some(*up_to),
        ChangeKind::Cleared { up_to } => updated.cleared_up_to = Some(*up_to),
    }
    updated
}

/// A notification that is not stored yet: it has no place in the inbox.
pub(super) fn provisional(user: &UserId, tail: &Tail) -> Frame {
    // Ids are made of a JSON-safe alphabet.
    let head = format!("{{\"provisional\":true,\"recipientId\":\"{user}\",\"read\":false,");
    Frame::event_with_head("notification", &head, tail).under_key("notification")
}

/// What was provisional is in no inbox; perhaps another one is, in its place.
pub(super) fn withdrawn(id: NotificationId, replaced_by: Option<NotificationId>) -> Frame {
    event("notification:updated", &json!({ "id": id, "replacedBy": replaced_by }))
}

/// What a device shows as provisional is stored. The counter comes with what else is new.
pub(super) fn confirmed(stored: &[Notification], rev: Rev, unread: u64) -> Frame {
    let items = stored.iter().map(|n| ItemState::confirmed(&n.item, &n.message)).collect();
    event("notification:updated", &Updated { rev, unread, items, ..Updated::default() })
}

pub(super) fn count(rev: Rev, unread: u64) -> Frame {
    event("notification:count", &json!({ "unread": unread, "rev": rev })).marked(rev.0)
}

pub(super) fn connected(socket: &Socket, user: &UserId, state: &InboxState) -> Frame {
    let InboxState { rev, unread, .. } = *state;
    let (socket_id, recovered) = (socket.id(), socket.recovered());
    event("connected", &Connected { socket_id, user_id: user, rev, unread, recovered })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connected<'a> {
    socket_id: &'a str,
    user_id: &'a UserId,
    rev: Rev,
    unread: u64,
    recovered: bool,
}

/// `notifications:pending`: the answer to a sync that nobody had to ask for.
pub(super) fn pending(sync: &Sync) -> Frame {
    event("notifications:pending", &Pending::from(sync)).marked(sync.to.0)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pending<'a> {
    notifications: &'a [Notification],
    removed: &'a [NotificationId],
    read_up_to: Rev,
    unread: u64,
    to: Rev,
    has_more: bool,
    reset: bool,
}

impl<'a> From<&'a Sync> for Pending<'a> {
    fn from(sync: &'a Sync) -> Self {
        Self {
            notifications: &sync.items,
            removed: &sync.removed,
            read_up_to: sync.read_up_to,
            unread: sync.unread,
            to: sync.to,
            has_more: sync.has_more,
            reset: sync.reset,
        }
    }
}

/// `error`: something that the client should know and nobody asked for.
pub fn error(code: &str, message: &str) -> Frame {
    event("error", &json!({ "code": code, "message": message }))
}

/// In milliseconds.
const LEAST_RETRY: u64 = 1_000;

pub fn shutdown(reconnect_after_ms: u64) -> Frame {
    let body = json!({ "reconnectAfterMs": reconnect_after_ms, "message": "Server restarting" });
    // A browser that finds nobody comes back after the same time again and again.
    event("server:shutdown", &body).with_retry(reconnect_after_ms.max(LEAST_RETRY))
}

pub(super) fn heartbeat(now: Timestamp) -> serde_json::Value {
    json!({ "ok": true, "timestamp": now })
}

pub(crate) fn event(name: &str, body: &impl Serialize) -> Frame {
    // Plain fields into memory: cannot fail. If it ever did, an empty object would show it.
    let json = serde_json::to_string(body).unwrap_or_else(|_| "{}".to_owned());
    Frame::event(name, &[&json])
}
