//! Quotas that the nodes of one process share.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use tidings_core::ports::{Quotas, RegistryError, Taken};

/// From so many on, those that are full are forgotten.
const MANY: usize = 10_000;

/// When each is full again.
#[derive(Default)]
pub struct MemoryQuotas(Mutex<HashMap<String, Instant>>);

#[async_trait]
impl Quotas for MemoryQuotas {
    async fn take(&self, key: &str, limit: u32, period: Duration) -> Result<Taken, RegistryError> {
        let now = Instant::now();
        let mut all = self.0.lock();
        if all.len() >= MANY && !all.contains_key(key) {
            all.retain(|_, full_at| *full_at > now);
        }
        let cost = period / limit.max(1);
        let full_at = all.get(key).map_or(now, |full_at| (*full_at).max(now)) + cost;
        let ahead = full_at - now;
        if ahead > period {
            return Ok(Taken::No { wait: ahead - period });
        }
        all.insert(key.to_owned(), full_at);
        let left = (period - ahead).as_nanos() / cost.as_nanos().max(1);
        Ok(Taken::Yes { left: u64::try_from(left).unwrap_or(u64::MAX) })
    }
}
