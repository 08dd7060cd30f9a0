//! Announcements and retractions.

use async_trait::async_trait;
use tidings_core::{
    announcement::{Announcement, Progress},
    ids::NotificationId,
    ports::{Announcements, Retracted, StoreError},
    time::Timestamp,
};

use crate::{PostgresStore, announcements, retraction, retry::Repeat::Always};

#[async_trait]
impl Announcements for PostgresStore {
    async fn announcement(&self, id: NotificationId) -> Result<Option<Announcement>, StoreError> {
        self.retry(Always, || async move { announcements::find(&self.reader().await?, id).await })
            .await
    }

    async fn due_announcements(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<NotificationId>, StoreError> {
        self.retry(
            Always,
            || async move { announcements::due(&self.reader().await?, now, limit).await },
        )
        .await
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
        self.retry(Always, || async move { retraction::due(&self.reader().await?, limit).await })
            .await
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
