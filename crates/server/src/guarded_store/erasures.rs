use async_trait::async_trait;
use tidings_core::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure},
    ports::Erasures,
    time::Timestamp,
};

use super::{GuardedStore, Outcome};

#[async_trait]
impl Erasures for GuardedStore {
    async fn begin_erasure(&self, new: NewErasure) -> Outcome<Erasure> {
        self.write(self.store.begin_erasure(new)).await
    }

    async fn erasure(&self, id: ErasureId) -> Outcome<Option<Erasure>> {
        self.read(self.store.erasure(id)).await
    }

    async fn due_erasures(&self, limit: usize) -> Outcome<Vec<ErasureId>> {
        self.read(self.store.due_erasures(limit)).await
    }

    async fn advance_erasure(
        &self,
        id: ErasureId,
        limit: usize,
        now: Timestamp,
    ) -> Outcome<ErasureProgress> {
        self.maybe_write(self.store.advance_erasure(id, limit, now)).await
    }
}
