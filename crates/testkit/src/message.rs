use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::value::RawValue;
use tidings_core::{
    ids::{EntityId, NotificationId, RoomId, UserId},
    notification::{MessageParts, NewMessage, Priority, Recipients},
    time::Timestamp,
};

/// A UUIDv7 that no other call in this process returns, rising with each call.
pub fn new_id() -> NotificationId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut tail = [0; 10];
    tail[2..].copy_from_slice(&n.to_be_bytes());
    let ms = 1_767_225_600_000;
    NotificationId(uuid::Builder::from_unix_timestamp_millis(ms, &tail).into_uuid())
}

pub fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// `prefix-0`, `prefix-1` …
pub fn users(prefix: &str, count: usize) -> Vec<UserId> {
    (0..count).map(|n| user(&format!("{prefix}-{n}"))).collect()
}

/// Starts a message of type `like` for alice, sent at `now`.
pub fn message(now: Timestamp) -> MessageBuilder {
    let parts = MessageParts {
        id: new_id(),
        kind: "like".into(),
        actor: None,
        actor_id: None,
        entity_type: Some("post".into()),
        entity_id: Some(EntityId::new("post-1").unwrap()),
        tenant: None,
        title: None,
        message: "Bob liked your post".into(),
        data: raw("{}"),
        actions: Vec::new(),
        priority: Priority::Normal,
        group_key: None,
        collapse_key: None,
        trace_id: None,
        created_at: now,
        expires_at: None,
    };
    MessageBuilder {
        parts,
        recipients: Recipients::Users(vec![user("alice")]),
        dedupe_key: None,
        keep_for: None,
        send_at: None,
    }
}

fn raw(json: &str) -> Arc<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap().into()
}

/// A message in the making.
#[derive(Debug, Clone)]
pub struct MessageBuilder {
    parts: MessageParts,
    recipients: Recipients,
    dedupe_key: Option<String>,
    keep_for: Option<Duration>,
    send_at: Option<Timestamp>,
}

impl MessageBuilder {
    #[must_use]
    pub fn id(mut self, id: NotificationId) -> Self {
        self.parts.id = id;
        self
    }

    #[must_use]
    pub fn to(mut self, users: &[UserId]) -> Self {
        self.recipients = Recipients::Users(users.to_vec());
        self
    }

    #[must_use]
    pub fn to_room(mut self, room: &RoomId) -> Self {
        self.recipients = Recipients::Room(room.clone());
        self
    }

    #[must_use]
    pub fn to_all(mut self) -> Self {
        self.recipients = Recipients::All;
        self
    }

    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.parts.kind = kind.to_owned();
        self
    }

    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.parts.tenant = Some(tenant.to_owned());
        self
    }

    #[must_use]
    pub fn actor(mut self, actor: &str) -> Self {
        self.parts.actor_id = Some(user(actor));
        self
    }

    #[must_use]
    pub fn dedupe(mut self, key: &str) -> Self {
        self.dedupe_key = Some(key.to_owned());
        self
    }

    #[must_use]
    pub fn send_at(mut self, at: Timestamp) -> Self {
        self.send_at = Some(at);
        self
    }

    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.parts.expires_at = Some(at);
        self
    }

    #[must_use]
    pub fn keep_for(mut self, duration: Duration) -> Self {
        self.keep_for = Some(duration);
        self
    }

    /// Anything else.
    #[must_use]
    pub fn with(mut self, edit: impl FnOnce(&mut MessageParts)) -> Self {
        edit(&mut self.parts);
        self
    }

    #[must_use]
    pub fn data(mut self, json: &str) -> Self {
        self.parts.data = raw(json);
        self
    }

    pub fn build(self) -> NewMessage {
        NewMessage {
            message: self.parts.into(),
            recipients: self.recipients,
            dedupe_key: self.dedupe_key,
            send_at: self.send_at,
            keep_for: self.keep_for,
        }
    }
}
