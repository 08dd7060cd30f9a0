//! The notification: what one user is told about one event.
//!
//! It has two halves. The [`Message`] is the body, stored once and shared by all of its
//! recipients. The [`Item`] is the thin part that each recipient has of it: where it stands
//! in that user's inbox and what the user did with it.

mod draft;
mod text;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use draft::{Action, Draft, DraftLimits, NewMessage, Recipients, To};
pub use text::is_safe_url;

use crate::{
    ids::{EntityId, NotificationId, Rev, UserId},
    time::Timestamp,
};

/// How urgent a notification is: 0 low, 1 normal, 2 high.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum Priority {
    Low = 0,
    #[default]
    Normal = 1,
    High = 2,
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;
    fn try_from(value: u8) -> Result<Self, Self::Error> {
        match value {
            0 => Ok(Self::Low),
            1 => Ok(Self::Normal),
            2 => Ok(Self::High),
            _ => Err("must be 0 (low), 1 (normal) or 2 (high)"),
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority as u8
    }
}

/// Who did it, as the users table knew them when the message was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    pub id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}

/// The body of a notification, stored once per accepted message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub id: NotificationId,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity_id: Option<EntityId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub message: String,
    /// A JSON object of the application's own, at most 10 KB of text.
    pub data: Arc<RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub actions: Vec<Action>,
    pub priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    pub created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// See [`Message::tail`].
    #[serde(skip)]
    tail: OnceLock<Bytes>,
}

/// The fields of a [`Message`], for those who build one.
#[derive(Debug, Clone)]
pub struct MessageParts {
    pub id: NotificationId,
    pub kind: String,
    pub actor: Option<Actor>,
    pub actor_id: Option<UserId>,
    pub entity_type: Option<String>,
    pub entity_id: Option<EntityId>,
    pub tenant: Option<String>,
    pub title: Option<String>,
    pub message: String,
    pub data: Arc<RawValue>,
    pub actions: Vec<Action>,
    pub priority: Priority,
    pub group_key: Option<String>,
    pub collapse_key: Option<String>,
    pub trace_id: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl From<MessageParts> for Message {
    fn from(p: MessageParts) -> Self {
        Self {
            id: p.id,
            kind: p.kind,
            actor: p.actor,
            actor_id: p.actor_id,
            entity_type: p.entity_type,
            entity_id: p.entity_id,
            tenant: p.tenant,
            title: p.title,
            message: p.message,
            data: p.data,
            actions: p.actions,
            priority: p.priority,
            group_key: p.group_key,
            collapse_key: p.collapse_key,
            trace_id: p.trace_id,
            created_at: p.created_at,
            expires_at: p.expires_at,
            tail: OnceLock::new(),
        }
    }
}

impl Message {
    /// The JSON of the body without its opening brace: `"id":…,…}`.
    ///
    /// Put behind an item's [`head`](Item::head) it makes the whole notification, so that an
    /// announcement to ten thousand users is encoded once and shared by all of them.
    pub fn tail(&self) -> Bytes {
        self.tail.get_or_init(|| Bytes::from(self.encode_tail())).clone()
    }

    fn encode_tail(&self) -> Vec<u8> {
        // Serializing plain fields into memory cannot fail; an empty body would only show.
        let mut json = serde_json::to_vec(self).unwrap_or_else(|_| b"{}".to_vec());
        json.remove(0);
        json
    }
}

/// One recipient's part of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub id: NotificationId,
    /// The counter's value when the item was added: immutable, the sort key.
    pub seq: Rev,
    /// The counter's value at the item's last change.
    pub rev: Rev,
    pub delivered_at: Option<Timestamp>,
    pub seen_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub archived_at: Option<Timestamp>,
}

impl Item {
    /// An item as it is when it comes into an inbox.
    pub fn new(id: NotificationId, seq: Rev) -> Self {
        Self {
            id,
            seq,
            rev: seq,
            delivered_at: None,
            seen_at: None,
            read_at: None,
            archived_at: None,
        }
    }

    pub fn is_read(&self) -> bool {
        self.read_at.is_some()
    }

    /// Whether the item counts as unread: neither read nor archived.
    pub fn counts_as_unread(&self) -> bool {
        self.read_at.is_none() && self.archived_at.is_none()
    }

    /// The JSON of the per-user fields with the opening brace: `{"seq":…,…,`.
    pub fn head(&self, recipient: &UserId) -> String {
        use std::fmt::Write as _;
        let mut head = String::with_capacity(80);
        // Ids are made of a JSON-safe alphabet; writing into a String cannot fail.
        let _ = write!(
            head,
            "{{\"seq\":{},\"rev\":{},\"recipientId\":\"{recipient}\",\"read\":{},",
            self.seq,
            self.rev,
            self.is_read()
        );
        for (name, value) in [
            ("deliveredAt", self.delivered_at),
            ("seenAt", self.seen_at),
            ("readAt", self.read_at),
            ("archivedAt", self.archived_at),
        ] {
            if let Some(value) = value {
                let _ = write!(head, "\"{name}\":\"{value}\",");
            }
        }
        head
    }
}

/// A notification as its recipient sees it.
#[derive(Debug, Clone)]
pub struct Notification {
    pub recipient: UserId,
    pub item: Item,
    pub message: Arc<Message>,
}

impl Notification {
    /// The whole notification as a JSON object.
    pub fn to_json(&self) -> String {
        let mut json = self.item.head(&self.recipient);
        json.push_str(&String::from_utf8_lossy(&self.message.tail()));
        json
    }
}

impl Serialize for Notification {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_json())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        MessageParts {
            id: NotificationId(uuid::Uuid::from_u128(7)),
            kind: "like".into(),
            actor: None,
            actor_id: Some(UserId::new("bob").unwrap()),
            entity_type: Some("post".into()),
            entity_id: Some(EntityId::new("post-1").unwrap()),
            tenant: None,
            title: None,
            message: "Bob liked your \"post\"".into(),
            data: RawValue::from_string("{\"n\":1}".into()).unwrap().into(),
            actions: vec![],
            priority: Priority::Normal,
            group_key: None,
            collapse_key: None,
            trace_id: None,
            created_at: Timestamp::EPOCH,
            expires_at: None,
        }
        .into()
    }

    #[test]
    fn head_and_tail_make_one_json_object() {
        let mut item = Item::new(NotificationId(uuid::Uuid::from_u128(7)), Rev(3));
        item.read_at = Some(Timestamp::EPOCH);
        let notification = Notification {
            recipient: UserId::new("alice").unwrap(),
            item,
            message: Arc::new(message()),
        };
        insta::assert_snapshot!(serde_json::to_string(&notification).unwrap(), @r#"{"seq":3,"rev":3,"recipientId":"alice","read":true,"readAt":"1970-01-01T00:00:00.000Z","id":"00000000-0000-0000-0000-000000000007","type":"like","actorId":"bob","entityType":"post","entityId":"post-1","message":"Bob liked your \"post\"","data":{"n":1},"priority":1,"createdAt":"1970-01-01T00:00:00.000Z"}"#);
    }
}
