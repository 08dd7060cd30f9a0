//! Security events: what an operator wants to see when somebody tries something. Each is one
//! line of the log, `event` names it, and one happening of the audit log; never with a token or a
//! payload.

use std::net::IpAddr;

use tidings_core::{
    audit::{Actor, Happening, clip},
    ids::{NotificationId, UserId},
    room::RoomName,
};

use crate::{audit::Audit, auth::TokenError};

pub fn token_refused(audit: &Audit, door: &str, problem: &TokenError, ip: IpAddr) {
    // The reason may quote the token's own words.
    let (code, reason) = (problem.code(), clip(problem.reason()));
    tracing::warn!(target: "security", event = "token.refused", door, code, reason, %ip);
    let happening = Happening::new("token.refused", Actor::Anonymous).from(ip);
    audit.record_often(happening.with("door", door).with("code", code).with("reason", reason));
}

pub fn api_key_refused(audit: &Audit, reason: &str, ip: IpAddr) {
    tracing::warn!(target: "security", event = "api_key.refused", reason, %ip);
    let happening = Happening::new("api_key.refused", Actor::Anonymous).from(ip);
    audit.record_often(happening.with("reason", reason));
}

/// `who` is the id of a key, or a user.
pub fn scope_refused(audit: &Audit, who: Actor, scope: &str, ip: IpAddr) {
    let key = who.id().unwrap_or_default();
    tracing::warn!(target: "security", event = "scope.refused", key, scope, %ip);
    audit.record_often(Happening::new("scope.refused", who).from(ip).with("scope", scope));
}

pub fn foreign_notification(audit: &Audit, user: &UserId, id: NotificationId, ip: IpAddr) {
    tracing::warn!(
        target: "security", event = "notification.foreign", user_id = %user, notification = %id, %ip
    );
    let happening = Happening::new("notification.foreign", Actor::User(user.clone()));
    audit.record_often(happening.from(ip).target(id));
}

pub fn room_refused(audit: &Audit, user: &UserId, room: &str, reason: &str, ip: IpAddr) {
    let text = clip(room);
    tracing::warn!(target: "security", event = "room.refused", user_id = %user, room = text, reason, %ip);
    let happening = Happening::new("room.refused", Actor::User(user.clone())).from(ip);
    let happening = happening.with("reason", reason);
    audit.record_often(match RoomName::parse(room) {
        Ok(room) => happening.room(room.id()),
        Err(_) => happening.target(text),
    });
}

/// Somebody knew the secret of another user's session.
pub fn recovery_refused(audit: &Audit, user: &UserId, ip: IpAddr) {
    tracing::warn!(target: "security", event = "recovery.refused", user_id = %user, %ip);
    audit.record_often(Happening::new("recovery.refused", Actor::User(user.clone())).from(ip));
}

/// Somebody lost the right to be in a room.
pub fn room_expelled(audit: &Audit, user: &UserId, room: &RoomName, reason: &str) {
    tracing::info!(event = "room.expelled", user_id = %user, %room, reason);
    let happening = Happening::new("room.expelled", Actor::System).about(user).room(room.id());
    audit.record(happening.with("reason", reason));
}

pub fn origin_refused(audit: &Audit, origin: &str, ip: IpAddr) {
    let origin = clip(origin);
    tracing::warn!(target: "security", event = "origin.refused", origin, %ip);
    let happening = Happening::new("origin.refused", Actor::Anonymous).from(ip);
    audit.record_often(happening.with("origin", origin));
}

pub fn host_refused(audit: &Audit, host: &str, ip: IpAddr) {
    let host = clip(host);
    tracing::warn!(target: "security", event = "host.refused", host, %ip);
    let happening = Happening::new("host.refused", Actor::Anonymous).from(ip);
    audit.record_often(happening.with("host", host));
}
