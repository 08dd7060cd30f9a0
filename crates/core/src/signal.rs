//! What every node has to hear of, whoever is connected to it.

use serde::{Deserialize, Serialize};

use crate::{ids::UserId, revocation::Revocation, room::RoomName};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum NodeSignal {
    /// Tokens do not hold any more.
    Revoked(Revocation),
    /// What the application said about these users in this room does not count any more.
    AskAgain { room: RoomName, users: Vec<UserId> },
}
