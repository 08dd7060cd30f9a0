use std::time::Duration;

use async_trait::async_trait;

use super::RegistryError;

/// What became of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// So many are left now.
    Yes { left: u64 },
    /// There is one again after this time.
    No { wait: Duration },
}

/// Limits that hold for all nodes together: so many in a period, refilled evenly (the generic
/// cell rate algorithm).
#[async_trait]
pub trait Quotas: Send + Sync + 'static {
    /// Takes one. Those of one key share a quota as long as they name the same limit and period.
    async fn take(&self, key: &str, limit: u32, period: Duration) -> Result<Taken, RegistryError>;
}
