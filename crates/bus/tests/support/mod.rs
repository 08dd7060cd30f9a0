#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use tidings_bus::redis::{Redis, RedisBus, RedisParking, RedisQuotas, RedisRegistry, Settings};
use tidings_core::{
    ids::NodeId,
    ports::{Bus, BusSink, Parking, Quotas, Registry},
};
use tidings_testkit::{
    bus::BusHarness,
    redis::{Cluster, Sentinels},
};

/// Ends of the bus on one Redis, in a name space of their own.
pub struct OnRedis {
    settings: Settings,
}

impl OnRedis {
    pub fn at(url: &str) -> Self {
        Self::named(url, "")
    }

    /// As a user who may touch only what begins like ours.
    pub fn confined_at(url: &str) -> Self {
        Self::named(url, "tidings:")
    }

    fn named(url: &str, before: &str) -> Self {
        let prefix = format!("{before}test-{:08x}", rand::random::<u32>());
        let settings = Settings {
            prefix,
            probe_interval: Duration::from_millis(100),
            // A machine may be busy, and a thousand subscriptions are confirmed one by one.
            confirmation_timeout: Duration::from_secs(30),
            probe_timeout: Duration::from_secs(30),
            linger: Duration::from_millis(200),
            ..Settings::new(url.parse().unwrap())
        };
        Self { settings }
    }

    /// Does not take a Redis for dead that says nothing for a while.
    pub fn patient(mut self) -> Self {
        self.settings.response_timeout = Duration::from_secs(60);
        self.settings.probe_timeout = Duration::from_secs(60);
        self
    }

    pub async fn connect(&self, node: NodeId, sink: Arc<dyn BusSink>) -> Arc<RedisBus> {
        let redis = Redis::connect(self.settings.clone()).await.unwrap();
        let bus = Arc::new(RedisBus::start(redis, node, sink));
        until("the bus is connected", || bus.health().connected).await;
        bus
    }

    pub async fn quotas(&self) -> Arc<dyn Quotas> {
        let redis = Redis::connect(self.settings.clone()).await.unwrap();
        Arc::new(RedisQuotas::new(redis))
    }

    pub async fn parking(&self) -> Arc<dyn Parking> {
        let redis = Redis::connect(self.settings.clone()).await.unwrap();
        Arc::new(RedisParking::new(redis))
    }

    pub async fn registry(&self) -> Arc<dyn Registry> {
        let redis = Redis::connect(self.settings.clone()).await.unwrap();
        Arc::new(RedisRegistry::new(redis))
    }
}

#[async_trait]
impl BusHarness for OnRedis {
    async fn join(&self, node: NodeId, sink: Arc<dyn BusSink>) -> Arc<dyn Bus> {
        self.connect(node, sink).await
    }
}

/// Waits for something that happens elsewhere.
pub async fn until(what: &str, done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), wait).await;
    waited.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// Those that the tests of the suite share.
pub fn sentinels() -> &'static Sentinels {
    static SHARED: OnceLock<Sentinels> = OnceLock::new();
    SHARED.get_or_init(|| Sentinels::start().steady())
}

pub fn cluster() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start().steady())
}
