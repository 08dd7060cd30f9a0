//! The erasure of users, a part of the store.

use async_trait::async_trait;

use super::StoreError;
use crate::{
    erasure::{Erasure, ErasureId, ErasureProgress, NewErasure},
    time::Timestamp,
};

/// Takes out everything about a user. See [`erasure`](crate::erasure).
#[async_trait]
pub trait Erasures {
    /// Takes the user and the inbox out of sight, and keeps what is left to do. Asked for again
    /// with the same id, it is the same erasure.
    async fn begin_erasure(&self, new: NewErasure) -> Result<Erasure, StoreError>;

    /// Forgotten once the same user is erased again.
    async fn erasure(&self, id: ErasureId) -> Result<Option<Erasure>, StoreError>;

    /// Those that are not done, the oldest first.
    async fn due_erasures(&self, limit: usize) -> Result<Vec<ErasureId>, StoreError>;

    /// Erases about `limit` more rows. Where several nodes are at it, one does it and the others
    /// find nothing to do.
    async fn advance_erasure(
        &self,
        id: ErasureId,
        limit: usize,
        now: Timestamp,
    ) -> Result<ErasureProgress, StoreError>;
}
