//! What a node does.

use serde::{Deserialize, Serialize};

/// What a node does of what there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Serves clients and the API; leaves to others what has to be done once for all nodes.
    Gateway,
    /// Does that, and serves nobody but operators.
    Worker,
}

impl Role {
    pub fn serves(self) -> bool {
        self != Self::Worker
    }

    /// Whether it does what has to be done once for all nodes.
    pub fn works(self) -> bool {
        self != Self::Gateway
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Gateway => "gateway",
            Self::Worker => "worker",
        }
    }
}
