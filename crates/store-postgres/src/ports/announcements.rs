//! Announcements and retractions.

use async_trait::async_trait;
use tidings_core::{
    announcement::{Announcement, Progress},
    ids::NotificationId,
    ports::{Announcements, Retracted, StoreError},
    time::Timestamp,
};

use crate::{PostgresStore, announcements, retraction};

#[async_trait]
impl Announcements for PostgresStore {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announcement>, StoreError> {
        Ok(announcements::find(&self.reader().await?, id).await?)
    }

    async fn due_announcements(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<NotificationId>, StoreError> {
        Ok(announcements::due(&self.reader().await?, now, limit).await?)
    }

    async fn advance_announcement(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Progress, StoreError> {
        self.upkeep(batch, move |tx| Box::pin(announcements::advance(tx, id, batch, now))).await
    }

    async fn retract(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Option<Retracted>, StoreError> {
        self.upkeep(batch, move |tx| Box::pin(retraction::retract(tx, id, batch, now))).await
    }

    async fn due_retractions(&self, limit: usize) -> Result<Vec<NotificationId>, StoreError> {
        Ok(retraction::due(&self.reader().await?, limit).await?)
    }

    async fn advance_retraction(
        &self,
        id: NotificationId,
        batch: usize,
        now: Timestamp,
    ) -> Result<Retracted, StoreError> {
        self.upkeep(batch, move |tx| Box::pin(retraction::advance(tx, id, batch, now))).await
    }
}
