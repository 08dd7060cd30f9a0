//! The kinds of room that this installation knows.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The built-in rule of a kind: who may join before anybody is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The user that the room is named after, and nobody else ever.
    Own,
    /// Members: by the token's `groups`, its `rooms`, or the memberships that the application keeps.
    Member,
    /// Who has this role; nobody else ever.
    Role(String),
    /// Every authenticated user.
    Everyone,
}

/// What holds while the application, which was to be asked, does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenDown {
    #[default]
    Refuse,
    Allow,
}

/// What a room remembers for those who come back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    pub messages: usize,
    #[serde(with = "crate::duration")]
    pub age: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomKind {
    pub rule: Rule,
    #[serde(default = "default_size")]
    pub max_members: usize,
    /// Who is in the room may speak to the others (`room:message`), without a permission.
    #[serde(default)]
    pub clients_may_send: bool,
    /// Ask the application (`authorization.url`) about who is no member by then.
    #[serde(default)]
    pub ask_application: bool,
    #[serde(default)]
    pub when_down: WhenDown,
    #[serde(default)]
    pub history: Option<History>,
    /// Whether those in the room see one another; unless set, they do but for `admin`.
    #[serde(default)]
    pub presence: Option<bool>,
}

fn default_size() -> usize {
    10_000
}

impl RoomKind {
    fn new(rule: Rule, max_members: usize) -> Self {
        Self {
            rule,
            max_members,
            clients_may_send: false,
            ask_application: false,
            when_down: WhenDown::Refuse,
            history: None,
            presence: None,
        }
    }
}

/// Every kind by its name.
#[derive(Debug, Clone)]
pub struct RoomCatalog {
    kinds: BTreeMap<String, RoomKind>,
}

impl RoomCatalog {
    /// The built-in kinds, with `declared` ones added or put in their place. In `--dev`, posts,
    /// threads and tasks are open to everybody.
    pub fn new(declared: BTreeMap<String, RoomKind>, dev: bool) -> Self {
        let topic = if dev { Rule::Everyone } else { Rule::Member };
        let built_in = [
            ("user", RoomKind::new(Rule::Own, 100)),
            ("group", RoomKind::new(Rule::Member, 1_000)),
            ("post", RoomKind::new(topic.clone(), 10_000)),
            ("thread", RoomKind::new(topic.clone(), 10_000)),
            ("task", RoomKind::new(topic, 10_000)),
            ("dm", RoomKind::new(Rule::Member, 10)),
            ("project", RoomKind::new(Rule::Member, 10_000)),
            ("team", RoomKind::new(Rule::Member, 10_000)),
            ("admin", RoomKind::new(Rule::Role("admin".to_owned()), 1_000)),
        ];
        let mut kinds: BTreeMap<_, _> =
            built_in.into_iter().map(|(name, kind)| (name.to_owned(), kind)).collect();
        kinds.extend(declared);
        Self { kinds }
    }

    pub fn get(&self, kind: &str) -> Option<&RoomKind> {
        self.kinds.get(kind)
    }

    /// Whether those in rooms of this kind see one another. Who listens for what concerns
    /// administrators need not be known to all of them.
    pub fn shows_presence(&self, kind: &str) -> bool {
        self.get(kind).is_some_and(|found| found.presence.unwrap_or(kind != "admin"))
    }
}
