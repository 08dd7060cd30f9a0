use async_trait::async_trait;
use tidings_core::{
    ports::{Revocations, StoreError},
    revocation::Revocation,
    time::Timestamp,
};

use crate::{PostgresStore, retry::Repeat::Always, revocations};

#[async_trait]
impl Revocations for PostgresStore {
    async fn revoke(
        &self,
        revocation: Revocation,
        now: Timestamp,
        most: usize,
    ) -> Result<bool, StoreError> {
        let revocation = &revocation;
        self.retry(Always, || async move {
            revocations::revoke(&mut self.writer().await?, revocation, now, most).await
        })
        .await
    }

    async fn revocations(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Revocation>, StoreError> {
        self.retry(Always, || async move {
            revocations::since(&self.reader().await?, since, limit).await
        })
        .await
    }

    async fn purge_revocations(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        self.retry(
            Always,
            || async move { revocations::purge(&self.writer().await?, now, limit).await },
        )
        .await
    }
}
