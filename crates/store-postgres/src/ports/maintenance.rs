//! Upkeep.

use async_trait::async_trait;
use tidings_core::{
    ports::{Maintenance, PruneBefore, StoreError},
    time::Timestamp,
};

use crate::{PostgresStore, maintenance, months, prune, sql};

const ANY: &str = "SELECT EXISTS (SELECT 1 FROM inboxes)";

#[async_trait]
impl Maintenance for PostgresStore {
    async fn expire(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.upkeep(limit, move |tx| Box::pin(maintenance::expire(tx, now, limit))).await
    }

    async fn retain(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<u64, StoreError> {
        let conn = self.writer().await?;
        let retiring = months::look_after(&conn, before).await?;
        drop(conn);
        if let Some(month) = retiring {
            let rows = self.retire(&month, now, limit).await?;
            if rows > 0 {
                return Ok(rows);
            }
            months::finish(&self.writer().await?, &month).await?;
        }
        let before = if self.whole_months() { months::start_of_month(before) } else { before };
        self.upkeep(limit, move |tx| Box::pin(maintenance::retain(tx, before, now, limit))).await
    }

    async fn prune(&self, before: PruneBefore, limit: usize) -> Result<u64, StoreError> {
        self.upkeep(limit, move |tx| Box::pin(prune::prune(tx, before, limit))).await
    }

    /// Reads something, to see whether the database can be read.
    async fn ping(&self) -> Result<(), StoreError> {
        sql::row(&self.reader().await?, ANY, &[]).await?;
        Ok(())
    }
}

impl PostgresStore {
    async fn retire(&self, month: &str, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let month = month.to_owned();
        self.upkeep(limit, move |tx| {
            let month = month.clone();
            Box::pin(async move { months::retire(tx, &month, now, limit).await })
        })
        .await
    }
}
