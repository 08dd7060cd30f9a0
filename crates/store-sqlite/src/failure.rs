//! What goes wrong inside the store, and what the domain hears of it.

use rusqlite::ErrorCode;
use tidings_core::ports::StoreError;

/// The error of everything inside this crate; it becomes a [`StoreError`] at the border.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("the database holds what cannot be: {0}")]
    Corrupt(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// For `map_err` on what was checked on its way into the database.
    pub(crate) fn corrupt(error: impl std::fmt::Display) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Store(error) => error,
            Failure::Sql(error) => from_sql(&error),
            Failure::Corrupt(_) => Self::Internal(failure.to_string()),
        }
    }
}

/// A full disk, a file that cannot be read or written, another process with a lock: these pass,
/// or an operator makes them pass. All else is a fault of ours or of the file.
pub(crate) fn from_sql(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Internal(error.to_string()),
    }
}
