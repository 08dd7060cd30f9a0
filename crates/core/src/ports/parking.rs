use std::time::Duration;

use async_trait::async_trait;

use super::RegistryError;

/// Where nodes leave something for one another for a while. It is taken at most once.
#[async_trait]
pub trait Parking: Send + Sync + 'static {
    /// Takes the place of what is there.
    async fn park(&self, key: &str, text: &str, keep: Duration) -> Result<(), RegistryError>;

    /// Of several who ask, one gets it.
    async fn take(&self, key: &str) -> Result<Option<String>, RegistryError>;

    /// Takes it back, if it is still this.
    async fn withdraw(&self, key: &str, text: &str) -> Result<(), RegistryError>;
}
