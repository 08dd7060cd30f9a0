//! The history of connections, a part of the store.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    connection::{Connection, ConnectionFilter, ConnectionId, ConnectionNote, Lost},
    time::Timestamp,
};

/// Who was connected from where. It is kept for people to look at; nothing is decided by it.
#[async_trait]
pub trait Connections {
    /// Takes down what happened, in this order. What is said of an unknown connection is left
    /// out.
    async fn note_connections(&self, notes: Vec<ConnectionNote>) -> Result<(), StoreError>;

    /// A node says that it lives, and holds what it said it opened. `false`: it was not known,
    /// or was taken for lost and all that it held was closed.
    async fn heartbeat(&self, node: &str, now: Timestamp) -> Result<bool, StoreError>;

    async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError>;

    /// The latest first, from the one before `before` on.
    async fn connections(
        &self,
        filter: ConnectionFilter,
        before: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError>;

    /// Closes up to `limit` connections, as of when their node was last heard of; zero means
    /// done. Silent nodes are forgotten with their last connection.
    async fn close_lost(&self, lost: Lost, limit: usize) -> Result<u64, StoreError>;

    /// Those that ended before `before`, the first to end first.
    async fn ended_connections(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError>;

    async fn remove_connections(&self, ids: &[ConnectionId]) -> Result<(), StoreError>;
}
