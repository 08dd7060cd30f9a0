//! Records that the store will never take, kept for whoever looks into it: `dead.jsonl`, a line for each.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;
use tidings_core::time::Timestamp;

use super::Waiting;

const NAME: &str = "dead.jsonl";

/// Why the store does not take a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its key had been used for another request before the database went away.
    IdempotencyMismatch,
    /// The store fails on it, again and again, and takes others.
    Poison,
    /// It was written by another version, or is no request.
    Unreadable,
}

impl Reason {
    pub const ALL: [Self; 3] = [Self::IdempotencyMismatch, Self::Poison, Self::Unreadable];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    at: Timestamp,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a RawValue>,
    /// What is not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Debug)]
pub(super) struct Dead(Arc<File>, u64);

impl Dead {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(NAME))?;
        let length = file.metadata()?.len();
        Ok(Self(Arc::new(file), length))
    }

    /// What was in it when it was opened.
    pub(super) fn bytes(&self) -> u64 {
        self.1
    }

    /// Gives how much it has grown.
    pub(super) async fn add(
        &self,
        waiting: &Waiting,
        reason: Reason,
        at: Timestamp,
    ) -> io::Result<u64> {
        let payload = match &waiting.record {
            Ok(record) => record.encode(),
            Err(unreadable) => unreadable.payload.clone(),
        };
        let payload = String::from_utf8_lossy(&payload).into_owned();
        let json = RawValue::from_string(payload.clone()).ok();
        let text = json.is_none().then_some(payload.as_str());
        let mut line = serde_json::to_vec(&Line { at, reason, request: json.as_deref(), text })?;
        line.push(b'\n');
        let length = line.len() as u64;
        let file = Arc::clone(&self.0);
        super::blocking(move || {
            (&*file).write_all(&line)?;
            file.sync_data()
        })
        .await?;
        Ok(length)
    }
}
