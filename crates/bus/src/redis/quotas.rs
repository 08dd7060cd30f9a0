//! Quotas in Redis: each is one key, and taking from it one script.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use redis::Script;
use tidings_core::ports::{Quotas, RegistryError, Taken};

use super::{handle::Redis, partition::Partition};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/quota_take.lua")));

pub struct RedisQuotas {
    redis: Redis,
}

impl RedisQuotas {
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }
}

#[async_trait]
impl Quotas for RedisQuotas {
    async fn take(&self, key: &str, limit: u32, period: Duration) -> Result<Taken, RegistryError> {
        let name = self.redis.names().key(Partition::of(key), "quota", key);
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        let answer = self.redis.run(&TAKE, |script| {
            script.key(name).arg(limit.max(1)).arg(period);
        });
        let (taken, number): (u8, u64) =
            answer.await.map_err(|problem| RegistryError(problem.0))?;
        Ok(match taken {
            1 => Taken::Yes { left: number },
            _ => Taken::No { wait: Duration::from_micros(number) },
        })
    }
}
