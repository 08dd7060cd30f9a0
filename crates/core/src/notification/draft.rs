//! What an application sends, and how it becomes a message that may be stored.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    MessageParts, Priority,
    text::{MAX_MESSAGE, MAX_TITLE, check_label, check_length, is_safe_url},
};
use crate::{
    ids::{EntityId, NotificationId, RoomId, UserId},
    notification::Message,
    notification_type::TypeCatalog,
    problem::FieldErrors,
    time::Timestamp,
};

/// Most buttons on one notification.
const MAX_ACTIONS: usize = 5;
/// Furthest that a notification may be sent ahead.
const MAX_AHEAD: Duration = Duration::from_secs(366 * 24 * 3600);

/// A button: what it says and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    pub label: String,
    pub url: String,
}

/// `to` as it is written: one user's id, or an object that names users, a room or all.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "must be a user id, {\"users\":[…]}, {\"room\":…} or {\"all\":true}")]
pub enum To {
    User(String),
    Named(NamedRecipients),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRecipients {
    users: Option<Vec<String>>,
    room: Option<String>,
    all: Option<bool>,
}

/// Who is to get a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipients {
    /// These users, each once, in the order given.
    Users(Vec<UserId>),
    /// The stored members of a room.
    Room(RoomId),
    /// Every user known when the message was accepted.
    All,
}

/// A notification as the application describes it (the body of `POST notifications`).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Draft {
    pub to: To,
    #[serde(rename = "type")]
    pub kind: String,
    pub actor_id: Option<UserId>,
    pub entity_type: Option<String>,
    pub entity_id: Option<EntityId>,
    pub tenant: Option<String>,
    pub title: Option<String>,
    pub message: String,
    pub data: Option<Box<RawValue>>,
    #[serde(default)]
    pub actions: Vec<Action>,
    pub priority: Option<Priority>,
    pub dedupe_key: Option<String>,
    pub group_key: Option<String>,
    pub collapse_key: Option<String>,
    pub trace_id: Option<String>,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// The bounds that the configuration sets.
#[derive(Debug, Clone, Copy)]
pub struct DraftLimits {
    /// Most bytes of `data`, as JSON text.
    pub data: usize,
}

impl Default for DraftLimits {
    fn default() -> Self {
        Self { data: 10 * 1024 }
    }
}

/// A checked message with its recipients, ready to be stored.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its `actor` is empty: the store fills it from its users when it accepts the message.
    pub message: Message,
    pub recipients: Recipients,
    /// Within 24 h a user gets one notification for one key.
    pub dedupe_key: Option<String>,
    /// Not before this instant; `None` is at once.
    pub send_at: Option<Timestamp>,
    /// How long it is kept after it was sent; `None` is as long as others.
    pub keep_for: Option<Duration>,
}

impl Draft {
    /// Checks everything and says all that is wrong at once, each with a JSON pointer below
    /// `at` (the place of this draft in the request body).
    pub fn check(
        self,
        at: &str,
        id: NotificationId,
        now: Timestamp,
        types: &TypeCatalog,
        limits: DraftLimits,
    ) -> Result<NewMessage, FieldErrors> {
        let mut errors = FieldErrors::below(at);
        let recipients = self.to.check(&mut errors);
        let spec = types.get(&self.kind);
        if spec.is_none() {
            errors.add("/type", "UNKNOWN_TYPE", "is not a notification type that is declared here");
        }
        self.check_texts(&mut errors);
        self.check_times(&mut errors, now);
        let data = check_data(&mut errors, self.data, limits.data);
        let (Some(recipients), Some(spec), Some(data)) = (recipients, spec, data) else {
            return Err(errors);
        };
        if !errors.is_empty() {
            return Err(errors);
        }
        let message = MessageParts {
            id,
            kind: self.kind,
            actor: None,
            actor_id: self.actor_id,
            entity_type: self.entity_type,
            entity_id: self.entity_id,
            tenant: self.tenant,
            title: self.title,
            message: self.message,
            data,
            actions: self.actions,
            priority: self.priority.unwrap_or(spec.priority),
            group_key: self.group_key,
            collapse_key: self.collapse_key,
            trace_id: self.trace_id,
            created_at: now,
            expires_at: self.expires_at,
        }
        .into();
        Ok(NewMessage {
            message,
            recipients,
            dedupe_key: self.dedupe_key,
            send_at: self.send_at.filter(|at| *at > now),
            keep_for: spec.retention,
        })
    }

