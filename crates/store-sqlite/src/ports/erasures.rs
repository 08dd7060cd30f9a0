use async_trait::async_trait;
use tidings_core::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure},
    ports::{Erasures, StoreError},
    time::Timestamp,
};

use super::rows;
use crate::{SqliteStore, erasures};

#[async_trait]
impl Erasures for SqliteStore {
    async fn begin_erasure(&self, new: NewErasure) -> Result<Erasure, StoreError> {
        self.write(rows(1), move |tx| erasures::begin(tx, &new)).await
    }

    async fn erasure(&self, id: ErasureId) -> Result<Option<Erasure>, StoreError> {
        self.read(move |conn| erasures::find(conn, id)).await
    }

    async fn due_erasures(&self, limit: usize) -> Result<Vec<ErasureId>, StoreError> {
        self.read(move |conn| erasures::due(conn, limit)).await
    }

    async fn advance_erasure(
        &self,
        id: ErasureId,
        limit: usize,
        now: Timestamp,
    ) -> Result<ErasureProgress, StoreError> {
        self.write(rows(limit), move |tx| erasures::advance(tx, id, limit, now)).await
    }
}
