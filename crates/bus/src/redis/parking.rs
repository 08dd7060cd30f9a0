//! What nodes leave for one another in Redis: each is one key that ends by itself.

use std::{sync::LazyLock, time::Duration};

use async_trait::async_trait;
use redis::{Script, cmd};
use tidings_core::ports::{BusError, Parking, RegistryError};

use super::{handle::Redis, partition::Partition};

static WITHDRAW: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/parking_withdraw.lua")));

pub struct RedisParking {
    redis: Redis,
}

impl RedisParking {
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn name(&self, key: &str) -> String {
        self.redis.names().key(Partition::of(key), "parked", key)
    }
}

fn failed(problem: BusError) -> RegistryError {
    RegistryError(problem.0)
}

#[async_trait]
impl Parking for RedisParking {
    async fn park(&self, key: &str, text: &str, keep: Duration) -> Result<(), RegistryError> {
        let millis = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut command = cmd("SET");
        command.arg(self.name(key)).arg(text).arg("PX").arg(millis);
        self.redis.query(&command).await.map_err(failed)
    }

    async fn take(&self, key: &str) -> Result<Option<String>, RegistryError> {
        self.redis.query(cmd("GETDEL").arg(self.name(key))).await.map_err(failed)
    }

    async fn withdraw(&self, key: &str, text: &str) -> Result<(), RegistryError> {
        let withdrawn: Result<u8, BusError> = self
            .redis
            .run(&WITHDRAW, |script| {
                script.key(self.name(key)).arg(text);
            })
            .await;
        withdrawn.map(|_| ()).map_err(failed)
    }
}
