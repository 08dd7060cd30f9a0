use async_trait::async_trait;
use tidings_core::{
    ids::UserId,
    ports::{StoreError, Users},
    time::Timestamp,
    user::User,
};

use crate::{PostgresStore, retry::Repeat::Always, users};

#[async_trait]
impl Users for PostgresStore {
    async fn put_user(&self, user: User) -> Result<(), StoreError> {
        let user = &user;
        self.retry(Always, || async move { users::put(&self.writer().await?, user).await }).await
    }

    async fn see_user(&self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        // Nearly everybody who connects is known: that is no write.
        if self
            .retry(Always, || async move { users::is_known(&self.reader().await?, id).await })
            .await?
        {
            return Ok(());
        }
        self.retry(Always, || async move { users::see(&self.writer().await?, id, now).await }).await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        self.retry(Always, || async move { users::find(&self.reader().await?, id).await }).await
    }

    async fn saw_users(&self, seen: &[(UserId, Timestamp)]) -> Result<(), StoreError> {
        self.retry(Always, || async move { users::saw(&self.writer().await?, seen).await }).await
    }

    async fn last_seen(&self, users: &[UserId]) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
        self.retry(Always, || async move { users::last_seen(&self.reader().await?, users).await })
            .await
    }
}
