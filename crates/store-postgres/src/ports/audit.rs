use async_trait::async_trait;
use tidings_core::{
    audit::{AuditEntry, AuditFilter, AuditId},
    ports::{AuditLog, StoreError},
    time::Timestamp,
};

use crate::{PostgresStore, audit, retry::Repeat::Always};

#[async_trait]
impl AuditLog for PostgresStore {
    async fn append_audit(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        let entries = &entries;
        self.retry(Always, || async move { audit::append(&self.writer().await?, entries).await })
            .await
    }

    async fn audit(
        &self,
        filter: AuditFilter,
        before: Option<AuditId>,
        limit: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let filter = &filter;
        let past = async |conn| audit::list(&conn, filter, before, limit).await;
        if let Some(past) = self.past_of_replica(past).await {
            return Ok(past);
        }
        self.retry(Always, || async move {
            audit::list(&self.reader().await?, filter, before, limit).await
        })
        .await
    }

    async fn purge_audit(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.retry(
            Always,
            || async move { audit::purge(&self.writer().await?, before, limit).await },
        )
        .await
    }
}
