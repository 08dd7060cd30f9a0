use async_trait::async_trait;
use tidings_core::{
    ids::{RoomId, UserId},
    ports::{Memberships, NewMembers, StoreError},
};

use crate::{
    PostgresStore, memberships,
    retry::Repeat::{Always, Undone},
};

#[async_trait]
impl Memberships for PostgresStore {
    async fn add_members(
        &self,
        room: &RoomId,
        users: &[UserId],
        most: usize,
    ) -> Result<NewMembers, StoreError> {
        self.retry(Undone, || async move {
            memberships::add(&mut self.writer().await?, room, users, most).await
        })
        .await
    }

    async fn remove_members(
        &self,
        room: &RoomId,
        users: &[UserId],
    ) -> Result<Vec<UserId>, StoreError> {
        self.retry(Undone, || async move {
            memberships::remove(&mut self.writer().await?, room, users).await
        })
        .await
    }

    async fn memberships(
        &self,
        user: &UserId,
        rooms: &[RoomId],
    ) -> Result<Vec<RoomId>, StoreError> {
        self.retry(Always, || async move {
            memberships::of_user(&self.reader().await?, user, rooms).await
        })
        .await
    }

    async fn rooms_of(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreError> {
        self.retry(Always, || async move {
            memberships::rooms_of(&self.reader().await?, user, after, limit).await
        })
        .await
    }

    async fn members(
        &self,
        room: &RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        self.retry(Always, || async move {
            memberships::of_room(&self.reader().await?, room, after, limit).await
        })
        .await
    }
}
