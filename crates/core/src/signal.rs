//! What every node has to hear of, whoever is connected to it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{NodeId, NotificationId, UserId},
    revocation::Revocation,
    room::RoomName,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum NodeSignal {
    /// Tokens do not hold any more.
    Revoked(Revocation),
    /// What the application said about these users in this room does not count any more.
    AskAgain { room: RoomName, users: Vec<UserId> },
    /// A notification that is spooled, for these users to see before it is stored.
    Provisional {
        id: NotificationId,
        users: Vec<UserId>,
        /// As of [`Message::tail`](crate::notification::Message::tail).
        body: Arc<str>,
    },
    /// This node has more than its share: so many of its connections go elsewhere, spread over a time.
    Rebalance { node: NodeId, connections: u64, over_ms: u64 },
    /// What these users were shown was not stored; or something else was, long before.
    Withdrawn { id: NotificationId, users: Vec<UserId>, replaced_by: Option<NotificationId> },
    /// These connections of a user are more than it may have: whoever holds one closes it.
    Surplus { user: UserId, sockets: Vec<Arc<str>> },
    /// A client has come to node `to`, and the node whose log has this name may believe that it is still there:
    /// it lets it go, and answers.
    Release { log: String, pid: String, user: UserId, to: NodeId },
    /// The answer: whether the client's session can be taken now.
    Released { pid: String, parked: bool },
}
