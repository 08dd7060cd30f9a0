use async_trait::async_trait;
use tidings_core::{
    connection::{Connection, ConnectionFilter, ConnectionId, ConnectionNote, Lost},
    ports::{Connections, StoreError},
    time::Timestamp,
};

use crate::{
    PostgresStore, connections,
    retry::Repeat::{Always, Undone},
};

#[async_trait]
impl Connections for PostgresStore {
    async fn note_connections(&self, notes: Vec<ConnectionNote>) -> Result<(), StoreError> {
        let notes = &notes;
        self.retry(
            Always,
            || async move { connections::note(&mut self.writer().await?, notes).await },
        )
        .await
    }

    async fn heartbeat(&self, node: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.retry(Undone, || async move {
            connections::heartbeat(&self.writer().await?, node, now).await
        })
        .await
    }

    async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, StoreError> {
        self.retry(Always, || async move { connections::find(&self.reader().await?, id).await })
            .await
    }

    async fn connections(
        &self,
        filter: ConnectionFilter,
        before: Option<ConnectionId>,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        let filter = &filter;
        let past = async |conn| connections::list(&conn, filter, before, limit).await;
        if let Some(past) = self.past_of_replica(past).await {
            return Ok(past);
        }
        self.retry(Always, || async move {
            connections::list(&self.reader().await?, filter, before, limit).await
        })
        .await
    }

    async fn close_lost(&self, lost: Lost, limit: usize) -> Result<u64, StoreError> {
        let lost = &lost;
        self.retry(Always, || async move {
            connections::close_lost(&self.writer().await?, lost, limit).await
        })
        .await
    }

    async fn ended_connections(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<Connection>, StoreError> {
        self.retry(Always, || async move {
            connections::ended(&self.reader().await?, before, limit).await
        })
        .await
    }

    async fn remove_connections(&self, ids: &[ConnectionId]) -> Result<(), StoreError> {
        self.retry(Always, || async move { connections::remove(&self.writer().await?, ids).await })
            .await
    }
}
