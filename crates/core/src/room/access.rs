//! Who may join a room, as far as it can be told without asking the application.

use serde::Serialize;

use super::{RoomKind, RoomName, Rule, glob_matches};
use crate::ids::UserId;

/// What a token says that matters for rooms.
#[derive(Debug, Clone, Copy)]
pub struct AccessClaims<'a> {
    pub user: &'a UserId,
    pub roles: &'a [String],
    /// `team:7`, or `7` for the kind `group`.
    pub groups: &'a [String],
    pub rooms: &'a [String],
}

/// On what ground somebody may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    Rule,
    Token,
    Membership,
    Application,
    /// A server of the application put them there, for as long as they are connected.
    Server,
}

/// Why somebody may not join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("this room belongs to another user")]
    NotOwn,
    #[error("this room is for a role that you do not have")]
    NoRole,
    #[error("you are not a member of this room")]
    NotMember,
    #[error("the application does not let you in")]
    ByApplication,
    #[error("it could not be asked whether you may join; try again")]
    ApplicationDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted(Grant),
    Refused(Refusal),
    /// Only the application can tell.
    Ask,
}

/// The rule of the kind first, then the token, then the memberships that the application keeps.
pub fn decide(
    room: &RoomName,
    kind: &RoomKind,
    claims: AccessClaims<'_>,
    is_member: bool,
) -> Verdict {
    match &kind.rule {
        Rule::Own if room.local() == claims.user.as_str() => return Verdict::Granted(Grant::Rule),
        Rule::Own => return Verdict::Refused(Refusal::NotOwn),
        Rule::Role(role) if claims.roles.contains(role) => return Verdict::Granted(Grant::Rule),
        Rule::Role(_) => return Verdict::Refused(Refusal::NoRole),
        Rule::Everyone => return Verdict::Granted(Grant::Rule),
        Rule::Member => {}
    }
    if in_groups(room, claims.groups) || in_rooms(room, claims.rooms) {
        return Verdict::Granted(Grant::Token);
    }
    if is_member {
        return Verdict::Granted(Grant::Membership);
    }
    if kind.ask_application { Verdict::Ask } else { Verdict::Refused(Refusal::NotMember) }
}

fn in_groups(room: &RoomName, groups: &[String]) -> bool {
    groups
        .iter()
        .any(|group| group == room.as_str() || (room.kind() == "group" && group == room.local()))
}

fn in_rooms(room: &RoomName, globs: &[String]) -> bool {
    globs.iter().any(|glob| glob_matches(glob, room.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::RoomCatalog;

    struct Token {
        roles: Vec<String>,
        groups: Vec<String>,
        rooms: Vec<String>,
    }

    fn verdict(room: &str, token: &Token, is_member: bool) -> Verdict {
        let catalog = RoomCatalog::new(Default::default(), false);
        let room = RoomName::parse(room).unwrap();
        let alice = UserId::new("alice").unwrap();
        let claims = AccessClaims {
            user: &alice,
            roles: &token.roles,
            groups: &token.groups,
            rooms: &token.rooms,
        };
        decide(&room, catalog.get(room.kind()).unwrap(), claims, is_member)
    }

    fn plain() -> Token {
        Token { roles: vec![], groups: vec![], rooms: vec![] }
    }

    #[test]
    fn the_own_room_is_for_its_user_whatever_a_token_says() {
        let greedy = Token { rooms: vec!["*".into()], ..plain() };
        assert_eq!(verdict("user:alice", &plain(), false), Verdict::Granted(Grant::Rule));
        assert_eq!(verdict("user:bob", &greedy, true), Verdict::Refused(Refusal::NotOwn));
    }

    #[test]
    fn the_admin_room_is_for_a_role() {
        let admin = Token { roles: vec!["admin".into()], ..plain() };
        assert_eq!(verdict("admin:broadcast", &admin, false), Verdict::Granted(Grant::Rule));
        assert_eq!(verdict("admin:broadcast", &plain(), true), Verdict::Refused(Refusal::NoRole));
    }

    #[test]
    fn members_are_let_in_by_token_or_membership() {
        let by_group = Token { groups: vec!["7".into(), "team:9".into()], ..plain() };
        let by_glob = Token { rooms: vec!["task:1*".into()], ..plain() };
        assert_eq!(verdict("group:7", &by_group, false), Verdict::Granted(Grant::Token));
        assert_eq!(verdict("team:9", &by_group, false), Verdict::Granted(Grant::Token));
        assert_eq!(verdict("team:7", &by_group, false), Verdict::Refused(Refusal::NotMember));
        assert_eq!(verdict("task:12", &by_glob, false), Verdict::Granted(Grant::Token));
        assert_eq!(verdict("dm:5", &plain(), true), Verdict::Granted(Grant::Membership));
        assert_eq!(verdict("dm:5", &plain(), false), Verdict::Refused(Refusal::NotMember));
    }
}
