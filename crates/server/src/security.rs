//! Security events: what an operator wants to see when somebody tries something. One line of
//! the log each, `event` names it, and never a token or a payload.

use std::net::IpAddr;

use tidings_core::ids::{NotificationId, UserId};

use crate::auth::TokenError;

/// Longest text of a stranger's in the log.
const MAX_TEXT: usize = 128;

pub fn token_refused(door: &str, problem: &TokenError, ip: IpAddr) {
    let (code, reason) = (problem.code(), problem.reason());
    tracing::warn!(target: "security", event = "token.refused", door, code, reason, %ip);
}

pub fn api_key_refused(reason: &str, ip: IpAddr) {
    tracing::warn!(target: "security", event = "api_key.refused", reason, %ip);
}

pub fn scope_refused(key: &str, scope: &str, ip: IpAddr) {
    tracing::warn!(target: "security", event = "scope.refused", key, scope, %ip);
}

pub fn foreign_notification(user: &UserId, id: NotificationId, ip: IpAddr) {
    tracing::warn!(
        target: "security", event = "notification.foreign", user_id = %user, notification = %id, %ip
    );
}

pub fn room_refused(user: &UserId, room: &str, reason: &str, ip: IpAddr) {
    let room: String = room.chars().take(MAX_TEXT).collect();
    tracing::warn!(target: "security", event = "room.refused", user_id = %user, room, reason, %ip);
}

/// Somebody knew the secret of another user's session.
pub fn recovery_refused(user: &UserId, ip: IpAddr) {
    tracing::warn!(target: "security", event = "recovery.refused", user_id = %user, %ip);
}

pub fn origin_refused(origin: &str, ip: IpAddr) {
    let origin: String = origin.chars().take(MAX_TEXT).collect();
    tracing::warn!(target: "security", event = "origin.refused", origin, %ip);
}

pub fn host_refused(host: &str, ip: IpAddr) {
    let host: String = host.chars().take(MAX_TEXT).collect();
    tracing::warn!(target: "security", event = "host.refused", host, %ip);
}
