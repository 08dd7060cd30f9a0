//! Shapes of notifications in the API's description. The notifications themselves are encoded
//! by the domain; a test holds real answers against these.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A notification as its recipient sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(in crate::api) struct Notification {
    /// UUIDv7; the same for all recipients of one message.
    pub(super) id: Uuid,
    /// Where it stands in the inbox: the user's counter when it was added.
    pub(super) seq: u64,
    /// The user's counter at its last change.
    pub(super) rev: u64,
    pub(super) recipient_id: String,
    pub(super) r#type: String,
    pub(super) read: bool,
    pub(super) actor_id: Option<String>,
    pub(super) actor: Option<Actor>,
    pub(super) entity_type: Option<String>,
    pub(super) entity_id: Option<String>,
    pub(super) tenant: Option<String>,
    pub(super) title: Option<String>,
    /// Plain text, never HTML.
    pub(super) message: String,
    #[schema(value_type = Object)]
    pub(super) data: serde_json::Value,
    #[schema(required = false)]
    pub(super) actions: Vec<Action>,
    /// 0 low, 1 normal, 2 high.
    #[schema(minimum = 0, maximum = 2)]
    pub(super) priority: u8,
    pub(super) group_key: Option<String>,
    pub(super) collapse_key: Option<String>,
    pub(super) trace_id: Option<String>,
    #[schema(format = DateTime)]
    pub(super) created_at: String,
    #[schema(format = DateTime)]
    pub(super) expires_at: Option<String>,
    #[schema(format = DateTime)]
    pub(super) delivered_at: Option<String>,
    #[schema(format = DateTime)]
    pub(super) seen_at: Option<String>,
    #[schema(format = DateTime)]
    pub(super) read_at: Option<String>,
    #[schema(format = DateTime)]
    pub(super) archived_at: Option<String>,
}

/// Who did it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(in crate::api) struct Actor {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) avatar_url: Option<String>,
}

/// A button.
#[derive(Serialize, Deserialize, ToSchema)]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(in crate::api) struct Action {
    pub(super) label: String,
    /// https, http or relative.
    pub(super) url: String,
}

/// A user's id, or who else is to get it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes what the domain reads; never made")]
pub(in crate::api) enum To {
    User(String),
    Users {
        users: Vec<String>,
    },
    Room {
        room: String,
    },
    /// Every user known at that moment; must be true.
    All {
        all: bool,
    },
}

/// One notification, or an array of them.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    clippy::large_enum_variant,
    reason = "describes what the handler reads; never made"
)]
pub(in crate::api) enum Drafts {
    One(Draft),
    Several(Vec<Draft>),
}

/// A notification to send.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "describes what the domain reads; never made")]
pub(in crate::api) struct Draft {
    pub(super) to: To,
    #[schema(example = "like")]
    pub(super) r#type: String,
    #[schema(example = "bob")]
    pub(super) actor_id: Option<String>,
    pub(super) entity_type: Option<String>,
    pub(super) entity_id: Option<String>,
    pub(super) tenant: Option<String>,
    #[schema(max_length = 256)]
    pub(super) title: Option<String>,
    #[schema(max_length = 4096, example = "Bob liked your post")]
    pub(super) message: String,
    /// At most 10 KB.
    #[schema(value_type = Option<Object>)]
    pub(super) data: Option<serde_json::Value>,
    #[schema(required = false, max_items = 5)]
    pub(super) actions: Vec<Action>,
    #[schema(minimum = 0, maximum = 2)]
    pub(super) priority: Option<u8>,
    /// Within 24 h a user gets one notification for one key.
    pub(super) dedupe_key: Option<String>,
    pub(super) group_key: Option<String>,
    pub(super) collapse_key: Option<String>,
    pub(super) trace_id: Option<String>,
    #[schema(format = DateTime)]
    pub(super) send_at: Option<String>,
    #[schema(format = DateTime)]
    pub(super) expires_at: Option<String>,
}

/// A page of notifications, newest first.
#[derive(Serialize, ToSchema)]
pub(in crate::api) struct List {
    #[schema(value_type = Vec<Notification>)]
    pub(super) notifications: Vec<tidings_core::notification::Notification>,
    pub(super) pagination: Pagination,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Pagination {
    pub(super) limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) page: Option<u32>,
    /// Counted only for numbered pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) total: Option<u64>,
    /// For the next page; null on the last.
    #[schema(required = true)]
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct UnreadCount {
    pub(super) unread: u64,
    pub(super) rev: u64,
}

/// What changed since a rev.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes what the domain encodes; never made")]
pub(in crate::api) struct SyncAnswer {
    pub(super) items: Vec<Notification>,
    pub(super) removed: Vec<Uuid>,
    /// Everything with `seq` up to this is read, if it is more than the client knew.
    pub(super) read_up_to: u64,
    pub(super) unread: u64,
    /// The next `since`.
    pub(super) to: u64,
    pub(super) has_more: bool,
    /// Forget what is held: `items` take its place.
    pub(super) reset: bool,
}

/// The inbox after a change.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct Changed {
    /// How many notifications the request changed.
    pub(super) changed: u64,
    pub(super) unread: u64,
    pub(super) rev: u64,
    pub(super) read_up_to: u64,
}
