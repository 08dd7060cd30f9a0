use async_trait::async_trait;
use tidings_core::{
    connection::{Connection, ConnectionFilter, ConnectionId, ConnectionNote, Lost},
    ports::{Connections, StoreError},
    time::Timestamp,
};

use super::rows;
use crate::{SqliteStore, connections, writer::Weight};

#[async_trait]
impl Connections for SqliteStore {
    async fn note_connections(&self, notes: Vec<ConnectionNote>) -> Result<(), StoreError> {
        // About as large as a connection ever gets.
        let weight = Weight { rows: notes.len(), bytes: notes.len() * 1_024 };
        self.write(weight, move |tx| connections::note(tx, &notes)).await
    }

    async fn heartbeat(&self, node: &str, now: Timestamp) -> Result<bool, StoreError> {
        let node = node.to_owned();
        self.write(rows(1), move |tx| connections::heartbeat(tx, &node, now)).await
    }

    async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        self.read(move |conn| connections::find(conn, id)).await
    }

    async fn connections(
        &self,
        filter: ConnectionFilter,
        before: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.read(move |conn| connections::list(conn, &filter, before, limit)).await
    }

    async fn close_lost(&self, lost: Lost, limit: usize) -> Result<u64, StoreError> {
        self.write(rows(limit), move |tx| connections::close_lost(tx, &lost, limit)).await
    }

    async fn ended_connections(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.read(move |conn| connections::ended(conn, before, limit)).await
    }

    async fn remove_connections(&self, ids: &[ConnectionId]) -> Result<(), StoreError> {
        let ids = ids.to_vec();
        self.write(rows(ids.len()), move |tx| connections::remove(tx, &ids)).await
    }
}