    fn check_texts(&self, errors: &mut FieldErrors) {
        if self.message.trim().is_empty() {
            errors.add("/message", "EMPTY", "must not be empty");
        }
        check_length(errors, "/message", &self.message, MAX_MESSAGE);
        if let Some(title) = &self.title {
            check_length(errors, "/title", title, MAX_TITLE);
        }
        for (pointer, label) in [
            ("/entityType", &self.entity_type),
            ("/tenant", &self.tenant),
            ("/dedupeKey", &self.dedupe_key),
            ("/groupKey", &self.group_key),
            ("/collapseKey", &self.collapse_key),
            ("/traceId", &self.trace_id),
        ] {
            check_label(errors, pointer, label.as_deref());
        }
        if self.actions.len() > MAX_ACTIONS {
            errors.add("/actions", "TOO_MANY", format!("must have at most {MAX_ACTIONS} entries"));
            return;
        }
        for (n, action) in self.actions.iter().enumerate() {
            check_label(errors, &format!("/actions/{n}/label"), Some(&action.label));
            if !is_safe_url(&action.url) {
                let pointer = format!("/actions/{n}/url");
                errors.add(&pointer, "BAD_URL", "must be an https, http or relative address");
            }
        }
    }

    fn check_times(&self, errors: &mut FieldErrors, now: Timestamp) {
        if self.send_at.is_some_and(|at| at > now.plus(MAX_AHEAD)) {
            errors.add("/sendAt", "TOO_FAR", "must be within the next 366 days");
        }
        let sent = self.send_at.map_or(now, |at| at.max(now));
        if self.expires_at.is_some_and(|at| at <= sent) {
            errors.add("/expiresAt", "IN_THE_PAST", "must be after the notification is sent");
        }
    }
}

impl To {
    fn check(&self, errors: &mut FieldErrors) -> Option<Recipients> {
        let named = match self {
            Self::User(id) => {
                return check_user(errors, "/to", id).map(|user| Recipients::Users(vec![user]));
            }
            Self::Named(named) => named,
        };
        match (&named.users, &named.room, named.all) {
            (Some(ids), None, None) => check_users(errors, ids),
            (None, Some(room), None) => RoomId::new(room)
                .map(Recipients::Room)
                .map_err(|problem| errors.add("/to/room", "BAD_ID", problem.to_string()))
                .ok(),
            (None, None, Some(true)) => Some(Recipients::All),
            _ => {
                let rule = "must have exactly one of users, room and all (which must be true)";
                errors.add("/to", "BAD_RECIPIENTS", rule);
                None
            }
        }
    }
}

fn check_users(errors: &mut FieldErrors, ids: &[String]) -> Option<Recipients> {
    if ids.is_empty() {
        errors.add("/to/users", "EMPTY", "must name at least one user");
        return None;
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    let mut users = Vec::with_capacity(ids.len());
    for (n, id) in ids.iter().enumerate() {
        let user = check_user(errors, &format!("/to/users/{n}"), id)?;
        if seen.insert(user.clone()) {
            users.push(user);
        }
    }
    Some(Recipients::Users(users))
}

fn check_user(errors: &mut FieldErrors, pointer: &str, id: &str) -> Option<UserId> {
    UserId::new(id).map_err(|problem| errors.add(pointer, "BAD_ID", problem.to_string())).ok()
}

fn check_data(
    errors: &mut FieldErrors,
    data: Option<Box<RawValue>>,
    most: usize,
) -> Option<Arc<RawValue>> {
    let Some(data) = data else { return RawValue::from_string("{}".into()).ok().map(Arc::from) };
    if data.get().len() > most {
        errors.add("/data", "PAYLOAD_TOO_LARGE", format!("must have at most {most} bytes"));
        return None;
    }
    // A full parse bounds the depth too: serde_json refuses more than 128 levels.
    match serde_json::from_str::<serde_json::Value>(data.get()) {
        // Kept as it was written: key order and long numbers are the application's business.
        Ok(value) if value.is_object() => Some(Arc::from(data)),
        Ok(_) => {
            errors.add("/data", "WRONG_TYPE", "must be an object");
            None
        }
        Err(problem) if problem.to_string().starts_with("recursion limit") => {
            errors.add("/data", "TOO_DEEP", "must have at most 128 levels");
            None
        }
        Err(_) => {
            let detail = "must hold no half of a surrogate pair, and no number beyond 1.8e308";
            errors.add("/data", "UNREADABLE", detail);
            None
        }
    }
}
