//! What every node has to hear of, whoever is connected to it.

use serde::{Deserialize, Serialize};

use crate::revocation::Revocation;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "signal")]
pub enum NodeSignal {
    /// Tokens do not hold any more.
    Revoked(Revocation),
}
