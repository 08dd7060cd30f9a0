//! What goes wrong inside the store, and what the domain hears of it.

use std::error::Error as _;

use deadpool_postgres::{PoolError, TimeoutType};
use tidings_core::ports::StoreError;
use tokio_postgres::error::SqlState;

/// The error of everything inside this crate; it becomes a [`StoreError`] at the border.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{}", explain(.0))]
    Pg(#[from] tokio_postgres::Error),
    #[error("{}", no_connection(.0))]
    Pool(#[from] PoolError),
    #[error("the database holds what cannot be: {0}")]
    Corrupt(String),
    /// The inbox was there and is not any more: its user was erased just then. Repeated, the
    /// work finds none and makes one.
    #[error("the user was erased at this moment")]
    Erased,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What kind of trouble an error of the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Two transactions met; this one was undone, and may well succeed when repeated.
    Conflict,
    /// There is no connection: nothing was done.
    Away,
    /// The connection went away. After a COMMIT was sent, nobody knows whether it was carried
    /// out.
    Lost,
    /// It took longer than it may; it was undone.
    TimedOut,
    /// The server takes no writes: a standby, or an old primary after a failover.
    ReadOnly,
    /// No connections, memory or disk left.
    Exhausted,
    /// A fault of ours, of the schema, or of what somebody did to it.
    Other,
}

impl Failure {
    /// For `map_err` on what was checked on its way into the database.
    pub(crate) fn corrupt(error: impl std::fmt::Display) -> Self {
        Self::Corrupt(error.to_string())
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Pg(error) => class(error),
            Self::Pool(PoolError::Backend(error)) => match class(error) {
                Class::Lost => Class::Away,
                other => other,
            },
            Self::Pool(PoolError::Timeout(TimeoutType::Wait)) => Class::Exhausted,
            Self::Pool(PoolError::Timeout(_)) => Class::Away,
            Self::Pool(_) => Class::Other,
            Self::Erased => Class::Conflict,
            Self::Corrupt(_) | Self::Store(_) => Class::Other,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        let class = failure.class();
        match failure {
            Failure::Store(error) => error,
            Failure::Corrupt(_) => Self::Internal(failure.to_string()),
            Failure::Pool(PoolError::Timeout(TimeoutType::Wait)) => Self::Busy,
            Failure::Pool(PoolError::Closed) => Self::Unavailable(failure.to_string()),
            failure if class == Class::Other => Self::Internal(failure.to_string()),
            failure => Self::Unavailable(failure.to_string()),
        }
    }
}

pub(crate) fn class(error: &tokio_postgres::Error) -> Class {
    let Some(state) = error.code() else {
        // No answer of the server: a socket that closed, failed or was never opened, unless
        // the driver found fault with our own values.
        let io = error.source().is_some_and(|source| source.is::<std::io::Error>());
        let lost = error.is_closed() || io || is_connecting(error);
        return if lost { Class::Lost } else { Class::Other };
    };
    match *state {
        // Nothing is inserted before it was looked for: somebody else inserted it meanwhile.
        SqlState::T_R_SERIALIZATION_FAILURE
        | SqlState::T_R_DEADLOCK_DETECTED
        | SqlState::UNIQUE_VIOLATION => Class::Conflict,
        SqlState::READ_ONLY_SQL_TRANSACTION => Class::ReadOnly,
        SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => Class::TimedOut,
        // 57P04, a dropped database, does not pass: but it is gone all the same. 25P03 is the
        // server's word for a transaction that was left lying.
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::DATABASE_DROPPED
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Class::Lost,
        // Whoever has no access now may have it again once an operator has seen to it.
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION
        | SqlState::INVALID_PASSWORD
        | SqlState::INVALID_CATALOG_NAME => Class::Lost,
        _ if state.code().starts_with("08") => Class::Lost,
        _ if state.code().starts_with("53") || state.code().starts_with("58") => Class::Exhausted,
        _ => Class::Other,
    }
}

/// The driver has no better way to tell that it failed before there was a session.
fn is_connecting(error: &tokio_postgres::Error) -> bool {
    let text = error.to_string();
    ["error connecting to server", "error performing TLS handshake", "timeout waiting"]
        .iter()
        .any(|known| text.starts_with(known))
}

fn no_connection(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => explain(error),
        PoolError::Timeout(TimeoutType::Wait) => "every connection is in use".into(),
        PoolError::Timeout(_) => "the database gave no connection in time".into(),
        PoolError::Closed => "the store is closed".into(),
        other => other.to_string(),
    }
}

/// The server's own words with their code, or the driver's with their cause.
pub(crate) fn explain(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
    }
    match error.source() {
        Some(cause) if !error.to_string().contains(&cause.to_string()) => {
            format!("{error}: {cause}")
        }
        _ => error.to_string(),
    }
}
