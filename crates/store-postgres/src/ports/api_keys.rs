use async_trait::async_trait;
use tidings_core::{
    api_key::ApiKey,
    ports::{ApiKeys, StoreError},
    time::Timestamp,
};

use crate::{
    PostgresStore, api_keys,
    retry::Repeat::{Always, Undone},
};

#[async_trait]
impl ApiKeys for PostgresStore {
    async fn create_api_key(&self, key: ApiKey) -> Result<(), StoreError> {
        let key = &key;
        self.retry(Undone, || async move { api_keys::create(&self.writer().await?, key).await })
            .await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.retry(Always, || async move { api_keys::list(&self.reader().await?).await }).await
    }

    async fn api_key(&self, hash: &[u8; 32]) -> Result<Option<ApiKey>, StoreError> {
        self.retry(Always, || async move { api_keys::find(&self.reader().await?, hash).await })
            .await
    }

    async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.retry(Undone, || async move { api_keys::revoke(&self.writer().await?, id, now).await })
            .await
    }
}
