//! Announcements: messages whose recipients are too many, or not yet due, for one
//! transaction. They are jobs that resume where they stopped.

use serde::{Deserialize, Serialize};

use crate::{ids::NotificationId, time::Timestamp};

/// Most items × recipients that are stored at once, all or nothing.
pub const MAX_IMMEDIATE: usize = 1_000;
/// Recipients in one transaction of an announcement.
pub const BATCH: usize = 1_000;
/// Announcements that may be due at once; one more is refused as long as the store is that busy.
pub const MAX_DUE: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnouncementState {
    /// Waits for its `sendAt`.
    Scheduled,
    Running,
    Done,
    /// Retracted before it was done.
    Cancelled,
}

impl AnnouncementState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::str::FromStr for AnnouncementState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "scheduled" => Ok(Self::Scheduled),
            "running" => Ok(Self::Running),
            "done" => Ok(Self::Done),
            "cancelled" => Ok(Self::Cancelled),
            other => Err(format!("{other:?} is not the state of an announcement")),
        }
    }
}

/// How far an announcement is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Announcement {
    pub id: NotificationId,
    pub state: AnnouncementState,
    /// Recipients when it was accepted.
    pub total: u64,
    /// Recipients handled so far.
    pub processed: u64,
    pub created_at: Timestamp,
    pub run_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

/// The outcome of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Recipients who got the message in this batch.
    pub added: u64,
    /// Nothing is left to do.
    pub finished: bool,
}
