use async_trait::async_trait;
use tidings_core::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure},
    ports::{Erasures, StoreError},
    time::Timestamp,
};

use crate::{PostgresStore, erasures, lane::Weight, retry::Repeat::Always};

#[async_trait]
impl Erasures for PostgresStore {
    async fn begin_erasure(&self, new: NewErasure) -> Result<Erasure, StoreError> {
        let route = new.user.to_string();
        self.write(&route, Weight { rows: 4, bytes: 512 }, move |tx| {
            let new = new.clone();
            Box::pin(async move { erasures::begin(tx, &new).await })
        })
        .await
    }

    async fn erasure(&self, id: ErasureId) -> Result<Option<Erasure>, StoreError> {
        self.retry(Always, || async move { erasures::find(&self.reader().await?, id).await }).await
    }

    async fn due_erasures(&self, limit: usize) -> Result<Vec<ErasureId>, StoreError> {
        self.retry(Always, || async move { erasures::due(&self.reader().await?, limit).await })
            .await
    }

    async fn advance_erasure(
        &self,
        id: ErasureId,
        limit: usize,
        now: Timestamp,
    ) -> Result<ErasureProgress, StoreError> {
        self.upkeep(limit, move |tx| Box::pin(erasures::advance(tx, id, limit, now))).await
    }
}
